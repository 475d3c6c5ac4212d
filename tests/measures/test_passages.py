"""Straight ways between examples, through networks whose answer is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mmlib.measures.passages import passages
from mmlib.models.bottleneck import bottleneck


class Stripes(nn.Module):
    """Two classes in stripes of the first coordinate: the sign of sin(period x)."""

    def __init__(self, frequency: float, sharp: float = 50.0) -> None:
        super().__init__()
        self.first, self.frequency, self.sharp = nn.Identity(), frequency, sharp

    def forward(self, x):
        s = self.sharp * torch.sin(self.frequency * self.first(x)[:, 0])
        return torch.stack([s, -s], 1)


def fitted(seed: int):
    """A small network that tells three clouds apart, and points of them."""
    rng = torch.Generator().manual_seed(seed)
    y = torch.arange(60) % 3
    x = 3 * torch.randn(3, 6, generator=rng)[y] + torch.randn(60, 6, generator=rng)
    net = bottleneck(6, 3, width=12, code=2, seed=seed)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(150):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimiser.step()
    return net, x


def test_stripes_are_counted():
    # From 0.5 to 6.5 half periods: sin(pi x) changes sign at 1, ..., 6.
    x = torch.tensor([[0.5], [6.5]])
    found = passages(Stripes(math.pi), x, "first", steps=1000)
    assert found.turns == 6 and found.pairs == (2, 0) and math.isnan(found.unsure)
    odd = passages(Stripes(math.pi), torch.tensor([[0.5], [5.5]]), "input", steps=1000)
    assert odd.turns == 4 and odd.pairs == (2, 2)


def test_width_of_a_logistic_boundary():
    # Log-odds 2 s x; below 0.9 where |x| < log(9) / (2 s), on a way from -1 to 1.
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[4.0], [-4.0]]))
        net[1].bias.zero_()
    found = passages(net, torch.tensor([[-1.0], [1.0]]), "input", steps=2000)
    assert found.turns == 0
    assert found.unsure == pytest.approx(math.log(9) / 8, abs=1e-3)


def test_unchanged_by_an_affine_map_that_the_next_layer_undoes():
    net, x = fitted(0)
    plain = passages(net, x, "code")
    a = torch.tensor([[10.0, 2.0], [0.0, 0.5]])
    with torch.no_grad():
        code, after = net.code, net.layer3[0]
        code.weight.copy_(a @ code.weight)
        code.bias.copy_(a @ code.bias + 3)
        after.weight.copy_(after.weight @ torch.linalg.inv(a))
        after.bias.sub_(after.weight @ torch.full((2,), 3.0))
    moved = passages(net, x, "code")
    assert plain.unsure > 0.01
    assert moved.turns == pytest.approx(plain.turns, abs=0.02)
    assert moved.unsure == pytest.approx(plain.unsure, abs=0.01)


def test_the_layer_before_a_linear_code_has_the_same_ways():
    net, x = fitted(1)
    last, code, first = (passages(net, x, name) for name in ("layer2", "code", "layer1"))
    assert (last.turns, last.unsure) == pytest.approx((code.turns, code.unsure), abs=1e-3)
    assert first.unsure != pytest.approx(code.unsure, abs=1e-3)


def test_bad_input_is_named():
    net = bottleneck(6, 3, width=4)
    with pytest.raises(ValueError, match="x: expected two"):
        passages(net, torch.zeros(1, 6), "code")
    with pytest.raises(ValueError, match="layer"):
        passages(net, torch.zeros(3, 6), "cod")
    with pytest.raises(ValueError, match="steps"):
        passages(net, torch.zeros(3, 6), "code", steps=1)
