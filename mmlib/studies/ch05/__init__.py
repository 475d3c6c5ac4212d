"""Chapter 05, deformed test images (v1 Tables 3 and 7, ICML Table 9)."""

from __future__ import annotations

from mmlib.evidence import Study
from mmlib.studies.ch05 import experiments
from mmlib.studies.networks import cell

METHODS = ("none", "input", "input_2", "manifold")  # the four columns of Table 7

_IMAGES = {"smoke": 30, "quick": 2000, "paper": None}
# Table 7 is on CIFAR-100 with PreActResNet34, which has its cells at full size.
_PRINTED = {"data": "cifar100", "model": "preactresnet34"}


def _cells(profile: str) -> list[dict]:
    cells = [cell(profile, method) | {"n_images": _IMAGES[profile]} for method in METHODS]
    if profile == "paper":
        cells += [
            cell(profile, method, _PRINTED["data"], model=_PRINTED["model"]) | {"n_images": None}
            for method in METHODS
        ]
    return cells


DEFORMED = Study(
    "ch05-deformations",
    experiments.deformed,
    {profile: _cells(profile) for profile in ("smoke", "quick", "paper")},
    seeds={"quick": 5, "paper": 5},
    live_seeds={"quick": 1, "paper": 1},
)
