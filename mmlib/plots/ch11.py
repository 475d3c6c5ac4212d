"""Figures of chapter 11: spectra of trained codes, what is made of them, and where it sits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmlib.evidence import Runs, per_seed
from mmlib.plots import curve, interval, look, points
from mmlib.studies.ch11.candidates import CANDIDATES
from mmlib.studies.ch11.evidence import of, value
from mmlib.studies.ch11.grids import SETUPS, TITLES
from mmlib.studies.ch11.networks import KINDS, SPLITS

# How a route is drawn: the look of the method that it is nearest to.
_ROUTES = {
    "plain": ("none", "no mixes"),
    "before": ("blocked", "before"),
    "behind": ("input", "behind"),
    "both": ("manifold", "both"),
}
_LOG_TICKS = [m * 10.0**k for k in range(-3, 3) for m in (1, 2, 5)]
_SHORT = {
    "top": "first s.v.",
    "tail": "other s.v.",
    "raw_top": "first, not centred",
    "ratio": "others over first",
    "rank": "effective rank",
    "participation": "participation ratio",
    "dims95": "directions for 95 %",
    "within": "within over total",
    "white": "within, whitened",
    "discriminating": "within, telling directions",
    "white_rank": "effective rank, whitened",
    "between": "share between means",
    "outward": "share outward",
    "size": "spread of all",
}


def _rows(runs: Runs, setup: str) -> tuple[list[dict], list[str]]:
    """Return the arrays of a set-up's runs and the names of its methods."""
    table = runs.table[runs.table["setup"] == setup]
    return [runs.arrays(index) for index in table.index], list(table["methods"].iloc[0])


def _plain_ticks(ax: Axes) -> None:
    """Write the ticks of a logarithmic axis as plain numbers, few enough to be read."""
    low, high = ax.get_ylim()
    ticks = [t for t in _LOG_TICKS if low <= t <= high]
    powers = [t for t in ticks if f"{t:e}".startswith("1.")]
    ticks = powers if len(powers) > 2 else ticks
    ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()


def _drawn(names: Sequence[str], wanted: Sequence[str]) -> list[tuple[int, str]]:
    return [(row, name) for row, name in enumerate(names) if name in wanted]


