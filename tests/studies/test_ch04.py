"""Chapter 04: every claim has rule and evidence, settings are the text's, and what runs measure."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from mmlib.evidence.decisions import (
    CONTRADICTED,
    INCONCLUSIVE,
    NOT_TESTED,
    SUPPORTED,
    decide,
    decide_all,
)
from mmlib.evidence.findings import Errors
from mmlib.evidence.rulebook import rules
from mmlib.evidence.tables import claims, settings
from mmlib.mixing import Mixup
from mmlib.studies import ch04
from mmlib.studies.ch04 import evidence, experiments, grids, theory
from mmlib.training.ssl_methods import MeanTeacher, PseudoMix, VirtualAdversary

SEEDS = 10
STUDIES = [getattr(ch04, name) for name in ch04.__all__]
CLAIMS = [(study, claim) for study in STUDIES for claim in study.claims]


# ------------------------------------------------------------------------ claims and rules


def test_every_claim_of_the_chapter_has_a_rule_and_evidence():
    known, table = rules(), claims()
    found = {claim: study.name for study, claim in CLAIMS}
    wanted = table.loc[table["chapter"] == "04_ssl", "id"]
    assert set(found) == set(wanted)
    for claim in wanted:
        assert found[claim] == known[claim].study


_RAMP = {"ramp": 0.0, "ramp_control": 0.2, "ramp_start": math.exp(-5), "ramp_end": 0.0}
_RAMP |= {"ramp_before": 0.7, "algorithm_1": 1e-16, "algorithm_1_control": 1e-3}
METRICS = {
    "ch04-algorithms": [*_RAMP, "algorithm_3", "algorithm_3_control"],
    "ch04-cost": ["backward_vat", "backward_manifold", "averages_mean_teacher"]
    + ["averages_manifold", "mixing_time"],
}


def fake(study, value) -> SimpleNamespace:
    """Runs of a study whose metrics come from ``value(name, settings, seed)``."""
    names = METRICS.get(study.name, ["error"])
    rows = [
        {
            **{key: tuple(v) if isinstance(v, list) else v for key, v in one.items()},
            "seed": seed,
            **{name: value(name, one, seed) for name in names},
        }
        for one in study.grid.get("quick", study.grid["paper"])
        for seed in range(SEEDS)
    ]
    return SimpleNamespace(table=pd.DataFrame(rows), study=study)


def verdict(claim: str, value, profile: str = "quick"):
    study = next(study for study, name in CLAIMS if name == claim)
    function, also = study.claims[claim]
    finding = function(*(fake(one, value) for one in (study, *also)))
    if isinstance(finding, Errors):
        return decide(finding, rules()[claim], profile=profile), {}
    return decide_all(finding, rules()[claim], profile=profile)


def noise(seed: int) -> float:
    return 0.01 * np.random.default_rng(seed).normal()


def by_method(**errors: float):
    return lambda name, one, seed: errors.get(one["method"], 30.0) + noise(seed)


@pytest.mark.parametrize("claim", ["MM1-abs-ssl", "MM1-T4-order", "MM1-C-alpha", "MM1-C-weight"])
def test_nothing_comes_of_lost_runs(claim):
    found, parts = verdict(claim, lambda *_: math.nan)
    assert parts and found.verdict == INCONCLUSIVE


def test_orders_are_read_in_the_right_direction():
    for claim, other in (("MM1-abs-ssl", "supervised"), ("MM1-T4-order", "input")):
        better = verdict(claim, by_method(**{"manifold": 10.0, other: 11.0}))
        worse = verdict(claim, by_method(**{"manifold": 11.0, other: 10.0}))
        assert better[0].verdict == SUPPORTED and worse[0].verdict == CONTRADICTED
        assert set(better[1]) == {"mnist", "cifar10"}


def test_one_data_set_is_not_enough():
    def value(name, one, seed):
        gain = {"mnist": 1.0, "cifar10": -1.0}[one["data"]]
        return 10 - gain * (one["method"] == "manifold") + noise(seed)

    assert verdict("MM1-abs-ssl", value)[0].verdict == CONTRADICTED


def test_printed_numbers_wait_for_the_size_of_the_paper():
    printed = evidence.printed_table()
    for claim, name in (("MM1-T4-cifar", "CIFAR-10"), ("MM1-T4-svhn", "SVHN")):
        exact = by_method(**printed[name].to_dict())
        assert verdict(claim, exact)[0].verdict == NOT_TESTED
        assert verdict(claim, exact, "paper")[0].verdict == SUPPORTED
        far = verdict(claim, lambda *a, exact=exact: exact(*a) + 8, "paper")
        assert far[0].verdict == CONTRADICTED


def test_the_printed_table_is_that_of_the_text():
    table = evidence.printed_table()
    assert table.loc["manifold"].to_dict() == {"CIFAR-10": 10.26, "SVHN": 5.70}
    assert table.loc["supervised"].to_dict() == {"CIFAR-10": 20.26, "SVHN": 12.83}
    assert list(table.index) == list(grids.METHODS)


def test_algorithms_and_ramp_need_small_errors_and_controls_that_fail():
    good = {**_RAMP, "algorithm_3": 0.0, "algorithm_3_control": 1e-2}

    def value(**changes):
        return lambda name, one, seed: (good | changes)[name]

    for claim, broken in (
        ("MM1-Alg1", {"algorithm_1": 1e-3}),
        ("MM1-Alg3", {"algorithm_3": 1e-3}),
        ("MM1-C-ramp", {"ramp": 0.1}),
        ("MM1-C-ramp", {"ramp_end": 0.1}),
        ("MM1-C-ramp", {"ramp_start": 0.2}),
    ):
        assert verdict(claim, value())[0].verdict == SUPPORTED, claim
        assert verdict(claim, value(**broken))[0].verdict == CONTRADICTED, (claim, broken)
    blind = verdict("MM1-Alg1", value(algorithm_1_control=0.0))
    assert blind[0].verdict not in (SUPPORTED,)


def test_the_sentence_on_cost_fails_if_any_of_its_parts_does():
    good = {"backward_vat": 3.0, "backward_manifold": 2.0, "averages_mean_teacher": 1.0}
    good |= {"averages_manifold": 0.0, "mixing_time": 1.05}

    def value(**changes):
        return lambda name, one, seed: (
            (good | changes)[name] + (noise(seed) if name == "mixing_time" else 0)
        )

    assert verdict("MM1-T4-cost", value())[0].verdict == SUPPORTED
    for change in (
        {"mixing_time": 1.3},
        {"backward_vat": 2.0},
        {"averages_manifold": 1.0},
        {"averages_mean_teacher": 0.0},
    ):
        assert verdict("MM1-T4-cost", value(**change))[0].verdict == CONTRADICTED, change


def test_the_best_alphas_and_weight_must_beat_every_other():
    def alphas(name, one, seed):
        away = abs(one.get("alpha", 9) - 0.1) + abs(one.get("alpha_u", 9) - 2.0)
        return 10 + away + noise(seed)

    assert verdict("MM1-C-alpha", alphas)[0].verdict == SUPPORTED
    found, parts = verdict("MM1-C-alpha", lambda *a: -alphas(*a))
    assert found.verdict == CONTRADICTED and len(parts) == len(ch04.ALPHAS.grid["quick"])
    assert (
        verdict("MM1-C-weight", lambda n, o, s: abs(o.get("weight", 9) - 1) + noise(s))[0].verdict
        == SUPPORTED
    )
    assert (
        verdict("MM1-C-weight", lambda n, o, s: o.get("weight", 9) + noise(s))[0].verdict
        == CONTRADICTED
    )


# ------------------------------------------------------------------------ settings


def printed(name: str) -> str:
    table = settings()
    rows = table[table["experiment"] == "Semi-supervised learning (Table 4)"]
    return str(rows.set_index("setting").loc[name, "value"])


def test_the_paper_profile_has_the_settings_of_appendix_c():
    one = grids.cell("paper", "manifold", "cifar10")
    for name, value in (
        ("momentum", one["momentum"]),
        ("initial learning rate", one["lr"]),
        ("L2 coefficient", one["weight_decay"]),
        ("L1 coefficient", one["l1"]),
        ("batch size", one["batch"]),
        ("supervised-loss alpha chosen", one["alpha"]),
        ("unsupervised-loss alpha chosen", one["alpha_u"]),
        ("max consistency coefficient, CIFAR-10", one["weight"]),
        ("max consistency coefficient, SVHN", grids.cell("paper", "manifold", "svhn")["weight"]),
    ):
        assert float(printed(name)) == value, name
    assert printed("architecture") == "WideResNet-28-2" and one["model"] == "wrn28-2"
    assert printed("consistency ramp-up length").startswith(str(one["ramp"]))
    for data, rest in (("cifar10", 45_000), ("svhn", 65_932)):
        cell = grids.cell("paper", "manifold", data)
        title = {"cifar10": "CIFAR-10", "svhn": "SVHN"}[data]
        epochs = int(printed(f"epochs, {title}"))
        assert cell["updates"] == epochs * (rest // cell["batch"])
        drops = printed(f"learning-rate drop epochs, {title}").split(", ")
        assert [float(d) / epochs for d in drops] == list(cell["milestones"])
        left, valid = map(int, printed(f"train / validation split, {title}").split(" / "))
        assert (left, valid) == (rest, cell["n_valid"])
        assert printed(f"labelled images, {title}") == f"{cell['n_labels']} of {rest}"


def test_every_method_has_the_same_common_settings():
    for profile in ("smoke", "quick", "paper"):
        cells = [grids.cell(profile, method, "cifar10") for method in grids.METHODS]
        common = set.intersection(*(set(one) for one in cells)) - {"method"}
        assert {"lr", "l1", "updates", "noise", "pad", "stream"} <= common
        assert all(one[key] == cells[0][key] for one in cells for key in common)


def test_each_switch_changes_what_it_says_and_the_released_one_all():
    base = grids.cell("quick", "manifold", "mnist")
    for name, change in grids.SWITCHES.items():
        one = grids.cell("quick", "manifold", "mnist", **change)
        assert {key for key in one if one[key] != base[key]} == set(change), name
    together = grids.SWITCHES["released code"]
    assert all(together[key] == value for c in grids.RELEASED.values() for key, value in c.items())


@pytest.mark.parametrize(
    ("given", "message"),
    [(("quick", "mixup", "mnist"), "method"), (("quick", "input", "svhn"), "profile")],
)
def test_unknown_cells_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        grids.cell(*given)


def test_methods_are_made_of_their_settings():
    made = {m: experiments.method_of(grids.cell("quick", m, "svhn" if 0 else "mnist"), 3)
            for m in grids.METHODS}  # fmt: skip
    assert isinstance(made["manifold"], PseudoMix) and isinstance(made["mean_teacher"], MeanTeacher)
    assert made["manifold"].labelled.layers == ("input", "block1", "block2")
    assert made["input"].unlabelled.layers == ("input",)
    assert made["manifold"].labelled.generator.initial_seed() != (
        made["manifold"].unlabelled.generator.initial_seed()
    )
    assert isinstance(made["vat"], VirtualAdversary)
    assert made["vat"].entropy == 0 and made["vat_em"].entropy == 0.06


# ------------------------------------------------------------------------ the runs


@pytest.fixture(autouse=True)
def own_results(tmp_path, monkeypatch):
    monkeypatch.setenv("MMLIB_RESULTS", str(tmp_path))


def small(method: str, **changes):
    base = grids.cell("smoke", method, "mnist") | {"data": "digits", "n_train": None}
    return base | {"updates": 6, "validations": 3, "n_labels": 30, "width": 2} | changes


@pytest.mark.parametrize("method", grids.METHODS)
def test_a_run_is_the_same_twice_and_reports_what_it_should(method):
    one, arrays = experiments.scored(small(method), seed=1)
    two, _ = experiments.scored(small(method), seed=1)
    timing = {"seconds", "step_ms"}
    for name in set(one) - timing:
        assert one[name] == pytest.approx(two[name], nan_ok=True), name
    assert 0 <= one["error"] <= 100 and math.isnan(one["stopped"])
    assert arrays["step"].tolist() == [2, 4, 6] and one["chosen"] in (2 / 6, 4 / 6, 1.0)
    assert one["valid_error"] == pytest.approx(arrays["valid_error"].min(), abs=1e-4)


def test_methods_of_a_seed_share_split_and_first_weights():
    first = experiments.task(small("supervised"), 2)
    second = experiments.task(small("manifold"), 2)
    assert all(torch.equal(a, b) for a, b in zip(first.split, second.split, strict=True))
    nets = [experiments.network(small(m), first.data, 2) for m in ("supervised", "vat")]
    pairs = zip(nets[0].parameters(), nets[1].parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_run_that_blows_up_is_recorded_with_the_step(monkeypatch):
    metrics, _ = experiments.scored(small("supervised", lr=1e25, l1=1e10), seed=0)
    assert 1 <= metrics["stopped"] <= 6 and 0 <= metrics["error"] <= 100


def test_long_runs_go_on_where_they_were_and_leave_no_file(tmp_path):
    settings = small("supervised", precision="bf16")
    plain, _ = experiments.scored(small("supervised"), seed=0)
    found, _ = experiments.scored(settings, seed=0)
    assert found["error"] == plain["error"]  # on a CPU the precision is float32 either way
    assert not list((tmp_path / "networks").glob("*"))


@pytest.mark.parametrize("toy", ["moons", "rings"])
def test_a_planar_run_has_a_surface_and_its_labelled_points(toy):
    settings = grids.toy_cell("smoke", "manifold", toy)
    metrics, arrays = experiments.planar(settings, 0)
    assert 0 <= metrics["error"] <= 100
    assert arrays["decision"].shape == arrays["probability"].shape == (9, 9)
    assert len(arrays["x"]) == settings["n_labels"] == len(arrays["y"])
    assert np.bincount(arrays["y"]).min() == np.bincount(arrays["y"]).max()
    assert arrays["probability"].min() >= 1 / (arrays["y"].max() + 1) - 1e-3


# ------------------------------------------------------------------------ without training


@pytest.mark.parametrize("seed", range(5))
def test_algorithms_agree_with_those_written_out_and_mistakes_show(seed):
    found = theory.algorithms({"updates": 50}, seed)
    for name in ("algorithm_1", "algorithm_3", "ramp"):
        assert found[name] < 1e-12 < 1e-9 < found[f"{name}_control"], name
    assert found["ramp_end"] == 0 and found["ramp_start"] == pytest.approx(math.exp(-5))


def test_losses_have_the_bounds_that_were_derived():
    metrics, arrays = theory.losses({"classes": 4, "scales": [1.0, 10.0, 1e4]}, 3)
    assert metrics["affine_logits"] < 1e-25 < 1e-8 < metrics["affine_probabilities"]
    assert metrics["curved_logits"] > 1e-8 and metrics["bound"] <= 1
    assert metrics["bound_reached"] == pytest.approx(1)
    assert arrays["loss_logits"][1] / arrays["loss_logits"][0] == pytest.approx(100)
    assert arrays["gradient_probabilities"][2] < 0.5 * arrays["gradient_probabilities"][1]


def test_every_layer_gets_gradient_from_every_term():
    found = theory.gradients({"layer": "layer2"}, 0)
    assert len(found) == len(theory.TERMS) * 4
    assert all(value > 0 for value in found.values())


def test_probes_that_are_too_short_lose_the_direction():
    settings = ch04.PROBES.grid["smoke"][0] | {"data": "digits", "xis": [1e-6, 0.1]}
    found = theory.probes(settings, 0)
    assert found["cosine_0.1"] > 0.9 > found["cosine_1e-06"]
    assert found["unmoved_1e-06"] > found["unmoved_0.1"]


def test_passes_are_counted_as_they_are_made():
    found = theory.costs(ch04.COST.grid["smoke"][0], 0)
    expected = {"supervised": (1, 1, 0), "input": (3, 2, 0), "manifold": (3, 2, 0)}
    expected |= {"mean_teacher": (3, 2, 1), "vat": (4, 3, 0), "vat_em": (4, 4, 0)}
    for method, counts in expected.items():
        got = tuple(found[f"{name}_{method}"] for name in ("forward", "backward", "averages"))
        assert got == counts, method
    assert found["mixing_time"] > 0


def test_by_hand_knows_its_mistakes():
    net = theory._net((3, 4, 2), 0)
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.tensor([0, 1, 0, 1])
    draws = tuple(
        Mixup(a, generator=torch.Generator().manual_seed(s)).draw(4)
        for s, a in ((0, 0.5), (1, 2.0))
    )
    right = theory.by_hand(net, x, y, x, draws, 0.5)
    for name in theory.MISTAKES:
        wrong = theory.by_hand(net, x, y, x, draws, 0.5, name)
        assert theory._distance(net, right, wrong) > 1e-6, name
