"""Figures of chapter 13 on the points themselves: sets, matches, vicinal points, surfaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor

from mmlib.mixing import Law, OptimalPairing
from mmlib.studies.ch13 import fields
from mmlib.studies.ch13.couplings import Pairs, independent_pairs, mixes
from mmlib.studies.ch13.transport import matched

_CLASSES = (("#174a7e", "o"), ("#e6912c", "^"))  # one dark, one light: apart in grey too
_SHADES = LinearSegmentedColormap.from_list("classes", ["#174a7e", "#f2f2f2", "#e6912c"])


def _clear(ax: Axes, toy: str) -> None:
    """Show the region of a set and nothing else."""
    limit = fields.LIMITS[toy]
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(True)
    ax.spines[:].set_color("#bbbbbb")


def _points(ax: Axes, x: Tensor, y: Tensor, size: float, **more: Any) -> None:
    for label, (colour, marker) in enumerate(_CLASSES):
        own = x[y == label]
        ax.scatter(
            own[:, 0], own[:, 1], s=size, c=colour, marker=marker, linewidths=0,
            label=f"class {label}", **more,
        )  # fmt: skip


def _blend(ax: Axes, x: Tensor, target: Tensor, size: float) -> None:
    """Draw mixed points in the shade of their target; sure ones keep the marker of their class."""
    for low, high, marker in ((-0.1, 0.05, "o"), (0.05, 0.95, "s"), (0.95, 1.1, "^")):
        own = (target > low) & (target <= high)
        ax.scatter(
            x[own, 0], x[own, 1], s=size, c=target[own], marker=marker, cmap=_SHADES, vmin=0,
            vmax=1, linewidths=0.25, edgecolors="#555555",
        )  # fmt: skip


def _boundary(ax: Axes, toy: str, side: int = 160) -> None:
    """Draw where the true label changes."""
    ticks = ((np.arange(side) + 0.5) / side * 2 - 1) * fields.LIMITS[toy]
    label = fields.field(toy).at(fields.region(toy, side))[1].reshape(side, side)
    ax.contour(ticks, ticks, label, levels=[0.5], colors="black", linewidths=0.8, linestyles="--")


def sets(toys: Sequence[str], n: int, seed: int) -> Figure:
    """Training points of each set and the boundary between the true labels."""
    figure, axes = plt.subplots(1, len(toys), figsize=(2.4 * len(toys) + 0.2, 2.7), squeeze=False)
    for ax, toy in zip(axes[0], toys, strict=True):
        x, y, _, _ = fields.points(toy, n, 2, seed)
        _points(ax, x, y, 7)
        _boundary(ax, toy)
        _clear(ax, toy)
        ax.set_title(fields.TITLES[toy])
    axes[0, 0].legend(fontsize=8, loc="upper left", frameon=True, framealpha=0.8, markerscale=1.6)
    return figure


def displacement(toy: str, k: int, seed: int) -> Figure:
    """Two sets of k points mixed at five weights, along random pairs (above) and optimal ones."""
    weights = (1.0, 0.75, 0.5, 0.25, 0.0)
    x, y, _, _ = fields.points(toy, 2 * k, 2, seed)
    mixed_up = torch.randperm(2 * k, generator=torch.Generator().manual_seed(seed))
    x, target = x[mixed_up], y[mixed_up].float()
    a, b = x[:k], x[k:]
    both = torch.arange(k).expand(2, -1)
    order = OptimalPairing(k, sets="independent").match(both, a, b)
    figure, axes = plt.subplots(2, len(weights), figsize=(7.4, 3.3))
    for row, (partner, words) in enumerate(((torch.arange(k), "random"), (order, "optimal"))):
        segments = torch.stack([a, b[partner]], 1).numpy()
        for ax, weight in zip(axes[row], weights, strict=True):
            ax.add_collection(LineCollection(segments, colors="#cccccc", linewidths=0.6))
            mixed = weight * a + (1 - weight) * b[partner]
            _blend(ax, mixed, weight * target[:k] + (1 - weight) * target[k:][partner], 20)
            _clear(ax, toy)
            if row == 0:
                ax.set_title(f"λ = {weight:g}", fontsize=9)
        axes[row, 0].set_ylabel(f"{words} pairs", fontsize=9)
    return figure


def _matches(ax: Axes, toy: str, x: Tensor, y: Tensor, pairs: Pairs, n: int) -> None:
    """Draw n matches, those across classes in black, over faint points."""
    i, j = pairs.first[:n], pairs.second[:n]
    _points(ax, x, y, 3, alpha=0.5)
    for cross, colour, width in ((False, "#999999", 0.7), (True, "black", 0.8)):
        chosen = (y[i] != y[j]) == cross
        ends = torch.stack([x[i[chosen]], x[j[chosen]]], 1).numpy()
        ax.add_collection(LineCollection(ends, colors=colour, linewidths=width))
    _clear(ax, toy)


def matches(toys: Sequence[str], ks: Sequence[int], n: int, seed: int, lines: int = 96) -> Figure:
    """Matches of two sets of k, as in the upper row of Figure 2: a row a k, a column a set."""
    figure, axes = plt.subplots(
        len(ks), len(toys), figsize=(2.4 * len(toys) + 0.2, 2.4 * len(ks) + 0.2), squeeze=False
    )
    for column, toy in enumerate(toys):
        x, y, _, _ = fields.points(toy, n, 2, seed)
        for row, k in enumerate(ks):
            _matches(axes[row, column], toy, x, y, independent_pairs(x, k, 1, seed), lines)
            if column == 0:
                axes[row, 0].set_ylabel(f"k = {k}")
        axes[0, column].set_title(fields.TITLES[toy])
    return figure


def vicinal(
    toys: Sequence[str], ks: Sequence[int], alpha: float, n: int, seed: int, size: float = 6
) -> Figure:
    """Vicinal points, as in the lower row of Figure 2: a row a k, a column a set."""
    figure, axes = _panels(len(ks), len(toys))
    u = torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    lam = Law("beta", alpha).quantile(u)
    for column, toy in enumerate(toys):
        x, y, _, _ = fields.points(toy, n, 2, seed)
        for row, k in enumerate(ks):
            mixed = mixes(x, y, independent_pairs(x, k, 1, seed), lam)
            _blend(axes[row, column], mixed.x, mixed.target, size)
            _clear(axes[row, column], toy)
            axes[row, 0].set_ylabel(f"k = {k}", fontsize=9)
        axes[0, column].set_title(fields.TITLES[toy], fontsize=9)
    return figure


def _panels(rows: int, columns: int) -> tuple[Figure, np.ndarray]:
    """Return a tall grid of small squares, whose text stays readable on a narrow screen."""
    return plt.subplots(
        rows, columns, figsize=(1.62 * columns + 0.3, 1.6 * rows + 0.2), squeeze=False
    )


def _surface(ax: Axes, toy: str, p: np.ndarray) -> None:
    """Draw one output on the region, with its lines at 0.1, 0.5 and 0.9."""
    limit = fields.LIMITS[toy]
    ax.imshow(
        p, origin="lower", extent=(-limit, limit, -limit, limit), cmap=_SHADES, vmin=0, vmax=1,
        interpolation="bilinear",
    )  # fmt: skip
    ticks = ((np.arange(len(p)) + 0.5) / len(p) * 2 - 1) * limit
    for level, style in ((0.1, ":"), (0.5, "-"), (0.9, ":")):
        if p.min() < level < p.max():
            ax.contour(ticks, ticks, p, levels=[level], colors="black", linestyles=style,
                       linewidths=0.7)  # fmt: skip
    _clear(ax, toy)


def surfaces(outputs: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Outputs of trained networks on the region, as in Figure 1, with p = 0.1, 0.5 and 0.9.

    Args:
        outputs: set -> title of the row -> (S, S) outputs p in 0..1.
    """
    titles = list(next(iter(outputs.values())))
    figure, axes = _panels(len(titles), len(outputs))
    for column, (toy, surface) in enumerate(outputs.items()):
        for row, title in enumerate(titles):
            _surface(axes[row, column], toy, surface[title])
            axes[row, 0].set_ylabel(title, fontsize=9)
        axes[0, column].set_title(fields.TITLES[toy], fontsize=9)
    return figure


