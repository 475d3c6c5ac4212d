"""The three sets in the plane of k-Mixup, Figures 1 to 3: One Ring, Four Bars, Swiss Roll.

The text names the sets, draws them and prints accuracies, but gives no generator, size or noise.
Shapes here follow the names and figures. Four equally spaced bars of alternating classes are also
what the printed 50 % of mixup at large alpha calls for (chapter 13 derives it). Noise and size were
then set on plain training alone, on seed 100, which no study uses, so that it reaches the printed
level of the rows with little mixing: about 96.7, 100 and 99.7 %.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmlib.checks import integer, number, positive
from mmlib.data.spirals import spiral


def _classes(n: int) -> Tensor:
    return torch.arange(integer("n", n, low=2)) % 2


def one_ring(
    n: int, generator: torch.Generator | None = None, *, inner: float = 1.0, noise: float = 0.31
) -> tuple[Tensor, Tensor]:
    """Return a disc (class 0) inside a ring of radius 2 (class 1), both blurred until they overlap.

    Points of the disc are uniform on the one of radius `inner`, those of the ring uniform on the
    circle; to both, normal noise is added in each coordinate.

    Args:
        n: Number of points; the classes get as many each, up to one.
        generator: Of the points.
        inner: Radius of the disc, below 2.
        noise: Standard deviation of the noise.

    Returns:
        (n, 2) float32 points and (n,) int64 classes.

    Raises:
        TypeError, ValueError: A number is outside its range.

    Example:
        >>> x, y = one_ring(6, torch.Generator().manual_seed(0), noise=0)
        >>> y.tolist(), [round(float(r), 2) for r in x.norm(dim=1)]
        ([0, 1, 0, 1, 0, 1], [0.7, 2.0, 0.55, 2.0, 0.68, 2.0])
    """
    y = _classes(n)
    inner = number("inner", inner, low=0, high=2)
    u = torch.rand(n, 2, generator=generator)
    radius = torch.where(y == 0, inner * u[:, 0].sqrt(), 2.0)
    angle = 2 * math.pi * u[:, 1]
    x = radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
    return x + number("noise", noise, low=0) * torch.randn(n, 2, generator=generator), y


def four_bars(
    n: int, generator: torch.Generator | None = None, *, width: float = 0.5, length: float = 3.5
) -> tuple[Tensor, Tensor]:
    """Return four upright bars side by side, a distance of 1 apart, of classes 0, 1, 0, 1.

    Args:
        n: Number of points; the bars get as many each, up to one.
        generator: Of the points, uniform in each bar.
        width: Of a bar; the gaps are ``1 - width``.
        length: Of a bar.

    Returns:
        (n, 2) float32 points and (n,) int64 classes.

    Raises:
        TypeError, ValueError: A number is outside its range.

    Example:
        >>> x, y = four_bars(8, torch.Generator().manual_seed(0), width=0.1)
        >>> y.tolist(), (x[:, 0] * 2).round().div(2).tolist()[:4]
        ([0, 1, 0, 1, 0, 1, 0, 1], [-1.5, -0.5, 0.5, 1.5])
    """
    bar = torch.arange(integer("n", n, low=2)) % 4
    u = torch.rand(n, 2, generator=generator) - 0.5
    width = number("width", width, low=0, high=1, low_open=True)
    x = torch.stack([bar - 1.5 + width * u[:, 0], positive("length", length) * u[:, 1]], 1)
    return x, bar % 2


def swiss_roll(
    n: int, generator: torch.Generator | None = None, *, turns: float = 1.5, noise: float = 0.1
) -> tuple[Tensor, Tensor]:
    """Return two arms of a roll, one wound into the other, a class each.

    The arms are twice `mmlib.data.spiral` and its negative, with places spread about evenly along
    their length, and normal noise in each coordinate.

    Args:
        n: Number of points; the classes get as many each, up to one.
        generator: Of the points.
        turns: How often each arm winds around the origin.
        noise: Standard deviation of the noise.

    Returns:
        (n, 2) float32 points and (n,) int64 classes.

    Raises:
        TypeError, ValueError: A number is outside its range.

    Example:
        >>> x, y = swiss_roll(400, torch.Generator().manual_seed(0), noise=0)
        >>> x.shape, bool((x.norm(dim=1) <= 2).all())
        (torch.Size([400, 2]), True)
    """
    y = _classes(n)
    t = torch.rand(n, generator=generator).sqrt()
    arm = 2 * spiral(t, turns)
    x = torch.where(y[:, None] == 0, arm, -arm)
    return x + number("noise", noise, low=0) * torch.randn(n, 2, generator=generator), y


TOYS = {"one_ring": one_ring, "four_bars": four_bars, "swiss_roll": swiss_roll}  # type: ignore[dict-item]
