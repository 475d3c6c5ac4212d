"""How well points cover a mixture of Gaussians: modes, share of good points, distances."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmlib.checks import integer, positive
from mmlib.data.mixtures import GaussianMixture

NEAR = 3.0  # a point is good within this many standard deviations of a centre
FAIR = 0.2  # a mode is covered by a fifth of its fair share of the points


def good_share(x: Tensor, target: GaussianMixture) -> Tensor:
    """Return the share of points within 3 sigma of a centre, (..., N, D) -> (...).

    Points of the target itself reach `true_good_share`, up to sampling.

    Example:
        >>> from mmlib.data.mixtures import ring
        >>> good_share(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), ring()).item()
        0.5
    """
    return (target.nearest(x)[0] <= NEAR * target.sigma).to(x.dtype).mean(-1)


def true_good_share(target: GaussianMixture) -> float:
    """Return the share that points of the target reach: P(chi2_D <= 9) for distant modes.

    Example:
        >>> from mmlib.data.mixtures import ring
        >>> round(true_good_share(ring()), 4)
        0.9889
    """
    half = torch.tensor([target.dim / 2, NEAR**2 / 2], dtype=torch.float64)
    return float(torch.special.gammainc(half[0], half[1]))


def mode_shares(x: Tensor, target: GaussianMixture) -> Tensor:
    """Return the share of all points that are good points of each mode, (..., N, D) -> (..., K)."""
    away, which = target.nearest(x)
    hits = torch.nn.functional.one_hot(which, len(target.centres)).to(x.dtype)
    return (hits * (away <= NEAR * target.sigma).unsqueeze(-1)).mean(-2)


def modes_covered(x: Tensor, target: GaussianMixture) -> Tensor:
    """Return how many modes hold at least a fifth of their fair share, 1 / K, of the points.

    Example:
        >>> from mmlib.data.mixtures import ring
        >>> modes_covered(torch.tensor([[2.0, 0.0], [-2.0, 0.0]]), ring()).item()
        2.0
    """
    fair = 1 / len(target.centres)
    return (mode_shares(x, target) >= FAIR * fair).to(x.dtype).sum(-1)


def sliced_distance(x: Tensor, y: Tensor, directions: int = 32) -> Tensor:
    """Return the sliced Wasserstein-2 distance of two clouds of N points each.

    ``sqrt(mean over directions of W2^2 of the projections)``; a projection's W2 matches sorted
    values. Directions are spread evenly over the half circle (D = 2), so there is no chance in
    them; on the line (D = 1) there is one. Units are those of the points.

    Args:
        x: (..., N, D).
        y: (..., N, D) or (N, D), the same N.
        directions: How many.

    Raises:
        ValueError: D is neither 1 nor 2, or the clouds have different sizes.
        TypeError: `directions` is not an integer.

    Example:
        >>> x = torch.zeros(4, 2); y = x + torch.tensor([1.0, 0.0])
        >>> round(sliced_distance(x, y).item(), 4)   # sqrt(1 / 2)
        0.7071
    """
    integer("directions", directions, low=1)
    if x.shape[-1] not in (1, 2) or x.shape[-2:] != y.shape[-2:]:
        raise ValueError(
            "x, y: expected as many points each on the line or in the plane, "
            f"but got shapes {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if x.shape[-1] == 1:
        axes = x.new_ones(1, 1)
    else:
        turns = math.pi * torch.arange(directions, dtype=x.dtype) / directions
        axes = torch.stack([turns.cos(), turns.sin()])
    gap = (x @ axes).sort(-2).values - (y @ axes).sort(-2).values
    return gap.square().mean((-2, -1)).sqrt()


def mixed_log_density(
    x: Tensor, target: GaussianMixture, lam: Tensor, *, floor: float = 1e-300
) -> Tensor:
    """Return log p_m(x), the density of ``lam x1 + (1 - lam) x2`` with x1, x2 from the target.

    The mixture over pairs of modes and over the given values of lambda (equal weights) of
    ``N(lam c_i + (1 - lam) c_j, (lam^2 + (1 - lam)^2) sigma^2 I)``.

    Args:
        x: (N, D), float64.
        target: Law of both points.
        lam: (L,) values of lambda that stand for its law.
        floor: Densities below are reported as this.

    Example:
        >>> from mmlib.data.mixtures import line
        >>> x = torch.zeros(1, 1).double()
        >>> round(mixed_log_density(x, line(), torch.tensor([1.0]).double()).item(), 4)
        -0.9189
    """
    positive("floor", floor)
    means, total = target.means(x.dtype), torch.zeros(len(x), dtype=x.dtype)
    for one in lam.tolist():
        centres = (one * means[:, None] + (1 - one) * means[None]).flatten(0, 1)
        variance = (one**2 + (1 - one) ** 2) * target.sigma**2
        away = torch.cdist(x, centres).square()
        norm = (2 * math.pi * variance) ** (target.dim / 2)
        total += torch.exp(-away / (2 * variance)).mean(1) / norm
    return (total / len(lam)).clamp(min=floor).log()
