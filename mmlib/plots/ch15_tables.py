"""Figures of chapter 15, first half: printed tables, distances of mixes, tables, dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmlib.evidence import Runs
from mmlib.measures import vicinal
from mmlib.plots import interval, look, points
from mmlib.studies.ch15 import distances, evidence_tables, printed, tables

_TITLES = {"mnist": "MNIST", "cifar10": "CIFAR-10"}


def shade(place: int, count: int) -> tuple[float, float, float, float]:
    """Return the colour of the k in this place: one dark to light scale for all k."""
    return plt.get_cmap("viridis")(0.85 * place / max(1, count - 1))


def printed_gains(names: Sequence[str]) -> Figure:
    """Best and worst k > 1 less k = 1 in each column of printed tables, one panel a table.

    Args:
        names: tables as `mmlib.studies.ch15.printed.grid` takes them.
    """
    rows = -(-len(names) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(6.8, 1.75 * rows + 0.5), squeeze=False)
    for ax in axes.flat[len(names) :]:
        ax.axis("off")
    for ax, name in zip(axes.flat, names, strict=False):
        table = printed.gains((name,))
        x = np.arange(len(table))
        half = table["half"].astype(float).fillna(0.0).to_numpy() * np.sqrt(2)
        if half.any():
            ax.fill_between(x, -half, half, step="mid", color="#bbbbbb", lw=0, label="±√2 h")
        ax.axhline(0, color="black", lw=0.8)
        ax.plot(x, table["gain"], "^-", color=look("kmixup").colour, label="best k > 1")
        ax.plot(x, table["loss"], "v:", color=look("none").colour, label="worst k > 1")
        for at, row in zip(x, table.itertuples(), strict=True):
            ax.annotate(f"{row.best_k}", (at, row.gain), (0, 4), textcoords="offset points",
                        ha="center", fontsize=8)  # fmt: skip
        ax.set_title(table["dataset"].iloc[0])
        ax.set_xticks(x, [f"{alpha:g}" for alpha in table["alpha"]], fontsize=8)
        ax.margins(y=0.22)
    for ax in axes[:, 0]:
        ax.set_ylabel("points over k = 1")
    for ax in axes.flat[max(0, len(names) - 2) : len(names)]:
        ax.set_xlabel("α")
    axes[0, 0].legend(fontsize=8, loc="upper left")
    return figure


def laws() -> Figure:
    """Printed distances over the factor of their k, against alpha, with the laws of lambda."""
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.3), sharey=True)
    dense = np.geomspace(0.04, 130, 80)
    styles = {"nearer": ("black", "-"), "plain": ("#d55e00", "--"), "end": ("#0072b2", "-."),
              "product": ("#009e73", ":")}  # fmt: skip
    for ax, (data, title) in zip(axes, _TITLES.items(), strict=True):
        fit, alphas = distances.printed_fit(data)
        table = printed.grid(printed.DISTANCES[data]).to_numpy() / fit.rows[:, None]
        unit = distances.factor("nearer", 1.0)
        for law, (colour, line) in styles.items():
            values = np.array([distances.factor(law, a) for a in dense])
            scale = unit / distances.factor(law, 1.0)
            ax.plot(dense, scale * values, line, color=colour, label=distances.LAWS[law], lw=1.3)
        for place, (k, row) in enumerate(zip(distances.KS, table, strict=True)):
            ax.plot(alphas, row, "o", color=shade(place, len(table)), ms=4, label=f"k = {k}")
        ax.set(xscale="log", yscale="log", title=title, xlabel="α")
        ax.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
        ax.set_yticks([0.01, 0.03, 0.1, 0.3], ["0.01", "0.03", "0.1", "0.3"])
        ax.minorticks_off()
    axes[0].set_ylabel("distance over match length")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    return figure


def shapes(runs: Runs) -> Figure:
    """Match lengths over their geometric mean against k: printed, and ways of drawing the sets."""
    cases = {
        "mnist": {"pad": 0, "side": 32},
        "cifar10": {"pad": 4, "side": None},
    }
    known = max(runs.table["batches"], key=len)
    sizes = [size for size in known if size <= 128]  # larger ones lie close to two draws
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.4), sharey=True)
    for ax, (data, how) in zip(axes, cases.items(), strict=True):
        ways = [f"two{max(known)}", *(f"batch{size}" for size in reversed(sizes))]
        for place, way in enumerate(ways):
            ours = distances.measured(runs, data, way, "standard", **how)
            kept = np.isfinite(ours) & (ours > 0)
            if not kept.all():  # with k = B nothing is mixed
                continue
            text = "two draws" if way.startswith("two") else f"B = {way.removeprefix('batch')}"
            colour = shade(place, len(ways))
            ours = ours / np.exp(np.log(ours).mean())
            line = "--" if place == 0 else "-"
            ax.plot(distances.KS, ours, line, color=colour, lw=1.3)
            ax.annotate(text, (distances.KS[-1], ours[-1]), (5, -3), textcoords="offset points",
                        fontsize=8, color=colour, annotation_clip=False)  # fmt: skip
        rows = distances.printed_fit(data)[0].rows
        star = look("printed")
        ax.plot(distances.KS, rows / np.exp(np.log(rows).mean()), star.marker, ms=10,
                color=star.colour, mfc="none", label="printed")  # fmt: skip
        ax.set(xscale="log", yscale="log", title=_TITLES[data], xlabel="k")
        ax.set_xticks(distances.KS, [str(k) for k in distances.KS])
        ax.set_xlim(0.85, 75)
        ax.set_yticks([0.4, 0.6, 0.8, 1, 1.4], ["0.4", "0.6", "0.8", "1", "1.4"])
        ax.minorticks_off()
    axes[0].set_ylabel("over the mean of all k")
    axes[0].legend(fontsize=8, loc="lower left")
    return figure


def noise() -> Figure:
    """Logarithms of printed cells over their fit, with two standard errors of n draws of lambda."""
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.8), sharey=True)
    for ax, (name, title) in zip(axes, _TITLES.items(), strict=True):
        fit, alphas = distances.printed_fit(name)
        n, *_ = vicinal.draws_behind(fit.misfit, len(fit.rows) * (len(alphas) - 1))
        x = np.arange(len(alphas))
        spread = np.array([vicinal.nearer_spread(a) for a in alphas])
        for draws, colour, label in ((n, "#9ecae1", f"{n:,.0f} draws"), (4000, "#e6a0a0", "4,000")):
            half = 2 * spread / np.sqrt(draws)
            ax.fill_between(x, -half, half, color=colour, alpha=0.55, lw=0, label=label)
        for place, row in enumerate(fit.residuals):
            ax.plot(x + 0.06 * (place - 2.5), row, "o", ms=4, color=shade(place, 6))
        ax.axhline(0, color="black", lw=0.8)
        ax.set_xticks(x, [f"{a:g}" for a in alphas])
        ax.set(title=title, xlabel="α")
        ax.legend(fontsize=8)
    axes[0].set_ylabel("log of printed over fit")
    return figure


# ------------------------------------------------------------------------------ tables


def trials(runs: Runs, names: Sequence[str]) -> Figure:
    """Test accuracy by k on each table: trials, means with intervals, and the printed values."""
    rows = -(-len(names) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(7, 2.1 * rows + 0.4), squeeze=False)
    for ax in axes.flat[len(names) :]:
        ax.axis("off")
    star = look("printed")
    for ax, name in zip(axes.flat, names, strict=False):
        values = evidence_tables.trials(runs, name)
        for place, k in enumerate(values.columns):
            method = {0: "none", 1: "input"}.get(k, "kmixup")
            label = look(method).label if k in (0, 1, values.columns[-1]) else "_nolegend_"
            points(ax, place, values[k].to_numpy(), method, label=label)
        said = printed.uci(name)
        known = [(place, said[k]) for place, k in enumerate(values.columns) if k in said]
        if known:
            ax.plot(*zip(*known, strict=True), star.marker, ms=9, color=star.colour, mfc="none",
                    label=star.label)  # fmt: skip
        ax.set_xticks(range(len(values.columns)), [str(k) if k else "none" for k in values])
        ax.set_title(printed.UCI[name][0].replace(" Wisconsin-Diagnostic", ""))
    for ax in axes[:, 0]:
        ax.set_ylabel("test accuracy, %")
    for ax in axes.flat[max(0, len(names) - 2) : len(names)]:
        ax.set_xlabel("k")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=8)
    return figure


def luck(runs: Runs, names: Sequence[str]) -> Figure:
    """Gain of the best k > 1 over k = 1: printed, ours, by luck alone, and k chosen elsewhere."""
    figure, ax = plt.subplots(figsize=(6.6, 0.62 * len(names) + 1.2))
    star = look("printed")
    for place, name in enumerate(names):
        values = evidence_tables.trials(runs, name)
        gain, by_luck, _ = tables.best_of_by_luck(values)
        fair = tables.cross_fitted(values, 1).dropna().to_numpy()
        said = printed.uci(name)
        first = place == 0
        ax.plot(said[said.index > 1].max() - said[1], place + 0.24, star.marker, ms=9, mfc="none",
                color=star.colour, label="printed, best k" if first else None)  # fmt: skip
        ax.plot(gain, place + 0.08, "X", color=look("kmixup").colour,
                label="ours, best k" if first else None)  # fmt: skip
        ax.plot(by_luck, place - 0.08, "|", ms=13, mew=2.2, color="#d55e00",
                label="best k by luck" if first else None)  # fmt: skip
        if len(fair):
            mean, half = interval(fair)
            ax.errorbar(mean, place - 0.24, xerr=half, fmt="o", color=look("none").colour,
                        capsize=3, label="k chosen on other trials" if first else None)  # fmt: skip
    ax.axvline(0, color="black", lw=0.8)
    ax.set_yticks(range(len(names)), [printed.UCI[n][0].split(" Wis")[0] for n in names])
    ax.invert_yaxis()
    ax.set_xlabel("test accuracy over k = 1, points")
    figure.legend(loc="outside upper center", ncols=2, fontsize=8)
    return figure


# ------------------------------------------------------------------------------ dimension


def _lines(ax: Axes, runs: Runs, cells: Sequence[tuple[str, int, int]], alpha: float) -> None:
    """Draw accuracy without mixing, at k = 1 and at k = 16 over the cells that were run."""
    table = runs.table
    for method, k in (("none", 0), ("input", 1), ("kmixup", 16)):
        column = f"accuracy_{k}_{alpha if k else 1:g}"
        means, halves, places = [], [], []
        for place, (kind, intrinsic, ambient) in enumerate(cells):
            rows = table[(table["kind"] == kind) & (table["intrinsic"] == intrinsic)]
            rows = rows[rows["ambient"] == ambient]
            if len(rows):
                mean, half = interval(rows[column].to_numpy())
                means.append(float(mean))
                halves.append(float(half))
                places.append(place)
        label, colour, marker, line = look(method)
        name = {"input": "k = 1", "kmixup": "k = 16"}.get(method, label)
        ax.errorbar(places, means, halves, fmt=marker, ls=line, color=colour, capsize=2, label=name)


def dimensions(runs: Runs, intrinsic: Sequence[int], ambient: Sequence[int]) -> Figure:
    """Test accuracy against intrinsic dimension (spheres, bars) and ambient dimension (spheres)."""
    columns = {
        "spheres, d in 32": [("shells", d, 32) for d in intrinsic],
        "bars, d in 32": [("bars", d, 32) for d in intrinsic if d in (1, 4, 16)],
        "circles in D": [("shells", 1, m) for m in ambient],
    }
    figure, axes = plt.subplots(2, 3, figsize=(7.4, 4.4), sharey=True, sharex="col")
    for column, (title, cells) in enumerate(columns.items()):
        along = [m for _, _, m in cells] if "circles" in title else [d for _, d, _ in cells]
        for row, alpha in enumerate((1.0, 16.0)):
            _lines(axes[row, column], runs, cells, alpha)
        axes[0, column].set_title(title, fontsize=9)
        axes[1, column].set_xticks(range(len(cells)), [str(n) for n in along])
        axes[1, column].set_xlabel("D" if "circles" in title else "d")
    for row, alpha in enumerate((1, 16)):
        axes[row, 0].set_ylabel(f"test accuracy, %\nα = {alpha}")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=8)
    return figure


def printed_by_dimension(table: pd.DataFrame) -> Figure:
    """Printed gains of the best k > 1 against the dimension of the inputs.

    Args:
        table: columns ``dataset``, ``inputs`` and ``gain``, one row a set.
    """
    figure, ax = plt.subplots(figsize=(6.4, 3.3))
    ax.plot(table["inputs"], table["gain"], "X", color=look("kmixup").colour, ms=7)
    table = table.sort_values(["inputs", "gain"])
    lowest = table.groupby("inputs")["gain"].transform("min") == table["gain"]
    for place, row in enumerate(table.assign(lowest=lowest).itertuples()):
        down = row.lowest and (place % 2 == 1 or (table["inputs"] == row.inputs).sum() > 1)
        ax.annotate(row.dataset, (row.inputs, row.gain), (0, -13 if down else 7),
                    textcoords="offset points", ha="center", fontsize=8)  # fmt: skip
    ax.axhline(0, color="black", lw=0.8)
    ax.set_xscale("log")
    ax.set_yscale("symlog", linthresh=0.1)
    ax.set_yticks([0, 0.1, 1, 10], ["0", "0.1", "1", "10"])
    ax.set_xticks([2, 10, 100, 1000], ["2", "10", "100", "1000"])
    ax.minorticks_off()
    ax.margins(x=0.12, y=0.2)
    ax.set(xlabel="inputs", ylabel="gain over k = 1, points")
    return figure
