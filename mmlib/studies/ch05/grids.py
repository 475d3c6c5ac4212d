"""The studies of chapter 05 and their settings per profile."""

from __future__ import annotations

from mmlib.evidence import Study
from mmlib.studies.ch05 import experiments, printed
from mmlib.studies.networks import cell

PROFILE_NAMES = ("smoke", "quick", "paper")
_IMAGES = {"smoke": 30, "quick": 2000, "paper": None}


def _cells(profile: str) -> list[dict]:
    size = {"n_images": _IMAGES[profile]}
    cells = [cell(profile, method) | size for method in printed.METHODS]
    if profile == "paper":  # Table 7 itself is on CIFAR-100 with PreActResNet34
        cells += [
            cell(profile, method, "cifar100", model="preactresnet34") | size
            for method in printed.METHODS
        ]
    return cells


DEFORMED = Study(
    "ch05-deformations",
    experiments.deformed,
    {profile: _cells(profile) for profile in PROFILE_NAMES},
    seeds={"quick": 5, "paper": 5},
    live_seeds={"quick": 1, "paper": 1},
)


def _tables(name: str, *tables: str) -> Study:
    cells = [{"tables": list(tables)}]
    grid = {profile: cells for profile in PROFILE_NAMES}
    return Study(f"ch05-{name}", printed.compare_tables, grid, n_jobs=1)


SUBSET = _tables("table-3-in-7", "v1 Table 3", "v1 Table 7")
SAME = _tables("table-9-is-7", "ICML Table 9", "v1 Table 7")

DEFINITION = Study(
    "ch05-definition",
    printed.zooms_by_hand,
    {profile: [{"side": 32}] for profile in PROFILE_NAMES},
    n_jobs=1,
)
