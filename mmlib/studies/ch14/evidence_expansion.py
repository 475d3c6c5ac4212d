"""What the runs say about the claims of section 4 and supplements D and E."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from mmlib.evidence import Runs, components, errors, per_seed, sample
from mmlib.evidence.findings import Components, Errors
from mmlib.studies.ch14 import shift
from mmlib.studies.ch14.grids_expansion import (
    COUPLINGS,
    EXPANSION,
    LARGEST,
    LOCAL,
    LOSSES,
    SHIFT,
    TIES,
)
from mmlib.studies.ch14.loss_forms import CANONICAL, CROSS_ENTROPY, OTHER

FEW, MANY = 1, 32  # k of the comparisons on curves


def check(table: pd.DataFrame, name: str) -> Errors:
    """Return the ``<name>_error`` and ``<name>_control`` of all runs."""
    return errors(table[f"{name}_error"], table[f"{name}_control"])


def inner(table: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with 1 < k < N, where a partner depends on the subset."""
    return table[(table["k"] > 1) & (table["k"] <= LARGEST)]


def ratio(runs: Runs, curve: str, metric: str) -> pd.Series:
    """Return a metric on a curve at k = 32 over that at k = 1, by seed."""
    where = {"curve": curve}
    many, few = (per_seed(runs.table, f"{metric}_{k}", where) for k in (MANY, FEW))
    return many / few


# ------------------------------------------------------------------------------ D_i


@COUPLINGS.evidence("KM-Di")
def _law(runs: Runs) -> Components:
    table = runs.table
    return components(
        {
            "weights sum to one": check(table, "sum"),
            "k = 1 is uniform": check(table, "uniform"),
            "k = N is the point itself": check(table, "self"),
            "draws of the library": check(table, "draws"),
        }
    )


def closer(table: pd.DataFrame) -> pd.Series:
    """Return the share of points of a random set closer than under k = 1, least over 1 < k < N."""
    chosen = table[table["points"] == "normal"]
    names = [c for c in chosen if c.startswith("closer_") and chosen[c].notna().all()]
    ks = sorted(int(name.removeprefix("closer_")) for name in names)
    return chosen.set_index("seed")[[f"closer_{k}" for k in ks[1:-1]]].min(axis=1)


@COUPLINGS.evidence("KM-Di-local", also=(LOCAL,))
def _locality(runs: Runs, local: Runs) -> Components:
    table = runs.table
    fixed = table[table["points"] == "between"]
    parts = {
        "mean over points never rises": errors(table["rise"].clip(lower=0), fixed["point_rise"]),
        "most points are closer": sample(closer(table)),
    }
    for curve in ("circle", "spiral", "bars"):
        parts[f"squared distance, {curve}"] = sample(ratio(local, curve, "reach"))
    return components(parts)


# ------------------------------------------------------------------------------ Theorem 3


@EXPANSION.evidence("KM-Thm3")
def _terms(runs: Runs) -> Components:
    table = runs.table
    return components(
        {
            "all terms": check(table, "sum"),
            "remainder in a": check(table, "a"),
            "remainder in the scale": check(table, "scale"),
        }
    )


@EXPANSION.evidence("KM-Thm3-beta", also=(TIES,))
def _own_labels(runs: Runs, ties: Runs) -> Components:
    table = ties.table
    return components(
        {
            "points in general position": check(runs.table, "beta"),
            "ties averaged": errors(table["beta_average"], table["beta_solver"]),
        }
    )


def form(table: pd.DataFrame, names: Iterable[str]) -> Errors:
    """Return the worst error of the form over losses, and the least one with f doubled."""
    names = tuple(names)
    return errors(
        np.max([table[f"form_{name}"].max() for name in names]),
        np.min([table[f"doubled_{name}"].min() for name in names]),
    )


@LOSSES.evidence("KM-Thm3-loss")
def _forms(runs: Runs) -> Components:
    return components(
        {
            "cross entropy": form(runs.table, CROSS_ENTROPY),
            "canonical links": form(runs.table, CANONICAL),
            "other links": form(runs.table, OTHER),
        }
    )


@LOSSES.evidence("KM-Thm3-conj")
def _joint(runs: Runs) -> Errors:
    return check(runs.table, "joint")


@LOSSES.evidence("KM-Thm3-density")
def _density(runs: Runs) -> Components:
    return components({name: check(runs.table, name) for name in ("mean", "tilt", "exponent")})


@LOCAL.evidence("KM-Thm3-local")
def _directions(runs: Runs) -> Components:
    return components(
        {curve: sample(ratio(runs, curve, "across")) for curve in ("circle", "spiral")}
    )


# ------------------------------------------------------------------------------ Theorem 4, Lemma 2


@SHIFT.evidence("KM-Thm4", also=(TIES,))
def _moved(runs: Runs, ties: Runs) -> Components:
    table = ties.table
    return components(
        {
            "points in general position": check(runs.table, "loss"),
            "ties averaged": errors(table["folded_average"], table["folded_solver"]),
        }
    )


@SHIFT.evidence("KM-Thm4-zero")
def _zero(runs: Runs) -> Errors:
    return check(runs.table, "zero")


@SHIFT.evidence("KM-Thm4-mean")
def _local_mean(runs: Runs) -> Components:
    table = inner(runs.table)
    return components(
        {
            "for each subset": errors(table["mean_subset"], table["mean_control"]),
            "averaged over subsets": errors(table["mean_average"], table["mean_control"]),
        }
    )


def lemma(table: pd.DataFrame, reading: str) -> pd.Series:
    """Return the largest error of Lemma 2 over its three blocks in a reading, by run."""
    return table[[f"lemma_{reading}_{block}" for block in shift.BLOCKS]].max(axis=1)


@SHIFT.evidence("KM-Lem2")
def _covariances(runs: Runs) -> Components:
    table = inner(runs.table)
    control = table[[f"lemma_control_{block}" for block in shift.BLOCKS]].min(axis=1)
    best = min(float(lemma(table, reading).max()) for reading in shift.READINGS)
    return components(
        {
            "covariance of the matched points": errors(lemma(table, "matched"), control),
            "covariance of the reverted points": errors(best, control),
        }
    )
