r"""What inconsistent interpolations cost: the loss that no classifier of mixed points can avoid.

Points with labels are mixed in pairs, ``Z = l X + (1 - l) X'`` with target
``T = l Y + (1 - l) Y'``. The best classifier of Z answers ``E[T | Z]``, and loses

.. math::
    E\,H(E[T \mid Z]) = E\,H(T) + E\,\mathrm{KL}(T \,\|\, E[T \mid Z])

in cross-entropy, ``E |T - E[T | Z]|^2`` in squared loss. The first term is the floor of any
arrangement with these labels; the second, the *excess*, is zero if and only if the target is a
function of the mixed point, almost surely. ICML appendix F.

Here classes are finite sets of points. Two segments that cross in one point share no mass there,
so the excess comes from segments that overlap on a line, and from points that coincide.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln, digamma, entr

from mmlib.checks import choice, number, positive

LOSSES = ("cross_entropy", "squared")
_STEP, _REACH = 1 / 16, 6.0  # of the tanh-sinh rule: its ends lie within 1e-270 of an interval's


@dataclass(frozen=True)
class MixedLoss:
    """Loss of the best classifier of mixed points, in nats or as a squared distance.

    Attributes:
        floor: What an arrangement without conflict costs; 0 in squared loss.
        excess: What conflict adds.
    """

    floor: float
    excess: float

    @property
    def best(self) -> float:
        """The loss of the best classifier, floor and excess."""
        return self.floor + self.excess


class _Segment(NamedTuple):
    """A pair of points on a line: ends ``low <= high``, their labels, the pair's probability."""

    low: float
    high: float
    label_low: int
    label_high: int
    mass: float


class _Line(NamedTuple):
    """A line of the space, a point and a unit vector, with the pairs that lie on it."""

    origin: np.ndarray
    way: np.ndarray
    segments: list[_Segment]

    def along(self, point: np.ndarray) -> float:
        return float((point - self.origin) @ self.way)

    def holds(self, point: np.ndarray, near: float) -> bool:
        off = point - self.origin
        return bool(np.linalg.norm(off - (off @ self.way) * self.way) <= near)


def target_entropy(alpha: float = 1.0) -> float:
    """Return the mean entropy of the target of two different labels, in nats.

    ``E[-l log l - (1 - l) log(1 - l)] = psi(2 alpha + 1) - psi(alpha + 1)`` for l ~ Beta(alpha,
    alpha), psi the digamma function.

    Raises:
        TypeError, ValueError: `alpha` is not a positive number.

    Example:
        >>> round(target_entropy(1.0), 12)
        0.5
    """
    alpha = positive("alpha", alpha)
    return float(digamma(2 * alpha + 1) - digamma(alpha + 1))


