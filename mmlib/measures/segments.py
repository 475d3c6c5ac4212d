r"""States whose mixes never meet: what zero conflict leaves open when the head need not be affine.

All mixes of finitely many states form segments. Where segments without a common end do not meet,
every point of their union has one target, which varies continuously, so some continuous head gives
each mix its target exactly. In three and more dimensions segments between points in general
position do not meet; in the plane some cross.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmlib.checks import number, positive


def segments(n: int) -> Tensor:
    """Return the pairs i < j of n points, (S, 2).

    Example:
        >>> segments(3).tolist()
        [[0, 1], [0, 2], [1, 2]]
    """
    return torch.combinations(torch.arange(n), 2)


def _clamped(p: Tensor, start: Tensor, way: Tensor) -> Tensor:
    """Return where on ``start + s way``, s in [0, 1], p is nearest: s, for rows of points."""
    return (((p - start) * way).sum(-1) / way.square().sum(-1)).clamp(0, 1)


def segment_distance(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Return the distance of the segments a-b and c-d, rows (S, H) -> (S,).

    The least of the squared distance, a convex quadratic on the unit square, is inside the square
    or on one of its four sides.

    Example:
        >>> e = torch.eye(3).double()
        >>> segment_distance(-e[:1], e[:1], e[2:] - e[1:2], e[2:] + e[1:2]).tolist()
        [1.0]
    """
    u, v, w = b - a, d - c, a - c
    uu, vv, uv = (u * u).sum(-1), (v * v).sum(-1), (u * v).sum(-1)
    uw, vw = (u * w).sum(-1), (v * w).sum(-1)
    det = uu * vv - uv**2
    s = (uv * vw - vv * uw) / det
    t = (uu * vw - uv * uw) / det
    inside = (s >= 0) & (s <= 1) & (t >= 0) & (t <= 1) & (det > 1e-12 * uu * vv)
    crossing = (w + s[:, None] * u - t[:, None] * v).norm(dim=-1)
    sides = [
        (c + _clamped(a, c, v)[:, None] * v - a).norm(dim=-1),
        (c + _clamped(b, c, v)[:, None] * v - b).norm(dim=-1),
        (a + _clamped(c, a, u)[:, None] * u - c).norm(dim=-1),
        (a + _clamped(d, a, u)[:, None] * u - d).norm(dim=-1),
    ]
    side = torch.stack(sides).amin(0)
    return torch.where(inside, torch.minimum(crossing, side), side)


def least_gap(h: Tensor) -> float:
    """Return the least distance of two segments between states that have no common end.

    Above zero no two mixes of different pairs are one point, so there is no conflict.

    Args:
        h: (N, H), at least four states.

    Example:
        >>> round(least_gap(torch.tensor([[0.0, 0], [1, 1], [0, 1], [1, 0]]).double()), 12)
        0.0
    """
    pairs = segments(len(h))
    first, second = torch.combinations(torch.arange(len(pairs)), 2).T
    i, j = pairs[first], pairs[second]
    apart = (i[:, :, None] != j[:, None, :]).all(2).all(1)
    i, j = i[apart], j[apart]
    return float(segment_distance(h[i[:, 0]], h[i[:, 1]], h[j[:, 0]], h[j[:, 1]]).min())


class SegmentHead:
    """A continuous head that gives every mix of two states the mix of their targets.

    ``sum_s w_s(p) T_s(p) / sum_s w_s(p)`` over all segments s, with T_s the mixed target at the
    point of s nearest to p and w_s one over its squared distance. On a segment its own weight is
    infinite, so the value is the target; that needs segments that do not meet elsewhere.

    Args:
        h: (N, H) states in float64.
        targets: (N, d).

    Example:
        >>> h = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 3, 1]]).double()
        >>> head = SegmentHead(h, torch.eye(3).double())
        >>> head(torch.tensor([[0.5, 0, 0]]).double()).round(decimals=9).tolist()
        [[0.75, 0.25, 0.0]]
    """

    def __init__(self, h: Tensor, targets: Tensor) -> None:
        i, j = segments(len(h)).T
        self.start, self.way = h[i], h[j] - h[i]
        self.first, self.second = targets[i], targets[j]

    def __call__(self, points: Tensor) -> Tensor:
        """Return the outputs, (P, H) -> (P, d)."""
        at = _clamped(points[:, None], self.start, self.way)[..., None]
        nearest = self.start + at * self.way
        away = (points[:, None] - nearest).square().sum(-1)
        weight = 1 / away.clamp(min=1e-30)
        wanted = torch.lerp(self.first.expand(len(points), -1, -1), self.second, at)
        return (weight[..., None] * wanted).sum(1) / weight.sum(1)[:, None]


