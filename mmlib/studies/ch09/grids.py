"""Studies of chapter 09: what is trained, at three sizes."""

from __future__ import annotations

from typing import Any

from mmlib.evidence import Study
from mmlib.studies.ch09.blocked import blocking
from mmlib.studies.ch09.experiments import plane
from mmlib.studies.ch09.halves import halves
from mmlib.studies.ch09.networks import FIVE, TEN, cell
from mmlib.studies.ch09.price import price

# The network of the text with batch norm on its code is the one change between the two settings
# that is about scale.
CELLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("text", {"digits": FIVE}),
    ("text", {"digits": TEN}),
    ("released", {"digits": FIVE}),
    ("released", {"digits": TEN}),
    ("text", {"digits": FIVE, "norm": True}),
)
_ONE = {"quick": 1}
PROFILES = ("smoke", "quick", "paper")

PLANE = Study(
    "ch09-plane",
    plane,
    {
        profile: [cell(profile, name, **own) for name, own in cells]
        for profile, cells in dict.fromkeys(PROFILES, CELLS).items()
    },
    data="mnist",
    live_seeds=_ONE,
)


def _halves(profile: str, setting: str, **own: Any) -> dict[str, Any]:
    """The cell of four networks that are named by their halves."""
    settings = cell(profile, setting, **own)
    return {key: value for key, value in settings.items() if key not in ("methods", "frames")}


HALVES = Study(
    "ch09-halves",
    halves,
    {
        profile: [_halves(profile, name, **own) for name, own in cells]
        for profile, cells in dict.fromkeys(PROFILES, CELLS[:4]).items()
    },
    data="mnist",
    live_seeds=_ONE,
)

ALPHA_VALUES = (0.5, 1.0, 2.0)
_NAMES = ("none", *(f"{name}@{a:g}" for name in ("input", "manifold") for a in ALPHA_VALUES))

ALPHAS = Study(
    "ch09-alphas",
    plane,
    {
        profile: [cell(profile, "text", digits=digits, methods=_NAMES) for digits in chosen]
        for profile, chosen in (("smoke", (FIVE,)), ("quick", (FIVE, TEN)), ("paper", (FIVE, TEN)))
    },
    data="mnist",
    live_seeds=_ONE,
)

WATCH = Study(
    "ch09-watch",
    plane,
    {profile: [cell(profile, "text", digits=FIVE, frames=True)] for profile in PROFILES},
    seeds={"smoke": 1, "quick": 1, "paper": 1},
    data="mnist",
)

BLOCKED = Study(
    "ch09-blocked",
    blocking,
    {
        profile: [
            {"width": 16, "before": 2, "after": 2, "code": 2, "norm": norm}
            for norm in (False, True)
        ]
        for profile in PROFILES
    },
    n_jobs=1,
)

SIGMAS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)

PRICE = Study(
    "ch09-price",
    price,
    {
        "smoke": [{"alpha": 2.0, "sigmas": (0.1, 0.2), "nodes": 200}],
        "quick": [{"alpha": a, "sigmas": SIGMAS, "nodes": 600} for a in (0.5, 2.0, 8.0)],
        "paper": [{"alpha": a, "sigmas": SIGMAS, "nodes": 600} for a in (0.5, 2.0, 8.0)],
    },
    seeds={"smoke": 1, "quick": 1, "paper": 1},
    n_jobs=1,
)
