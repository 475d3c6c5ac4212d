"""Figures of chapter 14, section 4, draw what the runs hold, on runs of the smallest size."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from mmlib.measures import coupling_law
from mmlib.plots import ch14_expansion as figures
from mmlib.studies.ch14 import grids_expansion as grids
from mmlib.studies.ch14.couplings_law import small_set
from mmlib.studies.ch14.expansion import ALPHAS


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def made(study, **changes):
    """The runs of the smoke cells, made now."""
    rows, arrays = [], []
    for cell in study.grid["smoke"]:
        options = cell | {key: value for key, value in changes.items() if key in cell}
        found = study.run(options, 0)
        metrics, kept = found if isinstance(found, tuple) else (found, {})
        rows.append(options | {"seed": 0} | metrics)
        arrays.append(kept)
    return SimpleNamespace(table=pd.DataFrame(rows), arrays=lambda index: arrays[index])


def test_dots_are_the_law():
    x = small_set("normal", 5, 0)
    figure = figures.partners(x, 1, (1, 3))
    sizes = figure.axes[1].collections[1].get_sizes()
    assert sizes / sizes.sum() == pytest.approx(coupling_law(x, 3).weights[1].numpy())


def test_reach_draws_the_mean_of_the_points():
    runs = made(grids.COUPLINGS, draws=2)
    figure = figures.reach(runs)
    (mean,) = [one for one in figure.axes[1].get_lines() if one.get_label() == "mean of all"]
    row = runs.table[runs.table["points"] == "between"].iloc[0]
    assert mean.get_ydata() == pytest.approx([row[f"reach_{k}"] for k in range(1, 9)])


def test_remainder_draws_the_printed_ratio():
    runs = made(grids.EXPANSION, n=5)
    figure = figures.remainder(runs)
    drawn = figure.axes[0].get_lines()[0].get_ydata()
    row = runs.table[runs.table["outputs"] == runs.table["outputs"].max()].iloc[0]
    assert drawn[ALPHAS.index(row["alpha"])] == pytest.approx(row["relative"])


def test_shares_add_up_and_name_the_training():
    runs = made(grids.DIGITS, data="digits", n=80)  # the embedded digits
    table = figures.shares(runs)
    assert table.loc[("trained plainly", 1)].drop("effect").sum() == pytest.approx(1)
    assert len(figures.digits(runs).axes) == 1
    assert figures.trained_name(4.0) == "trained with k = 4"


def test_directions_and_tilted_draw():
    assert len(figures.directions(made(grids.LOCAL)).axes) == 2
    assert len(figures.tilted((0.5, 2.0)).axes) == 2


def test_ellipse_is_one_standard_deviation():
    _, ax = plt.subplots()
    matrix = np.array([[2.0, 1.0], [1.0, 3.0]])
    figures._ellipse(ax, np.zeros(2), matrix)
    edge = ax.transData.inverted().transform(
        ax.patches[0].get_transform().transform(ax.patches[0].get_path().vertices)
    )
    on_curve = np.einsum("nd,de,ne->n", edge[:1], np.linalg.inv(matrix), edge[:1])
    assert on_curve == pytest.approx(np.ones(1))


def test_covariances_show_the_farthest_mean():
    x = small_set("normal", 8, 0)
    law = coupling_law(x, 3)
    subset, place = figures.farthest(law, x)
    away = law.means(x) - (law.weights @ x)[law.subsets]
    assert away[subset, place].norm() == pytest.approx(float(away.norm(dim=-1).max()))
    figure = figures.covariances(3, 1.0, 0)
    assert len(figure.axes[1].patches) == 6
    grey, matched = figure.axes[1].patches[:2]
    assert (matched.width, matched.height) == pytest.approx((grey.width, grey.height))
    others = torch.tensor([one.width for one in figure.axes[1].patches[2:]])
    assert float((others - grey.width).abs().min()) > 1e-3
