"""The printed tables of k-Mixup as data: what their cells say by themselves."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from scipy.integrate import quad

from mmlib.checks import choice, integer
from mmlib.evidence import published
from mmlib.measures import rounding

# name -> (file, title)
TABLES: dict[str, tuple[str, str]] = {
    "mnist": ("kmixup_fig5a_mnist_accuracy", "MNIST"),
    "cifar10": ("kmixup_fig6a_cifar10_accuracy", "CIFAR-10"),
    "cifar100": ("kmixup_fig8a_cifar100_accuracy", "CIFAR-100"),
    "svhn": ("kmixup_fig8b_svhn_accuracy", "SVHN"),
    "manifold": ("kmixup_fig9_manifold_cifar10_accuracy", "CIFAR-10, manifold"),
}
DISTANCES = {"mnist": "kmixup_fig5b_mnist_distance", "cifar10": "kmixup_fig6b_cifar10_distance"}
TOYS = ("One Ring", "Four Bars", "Swiss Roll")
# As section 5 prints them: inputs, and names of the tables in Figure 4.
UCI = {
    "iris": ("Iris", 4),
    "breast_cancer": ("Breast Cancer Wisconsin-Diagnostic", 30),
    "abalone": ("Abalone", 8),
    "arrhythmia": ("Arrhythmia", 279),
    "htru2": ("HTRU2", 9),
    "phishing": ("Phishing", 30),
}


def grid(name: str) -> pd.DataFrame:
    """Return a printed table of accuracies in percent, k by alpha.

    Args:
        name: a key of `TABLES`, one of the toy sets of Figure 3, or a distance table by the name
            of its file.

    Raises:
        ValueError: there is no such table.

    Example:
        >>> grid("cifar10").loc[8, 1.0], grid("One Ring").shape
        (np.float64(95.815), (5, 5))
    """
    choice("name", name, (*TABLES, *TOYS, *DISTANCES.values()))
    if name in TOYS:
        cells = published("kmixup_fig3_toy")
        cells = cells[cells["dataset"] == name]
    else:
        cells = published(TABLES[name][0] if name in TABLES else name)
    table = cells.pivot(index="k", columns="alpha", values="value")
    table.index = table.index.astype(int)
    return table


def digits(name: str) -> list[str]:
    """Return the values of a table of `grid`, or of a UCI table, with the digits as printed."""
    if name in UCI:
        cells = published("kmixup_fig4_uci")
        return list(cells[cells["dataset"] == UCI[name][0]]["printed"])
    if name in TOYS:
        cells = published("kmixup_fig3_toy")
        return list(cells[cells["dataset"] == name]["printed"])
    return list(published(TABLES[name][0])["printed"])


def half_width(name: str) -> float | None:
    """Return the half-width printed with a table of accuracies; None if none is printed."""
    if name not in TABLES:
        return None
    found = published(TABLES[name][0])["uncertainty"].unique()
    return float(found[0]) if len(found) == 1 else None


def standard_error(name: str, trials: int = 20) -> float:
    """Return the standard error behind a printed half-width, read as that of a 95 % t interval.

    Example:
        >>> round(standard_error("mnist"), 5)
        0.00956
    """
    width = half_width(name)
    if width is None:
        raise ValueError(f"name: expected a table with a printed half-width, but got {name!r}")
    return float(width / stats.t.ppf(0.975, trials - 1))


def uci(name: str) -> pd.Series:
    """Return the printed accuracies of a UCI table by k; 0 stands for no mixup.

    Example:
        >>> uci("iris").to_dict()
        {0: 92.0, 1: 98.0, 5: 94.0, 10: 100.0}
    """
    cells = published("kmixup_fig4_uci")
    cells = cells[cells["dataset"] == UCI[choice("name", name, tuple(UCI))][0]]
    return pd.Series(cells["value"].to_numpy(), cells["k"].fillna(0).astype(int), name="accuracy")


# ------------------------------------------------------------------------------ gains


class Gain(NamedTuple):
    """k > 1 against k = 1 in one column of a table.

    Attributes:
        dataset: title of the table.
        alpha: of the column.
        one: accuracy at k = 1.
        best, best_k: the highest accuracy among k > 1, and where.
        worst, worst_k: the lowest.
        half: the printed half-width, or None.
    """

    dataset: str
    alpha: float
    one: float
    best: float
    best_k: int
    worst: float
    worst_k: int
    half: float | None


def gains(names: tuple[str, ...] = (*TABLES, *TOYS, *UCI)) -> pd.DataFrame:
    """Return a `Gain` for each column of the named tables, with ``gain`` and ``loss`` in points.

    ``gain`` is the best k > 1 less k = 1, ``loss`` the worst k > 1 less k = 1.

    Example:
        >>> row = gains(("cifar100",)).set_index("alpha").loc[10.0]
        >>> round(float(row["gain"]), 2), int(row["best_k"])
        (2.02, 32)
    """
    rows = []
    for name in names:
        title = TABLES[name][1] if name in TABLES else UCI[name][0] if name in UCI else name
        table = uci(name).drop(0).to_frame(1.0) if name in UCI else grid(name)
        half = half_width(name)
        for alpha in table.columns:
            column, more = table[alpha], table[alpha].drop(1)
            rows.append(
                Gain(
                    *(title, float(alpha), column[1], more.max(), int(more.idxmax())),
                    *(more.min(), int(more.idxmin()), half),
                )
            )
    found = pd.DataFrame(rows)
    found["gain"], found["loss"] = found["best"] - found["one"], found["worst"] - found["one"]
    return found


def harmed(table: pd.DataFrame, column: str) -> pd.Series:
    """Return whether a difference to k = 1 lies below what two printed half-widths h allow.

    Both ends of a difference carry h, so it may be off by ``sqrt(2) h``; without a printed h any
    fall counts. The slack covers decimal numbers in binary.
    """
    return table[column] < -np.sqrt(2) * table["half"].fillna(0.0).astype(float) - 1e-9


def rises(table: pd.DataFrame) -> list[tuple[int, float]]:
    """Return the cells (k, alpha) of a table that are above the one before them in their column.

    Example:
        >>> rises(grid(DISTANCES["mnist"]))
        [(2, 0.05)]
    """
    up = table.diff() > 0
    return [(int(k), float(alpha)) for k in up.index for alpha in up.columns if up.loc[k, alpha]]


def expected_best(m: int) -> float:
    r"""Return the mean of the largest of m independent standard normal numbers.

    .. math:: E \max_i Z_i = \int z\, m\, \varphi(z)\, \Phi(z)^{m-1} dz

    In units of the standard error of one accuracy this is what the best of m equal settings gains
    on average over one that is equal too.

    Example:
        >>> [round(expected_best(m), 3) for m in (1, 2, 5)]
        [0.0, 0.564, 1.163]
    """
    integer("m", m, low=1)
    density = stats.norm.pdf
    value, _ = quad(lambda z: z * m * density(z) * stats.norm.cdf(z) ** (m - 1), -9, 9)
    return float(value)


def arithmetic(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Return the numbers that the text names, worked out from the printed cells.

    For a table: ``best``, ``best_k``, ``best_alpha`` among k > 1, ``one`` the best of k = 1, their
    ``gap``, and ``last`` the gain in the column of the largest alpha. ``outside`` counts columns
    whose best k is 1, ``outside_control`` the same if the column's k = 1 and best k were exchanged.
    """
    table = grid(settings["table"])
    more = table.drop(index=1)
    best = more.max().max()
    k, alpha = more.stack().idxmax()
    gain = more.max() - table.loc[1]
    return {
        "best": float(best),
        "best_k": float(k),
        "best_alpha": float(alpha),
        "one": float(table.loc[1].max()),
        "gap": float(best - table.loc[1].max()),
        "last": float(gain.iloc[-1]),
        "columns": float(table.shape[1]),
        "outside": float((gain <= 0).sum()),
        "outside_control": float((-gain <= 0).sum()),
    }


