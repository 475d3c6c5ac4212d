"""Figures of the factorial draw what the runs hold, on runs made up for the purpose."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib.plots import ch12_factorial as figures
from mmlib.studies.ch12.arms import ARMS
from mmlib.studies.ch12.grids_factorial import ARMS_OF, TITLES

METRICS = ("accuracy", "nll", "nll_scaled", "within", "bend_block2")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def runs():
    rng = np.random.default_rng(0)
    return {
        setup: SimpleNamespace(
            table=pd.DataFrame(
                [
                    {"arm": arm, "seed": seed, **{m: rng.uniform(1, 2) for m in METRICS}}
                    for seed in range(3)
                    for arm in arms
                ]
            )
        )
        for setup, arms in ARMS_OF.items()
    }


def mean(runs, metric: str, arm: str) -> float:
    table = runs.table
    return table.loc[table["arm"] == arm, metric].mean()


def test_rows_are_gains_over_plain_training(runs):
    arms = ("scaled", "manifold", "linear")
    figure = figures.gain_rows({s: runs[s] for s in ("digits", "photos")}, arms)
    (ax,) = figure.axes
    assert [t.get_text() for t in ax.get_yticklabels()] == [ARMS[name].title for name in arms]
    marks = [box.lines[0] for box in ax.containers]
    found = sorted(float(mark.get_xdata()[0]) for mark in marks)
    wanted = [
        mean(runs[s], "accuracy", name) - mean(runs[s], "accuracy", "none")
        for s, names in (("digits", arms), ("photos", arms[:2]))  # photos have no such penalty
        for name in names
    ]
    assert found == pytest.approx(sorted(wanted))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [TITLES["digits"], TITLES["photos"]]


def test_every_set_up_is_in_the_legend(runs):
    figure = figures.gain_rows({s: runs[s] for s in ("digits", "photos")}, ("linear", "manifold"))
    assert len(figure.legends[0].get_texts()) == 2


def test_losses_before_and_after_a_temperature(runs):
    figure = figures.temperatures(runs["digits"], ("none", "deep"))
    marks = {box.get_label(): box.lines[0] for box in figure.axes[0].containers[:2]}
    for label, metric in (("as trained", "nll"), ("temperature fitted", "nll_scaled")):
        assert marks[label].get_xdata()[0] == pytest.approx(mean(runs["digits"], metric, "none"))


def test_each_arm_is_a_dot_against_flatness(runs):
    figure = figures.flatness(runs["digits"], {"within": "within", "bend_block2": "bend"}, ["deep"])
    assert len(figure.axes) == 2
    dots = np.concatenate([c.get_offsets() for c in figure.axes[1].collections])
    assert len(dots) == len(ARMS) - 1
    ratio = mean(runs["digits"], "bend_block2", "deep") / mean(
        runs["digits"], "bend_block2", "none"
    )
    assert np.isclose(dots[:, 0], ratio).any()
    assert [text.get_text() for text in figure.axes[0].texts] == ["deep"]


def test_what_is_off_the_axis_is_written_there(runs):
    table = runs["digits"].table
    table.loc[table["arm"] == "deep", "accuracy"] -= 40
    figure = figures.gain_rows({"digits": runs["digits"]}, ("manifold", "deep"), low=-5)
    (ax,) = figure.axes
    assert ax.get_xlim()[0] == -5
    wanted = mean(runs["digits"], "accuracy", "deep") - mean(runs["digits"], "accuracy", "none")
    assert [text.get_text() for text in ax.texts] == [f"◂ {wanted:.1f}"]
    photos = runs["photos"].table
    photos.loc[photos["arm"] == "deep", "accuracy"] -= 20
    both = {setup: runs[setup] for setup in ("digits", "photos")}
    texts = figures.gain_rows(both, ("manifold", "deep"), low=-5).axes[0].texts
    assert texts[0].get_text().startswith("◂") and "◂" not in texts[1].get_text()
    assert texts[1].xyann[0] > texts[0].xyann[0]
    figure = figures.flatness(runs["digits"], {"within": "within"}, ["deep"], low=-5)
    assert sum(len(c.get_offsets()) for c in figure.axes[0].collections) == len(ARMS) - 2
    assert not figure.axes[0].texts
