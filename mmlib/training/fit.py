"""Supervised training: one loop, no loader, the same weights for the same generator."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from tqdm import tqdm

from mmlib.checks import boolean, choice, integer, number, positive
from mmlib.mixing import soft_cross_entropy
from mmlib.training.checkpoint import Checkpoint, digest, name_of
from mmlib.training.faults import fitting_batch, require_finite
from mmlib.training.history import History

if TYPE_CHECKING:
    from mmlib.mixing import Mixup

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Augment = Callable[[torch.Tensor, torch.Generator | None], torch.Tensor]
Perturb = Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]


SCHEDULES = ("cosine", "step", "constant")


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
    perturb: Perturb | None = None,
    evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
    evaluate_every: int = 1,
    autocast: torch.dtype | None = None,
    compile: bool = False,
    generator: torch.Generator | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 1,
    progress: str | None = None,
) -> History:
    """Train a model by stochastic gradient descent with momentum.

    In each epoch the examples are permuted and cut into batches; the last batch has what is left.
    A batch goes through `augment`, `inputs`, `perturb` and the model (or the mix), then
    ``loss(logits, targets)`` is minimised; learning rates as in `learning_rate`. The defaults are
    those of the released code of Manifold Mixup, except the schedule and the loss (it minimises
    the binary cross-entropy on the softmax, `mmlib.mixing.bce_on_softmax`).

    The run is determined by the initial weights, the data, `generator`, and the generator of
    `mixup` (and the global random state only for what the model itself draws, e.g. dropout). With
    a `checkpoint` an interrupted run goes on at its last saved epoch and ends with the weights
    of an uninterrupted one, bit for bit on one CPU; a finished run only puts its weights back.

    Args:
        model: Maps a batch of inputs to logits ``(B, K)``; left in training mode.
        x: ``(N, ...)`` examples on the model's device: bytes, or floats as the model takes them.
        y: ``(N,)`` int64 classes or ``(N, K)`` float targets, on the same device.
        mixup: How to mix; None for plain training.
        loss: Maps logits and targets to a scalar mean.
        epochs: Passes over the data.
        batch_size: Examples per update, at most N.
        lr: Highest learning rate.
        momentum: Momentum of the updates, 0 for none.
        nesterov: Nesterov's form of the momentum.
        weight_decay: Coefficient of the squared weights, on all parameters.
        schedule: ``"cosine"``, ``"step"`` or ``"constant"``.
        milestones: Shares of the run at which ``"step"`` lowers the rate.
        gamma: Factor by which ``"step"`` lowers it.
        inputs: Makes model inputs of a batch of bytes (`Dataset.inputs`).
        augment: Changes a batch of `x` at random, e.g. `CropFlip(pad=2)`.
        perturb: Maps model, inputs and classes to the inputs to train on, e.g. an attack.
        evaluate: Called with the model every `evaluate_every` epochs and after the last one; what
            it returns is kept in the history.
        evaluate_every: Epochs between evaluations.
        autocast: Precision of the forward pass, e.g. ``torch.bfloat16``; None for that of x.
        compile: Compile the model with ``torch.compile`` (in place).
        generator: CPU generator of the order and of the augmentation.
        checkpoint: File that holds the state of the run.
        checkpoint_every: Epochs between checkpoints; the last epoch is always saved.
        progress: Label of a bar with epochs and time left, which runs of under ten seconds and
            ``TQDM_DISABLE`` hide; None for no bar.

    Returns:
        The `History` of the run.

    Raises:
        ValueError: A number is out of its range, `x` and `y` differ in length, or there are fewer
            examples than `batch_size`.
        TypeError: A number has the wrong type, or `x` is uint8 and `inputs` is missing.
        FloatingPointError: The loss is NaN or infinite; the message names the step. The checkpoint
            stays that of the last good epoch.
        CheckpointError: The checkpoint is of another run; the message names what differs.
        MemoryError: A batch does not fit into the device's memory; the message names one that does.

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
    epochs = integer("epochs", epochs, low=1)
    batch_size = integer("batch_size", batch_size, low=1)
    every = integer("evaluate_every", evaluate_every, low=1)
    save_every = integer("checkpoint_every", checkpoint_every, low=1)
    choice("schedule", schedule, SCHEDULES)
    _check_data(x, y, batch_size, inputs)
    momentum = number("momentum", momentum, low=0, high=1, high_open=True)
    optimiser = torch.optim.SGD(
        model.parameters(),
        lr=positive("lr", lr),
        momentum=momentum,
        nesterov=boolean("nesterov", nesterov) and momentum > 0,
        weight_decay=number("weight_decay", weight_decay, low=0),
    )
    rates = {"lr": lr, "schedule": schedule, "milestones": tuple(milestones), "gamma": gamma}
    history, file = History(), None
    if checkpoint is not None:
        settings = rates | {
            "epochs": epochs,
            "batch_size": batch_size,
            "momentum": momentum,
            "nesterov": nesterov,
            "weight_decay": weight_decay,
            "loss": name_of(loss),
            "mixup": repr(mixup),
            "augment": repr(augment),
            "perturb": name_of(perturb),
            "autocast": str(autocast),
            "data": digest(x, y),
        }
        sources = (generator, None if mixup is None else mixup.generator)
        file = Checkpoint(checkpoint, settings, sources)
        history = file.resume(model, optimiser)
    if boolean("compile", compile):
        model.compile()
    step = _Step(model, optimiser, mixup, loss, inputs, augment, perturb, autocast, generator)
    step.rate = partial(learning_rate, total=epochs * math.ceil(len(x) / batch_size), **rates)  # type: ignore[arg-type]
    model.train()
    began = time.perf_counter() - (history.last["seconds"] if history.epochs else 0.0)
    with _bar(progress, epochs, len(history.epochs)) as bar:
        for epoch in range(len(history.epochs) + 1, epochs + 1):
            row = {"epoch": epoch} | step.epoch(x, y, batch_size, history, epoch)
            row["seconds"] = time.perf_counter() - began
            if evaluate is not None and (epoch % every == 0 or epoch == epochs):
                row.update(evaluate(model))
                model.train()
            history.epochs.append(row)
            if file is not None and (epoch % save_every == 0 or epoch == epochs):
                file.save(model, optimiser, history)
            bar.update()
    return history


