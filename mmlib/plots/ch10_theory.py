"""Figures of chapter 10: overlapping segments, drawings of classes, shrinking clouds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Arc
from scipy.special import betaln

from mmlib.evidence import Runs
from mmlib.measures.conflict import arrangement_loss
from mmlib.measures.conflict_clouds import cloud_excess, crossing_rate
from mmlib.measures.drawings import crossing_pairs
from mmlib.plots import interval
from mmlib.studies.ch10.clouds import ANGLES, ARRANGEMENTS, means_of, spreads_of
from mmlib.studies.ch10.line import NAMED

# Arrangements are no methods, so they have colours, markers and lines of their own.
STYLES: dict[str, tuple[str, str, str]] = {
    "inside": ("#0072b2", "s", "-"),
    "square": ("#d55e00", "D", "-"),
    "collinear": ("#4d4d4d", "o", "--"),
    "random2": ("#cc79a7", "P", "-."),
    "random3": ("#009e73", "^", ":"),
}
LABELS = {
    "inside": "four, one inside",
    "square": "four, a square",
    "collinear": "three on a line",
    "random2": "six, drawn, plane",
    "random3": "six, drawn, space",
}
_LINES = ("-", "--", "-.", ":", (0, (3, 1, 1, 1, 1, 1)), (0, (5, 1)))
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


# ------------------------------------------------------------------------------ on a line


def on_a_line(names: Sequence[str], alpha: float = 1.0) -> Figure:
    """Pairs of labelled points as arcs, and the weight of one class that each pair asks for.

    Args:
        names: of arrangements in `NAMED`; points with two or three classes.
        alpha: of the law of lambda, which weighs the pairs in the best answer.
    """
    figure, axes = plt.subplots(
        2,
        len(names),
        figsize=(2.75 * len(names), 4.1),
        sharex="col",
        squeeze=False,
        height_ratios=(1, 1.5),
    )
    for column, name in enumerate(names):
        points, labels = NAMED[name]
        _arcs(axes[0, column], points, labels)
        axes[0, column].set_title(name)
        _asked(axes[1, column], points, labels, alpha)
    axes[1, 0].set_ylabel("weight of B")
    axes[1, 0].legend(fontsize=7.5, loc="upper left")
    return figure


def _arcs(ax: Axes, points: Sequence[float], labels: Sequence[int]) -> None:
    for number, (i, j) in enumerate(itertools.combinations(range(len(points)), 2)):
        middle, width = (points[i] + points[j]) / 2, abs(points[j] - points[i])
        ax.add_patch(
            Arc(
                (middle, 0),
                width,
                width,
                theta1=0,
                theta2=180,
                color=_COLOURS[number % 6],
                linestyle=_LINES[number % 6],
                linewidth=1.6,
            )
        )
    for at, label in zip(points, labels, strict=True):
        ax.plot(at, 0, "o", color="black", markersize=6)
        ax.text(at, -0.13, "ABC"[label], ha="center", va="top", fontsize=10)
    top = np.ptp(points) / 2
    ax.set(ylim=(-0.45 * max(top, 0.5), top + 0.1), yticks=[])
    ax.spines[:].set_visible(False)
    ax.grid(False)


def _asked(ax: Axes, points: Sequence[float], labels: Sequence[int], alpha: float) -> None:
    """Draw each pair's weight of class B, and the mean that the best classifier answers."""
    z = np.linspace(min(points), max(points), 2001)[1:-1]
    z = np.setdiff1d(z, points)  # where segments end
    total, mean = np.zeros_like(z), np.zeros_like(z)
    for number, (i, j) in enumerate(itertools.combinations(range(len(points)), 2)):
        low, high = sorted((i, j), key=lambda k: points[k])
        share = (z - points[low]) / (points[high] - points[low])
        inside = (share > 0) & (share < 1)
        t = share * (labels[high] == 1) + (1 - share) * (labels[low] == 1)
        style = {"color": _COLOURS[number % 6], "linestyle": _LINES[number % 6]}
        ax.plot(z[inside], t[inside], **style)
        s = share[inside]
        density = np.exp((alpha - 1) * np.log(s * (1 - s)) - betaln(alpha, alpha))
        density /= points[high] - points[low]
        total[inside] += density
        mean[inside] += density * t[inside]
    best = np.divide(mean, total, out=np.full_like(mean, np.nan), where=total > 0)
    for low, high in itertools.pairwise(sorted(points)):
        here = (z > low) & (z < high)
        label = "best answer" if low == min(points) else "_nolegend_"
        ax.plot(z[here], best[here], color="black", linewidth=2.6, alpha=0.6, label=label)
    ax.set(ylim=(-0.05, 1.05), xlabel="mixed point")


