from __future__ import annotations

import pytest
import torch
from torch import nn

from mmlib.measures import gradient_variance
from mmlib.mixing import Mixup, soft_cross_entropy


def rng(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def problem():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2)).double()
    x = torch.randn(8, 3, generator=rng(1), dtype=torch.float64)
    return net, x, torch.arange(8) % 2


def closure_of(net, x, y, seed=3, **options):
    mixup = Mixup(1.0, ("input", "0"), generator=rng(seed), **options)

    def closure():
        mixed = mixup(net, x, y)
        return soft_cross_entropy(mixed.logits, mixed.targets)

    return closure


def test_against_all_gradients_kept():
    net, x, y = problem()
    result = gradient_variance(net, closure_of(net, x, y), n_draws=30)
    closure, rows = closure_of(net, x, y), []
    for _ in range(30):
        net.zero_grad()
        closure().backward()
        rows.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    grads = torch.stack(rows)
    assert result["total_variance"] == pytest.approx(float(grads.var(0).sum()))
    expected = float(grads.mean(0).square().sum()) - float(grads.var(0).sum()) / 30
    assert result["mean_norm2"] == pytest.approx(expected)
    assert result["n"] == 30


def test_both_estimates_are_unbiased():
    # Gradient (2, 1) + noise of variances 0.25 and 4: total variance 4.25, squared mean 5.
    weight = nn.Linear(2, 1, bias=False).double()
    noise = rng(0)

    def closure():
        eps = torch.randn(2, generator=noise, dtype=torch.float64) * torch.tensor([0.5, 2.0])
        return ((torch.tensor([2.0, 1.0]) + eps) * weight.weight[0]).sum()

    found = [gradient_variance(weight, closure, n_draws=3) for _ in range(1000)]
    variances = torch.tensor([row["total_variance"] for row in found])
    norms = torch.tensor([row["mean_norm2"] for row in found])
    for values, expected in ((variances, 4.25), (norms, 5.0)):
        error = (values.mean() - expected) / (values.std() / 1000**0.5)
        assert abs(float(error)) < 4


def test_a_spread_far_below_the_mean_is_found():
    net = nn.Linear(1, 1, bias=False).double()
    values = iter([1e8, 1e8 + 1, 1e8 + 2])
    result = gradient_variance(net, lambda: next(values) * net.weight.sum(), n_draws=3)
    assert result["total_variance"] == pytest.approx(1.0)


def test_nothing_is_left_behind():
    net, x, y = problem()
    net[0].weight.grad = torch.ones_like(net[0].weight)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    gradient_variance(net, closure_of(net, x, y), n_draws=3)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert torch.equal(net[0].weight.grad, torch.ones_like(net[0].weight))
    assert net[3].weight.grad is None and net.training


def test_blocked_and_frozen_parameters():
    net, x, y = problem()
    mixup = Mixup(1.0, ("2",), detach=True, generator=rng())

    def closure():
        mixed = mixup(net, x, y)
        return soft_cross_entropy(mixed.logits, mixed.targets)

    head_only = nn.Sequential(net[3])
    whole = gradient_variance(net, closure, n_draws=5)
    mixup.generator.manual_seed(0)
    assert gradient_variance(head_only, closure, n_draws=5)["total_variance"] == pytest.approx(
        whole["total_variance"]
    )
    for p in net.parameters():
        p.requires_grad_(False)
    with pytest.raises(ValueError, match="needs a gradient"):
        gradient_variance(net, closure, n_draws=5)


def test_no_randomness_no_variance():
    net, x, y = problem()
    result = gradient_variance(net, lambda: soft_cross_entropy(net(x), y), n_draws=4)
    assert result["total_variance"] < 1e-25 and result["mean_norm2"] > 0


def test_errors():
    net, x, y = problem()
    with pytest.raises(ValueError, match="n_draws: expected an integer >= 2, but got 1"):
        gradient_variance(net, lambda: net(x).sum(), n_draws=1)
    with pytest.raises(ValueError, match="scalar"):
        gradient_variance(net, lambda: net(x), n_draws=2)
    with pytest.raises(FloatingPointError, match="not finite"):
        gradient_variance(net, lambda: net(x).sum() * torch.nan, n_draws=2)
