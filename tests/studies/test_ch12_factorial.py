"""Chapter 12, the factorial: what each arm learns from, and what hypotheses make of the runs."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmlib.measures.mixed_gradient import gradient_terms, half_squared
from mmlib.mixing import mix_at, soft_cross_entropy, soft_targets
from mmlib.models import build
from mmlib.studies.ch12 import factorial, followup, penalties
from mmlib.studies.ch12 import tables_factorial as tables
from mmlib.studies.ch12.arms import (
    ARMS,
    Arm,
    Batch,
    arms_of,
    backward,
    matched,
    split,
    without_statistics,
)
from mmlib.training import fit

LOSSES = {"ce": soft_cross_entropy, "squared": half_squared}


def batch_of(lam: float = 0.3, place: float = 0.0, n: int = 12, **changes) -> Batch:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(n, 1, 8, 8, generator=generator, dtype=torch.float64)
    y = soft_targets(torch.arange(n) % 4, 4).double()
    partner = torch.randperm(n, generator=generator)
    batch = Batch(x, y, partner, torch.tensor(lam), place, **matched(2.0, 4))
    return batch._replace(**changes)


def net(seed: int = 0) -> nn.Module:
    return build("small_conv", 1, 4, 8, 4, seed=seed).double().train()


def gradient(arm: Arm, batch: Batch, loss: str = "ce", model: nn.Module | None = None) -> Tensor:
    """All gradients of one batch end to end, zeros where there is none."""
    model = net() if model is None else model
    backward(model, arm, batch, LOSSES[loss])
    flat = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
    return torch.cat([one.flatten() for one in flat])


def halves(site: str) -> tuple[slice, slice]:
    """Where the gradients of the layers before and behind a site stand."""
    cut = sum(p.numel() for p in split(net(), site)[0].parameters())
    return slice(None, cut), slice(cut, None)


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-9, atol=1e-12)


def test_layers_are_cut_where_the_arm_says():
    model, x = net().eval(), batch_of().x
    for site in ("input", "block1", "block2", "block3"):
        front, back = split(model, site)
        assert torch.equal(back(front(x)), model(x))
    with pytest.raises(ValueError, match="site"):
        split(model, "block4")


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", ["input", "early", "deep", "last"])
def test_mixing_is_the_gradient_of_the_mixed_loss(name, loss):
    batch, model = batch_of(), net()
    out = mix_at(model, batch.x, ARMS[name].sites[0], 0.3, batch.partner)
    wanted = 0.3 * batch.y + 0.7 * batch.y[batch.partner]
    LOSSES[loss](out, wanted, reduction="mean").backward()
    expected = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert torch.allclose(gradient(ARMS[name], batch, loss), expected, atol=1e-7)
    assert not torch.allclose(gradient(ARMS["none"], batch, loss), expected, atol=1e-3)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("depth", ["last", "deep"])
def test_terms_add_up_to_mixing(depth, loss):
    batch, whole = batch_of(), ARMS[depth]
    front, back = halves(whole.sites[0])
    terms = {
        t: gradient(replace(whole, front=(t,)), batch, loss) for t in ("usual", "cross", "rest")
    }
    expected = gradient(whole, batch, loss)
    assert torch.allclose(sum(terms.values())[front], expected[front], atol=1e-6)
    for one in terms.values():
        assert close(one[back], expected[back])
    # The rest is zero for squared error and an affine head alone.
    size = terms["rest"][front].norm() / expected[front].norm()
    assert (size < 1e-6) == (depth == "last" and loss == "squared")
    no_cross = gradient(ARMS[f"no_cross_{depth}"], batch, loss)
    assert torch.allclose(no_cross[front], expected[front] - terms["cross"][front], atol=1e-6)


def test_terms_are_those_of_the_measure():
    batch = batch_of(lam=0.25)
    found = gradient_terms(net(), batch.x, batch.y, "block2", 0.25, batch.partner)
    front, _ = halves("block2")
    usual = found.features["usual_first"] + found.features["usual_second"]
    assert torch.allclose(gradient(ARMS["usual_deep"], batch)[front], usual, atol=1e-7)


def test_each_part_learns_from_its_loss():
    batch, front, back = batch_of(), *halves("block2")
    plain, mixed = gradient(ARMS["none"], batch), gradient(ARMS["deep"], batch)
    detached = gradient(ARMS["detached_deep"], batch)
    blocked = gradient(ARMS["head_blocked_deep"], batch)
    assert close(detached[front], plain[front]) and close(detached[back], mixed[back])
    assert close(blocked[front], mixed[front]) and close(blocked[back], plain[back])
    assert not close(plain[front], mixed[front]) and not close(plain[back], mixed[back])
    # At the input there is nothing before the mix.
    assert close(gradient(ARMS["detached"], batch), gradient(ARMS["input"], batch))
    assert close(gradient(ARMS["head_blocked"], batch), plain)


@pytest.mark.parametrize("place", [0.0, 0.4, 0.9])
def test_without_mixing_all_arms_are_plain_training(place):
    batch = batch_of(lam=1.0, place=place)
    plain = gradient(ARMS["none"], batch)
    for name, arm in ARMS.items():
        if arm.penalty or name in ("scaled", "smoothing") or name.startswith(("cross", "rest")):
            continue
        assert close(gradient(arm, batch), plain), name
    front, _ = halves("block2")
    for name in ("cross_deep", "rest_deep"):
        assert gradient(ARMS[name], batch)[front].abs().max() < 1e-9
    assert torch.allclose(gradient(ARMS["scaled"], batch), 0.6 * plain)


def test_targets_and_states_are_mixed_apart():
    batch, model = batch_of(place=0.9), net()
    out = model(batch.x)
    soft_cross_entropy(out, 0.3 * batch.y + 0.7 * batch.y[batch.partner]).backward()
    expected = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert torch.allclose(gradient(ARMS["targets"], batch), expected, atol=1e-7)
    # The example itself is the heavier part, so 0.3 and 0.7 are one.
    near = gradient(ARMS["features"], batch)
    assert torch.allclose(near, gradient(ARMS["features"], batch_of(0.7, 0.9)), atol=1e-7)
    deep = replace(ARMS["deep"], targets="own")
    assert torch.allclose(near, gradient(deep, batch_of(0.7, 0.9)), atol=1e-7)


def test_running_statistics_are_those_of_the_pass_that_trains_the_layer():
    batch = batch_of()

    def statistics(name: str) -> list[Tensor]:
        model = net()
        backward(model, ARMS[name], batch, soft_cross_entropy)
        return [m.running_var for m in model.modules() if isinstance(m, nn.BatchNorm2d)]

    plain, mixed = statistics("none"), statistics("deep")
    for name, expected in (
        ("detached_deep", mixed),
        ("no_cross_deep", mixed),
        ("head_blocked_deep", plain),
    ):
        assert all(close(a, b) for a, b in zip(statistics(name), expected, strict=True)), name
    assert not close(plain[2], mixed[2])
    model = net()
    with without_statistics(model):
        model(batch.x)
    norm = next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    assert norm.running_mean.abs().max() == 0 and norm.momentum == 0.1


def test_passes_are_counted_as_the_table_says():
    batch = batch_of(place=0.9)
    batch = batch._replace(x=batch.x.float(), y=batch.y.float())
    for name, arm in ARMS.items():
        model, calls = net().float(), {"block1": 0, "head.2": 0}
        kind = arm.penalty
        penalty = penalties.Penalty(kind, model, batch.x, 0.1, 4, 0) if kind else None
        for part in calls:

            def count(module, args, out, part=part):
                calls[part] += 1  # noqa: B023

            model.get_submodule(part).register_forward_hook(count)
        backward(model, arm, batch, soft_cross_entropy, penalty)
        assert tuple(calls.values()) == tables.passes(arm), name


# ------------------------------------------------------------------------------ training


def small(**changes) -> dict:
    settings = {"data": "digits", "model": "small_conv", "loss": "ce", "alpha": 2.0, "width": 4}
    settings |= {"n_train": 60, "n_test": 60, "n_look": 40, "epochs": 3, "batch": 20, "lr": 0.05}
    return settings | {"weight_decay": 1e-2, "arm": "none"} | changes


def weights(arm: Arm, **changes) -> dict[str, Tensor]:
    settings = small(**changes)
    data = factorial.subset(settings, 1)
    model = factorial.network(settings, data, 1)
    factorial.train(model, arm, settings, data, 1)
    return {name: value for name, value in model.state_dict().items() if "tracked" not in name}


def test_plain_training_is_that_of_the_library():
    settings = small()
    data = factorial.subset(settings, 1)
    model = factorial.network(settings, data, 1)

    class Draws:  # the same order, with the other draws made in between
        def __init__(self):
            self.generator = torch.Generator().manual_seed(1)

        def __call__(self, x, generator):
            torch.randperm(len(x), generator=generator)
            torch.rand(2, generator=generator, dtype=torch.float64)
            return x

    rng = torch.Generator().manual_seed(1)
    fit(
        model,
        data.x_train,
        data.y_train,
        epochs=3,
        batch_size=20,
        lr=0.05,
        weight_decay=1e-2,
        inputs=data.inputs,
        augment=Draws(),
        generator=rng,
    )
    found = weights(ARMS["none"])
    for name, value in found.items():
        assert torch.allclose(model.state_dict()[name], value, atol=1e-6), name


def test_runs_repeat_and_differ_by_arm_alone():
    first, again = (
        factorial.factorial(small(arm="deep"), 1),
        factorial.factorial(small(arm="deep"), 1),
    )
    assert first == again
    names = set(first[0])
    for arm in ("none", "no_cross_deep", "smooth", "decoded", "linear"):
        metrics, arrays = factorial.factorial(small(arm=arm), 1)
        assert set(metrics) == names and arrays == {}
        assert all(np.isfinite(list(metrics.values()))) and metrics != first[0]


def test_arms_of_a_seed_are_paired():
    """Any two arms that do the same at each step end with the same weights."""
    deep, alone = weights(ARMS["deep"]), weights(replace(ARMS["manifold"], sites=("block2",)))
    assert all(torch.equal(deep[name], alone[name]) for name in deep)
    terms = weights(replace(ARMS["deep"], front=("usual", "cross", "rest")), epochs=1)
    whole = weights(ARMS["deep"], epochs=1)
    plain = weights(ARMS["none"], epochs=1)
    gap = max(float((terms[name] - whole[name]).abs().max()) for name in terms)
    other = max(float((plain[name] - whole[name]).abs().max()) for name in terms)
    assert gap < 1e-3 < 0.05 < other


# ------------------------------------------------------------------------------ penalties


def test_penalties_start_at_their_share_and_by_hand():
    batch, model = batch_of(), net()
    for kind in penalties.PENALTIES:
        with torch.no_grad():
            x = batch.x.float()
            model32 = deepcopy(model).float()
            penalty = penalties.Penalty(kind, model32, x, 0.1, 4, 0)
            codes = penalties.representation(model32, x)
            value = float(penalty(model32, x, codes))
        # The noise is drawn anew.
        assert value == pytest.approx(0.1 * np.log(4), rel=0.2 if kind == "smooth" else 1e-5)
    with torch.no_grad():
        codes = penalties.representation(model, batch.x)
        moved = penalties.representation(model, batch.x + 1)
        found = penalties.change(model, batch.x, codes, torch.ones_like(batch.x))
    by_hand = ((moved - codes) ** 2).sum() / ((codes - codes.mean(0)) ** 2).sum()
    assert float(found) == pytest.approx(float(by_hand))
    with pytest.raises(ValueError, match="penalty"):
        penalties.Penalty("flat", model, batch.x, 0.1, 4, 0)


def test_penalties_do_what_they_say():
    """Each lowers its own quantity, against plain training of the same seed."""
    options = {"epochs": 12, "lr": 0.02, "n_train": 300, "n_test": 300, "n_look": 300}
    plain, _ = factorial.factorial(small(**options), 2)
    for arm, metric, sign in (
        ("smooth_strong", "noise_change", -1),
        ("linear_strong", "shift_bend", -1),
        ("decoded_strong", "readable", 1),
    ):
        found, _ = factorial.factorial(small(arm=arm, **options), 2)
        assert sign * (found[metric] - plain[metric]) > 0, arm


def test_readable_share():
    generator = torch.Generator().manual_seed(0)
    h, noise = (torch.randn(4000, 3, generator=generator) for _ in range(2))
    assert factorial.readable(h, h + noise, ridge=0.0) == pytest.approx(0.5, abs=0.03)
    assert factorial.readable(h, noise) == pytest.approx(0.0, abs=0.03)
    assert factorial.readable(10 * h + 3, 5 * h - 2, ridge=0.0) == pytest.approx(1.0)


def test_list_of_arms_is_checked():
    assert arms_of("arms", ["cross_deep"]) == ("none", "manifold", "cross_deep")
    for value, error in (("deep", TypeError), ([], ValueError), (["depe"], ValueError)):
        with pytest.raises(error, match="arm"):
            arms_of("arms", value)
    with pytest.raises(ValueError, match="different"):
        arms_of("arms", ["deep", "deep"])


# ------------------------------------------------------------------------------ follow-up


def test_noise_moves_states_as_far_as_a_mix_and_in_training_alone():
    model, x = net().float(), batch_of().x.float()
    plain = model(x).detach()
    with followup.noisy(model, 2.0, 0):
        outs = [model(x).detach() for _ in range(12)]
        assert torch.equal(model.eval()(x), model(x))
        model.train()
    assert min(float((out - plain).abs().max()) for out in outs) > 1e-3
    assert torch.allclose(model(x), plain)  # the hooks are gone
    z, other = torch.randn(2, 5, 3, 4, 4)
    step = followup.moved(z, other, 0.3, torch.randn(5, 3, 4, 4)) - z
    assert torch.allclose(step.flatten(1).norm(dim=1), 0.3 * (other - z).flatten(1).norm(dim=1))


def test_followup_repeats_and_shares_its_start_with_the_factorial():
    runs = {arm: followup.followup(small(arm=arm), 1)[0] for arm in followup.FOLLOWUP}
    for arm in ("none", "features"):
        assert runs[arm] == factorial.factorial(small(arm=arm), 1)[0]
    assert runs["noise"] == followup.followup(small(arm="noise"), 1)[0] != runs["none"]
    assert len({run["nll"] for run in runs.values()}) == len(runs)
