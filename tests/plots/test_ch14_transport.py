"""Figures of chapter 14, transport and clusters, on runs made up for the purpose."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib.measures import transport_rates as closed
from mmlib.plots import ch14_rates as rates
from mmlib.plots import ch14_transport as transport
from mmlib.studies.ch14 import grids_transport as grids

SEEDS = 3


@pytest.fixture(autouse=True)
def closing():
    yield
    plt.close("all")


def made_up(study, profile: str, metrics) -> SimpleNamespace:
    """Runs with ``metrics(cell, rng)`` for each cell and seed."""
    rng = np.random.default_rng(0)
    rows = [
        cell | {"seed": seed} | metrics(cell, rng)
        for seed in range(SEEDS)
        for cell in study.grid[profile]
    ]
    return SimpleNamespace(table=pd.DataFrame(rows))


def by_size(*names: str, low: float = 0.1):
    return lambda cell, rng: {f"{n}_{k}": rng.uniform(low, 1) for n in names for k in cell["ks"]}


@pytest.mark.parametrize("profile", ("smoke", "quick"))
def test_every_figure_is_drawn_without_a_warning(profile, recwarn):
    size = by_size("share", "cost", "out_0.125", "out_0.25", "out_0.5", "ms", "over")
    scene = by_size("excess", "far", low=0.0)
    figures = [
        transport.cross_shares(made_up(grids.CROSS, profile, size)),
        transport.surplus(
            made_up(grids.LEMMA, profile, lambda cell, rng: {"more": rng.random()}), 5.7
        ),
        transport.excess(made_up(grids.FACES, profile, scene)),
        transport.counterexample(made_up(grids.FACES, profile, scene), 16),
        rates.costs(made_up(grids.RATES, profile, size)),
        rates.leaving(made_up(grids.MANIFOLDS, profile, size)),
        rates.times(made_up(grids.TIME, profile, size), made_up(grids.STEP, profile, size)),
    ]
    for figure in figures:
        figure.canvas.draw()
    assert [str(one.message) for one in recwarn] == []


def test_shares_stand_beside_the_bound():
    runs = made_up(grids.CROSS, "quick", by_size("share"))
    ax = transport.cross_shares(runs).axes[0]
    bound, exact = ax.get_lines()[:2]
    assert bound.get_ydata()[0] == pytest.approx(np.sqrt(0.5))
    assert exact.get_ydata()[0] == pytest.approx(0.5)
    assert (np.asarray(exact.get_ydata()) < bound.get_ydata()).all()


def test_ratios_end_near_their_limit():
    ax = transport.ratios(256).axes[0]
    ends = [line.get_ydata()[-1] for line in ax.get_lines()[:3]]
    expected = [closed.mean_difference(256, p) / closed.jensen_bound(256, p)
                for p in (0.5, 0.1, 0.01)]  # fmt: skip
    assert ends == pytest.approx(expected)


def test_ends_gather_and_shells_stay():
    figure = transport.ends("discs", (8, 256), least=12)
    spreads = []
    for ax in figure.axes:
        blue, black = ax.get_lines()[-2:]
        spreads.append(np.std(blue.get_ydata()))
        assert len(blue.get_xdata()) == len(black.get_xdata()) >= 12
        assert np.max(blue.get_xdata()) <= -0.5 and np.min(black.get_xdata()) >= 0.5
    assert spreads[0] > spreads[1]


def test_neighbourhoods_close_above_their_radius():
    assert len(rates.neighbourhoods().axes) == 6
