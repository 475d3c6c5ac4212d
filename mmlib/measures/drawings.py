"""Points joined by straight segments: which segments cross, and how far apart they stay.

Every class is a point, every pair of classes a segment on which the mixes of the pair lie. A
continuous classifier can give every mix its target if and only if no two segments meet other than
at a common end, that is if this drawing of the complete graph has no crossing.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from mmlib.checks import integer

# Least number of crossings of a straight-line drawing of K_n, n = 1, 2, ...: known by proof for
# these n (10: Brodsky, Durocher and Gethner 2001).
RECTILINEAR_CROSSINGS = (0, 0, 0, 0, 1, 3, 9, 19, 36, 62)


def orientation(a: Sequence[float], b: Sequence[float], c: Sequence[float]) -> int:
    """Return 1 if a, b, c turn left, -1 if right, 0 if on a line; exact for floats.

    The determinant is computed in floats with a bound on its rounding error, and in rational
    numbers where that bound does not decide.

    Example:
        >>> orientation((0, 0), (1, 0), (0, 1)), orientation((0, 0), (0.1, 0.1), (0.3, 0.3))
        (1, 0)
        >>> orientation((0, 0), (0.1, 0.1), (0.3, 0.1 + 0.2))  # 0.1 + 0.2 > 0.3 in floats
        1
    """
    left = (b[0] - a[0]) * (c[1] - a[1])
    right = (b[1] - a[1]) * (c[0] - a[0])
    if abs(left - right) > 4e-15 * (abs(left) + abs(right)):
        return 1 if left > right else -1
    (ax, ay), (bx, by), (cx, cy) = (map(Fraction, map(float, p)) for p in (a, b, c))
    value = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    return (value > 0) - (value < 0)


def crossing_pairs(points: ArrayLike) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the pairs of segments without a common end that share a point; exact for floats.

    Args:
        points: (K, 2).

    Raises:
        ValueError: Another shape, or numbers that are not finite.

    Example:
        >>> crossing_pairs([[0, 0], [1, 0], [1, 1], [0, 1]])  # a square: its diagonals
        [((0, 2), (1, 3))]
    """
    p = np.asarray(points, dtype=float)
    if p.ndim != 2 or p.shape[1] != 2 or not np.isfinite(p).all():
        raise ValueError(f"points: expected finite (K, 2), but got shape {p.shape}")
    rows = p.tolist()
    turn = {
        key: orientation(*(rows[i] for i in key))
        for key in itertools.combinations(range(len(p)), 3)
    }

    def side(i: int, j: int, k: int) -> int:
        ordered = tuple(sorted((i, j, k)))
        swaps = (i > j) + (i > k) + (j > k)
        return turn[ordered] * (-1) ** swaps  # type: ignore[index]

    def meet(a: int, b: int, c: int, d: int) -> bool:
        sides = side(a, b, c), side(a, b, d), side(c, d, a), side(c, d, b)
        if sides == (0, 0, 0, 0):  # all on a line: do the intervals overlap?
            along = [sorted((rows[i], rows[j])) for i, j in ((a, b), (c, d))]
            return max(along[0][0], along[1][0]) <= min(along[0][1], along[1][1])
        return sides[0] * sides[1] <= 0 and sides[2] * sides[3] <= 0

    return [
        (first, second)
        for first, second in itertools.combinations(itertools.combinations(range(len(p)), 2), 2)
        if not set(first) & set(second) and meet(*first, *second)
    ]


def crossings(points: ArrayLike) -> int:
    """Return how many pairs of segments cross, for (K, 2) points; see `crossing_pairs`.

    Of four points in convex position exactly one pair does, so the least number for K points is
    that of convex quadrilaterals among them: 0 for K <= 4, then 1, 3, 9, 19, 36, 62.

    Example:
        >>> [crossings([[k, k * k] for k in range(n)]) for n in (3, 4, 5)]  # convex position
        [0, 1, 5]
    """
    return len(crossing_pairs(points))


def fewest_crossings(k: int, *, steps: int = 4000, seed: int = 0) -> tuple[np.ndarray, int]:
    """Search K points of the plane whose segments cross as rarely as possible.

    One random point at a time is moved by a random length, and stays where it is no worse. Four
    points cross once if they are in convex position, that is if the product of the orientations of
    their four triangles is positive.

    Args:
        k: Number of points, at least 4.
        steps: Moves that are tried.
        seed: Of start and moves.

    Returns:
        The points (K, 2) and their number of crossings, counted exactly.

    Example:
        >>> fewest_crossings(5, steps=500)[1]
        1
    """
    quads = np.array(list(itertools.combinations(range(integer("k", k, low=4)), 4)))
    triples = quads[:, [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]]]

    def count(p: np.ndarray) -> int:
        a, b, c = (p[triples[..., i]] for i in range(3))
        turn = (b - a)[..., 0] * (c - a)[..., 1] - (b - a)[..., 1] * (c - a)[..., 0]
        return int((np.sign(turn).prod(1) > 0).sum())

    stream = np.random.default_rng(integer("seed", seed, low=0))
    best = stream.normal(size=(k, 2))
    least = count(best)
    for _ in range(integer("steps", steps, low=1)):
        trial = best.copy()
        trial[stream.integers(k)] += stream.normal(size=2) * 10 ** stream.uniform(-2, 0.5)
        found = count(trial)
        if found <= least:
            best, least = trial, found
    return best, crossings(best)


