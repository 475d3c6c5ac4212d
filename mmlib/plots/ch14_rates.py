"""Figures of chapter 14: neighbourhoods, rates of the matching cost, and its price in time."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy.spatial import cKDTree

from mmlib.evidence import Runs
from mmlib.measures.transport_rates import uniform_line_cost
from mmlib.plots import interval
from mmlib.studies.ch14.evidence_transport import series
from mmlib.studies.ch14.grids_transport import DIMENSIONS

_MARKS = ("o", "s", "^", "D", "v", "P")


def _shapes() -> dict[str, tuple[np.ndarray, float]]:
    """Return an arc, an ellipse and two circles, each with its injectivity radius."""
    angle, opening = np.linspace(0, 2 * np.pi, 4000), 0.35
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    bent = np.linspace(opening, 2 * np.pi - opening, 4000)
    return {
        "arc": (np.stack([np.cos(bent), np.sin(bent)], axis=1), np.sin(opening)),
        "ellipse": (circle * [1.6, 1.0], 1.0),
        "two circles": (np.concatenate([circle, circle + [2.8, 0]]), 0.4),
    }


def neighbourhoods(shares: tuple[float, float] = (0.6, 1.05)) -> Figure:
    """Neighbourhoods of an arc, an ellipse and two circles below and above their radius."""
    shapes = _shapes()
    figure, axes = plt.subplots(len(shares), len(shapes), figsize=(7.2, 4.6))
    for column, (name, (curve, radius)) in enumerate(shapes.items()):
        low, high = curve.min(0) - 1.3 * radius, curve.max(0) + 1.3 * radius
        x, y = (np.linspace(a, b, 300) for a, b in zip(low, high, strict=True))
        grid = np.stack(np.meshgrid(x, y), axis=-1)
        away = cKDTree(curve).query(grid.reshape(-1, 2))[0].reshape(300, 300)
        for ax, share in zip(axes[:, column], shares, strict=True):
            ax.contourf(x, y, away, levels=[0, share * radius], colors=["#a6cde6"])
            ax.contour(x, y, away, levels=[share * radius], colors="#0072b2", linewidths=0.8)
            ax.plot(*curve.T, ".", color="black", markersize=0.8)
            ax.set(aspect="equal")
            ax.axis("off")
            ax.set_title(f"{name}, {share:g} R", fontsize=9.5)
    return figure


def costs(runs: Runs) -> Figure:
    """Mean squared distance of optimal matches against k, one piece and two, by dimension."""
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 4.0), sharey=True)
    colours = plt.get_cmap("viridis")(np.linspace(0.05, 0.85, len(DIMENSIONS)))
    for ax, support, title in (
        (axes[0], "connected", "one cube"),
        (axes[1], "two", "two cubes, one side apart"),
    ):
        for d, colour, mark in zip(DIMENSIONS, colours, _MARKS, strict=True):
            values = series(runs, "cost", dimension=d, support=support)
            ks, (mean, half) = np.array(values.columns, dtype=float), interval(values.to_numpy())
            ax.errorbar(ks, mean, half, color=colour, marker=mark, capsize=2, lw=1.4)
            if support == "connected" or d in (1, 6):
                ax.annotate(f"d = {d}", (ks[-1], mean[-1]), (5, -3), textcoords="offset points",
                            fontsize=8)  # fmt: skip
            if support == "connected":
                ax.plot(ks, mean[0] * (ks / ks[0]) ** (-2 / d), ls=":", color=colour, lw=1)
        if support == "two":
            ax.plot(ks, 0.9 * mean[0] * (ks / ks[0]) ** -0.5, "--", color="black", lw=1)
            ax.annotate("slope −1/2", (ks[-2], 0.9 * mean[0] * (ks[-2] / ks[0]) ** -0.5), (0, 6),
                        textcoords="offset points", fontsize=8)  # fmt: skip
        ax.set(xscale="log", yscale="log", xlabel="k", xlim=(None, 2.6 * ks[-1]))
        ax.set_title(title, fontsize=9.5)
    line = series(runs, "cost", dimension=1, support="connected").columns
    axes[0].plot(line, [uniform_line_cost(k) for k in line], "x", color="black", markersize=7)
    axes[0].set_ylabel("mean squared length")
    return figure


def leaving(runs: Runs) -> Figure:
    """Share of matched segments that leave a neighbourhood of the set, against k."""
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 3.3), sharey=True)
    shades = {"0.5": ("#9ecae1", "o", ":"), "0.25": ("#4292c6", "s", "--"),
              "0.125": ("#08306b", "D", "-")}  # fmt: skip
    for ax, name, title in ((axes[0], "circle", "circle"), (axes[1], "swiss", "swiss roll")):
        for share, (colour, mark, line) in shades.items():
            values = series(runs, f"out_{share}", set=name)
            mean, half = interval(values.to_numpy())
            ax.errorbar(list(values.columns), mean, half, color=colour, marker=mark, ls=line,
                        capsize=2, label=f"ε = {share} R")  # fmt: skip
        ax.set(xscale="log", xlabel="k", ylim=(-0.03, 1.0), title=title)
        ax.legend(fontsize=8)
    axes[0].set_ylabel("share of segments that leave")
    return figure


def times(assignment: Runs, step: Runs) -> Figure:
    """Time of an assignment against k, and of a batch of them over a training step."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.5))
    names = {"products": "c = i j", "points": "points of the plane", "vectors": "784 numbers"}
    for (cost, label), colour, mark, line in zip(
        names.items(), ("#d55e00", "#0072b2", "#009e73"), _MARKS, ("-", "--", ":"), strict=False
    ):
        values = series(assignment, "ms", cost=cost)
        mean, half = interval(values.to_numpy())
        left.errorbar(list(values.columns), mean, half, color=colour, marker=mark, ls=line,
                      capsize=2, label=label)  # fmt: skip
    ks = np.array(values.columns, dtype=float)
    left.plot(ks, mean[-1] * 4 * (ks / ks[-1]) ** 3, color="black", lw=0.8, ls=(0, (1, 2)))
    left.annotate("k³", (ks[-2], mean[-1] / 2), (-14, 4), textcoords="offset points", fontsize=9)
    left.set(xscale="log", yscale="log", xlabel="k", ylabel="milliseconds", title="one assignment")
    left.legend(fontsize=8)
    for batch, colour, mark in zip(
        sorted(set(step.table["batch"])), ("#4d4d4d", "#cc79a7"), _MARKS, strict=False
    ):
        values = series(step, "over", batch=batch)
        mean, half = interval(values.to_numpy())
        right.errorbar(list(values.columns), mean, half, color=colour, marker=mark, capsize=2,
                       label=f"batch {batch}")  # fmt: skip
    right.axvline(32, color="black", lw=0.8, ls=":")
    right.set(xscale="log", yscale="log", xlabel="k", ylabel="matching over step",
              title="beside a LeNet step")  # fmt: skip
    right.legend(fontsize=8)
    return figure
