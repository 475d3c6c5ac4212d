"""Excess of mixed clouds and of mixed segments, against grids, trees and limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import entr, xlogy

from mmlib.measures.conflict import arrangement_loss, target_entropy
from mmlib.measures.conflict_clouds import cloud_excess, crossing_rate, tree_excess
from mmlib.measures.conflict_segments import segments_excess

SQUARE = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
INSIDE = [[0.0, 0.0], [2.0, 0.0], [1.0, 2.0], [1.0, 0.7]]


def on_a_grid(means, spread, side=101, nodes=150):
    """The excess for alpha = 1 by sums over the plane, with no sample in it."""
    m, k = np.asarray(means, float), len(means)
    ticks = [np.linspace(m[:, a].min() - 6 * spread, m[:, a].max() + 6 * spread, side)
             for a in (0, 1)]  # fmt: skip
    x, y = np.meshgrid(*ticks, indexing="ij")
    area = np.prod([t[1] - t[0] for t in ticks])
    lam = (np.arange(nodes) + 0.5) / nodes
    mass = np.zeros((k, side, side))
    for i in range(k):
        for j in range(k):
            for one in lam:
                c = one * m[i] + (1 - one) * m[j]
                v = (one**2 + (1 - one) ** 2) * spread**2
                density = np.exp(-((x - c[0]) ** 2 + (y - c[1]) ** 2) / (2 * v)) / (2 * np.pi * v)
                density /= nodes * k**2
                mass[i] += one * density
                mass[j] += (1 - one) * density
    total = mass.sum(0)
    loss = (entr(mass).sum(0) + xlogy(total, total)).sum() * area
    return loss - (1 - 1 / k) * target_entropy(1.0)


def test_samples_agree_with_a_grid():
    for means in (SQUARE[:3], [[0.0, 0.0], [1.0, 0.3]]):
        found = cloud_excess(means, 0.25, samples=4000)
        assert found.value == pytest.approx(on_a_grid(means, 0.25), abs=4 * found.error + 1e-3)
        assert found.error < 0.01


def test_affine_maps_do_not_matter():
    base = cloud_excess(SQUARE, 0.2, samples=200)
    stretched = cloud_excess(np.array(SQUARE) * [3.0, 0.1] + 7, [0.6, 0.02], samples=200)
    assert stretched.value == pytest.approx(base.value, rel=1e-9)


def test_small_clouds_on_a_line_reach_the_excess_of_points():
    means = [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]
    for alpha in (0.5, 1.0, 2.0):
        points = arrangement_loss(means, [0, 1, 2], alpha=alpha).excess
        found = cloud_excess(means, 0.003, alpha=alpha, samples=2000)
        assert found.value == pytest.approx(points, abs=4 * found.error + 0.005)
    lifted = cloud_excess([[0.0, 0.0], [1.0, 0.5], [2.0, 0.0]], 0.003, samples=500)
    assert lifted.value < 0.01


def test_crossings_cost_in_proportion_to_the_spread():
    """The derived rate against sums over a small square around the crossing."""
    spread, lam = 0.01, (np.arange(2000) + 0.5) / 2000
    ticks = 0.5 + spread * np.linspace(-20, 20, 241)
    x, y = np.meshgrid(ticks, ticks)
    strips = []
    for p, q in (((0, 0), (1, 1)), ((1, 0), (0, 1))):
        strip = np.zeros_like(x)
        for one in lam:
            c = one * np.array(p) + (1 - one) * np.array(q)
            v = (one**2 + (1 - one) ** 2) * spread**2
            strip += np.exp(-((x - c[0]) ** 2 + (y - c[1]) ** 2) / (2 * v)) / (2 * np.pi * v)
        strips.append(strip / len(lam) / 8)
    a, b = strips
    joint = (xlogy(a + b, a + b) - xlogy(a, a) - xlogy(b, b)).sum() * (ticks[1] - ticks[0]) ** 2
    assert joint / spread == pytest.approx(crossing_rate(SQUARE), rel=0.01)


def test_rate_of_the_whole_arrangement_and_its_control():
    spread = 0.004
    found = cloud_excess(SQUARE, spread, samples=8000)
    apart = cloud_excess(INSIDE, spread, samples=1500)
    assert crossing_rate(INSIDE) == 0 and apart.value / spread < 0.07
    # What remains beside the crossing is of order s log(1 / s), as large as without one.
    assert 0 < found.value / spread - crossing_rate(SQUARE) < 0.07 + 3 * found.error / spread
    thinner = cloud_excess(INSIDE, spread / 4, samples=800)
    assert thinner.value < apart.value / 8  # faster than in proportion


def test_rate_follows_scale_angle_and_alpha():
    base = crossing_rate(SQUARE)
    assert crossing_rate(np.array(SQUARE) * 2) == pytest.approx(base / 2)
    slim = crossing_rate([[0, 0], [1, 0.1], [1, 0], [0, 0.1]])
    assert slim > base  # nearly parallel segments overlap for longer
    assert crossing_rate(SQUARE, alpha=3.0) > base > crossing_rate(SQUARE, alpha=0.5)


def test_prisms_of_any_base_have_no_conflict_along_their_axis():
    """Four parallel classes of dimension one in space: more than d - K + 1 = 0 allows."""
    base = np.pad(INSIDE, ((0, 0), (0, 1)))
    upright = cloud_excess(base, [0.003, 0.003, 1.0], samples=400)
    turned = cloud_excess(base, [1.0, 0.003, 0.003], samples=400)
    assert upright.value < 0.002 and turned.value > 0.1


def test_trees_are_classifiers():
    """No tree is better than the least loss, and a fine one is near it."""
    stream = np.random.default_rng(0)
    n, means, spread = 200_000, np.array(SQUARE[:3]), 0.25
    i, j, lam = stream.integers(3, size=n), stream.integers(3, size=n), stream.random(n)
    x, other = (means[rows] + spread * stream.normal(size=(n, 2)) for rows in (i, j))
    z = lam[:, None] * x + (1 - lam)[:, None] * other
    t = lam[:, None] * np.eye(3)[i] + (1 - lam)[:, None] * np.eye(3)[j]
    least = on_a_grid(SQUARE[:3], spread)
    fine, coarse = (tree_excess(z, t, 1 / 3, depth=depth) for depth in (9, 3))
    assert least - 4 * fine.error < fine.value < least + 0.02 < coarse.value
    assert tree_excess(z * [5.0, 0.1], t, 1 / 3, depth=9) == pytest.approx(fine)
    with pytest.raises(ValueError, match="expected 4096 points"):
        tree_excess(z[:100], t[:100], 0.0, depth=10)


def test_segments_agree_with_a_tree_and_parallel_ones_do_not_conflict():
    upright = [[0.0, -0.5], [0.0, 0.5]]
    stream, n = np.random.default_rng(0), 200_000
    lam, s, t = stream.random((3, n))
    for way, parallel in (([0.0, 1.0], True), ([1.0, 0.0], False), ([0.6, 0.8], False)):
        start = np.array([1.0, 0.0]) - np.array(way) / 2
        z = lam[:, None] * np.stack([0 * s, s - 0.5], 1)
        z += (1 - lam)[:, None] * (start + t[:, None] * way)
        tree = tree_excess(z, np.stack([lam, 1 - lam], 1), 0.5, depth=9).value / 2
        found = segments_excess(upright, [start, start + way])
        assert (found.value == 0) == parallel
        assert found.value == pytest.approx(tree, abs=0.003)
    with pytest.raises(ValueError, match="off the first one's line"):
        segments_excess(upright, [[0.0, 2.0], [0.0, 3.0]])


def test_bad_arguments_are_named():
    for call, text in (
        (lambda: cloud_excess([[0.0, 0.0]], 1.0), "means"),
        (lambda: cloud_excess(SQUARE, 0.0), "spread"),
        (lambda: cloud_excess(SQUARE, 1.0, samples=1), "samples"),
        (lambda: segments_excess([[0, 0]], [[1, 0], [1, 1]]), "first"),
        (lambda: segments_excess([[0, 0], [0, 1]], [[1, 0], [1, 0]]), "second"),
    ):
        with pytest.raises(ValueError, match=text):
            call()
