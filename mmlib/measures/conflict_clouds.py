"""What inconsistent interpolations cost when each class is a Gaussian cloud.

As `mmlib.measures.conflict`, for classes that vary: ``X = m_k + s xi`` with xi standard normal. The
excess ``E KL(T || E[T | Z])`` does not change under invertible affine maps of the space, so it
depends on the means in units of the spread alone.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import betainc, betaln, entr, xlogy

from mmlib.checks import integer, number, positive
from mmlib.measures.drawings import crossing_pairs
from mmlib.mixing import Law

_CHUNK = 512
_FAR = 14.0  # in spreads; a point's own pair is nearer than 7 in all but 1e-9 of the cases


class Estimate(NamedTuple):
    """A mean over samples, in nats, and its standard error."""

    value: float
    error: float


def cloud_excess(
    means: ArrayLike,
    spread: ArrayLike,
    *,
    alpha: float = 1.0,
    samples: int = 1000,
    seed: int = 0,
) -> Estimate:
    r"""Return the excess of mixed Gaussian clouds of equally probable classes.

    For the pair of classes i and j, ``Z = l m_i + (1 - l) m_j + sqrt(l^2 + (1 - l)^2) s xi``, so
    its density is an integral over l alone, which is taken on a grid finer than the clouds; the
    mean target E[T | Z = z] is a ratio of such sums. The outer mean over Z is one over samples
    whose l lie one in each of equal cells of its law.

    Args:
        means: (K, D).
        spread: Standard deviation of every coordinate, or (D,) one for each.
        alpha: l ~ Beta(alpha, alpha).
        samples: For each pair of classes.
        seed: Of the samples.

    Raises:
        ValueError: Shapes that do not fit, a spread that is not positive, too few samples.

    Example:
        >>> far = cloud_excess([[0.0, 0.0], [1.0, 0.0]], [0.01, 1.0])  # spread across the way only
        >>> near = cloud_excess([[0.0, 0.0], [1.0, 0.0]], [1.0, 0.01])  # spread along the way
        >>> far.value < 0.01 < 0.1 < near.value
        True
    """
    m = np.asarray(means, dtype=float)
    if m.ndim != 2 or len(m) < 2:
        raise ValueError(f"means: expected (K, D) of at least two classes, but got {m.shape}")
    s = np.broadcast_to(np.asarray(spread, dtype=float), m.shape[1:])
    if not (np.isfinite(s).all() and (s > 0).all()):
        raise ValueError(f"spread: expected positive numbers, but got {spread!r}")
    integer("samples", samples, low=2)
    law, stream = Law("beta", alpha), torch.Generator().manual_seed(integer("seed", seed, low=0))
    m = m / s
    pairs = [
        (i, j, (1 if i == j else 2) / len(m) ** 2, _Pair(m[i], m[j], alpha))
        for i, j in itertools.combinations_with_replacement(range(len(m)), 2)
    ]
    value = variance = 0.0
    for i, j, share, _ in pairs:
        u = torch.rand(samples, generator=stream, dtype=torch.float64)
        lam = law.quantile((torch.arange(samples) + u) / samples).numpy()
        noise = torch.randn(samples, m.shape[1], generator=stream, dtype=torch.float64).numpy()
        z = lam[:, None] * m[i] + (1 - lam)[:, None] * m[j]
        z += np.sqrt(lam**2 + (1 - lam) ** 2)[:, None] * noise
        t = np.zeros((samples, len(m)))
        t[:, i] += lam
        t[:, j] += 1 - lam
        gap = (xlogy(t, t) - xlogy(t, _mean_target(z, len(m), pairs))).sum(1)
        value += share * gap.mean()
        variance += share**2 * gap.var() / samples
    return Estimate(float(value), float(np.sqrt(variance)))


class _Pair:
    """The density of one pair of unit clouds, on a grid of l whose cells have their exact mass."""

    def __init__(self, first: np.ndarray, second: np.ndarray, alpha: float) -> None:
        self.second, self.way = second, first - second
        self.length = float(np.linalg.norm(self.way))
        edges = np.linspace(0, 1, 65 + int(4 * self.length))
        self.mass = np.diff(betainc(alpha, alpha, edges))
        moment = np.diff(betainc(alpha + 1, alpha, edges)) / 2
        middle = (edges[1:] + edges[:-1]) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            self.lam = np.where(self.mass > 1e-300, moment / self.mass, middle).clip(0, 1)
        self.variance = self.lam**2 + (1 - self.lam) ** 2
        self.factor = self.mass * self.variance ** (-len(first) / 2)

    def near(self, z: np.ndarray) -> np.ndarray:
        """Return which of the points (N, D) are within `_FAR` of the segment, (N,)."""
        off = z - self.second
        at = (off @ self.way / max(self.length**2, 1e-300)).clip(0, 1)
        return ((off - at[:, None] * self.way) ** 2).sum(1) < _FAR**2

    def moments(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the density at z (N, D), up to a factor that all pairs share, and that times l."""
        off = z - self.second
        square = (off**2).sum(1)[:, None] - 2 * np.outer(off @ self.way, self.lam)
        square += self.lam**2 * self.length**2
        density = self.factor * np.exp(-square / (2 * self.variance))
        return density.sum(1), density @ self.lam


def _mean_target(z: np.ndarray, k: int, pairs: list[tuple[int, int, float, _Pair]]) -> np.ndarray:
    """Return E[T | Z = z], (N, K), for unit clouds."""
    t = np.zeros((len(z), k))
    for i, j, share, pair in pairs:
        rows = np.flatnonzero(pair.near(z))
        for start in range(0, len(rows), _CHUNK):
            some = rows[start : start + _CHUNK]
            density, first = pair.moments(z[some])
            t[some, i] += share * first
            t[some, j] += share * (density - first)
    return t / t.sum(1, keepdims=True)


