"""Floors, factors and the best scale against minimisation, quadrature and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from scipy.special import digamma

from mmlib.measures import segments as geometry
from mmlib.measures.subspaces import (
    best_scale,
    beta_nodes,
    class_dimension,
    excess_at,
    squared_floor,
    squared_shrinkage,
    target_entropy,
)
from mmlib.mixing import Law, soft_cross_entropy


@pytest.mark.parametrize("alpha", (0.2, 1.0, 2.0, 6.0))
def test_nodes_stand_for_the_law(alpha):
    lam, weight = beta_nodes(alpha, 40)
    u = (torch.arange(200_000).double() + 0.5) / 200_000
    draws = Law("beta", alpha).quantile(u).numpy()
    for power in (1, 2, 5):
        assert weight @ lam**power == pytest.approx((draws**power).mean(), abs=1e-4)
    assert 1 - 2 * (weight @ (lam * (1 - lam))) == pytest.approx(squared_shrinkage(alpha))
    exact = 0.9 * (digamma(2 * alpha + 1) - digamma(alpha + 1))
    assert target_entropy(10, *beta_nodes(alpha, 200)) == pytest.approx(exact, abs=2e-4)


def test_shrinkage_of_random_residuals():
    rng = np.random.default_rng(0)
    r = rng.normal(size=(7, 4))
    r -= r.mean(0)
    lam, weight = beta_nodes(2.0, 5)
    mixes = lam[:, None, None, None] * r[:, None] + (1 - lam)[:, None, None, None] * r[None]
    squares = np.einsum("q,qijk->ij", weight, mixes**2)
    plain = (r**2).sum(1).mean()
    assert squares.mean() == pytest.approx(squared_shrinkage(2.0) * plain)
    others = squares[~np.eye(7, dtype=bool)].mean()
    assert others == pytest.approx(squared_shrinkage(2.0, 7) * plain)
    assert abs(others - squares.mean()) > 0.01 * plain
    shifted = np.einsum("q,qijk->ij", weight, (mixes + 1) ** 2).mean()  # a bias that is not best
    assert shifted / ((r + 1) ** 2).sum(1).mean() > squared_shrinkage(2.0) + 0.05


@pytest.mark.parametrize("classes", (2, 3, 5))
def test_squared_floor_is_what_is_left_of_one_hot_targets(classes):
    targets = np.eye(classes).repeat(3, axis=0)
    s = np.linalg.svd(targets - targets.mean(0), compute_uv=False) ** 2 / len(targets)
    for units in range(1, classes + 1):
        assert squared_floor(units, classes) == pytest.approx(s[units:].sum(), abs=1e-12)
        mixed = squared_floor(units, classes, 2.0)
        assert mixed == pytest.approx(0.6 * s[units:].sum(), abs=1e-12)
    assert [class_dimension(h, 4) for h in (2, 3, 4, 9)] == [0, 0, 1, 6]


@pytest.mark.parametrize(("classes", "alpha"), ((2, 1.0), (4, 2.0), (10, 0.4)))
def test_best_scale_is_the_minimum_over_all_logits(classes, alpha):
    """A minimisation over one row of logits per class, which knows nothing of the symmetry."""
    lam, weight = beta_nodes(alpha, 8)
    scale, excess = best_scale(classes, lam, weight)
    z = torch.randn(classes, classes, generator=torch.Generator().manual_seed(0)).double()
    z.requires_grad_()
    at, w = torch.from_numpy(lam)[:, None, None, None], torch.from_numpy(weight)
    eye = torch.eye(classes).double()

    def loss():
        mixed, wanted = (at * rows[:, None] + (1 - at) * rows[None] for rows in (z, eye))
        values = soft_cross_entropy(mixed, wanted, reduction="none").mean((1, 2)) @ w
        return values - target_entropy(classes, lam, weight)

    optimizer = torch.optim.LBFGS([z], max_iter=500, line_search_fn="strong_wolfe",
                                  tolerance_grad=1e-12, tolerance_change=1e-16)  # fmt: skip

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)
    assert loss().item() == pytest.approx(excess, abs=1e-9)
    found = (z - z.mean(1, keepdim=True)).detach()
    assert torch.allclose(found, scale * (eye - 1 / classes), atol=1e-4)
    for other in (0.8, 1.25):
        assert excess_at(other * scale, classes, lam, weight) > excess + 1e-4


def test_excess_is_never_zero_and_no_scale_is_best_without_mixing():
    for alpha in (0.05, 1.0, 50.0):
        assert best_scale(2, *beta_nodes(alpha))[1] > 1e-4
    plain = ([0.0, 1.0], [0.5, 0.5])
    assert excess_at(50.0, 3, *plain) < 1e-12 < excess_at(5.0, 3, *plain)
    for never in (plain, ([0.5], [1.0])):  # at 1/2 both classes gain alike from any scale
        with pytest.raises(ValueError, match="lam"):
            best_scale(3, *never)


# ------------------------------------------------------------------------------ segments


def test_distance_of_segments_against_a_fine_grid():
    generator = torch.Generator().manual_seed(0)
    a, b, c, d = torch.randn(4, 60, 3, generator=generator).double()
    t = torch.linspace(0, 1, 401).double()[:, None, None]
    first, second = a + t * (b - a), c + t * (d - c)
    brute = torch.stack([torch.cdist(first[:, k], second[:, k]).min() for k in range(a.shape[0])])
    found = geometry.segment_distance(a, b, c, d)
    assert (found <= brute + 1e-12).all() and (brute - found < 0.02).all()
    same_line = geometry.segment_distance(a, b, a + 3 * (b - a), a + 4 * (b - a))
    assert torch.allclose(same_line, 2 * (b - a).norm(dim=1))


def test_head_on_segments_is_exact_where_they_do_not_meet():
    generator = torch.Generator().manual_seed(1)
    targets = torch.eye(4).double().repeat_interleave(3, 0)
    h = torch.randn(12, 3, generator=generator).double()
    lam = torch.rand(500, 1, generator=generator).double()
    i, j = torch.randint(12, (2, 500), generator=generator)
    head = geometry.SegmentHead(h, targets)
    error = head(lam * h[i] + (1 - lam) * h[j]) - lam * targets[i] - (1 - lam) * targets[j]
    assert geometry.least_gap(h) > 1e-3 and error.abs().max() < 1e-12
    # In the plane the diagonals of a square meet, and no head fits both targets there.
    square = torch.tensor([[0.0, 0], [1, 1], [0, 1], [1, 0]]).double()
    middle = geometry.SegmentHead(square, torch.eye(4).double())(square[:1] + 0.5)
    assert geometry.least_gap(square) < 1e-12
    assert torch.allclose(middle, torch.full((1, 4), 0.25).double())


def test_head_on_segments_is_continuous_at_a_common_end():
    h = torch.randn(6, 3, generator=torch.Generator().manual_seed(2)).double()
    head = geometry.SegmentHead(h, torch.eye(6).double())
    steps = torch.tensor([1e-1, 1e-2, 1e-3, 1e-4]).double()[:, None]
    moves = [(head(h[0] + steps * way) - head(h[:1])).norm(dim=1) for way in torch.eye(3).double()]
    assert all((move[1:] < move[:-1] / 3).all() for move in moves)


@pytest.mark.parametrize("angle", (0.0, 0.05, 0.4, 1.1, 1.5))
@pytest.mark.parametrize("gap", (1.0, 3.0))
def test_range_of_lambda_by_linear_programs(angle, gap):
    """lam s and (1 - lam) t as unknowns make the set of mixes at a point a polygon."""
    u, v = np.array([0.0, 1.0]), np.array([math.sin(angle), math.cos(angle)])
    # unknowns lam, p = lam s, q = (1 - lam) t; lam gap e_x + p u + q v = gap e_x / 2
    equal = np.array([[gap, u[0], v[0]], [0.0, u[1], v[1]]])
    bounds = np.array([[-0.5, 1, 0], [-0.5, -1, 0], [0.5, 0, 1], [0.5, 0, -1]])
    ends = [
        linprog([sign, 0, 0], A_ub=bounds, b_ub=[0, 0, 0.5, 0.5], A_eq=equal,
                b_eq=[gap / 2, 0], bounds=[(0, 1), (None, None), (None, None)]).x[0]
        for sign in (1, -1)
    ]  # fmt: skip
    assert geometry.reachable_range(angle, gap) == pytest.approx(ends[1] - ends[0], abs=1e-7)
    assert (geometry.reachable_range(angle, gap) > 0) == (angle > 0)


def test_an_arc_and_a_point_have_no_conflict_if_the_arc_is_seen():
    generator = torch.Generator().manual_seed(3)
    lam = torch.rand(400, 1, generator=generator).double()
    for place, exact in ((3.0, True), (-3.0, False)):
        case = geometry.ArcAndPoint(0.8, place)
        a = case.arc(400)
        error = (case(lam * a + (1 - lam) * case.point) - lam[:, 0]).abs().max()
        assert (error < 1e-9) == exact
        chords = lam * a + (1 - lam) * a[torch.randperm(400, generator=generator)]
        assert (case(chords) == 1).all() and case(case.point) == 0
    assert np.linalg.matrix_rank((a - a.mean(0)).numpy()) == 2
