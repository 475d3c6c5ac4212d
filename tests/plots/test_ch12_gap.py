"""Figures of chapter 12, Parts 3 and 4, draw what made-up runs hold."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib.evidence.execute import tupled
from mmlib.measures.logit_gap import optimal_gap, same_class
from mmlib.measures.subspaces import beta_nodes
from mmlib.plots import ch12_curvature as bends
from mmlib.plots import ch12_gap as figures
from mmlib.studies.ch12 import evidence_gap, gap_cells, grids_gap, predictions_gap
from mmlib.studies.ch12.gap import CURVES
from mmlib.studies.ch12.pressure import ODDS, WATCHED

SEEDS = 5
SCORES = (
    "gap", "gap_sd", "confidence", "accuracy", "nll", "nll_wrong", "logits_within",
    "within_seen", "total_seen", "within_unseen", "total_unseen",
)  # fmt: skip


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def runs(study, rows, arrays):
    table = pd.DataFrame(rows)
    return SimpleNamespace(table=table, arrays=lambda index: arrays[index], study=study)


def quick(study):
    return [tupled(cell) for cell in study.grid["quick"]]


def names_of(cell):
    return [name for _, name, _ in figures.members(pd.Series(cell))]


@pytest.fixture
def trained():
    rng, rows, arrays = np.random.default_rng(0), [], []
    for cell in quick(grids_gap.GAP):
        names = names_of(cell)
        for seed in range(SEEDS):
            metrics = {"n_used": 2000.0}
            for name in names:
                for split in ("train", "test"):
                    metrics |= {f"{split}_{s}_{name}": rng.uniform(0.1, 0.9) for s in SCORES}
                for metric in ("temperature", "test_scaled_nll", "risk"):
                    metrics[f"{metric}_{name}"] = rng.uniform(0.1, 0.9)
            for alpha in cell["alphas"]:  # as theory says, and a little more for each seed
                row = pd.Series(cell | metrics)
                asked = gap_cells.theory(row, alpha).gap
                metrics[f"train_gap_mixed_{alpha:g}"] = asked * (1 + 0.001 * seed)
            rows.append(cell | {"seed": seed} | metrics)
            kept = rng.normal(5, 1, (2, len(names), 50)).astype("float16")
            arrays.append({"train_gaps": kept[0], "test_gaps": kept[1]})
    return runs(grids_gap.GAP, rows, arrays)


@pytest.fixture
def long():
    rng, cell = np.random.default_rng(1), quick(grids_gap.LONG)[0]
    names = names_of(cell)
    shape = (10, len(names), 2, len(CURVES))
    arrays = [
        {"epochs": np.arange(1, 11) ** 2, "curves": rng.uniform(1, 2, shape)} for _ in range(SEEDS)
    ]
    rows = [
        cell | {"seed": s, "n_used": 2000.0} | {f"slope_{n}": 0.01 * s for n in names}
        for s in range(SEEDS)
    ]
    return runs(grids_gap.LONG, rows, arrays)


@pytest.fixture
def pressed():
    rng, rows, arrays = np.random.default_rng(2), [], []
    for cell in quick(grids_gap.PRESSURE):
        count = len(cell["members"])
        for seed in range(SEEDS):
            metrics = {"n_used": 2000.0}
            for name in cell["members"]:
                for metric in (
                    *WATCHED, "input_curvature", "head_moved", "features_moved", "test_accuracy",
                    "test_nll", "test_scaled_nll",
                ):  # fmt: skip
                    metrics[f"{metric}_{name}"] = rng.uniform(0.1, 0.9)
            rows.append(cell | {"seed": seed} | metrics)
            arrays.append(
                {
                    "epochs": np.array([0, 1, 10]),
                    "watched": rng.uniform(0.01, 1, (3, count, len(WATCHED))),
                    "pressures": rng.uniform(0.01, 1, (3, count, len(evidence_gap.PRESSED))),
                    "moved": rng.normal(size=(3, count, 2)),
                    "odds": np.broadcast_to(6 * (2 * ODDS - 1), (count, 2, len(ODDS))),
                }
            )
    return runs(grids_gap.PRESSURE, rows, arrays)


@pytest.fixture
def expanded():
    rng, rows = np.random.default_rng(3), []
    for cell in quick(grids_gap.EXPANSION):
        for seed in range(SEEDS):
            powers = {n: p + rng.normal(0, 0.01) for n, p in predictions_gap.POWERS.items()}
            rows.append(cell | {"seed": seed} | powers | dict.fromkeys(predictions_gap.CONTROLS, 2))
    return runs(grids_gap.EXPANSION, rows, [{}] * len(rows))


def test_marks_of_networks_that_do_what_theory_says_lie_on_the_line(trained):
    ax = figures.reached(trained).axes[0]
    marks = [line for line in ax.get_lines() if line.get_marker() in ("o", "s", "^")]
    full = [m for m in marks if m.get_markerfacecolor() != "none"]
    wide = sum(len(cell["alphas"]) for cell in quick(grids_gap.GAP) if cell["smooth"])
    assert len(full) == wide
    for mark in full:
        assert float(mark.get_ydata()[0] / mark.get_xdata()[0]) == pytest.approx(1.002)


def test_the_asked_gap_is_drawn():
    ax = figures.asked((2,)).axes[0]
    line = ax.get_lines()[0]
    alpha, gap = line.get_xdata()[15], line.get_ydata()[15]
    assert gap == pytest.approx(optimal_gap(2, *beta_nodes(alpha)).gap, rel=1e-6)


@pytest.mark.parametrize("draw", [figures.likelihoods, figures.clouds])
def test_one_panel_for_each_number_of_classes(trained, draw):
    titles = [ax.get_title() or ax.get_title(loc="left") for ax in draw(trained).axes]
    assert [t for t in titles if t] == ["2 classes", "4 classes", "10 classes"]


def test_distributions_and_time(trained, long):
    figure = figures.spread_of_gaps(trained, 1.0)
    assert len(figure.axes) == 3
    axes = figures.over_time(long).axes
    line = next(one for one in axes[1].get_lines() if one.get_label() == "plain")
    wanted = np.mean([long.arrays(i)["curves"][:, 0, 1, 3] for i in range(SEEDS)], axis=0)
    assert np.allclose(line.get_ydata(), wanted)


def test_figures_of_the_curved_head(pressed, expanded):
    assert len(bends.curvatures(pressed).axes) == 6
    shares = bends.shares(pressed).axes
    assert all(0 < y < 1 for ax in shares for one in ax.get_lines() for y in one.get_ydata())
    line = next(one for one in bends.profiles(pressed).axes[0].get_lines()
                if one.get_label() == "plain")  # fmt: skip
    assert np.allclose(line.get_ydata(), 6 * (2 * ODDS - 1))
    bars = bends.who_moved(pressed).axes[1].patches
    of = next(of for row, of in gap_cells.cells(pressed) if row["loss"] == "squared")
    assert bars[0].get_height() == pytest.approx(of("head_moved_plain").mean())
    crosses = [one for one in bends.powers(expanded).axes[0].get_lines() if one.get_marker() == "x"]
    assert len(crosses) == len(predictions_gap.CONTROLS)


def test_tables_and_predictions(trained, long, pressed, expanded):
    table = evidence_gap.table(trained, long, pressed, expanded)
    assert list(table.index) == [one.id for one in evidence_gap.PREDICTIONS]
    assert table.loc["G1", "holds"] == table.loc["E1", "holds"] == "yes"
    assert table.loc["G1", "cases"] == 12 and table.loc["G0", "cases"] == 1
    assert table.loc["P2", "holds"] == "no"  # the made-up log-odds are straight
    assert table.loc["P2", "least"] == pytest.approx(1.5)
    summary = evidence_gap.summary(trained)
    assert (summary["gap"] / summary["s*"]).to_numpy() == pytest.approx(1.002)
    q = same_class(2000, 10, 100)
    assert summary.loc[(10, 32, 2.0), "s*"] == optimal_gap(10, *beta_nodes(2.0), q).gap
    beyond = evidence_gap.beyond(trained)
    for k in (2, 4, 10):
        pairs = (("mixed", "smooth"), ("smooth", "plain"), ("mixed", "plain"))
        parts = [beyond.loc[(k, f"{a} over {b}"), "points"] for a, b in pairs]
        assert parts[0] + parts[1] == pytest.approx(parts[2])
    left = evidence_gap.left_over(trained)
    assert len(left) == 12 and (left["bound"] > 0).all()
    assert evidence_gap.at_the_end(pressed).loc[("squared", "deep"), "test NLL"] != 0
    odds = evidence_gap.odds_at(pressed, 0.7)
    assert odds["deep"] == pytest.approx(2.4) and odds["target"] == pytest.approx(np.log(7 / 3))
    rates = evidence_gap.rates(pressed)
    place = evidence_gap.PRESSED.index("head_rate_curvature")
    wanted = np.mean([pressed.arrays(i)["pressures"][-1, 1, place] for i in range(SEEDS)])
    assert rates.loc[("ce", "deep"), ("curvature", "head")] == pytest.approx(wanted)
