"""Chapter 10: how conflict fades as classes become concentrated, and as they turn."""

from __future__ import annotations

import numpy as np

from mmlib.evidence import Runs, Study, components, sample
from mmlib.measures.conflict_clouds import cloud_excess
from mmlib.measures.conflict_segments import segments_excess
from mmlib.measures.drawings import crossings

# Means whose clouds are compared; `random2` and `random3` are drawn with each seed.
MEANS: dict[str, tuple[tuple[float, ...], ...]] = {
    "inside": ((0.0, 1.0), (-0.87, -0.5), (0.87, -0.5), (0.0, 0.0)),
    "square": ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)),
    "collinear": ((-1.0, 0.0), (0.0, 0.0), (1.0, 0.0)),
}
ARRANGEMENTS = (*MEANS, "random2", "random3")
PAIR = ((0.0, 0.0), (1.0, 0.0))
WIDE = 0.5  # the spread that is turned, at distance 1
THIN = 3e-3
ANGLES = (0, 5, 15, 30, 45, 60, 75, 90)


def means_of(name: str, classes: int, seed: int) -> np.ndarray:
    """Return the means of an arrangement, centred with a mean square of 1 if drawn.

    Example:
        >>> means_of("random3", 6, seed=0).shape, means_of("square", 6, seed=0).shape
        ((6, 3), (4, 2))
    """
    if name in MEANS:
        return np.array(MEANS[name])
    points = np.random.default_rng(seed).normal(size=(classes, int(name[-1])))
    points -= points.mean(0)
    return points / np.sqrt((points**2).sum(1).mean())


def clouds(settings: dict, seed: int) -> dict[str, float]:
    """Return the excess (nats) of each arrangement at each spread, and of two turned clouds.

    Metrics ``<arrangement>_<spread>`` and ``along_<spread>`` (two classes at distance 1, spread in
    the direction of each other; across it `THIN`), ``error_<arrangement>_<spread>`` (standard
    errors), ``across`` and ``turned`` (a spread of `WIDE` across and along the way of two classes,
    `THIN` in the other direction), ``prism`` and ``prism_turned`` (the four classes of ``inside``
    in space, with a spread of `WIDE` in the direction that no mean uses, and in one that they do),
    ``tilt_<angle>`` (two classes that are segments of length 1 at distance 1, the second turned by
    so many degrees from parallel), ``crossings`` of ``random2``.
    """
    options = {"alpha": settings["alpha"], "samples": settings["samples"], "seed": seed}
    metrics = {}
    for spread in settings["spreads"]:
        for name in ARRANGEMENTS:
            found = cloud_excess(means_of(name, settings["classes"], seed), spread, **options)
            metrics[f"{name}_{spread:g}"] = found.value
            metrics[f"error_{name}_{spread:g}"] = found.error
        metrics[f"along_{spread:g}"] = cloud_excess(PAIR, (spread, THIN), **options).value
    metrics["across"] = cloud_excess(PAIR, (THIN, WIDE), **options).value
    metrics["turned"] = cloud_excess(PAIR, (WIDE, THIN), **options).value
    prism = np.pad(MEANS["inside"], ((0, 0), (0, 1)))
    metrics["prism"] = cloud_excess(prism, (THIN, THIN, WIDE), **options).value
    metrics["prism_turned"] = cloud_excess(prism, (WIDE, THIN, THIN), **options).value
    upright = ((0.0, -0.5), (0.0, 0.5))
    for angle in ANGLES:
        way = np.array([np.sin(np.radians(angle)), np.cos(np.radians(angle))]) / 2
        tilted = np.array([[1.0, 0.0] - way, [1.0, 0.0] + way])
        metrics[f"tilt_{angle}"] = segments_excess(
            upright, tilted, alpha=settings["alpha"], samples=4 * settings["samples"], seed=seed
        ).value
    metrics["crossings"] = float(crossings(means_of("random2", settings["classes"], seed)))
    return metrics


_SIZES: dict[str, tuple[int, tuple[float, ...]]] = {
    "smoke": (50, (1.0, 0.1)),
    "quick": (1000, (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)),
    "paper": (10_000, (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005)),
}

CLOUDS = Study(
    "ch10-clouds",
    clouds,
    {
        profile: [{"classes": 6, "alpha": 1.0, "samples": samples, "spreads": list(spreads)}]
        for profile, (samples, spreads) in _SIZES.items()
    },
    live_seeds={"quick": 1},
)


def spreads_of(runs: Runs) -> list[float]:
    """Return the spreads of the runs, from the largest."""
    return sorted({s for row in runs.table["spreads"] for s in row}, reverse=True)


@CLOUDS.evidence("MMF-F-conc")
def _concentration(runs: Runs) -> object:
    table, spreads = runs.table, spreads_of(runs)

    def shrinks(name: str) -> object:
        return sample(table[f"{name}_{spreads[-1]:g}"] / table[f"{name}_{spreads[0]:g}"])

    return components(
        {
            "two classes, along": shrinks("along"),
            "random classes, all directions": shrinks("random2"),
            "two classes, across": sample(table["across"]),
            "two classes, turned": sample(table["turned"]),
        }
    )
