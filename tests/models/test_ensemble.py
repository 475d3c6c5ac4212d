"""Networks side by side equal networks one by one."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from mmlib.models.ensemble import EnsembleLinear, EnsembleMLP


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scattered(layer: EnsembleLinear) -> EnsembleLinear:
    """Give every member weights of its own."""
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(torch.randn(p.shape, generator=seeded(7), dtype=p.dtype))
    return layer


def twins(layer: EnsembleLinear, member: int) -> nn.Linear:
    linear = nn.Linear(*layer.weight.shape[1:]).to(layer.weight.dtype)
    with torch.no_grad():
        linear.weight.copy_(layer.weight[member].T)
        linear.bias.copy_(layer.bias[member, 0])
    return linear


def test_every_member_is_a_linear_layer():
    layer = scattered(EnsembleLinear(3, 4, 5).double())
    x = torch.randn(3, 6, 4, generator=seeded(), dtype=torch.float64)
    for member, found in enumerate(layer(x)):
        assert torch.allclose(found, twins(layer, member)(x[member]), atol=1e-14)


def test_power_iteration_is_torchs_member_by_member():
    layer = scattered(EnsembleLinear(3, 4, 5, spectral=True).double())
    theirs = []
    for member in range(3):
        one = spectral_norm(twins(layer, member))
        hook = one.parametrizations.weight[0]
        hook._u.copy_(layer.u[member])
        hook._v.copy_(layer.v[member])
        theirs.append(one.train())
    for _ in range(4):
        weights = layer.effective(iterate=True)
        for member, one in enumerate(theirs):
            assert torch.allclose(weights[member].T, one.weight, atol=1e-12)
    weights.square().sum().backward()
    for member, one in enumerate(theirs):
        one.eval()
        one.weight.square().sum().backward()
        slope = one.parametrizations.weight.original.grad
        assert torch.allclose(layer.weight.grad[member].T, slope, atol=1e-10)


def test_spectral_norm_becomes_one_and_stands_still_unless_asked():
    layer = scattered(EnsembleLinear(2, 6, 3, spectral=True))
    before = layer.u.clone()
    layer.effective()
    assert torch.equal(layer.u, before)
    for _ in range(200):
        weights = layer.effective(iterate=True)
    assert torch.linalg.matrix_norm(weights, 2).tolist() == pytest.approx([1, 1], abs=1e-4)
    raw = torch.linalg.matrix_norm(layer.weight, 2)
    assert (raw - 1).abs().min() > 0.1  # control: without the division it is another


def test_members_start_alike_and_the_global_generator_is_left_alone():
    state = torch.random.get_rng_state()
    one, two = (EnsembleMLP(2, (2, 8, 1), generator=seeded(3)) for _ in range(2))
    other = EnsembleMLP(2, (2, 8, 1), generator=seeded(4))
    assert torch.equal(torch.random.get_rng_state(), state)
    for a, b, c in zip(one.parameters(), two.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b) and torch.equal(a[0], a[1]) and not torch.equal(a, c)


def test_states_lead_to_the_output():
    net = EnsembleMLP(2, (2, 8, 4, 1), slope=0.2)
    x = torch.randn(2, 5, 2, generator=seeded())
    states = net.states(x)
    assert [s.shape[-1] for s in states] == [2, 8, 4] and net.sites == ("input", "h1", "h2")
    hidden = F.leaky_relu(torch.baddbmm(net.layers[0].bias, x, net.layers[0].weight), 0.2)
    assert torch.allclose(states[1], hidden)
    last = torch.baddbmm(net.layers[2].bias, states[2], net.layers[2].weight)
    assert torch.allclose(net(x), last)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: EnsembleLinear(0, 2, 2), "members: expected an integer >= 1, but got 0"),
        (lambda: EnsembleLinear(1, 2, 2, "yes"), "spectral: expected True or False"),
        (lambda: EnsembleMLP(1, (2,)), "sizes: expected inputs and outputs"),
        (lambda: EnsembleMLP(1, (2, 1), slope=2), "slope: expected a finite number"),
    ],
)
def test_bad_input_is_named(make, text):
    with pytest.raises((TypeError, ValueError), match=text):
        make()
