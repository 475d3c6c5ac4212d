"""The law of lambda."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from mmlib.mixing import Law, Mixup


def draws(n: int = 20_000, **options) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return Mixup(per_example=("lam",), generator=generator, **options).draw(n).lam


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 2.0, 30.0])
def test_beta(alpha):
    lam = draws(alpha=alpha).numpy()
    assert stats.kstest(lam, stats.beta(alpha, alpha).cdf).pvalue > 1e-3


def test_beta_one_is_uniform():
    assert stats.kstest(draws(alpha=1.0).numpy(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("alpha", [1e-12, 1e-6, 1e-3, 1e4, 1e12])
def test_extreme_alphas_stay_finite(alpha):
    lam = draws(alpha=alpha)
    assert lam.isfinite().all() and lam.min() >= 0 and lam.max() <= 1
    assert lam.mean() == pytest.approx(0.5, abs=0.02)
    assert lam.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_uniform_and_fixed():
    lam = draws(alpha=0.5, law="uniform").numpy()
    assert stats.kstest(lam, stats.uniform(0, 0.5).cdf).pvalue > 1e-3
    assert torch.equal(draws(10, lam=0.3), torch.full((10,), 0.3, dtype=torch.float64))
    assert torch.equal(draws(10, law="fixed", lam=0.3), draws(10, lam=0.3))


def test_fold():
    lam, low, high = draws(), draws(fold="min"), draws(fold="max")
    assert torch.equal(low, torch.minimum(lam, 1 - lam))
    assert torch.equal(high, torch.maximum(lam, 1 - lam))


def test_tails_of_alpha_two():
    """Within 5 % of the ends lie 1.45 % of the draws (v1, section 2, says about 5 %)."""
    share = (draws(200_000, alpha=2.0) - 0.5).abs().gt(0.45).double().mean().item()
    assert share == pytest.approx(2 * (3 * 0.05**2 - 2 * 0.05**3), abs=4 * math.sqrt(0.0145 / 2e5))


def test_shape_of_the_draw():
    assert Mixup().draw(5).lam.shape == ()
    assert Mixup(per_example=("lam",)).draw(5).lam.shape == (5,)
    assert Mixup(per_example=("lam",)).draw(5).lam.unique().numel() == 5


def test_draws_of_two_alphas_are_coupled():
    one, two = draws(100, alpha=1.0), draws(100, alpha=0.2)
    assert torch.equal(one.argsort(), two.argsort())


def test_law_speaks():
    assert str(Law("beta", 0.2)) == "Beta(0.2, 0.2)"
    assert str(Law("uniform", 0.5, fold="min")) == "min(U(0, 0.5), 1 - U(0, 0.5))"
    assert str(Law("fixed", lam=0.5)) == "0.5"
