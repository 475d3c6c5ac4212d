"""Figures of chapter 06."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmlib.data import title_of
from mmlib.evidence import Runs, published
from mmlib.evidence.findings import per_seed
from mmlib.plots import curve, image_grid, interval, look, points
from mmlib.studies.ch06 import KS, LEVELS, METHODS, printed_grid
from mmlib.studies.ch06.experiments import PGD_LEVELS, PRINTED

# Input mixup is k = 1; darker is larger k.
_K_COLOURS = {1: "#0072b2", 2: "#7fbf7b", 4: "#3f8f4f", 8: "#0b3d20"}
_K_MARKERS = {1: "s", 2: "X", 4: "P", 8: "D"}
_PRINTED_ROWS = {
    "none": "no_mixup",
    "input": "input_mixup",
    "manifold": "manifold_mixup",
    "fgsm_training": "adversarial_training",
}


def _values(runs: Runs, metrics: list[str], where: dict) -> np.ndarray:
    """(S, M) values of some metrics over the seeds."""
    return np.stack([per_seed(runs.table, metric, where).to_numpy() for metric in metrics], 1)


def one_step(images: np.ndarray, steps: list[np.ndarray], names: tuple[str, ...]) -> Figure:
    """Images and what one step makes of them: rows are attacks.

    Args:
        images: (N, H, W, C) in [0, 1].
        steps: one array of the same shape per attack.
        names: one name per attack.
    """
    return image_grid(np.stack([images, *steps]).clip(0, 1), rows=("image", *names), size=0.95)


def accuracy_against_epsilon(runs: Runs, std: float) -> Figure:
    """Accuracy under one step and under projected steps against epsilon, in both units.

    Args:
        runs: those of the attacks.
        std: mean standard deviation of the channels, which links the two units.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.2, 3.5), sharey=True)
    for method in METHODS:
        rows = {"method": method}
        values = _values(runs, [f"fgsm_{level:g}" for level in (0, *LEVELS)], rows)
        curve(axes[0], [0, *LEVELS], values, method, every=1)
        values = _values(runs, ["fgsm_0", *(f"pgd_{level:g}" for level in PGD_LEVELS)], rows)
        curve(axes[1], [0, *PGD_LEVELS], values, method, every=1)
    for ax, title in zip(axes, ("one step (FGSM)", "projected steps (PGD)"), strict=True):
        ax.set_xscale("symlog", base=2, linthresh=0.5)
        ax.set_xticks([0, *LEVELS], [f"{level:g}" for level in (0, *LEVELS)])
        ax.set(xlabel="ε in pixels, times 255", title=title, ylim=(0, None))
        ax.minorticks_off()
        for epsilon in (255 * PRINTED * std, 255 * PRINTED):
            ax.axvline(epsilon, color="black", linewidth=0.8, linestyle=":")
    for epsilon, unit in ((255 * PRINTED * std, "normalised"), (255 * PRINTED, "pixels")):
        axes[0].annotate(
            f"0.03\n{unit}",
            (epsilon, 0.99),
            xycoords=("data", "axes fraction"),
            xytext=(3, 0),
            textcoords="offset points",
            va="top",
            fontsize=7.5,
        )
    axes[0].set_ylabel("accuracy, %")
    axes[1].legend(fontsize=8)
    return figure


def table_5(runs: Runs) -> Figure:
    """Accuracy under one step of 0.03 in either unit, with the printed values as stars."""
    printed = published("manifold_mixup_v1_table5_fgsm")
    printed = printed[printed["dataset"] == "CIFAR-10"].set_index("method")["value"]
    metrics = {"fgsm_0": "clean", "fgsm_normalised": "0.03\nnormalised", "fgsm_pixels": "0.03\npx"}
    figure, axes = plt.subplots(
        1, len(METHODS), figsize=(2.0 * len(METHODS) + 0.6, 3), sharey=True, squeeze=False
    )
    for ax, method in zip(axes[0], METHODS, strict=True):
        for position, metric in enumerate(metrics):
            values = per_seed(runs.table, metric, {"method": method})
            points(ax, position, values, method, label="_nolegend_")
        star = float(printed[_PRINTED_ROWS[method]])
        ax.hlines(star, 0.6, 2.4, color="black", linewidth=0.8, linestyle=":")
        ax.plot(1.5, star, "*", color="black", markersize=10)
        ax.set_xticks(range(len(metrics)), list(metrics.values()), fontsize=8)
        ax.set_xlim(-0.5, 2.5)
        ax.set_title(look(method).label, fontsize=9)
    axes[0, 0].set(ylabel="accuracy, %", ylim=(0, None))
    return figure


