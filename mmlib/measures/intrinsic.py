"""Intrinsic dimension of a cloud of points from the distances of two neighbours."""

from __future__ import annotations

import torch
from torch import Tensor


def two_nn(points: Tensor, *, trim: float = 0.1) -> float:
    """Return the two-nearest-neighbours estimate of the intrinsic dimension.

    Near a point let the density be constant on a d-dimensional piece. The number of neighbours
    within r is Poisson with mean ``c r^d``, so given the second distance r2 the volume inside the
    first is uniform: ``(r1 / r2)^d ~ U(0, 1)``. Hence ``m = r2 / r1`` has
    ``P(m > t) = t^{-d}``, ``log m`` is exponential with rate d, and the likelihood is largest at
    ``d = N / sum log m`` (Facco and others, 2017). The largest ratios come from points that are
    not inside a piece of constant density; as usual they are left out, and counted as censored:
    with the n smallest of N and ``s = log m_(n)``, ``d = n / (sum_{i <= n} log m_i + (N - n) s)``.

    Args:
        points: ``(N, F)``, N >= 3; repeated points are counted once.
        trim: Share of the largest ratios that is treated as censored.

    Returns:
        The dimension; infinite if all ratios are 1.

    Raises:
        ValueError: Fewer than three different points, or `trim` outside [0, 1).

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> flat = torch.rand(2000, 2, generator=rng) @ torch.randn(2, 50, generator=rng)
        >>> round(two_nn(flat), 1)
        2.0
    """
    if not 0 <= trim < 1:
        raise ValueError(f"trim: expected a share in [0, 1), but got {trim!r}")
    points = torch.unique(points.double(), dim=0)
    if len(points) < 3:
        raise ValueError(f"points: expected at least 3 different ones, but got {len(points)}")
    near = []
    for part in points.split(1000):
        near.append(torch.cdist(part, points).topk(3, dim=1, largest=False).values[:, 1:])
    first, second = torch.cat(near).unbind(1)
    kept = first > 0
    logs = (second[kept] / first[kept]).log().sort().values
    n = max(1, len(logs) - int(trim * len(logs)))
    total = logs[:n].sum() + (len(logs) - n) * logs[n - 1]
    return float(n / total)
