"""How fast the cost of matchings falls, and whether matched segments stay near the set."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from mmlib.measures.matching import optimal_partners
from mmlib.measures.neighbourhoods import injectivity_radius
from mmlib.studies.ch14.clusters import trials_of


def sample(support: str, d: int, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return k uniform points of the unit cube of d dimensions, or of two of them a side apart.

    Example:
        >>> sample("two", 1, 100, np.random.default_rng(0)).max() > 2
        np.True_
    """
    x = rng.random((k, d))
    if support == "two":
        x[:, 0] += 2.0 * (rng.random(k) < 0.5)
    return x


def squared_lengths(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the squared lengths of the optimal matches, (k,); on a line by sorting.

    Example:
        >>> squared_lengths(np.array([[0.0], [3.0]]), np.array([[5.0], [1.0]])).tolist()
        [1.0, 4.0]
    """
    if x.shape[1] == 1:
        return (np.sort(x, axis=0) - np.sort(y, axis=0))[:, 0] ** 2
    return np.square(x - y[optimal_partners(x, y)]).sum(1)


def rates(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Mean cost and number of long matches against k; ``cost_<k>``, ``long_<k>``.

    Long is a squared length above ``k^(-1/d)``, as in the proof of Proposition 1. ``spread_<k>`` is
    the standard deviation of the cost over trials.
    """
    rng, d = np.random.default_rng(seed), settings["dimension"]
    found = {}
    for k in settings["ks"]:
        lengths = np.array([
            squared_lengths(*(sample(settings["support"], d, k, rng) for _ in range(2)))
            for _ in range(trials_of(settings, k))
        ])  # fmt: skip
        found[f"cost_{k}"] = float(lengths.mean())
        found[f"spread_{k}"] = float(lengths.mean(1).std())
        found[f"long_{k}"] = float((lengths > k ** (-1 / d)).sum(1).mean())
    return found


# ------------------------------------------------------------------------------ Proposition 1


@cache
def roll(n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Return the spiral of the swiss roll, (n, 2), and its parameter, (n,): (t cos t, t sin t)."""
    t = np.linspace(1.5 * np.pi, 4.5 * np.pi, n)
    return np.stack([t * np.cos(t), t * np.sin(t)], axis=1), t


@cache
def roll_radius() -> float:
    """Return the injectivity radius of the swiss roll: half the least distance of two turns."""
    curve, t = roll(2000)
    away = np.linalg.norm(curve[:, None] - curve[None], axis=2)
    return float(away[np.abs(t[:, None] - t[None]) > np.pi].min() / 2)


def on_set(name: str, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return k points of the unit circle, (k, 2), or of a swiss roll of height 20, (k, 3)."""
    if name == "circle":
        angle = 2 * np.pi * rng.random(k)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    t = 1.5 * np.pi * (1 + 2 * rng.random(k))
    return np.stack([t * np.cos(t), t * np.sin(t), 20 * rng.random(k)], axis=1)


@cache
def _tree() -> cKDTree:
    return cKDTree(roll()[0])


def departures(name: str, x: np.ndarray, y: np.ndarray, points: int = 33) -> np.ndarray:
    """Return how far each segment goes away from the set, (k,): over `points` of it.

    Example:
        >>> ends = np.array([[1.0, 0.0]]), np.array([[-1.0, 0.0]])
        >>> departures("circle", *ends).tolist()
        [1.0]
    """
    share = np.linspace(0, 1, points)[:, None, None]
    along = ((1 - share) * x + share * y)[..., :2]  # the height of a mix is a height of the roll
    if name == "circle":
        away = np.abs(1 - np.linalg.norm(along, axis=-1))
    else:
        away = _tree().query(along.reshape(-1, 2))[0].reshape(along.shape[:2])
    return away.max(0)


def manifolds(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Share of segments that leave neighbourhoods of the set, by k; ``out_<share of R>_<k>``.

    ``markov`` is the largest share minus its bound ``W^2 / (2 e)^2`` in one draw; a match that
    leaves the e-neighbourhood is longer than 2 e, as each of its points is within half its length
    of an end.
    """
    rng, name = np.random.default_rng(seed), settings["set"]
    radius = 1.0 if name == "circle" else roll_radius()
    found, markov = {"radius": radius}, []
    for k in settings["ks"]:
        out = {share: [] for share in settings["shares"]}
        for _ in range(trials_of(settings, k)):
            x, y = (on_set(name, k, rng) for _ in range(2))
            y = y[optimal_partners(x, y)]
            cost, away = np.square(x - y).sum(1).mean(), departures(name, x, y)
            for share in out:
                out[share].append(float((away > share * radius).mean()))
                markov.append(out[share][-1] - cost / (2 * share * radius) ** 2)
        for share, values in out.items():
            found[f"out_{share:g}_{k}"] = float(np.mean(values))
    return found | {"markov": max(markov)}


def two_points(k: int, rng: np.random.Generator, *, factor: float = 2.0) -> float:
    """Return the share of segments that leave, less its bound, for two points at distance 1.

    Every cross match leaves a neighbourhood of 0.49; with another factor than 2 in the bound
    ``W^2 / (factor e)^2`` it fails.
    """
    cross = abs(int(rng.binomial(k, 0.5)) - int(rng.binomial(k, 0.5))) / k
    return cross - cross / (factor * 0.49) ** 2


def sheets(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Two classes over the same features: share of matches between them, by k.

    ``features_<k>`` with the cost of section 2, which sees features only; ``joint_<k>`` with the
    distance in features and one-hot labels. In the joint space a match between classes leaves the
    neighbourhoods of the two sheets.
    """
    rng, found = np.random.default_rng(seed), {}
    for k in settings["ks"]:
        differ = {"features": [], "joint": []}
        for _ in range(trials_of(settings, k)):
            (x, a), (y, b) = ((rng.random((k, 1)), rng.integers(2, size=k)) for _ in range(2))
            joint = [np.concatenate([f, np.eye(2)[c]], axis=1) for f, c in ((x, a), (y, b))]
            differ["features"].append((a != b[optimal_partners(x, y)]).mean())
            differ["joint"].append((a != b[optimal_partners(*joint)]).mean())
        found |= {f"{name}_{k}": float(np.mean(v)) for name, v in differ.items()}
    return found


# ------------------------------------------------------------------------------ Definition 1


def _ellipse(a: float, b: float, start: float = 0.0) -> np.ndarray:
    angle = np.linspace(start, 2 * np.pi - start, 4000)
    return np.stack([a * np.cos(angle), b * np.sin(angle)], axis=1)


def _open_ended(length: float) -> np.ndarray:
    """Two curves (x, +-exp(-x)) for x from 0 to `length`, which come ever nearer."""
    x = np.linspace(0, length, 2000)
    return np.concatenate([np.stack([x, sign * np.exp(-x)], axis=1) for sign in (1, -1)])


def definition(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Injectivity radii seen on a grid over those derived, less one (radii in steps of 5 %).

    Circle: its radius. Arc: half of its opening. Ellipse: its shorter half axis; the control is its
    reach, the least radius of curvature, at which the offset curve begins to cross itself. Two
    circles: half of their distance. ``open_<length>``: two curves that come near, cut at a length.
    """
    rng = np.random.default_rng(seed)
    r, half, wide = 0.5 + rng.random(), 0.2 + 0.3 * rng.random(), 1.5 + rng.random()
    pair = np.concatenate([_ellipse(r, r), _ellipse(r, r) + [2 * r + 2 * half, 0]])
    cases = {
        "circle": (_ellipse(r, r), r),
        "arc": (_ellipse(r, r, half), r * np.sin(half)),
        "ellipse": (_ellipse(wide * r, r), r),
        "two": (pair, min(half, r)),
    }
    cases |= {f"open_{x:g}": (_open_ended(x), np.exp(-x)) for x in settings["lengths"]}
    found = {}
    for name, (curve, expected) in cases.items():
        steps = np.array([0.8, 0.9, 0.95, 1.05, 1.1, 1.2])
        seen = injectivity_radius(curve, list(expected * steps), settings["spacing"] * expected)
        found[name] = float(seen / expected - 1)
        if name == "ellipse":
            found["ellipse_control"] = float(abs(seen / (r / wide) - 1))
        if name.startswith("open"):
            found[f"radius_{name}"] = float(seen)
    return found
