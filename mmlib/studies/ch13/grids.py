"""The studies of chapter 13 and their settings."""

from __future__ import annotations

from typing import Any

from mmlib.evidence import Study
from mmlib.studies.ch13 import choices as choosing
from mmlib.studies.ch13 import couplings as coupling
from mmlib.studies.ch13 import identities as checking
from mmlib.studies.ch13 import toys as training
from mmlib.studies.ch13.fields import NAMES

KS = (1, 2, 4, 8, 16)  # Figure 3
MORE_KS = (32,)  # Figures 1 and 2 go up to 32
ALPHAS = (0.25, 1.0, 4.0, 16.0, 64.0)

# Printed: the network, the optimiser, its rate and drops, k, alpha, five trials. Not stated: points
# (512, the size of the vicinal sets of Figure 2), minibatch (32 holds the largest k), epochs (200,
# those that the drops at 100 and 150 belong to on CIFAR-10).
_TOY = {
    "smoke": {"n": 128, "n_test": 200, "epochs": 3, "drops": (1, 2), "side": 16},
    "quick": {"n": 512, "n_test": 4000, "epochs": 200, "drops": (100, 150), "side": 40},
    "paper": {"n": 512, "n_test": 20_000, "epochs": 200, "drops": (100, 150), "side": 40},
}


def toy_cell(profile: str, toy: str) -> dict[str, Any]:
    """Return the settings of one set: all cells of its table, trained side by side.

    Example:
        >>> one = toy_cell("quick", "four_bars")
        >>> one["hidden"], one["lr"], one["drops"]
        ((130, 120), 0.1, (100, 150))
    """
    table = {"ks": KS, "alphas": ALPHAS, "more_ks": MORE_KS, "drawn": (1.0, 64.0)}
    common = {"toy": toy, "batch": 32, "lr": 0.1, "hidden": (130, 120), "eps": (0.1, 0.2)}
    return common | _TOY[profile] | table


TOYS = Study(
    "ch13-toys",
    training.toys,
    {profile: [toy_cell(profile, toy) for toy in NAMES] for profile in _TOY},
    seeds={"smoke": 1, "quick": 5, "paper": 5},
    live_seeds={"quick": 1},
)


def _couplings(profile: str, toy: str) -> dict[str, Any]:
    sizes = {"smoke": {"n": 64, "rounds": 1}, "quick": {"n": 512, "rounds": 8}}
    more = sizes.get(profile, {"n": 512, "rounds": 64})
    return {"toy": toy, "ks": (*KS, *MORE_KS), "alphas": ALPHAS} | more


COUPLINGS = Study(
    "ch13-couplings",
    coupling.couplings,
    {profile: [_couplings(profile, toy) for toy in NAMES] for profile in _TOY},
    seeds={"smoke": 1, "quick": 5, "paper": 20},
    n_jobs=1,
)


def _sets(profile: str, toy: str) -> dict[str, Any]:
    own = ("ks", "alphas", "more_ks", "drawn", "side")
    cell = {key: value for key, value in toy_cell(profile, toy).items() if key not in own}
    shorter = {"quick": {"epochs": 100, "drops": (50, 75)}}.get(profile, {})
    sizes = {"rounds": {"smoke": 8, "quick": 50, "paper": 1000}[profile], "batch": 64}
    choices = {"ways": tuple(choosing.WAYS), "ks": (1, 4, 16, 32, 64), "trained": (4, 16, 64)}
    return cell | shorter | sizes | choices | {"alpha": 64.0}


SETS = Study(
    "ch13-sets",
    choosing.choices,
    {profile: [_sets(profile, toy) for toy in NAMES] for profile in _TOY},
    seeds={"smoke": 1, "quick": 5, "paper": 5},
    live_seeds={"quick": 1},
)

IDENTITIES = Study(
    "ch13-identities",
    checking.identities,
    {
        profile: [
            {"weight": alpha, "size": 6, "dims": (1, 2, 16, 256), "samples": 20_000,
             "alphas": (0.1, 0.25, 0.5, 0.9, 1.0, 4.0, 16.0, 64.0), "draws": draws, "sets": sets}
            for alpha in (0.5, 2.0)[:count]
        ]
        for profile, (count, draws, sets) in {
            "smoke": (1, 50, 5),
            "quick": (2, 1000, 200),
            "paper": (2, 10_000, 1000),
        }.items()
    },
    seeds={"smoke": 1, "quick": 20, "paper": 20},
    live_seeds={"quick": 2},
    n_jobs=1,
)  # fmt: skip
