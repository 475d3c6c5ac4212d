"""Optimal transport between two sets of k points: assignment, displacement, lines and planes."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment, linprog
from scipy.spatial.distance import cdist
from torch import Tensor

from mmlib.mixing import OptimalPairing

WEIGHTS = (0.0, 0.25, 0.5, 0.9, 1.0)


def linear_program(cost: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the optimal plan (k, k) with the given marginals, by linear programming.

    Example:
        >>> half = np.full(2, 0.5)
        >>> float(linear_program(1.0 * np.eye(2), half, half)[0, 1])
        0.5
    """
    k = len(cost)
    ones = np.ones((1, k))
    sums = np.vstack([np.kron(np.eye(k), ones), np.kron(ones, np.eye(k))])
    wanted = np.concatenate([rows, columns])
    return linprog(cost.ravel(), A_eq=sums, b_eq=wanted, method="highs").x.reshape(k, k)


def assignment_cost(cost: np.ndarray) -> float:
    """Return the least mean cost over permutations."""
    return float(cost[linear_sum_assignment(cost)].mean())


def wasserstein(k: int, seed: int) -> dict[str, float]:
    """Compare the linear program with the assignment, for random sets in space.

    The control gives the points of the first set unequal weights: the optimum then differs, and
    ``split`` counts by how many entries its plan exceeds a permutation's k.
    """
    rng = np.random.default_rng(seed)
    cost = cdist(rng.normal(size=(k, 3)), rng.normal(size=(k, 3)), "sqeuclidean")
    even, uneven = np.full(k, 1 / k), rng.dirichlet(np.ones(k))
    best = assignment_cost(cost)
    plan, other = linear_program(cost, even, even), linear_program(cost, uneven, even)
    return {
        "w2_error": abs(float((plan * cost).sum()) - best),
        "w2_control": abs(float((other * cost).sum()) - best),
        "w2_split": float((other > 1e-9).sum() - k),
    }


def matched(first: Tensor, second: Tensor, cost: str = "sqeuclidean") -> Tensor:
    """Return the second set in the order of its partners in the first, (k, D)."""
    k = len(first)
    both = torch.arange(k).expand(2, -1)
    return second[OptimalPairing(k, cost=cost, sets="independent").match(both, first, second)]


def distance(first: Tensor, second: Tensor) -> float:
    """Return the Wasserstein-2 distance of two sets of equally many points, with scipy."""
    return assignment_cost(cdist(first.numpy(), second.numpy(), "sqeuclidean")) ** 0.5


def displacement(k: int, seed: int) -> dict[str, float]:
    """Check displacement interpolation: ends, distances to both ends, and between any two weights.

    Controls: for the ends the weight on the other set, for the distances a random pairing instead
    of the optimal one.
    """
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(k, 2, generator=generator, dtype=torch.float64)
    b = torch.randn(k, 2, generator=generator, dtype=torch.float64) + 1
    shuffled = b[torch.randperm(k, generator=generator)]
    w2 = distance(a, b)

    def error(partner: Tensor) -> float:
        on = {w: w * a + (1 - w) * partner for w in WEIGHTS}
        to_ends = [abs(distance(m, a) - (1 - w) * w2) for w, m in on.items()]
        to_ends += [abs(distance(m, b) - w * w2) for w, m in on.items()]
        between = [
            abs(distance(on[v], on[w]) - (w - v) * w2)
            for v, w in itertools.combinations(WEIGHTS, 2)
        ]
        return max(to_ends + between)

    best = matched(a, b)
    first, last = torch.lerp(best, a, 1.0), torch.lerp(best, a, 0.0)
    return {
        "di_ends": max(float((first - a).abs().max()), distance(last, b)),
        "di_swapped": min(float((last - a).abs().max()), distance(first, b)),
        "di_error": error(best),
        "di_control": error(shuffled),
    }


def on_a_line(k: int, seed: int) -> dict[str, float]:
    """Count optimal assignments of two sets on a line, side by side and one within the other.

    ``ties_<cost>_<place>``: how many of the k! assignments cost the least. ``reversals``: pairs of
    pairs that squared distance matches against their order.
    """
    rng = np.random.default_rng(seed)
    maps = np.array(list(itertools.permutations(range(k))))
    found = {}
    for place, shift in (("apart", 10.0), ("within", 0.0)):
        a, b = np.sort(rng.random(k)), np.sort(rng.random(k)) + shift
        gap = np.abs(a[:, None] - b[None])
        for name, cost in (("square", gap**2), ("distance", gap)):
            totals = cost[np.arange(k), maps].sum(1)
            found[f"ties_{name}_{place}"] = float((totals < totals.min() + 1e-9).sum())
        order = maps[(gap**2)[np.arange(k), maps].sum(1).argmin()]
        found[f"reversals_{place}"] = float((np.diff(order) < 0).sum())
    return found


def crossing_segments(a: np.ndarray, b: np.ndarray) -> int:
    """Return how many pairs of the segments a_i b_i of the plane cross.

    Example:
        >>> a, b = np.array([[0.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 1.0], [1.0, 0.0]])
        >>> crossing_segments(a, b), crossing_segments(a, b[::-1])
        (1, 0)
    """

    def side(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        u, v = q - p, r - p
        return np.sign(u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0])

    i, j = np.triu_indices(len(a), 1)
    apart = side(a[i], b[i], a[j]) * side(a[i], b[i], b[j]) < 0
    return int((apart & (side(a[j], b[j], a[i]) * side(a[j], b[j], b[i]) < 0)).sum())


def in_the_plane(k: int, sets: int, seed: int) -> dict[str, float]:
    """Count crossing segments and pairs against the order, per set, under both costs.

    ``crossings_<cost>``: pairs of segments that cross, which distance forbids.
    ``backward_<cost>``: pairs with ``(a_i - a_j) . (b_i - b_j) < 0``, which the square forbids.
    """
    found: dict[str, float] = {}
    for name, cost in (("square", "sqeuclidean"), ("distance", "euclidean")):
        generator = torch.Generator().manual_seed(seed)
        crossings = backward = 0
        for _ in range(sets):
            a = torch.rand(k, 2, generator=generator, dtype=torch.float64)
            b = torch.rand(k, 2, generator=generator, dtype=torch.float64)
            b = matched(a, b, cost)
            crossings += crossing_segments(a.numpy(), b.numpy())
            inner = ((a[:, None] - a[None]) * (b[:, None] - b[None])).sum(-1)
            backward += int((inner < -1e-9).sum()) // 2
        found[f"crossings_{name}"] = crossings / sets
        found[f"backward_{name}"] = backward / sets
    return found
