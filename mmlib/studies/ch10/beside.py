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