def own(
    toy: str, k: int, alpha: float, outputs: Mapping[str, np.ndarray], seed: int, n: int = 512
) -> Figure:
    """Matches and vicinal points for k = 1 and one other k (above), and trained outputs (below).

    Args:
        toy: name of the set.
        k: the other k.
        alpha: of the weights.
        outputs: title -> (S, S) outputs p, for ``"no mixing"``, ``"k = 1"`` and the other k.
        seed: of the points and pairs.
        n: number of points.
    """
    x, y, _, _ = fields.points(toy, n, 2, seed)
    u = torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    figure, axes = plt.subplots(2, 4, figsize=(7.6, 4.2))
    for place, own_k in enumerate((1, k)):
        pairs = independent_pairs(x, own_k, 1, seed)
        _matches(axes[0, 2 * place], toy, x, y, pairs, 96)
        mixed = mixes(x, y, pairs, Law("beta", alpha).quantile(u))
        _blend(axes[0, 2 * place + 1], mixed.x, mixed.target, 6)
        _clear(axes[0, 2 * place + 1], toy)
        for ax, word in zip(axes[0, 2 * place :], ("matches", f"α = {alpha:g}"), strict=False):
            ax.set_title(f"k = {own_k}, {word}", fontsize=9)
    shown = list(dict.fromkeys(("no mixing", "k = 1", f"k = {k}")))
    for ax in axes[1, len(shown) :]:
        ax.axis("off")
    for ax, title in zip(axes[1], shown, strict=False):
        _surface(ax, toy, outputs[title])
        ax.set_title(f"output, {title}", fontsize=9)
    return figure


