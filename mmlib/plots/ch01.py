"""Figures of chapter 01."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from scipy import stats
from torch import Tensor, nn

from mmlib.data import title_of
from mmlib.evidence import Runs
from mmlib.mixing import capture
from mmlib.plots import curve, image_grid, look, points

# One colour and line per law or scheme that is not a method of its own.
_SHADES = ("#999999", "#0072b2", "#d55e00", "#009e73")


def what_a_mix_is(model: nn.Module, pair: Tensor, layer: str, lams: list[float]) -> Figure:
    """Mix two examples in pixels and at a layer: images, states of the mix, mixes of the states.

    Args:
        model: any model with that layer, in eval mode.
        pair: (2, C, H, W) the two inputs as the model takes them.
        layer: its output is (B, C', H', W').
        lams: weights of the first of the two.
    """

    def shown(maps: Tensor) -> np.ndarray:
        return maps.mean(1).numpy()

    weights = torch.tensor(lams).view(-1, 1, 1, 1)
    with torch.no_grad():
        pixels = weights * pair[:1] + (1 - weights) * pair[1:]
        states = capture(model, pair, layer)
        mixed_states = weights * states[:1] + (1 - weights) * states[1:]
        rows = [shown(pixels), shown(capture(model, pixels, layer)), shown(mixed_states)]
    rows.append(np.abs(rows[1] - rows[2]))
    side = rows[0].shape[-1]
    scale = max(row.max() for row in rows[1:])
    grids = [(rows[0] - rows[0].min()) / np.ptp(rows[0])]
    for row in rows[1:]:
        size = side // row.shape[-1]
        grids.append(np.kron(row / scale, np.ones((1, size, size)))[:, :side, :side])
    names = (
        "mix of the pixels",
        f"{layer} of that mix",
        f"mix at {layer}",
        "their difference",
    )
    return image_grid(np.stack(grids), rows=names, columns=[f"{lam:g}" for lam in lams])


def law_of_lambda(alphas: tuple[float, ...], *, distance: float = 0.05) -> Figure:
    """Densities of Beta(alpha, alpha), and the share near the ends against the distance."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 2.9))
    x, d = np.linspace(0.001, 0.999, 500), np.linspace(0, 0.25, 200)
    for alpha, colour in zip(alphas, _SHADES, strict=False):
        law = stats.beta(alpha, alpha)
        left.plot(x, law.pdf(x), color=colour, label=f"α = {alpha:g}")
        right.plot(d, 200 * law.cdf(d), color=colour)
    left.set(xlabel="λ", ylabel="density", ylim=(0, 3), title="the law of λ")
    left.legend()
    right.axvline(distance, color="black", linewidth=0.8, linestyle=":")
    right.plot(distance, 5, marker="*", color="black", markersize=10, linestyle="")
    right.annotate("the text", (distance, 5), textcoords="offset points", xytext=(7, 6))
    right.set(
        xlabel="distance from 0 or 1",
        ylabel="share of the draws, %",
        title="how often λ is extreme",
    )
    return figure


def shuffle_gap(runs: Runs) -> Figure:
    """Distance of the expected losses with one shuffled and with two batches, against B."""
    table = runs.table
    batches = sorted(int(c.removeprefix("gap_")) for c in table if c.startswith("gap_"))
    n = int(table["n"].iloc[0])
    scale = table["self_minus_pair"].abs().to_numpy()[:, None]
    gaps = np.abs(table[[f"gap_{b}" for b in batches]].to_numpy()) / scale
    rates = table[[f"self_rate_{b}" for b in batches]].to_numpy()
    figure, ax = plt.subplots(figsize=(4.8, 3.1))
    grid = np.geomspace(batches[0], batches[-1], 100)
    ax.plot(grid, 1 / grid, ":", color="#999999", label="1 / B")
    ax.plot(grid, 1 / grid - 1 / n, "-", color="black", linewidth=1, label="1 / B - 1 / N")
    for label, values, colour, marker in (
        ("share of self-pairs", rates, "#0072b2", "s"),
        ("gap of the losses, / |S - D|", gaps, "#d55e00", "D"),
    ):
        ax.plot(batches, values.mean(0), marker, color=colour, label=label)
    ax.set(xscale="log", yscale="log", xlabel="batch size B", ylabel="share", xticks=batches)
    ax.set_xticks(batches, [str(b) for b in batches])
    ax.minorticks_off()
    ax.legend(fontsize=8)
    return figure


SCHEME_NAMES = {
    "example_lam": "λ per example",
    "example": "λ and layer per example",
    "batch_paired": "paired two by two, λ per batch",
    "pair_lam": "paired two by two, λ per pair",
}


def variance_ratios(runs: Runs) -> Figure:
    """Variance of the gradient under each scheme over that with one draw per batch."""
    stages = sorted(runs.table["epochs"].unique())
    figure, axes = plt.subplots(
        1, len(stages), figsize=(2.6 * len(stages) + 1.4, 2.4), sharey=True, squeeze=False
    )
    for ax, stage in zip(axes[0], stages, strict=True):
        rows = runs.table[runs.table["epochs"] == stage]
        for position, scheme in enumerate(SCHEME_NAMES):
            ratio = np.exp(rows[f"log_ratio_{scheme}"])
            points(ax, -position, ratio, "manifold", vertical=False)
        ax.axvline(1, color="black", linewidth=0.8)
        ax.set(title=f"after {stage} epochs", xlabel="variance, times that per batch")
    axes[0, 0].set_yticks([-p for p in range(len(SCHEME_NAMES))], list(SCHEME_NAMES.values()))
    return figure


def interpolation(runs: Runs, lams: tuple[float, ...], quantity: str, label: str) -> Figure:
    """Curves along lambda: a row per data set, a column per layer, a line per method."""
    sets = list(dict.fromkeys(runs.table["data"]))
    layers = {d: list(runs.table.loc[runs.table["data"] == d, "layers"].iloc[0]) for d in sets}
    columns = max(map(len, layers.values()))
    figure, axes = plt.subplots(
        len(sets), columns, figsize=(2.7 * columns, 2.5 * len(sets)), squeeze=False, sharey="row"
    )
    for row, data in enumerate(sets):
        for column, layer in enumerate(layers[data]):
            ax = axes[row, column]
            for method in ("none", "input", "manifold"):
                chosen = (runs.table["data"] == data) & (runs.table["method"] == method)
                lines = [runs.arrays(i)[f"{quantity}_{layer}"] for i in runs.table.index[chosen]]
                curve(ax, lams, np.stack(lines), method)
            ax.set_title(f"{title_of(data)}: {'input' if layer == 'input' else 'after ' + layer}")
        axes[row, 0].set_ylabel(label)
    for ax in axes[-1]:
        ax.set_xlabel("λ")
    axes[0, 0].legend(fontsize=8)
    return figure


def off_the_data(runs: Runs) -> Figure:
    """Mean confidence and accuracy on test images, and on turned, attacked and foreign ones."""
    kinds = {"test": "test", "shifted": "turned", "attacked": "attacked", "foreign": "foreign"}
    sets = list(dict.fromkeys(runs.table["data"]))
    figure, axes = plt.subplots(1, len(sets), figsize=(4.2 * len(sets), 3), sharey=True)
    for ax, data in zip(np.atleast_1d(axes), sets, strict=True):
        for shift, method in zip((-0.22, 0.0, 0.22), ("none", "input", "manifold"), strict=True):
            chosen = (runs.table["data"] == data) & (runs.table["method"] == method)
            rows = runs.table[chosen]
            for position, kind in enumerate(kinds):
                name = "test_confidence" if kind == "test" else f"confidence_{kind}"
                label = look(method).label if position == 0 else "_nolegend_"
                points(ax, position + shift, rows[name], method, label=label)
                if kind != "foreign":
                    name = "test_accuracy" if kind == "test" else f"accuracy_{kind}"
                    mean = rows[name].mean()
                    ax.hlines(mean, position + shift - 0.09, position + shift + 0.09, color="black")
        ax.set_xticks(range(len(kinds)), list(kinds.values()))
        ax.set(title=title_of(data), ylim=(0, 1.02))
    axis = np.atleast_1d(axes)[0]
    axis.set_ylabel("mean confidence (bar: accuracy)")
    axis.legend(fontsize=8, loc="lower left")
    return figure
