"""Optimal matchings between clusters in balls: how many cross matches, in which arrangements."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from mmlib.checks import choice
from mmlib.measures import matching
from mmlib.measures.matching import cross_matches, flow_table, least_cross

_ROOT = np.sqrt(3) / 2

# Centres with a distance of 1 between neighbours. The random one is drawn anew in each run.
ARRANGEMENTS: dict[str, tuple[tuple[float, ...], ...]] = {
    "pair": ((0, 0), (1, 0)),
    "triangle": ((0, 0), (1, 0), (0.5, _ROOT)),
    "simplex": ((0, 0, 0), (1, 0, 0), (0.5, _ROOT, 0), (0.5, _ROOT / 3, np.sqrt(2 / 3))),
    "square": ((0, 0), (1, 0), (0, 1), (1, 1)),
    "line3": ((0, 0), (1, 0), (2, 0)),
    "line4": ((0, 0), (1, 0), (2, 0), (3, 0)),
    "random": (),
}


def centres_of(arrangement: str, rng: np.random.Generator) -> np.ndarray:
    """Return the centres of an arrangement, (m, d), with a least distance of 1.

    Example:
        >>> centres_of("line3", np.random.default_rng(0)).tolist()
        [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]
    """
    choice("arrangement", arrangement, tuple(ARRANGEMENTS))
    if arrangement != "random":
        return np.array(ARRANGEMENTS[arrangement], dtype=float)
    found = rng.normal(size=(6, 2))
    away = np.sqrt(matching.squared_distances(found, found))
    return found / away[~np.eye(6, dtype=bool)].min()


def in_ball(n: int, d: int, rng: np.random.Generator, *, on_sphere: bool = False) -> np.ndarray:
    """Return n uniform points of the unit ball of d dimensions, or of its sphere.

    Example:
        >>> bool((np.linalg.norm(in_ball(50, 3, np.random.default_rng(0)), axis=1) <= 1).all())
        True
    """
    way = rng.normal(size=(n, d))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    return way if on_sphere else way * rng.random((n, 1)) ** (1 / d)


def batch(
    centres: np.ndarray,
    radius: float,
    p: np.ndarray,
    k: int,
    rng: np.random.Generator,
    *,
    on_sphere: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return k points of clusters drawn with probabilities p, (k, d), and their clusters, (k,)."""
    own = rng.choice(len(p), size=k, p=p)
    inside = in_ball(k, centres.shape[1], rng, on_sphere=on_sphere)
    return centres[own] + radius * inside, own


def matched_table(
    first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray], m: int
) -> np.ndarray:
    """Return the flow table of the optimal matching of two batches of points with clusters."""
    partner = matching.optimal_partners(first[0], second[0])
    return flow_table(first[1], second[1][partner], m)


def spacing(gap: float) -> float:
    """Return the distance of the centres of neighbours with radius 1, for a gap between balls.

    Example:
        >>> spacing(2.0)
        4.0
    """
    return 2.0 + gap


