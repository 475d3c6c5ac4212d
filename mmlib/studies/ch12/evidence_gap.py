"""Which predictions of Parts 3 and 4 came true, from paired values over seeds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from mmlib.evidence import Runs
from mmlib.evidence.statistics import decide_equivalence, decide_order, mean_interval
from mmlib.studies.ch12.gap_cells import cells, compared, theory
from mmlib.studies.ch12.predictions_gap import PREDICTIONS, Prediction
from mmlib.studies.ch12.pressure import ODDS, PARTS

MIN_SEEDS = 5
# Numbers of a look at the pressures, in the order of the recorded arrays.
PRESSED = sorted(
    f"{group}_{part}"
    for group in ("head", "features", "states", "head_rate", "features_rate")
    for part in PARTS
)


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


def summary(runs: Runs) -> pd.DataFrame:
    """Return predicted and measured gap, confidence and risk of mixing, a row for each case."""
    rows = {}
    for row, of in cells(runs):
        for alpha in row["alphas"]:
            wanted, name = theory(row, alpha), f"mixed_{alpha:g}"
            rows[len(row["digits"]), int(row["code"]), alpha] = {
                "s*": wanted.gap,
                "gap": of(f"train_gap_{name}").mean(),
                "its spread": of(f"train_gap_sd_{name}").mean(),
                "test gap": of(f"test_gap_{name}").mean(),
                "plain gap": of("train_gap_plain").mean(),
                "p*": wanted.confidence,
                "confidence": of(f"train_confidence_{name}").mean(),
                "risk floor": wanted.risk,
                "mixed risk": of(f"risk_{name}").mean(),
            }
    table = pd.DataFrame(rows).T
    table.index.names = ["classes", "units", "α"]
    return table


def left_over(runs: Runs) -> pd.DataFrame:
    """Return test NLL and accuracy of mixing beside plain training and smoothing, by case.

    Differences of means over seeds, positive where mixing is better. ``bound`` is the test NLL if
    each right answer had the gap that theory names, and each wrong one as much for another class.
    """
    rows = {}
    for row, of in cells(runs):
        for alpha in row["smooth"] if compared(row) else ():
            wanted, mixed = theory(row, alpha), f"mixed_{alpha:g}"
            error = 1 - of(f"test_accuracy_{mixed}").mean() / 100
            found = {
                "NLL": of(f"test_nll_{mixed}").mean(),
                "bound": wanted.nll + error * wanted.gap,
            }
            for other, title in (("plain", "plain"), (f"smooth_{alpha:g}", "smoothing")):
                for metric, text in (("test_nll", "NLL"), ("test_scaled_nll", "scaled")):
                    better = of(f"{metric}_{other}") - of(f"{metric}_{mixed}")
                    found[f"{text}, over {title}"] = better.mean()
                points = of(f"test_accuracy_{mixed}") - of(f"test_accuracy_{other}")
                found[f"points, over {title}"] = points.mean()
            rows[len(row["digits"]), f"{alpha:g}"] = found
    table = pd.DataFrame(rows).T
    table.index.names = ["classes", "α"]
    return table


def at_the_end(runs: Runs) -> pd.DataFrame:
    """Return curvatures, widths and scores of the networks of Part 4, means over seeds."""
    wanted = {
        "curvature": "curvature",
        "probability": "of probabilities",
        "input_curvature": "from the input",
        "within": "within over total",
        "gap": "gap",
        "test_accuracy": "test accuracy",
        "test_nll": "test NLL",
        "test_scaled_nll": "scaled",
    }
    rows = {}
    for row, of in cells(runs):
        for name in row["members"]:
            rows[row["loss"], name] = {
                title: of(f"{metric}_{name}").mean()
                for metric, title in wanted.items()
                # A squared loss has outputs that are no logits.
                if row["loss"] == "ce" or metric not in ("test_nll", "test_scaled_nll")
            }
    return pd.DataFrame(rows).T[list(wanted.values())]


def rates(runs: Runs) -> pd.DataFrame:
    """Return at the last look the rates at which each part of the loss would change log curvature.

    Means over seeds, a row for each network and loss, a column for each part and group of weights.
    """
    rows = {}
    for row, _ in cells(runs):
        index = [i for i in runs.table.index if runs.table.loc[i, "loss"] == row["loss"]]
        last = np.mean([runs.arrays(i)["pressures"][-1].astype(float) for i in index], axis=0)
        for place, name in enumerate(row["members"]):
            rows[row["loss"], name] = {
                (part, group): last[place, PRESSED.index(f"{group}_rate_{part}")]
                for part in PARTS
                for group in ("head", "features")
            }
    return pd.DataFrame(rows).T


def beyond(runs: Runs) -> pd.DataFrame:
    """Return paired differences of mixing and its controls, averaged over alpha, with intervals.

    Test accuracy in points and NLL after temperature scaling in nats, positive where the first is
    better; 95 % intervals over seeds.
    """
    pairs = (("mixed", "plain"), ("smooth", "plain"), ("mixed", "smooth"))
    rows = {}
    for row, of in cells(runs):
        if not compared(row):
            continue

        def mean(metric: str, kind: str, row: pd.Series = row, of: Callable = of) -> pd.Series:
            names = [kind] if kind == "plain" else [f"{kind}_{a:g}" for a in row["smooth"]]
            return sum(of(f"{metric}_{name}") for name in names) / len(names)

        for first, second in pairs:
            found = {}
            for metric, sign, text in (
                ("test_accuracy", 1, "points"), ("test_scaled_nll", -1, "scaled NLL")
            ):  # fmt: skip
                values = sign * (mean(metric, first) - mean(metric, second)).to_numpy()
                for name, number in zip(("", " low", " high"), mean_interval(values), strict=True):
                    found[text + name] = float(number)
            rows[len(row["digits"]), f"{first} over {second}"] = found
    table = pd.DataFrame(rows).T
    table.index.names = ["classes", "comparison"]
    return table


def smoothing_share(beyond: pd.DataFrame) -> tuple[int, float]:
    """Return the largest number of classes and, there, smoothing's share of mixing's gain.

    In accuracy, from the table of `beyond`; NaN where mixing gains nothing, as a small trial may.
    """
    most = int(beyond.index.get_level_values("classes").max())
    smooth, mixed = (
        float(beyond.loc[(most, f"{way} over plain"), "points"]) for way in ("smooth", "mixed")
    )
    return most, smooth / mixed if mixed else float("nan")


def odds_at(runs: Runs, lam: float) -> dict[str, float]:
    """Return mean log-odds along chords at the code, by network, and ``target``'s own.

    Args:
        runs: of the study of pressures.
        lam: weight of the first end; the nearest one that was recorded is taken.
    """
    place = int(np.argmin(np.abs(ODDS - lam)))
    chosen = runs.table[runs.table["loss"] == "ce"]
    rows = np.mean(
        [runs.arrays(i)["odds"][:, 0, place].astype(float) for i in chosen.index], axis=0
    )
    names = chosen["members"].iloc[0]
    found = {name: float(value) for name, value in zip(names, rows, strict=True)}
    return found | {"target": float(np.log(ODDS[place] / (1 - ODDS[place])))}
