from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from mmlib.measures import beta_nodes, chord_curvature, within_over_total
from mmlib.measures.logit_gap import optimal_gap, same_class
from mmlib.mixing import soft_cross_entropy
from mmlib.models.bottleneck import bottleneck
from mmlib.studies.ch12 import (
    evidence_gap,
    expansion,
    free_logits,
    gap,
    grids_gap,
    predictions_gap,
    pressure,
    seen,
)

NODES = beta_nodes(1.0, 12)


def rng(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def settings(**changes):
    found = grids_gap.gap_cell("smoke", 3, alphas=(1.0,), smooth=(1.0,)) | changes
    return found | {"data": "digits"}


# ------------------------------------------------------------------------------ free logits


@pytest.mark.parametrize("batch", [None, 3])
def test_free_logits_end_at_one_gap_for_all(batch):
    y = torch.arange(6) % 3
    u = free_logits.minimiser(y, 3, NODES, free_logits.pair_weights(y, batch))
    wanted = optimal_gap(3, *NODES, same_class(6, 3, batch)).gap
    centred = torch.eye(3, dtype=torch.float64)[y] - 1 / 3
    assert torch.allclose(u, wanted * centred, atol=1e-4)
    other = optimal_gap(3, *NODES, same_class(6, 3, 3 if batch is None else None)).gap
    assert not torch.allclose(u, other * centred, atol=1e-2)


def test_the_start_does_not_matter_and_the_risk_is_the_smallest():
    y = torch.arange(6) % 3
    pairs = free_logits.pair_weights(y)
    one, two = (free_logits.minimiser(y, 3, NODES, pairs, seed) for seed in (0, 1))
    assert torch.allclose(one, two, atol=1e-4)
    lam, weights = map(torch.from_numpy, NODES)
    least = free_logits.risk(one, y, lam, weights, pairs)
    assert float(least) == pytest.approx(optimal_gap(3, *NODES).risk, abs=1e-9)
    for seed in range(5):
        other = one + 0.1 * torch.randn(one.shape, generator=rng(seed), dtype=torch.float64)
        assert free_logits.risk(other, y, lam, weights, pairs) > least


def test_unequal_classes_have_unequal_gaps():
    y = torch.tensor([0, 0, 0, 0, 1])
    u = free_logits.minimiser(y, 2, NODES, free_logits.pair_weights(y))
    gaps = gap.gaps(u, y)
    assert torch.allclose(gaps[:4], gaps[:1].expand(4), atol=1e-4)
    assert float(gaps[0] - gaps[4]) > 0.3


def test_pairs_add_up_to_one():
    y = torch.arange(7) % 2
    for batch in (None, 3, 7):
        assert float(free_logits.pair_weights(y, batch).sum()) == pytest.approx(1)


# ------------------------------------------------------------------------------ seen and unseen


def test_what_the_head_does_not_see_gets_no_gradient():
    head, z = nn.Linear(7, 3).double(), torch.randn(20, 7, generator=rng(), dtype=torch.float64)
    z.requires_grad_()
    target = torch.rand(20, 3, generator=rng(1), dtype=torch.float64)
    soft_cross_entropy(head(z), target / target.sum(1, keepdim=True)).backward()
    basis = seen.seen_basis(head)
    assert basis.shape == (7, 2)
    assert torch.allclose(basis @ (basis.T @ z.grad.T), z.grad.T, atol=1e-14)
    # A squared loss sees the mean row, too.
    z.grad = None
    pressure.half_squared(head(z), target).backward()
    assert not torch.allclose(basis @ (basis.T @ z.grad.T), z.grad.T, atol=1e-4)


def test_parts_add_up_to_the_variance_of_all_directions():
    z, y = torch.randn(60, 5, generator=rng()), torch.arange(60) % 3
    z[:, 0] += 4 * y
    basis = torch.linalg.qr(torch.randn(5, 2, generator=rng(1), dtype=torch.float64))[0]
    found = seen.parts(z, y, basis)
    within = found["within_seen"] + found["within_unseen"]
    total = found["total_seen"] + found["total_unseen"]
    assert total == pytest.approx(float(z.double().var(0, correction=0).sum()))
    assert within / total == pytest.approx(within_over_total(z, y))


def test_all_pairs_risk_against_the_free_logits():
    u = torch.randn(6, 3, generator=rng(), dtype=torch.float64)
    y, same = torch.arange(6) % 3, 0.2
    alike = (y[:, None] == y[None]).double()
    alike -= torch.eye(6)
    pairs = same * alike / alike.sum()
    other = (y[:, None] != y[None]).double()
    pairs += (1 - same) * other / other.sum()
    lam, weights = map(torch.from_numpy, beta_nodes(2.0, 8))
    wanted = free_logits.risk(u, y, lam, weights, pairs)
    assert gap.all_pairs_risk(u, y, 2.0, same, 8) == pytest.approx(float(wanted))


# ------------------------------------------------------------------------------ trained networks


def test_members_of_a_run_and_their_metrics():
    metrics, arrays = gap.gap(settings(), 0)
    names = ["plain", "mixed_1", "smooth_1"]
    assert list(gap.members(settings(), 0)) == names
    assert arrays["train_gaps"].shape[0] == arrays["wrong"].shape[0] == 3
    for name in names:
        within = metrics[f"train_within_seen_{name}"] / metrics[f"train_total_seen_{name}"]
        assert 0 < within < 1 and 0 < metrics[f"test_accuracy_{name}"] <= 100
    again, _ = gap.gap(settings(), 0)
    assert again == metrics or any(np.isnan(value) for value in metrics.values())


def test_a_network_reaches_the_gap_that_plain_training_passes():
    # Few images that fit one batch, so that noise is small; the width lets it place them freely.
    small = settings(n_train=30, batch=30, width=64, epochs=700, alphas=(1.0,), smooth=(1.0,))
    metrics, _ = gap.gap(small | {"n_test": 30}, 0)
    wanted = metrics["asked_mixed_1"]
    assert metrics["train_gap_mixed_1"] == pytest.approx(wanted, rel=0.1)
    assert metrics["train_gap_smooth_1"] == pytest.approx(wanted, rel=0.1)
    assert metrics["train_gap_plain"] > 1.5 * wanted


def test_looks_of_a_long_run():
    long = settings(epochs=4, looks=3, optimizer="sgd", schedule="constant", lr=0.03)
    metrics, arrays = gap.long(long, 0)
    assert arrays["epochs"].tolist() == [1, 2, 4]
    assert arrays["curves"].shape == (3, 3, 2, len(gap.CURVES))
    assert metrics["train_gap_plain"] == pytest.approx(float(arrays["curves"][-1, 0, 0, 0]), 1e-5)


# ------------------------------------------------------------------------------ expansion


def test_second_derivative_of_a_cubic():
    z, d = torch.randn(2, 5, 3, generator=rng(), dtype=torch.float64)
    found = expansion.second_derivative(lambda at: at**3, z, d)
    assert torch.allclose(found, 6 * z * d**2)


def test_powers_and_their_controls():
    cell = grids_gap.EXPANSION.grid["smoke"][0]
    metrics = expansion.expansion(cell, 3)
    for name, power in predictions_gap.POWERS.items():
        assert metrics[name] == pytest.approx(power, abs=0.15), name
    for wrong, right in predictions_gap.CONTROLS.items():
        assert metrics[wrong] < predictions_gap.POWERS[right] - 0.8
    assert metrics["gap_identity"] < 1e-12 < 1e-4 < metrics["gap_control"]
    assert metrics["curved_excess"] < 1e-5 < 1e-2 < metrics["affine_excess"]


# ------------------------------------------------------------------------------ pressure


def net(seed: int = 0) -> nn.Sequential:
    return bottleneck(6, 3, width=12, code=5, before=1, after=1, seed=seed)


class Few(pressure.Batch):
    def __init__(self, n: int = 24) -> None:
        self.x = torch.randn(n, 6, generator=rng())
        self.labels = torch.arange(n) % 3
        self.y, self.partner = torch.eye(3)[self.labels], torch.arange(n).roll(1)


def test_parts_of_the_loss_add_up():
    a, b, m = torch.randn(3, 8, 4, generator=rng(), dtype=torch.float64)
    y = torch.eye(4, dtype=torch.float64)[torch.arange(8) % 4]
    targets = (y, y.roll(1, 0))
    for loss in pressure.LOSSES.values():
        found = pressure.loss_parts((a, b), m, targets, 0.3, loss)
        wanted = loss(m, 0.3 * targets[0] + 0.7 * targets[1])
        assert float(sum(found)) == pytest.approx(float(wanted))
        straight = pressure.loss_parts((a, b), 0.3 * a + 0.7 * b, targets, 0.3, loss)
        assert float(straight[2]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("loss", list(pressure.LOSSES))
def test_rates_are_what_a_small_step_does_to_the_curvature(loss):
    batch, model = Few(), net().double()
    batch.x, batch.y = batch.x.double(), batch.y.double()
    found = pressure.pressures(model, batch, loss)
    features, head = pressure.split(model)
    z = features(batch.x)
    ends = (head(z), head(z)[batch.partner])
    value = sum(
        pressure.loss_parts(
            ends, head(torch.lerp(z[batch.partner], z, lam)),
            (batch.y, batch.y[batch.partner]), lam, pressure.LOSSES[loss],
        )[2]
        for lam in pressure.LAMS
    ) / len(pressure.LAMS)  # fmt: skip
    slopes = torch.autograd.grad(value, list(head.parameters()))
    before, step = np.log(batch.curvature(model)), 1e-5
    with torch.no_grad():
        for weight, slope in zip(head.parameters(), slopes, strict=True):
            weight -= step * slope
    rate = (np.log(batch.curvature(model)) - before) / step
    assert found["head_rate_curvature"] == pytest.approx(rate, rel=1e-2)
    norm = float(sum(s.square().sum() for s in slopes).sqrt())
    assert found["head_curvature"] == pytest.approx(norm)


def test_who_moved_adds_up_and_names_the_right_one():
    batch, before, now = Few(), net(0), net(0)
    with torch.no_grad():
        now.get_submodule("layer2")[0].weight.mul_(3)
    head, features = pressure.moved(before, now, batch)
    assert features == pytest.approx(0, abs=1e-6) and abs(head) > 1e-3
    other = net(1)
    whole = np.log(batch.curvature(other)) - np.log(batch.curvature(before))
    assert sum(pressure.moved(before, other, batch)) == pytest.approx(whole, abs=1e-5)


def test_an_affine_head_has_straight_log_odds():
    batch, model = Few(), net()
    lams = torch.linspace(0, 1, 5)
    odds = pressure.profile(model, batch, lams, "layer2").double()
    assert torch.allclose(odds.diff(), odds.diff()[:1].expand(4), atol=1e-5)
    bent = pressure.profile(model, batch, lams, "code").double()
    assert not torch.allclose(bent.diff(), bent.diff()[:1].expand(4), atol=1e-4)
    assert chord_curvature(model, batch.x, "layer2", partner=batch.partner) < 1e-10


def test_a_run_of_pressure():
    cell = grids_gap.pressure_cell("smoke", "squared") | {"data": "digits", "width": 16}
    metrics, arrays = pressure.pressure(cell, 0)
    assert arrays["watched"].shape == (len(arrays["epochs"]), 3, len(pressure.WATCHED))
    last = arrays["watched"][-1, 1, 0]
    assert metrics["curvature_deep"] == pytest.approx(float(last), rel=1e-5)
    total = metrics["head_moved_deep"] + metrics["features_moved_deep"]
    first = arrays["watched"][0, 1, 0]
    assert total == pytest.approx(float(np.log(last / first)), abs=1e-3)
    with pytest.raises(ValueError, match="member: expected one of"):
        pressure.members(cell | {"members": ("depe",)}, 0)


# ------------------------------------------------------------------------------ predictions


def test_decisions_can_go_either_way():
    def one(kind, margin, values):
        made = predictions_gap.Prediction(
            "x", "s", "", kind, margin, lambda _: {"c": pd.Series(values)}
        )
        return evidence_gap.held(evidence_gap.decided(made, None)["decision"])

    near = [0.01, 0.02, 0.0, 0.01, -0.01]
    assert one("same", 0.1, near) == "yes" and one("same", 0.001, [v + 1 for v in near]) == "no"
    assert one("above", 0.0, [v + 1 for v in near]) == "yes"
    assert one("above", 0.5, near) == "no" and one("above", 0.0, [1, -1, 1, -1, 0]) == "0 of 1"
    assert one("above", 0.0, [1.0, 2.0]) == "too few seeds"


def test_the_share_of_a_gain_that_is_zero_is_unknown():
    index = pd.MultiIndex.from_product([[2, 10], ["mixed over plain", "smooth over plain"]])
    table = pd.DataFrame({"points": [9.0, 9.0, 4.0, 1.0]}, index=index)
    table.index.names = ["classes", "comparison"]
    assert evidence_gap.smoothing_share(table) == (10, 0.25)
    table.loc[(10, "mixed over plain"), "points"] = 0.0
    assert math.isnan(evidence_gap.smoothing_share(table)[1])


def test_digits_of_few_classes():
    assert grids_gap.digits_for(10) == tuple(range(10))
    assert set(grids_gap.digits_for(2)) < set(grids_gap.digits_for(5))
    with pytest.raises(ValueError, match="classes: expected an integer >= 2 and <= 10"):
        grids_gap.digits_for(11)


def test_the_table_of_free_logits_has_two_cases_that_agree_and_two_that_do_not():
    table = free_logits.compared(2.0, 8)
    off = (table[["least", "most"]].sub(table["predicted"], axis=0)).abs().max(axis=1)
    control = table.index.str.startswith("control")
    assert (off[~control] < 1e-5).all() and (off[control] > 0.1).all()
    assert (table["starts"] < 1e-5).all()