def crossing_rate(means: ArrayLike, *, alpha: float = 1.0) -> float:
    r"""Return c of ``excess = c s + o(s)`` for clouds of spread s -> 0 around points of the plane.

    Segments that cross at weights l and l' under the angle theta are strips of width
    ``w = sqrt(l^2 + (1 - l)^2) s``; where they overlap, an area of order s^2 / sin theta, both
    densities are of order 1 / s. With ``r = 2 b(l) / (K^2 length)`` of each segment and
    ``J(a, b) = (a + b) log(a + b) - a log a - b log b``

    .. math:: c = \sum_{\text{crossings}} \frac{1}{\sin\theta}
        \iint J\big(r w' \varphi(u),\ r' w \varphi(v)\big)\,du\,dv \quad (w, w' \text{ at } s = 1).

    All else (weights that a cloud makes uncertain, the ends of segments) is of order
    s^2 log(1 / s), in any dimension. Valid when no three means lie on a line and no three segments
    cross in one point.

    Args:
        means: (K, 2).
        alpha: l ~ Beta(alpha, alpha).

    Example:
        >>> crossing_rate([[0, 0], [2, 0], [1, 2], [1, 0.7]])  # one inside the triangle
        0.0
        >>> round(crossing_rate([[0, 0], [1, 0], [1, 1], [0, 1]]), 3)  # a square
        0.383
    """
    m = np.asarray(means, dtype=float)
    alpha = positive("alpha", alpha)
    k, total = len(m), 0.0
    phi = np.exp(-(np.arange(-9, 9.05, 0.1) ** 2) / 2) / np.sqrt(2 * np.pi)
    for (a, b), (c, d) in crossing_pairs(m):
        first, second = m[a] - m[b], m[c] - m[d]
        weights = np.linalg.solve(np.stack([first, -second], 1), m[d] - m[b])
        lengths = np.array([np.linalg.norm(first), np.linalg.norm(second)])
        sine = abs(first[0] * second[1] - first[1] * second[0]) / lengths.prod()
        density = np.exp((alpha - 1) * np.log(weights * (1 - weights)) - betaln(alpha, alpha))
        r = 2 * density / (k**2 * lengths)
        w = np.sqrt(weights**2 + (1 - weights) ** 2)
        one, two = np.meshgrid(r[0] * w[1] * phi, r[1] * w[0] * phi)
        joint = xlogy(one + two, one + two) + entr(one) + entr(two)
        total += joint.sum() * 0.01 / sine
    return float(total)


def tree_excess(
    z: ArrayLike, targets: ArrayLike, floor: float, *, depth: int = 10, seed: int = 0
) -> Estimate:
    """Return what a piecewise constant classifier of mixed points loses beyond the floor.

    Half of the points split the space into 2^depth cells of equal mass, at medians of the
    coordinates in turn (fewer where values repeat), and give each its mean target; the other half
    is scored. So this is the loss of an actual classifier, an upper bound of the least loss up to
    sampling error, and it does not change when coordinates are rescaled.

    Args:
        z: (N, D) mixed points.
        targets: (N, K) their targets.
        floor: ``E H(T)`` in nats, which is taken off.
        depth: Of the tree; cells hold N / 2^(depth + 1) points.
        seed: Of the halves.

    Raises:
        ValueError: Shapes that do not fit, or cells that would hold fewer than two points.

    Example:
        >>> stream = np.random.default_rng(0)
        >>> z = stream.random((4096, 1))
        >>> known = tree_excess(z, np.hstack([z, 1 - z]), 0.5, depth=6)
        >>> lost = tree_excess(stream.random((4096, 1)), np.hstack([z, 1 - z]), 0.5, depth=6)
        >>> known.value < 0.05 < 0.15 < lost.value
        True
    """
    z, t = np.asarray(z, dtype=float), np.asarray(targets, dtype=float)
    if z.ndim != 2 or t.ndim != 2 or len(z) != len(t):
        raise ValueError(f"z, targets: expected (N, D) and (N, K), but got {z.shape}, {t.shape}")
    number("floor", floor, low=0)
    integer("depth", depth, low=1)
    n = len(z) // 2
    if n < 2 ** (depth + 1):
        raise ValueError(f"z: expected {4 * 2**depth} points for depth {depth}, but got {len(z)}")
    order = np.random.default_rng(seed).permutation(len(z))
    fit, test = order[:n], order[n:]
    cells = [(fit, test)]
    for level in range(depth):
        values = z[:, level % z.shape[1]]
        cells = [half for cell in cells for half in _halves(values, *cell)]
    k, loss = t.shape[1], []
    for mine, theirs in cells:
        mean = (t[mine].sum(0) + 1 / k) / (len(mine) + 1)  # one point's worth of "don't know"
        loss.append(-xlogy(t[theirs], mean).sum(1))
    loss = np.concatenate(loss)  # type: ignore[assignment]
    return Estimate(float(loss.mean() - floor), float(loss.std() / np.sqrt(len(loss))))  # type: ignore[attr-defined]


def _halves(values: np.ndarray, fit: np.ndarray, test: np.ndarray) -> list[tuple]:
    """Split two sets of rows at the median of the first one's values, if that parts them."""
    middle = np.median(values[fit])
    if values[fit].max() <= middle:
        return [(fit, test)]
    low, also = values[fit] <= middle, values[test] <= middle
    return [(fit[low], test[also]), (fit[~low], test[~also])]
