"""The studies of the factorial and their settings."""

from __future__ import annotations

from typing import Any

from mmlib.checks import choice
from mmlib.evidence import Study
from mmlib.studies.ch12.arms import ARMS
from mmlib.studies.ch12.factorial import factorial
from mmlib.studies.ch12.followup import FOLLOWUP, followup

# Few images, so that there is something to gain. Sizes, rates and lengths were set on plain
# training of seeds 100 and 101, which no study uses, until it fits its training images; Manifold
# Mixup was looked at on these seeds only for whether there is a gain to explain, no other arm was.
# The squared error takes a lower rate: at 0.1 plain training breaks down.
SETUPS: dict[str, dict[str, Any]] = {
    "digits": {"data": "mnist", "loss": "ce", "lr": 0.05},
    "squared": {"data": "mnist", "loss": "squared", "lr": 0.03},
    "photos": {"data": "cifar10", "loss": "ce", "lr": 0.05},
}
TITLES = {
    "digits": "MNIST, cross-entropy",
    "squared": "MNIST, squared error",
    "photos": "CIFAR-10, cross-entropy",
}
_QUICK: dict[str, dict[str, Any]] = {
    "digits": {"width": 8, "n_train": 500, "epochs": 60},
    "squared": {"width": 8, "n_train": 500, "epochs": 100},
    "photos": {"width": 8, "n_train": 1000, "epochs": 50},
}
_SIZES: dict[str, dict[str, Any]] = {
    "smoke": {"width": 4, "n_train": 50, "n_test": 50, "n_look": 20, "epochs": 1, "batch": 25},
    "quick": {"n_test": 5000, "n_look": 1000, "batch": 50},
    "paper": {"width": 32, "n_train": None, "n_test": None, "n_look": 5000, "batch": 100}
    | {"epochs": 100},
}
# With an affine head and squared error there is no rest, so usual and all but the unusual are one.
_SQUARED = (
    *("none", "scaled", "input", "last", "deep", "manifold", "usual_last", "cross_last"),
    *("usual_deep", "cross_deep", "no_cross_deep"),
)
# Photos take longer: without the terms before the affine head and some of the penalties.
_PHOTOS = tuple(
    name
    for name in ARMS
    if name not in ("usual_last", "cross_last", "no_cross_last", "no_rest_last")
    and name not in ("smooth_strong", "linear", "linear_strong")
)
ARMS_OF: dict[str, tuple[str, ...]] = {
    "digits": tuple(ARMS),
    "squared": _SQUARED,
    "photos": _PHOTOS,
}


def cell(profile: str, setup: str, arm: str, **changes: Any) -> dict[str, Any]:
    """Return the settings of one arm.

    Raises:
        ValueError: unknown profile, set-up or arm.

    Example:
        >>> one = cell("quick", "digits", "deep")
        >>> one["n_train"], one["width"], one["epochs"], one["alpha"]
        (500, 8, 60, 2.0)
    """
    choice("profile", profile, tuple(_SIZES))
    settings = SETUPS[choice("setup", setup, tuple(SETUPS))] | {"model": "small_conv"}
    settings |= {"alpha": 2.0, "weight_decay": 1e-4} | _SIZES[profile]
    settings |= _QUICK[setup] if profile == "quick" else {}
    return settings | {"arm": choice("arm", arm, ARMS_OF[setup])} | changes


def _study(name: str, setup: str, seeds: int) -> Study:
    return Study(
        name,
        factorial,
        {p: [cell(p, setup, arm) for arm in ARMS_OF[setup]] for p in _SIZES},
        seeds={"smoke": 1, "quick": seeds, "paper": 5},
        live_seeds={"quick": 1},
        data=SETUPS[setup]["data"],
    )


DIGITS = _study("ch12-factorial", "digits", 10)
SQUARED = _study("ch12-factorial-squared", "squared", 10)
PHOTOS = _study("ch12-factorial-photos", "photos", 5)
STUDIES = {"digits": DIGITS, "squared": SQUARED, "photos": PHOTOS}

FOLLOWUP_STUDY = Study(
    "ch12-factorial-noise",
    followup,
    {p: [cell(p, "digits", "none") | {"arm": arm} for arm in FOLLOWUP] for p in _SIZES},
    seeds={"smoke": 1, "quick": 10, "paper": 5},
    live_seeds={"quick": 1},
    data="mnist",
)
