"""Figures of chapter 07: games on digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mmlib.evidence import Runs
from mmlib.plots import curve, image_grid


def _cell_name(row: Mapping) -> str:
    """The variant, where it mixes if that is not the input, and the kind of row of Table 6."""
    parts = [row["variant"], row.get("where"), row.get("row")]
    return ", ".join(part for part in parts if isinstance(part, str) and part != "input")


def image_table(runs: Runs, columns: Sequence[str]) -> pd.DataFrame:
    """Mean and standard deviation over seeds of some metrics, a row per cell."""
    table = runs.table.assign(cell=[_cell_name(row) for row in runs.table.to_dict("records")])
    found = table.groupby("cell", sort=False)[list(columns)].agg(["mean", "std"])
    found.columns = [f"{name} {what}" for name, what in found.columns]
    return found


def drawn(runs: Runs, count: int = 12) -> Figure:
    """Images of the same latent vectors at the end of the first seed's games; rows are cells."""
    first = runs.table[runs.table["seed"] == runs.table["seed"].min()]
    rows = [_cell_name(row) for row in first.to_dict("records")]
    images = np.stack([runs.arrays(index)["samples"][:count] for index in first.index])
    return image_grid(images / 255, rows=rows, size=0.62)


def image_curves(runs: Runs, score: str = "frechet") -> Figure:
    """The score against the update, and the discriminator's output against the realness."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.1))
    cells: dict[str, list] = {}
    for index, row in zip(runs.table.index, runs.table.to_dict("records"), strict=True):
        cells.setdefault(_cell_name(row), []).append(runs.arrays(index))
    for name, arrays in cells.items():
        base, _, where = name.partition(", ")
        updates = arrays[0]["update"]
        style = f"{base}_all" if where == "all" else base
        curve(left, updates, np.stack([one[score] for one in arrays]), style, label=name, every=1)
        along = np.stack([one["along"] for one in arrays])
        curve(right, np.linspace(0, 1, along.shape[1]), along, style, label=name, every=5)
    left.set(xlabel="update", ylabel="Fréchet distance", yscale="log")
    right.set(xlabel="weight of the real image", ylabel="mean discriminator output")
    left.legend(fontsize=7)
    return figure
