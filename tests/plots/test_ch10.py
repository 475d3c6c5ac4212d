"""Figures of chapter 10 draw what the runs hold."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mmlib.measures.conflict import arrangement_loss
from mmlib.measures.conflict_clouds import crossing_rate
from mmlib.measures.drawings import crossings
from mmlib.plots import ch10 as figures
from mmlib.plots import ch10_theory as theory
from mmlib.studies import ch10
from mmlib.studies.ch10.moving import SPACES


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Smoke runs of the chapter's studies, in a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMLIB_RESULTS", str(tmp_path_factory.mktemp("results")))
        studies = ("CLOUDS", "MARGINS", "MOVING", "SPIRAL", "FILM")
        yield {
            name: getattr(ch10, name).collect("smoke", n_seeds=1, n_jobs=1, progress=False)
            for name in studies
        }


def line_of(ax, label):
    return next(one for one in ax.lines if one.get_label() == label)


def test_best_answer_lies_between_what_the_pairs_ask():
    axes = theory.on_a_line(["A B A"]).axes
    (best,) = [one for one in axes[1].lines if one.get_label() == "best answer"]
    z, t = best.get_data()
    assert t == pytest.approx(2 / 3 * z, abs=1e-9)  # by hand, for alpha = 1
    steep = theory.on_a_line(["A B A"], alpha=0.3).axes[1]
    other = line_of(steep, "best answer").get_ydata()
    assert ((0 <= other) & (other <= z + 1e-9)).all() and np.abs(other - t).max() > 0.02


def test_excess_by_alpha_is_that_of_the_measure():
    (ax,) = theory.excess_by_alpha([0.5, 2.0]).axes
    for name, (points, labels) in ch10.NAMED.items():
        drawn = line_of(ax, name).get_ydata()
        assert drawn[1] == pytest.approx(arrangement_loss(points, labels, alpha=2.0).excess)


def test_drawings_mark_every_crossing_where_it_is():
    figure, ax = plt.subplots()
    square = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])
    assert theory.drawing(ax, square) == 1
    (cross,) = [one for one in ax.lines if one.get_marker() == "x"]
    assert cross.get_xydata().tolist() == [[1.0, 1.0]]
    titles = [ax.get_title() for ax in theory.drawings({"a": square, "b": square[:3]}).axes]
    assert titles == ["a\n1 crossing", "b\n0 crossings"]


def test_best_points_keep_their_crossings(runs):
    table = runs["MARGINS"].table
    for k in (5, 10):
        points = theory.best_points(runs["MARGINS"], k, 2)
        found = table[(table["classes"] == k) & (table["dim"] == 2)]["crossings"].min()
        assert crossings(points) == found
        assert points.T @ points == pytest.approx(np.eye(2), abs=1e-6)
    left, right = theory.rooms(runs["MARGINS"]).axes
    assert list(line_of(left, "least possible").get_ydata()) == [0, 1, 3, 9, 19, 36, 62]
    assert len(line_of(right, "found").get_xdata()) == 7


def test_clouds_are_drawn_beside_their_limits(runs):
    (ax,) = theory.shrinking(runs["CLOUDS"]).axes
    rate = line_of(ax, "c s of the square")
    x, y = rate.get_data()
    square = [[1, 0], [0, 1], [-1, 0], [0, -1]]
    assert y / x == pytest.approx(np.full(len(x), crossing_rate(square)))
    limit = line_of(ax, "limit on a line").get_ydata()[0]
    assert limit == pytest.approx(arrangement_loss([-1.0, 0.0, 1.0], [0, 1, 2]).excess)
    left, right = theory.directions(runs["CLOUDS"]).axes
    drawn = [bars.lines[0].get_xdata()[0] for bars in left.containers]
    table = runs["CLOUDS"].table
    keys = ("across", "turned", "prism", "prism_turned")
    assert drawn == pytest.approx([table[key].iloc[0] for key in keys])
    assert len(right.containers[0].lines[0].get_xdata()) == len(ch10.ANGLES)


def test_the_barrier_has_its_peak_on_the_side_of_the_triangle():
    _, right = theory.barrier((0.05, 0.1), samples=150, places=9).axes
    heights, excess = right.containers[0].lines[0].get_data()
    assert abs(heights[np.argmax(excess)] + 0.5) < 0.2 and excess[-1] < excess[0] < excess.max() / 2


@pytest.mark.parametrize(("classes", "dim"), [(3, 1), (4, 2), (5, 3), (2, 2)])
def test_moving_points_in_any_dimension(classes, dim):
    moved = ch10.move(classes, dim, starts=2, steps=6, width=8)
    *drawings, right = figures.moving_points(moved, 1.0, start=1).axes
    titles = [ax.get_title() or ax.get_title("left") for ax in drawings]
    assert "update 0" in titles[0] and "update 6" in titles[2]
    assert all(("crossing" in title) == (dim == 2) for title in titles)
    assert line_of(right, "loss").get_ydata() == pytest.approx(moved.losses[:, 1])
    labels = [one.get_label() for one in right.lines]
    assert ("floor of the points" in labels) == (dim == 1)


def test_summaries_of_moving_points(runs):
    moving = runs["MOVING"]
    left, right = figures.where_they_end(moving).axes
    assert len(left.get_xticklabels()) == len({(4, 2)} | set(SPACES))
    ends = [one for one in right.lines if one.get_marker() == "D"]
    table = moving.table[(moving.table["way"] == "mixed") & (moving.table["noise"] == 0)]
    plane = table[(table["dim"] == 2) & (table["classes"] >= 4)].sort_values("classes")
    drawn = [one.get_ydata()[0] for one in ends]
    assert drawn == pytest.approx(plane["crossings_end"].tolist())
    (ax,) = figures.price_of_crossings(moving).axes
    assert len(ax.lines) == 3
    tight, tangled, excess = figures.concentration(moving).axes
    noisy = moving.table[(moving.table["noise"] > 0) & (moving.table["classes"] == 4)]
    assert len(excess.lines) == len(noisy) == 3
    assert len(tight.lines) == len(tangled.lines) == 9


def test_spirals_are_drawn_by_method(runs):
    spirals, film = runs["SPIRAL"], runs["FILM"]
    axes = figures.spiral_measures(spirals, 2.0).axes
    assert len(axes) == len(figures.MEASURES)
    drawn = [bars.lines[0].get_xdata()[0] for bars in axes[3].containers]
    row = spirals.table[spirals.table["alpha"] == 2.0].iloc[0]
    assert drawn == pytest.approx([row[f"conflict_{name}"] for name in row["methods"]])
    left, _ = figures.spiral_curves(spirals, 2.0).axes
    assert left.lines[0].get_ydata()[-1] == pytest.approx(row["ratio_none"], rel=1e-4)
    axes = figures.spiral_codes(film).axes
    arrays = film.arrays(0)
    last = np.concatenate([c.get_offsets() for c in axes[-len(ch10.SHOWN)].collections])
    of_class = np.argsort(arrays["labels"], kind="stable")
    np.testing.assert_allclose(last, arrays["codes"][-1, 0][of_class], rtol=1e-6)
    assert f"epoch {arrays['epochs'][-1]}" in axes[-len(ch10.SHOWN)].get_ylabel()


@pytest.mark.parametrize("code", [1, 3])
def test_codes_of_other_widths_are_drawn(code):
    h = np.random.default_rng(0).normal(size=(40, code))
    _, ax = plt.subplots()
    figures._cloud(ax, h, np.arange(40) % 2)
    assert len(ax.collections) == 2 and len(ax.collections[0].get_offsets()) == 20


def test_comparisons_are_paired(runs):
    table = ch10.comparisons(runs["SPIRAL"])
    row = runs["SPIRAL"].table[runs["SPIRAL"].table["alpha"] == 2.0].iloc[0]
    wanted = row["conflict_none"] - row["conflict_manifold"]
    assert table.loc[(2.0, "excess of mixes, nats"), "lower by"] == pytest.approx(wanted, abs=1e-3)
