"""The loop: order of batches, selection, resumption, refusals, and the baselines."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from mmlib.data.toys import two_moons
from mmlib.mixing import Mixup
from mmlib.models import build, mlp
from mmlib.training import CropFlip
from mmlib.training.checkpoint import CheckpointError
from mmlib.training.consistency import (
    average_into,
    kl_divergence,
    output_entropy,
    vat_loss,
    virtual_adversary,
)
from mmlib.training.fit_ssl import RunStopped, _Feed, _Passes, fit_ssl
from mmlib.training.semi_supervised import sigmoid_ramp
from mmlib.training.ssl_methods import MeanTeacher, Method, PseudoMix, VirtualAdversary


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 30):
    generator = rng(5)
    x = torch.randint(256, (n, 1, 8, 8), generator=generator).byte()
    return x, torch.randint(3, (n,), generator=generator)


METHODS = {
    "supervised": Method,
    "pseudo": lambda: PseudoMix(
        Mixup(0.1, ("input", "block1"), generator=rng(1)),
        Mixup(2.0, ("input", "block1"), generator=rng(2)),
    ),
    "mean_teacher": lambda: MeanTeacher(8.0, 0.9),
    "vat": lambda: VirtualAdversary(0.3, 1.0, 0.1, 0.06, rng(3)),
}


def run(method: str, updates: int = 7, **options):
    x, y = images()
    net = build("small_conv", 1, 3, 8, 2, seed=0)
    given = dict(generator=rng(9), batch_size=4, lr=0.05, noise=0.1, validate_every=2)
    given |= {"inputs": lambda b: b.float() / 255, "augment": CropFlip(1)} | options
    found = fit_ssl(net, METHODS[method](), x[:8], y[:8], x, updates=updates, **given)
    return net, found


def flat(net: nn.Module) -> torch.Tensor:
    return torch.cat([v.flatten().double() for v in net.state_dict().values()])


# ------------------------------------------------------------------------ the loop


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("labelled", ["fresh", "repeated"])
def test_equal_generators_give_equal_bits_and_the_global_state_is_left_alone(method, labelled):
    state = torch.get_rng_state()
    (one, _), (two, _) = run(method, labelled=labelled), run(method, labelled=labelled)
    assert torch.equal(flat(one), flat(two))
    assert torch.equal(state, torch.get_rng_state())
    other, _ = run(method, labelled=labelled, generator=rng(8))
    assert not torch.equal(flat(one), flat(other))


def test_updates_equal_those_written_out():
    x, y = two_moons(6, generator=rng(1))
    x = x.double()
    torch.manual_seed(0)
    net = mlp((2, 2)).double()
    w = torch.cat([net.head.weight, net.head.bias[:, None]], 1).detach().clone()
    fit_ssl(
        net, Method(), x, y, x, updates=8, generator=rng(), batch_size=6, lr=0.2, momentum=0.5,
        weight_decay=0.01, l1=0.02, milestones=(0.5,),
    )  # fmt: skip
    ones = torch.cat([x, torch.ones(6, 1, dtype=x.dtype)], 1)
    velocity = torch.zeros_like(w)
    for step in range(8):
        p = (ones @ w.T).softmax(1)
        slope = (p - nn.functional.one_hot(y, 2)).T @ ones / 6 + 0.02 * w.sign() + 0.01 * w
        velocity = 0.5 * velocity + slope
        w = w - 0.2 * (0.1 if step >= 4 else 1.0) * velocity
    assert torch.allclose(net.head.weight, w[:, :2], atol=1e-12)
    assert torch.allclose(net.head.bias, w[:, 2], atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("labelled", ["fresh", "repeated"])
def test_an_interrupted_run_ends_with_the_same_bits(method, labelled, tmp_path):
    errors = iter([5.0, 3.0, 4.0, 3.5] * 3)

    def validate(net):
        return next(errors)

    whole, found = run(method, labelled=labelled, validate=validate)
    errors = iter([5.0, 3.0, 4.0, 3.5] * 3)
    file = tmp_path / "run.pt"

    def interrupted(net):
        value = next(errors)
        if value == 4.0:
            raise KeyboardInterrupt
        return value

    with pytest.raises(KeyboardInterrupt):
        run(method, labelled=labelled, validate=interrupted, checkpoint=file)
    errors = iter([4.0, 3.5])
    net, again = run(method, labelled=labelled, validate=validate, checkpoint=file)
    assert torch.equal(flat(whole), flat(net))
    assert torch.equal(flat(found.model), flat(again.model))
    assert torch.equal(flat(found.last), flat(again.last))
    for name in ("step", "valid_error", "train_loss", "weight"):
        assert found.history.column(name) == again.history.column(name)
    finished, _ = run(method, labelled=labelled, checkpoint=file)
    assert torch.equal(flat(whole), flat(finished))


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    run("pseudo", checkpoint=tmp_path / "run.pt")
    for change in ({"l1": 0.5}, {"generator": rng(1)}, {"labelled": "repeated"}, {"ramp": 0.1}):
        with pytest.raises(CheckpointError, match="other settings"):
            run("pseudo", checkpoint=tmp_path / "run.pt", **change)


def test_the_state_with_the_lowest_validation_error_is_kept_and_not_the_last():
    seen, values = [], iter([5.0, 2.0, 2.0, 9.0])

    def validate(net):
        seen.append(flat(net))
        return next(values)

    _, found = run("pseudo", validate=validate)
    assert torch.equal(flat(found.model), seen[1])
    assert torch.equal(flat(found.last), seen[3]) and not torch.equal(seen[1], seen[3])
    assert not found.model.training
    assert found.history.column("step") == [2, 4, 6, 7]
    _, last = run("pseudo")
    assert torch.equal(flat(last.model), flat(last.last))


def test_the_history_has_rate_and_weight_of_each_stretch():
    _, found = run("pseudo", updates=10, ramp=0.4, milestones=(0.5,), lr=0.1)
    assert found.history.column("lr") == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.01])
    assert found.history.column("weight") == [sigmoid_ramp(s, 4.0) for s in (1, 3, 5, 7, 9)]
    for row in found.history.epochs:
        assert row["train_loss"] >= row["supervised"] >= 0 <= row["unsupervised"]


def test_methods_see_the_same_batches_and_more_views_change_no_other():
    x, y = images()
    feeds = [
        _Feed(x[:8], y[:8], x, 4, "fresh", lambda b: b.float(), CropFlip(1), 0.1, rng(4))
        for _ in range(3)
    ]
    for step in range(20):
        none, one, two = (feed(step, views) for feed, views in zip(feeds, (0, 1, 2), strict=True))
        assert torch.equal(none[0], one[0]) and torch.equal(one[0], two[0])
        assert torch.equal(one[2][0], two[2][0])
        assert not torch.equal(two[2][0], two[2][1]) and none[2] == []


def test_a_pass_holds_every_example_once_and_skips_what_is_left_over():
    passes = _Passes(10, 4, seed=1)
    rows = [passes.rows(step) for step in range(6)]
    assert passes.per_pass == 2 and all(len(one) == 4 for one in rows)
    for i in (0, 2, 4):
        assert len(set(rows[i].tolist()) | set(rows[i + 1].tolist())) == 8
    assert torch.equal(_Passes(10, 4, seed=1).rows(5), rows[5])
    assert len(_Passes(3, 4, seed=1).rows(0)) == 3


def test_repeated_batches_are_made_once_in_a_pass_over_the_unlabelled_set():
    x, y = images(30)
    feed = _Feed(x[:8], y[:8], x, 4, "repeated", lambda b: b.float(), CropFlip(1), 0.1, rng(4))
    batches = [feed(step, 0)[0] for step in range(16)]  # 7 unlabelled batches in a pass, 2 labelled
    assert torch.equal(batches[0], batches[2]) and torch.equal(batches[0], batches[6])
    assert torch.equal(batches[1], batches[5]) and not torch.equal(batches[0], batches[1])
    assert not any(torch.equal(batches[i], batches[7]) for i in range(7))


# ------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ramp": 1.5}, "ramp"),
        ({"ramp": -0.1}, "ramp"),
        ({"updates": 0}, "updates"),
        ({"lr": 0.0}, "lr"),
        ({"l1": -1.0}, "l1"),
        ({"noise": -1.0}, "noise"),
        ({"batch_size": 0}, "batch_size"),
        ({"labelled": "cycled"}, "labelled"),
        ({"schedule": "linear"}, "schedule"),
        ({"l1_on": "last"}, "on"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        run("pseudo", **options)


def test_sets_that_do_not_fit_are_refused():
    x, y = images()
    net = build("small_conv", 1, 3, 8, 2)
    options = {"updates": 1, "generator": rng()}
    with pytest.raises(ValueError, match="unlabelled"):
        fit_ssl(net, Method(), x, y, x[:0], **options)
    with pytest.raises(ValueError, match="equally many"):
        fit_ssl(net, Method(), x, y[:-1], x, **options)
    with pytest.raises(TypeError, match="uint8"):
        fit_ssl(net, Method(), x, y, x, **options)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PseudoMix(Mixup(), Mixup(), weight=-1.0),
        lambda: PseudoMix(Mixup(), Mixup(), targets="soft"),
        lambda: PseudoMix(Mixup(), Mixup(), mode="test"),
        lambda: MeanTeacher(-1.0),
        lambda: MeanTeacher(1.0, 1.5),
        lambda: VirtualAdversary(weight=-0.3),
        lambda: VirtualAdversary(epsilon=0.0),
        lambda: VirtualAdversary(xi=-1.0),
        lambda: VirtualAdversary(entropy=-1.0),
    ],
)
def test_methods_refuse_what_they_cannot_be(make):
    with pytest.raises(ValueError):
        make()


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_its_record(tmp_path):
    x, y = images()

    class Breaks(Method):
        count = 0

        def losses(self, model, x_l, y_l, x_u, ramp):
            found = super().losses(model, x_l, y_l, x_u, ramp)
            self.count += 1
            return type(found)(
                found.supervised,
                found.unsupervised,
                found.total * (math.nan if self.count == 6 else 1),
            )

    net, file = build("small_conv", 1, 3, 8, 2), tmp_path / "run.pt"
    with pytest.raises(RunStopped, match="step 6") as stopped:
        fit_ssl(
            net, Breaks(), x, y, x, updates=9, generator=rng(), batch_size=4, lr=0.05,
            inputs=lambda b: b.float() / 255, validate=lambda net: 1.0, validate_every=2,
            checkpoint=file,
        )  # fmt: skip
    assert stopped.value.fitted.history.column("step") == [2, 4]
    assert torch.isfinite(flat(net)).all() and file.exists()


def test_narrow_forward_passes_give_every_parameter_a_gradient():
    # Weights cast without gradient must not be taken from autocast's cache.
    net, _ = run("pseudo", updates=1, autocast=torch.bfloat16)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


# ------------------------------------------------------------------------ baselines


def test_the_teacher_averages_weights_and_batch_norm_statistics():
    student, teacher = (build("small_conv", 1, 3, 8, 2, seed=seed) for seed in (0, 1))
    student(torch.randn(4, 1, 8, 8, generator=rng()))
    before = copy.deepcopy(teacher.state_dict())
    average_into(teacher, student, 0.75)
    for name, value in teacher.state_dict().items():
        if value.is_floating_point():
            expected = 0.75 * before[name] + 0.25 * student.state_dict()[name]
            assert torch.allclose(value, expected, atol=1e-7), name
        else:
            assert torch.equal(value, student.state_dict()[name])


def test_the_teacher_is_what_is_evaluated_and_gets_no_gradient():
    method = METHODS["mean_teacher"]()
    x, y = images()
    net = build("small_conv", 1, 3, 8, 2)
    seen = []
    fit_ssl(
        net, method, x[:8], y[:8], x, updates=2, generator=rng(), batch_size=4,
        inputs=lambda b: b.float() / 255, validate=lambda one: seen.append(one) or 1.0,
    )  # fmt: skip
    assert seen == [method.teacher] and method.teacher is not net
    assert all(p.grad is None for p in method.teacher.parameters())
    assert method.modules == {"teacher": method.teacher}


def test_the_statistics_of_the_teacher_move_with_the_average_alone():
    method = METHODS["mean_teacher"]()
    net = build("small_conv", 1, 3, 8, 2).train()
    method.start(net)
    before = copy.deepcopy(method.teacher.state_dict())
    x = torch.randn(4, 1, 8, 8, generator=rng())
    method.losses(net, x, torch.tensor([0, 1, 2, 0]), [x, x + 0.1], 1.0)
    assert all(torch.equal(before[k], v) for k, v in method.teacher.state_dict().items())


def test_divergence_and_entropy_by_hand():
    p = torch.tensor([[0.5, 0.5]]).log()
    q = torch.tensor([[0.9, 0.1]]).log()
    expected = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    assert kl_divergence(p, q).item() == pytest.approx(expected, abs=1e-6)
    assert kl_divergence(q, p).item() != pytest.approx(expected, abs=1e-2)
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert output_entropy(q).item() == pytest.approx(entropy, abs=1e-6)
    sharp = torch.tensor([[200.0, 0.0]], requires_grad=True)
    output_entropy(sharp).backward()
    assert torch.isfinite(sharp.grad).all()


def test_the_adversary_finds_the_steepest_direction_of_a_linear_model():
    # KL grows as d' (W' (diag p - p p') W) d: its top eigenvector is the limit.
    net = nn.Linear(5, 3).double()
    torch.nn.init.normal_(net.weight, generator=rng())
    x = torch.randn(1, 5, generator=rng(1), dtype=torch.float64)
    logits = net(x)
    p = logits.softmax(1)[0]
    hessian = net.weight.T @ (torch.diag(p) - torch.outer(p, p)) @ net.weight
    top = torch.linalg.eigh(hessian.detach()).eigenvectors[:, -1]
    d = virtual_adversary(net, x, logits, xi=1e-4, iterations=60, generator=rng(2))
    assert abs(float(d[0] @ top)) == pytest.approx(1.0, abs=1e-5)
    assert float(d.norm()) == pytest.approx(1.0)


def test_the_virtual_adversarial_loss_rises_with_epsilon_and_beats_random_directions():
    net = build("small_conv", 1, 3, 8, 4, seed=0).train()
    x = torch.randn(16, 1, 8, 8, generator=rng())
    before = copy.deepcopy(dict(net.named_buffers()))
    logits = net(x)
    moved = {name: value.clone() for name, value in net.named_buffers()}
    losses = [vat_loss(net, x, logits, epsilon=e, generator=rng(1)) for e in (0.0, 0.5, 1.0, 2.0)]
    assert all(torch.equal(moved[name], value) for name, value in net.named_buffers())
    assert any(not torch.equal(before[name], moved[name]) for name in before)
    values = [loss.item() for loss in losses]
    assert values == sorted(values) and values[0] < 1e-6
    direction = torch.randn(x.shape, generator=rng(3))
    direction /= direction.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    random = kl_divergence(logits, net(x + direction)).item()
    assert values[2] > 2 * random
    losses[2].backward()
    assert all(p.grad is not None for p in net.parameters()) and not x.requires_grad


def test_an_example_without_slope_keeps_its_direction():
    net = nn.Linear(4, 2)
    nn.init.zeros_(net.weight)
    start = torch.randn(3, 4, generator=rng())
    d = virtual_adversary(net, torch.zeros(3, 4), net(torch.zeros(3, 4)), start=start)
    assert torch.allclose(d, start / start.norm(dim=1, keepdim=True))


def test_the_clean_pass_of_vat_has_a_gradient_only_for_the_entropy():
    x, y = torch.randn(4, 1, 8, 8, generator=rng()), torch.tensor([0, 1, 2, 0])
    for entropy, passes in ((0.0, 2), (0.06, 3)):
        net = build("small_conv", 1, 3, 8, 2).train()
        count = []
        net.register_forward_hook(lambda m, a, out, count=count: count.append(out.requires_grad))
        found = VirtualAdversary(0.3, 1.0, 0.1, entropy, rng()).losses(net, x, y, [x], 1.0)
        assert sum(count) == passes + 1  # the probe needs one too
        found.total.backward()
        if entropy == 0.0:
            expected = found.supervised + 0.3 * found.unsupervised
            assert found.total.item() == pytest.approx(expected.item())


def test_labels_alone_ask_for_no_unlabelled_batch():
    found = Method().losses(nn.Linear(2, 2), torch.zeros(3, 2), torch.tensor([0, 1, 0]), [], 1.0)
    assert found.unsupervised == 0 and found.total == found.supervised
