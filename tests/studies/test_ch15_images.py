"""Chapter 15, images: runs, vicinal points, distances, times, and the grids they stand in."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from mmlib.mixing import OptimalPairing
from mmlib.studies.ch15 import grids_images as grids
from mmlib.studies.ch15 import hidden, image_runs, timing
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
