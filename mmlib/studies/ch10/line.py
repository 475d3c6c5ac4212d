"""Chapter 10: what overlapping segments cost, in closed form and by other ways of computing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from scipy import integrate, optimize, special

from mmlib.evidence import Runs, Study, components, errors, sample
from mmlib.measures.conflict import arrangement_loss, disagreement

# Labelled points on a line: the text's own two answers first, then what else can happen.
NAMED: dict[str, tuple[tuple[float, ...], tuple[int, ...]]] = {
    "A B": ((0.0, 1.0), (0, 1)),
    "A B A": ((0.0, 1.0, 2.0), (0, 1, 0)),
    "A A B": ((0.0, 1.0, 2.0), (0, 0, 1)),
    "A B C": ((0.0, 1.0, 2.0), (0, 1, 2)),
    "A B A B": ((0.0, 1.0, 2.0, 3.0), (0, 1, 0, 1)),
    "A and B in one place": ((0.0, 0.0), (0, 1)),
}


def integrated(
    points: Sequence[float], labels: Sequence[int], weights: Sequence[float], alpha: float
) -> float:
    """Return the excess on a line another way: pointwise, by scipy's adaptive quadrature.

    The integrals run over ``u`` with ``z = low + (high - low) sin^2(pi u / 2)``, which takes the
    singular ends for alpha > 1/2 or so.
    """
    k = max(labels) + 1
    pairs = [
        (points[i], points[j], labels[i], labels[j], 2 * weights[i] * weights[j])
        for i, j in itertools.combinations(range(len(points)), 2)
    ]

    def gap(z: float) -> float:
        total, mean, own = 0.0, [0.0] * k, 0.0
        for p, q, a, b, mass in pairs:
            lam = (z - q) / (p - q)
            if not 0 < lam < 1:
                continue
            beta = math.exp((alpha - 1) * math.log(lam * (1 - lam)) - special.betaln(alpha, alpha))
            density = mass * beta / abs(p - q)
            total += density
            mean[a] += density * lam
            mean[b] += density * (1 - lam)
            if a != b:
                own -= density * (lam * math.log(lam) + (1 - lam) * math.log(1 - lam))
        return -sum(m * math.log(m / total) for m in mean if m) - own

    def piece(low: float, high: float) -> float:
        def inner(u: float) -> float:
            slope = (high - low) * math.pi / 2 * math.sin(math.pi * u)
            return gap(low + (high - low) * math.sin(math.pi * u / 2) ** 2) * slope

        return integrate.quad(inner, 0, 1, epsabs=1e-10, epsrel=1e-10, limit=200)[0]

    ends = sorted(points)
    return sum(piece(low, high) for low, high in itertools.pairwise(ends))


def searched(targets: np.ndarray, weights: np.ndarray) -> float:
    """Return the least mean excess cross-entropy of one distribution, by numerical search."""

    def loss(logits: np.ndarray) -> float:
        return float(weights @ -(targets @ special.log_softmax(logits)))

    found = optimize.minimize(loss, np.zeros(targets.shape[1]), tol=1e-12)
    return float(found.fun - weights @ special.entr(targets).sum(1))


def line(settings: dict, seed: int) -> dict[str, float]:
    """Random labelled points: their excess three ways, and where there must be none.

    Metrics: ``answer_*`` for one point that pairs reach with several targets; ``least_*`` for
    points on a line against `integrated`, with control of equal weights; ``smallest`` and ``mean``
    excess on a line; ``apart_*`` for points of the plane, whose segments share no length, with
    control of their shadows on a line. The classes of neighbours on a line differ.
    """
    stream = np.random.default_rng(seed)
    found: dict[str, list[float]] = {
        name: []
        for name in ("answer_error", "answer_control", "least_error", "least_control")
        + ("excess", "apart_error", "apart_control")
    }
    for _ in range(settings["arrangements"]):
        t = stream.dirichlet(np.ones(4), size=3)
        w = stream.dirichlet(np.ones(3))
        least, alone = searched(t, w), w @ special.rel_entr(t, t[0]).sum(1)
        found["answer_error"].append(abs(disagreement(t, w) - least))
        found["answer_control"].append(abs(alone - least))

        n, k = settings["points"], settings["classes"]
        points = np.sort(stream.random(n)) + 0.05 * np.arange(n)
        labels = (stream.integers(k) + np.cumsum(stream.integers(1, k, size=n))) % k
        weights = stream.dirichlet(np.full(n, 2.0))
        for alpha in (1.0, float(stream.uniform(0.6, 3.0))):
            ours = arrangement_loss(points, labels, weights, alpha=alpha).excess
            equal = arrangement_loss(points, labels, alpha=alpha).excess
            other = integrated(points, labels, weights, alpha)
            found["least_error"].append(abs(ours - other))
            found["least_control"].append(abs(equal - other))
        found["excess"].append(arrangement_loss(points, labels).excess)

        plane = stream.normal(size=(n, 2))
        found["apart_error"].append(arrangement_loss(plane, np.arange(n)).excess)
        found["apart_control"].append(arrangement_loss(plane[:, 0], np.arange(n)).excess)
    excess = found.pop("excess")
    worst = {
        name: float(max(values) if name.endswith("_error") else min(values))
        for name, values in found.items()
    }
    return worst | {"smallest": min(excess), "mean": float(np.mean(excess))}


_SIZES = {"smoke": (2, 4), "quick": (20, 5), "paper": (50, 5)}

LINE = Study(
    "ch10-line",
    line,
    {
        profile: [{"arrangements": count, "points": points, "classes": 3}]
        for profile, (count, points) in _SIZES.items()
    },
    seeds={"smoke": 1, "quick": 5, "paper": 10},
    n_jobs=1,
)


@LINE.evidence("MMF-F-conflict")
def _overlaps(runs: Runs) -> object:
    table = runs.table
    return components(
        {
            "one answer": errors(table["answer_error"], table["answer_control"]),
            "least loss": errors(table["least_error"], table["least_control"]),
            "on a line": sample(table["smallest"]),
            "no overlap": errors(table["apart_error"], table["apart_control"]),
        }
    )