def trials_of(settings: dict[str, Any], k: int) -> int:
    """Return the number of draws at size k: about `points` points in all, within two limits.

    Example:
        >>> [trials_of({"points": 100, "least": 2, "most": 20}, k) for k in (1, 10, 100)]
        [20, 10, 2]
    """
    return max(settings["least"], min(settings["most"], settings["points"] // k))


def lemma(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Cross matches of random batches, against the least number and what else may explain them.

    ``more`` is the share of matchings with more than the least number, ``cycle`` that with a cycle
    of cross matches, ``path`` that of those with more whose surplus is no cycle. ``flow_wrong`` is
    the share whose number differs from that of clusters shrunk to points, and ``above`` that with
    more than m - 1 times the least number.
    """
    rng = np.random.default_rng(seed)
    centres = spacing(settings["gap"]) * centres_of(settings["arrangement"], rng)
    m, k = len(centres), settings["k"]
    p = np.full(m, 1 / m)
    apart = np.sqrt(matching.squared_distances(centres, centres))
    cross, least, cycles, wrong = [], [], [], []
    for _ in range(settings["trials"]):
        one, two = (batch(centres, 1.0, p, k, rng) for _ in range(2))
        table = matched_table(one, two, m)
        r, s = table.sum(1), table.sum(0)
        cross.append(cross_matches(table))
        least.append(least_cross(r, s))
        cycles.append(matching.has_cycle(table))
        wrong.append(cross[-1] != cross_matches(matching.cheapest_flow(r, s, apart)))
    cross, least, cycles = np.array(cross), np.array(least), np.array(cycles)
    more = cross > least
    return {
        "m": m,
        "angle": matching.widest_corner(centres, 1.0).angle,
        "flat_angle": matching.widest_corner(centres, 0.0).angle,
        "cross": cross.mean(),
        "least": least.mean(),
        "more": more.mean(),
        "cycle": cycles.mean(),
        "path": (more & ~cycles).sum() / max(1, more.sum()),
        "flow_wrong": np.mean(wrong),
        "above": np.mean(cross > (m - 1) * least),
        "worst": float(np.max(cross / np.maximum(least, 1))),
    }


def cross_share(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Mean share of cross matches against the size k of the batches; ``share_<k>``, ``least_<k>``.

    The gap is ten radii.
    """
    rng = np.random.default_rng(seed)
    p = np.array(settings["p"], dtype=float)
    centres = spacing(10.0) * centres_of(settings["arrangement"], rng)
    found = {}
    for k in settings["ks"]:
        tables = [
            matched_table(*(batch(centres, 1.0, p, k, rng) for _ in range(2)), len(p))
            for _ in range(trials_of(settings, k))
        ]
        found[f"share_{k}"] = np.mean([cross_matches(table) for table in tables]) / k
        least = [least_cross(table.sum(1), table.sum(0)) for table in tables]
        found[f"least_{k}"] = np.mean(least) / k
    return found


# ------------------------------------------------------------------------------ small cases


def _numbers(n: int, m: int) -> list[np.ndarray]:
    """Return all ways to put n points into m clusters."""
    return [
        np.diff([-1, *bars, n + m - 1]) - 1
        for bars in itertools.combinations(range(n + m - 1), m - 1)
    ]


def every_number(arrangement: str, n: int, rng: np.random.Generator) -> dict[str, float]:
    """All numbers of points in three or four small clusters, all n! matchings of each.

    ``more`` is the largest surplus of any optimal matching over the least number, ``flow`` the
    largest difference to the linear program, ``line`` that to the sum over gaps (where no cluster
    has fewer points than pass it).
    """
    centres = centres_of(arrangement, rng)
    m, apart = len(centres), np.sqrt(matching.squared_distances(centres, centres))
    more, flow, line = [0], [0], [0]
    for r, s in itertools.product(_numbers(n, m), repeat=2):
        points, own = [], []
        for number in (r, s):
            own.append(np.repeat(np.arange(m), number))
            points.append(centres[own[-1]] + 1e-3 * in_ball(n, centres.shape[1], rng))
        for partner in matching.all_optimal_partners(*points):
            cross = cross_matches(flow_table(own[0], own[1][partner], m))
            more.append(cross - least_cross(r, s))
            flow.append(cross - cross_matches(matching.cheapest_flow(r, s, apart)))
            if (np.minimum(r, s)[1:-1] >= np.abs(np.cumsum(r - s)).max()).all():
                line.append(cross - matching.line_cross(r, s))
    return {name: float(np.abs(v).max()) for name, v in
            {"more": more, "flow": flow, "line": line}.items()}  # fmt: skip


def _surplus(centres: np.ndarray, radius: float, trials: int, rng: np.random.Generator) -> int:
    """Return how many batches of points on the spheres have more than the least number."""
    m, count = len(centres), 0
    for _ in range(trials):
        k = int(rng.integers(2, 7))
        one, two = (
            batch(centres, radius, np.full(m, 1 / m), k, rng, on_sphere=True) for _ in range(2)
        )
        table = matched_table(one, two, m)
        count += cross_matches(table) > least_cross(table.sum(1), table.sum(0))
    return count


def corner_surplus(centres: np.ndarray, radius: float) -> int:
    """Return the cross matches above the least number of the two pairs in the widest corner.

    Example:
        >>> corner_surplus(np.array([[0.0], [4.0], [8.0]]), 1.0)
        1
    """
    corner = matching.widest_corner(centres, radius)
    first, second = matching.corner_batches(centres, radius)
    own = np.array([corner.source, corner.relay]), np.array([corner.relay, corner.target])
    table = matched_table((first, own[0]), (second, own[1]), len(centres))
    return cross_matches(table) - least_cross(table.sum(1), table.sum(0))


def radius_at(centres: np.ndarray, angle: float) -> float:
    """Return the radius at which the widest corner has the given angle, by bisection.

    Example:
        >>> float(round(1 / radius_at(np.array([[0.0, 0.0], [1.0, 0.0]]), 90.0) ** 2, 6))
        8.0
    """
    apart = np.sqrt(matching.squared_distances(centres, centres))
    low, high = 0.0, 0.499999 * apart[apart > 0].min()
    for _ in range(60):
        middle = (low + high) / 2
        if matching.widest_corner(centres, middle).angle < angle:
            low = middle
        else:
            high = middle
    return low


def small_cases(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """What can be settled without chance, or by looking hard for a counterexample.

    Printed separation: a gap of one diameter between balls. Two clusters: batches with more than
    the least number there (``pair_error``) and at a gap of 0.8 radii (``pair_control``). Angle
    condition: at one degree below 90 (``angle_error``, over random points of the spheres and the
    worst four points) and at one degree above (``angle_control``).
    """
    rng, trials = np.random.default_rng(seed), settings["trials"]
    found = {}
    for name in ("triangle", "line3"):
        for key, value in every_number(name, settings["points"], rng).items():
            found[f"{name}_{key}"] = value
    pair = centres_of("pair", rng)
    found["pair_error"] = _surplus(pair * spacing(2.0), 1.0, trials, rng) + corner_surplus(
        pair * spacing(2.0), 1.0
    )
    found["pair_control"] = corner_surplus(pair * spacing(0.8), 1.0)
    found["triangle_printed"] = corner_surplus(centres_of("triangle", rng) * spacing(2.0), 1.0)
    below, above = [], []
    for name in ("pair", "triangle", "simplex"):
        centres = centres_of(name, rng)
        near = radius_at(centres, 89.0)
        below.append(_surplus(centres, near, trials, rng) + corner_surplus(centres, near))
        above.append(corner_surplus(centres, radius_at(centres, 91.0)))
    return found | {"angle_error": float(max(below)), "angle_control": float(min(above))}
