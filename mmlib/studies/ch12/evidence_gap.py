"""Which predictions of Parts 3 and 4 came true, from paired values over seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mmlib.evidence import Runs
from mmlib.evidence.statistics import decide_equivalence, decide_order, mean_interval
from mmlib.studies.ch12.predictions_gap import PREDICTIONS, Prediction

MIN_SEEDS = 5


def decided(prediction: Prediction, runs: Runs) -> pd.DataFrame:
    """Return mean, 95 % interval and decision of each case: 1 for, -1 against, 0 open."""
    rows = {}
    for case, values in prediction.values(runs).items():
        numbers = values.to_numpy(dtype=float)
        mean, low, high = (float(one) for one in mean_interval(numbers))
        decide = decide_equivalence if prediction.kind == "same" else decide_order
        enough = len(numbers) >= MIN_SEEDS
        decision = int(decide(numbers, margin=prediction.margin)) if enough else None
        rows[case] = {"mean": mean, "low": low, "high": high, "decision": decision}
    return pd.DataFrame(rows, index=["mean", "low", "high", "decision"]).T


def held(decisions: pd.Series) -> str:
    """Return in words whether a prediction came true in all its cases.

    Example:
        >>> held(pd.Series([1, 1])), held(pd.Series([1, 0, -1])), held(pd.Series([None]))
        ('yes', '1 of 3, against 1', 'too few seeds')
    """
    if not len(decisions):
        return "no case"
    if decisions.isna().any():
        return "too few seeds"
    good, bad = int((decisions == 1).sum()), int((decisions == -1).sum())
    if good == len(decisions):
        return "yes"
    if bad == len(decisions):
        return "no"
    return f"{good} of {len(decisions)}" + (f", against {bad}" if bad else "")


def table(*collected: Runs) -> pd.DataFrame:
    """Return prediction, measured and whether it holds, for the studies that are handed over.

    ``least`` and ``most`` are the extreme means over cases, of the value that is compared with
    ``margin``.
    """
    by_name = {runs.study.name: runs for runs in collected}
    rows = {}
    for one in PREDICTIONS:
        if one.study in by_name:
            found = decided(one, by_name[one.study])
            rows[one.id] = {
                "prediction": one.says,
                "cases": len(found),
                "least": found["mean"].min() if len(found) else np.nan,
                "most": found["mean"].max() if len(found) else np.nan,
                "wanted": f"|x| < {one.margin:.3g}" if one.kind == "same" else f"> {one.margin:g}",
                "holds": held(found["decision"]),
            }
    return pd.DataFrame(rows).T
