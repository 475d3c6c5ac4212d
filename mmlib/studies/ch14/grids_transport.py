"""The studies of the first half of chapter 14, transport and clusters, and their settings.

Nothing here is trained but for the timing of a step, and nothing was tuned: sizes are what fits the
time, k grows by factors of two.
"""

from __future__ import annotations

from typing import Any

from mmlib.evidence import Study
from mmlib.studies.ch14 import assignment_cost, clusters, faces, rates, transport_identities

_SEEDS: dict[str, Any] = {
    "seeds": {"smoke": 1, "quick": 5, "paper": 5},
    "live_seeds": {"quick": 1},
}
DIMENSIONS = (1, 2, 3, 4, 5, 6)
GAPS = (1.0, 2.0, 4.0, 6.0, 10.0)  # between neighbours, in radii; the lemma asks for 2


def powers(low: int, high: int, step: int = 2) -> tuple[int, ...]:
    """Return low, low * step, ... up to high.

    Example:
        >>> powers(8, 40)
        (8, 16, 32)
    """
    found = []
    while low <= high:
        found.append(low)
        low *= step
    return tuple(found)


SMALL = Study(
    "ch14-small-cases",
    clusters.small_cases,
    {
        "smoke": [{"points": 3, "trials": 10}],
        "quick": [{"points": 4, "trials": 1000}],
        "paper": [{"points": 5, "trials": 10_000}],
    },
    **_SEEDS,
)


def _lemma(
    trials: int, k: int, arrangements: tuple[str, ...], gaps: tuple[float, ...] = GAPS
) -> list[dict[str, Any]]:
    return [
        {"arrangement": arrangement, "gap": gap, "k": k, "trials": trials}
        for arrangement in arrangements
        for gap in gaps
    ]


LEMMA = Study(
    "ch14-lemma",
    clusters.lemma,
    {
        "smoke": _lemma(5, 8, ("pair", "line3", "random"), (2.0, 10.0)),
        "quick": _lemma(60, 32, tuple(clusters.ARRANGEMENTS)),
        "paper": _lemma(2000, 32, tuple(clusters.ARRANGEMENTS)),
    },
    **_SEEDS,
)

CASES: dict[str, tuple[str, tuple[float, ...]]] = {
    "pair": ("pair", (0.5, 0.5)),
    "uneven": ("pair", (0.9, 0.1)),
    "triangle": ("triangle", (1 / 3, 1 / 3, 1 / 3)),
    "line3": ("line3", (1 / 3, 1 / 3, 1 / 3)),
    "line4": ("line4", (0.25, 0.25, 0.25, 0.25)),
}


def _size(ks: tuple[int, ...], points: int, least: int, most: int = 1000) -> dict[str, Any]:
    return {"ks": ks, "points": points, "least": least, "most": most}


def _shares(*size: Any) -> list[dict[str, Any]]:
    return [
        {"case": case, "arrangement": arrangement, "p": p} | _size(*size)
        for case, (arrangement, p) in CASES.items()
    ]


CROSS = Study(
    "ch14-cross-share",
    clusters.cross_share,
    {
        "smoke": _shares((8, 32), 64, 5),
        "quick": _shares(powers(1, 256), 25_600, 100, 2000),
        "paper": _shares(powers(1, 1024), 200_000, 200, 20_000),
    },
    **_SEEDS,
)

IDENTITIES = Study(
    "ch14-transport-identities",
    transport_identities.transport_identities,
    {
        "smoke": [{"ks": (1, 2, 8, 128), "k": 32, "trials": 50}],
        "quick": [{"ks": (1, 2, 3, 8, 64, 512), "k": 32, "trials": 2000}],
        "paper": [{"ks": (1, 2, 3, 8, 64, 512), "k": 32, "trials": 20_000}],
    },
    **_SEEDS,
    n_jobs=1,
)


def _faces(ks: tuple[int, ...], trials: tuple[int, ...]) -> list[dict[str, Any]]:
    return [{"scene": scene, "ks": ks, "trials": trials, "alpha": 1.0} for scene in faces.SCENES]


FACES = Study(
    "ch14-faces",
    faces.faces,
    {
        "smoke": _faces((8, 64), (5, 5)),
        "quick": _faces(powers(8, 1024), (100, 100, 100, 60, 60, 30, 20, 10)),
        "paper": _faces(powers(8, 4096), (500, 500, 500, 300, 300, 200, 200, 100, 100, 50)),
    },
    **_SEEDS,
)


def _rates(*size: Any) -> list[dict[str, Any]]:
    return [
        {"dimension": d, "support": support} | _size(*size)
        for d in DIMENSIONS
        for support in ("connected", "two")
    ]


RATES = Study(
    "ch14-rates",
    rates.rates,
    {
        "smoke": _rates((32, 64), 64, 2),
        "quick": _rates(powers(32, 1024), 8192, 8),
        "paper": _rates(powers(32, 4096), 65_536, 32),
    },
    **_SEEDS,
)


def _manifolds(*size: Any) -> list[dict[str, Any]]:
    shares = {"shares": (0.125, 0.25, 0.5)}
    return [{"set": name} | shares | _size(*size) for name in ("circle", "swiss")]


MANIFOLDS = Study(
    "ch14-manifolds",
    rates.manifolds,
    {
        "smoke": _manifolds((1, 8, 64), 64, 2),
        "quick": _manifolds(powers(1, 512), 4096, 8),
        "paper": _manifolds(powers(1, 2048), 65_536, 32, 10_000),
    },
    **_SEEDS,
)

SHEETS = Study(
    "ch14-sheets",
    rates.sheets,
    {
        "smoke": [_size((8, 32), 64, 2)],
        "quick": [_size(powers(1, 512), 4096, 8)],
        "paper": [_size(powers(1, 2048), 65_536, 32, 10_000)],
    },
    **_SEEDS,
    n_jobs=1,
)

DEFINITION = Study(
    "ch14-definition",
    rates.definition,
    {
        "smoke": [{"lengths": (0.5,), "spacing": 0.03}],
        "quick": [{"lengths": (0.5, 1.0, 2.0), "spacing": 0.03}],
        "paper": [{"lengths": (0.5, 1.0, 2.0, 3.0), "spacing": 0.02}],
    },
    **_SEEDS,
)


def _times(ks: tuple[int, ...], repeats: int) -> list[dict[str, Any]]:
    return [{"cost": cost, "ks": ks, "repeats": repeats} for cost in assignment_cost.COSTS]


TIME = Study(
    "ch14-assignment-time",
    assignment_cost.assignment_time,
    {
        "smoke": _times((64, 128), 2),
        "quick": _times(powers(16, 1024), 3),
        "paper": _times(powers(16, 4096), 3),
    },
    **_SEEDS,
    n_jobs=1,
)


def _steps(batches: tuple[int, ...], rounds: int) -> list[dict[str, Any]]:
    return [
        {"batch": batch, "ks": powers(1, batch), "rounds": rounds, "width": 6} for batch in batches
    ]


STEP = Study(
    "ch14-matching-share",
    assignment_cost.matching_share,
    {"smoke": _steps((32,), 3), "quick": _steps((128, 512), 15), "paper": _steps((128, 512), 50)},
    **_SEEDS,
    data="mnist",
    n_jobs=1,
)
