"""Figures of chapter 12, Part 4: orders of an expansion, pressures, and what gives way."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmlib.evidence import Runs
from mmlib.plots import curve, interval
from mmlib.studies.ch12.evidence_gap import PRESSED
from mmlib.studies.ch12.gap_cells import cells
from mmlib.studies.ch12.predictions_gap import POWERS
from mmlib.studies.ch12.pressure import ODDS, PARTS, WATCHED

# How the networks of this part are drawn.
_OF = {"plain": "none", "deep": "manifold", "last": "manifold_all", "smooth": "smoothing"}
_LABELS = {
    "plain": "plain",
    "deep": "mixed at the code",
    "last": "mixed before the last map",
    "smooth": "smoothed",
}
_TITLES = {"ce": "cross-entropy", "squared": "squared loss"}
_NAMES = {
    "bend_without": "no second derivative",
    "bend_double": "twice the second derivative",
    "bend_mix": "taken at the mix",
    "bend_middle": "taken at the middle",
    "bend_centroid": "taken at the centroid",
    "bend_half": "at the mix, λ = 1/2",
    "squared_affine": "affine part alone",
    "squared_wrong_sign": "signed term, wrong sign",
    "squared_signed": "with the signed term",
    "fitted": "fitted ends: the loss",
    "fitted_double": "less twice the fourth-order term",
    "fitted_fourth": "less the fourth-order term",
    "ce_ends": "losses of the ends",
    "ce_first": "and first order",
    "ce_no_curvature": "all but curvature",
    "ce_no_variance": "all but variance",
    "ce_second": "all of second order",
    "head_any": "gradient in the head",
    "head_fit": "... that keeps the fit",
    "states_any": "gradient in the states",
    "states_fit": "... that keeps the fit",
    "kink_mean": "ReLU: mean bend",
    "kink_rms": "ReLU: root mean square bend",
    "kink_share": "ReLU: share of bent chords",
    "smooth_kink_rms": "smooth: root mean square bend",
}
_GROUPS = {
    "logits of a mix": "bend",
    "squared loss": ("squared", "fitted"),
    "cross-entropy": "ce",
    "gradients of a fitted squared loss": ("head", "states"),
    "kinks": ("kink", "smooth"),
}


def powers(runs: Runs) -> Figure:
    """Measured powers of the distance; vertical bars are what theory says, crosses are controls."""
    order = [
        (group, [name for name in _NAMES if name.startswith(start)])
        for group, start in _GROUPS.items()
    ]
    figure, ax = plt.subplots(figsize=(6.4, 6.6))
    place, ticks = 0, []
    for group, names in order:
        ax.text(-0.02, -place, group, transform=ax.get_yaxis_transform(), ha="right",
                va="center", fontsize=8.5, weight="bold")  # fmt: skip
        place += 1
        for name in names:
            own = np.concatenate([of(name).to_numpy() for _, of in cells(runs)])
            right = POWERS.get(name)
            mark = "o" if right is not None else "x"
            colour = "#0072b2" if right is not None else "#d55e00"
            if right is not None:
                ax.plot([right] * 2, [-place - 0.38, -place + 0.38], color="black", lw=1.4)
            ax.plot(own, np.full(len(own), -place), mark, color=colour, alpha=0.6, markersize=5)
            ticks.append((-place, _NAMES[name]))
            place += 1
    ax.set_yticks(*zip(*ticks, strict=True), fontsize=8)
    ax.set(xlabel="power of the distance", ylim=(-place + 0.3, 0.6), xlim=(0.7, 5.4))
    return figure


def _looks(runs: Runs, loss: str) -> tuple[list[dict[str, np.ndarray]], list[str]]:
    """Return the arrays of the runs with a loss, and the names of their networks."""
    table = runs.table[runs.table["loss"] == loss]
    return [runs.arrays(index) for index in table.index], list(table["members"].iloc[0])


def _few_ticks(ax: Axes) -> None:
    """Write the ticks of a logarithmic axis as plain numbers, few enough to be read."""
    low, high = ax.get_ylim()
    ticks = [m * 10.0**k for k in range(-5, 2) for m in (1, 2, 5) if low <= m * 10.0**k <= high]
    powers = [t for t in ticks if f"{t:e}".startswith("1.")]
    ticks = powers if len(powers) > 2 else ticks
    ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()


def _epochs(ax: Axes, epochs: np.ndarray) -> None:
    ax.set_xscale("symlog", linthresh=1)
    chosen = [e for e in (0, 1, 3, 10, 30, 100) if e <= epochs[-1]]
    ax.set_xticks(chosen, [str(e) for e in chosen])
    ax.set_xlim(left=-0.1)


def profiles(runs: Runs) -> Figure:
    """Mean log-odds of two classes along chords, at the code and before the last linear map."""
    arrays, names = _looks(runs, "ce")
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.3), sharey=True)
    for layer, (ax, title) in enumerate(zip(axes, ("at the code", "before the last map"),
                                            strict=True)):  # fmt: skip
        for place, name in enumerate(names):
            odds = np.stack([a["odds"][place, layer] for a in arrays]).astype(float)
            curve(ax, ODDS, odds, _OF[name], label=_LABELS[name], every=2)
        ax.plot(ODDS, np.log(ODDS / (1 - ODDS)), ":", color="black", lw=1.4, label="log λ/(1 − λ)")
        ax.set_title(title, fontsize=9)
        ax.set_xlabel("λ")
        ax.set_ylim(-14, 14)
    axes[0].set_ylabel("log-odds of the first class")
    axes[0].legend(fontsize=8)
    return figure


def curvatures(runs: Runs) -> Figure:
    """Chord curvature of logits and probabilities, and width of classes, against the epoch."""
    wanted = {"curvature": "curvature, outputs", "probability": "curvature, probabilities",
              "within": "within over total"}  # fmt: skip
    figure, axes = plt.subplots(2, 3, figsize=(8.8, 4.8), sharex=True)
    for row, (loss, title) in zip(axes, _TITLES.items(), strict=True):
        arrays, names = _looks(runs, loss)
        epochs = arrays[0]["epochs"]
        for ax, (measure, label) in zip(row, wanted.items(), strict=True):
            for place, name in enumerate(names):
                own = [a["watched"][:, place, WATCHED.index(measure)] for a in arrays]
                curve(ax, epochs, np.stack(own).astype(float), _OF[name], label=_LABELS[name],
                      every=2)  # fmt: skip
            ax.set_yscale("log")
            ax.set_title(f"{title}: {label}", fontsize=8.5)
            _epochs(ax, epochs)
            _few_ticks(ax)
    for ax in axes[-1]:
        ax.set_xlabel("epoch")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=8)
    return figure


def shares(runs: Runs) -> Figure:
    """Share of the curvature part among the gradients' norms, in head, features and states."""
    groups: Mapping[str, str] = {"head": "in the head", "features": "in the features"}
    figure, axes = plt.subplots(2, 2, figsize=(7.4, 4.8), sharex=True, sharey=True)
    for row, (loss, title) in zip(axes, _TITLES.items(), strict=True):
        arrays, names = _looks(runs, loss)
        epochs = arrays[0]["epochs"]
        for ax, (group, label) in zip(row, groups.items(), strict=True):
            for place, name in enumerate(names):
                parts = [
                    np.stack([a["pressures"][:, place, PRESSED.index(f"{group}_{part}")]
                              for a in arrays]).astype(float)
                    for part in PARTS
                ]  # fmt: skip
                curve(ax, epochs, parts[2] / sum(parts), _OF[name], label=_LABELS[name], every=2)
            ax.set_title(f"{title}: {label}", fontsize=9)
            _epochs(ax, epochs)
            ax.set_ylim(0, 1)
        row[0].set_ylabel("share of the curvature part", fontsize=8.5)
    for ax in axes[-1]:
        ax.set_xlabel("epoch")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=8)
    return figure


