r"""What an affine head forces on the states below it: dimensions, floors of the loss, best scale.

Free states :math:`h_i \in R^H` of d balanced classes, an affine head :math:`W h + b`, targets
:math:`e_{y_i}`, and mixes ``lam h_i + (1 - lam) h_j`` of all pairs (i, j), also of an example with
itself, with the mix of the targets. The subspace statement of the final version (section 3.1, cited
in appendices F and G) is about this problem; chapter 11 derives what is computed here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr, roots_jacobi

from mmlib import checks
from mmlib.measures.logit_gap import mixed_risk, optimal_gap


def beta_nodes(alpha: float, n: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Return n values of lambda and their weights that stand for Beta(alpha, alpha).

    Gauss-Jacobi quadrature: expectations of polynomials up to degree 2n - 1 are exact.

    Raises:
        TypeError, ValueError: alpha is not above 0, or n is below 1.

    Example:
        >>> lam, weight = beta_nodes(2.0, 3)
        >>> round(float(weight.sum()), 12), round(float(weight @ (lam * (1 - lam))), 12)
        (1.0, 0.2)
    """
    alpha = checks.positive("alpha", alpha)
    nodes, weights = roots_jacobi(checks.integer("n", n, low=1), alpha - 1, alpha - 1)
    return (nodes + 1) / 2, weights / weights.sum()


def class_dimension(units: int, classes: int) -> int:
    """Return max(H - d + 1, 0), the dimension that zero squared loss leaves to each class.

    Raises:
        TypeError, ValueError: sizes below 1, or not integers.

    Example:
        >>> class_dimension(12, 10), class_dimension(9, 10)
        (3, 0)
    """
    checks.integer("units", units, low=1)
    return max(units - checks.integer("classes", classes, low=1) + 1, 0)


def squared_shrinkage(alpha: float, n: int | None = None) -> float:
    r"""Return by what factor mixing scales the squared loss of an affine head with its best bias.

    With residuals :math:`r_i` of mean zero, :math:`E|\lambda r_i + (1 - \lambda) r_j|^2` over all
    pairs is :math:`1 - 2 E\lambda(1 - \lambda) = (\alpha + 1) / (2 \alpha + 1)` times
    :math:`E|r_i|^2`.

    Args:
        alpha: of Beta(alpha, alpha).
        n: number of examples, if none is ever its own partner; then the factor is smaller by
            :math:`2 E\lambda(1 - \lambda) / (n - 1)`.

    Example:
        >>> squared_shrinkage(1.0), round(squared_shrinkage(2.0), 6)
        (0.6666666666666667, 0.6)
    """
    alpha = checks.positive("alpha", alpha)
    cross = alpha / (2 * alpha + 1)
    factor = 1 - cross
    return factor if n is None else factor - cross / (checks.integer("n", n, low=2) - 1)


def squared_floor(units: int, classes: int, alpha: float | None = None) -> float:
    r"""Return the least squared loss of an affine head on free states, summed over outputs.

    One-hot targets of d balanced classes have d - 1 principal variances of 1/d each; H units catch
    H of them: :math:`(d - 1 - H)_+ / d` per example, times `squared_shrinkage` with mixing.

    Args:
        units: H.
        classes: d.
        alpha: of the mixing; None for none.

    Example:
        >>> squared_floor(2, 4), squared_floor(3, 4)
        (0.25, 0.0)
    """
    checks.integer("units", units, low=1)
    missing = max(checks.integer("classes", classes, low=1) - 1 - units, 0)
    return missing / classes * (1.0 if alpha is None else squared_shrinkage(alpha))


def target_entropy(classes: int, lam: ArrayLike, weights: ArrayLike) -> float:
    """Return the mean entropy of a mixed target in nats; partners of one's own class add none.

    Example:
        >>> round(target_entropy(2, [0.5], [1.0]), 4)   # half of the pairs, log 2 each
        0.3466
    """
    lam, weights = np.asarray(lam, dtype=float), np.asarray(weights, dtype=float)
    return float((1 - 1 / classes) * (weights @ (entr(lam) + entr(1 - lam))))


def excess_at(scale: float, classes: int, lam: ArrayLike, weights: ArrayLike) -> float:
    r"""Return the mixed cross-entropy above the entropy of the targets, in nats.

    All examples of class k have the logits :math:`c\, e_k`, so a mix has
    :math:`c (\lambda e_k + (1 - \lambda) e_l)`: what a head that is affine does with collapsed
    classes. Convex in c, and 0 for no c unless lambda is always 0 or 1.

    Args:
        scale: c.
        classes: d.
        lam: values of lambda.
        weights: their probabilities.

    Example:
        >>> round(excess_at(0.0, 2, [0.5], [1.0]), 4)   # log 2 less half of log 2
        0.3466
    """
    return mixed_risk(scale, classes, lam, weights) - target_entropy(classes, lam, weights)


def best_scale(classes: int, lam: ArrayLike, weights: ArrayLike) -> tuple[float, float]:
    r"""Return the scale :math:`c^*` of the logits that mixing asks for, and the excess left there.

    The mixed cross-entropy of free states under an affine head is convex in all logits and
    symmetric between examples of a class and between classes, and grows in every direction that
    changes predictions; so for H >= d - 1 its minimiser is unique up to constants:
    :math:`c^* e_k` for each example of class k, with :math:`c^*` from a convex problem in one
    number. Without mixing there is no minimiser, the loss falls forever.

    Args:
        classes: d >= 2.
        lam: values of lambda, such as those of `beta_nodes`.
        weights: their probabilities.

    Raises:
        ValueError: lambda is always 0, 1/2 or 1, so that the loss falls forever.

    Example:
        >>> scale, excess = best_scale(2, *beta_nodes(1.0))
        >>> round(scale, 3), round(excess, 4)
        (3.542, 0.0239)
    """
    scale = optimal_gap(classes, lam, weights).gap
    return scale, excess_at(scale, classes, lam, weights)
