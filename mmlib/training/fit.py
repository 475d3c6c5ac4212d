"""Supervised training: one loop, no loader, the same weights for the same generator."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import nn

from mmlib.checks import boolean, choice, integer, number, positive
from mmlib.mixing import soft_cross_entropy

if TYPE_CHECKING:
    from mmlib.mixing import Mixup

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Augment = Callable[[torch.Tensor, torch.Generator | None], torch.Tensor]


SCHEDULES = ("cosine", "step", "constant")


@dataclass
class History:
    """What happened in a training run.

    Attributes:
        epochs: One dictionary per epoch: ``epoch`` (from 1), ``lr`` (of its last step),
            ``train_loss`` (mean over the examples of the loss that was minimised, mixed if the
            run mixes), ``seconds`` (since the start), and what `evaluate` returned.
        steps: Number of updates made.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0

    @property
    def last(self) -> dict[str, float]:
        """The dictionary of the last epoch."""
        return self.epochs[-1]

    def column(self, key: str) -> list[float]:
        """Return one quantity over the epochs that have it."""
        return [row[key] for row in self.epochs if key in row]


def learning_rate(
    step: int,
    total: int,
    *,
    lr: float,
    schedule: str = "cosine",
    milestones: Sequence[float] = (0.5, 0.75),
    gamma: float = 0.1,
) -> float:
    """Return the learning rate of update `step` (from 0) of `total`.

    ``cosine``: ``lr (1 + cos(pi step / total)) / 2``; ``step``: `lr` times `gamma` for each
    milestone, a share of `total`, that has been reached; ``constant``: `lr`.

    Example:
        >>> [round(learning_rate(s, 4, lr=0.1, schedule="step"), 4) for s in range(4)]
        [0.1, 0.1, 0.01, 0.001]
    """
    if schedule == "cosine":
        return 0.5 * lr * (1 + math.cos(math.pi * step / total))
    if schedule == "step":
        return lr * gamma ** sum(step >= share * total for share in milestones)
    return lr


