"""Point sets in the plane whose classes have a shape: what a method does can be seen."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmlib.checks import integer, number


def two_moons(
    n: int, *, noise: float = 0.1, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    r"""Return two interleaved half circles of radius 1, a class each.

    .. math:: (\cos t, \sin t) \text{ and } (1 - \cos t,\ \tfrac12 - \sin t), \quad t \sim U(0, \pi)

    Args:
        n: Number of points; the classes get as many each, up to one.
        noise: Standard deviation of the normal noise added to each coordinate.
        generator: CPU generator of the points.

    Returns:
        ``(n, 2)`` float32 points, moved by (-1/2, -1/4) to be centred, and ``(n,)`` int64 classes.

    Raises:
        TypeError, ValueError: `n` is below 2 or `noise` is negative.

    Example:
        >>> x, y = two_moons(5, generator=torch.Generator().manual_seed(0))
        >>> x.shape, y.tolist()
        (torch.Size([5, 2]), [0, 1, 0, 1, 0])
    """
    n = integer("n", n, low=2)
    noise = number("noise", noise, low=0)
    y = torch.arange(n) % 2
    t = math.pi * torch.rand(n, generator=generator)
    first = torch.stack([t.cos(), t.sin()], 1)
    second = torch.stack([1 - t.cos(), 0.5 - t.sin()], 1)
    points = torch.where(y[:, None] == 0, first, second) - torch.tensor([0.5, 0.25])
    return points + noise * torch.randn(n, 2, generator=generator), y


def rings(
    n: int,
    *,
    n_rings: int = 3,
    noise: float = 0.08,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Return concentric rings of radius 0.5, 1, 1.5, ..., a class each.

    A straight line between two points of one ring crosses the rings inside it: mixing inputs asks
    there for the outer class in the middle of the inner ones.

    Args:
        n: Number of points; the rings get as many each, up to one.
        n_rings: Number of rings.
        noise: Standard deviation of the normal noise added to each coordinate.
        generator: CPU generator of the points.

    Returns:
        ``(n, 2)`` float32 points and ``(n,)`` int64 classes, from the inside out.

    Raises:
        TypeError, ValueError: a number is outside its range, or there are fewer points than rings.

    Example:
        >>> x, y = rings(6, noise=0.0, generator=torch.Generator().manual_seed(0))
        >>> [round(r, 3) for r in x.norm(dim=1).tolist()], y.tolist()
        ([0.5, 1.0, 1.5, 0.5, 1.0, 1.5], [0, 1, 2, 0, 1, 2])
    """
    n_rings = integer("n_rings", n_rings, low=1)
    n = integer("n", n, low=n_rings)
    noise = number("noise", noise, low=0)
    y = torch.arange(n) % n_rings
    t = 2 * math.pi * torch.rand(n, generator=generator)
    points = torch.stack([t.cos(), t.sin()], 1) * (0.5 * (y + 1))[:, None]
    return points + noise * torch.randn(n, 2, generator=generator), y
