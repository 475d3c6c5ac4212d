r"""Optimal matchings between clusters: what they join, how often, and when the number is the least.

Two batches of k points are matched at the least sum of squared distances. Of each matched pair the
clusters of its ends are counted in a *flow table* F, where ``F[i, j]`` pairs lead from cluster i of
the first batch to cluster j of the second. Cross matches are those off the diagonal. For k-Mixup,
section 3.2 and supplement A.

Exchanging the ends of two pairs p -> q and p' -> q' saves ``2 (p - p') . (q' - q)``, so an optimal
matching has ``(p - p') . (q' - q) <= 0`` for each two of its pairs. The conditions below follow.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment, linprog

from mmlib import checks


def _points(name: str, value: ArrayLike) -> np.ndarray:
    try:
        found = np.asarray(value, dtype=float)
    except ValueError:
        raise ValueError(f"{name}: expected (k, d) points, but got rows of several sizes") from None
    if found.ndim != 2 or 0 in found.shape:
        raise ValueError(f"{name}: expected (k, d) points with k, d >= 1, but got {found.shape}")
    if not np.isfinite(found).all():
        raise ValueError(f"{name}: expected finite points, but got NaN or inf among them")
    return found


def _counts(name: str, value: ArrayLike) -> np.ndarray:
    found = np.asarray(value)
    if found.ndim != 1 or not len(found) or not np.issubdtype(found.dtype, np.integer):
        raise ValueError(f"{name}: expected a list of whole numbers, but got {value!r}")
    if found.min() < 0:
        raise ValueError(f"{name}: expected numbers >= 0, but got {found.min()}")
    return found


def _two_counts(first: ArrayLike, second: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    r, s = _counts("first", first), _counts("second", second)
    if len(r) != len(s) or r.sum() != s.sum():
        raise ValueError(
            "first, second: expected as many clusters and as many points in both batches, but got "
            f"{len(r)} with {r.sum()} and {len(s)} with {s.sum()}"
        )
    return r, s


def squared_distances(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Return ``|x_i - y_j|^2``, (k, l), free of the cancellation of an expanded square.

    Raises:
        ValueError: not (k, d) and (l, d), or not finite.

    Example:
        >>> squared_distances([[0.0], [3.0]], [[1.0]]).tolist()
        [[1.0], [4.0]]
    """
    x, y = _points("x", x), _points("y", y)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"x, y: expected one dimension, but got {x.shape[1]} and {y.shape[1]}")
    found = np.zeros((len(x), len(y)))
    for a, b in zip(x.T, y.T, strict=True):
        found += np.square(np.subtract.outer(a, b))
    return found


