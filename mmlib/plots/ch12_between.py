"""Figure of chapter 12: the middle between hidden states, while networks train and at the end."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from mmlib.evidence import Runs, per_seed
from mmlib.plots import curve, points
from mmlib.studies.ch12.between import METHODS

_ROWS = {
    "empty": "empty: middles of two classes",
    "empty_own": "empty: middles of one class",
    "third": "nearest to a third class",
}


def middles(runs: Runs) -> Figure:
    """How far middles are from what they will mean in the end, and what they are like there.

    Args:
        runs: of `mmlib.studies.ch12.between.BETWEEN`.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 2.9), width_ratios=(1, 1.1))
    arrays = [runs.arrays(index) for index in runs.table.index]
    for method in METHODS:
        # After the last epoch nothing differs, by definition.
        shares = 100 * np.stack([one[f"changed_{method}"][:-1] for one in arrays])
        curve(left, np.arange(shares.shape[1]), shares, method, every=4)
    left.set(xlabel="epoch", ylabel="% of pairs", ylim=(0, None))
    left.set_title("nearest class differs from the last one")
    left.legend(fontsize=8)
    for row, name in enumerate(_ROWS):
        for side, method in zip((-0.15, 0.15), METHODS, strict=True):
            values = 100 * per_seed(runs.table, f"{name}_{method}")
            points(right, row + side, values, method, vertical=False)
    right.set_yticks(range(len(_ROWS)), list(_ROWS.values()))
    right.invert_yaxis()
    right.set(xlabel="% of pairs", xlim=(-3, 103))
    right.set_title("at the end")
    return figure
