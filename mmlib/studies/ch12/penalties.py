"""The explicit ways to a flat representation that the text proposes, as penalties.

The representation r(x) is the input of the affine head. Each penalty is a ratio, so neither the
scale of the representation nor that of the images matters:

- ``decoded``: r predicts the input by one affine map, ``|D(r) - x|^2 / |x|^2``;
- ``smooth``: small changes stay small, ``|r(x + e) - r(x)|^2 / spread`` with Gaussian noise e;
- ``linear``: r is linear in a shift (the time of a video that pans),
  ``|r(x left) + r(x right) - 2 r(x)|^2 / spread``, one pixel each.

``spread`` is the mean squared distance of representations from their mean.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mmlib.checks import choice

PENALTIES = ("decoded", "smooth", "linear")
NOISE = 0.3  # standard deviation of e, where that of a pixel over images is about one


def representation(model: nn.Module, x: Tensor) -> Tensor:
    """Return the input of the affine head of a `SmallConvNet`, (B, 16 w)."""
    return model.head[:2](model.block3(model.block2(model.block1(x))))


def spread(codes: Tensor) -> Tensor:
    """Return the mean squared distance of rows from their mean."""
    return (codes - codes.mean(0)).square().sum(1).mean()


def change(model: nn.Module, x: Tensor, codes: Tensor, noise: Tensor) -> Tensor:
    """Return how much noise on the inputs moves the representation, over its spread."""
    return (representation(model, x + noise) - codes).square().sum(1).mean() / spread(codes)


def bend(model: nn.Module, x: Tensor, codes: Tensor) -> Tensor:
    """Return the second difference of the representation along a shift, over its spread."""
    sides = [representation(model, x.roll(step, -1)) for step in (-1, 1)]
    return (sides[0] + sides[1] - 2 * codes).square().sum(1).mean() / spread(codes)


class Penalty(nn.Module):
    """A weighted penalty; its weight makes it a given share of the loss of a guess at the start.

    Args:
        kind: one of `PENALTIES`.
        model: the untrained network, a `SmallConvNet` in training mode.
        x: the first batch.
        share: the penalty on that batch, before training, over the cross-entropy log K of a guess.
        classes: K.
        seed: of the decoder and of the noise.

    Raises:
        ValueError: an unknown kind.
    """

    def __init__(
        self, kind: str, model: nn.Module, x: Tensor, share: float, classes: int, seed: int
    ) -> None:
        super().__init__()
        self.kind = choice("penalty", kind, PENALTIES)
        self.generator = torch.Generator().manual_seed(seed)
        if kind == "decoded":
            with torch.random.fork_rng(devices=[]):
                torch.random.default_generator.manual_seed(seed)
                decoder = nn.Linear(model.head[2].in_features, x[0].numel())
            self.decoder = decoder.to(x.device)
        self.weight = 1.0
        with torch.no_grad():
            first = float(self(model, x, representation(model, x)))
        self.weight = share * math.log(classes) / first

    def forward(self, model: nn.Module, x: Tensor, codes: Tensor) -> Tensor:
        """Return the weighted penalty of a batch with its representations."""
        if self.kind == "decoded":
            flat = x.flatten(1)
            value = (self.decoder(codes) - flat).square().mean() / flat.square().mean()
        elif self.kind == "smooth":
            noise = NOISE * torch.randn(x.shape, generator=self.generator).to(x)
            value = change(model, x, codes, noise)
        else:
            value = bend(model, x, codes)
        return self.weight * value
