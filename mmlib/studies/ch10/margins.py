"""Chapter 10: how far apart can all segments stay, by number of classes and dimension?"""

from __future__ import annotations

import numpy as np

from mmlib.evidence import Study
from mmlib.measures.drawings import RECTILINEAR_CROSSINGS, fewest_crossings, widest


def margins(settings: dict, seed: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Search good places for K classes in D dimensions; array ``points`` (K, D).

    In the plane: ``crossings``, the fewest found, beside ``known``, the fewest possible. In more
    dimensions: ``margin``, the largest smallest distance of segments without a common end found in
    the unit ball, ``typical``, the median over the starts, and ``bound``, ``sqrt(K / (K - 1))``.
    """
    k, dim = settings["classes"], settings["dim"]
    if dim == 2:
        points, found = fewest_crossings(k, steps=settings["moves"], seed=seed)
        known = RECTILINEAR_CROSSINGS[k - 1] if k <= len(RECTILINEAR_CROSSINGS) else np.nan
        metrics = {"crossings": float(found), "known": float(known)}
    else:
        best, ends = widest(k, dim, starts=settings["starts"], steps=settings["steps"], seed=seed)
        points = best.numpy()
        metrics = {"margin": float(ends.max()), "typical": float(ends.median())}
        metrics["bound"] = float(np.sqrt(k / (k - 1)))
    return metrics, {"points": points.astype(np.float32)}


_SIZES = {
    "smoke": {"starts": 2, "steps": 20, "moves": 50},
    "quick": {"starts": 8, "steps": 600, "moves": 4000},
    "paper": {"starts": 64, "steps": 3000, "moves": 40_000},
}
# K classes in the plane, then ten classes in more dimensions.
SPACES = (*((k, 2) for k in range(4, 11)), *((10, d) for d in range(3, 10)))

MARGINS = Study(
    "ch10-margins",
    margins,
    {
        profile: [{"classes": k, "dim": d} | size for k, d in SPACES]
        for profile, size in _SIZES.items()
    },
    live_seeds={"quick": 1},
)
