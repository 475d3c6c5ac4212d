"""Properties of mixing and pairing on generated cases, and planted faults that each must see.

A property is a function of what it judges (a class of `mmlib.mixing`, or a faulty one) and of a
case that hypothesis makes. The same function runs on the library, where it must hold, and on each
fault, where it must fail: a property that cannot fail says nothing.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import nn

from mmlib.mixing import (
    Law,
    Mixup,
    OptimalPairing,
    Permutation,
    capture,
    eligible_sites,
    resume,
    soft_cross_entropy,
)

# Equal cases in every run, so that a change that breaks nothing never turns the tests red.
FIXED = dict(derandomize=True, database=None, deadline=None)

sizes = st.integers(1, 9)
seeds = st.integers(0, 10**6)
kinds = st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.float16])
sets = st.sampled_from(["disjoint", "batch"])
costs = st.sampled_from(["sqeuclidean", "euclidean"])
per_example = st.sampled_from([(), ("lam",), ("layer",), ("lam", "layer")])
pairings = st.one_of(
    st.just(Permutation()), st.builds(OptimalPairing, st.integers(1, 6), sets=sets)
)
shapes = st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple)


def holds(prop, subject, *strategies, examples: int = 60, phases=tuple(Phase)) -> None:
    """Run a property on generated cases."""

    @settings(max_examples=examples, phases=phases, report_multiple_bugs=False, **FIXED)
    @given(st.tuples(*strategies))
    def run(case):
        prop(subject, *case)

    run()


def gen(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=gen(seed), dtype=torch.float64)


class Squash(nn.Module):
    """Twice the tanh: what is mixed at "input" and at "squash" differs."""

    def __init__(self) -> None:
        super().__init__()
        self.squash = nn.Tanh()

    def forward(self, x):
        return 2 * self.squash(x)


def by_hand(x, y, draw):
    """Return logits and targets of `Squash`, example by example, in float64."""
    x, y = x.double(), y.double()
    for i in range(len(x)):
        lam = float(draw.lam if draw.lam.ndim == 0 else draw.lam[i])
        layer = draw.layer if isinstance(draw.layer, str) else draw.layer[i]
        j = int(draw.partner[i])
        if layer == "input":
            logits = 2 * torch.tanh(lam * x[i] + (1 - lam) * x[j])
        else:
            logits = 2 * (lam * torch.tanh(x[i]) + (1 - lam) * torch.tanh(x[j]))
        yield logits, lam * y[i] + (1 - lam) * y[j]


# ------------------------------------------------------------------ properties of a mixing step


def arithmetic(subject, n, shape, kind, each, pairing, seed):
    """Logits and targets are the convex mixes that the draw describes; lambda is in [0, 1]."""
    x = normal(n, *shape, seed=seed).to(kind)
    y = torch.rand(n, *shape, generator=gen(seed), dtype=torch.float64)
    step = subject(2.0, ("input", "squash"), per_example=each, pairing=pairing, generator=gen(seed))
    mixed = step(Squash().train(), x, y)
    assert mixed.logits.dtype == kind and mixed.logits.shape == x.shape
    assert mixed.lam.shape == ((n,) if "lam" in each else ())
    assert 0 <= mixed.lam.min() <= mixed.lam.max() <= 1
    assert sorted(mixed.partner.tolist()) == list(range(n))
    logits, targets = zip(*by_hand(x, y, mixed.draw), strict=True)
    torch.testing.assert_close(mixed.targets, torch.stack(targets), rtol=0, atol=1e-12)
    close = 16 * torch.finfo(kind).eps
    torch.testing.assert_close(mixed.logits.double(), torch.stack(logits), rtol=close, atol=close)


def rows_sum_to_one(subject, n, classes, each, pairing, seed):
    """Mixed class indices are distributions, with at most two classes in each row."""
    x, y = normal(n, classes, seed=seed), torch.randint(classes, (n,), generator=gen(seed))
    mixed = subject(0.5, per_example=each, pairing=pairing, generator=gen(seed))(Squash(), x, y)
    assert mixed.targets.min() >= 0 and ((mixed.targets > 0).sum(1) <= 2).all()
    torch.testing.assert_close(mixed.targets.sum(1), torch.ones_like(mixed.targets[:, 0]))


def equivariant(subject, n, each, seed):
    """Another order of the examples gives the same step in that order."""
    x, y = normal(n, 3, seed=seed), torch.rand(n, 3, generator=gen(seed), dtype=torch.float64)
    step = subject(1.0, ("input", "squash"), per_example=each, generator=gen(seed))
    first = step(Squash(), x, y)
    order = torch.randperm(n, generator=gen(seed + 1))
    draw = dataclasses.replace(
        first.draw,
        lam=first.draw.lam[order] if first.draw.lam.ndim else first.draw.lam,
        layer=tuple(first.layer[i] for i in order) if "layer" in each else first.layer,
        partner=order.argsort()[first.partner[order]],
    )
    again = step.apply(Squash(), x[order], y[order], draw)
    torch.testing.assert_close(again.logits, first.logits[order], rtol=0, atol=1e-12)
    torch.testing.assert_close(again.targets, first.targets[order], rtol=0, atol=1e-12)


def layers_keep_together(subject, n, lam, seed):
    """With a layer per example, partners share the layer, so each mix is of two clean states."""
    each = ("lam", "layer") if lam else ("layer",)
    draw = subject(1.0, ("input", "squash"), per_example=each, generator=gen(seed)).draw(n)
    assert all(draw.layer[i] == draw.layer[j] for i, j in enumerate(draw.partner.tolist()))


def gradients(subject, n, detach, seed):
    """The gradient at the inputs is that of the mix, or none where it is blocked."""
    x = normal(n, 3, seed=seed).requires_grad_()
    y = torch.rand(n, 3, generator=gen(seed), dtype=torch.float64)
    mixed = subject(1.0, ("squash",), detach=detach, generator=gen(seed))(Squash(), x, y)
    assert mixed.logits.requires_grad is not detach
    if not detach:
        (slope,) = torch.autograd.grad((mixed.logits * y).sum(), x)
        weight = mixed.lam * y + (1 - mixed.lam) * y[mixed.partner.argsort()]
        own = 2 * (1 - torch.tanh(x.detach()) ** 2)
        torch.testing.assert_close(slope, own * weight, rtol=0, atol=1e-12)


def repeatable(subject, n, alphas, each, pairing, seed):
    """Equal seeds give equal draws, whatever was drawn before; alpha leaves the pairs alone."""
    draws = []
    for alpha in (alphas[0], *alphas):
        torch.rand(1)
        options = dict(per_example=each, pairing=pairing, generator=gen(seed))
        draws.append(subject(alpha, ("input", "squash"), **options).draw(n))
    first, again, other = draws
    assert torch.equal(first.lam, again.lam)
    for one in (again, other):
        assert one.layer == first.layer and one.orders.keys() == first.orders.keys()
        assert all(torch.equal(one.orders[name], first.orders[name]) for name in first.orders)
        assert (first.partner is one.partner is None) or torch.equal(first.partner, one.partner)


def refuses_eval(subject, n, layer, seed):
    """A model in eval mode is never mixed."""
    x = normal(n, 2, seed=seed)
    with pytest.raises(RuntimeError, match="eval mode"):
        subject(1.0, (layer,), generator=gen(seed))(Squash().eval(), x, x.abs())


def sites_in_order(subject, depth, n, seed):
    """Sites come in the order of the model, "input" first; at each f(x) = g(h(x)) exactly."""
    net = nn.Sequential(*(nn.Linear(2, 2, dtype=torch.float64) for _ in range(depth)))
    x = normal(n, 2, seed=seed)
    assert subject(net, x) == ("input", *map(str, range(depth)))
    for site in subject(net):
        torch.testing.assert_close(resume(net, 0 * x, site, capture(net, x, site)), net(x))


# ------------------------------------------------------------------------- properties of a law


def law_of_lambda(subject, alpha, fold, seed):
    """Quantiles lie in [0, 1], grow (or fold), and are symmetric about 1 / 2."""
    u = torch.rand(20, generator=gen(seed), dtype=torch.float64).sort().values
    lam = subject("beta", alpha=alpha, fold=fold).quantile(u)
    assert 0 <= lam.min() and lam.max() <= 1
    mirrored = subject("beta", alpha=alpha, fold=fold).quantile(1 - u)
    if fold is None:
        assert (lam.diff() >= 0).all()
        torch.testing.assert_close(mirrored, 1 - lam, rtol=0, atol=1e-8)
    else:
        torch.testing.assert_close(mirrored, lam, rtol=0, atol=1e-8)
        assert (lam <= 0.5).all() if fold == "min" else (lam >= 0.5).all()


def linear_in_targets(subject, n, classes, lam, seed):
    """The loss against mixed targets is the mix of the losses."""
    logits = normal(n, classes, seed=seed)
    one, two = (normal(n, classes, seed=seed + i).softmax(1) for i in (1, 2))
    mix = subject(logits, lam * one + (1 - lam) * two)
    apart = lam * subject(logits, one) + (1 - lam) * subject(logits, two)
    torch.testing.assert_close(mix, apart)


# -------------------------------------------------------------------- properties of a pairing


def matched(pairing, order, x) -> torch.Tensor:
    partner = torch.full((order.shape[1],), -1)
    partner[order[0]] = pairing.match(order, x)
    return partner


def cheapest(subject, n, k, dim, cost, way, seed):
    """The pairs are a permutation, and in each set no assignment is cheaper (k! are compared)."""
    x, pairing = normal(n, dim, seed=seed), subject(k, cost=cost, sets=way)
    order = pairing.draw(n, gen(seed))
    partner = matched(pairing, order, x).tolist()
    assert sorted(partner) == list(range(n))
    assert way == "batch" or n == 1 or all(i != j for i, j in enumerate(partner))
    power = 2 if cost == "sqeuclidean" else 1

    def total(pairs):
        return math.fsum(float((x[i] - x[j]).norm()) ** power for i, j in pairs)

    rows, columns = order.tolist()
    used = pairing.effective_k(n)
    columns = columns[used:] + columns[:used] if way == "disjoint" else columns
    for start in range(0, n, used):
        block, image = rows[start : start + used], columns[start : start + used]
        assert {partner[i] for i in block} == set(image)
        best = min(total(zip(block, p, strict=True)) for p in itertools.permutations(image))
        assert total((i, partner[i]) for i in block) <= best + 1e-6 * (1 + best)


def invariant(subject, n, k, cost, way, scale, seed):
    """Moving, turning and scaling all features leaves the pairs as they are."""
    x, pairing = normal(n, 3, seed=seed), subject(k, cost=cost, sets=way)
    order = pairing.draw(n, gen(seed))
    turn = torch.linalg.qr(normal(3, 3, seed=seed + 1)).Q
    moved = scale * (x @ turn) + normal(3, seed=seed + 2)
    assert torch.equal(matched(pairing, order, x), matched(pairing, order, moved))


def one_is_a_permutation(subject, n, seed):
    """k = 1 is the plain permutation of the same generator, bit for bit."""
    x, pairing = normal(n, 2, seed=seed), subject(1, sets="batch")
    plain = Permutation().draw(n, gen(seed))[1]
    assert torch.equal(matched(pairing, pairing.draw(n, gen(seed)), x), plain)


# ----------------------------------------------------------------------------- planted faults


class TargetsOfAnother(Mixup):
    def _mixed(self, logits, y, y2, draw):
        return super()._mixed(logits, y.roll(1, 0), y2, draw)


class WeightsSwapped(Mixup):
    def _mixed(self, logits, y, y2, draw):
        return super()._mixed(logits, y, y2, dataclasses.replace(draw, lam=1 - draw.lam))


class NothingMixed(Mixup):
    def apply(self, model, x, y, draw, *, other=None):
        return dataclasses.replace(super().apply(model, x, y, draw), logits=model(x))


class BothSidesWeighLambda(Mixup):
    def _mixed(self, logits, y, y2, draw):
        mixed = super()._mixed(logits, y, y2, draw)
        own, other = (torch.eye(logits.shape[1])[t] for t in (y, y[mixed.partner]))
        mixed.targets = mixed.lam.view(-1, 1) * (own + other)
        return mixed


class ByPosition(Mixup):
    def apply(self, model, x, y, draw, *, other=None):
        partner = torch.arange(draw.size).flip(0)
        return super().apply(model, x, y, dataclasses.replace(draw, partner=partner))


class AnyLayer(Mixup):
    def draw(self, size, *, other=False):
        return dataclasses.replace(super().draw(size), partner=torch.arange(size).roll(1))


class NeverBlocks(Mixup):
    def __init__(self, *args, detach=False, **options):
        super().__init__(*args, **options)


class AlwaysBlocks(Mixup):
    def __init__(self, *args, detach=False, **options):
        super().__init__(*args, detach=True, **options)


class GlobalDraws(Mixup):
    def __init__(self, *args, generator=None, **options):
        super().__init__(*args, **options)


class MixesInEval(Mixup):
    def __call__(self, model, x, y, *, other=None):
        return super().__call__(model.train(), x, y)


class Unmatched(OptimalPairing):
    def match(self, order, x, y=None):
        k = self.effective_k(order.shape[1])
        return order[1].roll(-k if self.sets == "disjoint" else 0)


class FirstFeature(OptimalPairing):
    def match(self, order, x, y=None):
        return super().match(order, x[:, :1])


class OtherCost(OptimalPairing):
    def __init__(self, k, *, cost="sqeuclidean", sets="disjoint"):
        other = {"sqeuclidean": "euclidean", "euclidean": "sqeuclidean"}[cost]
        super().__init__(k, cost=other, sets=sets)


class Itself(OptimalPairing):
    def match(self, order, x, y=None):
        return order[0]


class Twice(OptimalPairing):
    def match(self, order, x, y=None):
        return super().match(order, x)[:1].expand(order.shape[1])


def lopsided(kind, *, alpha, fold):
    return type("L", (), {"quantile": lambda self, u: Law(kind, alpha, fold=fold).quantile(u**2)})()


def beyond(kind, *, alpha, fold):
    return type("B", (), {"quantile": lambda self, u: 1.01 * Law(kind, alpha).quantile(u)})()


def squared(logits, targets):
    return soft_cross_entropy(logits, targets.square())


def by_name(model, x=None):
    return tuple(sorted(eligible_sites(model, x)))


# Each property: the subject, the strategies of its case, and the faults that it must see.
PROPERTIES = {
    arithmetic: (
        Mixup,
        (sizes, shapes, kinds, per_example, pairings, seeds),
        (TargetsOfAnother, WeightsSwapped, NothingMixed),
    ),
    rows_sum_to_one: (
        Mixup,
        (sizes, st.integers(2, 5), per_example, pairings, seeds),
        (BothSidesWeighLambda,),
    ),
    equivariant: (Mixup, (sizes, per_example, seeds), (ByPosition,)),
    layers_keep_together: (Mixup, (sizes, st.booleans(), seeds), (AnyLayer,)),
    gradients: (Mixup, (sizes, st.booleans(), seeds), (NeverBlocks, AlwaysBlocks)),
    repeatable: (
        Mixup,
        (sizes, st.tuples(*[st.floats(0.01, 20)] * 2), per_example, pairings, seeds),
        (GlobalDraws,),
    ),
    refuses_eval: (Mixup, (sizes, st.sampled_from(["input", "squash"]), seeds), (MixesInEval,)),
    sites_in_order: (eligible_sites, (st.integers(1, 12), st.integers(2, 4), seeds), (by_name,)),
    law_of_lambda: (
        Law,
        (st.floats(0.01, 100), st.sampled_from([None, "min", "max"]), seeds),
        (lopsided, beyond),
    ),
    linear_in_targets: (
        soft_cross_entropy,
        (sizes, st.integers(2, 5), st.floats(0, 1), seeds),
        (squared,),
    ),
    cheapest: (
        OptimalPairing,
        (st.integers(1, 13), st.integers(1, 6), st.integers(1, 3), costs, sets, seeds),
        (Unmatched, FirstFeature, OtherCost, Itself, Twice),
    ),
    invariant: (
        OptimalPairing,
        (st.integers(1, 20), st.integers(1, 8), costs, sets, st.floats(0.1, 10), seeds),
        (FirstFeature,),
    ),
    one_is_a_permutation: (OptimalPairing, (sizes, seeds), (Itself, Twice)),
}


@pytest.mark.parametrize("prop", PROPERTIES, ids=lambda prop: prop.__name__)
def test_property_holds(prop):
    subject, strategies, _ = PROPERTIES[prop]
    holds(prop, subject, *strategies)


@pytest.mark.parametrize(
    ("prop", "fault"),
    [(prop, fault) for prop, (_, _, faults) in PROPERTIES.items() for fault in faults],
    ids=lambda one: one.__name__,
)
def test_property_sees_a_planted_fault(prop, fault):
    _, strategies, _ = PROPERTIES[prop]
    # Found is enough here: the smallest case of a planted fault is of no interest.
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        holds(prop, fault, *strategies, phases=(Phase.generate,))
