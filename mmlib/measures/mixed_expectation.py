r"""Expectation and variance of a mixed squared loss and its gradient, for an affine head.

With an affine head a mix has the residual :math:`\lambda r_i + (1 - \lambda) r_j`, the mix of the
two residuals :math:`r = W z + b - y`. So everything follows from the residuals, their Jacobians and
two moments of :math:`q = \lambda (1 - \lambda)`. Chapter 12 derives what is computed here.
"""

from __future__ import annotations

from torch import Tensor

from mmlib import checks
from mmlib.measures.subspaces import squared_shrinkage

PARTNERS = ("any", "other")


def cross_moments(alpha: float) -> tuple[float, float]:
    r"""Return the mean and mean square of :math:`q = \lambda (1 - \lambda)` for Beta(a, a).

    :math:`a / (4a + 2)` and :math:`a (a + 1) / (4 (2a + 1) (2a + 3))`.

    Raises:
        TypeError, ValueError: alpha is not above 0.

    Example:
        >>> [round(moment, 6) for moment in cross_moments(1.0)]    # 1/6 and 1/30
        [0.166667, 0.033333]
    """
    a = checks.positive("alpha", alpha)
    return a / (4 * a + 2), a * (a + 1) / (4 * (2 * a + 1) * (2 * a + 3))


def variance_factor(
    alpha: float, examples: int, batch: int | None = None, partners: str = "any"
) -> float:
    r"""Return the k of :math:`E\, loss = \tfrac12 (k V + |\bar r|^2)`.

    V is the variance of the residuals and :math:`\bar r` their mean, over all n examples. With
    :math:`c = E[\lambda^2 + (1 - \lambda)^2] = (a + 1) / (2a + 1)` a mix of two different examples
    counts :math:`k = c - (1 - c) / (n - 1)`, and one of an example with itself 1. In batches of B,
    drawn without replacement and paired by a random permutation, one partner in B is the example
    itself:

    .. math:: k = c + (1 - c)\, \frac{n - B}{B (n - 1)}.

    Args:
        alpha: of Beta(alpha, alpha).
        examples: n.
        batch: B; None for n.
        partners: "any" for a random permutation of the batch (or an independent partner, for
            B = n), "other" for partners that are never the example itself.

    Raises:
        ValueError: n < 2, B outside [1, n] (from 2 for "other"), unknown partners.
        TypeError: sizes are no integers.

    Example:
        >>> round(variance_factor(1.0, 10), 4), variance_factor(1.0, 10, batch=1)
        (0.6667, 1.0)
        >>> round(variance_factor(1.0, 10, 5, "other"), 4)
        0.6296
    """
    n = checks.integer("examples", examples, low=2)
    checks.choice("partners", partners, PARTNERS)
    low = 1 if partners == "any" else 2
    b = n if batch is None else checks.integer("batch", batch, low=low, high=n)
    c = squared_shrinkage(alpha)
    different = c - (1 - c) / (n - 1)
    return different if partners == "other" else 1 / b + (1 - 1 / b) * different


def expected_mixed_loss(
    residuals: Tensor, alpha: float, batch: int | None = None, partners: str = "any"
) -> float:
    r"""Return the expected half squared loss of mixes of residuals, (N, K) -> a number.

    :math:`\tfrac12 (k V + |\bar r|^2)` with `variance_factor` k: the mean over examples, lambda,
    partners and batches. Per batch or per example lambda makes no difference to a mean.

    Args:
        residuals: outputs less targets at the examples themselves.
        alpha: of Beta(alpha, alpha).
        batch: as in `variance_factor`.
        partners: as in `variance_factor`.

    Raises:
        ValueError, TypeError: residuals are no matrix; as in `variance_factor`.

    Example:
        >>> import torch
        >>> r = torch.tensor([[1.0], [-1.0], [2.0], [-2.0]])
        >>> round(expected_mixed_loss(r, 1.0) / (r.square().mean().item() / 2), 4)
        0.6667
    """
    if residuals.ndim != 2:
        raise ValueError(f"residuals: expected (N, K), but got {tuple(residuals.shape)}")
    mean = residuals.mean(0)
    variance = float((residuals - mean).square().sum(1).mean())
    factor = variance_factor(alpha, len(residuals), batch, partners)
    return 0.5 * (factor * variance + float(mean.square().sum()))


def permutation_variance(pairs: Tensor) -> float:
    r"""Return the total variance of :math:`\tfrac1B \sum_i S_{i, p(i)}` over permutations p.

    .. math:: \frac{1}{B^2 (B - 1)} \sum_{ij} |D_{ij}|^2, \qquad
        D_{ij} = S_{ij} - \bar S_{i \cdot} - \bar S_{\cdot j} + \bar S

    (Hoeffding 1951, the combinatorial central limit theorem, applied to each coordinate).

    Args:
        pairs: (B, B, ...) numbers or vectors S, B >= 2.

    Raises:
        ValueError: another shape.

    Example:
        >>> import torch
        >>> permutation_variance(torch.eye(2))    # both rows on the diagonal, or none
        0.25
    """
    if pairs.ndim < 2 or pairs.shape[0] != pairs.shape[1] or len(pairs) < 2:
        raise ValueError(f"pairs: expected (B, B, ...) with B >= 2, but got {tuple(pairs.shape)}")
    size = len(pairs)
    centred = pairs - pairs.mean(0, keepdim=True) - pairs.mean(1, keepdim=True)
    centred = centred + pairs.mean((0, 1), keepdim=True)
    return float(centred.square().sum()) / (size**2 * (size - 1))