def along_the_steps(runs: Runs) -> Figure:
    """Accuracy after each projected step, a panel per epsilon; diamonds: FGSM, same images."""
    figure, axes = plt.subplots(1, len(PGD_LEVELS), figsize=(8.6, 3), sharey=True)
    for ax, level in zip(axes, PGD_LEVELS, strict=True):
        for method in METHODS:
            chosen = runs.table.index[runs.table["method"] == method]
            lines = np.stack([runs.arrays(i)[f"pgd_{level:g}"] for i in chosen])
            steps = np.arange(lines.shape[1])
            curve(ax, steps, lines, method, every=max(1, len(steps) // 5))
            mean, _ = interval(per_seed(runs.table, f"same_fgsm_{level:g}", {"method": method}))
            ax.plot(steps[-1] * 1.08, mean, "d", color=look(method).colour, clip_on=False)
        ax.set(title=f"ε = {level:g}/255", xlabel="projected steps", ylim=(0, None))
    axes[0].set_ylabel("accuracy, %")
    axes[0].legend(fontsize=7.5)
    return figure


def loss_along_the_path(runs: Runs) -> Figure:
    """Mean loss along the direction of one step, and the share of images whose loss falls."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.1))
    for method in METHODS:
        rows = {"method": method}
        losses = _values(runs, [f"nll_{level:g}" for level in (0, *LEVELS)], rows)
        curve(left, [0, *LEVELS], losses, method, every=1)
        falls = _values(runs, [f"falls_{level:g}" for level in LEVELS], rows)
        curve(right, LEVELS, falls, method, every=1)
    left.set(ylabel="mean loss, nats", xlabel="ε, times 255", title="loss along the direction")
    right.set(ylabel="% of images", xlabel="ε, times 255", title="loss below that of the image")
    right.set_ylim(0, max(5.0, right.get_ylim()[1]))
    left.legend(fontsize=8)
    return figure


def unbounded(runs: Runs) -> Figure:
    """Accuracy along the unbounded steps of appendix D."""
    figure, ax = plt.subplots(figsize=(5.6, 3))
    for method in METHODS:
        chosen = runs.table.index[runs.table["method"] == method]
        lines = np.stack([runs.arrays(i)["unbounded"] for i in chosen])
        curve(ax, np.arange(lines.shape[1]), lines, method, every=max(1, lines.shape[1] // 8))
    ax.set(xlabel="steps of 0.01, normalised units", ylabel="accuracy, %", ylim=(0, None))
    ax.legend(fontsize=8)
    return figure


def masks(runs: Runs) -> Figure:
    """A network before and behind two masks: clean, one step, foreign examples, unbounded."""
    names = {
        "clean_mask": "clean",
        "fgsm_mask": "own\none step",
        "transfer_mask": "one step of\nthe plain network",
        "unbounded_mask": "200 steps,\nunbounded",
    }
    figure, ax = plt.subplots(figsize=(6.6, 3.1))
    periods = sorted(runs.table["period"].unique())
    for shift, period, method in zip((-0.12, 0.12), periods, ("blocked", "manifold_all")):  # noqa: B905
        for position, metric in enumerate(names):
            values = per_seed(runs.table, metric, {"period": period})
            label = f"masked, period {period:g}" if position == 0 else "_nolegend_"
            points(ax, position + shift, values, method, label=label)
    for position, metric in ((0, "clean_plain"), (1, "fgsm_plain")):
        values = per_seed(runs.table, metric, {"period": periods[0]})
        label = "the same without mask" if position == 0 else "_nolegend_"
        points(ax, position, values, "none", label=label)
    ax.set_xticks(range(len(names)), list(names.values()))
    ax.set(ylabel="accuracy, %", ylim=(-2, None))
    ax.legend(fontsize=8)
    return figure


def _k_rows(k: int) -> dict:
    return {"method": "input"} if k == 1 else {"method": "kmixup", "k": k}


def _k_line(ax: Axes, k: int, samples: np.ndarray) -> None:
    mean, half = interval(samples)
    colour, marker = _K_COLOURS[k], _K_MARKERS[k]
    ax.plot(LEVELS, mean, "-", color=colour, marker=marker, label=f"k = {k}")
    ax.fill_between(LEVELS, mean - half, mean + half, color=colour, alpha=0.18, linewidth=0)


def figure_10(digits: Runs, photos: Runs) -> Figure:
    """What k > 1 gains on k = 1 under one step: printed (above) and here (below), in points."""
    figure, axes = plt.subplots(2, 2, figsize=(7.8, 5), sharex=True, squeeze=False)
    panels = (("a_cifar10", photos), ("b_mnist", digits))
    for column, (name, runs) in enumerate(panels):
        grid = printed_grid(name)
        for k in KS:
            gain = (grid.loc[k] - grid.loc[1]).to_numpy()
            style = {"color": _K_COLOURS[k], "marker": _K_MARKERS[k]}
            axes[0, column].plot(LEVELS, gain, ":", label=f"k = {k}", **style)
            metrics = [f"fgsm_{level:g}" for level in LEVELS]
            ours = _values(runs, metrics, _k_rows(k)) - _values(runs, metrics, _k_rows(1))
            _k_line(axes[1, column], k, ours)
        half = float(published(f"kmixup_fig10{name}_fgsm")["uncertainty"].iloc[0])
        axes[0, column].axhspan(-half, half, color="#bbbbbb", alpha=0.4, linewidth=0)
        axes[0, column].set_title(f"{title_of(runs.table['data'].iloc[0])}: printed")
        axes[1, column].set_title(f"{title_of(runs.table['data'].iloc[0])}: here")
        axes[1, column].set_xlabel("ε, times 255")
    for ax in axes.flat:
        ax.axhline(0, color="#0072b2", linewidth=1, linestyle="-.")
        ax.set_xscale("log", base=2)
        ax.set_xticks(LEVELS, [f"{level:g}" for level in LEVELS])
    for ax in axes[:, 0]:
        ax.set_ylabel("points above k = 1")
    axes[0, 0].legend(fontsize=8)
    return figure


def smoothness(digits: Runs, photos: Runs) -> Figure:
    """Smallest flipping step and norm of the input gradient, for no mixup and each k."""
    figure, axes = plt.subplots(2, 2, figsize=(7.4, 4.2), sharex=True, squeeze=False)
    quantities = {"flip_mean": "smallest flip, times 255", "gradient_l1": "gradient norm, nats"}
    names = ["none", *(f"k = {k}" for k in (1, *KS))]
    for column, runs in enumerate((photos, digits)):
        for row, (metric, label) in enumerate(quantities.items()):
            ax = axes[row, column]
            points(ax, 0, per_seed(runs.table, metric, {"method": "none"}), "none")
            for position, k in enumerate((1, *KS), start=1):
                method = "input" if k == 1 else "kmixup"
                points(ax, position, per_seed(runs.table, metric, _k_rows(k)), method)
            ax.set_xticks(range(len(names)), names)
            if column == 0:
                ax.set_ylabel(label)
        axes[0, column].set_title(title_of(runs.table["data"].iloc[0]))
    return figure


def transfer_table(runs: Runs, level: float) -> pd.DataFrame:
    """Mean accuracy in percent, source of the examples by network under attack."""
    names = [look(method).label for method in METHODS]
    values = [
        [
            float(per_seed(runs.table, f"{source}_to_{target}_{level:g}").mean())
            for target in METHODS
        ]
        for source in METHODS
    ]
    table = pd.DataFrame(values, index=names, columns=names)
    return table.rename_axis(index="examples from", columns="network under attack")


def one_step_and_iterated(runs: Runs, level: int) -> pd.DataFrame:
    """Mean accuracy in percent under one step and projected steps, for no mixup and each k."""
    rows = {"no mixup": {"method": "none"}} | {f"k = {k}": _k_rows(k) for k in (1, *KS)}
    title = f"{title_of(runs.table['data'].iloc[0])}, {level}/255"
    columns = {"one step": f"same_fgsm_{level}", "projected steps": f"pgd_{level}"}
    return pd.DataFrame(
        {
            (title, name): {
                row: float(per_seed(runs.table, metric, where).mean())
                for row, where in rows.items()
            }
            for name, metric in columns.items()
        }
    )
