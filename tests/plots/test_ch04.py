"""Figures of chapter 04 draw what the runs hold, on runs made up for the purpose."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib.plots import ch04 as figures
from mmlib.plots import look
from mmlib.studies import ch04
from mmlib.studies.ch04 import evidence, grids, theory

SEEDS = 3


def runs(study, value, arrays=None, profile="quick"):
    """Runs of a study at quick size with the metrics that ``value(settings, seed)`` returns."""
    rows = [
        {
            **{key: tuple(v) if isinstance(v, list) else v for key, v in one.items()},
            "seed": seed,
            **value(one, seed),
        }
        for one in study.grid[profile]
        for seed in range(SEEDS)
    ]
    return SimpleNamespace(table=pd.DataFrame(rows), arrays=lambda row: arrays)


def error(one, seed):
    """Error in which method, data, labels, alpha and weight can be told apart."""
    value = 10.0 * grids.METHODS.index(one["method"]) + (one["data"] == "cifar10")
    value += 1000 / one["n_labels"] + one.get("weight", 0) + 0.1 * seed
    value += one.get("alpha", 0) + one.get("alpha_u", 0)
    return {"error": value, "zeros": 50.0, "weight_size": one["l1"]}


@pytest.fixture(scope="module")
def table():
    return runs(ch04.TABLE, error)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_surfaces_have_a_panel_for_each_method_and_toy():
    arrays = {
        "probability": np.full((5, 5), 0.9, "float16"),
        "decision": np.eye(5, dtype="int8"),
        "extent": np.asarray([-2.0, 2.0]),
        "x": np.zeros((4, 2)),
        "y": np.asarray([0, 1, 0, 1], "int8"),
        "points": np.zeros((7, 2), "float16"),
    }
    toys = runs(ch04.TOYS, lambda one, seed: {"error": 12.34 + seed}, arrays)
    figure = figures.decision_surfaces(toys)
    assert len(figure.axes) == 12
    assert [ax.get_title(loc="left") or ax.get_title() for ax in figure.axes[:6]] == [
        look(m).label for m in grids.METHODS
    ]
    assert figure.axes[0].get_xlabel() == "12.3 % wrong"
    image = figure.axes[0].images[0].get_array()
    assert image.shape == (5, 5, 3) and 0 <= image.min() and image.max() <= 1
    shown = figures.toy_errors(toys)
    assert shown.shape == (6, 2) and shown.iloc[0, 0].startswith("13.3 ± 2.5")


def test_the_schedule_starts_above_zero_and_ends_at_one():
    (ax,) = figures.schedule().axes
    line = ax.lines[0].get_ydata()
    assert line[0] == pytest.approx(np.exp(-5)) and line[-1] == 1


def test_losses_and_gradients_are_read_from_the_runs():
    scale = np.asarray([1.0, 10.0])
    arrays = {f"{a}_{b}": scale for a in ("loss", "gradient") for b in ("probabilities", "logits")}
    found = runs(ch04.LOSSES, lambda one, seed: {}, arrays | {"scale": scale})
    left, right = figures.losses_against_scale(found).axes
    assert list(left.lines[0].get_ydata()) == [1.0, 10.0]
    assert left.lines[2].get_ydata()[0] == pytest.approx(0.2) and len(right.lines) == 2
    names = [f"{term} | {layer}" for term in theory.TERMS for layer in ("layer1", "head")]
    slopes = runs(ch04.GRADIENTS, lambda one, seed: {n: i for i, n in enumerate(names)})
    shown = figures.gradients_by_term(slopes)
    assert list(shown.index) == list(theory.TERMS) and list(shown.columns) == ["layer1", "head"]
    assert shown.loc["unlabelled", "head"] == 3


def test_printed_errors_stand_beside_ours(table):
    figure = figures.table_4(table)
    assert len(figure.axes) == 4
    stars = [float(line.get_xdata()[0]) for line in figure.axes[0].lines]
    assert stars == list(evidence.printed_table()["CIFAR-10"])
    means = [line.get_xdata()[0] for line in figure.axes[3].lines if len(line.get_xdata()) == 1]
    assert any(value == pytest.approx(1 + 0.25 + 0.1) for value in means)


def test_differences_are_paired_with_labels_only(table):
    shown = figures.differences(table)
    assert shown.loc["VAT", "MNIST"] == "+40.00 ± 0.00" and shown.shape == (5, 2)


def test_labels_join_the_main_study(table):
    labels = runs(ch04.LABELS, error)
    ax, other = figures.error_against_labels(labels, runs(ch04.FEWER, error), table).axes
    assert list(other.lines[0].get_xdata()) == [250, 4000]
    assert list(other.lines[1].get_ydata()) == pytest.approx([28.2, 24.45])
    line = next(one for one in ax.lines if one.get_label() == look("supervised").label)
    assert list(line.get_xdata()) == [20, 100, 250, 1000]
    assert list(line.get_ydata()) == pytest.approx([50.1, 10.1, 4.1, 1.1])


def test_seeds_that_one_study_lacks_are_left_out(table):
    labels = runs(ch04.LABELS, error)
    labels.table = labels.table[labels.table["seed"] < 2]
    ax, _ = figures.error_against_labels(labels, runs(ch04.FEWER, error), table).axes
    assert ax.lines[0].get_ydata()[0] == pytest.approx(50.05)


def test_learning_curves_mark_the_drops_of_the_rate():
    arrays = {name: np.arange(1.0, 5.0) for name in ("step", "valid_error", "supervised")}
    own = runs(ch04.OWN, error, arrays | {"unsupervised": np.ones(4)})
    left, right = figures.learning_curves(own, 1).axes
    drops = [line.get_xdata()[0] for line in left.lines if line.get_linestyle() == ":"]
    assert drops == pytest.approx([2.0, 3.0, 3.5])
    assert len(right.lines) == 2 + 2 + 3


def test_switches_are_differences_to_the_text_s_reading(table):
    def worse(one, seed):
        found = error(one, seed)
        return found | {"error": found["error"] + 3 * (one["l1"] == 0)}

    switches = runs(ch04.SWITCHES, worse)
    gains = figures.switch_gains(switches, table)
    assert gains.loc["no L1"].tolist() == pytest.approx([3.0] * SEEDS)
    assert gains.loc["logits"].tolist() == pytest.approx([0.0] * SEEDS)
    (ax,) = figures.switch_figure(switches, table).axes
    assert [text.get_text() for text in ax.get_yticklabels()] == list(grids.SWITCHES)
    shown = figures.weights_at_the_end(switches, table)
    assert shown.loc["no L1", "mean size"] == 0 and shown.iloc[0, 1] == 1e-3


def test_sweeps_hold_the_cross_and_the_text_s_choice(table):
    figure = figures.sweeps(runs(ch04.ALPHAS, error), runs(ch04.WEIGHTS, error), table)
    first, second, third = figure.axes
    assert [t.get_text() for t in first.get_xticklabels()] == ["0.1", "0.5", "1"]
    assert [t.get_text() for t in second.get_xticklabels()] == ["0.1", "2", "4"]
    assert [t.get_text() for t in third.get_xticklabels()] == ["0", "0.3", "1", "3"]
    line = first.lines[0].get_ydata()
    assert np.diff(line) == pytest.approx([0.4, 0.5])
    assert np.diff(third.lines[0].get_ydata()) == pytest.approx([0.3, 0.7, 2.0])


def test_cost_and_probe_tables():
    names = [
        f"{key}_{m}" for key in ("forward", "backward", "averages", "time") for m in grids.METHODS
    ]
    cost = figures.cost_table(runs(ch04.COST, lambda one, seed: dict.fromkeys(names, seed)))
    assert cost.shape == (6, 4) and cost.loc["VAT", "time"] == 1
    lengths = ch04.PROBES.grid["quick"][0]["xis"]
    names = [f"{key}_{xi:g}" for key in ("cosine", "unmoved") for xi in lengths]
    probe = figures.probe_table(
        runs(ch04.PROBES, lambda one, seed: {n: i for i, n in enumerate(names)})
    )
    assert list(probe.index) == list(lengths) and probe.iloc[1, 0] == 1
