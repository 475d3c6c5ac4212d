"""Pairings against brute force and against the released code's way of computing them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial import distance_matrix
from torch import nn

from mmlib.mixing import Mixup, OptimalPairing, Permutation, pair_statistics


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def features(n: int, d: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=gen(seed))


def partners(pairing, order, *sets) -> list[int]:
    partner = torch.full((order.shape[1],), -1)
    partner[order[0]] = pairing.match(order, *sets)
    return partner.tolist()


def cost_of(x, y, pairs, power) -> float:
    return sum(float((x[i] - y[j]).norm()) ** power for i, j in pairs)


@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean"])
@pytest.mark.parametrize("sets", ["disjoint", "independent", "batch"])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("n", [1, 2, 7, 12, 13])
def test_blocks_are_matched_at_the_least_cost(cost, sets, k, n):
    pairing, power = OptimalPairing(k, cost=cost, sets=sets), 2 if cost == "sqeuclidean" else 1
    other = sets == "independent"
    x = features(n) + 100  # a common shift must not matter
    y = features(n, seed=1) + 100 if other else x
    order = pairing.draw(n, gen(n), other=other)
    partner = partners(pairing, order, x, y) if other else partners(pairing, order, x)
    assert sorted(partner) == list(range(n))
    used = pairing.effective_k(n, other=other)
    assert used == max(1, min(k, n // 2 if sets == "disjoint" else n))
    rows, columns = order.tolist()
    if sets == "disjoint":
        columns = columns[used:] + columns[:used]
        assert n == 1 or not any(i == j for i, j in enumerate(partner))
    if sets == "batch":
        assert rows == list(range(n))
    for start in range(0, n, used):
        i, j = rows[start : start + used], columns[start : start + used]
        assert {partner[r] for r in i} == set(j)
        got = cost_of(x, y, [(r, partner[r]) for r in i], power)
        best = min(
            cost_of(x, y, zip(i, image, strict=True), power) for image in itertools.permutations(j)
        )
        assert got == pytest.approx(best, rel=1e-6)


def released(x: np.ndarray, index: np.ndarray, k: int) -> np.ndarray:
    """Pair as kmixup-cifar10 does: one assignment with a large constant off the blocks."""
    n = len(x)
    cost = np.full((n, n), 1000.0)
    for start in range(0, n, k):
        block = slice(start, start + k)
        cost[block, block] = distance_matrix(x[block], x[index][block])
    return index[linear_sum_assignment(cost)[1]]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 99))
def test_same_pairs_as_the_released_code(n, k, seed):
    pairing = OptimalPairing(k, cost="euclidean", sets="batch")
    x = features(n, 5, seed)
    order = pairing.draw(n, gen(seed))
    expected = released(x.double().numpy(), order[1].numpy(), k)
    assert partners(pairing, order, x) == expected.tolist()


def test_k_one():
    x = features(9)
    assert torch.equal(OptimalPairing(1, sets="batch").draw(9, gen()), Permutation().draw(9, gen()))
    pairing = OptimalPairing(1, sets="batch")
    assert torch.equal(pairing.match(pairing.draw(9, gen()), x), Permutation().draw(9, gen())[1])


def test_self_pairs_as_calculated():
    """In-batch sets pair a share of about k / B with themselves; the whole batch entirely."""
    rate = np.mean(
        [
            pair_statistics(
                torch.tensor(partners(p, p.draw(128, gen(s)), features(128, 20, s))),
                torch.zeros(128),
            ).self_pairs
            for s in range(10)
            for p in [OptimalPairing(32, cost="euclidean", sets="batch")]
        ]
    )
    assert rate == pytest.approx(32 / 128, abs=0.04)
    p = OptimalPairing(500, cost="euclidean", sets="batch")
    assert partners(p, p.draw(50, gen()), features(50)) == list(range(50))


def test_larger_k_pairs_closer():
    x, distance = features(64, 2), []
    for k in (1, 2, 4, 16, 32):
        pairing = OptimalPairing(k)
        partner = partners(pairing, pairing.draw(64, gen()), x)
        distance.append(float((x - x[partner]).square().sum()))
    assert distance == sorted(distance, reverse=True)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_any_precision_and_shape(kind):
    x = features(8, 12).to(kind)
    pairing = OptimalPairing(3)
    order = pairing.draw(8, gen())
    assert torch.equal(pairing.match(order, x), pairing.match(order, x.view(8, 3, 2, 2)))
    assert torch.equal(pairing.match(order, x), pairing.match(order, x.double()))


def test_large_half_precision_features_do_not_overflow():
    x = (features(8, 200) * 3000).half()
    pairing = OptimalPairing(2)
    order = pairing.draw(8, gen())
    assert torch.equal(pairing.match(order, x), pairing.match(order, x.double()))


@pytest.mark.parametrize("k", [2, 4, 8])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_features_that_are_not_finite(k, bad):
    x = features(16)
    x[3, 1] = bad
    pairing = OptimalPairing(k)
    with pytest.raises(ValueError, match="finite features"):
        pairing.match(pairing.draw(16, gen()), x)


@pytest.mark.parametrize("k", [2, 3, 7])
def test_ties_are_resolved_the_same_way_each_time(k):
    x = torch.zeros(14, 3)
    pairing = OptimalPairing(k)
    order = pairing.draw(14, gen())
    first = partners(pairing, order, x)
    assert sorted(first) == list(range(14)) and first == partners(pairing, order, x)


def test_matched_at_the_layer_that_is_mixed():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2))
    x, y = features(10), torch.randint(2, (10,), generator=gen())
    for layer, h in (("input", x), ("1", model[:2](x))):
        pairing = OptimalPairing(5)
        mixed = Mixup(layers=(layer,), pairing=pairing, generator=gen())(model, x, y)
        order = mixed.draw.orders[layer]
        assert mixed.partner.tolist() == partners(pairing, order, h)
        assert mixed.k == 5


def test_no_gradient_through_the_matching():
    x = features(8).requires_grad_()
    pairing = OptimalPairing(4)
    assert not pairing.match(pairing.draw(8, gen()), x).requires_grad


def test_second_batch_and_sets():
    with pytest.raises(ValueError, match="sets='independent'.*second batch"):
        OptimalPairing(2, sets="independent").draw(4)
    with pytest.raises(ValueError, match="sets='batch'"):
        OptimalPairing(2, sets="batch").draw(4, other=True)
    a, b = (
        OptimalPairing(2, sets=s).draw(6, gen(), other=True) for s in ("disjoint", "independent")
    )
    assert torch.equal(a, b)
    for arguments in ({"cost": "cosine"}, {"sets": "joint"}):
        with pytest.raises(ValueError, match="expected one of"):
            OptimalPairing(2, **arguments)
    with pytest.raises(TypeError, match="k"):
        OptimalPairing(2.0)


def test_pairings_speak_and_compare():
    assert repr(OptimalPairing(3)) == "OptimalPairing(k=3, cost='sqeuclidean', sets='disjoint')"
    assert OptimalPairing(3) == OptimalPairing(3) != OptimalPairing(4)
    assert Permutation() == Permutation() != OptimalPairing(1)


def test_permutation_is_uniform():
    g = gen()
    counts = np.zeros((4, 4))
    for _ in range(4000):
        counts[range(4), Permutation().draw(4, g)[1]] += 1
    assert np.abs(counts / 4000 - 0.25).max() < 0.04


def test_pair_statistics():
    partner, y = torch.tensor([0, 2, 1, 3]), torch.tensor([5, 7, 7, 7])
    assert pair_statistics(partner, y) == (0.5, 1.0)
    assert pair_statistics(torch.tensor([1, 0, 3, 2]), y) == (0.0, 0.5)
    soft = nn.functional.one_hot(y, 9).float()
    assert pair_statistics(torch.tensor([1, 0, 3, 2]), soft) == (0.0, 0.5)
    assert pair_statistics(partner, y, other=torch.tensor([7, 0, 7, 7])) == (0.0, 0.5)
    with pytest.raises(ValueError, match="partner"):
        pair_statistics(partner[:3], y)
