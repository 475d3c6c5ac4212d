from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlib.measures import (
    accuracy,
    brier,
    entropy,
    expected_calibration_error,
    mean_confidence,
    nll,
)


def logits_of(*rows) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64).log()


P = logits_of((0.5, 0.25, 0.25), (0.125, 0.75, 0.125), (0.25, 0.25, 0.5))
Y = torch.tensor([0, 1, 1])


def test_by_hand():
    assert accuracy(P, Y) == pytest.approx(2 / 3)
    assert nll(P, Y) == pytest.approx(-(math.log(0.5) + math.log(0.75) + math.log(0.25)) / 3)
    parts = (0.25 + 2 / 16, 2 / 64 + 1 / 16, 1 / 16 + 9 / 16 + 1 / 4)
    assert brier(P, Y) == pytest.approx(sum(parts) / 3)
    assert mean_confidence(P) == pytest.approx((0.5 + 0.75 + 0.5) / 3)
    expected = (2 * (0.5 * math.log(2) + 0.5 * math.log(4))) - 0.75 * math.log(0.75)
    assert entropy(P) == pytest.approx((expected + 0.25 * math.log(8)) / 3)


def test_logits_that_need_a_gradient():
    assert nll(P.clone().requires_grad_(), Y) == nll(P, Y)
    assert entropy(P.clone().requires_grad_()) == entropy(P)


def test_soft_targets():
    t = torch.tensor([[0.3, 0.7, 0.0]] * 3)
    by_class = [nll(P, torch.full((3,), k)) for k in range(3)]
    assert nll(P, t) == pytest.approx(0.3 * by_class[0] + 0.7 * by_class[1], rel=1e-6)
    one_hot = torch.nn.functional.one_hot(Y, 3).double()
    assert nll(P, one_hot) == pytest.approx(nll(P, Y))
    assert brier(P, one_hot) == pytest.approx(brier(P, Y))
    # The least value is the entropy of the targets.
    assert nll(P, P.exp()) == pytest.approx(entropy(P))


def test_calibration_by_hand():
    # Bins of a third: (0, 1/3], (1/3, 2/3], (2/3, 1].
    found = expected_calibration_error(P, Y, bins=3)
    assert found == pytest.approx((2 * abs(0.5 - 0.5) + 1 * abs(1 - 0.75)) / 3)
    # Confidences of 0.5 and 0.75 share the bin (0, 1]: accuracy 2/3, confidence 1.75 / 3.
    assert expected_calibration_error(P, Y, bins=1) == pytest.approx(2 / 3 - 1.75 / 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_confidence_on_an_edge_belongs_to_the_lower_bin(dtype):
    # 0.2 = 3 / 15 and 0.201 lie in different bins although float32 makes 0.2 a little larger.
    flat = torch.zeros(1, 5, dtype=dtype)
    above = logits_of((0.201, 0.19975, 0.19975, 0.19975, 0.19975)).to(dtype)
    both = torch.cat([flat, above])
    found = expected_calibration_error(both, torch.tensor([0, 1]))
    assert found == pytest.approx((0.8 + 0.201) / 2, abs=1e-6)


def test_perfect_and_infinitely_sure():
    sure = torch.tensor([[math.inf, 0.0], [0.0, 200.0]])
    sure[0, 0] = 1e30
    y = torch.tensor([0, 1])
    assert (accuracy(sure, y), nll(sure, y)) == (1, 0) and brier(sure, y) < 1e-100
    assert expected_calibration_error(sure, y) == 0 and entropy(sure) < 1e-80
    assert expected_calibration_error(sure, 1 - y) == 1
    excluded = torch.tensor([[0.0, -math.inf]])
    assert nll(excluded, torch.tensor([0])) == 0 == entropy(excluded)
    assert nll(excluded, torch.tensor([1])) == math.inf


def test_long_sums_keep_their_digits():
    logits = torch.tensor([[8.0, 0.0]]).repeat(300_000, 1)
    y = torch.zeros(300_000).long()
    assert nll(logits, y) == pytest.approx(math.log1p(math.exp(-8)), rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 20), bins=st.integers(1, 20))
def test_against_a_loop_and_bounds(seed, scale, bins):
    rng = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(17, 4, generator=rng, dtype=torch.float64)
    y = torch.randint(4, (17,), generator=rng)
    p = logits.softmax(1)
    gap = 0.0
    for i in range(bins):
        rows = [b for b in range(17) if i / bins < p[b].max() <= (i + 1) / bins]
        if rows:
            hits = sum(int(p[b].argmax() == y[b]) for b in rows)
            gap += abs(hits - sum(float(p[b].max()) for b in rows)) / 17
    assert expected_calibration_error(logits, y, bins) == pytest.approx(gap, abs=1e-9)
    assert 0 <= entropy(logits) <= math.log(4) + 1e-12
    assert 0.25 <= mean_confidence(logits) <= 1
    assert 0 <= brier(logits, y) <= 2
    assert -math.log(mean_confidence(logits)) <= entropy(logits) + 1e-12
    assert nll(logits + 3.0, y) == pytest.approx(nll(logits, y))


@pytest.mark.parametrize("score", [accuracy, nll, brier, expected_calibration_error])
@pytest.mark.parametrize("y", [torch.zeros(2).long(), torch.zeros(3), torch.zeros(3, 2)])
def test_targets_that_do_not_fit(score, y):
    with pytest.raises(ValueError, match="targets: expected class indices"):
        score(P, y)


@pytest.mark.parametrize("logits", [torch.zeros(3), torch.zeros(0, 3), torch.zeros(3, 3).long()])
def test_logits_that_do_not_fit(logits):
    with pytest.raises(ValueError, match="logits: expected floats of shape"):
        entropy(logits)
