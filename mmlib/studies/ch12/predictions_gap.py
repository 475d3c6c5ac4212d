"""What theory said trained networks would show in Parts 3 and 4, written down before they ran."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmlib.checks import choice
from mmlib.evidence import Runs
from mmlib.measures.logit_gap import Gap
from mmlib.studies.ch12.gap_cells import can_place, cells, share, theory
from mmlib.studies.ch12.pressure import ODDS

Cases = dict[str, pd.Series]


def _title(row: pd.Series) -> str:
    return f"{len(row['digits'])} classes, {row['code']} units"


def _each(
    runs: Runs, value: Callable[..., pd.Series | None], kind: str = "alphas", wide: bool = True
) -> Cases:
    """Return a value by cell and alpha; `value` takes of, alpha's name, the theory and the row.

    Cells whose head is wide enough (see `can_place`), or those with too few units.
    """
    found = {}
    for row, of in cells(runs):
        if can_place(row) != wide:
            continue
        for alpha in row[kind]:
            one = value(of, f"{alpha:g}", theory(row, alpha), row)
            if one is not None:
                found[f"{_title(row)}, alpha {alpha:g}"] = one
    return found


def _plain(runs: Runs, value: Callable[..., pd.Series]) -> Cases:
    return {
        f"{len(row['digits'])} classes": value(of, row) for row, of in cells(runs) if can_place(row)
    }


def _wrong(of: Callable, name: str) -> pd.Series | None:
    """Return the cost of wrong answers over seeds that have some."""
    cost = of(f"test_nll_wrong_{name}").dropna()
    return cost if len(cost) else None


def _within_bound(of: Callable, a: str, gap: Gap, row: dict) -> pd.Series | None:
    cost = _wrong(of, f"mixed_{a}")
    return None if cost is None else gap.nll + gap.gap - cost


def _dearer(of: Callable, a: str, gap: Gap, row: dict) -> pd.Series | None:
    mixed, plain = _wrong(of, f"mixed_{a}"), _wrong(of, "plain")
    return None if mixed is None or plain is None else (plain - mixed).dropna()


def _underconfident(of: Callable, a: str, gap: Gap, row: dict) -> pd.Series | None:
    sure = of(f"test_accuracy_mixed_{a}").mean() > 100 * gap.confidence
    return -np.log(of(f"temperature_mixed_{a}")) if sure else None


def _scaling(of: Callable, a: str, gap: Gap, row: dict) -> pd.Series:
    raw = of("test_nll_plain") - of(f"test_nll_mixed_{a}")
    return raw / 2 - (of("test_scaled_nll_plain") - of(f"test_scaled_nll_mixed_{a}")).abs()


def _like_smoothing(of: Callable, a: str, gap: Gap, row: dict) -> pd.Series:
    gain = of("test_nll_plain") - of(f"test_nll_mixed_{a}")
    return gain / 4 - (of(f"test_nll_mixed_{a}") - of(f"test_nll_smooth_{a}")).abs()


def rises(runs: Runs) -> pd.DataFrame:
    """Return by seed how far the test NLL of each member rose from the middle look to the last."""
    rows = {}
    for index in runs.table.index:
        curves, row = runs.arrays(index)["curves"], runs.table.loc[index]
        nll = curves[:, :, 1, 3].astype(float)
        names = ["plain", *(f"mixed_{a:g}" for a in row["alphas"])]
        rows[row["seed"]] = dict(zip(names, nll[-1] - nll[len(nll) // 2], strict=False))
    return pd.DataFrame(rows).T


def _slow_rise(runs: Runs) -> Cases:
    found = rises(runs)
    return {name: found["plain"] / 4 - found[name].abs() for name in found if name != "plain"}


def _of_loss(runs: Runs, loss: str) -> tuple[pd.Series, Callable[[str], pd.Series]] | None:
    return next(((row, of) for row, of in cells(runs) if row["loss"] == loss), None)


def _pressed(loss: str, value: Callable[..., pd.Series]) -> Callable[[Runs], Cases]:
    def values(runs: Runs) -> Cases:
        found = _of_loss(runs, loss)
        return {} if found is None else {loss: value(found[1], found[0])}

    return values


def odds_ratio(runs: Runs, member: str, layer: int) -> pd.Series:
    """Return by seed the log-odds at lambda 0.95 over those at 0.8, along chords at a layer.

    1.5 for a straight head (0.45 / 0.3 from the middle), 2.12 for log-odds of the target.
    """
    high, low = (int(np.argmin(np.abs(ODDS - lam))) for lam in (0.95, 0.8))
    found = {}
    for index in runs.table.index:
        row = runs.table.loc[index]
        if row["loss"] == "ce":
            odds = runs.arrays(index)["odds"][list(row["members"]).index(member), layer]
            middle = odds[len(odds) // 2]
            found[row["seed"]] = float((odds[high] - middle) / (odds[low] - middle))
    return pd.Series(found)


def _taken(of: Callable, row: dict) -> pd.Series:
    """Return how much more of the fall of log curvature than the head's is the features'."""
    features, head = (of(f"{who}_moved_deep") - of(f"{who}_moved_plain")
                      for who in ("features", "head"))  # fmt: skip
    return head - features


# What is left after the terms of an expansion falls with this power of the distance.
POWERS = {
    "bend_mix": 3, "bend_middle": 3, "bend_centroid": 4, "bend_half": 4,
    "squared_signed": 4, "fitted": 4, "fitted_fourth": 5, "ce_ends": 1, "ce_first": 2,
    "ce_second": 3, "states_any": 2, "states_fit": 3, "head_any": 2, "head_fit": 4,
    "kink_mean": 2, "kink_rms": 1.5, "kink_share": 1, "smooth_kink_rms": 2,
}  # fmt: skip
# With a wrong or a missing term it falls more slowly than with the right ones.
CONTROLS = {
    "bend_without": "bend_centroid", "bend_double": "bend_centroid",
    "squared_affine": "squared_signed", "squared_wrong_sign": "squared_signed",
    "fitted_double": "fitted_fourth", "ce_no_curvature": "ce_second",
    "ce_no_variance": "ce_second",
}  # fmt: skip


def _powers(runs: Runs) -> Cases:
    return {
        f"{name}, {row['activation']}": of(name) - power
        for row, of in cells(runs)
        for name, power in POWERS.items()
    }


def _controls(runs: Runs) -> Cases:
    return {
        f"{name}, {row['activation']}": POWERS[right] - of(name)
        for row, of in cells(runs)
        for name, right in CONTROLS.items()
    }


@dataclass(frozen=True)
class Prediction:
    """What theory says of trained networks, and when it counts as come true.

    Attributes:
        id: name.
        study: whose runs decide.
        says: in words, with the tolerance.
        kind: ``"same"`` if the mean over seeds is to lie within the margin of 0, ``"above"`` if it
            is to exceed it.
        margin: in the unit of the values.
        values: runs -> values by seed, for each case.
    """

    id: str
    study: str
    says: str
    kind: str
    margin: float
    values: Callable[[Runs], Cases]

    def __post_init__(self) -> None:
        choice("kind", self.kind, ("same", "above"))


PREDICTIONS = (
    Prediction(
        "G0", "ch12-gap", "control, units < K - 1: gap more than 10 % off s*", "above", 0.1,
        lambda r: _each(r, lambda of, a, gap, _: (of(f"train_gap_mixed_{a}") / gap.gap - 1).abs(),
                        wide=False),
    ),
    # G0 looked at the wrong number: on seed 100, which no study uses, the mean gap of the control
    # is right and its risk is not. So this one was added, before the recorded seeds had run.
    Prediction(
        "G0r", "ch12-gap", "the same, added later: mixed risk over 0.02 nats above the floor",
        "above", 0.02,
        lambda r: _each(r, lambda of, a, gap, _: of(f"risk_mixed_{a}") - gap.risk, wide=False),
    ),
    Prediction(
        "G1", "ch12-gap", "mean training gap within 10 % of s*", "same", 0.1,
        lambda r: _each(r, lambda of, a, gap, _: of(f"train_gap_mixed_{a}") / gap.gap - 1),
    ),
    Prediction(
        "G2", "ch12-gap", "training gaps spread by less than a fifth of their mean", "above", 0.0,
        lambda r: _each(r, lambda of, a, *_: 0.2 - of(f"train_gap_sd_mixed_{a}")
                        / of(f"train_gap_mixed_{a}")),
    ),
    Prediction(
        "G3", "ch12-gap", "training confidence within 0.01 of p*", "same", 0.01,
        lambda r: _each(r, lambda of, a, gap, _: of(f"train_confidence_mixed_{a}")
                        - gap.confidence),
    ),
    Prediction(
        "G4", "ch12-gap", "mixed training risk within 0.02 nats of its floor", "same", 0.02,
        lambda r: _each(r, lambda of, a, gap, _: of(f"risk_mixed_{a}") - gap.risk),
    ),
    Prediction(
        "G5", "ch12-gap", "plain gap above every s*", "above", 0.0,
        lambda r: _plain(r, lambda of, row: of("train_gap_plain")
                         - max(theory(row, a).gap for a in row["alphas"])),
    ),
    Prediction(
        "G6", "ch12-gap", "a wrong test image costs at most log(e^s* + K - 1)", "above", 0.0,
        lambda r: _each(r, _within_bound),
    ),
    Prediction(
        "G7", "ch12-gap", "a wrong test image costs more after plain training", "above", 0.0,
        lambda r: _each(r, _dearer),
    ),
    Prediction(
        "G8", "ch12-gap", "seen training clouds less than half as wide as plain ones", "above", 0.0,
        lambda r: _each(r, lambda of, a, *_: 0.5 - of(f"train_logits_within_mixed_{a}")
                        / of("train_logits_within_plain")),
    ),
    Prediction(
        "G9", "ch12-gap", "unseen clouds more than 5 times as wide as seen ones", "above", 5.0,
        lambda r: _each(r, lambda of, a, *_: share(of, "train", "unseen", f"mixed_{a}")
                        / share(of, "train", "seen", f"mixed_{a}")),
    ),
    Prediction(
        "G10", "ch12-gap", "best temperature below that of plain training", "above", 0.0,
        lambda r: _each(r, lambda of, a, *_: np.log(of("temperature_plain"))
                        - np.log(of(f"temperature_mixed_{a}"))),
    ),
    Prediction(
        "G11", "ch12-gap", "underconfident (T < 1) where the accuracy exceeds p*", "above", 0.0,
        lambda r: _each(r, _underconfident),
    ),
    Prediction(
        "G12", "ch12-gap", "test NLL below that of plain training", "above", 0.0,
        lambda r: _each(r, lambda of, a, *_: of("test_nll_plain") - of(f"test_nll_mixed_{a}")),
    ),
    Prediction(
        "G13", "ch12-gap", "after temperature scaling less than half of that is left", "above", 0.0,
        lambda r: _each(r, _scaling),
    ),
    Prediction(
        "G14", "ch12-gap", "smoothing for the same gap reaches it within 10 %", "same", 0.1,
        lambda r: _each(r, lambda of, a, gap, _: of(f"train_gap_smooth_{a}") / gap.gap - 1,
                        "smooth"),
    ),
    Prediction(
        "G15", "ch12-gap", "and has the test accuracy of mixing within 1 point", "same", 1.0,
        lambda r: _each(r, lambda of, a, *_: of(f"test_accuracy_mixed_{a}")
                        - of(f"test_accuracy_smooth_{a}"), "smooth"),
    ),
    Prediction(
        "G16", "ch12-gap", "and its test NLL within a quarter of the gain", "above", 0.0,
        lambda r: _each(r, _like_smoothing, "smooth"),
    ),
    Prediction(
        "L1", "ch12-gap-plain", "plain gap still grows by over 0.5 per unit of log time", "above",
        0.5, lambda r: _plain(r, lambda of, _: of("slope_plain")),
    ),
    Prediction(
        "L2", "ch12-gap-plain", "mixed gap stands still, within 0.1", "same", 0.1,
        lambda r: _each(r, lambda of, a, *_: of(f"slope_mixed_{a}")),
    ),
    Prediction(
        "L3", "ch12-gap-plain", "plain test NLL rises in the second half", "above", 0.0,
        lambda r: {"plain": rises(r)["plain"]},
    ),
    Prediction(
        "L4", "ch12-gap-plain", "mixed test NLL moves by less than a quarter of that", "above",
        0.0, _slow_rise,
    ),
    Prediction(
        "P1", "ch12-pressure", "cross-entropy: behind a curved head no bound, gap over 1.1 s*",
        "above", 0.0,
        _pressed("ce", lambda of, row: of("gap_deep") - 1.1 * theory(row, row["alpha"]).gap),
    ),
    Prediction(
        "P2", "ch12-pressure", "its log-odds along chords follow the target's: ratio over 1.75",
        "above", 1.75, lambda r: {"deep, code": odds_ratio(r, "deep", 0)},
    ),
    Prediction(
        "P3", "ch12-pressure", "its probabilities are straighter than plain ones", "above", 0.0,
        _pressed("ce", lambda of, _: np.log(of("probability_plain") / of("probability_deep"))),
    ),
    Prediction(
        "P4", "ch12-pressure", "its logits are not: curvature above plain", "above", 0.0,
        _pressed("ce", lambda of, _: np.log(of("curvature_deep") / of("curvature_plain"))),
    ),
    Prediction(
        "P5", "ch12-pressure", "squared loss: curvature below half of plain", "above", 0.0,
        _pressed("squared", lambda of, _: 0.5 - of("curvature_deep") / of("curvature_plain")),
    ),
    Prediction(
        "P6", "ch12-pressure", "squared loss, mixed at the last layer: as plain, factor 1.5",
        "same", float(np.log(1.5)),
        _pressed("squared", lambda of, _: np.log(of("curvature_last") / of("curvature_plain"))),
    ),
    Prediction(
        "P7", "ch12-pressure", "squared loss: features straighten more than the head does",
        "above", 0.0, _pressed("squared", _taken),
    ),
    Prediction(
        "E1", "ch12-expansion", "powers of the expansions within 0.15", "same", 0.15, _powers
    ),
    Prediction(
        "E2", "ch12-expansion", "wrong or missing terms cost at least 0.8 of a power", "above",
        0.8, _controls,
    ),
)  # fmt: skip
