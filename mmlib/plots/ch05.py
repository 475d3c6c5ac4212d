"""Figures of chapter 05."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from mmlib.evidence import Runs
from mmlib.measures import DEFORMATIONS, deform, mirror_probability
from mmlib.plots import image_grid, interval, look
from mmlib.studies.ch05.evidence import band_samples, shearing_samples
from mmlib.studies.ch05.experiments import BANDS, WIDEST
from mmlib.studies.ch05.printed import METHODS, printed_rows

# How each reading of shearing is drawn; readings are no methods.
READING_LOOKS = {
    "text": ("the text: tangent", "#d55e00", "o", "-"),
    "released": ("the code: mirrors", "#0072b2", "s", "-"),
    "unmirrored": ("the code, not mirrored", "#56b4e9", "^", "--"),
    "linear": ("x + s y: no return", "#4d4d4d", "x", ":"),
}
_KINDS = {
    "rotation": "rotation ±{:g}°",
    "shearing": "shearing ±{:g}°",
    "zoom_in": "zoom in {:g} %",
    "zoom_out": "zoom out {:g} %",
}
ROW_LABELS = {one.name: _KINDS[one.kind].format(one.strength) for one in DEFORMATIONS}
_SHEARINGS = tuple(one.strength for one in DEFORMATIONS if one.kind == "shearing")


def _shown(images: Tensor) -> np.ndarray:
    """(N, C, H, W) in [0, 1] as (N, H, W, 3)."""
    return images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).clamp(0, 1).numpy()


def examples(images: Tensor, mean: Sequence[float], cases: Sequence[tuple[str, float]]) -> Figure:
    """One image per column, deformed as the text has it and as the code does.

    Args:
        images: (N, C, H, W) bytes or floats in [0, 1], one per case.
        mean: colour with which the code fills.
        cases: kind of deformation and its amount, in degrees or %.
    """
    plain = images.float() / 255 if images.dtype == torch.uint8 else images
    rows = {"image": plain}
    for name, variant in (("the text", "text"), ("the code", "released")):
        fill = None if variant == "text" else mean
        rows[name] = torch.cat(
            [
                deform(plain[[i]], kind, torch.tensor([amount]), variant, fill=fill)
                for i, (kind, amount) in enumerate(cases)
            ]
        )
    titles = [_title(kind, amount) for kind, amount in cases]
    grid = np.stack([_shown(row) for row in rows.values()])
    return image_grid(grid, rows=list(rows), columns=titles)


def _title(kind: str, amount: float) -> str:
    return _KINDS[kind].format(amount).replace("±", "").replace(" ", "\n", 1)


def shear_angles(image: Tensor, mean: Sequence[float], angles: Sequence[float]) -> Figure:
    """One image sheared by several angles (columns, degrees) under each reading (rows).

    Args:
        image: (C, H, W) bytes or floats in [0, 1].
        mean: colour with which the code fills.
        angles: in degrees.
    """
    batch = image[None].expand(len(angles), -1, -1, -1)
    drawn = torch.tensor(angles, dtype=torch.float64)
    grid = [
        _shown(deform(batch, "shearing", drawn, reading, fill=None if plain else mean))
        for reading, plain in (
            ("text", True),
            ("released", False),
            ("unmirrored", False),
            ("linear", True),
        )
    ]
    names = [label for label, *_ in READING_LOOKS.values()]
    return image_grid(np.stack(grid), rows=names, columns=[f"{angle:g}°" for angle in angles])


def printed_shearing() -> Figure:
    """The printed rows of shearing against the largest angle, and how often the code mirrors."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.0, 2.9))
    printed = printed_rows().iloc[4:9]
    for method in METHODS:
        label, colour, marker, line = look(method)
        left.plot(_SHEARINGS, printed[method], line, color=colour, marker=marker, label=label)
    left.set(xlabel="largest angle p, degrees", ylabel="accuracy, %", ylim=(0, None))
    left.set_title("printed: CIFAR-100")
    left.legend(fontsize=8)
    p = np.linspace(1, 180, 300)
    right.plot(p, [mirror_probability(one) for one in p], color="black", linewidth=1)
    right.plot(_SHEARINGS, [mirror_probability(one) for one in _SHEARINGS], "s", color="#0072b2")
    right.axvline(90, color="black", linewidth=0.8, linestyle=":")
    right.set(xlabel="largest angle p, degrees", ylabel="share", title="images that are mirrored")
    return figure


def shear_readings(runs: Runs) -> Figure:
    """Our accuracy under the readings of shearing: by row of the table, and by angle."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.0, 3.1), sharey=True)
    middles = (np.arange(BANDS) + 0.5) * WIDEST / BANDS
    for reading in READING_LOOKS:
        _line(left, _SHEARINGS, shearing_samples(runs, reading), reading)
        _line(right, middles, band_samples(runs, reading), reading)
    left.set(xlabel="largest angle p, degrees", ylabel="accuracy, %", title="rows of the table")
    right.set(xlabel="angle without its sign, degrees", title="by angle, p = 171.9°")
    right.axvline(90, color="black", linewidth=0.8, linestyle=":")
    left.set_ylim(0, None)
    left.legend(fontsize=8)
    return figure


def _line(ax: Axes, x: Sequence[float], samples: np.ndarray, reading: str) -> None:
    label, colour, marker, line = READING_LOOKS[reading]
    mean, half = interval(samples)
    ax.plot(x, mean, line, color=colour, marker=marker, label=label)
    ax.fill_between(x, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)


def tables(columns: Mapping[str, pd.DataFrame]) -> Figure:
    """Tables side by side as heat maps, the best method of each row in a frame.

    Args:
        columns: title -> accuracy in %, 17 rows by four methods; shades are per table.
    """
    figure, axes = plt.subplots(
        1, len(columns), figsize=(2.55 * len(columns) + 1.2, 5.0), sharey=True, squeeze=False
    )
    for ax, (title, table) in zip(axes[0], columns.items(), strict=True):
        values = table.to_numpy()
        ax.imshow(values, cmap="Blues", aspect="auto", vmin=0, vmax=1.25 * np.nanmax(values))
        best = values.argmax(1)
        for row, column in np.ndindex(*values.shape):
            leads = column == best[row]
            ax.text(
                column, row, f"{values[row, column]:.1f}", ha="center", va="center", fontsize=7.5,
                weight="bold" if leads else "normal",
            )  # fmt: skip
            if leads:
                ours = table.columns[column] == "manifold"
                edge = look("manifold").colour if ours else "black"
                box = plt.Rectangle((column - 0.47, row - 0.45), 0.94, 0.9)
                box.set(fill=False, edgecolor=edge, linewidth=1.4)
                ax.add_patch(box)
        for edge in (3.5, 8.5, 12.5):
            ax.axhline(edge, color="white", linewidth=2.5, zorder=0.5)
        names = ["none", "input", "input\nα = 2", "manifold"]
        ax.set_xticks(range(len(names)), names, fontsize=8)
        ax.set_title(title)
        ax.grid(False)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    axes[0, 0].set_yticks(range(len(ROW_LABELS)), list(ROW_LABELS.values()))
    return figure
