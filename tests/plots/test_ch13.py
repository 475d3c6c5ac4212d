"""Figures and tables of chapter 13 show what the runs hold, on runs made up for the purpose."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib.plots import ch13 as figures
from mmlib.plots import ch13_tables as curves
from mmlib.studies.ch13 import page
from mmlib.studies.ch13.fields import NAMES
from mmlib.studies.ch13.grids import KS, MORE_KS, SETS, TOYS
from mmlib.studies.ch13.toys import cells, name_of, surfaces

SEEDS = 3


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def trained():
    """Accuracy is 100 less alpha over k, with a seed on top; outputs are flat, row by row."""
    rows, arrays = [], []
    for cell in TOYS.grid["quick"]:
        for seed in range(SEEDS):
            values = {"plain": 99.0} | {name_of(k, a): 100 - a / k for k, a in cells(cell)}
            metrics = {f"acc_{name}": value + seed for name, value in values.items()}
            for measure in ("nll", "fgsm_0.2", "zone", "error", "misplaced"):
                metrics |= {f"{measure}_{name}": 0.5 for name in values}
            rows.append(cell | {"seed": seed} | metrics)
            flat = np.arange(len(surfaces(cell)), dtype=np.uint8)[:, None, None]
            arrays.append({"surfaces": np.broadcast_to(flat, (len(flat), 8, 8))})
    return SimpleNamespace(table=pd.DataFrame(rows), arrays=lambda index: arrays[index])


def test_surfaces_are_those_of_the_networks_they_name(trained) -> None:
    found = page.surfaces(trained, NAMES, 64.0, seed=1)
    assert list(found) == list(NAMES)
    cell = TOYS.grid["quick"][0]
    kept = surfaces(cell)
    for title, name in (("no mixing", "plain"), ("k = 1", "k1_a64"), ("k = 16", "k16_a64")):
        assert 255 * found["four_bars"][title] == pytest.approx(kept.index(name))
    assert "k = 32" not in found["one_ring"]  # trained at alpha 1 only
    assert list(page.surfaces(trained, NAMES[:1], 1.0, 99)["one_ring"])[-1] == "k = 32"
    figure = figures.surfaces(found)
    assert len(figure.axes) == len(NAMES) * 6


def test_tables_hold_printed_and_own_cells(trained) -> None:
    table = page.beside(trained, ("one_ring",)).data
    assert table.loc[("One Ring", "k = 16", "printed"), "α = 64"] == "95.193"
    assert table.loc[("One Ring", "k = 16", "ours"), "α = 64"] == "97.00 ± 1.00"  # 100 - 4 + seed
    assert table.loc[("One Ring", "no mixing", "ours"), "α = 64"] == "100.00"
    signs = page.signs(trained, NAMES)
    assert (signs["above"] == SEEDS).all().all() and (signs["below"] == 0).all().all()
    best = page.best(trained, ("four_bars",)).loc[("Four Bars", "accuracy, %")]
    assert best["at"] == "α = 0.25" and best["at "] == "k = 16, α = 0.25"
    assert best["plain"] == 100 and best["k-mixup"] > best["mixup"]
    beside = page.beside_plain(trained, ("swiss_roll",), ("acc",), (1, 16), 64.0)
    assert beside["accuracy, %"].tolist() == [100.0, 37.0, 97.0]


def test_lines_over_alpha_and_k_are_the_means(trained) -> None:
    table = {"one_ring": {"ours": pd.DataFrame({1.0: {1: 90.0, 2: 91.0}, 4.0: {1: 80.0, 2: 85.0}})}}
    figure = curves.over_alpha(table, {"ours": "accuracy"}, {"one_ring": 99.0})
    lines = [list(line.get_ydata()) for line in figure.axes[0].get_lines()]
    assert lines == [[90.0, 80.0], [91.0, 85.0], [99.0, 99.0]]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["k = 1", "2"]
    figure = curves.over_k(trained, NAMES, (*KS, *MORE_KS), {"acc": "accuracy"}, "_a1")
    line = figure.axes[0].get_lines()[0]
    assert list(line.get_ydata()) == pytest.approx([101 - 1 / k for k in (*KS, *MORE_KS)])


def test_labels_at_the_ends_of_lines_keep_apart() -> None:
    equal = pd.DataFrame({1.0: {k: 100.0 for k in KS}, 4.0: {k: 100.0 for k in KS}})
    figure = curves.over_alpha({"four_bars": {"ours": equal}}, {"ours": "accuracy"})
    heights = sorted(text.xy[1] for text in figure.axes[0].texts)
    assert np.diff(heights).min() > 0


def test_ways_are_drawn_where_they_exist() -> None:
    rows = []
    for cell in SETS.grid["quick"]:
        metrics = {"acc_plain": 99.0}
        for way in cell["ways"]:
            for k in cell["ks"]:
                if way != "disjoint" or k < 64:
                    metrics[f"self_{way}_k{k}"] = 100.0 * k / 64
                    metrics |= {f"length_{way}_k{k}": 1.0, f"acc_{way}_k{k}": 50.0 + k / 2}
        rows.append(cell | {"seed": 0} | metrics)
    runs = SimpleNamespace(table=pd.DataFrame(rows))
    figure = curves.by_way(runs, NAMES, (1, 4, 16, 32, 64), (4, 16, 64), 64)
    ends = {len(line.get_ydata()) for line in figure.axes[0].get_lines()}
    assert ends == {2, 4, 5}  # the diagonal, disjoint sets, the others
    table = page.ways(runs, ("one_ring",))
    assert ("One Ring", "disjoint", "k = 64") not in table.index
    assert table.loc[("One Ring", "batch", "k = 16"), "self-pairs, %"] == 25


def test_bars_of_mixup_are_thirds_and_matching_undoes_them() -> None:
    found = page.bar_targets(4096.0, (1, 16), rounds=40, seed=0)
    assert found["k = 1"] == pytest.approx([0, 1 / 3, 2 / 3, 1], abs=0.03)
    assert found["k = 16"][1] > 0.8 and found["k = 16"][2] < 0.2
    figure = curves.bars(found)
    assert [bar.get_height() for bar in figure.axes[0].patches[:4]] == list(found["k = 1"])


@pytest.mark.parametrize("toy", NAMES)
def test_points_are_drawn(toy: str) -> None:
    for figure, panels in (
        (figures.sets((toy,), 40, 0), 1),
        (figures.displacement(toy, 8, 0), 10),
        (figures.matches((toy,), (1, 8), 40, 0), 2),
        (figures.vicinal((toy,), (1, 8), 1.0, 40, 0), 2),
        (figures.own(toy, 4, 2.0, dict.fromkeys(("no mixing", "k = 1", "k = 4"),
                                                np.full((6, 6), 0.4)), 0, 40), 8),
    ):  # fmt: skip
        assert len(figure.axes) == panels
    assert len(figures.two_costs(4, 0).axes) == 4
