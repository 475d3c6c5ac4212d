"""Figures and tables of chapter 04."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmlib.data import title_of
from mmlib.evidence import Runs
from mmlib.evidence.findings import per_seed
from mmlib.plots import LOOKS, curve, interval, look, points
from mmlib.studies.ch04.evidence import joined, printed_table
from mmlib.studies.ch04.grids import METHODS
from mmlib.studies.ch04.theory import TERMS
from mmlib.training import sigmoid_ramp

_CLASSES = ("#0072b2", "#e69f00", "#009e73")
_TOY_TITLES = {"moons": "two moons", "rings": "three rings"}


# ------------------------------------------------------------------------ in the plane


def decision_surfaces(runs: Runs) -> Figure:
    """Decision of one seed's network on each toy, a panel per method; large dots have labels."""
    seed = int(runs.table["seed"].min())
    toys = list(dict.fromkeys(runs.table["toy"]))
    figure, axes = plt.subplots(
        len(toys), len(METHODS), figsize=(11, 2.1 * len(toys)), squeeze=False
    )
    for row, toy in enumerate(toys):
        for ax, method in zip(axes[row], METHODS, strict=True):
            where = (runs.table["toy"] == toy) & (runs.table["method"] == method)
            found = runs.table[where & (runs.table["seed"] == seed)]
            _surface(ax, runs.arrays(found.index[0]))
            ax.set_xlabel(f"{float(found['error'].iloc[0]):.1f} % wrong", fontsize=8)
            if row == 0:
                ax.set_title(look(method).label, fontsize=9)
        axes[row, 0].set_ylabel(_TOY_TITLES[toy])
    return figure


def _surface(ax: Axes, arrays: dict[str, np.ndarray]) -> None:
    low, high = arrays["extent"]
    classes = int(max(arrays["decision"].max(), arrays["y"].max())) + 1
    colours = np.asarray([plt.matplotlib.colors.to_rgb(c) for c in _CLASSES[:classes]])
    chance = 1 / classes
    sure = ((arrays["probability"].astype(float) - chance) / (1 - chance)).clip(0, 1)[..., None]
    image = 1 - 0.55 * sure * (1 - colours[arrays["decision"]])
    ax.imshow(image, origin="lower", extent=(low, high, low, high), interpolation="bilinear")
    ax.plot(*arrays["points"].astype(float).T, ".", color="#333333", markersize=1.2, alpha=0.5)
    for label in range(classes):
        x = arrays["x"][arrays["y"] == label]
        ax.plot(*x.T, "o", color=_CLASSES[label], markeredgecolor="black", markersize=5)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)


def toy_errors(runs: Runs) -> pd.DataFrame:
    """Mean error in percent on fresh points, method by toy, with half the 95 % interval."""
    columns = {}
    for toy in dict.fromkeys(runs.table["toy"]):
        cells = {}
        for method in METHODS:
            mean, half = interval(per_seed(runs.table, "error", {"method": method, "toy": toy}))
            cells[look(method).label] = f"{mean:.1f} ± {half:.1f}"
        columns[_TOY_TITLES[toy]] = cells
    return pd.DataFrame(columns)


# ------------------------------------------------------------------------ the losses


def schedule() -> Figure:
    """The consistency weight over a run, beside a straight line and the learning rate."""
    figure, ax = plt.subplots(figsize=(6.2, 2.9))
    share = np.linspace(0, 1, 401)
    ax.plot(share, [sigmoid_ramp(s, 0.4) for s in share], color="#d55e00", label="exp(-5 (1 - t)²)")
    ax.plot(share, np.minimum(share / 0.4, 1), ":", color="#4d4d4d", label="straight line")
    rate = np.select([share < 0.5, share < 0.75, share < 0.875], [1, 0.1, 0.01], 0.001)
    ax.plot(share, rate, "--", color="#0072b2", label="learning rate / 0.1")
    ax.set(xlabel="share of the updates", ylabel="share of the maximum", ylim=(-0.02, 1.05))
    ax.legend(fontsize=8)
    return figure


def losses_against_scale(runs: Runs) -> Figure:
    """The unlabelled term and its gradient against the scale of the logits, for both readings."""
    figure, axes = plt.subplots(1, 2, figsize=(7.8, 3))
    scale = runs.arrays(0)["scale"]
    classes = int(runs.table["classes"].iloc[0])
    titles = ("the unlabelled term", "norm of its gradient in the logits")
    for ax, name, title in zip(axes, ("loss", "gradient"), titles, strict=True):
        for kind, colour, line in (("probabilities", "#d55e00", "-"), ("logits", "#0072b2", "-.")):
            values = np.stack([runs.arrays(i)[f"{name}_{kind}"] for i in runs.table.index])
            ax.plot(scale, values.mean(0), line, color=colour, marker="o", label=kind)
        ax.set(xscale="log", yscale="log", xlabel="factor of the last layer", title=title)
    axes[0].axhline(2 / classes, color="black", linewidth=0.8, linestyle=":")
    axes[0].annotate("2 / K", (scale[0], 2 / classes), va="bottom", fontsize=8)
    axes[0].legend(fontsize=8)
    return figure


