"""What the runs of chapter 11 say about its claims."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from mmlib.evidence import Runs, components, errors, per_seed, sample, scalars
from mmlib.evidence.findings import Components, Errors, Paired, Sample
from mmlib.measures.subspaces import beta_nodes, class_dimension, excess_at
from mmlib.studies.ch11.grids import FREE, IDENTITIES, SPECTRA

NAN = float("nan")


def of(runs: Runs, setup: str, metric: str) -> pd.Series:
    """Return a metric of a set-up by seed."""
    return per_seed(runs.table, metric, {"setup": setup})


def less(first: pd.Series, second: pd.Series) -> Paired:
    """Return first - second, seed by seed, for a claim that it is positive."""
    both = first.index.intersection(second.index)
    unpaired = len(first.index.union(second.index)) - len(both)
    return Paired(tuple(map(float, first[both] - second[both])), unpaired)


def same(difference: pd.Series) -> Paired:
    """Return differences for a claim that they are small either way."""
    return Paired(tuple(map(float, difference)), oriented=False)


def fall(runs: Runs, setup: str, metric: str, method: str = "manifold") -> pd.Series:
    """Return ``1 - value / value of the baseline`` by seed."""
    return 1 - of(runs, setup, f"{metric}_{method}") / of(runs, setup, f"{metric}_none")


def discriminating(runs: Runs, setup: str, method: str) -> pd.Series:
    """Return the within-class share on the directions that tell classes apart, by seed.

    Whitened states have variance one in each of H directions. Class means differ in at most
    d - 1 of them, so the others are all within-class however small they were before; this is the
    mean share on those min(d - 1, H). No invertible affine map of the states changes it.
    """
    row = runs.table[runs.table["setup"] == setup].iloc[0]
    units, telling = row["code"], min(len(row["digits"]) - 1, row["code"])
    return 1 - (1 - of(runs, setup, f"white_{method}")) * units / telling


def value(runs: Runs, setup: str, name: str, method: str) -> pd.Series:
    """Return a candidate, or ``"discriminating"``, of a method by seed."""
    if name == "discriminating":
        return discriminating(runs, setup, method)
    return of(runs, setup, f"{name}_{method}")


# ------------------------------------------------------------------------------ free states


def _free(runs: Runs, loss: str, mixing: bool, head: str = "affine") -> pd.DataFrame:
    """Return the minimisations without decay, with the bound on the dimension of a class."""
    table = runs.table
    chosen = table[
        (table["loss"] == loss)
        & (table["mixing"] == mixing)
        & (table["head"] == head)
        & (table["decay"] == 0)
    ]
    bound = [class_dimension(u, d) for u, d in zip(chosen["units"], chosen["classes"], strict=True)]
    return chosen.assign(bound=bound)


def above(table: pd.DataFrame, column: str = "rank") -> np.ndarray:
    """Return by how many directions a class exceeds H - d + 1."""
    return (table[column] - table["bound"]).to_numpy(dtype=float)


def directions(runs: Runs, loss: str) -> Errors:
    """Return by how many directions classes exceed the bound after mixing, beside a control.

    The control is the first states and, for cross-entropy, the same training without mixing.
    """
    mixed = _free(runs, loss, True)
    control = above(mixed, "start_rank") if loss == "squared" else above(_free(runs, loss, False))
    return errors(above(mixed), control)


@FREE.evidence("MMF-F-dim", also=(IDENTITIES,))
def _dimension(free: Runs, identities: Runs) -> Components:
    table = identities.table
    return components(
        {
            "affine head, squared loss": directions(free, "squared"),
            "affine head, cross-entropy": directions(free, "ce"),
            # States in general position are both: the case with zero loss, and the control.
            "any continuous head": errors(table["any_above"], table["any_above"]),
        }
    )


def _floors(runs: Runs, loss: str) -> Errors:
    """Loss less its floor; controls: the floor of one unit less, the excess at another scale."""
    table = _free(runs, loss, True).dropna(subset="floor")
    gap = (table["excess"] - table["floor"]).abs()
    if loss == "squared":
        table = table[table["units"] < table["classes"] - 1]
        return errors(gap, (table["excess"] - table["floor"] / 0.6).abs())
    wrong = [
        abs(row["excess"] - excess_at(1.1 * row["scale"], row["classes"], *_nodes(row)))
        for row in table.to_dict("records")
    ]
    return errors(gap, wrong)


def _nodes(row: dict) -> tuple[np.ndarray, np.ndarray]:
    return beta_nodes(float(row["alpha"]), int(row["nodes"]))


@FREE.evidence("MMA-theory")
def _ideal(runs: Runs) -> Components:
    return components(
        {
            "squared loss, directions": directions(runs, "squared"),
            "cross-entropy, directions": directions(runs, "ce"),
            "squared loss, floor": _floors(runs, "squared"),
            "cross-entropy, floor": _floors(runs, "ce"),
        }
    )


# ------------------------------------------------------------------------------ printed numbers

_PRINTED = {"late12": "Figure 9", "late30": "Figure 10", "early30": "Figure 11"}
METHODS = {"none": "baseline", "input": "Input Mixup", "manifold": "Manifold Mixup"}


def printed(setup: str) -> dict[str, float]:
    """Return the printed first singular values of a set-up by method.

    Example:
        >>> printed("late12")["manifold"]
        43.44
    """
    table = scalars()
    rows = table[
        table["location"].str.contains(_PRINTED[setup] + " caption")
        & table["quantity"].str.startswith("first singular value")
    ]
    return {
        method: float(rows.loc[rows["quantity"].str.contains(f", {name},"), "value"].iloc[0])
        for method, name in METHODS.items()
    }


def _number(setup: str) -> Callable[[Runs], Components]:
    def evidence(runs: Runs) -> Components:
        numbers = printed(setup)
        parts: dict[str, Sample] = {}
        for method in ("input", "manifold"):
            ours = 1 - fall(runs, setup, "raw_top", method)
            parts[f"{method} over none"] = sample(
                ours, printed=f"{numbers[method] / numbers['none']:.3f}"
            )
        return components(parts)

    return evidence


for _claim, _setup in (
    ("MMF-G-svd12", "late12"),
    ("MMF-G-svd30", "late30"),
    ("MMF-G-svd30early", "early30"),
):
    SPECTRA.evidence(_claim)(_number(_setup))


# ------------------------------------------------------------------------------ spectra


@SPECTRA.evidence("MMF-G-small")
def _small(runs: Runs) -> Components:
    parts = {}
    for setup in ("late12", "late30"):
        parts[f"{setup}, size"] = sample(1 - fall(runs, setup, "tail"))
        parts[f"{setup}, ratio to the first"] = sample(1 - fall(runs, setup, "ratio"))
    return components(parts)


@SPECTRA.evidence("MMF-G-conc")
def _first(runs: Runs) -> Components:
    parts = {}
    for setup in ("late12", "late30", "early30"):
        for metric, words in (("top", "centred"), ("raw_top", "not centred")):
            pair = [of(runs, setup, f"{metric}_{method}") for method in ("manifold", "input")]
            parts[f"{setup}, {words}"] = less(*(pair if setup != "early30" else pair[::-1]))
    return components(parts)


@SPECTRA.evidence("MMF-G-input")
def _input(runs: Runs) -> Components:
    return components(
        {
            setup: same(of(runs, setup, "lower_input") - 0.5)
            for setup in ("late12", "late30", "early30")
        }
    )


@SPECTRA.evidence("MMF-G-overall")
def _overall(runs: Runs) -> Components:
    def change(metric: str, method: str) -> pd.Series:
        return of(runs, "late12", f"{metric}_{method}") - of(runs, "late12", f"{metric}_none")

    def log_change(metric: str, method: str) -> pd.Series:
        return np.log(1 - fall(runs, "late12", metric, method))

    parts: dict[str, Paired | Sample] = {}
    for method in ("input", "manifold"):
        parts[f"{method}, effective rank"] = same(change("all_rank", method))
        parts[f"{method}, log size"] = same(log_change("size", method))
    more = log_change("all_rank", "manifold") - log_change("rank", "manifold")
    return components(parts | {"class more than all": sample(more)})


@SPECTRA.evidence("MMF-G-early")
def _early(runs: Runs) -> Components:
    parts = {}
    for metric, words in (("tail", "singular values"), ("rank", "effective rank")):
        early, late = (fall(runs, setup, metric) for setup in ("early30", "late30"))
        parts[f"visible, {words}"] = sample(early)
        parts[f"weaker, {words}"] = sample(late - early)
    return components(parts)


@SPECTRA.evidence("MMF-G-discrim")
def _discriminative(runs: Runs) -> Components:
    parts = {
        f"late above early, {method}": sample(
            of(runs, "late30", f"probe_{method}") - of(runs, "early30", f"probe_{method}")
        )
        for method in ("none", "manifold")
    }
    return components(parts | {"early probe, none": sample(of(runs, "early30", "probe_none"))})


@SPECTRA.evidence("MMF-G-dirs")
def _towards(runs: Runs) -> Components:
    return components(
        {
            setup: less(of(runs, setup, "between_none"), of(runs, setup, "between_manifold"))
            for setup in ("late12", "late30")
        }
    )


def layers(runs: Runs, setup: str, method: str, part: str) -> pd.Series:
    """Return the effective rank of a class, mean over the layers before or behind the code."""
    table = runs.table[runs.table["setup"] == setup]
    names = [c for c in table if c.startswith("rank_layer") and c.endswith(f"_{method}")]
    before = int(table["before"].iloc[0])
    wanted = [c for c in names if (int(c.split("_")[1][5:]) <= before) == (part == "before")]
    wanted = [c for c in wanted if table[c].notna().all()]
    return table.set_index("seed")[wanted].mean(axis=1)


@SPECTRA.evidence("MMA-directions")
def _directions(runs: Runs) -> Components:
    parts = {
        f"{setup}, {words}": less(
            of(runs, setup, f"{metric}_none"), of(runs, setup, f"{metric}_manifold")
        )
        for setup in ("late12", "late30", "early30")
        for metric, words in (("rank", "effective rank"), ("participation", "participation ratio"))
    }
    for part in ("before", "behind"):
        parts[f"late12, layers {part}"] = less(
            layers(runs, "late12", "none", part), layers(runs, "late12", "manifold", part)
        )
    return components(parts)
