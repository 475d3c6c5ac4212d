"""Chapter 07 in the plane: what a run returns, what evidence reads, and that both are complete."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from mmlib.evidence.findings import Components, Errors, Paired, Sample
from mmlib.evidence.rulebook import rules
from mmlib.evidence.tables import claims
from mmlib.models.ensemble import EnsembleMLP
from mmlib.studies import ch07
from mmlib.studies.ch07 import evidence, experiments
from mmlib.studies.ch07.members import (
    GROUPS,
    LAYER_SETS,
    members_of,
    one_member,
    target_of,
)
from mmlib.studies.ch07.released import DIFFERENCES
from mmlib.training import PAIRS, VARIANTS

STUDIES = (
    *(ch07.PLANE, ch07.NDIS, ch07.PLAUSIBLE, ch07.EQUILIBRIUM),
    *(ch07.REALNESS, ch07.REAL_REAL, ch07.DIGITS, ch07.GAME),
)


def smoke(study, index: int = 0) -> dict:
    return dict(study.grid["smoke"][index])


# ------------------------------------------------------------------------------ members


def test_groups_do_not_overlap_and_know_their_members():
    names = [name for group in GROUPS for name in members_of(group)]
    assert len(names) == len(set(names)) == 28
    for group in GROUPS:
        assert {evidence.group_of(name) for name in members_of(group)} == {group}


def test_members_are_what_their_names_say():
    assert list(members_of("main")) == list(VARIANTS) and members_of("main")["none"] is None
    for name, mixes in members_of("hidden").items():
        assert mixes.labels == ("soft" if name.startswith("soft") else "fake")
        assert mixes.pairs == PAIRS[:1] and mixes.law == one_member("fr").law
    alpha = members_of("alpha")
    assert alpha["final_pixel_0.5"] == members_of("main")["final"]
    assert {mixes.layers for mixes in alpha.values()} == set(LAYER_SETS.values())
    assert alpha["final_all_0.1"].law.alpha == 0.1


def test_bad_names_are_named():
    for call, name in ((members_of, "mian"), (target_of, "rnig"), (one_member, "fianl")):
        with pytest.raises(ValueError, match="did you mean"):
            call(name)


# ------------------------------------------------------------------------------ runs


def test_a_run_scores_every_member_and_repeats():
    settings = smoke(ch07.PLANE)
    metrics, arrays = experiments.plane(settings, 0)
    assert set(metrics) == {
        *(f"{score}_{name}" for score in experiments.SCORES for name in VARIANTS),
        "floor",
        "broken",
    }
    assert metrics["broken"] == 0 and 0 < metrics["floor"] < 1
    looks = len(arrays["updates"])
    assert arrays["scores"].shape == (looks, 3, 6) and arrays["losses"].shape == (looks - 1, 2, 6)
    assert arrays["points"].shape == (6, settings["n_score"], 2)
    tail = arrays["scores"][-experiments.TAIL :, 2].mean(0)
    assert [metrics[f"distance_{name}"] for name in VARIANTS] == pytest.approx(tail)
    again, _ = experiments.plane(settings, 0)
    other, _ = experiments.plane(settings, 1)
    assert again == metrics and other != metrics


def test_groups_of_a_seed_share_everything_but_their_mixes():
    main, _ = experiments.plane(smoke(ch07.PLANE), 0)
    alpha, _ = experiments.plane(smoke(ch07.PLANE) | {"group": "alpha"}, 0)
    assert alpha["distance_final_pixel_0.5"] == pytest.approx(main["distance_final"], abs=1e-6)
    assert alpha["floor"] == main["floor"]


def test_half_and_one_differ_by_their_draws_alone():
    """Equation 7 at alpha = 1/2 and 1: the same expectation of the discriminator's loss."""
    from mmlib.data.mixtures import ring
    from mmlib.training import ensemble_game

    alphas = (0.5, 1.0, 0.2)
    members = [one_member("final", alpha) for alpha in alphas]
    net = EnsembleMLP(3, (2, 16, 1)).double()
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(3)
    draws = ensemble_game._Draws(ring(), 2, 100_000, torch.float64, 0).step()
    base = torch.cat([draws["x"], 0.5 * draws["x"].flip(0)]).expand(3, -1, -1)
    mixing = ensemble_game._Mixing(members, net.sites, torch.float64)
    half, one, other = ensemble_game._discriminator_loss(net, base, mixing, draws, "js", 0.0)
    assert half.item() == pytest.approx(one.item(), abs=0.003)
    assert abs(other.item() - half.item()) > 0.01


