"""Figures of chapter 12, Part 3: the gap that mixing asks for, and what trained networks do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from mmlib.evidence import Runs
from mmlib.measures.logit_gap import many_classes_rate, optimal_gap, small_alpha_gap
from mmlib.measures.subspaces import beta_nodes
from mmlib.plots import curve, interval, look
from mmlib.studies.ch12.gap import CURVES
from mmlib.studies.ch12.gap_cells import cells, compared, share, theory

# How the networks of this part are drawn.
_OF = {"plain": "none", "mixed": "manifold", "smooth": "smoothing"}
_LABELS = {"plain": "plain", "mixed": "mixed", "smooth": "smoothed"}
_SHADES = ("#d55e00", "#0072b2", "#009e73")
_MARKS = ("o", "s", "^")
_LINES = ("-", "--", "-.")


def members(row: pd.Series) -> list[tuple[str, str, float | None]]:
    """Return kind, name and alpha of the networks of a run, in their order."""
    return [
        ("plain", "plain", None),
        *(("mixed", f"mixed_{a:g}", a) for a in row["alphas"]),
        *(("smooth", f"smooth_{a:g}", a) for a in row["smooth"]),
    ]


def _wide(runs: Runs) -> list[tuple[pd.Series, Callable[[str], pd.Series]]]:
    """Return the cells whose heads can place their classes anywhere; not the control."""
    return [(row, of) for row, of in cells(runs) if compared(row)]


def _plain_log(ax: Axes, which: str, ticks: Sequence[float]) -> None:
    """Give a logarithmic axis a few ticks, written as plain numbers."""
    axis = getattr(ax, f"{which}axis")
    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
    axis.set_minor_locator(FixedLocator([]))


def asked(classes: Sequence[int] = (2, 4, 10)) -> Figure:
    """The gap against alpha beside its limit for small alpha; against the number of classes."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.3))
    alphas = np.geomspace(1e-3, 30, 30)
    nodes = [beta_nodes(alpha, 100) for alpha in alphas]
    for k, colour, mark, line in zip(classes, _SHADES, _MARKS, _LINES, strict=False):
        found = [optimal_gap(k, *one).gap for one in nodes]
        left.plot(alphas, found, line, color=colour, marker=mark, markevery=6)
        left.annotate(f"K = {k}", (alphas[-1], found[-1]), (3, -3), textcoords="offset points",
                      fontsize=8.5)  # fmt: skip
        low = alphas[alphas < 0.25]
        left.plot(low, [small_alpha_gap(a, k) for a in low], ":", color="black", lw=1)
    left.set(xscale="log", xlabel="α", ylabel="gap s*", xlim=(8e-4, 300))
    _plain_log(left, "x", (0.001, 0.01, 0.1, 1, 10))
    left.set_title("dotted: log(K / (α (1 − log 2)))", fontsize=9)
    many = np.unique(np.geomspace(3, 1e12, 25).astype(np.int64))
    for alpha, colour, mark, line in zip((1.0, 8.0), _SHADES, _MARKS, _LINES, strict=False):
        one = beta_nodes(alpha, 400)
        rates = [optimal_gap(int(k), *one).gap / np.log(k) for k in many]
        right.plot(
            many, rates, line, color=colour, marker=mark, markevery=5, label=f"α = {alpha:g}"
        )
        right.axhline(many_classes_rate(alpha), color="black", lw=1, ls=":")
    right.set(xscale="log", xlabel="classes K", ylabel="s* / log K", ylim=(1.5, 4.2))
    _plain_log(right, "x", (10, 1e4, 1e8, 1e12))
    right.set_xticklabels(["10", "10⁴", "10⁸", "10¹²"])
    right.set_title("dotted: limits", fontsize=9)
    right.legend(fontsize=8.5)
    return figure