def who_moved(runs: Runs) -> Figure:
    """Change of the log of the chord curvature by the head and by the features."""
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.1), sharey=True)
    for ax, (loss, title) in zip(axes, _TITLES.items(), strict=True):
        names = _looks(runs, loss)[1]
        of = next(of for row, of in cells(runs) if row["loss"] == loss)
        for place, name in enumerate(names):
            for who, shift, colour, hatch in (
                ("head", -0.2, "#0072b2", ""), ("features", 0.2, "#e69f00", "///"),
            ):  # fmt: skip
                mean, half = interval(of(f"{who}_moved_{name}").to_numpy())
                ax.bar(place + shift, mean, 0.38, yerr=half, color=colour, hatch=hatch,
                       edgecolor="white", capsize=3,
                       label=f"by the {who}" if not place else None)  # fmt: skip
        ax.axhline(0, color="black", lw=0.8)
        short = {"plain": "plain", "deep": "code", "last": "last", "smooth": "smooth"}
        ax.set_xticks(range(len(names)), [short[name] for name in names], fontsize=8.5)
        ax.set_title(title, fontsize=9)
        ax.grid(False, axis="x")
    axes[0].set_ylabel("change of log curvature", fontsize=8.5)
    axes[0].legend(fontsize=8)
    return figure
