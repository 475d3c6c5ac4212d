"""Chapter 12, the factorial: what hypotheses and claims make of runs that are made up."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mmlib.evidence.rulebook import rules
from mmlib.studies.ch12 import evidence_factorial as evidence
from mmlib.studies.ch12 import tables_factorial as tables
from mmlib.studies.ch12.arms import ARMS
from mmlib.studies.ch12.grids_factorial import ARMS_OF, DIGITS, STUDIES
from mmlib.studies.ch12.hypotheses import HYPOTHESES, OUTCOMES, alike, better, keeps, loses

METRICS = {"accuracy": 90.0, "nll": 0.5, "nll_scaled": 0.4, "within": 0.3, "bend_block2": 0.1}
METRICS |= {"noise_change": 0.2}


def made(setup: str, gain: dict[str, float], seeds: int = 8, noise: float = 0.05):
    """Runs whose accuracy is 90 plus the gain of the arm, and everything else constant."""
    rng = np.random.default_rng(0)
    rows = [
        {"arm": arm, "seed": seed, **METRICS}
        | {"accuracy": 90 + 2 * (seed % 2) + gain.get(arm, 0.0) + noise * rng.standard_normal()}
        for seed in range(seeds)
        for arm in ARMS_OF[setup]
    ]
    table = pd.DataFrame(rows)
    for name in set(METRICS) - {"accuracy"}:
        table[name] *= np.exp(0.01 * rng.standard_normal(len(table)))
    return SimpleNamespace(table=table)


def all_made(gain: dict[str, float], **options) -> dict[str, SimpleNamespace]:
    return {setup: made(setup, gain, **options) for setup in STUDIES}


FULL = {"manifold": 2.0, "deep": 2.0, "last": 2.0, "input": 2.0}


def test_every_prediction_is_about_arms_and_outcomes_that_are_run():
    for name, hypothesis in HYPOTHESES.items():
        assert hypothesis.predictions, name
        for one in hypothesis.predictions:
            for setup in one.setups:
                assert {arm for arm, _ in one.weights} <= set(ARMS_OF[setup]), one.words
            assert one.outcome is None or one.outcome in OUTCOMES
            assert sum(weight for _, weight in one.weights) == pytest.approx(0)


def test_keeping_is_half_of_the_gain():
    runs = made("digits", FULL | {"features": 1.2, "targets": 0.8}, noise=0.0)
    values = evidence.statistic(keeps("features"), runs, "accuracy")
    assert values == pytest.approx(np.full(8, 1.2 - 1.0))
    assert evidence.statistic(keeps("targets"), runs, "accuracy") == pytest.approx(np.full(8, -0.2))
    assert keeps("targets").sign == -loses("targets").sign == 1
    assert keeps("targets").weights == loses("targets").weights
    # What lowers an NLL is better, on the scale of logarithms.
    runs.table.loc[runs.table["arm"] == "deep", "nll_scaled"] = 0.2
    runs.table.loc[runs.table["arm"] == "none", "nll_scaled"] = 0.4
    found = evidence.statistic(better("deep", "none"), runs, "nll_scaled")
    assert found == pytest.approx(np.full(8, np.log(2)))


def test_chances_are_those_of_the_t_test_either_way():
    rng = np.random.default_rng(1)
    values = rng.normal(0.3, 1, 9)
    up, down = evidence.chances(values, 1)
    assert (down, up) == evidence.chances(values, -1) and up + down == pytest.approx(1)
    assert evidence.chances(values + 5, 1)[0] < 1e-5 < 0.99 < evidence.chances(values - 5, 1)[0]
    small = 0.01 * values
    assert evidence.chances(small, 0, 0.5)[0] < 1e-6
    assert evidence.chances(values + 5, 0, 0.5)[1] < 1e-5
    assert all(np.isnan(evidence.chances(np.ones(4), 1)))  # no spread, nothing known


def test_holm_keeps_the_chance_of_any_false_decision():
    p = np.array([0.001, 0.02, 0.03, np.nan, 0.5])
    assert evidence.holm(p)[:3] == pytest.approx([0.005, 0.08, 0.09])
    assert np.isnan(evidence.holm(p)[3]) and evidence.holm(p)[4] == pytest.approx(1.0)
    rng = np.random.default_rng(2)
    wrong = sum((evidence.holm(rng.uniform(size=30)) < 0.05).any() for _ in range(2000))
    assert 0.03 < wrong / 2000 < 0.07


def test_a_planted_cause_survives_and_its_rivals_do_not():
    features = FULL | {"detached": 0.0, "detached_deep": 0.0, "head_blocked": 2.0}
    features |= {"head_blocked_deep": 2.0, "no_cross_deep": 2.0, "no_cross_last": 2.0}
    found = evidence.survivors(evidence.predictions(all_made(features)))
    assert found.loc["H4 features flatten", "together"] == "survives"
    for name in ("H1 step size", "H2 soft targets", "H5 the layers behind", "H6 unusual terms"):
        assert found.loc[name, "together"] == "refuted", name
    behind = FULL | {"detached": 2.0, "detached_deep": 2.0, "smoothing": 2.0}
    found = evidence.survivors(evidence.predictions(all_made(behind)))
    assert found.loc["H5 the layers behind", "together"] == "survives"
    assert found.loc["H2 soft targets", "together"] == "survives"  # one of two is enough
    assert found.loc["H4 features flatten", "together"] == "refuted"


def test_no_gain_decides_nothing():
    table = evidence.predictions(all_made({}))
    mine = table[(table["hypothesis"] == "H4")]
    assert set(mine["decision"]) <= {"no gain", "open"}
    assert evidence.survivors(table).loc["H4 features flatten", "together"] == "open"
    # One seed decides nothing either, and the page is made of it at smoke size.
    one = evidence.predictions(all_made(FULL, seeds=1))
    assert set(one["decision"]) <= {"open", "no gain"}


def test_alike_needs_a_margin_and_many_seeds_or_little_noise():
    prediction = alike("last", "scaled", ("squared",), "accuracy")
    for gain, noise, wanted in (
        (0.1, 0.05, "as predicted"),
        (2.0, 0.05, "against"),
        (0, 3, "open"),
    ):
        runs = all_made({"last": gain}, noise=noise)
        table = evidence.predictions(runs)
        row = table[(table["prediction"] == prediction.words) & (table["setup"] == "squared")]
        assert row["decision"].item() == wanted


def test_share_of_a_gain_has_fiellers_interval():
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(1000):
        shared, own = rng.standard_normal((2, 8))
        part, whole = 1 + 0.3 * shared + 0.2 * own, 2 + 0.3 * shared
        _, low, high = tables.share_interval(part, whole)
        inside += low <= 0.5 <= high
    assert 0.93 < inside / 1000 < 0.97
    assert all(np.isnan(tables.share_interval(part, np.zeros(len(part)))))
    noisy = tables.share_interval(part, rng.standard_normal(8))
    assert np.isnan(noisy[1]) and np.isnan(noisy[2])
    runs = made("digits", FULL | {"features": 1.0})
    found = tables.shares(runs)
    assert found.loc["manifold"].tolist() == pytest.approx([1, 1, 1])
    assert found.loc["features", "low"] < 0.5 < found.loc["features", "high"]


def test_claims_are_judged_by_the_parts_of_their_rules():
    runs = all_made(FULL)
    for claim, (function, also) in DIGITS.claims.items():
        others = [runs[next(s for s, study in STUDIES.items() if study is one)] for one in also]
        parts = function(runs["digits"], *others).parts
        rule = rules()[claim]
        assert rule.study == DIGITS.name
        for name in parts:
            rule.part(name)
        assert set(rule.parts) - {"*"} <= set(parts), claim
        assert all(len(part.values) == 8 for part in parts.values())
    works = DIGITS.claims["CHO-works"][0](runs["digits"], runs["photos"])
    assert np.mean(works.parts["MNIST, random layer"].values) == pytest.approx(2.0, abs=0.1)


# ------------------------------------------------------------------------------ tables


def test_tables_name_every_arm_and_hypothesis():
    arms, words = tables.arm_table(), tables.prediction_table()
    assert list(arms.index) == list(ARMS) and len(words) == len(HYPOTHESES)
    assert arms.loc["no_cross_deep", "before the mix"] == "usual + rest"
    assert arms.loc["none", "before the mix"] == "" and arms.loc["deep", "layers"] == "block2"
    assert "squared" in arms.loc["usual_last", "run on"]
    assert tables.settings_table("quick").loc["epochs"].nunique() == 3


def test_terms_of_a_batch_add_up_and_each_is_needed():
    cell = DIGITS.grid["smoke"][0] | {"data": "digits", "batch": 20}
    found = tables.sums_of_terms(cell, 0)
    assert found["all three"].max() < 1e-6
    controls = found.drop(columns="all three")
    assert controls.drop(index=("squared", "last")).min().min() > 1e-3
    assert controls.loc[("squared", "last"), "without rest"] < 1e-6 < 1e-3
    assert controls.loc[("squared", "last"), "without cross"] > 1e-3


def test_overview_is_the_mean_over_seeds():
    runs = made("digits", FULL)
    for name in ("temperature", "ece", "train_accuracy", "train_gap", "bend_input"):
        runs.table[name] = 1.0
    table = tables.overview(runs)
    assert table.loc[ARMS["deep"].title, "accuracy, %"] == pytest.approx(93, abs=0.1)
    assert list(table.index) == [ARMS[name].title for name in ARMS_OF["digits"]]


def test_effects_of_two_factors():
    gain = {"head_blocked": -3.0, "detached": 2.0, "manifold": 1.5}
    found = tables.effects(made("digits", gain, noise=0.0), tables.SIDES)["mean"]
    assert found["first"] == pytest.approx((-3.0 - 0.5) / 2)
    assert found["second"] == pytest.approx((2.0 + 4.5) / 2)
    assert found["together"] == pytest.approx(2.5)
    for corners in (tables.SIDES, tables.SIDES_DEEP, tables.PARTS):
        assert set(corners) <= set(ARMS_OF["photos"]) & set(ARMS_OF["digits"])
