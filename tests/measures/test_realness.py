"""Laws of realness against draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmlib.measures.realness import (
    edge_masses,
    law_cdf,
    mean_lambda,
    mixture_cdf,
    realness_cdf,
)
from mmlib.mixing import Law
from mmlib.training.mixes import PAIRS, VARIANTS, realness, variant

N = 20_000
U = (torch.arange(N).double() + 0.5) / N  # one uniform number in the middle of each cell
# Not at 0 and 1 themselves, where doubles cannot tell Beta(0.2, 0.2) from an atom.
T = np.linspace(-0.1, 1.1, 242)


def gap(draws: torch.Tensor, cdf: np.ndarray) -> float:
    return float(np.abs(np.searchsorted(np.sort(draws.numpy()), T, side="right") / N - cdf).max())


@pytest.mark.parametrize(
    "law",
    [
        Law("beta", 0.2),
        Law("beta", 0.2, fold="min"),
        Law("beta", 2.0, fold="max"),
        Law("uniform", 0.5),
        Law("uniform", 0.8, fold="min"),
        Law("uniform", 0.8, fold="max"),
    ],
)
def test_distribution_functions_are_those_of_the_draws(law):
    lam = law.quantile(U)
    assert gap(lam, law_cdf(law, T)) < 2 / N + 1e-9
    for pair in PAIRS:
        assert gap(realness(pair, lam), realness_cdf(pair, law, T)) < 2 / N + 1e-9


def test_a_fixed_lambda_is_a_step():
    assert law_cdf(Law("fixed", lam=0.3), [0.29, 0.3]).tolist() == [0, 1]
    assert law_cdf(Law("fixed", lam=0.3, fold="max"), [0.69, 0.7]).tolist() == [0, 1]
    with pytest.raises(ValueError, match="law: expected one without atoms"):
        realness_cdf("fake-real", Law("fixed", lam=0.3), 0.5)


def test_folding_doubles_the_density():
    t = np.linspace(0.01, 0.49, 49)
    plain, folded = (law_cdf(Law("beta", 0.2, fold=fold), t) for fold in (None, "min"))
    assert folded == pytest.approx(2 * plain, abs=1e-14)


def test_masses_in_closed_form():
    assert edge_masses(variant("fr", 0.2))["fake"] == pytest.approx(0.58, abs=0.005)
    for alpha in (0.1, 0.2, 0.5):
        found = edge_masses(variant("final", alpha))
        assert found["fake"] == pytest.approx(1 / 3 + 0.05 / alpha / 3)
        assert found["real"] == pytest.approx(0.05 / alpha / 3)
        assert found["mean"] == pytest.approx(1 / 3)
    four = edge_masses(variant("four", 0.5))
    assert four["fake"] == pytest.approx(four["real"]) and four["mean"] == pytest.approx(0.5)


@pytest.mark.parametrize("name", VARIANTS[1:])
def test_masses_against_draws(name):
    mixes = variant(name, 0.5)
    r = torch.cat([realness(pair, mixes.law.quantile(U)) for pair in mixes.pairs])
    found = edge_masses(mixes, 0.1)
    assert found["fake"] == pytest.approx((r < 0.1).double().mean().item(), abs=2e-4)
    assert found["real"] == pytest.approx((r > 0.9).double().mean().item(), abs=2e-4)
    assert found["between"] == pytest.approx(1 - found["fake"] - found["real"])
    assert found["mean"] == pytest.approx(r.mean().item(), abs=1e-4)


def test_half_and_one_are_the_same_law():
    both = [mixture_cdf(PAIRS[:3], Law("uniform", alpha), T) for alpha in (0.5, 1.0)]
    assert both[0] == pytest.approx(both[1], abs=1e-12)
    other = mixture_cdf(PAIRS[:3], Law("uniform", 0.75), T)
    assert np.abs(other - both[0]).max() > 0.01


def test_means():
    for law in (Law("beta", 0.2, fold="min"), Law("beta", 2.0, fold="max"), Law("uniform", 0.4)):
        assert mean_lambda(law) == pytest.approx(law.quantile(U).mean().item(), abs=1e-4)
    assert mean_lambda(Law("beta", 0.3)) == 0.5
    with pytest.raises(ValueError, match="law: expected"):
        mean_lambda(Law("uniform", 0.4, fold="min"))
    with pytest.raises(ValueError, match="edge"):
        edge_masses(variant("fr", 0.2), 0.6)