def test_discriminator_steps_count_updates():
    metrics = experiments.discriminator_steps(smoke(ch07.NDIS, 2), 0)
    assert metrics["player_updates"] == 8 * 6
    longer = smoke(ch07.NDIS, 3)
    assert longer["n_dis"] == 1
    assert experiments.discriminator_steps(longer, 0)["player_updates"] == 8 * 6


def test_folded_draws_pass_and_their_controls_fail():
    for alpha in (0.2, 1.0, 2.0):
        found = experiments.folded({"alpha": alpha, "n": 20_000}, 0)
        assert found["range_error"] <= 0 < found["range_control"]
        assert found["density_error"] < 1e-3 < found["density_control"]
        assert found["formula_error"] < 1e-12
        assert found["at_half_clamped"] == pytest.approx(0.5, abs=1e-3)


def test_mixes_of_two_reals_by_hand():
    found = experiments.real_real({"target": "ring", "alpha": 0.5, "n": 4000}, 0)
    assert found["good"] > found["good_other"] and found["good_true"] > 98
    # lambda near 0 leaves the second point where it is; elsewhere the ring has no mode on the way.
    assert 10 < found["good_other"] < 40
    grid = experiments.real_real({"target": "grid", "alpha": 0.5, "n": 4000}, 0)
    assert grid["good_other"] > found["good_other"] and found["distance"] > 3 * found["floor"]


def test_decoding_finds_points_of_the_lattice():
    net = EnsembleMLP(1, (2, 32, 32, 1), generator=torch.Generator().manual_seed(1))
    ticks = torch.linspace(-3, 3, 25)
    lattice = torch.cartesian_prod(ticks, ticks)
    chosen = lattice[[3, 77, 400]]
    with torch.no_grad():
        states = net.states(chosen[None])
    for site, h in enumerate(states):
        found, away = experiments.decode(net, site, h[0], lattice)
        assert torch.equal(found, chosen) and away.max() < 5e-3  # rounding of cdist
        _, moved = experiments.decode(net, site, h[0] + 0.1, lattice)
        assert moved.max() > 0.01


def test_plausible_and_equilibrium_return_what_is_read():
    metrics = experiments.plausible(smoke(ch07.PLAUSIBLE), 0)
    for site in ("input", "h1", "h2", "h3"):
        assert 0 <= metrics[f"good_{site}"] <= 100 and metrics[f"off_{site}"] >= 0
    found = experiments.equilibrium(smoke(ch07.EQUILIBRIUM), 0)
    for name in experiments.LINE:
        assert {f"{kind}_{name}" for kind in ("predicted", "trained", "push")} <= set(found)
    assert found["predicted_four"] == pytest.approx(1, abs=1e-5)
    assert found["predicted_fr_0.2"] > 1.01


# ------------------------------------------------------------------------------ evidence


def fake(study, profile: str = "quick"):
    """Runs with made-up metrics, distinct in every cell."""
    rng, rows = np.random.default_rng(0), []
    for cell in study.grid[profile]:
        for seed in range(5):
            names = ("quality", "distance", "score", "frechet", "good_other")
            names += tuple(f"good_{site}" for site in ("input", "h1", "h2", "h3"))
            names += tuple(f"{a}_{b}" for a in ("range", "density") for b in ("error", "control"))
            names += tuple(f"eq{i}_{b}" for i in range(1, 8) for b in ("error", "control"))
            if "group" in cell:
                members = members_of(cell["group"])
                names = [f"{s}_{m}" for s in experiments.SCORES for m in members]
            rows.append(cell | {"seed": seed} | {name: rng.normal() for name in names})
    return SimpleNamespace(table=pd.DataFrame(rows), study=study)