def gradients_by_term(runs: Runs) -> pd.DataFrame:
    """Mean norm of the gradient, term by layer."""
    names = [c.partition(" | ")[2] for c in runs.table.columns if c.startswith(f"{TERMS[0]} | ")]
    return pd.DataFrame(
        {name: {term: runs.table[f"{term} | {name}"].mean() for term in TERMS} for name in names}
    )


# ------------------------------------------------------------------------ the runs


def table_4(runs: Runs) -> Figure:
    """Printed test errors, and ours: a panel per data set, a row per method."""
    printed = printed_table()
    data = list(dict.fromkeys(runs.table["data"]))
    figure, axes = plt.subplots(1, 2 + len(data), figsize=(2.5 * (2 + len(data)), 3), sharey=True)
    rows = range(len(METHODS))
    for ax, name in zip(axes, printed.columns, strict=False):
        for row, method in zip(rows, METHODS, strict=True):
            ax.plot(printed.loc[method, name], row, "*", color=look(method).colour, markersize=11)
        ax.set_title(f"{name}, printed")
    for ax, name in zip(axes[2:], data, strict=True):
        for row, method in zip(rows, METHODS, strict=True):
            values = per_seed(runs.table, "error", {"method": method, "data": name})
            points(ax, row, values, method, vertical=False)
        ax.set_title(f"{title_of(name)}, here")
    axes[0].set_yticks(rows, [look(method).label for method in METHODS])
    axes[0].invert_yaxis()
    for ax in axes:
        ax.set_xlabel("test error, %")
    return figure


def differences(runs: Runs) -> pd.DataFrame:
    """Test error less that of labels only, in points, paired over seeds, with 95 % intervals."""
    columns = {}
    for data in dict.fromkeys(runs.table["data"]):
        base = per_seed(runs.table, "error", {"method": "supervised", "data": data})
        cells = {}
        for method in METHODS[1:]:
            own = per_seed(runs.table, "error", {"method": method, "data": data})
            mean, half = interval(own - base)
            cells[look(method).label] = f"{mean:+.2f} ± {half:.2f}"
        columns[title_of(data)] = cells
    return pd.DataFrame(columns)


def error_against_labels(labels: Runs, fewer: Runs, table: Runs) -> Figure:
    """Test error against the number of labels, a panel per study; the main one adds its number."""
    figure, axes = plt.subplots(1, 2, figsize=(8.2, 3.3))
    for ax, runs in zip(axes, (labels, fewer), strict=True):
        _against_labels(ax, runs.table, table.table)
    axes[0].set_ylabel("test error, %")
    axes[0].legend(fontsize=8)
    return figure


def _against_labels(ax: Axes, table: pd.DataFrame, main: pd.DataFrame) -> None:
    data, methods = table["data"].iloc[0], list(dict.fromkeys(table["method"]))
    main = main[(main["data"] == data) & main["method"].isin(methods)]
    both = pd.concat([table, main], ignore_index=True)
    both = both.drop_duplicates(["method", "n_labels", "seed"])
    shared = set.intersection(*(set(g["seed"]) for _, g in both.groupby(["method", "n_labels"])))
    both = both[both["seed"].isin(shared)]
    for method in methods:
        one = both[both["method"] == method].pivot(index="seed", columns="n_labels", values="error")
        curve(ax, list(one.columns), one.to_numpy(), method, every=1)
    counts = sorted(set(both["n_labels"]))
    ax.set(xscale="log", yscale="log", xlabel="labels", title=title_of(data))
    ax.set_xticks(counts, [f"{count:g}" for count in counts])
    low, high = ax.get_ylim()
    ticks = [tick for tick in (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 60, 80) if low < tick < high]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()


def learning_curves(runs: Runs, seed: int) -> Figure:
    """Validation error along a run of each method; dotted: where the learning rate drops."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.1))
    for method in dict.fromkeys(runs.table["method"]):
        where = (runs.table["method"] == method) & (runs.table["seed"] == seed)
        row = runs.table[where].index[0]
        arrays = runs.arrays(row)
        name, colour, marker, line = look(method)
        style = {"color": colour, "marker": marker, "markersize": 4, "label": name}
        left.plot(arrays["step"], arrays["valid_error"], line, **style)
        right.plot(arrays["step"], arrays["supervised"], line, **style)
        if arrays["unsupervised"].any():
            right.plot(
                arrays["step"],
                arrays["unsupervised"],
                ":",
                color=colour,
                label="its unlabelled term",
            )
    for ax in (left, right):
        for share in runs.table["milestones"].iloc[0]:
            ax.axvline(share * arrays["step"][-1], color="black", linewidth=0.8, linestyle=":")
        ax.set_xlabel("updates")
        ax.legend(fontsize=8)
    left.set(ylabel="%", ylim=(0, None), title="validation error")
    right.set(yscale="log", title="losses of the batches")
    return figure


def switch_gains(switches: Runs, table: Runs) -> pd.DataFrame:
    """Error less that of the text's reading, in points, per switch: one column per seed."""
    (data,) = dict.fromkeys(switches.table["data"])
    base = per_seed(table.table, "error", {"method": "manifold", "data": data})
    rows = {
        name: per_seed(switches.table, "error", {"switch": name}) - base
        for name in dict.fromkeys(switches.table["switch"])
    }
    return pd.DataFrame(rows).T.dropna(axis="columns", how="all")


