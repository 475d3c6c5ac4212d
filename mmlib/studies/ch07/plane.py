"""Studies of games in the plane: rings and grids of Gaussians."""

from __future__ import annotations

from typing import Any

from mmlib.evidence import Study
from mmlib.studies.ch07 import experiments
from mmlib.studies.ch07.members import GROUPS

# Sizes and rates were chosen on the plain game alone (seed 100, which no study uses): at quick size
# it covers the eight modes of the ring under each objective, and most of the grid's 25 under GP.
_SIZE: dict[str, dict[str, Any]] = {
    "smoke": {"updates": 8, "batch": 16, "units": 16, "n_score": 100, "latent": 2, "n_dis": 1},
    "quick": {"updates": 2000, "batch": 64, "units": 64, "n_score": 2000, "latent": 2, "n_dis": 1},
    "paper": {"updates": 20_000, "batch": 64, "units": 128, "n_score": 5000, "latent": 2}
    | {"n_dis": 5},
}


def cell(profile: str, target: str, objective: str, group: str, **changes: Any) -> dict[str, Any]:
    """Return the settings of one program: all members of a group, on a target.

    Example:
        >>> cell("quick", "ring", "js", "main")["updates"]
        2000
    """
    return {"target": target, "objective": objective, "group": group} | _SIZE[profile] | changes


CELLS = (
    *(("ring", "js", group) for group in GROUPS),
    ("ring", "hinge", "main"),
    ("ring", "gp", "main"),
    ("grid", "gp", "main"),
)

PLANE = Study(
    "ch07-plane",
    experiments.plane,
    {profile: [cell(profile, *one) for one in CELLS] for profile in _SIZE},
    seeds={"smoke": 1, "quick": 10, "paper": 10},
    live_seeds={"quick": 1},
)

STEPS = (1, 2, 5)


def _steps(profile: str) -> list[dict[str, Any]]:
    """1, 2 and 5 discriminator updates, and 1 for as many updates of both players as 5 have."""
    plain = {key: value for key, value in cell(profile, "ring", "js", "main").items()}
    del plain["group"]
    cells = [plain | {"n_dis": n} for n in STEPS]
    return [*cells, plain | {"n_dis": 1, "updates": 3 * plain["updates"]}]


NDIS = Study(
    "ch07-ndis",
    experiments.discriminator_steps,
    {profile: _steps(profile) for profile in _SIZE},
    seeds={"smoke": 1, "quick": 10, "paper": 10},
    live_seeds={"quick": 1},
)


def _plausible(profile: str, n: int, side: int) -> list[dict[str, Any]]:
    plain = cell(profile, "ring", "js", "main")
    del plain["group"]
    return [plain | {"n": n, "side": side}]


PLAUSIBLE = Study(
    "ch07-plausible",
    experiments.plausible,
    {
        profile: _plausible(profile, *size)
        for profile, size in {"smoke": (20, 41), "quick": (500, 161), "paper": (2000, 201)}.items()
    },
    seeds={"smoke": 1, "quick": 10, "paper": 10},
    live_seeds={"quick": 1},
)
