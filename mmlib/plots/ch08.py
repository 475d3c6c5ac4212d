"""Figures of chapter 08: decoded paths, how plausible they are, and which classes they meet."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmlib.evidence import Runs
from mmlib.measures.crossings import crossed_pairs, least_crossed_share
from mmlib.plots import Look, interval, look
from mmlib.studies.ch08.grids import LAYERS, SECOND
from mmlib.studies.ch08.judged import LAMS

UNTRAINED = Look("untrained", "#8c8c8c", "x", ":")
KINDS = {
    "hidden": Look("decoded hidden mix", "#d55e00", "D", "-"),
    "blurred": Look("pixel mix, through the decoder", "#0072b2", "s", "-."),
    "pixel": Look("pixel mix", "#56b4e9", "o", "--"),
    "random": Look("decoded, random direction", "#8c8c8c", "x", ":"),
    "shuffled": Look("decoded, shuffled units", "#332288", "v", ":"),
    "noise": Look("pixels with noise", "#000000", "+", ":"),
}
TITLES = {"mnist": "MNIST", "cifar10": "CIFAR-10"}


def look_of(method: str) -> Look:
    """Return the look of a method; an untrained network has its own."""
    return UNTRAINED if method == "untrained" else look(method)


def values(runs: Runs, metric: str, **where: object) -> np.ndarray:
    """Return a metric over the seeds of the cells with the given settings; empty if none."""
    table = runs.table
    if metric not in table:
        return np.zeros(0)
    for key, value in where.items():
        table = table[table[key] == value]
    return table.sort_values("seed")[metric].to_numpy(dtype=float)


def curves(runs: Runs, name: str, **where: object) -> np.ndarray:
    """Return an array of the cells with the given settings over seeds, (S, ...); (0,) if none."""
    table = runs.table
    for key, value in where.items():
        table = table[table[key] == value]
    found = [runs.arrays(index) for index in table.index]
    kept = [one[name] for one in found if name in one]
    return np.stack(kept).astype(float) if kept else np.zeros(0)


def line(ax: Axes, x: Sequence[float], samples: np.ndarray, style: Look, label: str = "") -> None:
    """Draw the mean of (S, X) samples over seeds with its 95 % band; nothing for no samples."""
    if not len(samples):
        return
    mean, half = interval(samples)
    every = max(1, len(mean) // 8)
    ax.plot(
        *(x, mean, style.line),
        color=style.colour,
        marker=style.marker,
        markevery=every,
        label=label or style.label,
    )
    ax.fill_between(x, mean - half, mean + half, color=style.colour, alpha=0.18, linewidth=0)


def bar(ax: Axes, position: float, samples: np.ndarray, style: Look, label: str = "") -> None:
    """Draw each run as a faint dot and the mean with its 95 % interval."""
    if not len(samples):
        return
    mean, half = interval(samples)
    spread = position + np.linspace(-0.05, 0.05, len(samples))
    ax.scatter(spread, samples, s=10, color=style.colour, alpha=0.35, linewidths=0)
    ax.errorbar(
        *(position, mean, half),
        color=style.colour,
        marker=style.marker,
        capsize=3,
        linestyle="",
        label=label or style.label,
    )


# ------------------------------------------------------------------------------ pictures


def _cell(runs: Runs, data: str, method: str) -> dict[str, np.ndarray]:
    table = runs.table
    chosen = table[(table["data"] == data) & (table["method"] == method)]
    return runs.arrays(chosen.index[0])


def rows_of(runs: Runs, data: str) -> list[tuple[str, dict[str, np.ndarray], str, str]]:
    """Return what is shown of a data set: label, arrays, name of the images, name of the judge."""
    plain, mixed = (_cell(runs, data, method) for method in ("none", "manifold"))
    second = SECOND[data]
    found = [
        ("pixels", mixed, "pixel", "pixel"),
        (f"{second}, no mixup", plain, f"hidden_{second}", second),
    ]
    for layer in LAYERS[data][1:]:
        if f"hidden_{layer}" in mixed:
            found.append((f"{layer}, Manifold Mixup", mixed, f"hidden_{layer}", layer))
    return found


def _shown(image: np.ndarray) -> np.ndarray:
    return image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)


def _tile(ax: Axes, image: np.ndarray) -> None:
    ax.imshow(_shown(image), vmin=0, vmax=255)
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(False)


def strip(runs: Runs, data: str, pair: int, names: Sequence[str]) -> Figure:
    """One pair along its path: pixels above, decoded states below; over each image its class.

    The class is what another network sees.
    """
    rows = rows_of(runs, data)
    lams = rows[0][1]["lams"]
    shown = range(0, len(lams), max(1, (len(lams) - 1) // 10))
    figure, axes = plt.subplots(
        len(rows), len(shown), figsize=(0.72 * len(shown) + 1.3, 0.95 * len(rows)), squeeze=False
    )
    for row, (label, arrays, images, judge) in enumerate(rows):
        for column, step in enumerate(shown):
            ax = axes[row, column]
            _tile(ax, arrays[images][pair, step])
            seen = names[int(arrays[f"eye_{judge}"][pair, step])]
            ax.set_title(seen, fontsize=8, loc="center", pad=2)
            if row == len(rows) - 1:
                ax.set_xlabel(f"{lams[step]:.1f}", fontsize=8)
        axes[row, 0].set_ylabel(
            label.replace(", ", "\n"), rotation=0, ha="right", va="center", fontsize=8
        )
    figure.supxlabel("λ", fontsize=9)
    return figure


def halfway(runs: Runs, data: str, names: Sequence[str]) -> Figure:
    """All pairs, each a column: both images, and below them their mixes at one half as in `strip`.

    Over each mix stands the class that another network sees.
    """
    rows = rows_of(runs, data)
    pairs, last = rows[0][1]["ends"], len(rows[0][1]["lams"]) - 1
    shown = [("one image", *rows[0][1:], last), ("the other", *rows[0][1:], 0)]
    shown += [(*row, last // 2) for row in rows]
    figure, axes = plt.subplots(
        len(shown),
        len(pairs),
        figsize=(0.85 * len(pairs) + 1.5, 0.95 * len(shown)),
        squeeze=False,
    )
    for row, (label, arrays, images, judge, step) in enumerate(shown):
        for pair in range(len(pairs)):
            ax = axes[row, pair]
            _tile(ax, arrays[images][pair, step])
            seen = names[int(arrays[f"eye_{judge}"][pair, step])]
            ax.set_title(seen, fontsize=8, loc="center", pad=2)
        axes[row, 0].set_ylabel(
            label.replace(", ", "\n"), rotation=0, ha="right", va="center", fontsize=8
        )
    return figure


# ------------------------------------------------------------------------------ section 1


def noise(runs: Runs) -> Figure:
    """Left: energy outside a subspace; right: what a local average leaves of noise."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.1))
    styles = {"mnist": ("#0072b2", "o"), "cifar10": ("#d55e00", "D")}
    for data, (colour, marker) in styles.items():
        if not len(values(runs, "left", data=data, pool=1)):
            continue
        share, white, real = curves(runs, "outside_by_dimension", data=data, pool=1).mean(0)
        left.plot(share, real, "-", color=colour, marker=marker, label=f"differences, {data}")
        left.plot(share, white, ":", color=colour, marker=marker, label=f"noise, {data}")
        sigma = (0.05, 0.1, 0.2, 0.4)
        for name, style, words in (("", "-", "in place"), ("_shuffled", ":", "shuffled")):
            samples = curves(runs, f"left_by_sigma{name}", data=data, pool=1)
            look_ = Look(f"{data}, pixels {words}", colour, marker, style)
            line(right, sigma, samples, look_)
    left.plot([0, 1], [1, 0], color="black", linewidth=0.8, label="1 - d / D")
    left.set(xlabel="d / D, leading principal directions", ylabel="share of energy outside")
    right.set(
        xlabel="standard deviation of the noise", ylabel="left by a local average, %", xscale="log"
    )
    right.set_xticks([0.05, 0.1, 0.2, 0.4], ["0.05", "0.1", "0.2", "0.4"])
    right.minorticks_off()
    for ax in (left, right):
        ax.set_ylim(bottom=0)
        ax.legend(fontsize=8)
    return figure


