"""Semi-supervised training: a labelled and an unlabelled batch in each update."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from mmlib.checks import boolean, choice, integer, number, positive
from mmlib.training.checkpoint import Checkpoint, digest
from mmlib.training.faults import require_finite
from mmlib.training.fit import SCHEDULES, Augment, learning_rate
from mmlib.training.history import History
from mmlib.training.semi_supervised import l1_penalty, sigmoid_ramp
from mmlib.training.ssl_methods import Method

STREAMS = ("fresh", "repeated")


@dataclass
class Fitted:
    """What a semi-supervised run leaves behind.

    Attributes:
        model: the network that is evaluated (the teacher, if there is one), as it was at the
            lowest validation error; in eval mode.
        last: the same network at the end of the run.
        history: one row for each validation: ``epoch`` (its number), ``step`` (updates so far),
            ``lr`` and ``weight`` (share of the largest consistency weight) of the last update,
            means over the updates since the row before of ``supervised``, ``unsupervised`` and
            ``train_loss`` (with the consistency weight, without the penalties), ``l1`` (the sum of
            the sizes of the weights), ``seconds``, and ``valid_error``.
    """

    model: nn.Module
    last: nn.Module
    history: History


class RunStopped(FloatingPointError):
    """The loss became NaN or infinite; the message says at which step.

    Attributes:
        fitted: the run up to the last validation, a `Fitted`.
    """

    def __init__(self, message: str, fitted: Fitted) -> None:
        super().__init__(message)
        self.fitted = fitted


def fit_ssl(
    model: nn.Module,
    method: Method,
    x_l: Tensor,
    y_l: Tensor,
    x_u: Tensor,
    *,
    updates: int,
    generator: torch.Generator,
    batch_size: int = 100,
    lr: float = 0.1,
    momentum: float = 0.9,
    nesterov: bool = False,
    weight_decay: float = 5e-4,
    l1: float = 1e-3,
    l1_on: str = "all",
    schedule: str = "step",
    milestones: Sequence[float] = (0.5, 0.75, 0.875),
    gamma: float = 0.1,
    ramp: float = 0.4,
    labelled: str = "fresh",
    inputs: Callable[[Tensor], Tensor] | None = None,
    augment: Augment | None = None,
    noise: float = 0.0,
    validate: Callable[[nn.Module], float] | None = None,
    validate_every: int = 100,
    autocast: torch.dtype | None = None,
    checkpoint: str | Path | None = None,
    progress: str | None = None,
) -> Fitted:
    r"""Train on few labels and many images: the loop of Algorithms 1 and 3 (v1, appendices B, C).

    An update takes a batch of each set and minimises by SGD

    .. math:: L = L_S + \pi(k)\, L_{US} + c_1 |\theta|_1 + \tfrac{c_2}{2} |\theta|_2^2 .

    Passes over a set have orders of their own; the images left over at the end of a pass are
    skipped. Runs with equal `generator` see the same batches, whatever the method. The defaults
    are the settings of appendix C.

    The run is determined by the initial weights, the data, the generator and those of the method
    (and by the global random state only for what the model draws itself, e.g. dropout). With a
    `checkpoint` an interrupted run goes on after its last validation and ends, on one CPU, with
    the same bits.

    Args:
        model: maps a batch of inputs to logits (B, K); left in training mode.
        method: an object of `mmlib.training.ssl_methods`.
        x_l: (N, ...) labelled examples, bytes or floats.
        y_l: (N,) their classes.
        x_u: (M, ...) unlabelled examples.
        updates: number of updates.
        generator: CPU generator from which orders, augmentation and noise are seeded.
        batch_size: examples of each set in an update; a smaller set is one batch.
        lr: highest learning rate.
        momentum: of the updates.
        nesterov: Nesterov's form of it.
        weight_decay: coefficient c_2.
        l1: coefficient c_1.
        l1_on: the weights it acts on, ``"all"`` or the ``"first"`` tensor.
        schedule: of the learning rate, as for `fit`.
        milestones: shares of the run at which ``"step"`` lowers it.
        gamma: factor by which it does.
        ramp: share of the updates after which the consistency weight has its largest value.
        labelled: ``"fresh"`` batches, shuffled and augmented anew in each pass, or ``"repeated"``
            ones: augmented once in a pass over the unlabelled set, then the same again and again
            (what the released code's ``itertools.cycle`` does).
        inputs: makes model inputs of a batch of bytes (`Dataset.inputs`).
        augment: changes a batch of examples at random, e.g. `CropFlip`.
        noise: standard deviation of normal noise added to the inputs.
        validate: maps a network to its validation error; None keeps the last state.
        validate_every: updates between validations; the last update is always followed by one.
        autocast: precision of the forward passes, e.g. ``torch.bfloat16``.
        checkpoint: file that holds the state of the run.
        progress: label of a bar, None for none.

    Raises:
        ValueError: a number is out of range (a negative weight, a ramp longer than the run), a set
            is empty, or examples and classes differ in number.
        TypeError: a number has the wrong type, or bytes come without `inputs`.
        RunStopped: the loss is NaN or infinite; the message says when, and the exception holds
            what came before. The checkpoint stays that of the last good validation.
        CheckpointError: the checkpoint is of another run.

    Example:
        >>> from mmlib.data.toys import two_moons
        >>> from mmlib.models import mlp
        >>> from mmlib.training.ssl_methods import Method
        >>> rng, _ = torch.Generator().manual_seed(0), torch.manual_seed(0)
        >>> x, y = two_moons(200, generator=rng)
        >>> found = fit_ssl(mlp((2, 16, 2)), Method(), x[:20], y[:20], x, updates=100,
        ...                 generator=rng, l1=0.0)
        >>> found.history.steps, found.history.last["supervised"] < 0.5
        (100, True)
    """
    updates = integer("updates", updates, low=1)
    every = integer("validate_every", validate_every, low=1)
    momentum = number("momentum", momentum, low=0, high=1, high_open=True)
    l1 = number("l1", l1, low=0)
    rates = {
        "lr": positive("lr", lr),
        "schedule": choice("schedule", schedule, SCHEDULES),
        "milestones": tuple(milestones),
        "gamma": gamma,
    }
    ramp = number("ramp", ramp, low=0, high=1)
    feed = _Feed(x_l, y_l, x_u, batch_size, labelled, inputs, augment, noise, generator)
    optimiser = torch.optim.SGD(
        model.parameters(),
        lr=lr,
        momentum=momentum,
        nesterov=boolean("nesterov", nesterov) and momentum > 0,
        weight_decay=number("weight_decay", weight_decay, low=0),
    )
    method.start(model)
    kept = nn.ModuleDict({"model": model, **method.modules})
    kept["best"] = copy.deepcopy(method.predictor(model)).requires_grad_(False)
    history, file = History(), None
    if checkpoint is not None:
        settings = rates | feed.settings | {"method": repr(method), "updates": updates}
        settings |= {"momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
        settings |= {"l1": l1, "l1_on": l1_on, "ramp": ramp, "autocast": str(autocast)}
        settings |= {"validate_every": every}
        file = Checkpoint(checkpoint, settings, (*feed.generators, *method.generators))
        history = file.resume(kept, optimiser)
    run = _Run(model, method, optimiser, feed, kept["best"], history, l1, l1_on, autocast, validate)
    run.rate = partial(learning_rate, total=updates, **rates)
    run.ramp = partial(sigmoid_ramp, length=ramp * updates)
    model.train()
    quiet = {"disable": True} if progress is None else {"delay": 10, "leave": False}
    with tqdm(total=updates, initial=history.steps, desc=progress, unit="update", **quiet) as bar:
        while history.steps < updates:
            steps = min(every - history.steps % every, updates - history.steps)
            run.advance(steps)
            if file is not None:
                file.save(kept, optimiser, history)
            bar.update(steps)
    return run.fitted()


@dataclass
class _Run:
    """What an update needs besides the batches."""

    model: nn.Module
    method: Method
    optimiser: torch.optim.Optimizer
    feed: _Feed
    best: nn.Module
    history: History
    l1: float
    l1_on: str
    autocast: torch.dtype | None
    validate: Callable[[nn.Module], float] | None
    rate: Callable[[int], float] = None  # type: ignore[assignment]  # set by `fit_ssl`
    ramp: Callable[[int], float] = None  # type: ignore[assignment]
    objectives: list[Tensor] = field(default_factory=list)

    def advance(self, steps: int) -> None:
        """Make some updates, then validate and write a row."""
        began, terms = time.perf_counter(), []
        for _ in range(steps):
            terms.append(self.update())
        means = torch.stack(terms).double().mean(0).tolist()
        self.finite()
        row = {
            "epoch": len(self.history.epochs) + 1,
            "step": self.history.steps,
            "lr": self.optimiser.param_groups[0]["lr"],
            "weight": self.ramp(self.history.steps - 1),
            **dict(zip(("supervised", "unsupervised", "train_loss"), means, strict=True)),
            "l1": float(l1_penalty(self.model).detach()),
        }
        before = self.history.last["seconds"] if self.history.epochs else 0.0
        row["seconds"] = before + time.perf_counter() - began
        predictor = self.method.predictor(self.model)
        lowest = min(self.history.column("valid_error"), default=math.inf)
        if self.validate is not None:
            row["valid_error"] = float(self.validate(predictor))
        if row.get("valid_error", -math.inf) < lowest:
            self.best.load_state_dict(predictor.state_dict())
        self.history.epochs.append(row)

    def update(self) -> Tensor:
        """Make one update; return its three losses."""
        step = self.history.steps
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(step)
        x_l, y_l, x_u = self.feed(step, self.method.views)  # lines 3 and 6 of Algorithm 1
        low = self.autocast
        # Without gradient the pseudo-targets would fill the cache of narrow weights, and the
        # passes after them would find weights there that get none.
        precise = torch.autocast(x_l.device.type, low, cache_enabled=False) if low else None
        with precise or nullcontext():
            losses = self.method.losses(self.model, x_l, y_l, x_u, self.ramp(step))
        objective = losses.total
        if self.l1:
            objective = objective + self.l1 * l1_penalty(self.model, self.l1_on)
        self.optimiser.zero_grad(set_to_none=True)
        objective.backward()  # line 11
        self.history.steps += 1
        self.objectives = [*self.objectives[-99:], objective.detach()]
        # As in `fit`: to look at every loss would make the host of a GPU wait for it.
        if objective.device.type == "cpu" or self.history.steps % 100 == 0:
            self.finite()
        self.optimiser.step()  # line 12
        self.method.updated(self.model)
        return torch.stack([losses.supervised, losses.unsupervised, losses.total]).detach()

    def finite(self) -> None:
        """Stop the run if a loss is not finite."""
        try:
            require_finite(self.objectives, self.history.steps, len(self.history.epochs) + 1)
        except FloatingPointError as error:
            raise RunStopped(str(error), self.fitted()) from None

    def fitted(self) -> Fitted:
        """Return the run so far."""
        return Fitted(self.best.eval(), self.method.predictor(self.model), self.history)


class _Feed:
    """Batches by the number of the update, so that a run can go on anywhere."""

    def __init__(
        self,
        x_l: Tensor,
        y_l: Tensor,
        x_u: Tensor,
        batch_size: int,
        labelled: str,
        inputs: Callable[[Tensor], Tensor] | None,
        augment: Augment | None,
        noise: float,
        generator: torch.Generator,
    ) -> None:
        if len(x_l) == 0 or len(x_l) != len(y_l):
            raise ValueError(
                f"x_l, y_l: expected equally many examples, but got {len(x_l)} and {len(y_l)}"
            )
        if len(x_u) == 0:
            raise ValueError("x_u: expected at least one unlabelled example, but got none")
        if inputs is None and torch.uint8 in (x_l.dtype, x_u.dtype):
            raise TypeError("x_l, x_u: uint8 images need inputs=..., e.g. the method of their set")
        batch_size = integer("batch_size", batch_size, low=1)
        self.x_l, self.y_l, self.x_u = x_l, y_l, x_u
        self.repeat = choice("labelled", labelled, STREAMS) == "repeated"
        self.inputs, self.augment = inputs, augment
        self.noise = number("noise", noise, low=0)
        seeds = torch.randint(2**62, (6,), generator=generator).tolist()
        self.few = _Passes(len(x_l), batch_size, seeds[0])
        self.many = _Passes(len(x_u), batch_size, seeds[1])
        self.repeat_seed = seeds[2]
        # One generator for each kind of view: a method that takes more views changes no other.
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds[3:]]
        self.stored: tuple[int, list[tuple[Tensor, Tensor]]] = (-1, [])
        self.settings = {
            "batch_size": batch_size,
            "labelled": labelled,
            "augment": repr(augment),
            "noise": self.noise,
            "order": seeds[0],
            "data": digest(x_l, y_l, x_u),
        }

    def __call__(self, step: int, views: int) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return labelled inputs, their classes, and views of unlabelled inputs for an update."""
        if self.repeat:
            x, y = self.repeated(step)
        else:
            rows = self.few.rows(step).to(self.x_l.device)
            x, y = self.prepared(self.x_l[rows], self.generators[0]), self.y_l[rows]
        if not views:
            return x, y, []
        images = self.x_u[self.many.rows(step).to(self.x_u.device)]
        return x, y, [self.prepared(images, rng) for rng in self.generators[1 : 1 + views]]

    def repeated(self, step: int) -> tuple[Tensor, Tensor]:
        """Return a stored batch; they are made anew in each pass over the unlabelled set."""
        number_of_pass, place = divmod(step, self.many.per_pass)
        if self.stored[0] != number_of_pass:
            rng = torch.Generator().manual_seed((self.repeat_seed + number_of_pass) % 2**63)
            made = []
            for i in range(self.few.per_pass):
                rows = self.few.rows(number_of_pass * self.few.per_pass + i).to(self.x_l.device)
                made.append((self.prepared(self.x_l[rows], rng), self.y_l[rows]))
            self.stored = (number_of_pass, made)
        return self.stored[1][place % self.few.per_pass]

    def prepared(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return what the network is fed for a batch of examples."""
        x = x if self.augment is None else self.augment(x, generator)
        x = x if self.inputs is None else self.inputs(x)
        if self.noise:
            x = x + self.noise * torch.randn(x.shape, generator=generator).to(x)
        return x


class _Passes:
    """Positions of n examples, pass after pass, in an order that depends on the pass alone."""

    def __init__(self, n: int, size: int, seed: int) -> None:
        self.n, self.size, self.seed = n, min(size, n), seed
        self.per_pass = n // self.size
        self.order: tuple[int, Tensor] = (-1, torch.empty(0))

    def rows(self, step: int) -> Tensor:
        """Return the positions of a batch."""
        number_of_pass, place = divmod(step, self.per_pass)
        if self.order[0] != number_of_pass:
            rng = torch.Generator().manual_seed((self.seed + number_of_pass) % 2**63)
            self.order = (number_of_pass, torch.randperm(self.n, generator=rng))
        return self.order[1][place * self.size : (place + 1) * self.size]
