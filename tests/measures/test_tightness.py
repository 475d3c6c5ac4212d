"""The price of spread, against its limits and an estimate from samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special

from mmlib.measures.tightness import mixed_floor, plain_floor, price_of_spread, price_rate
from mmlib.studies.bottlenecks import mixed_entropy


def entropy(p):
    return special.entr(p) + special.entr(1 - p)


@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_against_samples(alpha):
    """Bins of z estimate E[T | Z]; few enough that their bias is below the chance."""
    rng, n, sigma = np.random.default_rng(0), 4_000_000, 0.15
    y, other = rng.integers(0, 2, (2, n))
    lam = rng.beta(alpha, alpha, n)
    x, x_other = y + sigma * rng.standard_normal(n), other + sigma * rng.standard_normal(n)
    z, t = lam * x + (1 - lam) * x_other, lam * y + (1 - lam) * other
    bins = np.digitize(z, np.linspace(-1, 2, 1500))
    count = np.bincount(bins)
    mean = np.bincount(bins, t) / np.maximum(count, 1)
    estimate = (count * entropy(mean)).sum() / n - entropy(t).mean()
    assert price_of_spread(sigma, alpha, 300) == pytest.approx(estimate, abs=6e-4)
    wrong = 0.5 * estimate  # a pair of one label costs nothing: all pairs must be counted
    assert abs(price_of_spread(sigma, alpha, 300) - wrong) > 0.01


def test_small_spread_costs_its_square():
    ratios = [price_of_spread(s, 8.0, 1000) / (price_rate(8.0) * s**2) for s in (0.006, 0.01)]
    assert ratios == pytest.approx([1, 1], abs=0.005)
    # Without mixing nothing is left to win at the same spread.
    assert plain_floor(0.012) < 1e-100
    assert price_of_spread(0.012, 2.0, 600) > 1e-4


def test_price_rises_with_spread_to_the_whole_entropy():
    prices = [price_of_spread(s, 2.0, 300) for s in (0.02, 0.05, 0.1, 0.3, 1.0, 30.0)]
    assert all(a < b for a, b in zip(prices, prices[1:], strict=False))
    # One cloud on the other: every target is guessed as 1/2.
    assert prices[-1] == pytest.approx(np.log(2) - mixed_floor(2.0), abs=1e-3)


def test_plain_floor_by_another_integral():
    sigma = 0.4
    rng = np.random.default_rng(1)
    z = 1 + sigma * rng.standard_normal(1_000_000)
    assert plain_floor(sigma) == pytest.approx(
        np.logaddexp(0, (0.5 - z) / sigma**2).mean(), abs=1e-3
    )
    assert plain_floor(1e3) == pytest.approx(np.log(2), abs=1e-3)


def test_floor_of_points_is_that_of_matched_smoothing():
    for alpha in (0.5, 1.0, 4.0):
        assert mixed_floor(alpha) == pytest.approx(mixed_entropy(alpha, 2))
        draws = torch.distributions.Beta(alpha, alpha).sample((200_000,)).double().numpy()
        assert mixed_floor(alpha) == pytest.approx(entropy(draws).mean() / 2, abs=2e-3)


def test_numbers_outside_the_grid_are_refused():
    for call in (
        lambda: price_of_spread(0.001, 2.0),
        lambda: price_of_spread(0.1, 0.3),
        lambda: plain_floor(0.0),
        lambda: price_rate(-1.0),
    ):
        with pytest.raises(ValueError, match="expected"):
            call()
    assert price_rate(1.0) == float("inf")
