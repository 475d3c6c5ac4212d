"""The loop of a GAN's game, with or without mixes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from mmlib.checks import choice, integer, number, positive
from mmlib.mixing.sites import INPUT, resolve
from mmlib.training.checkpoint import Checkpoint, digest, name_of
from mmlib.training.history import History
from mmlib.training.mixes import Mixes
from mmlib.training.objectives import (
    OBJECTIVES,
    Scored,
    discriminator_terms,
    draw_mixes,
    generator_terms,
    gradient_penalty,
    mixer,
    scored,
    weights_once,
)

_LOOK_EVERY = 100  # steps between looks at the losses where a look means waiting for a device


class GameStopped(FloatingPointError):
    """A player puts out NaN or infinity.

    Attributes:
        player: ``"generator"`` or ``"discriminator"``.
        update: The update of the generator, from 1, in which it did.
        history: What was recorded until then.
    """

    def __init__(self, player: str, update: int, what: str, history: History) -> None:
        super().__init__(f"{player}: {what} at update {update}; try a lower learning rate")
        self.player, self.update, self.history = player, update, history


def play(
    generator: nn.Module,
    discriminator: nn.Module,
    x: Tensor,
    *,
    mixes: Mixes | None = None,
    objective: str = "js",
    gamma: float = 0.0,
    n_dis: int = 1,
    updates: int = 1000,
    batch_size: int = 64,
    lr: float = 2e-4,
    betas: tuple[float, float] = (0.0, 0.9),
    inputs: Callable[[Tensor], Tensor] | None = None,
    evaluate: Callable[[nn.Module], dict[str, Any]] | None = None,
    evaluate_every: int = 200,
    record_every: int = 50,
    autocast: torch.dtype | None = None,
    rng: torch.Generator | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 1000,
    progress: str | None = None,
) -> History:
    """Play a GAN's game: in each update `n_dis` steps of the discriminator, one of the generator.

    Both learn by Adam. Each step draws its samples, latent vectors and mixes afresh; a generator
    that plays with mixes takes the real samples of the last discriminator step. Samples, latent
    vectors and mixes have a stream of random numbers each, so that games of equal `rng` see the
    same samples and latent vectors whatever their mixes, and equal games give equal bits on one
    CPU. A game with a `checkpoint` goes on where it was saved, with the same bits.

    Args:
        generator: Maps (B, generator.latent) to samples; left in training mode.
        discriminator: Maps samples to (B, 1) logits, each row by itself; left in training mode.
        x: (N, ...) real samples on the players' device: bytes, or floats as the players take them.
        mixes: Which mixes; None for the ordinary game.
        objective: ``"js"`` or ``"hinge"``.
        gamma: Weight of `gradient_penalty`.
        n_dis: Discriminator steps per update.
        updates: Updates of the generator.
        batch_size: Samples per step and side, at least 2.
        lr: Learning rate of both players.
        betas: Adam's decay rates.
        inputs: Makes samples of a batch of bytes, in the range of the generator.
        evaluate: Called with the generator before the first update, every `evaluate_every`
            updates and after the last; the numbers and tensors that it returns are kept.
        evaluate_every: Updates between evaluations.
        record_every: Updates between rows of the history.
        autocast: Precision of the forward passes on a GPU, e.g. ``torch.bfloat16``.
        rng: CPU generator from which the three streams are seeded.
        checkpoint: File that holds the state of the game.
        checkpoint_every: Updates between checkpoints; the last is always saved.
        progress: Label of a bar; None for no bar.

    Returns:
        The `History`; its rows have ``update``, ``seconds``, and means since the row before of
        ``d_loss``, ``g_loss``, ``d_real``, ``d_fake`` (mean logits) and of each term, as
        ``d:real`` or ``g:fake``.

    Raises:
        ValueError: A number is out of its range (``n_dis`` < 1), or the discriminator has no such
            layer (the nearest names are listed).
        TypeError: A number has the wrong type, or `x` is uint8 and `inputs` is missing.
        GameStopped: A player puts out NaN or infinity; it names the player and the update and
            holds the history.
        CheckpointError: The checkpoint is of another game.

    Example:
        >>> from mmlib.models import sngan_pair
        >>> g, d = sngan_pair(28, 1, latent=4, width=8, generator_width=8)
        >>> x = torch.zeros(8, 1, 28, 28)
        >>> history = play(g, d, x, updates=2, batch_size=4, rng=torch.Generator().manual_seed(0))
        >>> history.steps, sorted(history.last)[:4]
        (2, ['d:fake', 'd:real', 'd_fake', 'd_loss'])
    """
    choice("objective", objective, OBJECTIVES)
    counts = {
        "n_dis": integer("n_dis", n_dis, low=1),
        "updates": integer("updates", updates, low=1),
        "batch_size": integer("batch_size", batch_size, low=2),
    }
    every = [
        integer("record_every", record_every, low=1),
        integer("evaluate_every", evaluate_every, low=1),
        integer("checkpoint_every", checkpoint_every, low=1),
    ]
    gamma, lr = number("gamma", gamma, low=0), positive("lr", lr)
    betas = tuple(number("betas", beta, low=0, high=1, high_open=True) for beta in betas)  # type: ignore[assignment]
    if x.dtype == torch.uint8 and inputs is None:
        raise TypeError("x: uint8 images need inputs=..., which brings them to the players' range")
    if mixes is not None:
        _check_layers(discriminator, mixes)
    streams, seeds = _streams(rng)
    players = nn.ModuleDict({"generator": generator, "discriminator": discriminator})
    # A parameter without a gradient is skipped, so one optimiser serves both players in turn.
    optimiser = torch.optim.Adam(players.parameters(), lr=lr, betas=betas, fused=True)
    game = _Game(
        generator, discriminator, x, mixes, objective, gamma, inputs, autocast, streams, optimiser
    )
    history, file = game.history, None
    if checkpoint is not None:
        settings = counts | {"mixes": repr(mixes), "objective": objective, "gamma": gamma}
        settings |= {"lr": lr, "betas": list(betas), "seeds": seeds, "data": digest(x)}
        settings |= {"inputs": name_of(inputs), "autocast": str(autocast)}
        file = Checkpoint(checkpoint, settings, list(streams.values()))
        game.history = history = file.resume(players, optimiser)
    players.train()
    game.began = time.perf_counter() - (history.last["seconds"] if history.epochs else 0.0)
    if evaluate is not None and not history.epochs:
        history.epochs.append({"update": 0, "seconds": 0.0} | game.looked_at(evaluate))
    hidden = {"disable": True} if progress is None else {"delay": 10, "leave": False}
    bar = tqdm(total=updates, initial=history.steps, desc=progress, unit="update", **hidden)
    with bar:
        while history.steps < updates:
            game.update(counts["n_dis"], counts["batch_size"])
            now, last = history.steps, history.steps == updates
            due = [last or now % one == 0 for one in every]
            if any(due):
                game.look()
                row = game.row()
                if evaluate is not None and due[1]:
                    row |= game.looked_at(evaluate)
                history.epochs.append(row)
            if file is not None and due[2]:
                file.save(players, optimiser, history)
            bar.update()
    return history


@dataclass
class _Game:
    """The state of a game between two updates."""

    generator: nn.Module
    discriminator: nn.Module
    x: Tensor
    mixes: Mixes | None
    objective: str
    gamma: float
    inputs: Callable[[Tensor], Tensor] | None
    autocast: torch.dtype | None
    streams: dict[str, torch.Generator]
    optimiser: torch.optim.Optimizer
    history: History = field(default_factory=History)
    began: float = 0.0

    def __post_init__(self) -> None:
        self.mixup = None if self.mixes is None else mixer(self.mixes)
        self.seen: dict[str, list[dict[str, Tensor]]] = {"d": [], "g": []}
        self.unlooked: list[tuple[int, Tensor]] = []

    def update(self, n_dis: int, size: int) -> None:
        """Play one update."""
        for _ in range(n_dis):
            rows = torch.randint(len(self.x), (size,), generator=self.streams["samples"])
            real = self.x[rows.to(self.x.device)]
            real = real if self.inputs is None else self.inputs(real)
            self.discriminator_step(real)
        self.generator_step(real)
        self.history.steps += 1

    def fakes(self, size: int) -> Tensor:
        """Return `size` generated samples."""
        z = torch.randn(size, self.generator.latent, generator=self.streams["latents"])  # type: ignore[call-overload]
        with self.low():
            return self.generator(z.to(self.x.device, next(self.generator.parameters()).dtype))

    def low(self) -> AbstractContextManager:
        """Return the context of the forward passes."""
        if self.autocast is None:
            return nullcontext()
        return torch.autocast(self.x.device.type, self.autocast)

    def say(self, real: Tensor, fake: Tensor) -> Scored:
        """Return what the discriminator says, mixes included."""
        draw = (
            None if self.mixes is None else draw_mixes(self.mixes, len(real), self.streams["mixes"])
        )
        with self.low():
            return scored(self.discriminator, real, fake, self.mixes, draw, self.mixup)

    def discriminator_step(self, real: Tensor) -> None:
        """Let the discriminator learn from real samples, fresh fakes and mixes."""
        with torch.no_grad():
            fake = self.fakes(len(real)).to(real.dtype)
        with weights_once(self.discriminator):
            said = self.say(real, fake)
            terms = discriminator_terms(said, self.mixes, self.objective)
            if self.gamma:
                terms["penalty"] = self.gamma * gradient_penalty(self.discriminator, real)
        means = {"d_real": said.real.detach().mean(), "d_fake": said.fake.detach().mean()}  # type: ignore[union-attr]
        self.learn("d", self.discriminator, terms, means, fake)

    def generator_step(self, real: Tensor) -> None:
        """Let the generator learn from what the discriminator says about fresh fakes."""
        fake = self.fakes(len(real)).to(real.dtype)
        with weights_once(self.discriminator):
            if self.mixes is not None and self.mixes.plays_mixes:
                said = self.say(real, fake)
            else:
                with self.low():
                    said = Scored(None, self.discriminator(fake).squeeze(1).to(real.dtype))
        terms = generator_terms(said, self.mixes, self.objective)
        self.learn("g", self.generator, terms, {}, fake.detach())

    def learn(
        self,
        key: str,
        player: nn.Module,
        terms: dict[str, Tensor],
        means: dict[str, Tensor],
        fake: Tensor,
    ) -> None:
        """Take one step of one player down the sum of its terms; the other gets no gradient."""
        loss = sum(terms.values())  # type: Any
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward(inputs=list(player.parameters()))
        state = torch.stack((loss.detach(), fake.isfinite().all().to(loss.dtype)))
        self.unlooked.append((self.history.steps + 1, state))
        if loss.device.type == "cpu" or len(self.unlooked) >= _LOOK_EVERY:
            self.look()
        self.optimiser.step()
        self.seen[key].append(
            {f"{key}_loss": loss.detach()}
            | {f"{key}:{name}": term.detach() for name, term in terms.items()}
            | means
        )

    def look(self) -> None:
        """Raise if a loss or a sample is not finite.

        Finite samples with a bad loss of either step mean that the discriminator is bad.
        """
        updates, states = zip(*self.unlooked, strict=True) if self.unlooked else ((), ())
        for update, (loss, good) in zip(updates, _lists(states), strict=True):
            if not good or not math.isfinite(loss):
                self.keep()
                player = "discriminator" if good else "generator"
                what = f"the loss is {loss}" if good else "its samples are not finite"
                raise GameStopped(player, update, what, self.history)
        self.unlooked = []

    def keep(self) -> None:
        """Record the updates since the last row, if there are any and all is finite."""
        row, rows = self.row(), self.history.epochs
        finite = all(map(math.isfinite, row.values()))
        if finite and row["update"] > (rows[-1]["update"] if rows else 0):
            rows.append(row)

    def looked_at(self, evaluate: Callable[[nn.Module], dict[str, Any]]) -> dict[str, Any]:
        """Return what an evaluation says; the time it takes is none of the game's."""
        started = time.perf_counter()
        found = evaluate(self.generator)
        self.generator.train()
        self.began += time.perf_counter() - started
        return found

    def row(self) -> dict[str, Any]:
        """Return the means since the last row."""
        row = {"update": self.history.steps, "seconds": time.perf_counter() - self.began}
        for steps in self.seen.values():
            for name in steps[0] if steps else ():
                row[name] = float(torch.stack([one[name] for one in steps]).mean())
            steps.clear()
        return row


def _lists(rows: Sequence[Tensor]) -> list[list[float]]:
    """Return the rows as numbers, fetched from the device at once."""
    return torch.stack(list(rows)).tolist() if rows else []


def _check_layers(discriminator: nn.Module, mixes: Mixes) -> None:
    for layer in mixes.layers:
        if layer != INPUT:
            resolve(discriminator, layer)


def _streams(rng: torch.Generator | None) -> tuple[dict[str, torch.Generator], list[int]]:
    """Return a generator for each stream of random numbers, and their seeds."""
    seeds = torch.randint(2**62, (3,), generator=rng).tolist()
    names = ("samples", "latents", "mixes")
    return {
        name: torch.Generator().manual_seed(seed) for name, seed in zip(names, seeds, strict=True)
    }, seeds
