from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mmlib.measures import chord_curvature, cyclic_partner


def rng(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Quadratic(nn.Module):
    """g_k(z) = a_k z + h_k z^2, one number in, K logits out."""

    def __init__(self, a, h) -> None:
        super().__init__()
        self.code = nn.Identity()
        self.a, self.h = torch.tensor(a, dtype=torch.float64), torch.tensor(h, dtype=torch.float64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.code(x)
        return z * self.a + z.square() * self.h


X = torch.randn(40, 5, generator=rng(), dtype=torch.float64)


def net(*layers: nn.Module, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    for layer in layers:
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    return nn.Sequential(*layers).double()


@pytest.mark.parametrize("layer", ["code", "input"])
def test_of_a_parabola_in_closed_form(layer):
    # g = (z^2, 0): the bend is -lam (1 - lam) d^2 in the first logit, half of it after centring.
    model, x = Quadratic([0.0, 0.0], [1.0, 0.0]), torch.tensor([[0.0], [3.0]]).double()
    # both pairs: bend^2 = (lam (1 - lam) 9)^2 / 2 over (9 - 0)^2 / 2
    assert chord_curvature(model, x, layer, lams=[0.5]) == pytest.approx(1 / 16)
    wanted = (2 * (3 / 16) ** 2 + 1 / 16) / 3
    assert chord_curvature(model, x, layer) == pytest.approx(wanted)
    assert chord_curvature(model, x, layer, lams=[0.0, 1.0]) == 0.0
    # z^2 on -1, 1: ends of equal value set no scale.
    even = torch.tensor([[-1.0], [1.0]]).double()
    assert math.isnan(chord_curvature(model, even, layer))


def test_of_any_quadratic_head_against_its_second_derivative():
    a, h = [0.3, -1.0, 2.0], [0.5, 0.1, -0.7]
    model, x = Quadratic(a, h), X[:, :1]
    partner, lam = cyclic_partner(40, rng(3)), 0.3
    d = x[partner] - x
    bend = -lam * (1 - lam) * (model.h - model.h.mean()) * d.square()
    g = model(x) - model(x).mean(1, keepdim=True)
    wanted = bend.square().sum() / (g - g[partner]).square().sum()
    got = chord_curvature(model, x, "code", lams=[lam], generator=rng(3), batch_size=7)
    assert got == pytest.approx(float(wanted), rel=1e-10)


def test_an_affine_head_has_none_and_a_bent_one_has_some():
    model = net(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 6), nn.Linear(6, 3))
    assert chord_curvature(model, X, "1") < 1e-28 and chord_curvature(model, X, "2") < 1e-28
    assert chord_curvature(model, X, "0") > 1e-4
    # What softmax cannot see does not count: a bend that all logits share.
    shared = Quadratic([1.0, -1.0], [5.0, 5.0])
    assert chord_curvature(shared, X[:, :1], "code") < 1e-28


def test_unchanged_by_rewriting_the_code_and_by_the_size_of_the_logits():
    model = net(nn.Linear(5, 7), nn.Linear(7, 9), nn.Tanh(), nn.Linear(9, 3))
    before = chord_curvature(model, X, "0", generator=rng(1))
    a = torch.randn(7, 7, generator=rng(5), dtype=torch.float64)
    with torch.no_grad():
        model[0].weight.copy_(a @ model[0].weight)
        model[0].bias.copy_(a @ model[0].bias + 2)
        model[1].weight.copy_(model[1].weight @ torch.linalg.inv(a))
        model[1].bias.sub_(model[1].weight @ torch.full((7,), 2.0).double())
        model[3].weight.mul_(4)
        model[3].bias.add_(torch.tensor([1.0, -3.0, 0.0]))
    assert chord_curvature(model, X, "0", generator=rng(1)) == pytest.approx(before, rel=1e-8)
    with torch.no_grad():  # a map of the logits that is no rotation does change it
        model[3].weight[0] *= 3
    assert chord_curvature(model, X, "0", generator=rng(1)) != pytest.approx(before, rel=1e-2)


def test_small_chords_are_of_order_two():
    model = net(nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 3))
    large, small = (chord_curvature(model, s * X, "0", generator=rng(2)) for s in (1e-2, 1e-3))
    assert large / small == pytest.approx(100, rel=0.1)


def test_mode_comes_back_and_eval_mode_measures():
    model = net(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).train()
    mean = model[1].running_mean.clone()
    one = chord_curvature(model, X, "1", batch_size=2)
    assert model.training and torch.equal(mean, model[1].running_mean)
    partner = cyclic_partner(40, rng(2))
    assert chord_curvature(model, X, "1", partner=partner) == pytest.approx(
        chord_curvature(model, X, "1", partner=partner, batch_size=3)
    )
    assert one != chord_curvature(model, X, "1", partner=partner)


def test_bad_input_names_itself():
    model = net(nn.Linear(5, 3))
    with pytest.raises(ValueError, match="lams: expected a finite number >= 0 and <= 1"):
        chord_curvature(model, X, "0", lams=[1.5])
    with pytest.raises(ValueError, match="lams: expected one or more numbers"):
        chord_curvature(model, X, "0", lams=[])
    with pytest.raises(ValueError, match="partner: expected 40 positions from 0 to 39"):
        chord_curvature(model, X, "0", partner=torch.arange(3))
    with pytest.raises(ValueError, match="layer: expected 'input'"):
        chord_curvature(model, X, "layer9")
    with pytest.raises(ValueError, match="n: expected an integer >= 2"):
        chord_curvature(model, X[:1], "0")
