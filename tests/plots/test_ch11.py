"""Figures of chapter 11 draw what the runs hold, on runs made up for the purpose."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from mmlib.measures.subspaces import best_scale, beta_nodes
from mmlib.plots import ch11 as figures
from mmlib.plots import ch11_theory as theory
from mmlib.plots import look
from mmlib.studies import ch11
from mmlib.studies.ch11.candidates import CANDIDATES

SEEDS, LOOKS = 3, 4


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def trained():
    rng, rows, arrays = np.random.default_rng(0), [], []
    for cell in ch11.SPECTRA.grid["quick"]:
        methods, units = cell["methods"], cell["code"]
        for seed in range(SEEDS):
            metrics = {f"{name}_{m}": rng.uniform(0.1, 1) for name in CANDIDATES for m in methods}
            for layer in ("code", *(f"layer{i}" for i in range(1, 8))):
                metrics |= {f"rank_{layer}_{m}": rng.uniform(1, 9) for m in methods}
                metrics |= {f"within_{layer}_{m}": rng.uniform(0.1, 1) for m in methods}
            rows.append(cell | {"seed": seed} | metrics)
            spectra = np.sort(rng.uniform(0.1, 9, (LOOKS, len(methods), 2, 3, units)))[..., ::-1]
            arrays.append(
                {
                    "epochs": np.array([0, 1, 5, 20]),
                    "curves": rng.uniform(size=(LOOKS, len(methods), 2, len(CANDIDATES))),
                    "profile": spectra,
                    "classes": np.sort(rng.uniform(0.1, 9, (len(methods), 10, units)))[..., ::-1],
                }
            )
    return SimpleNamespace(table=pd.DataFrame(rows), arrays=lambda index: arrays[index])


def drawn(ax, label: str):
    (line,) = [one for one in ax.get_lines() if one.get_label() == label]
    return np.asarray(line.get_ydata(), dtype=float)


def test_spectra_are_means_and_are_divided_by_their_first(trained):
    figure = figures.spectra(trained, ("none", "manifold"), "all")
    own = np.stack([trained.arrays(i)["profile"][-1, 2, 0, 2] for i in range(SEEDS)])
    label = look("manifold").label
    assert drawn(figure.axes[0], label) == pytest.approx(own.mean(0))
    assert drawn(figure.axes[3], label) == pytest.approx((own / own[:, :1]).mean(0))
    assert len(figure.axes) == 6 and drawn(figure.axes[2], label).shape == (30,)
    assert look("input").label not in [one.get_label() for one in figure.axes[0].get_lines()]


def test_panels_by_class(trained):
    names = ["three", "five", "eight"]
    figure = figures.by_class(trained, "late12", ("none", "decay"), names)
    assert [ax.texts[0].get_text() for ax in figure.axes[:3]] == names
    own = np.stack([trained.arrays(i)["classes"][5, 1] for i in range(SEEDS)]).mean(0)
    assert drawn(figure.axes[1], look("decay").label) == pytest.approx(own)


def test_curves_over_time_take_the_named_candidate(trained):
    figure = figures.over_time(
        trained, "late30", ("none", "smoothing"), ("tail", "within"), "train"
    )
    place = list(CANDIDATES).index("within")
    rows = [trained.arrays(i)["curves"][:, 3, 1, place] for i in range(SEEDS, 2 * SEEDS)]
    assert drawn(figure.axes[1], look("smoothing").label) == pytest.approx(np.mean(rows, 0))


def test_ratios_to_the_baseline(trained):
    figure = figures.says(trained, ("tail", "discriminating"), ("manifold",))
    table = trained.table[trained.table["setup"] == "early30"]
    ratio = table["tail_manifold"] / table["tail_none"]
    marks = [c.lines[0] for c in figure.axes[2].containers]
    assert float(marks[0].get_xdata()[0]) == pytest.approx(ratio.mean())
    telling = [1 - (1 - table[f"white_{m}"]) * 30 / 9 for m in ("manifold", "none")]
    assert float(marks[1].get_xdata()[0]) == pytest.approx((telling[0] / telling[1]).mean())


def test_layers_stand_in_their_order(trained):
    figure = figures.by_layer(trained, "early30", ("none", "input"))
    labels = [one.get_text() for one in figure.axes[0].get_xticklabels()]
    assert labels == ["1", "code", "2", "3", "4", "5", "6", "7"]
    table = trained.table[trained.table["setup"] == "early30"]
    assert drawn(figure.axes[1], look("input").label)[1] == pytest.approx(
        table["within_code_input"].mean()
    )


def test_routes_are_drawn_one_panel_a_measure():
    rows = [{"seed": s} | {f"size_{r}": 10.0**k for k, r in enumerate(ch11.ROUTE_NAMES)}
            for s in range(SEEDS)]  # fmt: skip
    figure = figures.routes(SimpleNamespace(table=pd.DataFrame(rows)), {"size": "spread"})
    marks = [float(c.lines[0].get_ydata()[0]) for c in figure.axes[0].containers]
    assert marks == [1, 10, 100, 1000] and figure.axes[0].get_yscale() == "log"


def test_changed_codes_have_a_line_each():
    figure = figures.changed({"a": torch.ones(3), "b": torch.tensor([3.0, 2, 1])},
                             {"a": "first", "b": "second"})  # fmt: skip
    assert drawn(figure.axes[0], "second") == pytest.approx([3, 2, 1])


def test_best_scales_are_marked_at_their_minimum():
    figure = theory.scales(4, (1.0,))
    curve = figure.axes[0].get_lines()[0]
    dot = figure.axes[0].get_lines()[1]
    scale, excess = best_scale(4, *beta_nodes(1.0))
    assert (float(dot.get_xdata()[0]), float(dot.get_ydata()[0])) == (scale, excess)
    assert min(curve.get_ydata()) >= excess


def test_ranks_of_free_states_are_split_by_loss_head_and_mixing():
    rows = [cell | {"seed": 0, "rank": i} for i, cell in enumerate(ch11.FREE.grid["quick"])]
    figure = theory.free_ranks(SimpleNamespace(table=pd.DataFrame(rows)))
    marks = [int(y) for ax in figure.axes for one in ax.get_lines()[1:] for y in one.get_ydata()]
    wanted = [row["rank"] for row in rows if row["decay"] == 0]
    assert sorted(marks) == wanted


def test_states_without_conflict_are_drawn():
    assert len(theory.no_conflict().axes) == 3
