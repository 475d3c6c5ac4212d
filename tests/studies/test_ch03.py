"""Chapter 03: the two losses, blocked updates, layer counts, and what the evidence compares."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mmlib.evidence.findings import Components, Paired
from mmlib.evidence.rulebook import rules
from mmlib.evidence.tables import claims
from mmlib.studies import ch03
from mmlib.studies.ch03 import evidence, experiments


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_ratio_of_the_gradients_is_the_formula(classes):
    found = experiments.loss_gradients({"classes": classes, "draws": 200}, seed=0)
    assert found["error"] < 1e-9 < found["control"]
    assert found["at_uniform"] == pytest.approx(classes - 1)
    assert experiments.gradient_ratio(1 - 1e-12, classes) == pytest.approx(classes / 2)


def test_blocked_gradients_reach_what_lies_after_the_mix():
    found = experiments.blocked_updates({"batch": 4, "updates": 12}, seed=0)
    assert found["error"] == 0 < found["control"] and found["never_reached"] == 0
    assert found["share_head"] == found["share_layer4"] == 1
    assert found["share_stem"] == found["share_layer1"] < found["share_layer2"] < 1


def test_layer_counts_of_the_texts_and_the_one_that_counts_blocks():
    found = experiments.layer_counts({}, seed=0)
    wrong = {key for key, value in found.items() if key.startswith("error_") and value}
    assert wrong == {"error_wrn28-10"} and found["control"] > 0
    assert found["count_wrn28-10_block1_from_stem"] == 2 * found["blocks_wrn28-10"] == 8
    assert found["count_preactresnet152_layer2_from_input"] == 34


class FakeRuns:
    """A table, and curves by row, as a study's runs have them."""

    def __init__(self, rows, curves=None):
        self.table = pd.DataFrame(rows)
        self.curves = curves or []

    def arrays(self, row):
        return self.curves[row.name]


def row(method, seed=0, **values):
    same = {"model": "net", "data": "cifar10", "n_train": 500, "epochs": 8}
    return same | {"method": method, "seed": seed} | values


def test_order_of_table_one_takes_accuracy_up_and_nll_down():
    numbers = {"none": (50.0, 2.0), "input": (52.0, 1.5), "manifold": (51.0, 1.0)}
    runs = FakeRuns([row(m, accuracy=a, nll=n) for m, (a, n) in numbers.items()])
    found = evidence._table_1(runs)
    assert isinstance(found, Components)
    values = {name: part.values[0] for name, part in found.parts.items()}
    assert values == {
        "accuracy, input over none": 2.0,
        "accuracy, manifold over input": -1.0,
        "nll, input over none": 0.5,
        "nll, manifold over input": 0.5,
    }


def test_likelihood_more_than_accuracy_compares_shares():
    runs = FakeRuns(
        [
            row("none", accuracy=50.0, nll=2.0),
            row("input", accuracy=60.0, nll=1.0),
            row("manifold", accuracy=75.0, nll=0.5),
        ]
    )
    parts = evidence._likelihood_more(runs).parts
    assert parts["against none"].values == pytest.approx([0.75 - 0.5])
    assert parts["against input"].values == pytest.approx([0.5 - 0.375])


def test_epochs_to_a_likelihood_are_a_share_of_the_run():
    curves = [
        {"epoch": np.array([2, 4, 6, 8]), "watched_nll": np.array([2.0, 1.0, 1.2, 1.5])},
        {"epoch": np.array([2, 4, 6, 8]), "watched_nll": np.array([2.0, 1.5, 1.04, 1.0])},
    ]
    runs = FakeRuns([row("none"), row("manifold")], curves)
    found = evidence._epochs_to_likelihood(runs)
    assert found == Paired((0.25,), oriented=False)  # epochs 4 and 6 of 8


def test_hyper_parameters_compare_at_the_same_rate():
    rows = [row("none", lr=0.1, accuracy=50.0), row("none", lr=0.2, accuracy=60.0)]
    rows += [
        row("manifold", lr=lr, alpha=2.0, layers=("input",), accuracy=61.0) for lr in (0.1, 0.2)
    ]
    parts = evidence._hyper(FakeRuns(rows)).parts
    assert sorted(part.values[0] for part in parts.values()) == [1.0, 11.0]


def test_dropout_interaction_is_a_difference_of_differences():
    numbers = {
        ("none", 0.0, False): 50.0, ("manifold", 0.0, False): 52.0,
        ("none", 0.5, False): 51.0, ("manifold", 0.5, False): 56.0,
        ("none", 0.0, True): 60.0, ("manifold", 0.0, True): 59.0,
    }  # fmt: skip
    rows = [
        row(m, options={"dropout": share, "norm": norm}, accuracy=value)
        for (m, share, norm), value in numbers.items()
    ]
    parts = {name: part.values[0] for name, part in evidence._dropout(FakeRuns(rows)).parts.items()}
    assert parts["interaction with dropout"] == 3.0  # 5 with dropout, 2 without
    assert parts["mixing on top of batch norm"] == -1.0
    assert parts["batch norm on top of mixing"] == 7.0


def test_every_claim_of_the_chapter_has_a_rule_with_evidence():
    ids = set(claims().query("chapter == '03_supervised'")["id"])
    written = rules()
    assert ids <= set(written)
    studies = {s.name: s for s in vars(ch03).values() if hasattr(s, "claims")}
    for claim in ids:
        rule = written[claim]
        assert rule.rule == "not_testable" or claim in studies[rule.study].claims


def test_a_recipe_changes_what_it_says_at_its_length():
    assert ch03.recipe_overrides("text") == {}
    changed = ch03.recipe_overrides("released")
    assert changed["loss"] == "bce_softmax" and changed["nesterov"] is True
    assert not {"epochs", "selection"} & set(changed)
    with pytest.raises(ValueError, match="did you mean 'released'"):
        ch03.recipe_overrides("release")


def test_another_grid_of_alpha_keeps_file_and_claims():
    study = ch03.alpha_study([0.5, 2.0])
    assert study.name == ch03.ALPHA.name and study.claims == ch03.ALPHA.claims
    assert {cell.get("alpha") for cell in study.grid["quick"]} == {0.5, 2.0, None}
    assert ch03.alpha_study(ch03.ALPHAS) is ch03.ALPHA
