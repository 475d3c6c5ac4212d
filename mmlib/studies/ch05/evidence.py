"""What the studies of chapter 05 say about its claims."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmlib.evidence import Runs, components, errors, exact, paired, per_seed, sample
from mmlib.measures import DEFORMATIONS
from mmlib.studies.ch05.experiments import BANDS, READINGS
from mmlib.studies.ch05.grids import DEFINITION, DEFORMED, SAME, SUBSET
from mmlib.studies.ch05.printed import METHODS, printed_rows, rows_led

KINDS = ("rotation", "shearing", "zoom_in", "zoom_out")
OTHERS = METHODS[:3]


def where(runs: Runs) -> dict[str, Any]:
    """Settings of the networks to judge: those of the printed table if they were trained."""
    sets = dict.fromkeys(runs.table["data"])
    return {"data": "cifar100" if "cifar100" in sets else next(iter(sets))}


def accuracies(runs: Runs, reading: str, metric: str = "accuracy") -> dict[int, pd.DataFrame]:
    """Return a table like the printed one for each seed that all methods have.

    Args:
        runs: those of `DEFORMED`.
        reading: ``"text"`` or ``"released"``.
        metric: ``"accuracy"`` in percent or ``"nll"`` in nats.
    """
    columns = {
        (one.name, method): per_seed(
            runs.table, f"{reading}_{one.name}_{metric}", where(runs) | {"method": method}
        )
        for one in DEFORMATIONS
        for method in METHODS
    }
    table = pd.concat(columns, axis=1).dropna()
    return {seed: row.unstack()[list(METHODS)].loc[_rows()] for seed, row in table.iterrows()}


def mean_accuracies(runs: Runs, reading: str, metric: str = "accuracy") -> pd.DataFrame:
    """Return the mean over seeds of `accuracies`."""
    tables = accuracies(runs, reading, metric)
    return sum(tables.values()) / len(tables)


def shearing_samples(runs: Runs, reading: str) -> np.ndarray:
    """Return accuracy (%) in the five rows of shearing, mean over the four methods: (seeds, 5).

    Args:
        runs: those of `DEFORMED`.
        reading: ``"text"``, ``"released"``, ``"unmirrored"`` or ``"linear"``.
    """
    return _over_methods(runs, [f"{reading}_{row}_accuracy" for row in _rows("shearing")])


def band_samples(runs: Runs, reading: str) -> np.ndarray:
    """Return accuracy (%) in sixths of the widest shearing, mean over methods: (seeds, 6)."""
    return _over_methods(runs, [f"{reading}_band_{i + 1}_accuracy" for i in range(BANDS)])


def _over_methods(runs: Runs, metrics: list[str]) -> np.ndarray:
    columns = []
    for metric in metrics:
        by = {m: per_seed(runs.table, metric, where(runs) | {"method": m}) for m in METHODS}
        columns.append(pd.DataFrame(by).dropna().mean(axis=1))
    return pd.concat(columns, axis=1).dropna().to_numpy()


def _rows(kind: str | None = None) -> list[str]:
    return [one.name for one in DEFORMATIONS if kind in (None, one.kind)]


def _better(runs: Runs, metric: str, better: str, worse: str) -> Any:
    sides = {"better": where(runs) | {"method": better}, "worse": where(runs) | {"method": worse}}
    return paired(runs.table, metric, **sides, lower_is_better=False)


def _as_printed(runs: Runs, kind: str) -> object:
    """In each row: Manifold Mixup over all others, or the printed best method over it."""
    printed, parts = printed_rows(), {}
    for row in _rows(kind):
        best = printed.loc[row].idxmax()
        pairs = [("manifold", m) for m in OTHERS] if best == "manifold" else [(best, "manifold")]
        for reading in READINGS:
            for better, worse in pairs:
                name = f"{row}, {reading}, {better} over {worse}"
                parts[name] = _better(runs, f"{reading}_{row}_accuracy", better, worse)
    return components(parts)


@DEFORMED.evidence("MM1-T7-rot")
def _rotation(runs: Runs) -> object:
    return _as_printed(runs, "rotation")


@DEFORMED.evidence("MM1-T7-shear")
def _shearing(runs: Runs) -> object:
    return _as_printed(runs, "shearing")


@DEFORMED.evidence("MM1-T7-zoomin")
def _zoom_in(runs: Runs) -> object:
    return _as_printed(runs, "zoom_in")


@DEFORMED.evidence("MM1-T7-zoomout")
def _zoom_out(runs: Runs) -> object:
    return _as_printed(runs, "zoom_out")


@DEFORMED.evidence("MM1-T7-all")
def _consistently(runs: Runs) -> object:
    parts: dict[str, Any] = {"printed rows": exact(int(rows_led(printed_rows()).sum()), "13")}
    for row in _rows():
        for other in OTHERS:
            found = _better(runs, f"text_{row}_accuracy", "manifold", other)
            parts[f"{row}, manifold over {other}"] = found
    return components(parts)


def _means(runs: Runs, reading: str, kind: str, method: str) -> list[float]:
    """Accuracy over the rows of one kind, a value per seed."""
    tables = accuracies(runs, reading).values()
    return [float(table.loc[_rows(kind), method].mean()) for table in tables]


@DEFORMED.evidence("MMF-T9-all")
def _most_robust(runs: Runs) -> object:
    led = rows_led(printed_rows("ICML Table 9"))
    counts = {"rotation": "4", "shearing": "5", "zoom_in": "1", "zoom_out": "3"}
    parts: dict[str, Any] = {
        f"printed rows, {kind}": exact(int(led[_rows(kind)].sum()), counts[kind]) for kind in KINDS
    }
    for reading in READINGS:
        for kind in KINDS:
            ours = _means(runs, reading, kind, "manifold")
            for other in OTHERS:
                theirs = _means(runs, reading, kind, other)
                gains = [a - b for a, b in zip(ours, theirs, strict=True)]
                parts[f"{kind}, {reading}, manifold over {other}"] = sample(gains)
    return components(parts)


def _tables(runs: Runs, count: str, printed: str) -> object:
    return components(
        {
            "cells": errors(runs.table["gap"], runs.table["control"]),
            f"number of {count}": exact(runs.table[count].iloc[0], printed),
        }
    )


@SUBSET.evidence("MM1-T3-subset")
def _subset(runs: Runs) -> object:
    return _tables(runs, "rows", "7")


@SAME.evidence("MMF-T9-same")
def _same(runs: Runs) -> object:
    return _tables(runs, "cells", "68")


@DEFINITION.evidence("MM1-T7-def")
def _definition(runs: Runs) -> object:
    return components(
        {
            name: errors(runs.table[f"{name}_error"], runs.table[f"{name}_control"])
            for name in ("identity", "zoom_in", "zoom_out")
        }
    )
