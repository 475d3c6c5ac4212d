"""What a study says about a claim, before a rule has judged it.

An evidence function returns one of these: `paired`, `equivalent`, `sample`, `exact`, `errors`, or
several by name (`components`). They hold numbers only; margins and levels are in the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from mmlib import checks


@dataclass(frozen=True)
class Paired:
    """Differences over seeds; `oriented` ones are positive where the claim says so."""

    values: tuple[float, ...]
    unpaired: int = 0
    oriented: bool = True


@dataclass(frozen=True)
class Sample:
    """One value per seed, and the printed number that they are compared with, if any."""

    values: tuple[float, ...]
    printed: str | None = None
    uncertainty: float | None = None
    n_trials: int | None = None


@dataclass(frozen=True)
class Exact:
    """A number derived without chance, and the printed one."""

    value: float
    printed: str


@dataclass(frozen=True)
class Errors:
    """The largest error of an identity, and the smallest one of a control that must fail."""

    error: float
    control: float


@dataclass(frozen=True)
class Components:
    """Findings by name, for a claim that says several things at once."""

    parts: Mapping[str, Paired | Sample | Exact | Errors]


Finding: TypeAlias = Paired | Sample | Exact | Errors | Components


def per_seed(
    table: pd.DataFrame,
    metric: str,
    where: Mapping[str, Any] | None = None,
    *,
    average: bool = False,
) -> pd.Series:
    """Return one metric of the rows with the given settings, indexed by seed.

    Args:
        table: table of the runs.
        metric: a column.
        where: setting -> value; None selects the rows that do not have the setting.
        average: average several rows of one seed.

    Raises:
        ValueError: a column is unknown, no row fits, or several rows of one seed do (unless
            averaged); the message names the settings in which they differ.

    Example:
        >>> table = pd.DataFrame({"method": ["a", "b"], "seed": [0, 0], "nll": [1.0, 2.0]})
        >>> per_seed(table, "nll", {"method": "b"}).to_dict()
        {0: 2.0}
    """
    where = dict(where or {})
    for column in (metric, *where):
        checks.choice("column", column, tuple(table.columns))
    chosen = table
    for column, value in where.items():
        wanted = tuple(value) if isinstance(value, list) else value
        absent = chosen[column].map(lambda entry: entry is None or entry != entry)
        same = absent if wanted is None else chosen[column].map(lambda entry, w=wanted: entry == w)
        chosen = chosen[same.astype(bool)]
    if chosen.empty:
        raise ValueError(f"{metric}: expected rows with {where}, but got none")
    if chosen["seed"].duplicated().any() and not average:
        one = chosen[chosen["seed"] == chosen.loc[chosen["seed"].duplicated(), "seed"].iloc[0]]
        varying = [c for c in table.columns if one[c].map(repr).nunique() > 1]
        raise ValueError(
            f"{metric}: expected one row per seed with {where}, but got {len(one)}; they differ in "
            f"{', '.join(varying) or 'nothing'}: name these too, or pass average=True"
        )
    return chosen.groupby("seed")[metric].apply(lambda group: group.mean(skipna=False))


def _differences(
    table: pd.DataFrame, metric: str, first: Mapping, second: Mapping, average: bool
) -> tuple[pd.Series, int]:
    a = per_seed(table, metric, first, average=average)
    b = per_seed(table, metric, second, average=average)
    both = a.index.intersection(b.index)
    return a[both] - b[both], len(a.index.union(b.index)) - len(both)


def paired(
    table: pd.DataFrame,
    metric: str,
    *,
    better: Mapping[str, Any],
    worse: Mapping[str, Any],
    lower_is_better: bool,
    average: bool = False,
) -> Paired:
    """Return how much better one setting is than another, seed by seed (positive: better).

    Seeds that only one side has are left out and counted.

    Raises:
        ValueError: as for `per_seed`.

    Example:
        >>> table = pd.DataFrame({"method": ["a", "b"], "seed": [0, 0], "nll": [1.0, 2.5]})
        >>> sides = {"better": {"method": "a"}, "worse": {"method": "b"}}
        >>> paired(table, "nll", **sides, lower_is_better=True).values
        (1.5,)
    """
    found, unpaired = _differences(table, metric, better, worse, average)
    sign = -1.0 if lower_is_better else 1.0
    return Paired(tuple(float(sign * value) for value in found), unpaired)


def equivalent(
    table: pd.DataFrame,
    metric: str,
    *,
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    average: bool = False,
) -> Paired:
    """Return the differences first - second over seeds, for a claim that they do not differ.

    Raises:
        ValueError: as for `per_seed`.

    Example:
        >>> table = pd.DataFrame({"method": ["a", "b"], "seed": [0, 0], "nll": [1.0, 2.5]})
        >>> equivalent(table, "nll", first={"method": "a"}, second={"method": "b"}).values
        (-1.5,)
    """
    found, unpaired = _differences(table, metric, first, second, average)
    return Paired(tuple(map(float, found)), unpaired, oriented=False)


def sample(
    values: ArrayLike,
    *,
    printed: str | None = None,
    uncertainty: float | None = None,
    n_trials: int | None = None,
) -> Sample:
    """Return one value per seed, for a threshold or for comparison with a printed number.

    Args:
        values: one number per seed, such as `per_seed` returns.
        printed: the published number with the digits it was printed with.
        uncertainty: the plus-minus printed with it, read as a standard error.
        n_trials: the number of published runs, where it is stated.

    Example:
        >>> sample([94.1, 94.5], printed="94.77").values
        (94.1, 94.5)
    """
    if printed is not None and not isinstance(printed, str):
        raise TypeError(f"printed: expected the printed digits as text, but got {printed!r}")
    numbers = tuple(float(value) for value in np.ravel(np.asarray(values, dtype=float)))
    return Sample(numbers, printed, uncertainty, n_trials)


def exact(value: float, printed: str) -> Exact:
    """Return a derived number beside the printed one, given with its printed digits.

    Raises:
        TypeError: `printed` is not text.

    Example:
        >>> exact(2 / 3, "0.667")
        Exact(value=0.6666666666666666, printed='0.667')
    """
    if not isinstance(printed, str):
        raise TypeError(f"printed: expected the printed digits as text, but got {printed!r}")
    return Exact(float(value), printed)


def errors(max_error: ArrayLike, control_error: ArrayLike) -> Errors:
    """Return the largest of some errors of an identity and the smallest of those of its control.

    The control is the same computation with a planted mistake. Counts of violations are errors
    too. A NaN on either side stays a NaN.

    Example:
        >>> errors([1e-16, 3e-16], [0.2, 0.1])
        Errors(error=3e-16, control=0.1)
    """
    return Errors(float(np.max(np.asarray(max_error))), float(np.min(np.asarray(control_error))))


def components(parts: Mapping[str, Finding]) -> Components:
    """Return several findings by name; the rule of the claim names the same parts.

    Raises:
        ValueError: there is none.
        TypeError: a part is not a finding, or has parts itself.

    Example:
        >>> components({"slope": exact(0.5, "0.5"), "norm": errors(1e-9, 0.3)}).parts["slope"]
        Exact(value=0.5, printed='0.5')
    """
    if not parts:
        raise ValueError("parts: expected at least one finding, but got none")
    for name, part in parts.items():
        if not isinstance(part, Paired | Sample | Exact | Errors):
            raise TypeError(f"parts[{name!r}]: expected a finding, but got {type(part).__name__}")
    return Components(dict(parts))  # type: ignore[arg-type]  # none has parts itself
