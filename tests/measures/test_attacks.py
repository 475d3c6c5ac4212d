"""The gradient-sign step."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmlib.measures.attacks import fgsm


def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)
        ).double()


def test_each_component_moves_by_epsilon_and_the_loss_rises():
    model, x, y = net().eval(), torch.randn(9, 4).double(), torch.arange(9) % 3
    moved = fgsm(model, x, y, epsilon=0.01)
    assert torch.allclose((moved - x).abs(), torch.full_like(x, 0.01))
    before, after = (F.cross_entropy(model(v), y, reduction="none") for v in (x, moved))
    assert (after > before).all()


def test_mode_statistics_and_gradients_stay():
    model, x = net().train(), torch.randn(5, 4).double()
    model[2].eval()
    mean = model[1].running_mean.clone()
    fgsm(model, x, torch.zeros(5, dtype=torch.long), epsilon=0.1)
    assert model.training and not model[2].training
    assert torch.equal(mean, model[1].running_mean)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_epsilon_must_be_positive():
    with pytest.raises(ValueError, match="epsilon: expected a finite number > 0, but got 0"):
        fgsm(net(), torch.zeros(1, 4), torch.zeros(1, dtype=torch.long), epsilon=0)
