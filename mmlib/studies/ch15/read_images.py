"""Reading the image runs of chapter 15: cells, columns of the table by k, and convergence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from mmlib.evidence import Runs

LEVELS = tuple(np.arange(0.6, 0.96, 0.05))  # of a last accuracy, see `reach`
_CHANCE = 0.1  # accuracy before the first step: every data set here has ten classes


def chosen(
    runs: Runs,
    k: int | None,
    alpha: float = 1.0,
    *,
    where: str = "input",
    schedule: str = "step",
    sets: str = "disjoint",
) -> pd.DataFrame:
    """Return the rows of one cell, one a seed; k = None is plain training. May be empty."""
    table = runs.table
    rows = (table["set"] == where) & (table["schedule"] == schedule)
    if k is None:
        return table[rows & table["k"].isna()]
    return table[rows & (table["k"] == k) & (table["alpha"] == alpha) & (table["sets"] == sets)]


def value(runs: Runs, metric: str, k: int | None, alpha: float = 1.0, **more: str) -> pd.Series:
    """Return a metric of one cell by seed; NaN where changed settings left the cell out."""
    rows = chosen(runs, k, alpha, **more)
    if rows.empty:
        return pd.Series(np.nan, index=sorted(runs.table["seed"].unique()))
    return rows.set_index("seed")[metric]


def curves(runs: Runs, name: str, k: int | None, alpha: float = 1.0, **more: str) -> pd.DataFrame:
    """Return an array of one cell that has one entry an epoch, seed by epoch (from 1)."""
    rows = chosen(runs, k, alpha, **more)
    found = {row["seed"]: runs.arrays(index)[name] for index, row in rows.iterrows()}
    table = pd.DataFrame(found).T.astype(float)
    table.columns = range(1, table.shape[1] + 1)
    return table


def alphas(runs: Runs, where: str = "input") -> list[float]:
    """Return the alphas at which more than one k was trained, in order."""
    table = runs.table
    mixed = table[(table["set"] == where) & table["k"].notna() & (table["schedule"] == "step")]
    mixed = mixed[mixed["sets"] == "disjoint"]
    return sorted(a for a, rows in mixed.groupby("alpha") if rows["k"].nunique() > 1)


# ------------------------------------------------------------------------------ k by alpha


def by_k(runs: Runs, alpha: float, metric: str = "accuracy", **more: str) -> pd.DataFrame:
    """Return a metric in one column of the table, seed by k (disjoint sets, all k there are)."""
    found = {}
    for k in sorted(runs.table["k"].dropna().unique()):
        if not chosen(runs, k, alpha, **more).empty:
            found[int(k)] = value(runs, metric, k, alpha, **more)
    return pd.DataFrame(found)


def held_out(table: pd.DataFrame) -> pd.Series:
    """Return by seed the gain over k = 1 of the k > 1 that is best on the other seeds.

    The best of several noisy means exceeds another one by chance; a choice that has not seen the
    seed it is scored on does not. NaN for a single seed, and without k = 1 or any other.

    Args:
        table: seed by k.

    Example:
        >>> table = pd.DataFrame({1: [5.0, 5.0, 5.0], 2: [9.0, 4.0, 4.0], 4: [6.0, 6.0, 6.0]})
        >>> held_out(table).tolist()
        [1.0, -1.0, -1.0]
    """
    found = pd.Series(np.nan, index=table.index)
    more = table.drop(columns=1, errors="ignore")
    if len(table) < 2 or 1 not in table or more.empty:
        return found
    for seed in table.index:
        best = more.drop(index=seed).mean().idxmax()
        found[seed] = table.loc[seed, best] - table.loc[seed, 1]
    return found


def rank_correlation(table: pd.DataFrame) -> pd.Series:
    """Return Spearman's correlation of a metric with k, by seed (0 where all are equal).

    Example:
        >>> rank_correlation(pd.DataFrame({1: [1.0, 3.0], 2: [2.0, 2.0], 4: [3.0, 1.0]})).tolist()
        [1.0, -1.0]
    """
    if table.shape[1] < 2:
        return pd.Series(np.nan, index=table.index)
    rows = {
        seed: 0.0 if np.ptp(row) == 0 else float(spearmanr(table.columns, row).statistic)
        for seed, row in zip(table.index, table.to_numpy(), strict=True)
    }
    return pd.Series(rows)


# ------------------------------------------------------------------------------ convergence


def reach(curve: Sequence[float], last: float) -> float:
    """Return the share of a run until its accuracy reaches levels of a last accuracy.

    Mean over the `LEVELS` 60, 65, ..., 95 % of `last` of the first time at which the curve, joined
    by straight lines and starting from chance, is as high; 1 where it never is.

    Example:
        >>> reach([0.5, 0.9, 1.0, 1.0], 1.0) < reach([0.2, 0.5, 0.9, 1.0], 1.0)
        True
        >>> reach([0.1, 0.1], 1.0)
        1.0
    """
    steps, found = np.concatenate([[_CHANCE], np.asarray(curve, dtype=float)]), []
    for target in np.array(LEVELS) * last:
        above = np.flatnonzero(steps >= target)
        if not len(above):
            found.append(1.0)
            continue
        i = int(above[0])
        part = 0.0 if i == 0 else (target - steps[i - 1]) / (steps[i] - steps[i - 1])
        found.append(max(0.0, i - 1 + part) / (len(steps) - 1))
    return float(np.mean(found))


def reached(
    runs: Runs, k: int, alpha: float = 1.0, *, base: pd.Series | None = None, where: str = "input"
) -> pd.Series:
    """Return `reach` of a cell by seed, of its own last accuracy or of that in `base`."""
    if chosen(runs, k, alpha, where=where).empty:
        return value(runs, "accuracy", k, alpha, where=where)
    table = curves(runs, "accuracy", k, alpha, where=where)
    last = table.iloc[:, -1] if base is None else base
    both = table.index.intersection(last.dropna().index)
    return pd.Series({seed: reach(table.loc[seed], last[seed]) for seed in both}, dtype=float)


def last_accuracy(runs: Runs, k: int, alpha: float = 1.0) -> pd.Series:
    """Return the last accuracy on the watched images of a cell by seed, as a share."""
    if chosen(runs, k, alpha).empty:
        return value(runs, "accuracy", k, alpha)
    return curves(runs, "accuracy", k, alpha).iloc[:, -1]


def rise_at_drop(runs: Runs, k: int, schedule: str) -> pd.Series:
    """Return the rise of the test accuracy at half of the run, in points, by seed."""
    if chosen(runs, k, schedule=schedule).empty:
        return value(runs, "accuracy", k, schedule=schedule)
    table = curves(runs, "accuracy", k, schedule=schedule)
    before = table.shape[1] // 2
    return 100 * (table[before + 1] - table[before])
