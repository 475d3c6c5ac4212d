"""The few tests that verdicts rest on, vectorised over leading axes so that they can be calibrated.

A decision is +1 (for the claim), -1 (against it) or 0 (neither). Values run over seeds along the
last axis; they are taken as independent and roughly normal.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from numpy.typing import ArrayLike

LEVEL = 0.05  # chance of a wrong decision that one statistical verdict may carry


def t_quantile(p: float, n: int) -> float:
    """Return the quantile of Student's t with n - 1 degrees of freedom, NaN for n < 2.

    Example:
        >>> round(t_quantile(0.975, 5), 3)
        2.776
    """
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, p)) if n > 1 else float("nan")


def mean_interval(values: ArrayLike, *, level: float = LEVEL) -> tuple[np.ndarray, ...]:
    """Return mean, low, high: ``mean -+ t(1 - level / 2, n - 1) s / sqrt(n)``.

    The interval of equal values is the point itself; that of fewer than two values, or of values
    with a NaN among them, is NaN.

    Example:
        >>> [round(float(x), 3) for x in mean_interval([1.0, 2.0, 3.0])]
        [2.0, -0.484, 4.484]
    """
    values = np.asarray(values, dtype=float)
    n = values.shape[-1]
    if n < 2:
        mean = values.mean(-1) if n else np.full(values.shape[:-1], np.nan)
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    with np.errstate(invalid="ignore"):  # infinite values: the interval is NaN, and says nothing
        mean, spread = values.mean(-1), values.std(-1, ddof=1)
        constant = np.ptp(values, axis=-1) == 0
    spread = np.where(constant, 0.0, spread)  # equal values spread by rounding errors alone
    half = t_quantile(1 - level / 2, n) * spread / np.sqrt(n)
    return mean, mean - half, mean + half


def decide_order(values: ArrayLike, *, margin: float = 0.0, level: float = LEVEL) -> np.ndarray:
    """Decide whether a mean exceeds `margin`, from its two-sided interval.

    +1 if the interval lies above the margin, -1 if below, else 0. Without any difference the
    chance of a decision, right or wrong, is `level`.

    Example:
        >>> int(decide_order([0.9, 1.1, 1.0])), int(decide_order([0.9, -1.1, 1.0]))
        (1, 0)
    """
    _, low, high = mean_interval(values, level=level)
    return np.where(low > margin, 1, np.where(high < margin, -1, 0))


def decide_equivalence(values: ArrayLike, *, margin: float, level: float = LEVEL) -> np.ndarray:
    """Decide whether a mean difference lies inside ``-margin .. margin``.

    +1 by two one-sided tests at `level`, that is if the ``1 - 2 level`` interval lies inside; -1 if
    the ``1 - level`` interval lies wholly outside; else 0. At the margin itself the chance of +1
    is at most `level`.

    Example:
        >>> int(decide_equivalence([0.01, -0.01, 0.0], margin=0.1))
        1
    """
    _, low, high = mean_interval(values, level=2 * level)
    _, wide_low, wide_high = mean_interval(values, level=level)
    inside = (low > -margin) & (high < margin)
    outside = (wide_low > margin) | (wide_high < -margin)
    return np.where(inside, 1, np.where(outside, -1, 0))


def half_unit(printed: str) -> float:
    """Return half a unit of the last printed digit, the rounding error of a printed number.

    Example:
        >>> half_unit("94.770"), half_unit("12")
        (0.0005, 0.5)
    """
    return 0.5 * 10.0 ** int(Decimal(printed).as_tuple().exponent)


def agreement_width(
    values: ArrayLike,
    printed: str,
    *,
    uncertainty: float | None = None,
    n_trials: int | None = None,
    level: float = LEVEL,
) -> float:
    """Return how far a printed number may lie from the mean of our values and still agree.

    ``t(1 - level / 2, n - 1) sqrt(s^2 / n + u^2) + half a unit of the last printed digit``, where
    ``u`` is the printed uncertainty, read as a standard error. Where none is printed the number is
    the mean of `n_trials` runs (one, unless stated) that vary as ours do: ``u = s / sqrt(trials)``.
    Leaving ``u`` out would count the luck of the published seed as a disagreement.

    Example:
        >>> round(agreement_width([1.0, 2.0, 3.0], "2.0"), 3)
        5.018
    """
    values = np.asarray(values, dtype=float)
    n = len(values)
    if n < 2:
        return float("nan")
    spread = values.std(ddof=1)
    u = spread / np.sqrt(n_trials or 1) if uncertainty is None else uncertainty
    combined = np.hypot(spread / np.sqrt(n), u)
    return float(t_quantile(1 - level / 2, n) * combined) + half_unit(printed)
