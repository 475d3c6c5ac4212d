import itertools

import pytest
import torch

from mmlib.measures import (
    beta_nodes,
    cross_moments,
    expected_mixed_loss,
    permutation_variance,
    variance_factor,
)


def residuals(n=5, k=2, seed=0):
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed)).double() + 0.5


def enumerated(r, alpha, pairs):
    """Mean loss over index pairs and lambda."""
    total = 0.0
    for lam, weight in zip(*beta_nodes(alpha, 3), strict=True):
        for i, j in pairs:
            total += weight * float((lam * r[i] + (1 - lam) * r[j]).square().sum()) / 2
    return total / len(pairs)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_moments_of_the_product_by_quadrature(alpha):
    lam, weight = beta_nodes(alpha, 8)
    q = lam * (1 - lam)
    assert cross_moments(alpha) == pytest.approx((weight @ q, weight @ q**2), rel=1e-12)


@pytest.mark.parametrize("alpha", [0.3, 2.0])
def test_the_expected_loss_by_enumeration(alpha):
    r, n = residuals(), 5
    every = list(itertools.product(range(n), repeat=2))
    assert expected_mixed_loss(r, alpha) == pytest.approx(enumerated(r, alpha, every), rel=1e-12)
    others = [(i, j) for i, j in every if i != j]
    found = expected_mixed_loss(r, alpha, partners="other")
    assert found == pytest.approx(enumerated(r, alpha, others), rel=1e-12)
    assert abs(found / expected_mixed_loss(r, alpha) - 1) > 1e-3


@pytest.mark.parametrize("batch", [1, 2, 3, 5])
def test_batches_without_replacement_by_enumeration(batch):
    r = residuals()
    pairs = [
        (i, j)
        for rows in itertools.combinations(range(5), batch)
        for order in itertools.permutations(rows)
        for i, j in zip(rows, order, strict=True)
    ]
    assert expected_mixed_loss(r, 0.7, batch) == pytest.approx(enumerated(r, 0.7, pairs), rel=1e-12)


def test_partners_that_are_others_do_not_notice_the_batch():
    factors = {variance_factor(1.3, 9, b, "other") for b in (2, 5, 9)}
    assert len(factors) == 1
    assert variance_factor(1.3, 9, 1) == pytest.approx(1)


def test_permutation_variance_by_enumeration():
    pairs = torch.randn(4, 4, 3, generator=torch.Generator().manual_seed(1)).double()
    sums = torch.stack(
        [pairs[torch.arange(4), list(p)].mean(0) for p in itertools.permutations(range(4))]
    )
    wanted = float((sums - sums.mean(0)).square().sum(1).mean())
    assert permutation_variance(pairs) == pytest.approx(wanted, rel=1e-12)
    # Adding to a whole row or column changes the mean, not the variance.
    moved = pairs + torch.randn(4, 1, 3).double() + torch.randn(1, 4, 3).double()
    assert permutation_variance(moved) == pytest.approx(wanted, rel=1e-12)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="batch"):
        variance_factor(1.0, 4, 5)
    with pytest.raises(ValueError, match="partners"):
        variance_factor(1.0, 4, partners="none")
    with pytest.raises(ValueError, match="residuals: expected"):
        expected_mixed_loss(torch.ones(3), 1.0)
    with pytest.raises(ValueError, match="pairs: expected"):
        permutation_variance(torch.ones(2, 3))
