"""Figures of chapter 07 draw what the runs hold, on runs made up for the purpose."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from mmlib.data.mixtures import ring
from mmlib.plots import ch07 as figures
from mmlib.plots import ch07_digits as pictures
from mmlib.plots import ch07_theory as theory
from mmlib.plots import look
from mmlib.studies import ch07
from mmlib.studies.ch07.experiments import LINE
from mmlib.studies.ch07.members import LAYER_SETS, members_of
from mmlib.studies.ch07.plane import CELLS
from mmlib.studies.ch07.watched import Watched

SEEDS = 3


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def made_up(cells: list[dict], arrays: dict | None = None):
    """Runs of a few seeds; each cell names its own metrics."""
    rows = [cell | {"seed": seed} for cell in cells for seed in range(SEEDS)]
    return SimpleNamespace(table=pd.DataFrame(rows), arrays=lambda row: arrays or {})


@pytest.fixture
def plane():
    cells = []
    for target, objective, group in CELLS:
        metrics = {
            f"{score}_{name}": float(10 * place + row)
            for row, name in enumerate(members_of(group))
            for place, score in enumerate(("quality", "modes", "distance"))
        }
        cells.append({"target": target, "objective": objective, "group": group} | metrics)
    arrays = {"points": np.zeros((6, 20, 2), "float16"), "updates": np.array([0, 5])}
    arrays["scores"] = np.arange(36.0).reshape(2, 3, 6)
    return made_up([cell | {"floor": 0.05} for cell in cells], arrays)


@pytest.fixture
def seen():
    return Watched(
        ("none", "final"),
        ring(),
        moments=[0, 5, 10],
        points=[np.full((2, 4, 2), float(i)) for i in range(3)],
        updates=np.arange(1, 11),
        losses=np.arange(40.0).reshape(10, 2, 2),
        ticks=np.linspace(-3, 3, 7),
        surfaces=np.arange(98.0).reshape(2, 7, 7) - 40,
        scores=np.zeros((3, 2)),
    )


def means(ax) -> list[float]:
    """Heights of the points with error bars, in the order drawn."""
    return [float(bars.lines[0].get_ydata()[0]) for bars in ax.containers if bars.lines[0]]


def test_laws_are_distribution_functions_with_all_mass():
    left, right = theory.laws().axes
    assert len(left.lines) == len(theory.MIXED)
    for line in left.lines:
        assert line.get_ydata()[-1] == pytest.approx(1) and (np.diff(line.get_ydata()) >= 0).all()
    widths = np.array([bar.get_width() for bar in right.patches]).reshape(-1, 3)
    assert widths.sum(1) == pytest.approx(np.ones(len(theory.MIXED)))


def test_best_discriminators_are_drawn_symmetric_and_those_at_rest_flat():
    (ax,) = theory.best_on_the_line().axes
    by_label = {line.get_label(): line.get_ydata() for line in ax.lines}
    for y in by_label.values():
        assert y == pytest.approx(y[::-1])
    for name in ("none", "eq1", "four"):
        assert np.ptp(by_label[look(name).label]) < 1e-9
    assert np.ptp(by_label[look("fr").label]) > 0.01


def test_best_discriminator_in_the_plane_lies_below_a_half():
    figure = theory.best_in_the_plane(ring(), side=31)
    maps = [ax.images[0].get_array() for ax in figure.axes[:4]]
    assert np.nanmax(maps[2]) <= 0.5 and np.nanmax(maps[3]) <= 0.5
    assert np.isnan(np.ma.filled(maps[2], np.nan)[0, 0])  # nothing is there
    middle = 15
    assert maps[2][middle, middle] < 0.01  # only mixes, all fake
    assert maps[3][middle, middle] == pytest.approx(1 / 3, abs=0.01)


def test_predictions_stand_beside_trained_scales():
    cells = [
        {
            f"{kind}_{name}": 1.0 + i / 100
            for i, name in enumerate(LINE)
            for kind in ("trained", "predicted")
        }
    ]
    runs = made_up(cells)
    (ax,) = theory.resting(runs).axes
    diamonds = [line for line in ax.lines if line.get_marker() == "d"]
    assert [line.get_ydata()[0] for line in diamonds] == pytest.approx(
        [1 + i / 100 for i in range(len(LINE))]
    )
    table = theory.scales(runs)
    assert list(table.index) == list(LINE) and (table["± (95 %)"] == 0).all()


def test_resting_scales_by_alpha():
    table = theory.push_by_alpha((0.5, 1.0))
    final = table.loc[look("final").label]
    assert final["α = 0.5"] == pytest.approx(final["α = 1"], abs=1e-3) and final["α = 1"] > 1.02
    assert table.loc[look("four").label].tolist() == pytest.approx([1, 1], abs=1e-4)


def test_one_game(seen):
    figure = figures.while_training(seen)
    assert len(figure.axes) == 6 and figure.axes[3].get_ylabel() == "final"
    assert figure.axes[2].collections[1].get_offsets()[0].tolist() == [2, 2]
    shown = figures.surfaces(seen).axes[0].images[0]
    assert shown.get_array()[1, 0] == seen.surfaces[0][0, 1]  # the first axis lies along x
    left, right = figures.losses(seen).axes
    assert right.lines[1].get_ydata()[0] == pytest.approx(seen.losses[:2, 1, 1].mean())


def test_scores_are_means_over_seeds(plane):
    figure = figures.scores(plane, {"a": ("ring", "js"), "b": ("grid", "gp")})
    assert means(figure.axes[0]) == pytest.approx([0, 1, 2, 3, 4, 5])
    assert means(figure.axes[2]) == pytest.approx([20, 21, 22, 23, 24, 25])


def test_curves_take_the_score_and_the_member(plane):
    (ax,) = figures.score_curves(plane, {"a": ("ring", "js")}, "distance").axes
    assert ax.lines[3].get_ydata().tolist() == [33] and ax.lines[3].get_label() == "fr_ff"


def test_outward_shift_is_measured_along_the_centres(plane):
    target = ring()
    x = target.sample(20_000, torch.Generator().manual_seed(0)).numpy()
    assert ch07.beside.outward(x, target) == pytest.approx(0, abs=0.03)
    assert ch07.beside.outward(x * 1.05, target) == pytest.approx(1.0, abs=0.03)
    assert np.isnan(ch07.beside.outward(0 * x, target))
    moved = np.stack([x[:500] * (1 + place / 100) for place in range(6)])
    runs = SimpleNamespace(table=plane.table, arrays=lambda row: {"points": moved})
    table = ch07.beside.outward_shifts(runs)
    assert len(table) == 3 * 6 * SEEDS and set(table["objective"]) == {"js", "hinge", "gp"}
    four = table[table["member"] == "four"]["shift"]
    base = table[table["member"] == "none"]["shift"]
    assert four.mean() - base.mean() == pytest.approx(1.0, abs=0.1)
    assert means(figures.outward(runs).axes[0])[5] == pytest.approx(four.mean())


def test_places_and_figure_8(plane):
    left, right = figures.places(plane).axes
    names = list(members_of("hidden"))
    # no mixes and input, then hard and soft of each hidden place
    expected = [
        0,
        2,
        *(names.index(n) for at in ("h1", "h2", "all") for n in (f"fr_{at}", f"soft_{at}")),
    ]
    assert means(left) == pytest.approx(expected)
    left, right = figures.figure_8(plane).axes
    names = list(members_of("alpha"))
    for bars, at in zip(right.containers, LAYER_SETS, strict=True):
        drawn = bars.lines[0].get_ydata()
        assert drawn[2] == pytest.approx(20 + names.index(f"final_{at}_0.5"))


def test_clouds_take_the_main_group(plane):
    assert len(figures.clouds(plane, "ring", "js").axes) == 6


def test_decoded_and_steps():
    sites = ("input", "h1", "h2", "h3")
    metrics = {
        f"{kind}_{site}": float(10 * i + j)
        for i, kind in enumerate(("good", "random", "off"))
        for j, site in enumerate(sites)
    }
    left, right = figures.decoded(made_up([metrics | {"good_real": 99.0, "good_fake": 80.0}])).axes
    assert means(left)[::2] == pytest.approx([0, 1, 2, 3]) and means(right) == [20, 21, 22, 23]
    cells = [{"n_dis": n, "updates": 8, "quality": float(n), "distance": 1.0} for n in (1, 2, 5)]
    cells.append({"n_dis": 1, "updates": 24, "quality": 7.0, "distance": 1.0})
    left, _ = figures.discriminator_steps(made_up(cells)).axes
    assert means(left) == [1, 2, 5, 7]


@pytest.fixture
def digits():
    cells = [{"variant": "none"}, {"variant": "fr", "where": "input"}]
    cells += [{"variant": "fr", "where": "all"}, {"variant": "final", "where": "all"}]
    cells = [one | {"frechet": float(i), "score": 9.0} for i, one in enumerate(cells)]
    arrays = {
        "samples": np.zeros((20, 28, 28), "uint8"),
        "update": np.array([0, 5]),
        "frechet": np.array([9.0, 3.0]),
        "along": np.linspace(-1, 1, 21),
    }
    return made_up(cells, arrays)


def test_digit_figures_have_a_row_and_a_line_per_game(digits):
    assert len(pictures.drawn(digits, 5).axes) == 20
    left, right = pictures.image_curves(digits).axes
    labels = [line.get_label() for line in left.lines]
    assert labels == ["none", "fr", "fr, all", "final, all"]
    assert left.lines[0].get_ydata().tolist() == [9, 3] and len(right.lines) == 4
    table = pictures.image_table(digits, ["frechet"])
    assert table["frechet mean"].tolist() == [0, 1, 2, 3] and list(table.index) == labels


def test_tables_beside_the_printed_ones(plane, digits):
    digits.table = pd.concat(
        [digits.table, digits.table[:SEEDS].assign(variant="fr_ff", where="input")]
    )
    table = ch07.beside.table_6(plane, digits)
    assert table.loc["SN-GAN + FR", "Inception"] == "8.00 ± 0.08"
    assert table.loc["GAN-GP + FR + FF", "FID"] == "25.6"
    assert table.loc["SN-GAN + FR", "ring: quality"] == "2.0 ± 0.0"
    assert table.loc["SN-GAN", "grid: quality"] == "" != table.loc["GAN-GP", "grid: quality"]
    assert len(table) == 8
    found = ch07.beside.spreads(plane, [("fr", "none")], [("ring", "js"), ("ring", "hinge")])
    row = found.loc["ring, js: fr over none, quality"]
    assert row["improvement"] == 2 and row["printed / printed spread"] == pytest.approx(0.06 / 0.08)
    hinge = found.loc["ring, hinge: fr over none, quality"]
    assert hinge["printed / printed spread"] == pytest.approx(-0.05 / 0.10)
    assert found.loc["ring, js: fr over none, distance", "improvement"] == -2  # larger is worse
