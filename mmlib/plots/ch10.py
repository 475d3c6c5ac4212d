"""Figures of chapter 10: points that move, and spirals through a code."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmlib.data.spirals import two_spirals
from mmlib.evidence import Runs
from mmlib.evidence.findings import per_seed
from mmlib.measures import whitened
from mmlib.measures.drawings import RECTILINEAR_CROSSINGS
from mmlib.plots import curve, look, points
from mmlib.plots.ch10_theory import drawing
from mmlib.studies.ch10.moving import Moved, floor_of, line_conflict
from mmlib.studies.ch10.spiral import WATCHED, by_method

_WAYS = {
    "mixed": ("mixed loss moves the points", "#d55e00", "D"),
    "fixed": ("points stay", "#e69f00", "v"),
    "none": ("unmixed loss moves the points", "#4d4d4d", "o"),
}
_CLASSES = (("#0072b2", "s"), ("#d55e00", "D"))


# ------------------------------------------------------------------------------ moving points


def _plane(p: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return points as they are drawn, (K, 2): a line gets a second coordinate of 0."""
    if p.shape[1] == 1:
        return np.hstack([p, np.zeros_like(p)])
    return p if p.shape[1] == 2 else (p - p.mean(0)) @ axes


def moving_points(moved: Moved, alpha: float, start: int = 0) -> Figure:
    """One start: its points and segments at the start, half way and at the end, and its loss."""
    figure, axes = plt.subplots(1, 4, figsize=(7.6, 2.3), width_ratios=(1, 1, 1, 1.35))
    last = moved.points[-1, start]
    _, _, vectors = np.linalg.svd(last - last.mean(0), full_matrices=False)
    frames = len(moved.steps)
    for ax, frame in zip(axes[:3], (0, frames // 2, frames - 1), strict=True):
        p, note = moved.points[frame, start], f"update {moved.steps[frame]}"
        if p.shape[1] == 1:
            _arcs_of(ax, p[:, 0])
        else:
            count = drawing(ax, _plane(p, vectors[:2].T))
            if p.shape[1] == 2:
                note += f", {count} crossing{'' if count == 1 else 's'}"
        ax.set_title(note, fontsize=8.5)
    steps, right = np.maximum(moved.steps, 0.7), axes[3]
    right.plot(steps, moved.losses[:, start], color="#d55e00", label="loss")
    right.axhline(moved.floor, color="black", linestyle=":", label="floor E H(T)")
    if last.shape[1] == 1:
        own = [moved.floor + line_conflict(q[start], alpha) for q in moved.points]
        right.plot(steps, own, "--", color="#0072b2", label="floor of the points")
    top = moved.losses[:, start].max()
    right.set(xscale="log", xlabel="update", ylabel="mixed loss, nats", ylim=(0, 1.05 * top))
    right.legend(fontsize=7.5, loc="upper right")
    return figure


def _arcs_of(ax: Axes, at: np.ndarray) -> None:
    ax.axhline(0, color="#888888", linewidth=0.8)
    for i, j in itertools.combinations(range(len(at)), 2):
        turn = np.linspace(0, np.pi, 60)
        middle, half = (at[i] + at[j]) / 2, abs(at[j] - at[i]) / 2
        ax.plot(middle + half * np.cos(turn), half * np.sin(turn), color="#888888", linewidth=0.8)
    for k, one in enumerate(at):
        ax.plot(one, 0, "o", color="black", markersize=5)
        ax.text(one, -0.04 * np.ptp(at), str(k), ha="center", va="top", fontsize=8)
    ax.set(yticks=[], aspect="equal")
    ax.grid(False)


def _chosen(runs: Runs, classes: int, dim: int, way: str, noise: float = 0.0) -> np.ndarray:
    table = runs.table
    return table.index[
        (table["classes"] == classes)
        & (table["dim"] == dim)
        & (table["way"] == way)
        & (table["noise"] == noise)
    ]


def where_they_end(runs: Runs) -> Figure:
    """Excess by number of classes and dimension, and crossings before and after, in the plane."""
    table = runs.table[runs.table["noise"] == 0]
    spaces = sorted({(int(k), int(d)) for k, d in zip(table["classes"], table["dim"], strict=True)})
    spaces = sorted(spaces, key=lambda one: (one[1], one[0]))
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.4), width_ratios=(1.4, 1))
    for way, (label, colour, marker) in _WAYS.items():
        if way == "none":
            continue
        for place, (k, d) in enumerate(spaces):
            rows = table[(table["classes"] == k) & (table["dim"] == d) & (table["way"] == way)]
            if len(rows):
                label_once = label if place == spaces.index((10, 2)) else "_nolegend_"
                shift = 0.12 if way == "fixed" else -0.12
                left.plot(
                    np.full(len(rows), place + shift), rows["excess"], marker, color=colour,
                    alpha=0.7, label=label_once, markersize=4,
                )  # fmt: skip
    left.set_xticks(range(len(spaces)), [f"{k} in {d}-D" for k, d in spaces], rotation=50)
    left.set(yscale="log", ylabel="excess of the network, nats")
    left.set_ylim(top=3 * table.loc[table["way"] != "none", "excess"].max())
    left.legend(fontsize=8, loc="upper left")
    plane = [(k, d) for k, d in spaces if d == 2 and k >= 4]
    for place, (k, d) in enumerate(plane):
        rows = table[(table["classes"] == k) & (table["dim"] == d) & (table["way"] == "mixed")]
        start, end = rows["crossings_start"].mean(), rows["crossings_end"].mean()
        right.plot([place - 0.15, place + 0.15], [start, end], "-", color="#888888")
        names = ("random start", "end", "least possible") if not place else ("_nolegend_",) * 3
        right.plot(place - 0.15, start, "o", color="#4d4d4d", label=names[0])
        right.plot(place + 0.15, end, "D", color="#d55e00", label=names[1])
        right.plot(place, RECTILINEAR_CROSSINGS[k - 1], "_", color="black", ms=16, label=names[2])
    right.set_xticks(range(len(plane)), [str(k) for k, _ in plane])
    right.set_yscale("symlog", linthresh=1)
    right.set_ylim(-0.2, 300)
    right.set(xlabel="classes in the plane", ylabel="crossings, mean")
    right.legend(fontsize=8, loc="upper left")
    return figure