# ------------------------------------------------------------------------------ digits


def denominator_table(largest: int = 1500) -> pd.DataFrame:
    """Return for each UCI table the smallest number of examples that all its cells allow.

    Columns: ``rows`` of the set as printed, ``different`` values and their ``decimals``; then for
    rounded and for cut digits the first fitting ``n`` (0: none up to `largest`) and ``by luck``,
    how many n up to there would fit random digits.
    """
    sizes = {"iris": 150, "breast_cancer": 569, "abalone": 4177, "arrhythmia": 452}
    sizes |= {"htru2": 17_898, "phishing": 11_055}
    rows = {}
    for name, (title, _) in UCI.items():
        cells = digits(name)
        row: dict[str, float] = {"rows": sizes[name], "different": len(set(cells))}
        row["decimals"] = rounding.digits_of(cells)[1]
        for mode in rounding.MODES:
            found = rounding.denominators(cells, largest, mode)
            row[f"{mode}: n"] = found.found[0] if found.found else 0
            row[f"{mode}: by luck"] = found.by_luck
        rows[title] = row
    return pd.DataFrame(rows).T


def toy_table(totals: tuple[int, ...] = (10_000, 20_000, 30_000, 40_000, 50_000)) -> pd.DataFrame:
    """Return the share of the cells of Figure 3 that a total number of test points makes possible.

    ``by luck`` is the share of random three-digit values that it makes possible.
    """
    rows = {}
    for total in totals:
        row = {"by luck": len(rounding.attainable(total, 3)) / (100_001)}
        for name in TOYS:
            # 100 fits always; a cell with two decimals is read with a third that is 0.
            cells = [f"{float(text):.3f}" for text in digits(name) if text != "100"]
            row[name] = float(rounding.fitting(cells, total).mean())
        rows[total] = row
    return pd.DataFrame(rows).T


def last_digits(name: str, decimals: int = 3) -> pd.Series:
    """Return how often each last digit occurs among the cells of a table, zeros appended.

    Example:
        >>> last_digits("cifar10").to_dict()
        {0: 19, 5: 23}
    """
    values = [round(float(text) * 10**decimals) % 10 for text in digits(name)]
    return pd.Series(values).value_counts().sort_index()
