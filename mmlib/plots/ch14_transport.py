"""Figures of chapter 14: matchings between clusters and where their cross matches end."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from scipy.optimize import linear_sum_assignment

from mmlib.evidence import Runs
from mmlib.measures import matching
from mmlib.measures import transport_rates as closed
from mmlib.plots import interval
from mmlib.studies.ch14 import faces
from mmlib.studies.ch14.clusters import centres_of, in_ball
from mmlib.studies.ch14.evidence_transport import series
from mmlib.studies.ch14.grids_transport import CASES

# Arrangements and scenes are no methods, so they have colours, markers and lines of their own.
STYLES: dict[str, tuple[str, str, str]] = {
    "pair": ("#4d4d4d", "o", "-"),
    "triangle": ("#0072b2", "^", "-"),
    "simplex": ("#009e73", "D", "--"),
    "square": ("#e69f00", "s", "-."),
    "line3": ("#d55e00", "v", "-"),
    "line4": ("#cc79a7", "P", ":"),
    "random": ("#882255", "X", "--"),
    "uneven": ("#999933", "d", "-."),
    "discs": ("#0072b2", "o", "-"),
    "large discs": ("#56b4e9", "s", "-."),
    "walls": ("#009e73", "D", "--"),
    "pieces": ("#d55e00", "v", "-"),
    "relay": ("#4d4d4d", "^", ":"),
    "bridge": ("#cc79a7", "P", "--"),
}
LABELS = {
    "pair": "two",
    "triangle": "triangle",
    "simplex": "tetrahedron",
    "square": "square",
    "line3": "three in a row",
    "line4": "four in a row",
    "random": "six, drawn",
    "uneven": "two, 0.9 and 0.1",
    "discs": "discs, R = D/2",
    "large discs": "discs, R = D",
    "walls": "parallel faces",
    "pieces": "two pieces",
    "relay": "two pieces in a row",
    "bridge": "two pieces, joined",
}


def _line(ax: Axes, name: str, x: Sequence[float], values: np.ndarray, *, label: str = "") -> None:
    """Draw the mean of (S, X) values over seeds with 95 % intervals."""
    colour, marker, line = STYLES[name]
    mean, half = interval(values)
    ax.errorbar(x, mean, half, color=colour, marker=marker, ls=line, capsize=2,
                label=label or LABELS[name])  # fmt: skip


# ------------------------------------------------------------------------------ Lemma 1


def _row(numbers: Sequence[Sequence[int]], seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng, centres = np.random.default_rng(seed), 4.0 * centres_of("line3", np.random.default_rng(0))
    own = [np.repeat(np.arange(3), row) for row in numbers]
    return [centres[one] + in_ball(len(one), 2, rng) for one in own], own


def chain_or_jump(seed: int = 1) -> Figure:
    """Three clusters in a row: the cheapest matching, and the cheapest with one cross match."""
    (x, y), (a, b) = _row(((4, 3, 3), (3, 3, 4)), seed)
    cost = matching.squared_distances(x, y)
    crossing = (a[:, None] != b[None]).astype(float)
    figure, axes = plt.subplots(2, 1, figsize=(5.2, 3.5), sharex=True)
    for ax, name, penalty in ((axes[0], "cheapest", 0.0), (axes[1], "fewest cross matches", 1e6)):
        partner = linear_sum_assignment(cost + penalty * crossing)[1]
        total = cost[np.arange(len(x)), partner].sum()
        for centre in (0, 4, 8):
            ax.add_patch(Circle((centre, 0), 1, facecolor="none", edgecolor="#aaaaaa", ls=":"))
        for i, j in enumerate(partner):
            cross = a[i] != b[j]
            ax.plot(*np.array([x[i], y[j]]).T, color="#d55e00" if cross else "#4d4d4d",
                    lw=2.4 if cross else 1.2, zorder=2 if cross else 1)  # fmt: skip
        ax.plot(*x.T, "o", color="#0072b2", label="batch 1", zorder=3)
        ax.plot(*y.T, "s", color="white", markeredgecolor="black", label="batch 2", zorder=3)
        number = int(crossing[np.arange(len(x)), partner].sum())
        ax.set_title(f"{name}: {number} across, sum of squares {total:.0f}", fontsize=9.5)
        ax.set(aspect="equal", xlim=(-1.3, 9.3), ylim=(-1.3, 1.3))
        ax.axis("off")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", fontsize=8, ncols=2)
    return figure


def surplus(runs: Runs, threshold: float) -> Figure:
    """Share of matchings with more than the least number, against the gap between balls."""
    figure, ax = plt.subplots(figsize=(5.2, 3.4))
    names = [n for n in STYLES if n in set(runs.table["arrangement"])]
    for name in names:
        own = runs.table[runs.table["arrangement"] == name].pivot_table(
            index="seed", columns="gap", values="more"
        )
        _line(ax, name, list(own.columns), own.to_numpy())
    ax.axvline(2, color="black", ls=":", lw=1)
    ax.axvline(threshold, color=STYLES["triangle"][0], ls=":", lw=1)
    note = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "fontsize": 8}
    ax.annotate("asked for", (2, 1.0), (3, 4), **note)
    ax.annotate("enough for 60°", (threshold, 1.0), (3, 4), **note)
    ax.set(xlabel="gap between neighbouring balls, radii", ylabel="share of matchings",
           ylim=(-0.03, 1.05), xlim=(0, None))  # fmt: skip
    figure.legend(loc="outside lower center", fontsize=8, ncols=3)
    return figure


# ------------------------------------------------------------------------------ Theorem 1


def cross_shares(runs: Runs) -> Figure:
    """Share of cross matches against k: measured, exact, and the bound of Theorem 1."""
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 3.3), sharey=True)
    for ax, case, exact, name in (
        (axes[0], "pair", closed.least_share, "exact"),
        (axes[1], "line4", closed.line_share, "sum over gaps"),
    ):
        values, p = series(runs, "share", case=case), CASES[case][1]
        ks = list(values.columns)
        grid = sorted({*ks, *range(1, 9), *(round(k * 2**0.5) for k in ks)})
        grid = [k for k in grid if k <= ks[-1]]
        ax.plot(grid, [closed.share_bound(k, p) for k in grid], "--", color="black", label="bound")
        ax.plot(grid, [exact(k, p) for k in grid], color=STYLES[case][0], label=name)
        mean, half = interval(values.to_numpy())
        ax.errorbar(ks, mean, half, color=STYLES[case][0], marker=STYLES[case][1], ls="",
                    capsize=2, label="measured")  # fmt: skip
        ax.set(xscale="log", yscale="log", xlabel="k", title=f"{LABELS[case]}, equal masses")
        ax.legend(fontsize=8)
    axes[0].set_ylabel("share of cross matches")
    return figure


def ratios(largest: int = 512) -> Figure:
    """Exact mean difference of two binomials over its bound, against k."""
    figure, ax = plt.subplots(figsize=(5.2, 3.1))
    ks = np.unique(np.geomspace(1, largest, 25).astype(int))
    for p, colour, line in ((0.5, "#4d4d4d", "-"), (0.1, "#0072b2", "--"), (0.01, "#d55e00", ":")):
        found = [closed.mean_difference(int(k), p) / closed.jensen_bound(int(k), p) for k in ks]
        ax.plot(ks, found, line, color=colour)
        ax.annotate(f"p = {p:g}", (ks[0], found[0]), (5, -11), textcoords="offset points",
                    fontsize=8)  # fmt: skip
    limit = np.sqrt(2 / np.pi)
    ax.axhline(limit, color="black", lw=0.8, ls=(0, (1, 3)))
    ax.annotate("√(2/π)", (1, limit), (0, 4), textcoords="offset points", fontsize=8.5)
    ax.set(xscale="log", xlabel="k", ylabel="exact over bound", ylim=(0, 1), xlim=(1, largest))
    return figure


# ------------------------------------------------------------------------------ Theorem 2


def _outline(ax: Axes, of: faces.Scene, margin: float = 0.15, *, around: bool = False) -> None:
    """Draw the two sets and the edges of the printed shells, or all that is as near to B."""
    boxes = [(np.array(p.centre), np.hypot(*p.half) + p.radius) for p in (*of.a, *of.b)]
    low = np.min([c - r for c, r in boxes], axis=0) - margin
    high = np.max([c + r for c, r in boxes], axis=0) + margin
    x, y = (np.linspace(a, b, 500) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    to_a, to_b = (faces.to_set(grid, own).reshape(500, 500) for own in (of.a, of.b))
    reach = of.distance * (1 + of.epsilon)
    for own, other in ((to_a, to_b), (to_b, to_a)):
        ax.contourf(x, y, own, levels=[-9, 0], colors=["#d4d4d4"])
        inside = other if around else np.where(own < 0, other, np.nan)
        if not around or own is to_a:
            ax.contour(x, y, inside, levels=[reach], colors="black", linewidths=1, linestyles="--")
    ax.set(aspect="equal", xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    ax.axis("off")


def _matches(ax: Axes, found: Sequence[faces.CrossMatches], *, lines: bool = True) -> None:
    a, b = (np.concatenate([getattr(one, end) for one in found]) for end in ("a", "b"))
    if lines:
        for ends in zip(a, b, strict=True):
            ax.plot(*np.array(ends).T, color="#d55e00", lw=0.8, alpha=0.6)
    ax.plot(*b.T, "s", color="#0072b2", markersize=3)
    ax.plot(*a.T, "o", color="black", markersize=3)


def ends(name: str, ks: Sequence[int], seed: int = 0, least: int = 24) -> Figure:
    """Cross matches of a scene for several sizes, with draws until there are enough of them."""
    of, rng = faces.scene(name), np.random.default_rng(seed)
    figure, axes = plt.subplots(len(ks), 1, figsize=(4.4, 2.1 * len(ks)), squeeze=False)
    for ax, k in zip(axes[:, 0], ks, strict=True):
        found: list[faces.CrossMatches] = []
        while sum(len(one.a) for one in found) < least and len(found) < 200:
            found.append(faces.draw(of, k, rng))
        _outline(ax, of)
        _matches(ax, found)
        ax.set_title(f"k = {k}", fontsize=9.5)
    return figure


def excess(runs: Runs) -> Figure:
    """Mean length of cross matches over the distance of the sets, less one, against k."""
    figure, ax = plt.subplots(figsize=(5.2, 3.6))
    for name in [n for n in STYLES if n in set(runs.table["scene"])]:
        values = series(runs, "excess", scene=name)
        values = values.mask(values <= 0)
        _line(ax, name, list(values.columns), values.to_numpy())
    ks = np.array(values.columns, dtype=float)
    for power, start, text in ((-1 / 3, 1.3, "slope −1/3"), (-1 / 2, 0.025, "slope −1/2")):
        guide = start * (ks / ks[0]) ** power
        ax.plot(ks, guide, color="black", lw=0.8, ls=(0, (1, 2)))
        ax.annotate(text, (ks[0], guide[0]), (0, 4), textcoords="offset points", fontsize=8)
    ax.set(xscale="log", yscale="log", xlabel="k", ylabel="mean length over D, less 1")
    figure.legend(loc="outside lower center", fontsize=8, ncols=2)
    return figure


def counterexample(runs: Runs, k: int, seed: int = 0) -> Figure:
    """Two pieces, the same joined, and in a row: cross matches, and how often the far one jumps."""
    figure, axes = plt.subplots(2, 2, figsize=(7.6, 5.6))
    for ax, name in zip(axes.ravel(), ("pieces", "bridge", "relay"), strict=False):
        of, rng = faces.scene(name), np.random.default_rng(seed)
        _outline(ax, of, 0.15, around=True)
        _matches(ax, [faces.draw(of, k, rng) for _ in range(4)])
        for text, piece in (("B", of.b[0]), ("A", of.a[0]), ("A", of.a[1])):
            ax.annotate(text, piece.centre, (6, 5), textcoords="offset points", fontsize=9)
        ax.set_title(f"{LABELS[name]}, k = {k}", fontsize=9.5)
    ax = axes[1, 1]
    for name in ("pieces", "bridge", "relay"):
        values = series(runs, "far", scene=name)
        _line(ax, name, list(values.columns), values.to_numpy())
    ax.set(xscale="log", xlabel="k", ylabel="draws with a far direct match", ylim=(-0.03, 1.03))
    ax.legend(fontsize=8)
    return figure
