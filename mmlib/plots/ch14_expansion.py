"""Figures of chapter 14, section 4: laws of partners, expansion, remainder, local means."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.ticker import NullLocator
from scipy import stats

from mmlib.evidence import Runs
from mmlib.measures.coupling_law import CouplingLaw, coupling_law
from mmlib.measures.weight_laws import folded_moments, folded_nodes, partner_moments
from mmlib.plots import interval
from mmlib.studies.ch14 import expansion, shift
from mmlib.studies.ch14.couplings_law import small_set

_LINES = ("-", "--", "-.", ":")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "h")
_INK = "#222222"


def colour_of(k: int, largest: int) -> tuple:
    """Return the colour of k on one sequential map, dark for small k."""
    return plt.get_cmap("viridis")(0.85 * np.log2(k) / max(1.0, np.log2(largest)))


def _powers(ax: Axes, ks: Sequence[int]) -> None:
    """Put the ticks of a logarithmic axis at the values of k."""
    ax.set_xscale("log", base=2)
    ax.set_xticks(ks, [str(k) for k in ks])
    ax.xaxis.set_minor_locator(NullLocator())


def _label_ends(ax: Axes, x: float, ends: dict[str, float], colours: dict[str, object]) -> None:
    """Write names beside the right ends of curves, pushed apart where they would overlap."""
    gap, last = 9.5, -np.inf  # points
    for name, value in sorted(ends.items(), key=lambda item: item[1]):
        height = ax.transData.transform((x, value))[1] * 72 / ax.figure.dpi
        shown = max(height, last + gap)
        last = shown
        ax.annotate(name, (x, value), (7, shown - height - 3), textcoords="offset points",
                    fontsize=8, color=colours[name])  # fmt: skip


# ------------------------------------------------------------------------------ D_i


def partners(x: torch.Tensor, point: int, ks: Sequence[int]) -> Figure:
    """Law of the partners of one point for several k: the area of a dot is its probability."""
    rows = (len(ks) + 1) // 2
    figure, axes = plt.subplots(
        rows, 2, figsize=(6.4, 2.0 * rows), sharex=True, sharey=True, squeeze=False
    )
    for ax, k in zip(axes.flat, ks, strict=False):
        weights = coupling_law(x, k).weights[point]
        ax.scatter(*x.T, s=12, color="white", edgecolors="#888888", linewidths=0.8)
        ax.scatter(*x.T, s=700 * weights, color="#0072b2", alpha=0.75, linewidths=0)
        ax.plot(*x[point], "x", color="#d55e00", markersize=8, markeredgewidth=2)
        ax.set(xticks=[], yticks=[], aspect="equal")
        ax.margins(0.25)
        ax.set_title(f"k = {k}: itself {float(weights[point]):.2f}", fontsize=9)
    return figure


def reach(runs: Runs) -> Figure:
    """Mean squared distance to a partner against k: single points and their mean."""
    titles = {"normal": "random points", "between": "one point between two groups"}
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 3.1))
    table = runs.table
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        chosen = table[table["points"] == name]
        values = runs.arrays(chosen["point_rise"].idxmax())["reach"]  # the seed that shows it best
        ks = np.arange(1, len(values) + 1)
        rising = int(np.diff(values, axis=0).max(0).argmax())
        others = np.delete(values, rising, axis=1)
        ax.plot(ks, others, "-", color="#999999", lw=0.8)
        ax.plot(ks, values[:, rising], "--s", color="#d55e00", ms=4, label="rises most")
        ax.plot(ks, values.mean(1), "-o", color=_INK, lw=2.2, ms=4, label="mean of all")
        ax.set(xlabel="k", title=title, xticks=ks)
        ax.legend(fontsize=8)
    axes[0].set_ylabel("mean squared distance to a partner")
    return figure


# ------------------------------------------------------------------------------ Theorem 3


def tilted(alphas: Sequence[float]) -> Figure:
    """Density of the tilted law, and moments of the partner's weight against alpha."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.0))
    lam = np.linspace(0.002, 0.998, 400)
    colours = ("#0072b2", "#d55e00", "#4d4d4d", "#009e73")
    for alpha, line, colour in zip(alphas, _LINES, colours, strict=False):
        left.plot(lam, stats.beta(alpha + 1, alpha).pdf(lam), line, color=colour,
                  label=f"α = {alpha:g}")  # fmt: skip
    left.set(xlabel="λ", ylabel="density of Beta(α + 1, α)", ylim=(0, 4))
    left.legend(fontsize=8, loc="upper left")
    grid = np.geomspace(1e-3, 100, 60)
    moments = np.array([partner_moments(float(alpha)) for alpha in grid])
    for values, line, colour, name, at, shift_by in (
        (moments[:, 0], "-", "#0072b2", "E a", 35, (-22, 2)),
        (moments[:, 1], "--", "#d55e00", "E a²", 44, (2, -12)),
        (moments[:, 2] / moments[:, 1], "-.", "#4d4d4d", "E a³ / E a²", 0, (2, 5)),
    ):
        right.plot(grid, values, line, color=colour)
        right.annotate(name, (grid[at], values[at]), shift_by, textcoords="offset points",
                       fontsize=8.5, color=colour)  # fmt: skip
    right.set(xscale="log", xlabel="α", ylim=(-0.02, 0.78))
    right.set_title("a = 1 − λ")
    return figure


