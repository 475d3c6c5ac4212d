"""Where cross matches of two clusters end as the batches grow: k-Mixup, Theorem 2."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from mmlib.checks import choice
from mmlib.measures.matching import optimal_partners


@dataclass(frozen=True)
class Rounded:
    """All points within `radius` of a box: a disc, a capsule along an axis, a rounded rectangle.

    Attributes:
        centre: of the box, turned by `turn` radians.
        half: half lengths of the box; zeros make a disc.
        radius: of the rounding, so that the boundary is smooth.
        turn: of the first axis of the box.
    """

    centre: tuple[float, float]
    half: tuple[float, float] = (0.0, 0.0)
    radius: float = 1.0
    turn: float = 0.0

    def _axes(self) -> np.ndarray:
        c, s = np.cos(self.turn), np.sin(self.turn)
        return np.array([[c, s], [-s, c]])

    def distance(self, x: np.ndarray) -> np.ndarray:
        """Return the distance of (n, 2) points, negative inside (where it is only a bound)."""
        away = np.abs((x - np.array(self.centre)) @ self._axes().T) - np.array(self.half)
        return np.linalg.norm(np.maximum(away, 0), axis=1) - self.radius

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return n uniform points, (n, 2)."""
        reach, found = np.array(self.half) + self.radius, np.empty((0, 2))
        while len(found) < n:
            x = rng.uniform(-reach, reach, (2 * n + 8, 2)) @ self._axes() + np.array(self.centre)
            found = np.concatenate([found, x[self.distance(x) < 0]])
        return found[:n]