def switch_figure(switches: Runs, table: Runs) -> Figure:
    """What each switch changes: error less that of the text's reading, paired over seeds."""
    gains = switch_gains(switches, table)
    figure, ax = plt.subplots(figsize=(6.4, 3.4))
    for row, (_, values) in enumerate(gains.iterrows()):
        points(ax, row, values.dropna().to_numpy(), "manifold", vertical=False)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks(range(len(gains)), gains.index)
    ax.invert_yaxis()
    ax.set_xlabel("test error less that of the text's reading, points")
    return figure


def _sweep(ax: Axes, table: pd.DataFrame, key: str, chosen: float) -> None:
    name, colour, marker, line = LOOKS["manifold"]
    values = sorted(table[key].unique())
    found = [per_seed(table, "error", {key: value}) for value in values]
    means = [interval(one)[0] for one in found]
    ax.plot(range(len(values)), means, line, color=colour, linewidth=1)
    for place, (value, one) in enumerate(zip(values, found, strict=True)):
        points(ax, place, one, "manifold" if value == chosen else "supervised")
    ax.set_xticks(range(len(values)), [f"{value:g}" for value in values])


def sweeps(alphas: Runs, weights: Runs, table: Runs) -> Figure:
    """Test error against each alpha and against the largest weight; coloured: the text's choice."""
    cross, line = joined(alphas, table), joined(weights, table)
    cross = cross[cross["data"] == alphas.table["data"].iloc[0]]
    line = line[line["data"] == weights.table["data"].iloc[0]]
    figure, axes = plt.subplots(1, 3, figsize=(8.6, 3))
    _sweep(axes[0], cross[cross["alpha_u"] == 2.0], "alpha", 0.1)
    _sweep(axes[1], cross[cross["alpha"] == 0.1], "alpha_u", 2.0)
    _sweep(axes[2], line, "weight", 1.0)
    for ax, label, runs in zip(
        axes,
        ("α, labelled batch", "α, unlabelled batch", "largest weight"),
        (alphas, alphas, weights),
        strict=True,
    ):
        ax.set(xlabel=label, title=title_of(runs.table["data"].iloc[0]))
    axes[0].set_ylabel("test error, %")
    return figure


def weights_at_the_end(switches: Runs, table: Runs) -> pd.DataFrame:
    """Share of weights below 0.001 and mean size at the end of the runs, with and without L1."""
    (data,) = dict.fromkeys(switches.table["data"])
    main = table.table[(table.table["method"] == "manifold") & (table.table["data"] == data)]
    rows = {
        "L1 on all weights (text)": main,
        "L1 on the first tensor (released code)": _switched(switches, "l1 on the first tensor"),
        "no L1": _switched(switches, "no L1"),
    }
    columns = {"zeros": "below 0.001, %", "weight_size": "mean size", "error": "test error, %"}
    means = {name: one[list(columns)].mean() for name, one in rows.items()}
    return pd.DataFrame(means).T.rename(columns=columns)


def _switched(runs: Runs, name: str) -> pd.DataFrame:
    return runs.table[runs.table["switch"] == name]


# ------------------------------------------------------------------------ cost and probe


def cost_table(runs: Runs) -> pd.DataFrame:
    """Passes of a batch in one step, and its time over that of a plain step on twice the batch."""
    columns = {
        "forward": "forward passes",
        "backward": "backward passes",
        "averages": "weights averaged",
        "time": "time",
    }
    return pd.DataFrame(
        {
            title: {look(m).label: runs.table[f"{name}_{m}"].mean() for m in METHODS}
            for name, title in columns.items()
        }
    )


def probe_table(runs: Runs) -> pd.DataFrame:
    """How well the direction agrees with the exact one, by the length of the probe."""
    lengths = runs.table["xis"].iloc[0]
    return pd.DataFrame(
        {
            "cosine with the limit": {xi: runs.table[f"cosine_{xi:g}"].mean() for xi in lengths},
            "components left unmoved, %": {
                xi: runs.table[f"unmoved_{xi:g}"].mean() for xi in lengths
            },
        }
    ).rename_axis("length of the probe")