def _curves(runs: Runs, name: str, outputs: int, alpha: float) -> dict[int, np.ndarray]:
    """Return for each k the (S, X, 6) terms and remainders of all seeds."""
    table = runs.table
    chosen = table[(table["outputs"] == outputs) & (table["alpha"] == alpha)]
    return {
        int(k): np.stack([runs.arrays(index)[name] for index in group.index])
        for k, group in chosen.groupby("k")
    }


def remainder(runs: Runs) -> Figure:
    """Remainder over the second-order terms against alpha, and both against the scale."""
    table = runs.table
    outputs, alpha = int(table["outputs"].max()), float(table["alpha"].median())
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.8, 3.4))
    by_alpha = _curves(runs, "by_alpha", outputs, alpha)
    largest, ends, colours = max(by_alpha), {}, {}
    for (k, values), mark in zip(by_alpha.items(), _MARKS, strict=False):
        size = np.abs(values[..., 1:3]).sum(-1)
        share = np.divide(np.abs(values[..., 3]), size, out=np.zeros_like(size), where=size > 0)
        mean, colour = share.mean(0), colour_of(k, largest)
        left.plot(expansion.ALPHAS, mean, color=colour, marker=mark, ms=4)
        ends[f"k = {k}"], colours[f"k = {k}"] = float(mean[-1]), colour
    left.set(xscale="log", xlabel="α", ylabel="remainder / (|R₂| + |R₃|)", ylim=(0, None))
    left.set_xlim(expansion.ALPHAS[0], expansion.ALPHAS[-1] * 12)
    left.set_xticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
    values = next(iter(_curves(runs, "by_scale", outputs, alpha).values()))
    scales = np.array(expansion.SCALES)
    for rows, colour, line, mark, name, power, above in (
        (values[..., 4], "#0072b2", "--", "s", "second order", 2, 7),
        (values[..., 5], "#d55e00", "-", "o", "remainder", 3, -16),
    ):
        mean = rows.mean(0)
        right.plot(scales, mean, line, color=colour, marker=mark, ms=4)
        right.annotate(name, (scales[3], mean[3]), (-50 if above > 0 else 8, above), fontsize=8,
                       textcoords="offset points", color=colour)  # fmt: skip
        guide = 0.4 * mean[-1] * (scales / scales[-1]) ** power
        right.plot(scales[3:], guide[3:], ":", color="#777777", lw=1)
        right.annotate(f"slope {power}", (scales[-2], guide[-2]), (3, -9), fontsize=8,
                       textcoords="offset points")  # fmt: skip
    right.set(xscale="log", yscale="log", xlabel="scale of the points")
    right.set_xticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
    _label_ends(left, expansion.ALPHAS[-1], ends, colours)
    return figure


def directions(runs: Runs) -> Figure:
    """Mean squared distance to a partner, and its share across the curve, against k."""
    looks = {
        "circle": ("#0072b2", "o", "-"),
        "spiral": ("#d55e00", "s", "--"),
        "bars": ("#4d4d4d", "^", "-."),
    }
    figure, axes = plt.subplots(1, 2, figsize=(7.8, 3.1))
    ends: dict[str, dict[str, float]] = {"reach": {}, "across": {}}
    for name, group in runs.table.groupby("curve", sort=False):
        ks = list(group["ks"].iloc[0])
        colour, mark, line = looks[name]
        for ax, metric in zip(axes, ends, strict=True):
            mean, half = interval(group[[f"{metric}_{k}" for k in ks]].to_numpy())
            ax.errorbar(ks, mean, half, color=colour, marker=mark, ls=line, ms=4, capsize=2)
            ends[metric][name] = float(mean[-1])
            ax.set_xlabel("k")
            _powers(ax, ks)
            ax.set_xlim(0.8, ks[-1] * 3.2)
    axes[0].set(yscale="log", ylabel="mean squared distance")
    axes[1].set(ylim=(0, 1), ylabel="share across the curve")
    for ax, found in zip(axes, ends.values(), strict=True):
        _label_ends(ax, ks[-1], found, {name: look[0] for name, look in looks.items()})
    return figure


_TERMS = (
    ("r1", "R₁", "#56b4e9", "//"),
    ("r2", "R₂", "#0072b2", ""),
    ("r3", "R₃", "#e69f00", "\\\\"),
    ("rest", "remainder", "#bbbbbb", "xx"),
)


def trained_name(k: float | None) -> str:
    """Return how a network of the study on digits was trained.

    Example:
        >>> trained_name(float("nan")), trained_name(16.0)
        ('trained plainly', 'trained with k = 16')
    """
    return "trained plainly" if k is None or k != k else f"trained with k = {int(k)}"