def optimal_partners(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    r"""Return the optimal partner of each point, :math:`\sigma` of k-Mixup, section 2.

    Args:
        x: (k, d) points of the first batch.
        y: (k, d) points of the second.

    Returns:
        (k,) indices into `y`.

    Raises:
        ValueError: the batches differ in size or dimension, are empty, ragged or not finite.

    Example:
        >>> optimal_partners([[0.0], [5.0]], [[6.0], [1.0]]).tolist()
        [1, 0]
        >>> optimal_partners([[0.0], [5.0]], [[6.0]])
        Traceback (most recent call last):
        ValueError: x, y: expected as many points in both batches, but got 2 and 1
    """
    cost = squared_distances(x, y)
    if cost.shape[0] != cost.shape[1]:
        raise ValueError(
            f"x, y: expected as many points in both batches, but got {cost.shape[0]} "
            f"and {cost.shape[1]}"
        )
    return linear_sum_assignment(cost)[1]


def all_optimal_partners(x: ArrayLike, y: ArrayLike, *, slack: float = 1e-9) -> list[np.ndarray]:
    """Return every optimal matching, by looking at all k! permutations.

    Args:
        x: (k, d) points, k <= 8.
        y: (k, d) points.
        slack: costs that differ by no more are equal.

    Raises:
        ValueError: as for `optimal_partners`, or k > 8.

    Example:
        >>> square = [[0.0, 0.0], [1.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]
        >>> len(all_optimal_partners(*square))  # all four sides are equal
        2
    """
    cost = squared_distances(x, y)
    k = checks.integer("number of points", len(cost), low=1, high=8)
    if cost.shape != (k, k):
        raise ValueError(f"x, y: expected as many points in both batches, but got {cost.shape}")
    orders = np.array(list(itertools.permutations(range(k))))
    totals = cost[np.arange(k), orders].sum(1)
    return list(orders[totals <= totals.min() + slack])


def flow_table(first: ArrayLike, second: ArrayLike, clusters: int) -> np.ndarray:
    """Return how many pairs lead from each cluster to each, (m, m).

    Args:
        first: (k,) cluster of one end of each pair.
        second: (k,) cluster of the other end.
        clusters: number of clusters m.

    Raises:
        ValueError: lengths differ, or a cluster is not one of 0 to m - 1.

    Example:
        >>> flow_table([0, 0, 1], [0, 1, 1], 2).tolist()
        [[1, 1], [0, 1]]
    """
    first, second = _counts("first", first), _counts("second", second)
    if len(first) != len(second):
        raise ValueError(f"first, second: expected one length, got {len(first)}, {len(second)}")
    m = checks.integer("clusters", clusters, low=1)
    if max(first.max(), second.max()) >= m:
        raise ValueError(
            f"clusters: expected numbers below {m}, but got {max(first.max(), second.max())}"
        )
    return np.bincount(first * m + second, minlength=m * m).reshape(m, m)


def cross_matches(flow: ArrayLike) -> int:
    """Return the number of pairs whose ends lie in two clusters.

    Example:
        >>> cross_matches([[1, 1], [0, 1]])
        1
    """
    flow = np.asarray(flow)
    return int(flow.sum() - np.trace(flow))


def least_cross(first: ArrayLike, second: ArrayLike) -> int:
    r"""Return the least number of cross matches, :math:`\frac12 \sum_i |r_i - s_i|`.

    Args:
        first: (m,) points of the first batch in each cluster, r.
        second: (m,) those of the second, s.

    Raises:
        ValueError: the totals or the numbers of clusters differ, or a number is negative.

    Example:
        >>> least_cross([2, 1, 1], [1, 1, 2])
        1
    """
    r, s = _two_counts(first, second)
    return int(np.abs(r - s).sum()) // 2


def line_cross(first: ArrayLike, second: ArrayLike) -> int:
    r"""Return the cross matches of clusters in a row, :math:`\sum_j |\sum_{i \le j} r_i - s_i|`.

    On a line the monotone matching is optimal. ``|R_j - S_j|`` of its pairs pass the gap behind
    cluster j, and none passes two gaps as long as no cluster has fewer points than pass it.

    Example:
        >>> line_cross([2, 1, 1], [1, 1, 2])  # two short ones in place of a long one
        2
    """
    r, s = _two_counts(first, second)
    return int(np.abs(np.cumsum(r - s)).sum())


def cheapest_flow(first: ArrayLike, second: ArrayLike, distances: ArrayLike) -> np.ndarray:
    r"""Return the flow table of the optimal matching of clusters that are points.

    .. math:: \min_F \sum_{ij} F_{ij} d_{ij}^2, \quad \sum_j F_{ij} = r_i, \quad \sum_i F_{ij} = s_j

    A linear program with integer vertices, solved as such: another way than assigning points.

    Args:
        first: (m,) numbers r.
        second: (m,) numbers s.
        distances: (m, m) distances d of the clusters.

    Raises:
        ValueError: numbers do not fit, or distances are not a finite (m, m) array.

    Example:
        >>> cheapest_flow([2, 1, 1], [1, 1, 2], [[0, 1, 2], [1, 0, 1], [2, 1, 0]]).tolist()
        [[1, 1, 0], [0, 0, 1], [0, 0, 1]]
    """
    r, s = _two_counts(first, second)
    m, d = len(r), _points("distances", distances)
    if d.shape != (m, m):
        raise ValueError(f"distances: expected {(m, m)}, but got {d.shape}")
    eye = np.eye(m)
    sums = np.vstack([np.kron(eye, np.ones(m)), np.kron(np.ones(m), eye)])
    found = linprog((d**2).ravel(), A_eq=sums, b_eq=np.concatenate([r, s]), method="highs-ds")
    return np.rint(found.x).astype(int).reshape(m, m)


def has_cycle(flow: ArrayLike) -> bool:
    """Return whether cross matches lead round from a cluster back to itself.

    Example:
        >>> has_cycle([[0, 1], [1, 0]]), has_cycle([[5, 1], [0, 5]])
        (True, False)
    """
    edges = np.asarray(flow) > 0
    np.fill_diagonal(edges := edges.copy(), False)
    left = np.ones(len(edges), dtype=bool)
    while left.any():  # take away clusters that nothing leads to, until none is left
        sources = left & ~edges[left].any(0)
        if not sources.any():
            return True
        left &= ~sources
    return False


def relays(flow: ArrayLike) -> np.ndarray:
    """Return the clusters that both send and receive cross matches.

    The number of cross matches is the least one exactly if there is none: then each cluster sends
    ``max(r - s, 0)``, and half the sum of ``|r - s|`` is the sum of these.

    Example:
        >>> relays([[1, 1, 0], [0, 0, 1], [0, 0, 1]]).tolist()
        [1]
    """
    flow = np.asarray(flow)
    off = flow - np.diag(np.diag(flow))
    return np.flatnonzero((off.sum(0) > 0) & (off.sum(1) > 0))


class Corner(NamedTuple):
    """The widest corner of an arrangement of balls.

    Attributes:
        angle: largest angle in degrees between a way from ball l to ball i and one to ball j.
        relay: the ball l.
        source: the ball i.
        target: the ball j; i itself is allowed.
    """

    angle: float
    relay: int
    source: int
    target: int


def widest_corner(centres: ArrayLike, radius: float) -> Corner:
    r"""Return where two ways out of one ball can spread most.

    .. math:: \max_{l, i, j}\ \theta_l(i, j) + \arcsin\frac{2\Delta}{L_{il}}
        + \arcsin\frac{2\Delta}{L_{lj}}

    with the angle :math:`\theta_l(i, j)` between the centres seen from that of l, and their
    distances L. Below 90 degrees every optimal matching of points in these balls has the least
    number of cross matches; above, four points in them have two where one suffices, or where none
    is needed (i = j). In one dimension two balls that are apart count as 0 or 180 degrees.

    Args:
        centres: (m, d), m >= 2.
        radius: of all balls.

    Raises:
        ValueError: fewer than two centres, or balls so near that 2 radius exceeds a distance.

    Example:
        >>> round(widest_corner([[0.0, 0.0], [4.0, 0.0]], 1.0).angle)  # a gap of two radii
        60
        >>> widest_corner([[0.0], [4.0], [8.0]], 1.0)
        Corner(angle=180.0, relay=1, source=0, target=2)
    """
    c = _points("centres", centres)
    checks.number("radius", radius, low=0)
    if len(c) < 2:
        raise ValueError(f"centres: expected at least 2, but got {len(c)}")
    best = Corner(-1.0, 0, 0, 0)
    for relay in range(len(c)):
        others = [i for i in range(len(c)) if i != relay]
        ways = c[others] - c[relay]
        length = np.linalg.norm(ways, axis=1)
        if length.min() <= 2 * radius:
            raise ValueError(
                f"centres: expected distances above {2 * radius:g}, but got {length.min():g}"
            )
        cosine = np.clip((ways / length[:, None]) @ (ways / length[:, None]).T, -1, 1)
        spread = np.degrees(np.arcsin(2 * radius / length)) if c.shape[1] > 1 else 0 * length
        angle = np.degrees(np.arccos(cosine)) * (1 - np.eye(len(others)))
        angle = angle + spread[:, None] + spread
        i, j = np.unravel_index(int(angle.argmax()), angle.shape)
        if angle[i, j] > best.angle:
            best = Corner(float(angle[i, j]), relay, others[i], others[j])
    return best


def corner_batches(centres: ArrayLike, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Return two batches of two points that use the widest corner of an arrangement.

    The first batch has a point in the source and one in the relay, the second one in the relay and
    one in the target. Each is put where its way out of the relay turns away most from the other.

    Returns:
        (2, d) first batch, source before relay, and (2, d) second, relay before target.

    Raises:
        ValueError: as for `widest_corner`.

    Example:
        >>> first, second = corner_batches([[0.0], [4.0], [8.0]], 1.0)
        >>> first.shape, second.shape
        ((2, 1), (2, 1))
    """
    c = _points("centres", centres)
    corner = widest_corner(c, radius)
    u, v = c[corner.source] - c[corner.relay], c[corner.target] - c[corner.relay]
    straight = len(u) == 1 or corner.angle > 270  # then the ways look apart as they are
    reach = 0.0 if straight else 2 * radius
    side = _perpendicular(u) if corner.source == corner.target or _parallel(u, v) else None
    turned = (
        _turned(u, -v if side is None else side, reach),
        _turned(v, -u if side is None else -side * np.sign(u @ v), reach),
    )
    a, b = ((new - way) / 2 for new, way in zip(turned, (u, v), strict=True))
    first = np.stack([c[corner.source] + a, c[corner.relay] - a])
    return first, np.stack([c[corner.relay] - b, c[corner.target] + b])


def _perpendicular(u: np.ndarray) -> np.ndarray:
    axis = np.eye(len(u))[int(np.abs(u).argmin())]
    return axis - (axis @ u) / (u @ u) * u


def _parallel(u: np.ndarray, v: np.ndarray) -> bool:
    return bool(np.linalg.norm(v - (v @ u) / (u @ u) * u) < 1e-9 * np.linalg.norm(v))


def _turned(way: np.ndarray, towards: np.ndarray, reach: float) -> np.ndarray:
    """Return the tangent from 0 to the ball of radius `reach` around `way`, on the given side."""
    length = np.linalg.norm(way)
    side = towards - (towards @ way) / length**2 * way
    if reach == 0 or np.linalg.norm(side) == 0 or length <= reach:
        return way
    sine = reach / length
    along = np.sqrt(length**2 - reach**2)
    return along * (np.sqrt(1 - sine**2) * way / length + sine * side / np.linalg.norm(side))


def chain_cost(gaps: ArrayLike) -> np.ndarray:
    r"""Return the least sum of squared hops between each two of several pieces.

    .. math:: \rho(i, j) = \min_{i = n_0, n_1, \dots, n_l = j}\ \sum_t g_{n_{t-1} n_t}^2

    Within a connected piece a way costs nothing, as n short hops of length 1/n cost 1/n together.
    A direct pair from i to j stays for large k only if ``g_ij^2`` is this cost.

    Args:
        gaps: (m, m) distances of the pieces, symmetric, 0 on the diagonal.

    Raises:
        ValueError: not such an array.

    Example:
        >>> chain_cost([[0, 1, 2], [1, 0, 1], [2, 1, 0]]).tolist()
        [[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.0]]
    """
    g = _points("gaps", gaps)
    if g.shape[0] != g.shape[1] or (g != g.T).any() or g.min() < 0 or np.diag(g).any():
        raise ValueError("gaps: expected a symmetric array of distances with a zero diagonal")
    found = g**2
    for middle in range(len(g)):
        found = np.minimum(found, found[:, middle, None] + found[middle])
    return found
