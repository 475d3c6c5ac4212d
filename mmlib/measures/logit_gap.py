r"""The gap between logits that mixing before an affine head and a softmax asks for.

Each of n training examples of K balanced classes has free logits, the partner of an example is of
its own class with probability q, and lambda has any law. Chapter 12 proves that the mixed
cross-entropy has one minimiser, up to a constant per example, as soon as lambda is not always 0,
1/2 or 1: the logit of the own class is higher than each other by one number s for all examples.
`mmlib.measures.best_scale` is the case q = 1/K.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import logsumexp
from scipy.stats import beta

from mmlib.checks import integer, number, positive


def same_class(n: int, classes: int, batch: int | None = None) -> float:
    r"""Return the probability q that the partner of an example has its class.

    Partners are a uniform permutation of a batch, the batch is drawn without replacement from n
    examples of which each class has n / K. An example is its own partner with probability 1/B, and
    otherwise its partner is any other one: :math:`q = 1/B + (1 - 1/B)(n/K - 1)/(n - 1)`.

    Args:
        n: training examples.
        classes: K, balanced.
        batch: B; None for partners drawn from all examples, themselves included: 1/K.

    Raises:
        TypeError, ValueError: a size is no integer or out of range.

    Example:
        >>> same_class(1000, 10), round(same_class(1000, 10, 50), 6)
        (0.1, 0.117117)
    """
    integer("n", n, low=integer("classes", classes, low=2))
    if batch is None:
        return 1 / classes
    integer("batch", batch, low=2, high=n)
    return 1 / batch + (1 - 1 / batch) * (n / classes - 1) / (n - 1)


def mixed_risk(
    gap: float, classes: int, lam: ArrayLike, weights: ArrayLike, same: float | None = None
) -> float:
    r"""Return the mixed cross-entropy, in nats, of own logits that are higher by `gap`.

    .. math:: q \log(1 + (K-1) e^{-s}) + (1 - q)\, E\big[\log(e^{\lambda s} + e^{(1-\lambda) s}
        + K - 2) - s\,(\lambda^2 + (1-\lambda)^2)\big]

    Args:
        gap: s.
        classes: K.
        lam: values of lambda, such as those of `mmlib.measures.beta_nodes`.
        weights: their probabilities.
        same: q; None for 1/K.

    Example:
        >>> round(mixed_risk(0.0, 10, [0.3], [1.0]), 4)   # log 10
        2.3026
    """
    q = 1 / classes if same is None else same
    lam, weights = np.asarray(lam, dtype=float), np.asarray(weights, dtype=float)
    rows = [gap * lam, gap * (1 - lam)]
    if classes > 2:
        rows.append(np.full_like(lam, np.log(classes - 2)))
    other = logsumexp(rows, axis=0) - gap * (lam**2 + (1 - lam) ** 2)
    return float(q * clean_nll(gap, classes) + (1 - q) * (weights @ other))


def clean_nll(gap: float, classes: int) -> float:
    """Return ``log(1 + (K - 1) exp(-s))``, the NLL in nats of an example whose gap is s.

    Example:
        >>> round(clean_nll(0.0, 10), 4)
        2.3026
    """
    return float(np.logaddexp(0.0, np.log(classes - 1) - gap))


@dataclass(frozen=True)
class Gap:
    """What mixing asks for.

    Attributes:
        gap: s, own logit less each other one.
        confidence: probability of the own class on an unmixed example, 1 / (1 + (K - 1) e^-s).
        nll: NLL of an unmixed example, in nats.
        risk: mixed cross-entropy, in nats.
    """

    gap: float
    confidence: float
    nll: float
    risk: float


def risk_slope(
    gap: float, classes: int, lam: np.ndarray, weights: np.ndarray, same: float
) -> float:
    """Return the derivative of `mixed_risk` in the gap; the gap asked for is its zero.

    Example:
        >>> lam = np.array([0.0, 1.0])   # no mixing: falls forever
        >>> risk_slope(5.0, 2, lam, np.array([0.5, 0.5]), 0.5) < 0
        True
    """
    high = np.maximum(lam, 1 - lam)
    # Over the larger of the two terms, so that nothing overflows.
    low = np.exp(gap * (1 - 2 * high))
    third = (classes - 2) * np.exp(-gap * high)
    other = (high + (1 - high) * low) / (1 + low + third) - (lam**2 + (1 - lam) ** 2)
    own = -(classes - 1) / (np.exp(gap) + classes - 1)
    return float(same * own + (1 - same) * (weights @ other))


def optimal_gap(classes: int, lam: ArrayLike, weights: ArrayLike, same: float | None = None) -> Gap:
    r"""Return the gap that mixing asks for: the zero of `risk_slope`, a convex problem.

    Args:
        classes: K >= 2.
        lam: values of lambda.
        weights: their probabilities.
        same: q, see `same_class`; None for 1/K.

    Raises:
        ValueError: lambda is always 0, 1/2 or 1, or partners always have the same class: then the
            risk falls forever.

    Example:
        >>> from mmlib.measures import beta_nodes
        >>> found = optimal_gap(2, *beta_nodes(1.0))
        >>> round(found.gap, 3), round(found.confidence, 4)
        (3.542, 0.9719)
    """
    integer("classes", classes, low=2)
    lam, weights = np.asarray(lam, dtype=float), np.asarray(weights, dtype=float)
    q = number("same", 1 / classes if same is None else same, low=0, high=1, high_open=True)
    # At 1/2 both wanted classes gain alike from any gap, so nothing holds it.
    if not ((weights > 0) & (lam > 0) & (lam < 1) & (lam != 0.5)).any():
        raise ValueError("lam: expected values other than 0, 1/2 and 1, but got none")
    high = 8.0
    while risk_slope(high, classes, lam, weights, q) < 0:
        high *= 2
    gap = float(brentq(risk_slope, 0.0, high, (classes, lam, weights, q), xtol=1e-13, rtol=1e-13))
    nll = clean_nll(gap, classes)
    return Gap(gap, float(np.exp(-nll)), nll, mixed_risk(gap, classes, lam, weights, q))


def smoothing_gap(share: float, classes: int) -> float:
    r"""Return the gap that label smoothing asks for, ``log((1 - e + e/K) / (e/K))``.

    Args:
        share: e, of the target that is spread evenly over all classes, in (0, 1].
        classes: K.

    Example:
        >>> round(smoothing_gap(0.1, 10), 4)   # log(0.91 / 0.01)
        4.5109
    """
    number("share", share, low=0, high=1, low_open=True)
    return float(np.log(classes / share - classes + 1))


def smoothing_for(gap: float, classes: int) -> float:
    """Return the share of label smoothing that asks for a gap, ``K / (e^s + K - 1)``.

    Example:
        >>> round(smoothing_for(smoothing_gap(0.1, 10), 10), 12)
        0.1
    """
    return float(classes / (np.exp(number("gap", gap, low=0)) + classes - 1))


def small_alpha_gap(alpha: float, classes: int) -> float:
    r"""Return what the gap tends to for small alpha, :math:`\log K - \log(\alpha (1 - \log 2))`.

    Beta(alpha, alpha) puts mass :math:`\alpha/2 \cdot d\lambda / (\lambda (1 - \lambda))` between
    0 and 1. There a large gap costs :math:`s\, m (1 - 2 m)` with m = min(lambda, 1 - lambda), so
    it grows by :math:`\alpha \int_0^{1/2} (1 - 2 m)/(1 - m)\, dm = \alpha (1 - \log 2)` per unit;
    against it stands the share of wrong probability on the ends, :math:`(K - 1) e^{-s}`.

    Example:
        >>> round(small_alpha_gap(0.01, 2), 3)
        6.48
    """
    return float(np.log(classes / (positive("alpha", alpha) * (1 - np.log(2)))))


def many_classes_rate(alpha: float) -> float:
    r"""Return c of :math:`s^* \sim c \log K` for many classes.

    With :math:`s = c \log K` and M = max(lambda, 1 - lambda) a mix beats the K - 2 other classes
    if c M > 1. The slope vanishes where :math:`E[M; M > 1/c] = E[\lambda^2 + (1 - \lambda)^2]`;
    for alpha = 1 that is :math:`1 - 1/c^2 = 2/3`.

    Example:
        >>> round(many_classes_rate(1.0) ** 2, 9)
        3.0
    """
    law = beta(positive("alpha", alpha), alpha)
    wanted = (alpha + 1) / (2 * alpha + 1)

    def above(t: float) -> float:
        return 2 * quad(lambda m: m * law.pdf(m), t, 1)[0] - wanted

    return 1 / float(brentq(above, 0.5, 1 - 1e-12, xtol=1e-13))