def price_of_crossings(runs: Runs, classes: Sequence[int] = (4, 5, 6)) -> Figure:
    """Excess of the trained network against the crossings of its points, start by start."""
    figure, ax = plt.subplots(figsize=(5.4, 3.3))
    for k, marker, colour in zip(classes, "osD^", ("#0072b2", "#e69f00", "#d55e00", "#009e73")):  # noqa: B905
        for number, row in enumerate(_chosen(runs, k, 2, "mixed")):
            arrays = runs.arrays(row)
            floor = floor_of(k, float(runs.table.loc[row, "alpha"]))
            label = f"{k} classes" if not number else "_nolegend_"
            style = {"color": colour, "label": label, "alpha": 0.6}
            ax.plot(arrays["count"][1], arrays["losses"][-1] - floor, marker, **style)
    ax.set(yscale="log", xlabel="crossings at the end", ylabel="excess of the network, nats")
    ax.legend(fontsize=8)
    return figure


def concentration(runs: Runs) -> Figure:
    """Clouds in place of points: what the mixed loss does to distances and to the excess."""
    table = runs.table[(runs.table["noise"] > 0) & (runs.table["classes"] == 4)]
    figure, axes = plt.subplots(1, 3, figsize=(8.4, 2.8))
    for place, (way, (_, colour, marker)) in enumerate(_WAYS.items()):
        rows = table[table["way"] == way]
        noise = rows["noise"]
        pairs = (
            (noise / rows["radius_start"], noise / rows["radius_end"]),
            (rows["crossings_start"], rows["crossings_end"]),
        )
        for ax, (before, after) in zip(axes, pairs, strict=False):
            ax.plot([place - 0.15, place + 0.15], [before.mean(), after.mean()], color="#888888")
            ax.plot(np.full(len(rows), place - 0.15), before, "o", mfc="none", color=colour)
            ax.plot(np.full(len(rows), place + 0.15), after, marker, color=colour)
        axes[2].plot(np.full(len(rows), place), rows["excess"], marker, color=colour)
    titles = ("spread over radius", "crossings", "excess, nats")
    for ax, title in zip(axes, titles, strict=True):
        ax.set_xticks(range(3), ["mixed", "stay", "unmixed"])
        ax.set_title(f"{title}\n(open: start)" if ax is not axes[2] else title, fontsize=9)
        ax.set_ylim(0, 1.15 * ax.get_ylim()[1])
    axes[2].set_yscale("symlog", linthresh=0.1)
    return figure


