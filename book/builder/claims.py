"""What the builder asks of `mmlib`: ledger, profiles, records, data, imports.

Imports happen inside the functions, because importing `mmlib.data` loads torch, which takes seconds
that ``--help`` or a second build at once should not cost.
"""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

from builder.layout import BuildError

VERDICTS = ("supported", "contradicted", "inconclusive", "not tested")

Row = dict[str, Any]


def profiles() -> tuple[str, ...]:
    """Names of the sizes at which a notebook can run."""
    from mmlib.evidence import PROFILES

    return tuple(PROFILES)


def ledger_rows() -> tuple[list[Row], list[str]]:
    """One dictionary per claim, in the order of the registry, and what went wrong on the way.

    Raises:
        ValueError: a row carries a verdict that the book has no place for.
    """
    from mmlib.evidence import ledger

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rows = list(ledger())
    for row in rows:
        if row["verdict"] not in VERDICTS:
            raise ValueError(
                f"{row['id']}: expected a verdict out of {', '.join(VERDICTS)}, "
                f"but got {row['verdict']!r}"
            )
    return rows, [f"ledger: {warning.message}" for warning in caught]


def serialised(rows: list[Row]) -> dict[str, str]:
    """The ledger as the files that readers download; ``python -m mmlib.evidence`` prints them."""
    from mmlib.evidence.ledgers import as_csv, as_json

    return {"ledger.json": as_json(rows), "ledger.csv": as_csv(rows)}


def items() -> list[dict[str, str]]:
    """Every numbered item of the texts, with the claims about it."""
    from mmlib.evidence import items as table

    return table().to_dict("records")


def expected_wrong(rows: list[Row]) -> tuple[int, float]:
    """How many verdicts rest on a statistical test, and how many of them chance makes wrong."""
    from mmlib.evidence import Verdict, expected_false, rules

    written = rules()
    made = [
        Verdict(row["id"], row["verdict"], "", statistical=True)
        for row in rows
        if row["verdict"] != "not tested" and written[row["id"]].statistical
    ]
    return len(made), expected_false(made)


def module_closure(source: Path) -> set[Path]:
    """The files of `mmlib` that this notebook reaches through imports."""
    from mmlib.evidence import module_files

    return {Path(path) for path in module_files(source)}


def study_names(modules: set[Path]) -> list[str]:
    """Names of the studies that these files of `mmlib` define or import: what they may load."""
    import mmlib
    from mmlib.evidence import Study

    package = Path(mmlib.__file__).parent
    names = set()
    for path in modules:
        parts = path.relative_to(package).with_suffix("").parts
        if parts[0] == "studies":
            name = ".".join(["mmlib", *(part for part in parts if part != "__init__")])
            held = vars(importlib.import_module(name)).values()
            names |= {value.name for value in held if isinstance(value, Study)}
    return sorted(names)


def results_root() -> Path:
    """The folder of recorded runs."""
    from mmlib.evidence import results_root as folder

    return folder()


def data_found() -> dict[str, str]:
    """Title of each data set whose files are on this machine, by name."""
    from mmlib.data import describe

    return {row["name"]: row["title"] for row in describe() if row["status"] == "found"}


def data_roots() -> list[str]:
    """The folders in which data sets are searched.

    Raises:
        BuildError: ``MMLIB_DATA`` names a folder that does not exist.
    """
    from mmlib.data import DataError
    from mmlib.data.store import roots

    try:
        return [str(folder) for folder in roots()]
    except DataError as error:
        raise BuildError(str(error)) from error
