"""The studies of chapter 04."""

from __future__ import annotations

from typing import Any

from mmlib.evidence import Study
from mmlib.studies.ch04 import experiments, grids, theory
from mmlib.studies.ch04.grids import METHODS, cell

PROFILES = ("smoke", "quick", "paper")
_SEEDS: dict[str, Any] = {
    "seeds": {"quick": 5, "paper": 5},
    "live_seeds": {"quick": 1},
}
# The data sets of a study that the text makes on CIFAR-10: digits where a laptop has to do.
_SMALL = {"smoke": "mnist", "quick": "mnist", "paper": "cifar10"}

TABLE = Study(
    "ch04-table",
    experiments.scored,
    {
        profile: [cell(profile, m, data) for data in ("mnist", "cifar10") for m in METHODS]
        for profile in PROFILES
    },
    **_SEEDS,
)

# The second column of Table 4, at the size of the paper alone.
SVHN = Study(
    "ch04-svhn",
    experiments.scored,
    {"paper": [cell("paper", method, "svhn") for method in METHODS]},
    seeds={"paper": 5},
)

LABELS = Study(
    "ch04-labels",
    experiments.scored,
    {
        profile: [
            cell(profile, method, _SMALL[profile], n_labels=n)
            for n in grids.LABELS[profile]
            for method in ("supervised", *grids.MIXED)
        ]
        for profile in PROFILES
    },
    **_SEEDS,
)

# Added after the table had been seen: photographs where the network can fit its labels.
FEWER = Study(
    "ch04-fewer",
    experiments.scored,
    {
        profile: [
            cell(profile, method, "cifar10", n_labels=10 if profile == "smoke" else 250)
            for method in ("supervised", "manifold")
        ]
        for profile in PROFILES
    },
    **_SEEDS,
)

SWITCHES = Study(
    "ch04-switches",
    experiments.scored,
    {
        profile: [
            cell(profile, "manifold", _SMALL[profile], switch=name, **change)
            for name, change in grids.SWITCHES.items()
        ]
        for profile in PROFILES
    },
    **_SEEDS,
)


def _cross(profile: str) -> list[dict[str, Any]]:
    size = "paper" if profile == "paper" else "quick"
    data = _SMALL[profile]
    cells = [cell(profile, "manifold", data, alpha=a) for a in grids.ALPHAS[size]]
    return cells + [cell(profile, "manifold", data, alpha_u=a) for a in grids.ALPHAS_U[size]]


ALPHAS = Study(
    "ch04-alphas",
    experiments.scored,
    {profile: _cross(profile) for profile in PROFILES},
    **_SEEDS,
)

WEIGHTS = Study(
    "ch04-weights",
    experiments.scored,
    {
        profile: [
            cell(profile, "manifold", "cifar10", weight=weight)
            for weight in grids.WEIGHTS["paper" if profile == "paper" else "quick"]
        ]
        for profile in PROFILES
    },
    **_SEEDS,
)

# One run that the reader sizes: parameters of the page change labels and seed.
OWN = Study(
    "ch04-own",
    experiments.scored,
    {
        profile: [cell(profile, m, "mnist") for m in ("supervised", "manifold")]
        for profile in PROFILES
    },
    seeds={"quick": 1, "paper": 1},
)

TOYS = Study(
    "ch04-toys",
    experiments.planar,
    {
        profile: [grids.toy_cell(profile, method, toy) for toy in grids.TOYS for method in METHODS]
        for profile in PROFILES
    },
    seeds={"quick": 5, "paper": 5},
    live_seeds={"quick": 1},
)

ALGORITHMS = Study(
    "ch04-algorithms",
    theory.algorithms,
    {profile: [{"updates": 1000}] for profile in PROFILES},
    seeds={"smoke": 2, "quick": 20, "paper": 20},
    n_jobs=1,
)

LOSSES = Study(
    "ch04-losses",
    theory.losses,
    {
        profile: [{"classes": 10, "scales": [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0]}]
        for profile in PROFILES
    },
    seeds={"smoke": 2, "quick": 20, "paper": 20},
    n_jobs=1,
)

GRADIENTS = Study(
    "ch04-gradients",
    theory.gradients,
    {profile: [{"layer": "layer2"}] for profile in PROFILES},
    seeds={"smoke": 2, "quick": 20, "paper": 20},
    n_jobs=1,
)

PROBES = Study(
    "ch04-probes",
    theory.probes,
    {
        profile: [
            cell("smoke" if profile == "smoke" else "quick", "supervised", "mnist")
            | {"updates": 4 if profile == "smoke" else 200, "validations": 1, "n_images": 50}
            | {"xis": [1e-6, 1e-4, 1e-2, 0.1, 1.0, 10.0]}
        ]
        for profile in PROFILES
    },
    seeds={"quick": 5, "paper": 5},
    n_jobs=1,
)

COST = Study(
    "ch04-cost",
    theory.costs,
    {
        profile: [
            {"batch": batch, "rounds": rounds, "channels": 3, "size": 32}
            | {"methods": {m: cell("quick", m, "cifar10", width=16) for m in METHODS}}
        ]
        for profile, batch, rounds in (("smoke", 20, 2), ("quick", 100, 15), ("paper", 100, 15))
    },
    seeds={"quick": 5, "paper": 5},
    n_jobs=1,
)
