"""The two-neighbours estimate on clouds whose dimension is known."""

from __future__ import annotations

import math

import pytest
import torch

from mmlib.measures.intrinsic import two_nn


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dimension", [1, 2, 5])
@pytest.mark.parametrize("trim", [0.0, 0.1])
def test_dimension_of_a_flat_piece_in_a_large_space(dimension, trim):
    flat = torch.rand(4000, dimension, generator=rng(dimension))
    found = two_nn(flat @ torch.randn(dimension, 40, generator=rng(9)), trim=trim)
    assert abs(found - dimension) < 0.12 * dimension


def test_a_curved_sheet_is_two_dimensional_and_its_linear_rank_three():
    u = torch.rand(4000, 2, generator=rng(1)).double()
    t = 1.5 * math.pi * (1 + 2 * u[:, 0])
    roll = torch.stack([t * t.cos(), 20 * u[:, 1], t * t.sin()], 1)
    assert abs(two_nn(roll) - 2) < 0.15
    assert torch.linalg.matrix_rank(roll - roll.mean(0)) == 3


def test_estimate_ignores_scale_rotation_and_repeated_points():
    x = torch.randn(500, 4, generator=rng(2)).double()
    q, _ = torch.linalg.qr(torch.randn(4, 4, generator=rng(3)).double())
    assert two_nn(7 * x @ q + 1) == pytest.approx(two_nn(x))
    assert two_nn(torch.cat([x, x[:100]])) == pytest.approx(two_nn(x))


def test_censored_likelihood_is_that_of_exponential_times():
    # Points on a line, far apart in triples, give chosen ratios r2 / r1.
    ratios = [1.5, 2.0, 4.0]
    x = torch.tensor(
        [v for i, r in enumerate(ratios) for v in (100.0 * i, 100.0 * i + 1, 100.0 * i + 1 + r)]
    )
    logs = sorted(math.log(v) for r in ratios for v in (r + 1, r, (1 + r) / r))
    assert two_nn(x[:, None], trim=0) == pytest.approx(len(logs) / sum(logs), rel=1e-6)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="points: expected at least 3"):
        two_nn(torch.zeros(10, 2))
    with pytest.raises(ValueError, match="trim: expected"):
        two_nn(torch.rand(10, 2), trim=1.0)
