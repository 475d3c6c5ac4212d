from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import spence

from mmlib.measures import beta_nodes
from mmlib.measures.logit_gap import (
    clean_nll,
    many_classes_rate,
    mixed_risk,
    optimal_gap,
    risk_slope,
    same_class,
    small_alpha_gap,
    smoothing_for,
    smoothing_gap,
)
from mmlib.mixing import soft_cross_entropy


def test_share_of_one_class_against_drawn_batches():
    n, classes, batch, rng = 24, 3, 8, np.random.default_rng(0)
    y, hits, rounds = np.arange(n) % classes, 0, 20_000
    for _ in range(rounds):
        rows = y[rng.permutation(n)[:batch]]
        hits += (rows == rows[rng.permutation(batch)]).sum()
    wanted, got = same_class(n, classes, batch), hits / rounds / batch
    assert abs(got - wanted) < 0.004
    assert abs(got - 1 / classes) > 0.02  # the control: what all pairs would give
    assert same_class(n, classes) == pytest.approx(same_class(n, classes, n)) == 1 / classes


def test_risk_against_drawn_mixes():
    rng = np.random.default_rng(1)
    gap, classes, same, n = 2.5, 4, 0.4, 200_000
    lam = torch.from_numpy(rng.beta(2.0, 2.0, n))[:, None]
    eye = torch.eye(classes, dtype=torch.float64)
    first, other = eye[:1], eye[torch.from_numpy((rng.random(n) > same).astype(int))]
    target = lam * first + (1 - lam) * other
    wanted = soft_cross_entropy(gap * target, target)
    assert mixed_risk(gap, classes, *beta_nodes(2.0), same) == pytest.approx(
        float(wanted), abs=5e-3
    )


@pytest.mark.parametrize("same", [0.05, 0.5])
def test_slope_is_the_derivative_and_vanishes_at_the_gap(same):
    lam, weights = beta_nodes(0.5)
    for gap in (0.5, 4.0, 30.0):
        step = 1e-5
        up, down = (mixed_risk(gap + k * step, 5, lam, weights, same) for k in (1, -1))
        slope = risk_slope(gap, 5, lam, weights, same)
        assert slope == pytest.approx((up - down) / (2 * step), abs=1e-8)
    found = optimal_gap(5, lam, weights, same)
    assert abs(risk_slope(found.gap, 5, lam, weights, same)) < 1e-12
    assert found.nll == clean_nll(found.gap, 5) and found.confidence == np.exp(-found.nll)
    assert found.risk == mixed_risk(found.gap, 5, lam, weights, same)
    assert found.risk < min(mixed_risk(found.gap + d, 5, lam, weights, same) for d in (-0.1, 0.1))


def test_two_classes_and_even_lambda_in_closed_form():
    s = optimal_gap(2, *beta_nodes(1.0)).gap
    dilog = spence(1 + np.exp(-s))  # scipy's spence(1 - z) is Li2(z)
    part = (np.pi**2 / 12 - s * np.log1p(np.exp(-s)) + dilog) / s**2
    assert 1 / (1 + np.exp(s)) == pytest.approx(1 / 12 - part, abs=1e-12)


def test_partners_of_ones_own_class_raise_the_gap():
    gaps = [optimal_gap(4, *beta_nodes(1.0), same).gap for same in (0.0, 0.1, 0.25, 0.9)]
    assert gaps == sorted(gaps) and gaps[-1] - gaps[0] > 1.5


@pytest.mark.parametrize("classes", [2, 10])
def test_small_alpha(classes):
    errors = [
        abs(optimal_gap(classes, *beta_nodes(a, 200)).gap - small_alpha_gap(a, classes))
        for a in (1e-1, 1e-2, 1e-3, 1e-4)
    ]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.06
    # The control: another constant in the logarithm stays off.
    assert abs(optimal_gap(classes, *beta_nodes(1e-4, 200)).gap - np.log(classes / 1e-4)) > 1


def test_many_classes():
    def rate(classes: int) -> float:
        # A band of width 1 / log K around 1 / c: more nodes than elsewhere.
        return optimal_gap(classes, *beta_nodes(1.0, 500)).gap / np.log(classes)

    rates = [rate(10**k) for k in (2, 4, 8, 12)]
    wanted = many_classes_rate(1.0)
    assert rates == sorted(rates, reverse=True) and wanted == pytest.approx(3**0.5)
    assert abs(rates[-1] - wanted) < 0.01 and abs(rates[0] - wanted) > 0.2
    assert many_classes_rate(8.0) > wanted  # narrow laws let the gap grow


def test_smoothing_wants_its_gap():
    for share in (0.05, 0.4, 1.0):
        target = torch.full((6,), share / 6, dtype=torch.float64)
        target[0] += 1 - share
        u = torch.zeros(6, dtype=torch.float64)
        u[0] = smoothing_gap(share, 6)
        assert torch.allclose(u.softmax(0), target)
        assert smoothing_for(float(u[0]), 6) == pytest.approx(share)


def test_no_gap_is_asked_for_at_the_middle_or_the_ends_only():
    for lam in ([0.5], [0.0, 1.0], [0.0, 0.5]):
        with pytest.raises(ValueError, match="lam: expected values other than 0, 1/2 and 1"):
            optimal_gap(3, lam, np.full(len(lam), 1 / len(lam)))
        # The reason: the risk falls on and on.
        weights = np.full(len(lam), 1 / len(lam))
        assert all(risk_slope(s, 3, np.array(lam), weights, 1 / 3) < 0 for s in (1.0, 5.0, 20.0))
    assert optimal_gap(3, [0.5, 0.4], [0.99, 0.01]).gap > 5


def test_bad_input_names_itself():
    with pytest.raises(ValueError, match="same: expected a finite number >= 0 and < 1"):
        optimal_gap(3, *beta_nodes(1.0), same=1.0)
    with pytest.raises(ValueError, match="batch: expected an integer >= 2 and <= 10"):
        same_class(10, 2, 20)
    with pytest.raises(ValueError, match="share: expected a finite number > 0"):
        smoothing_gap(0.0, 3)
    with pytest.raises(ValueError, match="alpha"):
        small_alpha_gap(0.0, 2)
