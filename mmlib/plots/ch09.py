"""Figures of chapter 09: planes, their measures, and training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from mmlib.evidence import Runs, per_seed
from mmlib.measures.tightness import price_rate
from mmlib.plots import curve, look, points
from mmlib.studies.ch09.evidence import long, place, rows_of
from mmlib.studies.ch09.experiments import CURVES, PICTURED
from mmlib.studies.ch09.halves import HALVES
from mmlib.studies.ch09.networks import METHODS

LABELS = {
    "within": "within over total",
    "white": "the same, whitened",
    "core": "within over total, cores",
    "area": "area of a class, share",
    "margin": "margin over spread",
    "gap": "margin over radius",
    "margin_white": "margin over spread, whitened",
    "gap_white": "margin over radius, whitened",
    "near": "first quartile to another class",
    "confident": "plane above 0.9, %",
    "accuracy": "test accuracy, %",
    "train_loss": "loss on clean training images",
    "spread": "spread of the codes",
    "silhouette": "silhouette",
}
# Classes: ten colours of about equal lightness, told apart by the digit written on them.
CLASSES = (
    *("#4477aa", "#cc6677", "#448844", "#b08a2e", "#2f8f9d", "#884499"),
    *("#996644", "#5f6f7f", "#b0507f", "#6c7a1f"),
)
_SHORT = {
    "none": "none",
    "input": "input",
    "manifold": "code",
    "manifold_all": "all layers",
    "blocked": "blocked",
    "smoothing": "smoothing",
    "decay": "decay",
    "rescaled": "rescaled",
}


# ------------------------------------------------------------------------------ planes


def plane(
    ax: Axes,
    regions: np.ndarray,
    box: np.ndarray,
    codes: np.ndarray,
    labels: np.ndarray,
    digits: Sequence[int],
) -> None:
    """Draw one plane: classes of the head as tints, deeper where it is surer, and codes on it.

    Args:
        ax: where.
        regions: (S, S) as `mmlib.studies.ch09.experiments.picture` makes them.
        box: centre and half side.
        codes: (n, 2) of test images.
        labels: (n,) their classes.
        digits: what the classes are called.
    """
    colours = np.array([to_rgb(CLASSES[digit]) for digit in digits])
    depth = 0.12 + 0.5 * (regions % 20)[..., None] / 19
    x, y, wide = map(float, box)
    extent = (x - wide, x + wide, y - wide, y + wide)
    ax.imshow(1 - (1 - colours[regions // 20]) * depth, origin="lower", extent=extent)
    ax.scatter(*codes.T, s=9, c=colours[labels], edgecolors="white", linewidths=0.3)
    for k, digit in enumerate(digits):
        own = codes[labels == k]
        if len(own):
            # Beside the cloud, outward, since a tight one would vanish under its own name.
            spot = np.median(own, axis=0) - (x, y)
            spot *= 1 + 0.2 * wide / max(np.hypot(*spot), 0.05 * wide)
            spot = np.clip(spot, -0.93 * wide, 0.93 * wide) + (x, y)
            ax.annotate(str(digit), spot, ha="center", va="center", fontsize=8, **_BADGE)
    ax.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[], aspect="equal")
    ax.grid(False)


_BADGE = {
    "fontweight": "bold",
    "bbox": {
        "boxstyle": "circle,pad=0.12",
        "fc": "white",
        "ec": "#555555",
        "lw": 0.5,
        "alpha": 0.9,
    },
}


def planes(runs: Runs, cells: Mapping[str, Mapping[str, object]], seed: int = 0) -> Figure:
    """Draw the planes of one seed; rows are cells, columns no mixing, input mixing, code mixing.

    Args:
        runs: of `PLANE`.
        cells: title of a row -> settings of the cell.
        seed: how many seeds after the first one.
    """
    figure, axes = plt.subplots(
        len(cells), 3, figsize=(6.2, 2.15 * len(cells) + 0.2), squeeze=False
    )
    for row, (title, where) in enumerate(cells.items()):
        index = rows_of(runs, where)[seed]
        arrays, digits = runs.arrays(index), runs.table.loc[index, "digits"]
        for column, name in enumerate(PICTURED):
            ax = axes[row, column]
            parts = (arrays[key][column] for key in ("regions", "box", "points"))
            plane(ax, *parts, arrays["labels"], digits)
            if row == 0:
                ax.set_title(look(name).label, fontsize=9)
        axes[row, 0].set_ylabel(title, fontsize=8.5)
    return figure


def seeds(runs: Runs, where: Mapping[str, object], name: str = "manifold") -> Figure:
    """Draw the planes of one method for all seeds of a cell."""
    rows, column = rows_of(runs, where), PICTURED.index(name)
    across = min(3, len(rows))
    down = -(-len(rows) // across)
    figure, axes = plt.subplots(down, across, figsize=(2.1 * across, 2.25 * down), squeeze=False)
    for ax in axes.flat[len(rows) :]:
        ax.set_visible(False)
    for ax, index in zip(axes.flat, rows, strict=False):
        arrays, digits = runs.arrays(index), runs.table.loc[index, "digits"]
        parts = (arrays[key][column] for key in ("regions", "box", "points"))
        plane(ax, *parts, arrays["labels"], digits)
        ax.set_title(f"seed {runs.table.loc[index, 'seed']}", fontsize=8.5)
    return figure


# ------------------------------------------------------------------------------ measures


def dots(
    runs: Runs,
    cells: Mapping[str, Mapping[str, object]],
    measures: Sequence[str],
    names: Sequence[str] = METHODS,
    logarithmic: Sequence[str] = (),
) -> Figure:
    """Draw measures of the methods: a row for each measure, a column for each cell."""
    table = long(runs, measures)
    figure, axes = plt.subplots(
        len(measures),
        len(cells),
        figsize=(1.95 * len(cells) + 0.6, 1.65 * len(measures) + 0.7),
        sharex=True,
        sharey="row",
        squeeze=False,
    )
    for column, (title, where) in enumerate(cells.items()):
        for row, measure in enumerate(measures):
            for x, name in enumerate(names):
                values = per_seed(table, measure, {**where, "name": name})
                points(axes[row, column], x, values, name, label="_nolegend_")
            if measure in logarithmic:
                _logarithmic(axes[row, column])
        axes[0, column].set_title(title, fontsize=9)
        axes[-1, column].set_xticks(
            range(len(names)), [_SHORT[name] for name in names], rotation=60, fontsize=8
        )
    for row, measure in enumerate(measures):
        axes[row, 0].set_ylabel(LABELS[measure], fontsize=8.5)
    return figure


def _logarithmic(ax: Axes) -> None:
    """Make the vertical axis logarithmic, with ticks that read as numbers."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    steps = (1, 2, 5) if high / low < 1000 else (1,)
    ax.yaxis.set_major_locator(LogLocator(subs=steps))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())


