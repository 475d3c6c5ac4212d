"""Chapter 01: identities with their controls, the drawing schemes, and the rules' coverage."""

from __future__ import annotations

import pytest
import torch

from mmlib.evidence.rulebook import rules
from mmlib.evidence.tables import claims
from mmlib.mixing import Mixup
from mmlib.studies import ch01, ch02
from mmlib.studies.ch01 import experiments, identities

IDENTITIES = (
    identities.split,
    identities.reduction_to_input_mixup,
    identities.expected_loss,
    identities.algorithm_2,
    identities.gradient_flow,
)


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda function: function.__name__)
def test_identity_holds_and_its_control_fails(identity):
    found = identity({}, seed=3)
    assert found["error"] < 1e-12 < found["control"]


def test_gradients_before_the_mix_vanish_only_when_blocked():
    found = identities.gradient_flow({}, seed=1)
    assert found["before_blocked"] == 0 < found["before"]


def test_neighbour_mixing_differs_in_the_three_stated_ways():
    assert identities.against_neighbour_mixing({}, seed=0) == {"error": 0.0, "control": 3.0}


def test_tails_of_the_law_three_ways():
    found = identities.law_of_lambda({"draws": 200_000}, seed=0)
    assert found["exact_share"] == pytest.approx(found["scipy_share"], abs=1e-12)
    assert found["drawn_share"] == pytest.approx(found["exact_share"], abs=1.5e-3)


@pytest.mark.parametrize("size", [1, 2, 7, 10])
def test_pairs_share_their_lambda_and_keep_the_batch_sums(size):
    generator = torch.Generator().manual_seed(size)
    mixup = Mixup(2.0, per_example=("lam",), generator=generator)
    draw = experiments.draw_scheme(mixup, "pair_lam", size, generator)
    assert torch.equal(draw.partner[draw.partner], torch.arange(size))
    values = torch.randn(size, dtype=torch.float64)
    mixed = draw.lam * values + (1 - draw.lam) * values[draw.partner]
    assert float(mixed.sum()) == pytest.approx(float(values.sum()), abs=1e-12)
    assert int((draw.partner == torch.arange(size)).sum()) == size % 2


@pytest.mark.parametrize(("chapter", "module"), [("01_", ch01), ("02_", ch02)])
def test_every_claim_of_the_chapter_has_a_rule_and_evidence(chapter, module):
    known, table = rules(), claims()
    evidence = {claim for study in _studies(module) for claim in study.claims}
    names = {study.name for study in _studies(module)}
    for claim in table.loc[table["chapter"].str.startswith(chapter), "id"]:
        rule = known[claim]
        assert rule.rule == "not_testable" or (claim in evidence and rule.study in names)


def _studies(module):
    return [value for value in vars(module).values() if type(value).__name__ == "Study"]
