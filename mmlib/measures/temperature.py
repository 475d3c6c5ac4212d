"""What is left of a negative log-likelihood once the scale of the logits is fitted."""

from __future__ import annotations

import numpy as np
import torch
from scipy import optimize, special

from mmlib.checks import integer
from mmlib.measures.scores import nll

COLDEST, HOTTEST = 1e-3, 1e3  # temperatures that are searched


def best_temperature(logits: torch.Tensor, y: torch.Tensor) -> float:
    r"""Return the temperature T that minimises the mean NLL of ``softmax(logits / T)``.

    With :math:`b = 1/T` the mean of :math:`\log\sum_k e^{b z_k} - b z_y` is convex in b, so T is
    where its derivative :math:`\overline{\sum_k p_k z_k - z_y}` changes sign. No class changes its
    rank: the accuracy stays. The classical repair of confidence after training (Guo et al., 2017).

    Args:
        logits: (B, K).
        y: (B,) class indices.

    Returns:
        T, from 0.001 to 1000: logits that name every class rightly want no T but 0, and logits
        that say nothing, or less, want an infinite one; these end at the bounds.

    Raises:
        ValueError: shapes or types do not fit, or a logit is not finite.

    Example:
        >>> p = torch.tensor([[0.75, 0.25]] * 4).double()   # right in three of four cases
        >>> round(best_temperature(10 * p.log(), torch.tensor([0, 0, 0, 1])), 6)
        10.0
    """
    nll(logits, y)  # its checks
    z = logits.detach().cpu().double().numpy()
    if not np.isfinite(z).all():
        raise ValueError("logits: expected finite numbers, but got one that is not")
    own = z[np.arange(len(z)), y.cpu().numpy()]

    def slope(log_b: float) -> float:
        p = special.softmax(np.exp(log_b) * z, axis=1)
        return float(((p * z).sum(1) - own).mean())

    low, high = -np.log(HOTTEST), -np.log(COLDEST)
    if slope(low) >= 0:
        return HOTTEST
    if slope(high) <= 0:
        return COLDEST
    return float(np.exp(-optimize.brentq(slope, low, high, xtol=1e-10)))


def cross_fitted_nll(logits: torch.Tensor, y: torch.Tensor, seed: int) -> float:
    """Return the NLL in nats at a temperature that no scored example has helped to choose.

    The examples are halved at random; each half is scored at the best temperature of the other.

    Args:
        logits: (B, K) with B >= 2.
        y: (B,) class indices.
        seed: of the halves.

    Raises:
        ValueError: shapes or types do not fit, or there are fewer than two examples.

    Example:
        >>> z = torch.tensor([[1.0, -1.0]]).repeat(400, 1)
        >>> y = (torch.arange(400) % 4 == 0).long()       # right in three of four cases
        >>> round(cross_fitted_nll(z, y, 0), 2), round(nll(z, y), 2)   # entropy of (3/4, 1/4): 0.56
        (0.56, 0.63)
    """
    nll(logits, y)
    if len(y) < 2:
        raise ValueError(f"logits: expected at least two examples, but got {len(y)}")
    generator = torch.Generator().manual_seed(integer("seed", seed, low=0))
    halves = torch.randperm(len(y), generator=generator).to(y.device).tensor_split(2)
    total = 0.0
    for mine, other in (halves, halves[::-1]):
        temperature = best_temperature(logits[other], y[other])
        total += nll(logits[mine] / temperature, y[mine]) * len(mine)
    return total / len(y)