def reached(runs: Runs) -> Figure:
    """Mean training gap of trained networks against the predicted one; smoothing beside mixing."""
    figure, ax = plt.subplots(figsize=(5.2, 3.8))
    for (row, of), mark in zip(_wide(runs), _MARKS * 3, strict=False):
        labelled = set()
        for kind, name, alpha in members(row):
            if alpha is None:
                continue
            mean, half = interval(of(f"train_gap_{name}").to_numpy())
            colour = look(_OF[kind]).colour
            label = f"{len(row['digits'])} classes, {_LABELS[kind]}"
            ax.errorbar(
                theory(row, alpha).gap, mean, half, color=colour, marker=mark, ls="", capsize=3,
                mfc=colour if kind == "mixed" else "none", markersize=6 if kind == "mixed" else 11,
                label=None if kind in labelled else label,
            )  # fmt: skip
            labelled.add(kind)
    low, high = ax.get_xlim()
    ax.axline((low, low), slope=1, color="black", ls=":", lw=1)
    ax.set(xlabel="predicted gap s*", ylabel="mean gap of training images", xlim=(low, high))
    ax.legend(fontsize=8, loc="upper left")
    return figure


def spread_of_gaps(runs: Runs, alpha: float) -> Figure:
    """Distribution of gaps of training and test images, one panel for each number of classes."""
    chosen = [(row, of) for row, of in _wide(runs) if alpha in row["alphas"]]
    figure, axes = plt.subplots(1, len(chosen), figsize=(2.9 * len(chosen) + 0.6, 3), squeeze=False)
    for ax, (row, _) in zip(axes[0], chosen, strict=True):
        table = runs.table
        index = [
            i for i in table.index
            if table.loc[i, "digits"] == row["digits"] and table.loc[i, "code"] == row["code"]
        ]  # fmt: skip
        names = [name for _, name, _ in members(row)]
        arrays = [runs.arrays(i) for i in index]
        for place, name in enumerate(("plain", f"mixed_{alpha:g}", f"smooth_{alpha:g}")):
            if name not in names:
                continue
            label, colour, marker, line = look(_OF[name.split("_")[0]])
            for split, shift in (("train", 0.0), ("test", 0.42)):
                own = np.concatenate([a[f"{split}_gaps"][names.index(name)] for a in arrays])
                low, q1, middle, q3, high = np.quantile(
                    own.astype(float), (0.01, 0.25, 0.5, 0.75, 0.99)
                )
                at = place + shift
                ax.plot([at, at], [low, high], color=colour, lw=1.2,
                        ls="-" if split == "train" else ":")  # fmt: skip
                ax.plot([at, at], [q1, q3], color=colour, lw=5, alpha=0.5, solid_capstyle="butt")
                ax.plot(at, middle, marker=marker, color=colour,
                        mfc=colour if split == "train" else "white")  # fmt: skip
        ax.axhline(theory(row, alpha).gap, color="black", lw=1, ls=":")
        ax.set_yscale("symlog", linthresh=8)
        _plain_log(ax, "y", (-4, 0, 4, 8, 20, 40))
        ax.set_xticks([0.2, 1.2, 2.2], ["plain", "mixed", "smoothed"], fontsize=8.5)
        ax.set_title(f"{len(row['digits'])} classes", fontsize=9)
        ax.grid(False, axis="x")
    axes[0, 0].set_ylabel("gap (full: training, open: test)", fontsize=8.5)
    return figure


def over_time(runs: Runs) -> Figure:
    """Gap, test NLL and clouds against the epoch at a constant rate, one panel each."""
    arrays = [runs.arrays(index) for index in runs.table.index]
    row = next(cells(runs))[0]
    epochs = arrays[0]["epochs"]
    names = [name for _, name, _ in members(row)]
    curves = np.stack([a["curves"] for a in arrays]).astype(float)

    def of(split: int, name: str) -> np.ndarray:
        return curves[:, :, :, split, CURVES.index(name)]

    panels = {
        "gap, training images": of(0, "gap"),
        "test NLL, nats": of(1, "nll"),
        "NLL of a wrong test image": of(1, "nll_wrong"),
        "within over total, logits": of(0, "logits_within"),
        "within over total, unseen": of(0, "within_unseen") / of(0, "total_unseen"),
        "test accuracy, %": of(1, "accuracy"),
    }
    figure, axes = plt.subplots(2, 3, figsize=(8.8, 4.8), sharex=True)
    for ax, (title, values) in zip(axes.flat, panels.items(), strict=True):
        for place, name in enumerate(names):
            kind = name.split("_")[0]
            curve(ax, epochs, values[:, :, place], _OF[kind], label=_LABELS[kind], every=2)
        ax.set_title(title, fontsize=9)
        ax.set_xscale("log")
        if "logits" in title:
            ax.set_yscale("log")
    axes[0, 0].axhline(theory(row, row["alphas"][0]).gap, color="black", lw=1, ls=":")
    axes[1, 2].set_ylim(bottom=max(axes[1, 2].get_ylim()[0], 80 if epochs[-1] > 50 else 0))
    for ax in axes[-1]:
        ax.set_xlabel("epoch")
        _plain_log(ax, "x", [e for e in (1, 10, 100, 1000) if e <= epochs[-1]])
    axes[0, 0].legend(fontsize=8)
    return figure


