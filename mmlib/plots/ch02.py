"""Figures of chapter 02."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from mmlib.evidence import Runs
from mmlib.evidence.findings import per_seed
from mmlib.measures.factor_mixing import TESTS, TRAIN, Score, label_given_angle
from mmlib.plots import curve, image_grid, interval, look, points
from mmlib.studies.ch02 import BELOW, METHODS, TESTED, printed_table
from mmlib.studies.ch02.tasks import DRAWINGS, Factors, draw_factors, nearest_rule


def drawings(names: tuple[str, ...], angles: tuple[float, ...], *, size: int = 48) -> Figure:
    """Each drawing at a few angles, glyph zero."""
    angle = torch.tensor(angles, dtype=torch.float32)
    still = torch.zeros(len(angle))
    factors = Factors(angle, still, still, still.long())
    images = [DRAWINGS[name].images(factors, size=size)[:, 0].numpy() for name in names]
    rows = [name.replace("_", " ") for name in names]
    return image_grid(np.stack(images), rows=rows, columns=[f"{a:g}°" for a in angles])


def three_kinds(drawing: str, task: str, *, n: int = 7, size: int = 48, seed: int = 0) -> Figure:
    """Training images, input mixes and factor mixes of the same pairs (v1 Figures 2 and 7)."""
    generator = torch.Generator().manual_seed(seed)
    factors = draw_factors(task, n, generator)
    partner, lam = torch.arange(n).roll(1), torch.linspace(0.3, 0.7, n)
    x = DRAWINGS[drawing].images(factors, size=size)
    weight = lam.view(-1, 1, 1, 1)
    mixes = DRAWINGS[drawing].images(factors.mixed(lam, partner), size=size)
    images = torch.cat([x, weight * x + (1 - weight) * x[partner], mixes], 1).transpose(0, 1)
    return image_grid(images.numpy(), rows=("training", "input mixes", "factor mixes"))


def ideal_probability() -> Figure:
    """The ideal classifier's probability of label 1 against the angle, with the test ranges."""
    angle = np.linspace(-69, 79, 600)
    figure, ax = plt.subplots(figsize=(6.4, 2.9))
    ax.plot(angle, label_given_angle(angle), color="black")
    ax.axhline(0.5, color="#999999", linewidth=0.8)
    for edge, colour in zip(TRAIN, ("#0072b2", "#d55e00"), strict=True):
        ax.axvspan(*edge, color=colour, alpha=0.15, linewidth=0)
    for height, (task, ranges) in zip((0.06, 0.16), TESTS.items(), strict=True):
        for edge, colour in zip(ranges, ("#0072b2", "#d55e00"), strict=True):
            ax.plot(edge, (height, height), color=colour, linewidth=4, solid_capstyle="butt")
        ax.annotate(f"test {task}", (32, height), va="center", fontsize=8.5)
    ax.set(xlabel="angle, degrees", ylabel="probability of label 1", ylim=(0, 1))
    ax.set_title("shaded: training ranges; bars: test ranges; blue is label 0")
    return figure


def table_8(runs: Runs, ideal: dict[str, Score]) -> Figure:
    """Accuracy and NLL of each method and drawing, beside print and the ideal classifier."""
    figure, axes = plt.subplots(2, len(TESTED), figsize=(2.05 * len(TESTED) + 0.8, 5), sharey="row")
    printed = printed_table()
    for column, (task, settings) in enumerate(TESTED):
        for ax, metric, scale in zip(axes[:, column], ("accuracy", "nll"), (100, 1), strict=True):
            for position, method in enumerate(METHODS):
                values = per_seed(runs.table, f"{task}_{metric}", settings | {"method": method})
                points(ax, position, scale * values, method)
                star = float(printed[task, method, metric])
                ax.plot(position + 0.25, star, "*", color="black", markersize=9)
            if task in ideal:
                height = getattr(ideal[task], metric)
                ax.axhline(height, color="black", linewidth=0.9, linestyle=":")
            ax.set_xticks(range(len(METHODS)), METHODS)
        axes[0, column].set_title(f"{task}: {settings['drawing'].replace('_', ' ')}", fontsize=9)
    axes[0, 0].set_ylabel("test accuracy, %")
    axes[1, 0].set(ylabel="test NLL, nats (log scale)", yscale="log")
    return figure


def around(runs: Runs, drawings: tuple[str, ...]) -> Figure:
    """Probability of label 1 around the circle for plainly trained networks, by drawing."""
    angle = np.arange(-180.0, 180.0, 5.0)
    figure, axes = plt.subplots(
        1, len(drawings), figsize=(2.9 * len(drawings), 2.6), sharey=True, squeeze=False
    )
    for ax, drawing in zip(axes[0], drawings, strict=True):
        chosen = (
            (runs.table["drawing"] == drawing)
            & (runs.table["method"] == "none")
            & (runs.table["ranges"] == "printed")
        )
        lines = [runs.arrays(i)["p_around"].astype(float) for i in runs.table.index[chosen]]
        for edge, colour in zip(TRAIN, ("#0072b2", "#d55e00"), strict=True):
            ax.axvspan(*edge, color=colour, alpha=0.15, linewidth=0)
        for edge, colour in zip(TESTS["A"], ("#0072b2", "#d55e00"), strict=True):
            ax.plot(edge, (1.05, 1.05), color=colour, linewidth=4, solid_capstyle="butt")
        curve(ax, angle, np.stack(lines), "none", every=6)
        ax.set(title=drawing.replace("_", " "), xlabel="angle", xticks=(-180, -90, 0, 90, 180))
    axes[0, 0].set_ylabel("probability of label 1")
    return figure


def rule_against_network(runs: Runs, task: str = "A") -> Figure:
    """Accuracy of plainly trained networks against that of the nearest rendering, by drawing."""
    figure, ax = plt.subplots(figsize=(5.2, 3.6))
    for row in BELOW:
        _, drawing, method, *ranges = row
        turned = bool(ranges)
        if method != "none":
            continue
        chosen = {"drawing": drawing, "method": "none", "ranges": "turned" if turned else "printed"}
        if not _has(runs, chosen):
            continue
        values = 100 * per_seed(runs.table, f"{task}_accuracy", chosen)
        mean, half = interval(values)
        rule = nearest_rule(drawing, task, ranges=chosen["ranges"])
        style = {"marker": "^" if turned else "o", "color": look("factor" if turned else "none")[1]}
        ax.errorbar(rule, mean, half, capsize=3, linestyle="", **style)
        label = drawing.replace("_", " ") + (", turned ranges" if turned else "")
        ax.annotate(label, (rule, mean), textcoords="offset points", xytext=(6, -3), fontsize=7.5)
    ax.axhline(50, color="#999999", linewidth=0.8)
    ax.set(
        xlabel=f"accuracy of the nearest rendering on task {task}, %",
        ylabel="accuracy of the network, %",
        xlim=(-5, 125),
        ylim=(-5, 105),
    )
    return figure


def _has(runs: Runs, settings: dict) -> bool:
    table = runs.table
    return bool(np.logical_and.reduce([table[k] == v for k, v in settings.items()]).any())
