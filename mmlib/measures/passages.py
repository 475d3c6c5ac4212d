"""What a network says on the straight way from one example to another, at any of its layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmlib import checks
from mmlib.measures.evaluation import evaluating
from mmlib.measures.interpolation import cyclic_partner
from mmlib.mixing import capture, resume


@dataclass(frozen=True)
class Passages:
    """Means over pairs of examples; the way from one state to the other has length 1.

    Unchanged by affine maps of the states that the next layer undoes, since those carry straight
    ways to straight ways, and so comparable between layers and networks.

    Attributes:
        layer: where the ways run.
        turns: changes of the predicted class beyond the one that a pair with different predictions
            needs; 0 if every way meets a boundary once at most.
        unsure: share of the way on which the largest probability is below the threshold, over the
            pairs with different predictions; the width of the boundary.
        pairs: number of pairs, and of those with different predictions.
    """

    layer: str
    turns: float
    unsure: float
    pairs: tuple[int, int]


def passages(
    model: nn.Module,
    x: Tensor,
    layer: str,
    *,
    steps: int = 32,
    threshold: float = 0.9,
    seed: int = 0,
) -> Passages:
    """Walk from each example to another one, in the states of a layer.

    Args:
        model: maps inputs to logits; its mode is restored.
        x: (N, ...) inputs, two or more.
        layer: "input" or the name of a submodule, as in `mmlib.mixing.capture`.
        steps: equal steps on each way; a stretch that is shorter than one may be missed.
        threshold: of the largest probability.
        seed: of the partners, a random cycle through all examples.

    Raises:
        ValueError: fewer than two examples or steps, an unknown layer.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
        >>> _ = net[1].weight.data.copy_(torch.tensor([[-9.0], [9.0]])), net[1].bias.data.zero_()
        >>> found = passages(net, torch.tensor([[-1.0], [1.0]]), "input", steps=1000)
        >>> found.turns, round(found.unsure, 2)   # log-odds 18 z pass from -2.2 to 2.2
        (0.0, 0.12)
    """
    steps = checks.integer("steps", steps, low=2)
    threshold = checks.number("threshold", threshold, low=0, high=1)
    if len(x) < 2:
        raise ValueError(f"x: expected two examples or more, but got {len(x)}")
    partner = cyclic_partner(len(x), torch.Generator().manual_seed(seed)).to(x.device)
    with evaluating(model):
        h = capture(model, x, layer)
        other = h[partner]
        said = [
            resume(model, x, layer, torch.lerp(h, other, step / steps)).softmax(-1).max(-1)
            for step in range(steps + 1)
        ]
    labels = torch.stack([one.indices for one in said])
    sure = torch.stack([one.values for one in said]) >= threshold
    differ = labels[0] != labels[-1]
    turns = (labels[1:] != labels[:-1]).sum(0) - differ.long()
    # Trapezoids: the ends of a way count half.
    weight = torch.full((steps + 1, 1), 1 / steps, device=x.device)
    weight[[0, -1]] /= 2
    unsure = (weight * ~sure).sum(0)
    return Passages(
        layer,
        float(turns.double().mean()),
        float(unsure[differ].double().mean()),
        (len(x), int(differ.sum())),
    )