def test_every_claim_of_the_chapter_has_a_rule_and_evidence():
    table, written = claims(), rules()
    wanted = set(table.loc[table["chapter"] == "07_gans", "id"])
    shown = {claim for study in STUDIES for claim in study.claims}
    assert shown == wanted
    for study in STUDIES:
        for claim, (function, also) in study.claims.items():
            rule = written[claim]
            assert rule.study == study.name
            found = function(*(fake(one) for one in (study, *also)))
            if isinstance(found, Components):
                assert rule.rule == "all"
                for name in found.parts:
                    rule.part(name)
                assert set(rule.parts) - {"*"} <= set(found.parts)


def test_gains_are_oriented():
    runs = fake(ch07.PLANE)
    table = evidence.by_member(runs)
    assert len(table) == 5 * (28 + 6 * 3) and not table[list(experiments.SCORES)].isna().any().any()
    where = (table["target"] == "ring") & (table["objective"] == "js")
    ring = table[where].pivot_table(index="seed", columns="member", values=["quality", "distance"])
    up = evidence.gain(table, "quality", "fr", "none")
    assert up.values == pytest.approx((ring["quality"]["fr"] - ring["quality"]["none"]).tolist())
    down = evidence.gain(table, "distance", "fr", "none")
    assert down.values == pytest.approx(
        (ring["distance"]["none"] - ring["distance"]["fr"]).tolist()
    )


def test_a_gap_in_units_of_the_spread():
    table = pd.DataFrame(
        {"member": ["a"] * 3 + ["b"] * 3, "seed": [0, 1, 2] * 2, "x": [1.0, 2, 3, 2, 3, 4]}
    )
    found = evidence.over_spread(table, "x", {"member": "b"}, {"member": "a"})
    assert found.values == pytest.approx((1, 1, 1)) and not found.oriented
    same = table.assign(x=1.0)
    assert np.isnan(evidence.over_spread(same, "x", {"member": "b"}, {"member": "a"}).values).all()


def test_image_rows_of_the_paper_are_told_apart():
    images = fake(ch07.DIGITS, "paper")
    images.table = images.table.rename(columns={"score": "inception_score", "frechet": "fid"})
    found = evidence.image_gains(images, [("fr", "none"), ("fr_ff", "fr")], "gp")
    assert len(found) == 4 and all(isinstance(part, Paired) for part in found.values())
    assert evidence.image_gains(fake(ch07.DIGITS), [("fr", "none")], "hinge") == {}
    assert len(evidence.image_gains(images, [("none", "fr")], "hinge")) == 2
    parts = ch07.DIGITS.claims["MMF-E-numbers"][0](images).parts
    assert len(parts) == 6 and parts["baseline, fid"].printed == "21.9"
    assert parts["Manifold Mixup, all layers, inception_score"].printed == "8.04"
    mm = ch07.DIGITS.claims["MM1-T6-mm"][0](images).parts
    assert {part.printed for part in mm.values()} == {"8.05", "20.7"}
    assert all(isinstance(part, Sample) and len(part.values) == 5 for part in mm.values())


def test_quick_numbers_stand_for_no_printed_ones():
    parts = ch07.DIGITS.claims["MM1-T6-mm"][0](fake(ch07.DIGITS)).parts
    assert all(np.isnan(part.values).all() for part in parts.values())


def test_footnote_takes_the_worst_of_all_laws():
    runs = fake(ch07.REALNESS)
    found = ch07.REALNESS.claims["MM1-fn3-clamp"][0](runs).parts["range"]
    assert isinstance(found, Errors)
    assert found.error == runs.table["range_error"].max()
    assert found.control == runs.table["range_control"].min()


def test_differences_of_the_released_code_have_three_columns():
    assert all(len(row) == 3 and all(row) for row in DIFFERENCES.values())