def _spectrum(ax: Axes, samples: np.ndarray, method: str, **more: Any) -> None:
    """Draw mean and interval of (S, H) spectra against the place of the value."""
    label, colour, marker, line = look(method)
    mean, half = interval(samples)
    x = np.arange(1, samples.shape[1] + 1)
    every = max(1, len(x) // 8)
    ax.plot(x, mean, line, color=colour, marker=marker, markevery=every, label=label, **more)
    ax.fill_between(x, np.maximum(mean - half, 1e-6), mean + half, color=colour, alpha=0.18, lw=0)


def spectra(runs: Runs, methods: Sequence[str], kind: str = "class") -> Figure:
    """Singular values by set-up: as they are (above) and over the first (below), test images.

    Args:
        runs: of the study of spectra.
        methods: those to draw.
        kind: ``"class"``, ``"raw class"`` or ``"all"``.
    """
    figure, axes = plt.subplots(2, len(SETUPS), figsize=(3 * len(SETUPS), 5), sharex="col")
    for column, setup in enumerate(SETUPS):
        arrays, names = _rows(runs, setup)
        for row, name in _drawn(names, methods):
            own = np.stack([a["profile"][-1, row, 0, KINDS.index(kind)] for a in arrays])
            own = own.astype(float)
            _spectrum(axes[0, column], own, name)
            _spectrum(axes[1, column], own / own[:, :1], name)
        axes[0, column].set_title(TITLES[setup], fontsize=9)
        axes[1, column].set_xlabel("place of the value")
        for ax in axes[:, column]:
            ax.set_yscale("log")
            _plain_ticks(ax)
            ax.xaxis.get_major_locator().set_params(integer=True)
    axes[0, 0].set_ylabel("singular value")
    axes[1, 0].set_ylabel("over the first")
    axes[0, 0].legend(fontsize=8)
    return figure


def by_class(runs: Runs, setup: str, methods: Sequence[str], classes: Sequence[str]) -> Figure:
    """Singular values of each class, as in Figures 9 to 11: one panel a class, mean over seeds."""
    arrays, names = _rows(runs, setup)
    columns = min(5, len(classes))
    rows = -(-len(classes) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(1.8 * columns + 0.4, 1.75 * rows + 0.5), sharex=True, sharey=True,
        squeeze=False,
    )  # fmt: skip
    for place, ax in enumerate(axes.flat):
        if place >= len(classes):
            ax.axis("off")
            continue
        for row, name in _drawn(names, methods):
            own = np.stack([a["classes"][row, place] for a in arrays]).astype(float).mean(0)
            label, colour, marker, line = look(name)
            x = np.arange(1, len(own) + 1)
            ax.plot(x, own, line, color=colour, marker=marker, markersize=3, lw=1.2,
                    markevery=max(1, len(own) // 6), label=label)  # fmt: skip
        ax.set_yscale("log")
        ax.text(0.94, 0.86, classes[place], transform=ax.transAxes, ha="right", fontsize=9)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=8)
    for ax in axes[-1]:
        ax.set_xlabel("place")
    for ax in axes[:, 0]:
        ax.set_ylabel("singular value")
    return figure


def over_time(
    runs: Runs, setup: str, methods: Sequence[str], wanted: Sequence[str], split: str = "test"
) -> Figure:
    """Candidate measures against the epoch, one panel each.

    Args:
        runs: of the study of spectra.
        setup: which bottleneck.
        methods: those to draw.
        wanted: names of candidates.
        split: ``"test"`` or ``"train"``.
    """
    arrays, names = _rows(runs, setup)
    columns = 3
    rows = -(-len(wanted) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(8.8, 2.3 * rows + 0.4), sharex=True, squeeze=False
    )
    epochs, side = arrays[0]["epochs"], SPLITS.index(split)
    for ax, name in zip(axes.flat, wanted, strict=False):
        place = list(CANDIDATES).index(name)
        for row, method in _drawn(names, methods):
            lines = np.stack([a["curves"][:, row, side, place] for a in arrays]).astype(float)
            curve(ax, epochs, lines, method, every=2)
        ax.set_title(_SHORT.get(name, name), fontsize=9)
        ax.set_xscale("symlog", linthresh=1)
        ax.set_xticks(*_ticks(epochs))
    for ax in axes[-1]:
        ax.set_xlabel("epoch")
    axes[0, 0].legend(fontsize=8)
    return figure


def _ticks(epochs: np.ndarray) -> tuple[list[float], list[str]]:
    chosen = [e for e in (0, 1, 3, 10, 30, 100) if e <= epochs[-1]]
    return [float(e) for e in chosen], [str(e) for e in chosen]


def says(runs: Runs, wanted: Sequence[str], methods: Sequence[str]) -> Figure:
    """Each candidate of a method over that of the baseline, by set-up: left of 1 is flatter."""
    figure, axes = plt.subplots(
        1, len(SETUPS), figsize=(9, 0.36 * len(wanted) + 1.1), sharey=True, sharex=True
    )
    for ax, setup in zip(axes, SETUPS, strict=True):
        known = _rows(runs, setup)[1]
        shown = [name for name in methods if name in known]
        for place, name in enumerate(wanted):
            base = value(runs, setup, name, "none")
            for step, method in enumerate(shown):
                ratio = value(runs, setup, name, method) / base
                at = -place + 0.22 * (len(shown) / 2 - step - 0.5)
                label = None if place == 0 else "_nolegend_"
                points(ax, at, ratio.to_numpy(), method, label=label, vertical=False)
        ax.axvline(1, color="black", lw=0.8, ls=":")
        ax.set_xscale("log")
        ax.set_xticks([0.25, 0.5, 1, 2, 4], ["¼", "½", "1", "2", "4"])
        ax.minorticks_off()
        ax.set_title(TITLES[setup], fontsize=9)
        ax.set_xlabel("over baseline")
    axes[0].set_yticks([-k for k in range(len(wanted))], [_SHORT[name] for name in wanted])
    axes[0].legend(fontsize=8, loc="best")
    return figure


def by_layer(runs: Runs, setup: str, methods: Sequence[str]) -> Figure:
    """Effective rank of a class, and within over total variance, from layer to layer."""
    table = runs.table[runs.table["setup"] == setup]
    before, after = int(table["before"].iloc[0]), int(table["after"].iloc[0])
    hidden = [f"layer{i}" for i in range(1, before + after + 1)]
    order = [*hidden[:before], "code", *hidden[before:]]
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.1))
    for ax, (measure, label) in zip(
        axes, (("rank", "effective rank"), ("within", "within over total")), strict=True
    ):
        for _, method in _drawn(list(table["methods"].iloc[0]), methods):
            lines = np.stack([of(runs, setup, f"{measure}_{one}_{method}") for one in order], 1)
            curve(ax, range(len(order)), lines, method, every=1)
        ax.axvline(before, color="black", lw=0.8, ls=":")
        ax.set_xticks(range(len(order)), [*map(str, range(1, before + 1)), "code",
                                          *map(str, range(before + 1, before + after + 1))],
                      fontsize=8)  # fmt: skip
        ax.set(xlabel="layer", ylabel=label, yscale="log")
        _plain_ticks(ax)
    axes[0].legend(fontsize=8)
    return figure


def routes(runs: Runs, wanted: Mapping[str, str]) -> Figure:
    """Measures of the networks whose mixed loss reaches some layers only, one panel each.

    Args:
        runs: of the study of routes.
        wanted: measure -> label of its axis; those of sizes are drawn on a logarithmic one.
    """
    columns = 3
    rows = -(-len(wanted) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(7.2, 2.5 * rows), squeeze=False)
    for ax in axes.flat[len(wanted) :]:
        ax.axis("off")
    for ax, (measure, label) in zip(axes.flat, wanted.items(), strict=False):
        for place, (route, (method, _)) in enumerate(_ROUTES.items()):
            values = per_seed(runs.table, f"{measure}_{route}")
            points(ax, place, values.to_numpy(), method, label="_nolegend_")
        ax.set_xticks(range(len(_ROUTES)), [short for _, short in _ROUTES.values()],
                      fontsize=8)  # fmt: skip
        ax.set_xlim(-0.5, len(_ROUTES) - 0.5)
        ax.set_title(label, fontsize=9)
        if measure in ("size", "top", "tail", "raw_top"):
            ax.set_yscale("log")
    return figure


def changed(spectra_of: Mapping[str, torch.Tensor], titles: Mapping[str, str]) -> Figure:
    """Class spectra of one function of the input, under several changes of its code.

    Args:
        spectra_of: name -> (H,) mean class spectrum.
        titles: name -> label.
    """
    figure, ax = plt.subplots(figsize=(5.6, 3.1))
    styles = (("o", "-"), ("s", "--"), ("^", "-."), ("D", ":"))
    colours = ("#4d4d4d", "#0072b2", "#009e73", "#d55e00")
    for (name, s), (marker, line), colour in zip(spectra_of.items(), styles, colours, strict=False):
        x = np.arange(1, len(s) + 1)
        ax.plot(x, s, line, marker=marker, color=colour, label=titles[name])
    ax.set(xlabel="place of the value", ylabel="singular value", yscale="log")
    ax.legend(fontsize=8)
    return figure
