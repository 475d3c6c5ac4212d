"""Figures of chapter 12, Parts 1 and 2: the rest, closed forms, equal runs, noise, fitted nets."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmlib.evidence import Runs
from mmlib.measures.subspaces import squared_shrinkage
from mmlib.plots import LOOKS, Look, interval
from mmlib.studies.ch12 import equal_runs, fitted, fitted_pairs, noise

_ROUNDING = 1e-16
_NARROW = (5.2, 3.9)  # readable at the width of a telephone
_RESTS = {
    "curved, targets differ": Look("curved head, targets differ", "#d55e00", "D", "-"),
    "curved, equal targets": Look("curved head, equal targets", "#e69f00", "v", "--"),
    "affine, cross-entropy": Look("affine head, cross-entropy", "#0072b2", "s", "-."),
    "affine, squared error": Look("affine head, squared error", "#4d4d4d", "o", ":"),
}


def rest(runs: Runs) -> Figure:
    """Size of the rest over that of a usual term against the distance of two states."""
    sizes = [runs.arrays(i)["rest"] for i in runs.table.index[runs.table["outputs"] > 1]]
    with np.errstate(divide="ignore"):
        middle = np.exp(np.mean(np.log(np.maximum(sizes, _ROUNDING / 10)), axis=0))
    figure, ax = plt.subplots(figsize=_NARROW)
    x = np.array(fitted_pairs.DISTANCES)
    for row, name in zip(middle, fitted_pairs.RESTS, strict=True):
        label, colour, marker, line = _RESTS[name]
        ax.plot(x, row, line, color=colour, marker=marker, label=label)
    for power, at in ((1, 0), (2, 1)):
        guide = middle[2 * at][0] * 0.25 * (x[:5] / x[0]) ** power
        ax.plot(x[:5], guide, color="black", lw=0.8)
        ax.annotate(f"slope {power}", (x[4], guide[4]), (0, -11), textcoords="offset points",
                    fontsize=8)  # fmt: skip
    ax.set(xscale="log", yscale="log", ylim=(1e-18, 1e4))
    ax.set(xlabel="distance of the two states", ylabel="rest over usual term")
    ax.legend(fontsize=8, loc="upper left")
    return figure


def closed_form(runs: Runs) -> Figure:
    """Expected mixed loss over the plain loss against alpha, formula and sampled mixes."""
    table = runs.table
    alphas = np.sort(table["alpha"].unique())
    figure, ax = plt.subplots(figsize=_NARROW)
    fine = np.geomspace(alphas.min() / 1.5, alphas.max() * 1.5, 80)
    ax.plot(fine, [squared_shrinkage(a) for a in fine], "-", color="#0072b2")
    for end, words, place, colour, marker in (
        ("", "best bias: c", (-8, -16), "#0072b2", "s"),
        ("_free", "a mean residual", (0, 9), "#d55e00", "D"),
    ):
        groups = [table[table["alpha"] == a] for a in alphas]
        formula = [group[f"loss{end}"].mean() for group in groups]
        drawn = [group[f"sampled{end}"].mean() for group in groups]
        error = [2 * np.sqrt((group[f"se{end}"] ** 2).sum()) / len(group) for group in groups]
        if end:
            ax.plot(alphas, formula, "--", color=colour)
        ax.errorbar(alphas, drawn, error, fmt=marker, color=colour, capsize=3, mfc="white")
        at = -2 if len(alphas) > 1 else 0
        ax.annotate(words, (alphas[at], formula[at]), place, textcoords="offset points",
                    color=colour, fontsize=9)  # fmt: skip
    ax.axhline(1, color="black", lw=0.8, ls=":")
    ax.axhline(0.5, color="black", lw=0.8, ls=":")
    ax.set(
        xscale="log", xlabel="α of Beta(α, α)", ylabel="mixed over plain loss", ylim=(0.45, 1.05)
    )
    ax.set_xticks(alphas, [f"{a:g}" for a in alphas])
    ax.minorticks_off()
    return figure


# Those that are drawn by name; the equal ones lie in one band.
_BROKEN = {
    "Adam's rate times c": Look("Adam, rate × c", "#882255", "v", ":"),
    "rate kept": Look("rate kept", "#d55e00", "o", "-"),
    "bias learned": Look("bias learned", "#b07000", "s", "--"),
    "cross-entropy": Look("cross-entropy", "#0072b2", "x", "-."),
    "curved head": Look("curved head", "#009e73", "^", "--"),
    "decay kept": Look("decay kept", "#4d4d4d", "P", "-"),
}


def trajectories(runs: Runs) -> Figure:
    """Distance of a mixed run and its plain one over the way from the start, by epoch."""
    index = runs.table.index[runs.table["targets"] == "labels"][0]
    names, arrays = runs.table.loc[index, "comparisons"], runs.arrays(index)
    epochs = np.arange(1, arrays["gaps"].shape[1] + 1)
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(5.2, 5.4), sharex=True, height_ratios=(2.6, 1)
    )
    ends: list[tuple[float, str, str]] = []
    for name, row in zip(names, arrays["gaps"], strict=True):
        if name in equal_runs.EQUAL:
            bottom.plot(epochs, row, "-", color="#4d4d4d", lw=1)
        elif name in _BROKEN:
            label, colour, marker, line = _BROKEN[name]
            top.plot(epochs, row, line, color=colour, marker=marker, markevery=6)
            ends.append((float(row[-1]), label, colour))
    top.plot(epochs, arrays["sampled"], ":", color="black", marker=".", markevery=4)
    ends.append((float(arrays["sampled"][-1]), "sampled mixes", "black"))
    _spaced(top, epochs[-1], ends, 0.13)
    top.set(yscale="log", ylim=(2e-3, 2), title="one condition broken")
    bottom.set(yscale="log", ylim=(1e-16, 1e-13), xlim=(0, epochs[-1] * 1.45), xlabel="epoch")
    bottom.set_title("equal: SGD, momentum, schedule, batch norm, Adam(W)")
    bottom.set_xticks(np.linspace(0, epochs[-1], 5).round())
    figure.supylabel("distance of the runs over their way", fontsize=9.5)
    return figure


def _spaced(ax: Axes, x: float, ends: list[tuple[float, str, str]], gap: float) -> None:
    """Write labels behind lines on a logarithmic axis, at least `gap` decades apart."""
    last = np.inf
    for value, label, colour in sorted(ends, reverse=True):
        last = min(np.log10(value), last - gap)
        ax.annotate(label, (x, 10**last), (4, -3), textcoords="offset points", color=colour,
                    fontsize=8)  # fmt: skip


_NOISE = {
    "gradient": Look("length² of the mean step", "#4d4d4d", "o", "--"),
    "batch": Look("drawing the batch", "#0072b2", "s", "-."),
    "cross": Look("cross terms", "#d55e00", "D", "-"),
    "length": Look("length of the usual step", "#e69f00", "v", ":"),
}


def noise_over_training(runs: Runs) -> Figure:
    """Squared length of the mean step and three parts of the gradient's variance, by epoch."""
    rows = runs.table.index[runs.table["targets"] == "labels"]
    arrays = [runs.arrays(i) for i in rows]
    epochs = np.array(arrays[0]["noise_epochs"])
    values = np.log(np.stack([one["noise"] for one in arrays]).astype(float))
    figure, ax = plt.subplots(figsize=_NARROW)
    for column, name in enumerate(noise.PARTS):
        label, colour, marker, line = _NOISE[name]
        mean, half = interval(values[:, :, column])
        ax.plot(epochs, np.exp(mean), line, color=colour, marker=marker, label=label)
        ax.fill_between(epochs, np.exp(mean - half), np.exp(mean + half), color=colour, alpha=0.15,
                        linewidth=0)  # fmt: skip
    ax.set(yscale="log", xlabel="epoch", ylabel="squared gradient of F")
    ax.set_ylim(top=ax.get_ylim()[1] * 30)
    ax.legend(fontsize=8, loc="upper right", ncols=1)
    return figure


