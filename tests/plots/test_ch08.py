"""Figures of chapter 08 draw what the runs hold, on runs made up for the purpose."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib.plots import ch08 as figures
from mmlib.plots import look
from mmlib.studies.ch08 import beside, critics
from mmlib.studies.ch08.grids import CODES, DECODED, DIMENSIONS, LAYERS
from mmlib.studies.ch08.judged import LAMS

SEEDS = 3
LAYER_METRICS = (
    *("rank", "participation", "share95", "two_nn", "mid", "own_points", "arc_points", "own_paths"),
    *("overlap", "overlap_shuffled", "overlap_random", "spread", "inside", "cosine"),
    *("cosine_mean", "mid_third", "end_third", "gap_mid", "error", "means_crossed"),
    *("means_crossed_white", "margin_rank"),
)
SHARES = ("own_yard", "real_yard", "own_pixel_yard", "pixel_yard", "distance", "points")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def made_up(cells: list[dict], arrays=None):
    """Runs of a few seeds; each cell names its own metrics, `arrays` maps a row to arrays."""
    table = pd.DataFrame([cell | {"seed": seed} for cell in cells for seed in range(SEEDS)])
    read = arrays if callable(arrays) else lambda row: arrays or {}
    return SimpleNamespace(table=table, arrays=lambda index: read(table.loc[index]))


@pytest.fixture
def states():
    cells, number = [], 0.0
    for data, layers in LAYERS.items():
        for method in ("none", "manifold", "untrained"):
            cell = {"data": data, "method": method, "accuracy": 90.0, "eye_accuracy": 95.0}
            for layer in layers:
                for name in LAYER_METRICS:
                    number += 1
                    cell[f"{name}_{layer}"] = number
            for kind in beside.KINDS:
                places = [""] if kind in ("pixel", "noise") else [f"_{one}" for one in layers[1:]]
                for place in places:
                    cell |= {f"{share}_{kind}{place}": number for share in SHARES}
            cells.append(cell)

    def arrays(row):
        found = {}
        for layer in LAYERS[row["data"]]:
            found[f"own_{layer}"] = np.linspace(0, 0.1, 21)
            for kind in beside.KINDS:
                place = "" if kind in ("pixel", "noise") else f"_{layer}"
                found[f"own_yard_{kind}{place}"] = np.full(len(LAMS), 0.5)
                if kind in ("hidden", "pixel", "blurred"):
                    found[f"third_{kind}{place}"] = np.full(len(LAMS), 0.25)
        return found

    return made_up(cells, arrays)


@pytest.fixture
def judged():
    cells = [
        {"data": data, "method": method, "plausible_hidden": 10.0, "plausible_pixel": 5.0}
        for data in LAYERS
        for method in ("none", "manifold")
    ]

    def arrays(row):
        shift = 0.1 * row["seed"]
        found = {f"by_lam_{kind}": np.full(9, 0.2 + shift) for kind in critics.KINDS}
        return found | {"overlaps": np.linspace(0, 1, 45), "pairs_hidden": np.linspace(0, 0.5, 45)}

    return made_up(cells, arrays)


@pytest.fixture
def widths():
    metrics = {f"paths_{m}": v for m, v in (("none", 60.0), ("input", 55.0), ("manifold", 50.0))}
    return made_up([{"code": code, "digits": tuple(range(10))} | metrics for code in CODES])


@pytest.fixture
def triangles():
    names = ("gaussian", "gaussian_expected", "sphere", "sphere_expected", "crossed_gaussian")
    return made_up(
        [
            {"dimension": d, "bound": 46.7 if d == 2 else 0.0} | dict.fromkeys(names, 100.0 / d)
            for d in DIMENSIONS
        ]
    )


def labels(ax) -> list[str]:
    return [line.get_label() for line in ax.get_lines() if not line.get_label().startswith("_")]


def test_dimensions_have_a_panel_a_measure_and_a_line_a_method(states):
    figure = figures.dimensions(states, "mnist")
    assert len(figure.axes) == len(figures.MEASURES)
    for ax, measure in zip(figure.axes, figures.MEASURES, strict=True):
        assert labels(ax) == ["no mixup", "Manifold Mixup", "untrained"]
        own = figures.values(states, f"{measure}_block2", data="mnist", method="none")
        assert ax.get_lines()[0].get_ydata()[2] == own.mean()


def test_critics_draw_every_kind_in_percent(judged):
    figure = figures.critics(judged)
    for ax in figure.axes[:2]:
        drawn = labels(ax)
        assert len(drawn) == 7 and "not mixed" in drawn
        assert ax.get_lines()[0].get_ydata() == pytest.approx(np.full(9, 30.0))


def test_plausible_and_third_draw_what_is_there(states):
    figure = figures.plausible(states)
    assert labels(figure.axes[0]) == [style.label for style in figures.KINDS.values()]
    assert figure.axes[0].get_lines()[0].get_ydata() == pytest.approx(np.full(len(LAMS), 50.0))
    left, right = figures.third(states, "cifar10").axes
    assert len(labels(left)) == 2 * len(LAYERS["cifar10"]) and len(labels(right)) == 4
    assert right.get_lines()[0].get_ydata().max() == 25.0


def test_runs_without_a_curve_draw_no_line(states):
    states.arrays = lambda index: {}
    left, right = figures.third(states, "mnist").axes
    assert labels(left) == labels(right) == []


def test_by_width_shows_the_bound_and_random_means(widths, triangles):
    (ax,) = figures.by_width(widths, triangles).axes
    assert labels(ax)[:3] == [look(m).label for m in ("none", "input", "manifold")]
    heights = [set(np.round(line.get_ydata(), 1)) for line in ax.get_lines()]
    assert {46.7} in heights
    assert figures.obtuse(triangles).axes[0].get_xscale() == "log"


def test_shell_and_sharing_name_each_method_once(states, judged):
    left, right = figures.shell(states).axes
    shown = [text.get_text() for text in right.get_legend().get_texts()]
    assert shown == ["no mixup", "Manifold Mixup"]
    left, right = figures.sharing(states, judged).axes
    assert len(left.get_legend().get_texts()) == 4
    assert len(right.collections[0].get_offsets()) == 45


def test_circle_has_neighbours_only():
    left, _ = figures.circle(7).axes
    thick = [line for line in left.get_lines() if line.get_linewidth() > 2]
    assert len(left.get_lines()) == 21 and 5 <= len(thick) <= 7


def test_noise_has_a_line_for_each_data_set():
    cells = [{"data": data, "pool": 1, "left": 1.0} for data in LAYERS]
    arrays = {
        "outside_by_dimension": np.stack([np.linspace(0, 1, 5)] * 3),
        "left_by_sigma": np.arange(4.0),
        "left_by_sigma_shuffled": np.arange(4.0) + 1,
    }
    left, right = figures.noise(made_up(cells, arrays)).axes
    assert len(labels(left)) == 5 and len(labels(right)) == 4


@pytest.fixture
def pictures():
    def arrays(row):
        side, channels = (28, 1) if row["data"] == "mnist" else (32, 3)
        image = np.full((2, 11, channels, side, side), 128, np.uint8)
        found = {"lams": np.linspace(0, 1, 11), "ends": np.array([[3, 5], [1, 7]])}
        for name in ("pixel", *DECODED[row["data"]]):
            found |= {f"hidden_{name}": image, f"eye_{name}": np.full((2, 11), 4, np.uint8)}
        return found | {"pixel": image}

    return made_up([{"data": d, "method": m} for d in LAYERS for m in ("none", "manifold")], arrays)


@pytest.mark.parametrize(("data", "rows"), [("mnist", 5), ("cifar10", 3)])
def test_pictures_have_a_row_for_pixels_and_each_decoder(pictures, data, rows):
    names = [f"class {i}" for i in range(10)]
    figure = figures.strip(pictures, data, 0, names)
    assert len(figure.axes) == 11 * rows
    assert figure.axes[0].get_title("center") == "class 4"
    half = figures.halfway(pictures, data, names)
    assert len(half.axes) == 2 * (rows + 2)
    pixel = figures.rows_of(pictures, data)[0][1]["pixel"]
    for row, step in enumerate((10, 0, 5)):  # both ends, then the mixes of pixels
        shown = half.axes[2 * row + 1].images[0].get_array()
        assert np.array_equal(shown, figures._shown(pixel[1, step]))


def test_tables_have_a_row_for_what_was_measured(states, judged, widths):
    assert len(beside.networks(states)) == 6
    shares = beside.shares(states)
    assert list(shares.index[:2]) == ["mnist, hidden", "mnist, blurred"] and len(shares) == 12
    assert beside.sphere(states).shape == (10, 4)
    assert beside.predicted(states).shape == (4, 4)
    found = beside.statements(states, judged, widths)
    assert found.loc[0, "ours"] == 10.0 and found["ours"].iloc[-1] == 50.0
    assert all(len(row) == 3 and all(row) for row in beside.DIFFERENCES.values())
