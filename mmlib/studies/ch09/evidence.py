"""What the planes of chapter 09 say about its claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mmlib.evidence import Runs, components, errors, paired
from mmlib.evidence.findings import Paired
from mmlib.studies.ch09.grids import BLOCKED, HALVES, PLANE
from mmlib.studies.ch09.halves import HALVES as NAMES_OF_HALVES
from mmlib.studies.ch09.networks import FIVE, SETTINGS, TEN

LOWER = {
    **{name: True for name in ("within", "white", "core", "area", "turns")},
    **{name: False for name in ("margin", "gap", "near")},
}
DIGITS = {"digits 0 to 4": FIVE, "all digits": TEN}


def long(runs: Runs, measures: Sequence[str]) -> pd.DataFrame:
    """Return measures of the runs with one row per cell, network and seed.

    Columns: ``setting``, ``digits``, ``norm``, ``name``, ``seed`` and the measures.
    """
    rows = []
    for row in runs.table.to_dict("records"):
        cell = {key: row[key] for key in ("setting", "digits", "norm", "seed")}
        for name in row.get("methods", tuple(NAMES_OF_HALVES)):
            rows.append(cell | {"name": name} | {m: row[f"{m}_{name}"] for m in measures})
    return pd.DataFrame(rows)


def pick(table: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows of a table with the given settings.

    Raises:
        ValueError: there is none.
    """
    for key, value in where.items():
        table = table[table[key].map(lambda entry, v=value: entry == v).astype(bool)]
    if table.empty:
        raise ValueError(f"where: expected settings of a cell, but got {dict(where)}")
    return table


def rows_of(runs: Runs, where: Mapping[str, Any]) -> list[int]:
    """Return the labels of the rows with the given settings, one for each seed."""
    return list(pick(runs.table, where).index)


def place(setting: str, digits: tuple[int, ...]) -> dict[str, Any]:
    """Return what picks the cell of a setting, with batch norm as that setting has it."""
    return {"setting": setting, "digits": digits, "norm": SETTINGS[setting]["norm"]}


def gain(table: pd.DataFrame, measure: str, better: str, worse: str, where: dict) -> Paired:
    """Return by how much one network is better in a measure than another, seed by seed."""
    kind = measure.partition("_")[0]
    return paired(
        table,
        measure,
        better=where | {"name": better},
        worse=where | {"name": worse},
        lower_is_better=LOWER[kind],
    )


def _gains(
    runs: Runs,
    measures: Sequence[str],
    digits: Sequence[str],
    settings: Sequence[str] = tuple(SETTINGS),
    pairs: Sequence[tuple[str, str]] = (("manifold", "none"), ("manifold", "input")),
) -> dict[str, Paired]:
    """A part for each setting, set of digits, measure and pair (better, worse)."""
    table = long(runs, measures)
    return {
        f"{setting}, {which}, {measure}, {better} over {worse}": gain(
            table, measure, better, worse, place(setting, DIGITS[which])
        )
        for setting in settings
        for which in digits
        for measure in measures
        for better, worse in pairs
    }


@PLANE.evidence("MM1-F5")
def _wider_margin(runs: Runs) -> object:
    return components(_gains(runs, ("margin", "gap", "near"), ("digits 0 to 4",)))


@PLANE.evidence("MM1-F8")
def _all_digits(runs: Runs) -> object:
    return components(_gains(runs, ("within", "margin", "near"), ("all digits",)))


@PLANE.evidence("MM1-F-tight")
def _tighter(runs: Runs) -> object:
    return components(_gains(runs, ("within", "white"), tuple(DIGITS)))


@PLANE.evidence("MMF-B-tight")
def _smaller_region(runs: Runs) -> object:
    return components(_gains(runs, ("area", "margin", "near"), tuple(DIGITS)))


@PLANE.evidence("MMA-smooth")
def _fewer_turns(runs: Runs) -> object:
    measures = ("turns_input", "turns_layer1", "turns_code")
    pairs = (("manifold_all", "none"),)
    return components(_gains(runs, measures, tuple(DIGITS), ("text",), pairs))


@HALVES.evidence("MMF-B-beforeafter")
def _layers_before(runs: Runs) -> object:
    pairs = (("manifold", "behind"),)
    return components(_gains(runs, ("within", "white"), tuple(DIGITS), pairs=pairs))


@BLOCKED.evidence("MM1-F-nolayers")
def _no_layers_before(runs: Runs) -> object:
    return errors(runs.table["input_change"], runs.table["code_change"])