@cache
def _disjoint(k: int) -> tuple[Tensor, ...]:
    edges = list(itertools.combinations(range(k), 2))
    pairs = [(*e, *f) for e, f in itertools.combinations(edges, 2) if not set(e) & set(f)]
    return tuple(torch.tensor(pairs).T) if pairs else ()


def segment_gaps(points: Tensor) -> Tensor:
    """Return the distances of all pairs of segments without a common end; differentiable.

    Args:
        points: (..., K, D) with K >= 4.

    Returns:
        (..., 3 C(K, 4)) distances.

    Raises:
        ValueError: Fewer than four points.

    Example:
        >>> segment_gaps(torch.tensor([[0.0, 0, 0], [1, 0, 0], [0.5, 0.5, 1], [0.5, -0.5, 1]]))[0]
        tensor(1.)
    """
    k = integer("points: number of points", points.shape[-2], low=4)
    a, b, c, d = (points[..., index, :] for index in _disjoint(k))
    u, v, w = b - a, d - c, a - c
    uu, vv, uv = (u * u).sum(-1), (v * v).sum(-1), (u * v).sum(-1)
    uw, vw = (u * w).sum(-1), (v * w).sum(-1)
    tiny = torch.finfo(points.dtype).tiny
    # The nearest points are a + s u and c + t v. With the lines' s cut to the segment, t follows;
    # where t leaves its segment it is cut, and s follows from it.
    s = ((uv * vw - vv * uw) / (uu * vv - uv * uv).clamp_min(tiny)).clamp(0, 1)
    t = ((uv * s + vw) / vv.clamp_min(tiny)).clamp(0, 1)
    s = ((uv * t - uw) / uu.clamp_min(tiny)).clamp(0, 1)
    return (w + s[..., None] * u - t[..., None] * v).norm(dim=-1)


def margin(points: Tensor) -> Tensor:
    """Return the smallest distance of two segments without a common end, (..., K, D) -> (...).

    Points in a ball of radius 1 have a margin of at most ``sqrt(K / (K - 1))``, in any dimension:
    the distance of the middles of two segments, squared and averaged over all of them, is that at
    most. The regular simplex, which needs K - 1 dimensions, reaches it.

    Example:
        >>> simplex = torch.eye(4) - 0.25
        >>> round(float(margin(simplex) / simplex[0].norm()), 4)  # sqrt(4 / 3)
        1.1547
    """
    return segment_gaps(points).min(-1).values


def widest(
    k: int, dim: int, *, starts: int = 16, steps: int = 1000, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Search K points of the unit ball with as large a margin as possible.

    Gradient ascent on a soft minimum that sharpens, from random starts; what it finds is a lower
    bound.

    Args:
        k: Number of points, at least 4.
        dim: Dimension of the space.
        starts: Random starts.
        steps: Of Adam.
        seed: Of the starts.

    Returns:
        The best points (K, dim) and the margins that all starts end with, (starts,).

    Example:
        >>> points, margins = widest(4, 2, steps=300)  # best: a triangle and its centre, 1 / 2
        >>> 0.48 < float(margins.max()) < 0.5001
        True
    """
    integer("dim", dim, low=1)
    stream = torch.Generator().manual_seed(integer("seed", seed, low=0))
    raw = torch.randn(starts, k, dim, generator=stream, dtype=torch.float64).requires_grad_()
    optimiser = torch.optim.Adam([raw], lr=0.02)

    def inside() -> Tensor:
        return raw / raw.norm(dim=-1).amax(-1).clamp_min(1)[:, None, None]

    for step in range(steps):
        sharp = 10 * 100 ** (step / max(1, steps - 1))
        optimiser.zero_grad()
        soft = -torch.logsumexp(-sharp * segment_gaps(inside()), -1) / sharp
        (-soft.sum()).backward()
        optimiser.step()
        for group in optimiser.param_groups:
            group["lr"] = 0.02 * (1 - (step + 1) / steps) + 1e-4
    found = inside().detach()
    margins = margin(found)
    return found[margins.argmax()], margins
