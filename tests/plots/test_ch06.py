"""Figures of chapter 06 draw what the runs hold, on runs made up for the purpose."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib.plots import ch06 as figures
from mmlib.plots import look
from mmlib.studies import ch06
from mmlib.studies.ch06.experiments import PGD_LEVELS

SEEDS = 3
LEVELS = [f"{level:g}" for level in ch06.LEVELS]


def runs(cells: list[dict], metrics: list[str], arrays: dict[str, int] | None = None):
    rows = [one | {"seed": seed} for one in cells for seed in range(SEEDS)]
    table = pd.DataFrame(rows)
    for place, metric in enumerate(metrics):
        table[metric] = 10.0 * place + np.arange(len(table))
    lines = {name: np.linspace(90, 10, n) for name, n in (arrays or {}).items()}
    return SimpleNamespace(table=table, arrays=lambda row: lines)


@pytest.fixture
def attacks():
    metrics = [f"{name}_{e}" for name in ("fgsm", "nll", "falls", "same_fgsm") for e in LEVELS]
    metrics += [f"pgd_{e:g}" for e in PGD_LEVELS]
    metrics += ["fgsm_0", "nll_0", "fgsm_normalised", "fgsm_pixels"]
    arrays = {f"pgd_{e:g}": 11 for e in PGD_LEVELS} | {"unbounded": 201}
    return runs([{"method": m, "data": "cifar10"} for m in ch06.METHODS], metrics, arrays)


@pytest.fixture
def by_k():
    cells = [{"method": "none"}, {"method": "input"}]
    cells += [{"method": "kmixup", "k": k} for k in ch06.KS]
    metrics = [f"{name}_{e}" for name in ("fgsm", "same_fgsm", "pgd") for e in LEVELS]
    cells = [one | {"data": "mnist"} for one in cells]
    return runs(cells, [*metrics, "flip_mean", "gradient_l1"])


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def line(ax, label: str):
    return next(one for one in ax.lines if one.get_label() == label)


def test_curves_hold_the_means_over_seeds(attacks):
    figure = figures.accuracy_against_epsilon(attacks, 0.25)
    rows = attacks.table[attacks.table["method"] == "manifold"]
    drawn = line(figure.axes[0], look("manifold").label).get_ydata()
    expected = [rows[f"fgsm_{e}"].mean() for e in ("0", *LEVELS)]
    assert list(drawn) == pytest.approx(expected)
    marks = [one.get_xdata()[0] for one in figure.axes[0].lines if one.get_linestyle() == ":"]
    assert marks[:2] == pytest.approx([0.03 * 255 / 4, 0.03 * 255])


def test_printed_values_stand_beside_ours(attacks):
    figure = figures.table_5(attacks)
    stars = [
        float(one.get_ydata()[0])
        for ax in figure.axes
        for one in ax.lines
        if one.get_marker() == "*"
    ]
    assert stars == [36.32, 71.51, 77.50, 60.30]


def test_steps_start_at_the_random_start_and_end_beside_one_step(attacks):
    figure = figures.along_the_steps(attacks)
    assert len(figure.axes) == len(PGD_LEVELS)
    drawn = line(figure.axes[1], look("none").label)
    assert drawn.get_ydata()[0] == 90 and drawn.get_ydata()[-1] == 10
    diamonds = [one for one in figure.axes[1].lines if one.get_marker() == "d"]
    rows = attacks.table[attacks.table["method"] == "none"]
    assert float(diamonds[0].get_ydata()[0]) == pytest.approx(rows["same_fgsm_4"].mean())


def test_loss_and_unbounded_draw_each_method(attacks):
    left, right = figures.loss_along_the_path(attacks).axes
    assert len(left.lines) == len(right.lines) == len(ch06.METHODS)
    (ax,) = figures.unbounded(attacks).axes
    assert all(len(one.get_xdata()) == 201 for one in ax.lines)


def test_gains_over_k_1_are_differences(by_k):
    figure = figures.figure_10(by_k, by_k)
    printed = ch06.printed_grid("a_cifar10")
    top, bottom = figure.axes[0], figure.axes[2]
    assert list(line(top, "k = 2").get_ydata()) == pytest.approx(
        list(printed.loc[2] - printed.loc[1])
    )
    assert line(bottom, "k = 4").get_ydata() == pytest.approx([2 * SEEDS] * len(LEVELS))


def test_tables_and_the_rest(by_k):
    table = figures.one_step_and_iterated(by_k, 8)
    assert list(table.index) == ["no mixup", "k = 1", "k = 2", "k = 4", "k = 8"]
    assert table.iloc[1, 0] - table.iloc[0, 0] == pytest.approx(SEEDS)
    assert len(figures.smoothness(by_k, by_k).axes) == 4
    names = ["clean_plain", "clean_mask", "fgsm_plain", "fgsm_mask", "transfer_mask"]
    masks = runs([{"period": p} for p in (0.01, 0.0127)], [*names, "unbounded_mask"])
    assert len(figures.masks(masks).axes) == 1
    pairs = [f"{a}_to_{b}_2" for a in ch06.METHODS for b in ch06.METHODS]
    crossed = figures.transfer_table(runs([{}], pairs), 2)
    assert crossed.loc["no mixup", "input mixup"] == pytest.approx(10 + (SEEDS - 1) / 2)


def test_attacked_images_are_rows():
    images = np.random.default_rng(0).random((3, 4, 4, 3))
    figure = figures.one_step(images, [images + 0.5, images - 0.5], ("up", "down"))
    assert len(figure.axes) == 9 and figure.axes[3].get_ylabel() == "up"
