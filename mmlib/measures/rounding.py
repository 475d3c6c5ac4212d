"""Which numbers of test examples and trials make a printed percentage possible."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from mmlib.checks import choice, integer

MODES = ("rounded", "cut")


def attainable(n: int, decimals: int, mode: str = "rounded") -> np.ndarray:
    r"""Return the values ``100 c / n`` for c = 0 .. n as printed, in units of the last digit.

    Args:
        n: number of examples behind a percentage (times trials, for a mean over trials).
        decimals: digits behind the point.
        mode: ``"rounded"`` to the nearest, halves upwards, or ``"cut"`` behind the last digit.

    Returns:
        (m,) distinct integers in increasing order, 0 to ``100 * 10^decimals``.

    Raises:
        ValueError, TypeError: an argument does not fit.

    Example:
        >>> attainable(3, 1).tolist(), attainable(3, 1, "cut").tolist()
        ([0, 333, 667, 1000], [0, 333, 666, 1000])
    """
    n, scale = integer("n", n, low=1), 100 * 10 ** integer("decimals", decimals, low=0)
    c = np.arange(n + 1, dtype=np.int64) * scale
    choice("mode", mode, MODES)
    return np.unique((2 * c + n) // (2 * n) if mode == "rounded" else c // n)


def digits_of(printed: Sequence[str]) -> tuple[np.ndarray, int]:
    """Return printed percentages as integers in units of the last digit of the longest, and digits.

    A shorter one, like 100 among 99.7, is read as if zeros followed.

    Raises:
        ValueError: one is no number from 0 to 100, or there is none.

    Example:
        >>> values, decimals = digits_of(["91.4", "100"])
        >>> values.tolist(), decimals
        ([914, 1000], 1)
    """
    try:
        numbers = [Decimal(text) for text in printed]
    except (ArithmeticError, TypeError, ValueError):
        raise ValueError(f"printed: expected percentages as text, but got {printed!r}") from None
    if not numbers or not all(0 <= one <= 100 for one in numbers):
        raise ValueError(f"printed: expected percentages from 0 to 100, but got {printed!r}")
    decimals = max(0, *(-int(one.as_tuple().exponent) for one in numbers))
    return np.array([int(one * 10**decimals) for one in numbers], dtype=np.int64), decimals


def fitting(printed: Sequence[str], n: int, mode: str = "rounded") -> np.ndarray:
    """Return for each printed percentage whether ``100 c / n`` can be printed so.

    Example:
        >>> fitting(["93.7", "92.1"], 128, "cut").tolist(), fitting(["93.7"], 128).tolist()
        ([True, True], [False])
    """
    values, decimals = digits_of(printed)
    return np.isin(values, attainable(n, decimals, mode))


class Denominators(NamedTuple):
    """Numbers of examples that make all printed percentages possible.

    Attributes:
        found: those up to the largest one tried, in increasing order.
        by_luck: how many numbers up to the first of them (or up to the largest one tried) would
            fit random digits; if small, the first one says something.
        values: how many different printed values there are.
    """

    found: tuple[int, ...]
    by_luck: float
    values: int


def denominators(printed: Sequence[str], largest: int, mode: str = "rounded") -> Denominators:
    """Search for numbers of examples behind all percentages of a table.

    A random value of d decimals is possible with n examples for a share of about
    ``min(1, n / 10^(d + 2))`` of all values, so m different ones are for that share to the power m;
    summed over n this is the expected number of fits by luck.

    Args:
        printed: the values as printed.
        largest: the largest n tried.
        mode: see `attainable`.

    Raises:
        ValueError, TypeError: an argument does not fit.

    Example:
        >>> denominators(["92.0", "98.0", "94.0", "100.0"], 120).found
        (50, 100)
    """
    values, decimals = digits_of(printed)
    scale, distinct = 100 * 10**decimals, np.unique(values)
    # None and all of the examples are possible with any n, so these say nothing.
    telling = distinct[(distinct > 0) & (distinct < scale)]
    n = np.arange(1, integer("largest", largest, low=1) + 1)[:, None, None]
    # The only counts that can be printed as v are the two around v n / scale.
    c = (telling[:, None] * n) // scale + np.arange(2)
    choice("mode", mode, MODES)
    made = (2 * c * scale + n) // (2 * n) if mode == "rounded" else c * scale // n
    fits = (made == telling[:, None]).any(2).all(1)
    found = tuple((np.flatnonzero(fits) + 1).tolist())
    # Up to n = scale the n + 1 fractions are printed as n + 1 different values.
    tried = np.arange(1, (found[0] if found else largest) + 1)
    share = (np.minimum(tried, scale) + 1) / (scale + 1)
    return Denominators(found, float((share ** len(telling)).sum()), len(distinct))