def excess_by_alpha(alphas: Sequence[float]) -> Figure:
    """Excess of the arrangements on a line against alpha."""
    figure, ax = plt.subplots(figsize=(5.6, 3.2))
    for (name, (points, labels)), line, colour, marker in zip(
        NAMED.items(), _LINES, _COLOURS, "osD^vP", strict=True
    ):
        y = [arrangement_loss(points, labels, alpha=alpha).excess for alpha in alphas]
        ax.plot(alphas, y, linestyle=line, color=colour, marker=marker, markevery=4, label=name)
    ax.set(xscale="log", xlabel="α", ylabel="excess, nats", ylim=(-0.01, None))
    ax.legend(fontsize=8)
    return figure


# ------------------------------------------------------------------------------ drawings


def drawing(ax: Axes, points: np.ndarray, *, names: bool = True) -> int:
    """Draw points of the plane, their segments and their crossings; return how many there are."""
    p = np.asarray(points, dtype=float)
    met = crossing_pairs(p)
    for i, j in itertools.combinations(range(len(p)), 2):
        ax.plot(*p[[i, j]].T, color="#888888", linewidth=0.7, zorder=1)
    spots = [_meeting(p[a], p[b], p[c], p[d]) for (a, b), (c, d) in met]
    if spots:
        ax.plot(*np.array(spots).T, "x", color="#d55e00", markersize=5, mew=1.6, zorder=2)
    ax.plot(*p.T, "o", color="black", markersize=4.5, zorder=3)
    if names:
        middle = p.mean(0)
        reach = np.ptp(p, axis=0).max()
        for k, at in enumerate(p):
            way = (at - middle) / (np.linalg.norm(at - middle) + 1e-9)
            ax.text(*(at + 0.07 * reach * way), str(k), fontsize=8, ha="center", va="center")
    ax.set(xticks=[], yticks=[], aspect="equal")
    ax.margins(0.12)
    ax.spines[:].set_visible(False)
    ax.grid(False)
    return len(met)


def _meeting(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    u, v = b - a, d - c
    det = u[0] * v[1] - u[1] * v[0]
    if det == 0:
        return (a + b) / 2
    return a + u * ((c - a)[0] * v[1] - (c - a)[1] * v[0]) / det


def drawings(panels: Mapping[str, np.ndarray]) -> Figure:
    """Several drawings side by side, each with its number of crossings."""
    figure, axes = plt.subplots(1, len(panels), figsize=(2.2 * len(panels), 2.6), squeeze=False)
    for ax, (title, points) in zip(axes[0], panels.items(), strict=True):
        count = drawing(ax, points, names=len(points) < 6)
        ax.set_title(f"{title}\n{count} crossing{'' if count == 1 else 's'}", fontsize=8.5)
    return figure


def best_points(runs: Runs, classes: int, dim: int) -> np.ndarray:
    """Return the best points that any seed found, (K, D).

    Those of the plane are brought into a round shape, which changes no crossing.
    """
    table = runs.table
    chosen = table[(table["classes"] == classes) & (table["dim"] == dim)]
    row = chosen["crossings"].idxmin() if dim == 2 else chosen["margin"].idxmax()
    found = runs.arrays(row)["points"].astype(float)
    if dim > 2:
        return found
    return np.linalg.svd(found - found.mean(0), full_matrices=False)[0]


def rooms(runs: Runs) -> Figure:
    """Fewest crossings by number of classes in the plane, and widest margin by dimension."""
    table = runs.table
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.0))
    plane = table[table["dim"] == 2].groupby("classes")[["crossings", "known"]].min()
    left.plot(plane.index, plane["known"], "-", color="#888888", label="least possible")
    left.plot(plane.index, plane["crossings"], "o", color="#d55e00", label="found")
    left.set(xlabel="classes", ylabel="crossings", title="in the plane")
    left.legend(fontsize=8)
    space = table[table["dim"] > 2]
    k = int(space["classes"].max())
    by_dim = space[space["classes"] == k].groupby("dim")[["margin", "bound"]].max()
    right.plot([2], [0], "x", color="#d55e00", label="2: crossings")
    right.plot(by_dim.index, by_dim["margin"], "D-", color="#0072b2", label="found")
    right.axhline(by_dim["bound"].iloc[0], color="#888888", linestyle="--", label="bound")
    right.set(xlabel="dimension", ylabel="margin", title=f"{k} classes in the unit ball")
    right.legend(fontsize=8)
    return figure


