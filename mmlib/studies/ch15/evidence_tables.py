"""What printed cells, distances, tables and generated data say about the claims of chapter 15."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mmlib.evidence import Runs, components, errors, exact, per_seed, sample
from mmlib.evidence.findings import Components, Errors, Exact, Paired, Sample
from mmlib.studies.ch15 import distances, printed, tables
from mmlib.studies.ch15.grids_tables import DIMENSION, DISTANCES, PRINTED, UCI

TRIALS = 10  # stated for the tables


def differences(values: pd.Series | np.ndarray) -> Paired:
    """Return differences over seeds for a claim that they are positive."""
    return Paired(tuple(map(float, values)))


# ------------------------------------------------------------------------------ printed cells


def _cell(runs: Runs, table: str, metric: str) -> float:
    return float(per_seed(runs.table, metric, {"table": table}).iloc[0])


@PRINTED.evidence("KM-F6a-high")
def _caption(runs: Runs) -> Exact:
    return exact(round(_cell(runs, "cifar10", "last"), 6), "1.2")


def _best(runs: Runs, table: str, cells: dict[str, str]) -> dict[str, Exact]:
    """Return the best cells of a table beside what the claim says, by the names of the rule."""
    metrics = {"best, k > 1": "best", "best, k = 1": "one", "gap": "gap", "k": "best_k"}
    metrics |= {"alpha": "best_alpha", "gap at alpha 10": "last"}
    return {
        name: exact(round(_cell(runs, table, metrics[name]), 6), text)
        for name, text in cells.items()
    }


@PRINTED.evidence("KM-F8-c100")
def _cifar100(runs: Runs) -> Components:
    said = {"best, k > 1": "78.41", "best, k = 1": "77.88", "gap": "0.53", "k": "2", "alpha": "1"}
    return components(_best(runs, "cifar100", said | {"gap at alpha 10": "2.02"}))


@PRINTED.evidence("KM-F8-svhn")
def _svhn(runs: Runs) -> Components:
    said = {"best, k > 1": "97.29", "best, k = 1": "97.17", "gap": "0.12", "k": "2", "alpha": "1"}
    return components(_best(runs, "svhn", said))


@PRINTED.evidence("KM-F8-all")
def _best_is_above_one(runs: Runs) -> Components:
    return components(
        {
            printed.TABLES[name][1]: errors(
                _cell(runs, name, "outside"), _cell(runs, name, "outside_control")
            )
            for name in ("cifar100", "svhn")
        }
    )


# ------------------------------------------------------------------------------ distances


def by_k(runs: Runs, data: str, pad: int) -> pd.DataFrame:
    """Return squared match lengths of two independent draws, one row a seed, one column a k."""
    where = {"images": data, "pad": pad, "side": None}
    size = max(c for c in runs.table["batches"].iloc[0])
    return pd.DataFrame(
        {k: per_seed(runs.table, f"standard_two{size}_{k}", where) for k in distances.KS}
    )


def _distance(runs: Runs, data: str, pad: int, count: str) -> Components:
    lengths, grid = by_k(runs, data, pad), printed.grid(printed.DISTANCES[data])
    first, last = distances.KS[0], distances.KS[-1]
    ours = np.log(lengths[first] / lengths[last])
    theirs = float(np.log(grid.loc[first, 1.0] / grid.loc[last, 1.0]))
    parts: dict[str, object] = {
        "exceptions in print": exact(len(printed.rises(grid)), count),
        f"fall from k = {first} to {last}": Paired(tuple(ours - theirs), oriented=False),
    }
    for k in distances.KS[1:]:
        fall = 1 - lengths[k] / lengths[k // 2]
        parts[f"k = {k // 2} to {k}"] = sample(fall)
    return components(parts)


@DISTANCES.evidence("KM-F5b")
def _digits(runs: Runs) -> Components:
    return _distance(runs, "mnist", 0, "1")


@DISTANCES.evidence("KM-F6b")
def _photos(runs: Runs) -> Components:
    return _distance(runs, "cifar10", 4, "2")


@DISTANCES.evidence("KM-F5b-factor")
def _factor(runs: Runs) -> Components:
    others = [law for law in distances.LAWS if law != "nearer"]
    parts: dict[str, object] = {
        name: errors(
            distances.largest_residual(data, "nearer"),
            [distances.largest_residual(data, law) for law in others],
        )
        for data, name in (("mnist", "MNIST"), ("cifar10", "CIFAR-10"))
    }
    for data, text, product in (("mnist", "7.40", "0.617"), ("cifar10", "3363.6", "280.3")):
        cell = printed.grid(printed.DISTANCES[data]).loc[1, 1.0]
        parts[f"12 x {product}"] = exact(
            round(float(cell) / distances.factor("nearer", 1.0), 6), text
        )
    return components(parts)


# ------------------------------------------------------------------------------ tables


def trials(runs: Runs, name: str) -> pd.DataFrame:
    """Return test accuracies of a table, one row a trial, one column a k (0: no mixing)."""
    return tables.accuracies(runs.table, name)


def _printed_number(runs: Runs, name: str, k: int) -> Sample:
    digits = dict(zip(printed.uci(name).index, printed.digits(name), strict=True))
    values = trials(runs, name)
    ours = values[k] if k in values else pd.Series(np.nan, values.index)
    return sample(ours, printed=digits[k], n_trials=TRIALS)


def _named(k: int) -> str:
    return f"k = {k}" if k else "no mixup"


@UCI.evidence("KM-F4-iris")
def _iris(runs: Runs) -> Components:
    return components({_named(k): _printed_number(runs, "iris", k) for k in (0, 1, 5, 10)})


@UCI.evidence("KM-F4-bcw")
def _breast_cancer(runs: Runs) -> Components:
    return components({_named(k): _printed_number(runs, "breast_cancer", k) for k in (0, 1, 8)})


@UCI.evidence("KM-F4-other")
def _other(runs: Runs) -> Components:
    best = {"abalone": 8, "arrhythmia": 2, "htru2": 8, "phishing": 8}
    return components(
        {
            f"{printed.UCI[name][0]}, k = {k}": _printed_number(runs, name, k)
            for name, k in best.items()
        }
    )


def not_improved(worst: bool = False) -> int:
    """Return in how many printed tables the best (or worst) k > 1 is not above k = 1 and none."""
    count = 0
    for name in printed.UCI:
        cells = printed.uci(name)
        more = cells[cells.index > 1]
        count += int((more.min() if worst else more.max()) <= cells[[0, 1]].max())
    return count


@UCI.evidence("KM-F4-all")
def _improves(runs: Runs) -> Components:
    parts: dict[str, object] = {"printed cells": errors(not_improved(), not_improved(worst=True))}
    for name, (title, _) in printed.UCI.items():
        values = trials(runs, name)
        for against, text in ((1, "k = 1"), (0, "none")):
            found = tables.cross_fitted(values, against)
            oriented = name not in ("htru2", "phishing")  # these two are said not to be significant
            parts[f"{title}, against {text}"] = Paired(tuple(map(float, found)), oriented=oriented)
    return components(parts)


JUDGED = ("mnist", "cifar10", "cifar100", "svhn", *printed.TOYS, *printed.UCI)


def _exchanged(table: pd.DataFrame, column: str) -> int:
    """Return the number of falls if k = 1 and the other k changed places."""
    return int(printed.harmed(table.assign(turned=-table[column]), "turned").sum())


def printed_harm() -> dict[str, Errors]:
    """Return the printed columns in which k > 1 does not improve, or harms, beside controls."""
    table = printed.gains(JUDGED)
    share = float((table["gain"] <= 0).mean())
    return {
        "printed, often improves": errors(share, 1 - share),
        "printed, best k": errors(printed.harmed(table, "gain").sum(), _exchanged(table, "gain")),
        "printed, every k": errors(printed.harmed(table, "loss").sum(), _exchanged(table, "loss")),
    }


@UCI.evidence("KM-harm")
def _no_harm(runs: Runs) -> Components:
    ours = {
        title: sample(tables.cross_fitted(trials(runs, name), 1))
        for name, (title, _) in printed.UCI.items()
    }
    return components(printed_harm() | ours)


# ------------------------------------------------------------------------------ dimension


def gain(runs: Runs, kind: str, intrinsic: int, ambient: int, alpha: float) -> pd.Series:
    """Return accuracy at k = 16 less that at k = 1 in one cell, by seed, in points."""
    where = {"kind": kind, "intrinsic": intrinsic, "ambient": ambient}
    sixteen, one = (per_seed(runs.table, f"accuracy_{k}_{alpha:g}", where) for k in (16, 1))
    return sixteen - one


@DIMENSION.evidence("KM-lowdim")
def _low_dimensions(runs: Runs) -> Components:
    cases = {
        "spheres, intrinsic": (("shells", 1, 32), ("shells", 16, 32)),
        "spheres, ambient": (("shells", 1, 2), ("shells", 1, 128)),
        "bars, intrinsic": (("bars", 1, 32), ("bars", 16, 32)),
    }
    parts: dict[str, object] = {}
    for alpha in (1.0, 16.0):
        for name, (low, high) in cases.items():
            small, large = (gain(runs, *cell, alpha) for cell in (low, high))
            parts[f"{name}, α = {alpha:g}"] = differences(small - large)
            parts[f"{name}, high, α = {alpha:g}"] = sample(large)
    return components(parts)
