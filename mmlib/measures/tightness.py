r"""What it costs two classes not to be points: the least loss of any classifier behind the code.

Two balanced classes on a line, Gaussian with standard deviation :math:`\sigma` around 0 and around
1; by the invariance of mixing under affine maps :math:`\sigma` is spread over distance in any
units. Without mixing the least cross-entropy is :math:`H(Y | Z)`, and vanishes as fast as the tails
of the clouds. With mixing at the code it is :math:`E\, h(E[T | Z])` for the soft label T of a mix Z
and the binary entropy h. Of it :math:`E\, h(T)` is there for points, too; the rest is the price.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from mmlib import checks
from mmlib.measures.conflict import target_entropy


def plain_floor(sigma: float, nodes: int = 4001) -> float:
    r"""Return the least cross-entropy (nats) of two Gaussian classes, :math:`H(Y | Z)`.

    Args:
        sigma: standard deviation of a class over the distance of the means.
        nodes: of the grid over z.

    Example:
        >>> plain_floor(0.1) < 1e-6, round(plain_floor(100.0), 2)   # apart; one on the other
        (True, 0.69)
    """
    sigma = checks.positive("sigma", sigma)
    z = np.linspace(-9 * sigma, 1 + 9 * sigma, checks.integer("nodes", nodes, low=2))
    # log-odds of class 1 are (z - 1/2) / sigma^2; by symmetry class 1 stands for both.
    density = np.exp(-(((z - 1) / sigma) ** 2) / 2) / (sigma * np.sqrt(2 * np.pi))
    return float(np.trapezoid(density * np.logaddexp(0, (0.5 - z) / sigma**2), z))


def mixed_floor(alpha: float) -> float:
    r"""Return the least mixed cross-entropy (nats) of two classes that are points.

    :math:`\tfrac12 E[h(\lambda)] = \tfrac12 (\psi(2\alpha + 1) - \psi(\alpha + 1))` for lambda ~
    Beta(alpha, alpha) and independent partners, half of which share the label.

    Example:
        >>> round(mixed_floor(1.0), 6)
        0.25
    """
    return target_entropy(alpha) / 2


def price_of_spread(sigma: float, alpha: float, nodes: int = 600) -> float:
    r"""Return by how much mixing at the code charges classes of spread sigma, in nats.

    .. math:: E\, h(E[T | Z]) - E\, h(T), \qquad Z = \lambda X + (1 - \lambda) X'

    By quadrature over lambda (Gauss-Legendre in the angle :math:`\lambda = \sin^2 \theta`) and z.
    For :math:`\alpha > 1` and small sigma it is :math:`\tfrac12 \tfrac{\alpha}{\alpha - 1}
    \sigma^2`, see `price_rate`.

    Args:
        sigma: standard deviation of a class over the distance of the means, at least ``6 / nodes``.
        alpha: lambda ~ Beta(alpha, alpha), at least 1/2.
        nodes: over lambda, and four times as many over z.

    Raises:
        ValueError, TypeError: a number does not fit, or is too small for the grid.

    Example:
        >>> price_of_spread(0.02, 2.0) < price_of_spread(0.1, 2.0)
        True
    """
    alpha = checks.number("alpha", alpha, low=0.5)
    sigma = checks.number("sigma", sigma, low=6 / checks.integer("nodes", nodes, low=100))
    angle, weight = np.polynomial.legendre.leggauss(nodes)
    angle = (angle + 1) * np.pi / 4
    lam = np.sin(angle) ** 2
    log_density = (2 * alpha - 1) * (np.log(np.sin(angle)) + np.log(np.cos(angle)))
    weight = weight * np.pi / 2 * np.exp(log_density - special.betaln(alpha, alpha))
    z = np.linspace(-8 * sigma, 1 + 8 * sigma, 4 * nodes)
    scale = sigma * np.sqrt(lam**2 + (1 - lam) ** 2)
    norm = weight / (4 * scale * np.sqrt(2 * np.pi))

    def along(centre: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Sum value(lambda) times the density at z of a mix around centre(lambda)."""
        return np.concatenate(
            [
                np.exp(-(((part[:, None] - centre) / scale) ** 2) / 2) @ (norm * value)
                for part in np.array_split(z, 20)
            ]
        )

    # Four equally likely pairs of labels; (1, 0) and (0, 1) have the same law of (Z, T).
    ones = np.ones_like(lam)
    density = along(0 * lam, ones) + along(ones, ones) + 2 * along(lam, ones)
    label = along(ones, ones) + 2 * along(lam, lam)
    mean = np.clip(label / np.maximum(density, 1e-300), 0, 1)
    entropy = special.entr(mean) + special.entr(1 - mean)
    return float(np.trapezoid(density * entropy, z)) - mixed_floor(alpha)


def price_rate(alpha: float) -> float:
    r"""Return the limit of `price_of_spread` over :math:`\sigma^2` for small sigma.

    Given z the weight has variance :math:`(\lambda^2 + (1 - \lambda)^2)\, \sigma^2` and
    :math:`h'' = -1 / (\lambda (1 - \lambda))`, so a pair of two classes, which is half of all,
    costs :math:`\tfrac12 E[1 / (\lambda (1 - \lambda))] - 1 = \alpha / (\alpha - 1)`; infinite for
    :math:`\alpha \le 1`, where the price falls more slowly than :math:`\sigma^2`.

    Example:
        >>> price_rate(2.0), price_rate(1.0)
        (1.0, inf)
    """
    alpha = checks.positive("alpha", alpha)
    return alpha / (2 * (alpha - 1)) if alpha > 1 else float("inf")
