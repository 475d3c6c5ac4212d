"""Two spirals in the plane: classes that no straight line, and no segment, keeps apart."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmlib.checks import integer, number, positive


def spiral(t: Tensor, turns: float = 1.5) -> Tensor:
    r"""Return points of the first spiral; the second is its negative.

    .. math:: (r \cos\theta,\ r \sin\theta), \quad r = 0.1 + 0.9\, t, \quad
        \theta = 2 \pi\, \mathrm{turns}\, t

    Args:
        t: (N,) places along it, 0 at the inner end and 1 at the outer.
        turns: How often it winds around the origin.

    Returns:
        (N, 2).

    Example:
        >>> spiral(torch.tensor([0.0, 1.0]), turns=1.0).round(decimals=4).tolist()
        [[0.10000000149011612, 0.0], [1.0, 0.0]]
    """
    radius, angle = 0.1 + 0.9 * t, 2 * math.pi * positive("turns", turns) * t
    return torch.stack([radius * angle.cos(), radius * angle.sin()], -1)


def two_spirals(
    n: int, turns: float = 1.5, noise: float = 0.02, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return two interleaved spirals, a class each.

    Places along a spiral are drawn as ``t = sqrt(u)`` with u uniform, which spreads points about
    evenly along its length; see `spiral`.

    Args:
        n: Number of points; the classes get as many each, up to one.
        turns: How often each winds around the origin.
        noise: Standard deviation of the normal noise added to each coordinate.
        seed: Of the points.

    Returns:
        ``(n, 2)`` float32 points and ``(n,)`` int64 classes.

    Raises:
        TypeError, ValueError: A number is outside its range.

    Example:
        >>> x, y = two_spirals(5)
        >>> x.shape, y.tolist()
        (torch.Size([5, 2]), [0, 1, 0, 1, 0])
    """
    n = integer("n", n, low=2)
    noise = number("noise", noise, low=0)
    generator = torch.Generator().manual_seed(integer("seed", seed, low=0))
    y = torch.arange(n) % 2
    x = spiral(torch.rand(n, generator=generator).sqrt(), turns)
    x = torch.where(y[:, None] == 0, x, -x)
    return x + noise * torch.randn(n, 2, generator=generator), y
