"""Chapter 10: what the page shows beside its verdicts."""

from __future__ import annotations

import pandas as pd

from mmlib.evidence import Runs, paired
from mmlib.evidence.statistics import mean_interval
from mmlib.studies.ch10.spiral import by_method

MEASURES = {
    "ratio": "second over first singular value",
    "white": "the same, whitened",
    "rank": "effective rank",
    "within": "within over total variance",
    "towards": "within over total, towards the other class",
    "conflict": "excess of mixes, nats",
}


def comparisons(runs: Runs, other: str = "none") -> pd.DataFrame:
    """Return how much lower each measure is with Manifold Mixup than with another method.

    A row for each alpha and measure: mean over seeds of the paired difference (positive: Manifold
    Mixup is lower), its 95 % interval and the number of seeds.
    """
    table, rows = by_method(runs), []
    for alpha in sorted(set(table["alpha"])):
        for key, name in MEASURES.items():
            found = paired(
                table,
                key,
                better={"method": "manifold", "alpha": alpha},
                worse={"method": other, "alpha": alpha},
                lower_is_better=True,
            )
            mean, low, high = map(float, mean_interval(found.values))
            values = {"lower by": mean, "from": low, "to": high, "seeds": len(found.values)}
            rows.append({"alpha": alpha, "measure": name} | values)
    return pd.DataFrame(rows).set_index(["alpha", "measure"]).round(3)


def networks(runs: Runs) -> pd.DataFrame:
    """Return measures of the code by network and method, means over seeds."""
    table = by_method(runs)
    rows = table.groupby(["before", "after", "width", "method"], sort=False)
    keys = ["ratio", "white", "towards", "conflict", "accuracy"]
    found = rows[keys].mean().unstack("method").swaplevel(axis=1)
    return found.reindex(columns=[(m, key) for key in keys for m in ("none", "manifold")]).round(3)


def moving_means(
    runs: Runs, classes: int, dim: int, way: str = "mixed", noise: float = 0.0
) -> pd.Series:
    """Return the metrics of moving points in one cell, means over seeds.

    Raises:
        ValueError: there is no such cell.
    """
    table = runs.table
    chosen = table[
        (table["classes"] == classes)
        & (table["dim"] == dim)
        & (table["way"] == way)
        & (table["noise"] == noise)
    ]
    if chosen.empty:
        raise ValueError(
            f"expected a cell of {runs.study.name}, but got {classes, dim, way, noise}"
        )
    return chosen.mean(numeric_only=True)
