"""Paths between test images: which pairs, and what networks and decoders make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmlib.data.dataset import Dataset
from mmlib.measures.evaluation import evaluating
from mmlib.mixing import capture, resume

BATCH = 500


class Pairs(NamedTuple):
    """Positions of the ends of P paths, the classes of both, and which joins different classes."""

    first: Tensor
    second: Tensor
    a: Tensor
    b: Tensor

    @property
    def mixed(self) -> Tensor:
        """Whether the two ends are of different classes, (P,)."""
        return self.a != self.b


def pairs_of(y: Tensor, classes: int, per_pair: int, generator: torch.Generator) -> Pairs:
    """Return `per_pair` random pairs of examples for each two classes, and for each class alone.

    Pairs of different classes come first, by class pair (0, 1), (0, 2) ... in equal blocks.
    """
    members = [(y == label).nonzero()[:, 0] for label in range(classes)]

    def some(label: int) -> Tensor:
        chosen = torch.randint(len(members[label]), (per_pair,), generator=generator)
        return members[label][chosen.to(y.device)]

    of = [(a, b) for a in range(classes) for b in range(a + 1, classes)]
    ends = [(some(a), some(b)) for a, b in of]
    for label in range(classes):
        one = torch.randint(len(members[label]), (per_pair,), generator=generator).to(y.device)
        step = torch.randint(1, len(members[label]), (per_pair,), generator=generator)
        other = (one + step.to(y.device)) % len(members[label])  # never the same example
        ends.append((members[label][one], members[label][other]))
    first, second = (torch.cat(side) for side in zip(*ends, strict=True))
    return Pairs(first, second, y[first], y[second])


def states(model: nn.Module, inputs: Tensor, layer: str) -> Tensor:
    """Return the states of a layer in eval mode, (N, ...)."""
    with evaluating(model):
        return torch.cat([capture(model, part, layer) for part in inputs.split(BATCH)])


def continued(model: nn.Module, like: Tensor, layer: str, h: Tensor) -> Tensor:
    """Return the logits that follow from states of a layer; `like` is one input (1, ...)."""
    with evaluating(model):
        parts = [
            resume(model, like.expand(len(part), *like.shape[1:]), layer, part)
            for part in h.split(BATCH)
        ]
    return torch.cat(parts)


def logits(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return the logits of inputs in eval mode."""
    with evaluating(model):
        return torch.cat([model(part) for part in inputs.split(BATCH)])


def mix(first: Tensor, second: Tensor, lam: float) -> Tensor:
    """Return ``lam first + (1 - lam) second``; the ends exactly."""
    return torch.lerp(second, first, lam) if 0 < lam < 1 else (first if lam else second)


def normalised(images: Tensor, data: Dataset) -> Tensor:
    """Return network inputs of images in [0, 1], as `Dataset.inputs` does of bytes."""
    mean, std = (
        torch.tensor(v, device=images.device).view(-1, 1, 1) for v in (data.mean, data.std)
    )
    return (images - mean) / std


@dataclass(frozen=True)
class Eye:
    """Another network: what it recognises in images, and how near they are to real ones.

    Attributes:
        model: trained plain, on other images, from other weights, of another architecture.
        layer: whose states are the features.
        data: gives the normalisation.
        reference: (R, F) features of real training images.
        reference_pixels: (R, D) their pixels.
    """

    model: nn.Module
    layer: str
    data: Dataset
    reference: Tensor
    reference_pixels: Tensor

    def features(self, images: Tensor) -> Tensor:
        """Return the features (N, F) of images in [0, 1]."""
        return states(self.model, normalised(images, self.data), self.layer).flatten(1)

    def predictions(self, images: Tensor) -> Tensor:
        """Return the classes (N,) of images in [0, 1]."""
        return logits(self.model, normalised(images, self.data)).argmax(1)
