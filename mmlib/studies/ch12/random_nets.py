"""Random networks ``features -> head`` in float64, with one batch and its draws."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from mmlib.measures.mixed_gradient import GradientTerms, Loss, gradient_terms, half_squared
from mmlib.models.mlp import ACTIVATIONS

SITE = "features"


@dataclass(frozen=True, eq=False)
class Case:
    """A network ``features -> head`` and one batch with its draws, all in float64.

    Attributes:
        model: its children are ``features`` and ``head``.
        x: (B, D) inputs.
        y: (B, K) targets.
        lam: (B,) weights.
        partner: (B,) a permutation without fixed points.
    """

    model: nn.Sequential
    x: Tensor
    y: Tensor
    lam: Tensor
    partner: Tensor

    def terms(self, loss: Loss = half_squared, layer: str = SITE) -> GradientTerms:
        """Return the terms of the gradient."""
        return gradient_terms(self.model, self.x, self.y, layer, self.lam, self.partner, loss)

    def fitted(self) -> Case:
        """Return the case with the outputs for targets, so that all residuals are zero."""
        return replace(self, y=self.model(self.x).detach())

    def shifted(self) -> Case:
        """Return the case with the targets of other examples."""
        return replace(self, y=self.y.roll(1, 0))


def features_of(
    inputs: int, width: int, depth: int, activation: str, size: float = 1.0
) -> nn.Sequential:
    """Return layers from `inputs` to `width` units; "none" for the activation makes them affine."""
    layers: list[nn.Module] = []
    for i in range(depth):
        linear = nn.Linear(inputs if i == 0 else width, width)
        with torch.no_grad():
            linear.weight.mul_(size)
        layers += [linear] if activation == "none" else [linear, ACTIVATIONS[activation]()]
    return nn.Sequential(*layers)


def draw(
    settings: dict[str, Any],
    seed: int,
    *,
    activation: str | None = None,
    curved: bool = False,
    size: float = 1.0,
) -> Case:
    """Return a random case.

    Args:
        settings: ``outputs, bias, depth, activation, inputs, width, batch``.
        seed: of weights and batch.
        activation: instead of that of the settings.
        curved: a hidden layer of tanh in the head.
        size: what the weights of the features are multiplied by.
    """
    inputs, width, outputs = (settings[key] for key in ("inputs", "width", "outputs"))
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        kind = activation or settings["activation"]
        front = features_of(inputs, width, settings["depth"], kind, size)
        head: nn.Module = nn.Linear(width, outputs, bias=settings["bias"])
        if curved:
            # Three times torch's initial weights: those are so small that tanh is almost linear.
            head = nn.Sequential(features_of(width, width, 1, "tanh", 3.0), head)
        model = nn.Sequential(OrderedDict(features=front, head=head)).double()
        n = settings["batch"]
        x, y, lam = torch.randn(n, inputs), torch.randn(n, outputs), 0.05 + 0.9 * torch.rand(n)
        partner = torch.roll(torch.arange(n), 1 + int(torch.randint(n - 1, ())))
    return Case(model, x.double(), y.double(), lam.double(), partner)


def off(found: Tensor, wanted: Tensor) -> float:
    """Return the distance of two tensors over the size of the second."""
    return float((found - wanted).detach().norm() / wanted.detach().norm())


def mixed(rows: Tensor, lam: Tensor, partner: Tensor) -> Tensor:
    """Return ``lam rows + (1 - lam) rows[partner]``."""
    return lam[:, None] * rows + (1 - lam[:, None]) * rows[partner]


def jacobians(case: Case, full: bool) -> Tensor:
    """Return the Jacobian of states (B, H, P), or of outputs (B, K, P), for the features' weights.

    By reverse mode, for one example at a time.
    """
    weights = dict(case.model.features.named_parameters())

    def of(values: dict[str, Tensor], x: Tensor) -> Tensor:
        z = functional_call(case.model.features, values, (x,))
        return case.model.head(z) if full else z

    rows = [jacrev(of)(weights, x) for x in case.x]
    return torch.stack([torch.cat([j.flatten(1) for j in row.values()], 1) for row in rows])
