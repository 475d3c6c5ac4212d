"""What the runs of Parts 1 and 2 of chapter 12 say about its claims."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from mmlib.evidence import Runs, components, errors, sample
from mmlib.evidence.findings import Components, Errors, Paired, Sample
from mmlib.studies.ch12 import equal_runs
from mmlib.studies.ch12.grids_terms import FITTED, TERMS

FLATNESS = {
    "within": "within over total variance",
    "rank": "effective rank of a class",
    "chord": "departure from a chord",
}
SPLITS = {"": "training", "test_": "test"}


def of(runs: Runs, metric: str) -> pd.Series:
    """Return a metric by seed."""
    return runs.table.set_index("seed")[metric]


def within(difference: pd.Series) -> Paired:
    """Return differences for a claim that they are small either way."""
    return Paired(tuple(map(float, difference)), oriented=False)


def held(runs: Runs, name: str, controls: tuple[str, ...] = ()) -> Errors:
    """Return the error of an identity over networks and seeds, beside its controls.

    A network that a control does not fit (no bias, one output) has none.
    """
    columns = [runs.table[control] for control in controls or (f"{name}_control",)]
    return errors(runs.table[f"{name}_error"], pd.concat(columns).dropna())


# Claim -> its identity, and controls if they are not those of the same name.
IDENTITIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "CHO-mixup": ("mixup", ()),
    "CHO-mmix": ("mmix", ()),
    "CHO-lin": ("linear", ("linear_control", "linear_weights_control")),
    "CHO-dZ": ("jacobian", ()),
    "CHO-grad": ("gradient", ()),
    "CHO-grad4": ("four", ("four_curved_control", "four_entropy_control")),
    "CHO-usual": ("usual", ()),
    "CHO-cross": ("cross", ()),
    "CHO-zero": ("zero", ("zero_residual_control", "curved_share")),
    "CHO-input": ("input", ()),
}


def _identity(name: str, controls: tuple[str, ...]) -> Callable[[Runs], Errors]:
    def evidence(runs: Runs) -> Errors:
        return held(runs, name, controls)

    return evidence


for _claim, (_name, _controls) in IDENTITIES.items():
    TERMS.evidence(_claim)(_identity(_name, _controls))


def shares(runs: Runs, name: str) -> pd.Series:
    """Return the share of the gradient left at fitted examples by seed, mean over networks."""
    return runs.table.dropna(subset=name).groupby("seed")[name].mean()


@TERMS.evidence("CHO-scope")
def _scope(runs: Runs) -> Components:
    return components(
        {
            "affine head, squared error": held(runs, "zero", ("zero_residual_control",)),
            "curved head, squared error": sample(shares(runs, "curved_share")),
            "affine head, cross-entropy": sample(shares(runs, "entropy_share")),
        }
    )


def flatter(runs: Runs, metric: str, arm: str = "mixed", than: str = "plain") -> pd.Series:
    """Return the logarithm of a measure of flatness over that of another arm, by seed."""
    return np.log(of(runs, f"{metric}_{arm}") / of(runs, f"{metric}_{than}"))


@FITTED.evidence("CHO-stop")
def _stop(runs: Runs) -> Components:
    parts: dict[str, Sample | Paired] = {
        "gradient": sample(of(runs, "gradient_mixed")),
        "path": sample(of(runs, "path_mixed")),
    }
    for start, split in SPLITS.items():
        for metric, words in FLATNESS.items():
            parts[f"{words}, {split} images"] = within(flatter(runs, f"{start}{metric}"))
    return components(parts)


@FITTED.evidence("CHO-adaptF")
def _adapt(runs: Runs) -> Components:
    over = of(runs, "mixed_fixed4") / of(runs, "floor_fixed4")
    return components(
        {
            "full rank": sample(of(runs, "mixed_fixed") / of(runs, "mixed_start_fixed")),
            "rank 4 over its floor": within(over - 1),
        }
    )


# ------------------------------------------------------------------------------ tables


def checks(runs: Runs, names: dict[str, str]) -> pd.DataFrame:
    """Return the largest error and the smallest control of some checks.

    Args:
        runs: of a study with columns ``<name>_error`` and ``<name>_control``.
        names: name -> what is checked.
    """
    rows, controls = {}, dict(IDENTITIES.values())
    controls["four_head"] = ("four_curved_head_control",)
    for name, words in names.items():
        found = held(runs, name, controls.get(name, ()))
        rows[words] = {"largest error": found.error, "smallest control": found.control}
    return pd.DataFrame(rows).T.map("{:.1e}".format)


CLOSED_CHECKS = {
    "loss_any": "loss, independent partner",
    "loss_permutation": "loss, random permutation",
    "loss_other": "loss, never oneself",
    "loss_batches": "loss, batches without replacement",
    "scaled": "gradient is c times the plain one",
    "cross_mean": "cross terms have mean zero",
    "variance": "variance of the gradient",
}


def trajectories(runs: Runs) -> pd.DataFrame:
    """Return the largest distance of two runs over their way, worst or best seed, by comparison.

    The comparisons of the theorem show their worst seed, the broken ones their best.
    """
    same, broken = equal_runs.EQUAL, equal_runs.BROKEN
    table, rows = runs.table, {}
    for targets in ("labels", "random"):
        chosen = table[table["targets"] == targets]
        for name in (*same, *broken):
            if f"gap {name}" in chosen and chosen[f"gap {name}"].notna().all():
                values = chosen[f"gap {name}"]
                worst = values.max() if name in same else values.min()
                rows.setdefault(name, {})[f"{targets} as targets"] = f"{worst:.1e}"
    kinds = ["equal" if name in same else "one condition broken" for name in rows]
    return pd.DataFrame(rows).T.fillna("").set_index(pd.MultiIndex.from_arrays([kinds, list(rows)]))


def sampled(runs: Runs) -> dict[str, float]:
    """Return means over seeds of the distances of runs with sampled mixes, see `sampling`."""
    table = runs.table[runs.table["targets"] == "labels"]
    names = ("gap_sampled", "gap_seeds", "gap_mean", "gap rate kept")
    return {name: float(table[name].mean()) for name in names}


ARM_TITLES = {
    "plain": "no mixing",
    "equal": "no mixing, rate times c",
    "mixed": "mixed at the last layer",
    "curved": "mixed one layer below",
    "input": "mixed at the input",
    "fixed": "last layer, head fixed",
    "fixed4": "last layer, head fixed at rank 4",
}


def ends(runs: Runs, columns: dict[str, str]) -> pd.DataFrame:
    """Return means over seeds at the end of training: a row for each arm, a column a metric.

    Args:
        runs: of the study of fitted networks.
        columns: metric -> its title.
    """
    arms = runs.table["arms"].iloc[0]
    rows = {
        ARM_TITLES[arm]: {title: of(runs, f"{m}_{arm}").mean() for m, title in columns.items()}
        for arm in arms
    }
    return pd.DataFrame(rows).T


# Arm -> its title and whether it is one of the study of noise; from least to most noise.
NOISES: dict[str, tuple[str, bool]] = {
    "equal": ("no mixing, rate times c", False),
    "expected": ("mixed, expectation", True),
    "lengths": ("noise of the length only", True),
    "crosses": ("noise of the cross terms only", True),
    "mixed": ("mixed, sampled", False),
    "doubled": ("mixed, noise doubled", True),
    "plain": ("no mixing", False),
}


def against_equal(fitted: Runs, noise: Runs, metric: str) -> pd.DataFrame:
    """Return the logarithm of a metric over that of the run of equal rate, by seed and arm.

    Args:
        fitted: runs of the study of fitted networks.
        noise: runs of the study of noise; the seeds that both have are taken.
        metric: such as "within" or "test_within".
    """
    base = of(fitted, f"{metric}_equal")
    columns = {
        title: np.log(of(noise if own else fitted, f"{metric}_{arm}") / base)
        for arm, (title, own) in NOISES.items()
        if arm != "equal"
    }
    return pd.DataFrame(columns).dropna()
