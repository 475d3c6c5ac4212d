"""Crossings counted exactly, distances of segments, and the arrangements that searches find."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch

from mmlib.measures.drawings import (
    RECTILINEAR_CROSSINGS,
    crossing_pairs,
    crossings,
    fewest_crossings,
    margin,
    orientation,
    segment_gaps,
    widest,
)


def by_solving(points) -> int:
    """Crossings by rational solution of two linear equations, for points in general position."""
    p = [[Fraction(float(v)) for v in row] for row in points]
    found = 0
    edges = list(itertools.combinations(range(len(p)), 2))
    for (a, b), (c, d) in itertools.combinations(edges, 2):
        if {a, b} & {c, d}:
            continue
        u, v = ([p[j][k] - p[i][k] for k in (0, 1)] for i, j in ((a, b), (c, d)))
        w = [p[c][k] - p[a][k] for k in (0, 1)]
        det = u[0] * v[1] - u[1] * v[0]
        s, t = (w[0] * v[1] - w[1] * v[0]) / det, (w[0] * u[1] - w[1] * u[0]) / det
        found += 0 <= s <= 1 and 0 <= t <= 1
    return found


def test_orientation_is_exact_where_floats_are_not():
    a, b = (0.5, 0.5), (12.0, 12.0)
    for i, j in itertools.product(range(32), repeat=2):
        c = (24.0 + i * 2**-48, 24.0 + j * 2**-48)
        exact = Fraction(c[1]) - Fraction(c[0])
        assert orientation(a, b, c) == (exact > 0) - (exact < 0)


def test_crossings_by_two_ways_and_invariances():
    stream = np.random.default_rng(0)
    for k in (4, 5, 6, 8):
        points = stream.normal(size=(k, 2))
        count = crossings(points)
        assert count == by_solving(points) >= RECTILINEAR_CROSSINGS[k - 1]
        assert crossings(points[stream.permutation(k)]) == count
        assert crossings(points @ [[2.0, 0.3], [-1.0, 0.4]] + 5) == count
        assert crossings(points * [-1, 1]) == count


def test_convex_position_has_all_crossings():
    for k in (4, 5, 7):
        assert crossings([[i, i * i] for i in range(k)]) == len(
            list(itertools.combinations(range(k), 4))
        )


def test_touching_and_overlapping_segments_count():
    assert crossing_pairs([[0, 0], [2, 0], [1, 0], [1, 1]]) == [((0, 1), (2, 3))]
    assert crossings([[0, 0], [2, 0], [1, 0], [3, 0]]) == 2  # 01-23 and 02-13, on one line
    assert crossings([[0, 0], [1, 0], [0, 1]]) == 0


def test_one_point_inside_a_triangle_is_the_only_way_for_four():
    stream = np.random.default_rng(1)
    for _ in range(50):
        p = stream.normal(size=(4, 2))
        inside = any(
            len({orientation(p[i], p[j], p[k]) for i, j in ((a, b), (b, c), (c, a))}) == 1
            for k in range(4)
            for a, b, c in [[i for i in range(4) if i != k]]
        )
        assert (crossings(p) == 0) == inside


@pytest.mark.parametrize("k", range(4, 9))
def test_search_finds_the_known_minima_and_no_less(k):
    points, found = fewest_crossings(k, steps=3000, seed=1)
    assert points.shape == (k, 2) and found == crossings(points) == RECTILINEAR_CROSSINGS[k - 1]


def test_segment_gaps_against_a_dense_search():
    stream = torch.Generator().manual_seed(0)
    at = torch.linspace(0, 1, 401).double()[:, None]
    for dim in (1, 2, 3, 6):
        p = torch.randn(4, dim, generator=stream, dtype=torch.float64)
        pairs = (((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2)))
        searched = []
        for (a, b), (c, d) in pairs:
            first, second = at * p[a] + (1 - at) * p[b], at * p[c] + (1 - at) * p[d]
            searched.append(torch.cdist(first, second).min())
        gaps = segment_gaps(p)
        assert gaps.sort().values == pytest.approx(torch.stack(searched).sort().values, abs=0.02)
        assert (gaps <= torch.stack(searched).sort().values.max() + 1e-9).all()


def test_gap_is_zero_exactly_where_segments_cross():
    stream = np.random.default_rng(2)
    for _ in range(20):
        p = stream.normal(size=(5, 2))
        zero = int((segment_gaps(torch.tensor(p)) < 1e-9).sum())
        assert zero == crossings(p)


def test_points_of_the_moment_curve_keep_apart_in_space():
    t = torch.linspace(-1, 1, 10).double()
    assert float(margin(torch.stack([t, t**2, t**3], 1))) > 1e-4
    assert float(margin(torch.stack([t, t**2], 1))) == pytest.approx(0, abs=1e-9)


def test_no_arrangement_beats_the_simplex():
    for k in (4, 6):
        simplex = torch.eye(k).double() - 1 / k
        best = float(margin(simplex / simplex[0].norm()))
        assert best == pytest.approx((k / (k - 1)) ** 0.5)
        found = float(widest(k, k - 1, starts=3, steps=200)[1].max())
        assert 0.95 * best < found <= best + 1e-6
        assert float(widest(k, k + 2, starts=2, steps=150)[1].max()) <= best + 1e-6
    points, margins = widest(5, 3, starts=3, steps=50)
    assert float(margin(points)) == pytest.approx(float(margins.max()))
    assert float(points.norm(dim=1).max()) <= 1 + 1e-9


def test_bad_arguments_are_named():
    for call, text in (
        (lambda: crossings([[0, 0, 0]]), "points"),
        (lambda: crossings([[0, np.nan]]), "points"),
        (lambda: segment_gaps(torch.zeros(3, 2)), "number of points"),
        (lambda: widest(10, 0), "dim"),
        (lambda: fewest_crossings(3), "k"),
    ):
        with pytest.raises(ValueError, match=text):
            call()
