"""A draw, the random part of one mixing step, and what the step returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_TINY = 2.0**-7  # a mix with less weight may vanish in the rounding of bfloat16


@dataclass(frozen=True)
class Draw:
    """The random part of one mixing step, made before the forward pass.

    Attributes:
        size: B, the number of examples.
        layer: where; one name, or a name per example.
        lam: () or (B,) float64 on the CPU, the weight of the example itself.
        partner: (B,) int64, with whom; None until `OptimalPairing` has seen the features.
        orders: for `OptimalPairing`, rows and columns (2, m) of each layer.
        k: the k used by `OptimalPairing` (the smallest over layers), else None.
        other: whether `partner` points into a second batch.
    """

    size: int
    layer: str | tuple[str, ...]
    lam: Tensor
    partner: Tensor | None
    orders: Mapping[str, Tensor] = dataclasses.field(default_factory=dict)
    k: int | None = None
    other: bool = False

    def layers(self) -> tuple[str, ...]:
        """Return the names of the layers that are mixed, each once."""
        return (self.layer,) if isinstance(self.layer, str) else tuple(dict.fromkeys(self.layer))

    def weight(self, layer: str) -> Tensor:
        """Return the weight of the partner at `layer`, 1 - lambda, or 0 where another one mixes."""
        if isinstance(self.layer, str):
            return 1 - self.lam
        here = torch.tensor([name == layer for name in self.layer])
        return torch.where(here, 1 - self.lam, 0.0)


@dataclass
class Mixed:
    """What one mixing step returns.

    Attributes:
        logits: what the model returned.
        targets: (B, K) mixed targets, lam * t + (1 - lam) * t[partner], float32 or, when targets or
            logits are float64, float64.
        lam: () or (B,), the weight of the example itself.
        partner: (B,) index of each example's partner.
        layer: where it was mixed; one name, or a name per example.
        draw: the completed draw; ``mixup.apply(model, x, y, mixed.draw)`` repeats the step.
    """

    logits: Any
    targets: Tensor
    lam: Tensor
    partner: Tensor
    layer: str | tuple[str, ...]
    draw: Draw

    @property
    def k(self) -> int | None:
        """The k that `OptimalPairing` used, else None."""
        return self.draw.k


def mixed_accuracy(mixed: Mixed, y: Tensor, other: Tensor | None = None) -> Tensor:
    r"""Return the accuracy under mixing, a 0-d tensor.

    .. math:: \tfrac1B \sum_i \lambda_i [\hat y_i = y_i] + (1 - \lambda_i) [\hat y_i = y_{p(i)}]

    The arg max of the mixed logits counts as right by the share of the class it names. It is 1 only
    if lambda is 0 or 1 or partners share their class; the largest value is the mean of
    max(lambda, 1 - lambda), 0.75 for uniform lambda. The accuracy on unmixed data needs its own
    forward pass.

    Args:
        mixed: the result of a mixing step whose logits are (B, K).
        y: (B,) classes or (B, K) soft targets, whose class is the arg max.
        other: the targets of the second batch, if there was one.

    Raises:
        ValueError: `other` is missing or superfluous, shapes do not match.

    Example:
        >>> from mmlib.mixing import Mixup
        >>> x, y = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
        >>> draw = Draw(2, "input", torch.tensor(0.75).double(), torch.tensor([1, 0]))
        >>> mixed_accuracy(Mixup().apply(torch.nn.Identity(), x, y, draw), y)
        tensor(0.7500)
    """
    fits(mixed.draw, y, other)
    mine = y.argmax(-1) if y.is_floating_point() else y
    source = y if other is None else other
    theirs = (source.argmax(-1) if source.is_floating_point() else source)[mixed.partner]
    guess, lam = mixed.logits.argmax(-1), mixed.lam
    return (lam * (guess == mine) + (1 - lam) * (guess == theirs)).mean()


def batch_size(y: Any, name: str) -> int:
    """Return the number of examples of the targets `y`, at least one."""
    if not isinstance(y, Tensor):
        raise TypeError(f"{name}: expected a tensor of targets, but got {type(y).__name__}")
    if not y.ndim or not len(y):
        raise ValueError(f"{name}: expected at least one example, but got shape {tuple(y.shape)}")
    return len(y)


def fits(draw: Draw, y: Tensor, y2: Tensor | None) -> None:
    """Raise unless the draw is for these targets."""
    for name, targets in (("y", y), ("other", y2)):
        if targets is not None and batch_size(targets, name) != draw.size:
            raise ValueError(f"{name}: expected {draw.size} examples, but got {len(targets)}")
    if draw.other != (y2 is not None):
        got = "none" if y2 is None else "one"
        raise ValueError(f"other: the draw has other={draw.other}, but got {got} second batch")


def restrict(order: Tensor, names: list[str], name: str, other: bool) -> Tensor:
    """Return the part of an order that concerns the examples whose layer is `name`."""
    member = torch.tensor([n == name for n in names])
    rows, columns = order
    keep = member[rows]
    return torch.stack([rows[keep], columns[keep if other else member[columns]]])


def first_mixed(partner: Tensor, weight: Tensor, other: bool) -> int | None:
    """Return the index of an example that is really mixed, None if there is none."""
    weights = weight.tolist() if weight.ndim else [weight.item()] * len(partner)
    for i, (j, w) in enumerate(zip(partner.tolist(), weights, strict=True)):
        if w > _TINY and (other or i != j):
            return i
    return None