@dataclass
class _Step:
    """What one update needs besides the batch."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    mixup: Mixup | None
    loss: Loss
    inputs: Callable[[torch.Tensor], torch.Tensor] | None
    augment: Augment | None
    perturb: Perturb | None
    autocast: torch.dtype | None
    generator: torch.Generator | None
    rate: Callable[[int], float] = None  # type: ignore[assignment]  # set by `fit`

    def epoch(
        self, x: torch.Tensor, y: torch.Tensor, batch_size: int, history: History, epoch: int
    ) -> dict[str, float]:
        """Pass once over the data in random order; return the last rate and the mean loss."""
        losses: list[torch.Tensor] = []
        order = torch.randperm(len(x), generator=self.generator).to(x.device)
        for rows in order.split(batch_size):
            rate = self.rate(history.steps)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            self.optimiser.zero_grad(set_to_none=True)
            value = self.backward(self.prepared(x[rows], y[rows]), y[rows], losses)
            history.steps += 1
            # On a GPU a look at every loss would make the host wait for the device. On a CPU a
            # bad loss stops the run before it reaches the weights.
            if value.device.type == "cpu" or history.steps % 100 == 0:
                require_finite(losses, history.steps, epoch)
            self.optimiser.step()
        require_finite(losses, history.steps, epoch)
        return {"lr": rate, "train_loss": _mean_loss(losses, len(x), batch_size)}

    def prepared(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return what the model is trained on for a batch of examples."""
        x = x if self.augment is None else self.augment(x, self.generator)
        x = x if self.inputs is None else self.inputs(x)
        return x if self.perturb is None else self.perturb(self.model, x, y)

    def backward(
        self, x: torch.Tensor, y: torch.Tensor, losses: list[torch.Tensor]
    ) -> torch.Tensor:
        """Add the gradient of one batch, and its loss to `losses`."""
        try:
            value = self.batch_loss(x, y)
            value.backward()
        except torch.OutOfMemoryError:
            size = fitting_batch(lambda n: self.batch_loss(x[:n], y[:n]).backward(), len(x))
            raise MemoryError(
                f"batch_size: a batch of {len(x)} does not fit into the memory of {x.device}; "
                + (f"one of {size} does" if size else "not even one example does")
            ) from None
        losses.append(value.detach())
        return value

    def batch_loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the loss of one batch, mixed if the run mixes."""
        low = self.autocast
        with nullcontext() if low is None else torch.autocast(x.device.type, low):
            if self.mixup is None:
                logits, targets = self.model(x), y
            else:
                mixed = self.mixup(self.model, x, y)
                logits, targets = mixed.logits, mixed.targets
        return self.loss(logits if low is None else logits.float(), targets)


def _bar(label: str | None, epochs: int, done: int) -> tqdm:
    quiet = {"disable": True} if label is None else {"delay": 10, "leave": False}
    return tqdm(total=epochs, initial=done, desc=label, unit="epoch", **quiet)


def _check_data(x: torch.Tensor, y: torch.Tensor, batch_size: int, inputs: object) -> None:
    if len(x) == 0 or len(x) != len(y):
        raise ValueError(f"x, y: expected equally many examples, but got {len(x)} and {len(y)}")
    if batch_size > len(x):
        raise ValueError(
            f"batch_size: expected at most the number of examples, {len(x)}, but got {batch_size}"
        )
    if x.dtype == torch.uint8 and inputs is None:
        raise TypeError("x: uint8 images need inputs=..., e.g. the inputs method of their set")


def _mean_loss(losses: list[torch.Tensor], examples: int, batch_size: int) -> float:
    """Return the mean over examples of the batches' mean losses; the last batch may be smaller."""
    sizes = torch.full((len(losses),), batch_size, dtype=torch.float64)
    sizes[-1] = examples - batch_size * (len(losses) - 1)
    return float((torch.stack(losses).cpu().double() * sizes).sum() / examples)