def disagreement(targets: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return what one answer for several targets costs beyond their entropies, in nats.

    ``H(sum_s w_s T_s) - sum_s w_s H(T_s)``, the Jensen-Shannon divergence: the least mean
    cross-entropy of one distribution at a point that pairs reach with targets T_s.

    Args:
        targets: (S, K) distributions.
        weights: (S,) shares of the pairs, summing to 1; equal unless given.

    Raises:
        ValueError: Shapes that do not fit, or rows that are not distributions.

    Example:
        >>> round(disagreement([[1, 0], [0.5, 0.5]]), 4)  # "100 % A" and "50 % A, 50 % B"
        0.2158
    """
    t = np.asarray(targets, dtype=float)
    if t.ndim != 2 or not np.allclose(t.sum(1), 1) or (t < 0).any():
        raise ValueError(f"targets: expected rows that are distributions, but got {targets!r}")
    w = np.full(len(t), 1 / len(t)) if weights is None else np.asarray(weights, dtype=float)
    if w.shape != (len(t),) or not np.isclose(w.sum(), 1) or (w < 0).any():
        raise ValueError(f"weights: expected {len(t)} shares that sum to 1, but got {weights!r}")
    return float(entr(w @ t).sum() - w @ entr(t).sum(1))


def arrangement_loss(
    points: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    alpha: float = 1.0,
    loss: str = "cross_entropy",
    closed: bool | None = None,
) -> MixedLoss:
    r"""Return floor and excess of labelled points whose independent pairs are mixed.

    Both ends of a pair are drawn from the points independently (a point with itself too), and
    l ~ Beta(alpha, alpha). On a line, pair s puts density ``m_s b(l) / length`` on its segment and
    a target that is linear there; with ``rho`` the sum of the densities over the pairs and
    ``bar t`` their mean target, the excess is

    .. math:: \int \Big[\rho H(\bar t) - \sum_s \rho_s H(T_s)\Big] dz .

    For alpha = 1 all densities are constant between neighbouring points and the integral is a sum
    of antiderivatives of ``-u log u``; otherwise a tanh-sinh rule is used, which takes the
    densities' singular ends. Segments on different lines meet in single points, which have no mass.

    The partners of a shuffled batch of B independent examples are themselves with probability
    ``1 / B`` and independent otherwise, which multiplies the excess by ``1 - 1 / B`` as long as no
    two points coincide.

    Args:
        points: (N,) or (N, D).
        labels: (N,) classes 0, 1, ...
        weights: (N,) probabilities of the points; equal unless given.
        alpha: Of the law of l.
        loss: ``"cross_entropy"`` in nats, or ``"squared"``, the sum over classes.
        closed: Whether to use the closed form; None where there is one.

    Raises:
        ValueError: Shapes that do not fit, weights that are no probabilities, an unknown loss, or
            a closed form where there is none.
        TypeError: Labels that are not integers.

    Example:
        >>> aba = arrangement_loss([0.0, 1.0, 2.0], [0, 1, 0])  # a B between two points of A
        >>> round(aba.floor, 4), round(aba.excess, 4)
        (0.2222, 0.1402)
        >>> arrangement_loss([[0, 0], [1, 0], [0, 1]], [0, 1, 2]).excess  # a triangle
        0.0
    """
    p, y, w = _checked(points, labels, weights)
    alpha = positive("alpha", alpha)
    choice("loss", loss, LOSSES)
    if closed and alpha != 1:
        raise ValueError(f"closed: expected alpha = 1 for the closed form, but got {alpha!r}")
    closed = alpha == 1 if closed is None else closed
    scale = np.ptp(p, axis=0).max()
    lines, atoms = _group(p, y, w, 1e-9 * (scale or 1.0))
    rule = _exact if closed else _quadrature
    excess = sum(
        rule(low, high, active, y.max() + 1, loss, alpha)
        for segments in lines
        for low, high, active in _intervals(segments)
    )
    excess += sum(_atom(pairs, y.max() + 1, alpha, loss) for pairs in atoms)
    mixed = float((w[:, None] * w * (y[:, None] != y)).sum())
    floor = mixed * target_entropy(alpha) if loss == "cross_entropy" else 0.0
    return MixedLoss(floor, float(excess))


def crossing_floor(
    distance: float, densities: tuple[float, float], slopes: tuple[float, float], lipschitz: float
) -> float:
    """Return what a crossing costs any classifier with a given Lipschitz constant, squared loss.

    Two segments meet at a point c with targets ``distance`` apart. A classifier q misses them
    there by a and b with ``a + b >= distance``, and at distance t along segment s still by
    ``a - (lipschitz + slope_s) |t|``. Integrated and minimised over a, with
    ``k_s = 2 density_s / (3 (lipschitz + slope_s))``,

        excess >= distance^3 k_1 k_2 / (sqrt k_1 + sqrt k_2)^2 .

    So no continuous classifier reaches the floor, and the bound falls as 1 / lipschitz. It holds
    while ``distance / (lipschitz + slope)`` is at most the distance of c to the segment's ends.

    Args:
        distance: Euclidean, between the targets at c.
        densities: Mass of the mixed points per length on each segment, at least this near c.
        slopes: Change of the target per length on each segment.
        lipschitz: Of the classifier, Euclidean on both sides.

    Raises:
        TypeError, ValueError: A number is outside its range, or there are not two of each.

    Example:
        >>> round(crossing_floor(1.0, (1.0, 1.0), (0.0, 0.0), 10.0), 5)
        0.01667
    """
    distance, lipschitz = number("distance", distance, low=0), positive("lipschitz", lipschitz)
    k = [
        2 * positive("densities", density) / (3 * (lipschitz + number("slopes", slope, low=0)))
        for density, slope in zip(densities, slopes, strict=True)
    ]
    return float(distance**3 * k[0] * k[1] / (np.sqrt(k[0]) + np.sqrt(k[1])) ** 2)


# ------------------------------------------------------------------------------ pieces


def _checked(points: Any, labels: Any, weights: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    p = np.asarray(points, dtype=float)
    p = p[:, None] if p.ndim == 1 else p
    if p.ndim != 2 or not len(p) or not np.isfinite(p).all():
        raise ValueError(f"points: expected finite (N,) or (N, D), but got shape {p.shape}")
    y = np.asarray(labels)
    if not np.issubdtype(y.dtype, np.integer):
        raise TypeError(f"labels: expected integers, but got {y.dtype}")
    if y.shape != (len(p),) or y.min() < 0:
        raise ValueError(f"labels: expected {len(p)} classes 0, 1, ..., but got {labels!r}")
    w = np.full(len(p), 1 / len(p)) if weights is None else np.asarray(weights, dtype=float)
    if w.shape != (len(p),) or (w < 0).any() or not np.isclose(w.sum(), 1):
        raise ValueError(f"weights: expected {len(p)} probabilities, but got {weights!r}")
    return p, y, w


def _group(
    p: np.ndarray, y: np.ndarray, w: np.ndarray, near: float
) -> tuple[list[list[_Segment]], list[list[tuple]]]:
    """Sort pairs by the line they lie on; pairs that coincide are atoms, sorted by their place."""
    lines: list[_Line] = []
    atoms: list[tuple[np.ndarray, list[tuple]]] = []
    for i, j in itertools.combinations_with_replacement(range(len(p)), 2):
        mass = w[i] * w[j] * (1 if i == j else 2)
        way = p[j] - p[i]
        if np.linalg.norm(way) <= near:
            home = next((pairs for at, pairs in atoms if np.linalg.norm(p[i] - at) <= near), None)
            if home is None:
                atoms.append((p[i], home := []))
            home.append((y[i], y[j], mass))
            continue
        line = next((one for one in lines if one.holds(p[i], near) and one.holds(p[j], near)), None)
        if line is None:
            lines.append(line := _Line(p[i], way / np.linalg.norm(way), []))
        (low, first), (high, second) = sorted((line.along(p[k]), int(y[k])) for k in (i, j))
        line.segments.append(_Segment(low, high, first, second, mass))
    return [_snapped(one.segments, near) for one in lines], [pairs for _, pairs in atoms]


def _snapped(segments: list[_Segment], near: float) -> list[_Segment]:
    """Give ends that differ by rounding alone one value, so that no sliver is integrated."""
    ends = sorted({end for one in segments for end in (one.low, one.high)})
    value = dict(zip(ends, ends, strict=True))
    for before, after in itertools.pairwise(ends):
        if after - before <= near:
            value[after] = value[before]
    return [one._replace(low=value[one.low], high=value[one.high]) for one in segments]


def _intervals(segments: list[_Segment]) -> Iterator[tuple[float, float, list[_Segment]]]:
    """Yield the intervals that more than one segment covers, with these segments."""
    ends = sorted({end for one in segments for end in (one.low, one.high)})
    for low, high in itertools.pairwise(ends):
        active = [one for one in segments if one.low <= low and one.high >= high]
        if len(active) > 1:
            yield low, high, active


def _targets(active: list[_Segment], share: np.ndarray, left: np.ndarray, k: int) -> np.ndarray:
    """Return (S, M, k) targets; the upper ends weigh `share` (S, M), the lower ones `left`."""
    t = np.zeros((*share.shape, k))
    for row, one in enumerate(active):
        t[row, :, one.label_low] += left[row]
        t[row, :, one.label_high] += share[row]
    return t


def _exact(
    low: float, high: float, active: list[_Segment], k: int, loss: str, alpha: float
) -> float:
    """Integrate one interval for alpha = 1: constant densities, linear targets."""
    density = np.array([one.mass / (one.high - one.low) for one in active])
    at = np.array([[(z - one.low) / (one.high - one.low) for z in (low, high)] for one in active])
    at = np.clip(at, 0, 1)
    t = _targets(active, at, 1 - at, k)
    mean = np.einsum("s,smk->mk", density, t) / density.sum()
    if loss == "squared":
        own = density @ _mean_square(t[:, 0], t[:, 1]).sum(1)
        return (high - low) * (own - density.sum() * _mean_square(*mean).sum())
    own = density @ _mean_entr(t[:, 0], t[:, 1]).sum(1)
    return (high - low) * (density.sum() * _mean_entr(*mean).sum() - own)


def _mean_square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return (u * u + u * v + v * v) / 3


def _mean_entr(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the mean of -x log x over x from u to v; near u = v by its expansion."""
    with np.errstate(divide="ignore", invalid="ignore"):
        rise = [x * x / 4 + x * entr(x) / 2 for x in (u, v)]
        mean = (rise[1] - rise[0]) / (v - u)
        middle = (u + v) / 2
        close = entr(middle) - (v - u) ** 2 / (24 * middle)
    flat = np.abs(v - u) < 1e-4 * np.maximum(u, v)
    return np.where(u == v, entr(u), np.where(flat, close, mean))


def _quadrature(
    low: float, high: float, active: list[_Segment], k: int, loss: str, alpha: float
) -> float:
    """Integrate one interval for any alpha, by a tanh-sinh rule."""
    at = np.arange(-_REACH, _REACH + _STEP / 2, _STEP)
    s, rest = (1 / (1 + np.exp(sign * np.pi * np.sinh(at))) for sign in (-1, 1))
    step = (high - low) * np.pi * np.cosh(at) * s * rest * _STEP
    below = np.array([(low - one.low) + (high - low) * s for one in active])
    above = np.array([(one.high - high) + (high - low) * rest for one in active])
    length = np.array([[one.high - one.low] for one in active])
    mass = np.array([[one.mass] for one in active])
    share, left = below / length, above / length
    density = np.exp((alpha - 1) * (np.log(share) + np.log(left)) - betaln(alpha, alpha))
    density *= mass / length
    t = _targets(active, share, left, k)
    total = density.sum(0)
    there = total > 0  # towards a singular end of large alpha all densities underflow
    mean = np.einsum("sm,smk->mk", density, t) / np.where(there, total, 1.0)[:, None]
    if loss == "squared":
        own = (density * (t * t).sum(2)).sum(0)
        return float(step @ (own - total * (mean * mean).sum(1)))
    own = (density * entr(t).sum(2)).sum(0)
    return float(step @ (total * entr(mean).sum(1) - own))


def _atom(pairs: list[tuple], k: int, alpha: float, loss: str) -> float:
    """Return the excess of pairs that all mix to one point: they differ by labels and l alone."""
    mean, own = np.zeros(k), 0.0
    for first, second, mass in pairs:
        mean[first] += mass / 2
        mean[second] += mass / 2
        if loss == "squared":
            own += mass * (1 if first == second else (alpha + 1) / (2 * alpha + 1))
        elif first != second:
            own += mass * target_entropy(alpha)
    total = mean.sum()
    if loss == "squared":
        return float(own - total * ((mean / total) ** 2).sum())
    return float(total * entr(mean / total).sum() - own)
