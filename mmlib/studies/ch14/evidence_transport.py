"""What the runs of chapter 14, first half, say about the claims on transport and clusters."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from mmlib.evidence import Runs, components, errors, per_seed, sample
from mmlib.evidence.findings import Components, Errors, Finding, Paired
from mmlib.studies.ch14.grids_transport import (
    CASES,
    CROSS,
    DEFINITION,
    FACES,
    IDENTITIES,
    LEMMA,
    MANIFOLDS,
    RATES,
    SMALL,
    STEP,
    TIME,
)


def sizes(runs: Runs, metric: str) -> list[int]:
    """Return the sizes k for which ``<metric>_<k>`` is recorded, in order."""
    found = (re.fullmatch(rf"{re.escape(metric)}_(\d+)", column) for column in runs.table.columns)
    return sorted(int(match[1]) for match in found if match)


def series(runs: Runs, metric: str, **where: object) -> pd.DataFrame:
    """Return ``<metric>_<k>`` of the chosen runs, a row a seed and a column a size k.

    Sizes that the chosen runs do not have are left out.
    """
    table = pd.DataFrame(
        {k: per_seed(runs.table, f"{metric}_{k}", where) for k in sizes(runs, metric)}
    )
    return table.dropna(axis=1, how="all")


def slopes(values: pd.DataFrame, low: int) -> np.ndarray:
    """Return the slope of log value against log k from k = `low` on, of each seed.

    Sizes at which a value is 0 are left out; NaN with fewer than two sizes.

    Example:
        >>> slopes(pd.DataFrame({1: [7.0], 2: [4.0], 4: [1.0]}), 2).round(6).tolist()
        [-2.0]
    """
    found = []
    for _, row in values[[k for k in values.columns if k >= low]].iterrows():
        row = row[row > 0]
        enough = len(row) > 1
        x, y = np.log(row.index.to_numpy(dtype=float)), np.log(row.to_numpy())
        found.append(float(np.polyfit(x, y, 1)[0]) if enough else float("nan"))
    return np.array(found)


def _column(runs: Runs, name: str) -> pd.Series:
    return per_seed(runs.table, name)


def _errors(runs: Runs, name: str, control: str | None = None) -> Errors:
    return errors(_column(runs, f"{name}_error"), _column(runs, control or f"{name}_control"))


# ------------------------------------------------------------------------------ Lemma 1


@SMALL.evidence("KM-Lem1", also=(LEMMA,))
def _lemma(small: Runs, lemma: Runs) -> Components:
    control = small.table["angle_control"]
    table = lemma.table
    random = table[(table["arrangement"] == "random") & (table["gap"] == 10)]
    return components(
        {
            "two clusters, printed gap": _errors(small, "pair"),
            "three at equal distances, shrunk to points": errors(
                small.table["triangle_more"], small.table["line3_more"]
            ),
            "three at equal distances, printed gap": errors(
                small.table["triangle_printed"], control
            ),
            "three in a row, shrunk to points": errors(small.table["line3_more"], control),
            "six at random, gap of ten radii": errors(random["more"], control),
        }
    )


@SMALL.evidence("KM-Lem1-m2")
def _two(runs: Runs) -> Errors:
    return _errors(runs, "pair")


@LEMMA.evidence("KM-Lem1-cycle", also=(SMALL,))
def _cycle(lemma: Runs, small: Runs) -> Components:
    table = lemma.table[lemma.table["gap"] >= 2]
    control = small.table["pair_control"]
    return components(
        {
            "a surplus is a cycle": errors(table["path"], control),
            "no cycle in an optimal matching": errors(table["cycle"], control),
        }
    )


@IDENTITIES.evidence("KM-def-clust")
def _covering(runs: Runs) -> Errors:
    return _errors(runs, "cover")


@IDENTITIES.evidence("KM-nn")
def _nearest(runs: Runs) -> Components:
    return components(
        {"no lone point": _errors(runs, "nn"), "any batch": sample(_column(runs, "nn_mean"))}
    )


# ------------------------------------------------------------------------------ Theorem 1


def over_bound(runs: Runs, case: str) -> pd.DataFrame:
    """Return the share of cross matches over the printed bound, a row a seed, a column a size."""
    from mmlib.measures.transport_rates import share_bound

    values = series(runs, "share", case=case)
    return values / [share_bound(k, CASES[case][1]) for k in values.columns]


@CROSS.evidence("KM-Thm1")
def _share(runs: Runs) -> Components:
    parts: dict[str, Finding] = {}
    for case in CASES:
        slope = slopes(series(runs, "share", case=case), 8) + 0.5
        parts[f"{case}, slope"] = Paired(tuple(map(float, slope)), oriented=False)
    for case in ("pair", "uneven", "triangle"):
        parts[f"{case}, over bound"] = sample(over_bound(runs, case).max(axis=1))
    return components(parts)


@IDENTITIES.evidence("KM-Thm1-var")
def _variance(runs: Runs) -> Errors:
    return _errors(runs, "bound")


@IDENTITIES.evidence("KM-Thm1-exact")
def _exact(runs: Runs) -> Components:
    return components({"closed forms": _errors(runs, "ways"), "ratio": _errors(runs, "limit")})


# ------------------------------------------------------------------------------ Theorem 2


def at_largest(runs: Runs, metric: str, **where: object) -> pd.Series:
    """Return a metric at the largest size k, by seed."""
    values = series(runs, metric, **where)
    return values[values.columns[-1]]


@FACES.evidence("KM-Thm2")
def _shell(runs: Runs) -> Components:
    scenes = ("discs", "large discs", "walls", "pieces")
    return components({name: sample(at_largest(runs, "outside", scene=name)) for name in scenes})


@IDENTITIES.evidence("KM-Thm2-eps")
def _algebra(runs: Runs) -> Errors:
    return _errors(runs, "shell")


@FACES.evidence("KM-Thm2-void")
def _void(runs: Runs) -> Components:
    parts: dict[str, Finding] = {}
    for name in ("discs", "large discs", "walls"):
        last = at_largest(runs, "inside", scene=name)
        if name != "large discs":
            parts[name] = sample(last)
        random = at_largest(runs, "inside_random", scene=name)
        parts[f"{name}, random less"] = sample(random - last)
        parts[f"{name}, slope"] = sample(slopes(series(runs, "inside", scene=name), 32))
    return components(parts)


# ------------------------------------------------------------------------------ Proposition 1


@DEFINITION.evidence("KM-Def1")
def _radius(runs: Runs) -> Errors:
    shapes = runs.table[["circle", "arc", "ellipse", "two"]]
    return errors(shapes.abs().max(axis=1), runs.table["ellipse_control"])


@MANIFOLDS.evidence("KM-Prop1")
def _manifold(runs: Runs) -> Components:
    rng = np.random.default_rng(0)
    from mmlib.studies.ch14.rates import two_points

    # half the bound, as if a match of length e could leave, fails where a match just does
    control = [max(two_points(16, rng, factor=4.0) for _ in range(20))]
    parts: dict[str, Finding] = {
        name: sample(at_largest(runs, "out_0.125", set=name)) for name in ("circle", "swiss")
    }
    return components(parts | {"Markov": errors(runs.table["markov"], control)})


@MANIFOLDS.evidence("KM-Prop1-small")
def _small(runs: Runs) -> Components:
    found = {}
    for name in ("circle", "swiss"):
        values = series(runs, "out_0.125", set=name)
        found[name] = sample(values[8] / values[1])
    return components(found)


@RATES.evidence("KM-Prop1-rate")
def _rate(runs: Runs) -> Components:
    return components(
        {f"{d}, {support}": sample(slopes(series(runs, "cost", dimension=d, support=support), 32))
         for support, last in (("connected", 6), ("two", 3)) for d in range(1, last + 1)}
    )  # fmt: skip


def scaled_long(runs: Runs, d: int, support: str) -> pd.DataFrame:
    """Return the number of long matches over ``k^(1 - 1/d)``, a row a seed, a column a size."""
    values = series(runs, "long", dimension=d, support=support)
    return values / [k ** (1 - 1 / d) for k in values.columns]


@RATES.evidence("KM-Prop1-frac")
def _long(runs: Runs) -> Components:
    parts: dict[str, Finding] = {}
    for d in (1, 2, 3, 4):
        for support in ("connected", "two"):
            values = scaled_long(runs, d, support)
            parts[f"{d}, {support}"] = sample(values[values.columns[-1]] - values[32])
    return components(parts)


# ------------------------------------------------------------------------------ the cost


@TIME.evidence("KM-cost-k3")
def _time(runs: Runs) -> Components:
    found = {
        cost: slopes(series(runs, "ms", cost=cost), 64)
        for cost in ("points", "vectors", "products")
    }
    parts = {name: sample(values) for name, values in found.items()}
    return components(parts | {"products, reached": sample(found["products"])})


def largest_ratio(runs: Runs, batch: int, high: int = 32) -> pd.Series:
    """Return the largest ratio of matching to step over k up to `high`, by seed."""
    values = series(runs, "over", batch=batch)
    return values[[k for k in values.columns if k <= high]].max(axis=1)


@STEP.evidence("KM-cost-small")
def _step(runs: Runs) -> Components:
    batches = sorted(set(runs.table["batch"]))
    return components({f"batch {b}": sample(largest_ratio(runs, b)) for b in batches})
