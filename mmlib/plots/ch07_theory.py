"""Figures of chapter 07 that rest on derivations: laws, best discriminators, resting scales."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from mmlib.data.mixtures import GaussianMixture
from mmlib.evidence import Runs
from mmlib.measures.equilibrium import masses, resting_scale
from mmlib.measures.modes import mixed_log_density
from mmlib.measures.realness import edge_masses, mixture_cdf
from mmlib.mixing import Law
from mmlib.plots import interval, look, points
from mmlib.studies.ch07.experiments import LINE, line_members
from mmlib.studies.ch07.members import one_member
from mmlib.training.mixes import VARIANTS

MIXED = VARIANTS[1:]


def laws(edge: float = 0.05) -> Figure:
    """Distribution of the realness of the mixes of each formulation, and its mass at the ends."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.1), width_ratios=(1.25, 1))
    t = np.linspace(0, 1, 501)
    for row, name in enumerate(MIXED):
        mixes, (label, colour, _, line) = one_member(name), look(name)
        left.plot(t, mixture_cdf(mixes.pairs, mixes.law, t), line, color=colour, label=label)
        found, start = edge_masses(mixes, edge), 0.0
        shades = (("fake", 1.0), ("between", 0.25), ("real", 0.6))
        for part, strength in shades:
            right.barh(-row, found[part], left=start, color=colour, alpha=strength, height=0.6)
            if found[part] > 0.06:
                at = start + found[part] / 2
                right.text(at, -row, f"{found[part]:.2f}", ha="center", va="center", fontsize=7.5)
            start += found[part]
    left.set(xlabel="realness r", ylabel="P(realness ≤ r)", title="law of the realness")
    left.legend(fontsize=7)
    right.set_yticks([-row for row in range(len(MIXED))], MIXED)
    right.set(xlabel="mass", title=f"r < {edge:g}, between, r > {1 - edge:g}", xlim=(0, 1))
    return figure


def best_on_the_line() -> Figure:
    """The best discriminator where the fakes follow the law of the data, N(0, 1)."""
    figure, ax = plt.subplots(figsize=(6.2, 3.1))
    for name in VARIANTS:
        found = masses(one_member(name), 1.0)
        near = found.x <= 4
        x = np.concatenate([-found.x[near][::-1], found.x[near]])
        y = np.concatenate([found.best[near][::-1], found.best[near]])
        label, colour, _, line = look(name)
        ax.plot(x, y, line, color=colour, label=label)
    bell = np.exp(-(x**2) / 2)
    ax.fill_between(x, 0, 0.12 * bell, color="#cccccc", linewidth=0, label="density of the data")
    ax.set(xlabel="x", ylabel="D*(x), probability of real", ylim=(0, 0.6))
    ax.legend(fontsize=7, ncols=2)
    return figure


def best_in_the_plane(target: GaussianMixture, side: int = 121) -> Figure:
    """Density of data and of mixes of two points of it, and the best discriminator of two games."""
    reach = max(max(map(abs, centre)) for centre in target.centres) + 0.6
    ticks = torch.linspace(-reach, reach, side, dtype=torch.float64)
    x = torch.cartesian_prod(ticks, ticks)
    u = (torch.arange(24).double() + 0.5) / 24
    p = target.log_density(x).exp()
    folded, even = (
        mixed_log_density(x, target, law.quantile(u)).exp()
        for law in (Law("beta", 0.2, fold="min"), Law("uniform", 0.5))
    )
    maps = {
        "log density of the data": p.clamp(min=1e-6).log(),
        "log density of mixes": even.clamp(min=1e-6).log(),
        "D*, equation 2": p / (2 * p + folded),
        "D*, equation 7": (p + even / 3) / (2 * p + even),
    }
    empty = p + folded + even < 1e-5  # neither data nor mixes: the best discriminator is anything
    figure, axes = plt.subplots(1, 4, figsize=(9.6, 2.7), sharey=True)
    for ax, (title, values) in zip(axes, maps.items(), strict=True):
        best = title.startswith("D*")
        shown = np.where(empty & best, np.nan, values).reshape(side, side).T
        drawn = ax.imshow(
            shown,
            origin="lower",
            extent=(-reach, reach) * 2,
            cmap="viridis" if best else "magma",
            vmin=0 if best else -8,
            vmax=0.5 if best else 1,
        )
        ax.set_title(title, fontsize=8.5)
        ax.grid(False)
        figure.colorbar(drawn, ax=ax, shrink=0.75)
    return figure


def resting(runs: Runs) -> Figure:
    """Scale of the generator on the line: trained runs, and the predicted scale as a diamond."""
    figure, ax = plt.subplots(figsize=(7.2, 3.2))
    for place, name in enumerate(LINE):
        base = LINE[name][0]
        points(ax, place, runs.table[f"trained_{name}"], base, label="_nolegend_")
        predicted = runs.table[f"predicted_{name}"].iloc[0]
        label = "predicted" if place == 0 else "_nolegend_"
        ax.plot(place + 0.22, predicted, "d", color="black", markersize=6, label=label)
    ax.axhline(1, color="black", linewidth=0.8, linestyle=":")
    ax.set_xticks(range(len(LINE)), [name.replace("_", " ") for name in LINE], rotation=30)
    ax.set(ylabel="scale s of the generator")
    ax.legend(fontsize=8)
    return figure


def push_by_alpha(alphas: Sequence[float] = (0.1, 0.2, 0.5, 1.0)) -> pd.DataFrame:
    """Resting scales by formulation and alpha, for a table."""
    rows = {
        look(name).label: {
            f"α = {a:g}": resting_scale(one_member(name, a), points=201, laws=60) for a in alphas
        }
        for name in MIXED
    }
    return pd.DataFrame(rows).T


def scales(runs: Runs) -> pd.DataFrame:
    """Predicted and trained scale of each game on the line, mean and half-width of its interval."""
    rows = {}
    for name in line_members():
        mean, half = interval(runs.table[f"trained_{name}"])
        predicted = float(runs.table[f"predicted_{name}"].iloc[0])
        rows[name] = {"predicted": predicted, "trained": float(mean), "± (95 %)": float(half)}
    return pd.DataFrame(rows).T