# ------------------------------------------------------------------------------ clouds


def shrinking(runs: Runs) -> Figure:
    """Excess against the spread of the classes, with the derived rate and limit."""
    table, spreads = runs.table, np.array(spreads_of(runs))
    figure, ax = plt.subplots(figsize=(6.2, 3.8))
    for name in ARRANGEMENTS:
        colour, marker, line = STYLES[name]
        values = np.stack([table[f"{name}_{s:g}"] for s in spreads], 1)
        mean, half = interval(values)
        ax.errorbar(
            *(spreads, mean, half),
            color=colour,
            marker=marker,
            linestyle=line,
            label=LABELS[name],
            capsize=2,
        )
    small = spreads[spreads <= 0.2]
    rate = crossing_rate(means_of("square", 4, 0))
    ax.plot(small, rate * small, color="black", linewidth=1, label="c s of the square")
    limit = arrangement_loss(means_of("collinear", 3, 0), np.arange(3)).excess
    ax.axhline(limit, color="black", linewidth=1, linestyle=":", label="limit on a line")
    ax.set(xscale="log", yscale="log", xlabel="spread s of each class", ylabel="excess, nats")
    ax.legend(fontsize=7.5, loc="lower right")
    return figure


def barrier(spreads: Sequence[float] = (0.03, 0.1), samples: int = 800, places: int = 13) -> Figure:
    """Excess of four clouds while one of them moves through a side of the others' triangle."""
    triangle = [[0.0, 1.0], [-0.87, -0.5], [0.87, -0.5]]
    heights = np.linspace(-1.3, 0, places)
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.0), width_ratios=(1, 2))
    drawing(left, np.array([*triangle, [0.0, heights[0]]]), names=False)
    arrow = {"arrowstyle": "->", "color": "#d55e00", "linewidth": 1.6}
    left.annotate("", (0, heights[-1]), (0, heights[0]), arrowprops=arrow)
    for spread, colour, marker, line in zip(
        spreads, ("#0072b2", "#d55e00"), "sD", ("-", "--"), strict=True
    ):
        found = [cloud_excess([*triangle, [0, y]], spread, samples=samples) for y in heights]
        values, error = np.array(found).T
        style = {"color": colour, "marker": marker, "linestyle": line, "capsize": 2}
        right.errorbar(heights, values, 2 * error, label=f"spread {spread:g}", **style)
    right.axvline(-0.5, color="black", linestyle=":", linewidth=1)
    right.set(xlabel="height of the fourth class", ylabel="excess, nats", ylim=(0, None))
    right.legend(fontsize=8)
    return figure


def directions(runs: Runs) -> Figure:
    """Excess by direction of the spread, and of two segments by the angle between them."""
    table = runs.table
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.0), width_ratios=(1.25, 1))
    rows = {
        "two classes, across": "across",
        "two classes, along": "turned",
        "prism of four, along its axis": "prism",
        "prism of four, towards others": "prism_turned",
    }
    for place, key in enumerate(rows.values()):
        mean, half = interval(table[key].to_numpy())
        left.errorbar(mean, place, xerr=half, fmt="oDs^"[place], color=_COLOURS[place], capsize=3)
        left.text(mean, place + 0.2, f"{mean:.2g}", ha="center", fontsize=8)
    left.set_yticks(range(len(rows)), list(rows), fontsize=8)
    left.set(xscale="log", xlabel="excess, nats", ylim=(-0.5, 3.6))
    left.margins(x=0.15)
    values = np.stack([table[f"tilt_{angle}"] for angle in ANGLES], 1)
    mean, half = interval(values)
    right.errorbar(ANGLES, mean, half, fmt="s-", color="#0072b2", capsize=2)
    right.set(xlabel="angle of two segments, degrees", ylabel="excess, nats", ylim=(0, None))
    return figure
