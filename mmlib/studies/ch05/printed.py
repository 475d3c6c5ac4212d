"""Chapter 05: what the texts print, compared with itself, and the definitions under its tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from mmlib.evidence import published
from mmlib.measures import DEFORMATIONS, deform

METHODS = ("none", "input", "input_2", "manifold")  # the four columns of the tables
TABLES = {
    "v1 Table 3": "manifold_mixup_v1_table3_deformations",
    "v1 Table 7": "manifold_mixup_v1_table7_deformations",
    "ICML Table 9": "manifold_mixup_icml_table9_deformations",
}


def printed_rows(table: str = "v1 Table 7") -> pd.DataFrame:
    """Return a printed table in percent: a row per deformation, a column per method.

    Args:
        table: a key of `TABLES`.

    Example:
        >>> printed_rows().loc["shearing_171.9"].tolist()
        [22.38, 25.53, 25.27, 28.02]
        >>> len(printed_rows("v1 Table 3"))
        7
    """
    cells = published(TABLES[table])
    names = {("no_mixup", ""): "none", ("input_mixup", "1"): "input"}
    names |= {("input_mixup", "2"): "input_2", ("manifold_mixup", "2"): "manifold"}
    alphas = ["" if alpha != alpha else f"{alpha:g}" for alpha in cells["alpha"]]
    cells["column"] = [names[key] for key in zip(cells["method"], alphas, strict=True)]
    parameters = cells["parameter"].astype(float)
    cells["row"] = [f"{k}_{p:g}" for k, p in zip(cells["deformation"], parameters, strict=True)]
    found = cells.pivot(index="row", columns="column", values="value").astype(float)
    order = [one.name for one in DEFORMATIONS if one.name in found.index]
    return found.loc[order, list(METHODS)]


def rows_led(accuracies: pd.DataFrame, method: str = "manifold") -> pd.Series:
    """Return for each row whether a method is strictly the best of all columns.

    Example:
        >>> int(rows_led(printed_rows()).sum())
        13
    """
    return accuracies.drop(columns=method).max(axis=1) < accuracies[method]


def compare_tables(settings: dict, seed: int) -> dict:
    """Compare two printed tables cell by cell, in the rows of the smaller one.

    Metrics: ``rows`` and ``cells`` that are compared, ``gap`` the largest difference (points),
    ``control`` the same after 0.01 is added to one cell drawn by chance.
    """
    small, large = (printed_rows(name) for name in settings["tables"])
    other = large.reindex(small.index)  # a row that is absent gives NaN, and so no verdict
    planted = small.to_numpy().copy()
    planted.flat[int(np.random.default_rng(seed).integers(planted.size))] += 0.01
    return {
        "rows": len(small),
        "cells": small.size,
        "gap": float(np.abs(small.to_numpy() - other.to_numpy()).max()),
        "control": float(np.abs(planted - other.to_numpy()).max()),
    }


def box_by_hand(image: np.ndarray, percent: float) -> np.ndarray:
    """Return what the caption of Table 7 says, pixel by pixel: a box of k % of each side, resized.

    The image covers the square from 0 to its side s, pixel i the strip from i to i + 1. The box
    lies in the middle and is k s / 100 wide; an output pixel shows the colour at the place of its
    middle in the box, bilinear between the middles of pixels, black outside the image.

    Args:
        image: ``(s, s)`` grey values.
        percent: k, below 100 to zoom in and above to zoom out.
    """
    side = len(image)
    width = side * percent / 100
    left = (side - width) / 2
    middles = np.arange(side) + 0.5
    result = np.zeros_like(image)
    for i in range(side):
        for j in range(side):
            down, right = (left + width * (k + 0.5) / side for k in (i, j))
            weights = np.outer(
                np.clip(1 - np.abs(middles - down), 0, None),
                np.clip(1 - np.abs(middles - right), 0, None),
            )
            result[i, j] = (weights * image).sum()
    return result


def zooms_by_hand(settings: dict, seed: int) -> dict:
    """Compare the library's zooms with the caption of Table 7, on a random image.

    Metrics: the largest difference of a pixel, ``zoom_in_error`` and ``zoom_out_error`` over the
    printed k, and ``identity_error`` at 100 %; ``..._control``: the smallest one if k were a share
    of the area, not of the side, and at 99 % in place of 100 %.
    """
    image = np.random.default_rng(seed).random((settings["side"],) * 2)
    x = torch.from_numpy(image).float()[None, None]

    def gap(percent: float, said: float) -> float:
        kind = "zoom_in" if percent <= 100 else "zoom_out"
        ours = deform(x, kind, torch.tensor([percent]), "text")[0, 0].numpy()
        return float(np.abs(ours - box_by_hand(image, said)).max())

    metrics = {"identity_error": gap(100.0, 100.0), "identity_control": gap(99.0, 100.0)}
    for kind in ("zoom_in", "zoom_out"):
        ks = [float(one.strength) for one in DEFORMATIONS if one.kind == kind]
        metrics[f"{kind}_error"] = max(gap(k, k) for k in ks)
        metrics[f"{kind}_control"] = min(gap(k, 10 * k**0.5) for k in ks)
    return metrics


def band_means(rows: pd.Series) -> pd.DataFrame:
    """Return the accuracy in each band of angles between two printed ranges of shearing.

    If accuracy depends on the angle alone and angles are uniform in (-p, p), the row of p is the
    mean of a(|s|) over 0 to p. So ``(p2 A(p2) - p1 A(p1)) / (p2 - p1)`` is the mean over p1 to p2.

    Args:
        rows: accuracy by name of the row, e.g. a column of `printed_rows`.

    Returns:
        columns ``low``, ``high`` (degrees) and ``accuracy`` (in the unit of `rows`).

    Example:
        >>> bands = band_means(printed_rows()["none"])
        >>> bands["accuracy"].round(1).tolist()
        [55.9, 15.5, 3.5, 9.5, 46.5]
    """
    found, low, total = [], 0.0, 0.0
    for one in DEFORMATIONS:
        if one.kind == "shearing":
            high, sum_to_high = one.strength, one.strength * rows[one.name]
            found.append((low, high, (sum_to_high - total) / (high - low)))
            low, total = high, sum_to_high
    return pd.DataFrame(found, columns=["low", "high", "accuracy"])