MEASURES = {
    "rank": "effective rank",
    "participation": "participation ratio",
    "share95": "directions for 95 %",
    "two_nn": "two nearest neighbours",
}


def dimensions(runs: Runs, data: str) -> Figure:
    """Four effective dimensions by layer, plain, with Manifold Mixup and untrained."""
    figure, axes = plt.subplots(2, 2, figsize=(6.8, 4.8))
    layers = LAYERS[data]
    for ax, (measure, title) in zip(axes.flat, MEASURES.items(), strict=True):
        for method in ("none", "manifold", "untrained"):
            samples = [
                values(runs, f"{measure}_{layer}", data=data, method=method) for layer in layers
            ]
            if len(samples[0]):
                line(ax, range(len(layers)), np.stack(samples, 1), look_of(method))
        ax.set_xticks(range(len(layers)), layers)
        ax.set_ylim(bottom=0)
        ax.set_title(title)
    figure.supylabel("dimension", fontsize=9.5)
    axes[0, 0].legend(fontsize=8)
    return figure


# ------------------------------------------------------------------------------ plausible


def plausible(runs: Runs, method: str = "manifold") -> Figure:
    """Share of plausible images along the path, second block, one panel for each data set."""
    figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.3), sharey=True)
    for ax, (data, layer) in zip(axes, SECOND.items(), strict=True):
        for kind, style in KINDS.items():
            name = f"own_yard_{kind}" + ("" if kind in ("pixel", "noise") else f"_{layer}")
            line(ax, LAMS, 100 * curves(runs, name, data=data, method=method), style)
        ax.axhline(95, color="black", linewidth=0.7)
        ax.set(xlabel="λ", title=f"{TITLES[data]}, {layer}", ylim=(0, 102))
    axes[0].set_ylabel("plausible, %")
    figure.legend(
        *axes[0].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=3
    )
    return figure


