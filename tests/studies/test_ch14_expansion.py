"""Chapter 14, section 4: what the runs return, controls that fail, evidence that is complete."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from mmlib.evidence.findings import Components, Errors
from mmlib.evidence.rulebook import rules
from mmlib.evidence.tables import claims
from mmlib.measures.coupling_law import coupling_law, sampled_weights
from mmlib.measures.mixup_expansion import own_losses
from mmlib.measures.weight_laws import folded_moments, folded_nodes
from mmlib.studies.ch14 import (
    couplings_law,
    evidence_expansion,
    expansion,
    loss_forms,
    perturbations,
    shift,
)
from mmlib.studies.ch14 import grids_expansion as grids

EXACT = {"n": 6, "k": 3, "outputs": 3, "alpha": 0.7, "nodes": 96}


# ------------------------------------------------------------------------------ laws of partners


def test_laws_of_small_sets():
    settings = {"points": "between", "n": 8, "drawn": (2,), "draws": 500}
    metrics, arrays = couplings_law.couplings(settings, 3)
    for name in ("sum", "uniform", "self"):
        assert metrics[f"{name}_error"] < 1e-12 < 1e-2 < metrics[f"{name}_control"]
    assert metrics["draws_error"] < 4.5 < metrics["draws_control"]
    assert metrics["rise"] < 0 < 1 < metrics["point_rise"]
    assert metrics["reach_1"] == pytest.approx(2 * arrays["x"].var()) and metrics["reach_8"] == 0
    assert metrics["self_1"] == 1 / 8 and abs(metrics["self_excess"]) < 1e-12
    assert arrays["reach"].shape == (8, 8)


# ------------------------------------------------------------------------------ Theorem 3


@pytest.mark.parametrize(("k", "outputs"), ((1, 1), (2, 3), (4, 3), (5, 1)))
def test_both_sides_agree_and_planted_mistakes_do_not(k, outputs):
    found, arrays = expansion.expansion(EXACT | {"k": k, "outputs": outputs}, 11)
    for name in ("beta", "sum"):
        assert found[f"{name}_error"] < 1e-12 < 1e-5 < found[f"{name}_control"]
    for name in ("a", "scale"):
        assert found[f"{name}_error"] < 0.1 < 0.9 < found[f"{name}_control"]
    assert found["form_error"] < 1e-12
    total = found["r1"] + found["r2"] + found["r3"] + found["rest"]
    assert found["effect"] == pytest.approx(total, abs=1e-12)
    assert arrays["by_alpha"].shape == (15, 6) and arrays["by_scale"].shape == (8, 6)
    where = expansion.SCALES.index(1.0)
    at_one = expansion.expansion(EXACT | {"k": k, "outputs": outputs, "alpha": 1.0}, 11)[1]
    assert arrays["by_alpha"][expansion.ALPHAS.index(1.0)] == pytest.approx(
        at_one["by_scale"][where]
    )


def test_remainder_over_second_order_has_a_limit_at_small_alpha():
    small, _ = expansion.expansion(EXACT | {"alpha": 1e-4}, 2)
    assert small["relative"] == pytest.approx(small["relative_limit"], rel=1e-3)
    assert small["relative_limit"] > 0.01


def test_nothing_is_left_at_k_equal_to_n():
    found, _ = expansion.expansion(EXACT | {"k": 6}, 0)
    assert max(abs(found[name]) for name in ("effect", "r1", "r2", "r3", "rest")) < 1e-12
    assert found["relative"] == 0 and not any(math.isnan(value) for value in found.values())


def test_ties_need_a_symmetric_rule():
    for cell in grids.TIES.grid["quick"]:
        found = expansion.ties(cell, 4)
        for name in ("asymmetry", "beta", "folded"):
            assert found[f"{name}_average"] < 1e-12 < 1e-6 < found[f"{name}_solver"]
        assert found["symmetrised"] < 1e-12 < found["loss_gap"]


# ------------------------------------------------------------------------------ Theorem 4, Lemma 2


@pytest.mark.parametrize("k", (2, 4))
def test_shift_holds_and_its_readings_differ(k):
    found = shift.shift(EXACT | {"k": k}, 5)
    for name in ("loss", "zero", "folded"):
        assert found[f"{name}_error"] < 1e-10 < 1e-4 < found[f"{name}_control"]
    assert found["mean_average"] < 1e-12 < 0.1 < found["mean_subset"]
    assert 0.01 < found["between"] < 1
    for block in shift.BLOCKS:
        assert found[f"lemma_matched_{block}"] < 1e-12
        for reading in (*shift.READINGS, "control"):
            assert found[f"lemma_{reading}_{block}"] > 0.01


def test_for_k_1_the_reading_of_mixup_holds():
    found = shift.shift(EXACT | {"k": 1}, 5)
    assert found["mean_subset"] < 1e-12 and found["between"] < 1e-12
    for block in shift.BLOCKS:
        assert found[f"lemma_all_{block}"] < 1e-12 and found[f"lemma_partners_{block}"] < 1e-12
        assert found[f"lemma_subsets_{block}"] > 0.01


def test_perturbations_by_hand():
    one = expansion.problem(couplings_law.small_set("normal", 5, 1), 3, 1)
    law, bar = coupling_law(one.x, 2), folded_moments(0.7).mean
    theta = torch.from_numpy(folded_nodes(0.7, 3)[0])
    shifts = shift.Shift.of(law, one.x, bar)
    delta = shifts.perturbations(one.x, theta, bar)[1, 4, 0, 3]
    own = one.x[law.subsets[4, 0]]
    mixed = theta[1] * own + (1 - theta[1]) * one.x[3]
    assert torch.allclose(shifts.moved[4, 0] + delta, mixed)


# ------------------------------------------------------------------------------ forms of losses


def test_forms_of_losses():
    found = loss_forms.losses({"alpha": 0.5, "cases": 50}, 3)
    for name in (*loss_forms.CROSS_ENTROPY, *loss_forms.CANONICAL):
        assert found[f"form_{name}"] < 1e-9 < 0.1 < found[f"doubled_{name}"]
    for name in loss_forms.OTHER:
        assert found[f"natural_{name}"] < 1e-9 < 0.1 < found[f"form_{name}"]
    for name in ("joint", "mean", "tilt", "exponent"):
        assert found[f"{name}_error"] < 1e-5 < 1e-2 < found[f"{name}_control"]
    assert found["linear_error"] < 1e-12 and found["square_error"] < 1e-12 < found["square_gap"]
    near = [loss_forms.weight_law(alpha, 9, 0)["near_one"] for alpha in (0.5, 1.0, 2.0)]
    assert near[0] > 1e4 and near[1] == pytest.approx(2) and near[2] < 1e-6


# ------------------------------------------------------------------------------ larger sets


@pytest.mark.parametrize("name", perturbations.CURVES)
def test_tangents_of_curves(name):
    x, tangent, y = perturbations.curve(name, 4000, 0)
    assert torch.allclose(tangent.norm(dim=1), torch.ones(1).double())
    near = torch.cdist(x, x).fill_diagonal_(9).argmin(1)  # the way to a neighbour is the tangent
    step = torch.nn.functional.normalize(x[near] - x, dim=1)
    assert float((step * tangent).sum(1).abs().median()) > 0.999
    assert set(y.tolist()) == {0, 1}


def test_partners_on_a_circle_by_closed_form():
    settings = grids.LOCAL.grid["quick"][0] | {"n": 1024, "ks": (1, 64), "steps": 1, "draws": 4}
    found = perturbations.local(settings, 0)
    # Chords of a random angle t: (sin t, 1 - cos t), so 1/2 along and 3/2 across.
    assert found["across_1"] == pytest.approx(0.75, abs=0.03)
    assert found["reach_1"] == pytest.approx(2, abs=0.1)
    assert found["across_64"] < 0.2 and found["reach_64"] < 0.2


def test_effect_is_the_whole_loss():
    x, _, classes = perturbations.curve("spiral", 32, 1)
    y = torch.eye(2, dtype=x.dtype)[classes]
    one = expansion.Problem(x, y, expansion.problem(x, 2, 3).network)
    weights = sampled_weights(x, 4, 3, torch.Generator().manual_seed(0))
    found = perturbations.expanded(one, weights, 2.0, 40)
    pairs = expansion.Pairs.of(one, weights)
    a, probability = expansion.nodes_of(expansion.jacobi_nodes(2.0, 3.0, 40))
    whole = float(probability @ own_losses(one.network, *pairs[:3], a) @ pairs.weight)
    plain = float(torch.nn.functional.cross_entropy(one.network(x), classes))
    assert found["effect"] == pytest.approx(whole - plain, abs=1e-10)
    alone = perturbations.expanded(one, torch.eye(32).double().roll(1, 1)[:1], 2.0, 40)
    assert alone["gross"] == pytest.approx(alone["relative"])  # nothing to cancel in one pair
    assert found["gross"] != pytest.approx(found["relative"])


@pytest.mark.parametrize("trained_k", (None, 4))
def test_digits_run(trained_k):
    settings = grids.DIGITS.grid["smoke"][0] | {"data": "digits", "trained_k": trained_k}
    found = perturbations.digits(settings | {"n": 80}, 0)
    assert found["reach_16"] < found["reach_1"]
    assert {"relative_1_1", "relative_16_0.1", "gross_1_0.1"} <= set(found)
    assert all(np.isfinite(list(found.values())))


# ------------------------------------------------------------------------------ evidence


def fake(study, profile: str = "quick"):
    """Runs with made-up metrics in the columns that real ones have."""
    rng, rows = np.random.default_rng(0), []
    small = {"n": 6, "k": 2, "draws": 2, "cases": 3, "nodes": 6, "steps": 1, "drawn": (2,)}
    for cell in study.grid[profile]:
        options = {key: value for key, value in small.items() if key in cell}
        options |= {"ks": (1, 32), "n": 64} if "ks" in cell else {}
        found = study.run(cell | options, 0)
        names = found[0] if isinstance(found, tuple) else found
        rows += [cell | {"seed": s} | {c: rng.uniform(1, 2) for c in names} for s in range(5)]
    return SimpleNamespace(table=pd.DataFrame(rows), study=study)


def test_every_claim_has_a_rule_and_evidence():
    table, written = claims(), rules()
    wanted = table[table["chapter"] == "14_kmixup_theory"]["id"]
    wanted = {one for one in wanted if one.startswith(("KM-Di", "KM-Thm3", "KM-Thm4", "KM-Lem2"))}
    studies = [study for study in grids.STUDIES if study.claims]
    assert {claim for study in studies for claim in study.claims} == wanted
    if not wanted <= set(written):
        pytest.skip("the rules of the chapter are not merged yet")
    runs = {study.name: fake(study) for study in grids.STUDIES if study is not grids.DIGITS}
    for study in studies:
        for claim, (function, also) in study.claims.items():
            rule = written[claim]
            assert rule.study == study.name
            found = function(*(runs[one.name] for one in (study, *also)))
            if rule.rule == "identity":
                assert isinstance(found, Errors)
                continue
            assert isinstance(found, Components) and rule.rule == "all"
            for name in found.parts:
                rule.part(name)
            assert set(rule.parts) - {"*"} <= set(found.parts)


def test_ratios_and_shares_are_oriented():
    runs = SimpleNamespace(
        table=pd.DataFrame(
            {"curve": ["circle"], "seed": [0], "across_1": [0.8], "across_32": [0.2]}
        )
    )
    assert evidence_expansion.ratio(runs, "circle", "across").tolist() == pytest.approx([0.25])
    table = pd.DataFrame(
        {"points": ["normal", "between"], "seed": [0, 0], "closer_1": [0.0, 0.0]}
        | {"closer_2": [0.6, 0.1], "closer_3": [0.7, 0.1], "closer_4": [0.0, 0.1]}
    )
    assert evidence_expansion.closer(table).tolist() == [0.6]
    assert len(evidence_expansion.inner(pd.DataFrame({"k": [1, 2, 8, 9]}))) == 2
