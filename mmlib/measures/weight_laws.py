r"""Laws of the weight in a mix that the expansions of k-Mixup, section 4, ask for.

Beside :math:`\lambda \sim \mathrm{Beta}(\alpha, \alpha)` these are the tilted law
Beta(alpha + 1, alpha) of Theorem 3 and the folded one of Theorem 4.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import beta as beta_function
from scipy.special import roots_jacobi

from mmlib import checks


def jacobi_nodes(a: float, b: float, n: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Return n values and weights that stand for Beta(a, b), exact to degree 2n - 1.

    Raises:
        TypeError, ValueError: a or b is not above 0, or n is below 1.

    Example:
        >>> lam, weight = jacobi_nodes(2.0, 1.0, 4)
        >>> round(float(weight @ lam), 12)
        0.666666666667
    """
    a, b = checks.positive("a", a), checks.positive("b", b)
    nodes, weights = roots_jacobi(checks.integer("n", n, low=1), b - 1, a - 1)
    return (nodes + 1) / 2, weights / weights.sum()


def folded_nodes(alpha: float, n: int = 48) -> tuple[np.ndarray, np.ndarray]:
    r"""Return n values of :math:`\theta \sim \beta_{[1/2, 1]}(\alpha, \alpha)` and their weights.

    Theta is :math:`\max(\lambda, 1 - \lambda)`: Beta(alpha, alpha) cut off below one half. The
    nodes are those of the factor :math:`(1 - \theta)^{\alpha - 1}` on [1/2, 1]; the other factor
    is smooth there and enters the weights, so the error falls geometrically in n.

    Raises:
        TypeError, ValueError: alpha is not above 0, or n is below 1.

    Example:
        >>> theta, weight = folded_nodes(1.0)
        >>> round(float(weight @ theta), 12)
        0.75
    """
    alpha = checks.positive("alpha", alpha)
    nodes, weights = roots_jacobi(checks.integer("n", n, low=1), alpha - 1, 0)
    theta = (nodes + 3) / 4
    weights = weights * theta ** (alpha - 1)
    return theta, weights / weights.sum()


class FoldedMoments(NamedTuple):
    """Moments of theta, Beta(alpha, alpha) truncated to [1/2, 1].

    Attributes:
        mean: theta-bar.
        variance: sigma squared.
        partner: nu squared, the mean of (1 - theta)^2, which is
            sigma^2 + (1 - theta-bar)^2.
    """

    mean: float
    variance: float
    partner: float


def folded_moments(alpha: float) -> FoldedMoments:
    r"""Return mean, variance and second moment of the partner's weight, in closed form.

    .. math:: \bar\theta = \frac12 + \frac{1}{\alpha 4^\alpha B(\alpha, \alpha)}, \qquad
        \sigma^2 = \frac{1}{4 (2\alpha + 1)} - (\bar\theta - \tfrac12)^2, \qquad
        \nu^2 = \sigma^2 + (1 - \bar\theta)^2

    since :math:`|\theta - \frac12| = |\lambda - \frac12|`, whose mean is the mean absolute
    deviation of a Beta law. k-Mixup, Theorem 4 and Lemma 2, states no closed form.

    Raises:
        TypeError, ValueError: alpha is not above 0.

    Example:
        >>> [round(value, 6) for value in folded_moments(1.0)]    # 3/4, 1/48, 1/12
        [0.75, 0.020833, 0.083333]
    """
    alpha = checks.positive("alpha", alpha)
    half = 1 / (alpha * 4**alpha * float(beta_function(alpha, alpha)))
    variance = 1 / (4 * (2 * alpha + 1)) - half**2
    return FoldedMoments(0.5 + half, variance, variance + (0.5 - half) ** 2)


def partner_moments(alpha: float) -> tuple[float, float, float]:
    r"""Return the first three moments of a = 1 - lambda for lambda ~ Beta(alpha + 1, alpha).

    .. math:: E a = \frac{\alpha}{2\alpha + 1}, \qquad E a^2 = \tfrac12 E a, \qquad
        E a^3 = \frac{\alpha + 2}{2\alpha + 3} E a^2

    Raises:
        TypeError, ValueError: alpha is not above 0.

    Example:
        >>> [round(value, 6) for value in partner_moments(1.0)]    # 1/3, 1/6, 1/10
        [0.333333, 0.166667, 0.1]
    """
    alpha = checks.positive("alpha", alpha)
    first = alpha / (2 * alpha + 1)
    return first, first / 2, first / 2 * (alpha + 2) / (2 * alpha + 3)
