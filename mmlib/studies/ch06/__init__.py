"""Chapter 06, adversarial examples (v1 section 4.3, appendix D; k-Mixup Figure 10)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mmlib.evidence import (
    Runs,
    Study,
    components,
    errors,
    exact,
    paired,
    per_seed,
    published,
    sample,
)
from mmlib.studies.ch06 import experiments
from mmlib.studies.networks import cell

METHODS = ("none", "input", "manifold", "fgsm_training")
LEVELS = experiments.LEVELS

DEFINITION = Study(
    "ch06-definition",
    experiments.definition,
    {profile: [{"epsilon": 1e-5}] for profile in ("smoke", "quick", "paper")},
    seeds={"smoke": 2, "quick": 20, "paper": 20},
    n_jobs=1,
)

# How many images, steps and queries of each attack. One forward and backward pass of the network
# at quick size takes about a millisecond an image, so 200 steps are for a hundred images.
_ATTACK = {
    "smoke": {"n_fgsm": 40, "n_pgd": 10, "steps": 2, "n_unbounded": 6, "unbounded_steps": 5}
    | {"n_search": 10, "queries": 3, "n_span": 40},
    "quick": {"n_fgsm": 1000, "n_pgd": 200, "steps": 10, "n_unbounded": 100}
    | {"unbounded_steps": 200, "n_search": 100, "queries": 100, "n_span": 301},
    "paper": {"n_fgsm": None, "n_pgd": 1000, "steps": 40, "n_unbounded": 1000}
    | {"unbounded_steps": 200, "n_search": 500, "queries": 500, "n_span": 1001},
}

ATTACKS = Study(
    "ch06-attacks",
    experiments.attacked,
    {
        profile: [cell(profile, one) | size | {"search_levels": [2, 8]} for one in METHODS]
        for profile, size in _ATTACK.items()
    },
    seeds={"quick": 5, "paper": 5},
    live_seeds={"quick": 1},
)

# Table 5 has two rows on CIFAR-100, at the size of the paper alone.
HUNDRED = Study(
    "ch06-hundred",
    experiments.attacked,
    {
        "paper": [
            cell("paper", one, "cifar100") | _ATTACK["paper"] | {"search_levels": [2, 8]}
            for one in ("input", "manifold")
        ]
    },
)

TRANSFER = Study(
    "ch06-transfer",
    experiments.transferred,
    {
        profile: [
            {"data": "cifar10", "alpha": 2.0, "n": n, "levels": [2, 8]}
            | {"networks": {method: cell(profile, method) for method in METHODS}}
        ]
        for profile, n in {"smoke": 20, "quick": 500, "paper": 2000}.items()
    },
    seeds={"quick": 5, "paper": 5},
    live_seeds={"quick": 1},
)


def transfer_length(profile: str, epochs: int | None) -> dict[str, object]:
    """Return the override that trains the networks of `TRANSFER` for another number of epochs."""
    if epochs is None:
        return {}
    nets = TRANSFER.grid[profile][0]["networks"]
    return {"networks": {method: one | {"epochs": epochs} for method, one in nets.items()}}


# Normalised units. A period that divides the attack's step of 0.01, and one that does not.
_MASKS = [{"amplitude": 0.004, "period": period} for period in (0.01, 0.0127)]

MASKED = Study(
    "ch06-masked",
    experiments.masked,
    {
        profile: [cell(profile, "none") | mask | size for mask in _MASKS]
        for profile, size in {
            "smoke": {"n": 20, "n_unbounded": 6, "unbounded_steps": 5},
            "quick": {"n": 500, "n_unbounded": 60, "unbounded_steps": 200},
            "paper": {"n": 2000, "n_unbounded": 1000, "unbounded_steps": 200},
        }.items()
    },
    seeds={"quick": 5, "paper": 5},
    live_seeds={"quick": 1},
)

KS = (2, 4, 8)


def _k_cells(profile: str, size: dict, data: str, **changes: object) -> list[dict]:
    """No mixup, input mixup (which is k = 1) and k-mixup."""
    cells = [cell(profile, "none", data, **changes), cell(profile, "input", data, **changes)]
    cells += [cell(profile, "kmixup", data, k=k, **changes) for k in KS]
    return [one | size for one in cells]


_SMOOTH = {
    "smoke": {"n_fgsm": 40, "n_pgd": 10, "steps": 2, "n_flip": 20},
    "quick": {"n_fgsm": 2000, "n_pgd": 500, "steps": 10, "n_flip": 1000},
    "paper": {"n_fgsm": None, "n_pgd": 2000, "steps": 40, "n_flip": 2000},
}

DIGITS = Study(
    "ch06-kmixup-digits",
    experiments.k_mixed,
    {profile: _k_cells(profile, size, "mnist") for profile, size in _SMOOTH.items()},
    seeds={"quick": 10, "paper": 10},
    live_seeds={"quick": 1},
)

PHOTOS = Study(
    "ch06-kmixup-photos",
    experiments.k_mixed,
    {
        "smoke": _k_cells("smoke", _SMOOTH["smoke"], "cifar10", model="small_conv"),
        "quick": _k_cells("quick", _SMOOTH["quick"], "cifar10", model="small_conv", width=16),
        "paper": _k_cells("paper", _SMOOTH["paper"], "cifar10"),
    },
    seeds={"quick": 5, "paper": 5},
    live_seeds={"quick": 1},
)

# ------------------------------------------------------------------------------ Table 5

UNITS = {"normalised": "fgsm_normalised", "pixels": "fgsm_pixels"}


@DEFINITION.evidence("MM1-D-fgsm")
def _definition(runs: Runs) -> object:
    table = runs.table
    return components(
        {
            "size": errors(table["size_error"], table["size_control"]),
            "first order": errors(table["rise_error"], table["rise_control"]),
        }
    )


def _against(runs: Runs, metric: str, better: str, worse: str) -> object:
    sides = {"better": {"method": better}, "worse": {"method": worse}}
    return paired(runs.table, metric, **sides, lower_is_better=False)


@ATTACKS.evidence("MM1-T5-c10")
def _printed_values(runs: Runs) -> object:
    table = published("manifold_mixup_v1_table5_fgsm")
    table = table[table["dataset"] == "CIFAR-10"].set_index("method")["printed"]
    names = {"none": "no_mixup", "input": "input_mixup", "manifold": "manifold_mixup"}
    return components(
        {
            ours: sample(
                per_seed(runs.table, "fgsm_normalised", {"method": ours}), printed=table[theirs]
            )
            for ours, theirs in names.items()
        }
    )


@ATTACKS.evidence("MM1-T5-order")
def _order_of_methods(runs: Runs) -> object:
    return components(
        {
            f"0.03 {unit}, {better} above {worse}": _against(runs, metric, better, worse)
            for unit, metric in UNITS.items()
            for better, worse in (("input", "none"), ("manifold", "input"))
        }
    )


@HUNDRED.evidence("MM1-T5-c100")
def _order_on_a_hundred_classes(runs: Runs) -> object:
    return components(
        {
            f"0.03 {unit}": _against(runs, metric, "manifold", "input")
            for unit, metric in UNITS.items()
        }
    )


@ATTACKS.evidence("MM1-T5-advtrain")
def _close_to_training(runs: Runs) -> object:
    return components(
        {
            f"0.03 {unit}": _against(runs, metric, "manifold", "fgsm_training")
            for unit, metric in UNITS.items()
        }
    )


@ATTACKS.evidence("MM1-s43-pgd")
def _no_gain_under_pgd(runs: Runs) -> object:
    return components(
        {
            f"PGD {level}/255": sample(_against(runs, f"pgd_{level}", "manifold", "none").values)
            for level in experiments.PGD_LEVELS
        }
    )


@ATTACKS.evidence("MMA-adv")
def _more_robust(runs: Runs) -> object:
    return components(
        {
            f"{name} {level}/255": _against(runs, f"{metric}_{level}", "manifold", "none")
            for name, metric, level in (("FGSM", "fgsm", 2), ("FGSM", "fgsm", 8), ("PGD", "pgd", 2))
        }
    )


def _gain(runs: Runs, metric: str) -> np.ndarray:
    """What Manifold Mixup gains on no mixup, a value per seed."""
    return np.asarray(_against(runs, metric, "manifold", "none").values)


@ATTACKS.evidence("MM1-s43-direction")
def _directions(runs: Runs) -> object:
    parts = {
        f"overlap, {method}": sample(per_seed(runs.table, "span_ratio", {"method": method}))
        for method in ("none", "manifold")
    }
    for level in (2, 8):
        more = _gain(runs, f"same_fgsm_{level}") - _gain(runs, f"pgd_{level}")
        parts[f"gain under FGSM above that under PGD, {level}/255"] = sample(more)
    return components(parts)


# ------------------------------------------------------------------------------ appendix D


def _unbounded(runs: Runs) -> dict[str, object]:
    return {
        method: sample(per_seed(runs.table, "unbounded", {"method": method}))
        for method in ("input", "manifold")
    }


@ATTACKS.evidence("MM1-D-pgd200")
def _unbounded_attack(runs: Runs) -> object:
    return components(_unbounded(runs))


@ATTACKS.evidence("MMF-D-pgd", also=(TRANSFER,))
def _not_masking(runs: Runs, transfers: Runs) -> object:
    table = transfers.table
    own = per_seed(table, "manifold_to_manifold_2")
    other = per_seed(table, "none_to_manifold_2")
    searched = per_seed(runs.table, "search_2", {"method": "manifold"})
    stepped = per_seed(runs.table, "search_fgsm_2", {"method": "manifold"})
    kept = _gain(runs, "pgd_2") - 0.5 * _gain(runs, "same_fgsm_2")
    checks = {
        "examples of the plain network against its own": sample(other - own),
        "search without gradients against FGSM": sample(searched - stepped),
        "gain under PGD against half of that under FGSM": sample(kept),
    }
    return components(_unbounded(runs) | checks)


@MASKED.evidence("MM1-D-mask")
def _check_sees_masks(runs: Runs) -> object:
    parts = {}
    for mask in _MASKS:
        where = {"period": mask["period"]}
        name = f"mask of period {mask['period']:g}"
        parts[f"{name}, gain under FGSM"] = sample(per_seed(runs.table, "gain", where))
        left = sample(per_seed(runs.table, "unbounded_mask", where))
        parts[f"{name}, accuracy left by the check"] = left
    return components(parts)


# ------------------------------------------------------------------------------ k-mixup


def printed_grid(name: str) -> pd.DataFrame:
    """Return a printed panel of Figure 10 as k by epsilon (in grey levels), in percent.

    Args:
        name: ``"a_cifar10"`` or ``"b_mnist"``.
    """
    table = published(f"kmixup_fig10{name}_fgsm")
    return table.pivot(index="k", columns="epsilon_255", values="value")


def _violations(*holds: np.ndarray) -> int:
    return int(sum((~np.asarray(one)).sum() for one in holds))


def _over(runs: Runs, metric: str, k: int, other: int) -> object:
    sides = {
        side: {"method": "kmixup", "k": value} if value > 1 else {"method": "input"}
        for side, value in (("better", k), ("worse", other))
    }
    return paired(runs.table, metric, **sides, lower_is_better=metric == "gradient_l1")


@PHOTOS.evidence("KM-F10-c10")
def _two_beats_one(runs: Runs) -> object:
    grid = printed_grid("a_cifar10")
    gap = grid.loc[2] - grid.loc[1]
    parts: dict[str, object] = {
        # Control: for k = 8 the printed cells do not show the same.
        "printed cells": errors(_violations(gap > 0), _violations(grid.loc[8] > grid.loc[1])),
        "printed gap at 8/255": exact(round(float(gap[8.0]), 2), "8.64"),
        "largest printed gap": exact(round(float(gap.max()), 2), "8.64"),
    }
    for level in LEVELS:
        parts[f"FGSM {level:g}/255"] = _over(runs, f"fgsm_{level:g}", 2, 1)
    return components(parts)


@PHOTOS.evidence("KM-F10-large")
def _larger_attacks(runs: Runs) -> object:
    grid = printed_grid("a_cifar10")
    holds = {e: (grid.loc[[2, 4, 8], e] > grid.loc[1, e]).to_numpy() for e in grid.columns}
    parts: dict[str, object] = {
        # Control: at the smaller attacks, and at 4/255, some k > 1 is worse.
        "printed cells, 8 and 16": errors(
            _violations(holds[8.0], holds[16.0]), _violations(holds[1.0], holds[4.0])
        )
    }
    for level in (8, 16):
        for k in KS:
            parts[f"k = {k}, FGSM {level}/255"] = _over(runs, f"fgsm_{level}", k, 1)
    return components(parts)


@DIGITS.evidence("KM-F10-mnist")
def _best_k(runs: Runs) -> object:
    return components(
        {
            f"FGSM {level:g}/255, k = {best} against {other}": _over(
                runs, f"fgsm_{level:g}", best, other
            )
            for level in LEVELS
            for best in (8 if level <= 1 else 2,)
            for other in (1, *KS)
            if other != best
        }
    )


@DIGITS.evidence("KM-F10-less", also=(PHOTOS,))
def _less_on_digits(digits: Runs, photos: Runs) -> object:
    mnist, cifar = printed_grid("b_mnist"), printed_grid("a_cifar10")
    parts: dict[str, object] = {
        # Control: the same comparison the other way round.
        "printed cells": errors(
            _violations((mnist > cifar).to_numpy()), _violations((cifar > mnist).to_numpy())
        ),
    }
    both = pd.concat([digits.table, photos.table], ignore_index=True)
    for level in (2, 8):
        parts[f"points lost, FGSM {level}/255"] = paired(
            both,
            f"drop_{level}",
            better={"data": "mnist", "method": "input"},
            worse={"data": "cifar10", "method": "input"},
            lower_is_better=True,
        )
    return components(parts)


@DIGITS.evidence("KM-F10-pgd", also=(PHOTOS,))
def _iterated_attacks(digits: Runs, photos: Runs) -> object:
    parts: dict[str, object] = {}
    for runs, name, level in ((digits, "MNIST", 16), (photos, "CIFAR-10", 8)):
        found = per_seed(runs.table, f"stronger_{level}", {"method": "input"})
        parts[f"{name}, FGSM less PGD at {level}/255, k = 1"] = sample(found)
        one_step = np.asarray(_over(runs, f"same_fgsm_{level}", 2, 1).values)
        iterated = np.asarray(_over(runs, f"pgd_{level}", 2, 1).values)
        parts[f"{name}, gain of k = 2, FGSM less PGD"] = sample(one_step - iterated)
    return components(parts)


@DIGITS.evidence("KM-smooth", also=(PHOTOS,))
def _smoother(digits: Runs, photos: Runs) -> object:
    return components(
        {
            f"{name}, {what}": _over(runs, metric, 2, 1)
            for runs, name in ((digits, "MNIST"), (photos, "CIFAR-10"))
            for what, metric in (
                ("smallest flipping step", "flip_mean"),
                ("gradient norm", "gradient_l1"),
            )
        }
    )