def two_costs(k: int, seed: int) -> Figure:
    """One pair of sets matched under both costs, on a line (above) and in the plane (below)."""
    generator = torch.Generator().manual_seed(seed)
    line = [torch.rand(k, 1, generator=generator).double() for _ in range(2)]
    plane = [torch.rand(2 * k, 2, generator=generator).double() for _ in range(2)]
    plane[1][:, 0] += 0.7  # aside, so that matches are long enough to cross
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 4.3), height_ratios=(1, 1.9))
    titles = {"sqeuclidean": "squared distance", "euclidean": "distance"}
    for column, (cost, title) in enumerate(titles.items()):
        flat = [torch.cat([t, torch.full_like(t, level)], 1)
                for t, level in zip((line[0], line[1] + 0.6), (0.0, 1.0), strict=True)]  # fmt: skip
        ends = matched(line[0], line[1] + 0.6, cost)
        on_line = torch.stack([flat[0], torch.cat([ends, torch.ones_like(ends)], 1)], 1)
        in_plane = torch.stack([plane[0], matched(*plane, cost)], 1)
        for ax, segments, points in (
            (axes[0, column], on_line, flat), (axes[1, column], in_plane, plane)
        ):  # fmt: skip
            ax.add_collection(LineCollection(segments.numpy(), colors="#777777", linewidths=0.9))
            for own, (colour, marker) in zip(points, _CLASSES, strict=True):
                ax.scatter(own[:, 0], own[:, 1], s=18, c=colour, marker=marker, zorder=3)
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
        axes[0, column].set_title(title)
        axes[0, column].set_ylim(-0.3, 1.3)
        axes[1, column].set_aspect("equal")
    axes[0, 0].set_ylabel("on a line")
    axes[1, 0].set_ylabel("in the plane")
    return figure