def halves(
    runs: Runs, cells: Mapping[str, Mapping[str, object]], measures: Sequence[str]
) -> Figure:
    """Draw the four networks whose halves follow different losses."""
    table = long(runs, measures)
    figure, axes = plt.subplots(
        len(measures),
        len(cells),
        figsize=(1.95 * len(cells) + 0.6, 1.75 * len(measures) + 0.6),
        sharex=True,
        squeeze=False,
    )
    styles = {"none": "none", "behind": "blocked", "before": "input", "manifold": "manifold"}
    titles = [f"{lower} | {upper}" for lower, upper in HALVES.values()]
    for column, (title, where) in enumerate(cells.items()):
        for row, measure in enumerate(measures):
            ax = axes[row, column]
            for x, name in enumerate(HALVES):
                values = per_seed(table, measure, {**where, "name": name})
                points(ax, x, values, styles[name], label="_nolegend_")
            if measure == "spread":
                _logarithmic(ax)
        axes[0, column].set_title(title, fontsize=9)
        axes[-1, column].set_xticks(range(len(HALVES)), titles, rotation=60, fontsize=8)
    for row, measure in enumerate(measures):
        axes[row, 0].set_ylabel(LABELS[measure], fontsize=8.5)
    return figure


def by_alpha(
    runs: Runs, cells: Mapping[str, Mapping[str, object]], measures: Sequence[str]
) -> Figure:
    """Draw measures against alpha for mixes of the input and of the code; dotted: no mixing."""
    table = long(runs, measures)
    figure, axes = plt.subplots(
        len(measures), len(cells), figsize=(3 * len(cells) + 0.4, 1.9 * len(measures) + 0.3),
        sharex=True, squeeze=False,
    )  # fmt: skip
    alphas = sorted({float(n.partition("@")[2]) for n in table["name"] if "@" in n})
    for column, (title, where) in enumerate(cells.items()):
        for row, measure in enumerate(measures):
            ax = axes[row, column]
            for method in ("input", "manifold"):
                samples = [
                    per_seed(table, measure, {**where, "name": f"{method}@{alpha:g}"})
                    for alpha in alphas
                ]
                curve(ax, alphas, np.stack(samples, 1), method, every=1)
            plain = per_seed(table, measure, {**where, "name": "none"}).mean()
            ax.axhline(plain, color=look("none").colour, linestyle=":", label=look("none").label)
            ax.set_xscale("log", base=2)
            ax.set_xticks(alphas, [f"{alpha:g}" for alpha in alphas])
            ax.minorticks_off()
        axes[0, column].set_title(title, fontsize=9)
        axes[-1, column].set_xlabel("α")
    for row, measure in enumerate(measures):
        axes[row, 0].set_ylabel(LABELS[measure], fontsize=8.5)
    axes[0, 0].legend(fontsize=8)
    return figure


