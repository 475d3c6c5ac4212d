"""Matchings between clusters, closed forms of random matchings, neighbourhoods in the plane."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from mmlib.measures import matching
from mmlib.measures import transport_rates as closed
from mmlib.measures.neighbourhoods import injectivity_radius, topology, topology_changes


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


# ------------------------------------------------------------------------------ matchings


def test_matching_is_the_best_of_all_permutations(rng):
    for k, d in ((1, 2), (3, 1), (5, 3)):
        x, y = rng.normal(size=(2, k, d))
        found = matching.optimal_partners(x, y)
        every = matching.all_optimal_partners(x, y)
        assert len(every) == 1 and (every[0] == found).all()
        least = min(
            sum(((x[i] - y[j]) ** 2).sum() for i, j in enumerate(order))
            for order in itertools.permutations(range(k))
        )
        assert np.square(x - y[found]).sum() == pytest.approx(least)


def test_far_away_points_lose_no_digits():
    x = 1e8 + np.array([[0.0], [1.0], [2.0]])
    assert matching.optimal_partners(x, x[::-1] + 0.25).tolist() == [2, 1, 0]


def test_each_two_pairs_of_an_optimal_matching_look_apart(rng):
    x, y = rng.normal(size=(2, 30, 2))
    y = y[matching.optimal_partners(x, y)]
    for i, j in itertools.combinations(range(30), 2):
        assert (x[i] - x[j]) @ (y[j] - y[i]) <= 1e-12


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([[0.0]], [[0.0], [1.0]], "as many points in both batches"),
        ([[0.0]], [[0.0, 1.0]], "one dimension"),
        ([], [], r"\(k, d\) points"),
        ([[0.0], [1.0, 2.0]], [[0.0], [1.0]], "rows of several sizes"),
        ([[math.nan]], [[0.0]], "finite"),
        ([[math.inf]], [[0.0]], "finite"),
    ],
)
def test_batches_that_cannot_be_matched_are_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        matching.optimal_partners(x, y)


def test_tables_count_pairs():
    table = matching.flow_table([0, 0, 1, 2], [1, 0, 2, 2], 3)
    assert table.tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 1]]
    assert matching.cross_matches(table) == 2 and matching.relays(table).tolist() == [1]
    assert not matching.has_cycle(table)
    assert matching.has_cycle(table + np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0]]))
    with pytest.raises(ValueError, match="numbers below 2, but got 2"):
        matching.flow_table([0, 2], [1, 0], 2)


def test_numbers_that_do_not_fit_are_refused():
    for function in (matching.least_cross, matching.line_cross):
        with pytest.raises(ValueError, match="as many points in both batches"):
            function([1, 2], [1, 1])
        with pytest.raises(ValueError, match=">= 0"):
            function([-1, 2], [1, 0])
        with pytest.raises(ValueError, match="whole numbers"):
            function([0.5, 0.5], [1, 0])
    with pytest.raises(ValueError, match=r"distances: expected \(2, 2\)"):
        matching.cheapest_flow([1, 0], [0, 1], [[0.0, 1.0, 2.0]] * 3)


def test_no_relay_means_the_least_number_and_only_then(rng):
    seen = set()
    for _ in range(300):
        first, second = rng.integers(3, size=(2, 5))
        table = matching.flow_table(first, second, 3)
        if matching.has_cycle(table):
            continue
        surplus = matching.cross_matches(table) - matching.least_cross(table.sum(1), table.sum(0))
        assert (surplus == 0) == (len(matching.relays(table)) == 0)
        seen.add(bool(surplus))
    assert seen == {True, False}


def test_linear_program_agrees_with_assigned_points(rng):
    for _ in range(20):
        centres = rng.normal(size=(4, 2))
        own = [rng.integers(4, size=7) for _ in range(2)]
        partner = matching.optimal_partners(centres[own[0]], centres[own[1]])
        apart = np.sqrt(matching.squared_distances(centres, centres))
        r, s = (np.bincount(one, minlength=4) for one in own)
        flow = matching.cheapest_flow(r, s, apart)
        assert (flow.sum(1) == r).all() and (flow.sum(0) == s).all()
        assigned = (apart[own[0], own[1][partner]] ** 2).sum()
        assert (flow * apart**2).sum() == pytest.approx(assigned)


# ------------------------------------------------------------------------------ the angle


def test_corner_of_two_balls_is_right_at_twice_the_root_of_two():
    length = 2 * math.sqrt(2)
    assert matching.widest_corner([[0, 0], [length, 0]], 1.0).angle == pytest.approx(90)
    assert matching.widest_corner([[0, 0], [length, 0], [0, length]], 0.0).angle == 90


@pytest.mark.parametrize("d", (2, 3, 5))
def test_worst_points_lie_in_their_balls_and_take_the_whole_angle(d, rng):
    for _ in range(20):
        centres = rng.normal(size=(4, d))
        apart = np.sqrt(matching.squared_distances(centres, centres))
        radius = 0.2 * apart[apart > 0].min()
        corner = matching.widest_corner(centres, radius)
        first, second = matching.corner_batches(centres, radius)
        homes = centres[[corner.source, corner.relay, corner.relay, corner.target]]
        away = np.linalg.norm(np.concatenate([first, second]) - homes, axis=1)
        assert away.max() <= radius * (1 + 1e-9)
        u, v = first[0] - first[1], second[1] - second[0]
        angle = np.degrees(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v)))
        assert angle == pytest.approx(min(corner.angle, 360 - corner.angle), abs=1e-4)


def test_worst_points_of_balls_in_a_row():
    for length in (2.1, 4.0):
        first, second = matching.corner_batches([[0, 0], [length, 0], [2 * length, 0]], 1.0)
        assert (first[0] - first[1]) @ (second[1] - second[0]) < 0


def test_no_random_points_look_wider_than_the_corner(rng):
    centres = np.array([[0.0, 0.0], [3.0, 0.0], [1.0, 3.5]])
    bound = matching.widest_corner(centres, 0.5).angle
    widest = 0.0
    for _ in range(2000):
        i, relay, j = rng.integers(3, size=3)
        if relay in (i, j):
            continue
        way = rng.normal(size=(4, 2))
        points = 0.5 * way / np.linalg.norm(way, axis=1, keepdims=True)
        u = centres[i] + points[0] - centres[relay] - points[1]
        v = centres[j] + points[2] - centres[relay] - points[3]
        angle = np.degrees(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v)))
        widest = max(widest, angle)
    assert bound - 15 < widest <= bound + 1e-9


def test_balls_that_touch_are_refused():
    with pytest.raises(ValueError, match="distances above 2, but got 1"):
        matching.widest_corner([[0.0, 0.0], [1.0, 0.0]], 1.0)
    with pytest.raises(ValueError, match="at least 2, but got 1"):
        matching.widest_corner([[0.0, 0.0]], 1.0)


def test_chains_are_shortest_paths():
    gaps = np.array([[0, 1, 3, 9], [1, 0, 1.5, 9], [3, 1.5, 0, 1], [9, 9, 1, 0.0]])
    found = matching.chain_cost(gaps)
    assert found[0, 2] == 1 + 1.5**2 and found[0, 3] == 1 + 1.5**2 + 1
    with pytest.raises(ValueError, match="symmetric"):
        matching.chain_cost([[0.0, 1.0], [2.0, 0.0]])


# ------------------------------------------------------------------------------ closed forms


@pytest.mark.parametrize("k", (1, 2, 5, 12))
@pytest.mark.parametrize("p", (0.5, 0.2))
def test_mean_difference_by_listing_all_outcomes(k, p):
    plain = sum(
        abs(a - b) * math.comb(k, a) * math.comb(k, b) * p ** (a + b) * (1 - p) ** (2 * k - a - b)
        for a, b in itertools.product(range(k + 1), repeat=2)
    )
    assert closed.mean_difference(k, p) == pytest.approx(plain)
    assert closed.mean_difference_by_returns(k, p) == pytest.approx(plain)
    if p == 0.5:
        assert closed.equal_clusters(k) == pytest.approx(plain)


def test_ratio_to_the_bound_rises_to_its_limit_for_equal_clusters():
    ratio = [closed.equal_clusters(k) / closed.jensen_bound(k, 0.5) for k in (1, 4, 64, 4096)]
    assert ratio[0] == pytest.approx(1 / math.sqrt(2)) and ratio == sorted(ratio)
    assert ratio[-1] == pytest.approx(math.sqrt(2 / math.pi) * (1 - 1 / (8 * 4096)), rel=1e-7)


def test_shares_of_clusters_against_simulated_numbers(rng):
    p, k = [0.5, 0.2, 0.3], 9
    r, s = rng.multinomial(k, p, size=(2, 100_000))
    least = np.abs(r - s).sum(1).mean() / (2 * k)
    line = np.abs(np.cumsum(r - s, axis=1)).sum(1).mean() / k
    assert closed.least_share(k, p) == pytest.approx(least, rel=0.01)
    assert closed.line_share(k, p) == pytest.approx(line, rel=0.01)
    assert closed.least_share(k, p) < closed.line_share(k, p)
    assert closed.least_share(k, p) < closed.share_bound(k, p)


def test_rows_of_clusters_exceed_the_bound_for_large_k():
    for m, limit in ((3, 1.064), (4, 1.258)):
        p = [1 / m] * m
        ratio = closed.line_share(2000, p) / closed.share_bound(2000, p)
        assert ratio == pytest.approx(limit, abs=2e-3)


def test_cost_on_a_line_against_sorted_samples(rng):
    for k in (1, 3, 20):
        x, y = np.sort(rng.random((2, 20_000, k)), axis=2)
        assert closed.uniform_line_cost(k) == pytest.approx(((x - y) ** 2).mean(), rel=0.03)


def test_lone_points_by_listing(rng):
    p, k = [0.6, 0.3, 0.1], 4
    expected = 0.0
    for draw in itertools.product(range(3), repeat=k):
        chance = math.prod(p[i] for i in draw)
        expected += chance * sum(draw.count(i) == 1 for i in range(3))
    assert closed.lone_points(k, p) == pytest.approx(expected)


def test_probabilities_of_no_clusters_are_refused():
    for function in (closed.least_share, closed.line_share, closed.share_bound):
        with pytest.raises(ValueError, match="sum to 1"):
            function(4, [0.5, 0.2])
        with pytest.raises(ValueError, match="non-empty clusters"):
            function(4, [1.0, 0.0])
    with pytest.raises(ValueError, match="k: expected an integer >= 1"):
        closed.mean_difference(0, 0.5)


# ------------------------------------------------------------------------------ neighbourhoods


def test_pieces_and_holes_of_drawings():
    assert topology([[1, 0, 1]]) == (2, 0)
    assert topology(np.kron([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.ones((3, 3)))) == (1, 1)
    assert topology([[1, 0], [0, 1]]) == (1, 0)  # of the set corners hang together
    with pytest.raises(ValueError, match="not empty"):
        topology([[0, 0]])


def test_two_points_join_at_half_their_distance():
    points = np.array([[0.0, 0.0], [2.0, 0.0]])
    found = topology_changes(points, [0.9, 1.1], 0.05)
    assert [now.pieces for _, now in found] == [2, 1]
    assert injectivity_radius(points, [0.5, 0.9], 0.05) == math.inf
    with pytest.raises(ValueError, match="radius"):
        topology_changes(points, [0.05], 0.05)
