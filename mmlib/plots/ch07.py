"""Figures of chapter 07: games in the plane."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmlib.data.mixtures import GaussianMixture
from mmlib.evidence import Runs
from mmlib.evidence.findings import per_seed
from mmlib.measures.modes import true_good_share
from mmlib.plots import curve, interval, look, points
from mmlib.studies.ch07.beside import outward_shifts
from mmlib.studies.ch07.evidence import by_member
from mmlib.studies.ch07.experiments import SCORES
from mmlib.studies.ch07.members import ALPHAS, LAYER_SETS, target_of
from mmlib.studies.ch07.watched import Watched
from mmlib.training.mixes import VARIANTS

MIXED = VARIANTS[1:]
LABELS = {"quality": "good points, %", "distance": "distance", "modes": "modes covered"}
_PLACES = {"pixel": "#0072b2", "h1": "#e69f00", "h12": "#009e73", "all": "#d55e00"}
_MARKERS = dict(zip(_PLACES, "sv^D", strict=True))
_PLACE_NAMES = {"pixel": "input", "h1": "h1", "h12": "h1 or h2", "all": "input, h1 or h2"}


# ------------------------------------------------------------------------------ one game


def _cloud(ax: Axes, x: np.ndarray, target: GaussianMixture, colour: str) -> None:
    centres = np.array(target.centres)
    reach = np.abs(centres).max() + 0.8
    ax.scatter(*centres.T, s=60, facecolors="none", edgecolors="#999999", linewidths=0.7)
    ax.scatter(*np.asarray(x, dtype=float).T, s=2, color=colour, alpha=0.5, linewidths=0)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal")


def while_training(seen: Watched) -> Figure:
    """Points of the same latent vectors while the players train; rows are members."""
    rows, columns = len(seen.names), len(seen.moments)
    figure, axes = plt.subplots(
        rows, columns, figsize=(1.75 * columns, 1.85 * rows + 0.2), squeeze=False
    )
    for row, name in enumerate(seen.names):
        for column, moment in enumerate(seen.moments):
            ax = axes[row, column]
            _cloud(ax, seen.points[column][row], seen.target, look(name).colour)
            if row == 0:
                ax.set_title(f"update {moment}", fontsize=8.5)
        axes[row, 0].set_ylabel(name)
    return figure


def surfaces(seen: Watched) -> Figure:
    """What the discriminators say at the end, with the points of their generators."""
    figure, axes = plt.subplots(
        1, len(seen.names), figsize=(3.9 * len(seen.names), 3.3), squeeze=False
    )
    reach = float(seen.ticks[-1])
    finite = seen.surfaces[np.isfinite(seen.surfaces)]
    top = float(np.abs(finite).max()) if finite.size else 1.0
    for ax, name, values, x in zip(
        axes[0], seen.names, seen.surfaces, seen.points[-1], strict=True
    ):
        shown = ax.imshow(
            values.T,
            origin="lower",
            extent=(-reach, reach) * 2,
            cmap="RdBu",
            vmin=-top,
            vmax=top,
        )
        ax.contour(seen.ticks, seen.ticks, values.T, levels=[0.0], colors="black", linewidths=0.8)
        ax.scatter(*np.asarray(x, dtype=float).T, s=1.5, color="#222222", alpha=0.5)
        ax.set_title(look(name).label)
        ax.grid(False)
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
        figure.colorbar(shown, ax=ax, shrink=0.85, label="discriminator output")
    return figure


def losses(seen: Watched, window: int = 50) -> Figure:
    """Loss of each player against the update, running means."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.8))
    width = max(1, min(window, len(seen.updates) // 4))
    for player, (ax, title) in enumerate(zip(axes, ("discriminator", "generator"), strict=True)):
        for member, name in enumerate(seen.names):
            label, colour, _, line = look(name)
            smooth = np.convolve(seen.losses[:, player, member], np.ones(width) / width, "valid")
            ax.plot(seen.updates[width - 1 :], smooth, line, color=colour, label=label)
        ax.set(xlabel="update", ylabel="loss", title=title)
    axes[0].legend(fontsize=7.5)
    return figure


# ------------------------------------------------------------------------------ all games


def clouds(runs: Runs, target: str, objective: str) -> Figure:
    """Points of the six generators of one run, the first seed."""
    table = runs.table
    chosen = table[
        (table["target"] == target) & (table["objective"] == objective) & (table["group"] == "main")
    ]
    arrays = runs.arrays(chosen.index[0])
    figure, axes = plt.subplots(1, len(VARIANTS), figsize=(1.75 * len(VARIANTS), 2.1))
    for ax, name, x in zip(axes, VARIANTS, arrays["points"], strict=True):
        _cloud(ax, x, target_of(target), look(name).colour)
        ax.set_title(name, fontsize=9)
    return figure


def scores(runs: Runs, cells: Mapping[str, tuple[str, str]]) -> Figure:
    """Quality and distance of all formulations, a column for each (target, objective).

    Args:
        runs: those of the plane.
        cells: title -> target and objective.
    """
    table = by_member(runs)
    figure, axes = plt.subplots(
        2, len(cells), figsize=(2.35 * len(cells) + 0.5, 4.6), sharex=True, squeeze=False
    )
    for column, (title, (target, objective)) in enumerate(cells.items()):
        where = {"target": target, "objective": objective}
        for row, score in enumerate(("quality", "distance")):
            ax = axes[row, column]
            for place, name in enumerate(VARIANTS):
                values = per_seed(table, score, where | {"member": name})
                points(ax, place, values, name, label="_nolegend_")
            ax.set_xticks(range(len(VARIANTS)), VARIANTS, rotation=60, fontsize=8)
        axes[0, column].set_title(title, fontsize=9)
        axes[0, column].axhline(100 * true_good_share(target_of(target)), **_REFERENCE)
        floor = runs.table[runs.table["target"] == target]["floor"].mean()
        axes[1, column].axhline(floor, **_REFERENCE)
        axes[1, column].set_ylim(0, None)
    for row, score in enumerate(("quality", "distance")):
        axes[row, 0].set_ylabel(LABELS[score])
    return figure


_REFERENCE = {"color": "black", "linewidth": 0.8, "linestyle": ":"}


def score_curves(
    runs: Runs, cells: Mapping[str, tuple[str, str]], score: str = "quality"
) -> Figure:
    """A score of all formulations against the update, a panel for each (target, objective).

    Left out is update 0, where all points lie at the origin, which is a mode of the grid.

    Args:
        runs: those of the plane.
        cells: title -> target and objective.
        score: ``"quality"``, ``"modes"`` or ``"distance"``.
    """
    table, row = runs.table, SCORES.index(score)
    figure, axes = plt.subplots(1, len(cells), figsize=(2.5 * len(cells) + 0.5, 2.9))
    for ax, (title, (target, objective)) in zip(np.atleast_1d(axes), cells.items(), strict=True):
        chosen = (table["target"] == target) & (table["objective"] == objective)
        chosen &= table["group"] == "main"
        seen = [runs.arrays(index) for index in table.index[chosen]]
        for column, name in enumerate(VARIANTS):
            lines = np.stack([one["scores"][1:, row, column] for one in seen])
            curve(ax, seen[0]["updates"][1:], lines, name, label=name)
        ax.set(xlabel="update", title=title)
    np.atleast_1d(axes)[0].set_ylabel(LABELS[score])
    np.atleast_1d(axes)[0].legend(fontsize=7)
    return figure


def outward(runs: Runs) -> Figure:
    """How far generated modes lie outward of the true ones on the ring, by objective."""
    table = outward_shifts(runs)
    objectives = list(dict.fromkeys(table["objective"]))
    figure, axes = plt.subplots(
        1, len(objectives), figsize=(2.6 * len(objectives) + 0.6, 2.7), sharey=True, squeeze=False
    )
    for ax, objective in zip(axes[0], objectives, strict=True):
        for place, name in enumerate(VARIANTS):
            values = per_seed(table, "shift", {"objective": objective, "member": name})
            points(ax, place, values, name, label="_nolegend_")
        ax.axhline(0, **_REFERENCE)
        ax.set_xticks(range(len(VARIANTS)), VARIANTS, rotation=60, fontsize=8)
        ax.set_title(objective)
    axes[0, 0].set_ylabel("outward of the mode, σ")
    return figure


def places(runs: Runs) -> Figure:
    """Equation 2 by the place of the mix, with fake labels and soft ones; and no mixes."""
    table, where = by_member(runs), {"target": "ring", "objective": "js"}
    rows = (("none", "none"), ("fr", "input"), ("fr_h1", "h1"), ("fr_h2", "h2"))
    rows = (*rows, ("fr_all", "input, h1\nor h2"))
    figure, axes = plt.subplots(1, 2, figsize=(8.2, 3.1))
    for ax, score in zip(axes, ("quality", "distance"), strict=True):
        for place, (name, _) in enumerate(rows):
            style = "none" if name == "none" else "fr"
            label = "fake labels" if place == 1 else "_nolegend_"
            values = per_seed(table, score, where | {"member": name})
            points(ax, place - 0.1, values, style, label=label)
            soft = name.replace("fr_", "soft_")
            if soft != name:
                values = per_seed(table, score, where | {"member": soft})
                label = "soft labels" if place == 2 else "_nolegend_"
                points(ax, place + 0.15, values, "final", label=label)
        ax.set_xticks(range(len(rows)), [title for _, title in rows], fontsize=8)
        ax.set_ylabel(LABELS[score])
    axes[0].legend(fontsize=8)
    return figure


def figure_8(runs: Runs) -> Figure:
    """Quality and distance of equation 7 against alpha, by layer set; dotted: no mixes."""
    table, where = by_member(runs), {"target": "ring", "objective": "js"}
    figure, axes = plt.subplots(1, 2, figsize=(8.2, 3.3))
    for ax, score in zip(axes, ("quality", "distance"), strict=True):
        for shift, at in zip((-0.03, -0.01, 0.01, 0.03), LAYER_SETS, strict=True):
            values = np.stack(
                [per_seed(table, score, where | {"member": f"final_{at}_{a:g}"}) for a in ALPHAS]
            )
            mean, half = interval(values.T)
            x = np.array(ALPHAS) * 10**shift
            ax.errorbar(
                x,
                mean,
                half,
                color=_PLACES[at],
                marker=_MARKERS[at],
                capsize=2,
                label=_PLACE_NAMES[at],
            )
        plain, _ = interval(per_seed(table, score, where | {"member": "none"}))
        ax.axhline(plain, **_REFERENCE)
        ax.set(xscale="log", xlabel="α", ylabel=LABELS[score])
        ax.set_xticks(ALPHAS, [f"{a:g}" for a in ALPHAS])
        ax.minorticks_off()
    axes[0].legend(fontsize=8)
    return figure


def decoded(runs: Runs) -> Figure:
    """Share of plausible mixes by depth, beside that of a move in a random direction."""
    sites = [key.removeprefix("good_") for key in runs.table if key.startswith("good_")]
    sites = [site for site in sites if site not in ("real", "fake")]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.9))
    for place, site in enumerate(sites):
        first = place == 0
        names = ("mix of real and fake" if first else "_nolegend_",)
        names += ("random direction" if first else "_nolegend_",)
        points(left, place - 0.1, runs.table[f"good_{site}"], "final", label=names[0])
        points(left, place + 0.12, runs.table[f"random_{site}"], "none", label=names[1])
        points(right, place, runs.table[f"off_{site}"], "final", label="_nolegend_")
    left.axhline(runs.table["good_fake"].mean(), **_REFERENCE)
    left.set(ylabel="good points, %", title="where the mix lies")
    right.set(ylabel="distance over that of the pair", title="distance to the nearest real state")
    for ax in (left, right):
        ax.set_xticks(range(len(sites)), sites)
        ax.set_ylim(0, None)
    left.legend(fontsize=8)
    return figure


def discriminator_steps(runs: Runs) -> Figure:
    """Quality and distance of the plain game by the number of discriminator steps."""
    length = runs.table["updates"].min()
    cells = [(n, length, f"{n:g}") for n in sorted(runs.table["n_dis"].unique())]
    cells.append((1, 3 * length, "1, three times\nas long"))
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.8))
    for ax, score in zip(axes, ("quality", "distance"), strict=True):
        for place, (n, updates, _) in enumerate(cells):
            values = per_seed(runs.table, score, {"n_dis": n, "updates": updates})
            points(ax, place, values, "none", label="_nolegend_")
        ax.set_xticks(range(len(cells)), [name for *_, name in cells], fontsize=8)
        ax.set(xlabel="discriminator updates", ylabel=LABELS[score])
    return figure