def likelihoods(runs: Runs) -> Figure:
    """Test NLL before (full marks) and after temperature scaling (open), and test accuracy."""
    chosen = _wide(runs)
    figure, axes = plt.subplots(
        2, len(chosen), figsize=(2.9 * len(chosen) + 0.4, 5), sharex=True, squeeze=False
    )
    for column, (row, of) in enumerate(chosen):
        alphas = list(row["alphas"])
        for kind, names in (
            ("plain", ["plain"]),
            ("mixed", [f"mixed_{a:g}" for a in alphas]),
            ("smooth", [f"smooth_{a:g}" for a in row["smooth"]]),
        ):
            _, colour, marker, line = look(_OF[kind])
            places = {"plain": [-1.0], "mixed": np.arange(len(names)) - 0.12,
                      "smooth": np.arange(len(names)) + 0.12}[kind]  # fmt: skip
            for metric, ax, open_ in (
                ("test_nll", axes[0, column], False),
                ("test_scaled_nll", axes[0, column], True),
                ("test_accuracy", axes[1, column], False),
            ):
                values = np.stack([of(f"{metric}_{name}") for name in names], 1)
                mean, half = interval(values)
                ax.errorbar(places, mean, half, color=colour, marker=marker, capsize=2,
                            ls=":" if open_ else line, lw=1,
                            mfc="white" if open_ and marker[0] != "$" else colour,
                            label=_LABELS[kind] + (", scaled" if open_ else ""))  # fmt: skip
        axes[0, column].set_title(f"{len(row['digits'])} classes", fontsize=9)
        ticks = ["plain", *(f"{a:g}" for a in alphas)]
        axes[1, column].set_xticks([-1, *range(len(alphas))], ticks, fontsize=8.5)
        axes[1, column].set_xlabel("α")
    axes[0, 0].set_ylabel("test NLL, nats")
    axes[1, 0].set_ylabel("test accuracy, %")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=8.5)
    return figure


def clouds(runs: Runs) -> Figure:
    """Within-class over total variance of training states, seen and unseen directions."""
    chosen = _wide(runs)
    figure, axes = plt.subplots(
        1, len(chosen), figsize=(2.9 * len(chosen) + 0.4, 3.1), sharey=True, squeeze=False
    )
    for ax, (row, of) in zip(axes[0], chosen, strict=True):
        names = members(row)
        for place, (kind, name, _) in enumerate(names):
            _, colour, marker, _ = look(_OF[kind])
            for part in ("seen", "unseen"):
                mean, half = interval(np.log(share(of, "train", part, name)).to_numpy())
                middle = np.exp(mean)
                bars = [[middle - np.exp(mean - half)], [np.exp(mean + half) - middle]]
                white = part == "unseen" and marker[0] != "$"
                ax.errorbar(place, middle, bars, color=colour, capsize=2,
                            marker=marker if part == "seen" or white else "o",
                            mfc=colour if part == "seen" else "white", ls="")  # fmt: skip
        ax.set_yscale("log")
        ticks = ["plain", *(f"{a:g}" for a in (*row["alphas"], *row["smooth"]))]
        ax.set_xticks(range(len(names)), ticks, fontsize=8, rotation=60)
        ax.set_title(f"{len(row['digits'])} classes", fontsize=9)
        ax.set_xlabel("mixed, then smoothed: α", fontsize=8.5)
    axes[0, 0].set_ylabel("within over total")
    for text, height in (("unseen, open", 0.78), ("seen, full", 0.42)):
        axes[0, 0].annotate(text, (0.97, height), xycoords="axes fraction", ha="right",
                            fontsize=8.5)  # fmt: skip
    return figure
