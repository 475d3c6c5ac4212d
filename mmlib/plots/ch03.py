"""Figures of chapter 03."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmlib.data import title_of
from mmlib.evidence import Runs
from mmlib.evidence.findings import per_seed
from mmlib.plots import curve, look, points
from mmlib.studies.ch03.experiments import gradient_ratio

# Shades from the input to the deepest place to mix, and the line of each.
_DEPTHS = (("#0072b2", "-."), ("#e5b48a", "-"), ("#d55e00", "-"), ("#7a3500", "-"))
_METRICS = {"accuracy": "test accuracy, %", "nll": "test NLL, nats", "ece": "calibration error"}


def _methods(runs: Runs) -> list[str]:
    return list(dict.fromkeys(runs.table["method"]))


def table_one(runs: Runs) -> Figure:
    """Accuracy, NLL and calibration error of every method; a dot is a seed."""
    methods = _methods(runs)
    figure, axes = plt.subplots(1, 3, figsize=(8, 0.36 * len(methods) + 1.2), sharey=True)
    for ax, (metric, label) in zip(axes, _METRICS.items(), strict=True):
        for position, method in enumerate(methods):
            values = runs.table.loc[runs.table["method"] == method, metric]
            points(ax, -position, values, method, vertical=False)
        ax.set(xlabel=label)
    axes[0].set_yticks([-i for i in range(len(methods))], [look(m).label for m in methods])
    return figure


def curves(runs: Runs, methods: Sequence[str] = ("none", "input", "manifold", "blocked")) -> Figure:
    """Test NLL of the watched images and training loss against the epoch.

    The NLL of the first epochs can be several times that of the rest: it leaves the frame.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 2.9))
    settled = []
    for method in methods:
        rows = runs.table.index[runs.table["method"] == method]
        arrays = [runs.arrays(i) for i in rows]
        epoch = arrays[0]["epoch"]
        nll = np.stack([a["watched_nll"] for a in arrays])
        curve(left, epoch, nll, method)
        settled.append(nll[:, nll.shape[1] // 4 :])
        losses = np.stack([a["train_loss"] for a in arrays])
        curve(right, range(1, losses.shape[1] + 1), losses, method, every=20)
    low, high = np.min(settled), np.max(settled)
    margin = 0.15 * (high - low)
    left.set(xlabel="epoch", ylabel="test NLL, nats", title="test")
    left.set_ylim(low - margin, high + 2 * margin)
    right.set(xlabel="epoch", ylabel="loss that is minimised", title="training")
    left.legend(fontsize=8)
    return figure


def alphas(runs: Runs) -> Figure:
    """Test accuracy and NLL against alpha, for each data set and method."""
    table = runs.table
    sets = list(dict.fromkeys(table["data"]))
    figure, axes = plt.subplots(2, len(sets), figsize=(3.9 * len(sets), 4.6), sharex=True)
    axes = axes.reshape(2, len(sets))
    for column, data in enumerate(sets):
        for method, key in (("input", "input_alpha"), ("manifold", "alpha")):
            rows = table[(table["data"] == data) & (table["method"] == method)]
            if rows.empty:
                continue
            values = sorted(rows[key].unique())
            for row, metric in enumerate(("accuracy", "nll")):
                wide = rows.pivot_table(index="seed", columns=key, values=metric)[values]
                curve(axes[row, column], values, wide.to_numpy(), method, every=1)
        axes[0, column].set(title=title_of(data), xscale="log")
        axes[1, column].set_xlabel("α")
        axes[1, column].set_xticks(values, [f"{v:g}" for v in values], fontsize=7.5)
        axes[1, column].minorticks_off()
    for row, metric in enumerate(("accuracy", "nll")):
        axes[row, 0].set_ylabel(_METRICS[metric])
    axes[0, -1].legend(fontsize=8)
    return figure


def _gains(
    ax: Axes, runs: Runs, where: dict, key: str, values: Sequence, metric: str, sign: float
) -> None:
    """Paired gain of the mixing methods over no mixup, at each value of a setting."""
    for shift, method in ((-0.12, "input"), (0.0, "manifold"), (0.12, "blocked")):
        if method not in set(runs.table["method"]):
            continue
        for position, value in enumerate(values):
            at = where | {key: value}
            ours = per_seed(runs.table, metric, at | {"method": method})
            plain = per_seed(runs.table, metric, at | {"method": "none"})
            label = look(method).label if position == 0 else "_nolegend_"
            points(ax, position + shift, sign * (ours - plain), method, label=label)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_xticks(range(len(values)), [str(int(v)) for v in values])


def low_data(runs: Runs) -> Figure:
    """Gain in test accuracy over plain training against the number of labels."""
    sets = list(dict.fromkeys(runs.table["data"]))
    figure, axes = plt.subplots(1, len(sets), figsize=(3.9 * len(sets), 2.9), squeeze=False)
    for ax, data in zip(axes[0], sets, strict=True):
        counts = sorted(runs.table.loc[runs.table["data"] == data, "n_train"].unique())
        _gains(ax, runs, {"data": data}, "n_train", counts, "accuracy", 1.0)
        ax.set(title=title_of(data), xlabel="labelled images")
    axes[0, 0].set_ylabel("gain in accuracy, points")
    axes[0, 0].legend(fontsize=8)
    return figure


def lengths(runs: Runs) -> Figure:
    """Gain over plain training, in accuracy and in NLL, against the number of epochs."""
    epochs = sorted(runs.table["epochs"].unique())
    figure, axes = plt.subplots(1, 2, figsize=(7.8, 2.9))
    for ax, metric, sign in zip(axes, ("accuracy", "nll"), (1.0, -1.0), strict=True):
        _gains(ax, runs, {}, "epochs", epochs, metric, sign)
        ax.set(xlabel="epochs")
    axes[0].set_ylabel("gain in accuracy, points")
    axes[1].set_ylabel("fall of the NLL, nats")
    axes[0].legend(fontsize=8)
    return figure


def depths(runs: Runs) -> Figure:
    """Training loss against the epoch, one line per place to mix."""
    table = runs.table
    width = table.loc[table["method"] == "blocked", "width"].iloc[0]
    figure, ax = plt.subplots(figsize=(5.4, 3.3))
    rows = table[table["width"] == width]
    alone = [at for at in dict.fromkeys(rows["layers"]) if len(at) == 1]
    for at, (colour, line) in zip(alone, _DEPTHS, strict=False):
        chosen = rows.index[(rows["layers"] == at) & (rows["method"] == "manifold")]
        mean = np.stack([runs.arrays(i)["train_loss"] for i in chosen]).mean(0)
        ax.plot(range(1, len(mean) + 1), mean, line, color=colour, label=f"mixed at {at[0]}")
    blocked = rows.index[rows["method"] == "blocked"]
    losses = np.stack([runs.arrays(i)["train_loss"] for i in blocked])
    curve(ax, range(1, losses.shape[1] + 1), losses, "blocked", every=20)
    ax.set(xlabel="epoch", ylabel="training BCE")
    ax.legend(fontsize=8)
    return figure


def ratio_of_gradients(classes: Sequence[int] = (10, 100, 200)) -> Figure:
    """Gradient of cross-entropy over that of BCE on the softmax, against the confidence."""
    figure, ax = plt.subplots(figsize=(4.8, 3))
    for k, line in zip(classes, ("-", "--", ":"), strict=False):
        q = np.linspace(1 / k, 0.999, 300)
        ax.plot(q, gradient_ratio(q, k), line, color="#333333", label=f"K = {k}")
    ax.set(xlabel="probability of the label", ylabel="CE over BCE", yscale="log")
    ax.set_yticks([5, 10, 50, 100, 200], ["5", "10", "50", "100", "200"])
    ax.minorticks_off()
    ax.legend()
    return figure


def hyper(runs: Runs) -> Figure:
    """Gain over plain training for every combination of learning rate, alpha and places."""
    rows = runs.table[runs.table["method"] == "manifold"]
    keys = list(dict.fromkeys(zip(rows["lr"], rows["layers"], rows["alpha"], strict=True)))
    figure, ax = plt.subplots(figsize=(6, 0.24 * len(keys) + 0.8))
    for position, (lr, layers, alpha) in enumerate(keys):
        at = {"method": "manifold", "lr": lr, "layers": layers, "alpha": alpha}
        plain = per_seed(runs.table, "accuracy", {"method": "none", "lr": lr})
        gain = per_seed(runs.table, "accuracy", at) - plain
        points(ax, -position, gain, "manifold", vertical=False)
    ax.axvline(0, color="black", linewidth=0.8)
    names = [f"rate {lr:g}, {' + '.join(at)}, α = {alpha:g}" for lr, at, alpha in keys]
    ax.set_yticks([-i for i in range(len(keys))], names, fontsize=7.5)
    ax.set_xlabel("gain in accuracy over plain training, points")
    return figure


def effects(runs: Runs, base: dict, changes: dict[str, dict], metric: str = "accuracy") -> Figure:
    """Paired difference that each change of the settings makes.

    Args:
        runs: the runs.
        base: settings of the rows that are changed.
        changes: name -> settings of the changed rows.
        metric: a metric of the runs.
    """
    figure, ax = plt.subplots(figsize=(5.6, 0.42 * len(changes) + 0.9))
    plain = per_seed(runs.table, metric, base)
    for position, settings in enumerate(changes.values()):
        gain = per_seed(runs.table, metric, settings) - plain
        points(ax, -position, gain, "manifold", vertical=False)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks([-i for i in range(len(changes))], list(changes))
    ax.set_xlabel(f"change of the {_METRICS[metric]}")
    return figure


def means(runs: Runs, by: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """Return mean and standard deviation over seeds of some metrics, a row per setting."""
    groups = runs.table.groupby(list(by), sort=False, dropna=False)[list(metrics)]
    return groups.agg(["mean", "std"])