def critics(runs: Runs) -> Figure:
    """Share of mixes that a critic trained on their kind cannot tell, against the weight."""
    figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.4), sharey=True)
    kinds = {
        "hidden": look("manifold")._replace(label="decoded hidden mix, Manifold Mixup"),
        "none": look("none")._replace(label="decoded hidden mix, no mixup"),
        **{kind: KINDS[kind] for kind in ("blurred", "pixel", "shuffled", "noise")},
        "null": Look("not mixed", "#009e73", "^", "-"),
    }
    for ax, (data, layer) in zip(axes, SECOND.items(), strict=True):
        for kind, style in kinds.items():
            method, kind = ("none", "hidden") if kind == "none" else ("manifold", kind)
            found = 100 * curves(runs, f"by_lam_{kind}", data=data, method=method)
            line(ax, LAMS[1:-1], found, style)
        ax.axhline(95, color="black", linewidth=0.7)
        ax.set(xlabel="λ", title=f"{TITLES[data]}, {layer}", ylim=(-2, 102))
    axes[0].set_ylabel("not told from images as they are, %")
    figure.legend(
        *axes[0].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=3
    )
    return figure


# ------------------------------------------------------------------------------ third classes


def third(runs: Runs, data: str) -> Figure:
    """Third classes along the path: by the network itself from each layer, and by another one."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 3.9))
    fine = np.linspace(0, 1, 21)
    styles = ("-", "--", "-.", ":")
    for method in ("none", "manifold"):
        base = look(method)
        for style, layer in zip(styles, LAYERS[data], strict=False):
            samples = 100 * curves(runs, f"own_{layer}", data=data, method=method)
            line(left, fine, samples, base._replace(line=style, label=f"{layer}, {base.label}"))
        layer = SECOND[data]
        samples = 100 * curves(runs, f"third_hidden_{layer}", data=data, method=method)
        line(right, LAMS, samples, base._replace(label=f"{layer}, {base.label}"))
    for kind in ("pixel", "blurred"):
        name = f"third_{kind}" + ("" if kind == "pixel" else f"_{SECOND[data]}")
        samples = 100 * curves(runs, name, data=data, method="manifold")
        line(right, LAMS, samples, KINDS[kind])
    left.set(xlabel="λ", ylabel="third class, %", title="the network itself")
    right.set(xlabel="λ", title="another network, from the image")
    for ax in (left, right):
        ax.set_ylim(bottom=0)
        if ax.get_legend_handles_labels()[0]:  # at smoke size no path may count
            ax.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    return figure


def by_width(runs: Runs, triangles: Runs) -> Figure:
    """Segments that meet a third class against the dimension of the code, and for random means."""
    figure, ax = plt.subplots(figsize=(5.6, 3.4))
    codes = sorted(set(runs.table["code"]))
    classes = len(runs.table["digits"].iloc[0])
    for method in ("none", "input", "manifold"):
        samples = np.stack([values(runs, f"paths_{method}", code=code) for code in codes], 1)
        line(ax, codes, samples, look(method))
    if classes == 10:  # as many as random means were drawn
        table = triangles.table.groupby("dimension")["crossed_gaussian"].mean()
        kept = table[table.index <= max(*codes, 2)]
        ax.plot(kept.index, kept, ":", color="black", marker="_", label="ten random means")
    if 2 in codes:
        bound = 100 * least_crossed_share(classes)
        ax.plot([1.75, 2.3], [bound, bound], color="black", linewidth=2)
        ax.annotate("least possible\nin the plane", (1.76, bound - 2), fontsize=8, va="top")
    ax.set(xscale="log", xlabel="units of the code", ylabel="segments with a third class, %")
    ax.set_xticks(codes, [str(code) for code in codes])
    ax.minorticks_off()
    ax.set_ylim(-2, 102)
    ax.legend(fontsize=8)
    return figure


def obtuse(runs: Runs) -> Figure:
    """How often a random third mean cuts off a pair, drawn and by formula, and of ten means."""
    figure, ax = plt.subplots(figsize=(5.6, 3.2))
    table = runs.table.groupby("dimension").mean(numeric_only=True)
    colours = {"gaussian": ("#0072b2", "o"), "sphere": ("#d55e00", "D")}
    for law, (colour, marker) in colours.items():
        ax.plot(table.index, table[f"{law}_expected"], "-", color=colour)
        shown = table[law].where(table[law] > 0)
        ax.plot(table.index, shown, marker, color=colour, label=f"one third mean, {law}")
    ten = table["crossed_gaussian"].where(table["crossed_gaussian"] > 0)
    ax.plot(table.index, ten, ":", color="black", marker="s", label="eight third means, gaussian")
    ax.set(xscale="log", yscale="log", xlabel="dimension", ylabel="crossed pairs, %")
    ax.set_xticks(list(table.index), [str(int(d)) for d in table.index])
    ax.minorticks_off()
    ax.set_ylim(bottom=1e-3, top=150)
    ax.legend(fontsize=8)
    return figure


def circle(count: int = 10, seed: int = 4) -> Figure:
    """Ten classes on a circle with an empty middle, and a segment with its ball."""
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, count))
    x = np.stack([np.cos(angle), np.sin(angle)], 1)
    crossed = crossed_pairs(torch.tensor(x)).numpy()
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.6))
    ticks = np.linspace(-1.35, 1.35, 400)
    grid = np.stack(np.meshgrid(ticks, ticks), -1)
    cells = np.linalg.norm(grid[:, :, None] - x, axis=-1).argmin(-1)
    for ax in (left, right):
        ax.contour(
            ticks, ticks, cells, levels=np.arange(count) + 0.5, colors="#999999", linewidths=0.7
        )
        ax.scatter(*x.T, color="black", zorder=3, s=22)
        ax.set(xticks=[], yticks=[], aspect="equal")
        ax.spines[:].set_visible(False)
        ax.grid(False)
    for a in range(count):
        for b in range(a + 1, count):
            style = (
                {"color": "#d55e00", "linewidth": 0.6}
                if crossed[a, b]
                else {"color": "#0072b2", "linewidth": 2.2}
            )
            left.plot(*x[[a, b]].T, **style)
    left.set_title("thick: no third class between")
    a, b = 0, 4
    middle, radius = x[[a, b]].mean(0), np.linalg.norm(x[a] - x[b]) / 2
    right.add_patch(plt.Circle(middle, radius, fill=False, linestyle="--", color="#d55e00"))
    right.plot(*x[[a, b]].T, color="#d55e00", linewidth=2)
    for place, name in ((a, "A"), (b, "B")):
        right.annotate(name, x[place], xytext=(6, 4), textcoords="offset points", fontsize=10)
    right.set_title("the ball on AB holds other means")
    return figure


# ------------------------------------------------------------------------------ sphere, flat


def shell(runs: Runs) -> Figure:
    """Radii of mid points, and third classes along segments and along arcs on the shell."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.1))
    places = [(data, layer) for data, layer in SECOND.items()]
    for shift, method in ((-0.15, "none"), (0.15, "manifold")):
        for place, (data, layer) in enumerate(places):
            where = {"data": data, "method": method}
            bar(left, place + shift, values(runs, f"mid_{layer}", **where), look(method))
            filled = look(method)
            bar(right, 2 * place + shift, values(runs, f"own_points_{layer}", **where), filled)
            bar(right, 2 * place + 1 + shift, values(runs, f"arc_points_{layer}", **where), filled)
    left.axhline(np.sqrt(0.5), color="black", linewidth=0.8)
    left.annotate("unrelated directions", (0.5, np.sqrt(0.5)), fontsize=8, va="bottom", ha="center")
    left.set_xticks(range(len(places)), [f"{TITLES[d]}, {layer}" for d, layer in places])
    left.set(ylabel="radius of mid points over that of states", xlim=(-0.6, 1.6))
    names = [f"{TITLES[d]},\n{way}" for d, _ in places for way in ("segments", "arcs")]
    right.set_xticks(range(2 * len(places)), names)
    right.set(ylabel="third class by the network, %")
    right.set_ylim(bottom=0)
    handles, labels = left.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    right.legend(unique.values(), unique.keys(), fontsize=8)
    return figure


