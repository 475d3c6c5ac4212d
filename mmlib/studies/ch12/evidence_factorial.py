"""What the factorial of chapter 12 says about its hypotheses and claims."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from mmlib.evidence import Runs, components
from mmlib.evidence.findings import Components, Paired
from mmlib.evidence.statistics import LEVEL, mean_interval
from mmlib.studies.ch12.arms import ARMS
from mmlib.studies.ch12.followup import FOLLOWUP
from mmlib.studies.ch12.grids_factorial import DIGITS, PHOTOS, SQUARED, TITLES
from mmlib.studies.ch12.hypotheses import ALIKE, HYPOTHESES, OUTCOMES, Prediction

ALL_ARMS = ARMS | FOLLOWUP


def by_arm(runs: Runs, metric: str) -> pd.DataFrame:
    """Return a metric by seed (rows) and arm (columns)."""
    table = runs.table.pivot(index="seed", columns="arm", values=metric)
    return table[[name for name in ALL_ARMS if name in table]]


def oriented(runs: Runs, outcome: str) -> pd.DataFrame:
    """Return an outcome by seed and arm, more being better (see `OUTCOMES`)."""
    sign, logarithm, _ = OUTCOMES[outcome]
    values = by_arm(runs, outcome)
    return sign * (np.log(values) if logarithm else values)


def gains(runs: Runs, outcome: str = "accuracy") -> pd.DataFrame:
    """Return what each arm gains over plain training, by seed."""
    values = oriented(runs, outcome)
    return values.sub(values["none"], axis=0).drop(columns="none")


def statistic(prediction: Prediction, runs: Runs, outcome: str) -> np.ndarray:
    """Return the sum of a prediction for each seed; empty where an arm was not run."""
    values = oriented(runs, prediction.outcome or outcome)
    if not {name for name, _ in prediction.weights} <= set(values):
        return np.zeros(0)
    total = sum(weight * values[name] for name, weight in prediction.weights)
    return total.dropna().to_numpy(dtype=float)


def chances(values: np.ndarray, sign: int, margin: float = 0.0) -> tuple[float, float]:
    """Return one-sided p values, against the opposite of a prediction and against itself.

    Small is evidence: the first for the prediction, the second that it is wrong. A predicted sign
    is tested by Student's t, smallness by two one-sided tests against the margin.

    Example:
        >>> for_it, against = chances(np.array([1.0, 2.0, 3.0]), 1)
        >>> round(for_it, 3), round(against, 3)
        (0.037, 0.963)
    """
    if len(values) < 2 or np.ptp(values) == 0:
        return float("nan"), float("nan")

    def above(level: float) -> float:
        return float(stats.ttest_1samp(values, level, alternative="greater").pvalue)

    if sign:
        return (above(0), 1 - above(0)) if sign > 0 else (1 - above(0), above(0))
    return max(above(-margin), 1 - above(margin)), min(above(margin), 1 - above(-margin))


def holm(p: np.ndarray) -> np.ndarray:
    """Return Holm's adjusted p values: the chance of any false decision stays below a level.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
        [0.03, 0.06, 0.06]
    """
    found = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    steps = p[order] * np.arange(len(p), len(p) - len(order), -1)
    found[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return found


def predictions(runs: Mapping[str, Runs], outcome: str = "accuracy") -> pd.DataFrame:
    """Return each prediction with what was measured and the decision.

    Decisions are "as predicted", "against", "open" and "no gain".
    A prediction that needs a gain of its reference is decided only where the 95 % interval of that
    gain lies above zero. All p values of the table are adjusted together.

    Args:
        runs: by set-up.
        outcome: of the predictions that name none.
    """
    rows = []
    for name, hypothesis in HYPOTHESES.items():
        for prediction in hypothesis.predictions:
            for setup in prediction.setups:
                rows.append(_row(name, prediction, setup, runs[setup], outcome))
    table = pd.DataFrame(rows)
    table["p"] = holm(2 * table[["for", "against"]].min(axis=1, skipna=False).to_numpy())
    table["decision"] = [_decision(row) for row in table.to_dict("records")]
    return table


def _row(name: str, prediction: Prediction, setup: str, runs: Runs, outcome: str) -> dict:
    values = statistic(prediction, runs, outcome)
    margin = ALIKE[setup] if prediction.margin is None else prediction.margin
    mean, low, high = mean_interval(values) if len(values) else (np.nan,) * 3
    for_it, against = chances(values, prediction.sign, margin)
    gain = True
    if prediction.reference is not None and len(values):
        gain = mean_interval(gains(runs, outcome)[prediction.reference].to_numpy())[1] > 0
    return {
        "hypothesis": name,
        "prediction": prediction.words,
        "setup": setup,
        "predicted": {1: "above 0", -1: "below 0", 0: f"within {margin:g}"}[prediction.sign],
        "mean": float(mean),
        "low": float(low),
        "high": float(high),
        "gain": bool(gain),
        "for": for_it,
        "against": against,
    }


def _decision(row: dict) -> str:
    if not row["gain"]:
        return "no gain"
    if not row["p"] < LEVEL:
        return "open"
    return "as predicted" if row["for"] < row["against"] else "against"


def survivors(table: pd.DataFrame) -> pd.DataFrame:
    """Return for each hypothesis and set-up whether it survives its predictions.

    ``refuted``: one prediction fails (all, for a hypothesis that needs only one to hold).
    ``survives``: all hold (one, for such a hypothesis). ``open``: neither. The last column takes
    the set-ups together: refuted in one is refuted, survives in all is survives.
    """
    rows = {}
    for name, hypothesis in HYPOTHESES.items():
        mine = table[table["hypothesis"] == name]
        found = {
            setup: _survives(set(group["decision"]), hypothesis.enough)
            for setup, group in mine.groupby("setup", sort=False)
        }
        seen = set(found.values())
        whole = "refuted" if "refuted" in seen else "open" if "open" in seen else "survives"
        rows[f"{name} {hypothesis.name}"] = {
            **{TITLES[setup]: found.get(setup, "") for setup in TITLES},
            "together": whole,
        }
    return pd.DataFrame(rows).T


def _survives(decisions: set[str], enough: bool) -> str:
    if enough:
        if "as predicted" in decisions:
            return "survives"
        return "refuted" if decisions == {"against"} else "open"
    if "against" in decisions:
        return "refuted"
    return "survives" if decisions == {"as predicted"} else "open"


# ------------------------------------------------------------------------------ claims


def difference(runs: Runs, metric: str, first: str, second: str, logarithm: bool = False) -> Paired:
    """Return first - second by seed, for a claim that it is positive."""
    values = by_arm(runs, metric)
    values = np.log(values) if logarithm else values
    return Paired(tuple(map(float, values[first] - values[second])))


@DIGITS.evidence("CHO-works", also=(PHOTOS,))
def _works(digits: Runs, photos: Runs) -> Components:
    return components(
        {
            f"{words}, {place}": difference(runs, "accuracy", arm, "none")
            for words, runs in (("MNIST", digits), ("CIFAR-10", photos))
            for arm, place in (("manifold", "random layer"), ("last", "before the affine head"))
        }
    )


def with_and_without(digits: Runs, squared: Runs, photos: Runs) -> dict[str, tuple[Runs, str, str]]:
    """Return pairs of arms that differ by the unusual terms alone."""
    return {
        "squared error, before the affine head": (squared, "last", "usual_last"),
        "squared error, block 2": (squared, "deep", "no_cross_deep"),
        "cross-entropy, before the affine head": (digits, "last", "no_cross_last"),
        "cross-entropy, block 2": (digits, "deep", "no_cross_deep"),
        "CIFAR-10, block 2": (photos, "deep", "no_cross_deep"),
    }


@DIGITS.evidence("CHO-mystery", also=(SQUARED, PHOTOS))
def _mystery(digits: Runs, squared: Runs, photos: Runs) -> Components:
    pairs = with_and_without(digits, squared, photos)
    return components(
        {
            words: difference(runs, "accuracy", whole, without)
            for words, (runs, whole, without) in pairs.items()
        }
    )


@DIGITS.evidence("CHO-flattenterms", also=(SQUARED, PHOTOS))
def _flattening(digits: Runs, squared: Runs, photos: Runs) -> Components:
    pairs = with_and_without(digits, squared, photos)
    return components(
        {
            words: difference(runs, "within", without, whole, logarithm=True)
            for words, (runs, whole, without) in pairs.items()
        }
    )


@DIGITS.evidence("CHO-explicit", also=(PHOTOS,))
def _explicit(digits: Runs, photos: Runs) -> Components:
    parts: dict[str, Paired] = {}
    for runs, kinds, place in (
        (digits, ("decoded", "smooth", "linear"), ""),
        (photos, ("decoded",), ", photos"),
    ):
        for kind in kinds:
            arm = f"{kind}_strong"
            parts[f"{kind}{place}, flatter"] = difference(
                runs, "noise_change", "manifold", arm, logarithm=True
            )
            parts[f"{kind}{place}, accuracy"] = difference(runs, "accuracy", arm, "manifold")
    return components(parts)
