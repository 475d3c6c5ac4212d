"""Figures of chapter 13 in numbers: curves over k and alpha, printed beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmlib.evidence import Runs, per_seed
from mmlib.plots import interval
from mmlib.studies.ch13.evidence import of
from mmlib.studies.ch13.fields import TITLES

_TOYS = {  # how a set is drawn where k or alpha runs along the axis
    "one_ring": ("#332288", "o", "-"),
    "four_bars": ("#117733", "s", "--"),
    "swiss_roll": ("#cc6677", "^", "-."),
}
_WAYS = {
    "independent": ("two independent sets", "#332288", "o", "-"),
    "disjoint": ("disjoint sets of a batch", "#117733", "s", "--"),
    "batch": ("permuted batch", "#cc6677", "^", "-."),
    "independent_distance": ("independent, distance", "#88ccee", "v", ":"),
    "batch_distance": ("permuted batch, distance (released)", "#000000", "D", ":"),
}
_MARKERS = "osD^vP"


def shade(place: int, count: int) -> tuple[float, ...]:
    """Return the colour of one k of several: one scale for all figures, dark to light."""
    return plt.get_cmap("viridis")(0.88 * place / max(1, count - 1))


def _line(
    ax: Axes,
    x: Sequence[float],
    samples: np.ndarray,
    colour: str,
    marker: str,
    line: Any,
    label: str | None,
) -> None:
    """Draw the mean of (S, X) samples with its 95 % band."""
    mean, half = interval(samples)
    ax.plot(x, mean, line, color=colour, marker=marker, label=label)
    ax.fill_between(x, mean - half, mean + half, color=colour, alpha=0.15, lw=0)


def _steps(ax: Axes, values: Sequence[float], word: str) -> None:
    ax.set_xscale("log", base=2 if word == "k" else 4)
    ax.set_xticks(values, [f"{v:g}" for v in values])
    ax.minorticks_off()
    ax.set_xlabel(word)


def over_k(
    runs: Runs, toys: Sequence[str], ks: Sequence[int], wanted: Mapping[str, str], suffix: str = ""
) -> Figure:
    """Measures of pairs or networks against k, a panel each.

    Args:
        runs: of couplings or toys.
        toys: the sets to draw.
        ks: the k to draw.
        wanted: measure -> title of its panel; ``{k}`` in it is replaced.
        suffix: what follows the k in the names of the metrics, such as ``"_a1"``.
    """
    columns = min(4, len(wanted))
    rows = -(-len(wanted) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(2.35 * columns + 0.4, 2.4 * rows + 0.3), squeeze=False
    )
    for ax in axes.flat[len(wanted) :]:
        ax.axis("off")
    for ax, (measure, title) in zip(axes.flat, wanted.items(), strict=False):
        own = suffix if any(c.startswith(f"{measure}_k{ks[0]}_a") for c in runs.table) else ""
        for toy in toys:
            samples = np.stack([of(runs, toy, f"{measure}_k{k}{own}") for k in ks], 1)
            _line(ax, ks, samples, *_TOYS[toy], TITLES[toy])
        ax.set_title(title, fontsize=9)
        _steps(ax, ks, "k")
        ax.set_ylim(bottom=0)
    axes.flat[0].legend(fontsize=8)
    return figure


def _at_the_end(ax: Axes, x: float, values: Mapping[str, tuple[float, tuple]]) -> None:
    """Write labels beside the ends of lines, moved apart where they would meet."""
    low, high = ax.get_ylim()
    least, last = (high - low) * 0.075, -np.inf
    for text, (y, colour) in sorted(values.items(), key=lambda item: item[1][0]):
        last = max(y, last + least)
        ax.annotate(text, (x, last), xytext=(6, 0), textcoords="offset points", fontsize=8,
                    color=colour, va="center", annotation_clip=False)  # fmt: skip


def over_alpha(
    tables: Mapping[str, Mapping[str, pd.DataFrame]],
    labels: Mapping[str, str],
    plain: Mapping[str, float] | None = None,
) -> Figure:
    """Values against alpha, a line a k with its name at the end, a panel a set and a source.

    Args:
        tables: set -> source -> table of k by alpha.
        labels: source -> label of its axis; sources of one label share the axis within a set.
        plain: set -> value of plain training, a dotted line in all panels but those of
            ``"printed"``.
    """
    sources, plain = list(next(iter(tables.values()))), plain or {}
    figure, axes = plt.subplots(
        len(sources), len(tables), figsize=(2.5 * len(tables) + 0.3, 2.45 * len(sources) + 0.2),
        squeeze=False, sharey="col" if len(set(labels.values())) == 1 else False, sharex=True,
    )  # fmt: skip
    for column, (toy, found) in enumerate(tables.items()):
        for row, source in enumerate(sources):
            ax, table = axes[row, column], found[source]
            for place, k in enumerate(table.index):
                values = table.loc[k].to_numpy(dtype=float)
                ax.plot(table.columns, values, "-", color=shade(place, len(table)),
                        marker=_MARKERS[place % len(_MARKERS)], markersize=4)  # fmt: skip
            if toy in plain and source != "printed":
                ax.axhline(plain[toy], color="#4d4d4d", ls=":", lw=1.2)
            _steps(ax, list(table.columns), "α")
            ax.set_xlabel("α" if row == len(sources) - 1 else "")
            ax.set_title(f"{TITLES[toy]}, {source}", fontsize=9)
    for column, found in enumerate(tables.values()):
        for row, source in enumerate(sources):
            table = found[source]
            ends = {f"{'k = ' if place == 0 else ''}{k}": (float(table.loc[k].iloc[-1]),
                    shade(place, len(table))) for place, k in enumerate(table.index)}  # fmt: skip
            _at_the_end(axes[row, column], float(table.columns[-1]), ends)
    for row, source in zip(axes, sources, strict=True):
        row[0].set_ylabel(labels[source])
    return figure


def by_way(
    runs: Runs, toys: Sequence[str], rates: Sequence[int], trained: Sequence[int], batch: int
) -> Figure:
    """Self-pairs against k over the minibatch, and test accuracy, for each way to choose sets."""
    figure, axes = plt.subplots(1, 1 + len(toys), figsize=(2.4 * (1 + len(toys)) + 0.3, 3.3))
    for place, (way, (label, colour, marker, line)) in enumerate(_WAYS.items()):
        ks = [k for k in rates if f"self_{way}_k{k}" in runs.table]
        ks = [k for k in ks if runs.table[f"self_{way}_k{k}"].notna().any()]
        mean = [per_seed(runs.table, f"self_{way}_k{k}", average=True) for k in ks]
        _line(axes[0], [k / batch for k in ks], np.stack(mean, 1), colour, marker, line, label)
        own = [k for k in ks if k in trained]
        for ax, toy in zip(axes[1:], toys, strict=True):
            samples = np.stack([of(runs, toy, f"acc_{way}_k{k}") for k in own], 1)
            moved = np.array(own) * 1.06 ** (place - 2)  # beside each other where they agree
            mean_of, half = interval(samples)
            ax.errorbar(moved, mean_of, half, color=colour, marker=marker, ls=line, capsize=2,
                        markersize=4)  # fmt: skip
    axes[0].plot([0, 1], [0, 100], color="#999999", lw=0.8)
    axes[0].set(xlabel="k over size of the minibatch", ylabel="self-pairs, %")
    for ax, toy in zip(axes[1:], toys, strict=True):
        ax.axhline(of(runs, toy, "acc_plain").mean(), color="#4d4d4d", ls=":", lw=1.2)
        _steps(ax, list(trained), "k")
        ax.set_title(TITLES[toy], fontsize=9)
    axes[1].set_ylabel("test accuracy, %")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2,
                  fontsize=8)  # fmt: skip
    return figure


def bars(targets: Mapping[str, np.ndarray]) -> Figure:
    """Mean target of the mixed points that fall into each bar, beside the class of the bar.

    Args:
        targets: title -> (4,) mean targets; the first is drawn widest.
    """
    figure, ax = plt.subplots(figsize=(6.4, 2.9))
    width = 0.8 / len(targets)
    hatches = ("", "///", "...", "xx")
    for place, (title, values) in enumerate(targets.items()):
        at = np.arange(len(values)) + width * (place - (len(targets) - 1) / 2)
        ax.bar(at, values, width * 0.92, label=title, color=shade(place, len(targets) + 1),
               hatch=hatches[place % len(hatches)], edgecolor="white")  # fmt: skip
    ax.axhline(0.5, color="black", lw=0.8, ls=":")
    ax.set_xticks(range(4), [f"bar {b + 1}\nclass {b % 2}" for b in range(4)])
    ax.set(ylabel="mean target of class 1", ylim=(0, 1.02))
    ax.legend(fontsize=8, loc="upper left")
    return figure
