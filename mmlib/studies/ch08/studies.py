"""The studies of chapter 08."""

from __future__ import annotations

from mmlib.evidence import Study
from mmlib.studies.ch08 import critics, dimension, experiments, grids, pictures, theory

PROFILES = ("smoke", "quick", "paper")

STATES = Study(
    "ch08-states",
    experiments.measured,
    {profile: grids.state_cells(profile) for profile in PROFILES},
    seeds={"smoke": 1, "quick": 5, "paper": 5},
    live_seeds={"quick": 1},
)

CRITICS = Study(
    "ch08-critics",
    critics.told_apart,
    {profile: grids.critic_cells(profile) for profile in PROFILES},
    seeds={"smoke": 1, "quick": 5, "paper": 5},
    live_seeds={"quick": 1},
)

WIDTHS = Study(
    "ch08-widths",
    dimension.widths,
    {profile: grids.width_cells(profile) for profile in PROFILES},
    seeds={"smoke": 1, "quick": 5, "paper": 5},
    live_seeds={"quick": 1},
)

NOISE = Study(
    "ch08-noise",
    theory.noise,
    {profile: grids.noise_cells(profile) for profile in PROFILES},
    seeds={"smoke": 1, "quick": 5, "paper": 5},
)

TRIANGLES = Study(
    "ch08-triangles",
    theory.triangles,
    {profile: grids.triangle_cells(profile) for profile in PROFILES},
    seeds={"smoke": 1, "quick": 5, "paper": 5},
    n_jobs=1,
)

# One seed: these are single images to look at, and judge nothing.
PICTURES = Study(
    "ch08-pictures",
    pictures.pictured,
    {profile: grids.picture_cells(profile) for profile in PROFILES},
    seeds={"smoke": 1, "quick": 1, "paper": 1},
)