_ARMS = {
    "plain": Look("no mixing", *LOOKS["none"][1:]),
    "equal": Look("no mixing, rate × c", "#882255", "x", ":"),
    "mixed": Look("mixed at the last layer", *LOOKS["manifold"][1:]),
    "curved": Look("mixed one layer below", "#009e73", "^", "-."),
    "input": Look("mixed at the input", *LOOKS["input"][1:]),
}


def fits(runs: Runs, arms: Sequence[str] = tuple(_ARMS)) -> Figure:
    """Gradient of the arm's own loss over its start, and within over total variance, by epoch."""
    every = [runs.arrays(i) for i in runs.table.index]
    names = list(runs.table["arms"].iloc[0])
    epochs = np.array(every[0]["epochs"])
    curves = np.stack([one["curves"] for one in every]).astype(float)
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(5.2, 6.2), sharex=True)
    for arm in [name for name in arms if name in names]:
        label, colour, marker, line = _ARMS[arm]
        own = curves[:, names.index(arm)]
        gradient = own[:, :, fitted.CURVES.index("gradient")]
        shown = {top: np.log(gradient / gradient[:, :1])}
        shown[bottom] = np.log(own[:, :, fitted.CURVES.index("within")])
        for ax, values in shown.items():
            mean, half = interval(values)
            ax.plot(epochs, np.exp(mean), ls=line, color=colour, marker=marker, label=label)
            ax.fill_between(epochs, np.exp(mean - half), np.exp(mean + half), color=colour,
                            alpha=0.15, linewidth=0)  # fmt: skip
    top.set(yscale="log", ylabel="gradient over its start")
    bottom.set(yscale="log", ylabel="within over total variance", xlabel="epoch")
    bottom.set_xscale("symlog", linthresh=1)
    bottom.set_xlim(-0.2, epochs[-1] * 1.2)
    ticks = [e for e in (0, 1, 10, 100, 1000) if e <= epochs[-1]]
    bottom.set_xticks(ticks, [f"{e:g}" for e in ticks])
    share = [0.1, 0.2, 0.5, 1.0]
    bottom.set_yticks(share, [f"{one:g}" for one in share])
    bottom.minorticks_off()
    top.legend(fontsize=8, loc="lower left")
    return figure


