"""Laws of partners against a plain loop, closed forms on a line, invariance, and ties."""

from __future__ import annotations

import itertools
from fractions import Fraction
from math import comb

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from mmlib.measures.coupling_law import (
    coupling_law,
    enumerated_mean,
    sampled_mean,
    sampled_weights,
    squared_reach,
)


def points(n=6, dim=2, seed=0):
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_hand(x, k):
    """The printed definition, counted in whole numbers."""
    n, count = len(x), {}
    cost = (x[:, None] - x).square().sum(-1).numpy()
    subsets = list(itertools.combinations(range(n), k))
    for gamma, xi in itertools.product(subsets, subsets):
        _, columns = linear_sum_assignment(cost[np.ix_(gamma, xi)])
        for i, column in zip(gamma, columns, strict=True):
            count[i, xi[column]] = count.get((i, xi[column]), 0) + 1
    total = comb(n - 1, k - 1) * comb(n, k)
    table = [[Fraction(count.get((i, j), 0), total) for j in range(n)] for i in range(n)]
    assert all(sum(row) == 1 for row in table)
    return torch.tensor([[float(w) for w in row] for row in table], dtype=torch.float64)


@pytest.mark.parametrize("k", (1, 2, 3, 5, 6))
def test_law_is_the_printed_one(k):
    x = points()
    law = coupling_law(x, k)
    assert torch.allclose(law.weights, by_hand(x, k), atol=1e-14)
    assert law.given.shape == (comb(6, k), k, 6)
    assert torch.allclose(law.given.sum(-1), torch.ones(1).double())
    assert torch.allclose(law.weights, law.weights.T)
    moved = coupling_law(3 * x @ torch.linalg.qr(points(2, 2, 1))[0] + 5, k)
    assert torch.allclose(moved.weights, law.weights)  # shifts, rotations and scales change nothing


def test_on_a_line_only_ranks_matter():
    x = points(6, 1).sort(0).values
    assert torch.equal(coupling_law(x, 3).weights, coupling_law(x.exp() ** 3, 3).weights)
    # Shared points need not match themselves: {0, 1} to {1, 3} is 0 -> 1, 1 -> 3.
    weights = coupling_law(x, 3).weights
    assert weights[0, 0] == pytest.approx(0.5) and weights[2, 2] < 0.4


@pytest.mark.parametrize("k", (2, 4))
def test_means_and_covariances_by_hand(k):
    x, y = points(), points(6, 3, 5)
    law = coupling_law(x, k)
    cost = torch.cdist(x, x).square().numpy()
    gamma, partners = law.subsets[3].numpy(), []
    for xi in law.subsets.numpy():
        partners.append(xi[linear_sum_assignment(cost[np.ix_(gamma, xi)])[1]])
    one = torch.from_numpy(np.stack(partners))[:, 1]  # of the second point of this subset
    assert torch.allclose(law.means(x)[3, 1], x[one].mean(0))
    expected = np.cov(x[one].T, y[one].T, bias=True)[:2, 2:]
    assert torch.allclose(law.covariances(x, y)[3, 1], torch.from_numpy(expected))


def test_mean_distance_falls_with_k_and_that_of_a_point_need_not():
    x = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4, 1.4, 5.0, 5.1]).double()[:, None]
    reach = torch.stack([squared_reach(coupling_law(x, k).weights, x) for k in range(1, 9)])
    assert bool((reach.mean(1).diff() < 0).all()) and reach[0].mean() == pytest.approx(
        2 * float(x.var(0, correction=0))
    )
    assert reach[1, 5] > reach[0, 5] + 1 and bool((reach[-1] == 0).all())


def test_solver_breaks_ties_one_way_and_the_average_does_not():
    lattice = torch.tensor(list(itertools.product(range(3), range(3)))).double()
    average, solver = (
        coupling_law(lattice, 2, ties=rule).weights for rule in ("average", "solver")
    )
    assert float((average - average.T).abs().max()) < 1e-12 < float((solver - solver.T).abs().max())
    for weights in (average, solver):  # doubly stochastic whatever the rule
        assert torch.allclose(weights.sum(0), torch.ones(9).double())
    assert torch.allclose(solver, by_hand(lattice, 2))


def test_enumerated_mean_is_that_of_the_law_and_of_draws():
    x, values = points(), points(6, 6, 3)
    exact = enumerated_mean(values, x, 3)
    assert exact == pytest.approx(float((coupling_law(x, 3).weights * values).sum() / 6))
    mean, error = sampled_mean(values, x, 3, 400, torch.Generator().manual_seed(0))
    assert abs(mean - exact) < 4 * error
    other, error = sampled_mean(
        values + 9 * torch.eye(6), x, 3, 400, torch.Generator().manual_seed(0), sets="disjoint"
    )
    assert abs(other - enumerated_mean(values + 9 * torch.eye(6), x, 3)) > 10 * error
    weights = sampled_weights(x, 3, 50, torch.Generator().manual_seed(0))
    assert torch.allclose(weights.sum(0), torch.ones(6).double())
    assert torch.allclose(weights.sum(1), torch.ones(6).double())


@pytest.mark.parametrize(
    ("call", "message"),
    (
        (lambda: coupling_law(points(30), 5), r"N=30, k=5: expected at most 10,000,000"),
        (lambda: coupling_law(points(), 7), "k: expected an integer >= 1 and <= 6, but got 7"),
        (lambda: coupling_law(points()[:, 0], 1), "x: expected"),
        (lambda: coupling_law(points() / 0, 1), "expected finite points"),
        (lambda: coupling_law(points(), 2, ties="any"), "ties: expected one of"),
        (lambda: enumerated_mean(torch.zeros(5, 5), points(), 2), r"values: expected \(6, 6\)"),
        (lambda: enumerated_mean(torch.zeros(30, 30), points(30), 9), "pairs of subsets"),
        (lambda: sampled_weights(points(), 4, 1), "k: expected a divisor of 6 points"),
    ),
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