def training(
    runs: Runs,
    where: Mapping[str, object],
    pairs: Sequence[tuple[str, str]],
    names: Sequence[str] = ("none", "input", "manifold", "smoothing", "decay"),
) -> Figure:
    """Draw one measure against another while training, mean over seeds, a panel for each pair.

    Args:
        runs: of `PLANE`.
        where: the cell.
        pairs: (across, up), of `CURVES` or "epoch".
        names: the methods.
    """
    rows = rows_of(runs, where)
    methods = list(runs.table.loc[rows[0], "methods"])
    mean = np.mean([runs.arrays(index)["curves"] for index in rows], axis=0)
    figure, axes = plt.subplots(1, len(pairs), figsize=(3 * len(pairs) + 0.3, 2.9), squeeze=False)
    for ax, (across, up) in zip(axes[0], pairs, strict=True):
        for name in names:
            label, colour, marker, line = look(name)
            lines = mean[1:, methods.index(name)]  # before training nothing is to be seen
            at = np.arange(1, len(lines) + 1)
            x = at if across == "epoch" else lines[:, CURVES.index(across)]
            y = lines[:, CURVES.index(up)]
            ax.plot(x, y, line, color=colour, marker=marker, markevery=[-1], label=label)
        if across == "train_loss":
            ax.set_xscale("log")
            ax.invert_xaxis()
        ax.set(xlabel=LABELS.get(across, across), ylabel=LABELS[up])
    axes[0, 0].legend(fontsize=7.5)
    return figure


def ways(runs: Runs, cells: Mapping[str, Mapping[str, object]], names: Sequence[str]) -> Figure:
    """Draw turns and widths of the boundary on straight ways, by the layer of the ways."""
    sites = ("input", "layer1", "code")
    kinds = {"turns": "needless changes of class", "unsure": "way below 0.9, %"}
    table = long(runs, [f"{kind}_{site}" for kind in kinds for site in sites])
    figure, axes = plt.subplots(
        2, len(cells), figsize=(3 * len(cells) + 0.4, 4.6), sharex=True, squeeze=False
    )
    shifts = np.linspace(-0.3, 0.3, len(names))
    for column, (title, where) in enumerate(cells.items()):
        for row, (kind, label) in enumerate(kinds.items()):
            for shift, name in zip(shifts, names, strict=True):
                for x, site in enumerate(sites):
                    values = per_seed(table, f"{kind}_{site}", {**where, "name": name})
                    shown = look(name).label if x == 0 else "_nolegend_"
                    points(axes[row, column], x + shift, values, name, label=shown)
            axes[row, 0].set_ylabel(label, fontsize=8.5)
        axes[0, column].set_title(title, fontsize=9)
        axes[1, column].set_xticks(range(len(sites)), ["input", "layer 1", "code"])
    axes[1, -1].legend(fontsize=7.5, loc="center right")
    return figure


def price(runs: Runs) -> Figure:
    """Draw what spread costs two classes with mixing and without, against the spread."""
    figure, ax = plt.subplots(figsize=(5.2, 3.2))
    styles = {0.5: ("s", "-."), 2.0: ("D", "-"), 8.0: ("^", "--")}
    for row in runs.table.to_dict("records"):
        sigma = np.array(row["sigmas"])
        marker, line = styles.get(row["alpha"], ("o", "-"))
        cost = [row[f"mixed_{s:g}"] for s in sigma]
        colour = look("manifold").colour
        ax.plot(
            sigma, cost, line, color=colour, marker=marker, label=f"mixed, α = {row['alpha']:g}"
        )
        if row["alpha"] == 8.0:
            small = sigma[sigma < 0.2]
            ax.plot(small, price_rate(8.0) * small**2, ":", color="black", label="σ² · 4/7 (α = 8)")
    plain = [row[f"plain_{s:g}"] for s in sigma]
    name, colour, marker, line = look("none")
    ax.plot(sigma, plain, line, color=colour, marker=marker, label=name)
    ax.set(xscale="log", yscale="log", ylim=(1e-6, 1.2))
    ax.set(xlabel="standard deviation of a class over distance", ylabel="price, nats")
    ax.legend(fontsize=8)
    return figure


def cell_of(setting: str, digits: Sequence[int], **own: object) -> dict[str, object]:
    """Return what picks a cell; a setting's own batch norm unless `norm` is given."""
    return place(setting, tuple(digits)) | own
