"""Figures of chapter 11 that rest on derivations: best scales, free states, no conflict."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from mmlib.evidence import Runs
from mmlib.measures.segments import ArcAndPoint, reachable_range, segments
from mmlib.measures.subspaces import best_scale, beta_nodes, excess_at

_LINES = ("-", "--", "-.", ":")
_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#4d4d4d")
_MARKS = ("o", "s", "^", "D")


def scales(classes: int, alphas: Sequence[float]) -> Figure:
    """Excess of the cross-entropy against the scale of the logits; best scale against alpha."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
    c = np.linspace(0, 20, 201)
    for alpha, colour, line in zip(alphas, _COLOURS, _LINES, strict=False):
        nodes = beta_nodes(alpha)
        left.plot(c, [excess_at(one, classes, *nodes) for one in c], line, color=colour,
                  label=f"α = {alpha:g}")  # fmt: skip
        left.plot(*best_scale(classes, *nodes), "o", color=colour, markersize=6)
    plain = [excess_at(one, classes, [0.0, 1.0], [0.5, 0.5]) for one in c]
    left.plot(c, plain, ":", color="black", label="no mixing")
    left.set(xlabel="scale c of the logits", ylabel="excess, nats", ylim=(0, 1.5))
    left.set_title(f"{classes} classes")
    left.legend(fontsize=8)
    grid = np.geomspace(0.05, 8, 25)
    for d, colour, line in zip((2, 4, 10), _COLOURS, _LINES, strict=False):
        found = [best_scale(d, *beta_nodes(alpha))[0] for alpha in grid]
        right.plot(grid, found, line, color=colour)
        right.annotate(f"d = {d}", (grid[-1], found[-1]), (4, -3), textcoords="offset points",
                       fontsize=8)  # fmt: skip
    right.set(xscale="log", xlabel="α", ylabel="best scale c*", xlim=(0.05, 14))
    right.set_xticks([0.1, 1, 8], ["0.1", "1", "8"])
    right.set_title("best scale")
    return figure


def free_ranks(runs: Runs) -> Figure:
    """Directions of a class of free states, by units; columns are losses, rows are heads."""
    table = runs.table[runs.table["decay"] == 0]
    heads = (("affine", "affine head"), ("mlp", "head with two hidden layers"))
    losses = (("squared", "squared loss"), ("ce", "cross-entropy"))
    figure, axes = plt.subplots(2, 2, figsize=(7.6, 5.4), sharex=True, sharey=True)
    for row, (head, head_name) in enumerate(heads):
        for column, (loss, loss_name) in enumerate(losses):
            ax, chosen = axes[row, column], table[(table["head"] == head) & (table["loss"] == loss)]
            units = np.arange(1.5, 7, 0.5)
            classes = int(table["classes"].iloc[0])
            ax.plot(units, np.clip(units - classes + 1, 0, None), color="black", lw=0.9, ls=":")
            for mixing, shift, colour, mark in (
                (False, -0.12, "#4d4d4d", "o"),
                (True, 0.12, "#d55e00", "D"),
            ):
                own = chosen[chosen["mixing"] == mixing]
                label = "mixed" if mixing else "plain"
                for one, group in own.groupby("units"):
                    spread = one + shift + np.linspace(-0.08, 0.08, len(group))
                    ax.plot(spread, group["rank"], mark, color=colour, alpha=0.7, markersize=5,
                            label=label)  # fmt: skip
                    label = "_nolegend_"
            ax.set_title(f"{loss_name}, {head_name}", fontsize=9)
            ax.set_ylim(-0.4, 6.6)
    axes[0, 0].annotate("H − d + 1", (5.2, 2.2), (4.6, 0.8), fontsize=8.5,
                        arrowprops={"arrowstyle": "-", "lw": 0.6})  # fmt: skip
    axes[0, 0].legend(fontsize=8, loc="upper left")
    for ax in axes[1]:
        ax.set_xlabel("units H")
    for ax in axes[:, 0]:
        ax.set_ylabel("directions of a class")
    return figure


def no_conflict(seed: int = 0) -> Figure:
    """A curved class and a point, four full classes in space, and two segments of the plane."""
    figure = plt.figure(figsize=(9, 3.1))
    left, middle = figure.add_subplot(131), figure.add_subplot(132, projection="3d")
    right = figure.add_subplot(133)
    case = ArcAndPoint(0.9, 3.0)
    arc = case.arc(40).numpy()
    point = case.point.numpy()
    for a in arc[::6]:
        left.plot(*np.array([a, point]).T, color="#999999", lw=0.6)
    for share, line in ((0.75, "--"), (0.5, "-."), (0.25, ":")):
        left.plot(*(share * arc + (1 - share) * point).T, line, color="#0072b2", lw=1.3)
        left.annotate(f"{share:g}", share * arc[-1] + (1 - share) * point, (0, 3),
                      textcoords="offset points", fontsize=8)  # fmt: skip
    left.plot(*arc.T, color="#d55e00", lw=3)
    left.plot(*point, "D", color="#4d4d4d")
    left.set(aspect="equal", xticks=[], yticks=[], xlim=(-0.1, 3.3), ylim=(-1.3, 1.3))
    left.set_title("curved class, a point", fontsize=9)
    h = torch.randn(12, 3, generator=torch.Generator().manual_seed(seed)).numpy()
    for i, j in segments(12).tolist():
        middle.plot(*h[[i, j]].T, color="#aaaaaa", lw=0.3)
    for k in range(4):
        middle.plot(*h[3 * k : 3 * k + 3].T, _MARKS[k], color=_COLOURS[k], markersize=5)
    middle.set_xticks([])
    middle.set_yticks([])
    middle.set_zticks([])
    middle.set_title("four classes in space", fontsize=9)
    angles = np.linspace(0, 1.5, 60)
    for gap, line, colour in ((1.0, "-", "#d55e00"), (2.0, "--", "#0072b2")):
        found = [reachable_range(angle, gap) for angle in angles]
        right.plot(np.degrees(angles), found, line, color=colour, label=f"distance {gap:g}")
    right.set(xlabel="angle, degrees", ylabel="range of λ at one point")
    right.set_title("two segments", fontsize=9)
    right.legend(fontsize=8)
    return figure
