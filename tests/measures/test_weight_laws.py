"""Moments of lambda against adaptive quadrature and draws of the library."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from mmlib.measures.weight_laws import (
    folded_moments,
    folded_nodes,
    jacobi_nodes,
    partner_moments,
)
from mmlib.mixing import Law


@pytest.mark.parametrize("alpha", (0.05, 0.5, 1.0, 3.0, 100.0))
def test_folded_moments_of_the_law_of_the_library(alpha):
    u = (torch.arange(400_000).double() + 0.5) / 400_000
    theta = Law("beta", alpha, fold="max").quantile(u).numpy()
    mean, variance, partner = folded_moments(alpha)
    assert mean == pytest.approx(theta.mean(), abs=1e-5)
    assert variance == pytest.approx(theta.var(), abs=1e-5)
    assert partner == pytest.approx(((1 - theta) ** 2).mean(), abs=1e-5)
    nodes, weight = folded_nodes(alpha, 64)
    assert weight @ nodes == pytest.approx(mean, rel=1e-9)
    assert weight @ np.exp(nodes) == pytest.approx(np.exp(theta).mean(), rel=1e-5)
    assert nodes.min() > 0.5 and nodes.max() < 1


@pytest.mark.parametrize("alpha", (0.05, 1.0, 7.0))
def test_moments_of_the_partners_weight(alpha):
    law = stats.beta(alpha, alpha + 1)
    assert partner_moments(alpha) == pytest.approx([law.moment(m) for m in (1, 2, 3)])
    nodes, weight = jacobi_nodes(alpha, alpha + 1, 8)
    assert weight @ nodes**3 == pytest.approx(law.moment(3))


def test_small_alpha_does_not_shrink_the_third_moment():
    ratios = [partner_moments(alpha)[2] / partner_moments(alpha)[1] for alpha in (1e-6, 1e6)]
    assert ratios == pytest.approx([2 / 3, 1 / 2], rel=1e-5)


@pytest.mark.parametrize("alpha", (0.0, -1.0, float("nan")))
def test_bad_alpha(alpha):
    for call in (folded_moments, folded_nodes, partner_moments):
        with pytest.raises(ValueError, match="alpha"):
            call(alpha)
