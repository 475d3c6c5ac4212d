"""Figures of chapter 15, first half: they draw what printed cells and made runs hold."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib.plots import ch15_tables as figures
from mmlib.studies.ch15 import distances, printed, tables


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def line(ax, label: str) -> np.ndarray:
    return next(one for one in ax.get_lines() if one.get_label() == label).get_ydata()


def test_printed_gains_are_those_of_the_tables():
    figure = figures.printed_gains(("svhn", "One Ring", "Swiss Roll"))
    table = printed.gains(("svhn",))
    assert np.allclose(line(figure.axes[0], "best k > 1"), table["gain"])
    assert np.allclose(line(figure.axes[0], "worst k > 1"), table["loss"])
    assert "2" in [text.get_text() for text in figure.axes[0].texts]
    assert not figure.axes[3].axison  # three tables in four places


def test_laws_put_all_rows_on_the_curve_of_the_nearer_end():
    ax = figures.laws().axes[0]
    for k in distances.KS:
        expected = [distances.factor("nearer", a) for a in (10.0, 100.0)]
        assert np.allclose(line(ax, f"k = {k}")[-2:], expected, rtol=0.03)


def test_noise_draws_every_cell():
    figure = figures.noise()
    for ax in figure.axes:
        assert sum(len(one.get_xdata()) == 7 for one in ax.get_lines()) == 6


def made_lengths(batches: tuple[int, ...]) -> SimpleNamespace:
    rows = []
    for images, pad, side in (("mnist", 0, 32.0), ("cifar10", 4, np.nan)):
        row = {"images": images, "pad": pad, "side": side, "batches": batches, "train": 6e4}
        for way in (*(f"batch{b}" for b in batches), f"two{batches[-1]}"):
            for k in distances.KS:
                own = way == f"batch{k}"
                row[f"standard_{way}_{k}"] = 0.0 if own else 100 / k**0.3
        rows.append(row)
    return SimpleNamespace(table=pd.DataFrame(rows))


@pytest.mark.parametrize(("batches", "curves"), [((32, 64), 2), ((64, 128, 512), 3)])
def test_shapes_leave_out_minibatches_of_self_pairs(batches, curves):
    ax = figures.shapes(made_lengths(batches)).axes[0]
    drawn = [one.get_ydata() for one in ax.get_lines() if one.get_label() != "printed"]
    assert len(drawn) == curves
    for values in drawn:
        assert np.exp(np.log(values).mean()) == pytest.approx(1)


def made_trials(names, trials: int) -> SimpleNamespace:
    rng, rows = np.random.default_rng(0), []
    for name in names:
        for seed in range(trials):
            ks = (0, *tables.TABLES[name][1])
            rows.append(
                {"table": name, "seed": seed} | {f"accuracy_{k}": 90 + rng.normal() for k in ks}
            )
    return SimpleNamespace(table=pd.DataFrame(rows))


@pytest.mark.parametrize("trials", (1, 4))
def test_trials_show_means_and_printed_values(trials):
    names = ("iris", "abalone", "htru2")
    runs = made_trials(names, trials)
    figure = figures.trials(runs, names)
    assert list(line(figure.axes[0], "printed")) == [92.0, 98.0, 94.0, 100.0]
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["none", "1", "5", "10"]
    figure = figures.luck(runs, names)
    gains = line(figure.axes[0], "ours, best k")
    values = tables.accuracies(runs.table, "iris").mean()
    x = next(o for o in figure.axes[0].get_lines() if o.get_label() == "ours, best k").get_xdata()
    assert len(gains) == 1 and x[0] == pytest.approx(values[[5, 10]].max() - values[1])


def test_dimensions_draw_the_cells_that_were_run():
    cells = [("shells", 1, 32), ("shells", 16, 32), ("bars", 4, 32), ("shells", 1, 2)]
    rows = []
    for kind, intrinsic, ambient in cells:
        for seed in range(3):
            row = {"kind": kind, "intrinsic": intrinsic, "ambient": ambient, "seed": seed}
            for k in (0, 1, 16):
                row |= {f"accuracy_{k}_{a}": 50 + k + intrinsic for a in (1, 16)}
            rows.append(row)
    runs = SimpleNamespace(table=pd.DataFrame(rows))
    figure = figures.dimensions(runs, (1, 2, 16), (2, 32))
    spheres = figure.axes[0].containers[2]
    assert list(spheres.lines[0].get_xdata()) == [0, 2]  # d = 2 was not run
    assert list(spheres.lines[0].get_ydata()) == [67, 82]


def test_gains_by_dimension_name_every_set():
    table = pd.DataFrame({"dataset": ["a", "b", "c"], "inputs": [2, 2, 30], "gain": [0.0, 5, 1]})
    ax = figures.printed_by_dimension(table).axes[0]
    assert {text.get_text() for text in ax.texts} == {"a", "b", "c"}