def reachable_range(angle: float, gap: float = 1.0) -> float:
    r"""Return the range of lambda with which two segments of the plane reach one point.

    Unit segments, centres at distance `gap`, the first at right angles to the line between the
    centres, the second turned by `angle` against the first. The point is the middle of both
    centres; with :math:`\lambda = 1/2 + \delta` it is a mix if the points that solve
    :math:`\lambda a + (1 - \lambda) b = m` lie on the segments. 0 exactly if they are parallel:
    otherwise points at one place have different targets.

    Args:
        angle: in radians, in [0, pi / 2).
        gap: distance of the centres, above 1.

    Raises:
        TypeError, ValueError: an argument does not fit.

    Example:
        >>> reachable_range(0.0), round(reachable_range(0.5, 2.0), 4)
        (0.0, 0.1136)
    """
    angle = number("angle", angle, low=0, high=math.pi / 2, high_open=True)
    gap = positive("gap", number("gap", gap, low=1))
    if angle == 0:
        return 0.0
    sine, along = math.sin(angle), gap / math.tan(angle)
    low = min(sine / 4 / (gap - sine / 2), 1 / 4 / (along + 1 / 2), 1 / 2)
    high = min(sine / 4 / (gap + sine / 2), 1 / 2)
    if along > 1 / 2:
        high = min(high, 1 / 4 / (along - 1 / 2))
    return low + high


class ArcAndPoint:
    """A class on an arc of the unit circle and one that is a point outside, without conflict.

    Chords of the arc lie in the disc and keep its target; a segment from the point meets the disc
    first on the arc, if the arc is seen from the point. So the weight of the arc's class is one
    continuous function: 1 in the disc and, outside, the share of the way from the point to the
    circle. The arc is curved: its class spans the plane.

    Args:
        half: Half of the arc's angle in radians, around the direction (1, 0).
        place: The point is (place, 0), abs(place) > 1. From a negative place the arc is not seen.

    Example:
        >>> case = ArcAndPoint(0.8, 3.0)
        >>> a = case.arc(5)
        >>> case(0.25 * a + 0.75 * case.point).round(decimals=9).tolist()
        [0.25, 0.25, 0.25, 0.25, 0.25]
    """

    def __init__(self, half: float = 0.8, place: float = 3.0) -> None:
        self.half = number("half", half, low=0, high=math.pi / 2, low_open=True)
        positive("abs(place) - 1", abs(number("place", place)) - 1)
        self.point = torch.tensor([place, 0.0], dtype=torch.float64)

    def arc(self, n: int) -> Tensor:
        """Return n points of the arc, (n, 2)."""
        t = torch.linspace(-self.half, self.half, n, dtype=torch.float64)
        return torch.stack([t.cos(), t.sin()], 1)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the weight of the arc's class at points of the mixes, (..., 2) -> (...)."""
        way = x - self.point
        # |point + r way|^2 = 1 has two roots; the first is where the segment meets the circle.
        a, b = way.square().sum(-1), (way * self.point).sum(-1)
        c = self.point.square().sum() - 1
        first = (-b - (b**2 - a * c).clamp(min=0).sqrt()) / a.clamp(min=1e-300)
        inside = x.square().sum(-1) <= 1
        weight = torch.where(a > 0, 1 / first, torch.zeros_like(a))
        return torch.where(inside, torch.ones_like(a), weight)