def sharing(runs: Runs, critics: Runs) -> Figure:
    """Shared directions by method with floor and ceiling; on digits, against plausible mixes."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2))
    marks = (
        ("overlap", "none", look("none")),
        ("overlap", "manifold", look("manifold")),
        ("overlap_shuffled", "manifold", Look("shuffled labels", "#332288", "v", ":")),
        ("overlap_random", "manifold", Look("random directions", "#8c8c8c", "x", ":")),
    )
    for place, (data, layer) in enumerate(SECOND.items()):
        for shift, (name, method, style) in zip((-0.3, -0.1, 0.1, 0.3), marks, strict=True):
            found = values(runs, f"{name}_{layer}", data=data, method=method)
            bar(left, place + shift, found, style)
    left.set_xticks(range(len(SECOND)), [f"{TITLES[d]}, {layer}" for d, layer in SECOND.items()])
    left.set(ylabel="mean squared cosine")
    left.set_ylim(0, 1.05)
    handles, labels = left.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    left.legend(unique.values(), unique.keys(), fontsize=8, loc="upper center", ncols=2)
    where = {"data": "mnist", "method": "manifold"}
    shared = curves(critics, "overlaps", **where).mean(0)
    good = 100 * curves(critics, "pairs_hidden", **where).mean(0)
    right.scatter(shared, good, s=18, color=look("manifold").colour, marker="D")
    names = [(a, b) for a in range(10) for b in range(a + 1, 10)]
    for index in {
        int(good.argmin()),
        int(good.argmax()),
        int(shared.argmin()),
        int(shared.argmax()),
    }:
        right.annotate(
            "{}-{}".format(*names[index]),
            (shared[index], good[index]),
            xytext=(-4, 3) if shared[index] > shared.mean() else (4, 3),
            ha="right" if shared[index] > shared.mean() else "left",
            textcoords="offset points",
            fontsize=8,
        )
    right.set(xlabel="mean squared cosine of two classes", ylabel="plausible mixes, %")
    return figure