def shares(runs: Runs) -> pd.DataFrame:
    """Return the share of each term in the effect of k-mixup: by training, k and term."""
    rows = []
    for row in runs.table.to_dict("records"):
        for k in row["ks"]:
            end = f"{k}_{row['alpha']:g}"
            parts = {name: row[f"{key}_{end}"] for key, name, *_ in _TERMS}
            whole = row[f"effect_{end}"]
            found = {name: part / whole if whole else 0.0 for name, part in parts.items()}
            known = {"training": trained_name(row["trained_k"]), "k": k, "seed": row["seed"]}
            rows.append(known | found | {"effect": whole})
    table = pd.DataFrame(rows)
    order = list(dict.fromkeys(table["training"]))
    return table.groupby(["training", "k"]).mean().drop(columns="seed").reindex(order, level=0)


def digits(runs: Runs) -> Figure:
    """What the loss of mixes of images consists of, bars that add up to one."""
    table = shares(runs)
    groups = list(dict.fromkeys(table.index.get_level_values(0)))
    figure, axes = plt.subplots(
        1, len(groups), figsize=(2.7 * len(groups) + 0.6, 3.2), sharey=True, squeeze=False
    )
    for ax, name in zip(axes[0], groups, strict=True):
        part = table.loc[name]
        bottom = np.zeros(len(part))
        for _, term, colour, hatch in _TERMS:
            ax.bar([str(k) for k in part.index], part[term], bottom=bottom, color=colour,
                   hatch=hatch, edgecolor="white", label=term, width=0.7)  # fmt: skip
            bottom += part[term].to_numpy()
        ax.set(xlabel="k of the loss", title=name)
        ax.set_title(name, fontsize=9)
        ax.grid(False)
    axes[0, 0].set_ylabel("share of the effect")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncol=4,
                  fontsize=8)  # fmt: skip
    return figure


# ------------------------------------------------------------------------------ Theorem 4, Lemma 2


def _ellipse(ax: Axes, centre: np.ndarray, matrix: np.ndarray, **style: object) -> None:
    """Draw the ellipse of one standard deviation of a covariance."""
    size, axes = np.linalg.eigh(matrix)
    angle = np.degrees(np.arctan2(axes[1, 1], axes[0, 1]))
    width, height = 2 * np.sqrt(np.maximum(size[::-1], 0))
    ax.add_patch(Ellipse(centre, width, height, angle=angle, fill=False, **style))


def farthest(law: CouplingLaw, x: torch.Tensor) -> tuple[int, int]:
    """Return subset and place of the point whose x-bar is farthest from the mean of its D_i."""
    away = (law.means(x) - (law.weights @ x)[law.subsets]).norm(dim=-1)
    return divmod(int(away.argmax()), away.shape[1])


def covariances(k: int, alpha: float, seed: int) -> Figure:
    """Left: x-bar of every subset around the mean of D_i. Right: Lemma 2 and its readings."""
    x = small_set("normal", 8, seed)
    law, moments = coupling_law(x, k), folded_moments(alpha)
    theta, weight = expansion.nodes_of(folded_nodes(alpha))
    moved = shift.Shift.of(law, x, moments.mean)
    deltas = moved.perturbations(x, theta, moments.mean)
    exact = shift.enumerated_covariance(law, (deltas, deltas), weight)
    subset, place = farthest(law, x)
    point = int(law.subsets[subset, place])
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6))
    means = law.means(x)[law.subsets == point]
    left.scatter(*x.T, s=20, color="white", edgecolors="#555555")
    left.plot(*x[point], "x", color="#d55e00", ms=9, mew=2, label="the point")
    left.plot(*means.T, ".", color="#0072b2", ms=5, alpha=0.7, label="x̄ for each subset")
    left.plot(*(law.weights @ x)[point], "D", color=_INK, ms=6, label="mean of its law")
    left.set(aspect="equal", xticks=[], yticks=[])
    left.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncol=2)
    outer = (moved.moved - moved.mean).unsqueeze(-1) * (moved.moved - moved.mean).unsqueeze(-2)
    local = {"matched": moments.mean**2 * law.covariances(x, x)}
    local |= shift.readings(x, law, moved, moved)
    styles = {
        "matched": ("matched points", "#d55e00", "--", 2.4),
        "all": ("all reverted points", "#0072b2", "-.", 1.4),
        "subsets": ("one point, its subsets", "#009e73", ":", 1.8),
        "points": ("one subset, its points", "#4d4d4d", (0, (8, 2)), 1.2),
        "partners": ("reverted partners", "#882255", (0, (3, 1, 1, 1)), 1.4),
    }
    _ellipse(right, (0, 0), exact[subset, place].numpy(), color="#bbbbbb", lw=6)
    right.plot([], [], color="#bbbbbb", lw=6, label="enumerated")
    for name, (label, colour, line, width) in styles.items():
        formula = (moments.variance * outer + moments.partner * local[name]) / moments.mean**2
        matrix = formula[subset, place].numpy()
        _ellipse(right, (0, 0), matrix, color=colour, ls=line, lw=width)
        right.plot([], [], color=colour, ls=line, lw=width, label=label)
    right.set(aspect="equal")
    right.autoscale_view()
    right.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    right.set_title("covariance of the perturbation", fontsize=9)
    return figure