@dataclass(frozen=True)
class Scene:
    """Two clusters A and B, each a union of pieces with probabilities, half of the mass each.

    Attributes:
        a: pieces of A; ``a[far]`` is the one that a direct match ought not to start from.
        b: pieces of B.
        weights: share of each piece in A (those of B are equal).
        distance: D, between A and B.
        radii: radii of the smallest balls around A and around B.
        far: the piece of A in question, if there is one.
    """

    a: tuple[Rounded, ...]
    b: tuple[Rounded, ...]
    weights: tuple[float, ...]
    distance: float
    radii: tuple[float, float]
    far: int | None = None

    @property
    def epsilon(self) -> float:
        """The printed one, ``max(R_A, R_B)^2 / D^2``."""
        return max(self.radii) ** 2 / self.distance**2

    @property
    def far_epsilon(self) -> float:
        """What holds for several pieces, ``(1 + e)^2 = 1 + (2 R_A)^2 / D^2 + (2 R_B)^2 / D^2``."""
        return float(np.sqrt(1 + 4 * (np.square(self.radii).sum()) / self.distance**2) - 1)

    def sample(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return n points and whether they are of A."""
        in_a = rng.random(n) < 0.5
        x = np.empty((n, 2))
        for rows, pieces, weights in (
            (np.flatnonzero(in_a), self.a, self.weights),
            (np.flatnonzero(~in_a), self.b, [1 / len(self.b)] * len(self.b)),
        ):
            piece = rng.choice(len(pieces), size=len(rows), p=weights)
            for index, one in enumerate(pieces):
                chosen = rows[piece == index]
                x[chosen] = one.sample(len(chosen), rng)
        return x, in_a


def to_set(x: np.ndarray, pieces: tuple[Rounded, ...]) -> np.ndarray:
    """Return the distance of (n, 2) points to a union of pieces, negative inside.

    Example:
        >>> to_set(np.array([[3.0, 0.0]]), (Rounded((0.0, 0.0)), Rounded((9.0, 0.0)))).tolist()
        [2.0]
    """
    return np.min([piece.distance(x) for piece in pieces], axis=0)


def _discs(radius: float) -> Scene:
    a, b = (Rounded((sign * (0.5 + radius), 0.0), radius=radius) for sign in (1, -1))
    return Scene((a,), (b,), (1.0,), 1.0, (radius, radius))


def _walls() -> Scene:
    """Two rounded rectangles whose long sides face each other."""
    corner, half = 0.1, (0.15, 0.4)
    a, b = (Rounded((sign * 0.75, 0.0), half, corner) for sign in (1, -1))
    radius = float(np.hypot(*half)) + corner
    return Scene((a,), (b,), (1.0,), 1.0, (radius, radius))


# A small disc B and two of A: the near one at a gap of 1 from B, the far one so that its way to B,
# squared, is longer than the printed shell allows and shorter than the two hops by the near one.
_SMALL, _NEAR, _BETWEEN, _FAR = 0.03, 1.06, 1.2, 1.46


def _pieces(way: str) -> Scene:
    b, near = Rounded((0.0, 0.0), radius=_SMALL), np.array([_NEAR, 0.0])
    angle = np.arccos((_NEAR**2 + _FAR**2 - _BETWEEN**2) / (2 * _NEAR * _FAR))
    far = _FAR * np.array([np.cos(angle), np.sin(angle)])
    if way == "relay":  # on one line the hops are cheaper
        far = near + [_BETWEEN, 0.0]
    discs = tuple(Rounded(tuple(map(float, one)), radius=_SMALL) for one in (near, far))
    distance, radii = _NEAR - 2 * _SMALL, (_BETWEEN / 2 + _SMALL, _SMALL)
    if way != "bridge":
        return Scene(discs, (b,), (0.5, 0.5), distance, radii, far=1)
    step = far - near
    bridge = Rounded(
        tuple(map(float, (near + far) / 2)),
        (_BETWEEN / 2, 0.0),
        _SMALL,
        float(np.arctan2(step[1], step[0])),
    )
    distance = float(bridge.distance(np.zeros((1, 2)))[0]) - _SMALL
    return Scene((*discs, bridge), (b,), (0.4, 0.4, 0.2), distance, radii, far=1)


SCENES = ("discs", "large discs", "walls", "pieces", "relay", "bridge")


@cache
def scene(name: str) -> Scene:
    """Return a scene by name.

    Discs have a radius of half their gap, large ones of their gap. ``pieces`` is a cluster of two
    discs beside a third, ``relay`` the same on a line, ``bridge`` the same joined by a thin bar.

    Example:
        >>> scene("discs").epsilon
        0.25
    """
    choice("scene", name, SCENES)
    if name in ("discs", "large discs"):
        return _discs(0.5 if name == "discs" else 1.0)
    return _walls() if name == "walls" else _pieces(name)


@dataclass(frozen=True)
class CrossMatches:
    """The cross matches of one draw.

    Attributes:
        a: (n, 2) ends in A.
        b: (n, 2) ends in B.
        k: size of the batches.
    """

    a: np.ndarray
    b: np.ndarray
    k: int

    @property
    def lengths(self) -> np.ndarray:
        """Lengths of the matches, (n,)."""
        return np.linalg.norm(self.a - self.b, axis=1)


def draw(of: Scene, k: int, rng: np.random.Generator, *, optimal: bool = True) -> CrossMatches:
    """Return the cross matches of two batches of k points, optimal or paired at random."""
    (x, x_in_a), (y, y_in_a) = of.sample(k, rng), of.sample(k, rng)
    partner = optimal_partners(x, y) if optimal else rng.permutation(k)
    y, y_in_a = y[partner], y_in_a[partner]
    out, back = x_in_a & ~y_in_a, ~x_in_a & y_in_a
    return CrossMatches(np.concatenate([x[out], y[back]]), np.concatenate([y[out], x[back]]), k)


def outside_shell(of: Scene, found: CrossMatches, epsilon: float) -> np.ndarray:
    """Return which matches have an end that is not within ``D (1 + epsilon)`` of the other set."""
    reach = of.distance * (1 + epsilon)
    return (to_set(found.a, of.b) >= reach) | (to_set(found.b, of.a) >= reach)


def _inside(of: Scene, found: CrossMatches, alpha: float, rng: np.random.Generator) -> np.ndarray:
    """Return which mixed points of the matches lie in a cluster, eight for each."""
    lam = rng.beta(alpha, alpha, (8, len(found.a), 1))
    mixed = (lam * found.a + (1 - lam) * found.b).reshape(-1, 2)
    return np.minimum(to_set(mixed, of.a), to_set(mixed, of.b)) < 0


def _mean(values: list[np.ndarray]) -> float:
    """Return the mean over all matches of all draws, 0 where there is none."""
    joined = np.concatenate(values)
    return float(joined.mean()) if len(joined) else 0.0


def faces(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Where cross matches end, for each size k; names end in the size.

    ``number``: cross matches a draw. ``outside``: share with an end outside the printed shell, and
    ``beyond`` outside the corrected one. ``any``: share of draws with one outside. ``excess`` and
    ``largest``: mean and largest ``length / D - 1`` (the latter a mean over draws). ``far``: share
    of draws with a direct match from the far piece. ``inside``: share of mixed points that lie in a
    cluster, and ``inside_random`` that of random pairs.
    """
    rng, of = np.random.default_rng(seed), scene(settings["scene"])
    found: dict[str, float] = {"epsilon": of.epsilon, "far_epsilon": of.far_epsilon}
    for k, trials in zip(settings["ks"], settings["trials"], strict=True):
        draws = [draw(of, k, rng) for _ in range(trials)]
        outside = [outside_shell(of, one, of.epsilon) for one in draws]
        excess = [one.lengths / of.distance - 1 for one in draws]
        alpha = settings["alpha"]
        random = [draw(of, k, rng, optimal=False) for _ in range(trials)]
        metrics = {
            "number": np.mean([len(one.a) for one in draws]),
            "outside": _mean(outside),
            "beyond": _mean([outside_shell(of, one, of.far_epsilon) for one in draws]),
            "any": np.mean([one.any() for one in outside]),
            "excess": _mean(excess),
            "largest": np.mean([one.max(initial=0.0) for one in excess]),
            "inside": _mean([_inside(of, one, alpha, rng) for one in draws]),
            "inside_random": _mean([_inside(of, one, alpha, rng) for one in random]),
        }
        if of.far is not None:
            piece = of.a[of.far]
            metrics["far"] = np.mean([(piece.distance(one.a) < 0).any() for one in draws])
        found |= {f"{name}_{k}": float(value) for name, value in metrics.items()}
    return found
