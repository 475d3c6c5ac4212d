from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mmlib.measures import evaluate, predict
from mmlib.mixing import Mixup, bce_on_softmax, mse, soft_cross_entropy
from mmlib.models import build
from mmlib.training import CropFlip, fit, learning_rate


def rng(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def problem(n=23, dtype=torch.float64):
    x = torch.randn(n, 3, generator=rng(), dtype=dtype)
    return x, (x[:, 0] + 0.5 * x[:, 1] > 0).long()


def linear(dtype=torch.float64) -> nn.Linear:
    net = nn.Linear(3, 2).to(dtype)
    with torch.no_grad():
        net.weight.copy_(torch.arange(6).view(2, 3) / 10)
        net.bias.zero_()
    return net


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
def test_updates_equal_those_written_out(nesterov, schedule):
    x, y = problem()
    net = linear()
    options = dict(lr=0.3, momentum=0.8, weight_decay=0.01)
    history = fit(
        net, x, y, epochs=3, batch_size=5, nesterov=nesterov, schedule=schedule,
        generator=rng(7), **options,
    )  # fmt: skip
    w = torch.cat([linear().weight, linear().bias[:, None]], 1).detach()
    ones = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
    order, velocity, step, losses = rng(7), None, 0, []
    total = 3 * 5
    for _ in range(3):
        loss_sum = 0.0
        permutation = torch.randperm(23, generator=order)
        for start in range(0, 23, 5):
            rows = permutation[start : start + 5]
            p = (ones[rows] @ w.T).softmax(1)
            t = nn.functional.one_hot(y[rows], 2).double()
            loss_sum += float(-(t * p.log()).sum())
            g = (p - t).T @ ones[rows] / len(rows) + 0.01 * w
            velocity = g if velocity is None else 0.8 * velocity + g
            lr = {
                "cosine": 0.15 * (1 + math.cos(math.pi * step / total)),
                "step": 0.3 * (1 if step < 7.5 else 0.1 if step < 11.25 else 0.01),
                "constant": 0.3,
            }[schedule]
            w = w - lr * (g + 0.8 * velocity if nesterov else velocity)
            step += 1
        losses.append(loss_sum / 23)
    assert history.steps == total
    assert torch.allclose(net.weight, w[:, :3], atol=1e-12)
    assert torch.allclose(net.bias, w[:, 3], atol=1e-12)
    assert history.column("train_loss") == pytest.approx(losses, abs=1e-12)
    assert history.last["lr"] == pytest.approx(lr)


def test_learning_rate_ends():
    rates = [learning_rate(s, 10, lr=1.0) for s in range(10)]
    assert rates[0] == 1.0 and rates == sorted(rates, reverse=True) and rates[-1] > 0
    rates = [learning_rate(s, 8, lr=1.0, schedule="step", milestones=(0.5,)) for s in range(8)]
    assert rates == [1.0] * 4 + [0.1] * 4


def train(seed=0, mix_seed=None, epochs=2, **options):
    rows = torch.Generator().manual_seed(5)
    x = torch.randint(256, (30, 1, 8, 8), generator=rows).byte()
    y = torch.randint(10, (30,), generator=rows)
    net = build("small_conv", image_size=8, width=2, seed=1)
    if mix_seed is not None:
        options["mixup"] = Mixup(1.0, ("input", "block1"), generator=rng(mix_seed))
    history = fit(
        net, x, y, epochs=epochs, batch_size=8, inputs=lambda b: b.float() / 255,
        augment=CropFlip(1), generator=rng(seed), **options,
    )  # fmt: skip
    return torch.cat([p.flatten() for p in net.state_dict().values()]), history


@pytest.mark.parametrize("mix_seed", [None, 3])
def test_equal_generators_give_equal_weights_bit_for_bit(mix_seed):
    torch.manual_seed(0)
    one, first = train(mix_seed=mix_seed)
    torch.manual_seed(1)
    two, second = train(mix_seed=mix_seed)
    assert torch.equal(one, two)
    assert first.column("train_loss") == second.column("train_loss")
    assert not torch.equal(one, train(seed=9, mix_seed=mix_seed)[0])
    if mix_seed is not None:
        assert not torch.equal(one, train(mix_seed=4)[0])


def test_mixing_with_lambda_one_is_plain_training():
    x, y = problem()
    nets = [linear(), linear()]
    mixup = Mixup(1.0, lam=1.0, generator=rng())
    for net, mix in zip(nets, (None, mixup), strict=True):
        fit(net, x, y, mixup=mix, epochs=2, batch_size=4, generator=rng(2))
    assert torch.allclose(nets[0].weight, nets[1].weight, atol=1e-12)


@pytest.mark.parametrize("loss", [soft_cross_entropy, bce_on_softmax, mse])
def test_every_loss_learns_hard_and_soft_targets(loss):
    x, y = problem(200)
    for targets in (y, nn.functional.one_hot(y, 2).double()):
        net = linear()
        fit(net, x, targets, loss=loss, epochs=10, batch_size=20, generator=rng())
        assert evaluate(net, x, y)["accuracy"] > 0.9


def test_nothing_is_left_out_of_an_epoch():
    seen = []

    class Watch(nn.Linear):
        def forward(self, x):
            seen.extend(x[:, 0].tolist())
            return super().forward(x)

    x = torch.arange(7.0)[:, None]
    fit(Watch(1, 2), x, torch.zeros(7).long(), epochs=2, batch_size=3, lr=0.01, generator=rng())
    assert sorted(seen[:7]) == sorted(seen[7:]) == list(range(7))
    assert seen[:7] != seen[7:]


def test_evaluation_is_recorded_and_does_not_disturb():
    x, y = problem()
    net = nn.Sequential(linear(), nn.Dropout(0.5))
    modes = []

    def look(model):
        modes.append(model.training)
        return {"seen": evaluate(model, x, y)["nll"]}

    torch.manual_seed(0)
    history = fit(
        net, x, y, epochs=5, batch_size=23, evaluate=look, evaluate_every=2, generator=rng()
    )
    assert [row["epoch"] for row in history.epochs if "seen" in row] == [2, 4, 5]
    assert len(history.column("seen")) == 3 and history.last["epoch"] == 5
    other = nn.Sequential(linear(), nn.Dropout(0.5))
    torch.manual_seed(0)
    fit(other, x, y, epochs=5, batch_size=23, generator=rng())
    assert torch.equal(net[0].weight, other[0].weight)
    assert net.training


def test_divergence_names_the_step():
    x, y = problem()
    x = x.clone()
    x[11] = torch.nan
    order = torch.randperm(23, generator=rng(4)).tolist()
    step = order.index(11) // 5 + 1
    with pytest.raises(FloatingPointError, match=rf"loss is nan at step {step} \(epoch 1\)"):
        fit(linear(), x, y, epochs=2, batch_size=5, generator=rng(4))
    with pytest.raises(FloatingPointError, match="learning rate"):
        fit(
            linear(torch.float32),
            *problem(dtype=torch.float32),
            lr=1e38,
            epochs=5,
            batch_size=5,
            generator=rng(),
        )


def test_autocast():
    x, y = problem(60, torch.float32)
    net = linear(torch.float32)
    fit(net, x, y, epochs=10, batch_size=10, autocast=torch.bfloat16, generator=rng())
    assert net.weight.dtype == torch.float32
    assert (predict(net, x).argmax(1) == y).float().mean() > 0.9


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (dict(epochs=0), ValueError, "epochs"),
        (dict(batch_size=2.0), TypeError, "batch_size"),
        (dict(lr=0), ValueError, "lr"),
        (dict(lr=math.nan), ValueError, "lr"),
        (dict(momentum=1.0), ValueError, "momentum"),
        (dict(weight_decay=-1), ValueError, "weight_decay"),
        (dict(schedule="cosin"), ValueError, "did you mean 'cosine'"),
        (dict(nesterov="true"), TypeError, "nesterov"),
        (dict(evaluate_every=0), ValueError, "evaluate_every"),
    ],
)
def test_settings_are_checked(options, error, message):
    with pytest.raises(error, match=message):
        fit(linear(), *problem(), **{"batch_size": 5} | options)