def noise_and_spread(training: pd.DataFrame, test: pd.DataFrame) -> Figure:
    """Logarithm of within over total variance against the run of equal rate, by arm and seed.

    Args:
        training: seeds by arms, see `mmlib.studies.ch12.evidence_terms.against_equal`.
        test: the same on test images.
    """
    figure, ax = plt.subplots(figsize=(5.2, 4.2))
    rows = np.arange(len(training.columns))[::-1]
    for table, shift, colour, marker, label in (
        (training, 0.16, "#d55e00", "D", "training images"),
        (test, -0.16, "#0072b2", "s", "test images"),
    ):
        for row, arm in zip(rows + shift, training.columns, strict=True):
            mean, half = interval(table[arm].to_numpy())
            ax.plot(table[arm], [row] * len(table), ".", color=colour, alpha=0.5)
            ax.errorbar(mean, row, xerr=half, fmt=marker, color=colour, mfc="white", capsize=3,
                        label=label if row == rows[0] + shift else None)  # fmt: skip
    ax.axvline(0, color="black", lw=0.8, ls=":")
    ax.set_yticks(
        rows,
        [name.replace(", ", ",\n").replace("of the ", "of the\n") for name in training.columns],
        fontsize=8.5,
    )
    ax.set_ylim(-0.6, rows[0] + 0.6)
    ax.set(xlabel="log of within over total, less that at rate × c")
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(0, 1.12), ncols=2)
    return figure