def fit(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    mixup: Mixup | None = None,
    loss: Loss = soft_cross_entropy,
    epochs: int = 1,
    batch_size: int = 100,
    lr: float = 0.1,
    momentum: float = 0.9,
    nesterov: bool = True,
    weight_decay: float = 1e-4,
    schedule: str = "cosine",
    milestones: Sequence[float] = (0.5, 0.75),
    gamma: float = 0.1,
    inputs: Callable[[torch.Tensor], torch.Tensor] | None = None,
    augment: Augment | None = None,
    evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
    evaluate_every: int = 1,
    autocast: torch.dtype | None = None,
    generator: torch.Generator | None = None,
) -> History:
    """Train a model by stochastic gradient descent with momentum.

    In each epoch the examples are permuted and cut into batches; the last batch has what is left.
    A batch goes through `augment`, `inputs`, and the model (or the mix), then
    ``loss(logits, targets)`` is minimised; learning rates as in `learning_rate`. The defaults are
    those of the released code of Manifold Mixup, except the schedule and the loss (it minimises
    the binary cross-entropy on the softmax, `mmlib.mixing.bce_on_softmax`).

    The run is determined by the initial weights, the data, `generator`, and the generator of
    `mixup` (and the global random state only for what the model itself draws, e.g. dropout).

    Args:
        model: Maps a batch of inputs to logits ``(B, K)``; left in training mode.
        x: ``(N, ...)`` examples on the model's device: bytes, or floats as the model takes them.
        y: ``(N,)`` int64 classes or ``(N, K)`` float targets, on the same device.
        mixup: How to mix; None for plain training.
        loss: Maps logits and targets to a scalar mean.
        epochs: Passes over the data.
        batch_size: Examples per update.
        lr: Highest learning rate.
        momentum: Momentum of the updates, 0 for none.
        nesterov: Nesterov's form of the momentum.
        weight_decay: Coefficient of the squared weights, on all parameters.
        schedule: ``"cosine"``, ``"step"`` or ``"constant"``.
        milestones: Shares of the run at which ``"step"`` lowers the rate.
        gamma: Factor by which ``"step"`` lowers it.
        inputs: Makes model inputs of a batch of bytes (`Dataset.inputs`).
        augment: Changes a batch of `x` at random, e.g. `CropFlip(pad=2)`.
        evaluate: Called with the model every `evaluate_every` epochs and after the last one; what
            it returns is kept in the history.
        evaluate_every: Epochs between evaluations.
        autocast: Precision of the forward pass, e.g. ``torch.bfloat16``; None for that of x.
        generator: CPU generator of the order and of the augmentation.

    Returns:
        The `History` of the run.

    Raises:
        ValueError: A number is out of its range, or `x` and `y` differ in length.
        TypeError: A number has the wrong type, or `x` is uint8 and `inputs` is missing.
        FloatingPointError: The loss is NaN or infinite; the message names the step.

    Example:
        >>> from mmlib.models import build
        >>> rng = torch.Generator().manual_seed(0)
        >>> x = torch.randn(200, 1, 2, 2, generator=rng)
        >>> net = build("mlp", image_size=2, num_classes=2, width=16, seed=0)
        >>> y = (x.sum((1, 2, 3)) > 0).long()
        >>> history = fit(net, x, y, epochs=5, batch_size=20, generator=rng)
        >>> history.steps, history.last["train_loss"] < 0.1
        (50, True)
    """
    _check_data(x, y, inputs)
    epochs = integer("epochs", epochs, low=1)
    batch_size = integer("batch_size", batch_size, low=1)
    every = integer("evaluate_every", evaluate_every, low=1)
    choice("schedule", schedule, SCHEDULES)
    momentum = number("momentum", momentum, low=0, high=1, high_open=True)
    optimiser = torch.optim.SGD(
        model.parameters(),
        lr=positive("lr", lr),
        momentum=momentum,
        nesterov=boolean("nesterov", nesterov) and momentum > 0,
        weight_decay=number("weight_decay", weight_decay, low=0),
    )
    total = epochs * math.ceil(len(x) / batch_size)
    rates = dict(lr=lr, schedule=schedule, milestones=milestones, gamma=gamma)
    history = History()
    began = time.perf_counter()
    for epoch in range(1, epochs + 1):
        model.train()
        losses = []
        for rows in torch.randperm(len(x), generator=generator).to(x.device).split(batch_size):
            rate = learning_rate(history.steps, total, **rates)
            for group in optimiser.param_groups:
                group["lr"] = rate
            batch = x[rows] if augment is None else augment(x[rows], generator)
            batch = batch if inputs is None else inputs(batch)
            value = _batch_loss(model, batch, y[rows], mixup, loss, autocast)
            losses.append(value.detach())
            history.steps += 1
            # On a GPU a look at every loss would make the host wait for the device.
            if value.device.type == "cpu" or history.steps % 100 == 0:
                _require_finite(losses, history.steps, epoch)
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            optimiser.step()
        _require_finite(losses, history.steps, epoch)
        row = {"epoch": epoch, "lr": rate, "train_loss": _mean_loss(losses, len(x), batch_size)}
        row["seconds"] = time.perf_counter() - began
        if evaluate is not None and (epoch % every == 0 or epoch == epochs):
            row.update(evaluate(model))
        history.epochs.append(row)
    return history


def _batch_loss(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    mixup: Mixup | None,
    loss: Loss,
    autocast: torch.dtype | None,
) -> torch.Tensor:
    """Return the loss of one batch, mixed if the run mixes."""
    with nullcontext() if autocast is None else torch.autocast(x.device.type, autocast):
        if mixup is None:
            logits, targets = model(x), y
        else:
            mixed = mixup(model, x, y)
            logits, targets = mixed.logits, mixed.targets
    return loss(logits if autocast is None else logits.float(), targets)


def _check_data(x: torch.Tensor, y: torch.Tensor, inputs: object) -> None:
    if len(x) == 0 or len(x) != len(y):
        raise ValueError(f"x, y: expected equally many examples, but got {len(x)} and {len(y)}")
    if x.dtype == torch.uint8 and inputs is None:
        raise TypeError("x: uint8 images need inputs=..., e.g. the inputs method of their set")


def _mean_loss(losses: list[torch.Tensor], examples: int, batch_size: int) -> float:
    """Return the mean over examples of the batches' mean losses; the last batch may be smaller."""
    sizes = torch.full((len(losses),), batch_size, dtype=torch.float64)
    sizes[-1] = examples - batch_size * (len(losses) - 1)
    return float((torch.stack(losses).cpu().double() * sizes).sum() / examples)


def _require_finite(losses: list[torch.Tensor], steps: int, epoch: int) -> None:
    """Raise if one of the last losses, the very last being that of update `steps`, is not finite.

    Looks at as many as have come since the last look.
    """
    recent = torch.stack(losses[-1:] if losses[-1].device.type == "cpu" else losses[-100:])
    bad = (~torch.isfinite(recent)).nonzero()
    if len(bad):
        at = int(bad[0])
        raise FloatingPointError(
            f"the loss is {float(recent[at])} at step {steps - len(recent) + at + 1} "
            f"(epoch {epoch}); try a lower learning rate"
        )
