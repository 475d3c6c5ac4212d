"""What inconsistent interpolations cost when two classes are segments of the plane."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import betainc, rel_entr

from mmlib.checks import integer, positive
from mmlib.measures.conflict_clouds import Estimate
from mmlib.mixing import Law

_NODES = 2000


def segments_excess(
    first: ArrayLike,
    second: ArrayLike,
    *,
    alpha: float = 1.0,
    samples: int = 4000,
    seed: int = 0,
) -> Estimate:
    r"""Return the excess (nats) of two equally probable classes, each uniform on a segment.

    ``Z = l (a + s u) + (1 - l) (c + t v)``. If u and v are parallel but the segments not on one
    line, the distance of Z to the second one's line gives l, and the excess is 0. If they are not
    parallel, l makes a parallelogram of area ``l (1 - l) |u x v|`` and parallelograms of
    neighbouring l overlap: the target is a function of Z no more. Then E[l | Z = z] is a ratio of
    sums over l of ``b(l) / (l (1 - l))`` where z lies in the parallelogram. Pairs of one class lie
    on a segment, which has no area.

    Args:
        first: (2, 2), the ends of one segment.
        second: (2, 2), those of the other.
        alpha: l ~ Beta(alpha, alpha).
        samples: Of Z.
        seed: Of the samples.

    Raises:
        ValueError: Another shape, a segment without length, or parallel segments on one line.

    Example:
        >>> upright = [[0.0, 0.0], [0.0, 1.0]]
        >>> segments_excess(upright, [[1.0, 0.0], [1.0, 2.0]]).value  # parallel
        0.0
        >>> segments_excess(upright, [[1.0, 0.0], [2.0, 0.0]]).value > 0.005
        True
    """
    ends = [np.asarray(one, dtype=float) for one in (first, second)]
    for name, one in zip(("first", "second"), ends, strict=True):
        if one.shape != (2, 2) or not np.isfinite(one).all() or (one[0] == one[1]).all():
            raise ValueError(f"{name}: expected two different ends (2, 2), but got {one.tolist()}")
    (a, c), (u, v) = (one[0] for one in ends), (one[1] - one[0] for one in ends)
    area = _cross(u, v)
    if abs(area) < 1e-12 * np.linalg.norm(u) * np.linalg.norm(v):
        if abs(_cross(u, c - a)) < 1e-12 * np.linalg.norm(u) * np.linalg.norm(c - a):
            raise ValueError("second: expected a segment off the first one's line")
        return Estimate(0.0, 0.0)
    integer("samples", samples, low=2)
    alpha = positive("alpha", alpha)
    stream = torch.Generator().manual_seed(integer("seed", seed, low=0))
    draws = torch.rand(3, samples, generator=stream, dtype=torch.float64)
    lam = Law("beta", alpha).quantile((torch.arange(samples) + draws[0]) / samples).numpy()
    s, t = draws[1:].numpy()
    z = lam[:, None] * (a + s[:, None] * u) + (1 - lam)[:, None] * (c + t[:, None] * v)
    edges = np.linspace(0, 1, _NODES + 1)
    grid = (edges[1:] + edges[:-1]) / 2
    weight = np.diff(betainc(alpha, alpha, edges)) / (grid * (1 - grid))
    # z - l a - (1 - l) c = l s u + (1 - l) t v, solved for s and t by Cramer's rule.
    off = z[:, None] - grid[:, None] * a - (1 - grid)[:, None] * c
    along, across = _cross(off, v) / (area * grid), _cross(u, off) / (area * (1 - grid))
    # A cell of the grid counts if its middle fits; the sample's own l always does.
    density = weight * ((along >= 0) & (along <= 1) & (across >= 0) & (across <= 1))
    total = density.sum(1)
    mean = np.where(total > 0, (density @ grid) / np.where(total > 0, total, 1), lam)
    gap = rel_entr(lam, mean) + rel_entr(1 - lam, 1 - mean)
    return Estimate(float(gap.mean() / 2), float(gap.std() / np.sqrt(samples) / 2))


def _cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return x[..., 0] * y[..., 1] - x[..., 1] * y[..., 0]
