"""Figures of the factorial of chapter 12: gains by arm, what a temperature leaves, and flatness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmlib.evidence import Runs
from mmlib.plots import interval
from mmlib.studies.ch12.arms import ARMS
from mmlib.studies.ch12.evidence_factorial import ALL_ARMS, by_arm, gains
from mmlib.studies.ch12.grids_factorial import TITLES
from mmlib.studies.ch12.hypotheses import OUTCOMES

# Set-ups are no methods, so their looks are their own: colour, marker, filled or not.
_SETUPS = {
    "digits": ("#1b1b1b", "o", True),
    "photos": ("#0072b2", "s", False),
    "squared": ("#d55e00", "^", True),
}
# Kinds of arms: marker and colour in figures where each arm is a dot.
_KINDS = {
    "mixes": ("D", "#d55e00", ("input", "early", "deep", "last", "manifold")),
    "one part": ("^", "#009e73", ("scaled", "targets", "smoothing", "features")),
    "routed": ("v", "#e69f00", ("detached", "head_blocked", "detached_deep", "head_blocked_deep")),
    "terms": ("x", "#666666", tuple(n for n in ARMS if n.split("_")[0] in
                                    ("usual", "cross", "rest", "no"))),
    "penalties": ("s", "#0072b2", tuple(n for n, arm in ARMS.items() if arm.penalty)),
}  # fmt: skip


def gain_rows(
    runs: Mapping[str, Runs],
    arms: Sequence[str],
    outcome: str = "accuracy",
    low: float = -float("inf"),
) -> Figure:
    """What each arm gains over plain training: a row for each, a mark for each set-up.

    Args:
        runs: by set-up.
        arms: rows from the top; an arm that no set-up has is left out.
        outcome: a key of `OUTCOMES`; more is better.
        low: where the axis begins; a mean below is written there as a number.
    """
    found = {setup: gains(one, outcome) for setup, one in runs.items()}
    arms = [name for name in arms if any(name in table for table in found.values())]
    figure, ax = plt.subplots(figsize=(5.6, 0.31 * len(arms) + 1.2))
    for step, (setup, table) in enumerate(found.items()):
        shift = 0.24 * ((len(found) - 1) / 2 - step)
        for row, name in enumerate(arms):
            if name in table:
                _mark(ax, -row, shift, table[name].to_numpy(), setup, first=row == 0, low=low)
        if not set(table) & set(arms[:1]):  # the first row is not of this set-up
            _mark(ax, 0, shift, np.array([np.nan]), setup, first=True)
    if np.isfinite(low):
        ax.set_xlim(left=low)
    ax.axvline(0, color="black", lw=0.9)
    ax.set_yticks([-row for row in range(len(arms))], [ALL_ARMS[name].title for name in arms])
    ax.tick_params(axis="y", labelsize=8.5, length=0)
    ax.set_ylim(-len(arms) + 0.4, 0.6)
    ax.set_xlabel(f"gain over plain training: {OUTCOMES[outcome][2]}", fontsize=8.5)
    figure.legend(loc="outside upper center", ncols=len(found), fontsize=8.5)
    return figure


def _mark(
    ax: Axes,
    row: int,
    shift: float,
    values: np.ndarray,
    setup: str,
    *,
    first: bool,
    low: float = -float("inf"),
) -> None:
    colour, marker, filled = _SETUPS[setup]
    mean, half = interval(values)
    if mean < low:
        earlier = sum(text.xy == (low, row) for text in ax.texts)  # stand side by side
        arrow = "" if earlier else "◂ "
        ax.annotate(f"{arrow}{mean:.1f}", (low, row), (8 + 40 * earlier if earlier else 0, 0),
                    textcoords="offset points", color=colour, fontsize=8, va="center")  # fmt: skip
        mean = np.nan
    label = TITLES[setup] if first else "_nolegend_"
    face = colour if filled else "white"
    ax.errorbar(mean, row + shift, xerr=half, color=colour, marker=marker, mfc=face, capsize=2.5,
                lw=1.3, ls="", label=label)  # fmt: skip


def temperatures(runs: Runs, arms: Sequence[str]) -> Figure:
    """NLL of each arm as it comes out of training, and at a fitted temperature.

    Args:
        runs: of one set-up.
        arms: rows from the top, plain training first.
    """
    raw, scaled = by_arm(runs, "nll"), by_arm(runs, "nll_scaled")
    arms = [name for name in arms if name in raw]
    figure, ax = plt.subplots(figsize=(5.6, 0.31 * len(arms) + 1.2))
    for row, name in enumerate(arms):
        means = [interval(table[name].to_numpy()) for table in (raw, scaled)]
        ax.plot([means[0][0], means[1][0]], [-row, -row], color="#999999", lw=1, zorder=1)
        for (mean, half), marker, face, label in zip(
            means, "oD", ("white", "black"), ("as trained", "temperature fitted"), strict=True
        ):
            ax.errorbar(mean, -row, xerr=half, color="black", marker=marker, mfc=face, capsize=2.5,
                        lw=1.2, ls="", label=label if row == 0 else "_nolegend_")  # fmt: skip
    ax.axvline(float(scaled["none"].mean()), color="black", lw=0.8, ls=":")
    ax.set_yticks([-row for row in range(len(arms))], [ALL_ARMS[name].title for name in arms])
    ax.tick_params(axis="y", labelsize=8.5, length=0)
    ax.set_ylim(-len(arms) + 0.4, 0.6)
    ax.set_xlabel("NLL on test images, nats")
    figure.legend(loc="outside upper center", ncols=2, fontsize=8.5)
    return figure


def flatness(
    runs: Runs, metrics: Mapping[str, str], named: Sequence[str], low: float = -float("inf")
) -> Figure:
    """Gain in accuracy of each arm against how flat it is: a dot an arm, a panel a measure.

    Args:
        runs: of one set-up.
        metrics: metric -> name for the axis; drawn over that of plain training.
        named: arms that are labelled.
        low: arms that gain less are left out.
    """
    gain = gains(runs).mean()
    gain = gain[gain >= low]
    figure, axes = plt.subplots(
        len(metrics), 1, figsize=(5.6, 2.5 * len(metrics) + 0.4), squeeze=False
    )
    for ax, (metric, title) in zip(axes[:, 0], metrics.items(), strict=True):
        ratio = by_arm(runs, metric).mean()
        ratio = (ratio / ratio["none"])[gain.index]
        for kind, (marker, colour, arms) in _KINDS.items():
            arms = [name for name in arms if name in gain]
            ax.scatter(ratio[arms], gain[arms], s=26, marker=marker, color=colour, label=kind)
        for name in named:
            if name in gain:
                ax.annotate(name.replace("_", " "), (ratio[name], gain[name]), fontsize=8,
                            xytext=(4, 3), textcoords="offset points")  # fmt: skip
        ax.axhline(0, color="black", lw=0.8)
        ax.axvline(1, color="black", lw=0.8, ls=":")
        ax.set_xscale("log")
        ticks = [t for t in (0.05, 0.1, 0.2, 0.5, 0.7, 1, 1.4, 2, 3, 5, 10)
                 if ratio.min() * 0.8 < t < ratio.max() * 1.25]  # fmt: skip
        ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
        ax.minorticks_off()
        ax.set_xlabel(f"{title}, over plain training")
        ax.set_ylabel("accuracy gained, points")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=8.5)
    return figure
