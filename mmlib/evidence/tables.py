"""Published numbers, settings and claims, as transcribed from the texts.

Conventions of the transcription (files in ``mmlib/evidence/published``):

- One row per printed number. The printed digits are kept, trailing zeros included; accuracies and
  errors are in percent.
- The first fourteen columns of every table file are the same (dataset, model, method, alpha, k,
  epsilon_255, deformation, parameter, metric, value, uncertainty, uncertainty_kind, n_trials,
  note); extra factors such as task, panel, gamma or row_label follow. An empty cell means that the
  factor does not apply or is not stated.
- ``method`` is no_mixup, input_mixup, manifold_mixup, kmixup and so on; kmixup with k = 1 is
  standard mixup. ``alpha`` is the parameter of Beta(alpha, alpha). ``epsilon_255`` is the bound of
  the fast gradient sign method times 255, empty where the input scale is not stated.
- In the claims, ``cpu_checkable`` is yes (exact or small computation), small-scale (the order or
  effect can be tested on small problems) or no; the wording is ours, and ``statement`` and
  ``how_to_check`` also say where the printed cells disagree with the printed claim.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd

from mmlib import checks

_FOLDER = Path(__file__).with_name("published")
_REGISTRIES = ("claims", "scalars", "settings")


@cache
def _printed(name: str) -> pd.DataFrame:
    return pd.read_csv(_FOLDER / f"{name}.csv", dtype=str, keep_default_na=False)


def _read(name: str) -> pd.DataFrame:
    return _printed(name).copy()  # what a caller changes must not come back


@cache
def _names() -> tuple[str, ...]:
    return tuple(sorted(p.stem for p in _FOLDER.glob("*.csv") if p.stem not in _REGISTRIES))


def published(name: str | None = None) -> pd.DataFrame | tuple[str, ...]:
    """Return one published table, or the names of all tables when no name is given.

    Columns that hold only numbers are floats (NaN where the cell is empty); the digits of
    ``value`` as printed are kept in the column ``printed``.

    Raises:
        ValueError: there is no such table; the message names the nearest ones.

    Example:
        >>> table = published("manifold_mixup_v1_table8_synthetic")
        >>> row = table[(table["task"] == "A") & (table["metric"] == "test_nll")].iloc[0]
        >>> row["printed"], float(row["value"])
        ('8.8310', 8.831)
    """
    if name is None:
        return _names()
    table = _read(checks.choice("name", name, _names()))
    table.insert(table.columns.get_loc("value") + 1, "printed", table["value"])
    for column in table.columns.drop("printed"):
        filled = table[column] != ""
        numbers = pd.to_numeric(table[column].where(filled), errors="coerce")
        if filled.any() and numbers[filled].notna().all():
            table[column] = numbers.astype(float)
    return table


def claims() -> pd.DataFrame:
    """Return the registry: 247 claims of the five documents, one per row, all columns text.

    Example:
        >>> len(claims()), claims()["id"].is_unique
        (247, True)
    """
    return _read("claims")


def items() -> pd.DataFrame:
    """Return every numbered item of the texts, in reading order, all columns text.

    Columns: ``source, item, title, claims, note``. The title is ours; ``claims`` holds the ids of
    the claims about the item, separated by spaces; ``note`` says what a reader should know of it
    beside them, above all where no claim stands behind it. Sections are listed with neither.

    Example:
        >>> table = items().set_index(["source", "item"])
        >>> table.loc[("k-Mixup", "Lemma 2"), "claims"]
        'KM-Lem2'
    """
    path = Path(__file__).with_name("items.csv")  # ours, not a transcription
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def settings() -> pd.DataFrame:
    """Return the stated hyper-parameters, and those the texts leave unstated (288 rows).

    Example:
        >>> len(settings())
        288
    """
    return _read("settings")


def scalars() -> pd.DataFrame:
    """Return the numbers of running text and captions; ``number`` is ``value`` as a float.

    Example:
        >>> float(scalars()["number"].iloc[1])
        2.0
    """
    table = _read("scalars")
    table.insert(
        table.columns.get_loc("value") + 1, "number", pd.to_numeric(table["value"], errors="coerce")
    )
    return table


def differences() -> pd.DataFrame:
    """Return where the released code departs from the texts, one row per departure, all text.

    ``text`` stands in the document at ``place``, ``code`` at ``where``. The text
    ``effect`` names in braces what a chapter measured, as in ``{c03-ratio:.0f}``.

    Example:
        >>> differences().loc[0, ["number", "topic"]].tolist()
        ['1', 'loss']
    """
    path = Path(__file__).with_name("differences.csv")  # ours, not transcribed from a text
    return pd.read_csv(path, dtype=str, keep_default_na=False)
