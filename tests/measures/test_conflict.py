"""Excess of inconsistent interpolations: closed forms, other ways of computing, and controls."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, special

from mmlib.measures.conflict import (
    arrangement_loss,
    crossing_floor,
    disagreement,
    target_entropy,
)
from mmlib.mixing import Permutation
from mmlib.studies.ch10.line import integrated


def h2(x):
    return special.entr(x) + special.entr(1 - x)


def histogram(points, labels, weights, alpha, n=1_000_000, bins=2000, seed=0):
    """Floor and excess by sampling pairs and binning the mixed points of distinct pairs."""
    stream = np.random.default_rng(seed)
    p, eye = np.asarray(points, float), np.eye(max(labels) + 1)
    i, j = (stream.choice(len(p), n, p=weights) for _ in range(2))
    lam = stream.beta(alpha, alpha, n)
    t = lam[:, None] * eye[labels][i] + (1 - lam[:, None]) * eye[labels][j]
    z = lam * p[i] + (1 - lam) * p[j]
    cell = ((z - p.min()) / np.ptp(p) * bins).astype(int).clip(0, bins - 1)
    cell = np.where(i == j, bins + i, cell)
    count = np.bincount(cell, minlength=bins + len(p))
    mean = np.stack([np.bincount(cell, c, bins + len(p)) for c in t.T], 1)
    mean /= np.maximum(count, 1)[:, None]
    floor = special.entr(t).sum(1).mean()
    return floor, (count * special.entr(mean).sum(1)).sum() / n - floor


def test_mean_entropy_of_a_target():
    def density(x, a):
        return h2(x) * np.exp((a - 1) * np.log(x * (1 - x)) - special.betaln(a, a))

    for alpha in (0.2, 1.0, 3.0):
        whole = integrate.quad(density, 0, 1, args=(alpha,))[0]
        assert target_entropy(alpha) == pytest.approx(whole, abs=1e-8)


def test_b_between_two_points_of_a_by_hand():
    """On [0, 1] two thirds of the mass say (1 - z, z), one third A; [1, 2] mirrors it."""
    at = np.linspace(0, 1, 200_001)
    own = 2 / 3 * 0.5
    by_hand = 2 / 3 * (np.trapezoid(h2(2 * at / 3), at) - own)
    found = arrangement_loss([0.0, 1.0, 2.0], [0, 1, 0])
    assert found.excess == pytest.approx(by_hand, abs=1e-8)
    assert found.floor == pytest.approx(4 / 9 * 0.5)
    assert found.best == found.floor + found.excess


@pytest.mark.parametrize("alpha", [0.3, 1.0, 2.5])
def test_against_sampled_pairs_and_unequal_weights_matter(alpha):
    points, labels, weights = [0.0, 0.3, 1.1, 2.0], [0, 1, 2, 0], [0.1, 0.4, 0.2, 0.3]
    found = arrangement_loss(points, labels, weights, alpha=alpha)
    floor, excess = histogram(points, labels, weights, alpha)
    assert (found.floor, found.excess) == pytest.approx((floor, excess), abs=2e-3)
    equal = arrangement_loss(points, labels, alpha=alpha)
    assert abs(equal.excess - excess) > 0.005


def test_closed_form_agrees_with_quadrature():
    stream = np.random.default_rng(0)
    for _ in range(20):
        points, labels = stream.normal(size=6), stream.integers(3, size=6)
        weights = stream.dirichlet(np.ones(6))
        for loss in ("cross_entropy", "squared"):
            both = [
                arrangement_loss(points, labels, weights, loss=loss, closed=closed).excess
                for closed in (True, False)
            ]
            assert both[0] == pytest.approx(both[1], abs=1e-10)
    assert arrangement_loss(points, labels, alpha=1.7).excess == pytest.approx(
        integrated(points.tolist(), labels.tolist(), [1 / 6] * 6, 1.7), abs=1e-8
    )


def test_excess_is_continuous_in_alpha_and_holds_at_its_ends():
    points, labels = [0.0, 1.0, 2.0], [0, 1, 2]
    near = [arrangement_loss(points, labels, alpha=1 + d).excess for d in (-1e-6, 0, 1e-6)]
    assert near[0] == pytest.approx(near[1], abs=1e-5) and near[1] == pytest.approx(near[2])
    # As alpha grows every mix is a midpoint: three places, the middle one shared by no other pair.
    assert arrangement_loss(points, labels, alpha=200.0).excess < 0.02
    assert 0 < arrangement_loss(points, labels, alpha=0.05).excess < 0.05


def test_no_excess_where_segments_share_no_length():
    stream = np.random.default_rng(1)
    square = [[0, 0], [1, 0], [1, 1], [0, 1]]  # the diagonals cross in one point
    for points in (square, stream.normal(size=(7, 2)), stream.normal(size=(7, 5))):
        assert arrangement_loss(points, np.arange(len(points))).excess == 0
        assert arrangement_loss(np.asarray(points)[:, 0], np.arange(len(points))).excess > 0.01


def test_three_points_on_a_tilted_line_of_space():
    way, off = np.array([1.0, -2.0, 0.5]), np.array([3.0, 1.0, 7.0])
    flat = arrangement_loss([0.0, 1.0, 2.0], [0, 1, 2])
    tilted = arrangement_loss([off + t * way for t in (0.0, 1.0, 2.0)], [0, 1, 2])
    assert tilted.excess == pytest.approx(flat.excess, abs=1e-12)


def test_order_scale_and_names_do_not_matter():
    points, labels = np.array([0.0, 1.0, 1.7, 4.0]), np.array([0, 1, 2, 1])
    base = arrangement_loss(points, labels, [0.4, 0.1, 0.2, 0.3], alpha=2.0).excess
    order = [2, 0, 3, 1]
    moved = arrangement_loss(5 - 3 * points[order], labels[order], [0.2, 0.4, 0.3, 0.1], alpha=2.0)
    assert moved.excess == pytest.approx(base, abs=1e-9)
    renamed = arrangement_loss(points, np.array([2, 0, 1])[labels], [0.4, 0.1, 0.2, 0.3], alpha=2.0)
    assert renamed.excess == pytest.approx(base, abs=1e-12)


def test_points_of_one_label_never_conflict_and_twins_merge():
    assert arrangement_loss([0.0, 1.0, 5.0], [0, 0, 0]).excess == pytest.approx(0, abs=1e-15)
    once = arrangement_loss([0.0, 1.0, 2.0], [0, 1, 0], [0.5, 0.25, 0.25]).excess
    twice = arrangement_loss([0.0, 0.0, 1.0, 2.0], [0, 0, 1, 0], [0.2, 0.3, 0.25, 0.25]).excess
    assert twice == pytest.approx(once, abs=1e-12)


def test_two_classes_in_one_place_are_guessed():
    """All mixes lie in one point and the best answer is half and half."""
    found = arrangement_loss([0.0, 0.0], [0, 1])
    assert found.best == pytest.approx(np.log(2))
    squared = arrangement_loss([0.0, 0.0], [0, 1], loss="squared")
    # E |T|^2 - |E T|^2 = (1 / 2) 1 + (1 / 2) (2 / 3) - 1 / 2
    assert squared.excess == pytest.approx(1 / 3)


def test_shuffling_a_batch_takes_a_share_of_the_excess():
    """Of a shuffled batch of B, one partner in B is the example itself."""
    import torch

    size, generator = 5, torch.Generator().manual_seed(0)
    own = [
        float((Permutation().draw(size, generator)[1] == torch.arange(size)).double().mean())
        for _ in range(4000)
    ]
    assert np.mean(own) == pytest.approx(1 / size, abs=0.01)


def test_one_answer_costs_the_divergence():
    t = np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]])
    w = np.array([0.3, 0.7])
    best = w @ special.rel_entr(t, w @ t).sum(1)
    assert disagreement(t, w) == pytest.approx(best)
    stream = np.random.default_rng(0)
    others = stream.dirichlet(np.ones(3), size=500)
    assert all(w @ special.rel_entr(t, q).sum(1) > best for q in others)
    assert disagreement([[0.5, 0.5], [0.5, 0.5]]) == pytest.approx(0)


def test_no_lipschitz_answer_beats_the_bound_at_a_crossing():
    """Random piecewise linear answers on two crossing segments; four times the bound is beaten."""
    lipschitz, stream = 12.0, np.random.default_rng(0)
    at = np.linspace(-1, 1, 4001)
    densities, distance = (0.8, 1.7), 1.0
    bound = crossing_floor(distance, densities, (0.0, 0.0), lipschitz)
    losses = []
    for _ in range(2000):
        middle = stream.uniform(-0.2, 1.2)
        cost = 0.0
        for target, density in zip((0.0, distance), densities, strict=True):
            rate = lipschitz * stream.uniform(0.3, 1)
            miss = np.maximum(np.abs(middle - target) - rate * np.abs(at), 0)
            cost += density * np.trapezoid(miss**2, at)
        losses.append(cost)
    assert min(losses) >= bound * (1 - 1e-3)
    assert min(losses) < 1.2 * bound  # and the bound is nearly reached


def test_bad_arguments_are_named():
    for call, text in (
        (lambda: arrangement_loss([[0.0]], [0, 1]), "labels"),
        (lambda: arrangement_loss([0.0, 1.0], [0, 1], [0.5, 0.6]), "weights"),
        (lambda: arrangement_loss([0.0, np.nan], [0, 1]), "points"),
        (lambda: arrangement_loss([0.0, 1.0], [0, 1], loss="squard"), "did you mean"),
        (lambda: arrangement_loss([0.0, 1.0], [0, 1], alpha=2.0, closed=True), "closed"),
        (lambda: arrangement_loss([0.0, 1.0], [0, 1], alpha=0), "alpha"),
        (lambda: crossing_floor(1.0, (1.0, 1.0), (0.0, 0.0), 0.0), "lipschitz"),
        (lambda: crossing_floor(1.0, (1.0, -1.0), (0.0, 0.0), 1.0), "densities"),
        (lambda: disagreement([[0.5, 0.6]]), "targets"),
        (lambda: disagreement([[0.5, 0.5]], [0.5, 0.5]), "weights"),
    ):
        with pytest.raises(ValueError, match=text):
            call()
    with pytest.raises(TypeError, match="labels"):
        arrangement_loss([0.0, 1.0], [0.0, 1.0])
