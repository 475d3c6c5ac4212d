"""One game to look at: the plain one and one variant side by side, kept while they train."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from mmlib.data.mixtures import GaussianMixture
from mmlib.studies.ch07.experiments import played
from mmlib.studies.ch07.members import one_member, target_of
from mmlib.training.ensemble_game import Play

MOMENTS = (0.0, 0.1, 0.25, 0.5, 1.0)  # shares of the updates at which points are kept


@dataclass
class Watched:
    """What was seen of a game of E members.

    Attributes:
        names: The members, ``"none"`` first.
        target: Where real points come from.
        moments: Updates at which points were kept.
        points: For each of them (E, N, 2), of the same latent points.
        updates: Updates of the loss curves.
        losses: (T, 2, E) losses of discriminator and generator.
        ticks: (R,) coordinates of the surfaces.
        surfaces: (E, R, R) discriminator outputs at the end, first axis along x.
        scores: (3, E) quality in %, modes, distance, at the end.
        broken: Members whose loss was not finite, with the update.
    """

    names: tuple[str, ...]
    target: GaussianMixture
    moments: list[int] = field(default_factory=list)
    points: list[np.ndarray] = field(default_factory=list)
    updates: np.ndarray = field(default_factory=lambda: np.zeros(0))
    losses: np.ndarray = field(default_factory=lambda: np.zeros((0, 2, 0)))
    ticks: np.ndarray = field(default_factory=lambda: np.zeros(0))
    surfaces: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    scores: np.ndarray = field(default_factory=lambda: np.zeros((3, 0)))
    broken: dict[str, int] = field(default_factory=dict)


def watch_game(
    settings: dict[str, Any],
    seed: int,
    name: str,
    alpha: float | None = None,
    *,
    side: int = 81,
) -> Watched:
    """Play the plain game and one variant, on equal draws, and keep what is worth a look.

    Args:
        settings: Of a cell, such as `mmlib.studies.ch07.plane.cell` gives.
        seed: Of the game.
        name: The variant; ``"none"`` plays the plain game alone.
        alpha: Of its law; None for its own.
        side: Points of a surface along an axis.

    Raises:
        ValueError: An unknown variant, or alpha outside the range of its law.

    Example:
        >>> from mmlib.studies.ch07.plane import cell
        >>> seen = watch_game(cell("smoke", "ring", "js", "main"), 0, "final", side=5)
        >>> seen.names, seen.surfaces.shape, len(seen.points)
        (('none', 'final'), (2, 5, 5), 5)
    """
    members = {"none": None} | ({} if name == "none" else {name: one_member(name, alpha)})
    seen = Watched(tuple(members), target_of(settings["target"]))
    updates = settings["updates"]
    wanted = sorted({round(share * updates) for share in MOMENTS})
    z = torch.randn(500, settings["latent"], generator=torch.Generator().manual_seed(seed))

    def keep(update: int, game: Play) -> None:
        if update in wanted:
            with torch.no_grad():
                points = game.generator(z.expand(len(members), -1, -1))
            seen.moments.append(update)
            seen.points.append(points.numpy())

    game, scorer = played(members, settings, seed, watch=keep, watch_every=1)
    scorer(updates, game)
    seen.updates, seen.losses = np.asarray(game.updates), torch.stack(game.losses).numpy()
    reach = max(max(map(abs, centre)) for centre in seen.target.centres) + 1
    ticks = torch.linspace(-reach, reach, side)
    with torch.no_grad():
        lattice = torch.cartesian_prod(ticks, ticks).expand(len(members), -1, -1)
        seen.surfaces = game.discriminator(lattice).view(-1, side, side).numpy()
    seen.ticks, seen.scores = ticks.numpy(), scorer.rows[-1].numpy()
    seen.broken = game.broken
    return seen
