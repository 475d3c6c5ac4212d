"""The mixing step against a slow reference, and what it refuses."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmlib.mixing import (
    AcrossHalves,
    Draw,
    Mixup,
    OptimalPairing,
    Permutation,
    WithinHalves,
    capture,
    mixed_accuracy,
    resume,
    soft_cross_entropy,
    soft_targets,
)


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)
    ).double()


def batch(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = gen(seed)
    return torch.randn(n, 3, generator=g, dtype=torch.float64), torch.randint(3, (n,), generator=g)


def reference(model, x, y, draw, x2=None, y2=None):
    """Mix example by example: g_k at lam * h_k(x_i) + (1 - lam) * h_k(x_j)."""
    x2, y2 = (x, y) if x2 is None else (x2, y2)
    logits, targets = [], []
    for i in range(len(x)):
        lam = float(draw.lam if draw.lam.ndim == 0 else draw.lam[i])
        layer = draw.layer if isinstance(draw.layer, str) else draw.layer[i]
        j = int(draw.partner[i])
        mine, theirs = capture(model, x[i : i + 1], layer), capture(model, x2[j : j + 1], layer)
        mix = lam * mine + (1 - lam) * theirs
        logits.append(resume(model, x[i : i + 1], layer, mix))
        one_hot = torch.eye(3, dtype=torch.float64)
        targets.append(lam * one_hot[y[i]] + (1 - lam) * one_hot[y2[j]])
    return torch.cat(logits), torch.stack(targets)


@pytest.mark.parametrize("per_example", [False, "lam", "layer", True])
@pytest.mark.parametrize("pairing", [Permutation(), OptimalPairing(2), OptimalPairing(3)])
@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_equals_the_definition(per_example, pairing, second, n):
    model, (x, y), (x2, y2) = net(), batch(n), batch(n, 1)
    other = (x2, y2) if second else None
    mixup = Mixup(
        2.0, ("input", "0", "3"), per_example=per_example, pairing=pairing, generator=gen(n)
    )
    for _ in range(4):
        mixed = mixup(model, x, y, other=other)
        logits, targets = reference(model, x, y, mixed.draw, *(other or ()))
        torch.testing.assert_close(mixed.logits, logits)
        torch.testing.assert_close(mixed.targets, targets)
        if not second:
            assert sorted(mixed.partner.tolist()) == list(range(n))


def test_gradients_are_those_of_the_definition():
    model, (x, y) = net(), batch(6)
    mixed = Mixup(1.0, ("1",), generator=gen())(model, x, y)
    soft_cross_entropy(mixed.logits, mixed.targets).backward()
    got = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    soft_cross_entropy(*reference(model, x, y, mixed.draw)).backward()
    for a, p in zip(got, model.parameters(), strict=True):
        torch.testing.assert_close(a, p.grad)


def test_input_layer_is_input_mixup_bit_for_bit():
    model, (x, y) = net(), batch(8)
    mixed = Mixup(1.0, generator=gen())(model, x, y)
    by_hand = model(torch.lerp(x, x[mixed.partner], 1 - mixed.draw.lam))
    assert torch.equal(mixed.logits, by_hand)


def test_detach_blocks_earlier_layers_only():
    model, (x, y) = net(), batch(6)
    mixed = Mixup(1.0, ("1",), detach=True, generator=gen())(model, x, y)
    soft_cross_entropy(mixed.logits, mixed.targets).backward()
    assert [p.grad is None for p in model.parameters()] == [True, True, False, False, False, False]
    model.zero_grad()
    other = batch(6, 1)
    mixed = Mixup(1.0, ("1",), detach=True, generator=gen())(model, x, y, other=other)
    soft_cross_entropy(mixed.logits, mixed.targets).backward()
    assert model[0].weight.grad is None and model[2].weight.grad is not None


def test_the_example_itself_has_weight_lam():
    model = nn.Sequential(nn.Identity())
    x, y = torch.eye(2), torch.tensor([0, 1])
    draw = Draw(2, "0", torch.tensor(0.75).double(), torch.tensor([1, 0]))
    mixed = Mixup(layers=("0",)).apply(model, x, y, draw)
    assert mixed.logits.tolist() == mixed.targets.tolist() == [[0.75, 0.25], [0.25, 0.75]]


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_soft_targets_of_any_float_type(kind):
    model, x = net().float(), batch(4)[0].float()
    y = torch.softmax(torch.randn(4, 3, generator=gen()), -1).to(kind)
    mixed = Mixup(generator=gen())(model, x, y)
    assert mixed.targets.dtype == (torch.float64 if kind == torch.float64 else torch.float32)
    torch.testing.assert_close(mixed.targets.sum(-1).float(), torch.ones(4), atol=1e-2, rtol=0)
    whole = Mixup(generator=gen())(net(), x.double(), y)
    assert whole.targets.dtype == torch.float64  # a float64 model keeps its precision


def test_batch_of_one_is_the_identity():
    model, (x, y) = net(), batch(1)
    for layers in (("input",), ("1",)):
        for pairing in (Permutation(), OptimalPairing(4)):
            mixed = Mixup(layers=layers, pairing=pairing, generator=gen())(model, x, y)
            assert torch.equal(mixed.logits, model(x))
            assert torch.equal(mixed.targets, soft_targets(y, 3))


def test_user_tensors_stay_as_they_are():
    model, (x, y) = net(), batch(5)
    before = x.clone(), y.clone()
    Mixup(layers=("input", "0"), generator=gen(3))(model, x, y)
    assert torch.equal(x, before[0]) and torch.equal(y, before[1])


def test_equal_seeds_agree_and_other_seeds_differ():
    model, (x, y) = net(), batch(9)
    runs = [Mixup(2.0, ("input", "0", "1"), generator=gen(s))(model, x, y) for s in (1, 1, 2)]
    assert torch.equal(runs[0].logits, runs[1].logits)
    assert not torch.equal(runs[0].logits, runs[2].logits)


def test_own_generator_leaves_the_global_one_alone():
    model, (x, y) = net(), batch(6)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    mixup = Mixup(0.3, ("input", "1"), pairing=OptimalPairing(2), per_example=True, generator=gen())
    mixup(model, x, y)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(0)
    first = Mixup(layers=("1",))(model, x, y).lam
    torch.manual_seed(0)
    assert torch.equal(first, Mixup(layers=("1",))(model, x, y).lam)


def test_draws_are_paired_across_settings():
    settings = ((1.0, ("a",)), (2.0, ("b", "c")))
    draws = [Mixup(alpha, layers, generator=gen(5)).draw(10) for alpha, layers in settings]
    assert torch.equal(draws[0].partner, draws[1].partner)
    assert (draws[0].lam - 0.5).sign() == (draws[1].lam - 0.5).sign()


def test_a_draw_can_be_repeated():
    model, (x, y) = net(), batch(8)
    mixup = Mixup(layers=("0", "1"), pairing=OptimalPairing(3), generator=gen())
    mixed = mixup(model, x, y)
    again = mixup.apply(model, x, y, mixed.draw)
    assert torch.equal(mixed.logits, again.logits)
    assert mixed.k == again.k == 3
    moved = dataclasses.replace(mixed.draw, partner=torch.arange(8))
    assert torch.equal(mixup.apply(model, x, y, moved).logits, model(x))


def test_layers_are_drawn_uniformly_and_repeats_count_twice():
    mixup = Mixup(layers=("a", "b", "b"), generator=gen())
    names = [mixup.draw(2).layer for _ in range(3000)]
    assert abs(names.count("b") / 3000 - 2 / 3) < 0.04


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 99), st.booleans())
def test_any_batch_and_any_k(n, k, seed, per_example):
    model, (x, y) = net(), batch(n, seed)
    for sets in ("disjoint", "batch"):
        pairing = OptimalPairing(k, sets=sets)
        mixup = Mixup(
            layers=("0", "1"), pairing=pairing, per_example=per_example, generator=gen(seed)
        )
        mixed = mixup(model, x, y)
        assert sorted(mixed.partner.tolist()) == list(range(n))
        if sets == "disjoint" and n > 1 and not per_example:
            assert not (mixed.partner == torch.arange(n)).any()


def test_layer_per_example_pairs_examples_of_one_layer():
    mixup = Mixup(layers=("input", "0"), per_example=("layer",), generator=gen())
    draw = mixup.draw(50)
    assert all(draw.layer[i] == draw.layer[int(draw.partner[i])] for i in range(50))
    assert draw.lam.ndim == 0 and len(set(draw.layer)) == 2


@pytest.mark.parametrize("pairing", [AcrossHalves(), WithinHalves()])
def test_halves(pairing):
    model, (x, y) = net(), batch(10)
    mixed = Mixup(pairing=pairing, per_example=("lam",), generator=gen())(model, x, y)
    crosses = (mixed.partner < 5) != (torch.arange(10) < 5)
    assert crosses.all() if isinstance(pairing, AcrossHalves) else not crosses.any()
    with pytest.raises(ValueError, match="two equal halves, but got 9"):
        Mixup(pairing=pairing)(model, *batch(9))
    with pytest.raises(ValueError, match="second batch"):
        Mixup(pairing=pairing)(model, x, y, other=batch(10, 1))
    with pytest.raises(ValueError, match="one layer for the whole batch"):
        Mixup(pairing=pairing, per_example=True)


def test_mixed_accuracy_by_hand():
    model, (x, y) = net(), batch(20)
    mixed = Mixup(layers=("1",), per_example=("lam",), generator=gen())(model, x, y)
    guess = mixed.logits.argmax(-1)
    expected = sum(
        float(mixed.lam[i]) * (guess[i] == y[i]).item()
        + (1 - float(mixed.lam[i])) * (guess[i] == y[mixed.partner[i]]).item()
        for i in range(20)
    )
    assert mixed_accuracy(mixed, y).item() == pytest.approx(expected / 20, abs=1e-6)
    soft = soft_targets(y, 3)
    assert torch.equal(mixed_accuracy(mixed, y), mixed_accuracy(mixed, soft))
    with pytest.raises(ValueError, match="other"):
        mixed_accuracy(mixed, y, y)


def test_repr_copy_and_pickle():
    mixup = Mixup(2.0, ("input", "0"), pairing=OptimalPairing(4), detach=True, generator=gen(3))
    mixup(net(), *batch(4))
    assert "Beta(2, 2)" in repr(mixup) and "OptimalPairing(k=4" in repr(mixup)
    twins = [copy.deepcopy(mixup), pickle.loads(pickle.dumps(mixup))]
    lams = [m.draw(4).lam for m in (mixup, *twins)]
    assert lams[0] == lams[1] == lams[2]
    twins[0](net(), *batch(4))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"alpha": 0}, ValueError, "alpha: expected a finite number > 0, but got 0"),
        ({"alpha": -1}, ValueError, "alpha"),
        ({"alpha": float("nan")}, ValueError, "alpha"),
        ({"alpha": "1"}, TypeError, "alpha"),
        ({"law": "uniform", "alpha": 2}, ValueError, "alpha.*uniform"),
        ({"law": "betta"}, ValueError, "did you mean 'beta'"),
        ({"law": "fixed"}, ValueError, "lam"),
        ({"lam": 1.5}, ValueError, "lam"),
        ({"law": "uniform", "lam": 0.5}, ValueError, "lam"),
        ({"fold": "mean"}, ValueError, "fold"),
        ({"layers": "input"}, TypeError, "layers"),
        ({"layers": ()}, ValueError, "layers"),
        ({"layers": (1,)}, ValueError, "layers"),
        ({"per_example": "lambda"}, ValueError, "per_example"),
        ({"pairing": "optimal"}, TypeError, "pairing"),
        ({"detach": 1}, TypeError, "detach"),
        ({"num_classes": 0}, ValueError, "num_classes"),
        ({"generator": 0}, TypeError, "generator"),
        ({"batch_dim": {"layer1": 1}}, ValueError, "batch_dim"),
        ({"batch_dim": 0.5}, TypeError, "batch_dim"),
        ({"select": {"layer1": 1}}, ValueError, "select"),
        ({"layers": ("0",), "select": 1.5}, TypeError, "select"),
    ],
)
def test_settings_are_checked_at_construction(arguments, error, message):
    with pytest.raises(error, match=message):
        Mixup(**arguments)


@pytest.mark.parametrize("k", [0, -3])
def test_k_below_one(k):
    with pytest.raises(ValueError, match=f"k: expected an integer >= 1, but got {k}"):
        OptimalPairing(k)


def test_calls_are_checked():
    model, (x, y) = net(), batch(4)
    mixup = Mixup(layers=("0",), generator=gen())
    with pytest.raises(ValueError, match="did you mean"):
        Mixup(layers=("input", "00"))(model, x, y)
    with pytest.raises(TypeError, match="torch.nn.Module"):
        mixup(lambda v: v, x, y)
    with pytest.raises(TypeError, match="tensor of targets"):
        mixup(model, x, [0, 1, 2, 0])
    with pytest.raises(TypeError, match=r"y\.long"):
        mixup(model, x, y.double())
    with pytest.raises(TypeError, match="bool"):
        mixup(model, x, y.bool())
    with pytest.raises(ValueError, match="expected 3 examples along"):
        mixup(model, x, y[:3])
    with pytest.raises(ValueError, match=r"class indices in \[0, 3\).*to 7"):
        mixup(model, x, torch.tensor([0, 1, 2, 7]))
    with pytest.raises(ValueError, match="model returns"):
        mixup(model, x, torch.rand(4, 5))
    with pytest.raises(ValueError, match="at least one example"):
        mixup(model, x[:0], y[:0])
    with pytest.raises(ValueError, match="other: expected 4 examples, but got 3"):
        mixup(model, x, y, other=batch(3))
    with pytest.raises(TypeError, match="other: expected a second batch"):
        mixup(model, x, y, other=x)
    with pytest.raises(ValueError, match="features like"):
        mixup(model, x, y, other=(batch(5)[0], y))
    with pytest.raises(ValueError, match="other: expected targets like"):
        mixup(model, x, torch.rand(4, 3), other=(x, torch.rand(4, 2)))
    assert mixup(model, x, y, other=(x, torch.rand(4, 3))).targets.dtype == torch.float64
    with pytest.raises(ValueError, match="y: expected 5 examples"):
        mixup.apply(model, x, y, mixup.draw(5))
    with pytest.raises(ValueError, match="second batch"):
        mixup.apply(model, x, y, mixup.draw(4, other=True))
    with pytest.raises(TypeError, match="floating"):
        Mixup()(nn.Sequential(nn.Embedding(5, 3)), torch.tensor([1, 2]), torch.tensor([0, 1]))
    assert not any(m._forward_hooks for m in model.modules())


def test_eval_mode_is_refused():
    model, (x, y) = net().eval(), batch(4)
    with pytest.raises(RuntimeError, match="mix_at"):
        Mixup()(model, x, y)
