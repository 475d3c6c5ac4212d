"""Runs of chapter 07 in the plane and on the line. A run is one seed of all members of a cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy import special
from torch import Tensor

from mmlib.data.mixtures import GaussianMixture, line
from mmlib.measures.equilibrium import push, resting_scale
from mmlib.measures.modes import (
    good_share,
    mixed_log_density,
    modes_covered,
    sliced_distance,
)
from mmlib.measures.realness import law_cdf
from mmlib.mixing import Law
from mmlib.mixing.law import uniforms
from mmlib.models.ensemble import EnsembleMLP
from mmlib.studies.ch07.members import OBJECTIVES, members_of, one_member, target_of
from mmlib.training.ensemble_game import Play, play_ensemble
from mmlib.training.mixes import Mixes

SCORES = ("quality", "modes", "distance")
TAIL = 5  # scores are means over the last five looks, as a game does not come to rest


class Scorer:
    """Looks at the generators of a game and keeps their scores.

    Attributes:
        updates: When it looked.
        rows: For each look, (3, E): quality, modes and distance (see `SCORES`).
    """

    def __init__(self, target: GaussianMixture, latent: int, n: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(10_000 + seed)
        self.target = target
        self.reference = target.sample(n, generator)
        self.floor = float(sliced_distance(target.sample(n, generator), self.reference))
        self.z = torch.randn(n, latent, generator=generator)
        self.updates: list[int] = []
        self.rows: list[Tensor] = []

    @torch.no_grad()
    def points(self, game: Play) -> Tensor:
        """Return what the generators make of the same latent points, (E, n, D)."""
        return game.generator(self.z.expand(len(game.names), -1, -1))

    def __call__(self, update: int, game: Play) -> None:
        """Score the generators as they are at an update."""
        x = self.points(game)
        scores = (
            100 * good_share(x, self.target),
            modes_covered(x, self.target),
            sliced_distance(x, self.reference),
        )
        self.updates.append(update)
        self.rows.append(torch.stack(scores))

    def final(self) -> Tensor:
        """Return the scores (3, E), means over the last looks."""
        return torch.stack(self.rows[-TAIL:]).mean(0)


def played(
    members: Mapping[str, Mixes | None], settings: dict[str, Any], seed: int, **changes: Any
) -> tuple[Play, Scorer]:
    """Play a cell's game and score it on the way."""
    target = target_of(settings["target"])
    scorer = Scorer(target, settings["latent"], settings["n_score"], seed)
    options = {
        "seed": seed,
        "updates": settings["updates"],
        "n_dis": settings["n_dis"],
        "batch": settings["batch"],
        "latent": settings["latent"],
        "units": ((settings["units"],) * 2, (settings["units"],) * 3),
        "watch_every": max(1, settings["updates"] // 20),
        "watch": scorer,
        **OBJECTIVES[settings["objective"]],
    }
    game = play_ensemble(members, target, **(options | changes))
    return game, scorer


def plane(settings: dict[str, Any], seed: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Games of a group side by side: quality in %, modes, distance of each, and their curves.

    Metrics are ``<score>_<member>``, ``floor`` (the distance of two samples of the target) and
    ``broken`` (how many members met a loss that is not finite). Arrays: ``updates`` (T,),
    ``scores`` (T, 3, E), ``losses`` (T - 1, 2, E) and, of the main group, ``points`` (E, 500, 2).
    """
    members = members_of(settings["group"])
    game, scorer = played(members, settings, seed)
    final = scorer.final()
    metrics = {
        f"{score}_{name}": float(final[row, column])
        for row, score in enumerate(SCORES)
        for column, name in enumerate(members)
    }
    metrics |= {"floor": scorer.floor, "broken": float(len(game.broken))}
    arrays = {
        "updates": np.asarray(scorer.updates),
        "scores": torch.stack(scorer.rows).numpy(),
        "losses": torch.stack(game.losses).numpy(),
    }
    if settings["group"] == "main":
        arrays["points"] = scorer.points(game)[:, :500].numpy().astype(np.float16)
    return metrics, arrays


def discriminator_steps(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """The plain game with `n_dis` discriminator updates: its scores, and how many updates in all.

    ``player_updates`` counts those of both players.
    """
    game, scorer = played({"none": None}, settings, seed)
    final = scorer.final()[:, 0]
    return {
        **{score: float(value) for score, value in zip(SCORES, final, strict=True)},
        "player_updates": float(settings["updates"] * (1 + settings["n_dis"])),
        "broken": float(len(game.broken)),
    }


# ------------------------------------------------------------------------------ laws


def folded(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Footnote 3: the range of folded draws, and their distribution against twice that of Beta.

    The uniform numbers behind lambda lie one in each of n equal cells, so an empirical
    distribution differs from its law by at most 1 / n. Controls: draws that are not folded; draws
    that are clamped at 1/2, as the footnote's word says, which pile up there.
    """
    alpha, n = settings["alpha"], settings["n"]
    u = (torch.arange(n) + uniforms(n, torch.Generator().manual_seed(seed))) / n
    plain = Law("beta", alpha).quantile(u).numpy()
    fold = np.sort(Law("beta", alpha, fold="min").quantile(u).numpy())
    clamped = np.sort(np.minimum(plain, 0.5))
    t = np.linspace(0.001, 0.499, 499)
    twice = 2 * special.betainc(alpha, alpha, t)

    def gap(draws: np.ndarray) -> float:
        return float(np.abs(np.searchsorted(draws, t, side="right") / n - twice).max())

    return {
        "range_error": float(max(fold.max() - 0.5, -fold.min(), 0)),
        "range_control": float(plain.max() - 0.5),
        "density_error": gap(fold),
        "density_control": min(gap(np.sort(plain)), gap(clamped)),
        "formula_error": float(np.abs(law_cdf(Law("beta", alpha, fold="min"), t) - twice).max()),
        "at_half_clamped": float((clamped == 0.5).mean()),
        "near_fake": float((fold < 0.05).mean()),
    }


def real_real(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """How near mixes of two real points are to the data: good shares in %, and distances.

    Metrics for lambda ~ U(0, alpha): ``good`` (mixes), ``good_true`` (fresh points), ``good_other``
    (mixes of points of different modes), ``distance`` and ``floor`` (to a fresh sample), and
    ``density_ratio``: the median over data points of p_m(x) / p(x), the density of the mixes over
    that of the data, which is what decides whether the discriminator can tell them apart there.
    """
    target, n = target_of(settings["target"]), settings["n"]
    generator = torch.Generator().manual_seed(seed)
    x1, x2, fresh, other = (target.sample(n, generator, torch.float64) for _ in range(4))
    lam = Law("uniform", settings["alpha"]).quantile(uniforms(n, generator))[:, None]
    mixes = lam * x1 + (1 - lam) * x2
    apart = target.nearest(x1)[1] != target.nearest(x2)[1]
    levels = Law("uniform", settings["alpha"]).quantile((torch.arange(32).double() + 0.5) / 32)
    some = fresh[:500]
    ratio = mixed_log_density(some, target, levels) - target.log_density(some)
    return {
        "good": 100 * float(good_share(mixes, target)),
        "good_other": 100 * float(good_share(mixes[apart], target)),
        "good_true": 100 * float(good_share(fresh, target)),
        "distance": float(sliced_distance(mixes, fresh)),
        "floor": float(sliced_distance(other, fresh)),
        "density_ratio": float(ratio.exp().median()),
    }


# ------------------------------------------------------------------------------ equilibrium

# Games on the line: name -> variant, alpha, changes.
LINE: dict[str, tuple[str, float | None, dict[str, Any]]] = {
    "none": ("none", None, {}),
    "eq1": ("eq1", 0.2, {}),
    "fr_0.2": ("fr", 0.2, {}),
    "fr_1": ("fr", 1.0, {}),
    "fr_ff_0.2": ("fr_ff", 0.2, {}),
    "fr_ff_1": ("fr_ff", 1.0, {}),
    "final_0.2": ("final", 0.2, {}),
    "final_0.5": ("final", 0.5, {}),
    "final_clean": ("final", 0.5, {"generator": "clean"}),
    "two": ("final", 0.5, {"pairs": ("real-fake", "fake-real")}),
    "four": ("four", 0.5, {}),
}


def line_members() -> dict[str, Mixes | None]:
    """Return the mixes of the games on the line."""
    return {name: one_member(base, alpha, **more) for name, (base, alpha, more) in LINE.items()}


def equilibrium(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Games on the line, ``g(z) = s z + m`` against N(0, 1): predicted and trained scale.

    All games start at ``s = start``, as a random scale near 0 takes very long to grow.

    Metrics ``predicted_<game>`` (see `mmlib.measures.equilibrium`), ``push_<game>`` (at the truth),
    ``trained_<game>`` and ``mean_<game>`` (means of |s| and m over the last third of training).
    """
    members = line_members()
    sizes = {"points": settings["points"], "laws": settings["laws"]}
    metrics = {}
    for name, mixes in members.items():
        metrics[f"predicted_{name}"] = resting_scale(mixes, **sizes)
        metrics[f"push_{name}"] = push(mixes, 1.0, **sizes)
    seen: list[tuple[int, Tensor, Tensor]] = []

    def watch(update: int, game: Play) -> None:
        (own,) = game.generator.layers
        if update == 0:
            with torch.no_grad():
                own.weight.fill_(settings["start"])
        scale, shift = own.weight.detach()[:, 0, 0].abs(), own.bias.detach()[:, 0, 0]
        seen.append((update, scale, shift))

    play_ensemble(
        members,
        line(),
        seed=seed,
        updates=settings["updates"],
        n_dis=settings["n_dis"],
        batch=settings["batch"],
        latent=1,
        units=((), (settings["units"],) * 2),
        lr=(settings["lr_generator"], settings["lr"]),
        watch=watch,
        watch_every=max(1, settings["updates"] // 100),
    )
    late = [one for one in seen if one[0] > 2 * settings["updates"] // 3]
    for column, name in enumerate(members):
        metrics[f"trained_{name}"] = float(torch.stack([s[column] for _, s, _ in late]).mean())
        metrics[f"mean_{name}"] = float(torch.stack([m[column] for _, _, m in late]).mean())
    return metrics


# ------------------------------------------------------------------------------ decoded mixes


def decode(net: EnsembleMLP, site: int, h: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return for states h (N, w) the nearest states' points (N, 2) and their distances (N,).

    Args:
        net: One discriminator.
        site: Place in `EnsembleMLP.sites`.
        h: States at that place.
        points: (M, 2), all that are searched.
    """
    with torch.no_grad():
        known = net.states(points[None])[site][0]
    away = torch.cdist(h, known)
    found = away.min(1)
    return points[found.indices], found.values


def plausible(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Where mixes of hidden states lie in the plane, by depth, in a plain game's discriminator.

    For real-fake pairs and lambda = 1/2: the point of the plane (searched on a lattice) whose state
    is nearest to the mixed one. Metrics by site: ``good_<site>`` in % of all pairs, ``off_<site>``:
    distance to that nearest state over the distance of the two mixed ones, ``random_<site>``: as
    good, for a move from the first state as long as the mix, in a random direction of the space of
    states. ``good_real`` and ``good_fake`` are those of the unmixed points.
    """
    game, scorer = played({"none": None}, settings, seed)
    net, target, n = game.discriminator, scorer.target, settings["n"]
    generator = torch.Generator().manual_seed(20_000 + seed)
    real = target.sample(n, generator)
    fake = scorer.points(game)[0, :n]
    ticks = torch.linspace(-3, 3, settings["side"])
    lattice = torch.cartesian_prod(ticks, ticks)
    with torch.no_grad():
        states = net.states(torch.stack([torch.cat([real, fake])]))
    metrics = {
        "good_real": 100 * float(good_share(real, target)),
        "good_fake": 100 * float(good_share(fake, target)),
    }
    for site, name in enumerate(net.sites):
        first, second = states[site][0].split(n)
        length = (second - first).norm(dim=1, keepdim=True)
        way = torch.randn(first.shape, generator=generator)
        way = way / way.norm(dim=1, keepdim=True)
        mixed, left = decode(net, site, (first + second) / 2, lattice)
        aside, _ = decode(net, site, first + way * length / 2, lattice)
        metrics[f"good_{name}"] = 100 * float(good_share(mixed, target))
        metrics[f"off_{name}"] = float((left / length[:, 0]).median())
        metrics[f"random_{name}"] = 100 * float(good_share(aside, target))
    return metrics
