"""Figures and tables of chapter 09 show what the runs hold, on runs made up for the purpose."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from mmlib.evidence.execute import tupled
from mmlib.plots import ch09 as figures
from mmlib.plots import look
from mmlib.studies import ch09
from mmlib.studies.ch09 import beside
from mmlib.studies.ch09.evidence import LOWER
from mmlib.studies.ch09.experiments import CURVES, SIDE
from mmlib.studies.ch09.halves import HALVES

SEEDS = 3
TEXT = figures.cell_of("text", ch09.FIVE)
CELLS = {"text": TEXT, "released": figures.cell_of("released", ch09.TEN)}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def arrays_of(cell: dict, seed: int) -> dict:
    rng = np.random.default_rng(seed)
    methods, classes = cell.get("methods", tuple(HALVES)), len(cell["digits"])
    epochs = 4
    lead = (epochs, 3) if cell.get("frames") else (3,)
    return {
        "curves": rng.random((epochs, len(methods), len(CURVES))),
        "means": rng.normal(size=(len(methods), classes, 2)),
        "points": rng.normal(size=(*lead, 20, 2)),
        "labels": np.arange(20) % classes,
        "regions": rng.integers(0, 20 * classes, (*lead, SIDE, SIDE)).astype(np.uint8),
        "box": np.broadcast_to([0.5, -0.5, 2.0], (*lead, 3)),
    }


def made_up(study, **changes):
    """Runs of a few seeds with distinct metrics in every cell."""
    rng, rows = np.random.default_rng(0), []
    sites = [
        f"{kind}_{site}" for kind in ("turns", "unsure") for site in ("input", "layer1", "code")
    ]
    measures = [*LOWER, *sites, "spread", "accuracy", "confident", "margin_white"]
    for cell in study.grid["quick"]:
        cell = tupled(dict(cell)) | changes
        names = cell.get("methods", tuple(HALVES))
        for seed in range(SEEDS):
            metrics = {f"{m}_{name}": rng.uniform(1, 2) for m in measures for name in names}
            rows.append(cell | {"seed": seed} | metrics)
    table = pd.DataFrame(rows)
    return SimpleNamespace(
        table=table, arrays=lambda row: arrays_of(dict(table.loc[row]), int(row))
    )


@pytest.fixture(scope="module")
def plane():
    return made_up(ch09.PLANE)


def title(ax) -> str:
    return ax.get_title() or ax.get_title(loc="left")


def test_planes_show_codes_box_and_digits(plane):
    axes = np.array(figures.planes(plane, CELLS).axes).reshape(2, 3)
    arrays = arrays_of(dict(plane.table.loc[0]), 0)
    for column in range(3):
        drawn = axes[0, column].collections[0].get_offsets()
        assert np.allclose(drawn, arrays["points"][column])
        assert axes[0, column].get_xlim() == (-1.5, 2.5)
        assert {text.get_text() for text in axes[0, column].texts} == set("01234")
    assert {text.get_text() for text in axes[1, 0].texts} == set("0123456789")
    assert title(axes[0, 2]) == look("manifold").label


def test_surer_regions_are_deeper_and_of_the_colour_of_their_class():
    regions = np.zeros((2, 2), dtype=np.uint8)
    regions[0, 1], regions[1] = 19, (20, 39)
    _, ax = plt.subplots()
    figures.plane(ax, regions, np.array([0, 0, 1]), np.zeros((1, 2)), np.array([0]), (3, 7))
    image = ax.images[0].get_array()
    assert (image[0, 1] < image[0, 0]).all() and (image[1, 1] < image[1, 0]).all()
    hue = (1 - image[0, 0]) / (1 - image[0, 0]).max()
    assert np.allclose(hue, (1 - image[0, 1]) / (1 - image[0, 1]).max())
    assert not np.allclose(image[0, 0], image[1, 0])


def test_one_picture_for_each_seed(plane):
    figure = figures.seeds(plane, TEXT)
    assert [title(ax) for ax in figure.axes] == ["seed 0", "seed 1", "seed 2"]


def test_dots_stand_at_the_means(plane):
    figure = figures.dots(plane, CELLS, ("within", "margin"))
    ax = figure.axes[0]
    rows = plane.table[(plane.table["setting"] == "text") & (plane.table["digits"] == ch09.FIVE)]
    rows = rows[~rows["norm"].astype(bool)]
    means = [line.get_ydata()[0] for line in ax.lines if line.get_marker() == look("none").marker]
    assert means[0] == pytest.approx(rows["within_none"].mean())


def test_halves_alphas_training_ways_and_price_are_drawn(plane):
    cells = {"text": figures.cell_of("text", ch09.TEN)}
    figure = figures.halves(made_up(ch09.HALVES), cells, ("within", "spread"))
    ticks = [tick.get_text() for tick in figure.axes[1].get_xticklabels()]
    assert ticks == ["plain | plain", "plain | mixed", "mixed | plain", "mixed | mixed"]
    figure = figures.by_alpha(made_up(ch09.ALPHAS), {"text": TEXT}, ("within",))
    assert figure.axes[0].lines[0].get_xdata().tolist() == [0.5, 1, 2]
    figure = figures.training(plane, TEXT, [("epoch", "within"), ("train_loss", "margin")])
    assert figure.axes[0].lines[0].get_xdata().tolist() == [1, 2, 3]
    assert figure.axes[1].get_xscale() == "log"
    assert len(figures.ways(plane, CELLS, ("none", "manifold_all")).axes) == 4
    rows = [dict(cell) for cell in ch09.PRICE.grid["smoke"]]
    rows[0] |= {"mixed_0.1": 0.1, "mixed_0.2": 0.3, "plain_0.1": 1e-6, "plain_0.2": 0.02}
    drawn = figures.price(SimpleNamespace(table=pd.DataFrame(rows))).axes[0].lines
    assert [list(line.get_ydata()) for line in drawn] == [[0.1, 0.3], [1e-6, 0.02]]


# ------------------------------------------------------------------------------ tables


def test_factors_of_invariance():
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 3
    h = 5 * torch.randn(3, 2, generator=rng)[y] + torch.randn(60, 2, generator=rng)
    table = beside.invariances(h, y)
    assert table.loc["spread", "scale"] == pytest.approx(100)
    ratios = table.drop("spread")
    assert np.allclose(ratios[["shift and rotation", "scale"]], 1)
    affine = [name for name in table.index if name.startswith(("area", "whitened"))]
    assert np.allclose(ratios.loc[affine, ["one unit scaled", "shear"]], 1)
    assert abs(table.loc["within over total", "one unit scaled"] - 1) > 0.01


def test_matched_takes_the_first_epoch_that_is_good_enough():
    accuracy, within = CURVES.index("accuracy"), CURVES.index("within")
    curves = np.zeros((4, 2, len(CURVES)))
    curves[:, 0, accuracy], curves[:, 1, accuracy] = [10, 90, 97, 99], [10, 80, 96, 95]
    curves[:, 0, within], curves[:, 1, within] = [0.9, 0.5, 0.3, 0.2], [0.9, 0.4, 0.1, 0.1]
    settings = {"setting": "text", "digits": (0, 1), "norm": False, "methods": ("none", "manifold")}
    runs = SimpleNamespace(
        table=pd.DataFrame([settings | {"seed": s} for s in range(2)]),
        arrays=lambda row: {"curves": curves},
    )
    found = beside.matched(runs, {"setting": "text"}, ("none", "manifold"))
    assert found["epoch"].tolist() == ["2", "2"] and found["accuracy"].tolist() == ["96", "96"]
    assert found["within"].tolist() == ["0.3", "0.1"]
    assert found.loc["manifold", "within: gain"] == "+ (+0.200 to +0.200)"


def test_gains_mark_what_is_beside_zero(plane):
    table = beside.gains(plane, {"text": TEXT}, ("within",), worse=("none", "input"))
    rows = plane.table.loc[figures.rows_of(plane, TEXT)]
    low = (rows["within_none"] - rows["within_manifold"]).mean()
    text = table.loc[("text", "within"), "none"]
    bounds = [float(part) for part in text[3:-1].split(" to ")]
    assert np.mean(bounds) == pytest.approx(low, abs=1e-3)
    assert text[0] == ("+" if bounds[0] > 0 else "-" if bounds[1] < 0 else "0")


def test_crossings_of_a_pentagon_and_of_a_triangle_with_two_inside():
    angle = 2 * np.pi * np.arange(5) / 5
    pentagon = np.stack([np.cos(angle), np.sin(angle)], 1)
    inside = np.array([[0, 4], [4, -3], [-4, -3], [0.2, 0.1], [-0.3, 0.5]])
    settings = {"setting": "text", "methods": ("none", "manifold"), "seed": 0}
    runs = SimpleNamespace(
        table=pd.DataFrame([settings]), arrays=lambda row: {"means": np.stack([pentagon, inside])}
    )
    found = beside.crossing_counts(runs, {"a": {"setting": "text"}}, ("none", "manifold"))
    assert found.loc["a"].tolist() == ["5.0 (5 to 5)", "1.0 (1 to 1)"]


def test_summary_has_means_and_spreads(plane):
    found = beside.summary(plane, TEXT, ("within",), ("none",))
    rows = plane.table.loc[figures.rows_of(plane, TEXT), "within_none"]
    assert found.loc["none", "within"] == f"{rows.mean():.3f} ± {rows.std():.3f}"
    with pytest.raises(ValueError, match="settings of a cell"):
        figures.rows_of(plane, {"setting": "neither"})


def test_margins_by_share_count_strays_at_the_end():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    tight = 10.0 * labels[:, None] + 0.1 * rng.standard_normal((80, 2))
    tight[0] = tight[50]
    arrays = {"labels": labels.astype(np.uint8), "points": np.stack([tight] * 3)}
    runs = SimpleNamespace(
        table=pd.DataFrame([{"setting": "text", "seed": 0}]), arrays=lambda row: arrays
    )
    found = beside.by_core(runs, {"a": {"setting": "text"}}, (0.9, 1.0))
    whole, strays = (float(found.loc["a", share].split(", ")[0]) for share in ("90%", "100%"))
    assert strays == 0 and whole > 1


def test_flatness_of_discs_and_lines():
    angle = 2 * np.pi * np.arange(40) / 40
    disc = np.stack([np.cos(angle), np.sin(angle)], 1)
    labels = np.repeat([0, 1], 40)
    shapes = [disc, disc * [5.0, 1.0], disc * [1.0, 0.0]]
    points = np.stack([np.concatenate([shape, shape + 20]) for shape in shapes])
    arrays = {"labels": labels.astype(np.uint8), "points": points}
    runs = SimpleNamespace(
        table=pd.DataFrame([{"setting": "text", "seed": 0}]), arrays=lambda row: arrays
    )
    found = beside.flatness(runs, {"a": {"setting": "text"}}).loc["a"].tolist()
    assert found[0] > 0.8 and found[1] == pytest.approx(0.2, abs=0.05)
    assert found[2] == pytest.approx(0, abs=1e-9)
