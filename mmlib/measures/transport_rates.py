r"""Closed forms for random matchings: differences of binomials, cross shares, costs on a line.

For k-Mixup, Theorem 1 and Proposition 1. Two batches of k points put s_1 and s_2 of them into a
cluster of probability p. Their difference is a lazy random walk of k steps, each up or down with
probability ``p (1 - p)``, and ``E|S|`` grows only when a step leaves 0:

.. math:: E|s_1 - s_2| = 2 p (1 - p) \sum_{j=0}^{k-1} P(S_j = 0)
    \;\le\; \sqrt{2 k p (1 - p)} .
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats
from scipy.special import gammaln

from mmlib import checks


def _probabilities(p: Sequence[float] | np.ndarray) -> np.ndarray:
    found = np.asarray(p, dtype=float)
    if found.ndim != 1 or not len(found) or not (found > 0).all():
        raise ValueError(f"p: expected probabilities > 0 of non-empty clusters, but got {p!r}")
    if abs(found.sum() - 1) > 1e-9:
        raise ValueError(f"p: expected probabilities that sum to 1, but got {found.sum():g}")
    return found


def mean_difference(k: int, p: float) -> float:
    """Return ``E|s1 - s2|`` of two independent binomial numbers B(k, p), as a plain double sum.

    Args:
        k: number of trials, >= 1.
        p: their probability, in [0, 1].

    Example:
        >>> round(mean_difference(1, 0.5), 12), round(mean_difference(2, 0.5), 12)
        (0.5, 0.75)
    """
    k, p = checks.integer("k", k, low=1), checks.number("p", p, low=0, high=1)
    mass = stats.binom.pmf(np.arange(k + 1), k, p)
    of_difference = np.convolve(mass, mass[::-1])  # of -k, ..., k
    return float(np.abs(np.arange(-k, k + 1)) @ of_difference)


def mean_difference_by_returns(k: int, p: float) -> float:
    """Return the same from the returns to 0 of a lazy walk, ``2 p q sum_j P(S_j = 0)``.

    Example:
        >>> abs(mean_difference_by_returns(7, 0.3) - mean_difference(7, 0.3)) < 1e-12
        True
    """
    k, p = checks.integer("k", k, low=1), checks.number("p", p, low=0, high=1)
    zero = [(stats.binom.pmf(np.arange(j + 1), j, p) ** 2).sum() for j in range(k)]
    return float(2 * p * (1 - p) * np.sum(zero))


def equal_clusters(k: int) -> float:
    r"""Return ``E|s1 - s2|`` for p = 1/2, :math:`k \binom{2k}{k} / 4^k \approx \sqrt{k / \pi}`.

    Example:
        >>> round(equal_clusters(1), 12), round(equal_clusters(2), 12)
        (0.5, 0.75)
    """
    k = checks.integer("k", k, low=1)
    return float(k * np.exp(gammaln(2 * k + 1) - 2 * gammaln(k + 1) - 2 * k * np.log(2)))


def jensen_bound(k: int, p: float) -> float:
    """Return ``sqrt(2 k p (1 - p))``, the bound on ``E|s1 - s2|`` of k-Mixup, supplement B.

    Example:
        >>> jensen_bound(2, 0.5)
        1.0
    """
    k, p = checks.integer("k", k, low=1), checks.number("p", p, low=0, high=1)
    return float(np.sqrt(2 * k * p * (1 - p)))


def least_share(k: int, p: Sequence[float]) -> float:
    r"""Return the mean share of cross matches where Lemma 1 holds, exactly.

    .. math:: \frac{1}{2k} \sum_i E|r_i - s_i|

    Raises:
        ValueError: probabilities that are not positive or do not sum to 1.

    Example:
        >>> round(least_share(1, [0.5, 0.5]), 12)
        0.5
    """
    return sum(mean_difference(k, float(one)) for one in _probabilities(p)) / (2 * k)


def line_share(k: int, p: Sequence[float]) -> float:
    r"""Return the mean share of cross matches of clusters in a row, exactly.

    .. math:: \frac1k \sum_{j < m} E|R_j - S_j|, \qquad R_j, S_j \sim B(k, p_1 + \dots + p_j)

    It holds where `line_cross` counts, up to an exponentially small chance: a cluster with fewer
    points than pass it.

    Example:
        >>> abs(line_share(8, [0.5, 0.5]) - least_share(8, [0.5, 0.5])) < 1e-12
        True
    """
    below = np.cumsum(_probabilities(p))[:-1]
    return sum(mean_difference(k, float(min(one, 1.0))) for one in below) / k


def share_bound(k: int, p: Sequence[float] | np.ndarray) -> float:
    r"""Return the bound of Theorem 1, :math:`\sum_i \sqrt{p_i (1 - p_i)} / \sqrt{2k}`.

    Example:
        >>> share_bound(2, [0.5, 0.5])
        0.5
    """
    k, p = checks.integer("k", k, low=1), _probabilities(p)
    return float(np.sqrt(p * (1 - p)).sum() / np.sqrt(2 * k))


def lone_points(k: int, p: Sequence[float] | np.ndarray) -> float:
    """Return how many points are alone in their cluster on average, ``sum k p (1-p)^(k-1)``.

    Example:
        >>> lone_points(2, [0.5, 0.5])
        1.0
    """
    k, p = checks.integer("k", k, low=1), _probabilities(p)
    return float((k * p * (1 - p) ** (k - 1)).sum())


def uniform_line_cost(k: int) -> float:
    """Return ``E W_2^2 = 1 / (3 (k + 1))`` of two samples of k uniform points of [0, 1].

    Sorted points are matched, and the i-th of k has variance ``i (k+1-i) / ((k+1)^2 (k+2))``; twice
    its mean over i.

    Example:
        >>> uniform_line_cost(1) == 1 / 6
        True
    """
    return 1 / (3 * (checks.integer("k", k, low=1) + 1))


def deviation(k: int, diameter: float) -> float:
    r"""Return how far the cost lies above its mean with probability at most 1/k^2 (McDiarmid).

    Each of the 2k points changes :math:`W_2^2` by at most ``diameter^2 / k``, hence
    :math:`\text{diameter}^2 \sqrt{2 \log k / k}`.

    Example:
        >>> round(deviation(100, 1.0), 3)
        0.303
    """
    k = checks.integer("k", k, low=1)
    return checks.positive("diameter", diameter) ** 2 * float(np.sqrt(2 * np.log(k) / k))
