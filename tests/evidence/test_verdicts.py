"""Verdicts follow from the numbers and the rule, and say why when there is none."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmlib.evidence import (
    PROFILES,
    Rule,
    Runs,
    components,
    errors,
    exact,
    expected_false,
    judge,
    paired,
    sample,
)
from mmlib.evidence.decisions import decide, decide_all
from mmlib.evidence.findings import Paired

CLAIM = "MM1-F1-hidden"
ORDER = Rule(CLAIM, "toy", "order", "NLL", 0.0, "nats")


def differences(*values: float) -> Paired:
    return Paired(values)


@pytest.mark.parametrize(
    "finding, rule, word, words",
    [
        (differences(1, 1.1, 0.9, 1, 1), {}, "supported", "better by 1 nats over 5 seeds"),
        (differences(-1, -1.1, -0.9, -1, -1), {}, "contradicted", "95 % interval"),
        (differences(1, -1, 0.5, -0.5, 0.1), {}, "inconclusive", "better by 0.02 nats"),
        (differences(1, 1.1, 0.9, 1, 1), {"margin": 2.0}, "contradicted", "more than 2 nats"),
        (differences(1, 1, 1, 1), {}, "inconclusive", "4 seeds, and the rule asks for 5"),
        (differences(1, 1, 1, 1, math.nan), {}, "inconclusive", "1 of 5 values are not finite"),
        (differences(0, 0, 0, 0, 0), {}, "inconclusive", "the same in every seed"),
        (differences(), {}, "inconclusive", "0 seeds"),
        (replace(differences(1, 1, 1, 1, 2), unpaired=2), {}, "supported", "2 seeds without"),
        (differences(0.01, -0.01, 0.02, 0, 0), {"rule": "equivalence", "margin": 0.1}, "supported",
         "90 % interval"),
        (differences(1, 1.1, 1, 1, 1), {"rule": "equivalence", "margin": 0.1}, "contradicted",
         "the margin is 0.1 nats either way"),
        (sample([1, 1.1, 1, 1, 1]), {"rule": "above", "margin": 0.5}, "supported", "more than 0.5"),
        (sample([1, 1.1, 1, 1, 1]), {"rule": "below", "margin": 0.5}, "contradicted", "less than"),
        (sample([1, 1.1, 1, 1, 1]), {"rule": "below", "margin": 1.5}, "supported", "mean 1.02"),
        (sample([1, 9, 1, 5, 1]), {"rule": "below", "margin": 3.0}, "inconclusive", "mean 3.4"),
        (exact(1.45, "5"), {"rule": "exact", "margin": 1.0}, "contradicted", "differ by 3.55"),
        (exact(0.25, "0.30"), {"rule": "exact", "margin": 0.05}, "supported", "printed 0.30"),
        (exact(8.8312, "8.831"), {"rule": "exact", "margin": None}, "supported", "0.0005"),
        (exact(8.8316, "8.831"), {"rule": "exact", "margin": None}, "contradicted", "0.0005"),
        (exact(math.nan, "1"), {"rule": "exact"}, "inconclusive", "nan"),
        (errors(1e-9, 0.5), {"rule": "identity", "margin": 1e-6}, "supported", "control"),
        (errors(1e-3, 0.5), {"rule": "identity", "margin": 1e-6}, "contradicted", "0.001"),
        (errors(1e-3, 1e-9), {"rule": "identity", "margin": 1e-6}, "contradicted", "0.001"),
        (errors(1e-9, 1e-7), {"rule": "identity", "margin": 1e-6}, "inconclusive",
         "the control does not fail"),
        (errors(math.nan, 0.5), {"rule": "identity", "margin": 1e-6}, "inconclusive", "not a num"),
        (errors(1e-9, math.nan), {"rule": "identity", "margin": 1e-6}, "inconclusive", "control"),
        (errors(math.inf, 0.5), {"rule": "identity", "margin": 1e-6}, "contradicted", "inf"),
    ],
)  # fmt: skip
def test_each_rule_decides(finding, rule, word, words):
    found = decide(finding, replace(ORDER, **rule), profile="quick")
    assert found.verdict == word and words in found.reason


def test_printed_numbers_are_compared_at_the_papers_profile_only():
    rule = replace(ORDER, rule="number", margin=1.0, unit="%")
    ours = [94.0, 94.2, 94.4, 94.1, 94.3]
    near, far = sample(ours, printed="94.50"), sample(ours, printed="97.1")
    assert decide(near, rule, profile="paper").verdict == "supported"
    assert decide(near, rule, profile="paper").printed == "94.50"
    assert decide(far, rule, profile="paper").verdict == "contradicted"
    assert decide(near, replace(rule, margin=0.2), profile="paper").verdict == "inconclusive"
    quick = decide(far, rule, profile="quick")
    assert quick.verdict == "not tested" and "printed 97.1" in quick.reason
    with pytest.raises(ValueError, match="needs sample"):
        decide(sample(ours), rule, profile="paper")


def test_findings_that_do_not_fit_the_rule_are_refused():
    with pytest.raises(TypeError, match="the rule 'order' judges Paired, but the evidence is Err"):
        decide(errors(0.0, 1.0), ORDER, profile="quick")
    with pytest.raises(TypeError, match=r"needs paired\(...\), not equivalent"):
        decide(replace(differences(1, 1), oriented=False), ORDER, profile="quick")


# ---------------------------------------------------------------- claims of several parts

ALL = Rule(CLAIM, "toy", "all", parts={"*": ("order", 0.0)})
YES, NO = differences(1, 1.1, 0.9, 1, 1), differences(-1, -1.1, -0.9, -1, -1)
PERHAPS = differences(1, -1, 0.5, -0.5, 0.1)


@pytest.mark.parametrize(
    "parts, word",
    [
        ([YES, YES, YES, YES], "supported"),
        ([YES, YES, PERHAPS], "inconclusive"),
        ([YES, NO, PERHAPS], "contradicted"),
    ],
)
def test_all_parts_must_hold(parts, word):
    found, each = decide_all(
        components(dict(zip("abcd", parts, strict=False))), ALL, profile="quick"
    )
    assert found.verdict == word and len(each) == len(parts) and found.n == 5


def test_parts_have_their_own_rules_and_must_be_those_named():
    parts = {"order": ("order", 0.0), "printed": ("number", None), "same": ("identity", 1e-6)}
    rule = replace(ALL, parts=parts)
    given = {"order": YES, "printed": sample([1.0] * 5, printed="1.0"), "same": errors(0, 1)}
    assert decide_all(components(given), rule, profile="paper")[0].verdict == "supported"
    found, _ = decide_all(components(given), rule, profile="quick")
    assert found.verdict == "not tested" and found.printed == "1.0"
    with pytest.raises(ValueError, match="lacks the part 'same'"):
        decide_all(components({"order": YES, "printed": given["printed"]}), rule, profile="paper")
    with pytest.raises(ValueError, match="expected one of the parts order, printed, same"):
        decide_all(components(given | {"new": YES}), rule, profile="paper")


def test_many_parts_do_not_make_a_contradiction_by_chance():
    rng = np.random.default_rng(0)
    contradicted = 0
    for _ in range(400):
        parts = {str(i): Paired(tuple(rng.normal(size=5))) for i in range(9)}
        contradicted += decide_all(components(parts), ALL, profile="quick")[0].verdict != (
            "inconclusive"
        )
    assert contradicted / 400 <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


# ---------------------------------------------------------------- judge


class FakeStudy:
    """A study that holds evidence only."""

    def __init__(self, evidence, name: str = "toy") -> None:
        self.name, self.claims = name, {CLAIM: (evidence, ())}


def runs(evidence=None, *, n: int = 5, profile: str = "quick", **changes) -> Runs:
    rows = [
        {
            "key": f"{seed}{method}",
            "settings": {"method": method},
            "seed": seed,
            "metrics": {"nll": 1.0 + (method == "b") + 0.01 * seed * (method == "a")},
        }
        for seed in range(n)
        for method in "ab"
    ]
    options = {"cells": 2, "code": "c", "data": {"mnist": "mnist"}, "records": rows} | changes
    study = FakeStudy(evidence or better)
    return Runs(study=study, profile=profile, seeds=tuple(range(n)), **options)


def better(given: Runs):
    sides = {"better": {"method": "a"}, "worse": {"method": "b"}}
    return paired(given.table, "nll", **sides, lower_is_better=True)


def test_a_verdict_states_what_it_rests_on():
    found = judge(CLAIM, runs(), rule=ORDER)
    assert found.verdict == "supported" and found.value == pytest.approx(0.98)
    assert found.interval[0] < 0.98 < found.interval[1]
    assert (found.n_seeds, found.profile, found.data) == (5, "quick", "mnist")
    assert len(found.records) == 10 and found.statistical and "NLL: supported when" in found.rule
    assert str(found).startswith("MM1-F1-hidden: supported. better by 0.98 nats over 5 seeds")
    page = found._repr_html_()
    assert 'class="mm-card mm-supported"' in page and 'class="mm-verdict mm-supported"' in page
    assert found.statement in page and "color" not in page.replace("currentColor", "")


@pytest.mark.parametrize(
    "given, rule, word, words",
    [
        (runs(profile="smoke"), {}, "not tested", "smoke never support a verdict"),
        (runs(data={"mnist": "digits"}), {}, "not tested", "digits (stands in for mnist)"),
        (runs(data={}), {}, "supported", "better by"),
        (runs(data={}), {"data": ("mnist",)}, "not tested", "asks for runs on mnist"),
        (runs(n=2), {}, "inconclusive", "2 seeds, and the rule asks for 5"),
        (runs(records=[]), {}, "not tested", "no runs of toy are recorded"),
        (runs(overrides={"alpha": 4}), {}, "supported", "with settings changed to alpha = 4"),
        (runs(), {"rule": "not_testable", "note": "no brain"}, "not tested", "no brain"),
    ],
)
def test_what_stands_in_the_way_is_said(given, rule, word, words):
    found = judge(CLAIM, given, rule=replace(ORDER, **rule))
    assert found.verdict == word and words in found.reason


def test_judge_refuses_what_does_not_belong_together():
    with pytest.raises(ValueError, match="claim: expected one of.*did you mean 'MM1-F1-hidden'"):
        judge("MM1-F1-hiden", runs())
    with pytest.raises(ValueError, match="expected the runs of study 'other', but got 'toy'"):
        judge(CLAIM, runs(), rule=replace(ORDER, study="other"))
    with pytest.raises(ValueError, match="study toy has no evidence"):
        judge("MM1-F1-visible", runs(), rule=replace(ORDER, id="MM1-F1-visible"))
    with pytest.raises(ValueError, match="expected the runs of"):
        judge(CLAIM, runs(), runs(), rule=ORDER)
    with pytest.raises(TypeError, match=r"the rule 'all' needs components"):
        judge(CLAIM, runs(), rule=ALL)


def test_the_card_lists_the_parts():
    found = judge(CLAIM, runs(lambda given: components({"a<b": better(given)})), rule=ALL)
    assert found.verdict == "supported" and "<li>a&lt;b: <em>supported</em>" in found._repr_html_()


def test_expected_false_counts_statistical_verdicts_only(monkeypatch):
    one = judge(CLAIM, runs(), rule=ORDER)
    exact_one, untested = replace(one, statistical=False), replace(one, verdict="not tested")
    assert expected_false([one] * 10 + [exact_one] * 5 + [untested] * 5) == pytest.approx(0.5)
    monkeypatch.setattr("mmlib.evidence.verdicts.rules", lambda: {CLAIM: ORDER})
    rows = [{"id": CLAIM, "verdict": word} for word in ("supported", "inconclusive", "not tested")]
    assert expected_false([*rows, {"id": "MM1-F2", "verdict": "supported"}]) == pytest.approx(0.1)


def test_profiles_say_what_they_are_for():
    assert [name for name, p in PROFILES.items() if p.supports_verdicts] == ["quick", "paper"]
    assert all(profile.meaning for profile in PROFILES.values())


def test_the_table_of_fake_runs_is_the_real_one():
    assert isinstance(runs().table, pd.DataFrame) and len(runs().table) == 10