# ------------------------------------------------------------------------------ spirals


def _cloud(ax: Axes, h: np.ndarray, y: np.ndarray) -> None:
    h = np.asarray(h, dtype=float)
    if h.shape[1] == 1:
        h = np.hstack([h, 0.05 * np.random.default_rng(0).normal(size=h.shape)])
    elif h.shape[1] > 2:
        centred = h - h.mean(0)
        h = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    for k, (colour, marker) in enumerate(_CLASSES):
        ax.scatter(*h[y == k].T, s=5, marker=marker, color=colour, linewidths=0, alpha=0.7)
    ax.set(xticks=[], yticks=[])
    ax.set_aspect("equal", adjustable="datalim")
    ax.grid(False)


def data(turns: float, noise: float, seed: int) -> Figure:
    """The points of both spirals."""
    x, y = two_spirals(600, turns, noise, seed)
    figure, ax = plt.subplots(figsize=(3.2, 3.2))
    _cloud(ax, x.numpy(), y.numpy())
    ax.set(aspect="equal", xlabel="first coordinate", ylabel="second coordinate")
    return figure


def spiral_codes(runs: Runs) -> Figure:
    """Codes of the methods of one seed, whitened while they train and as they are at the end."""
    row = runs.table.index[0]
    arrays, names = runs.arrays(row), runs.table.loc[row, "methods"]
    last = len(arrays["epochs"]) - 1
    shown = [(moment, True) for moment in sorted({last // 3, 2 * last // 3, last})] + [
        (last, False)
    ]
    figure, axes = plt.subplots(
        len(shown), len(names), figsize=(1.8 * len(names), 1.75 * len(shown)), squeeze=False
    )
    for line, (moment, white) in enumerate(shown):
        for column, name in enumerate(names):
            h = torch.from_numpy(arrays["codes"][moment, column].astype(float))
            _cloud(axes[line, column], whitened(h) if white else h, arrays["labels"])
            if line == 0:
                axes[line, column].set_title(look(name).label, fontsize=9)
        how = "whitened" if white else "as it is"
        axes[line, 0].set_ylabel(f"epoch {arrays['epochs'][moment]}\n{how}", fontsize=8.5)
    return figure


MEASURES = {
    "ratio": "second / first\nsingular value",
    "white": "the same,\nwhitened",
    "towards": "within / total\ntowards the other",
    "conflict": "excess of mixes,\nnats",
}


def spiral_measures(runs: Runs, alpha: float) -> Figure:
    """Measures of the code by method after the last epoch, a dot for each seed."""
    table = by_method(runs)
    table = table[table["alpha"] == alpha]
    names = list(dict.fromkeys(table["method"]))
    figure, axes = plt.subplots(1, len(MEASURES), figsize=(8.8, 0.36 * len(names) + 1.3))
    for ax, (key, title) in zip(axes, MEASURES.items(), strict=True):
        for place, name in enumerate(names):
            points(ax, -place, per_seed(table, key, {"method": name}), name, vertical=False)
        labels = [look(name).label for name in names] if ax is axes[0] else []
        ax.set_yticks([-place for place in range(len(names))], labels or [""] * len(names))
        ax.set_title(title, fontsize=9)
        ax.set_xlim(0, None)
    return figure


def spiral_curves(runs: Runs, alpha: float, keys: Sequence[str] = ("ratio", "white")) -> Figure:
    """Measures against the epoch, means over seeds with their interval."""
    table = runs.table
    rows = table.index[table["alpha"] == alpha]
    names = table.loc[rows[0], "methods"]
    shown = [name for name in ("none", "input", "manifold", "rescaled") if name in names]
    arrays = [runs.arrays(row) for row in rows]
    figure, axes = plt.subplots(1, len(keys), figsize=(4.0 * len(keys), 3.0), squeeze=False)
    for ax, key in zip(axes[0], keys, strict=True):
        for name in shown:
            column, at = list(names).index(name), WATCHED.index(key)
            lines = np.stack([one["watched"][:, column, at] for one in arrays])
            curve(ax, np.maximum(arrays[0]["epochs"], 0.7), lines, name, every=2)
        ax.set(xscale="log", xlabel="epoch", ylabel=MEASURES.get(key, key).replace("\n", " "))
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8
    )
    return figure
