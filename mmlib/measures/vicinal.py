"""How far mixes lie from what they were mixed of: the law of lambda times match lengths."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy import special, stats
from torch import Tensor

from mmlib.checks import integer, number, positive
from mmlib.mixing import OptimalPairing


def nearer_moment(alpha: float, power: float = 2.0) -> float:
    r"""Return the mean of ``min(lambda, 1 - lambda)^p`` for lambda ~ Beta(alpha, alpha).

    .. math:: E \min(\lambda, 1-\lambda)^p
        = \frac{2\, B(\alpha + p, \alpha)}{B(\alpha, \alpha)}\; I_{1/2}(\alpha + p, \alpha)

    with the regularised incomplete beta function I. For p = 2 the fraction is
    :math:`(\alpha + 1) / (2 \alpha + 1)`; at alpha = 1 the moment is 1/12. A mix of a pair at
    distance m lies min(lambda, 1 - lambda) m from its nearer end, so ``p = 2`` turns mean squared
    match lengths into the mean squared distance of k-Mixup, section 5 (Figures 5b and 6b).

    Args:
        alpha: above 0.
        power: p, at least 0.

    Raises:
        ValueError, TypeError: an argument does not fit.

    Example:
        >>> round(1 / nearer_moment(1.0), 9), round(nearer_moment(1e9), 4)
        (12.0, 0.25)
    """
    alpha, p = positive("alpha", alpha), number("power", power, low=0)
    ratio = np.exp(special.betaln(alpha + p, alpha) - special.betaln(alpha, alpha))
    return float(2 * ratio * special.betainc(alpha + p, alpha, 0.5))


def end_moment(alpha: float, power: float = 2.0) -> float:
    r"""Return the mean of ``(1 - lambda)^p`` for lambda ~ Beta(alpha, alpha): distance to one end.

    .. math:: E (1-\lambda)^p = B(\alpha + p, \alpha) / B(\alpha, \alpha)

    Raises:
        ValueError, TypeError: an argument does not fit.

    Example:
        >>> round(end_moment(1.0), 9)
        0.333333333
    """
    alpha, p = positive("alpha", alpha), number("power", power, low=0)
    return float(np.exp(special.betaln(alpha + p, alpha) - special.betaln(alpha, alpha)))


def product_moment(alpha: float) -> float:
    r"""Return the mean of ``lambda (1 - lambda)``, which is ``alpha / (2 (2 alpha + 1))``.

    Up to a constant it is also the mean of ``(1 - lambda)^2`` under Beta(alpha + 1, alpha), the law
    in k-Mixup's Theorem 3.

    Example:
        >>> round(product_moment(1.0), 9)
        0.166666667
    """
    return positive("alpha", alpha) / (2 * (2 * alpha + 1))


def nearer_spread(alpha: float) -> float:
    """Return the standard deviation of ``min(lambda, 1 - lambda)^2`` over its mean.

    The mean of n draws then has the relative error ``nearer_spread(alpha) / sqrt(n)``.

    Example:
        >>> round(nearer_spread(1.0), 4) == round((12**2 / 80 - 1) ** 0.5, 4)
        True
    """
    mean = nearer_moment(alpha, 2.0)
    return float(np.sqrt(max(nearer_moment(alpha, 4.0) / mean**2 - 1, 0.0)))


def match_gaps(
    x: Tensor, pairing: OptimalPairing, generator: torch.Generator, other: Tensor | None = None
) -> tuple[Tensor, float]:
    """Return the differences between examples and their partners, and the share of self-pairs.

    Args:
        x: (B, ...) examples.
        pairing: k, cost and sets.
        generator: of the random order.
        other: (B, ...) the second batch, for independent sets.

    Returns:
        (B, ...) differences in the order of the draw; the share of examples that are their own
        partner, 0 with a second batch.

    Raises:
        ValueError: the pairing wants a second batch and there is none, or the reverse.

    Example:
        >>> x = torch.tensor([[0.0], [3.0]])
        >>> rng = torch.Generator().manual_seed(0)
        >>> gaps, own = match_gaps(x, OptimalPairing(1, sets="disjoint"), rng)
        >>> gaps.abs().tolist(), own
        ([[3.0], [3.0]], 0.0)
    """
    order = pairing.draw(len(x), generator, other=other is not None)
    partner = pairing.match(order, x, other)
    gaps = x[order[0]] - (x if other is None else other)[partner]
    own = (order[0] == partner).double().mean().item() if other is None else 0.0
    return gaps, own


class Factorised(NamedTuple):
    """A positive table as ``rows x columns`` with given columns.

    Attributes:
        rows: (K,) the factors of the rows.
        residuals: (K, A) logarithms of the table over the product.
        misfit: weighted root mean square of the residuals, per degree of freedom.
    """

    rows: np.ndarray
    residuals: np.ndarray
    misfit: float


def factorised(table: np.ndarray, columns: np.ndarray, spread: np.ndarray) -> Factorised:
    r"""Fit the factors of the rows of a table whose column factors are known.

    The rows minimise :math:`\sum_{ka} (\log T_{ka} - \log r_k - \log c_a)^2 / s_a^2`, where
    :math:`s_a` is how much a single draw of column a spreads. The misfit is the root of that sum
    over its K (A - 1) degrees of freedom: the mean of n draws gives about :math:`1/\sqrt n`.

    Args:
        table: (K, A) positive numbers.
        columns: (A,) positive factors.
        spread: (A,) relative standard deviation of one draw.

    Raises:
        ValueError: shapes do not fit, or a number is not positive.

    Example:
        >>> columns = np.array([1.0, 2.0])
        >>> found = factorised(np.array([[3.0, 6.0], [5.0, 10.0]]), columns, np.ones(2))
        >>> found.rows.round(6).tolist(), round(found.misfit, 9)
        ([3.0, 5.0], 0.0)
    """
    table, columns, spread = (np.asarray(a, dtype=float) for a in (table, columns, spread))
    if table.ndim != 2 or columns.shape != spread.shape or table.shape[1:] != columns.shape:
        raise ValueError(
            f"table: expected (K, A) with A column factors and spreads, but got {table.shape}, "
            f"{columns.shape} and {spread.shape}"
        )
    if table.shape[1] < 2 or not all((a > 0).all() for a in (table, columns, spread)):
        raise ValueError("table: expected at least two columns and positive numbers")
    logs = np.log(table / columns)
    weights = spread**-2.0
    rows = (logs * weights).sum(1, keepdims=True) / weights.sum()
    residuals = logs - rows
    freedom = len(table) * (table.shape[1] - 1)
    misfit = float(np.sqrt((residuals**2 * weights).sum() / freedom))
    return Factorised(np.exp(rows[:, 0]), residuals, misfit)


def draws_behind(misfit: float, freedom: int, level: float = 0.05) -> tuple[float, float, float]:
    r"""Return how many draws of lambda a misfit speaks for, with its interval.

    If each cell is the mean of n draws, the misfit squared times n is chi-squared over its degrees
    of freedom, so :math:`n = 1 / \text{misfit}^2` with bounds from the chi-squared quantiles. Other
    sources of noise make the misfit larger and n smaller: n is a lower bound then.

    Args:
        misfit: as `factorised` returns it.
        freedom: degrees of freedom, ``K (A - 1)``.
        level: chance that the interval misses n.

    Example:
        >>> [round(n) for n in draws_behind(0.05, 36)]
        [400, 237, 605]
    """
    misfit, freedom = positive("misfit", misfit), integer("freedom", freedom, low=1)
    low, high = stats.chi2.ppf([level / 2, 1 - level / 2], freedom) / freedom
    return misfit**-2, float(low) * misfit**-2, float(high) * misfit**-2
