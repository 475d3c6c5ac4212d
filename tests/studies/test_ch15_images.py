"""Chapter 15, images: runs, vicinal points, distances, times, and the grids they stand in."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from mmlib.evidence import rules
from mmlib.evidence.findings import Components, Paired
from mmlib.mixing import OptimalPairing
from mmlib.studies.ch15 import evidence_images as evidence
from mmlib.studies.ch15 import grids_images as grids
from mmlib.studies.ch15 import hidden, image_runs, pairs_images, read_images, timing, unmixed
from mmlib.studies.ch15 import tables_images as tables
from mmlib.studies.networks import SITES

SMALL = {"data": "digits", "n_train": 256, "n_test": 60, "n_watch": 30, "n_final": 128}


def small(k: int | None = None, **changes):
    return grids.cell("smoke", "mnist", k, **changes) | SMALL


# ------------------------------------------------------------------------------ runs


def test_a_run_records_all_it_says_and_repeats():
    settings = small(8, layers=("input", "block1"))
    metrics, arrays = image_runs.image_run(settings, 3)
    for start in ("own", *(f"k{k}" for k in settings["ks"])):
        assert {f"{start}_{name}" for name in image_runs.VICINAL} <= set(metrics)
    for site in SITES["lenet"]:
        assert {f"{name}_{site}" for name in hidden.MEASURES} <= set(metrics)
    assert arrays["accuracy"].shape == arrays["train_loss"].shape == (settings["epochs"],)
    assert arrays["vicinal"].shape == (settings["epochs"], 2, len(image_runs.VICINAL))
    assert metrics["mean_accuracy"] == pytest.approx(100 * arrays["accuracy"].mean())
    again, _ = image_runs.image_run(settings, 3)
    same = {name: value for name, value in metrics.items() if name != "seconds"}
    assert {name: again[name] for name in same} == pytest.approx(same, nan_ok=True)


def test_runs_of_a_seed_share_all_but_k():
    draws = [image_runs.mixup_of(small(k), 1).draw(64) for k in (2, 16)]
    assert draws[0].lam == draws[1].lam
    layer = draws[0].layer
    assert torch.equal(draws[0].orders[layer], draws[1].orders[layer])
    assert image_runs.mixup_of(small(), 1) is None


def test_sets_of_one_batch_leave_examples_unmixed():
    metrics, _ = image_runs.image_run(small(32, alpha=100.0, sets="batch"), 0)
    assert metrics["own_self_pairs"] > 10 > metrics["k32_self_pairs"] == 0


def test_a_plain_run_has_no_points_of_its_own():
    metrics, arrays = image_runs.image_run(small(), 0)
    assert "vicinal" not in arrays and not any(name.startswith("own_") for name in metrics)
    assert metrics["k32_same_class"] > metrics["k1_same_class"]


# ------------------------------------------------------------------------------ vicinal points


def points(model: nn.Module, x, y, k: int = 4, alpha: float = 1.0, batch: int = 32):
    rng = torch.Generator().manual_seed(5)
    options = {"pairing": OptimalPairing(k), "alpha": alpha, "batch": batch, "generator": rng}
    return image_runs.vicinal(model, x, y, "input", **options)


class Known(nn.Module):
    """Answers with the nearer of two centres, -1 and 1, in the first coordinate."""

    def forward(self, x):
        return torch.stack([-x[:, 0], x[:, 0]], 1)


def test_accuracies_of_a_classifier_known_by_hand():
    # Two classes at -1 and 1: the mix lies on the side of the larger weight.
    y = torch.arange(640) % 2
    x = (2.0 * y - 1).view(-1, 1)
    found = points(Known(), x, y, k=1)
    assert found["larger"] == 1 == found["cross_larger"]
    assert found["weighted"] == pytest.approx(found["ceiling"])
    # E max(lambda, 1 - lambda) = 3/4 for uniform lambda.
    assert found["cross_weighted"] == pytest.approx(0.75, abs=0.03)
    total = found["same_class"] + (1 - found["same_class"]) * found["cross_weighted"]
    assert found["weighted"] == pytest.approx(total, abs=0.01)
    # A classifier that is always wrong is never right by any weight on same-class pairs.
    wrong = points(nn.Sequential(Known(), nn.Linear(2, 2, bias=False)), x, y, k=1)
    assert wrong["weighted"] <= wrong["ceiling"] + 1e-6


def test_matching_brings_partners_of_one_class():
    y = torch.arange(640) % 2
    noise = torch.randn(640, 3, generator=torch.Generator().manual_seed(0))
    x = noise + 4.0 * (2.0 * y - 1).view(-1, 1)
    one, many = (points(Known(), x, y, k=k) for k in (1, 8))
    assert one["same_class"] == pytest.approx(0.5, abs=0.06) and many["same_class"] > 0.7
    assert one["match_ratio"] == pytest.approx(1, abs=0.1) and many["match_ratio"] < 0.6
    assert one["self_pairs"] == many["self_pairs"] == 0


def test_looking_leaves_the_network_as_it_was():
    net = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 2)).train()
    before = net[0].running_mean.clone()
    points(net, torch.randn(64, 1) + 3, torch.arange(64) % 2)
    assert net.training and torch.equal(net[0].running_mean, before)


# ------------------------------------------------------------------------------ distances


def test_distances_of_round_clouds():
    rng = torch.Generator().manual_seed(1)
    for d in (4, 64):
        squares = hidden.squared_distances(torch.randn(1000, d, generator=rng))
        assert 2 / hidden.spread(squares) ** 2 == pytest.approx(d, rel=0.1)
    low, high = (
        hidden.contrast(hidden.squared_distances(torch.randn(400, d, generator=rng)))
        for d in (2, 200)
    )
    assert low > 20 * high


def test_squared_distances_do_not_lose_digits_far_away():
    x = torch.randn(30, 5, generator=torch.Generator().manual_seed(2)).double()
    direct = (x[:, None] - x).square().sum(-1)
    assert torch.allclose(hidden.squared_distances(x + 1e5), direct, atol=1e-6)


def test_class_auc_is_one_half_without_classes_and_a_count_with_ties():
    rng = torch.Generator().manual_seed(3)
    squares = hidden.squared_distances(torch.randn(300, 8, generator=rng))
    assert hidden.class_auc(squares, torch.arange(300) % 3) == pytest.approx(0.5, abs=0.02)
    squares, y = torch.tensor([[0.0, 1, 1], [1, 0, 4], [1, 4, 0]]), torch.tensor([0, 0, 1])
    assert hidden.class_auc(squares, y) == pytest.approx(0.75)  # 1 < 4 counts one, 1 = 1 a half
    assert math.isnan(hidden.class_auc(squares, torch.zeros(3)))


def test_matched_partners_stay_in_their_batch():
    h = torch.randn(70, 2, generator=torch.Generator().manual_seed(4))
    partner = hidden.matched(h, 8, 32, 0)
    assert len(partner) == 64 and (partner // 32 == torch.arange(64) // 32).all()
    assert sorted(partner.tolist()) == list(range(64)) and (partner != torch.arange(64)).all()


# ------------------------------------------------------------------------------ written out


def test_manifold_k_mixup_is_its_definition_and_controls_fail():
    for k in (2, 8):
        found = hidden.extension({"k": k, "batch": 32, "width": 4, "draws": 100}, 1)
        for name in ("input", "hidden", "set"):
            assert found[f"{name}_error"] < 1e-9 < 1e-2 < found[f"{name}_control"]
        assert found["site_z"] < 4 < found["site_control"]
        assert found["released_same"] < 1e-9 < 1 < found["released_gap"]


def test_assignment_by_hand_is_the_best_of_all():
    import itertools

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 3))
    costs = {
        p: sum(((a[i] - b[j]) ** 2).sum() for i, j in enumerate(p))
        for p in itertools.permutations(range(5))
    }
    assert tuple(hidden.assigned(a, b)) == min(costs, key=costs.get)


# ------------------------------------------------------------------------------ times and grids


def test_times_have_every_arm():
    settings = {"model": "lenet", "width": 3, "batch": 16, "rounds": 3, "ks": (1, 4)}
    found = timing.step_seconds(settings, 0)
    assert found["plain_over_plain"] == found["input_1_over_mixup"] == 1
    for arm in timing.arms("lenet", (1, 4)):
        assert found[f"{arm}_ms"] > 0 and found[f"{arm}_over_mixup"] > 0
    assert found["match_4_ms"] > 0


def test_sites_are_those_of_the_text():
    assert grids.sites("preactresnet18", "pair") == ("input", "layer1")
    assert grids.sites("preactresnet18", "all") == ("layer1", "layer2", "layer3", "layer4")
    assert grids.sites("preactresnet18", "deep") == ("layer2", "layer3", "layer4")
    with pytest.raises(ValueError, match="set"):
        grids.sites("lenet", "some")


def test_grids_hold_what_is_compared():
    for study in (grids.MNIST, grids.CIFAR, grids.MANIFOLD):
        for profile, cells in study.grid.items():
            for one in cells:
                assert one["batch"] % one.get("k", 1) == 0
                assert profile == "paper" or one["n_train"] % one["batch"] == 0
    paper = grids.CIFAR.grid["paper"]
    assert {(c["k"], c["alpha"]) for c in paper if "k" in c and c["sets"] == "disjoint"} == {
        (k, alpha) for k in grids.KS for alpha in grids.ALPHAS_PRINTED
    }
    assert all(c["model"] == "preactresnet18" and c["epochs"] == 200 for c in paper)


# ------------------------------------------------------------------------------ reading


STUDIES = (grids.MNIST, grids.CIFAR, grids.MANIFOLD, grids.EXTENSION, grids.STEPS)


def fake(study, profile: str = "quick", seeds: int = 5):
    """Runs with made-up metrics, distinct in every cell, and rising curves."""
    rng, rows, arrays = np.random.default_rng(0), [], []
    for seed in range(seeds):
        for cell in study.grid[profile]:
            names = ["accuracy", "nll", "site_z", "site_control"]
            names += [f"own_{name}" for name in image_runs.VICINAL]
            names += [f"k{k}_{name}" for k in (1, 8, 32) for name in image_runs.VICINAL]
            names += [
                f"{n}_{end}" for n in ("input", "hidden", "set") for end in ("error", "control")
            ]
            if "epochs" in cell:
                names += [f"{m}_{site}" for m in hidden.MEASURES for site in SITES[cell["model"]]]
            elif "rounds" in cell:
                arms = timing.arms(cell["model"], cell["ks"])
                names += [f"{arm}_over_{base}" for arm in arms for base in ("mixup", "plain")]
                names += [f"{arm}_ms" for arm in arms] + [f"match_{k}_ms" for k in cell["ks"]]
            rows.append(cell | {"seed": seed} | {name: rng.uniform(50, 60) for name in names})
            epochs = np.sort(rng.uniform(0.3, 0.6, cell.get("epochs", 1)))
            arrays.append({"accuracy": epochs, "vicinal": rng.uniform(size=(len(epochs), 1, 8))})
    table = pd.DataFrame(rows)
    return SimpleNamespace(
        table=table, study=study, seeds=tuple(range(seeds)), arrays=lambda index: arrays[index]
    )


def test_every_claim_has_a_rule_that_fits_its_evidence():
    shown = {claim for study in STUDIES for claim in study.claims}
    written = rules()
    if not shown <= set(written):
        pytest.skip("the rules of the chapter are not merged yet")
    for study in STUDIES:
        for claim, (function, also) in study.claims.items():
            rule = written[claim]
            assert rule.study == study.name and rule.rule == "all"
            found = function(*(fake(one) for one in (study, *also)))
            assert isinstance(found, Components)
            for name in found.parts:
                rule.part(name)
            assert set(rule.parts) - {"*"} <= set(found.parts)


def test_evidence_survives_changed_settings():
    for study in (grids.MNIST, grids.CIFAR, grids.MANIFOLD):
        for claim, (function, also) in study.claims.items():
            runs = [fake(one, seeds=2) for one in (study, *also)]
            for one in runs:
                if "alpha" in one.table:
                    one.table["alpha"] = one.table["alpha"].where(one.table["alpha"].isna(), 3.0)
            assert function(*runs).parts, claim


def test_values_are_those_of_the_cell_and_nan_where_there_is_none():
    runs = fake(grids.CIFAR)
    table = runs.table
    mask = (table["k"] == 8) & (table["alpha"] == 10)
    found = read_images.value(runs, "accuracy", 8, 10.0)
    assert found.tolist() == table[mask]["accuracy"].tolist()
    assert read_images.value(runs, "accuracy", 7, 10.0).isna().all()
    assert read_images.value(runs, "accuracy", None).notna().all()
    one = read_images.value(runs, "accuracy", 32, 100.0)
    other = read_images.value(runs, "accuracy", 32, 100.0, sets="batch")
    assert (one != other).all()


def test_held_out_gain_is_free_of_the_luck_of_choosing():
    rng = np.random.default_rng(1)
    naive, honest = [], []
    for _ in range(400):
        table = pd.DataFrame(rng.normal(size=(5, 6)), columns=[1, 2, 4, 8, 16, 32])
        mean = table.mean()
        naive.append(mean.drop(1).max() - mean[1])
        honest.append(read_images.held_out(table).mean())
    assert abs(np.mean(honest)) < 3.5 * np.std(honest) / 20 < 0.2
    assert np.mean(naive) == pytest.approx(tables.expected_best(5) / 5**0.5, abs=0.1)
    assert read_images.held_out(table.iloc[:1]).isna().all()


def test_chance_of_a_gain_by_simulation():
    z = np.random.default_rng(2).normal(size=(200_000, 6))
    for gain in (0.0, 0.7):
        share = (z[:, 1:].max(1) - z[:, 0] >= gain).mean()
        assert tables.by_chance(gain) == pytest.approx(share, abs=0.005)
    found = tables.chance(("cifar10",)).set_index("alpha")
    assert found.loc[100.0, "by chance"] < 1e-6 and found.loc[0.1, "by chance"] > 5 / 6


def test_reach_of_straight_and_late_curves():
    straight = np.linspace(0.1, 1.0, 10)[1:]  # from chance to 1 at equal speed
    expected = (np.mean(read_images.LEVELS) - 0.1) / 0.9
    assert read_images.reach(straight, 1.0) == pytest.approx(expected)
    assert read_images.reach([0.1, 0.1, 1.0], 1.0) > read_images.reach([1.0, 1.0, 1.0], 1.0)
    assert read_images.reach(straight, 0.5) < read_images.reach(straight, 1.0)


def test_rise_at_the_drop_is_that_of_one_epoch():
    runs = fake(grids.CIFAR)
    row = read_images.chosen(runs, 1, 1.0).iloc[0]
    curve = runs.arrays(row.name)["accuracy"]
    half = row["epochs"] // 2
    found = read_images.rise_at_drop(runs, 1, "step")[row["seed"]]
    assert found == pytest.approx(100 * (curve[half] - curve[half - 1]))


def test_differences_are_oriented():
    runs = fake(grids.CIFAR)
    parts = runs.study.claims["KM-F7-train"][0](runs).parts
    higher = [
        read_images.value(runs, "own_weighted", 32, a)
        - read_images.value(runs, "own_weighted", 1, a)
        for a in (1.0, 10.0)
    ]
    assert parts["higher, alpha 10"].values == pytest.approx(tuple(higher[1]))
    assert parts["most at alpha 10"].values == pytest.approx(tuple(higher[1] - higher[0]))
    faster = runs.study.claims["KM-F7-speed"][0](runs).parts
    assert isinstance(faster["faster, alpha 1"], Paired)
    base = read_images.last_accuracy(runs, 1)
    one, many = (read_images.reached(runs, k, base=base) for k in (1, 32))
    assert faster["faster, alpha 1"].values == pytest.approx(tuple(one - many))


def test_printed_parts_are_read_from_the_cells():
    assert evidence.published_digits("mnist")[32, 100.0] == "99.18"
    parts = grids.MANIFOLD.claims["KM-F9-boost"][0](fake(grids.MANIFOLD)).parts
    assert parts["printed, alpha 1"].value == 0.01 and parts["printed, alpha 10"].value == 0.28
    below = parts["printed, below at the others"]
    assert below.error == 0 and below.control == 1


# ------------------------------------------------------------------------------ tables


def test_parts_of_a_change_add_up():
    s, a, b = np.random.default_rng(3).uniform(size=(3, 2))
    whole = np.diff(s * a + (1 - s) * b)[0]
    assert sum(tables.parts_of(s, a, b).values()) == pytest.approx(whole)


def test_one_batch_counts_pairs():
    table = pairs_images.one_batch("digits", [1, 16], 0, batches=4)
    apart = table.xs("disjoint blocks")
    assert (apart["not mixed, %"] == 0).all()
    assert apart["partners of one class, %"].is_monotonic_increasing
    same = table.xs("one batch, as released")
    assert same.loc[16, "not mixed, %"] == pytest.approx(100 * 16 / 128, abs=5)


def test_mixes_are_half_way():
    found = pairs_images.mixes("digits", 4, 0, n=3)
    assert found.shape[:2] == (5, 3)
    assert np.allclose(found[2], (found[0] + found[1]) / 2, atol=1e-6)
    assert np.allclose(found[4], (found[0] + found[3]) / 2, atol=1e-6)


def test_spread_follows_the_formula_and_its_control_does_not():
    table = tables.clouds(0, n=400)
    assert np.allclose(table["independent"], table["sqrt(2 / d)"], rtol=0.15)
    assert (table["random scales (control)"] > 1.3 * table["sqrt(2 / d)"]).all()


# ------------------------------------------------------------------------------ unmixed


def test_without_unmixed_examples_a_run_is_that_of_the_grid():
    settings = small(8, alpha=100.0)
    full, _ = image_runs.image_run(settings, 2)
    found = unmixed.unmixed_run(settings | {"share": 0.0}, 2)
    assert {name: found[name] for name in found} == {name: full[name] for name in found}
    other = unmixed.unmixed_run(settings | {"share": 0.5}, 2)
    assert other["train_loss"] != found["train_loss"]


def test_share_of_unmixed_examples():
    x = torch.randn(128, 2, generator=torch.Generator().manual_seed(6))
    for k in (1, 32):
        pairing = unmixed.WithUnmixed(k, 0.25)
        order = pairing.draw(128, torch.Generator().manual_seed(7))
        own = order[0] == pairing.match(order, x)
        assert own.sum() == 32 and own[:32].all()
        rest = OptimalPairing(k).match(order, x)[32:]
        assert torch.equal(pairing.match(order, x)[32:], rest)
    with pytest.raises(ValueError, match="share"):
        unmixed.WithUnmixed(2, 1.5)


def test_rows_of_sets_are_those_of_their_cells():
    runs = {"MNIST": fake(grids.MNIST), "CIFAR-10": fake(grids.CIFAR)}
    extra = fake(unmixed.UNMIXED)
    samples, looks = tables.sets_compared(runs, extra)
    for title, data in (("MNIST", "mnist"), ("CIFAR-10", "cifar10")):
        rows = samples[title]
        assert list(rows) == [
            *("no mixup", "1-mixup", "1, 6 % unmixed", "1, 25 % unmixed"),
            *("32, disjoint", "32, 25 % unmixed", "32, one batch"),
        ]
        assert set(rows) <= set(looks)
        table = extra.table[(extra.table["data"] == data) & (extra.table["k"] == 32)]
        assert rows["32, 25 % unmixed"].tolist() == table["accuracy"].tolist()


def test_random_mixes_keep_half_of_the_power_and_matched_ones_more_of_the_coarse():
    table = pairs_images.kept_power(("digits",), 32, 0, batches=8)
    one, many = (table.xs(k, level="k").iloc[0] for k in (1, 32))
    assert np.allclose(one.dropna(), 0.5, atol=0.05)
    assert many["below 3"] > one["below 3"] + 0.05
