"""Figures of chapter 15 on images: accuracy by k and alpha, convergence, sites, distances."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmlib.evidence import Runs
from mmlib.plots import curve, image_grid, interval, look, points
from mmlib.studies.ch15 import read_images as reading
from mmlib.studies.ch15.printed import grid, half_width

_MARKS = "os^Dvph"
_STYLE = {None: "none", 1: "input", 32: "kmixup"}  # plain, 1-mixup and k-mixup in the book's looks


def shades(values: Sequence[float]) -> dict[float, tuple]:
    """Return one colour a value from light to dark, so that their order is seen in grey too."""
    places = np.linspace(0.82, 0.05, len(values)) if len(values) > 1 else [0.3]
    return dict(zip(values, plt.get_cmap("viridis")(places), strict=True))


def _labelled(ax: Axes, ends: Mapping[float, float], colours: Mapping[float, tuple]) -> None:
    """Write alpha beside the right end of each line, moved apart where lines end together."""
    low, high = ax.get_ylim()
    gap, last = 0.062 * (high - low), -np.inf
    places = {}
    for alpha, end in sorted(ends.items(), key=lambda item: item[1]):
        last = max(end, last + gap)
        places[alpha] = last
    over = max(0.0, last - high)
    for alpha, place in places.items():
        ax.annotate(f"{alpha:g}", (1.02, place - over), xycoords=("axes fraction", "data"),
                    color=colours[alpha], fontsize=8.5, va="center")  # fmt: skip


def _columns(ax: Axes, table: Mapping[float, pd.DataFrame], colours: Mapping[float, tuple]) -> None:
    """Draw accuracy against k, a line an alpha with 95 % bars over the rows of its table."""
    ends, marks = {}, dict(zip(colours, itertools.cycle(_MARKS), strict=False))
    for alpha, rows in table.items():
        mean, half = interval(rows.to_numpy())
        ax.errorbar(rows.columns, mean, half, color=colours[alpha], capsize=2, lw=1.4, ms=4,
                    marker=marks[alpha])  # fmt: skip
        ends[alpha] = mean[-1]
    ks = sorted({k for rows in table.values() for k in rows.columns})
    ax.set_xscale("log", base=2)
    ax.set_xticks(ks, [f"{k:g}" for k in ks])
    ax.minorticks_off()
    ax.set_xlabel("k")
    if ends:
        _labelled(ax, ends, colours)


def by_k(runs: Runs, name: str) -> Figure:
    """Accuracy against k, one line an alpha: printed and here.

    Args:
        runs: of the study on the data set.
        name: of the printed table, ``"mnist"`` or ``"cifar10"``.
    """
    printed = grid(name)
    ours = {alpha: reading.by_k(runs, alpha) for alpha in reading.alphas(runs)}
    colours = shades(sorted({*printed.columns, *ours}))
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 3.5))
    _columns(axes[0], {a: printed[[a]].T for a in printed.columns}, colours)
    _columns(axes[1], ours, colours)
    plain = reading.value(runs, "accuracy", None)
    axes[1].axhline(plain.mean(), color=look("none").colour, ls="--", lw=1.2)
    axes[1].text(0.5, plain.mean(), "no mixup", transform=axes[1].get_yaxis_transform(),
                 fontsize=8, va="bottom", color=look("none").colour)  # fmt: skip
    axes[0].set_ylabel("test accuracy, %")
    axes[0].set_title(f"printed, ± {half_width(name):g}")
    axes[1].set_title(f"here, {len(runs.seeds)} seeds" if len(runs.seeds) > 1 else "here, one seed")
    for ax in axes:
        ax.text(1.02, 1.02, "α", transform=ax.transAxes, fontsize=9)
    return figure


def convergence(runs: Runs, alphas: Sequence[float] = (1.0, 10.0)) -> Figure:
    """Accuracy per epoch: test images (above) and vicinal points (below), a column an alpha.

    Args:
        runs: of the study on CIFAR-10.
        alphas: those to draw; where changed settings left none of them, those that there are.
    """
    there = reading.alphas(runs)
    alphas = [alpha for alpha in alphas if alpha in there] or there[:2]
    figure, axes = plt.subplots(
        2, len(alphas), figsize=(3.8 * len(alphas), 5), sharex=True, sharey="row", squeeze=False
    )
    for column, alpha in enumerate(alphas):
        for k in (1, 32):
            test = 100 * reading.curves(runs, "accuracy", k, alpha)
            trained = 100 * weighted(runs, k, alpha)
            every = max(1, test.shape[1] // 6)
            for ax, table in zip(axes[:, column], (test, trained), strict=True):
                curve(ax, table.columns, table.to_numpy(), _STYLE[k], label=f"k = {k}", every=every)
        drops = [share * test.shape[1] + 0.5 for share in (0.5, 0.75)]
        for ax in axes[:, column]:
            for place in drops:
                ax.axvline(place, color="#888888", lw=0.8, ls=":")
        axes[0, column].set_title(f"α = {alpha:g}")
        axes[1, column].set_xlabel("epoch")
    axes[0, 0].set_ylabel("test accuracy, %")
    axes[1, 0].set_ylabel("on vicinal points, %")
    axes[0, 0].legend(fontsize=8.5, loc="lower right")
    return figure


def weighted(runs: Runs, k: int, alpha: float, **more: str) -> pd.DataFrame:
    """Return the accuracy on vicinal points by epoch, mean over the sites of a run."""
    rows = reading.chosen(runs, k, alpha, **more)
    found = {
        row["seed"]: runs.arrays(index)["vicinal"][:, :, 0].mean(1)
        for index, row in rows.iterrows()
    }
    table = pd.DataFrame(found).T.astype(float)
    table.columns = range(1, table.shape[1] + 1)
    return table


def drop(runs: Runs) -> Figure:
    """Test accuracy per epoch with drops of the learning rate and without."""
    constant = runs.table["schedule"] == "constant"
    alpha = float(runs.table.loc[constant, "alpha"].iloc[0])
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.9), sharey=True)
    for ax, k in zip(axes, (1, 32), strict=True):
        for schedule, style in (("step", _STYLE[k]), ("constant", "none")):
            table = 100 * reading.curves(runs, "accuracy", k, alpha, schedule=schedule)
            label = {"step": "rate drops", "constant": "constant rate"}[schedule]
            every = max(1, table.shape[1] // 6)
            curve(ax, table.columns, table.to_numpy(), style, label=label, every=every)
            for share in (0.5, 0.75):
                ax.axvline(share * table.shape[1] + 0.5, color="#888888", lw=0.8, ls=":")
        ax.set_title(f"k = {k}")
        ax.set_xlabel("epoch")
        ax.legend(fontsize=8.5, loc="lower right")
    axes[0].set_ylabel("test accuracy, %")
    return figure


def dots(
    samples: Mapping[str, Mapping[str, pd.Series]], label: str, looks: Mapping[str, str]
) -> Figure:
    """Draw samples over seeds as rows of dots with their interval, one panel a title.

    Args:
        samples: panel -> row -> one value a seed.
        label: of the horizontal axes.
        looks: row -> a method of the book's looks.
    """
    rows = list(dict.fromkeys(row for one in samples.values() for row in one))
    figure, axes = plt.subplots(
        1, len(samples), figsize=(3.9 * len(samples), 0.36 * len(rows) + 1.1), sharey=True,
        squeeze=False,
    )  # fmt: skip
    for ax, (title, one) in zip(axes[0], samples.items(), strict=True):
        for place, row in enumerate(rows):
            if row in one and np.isfinite(one[row]).any():
                points(ax, place, one[row].dropna(), looks[row], vertical=False)
        ax.set_title(title)
        ax.set_xlabel(label)
    axes[0, 0].set_yticks(range(len(rows)), rows)
    axes[0, 0].set_ylim(len(rows) - 0.5, -0.5)
    return figure


def by_site(samples: Mapping[str, Mapping[str, pd.DataFrame]], references: Mapping) -> Figure:
    """Draw measures against the site, a panel a measure and a line a network.

    Args:
        samples: measure -> network -> seed by site.
        references: measure -> a value to draw as a dotted line.
    """
    figure, axes = plt.subplots(1, len(samples), figsize=(2.6 * len(samples), 3.1))
    styles = {"CIFAR-10, plain": "none", "CIFAR-10, mixed at all blocks": "manifold",
              "MNIST, plain": "supervised"}  # fmt: skip
    for ax, (measure, lines) in zip(np.atleast_1d(axes), samples.items(), strict=True):
        for name, table in lines.items():
            if table.empty:
                continue
            _, colour, marker, line = look(styles[name])
            line = ":" if name.startswith("MNIST") else line
            mean, half = interval(table.to_numpy())
            ax.errorbar(range(table.shape[1]), mean, half, color=colour, marker=marker, ls=line,
                        capsize=2, label=name)  # fmt: skip
        if measure in references:
            ax.axhline(references[measure], color="#888888", lw=0.8, ls=":")
        ax.set_xticks(range(4), ["input", "1", "2", "3"])
        ax.set_xlabel("behind block")
        ax.set_title(measure, fontsize=9)
    figure.legend(*np.atleast_1d(axes)[0].get_legend_handles_labels(), fontsize=8,
                  loc="outside upper center", ncols=3)  # fmt: skip
    return figure


def step_times(runs: Runs) -> Figure:
    """Time of a step over that of a 1-mixup step against k, at the input and by a coin flip."""
    models = sorted(runs.table["model"].unique())
    figure, axes = plt.subplots(1, len(models), figsize=(3.7 * len(models), 3), squeeze=False,
                                sharey=True)  # fmt: skip
    for ax, model in zip(axes[0], models, strict=True):
        rows = runs.table[runs.table["model"] == model]
        ks = list(rows["ks"].iloc[0])
        for kind, style, label in (
            ("input", "kmixup", "input"),
            ("manifold", "manifold", "input or first block"),
        ):
            _, colour, marker, line = look(style)
            mean, half = interval(rows[[f"{kind}_{k}_over_mixup" for k in ks]].to_numpy())
            ax.errorbar(ks, mean, half, color=colour, marker=marker, ls=line, capsize=2,
                        label=label)  # fmt: skip
        plain = rows["plain_over_mixup"].mean()
        ax.axhline(plain, color=look("none").colour, ls="--", lw=1.2, label="no mixup")
        ax.axhline(1.06, color="#888888", lw=0.8, ls=":")
        ax.set_xscale("log", base=2)
        ax.set_xticks(ks, [f"{k}" for k in ks])
        ax.minorticks_off()
        ax.set_xlabel("k")
        ax.set_title({"lenet": "LeNet", "small_conv": "small convolutional net"}.get(model, model))
    axes[0, 0].set_ylabel("step over 1-mixup step")
    axes[0, 0].legend(fontsize=8)
    return figure


def batch(images: np.ndarray, k: int) -> Figure:
    """Show the rows of `pairs_images.mixes`."""
    rows = ("image", "partner, k = 1", "half way", f"partner, k = {k}", "half way")
    colour = images.shape[2] == 3
    images = images.transpose(0, 1, 3, 4, 2) if colour else images[:, :, 0]
    return image_grid(images, rows=rows, size=0.75)
