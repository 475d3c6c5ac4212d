"""Chapter 14, transport and clusters: scenes, draws, evidence; every claim has its part."""

from __future__ import annotations

import re
from fractions import Fraction

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib.measures import matching
from mmlib.measures import transport_rates as closed
from mmlib.plots import ch14_transport as plots
from mmlib.studies.ch14 import assignment_cost, clusters, faces, rates, transport_identities
from mmlib.studies.ch14 import beside_transport as beside
from mmlib.studies.ch14 import evidence_transport as evidence
from mmlib.studies.ch14 import grids_transport as grids

STUDIES = (
    *(grids.SMALL, grids.LEMMA, grids.CROSS, grids.IDENTITIES, grids.FACES, grids.RATES),
    *(grids.MANIFOLDS, grids.SHEETS, grids.DEFINITION, grids.TIME, grids.STEP),
)
CLAIMS = (
    *("KM-cost-k3", "KM-cost-small", "KM-Def1", "KM-Prop1", "KM-Prop1-rate", "KM-Prop1-frac"),
    *("KM-Prop1-small", "KM-def-clust", "KM-Lem1", "KM-Lem1-m2", "KM-Lem1-cycle", "KM-Thm1"),
    *("KM-Thm1-var", "KM-Thm1-exact", "KM-Thm2", "KM-Thm2-eps", "KM-Thm2-void", "KM-nn"),
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(8)


# ------------------------------------------------------------------------------ clusters


def test_random_arrangements_have_a_least_distance_of_one(rng):
    found = clusters.centres_of("random", rng)
    apart = np.sqrt(matching.squared_distances(found, found))
    assert apart[~np.eye(6, dtype=bool)].min() == pytest.approx(1)
    with pytest.raises(ValueError, match="arrangement"):
        clusters.centres_of("circle", rng)


@pytest.mark.parametrize("d", (2, 3))
def test_points_fill_the_ball_evenly(d, rng):
    away = np.linalg.norm(clusters.in_ball(20_000, d, rng), axis=1)
    assert away.max() <= 1 and (away < 0.5).mean() == pytest.approx(0.5**d, abs=0.01)


def test_a_row_of_three_relays_and_a_triangle_does_not(rng):
    line = clusters.every_number("line3", 3, rng)
    triangle = clusters.every_number("triangle", 3, rng)
    assert line == {"more": 1.0, "flow": 0.0, "line": 0.0}
    assert triangle["more"] == triangle["flow"] == 0 < triangle["line"]


def test_the_angle_decides(rng):
    for name in ("pair", "triangle", "simplex", "square"):
        centres = clusters.centres_of(name, rng)
        if name != "square":  # its angle is 90 degrees without any radius
            assert clusters.corner_surplus(centres, clusters.radius_at(centres, 89.5)) <= 0
        low = 92.0 if name == "square" else 90.5
        assert clusters.corner_surplus(centres, clusters.radius_at(centres, low)) >= 1


def test_long_rows_have_one_match_for_each_gap():
    centres = np.array([[0.0, 0.0], [1, 0], [2, 0], [3, 0]])
    first = np.array([0, 1, 2]), np.array([1, 2, 3])
    table = clusters.matched_table((centres[first[0]], first[0]), (centres[first[1]], first[1]), 4)
    assert matching.cross_matches(table) == 3 and matching.least_cross([1, 1, 1, 0], [0, 1, 1, 1])


def test_share_of_cross_matches_is_that_of_the_closed_forms():
    size = {"ks": [4, 16], "points": 40_000, "least": 5, "most": 4000}
    for case, exact in (("uneven", closed.least_share), ("line3", closed.line_share)):
        arrangement, p = grids.CASES[case]
        found = clusters.cross_share({"arrangement": arrangement, "p": p} | size, 0)
        # at k = 4 the middle cluster of the row is often empty, so that matches pass two gaps
        assert found["share_16"] == pytest.approx(exact(16, p), rel=0.05)
        assert found["least_4"] == pytest.approx(closed.least_share(4, p), rel=0.05)


# ------------------------------------------------------------------------------ scenes


@pytest.mark.parametrize("name", faces.SCENES)
def test_scenes_are_as_far_apart_and_as_wide_as_they_say(name, rng):
    of = faces.scene(name)
    x, in_a = of.sample(4000, rng)
    assert in_a.mean() == pytest.approx(0.5, abs=0.05)
    assert faces.to_set(x[in_a], of.a).max() < 0 and faces.to_set(x[~in_a], of.b).max() < 0
    near = faces.to_set(x[in_a], of.b).min()
    assert of.distance <= near < of.distance + 0.1
    if name in ("discs", "walls", "large discs"):
        centre = x[in_a].mean(0)
        widest = np.linalg.norm(x[in_a] - centre, axis=1).max()
        assert 0.9 * of.radii[0] < widest < of.radii[0] + 0.05


def test_pieces_are_what_the_counterexample_needs():
    of = faces.scene("pieces")
    b, near, far = (np.array(one.centre) for one in (*of.b, *of.a))
    two_radii = 2 * of.b[0].radius
    to_b, between = np.linalg.norm(far - b) - two_radii, np.linalg.norm(far - near) - two_radii
    assert of.distance * (1 + of.epsilon) < to_b < np.hypot(of.distance, between)
    assert matching.widest_corner(np.stack([b, near, far]), of.b[0].radius).angle < 90
    gaps = np.array([[0, of.distance, to_b], [of.distance, 0, between], [to_b, between, 0]])
    assert matching.chain_cost(gaps)[0, 2] == to_b**2
    relay = faces.scene("relay")
    assert relay.a[1].centre == pytest.approx((2.26, 0.0)) and relay.epsilon == of.epsilon


def test_cross_matches_join_the_two_sets(rng):
    of = faces.scene("walls")
    found = faces.draw(of, 40, rng)
    assert len(found.a) and (faces.to_set(found.a, of.a) < 0).all()
    assert (faces.to_set(found.b, of.b) < 0).all() and found.lengths.min() >= of.distance
    wide = faces.outside_shell(of, found, 0.0)
    assert wide.mean() > 0.9 and not faces.outside_shell(of, found, 9.0).any()


def test_a_bridge_ends_what_pieces_keep_up():
    sizes = {"ks": [16, 512], "trials": [40, 12], "alpha": 1.0}
    pieces, bridge = (faces.faces({"scene": s} | sizes, 1) for s in ("pieces", "bridge"))
    assert pieces["far_512"] > 0.3 and pieces["outside_512"] > 0.2 > bridge["outside_512"]
    assert bridge["outside_16"] > bridge["outside_512"] and pieces["beyond_512"] == 0


def test_no_cross_match_is_no_error():
    found = faces.faces({"scene": "discs", "ks": [1], "trials": [2], "alpha": 1.0}, 4)
    assert all(np.isfinite(value) for value in found.values())


# ------------------------------------------------------------------------------ rates


def test_a_line_is_sorted_and_other_dimensions_are_assigned(rng):
    x, y = rng.random((2, 30, 1))
    flat = np.concatenate([x, np.zeros_like(x)], axis=1), np.concatenate([y, 0 * y], axis=1)
    assert rates.squared_lengths(x, y).sum() == pytest.approx(rates.squared_lengths(*flat).sum())


def test_cost_on_a_line_is_the_closed_form():
    size = {"ks": [32], "points": 64_000, "least": 1, "most": 2000}
    found = rates.rates({"dimension": 1, "support": "connected"} | size, 0)
    assert found["cost_32"] == pytest.approx(closed.uniform_line_cost(32), rel=0.06)


def test_departures_of_known_segments():
    right = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    assert rates.departures("circle", *right)[0] == pytest.approx(1 - np.sqrt(0.5))
    curve, _ = rates.roll()
    on = np.concatenate([curve[[100]], [[3.0]]], axis=1)
    assert rates.departures("swiss", on, on)[0] < 1e-12
    across = curve[[0]], curve[[10_000]]  # one turn apart: the middle is the farthest
    gap = np.linalg.norm(across[0] - across[1])
    assert 0.4 * gap < rates.departures("swiss", *across)[0] <= gap / 2
    assert rates.roll_radius() == pytest.approx(np.pi, rel=0.02)


def test_markov_bound_holds_and_half_of_it_fails(rng):
    assert max(rates.two_points(16, rng) for _ in range(50)) <= 0
    assert max(rates.two_points(16, rng, factor=4.0) for _ in range(50)) > 0


def test_sheets_are_mixed_unless_the_labels_cost():
    size = {"ks": [128], "points": 2560, "least": 2, "most": 50}
    found = rates.sheets(size, 0)
    assert found["features_128"] == pytest.approx(0.5, abs=0.05)
    assert found["joint_128"] < 0.15


def test_radii_on_a_grid():
    found = rates.definition({"lengths": [0.5], "spacing": 0.03}, 2)
    shapes = [found[name] for name in ("circle", "arc", "ellipse", "two", "open_0.5")]
    assert np.abs(shapes).max() < 0.06 < found["ellipse_control"]


# ------------------------------------------------------------------------------ identities, cost


def test_identities_hold_and_their_controls_fail():
    found = transport_identities.transport_identities(
        {"ks": (1, 2, 8, 256), "k": 32, "trials": 300}, 5
    )
    for name, tolerance in (("ways", 1e-9), ("bound", 0), ("limit", 0.01), ("shell", 0),
                            ("nn", 0), ("cover", 1e-9)):  # fmt: skip
        assert found[f"{name}_error"] <= tolerance < found[f"{name}_control"], name
    assert found["rare_ratio"] < 0.5 and found["shell_diameter"] > 0


def test_algebra_by_hand():
    r, d = Fraction(1), Fraction(2)
    delta = r**2 / (4 * d**2)
    epsilon = 2 * delta + r**2 / (2 * d**2)
    assert epsilon == Fraction(1, 4)
    assert d**2 * ((1 + epsilon) ** 2 - (1 + 2 * delta) ** 2) == Fraction(19, 16)


def test_costs_and_times(rng):
    cost = assignment_cost.cost_matrix("products", 6, rng)
    assert cost[2, 3] == 12 and assignment_cost.cost_matrix("vectors", 4, rng).shape == (4, 4)
    with pytest.raises(ValueError, match="kind"):
        assignment_cost.cost_matrix("images", 4, rng)
    found = assignment_cost.assignment_time({"cost": "points", "ks": (8, 256), "repeats": 2}, 0)
    assert 0 < found["ms_8"] < found["ms_256"]


def test_matching_beside_a_step():
    settings = {"data": "digits", "batch": 16, "ks": (1, 4, 32), "rounds": 2, "width": 6}
    found = assignment_cost.matching_share(settings, 0)
    assert found["step_ms"] > 0 and found["over_4"] > 0 and "over_32" not in found


# ------------------------------------------------------------------------------ evidence


def test_slopes_are_those_of_powers():
    k = np.array([1, 2, 4, 8])
    table = pd.DataFrame([k**-0.5, 3.0 * k**-2.0], columns=k)
    assert evidence.slopes(table, 1) == pytest.approx([-0.5, -2.0])
    table[4] = 0.0
    assert evidence.slopes(table, 1) == pytest.approx([-0.5, -2.0])
    assert np.isnan(evidence.slopes(table[[4]], 1)).all()


def test_every_claim_has_its_evidence():
    found = {claim: study.name for study in STUDIES for claim in study.claims}
    assert sorted(found) == sorted(CLAIMS)


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_each_size_has_cells_and_the_same_settings(study):
    keys = {profile: set(study.grid[profile][0]) for profile in ("smoke", "quick", "paper")}
    assert keys["smoke"] == keys["quick"] == keys["paper"]


# ------------------------------------------------------------------------------ beside


def test_gaps_that_suffice_are_the_derived_ones():
    table = beside.corners()["gap that suffices"]
    assert table["pair"] == pytest.approx(2 * np.sqrt(2) - 2, abs=1e-6)
    assert table["triangle"] == pytest.approx(2 / np.sin(np.radians(15)) - 2, abs=1e-6)
    assert np.isinf(table[["square", "line3", "line4"]]).all()


def test_rows_over_the_bound_follow_their_formula():
    for m, found in beside.rows_over_bound((2, 3, 5)).items():
        total = sum(np.sqrt(j * (m - j)) for j in range(1, m))
        limit = np.sqrt(8 / np.pi) * total / (m * np.sqrt(m - 1))
        assert found == pytest.approx(limit, rel=2e-3)


def test_bars_relay_and_hardly_jump():
    found = beside.bars(32, 60)
    assert found["over"] > 1.3 and found["jumps"] < 0.1 < found["fewest_jumps"]


def test_chances_of_the_counterexample():
    limit, found = beside.far_chance(20_000, 4096)
    assert found == pytest.approx(limit, abs=0.02)
    of = faces.scene("pieces")
    rng = np.random.default_rng(0)
    far = [(of.a[1].distance(faces.draw(of, 64, rng).a) < 0).any() for _ in range(300)]
    assert np.mean(far) == pytest.approx(beside.far_chance(20_000, 64)[1], abs=0.08)


def test_long_matches_of_a_line_are_a_share_of_all():
    assert beside.long_share(2000, 600) == pytest.approx(beside.long_share_on_a_line(), abs=0.015)


def test_two_intervals_cost_what_theorem_1_says():
    assert beside.pieces_on_a_line(20_000, 300) == pytest.approx(np.pi**-0.5, abs=0.1)


def test_near_parts_of_faces_are_not_near_each_other():
    longest, taken = beside.shell_pairs("walls")
    assert longest > taken + 0.2


def test_figure_of_the_chain_shows_two_cheaper_matches():
    figure = plots.chain_or_jump()
    numbers = [re.findall(r"\d+", ax.get_title()) for ax in figure.axes]
    (two, cheap), (one, dear) = (map(int, pair) for pair in numbers)
    plt.close(figure)
    assert (two, one) == (2, 1) and cheap < dear
