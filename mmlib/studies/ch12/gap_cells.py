"""Cells of the studies of Part 3 and 4, and what theory says of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd

from mmlib.evidence import Runs
from mmlib.measures.logit_gap import Gap, optimal_gap, same_class
from mmlib.measures.subspaces import beta_nodes


def cells(runs: Runs) -> Iterator[tuple[pd.Series, Callable[[str], pd.Series]]]:
    """Yield for each cell one of its rows, and a function from metric to values by seed."""
    keys = [name for name in ("digits", "code", "loss", "activation") if name in runs.table]
    for _, table in runs.table.groupby(keys, sort=False):
        table = table.set_index("seed")
        yield table.iloc[0], lambda metric, table=table: table[metric].astype(float)


def theory(row: pd.Series, alpha: float) -> Gap:
    """Return what mixing asks of free logits in a cell, with the partners of its batches."""
    classes = len(row["digits"])
    same = same_class(int(row["n_used"]), classes, int(row["batch"]))
    return optimal_gap(classes, *beta_nodes(alpha), same)


def can_place(row: pd.Series) -> bool:
    """Return whether a head of this width can give K classes any logits, H >= K - 1."""
    return row["code"] >= len(row["digits"]) - 1


def compared(row: pd.Series) -> bool:
    """Return whether a cell can place its classes and has smoothing beside mixing."""
    return can_place(row) and len(row["smooth"]) > 0


def share(of: Callable, split: str, part: str, name: str) -> pd.Series:
    """Return within-class over total variance in the seen or the unseen directions."""
    return of(f"{split}_within_{part}_{name}") / of(f"{split}_total_{part}_{name}")