def test_data_are_checked():
    x, y = problem()
    with pytest.raises(ValueError, match="equally many examples, but got 23 and 22"):
        fit(linear(), x, y[1:])
    with pytest.raises(ValueError, match="0 and 0"):
        fit(linear(), x[:0], y[:0])
    with pytest.raises(ValueError, match="batch_size: expected at most .* 23, but got 24"):
        fit(linear(), x, y, batch_size=24)
    with pytest.raises(TypeError, match="uint8 images need inputs"):
        fit(linear(), torch.zeros(4, 3).byte(), y[:4], batch_size=4)
    with pytest.raises(ValueError, match="targets"):
        fit(linear(), x, torch.zeros(23, 5).double(), batch_size=23)


def test_momentum_zero_needs_no_nesterov():
    assert fit(linear(), *problem(), momentum=0.0, batch_size=23, generator=rng()).steps == 1


def test_out_of_memory_names_a_batch_that_fits():
    class Small(nn.Linear):
        def forward(self, x):
            if len(x) > 6:
                raise torch.OutOfMemoryError("the device is full")
            return super().forward(x)

    with pytest.raises(MemoryError, match="a batch of 20 does not fit .* one of 5 does"):
        fit(Small(3, 2).double(), *problem(), batch_size=20, generator=rng())


def test_perturb_sees_the_prepared_batch_and_replaces_it():
    x, y = problem()
    seen = []

    def double(model, batch, classes):
        seen.append((model.training, len(batch), len(classes)))
        return 2 * batch

    one, two = linear(), linear()
    fit(one, x, y, batch_size=10, perturb=double, generator=rng())
    fit(two, 2 * x, y, batch_size=10, generator=rng())
    assert torch.equal(one.weight, two.weight)
    assert seen == [(True, 10, 10), (True, 10, 10), (True, 3, 3)]


def test_a_compiled_run_mixes_as_an_eager_one():
    def weights(compiled):
        net = build("mlp", image_size=3, num_classes=2, width=8, seed=0)
        x = torch.randn(40, 1, 3, 3, generator=rng())
        mixup = Mixup(1.0, ("input", "layer1"), generator=rng(1))
        y = (x.sum((1, 2, 3)) > 0).long()
        options = dict(epochs=2, batch_size=10, evaluate=lambda m: evaluate(m, x, y))
        history = fit(net, x, y, mixup=mixup, compile=compiled, generator=rng(), **options)
        return torch.cat([p.detach().flatten() for p in net.parameters()]), history

    eager, first = weights(False)
    compiled, second = weights(True)
    assert torch.allclose(eager, compiled, atol=1e-5)
    assert first.column("train_loss") == pytest.approx(second.column("train_loss"), abs=1e-5)
    assert first.column("nll") == pytest.approx(second.column("nll"), abs=1e-4)
