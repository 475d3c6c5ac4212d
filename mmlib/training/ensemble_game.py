"""Adversarial games of many small players as one batched program.

A member is one game: its own generator and discriminator, its own mixes. Members of a program share
data, latent draws, partners, the uniform numbers behind lambda and the first weights, so that two
members differ by their mixes alone and a comparison of them is paired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mmlib.checks import choice, integer, number, positive
from mmlib.data.mixtures import GaussianMixture
from mmlib.mixing.law import permutation, uniforms
from mmlib.models.ensemble import EnsembleMLP
from mmlib.training.mixes import PAIRS, Mixes
from mmlib.training.objectives import OBJECTIVES, label_loss


def fooling_loss(d: Tensor, objective: str = "js") -> Tensor:
    """Return the generator's loss on clean fakes: ``-log sigma(d)`` (js) or ``-d`` (hinge).

    Example:
        >>> fooling_loss(torch.tensor([3.0]), "hinge").tolist()
        [-3.0]
    """
    js = choice("objective", objective, OBJECTIVES) == "js"
    return label_loss(d, 1.0, objective) if js else -d


@dataclass
class Play:
    """A game that was played.

    Attributes:
        names: Name of each member.
        generator: The generators of all E members.
        discriminator: Their discriminators.
        updates: Generator updates at which losses were written down.
        losses: (T, 2, E): mean loss of discriminator and generator at these updates.
        broken: For each member whose loss was not finite, the first such update. Its numbers are
            NaN from there on; the other members do not notice.
    """

    names: tuple[str, ...]
    generator: EnsembleMLP
    discriminator: EnsembleMLP
    updates: list[int] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    broken: dict[str, int] = field(default_factory=dict)

    def member(self, name: str) -> int:
        """Return the place of a member; unknown names raise ValueError."""
        return self.names.index(choice("member", name, self.names))


class _Draws:
    """Everything random of one game, drawn in a fixed order whatever the members are."""

    def __init__(
        self, target: GaussianMixture, latent: int, batch: int, dtype: torch.dtype, seed: int
    ) -> None:
        self.target, self.latent, self.batch, self.dtype = target, latent, batch, dtype
        self.generator = torch.Generator().manual_seed(seed)

    def step(self) -> dict[str, Tensor]:
        n, g = self.batch, self.generator
        return {
            "x": self.target.sample(n, g, self.dtype),
            "z": torch.randn(n, self.latent, generator=g, dtype=torch.float64).to(self.dtype),
            "partner": permutation(n, g),
            "u": uniforms(len(PAIRS) * n, g).view(len(PAIRS), n),
            "layer": uniforms(1, g),
        }


class _Mixing:
    """The mixes of all members: which pairs, with what weight, lambda and label, at which layer.

    Every member has a slot for every pair that some member uses; a pair that it does not use has
    weight 0 there.
    """

    def __init__(
        self, members: Sequence[Mixes | None], sites: tuple[str, ...], dtype: torch.dtype
    ) -> None:
        used = [one for one in members if one is not None]
        self.members, self.dtype = members, dtype
        self.pairs = [pair for pair in PAIRS if any(pair in one.pairs for one in used)]
        for one in used:
            for layer in one.layers:
                choice("layers", layer, sites)
        self.laws = list(dict.fromkeys(one.law for one in used))
        self.law = torch.tensor([0 if m is None else self.laws.index(m.law) for m in members])
        self.layers = [
            None if one is None else [sites.index(layer) for layer in one.layers] for one in members
        ]
        rows = [
            [m.weight if m is not None and pair in m.pairs else 0.0 for pair in self.pairs]
            for m in members
        ]
        self.weight = torch.tensor(rows, dtype=dtype).view(len(members), len(self.pairs), 1)
        self.soft = self._of(lambda m: m is not None and m.labels == "soft")
        self.clean = self._of(lambda m: m is None or not m.alone)
        self.fools = self._of(lambda m: m is None or m.plays_clean)
        self.minimax = self._of(lambda m: m is not None and m.generator == "minimax")
        self.flipped = self._of(lambda m: m is not None and m.generator == "flipped")
        self.played = bool((self.minimax + self.flipped).any())

    def _of(self, rule: Callable[[Mixes | None], bool]) -> Tensor:
        return torch.tensor([float(rule(m)) for m in self.members], dtype=self.dtype)

    def draw(self, u: Tensor, layer: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return lambda (E, P, B), labels (E, P, B) and each member's site (E,), -1 for none."""
        u = u[[PAIRS.index(pair) for pair in self.pairs]]
        table = torch.stack([law.quantile(u.reshape(-1)).view_as(u) for law in self.laws])
        lam = table.to(self.dtype)[self.law]
        ends = torch.tensor([[float(end == "real") for end in p.split("-")] for p in self.pairs])
        ends = ends.to(self.dtype)[:, :, None]
        labels = (lam * ends[:, 0] + (1 - lam) * ends[:, 1]) * self.soft[:, None, None]
        at = [-1 if one is None else one[int(layer * len(one))] for one in self.layers]
        return lam, labels, torch.tensor(at)


def _mix(h: Tensor, n: int, pairs: Sequence[str], lam: Tensor, partner: Tensor) -> Tensor:
    """Return the mixes (E, P B, w) of hidden states h = (real, fake), (E, 2 n, w)."""
    ends = {"real": h[:, :n], "fake": h[:, n:]}
    mixed = []
    for slot, pair in enumerate(pairs):
        first, second = pair.split("-")
        other = ends[second][:, partner] if first == second else ends[second]
        mixed.append(torch.lerp(other, ends[first], lam[:, slot, :, None]))
    return torch.cat(mixed, 1)


def _scores(
    net: EnsembleMLP, base: Tensor, mixing: _Mixing | None, draws: dict, iterate: bool
) -> tuple[Tensor, Any, Any]:
    """Return d of real and fake (E, 2 n), d of the mixes and their labels (E, P, n) or None."""
    weights = net.effective(iterate)
    h, mixed, n = base, None, base.shape[1] // 2
    if mixing is not None:
        lam, labels, at = mixing.draw(draws["u"], draws["layer"])
    for k in range(len(net.layers)):
        if mixing is not None and bool((here := at == k).any()):
            new = _mix(h, n, mixing.pairs, lam, draws["partner"])
            mixed = new if mixed is None else torch.where(here[:, None, None], new, mixed)
        h = net.apply_layer(k, h, weights)
        mixed = None if mixed is None else net.apply_layer(k, mixed, weights)
    if mixed is None:
        return h.squeeze(2), None, None
    return h.squeeze(2), mixed.squeeze(2).view_as(labels), labels


def _discriminator_loss(
    net: EnsembleMLP, base: Tensor, mixing: _Mixing, draws: dict, objective: str, gamma: float
) -> Tensor:
    """Return the loss of each discriminator, (E,)."""
    n = base.shape[1] // 2
    base = base.detach().requires_grad_(gamma > 0)
    d, mixed, labels = _scores(net, base, mixing if mixing.pairs else None, draws, True)
    plain = label_loss(d[:, :n], 1.0, objective) + label_loss(d[:, n:], 0.0, objective)
    loss = plain.mean(1) * mixing.clean
    if mixed is not None:
        terms = label_loss(mixed, labels, objective) * mixing.weight
        loss = loss + terms.mean(2).sum(1)
    if gamma > 0:
        (slope,) = torch.autograd.grad(d[:, :n].sum(), base, create_graph=True)
        loss = loss + gamma * slope[:, :n].square().sum(2).mean(1)
    return loss


def _generator_loss(
    net: EnsembleMLP, base: Tensor, mixing: _Mixing, draws: dict, objective: str
) -> Tensor:
    """Return the loss of each generator, (E,); the discriminator's power iteration stands still."""
    n = base.shape[1] // 2
    if not mixing.played:
        d = net(base[:, n:]).squeeze(2)
        return fooling_loss(d, objective).mean(1) * mixing.fools
    d, mixed, labels = _scores(net, base, mixing, draws, False)
    loss = fooling_loss(d[:, n:], objective).mean(1) * mixing.fools
    against = -label_loss(mixed, labels, objective) * mixing.minimax[:, None, None]
    against = against + label_loss(mixed, 1 - labels, objective) * mixing.flipped[:, None, None]
    return loss + (against * mixing.weight).mean(2).sum(1)


def _step(loss: Tensor, player: EnsembleMLP, optimiser: torch.optim.Optimizer) -> None:
    """Move one player by the gradient of its own loss; the other gets none."""
    own = list(player.parameters())
    for parameter, slope in zip(own, torch.autograd.grad(loss.sum(), own), strict=True):
        parameter.grad = slope
    optimiser.step()


def _players(
    members: int, dim: int, latent: int, units: Sequence[Sequence[int]], spectral: bool, seed: int
) -> tuple[EnsembleMLP, EnsembleMLP]:
    """Return generators and discriminators; all members start alike."""
    first = torch.Generator().manual_seed(integer("seed", seed, low=0))
    sizes = ((latent, *units[0], dim), (dim, *units[1], 1))
    g, d = (
        EnsembleMLP(members, size, own, generator=first)
        for size, own in zip(sizes, (False, spectral), strict=True)
    )
    return g, d


def _pair_of_batches(g: EnsembleMLP, now: dict[str, Tensor]) -> Tensor:
    """Return real and fake points of all members, (E, 2 n, D)."""
    e = len(g.layers[0].weight)  # type: ignore[arg-type]
    return torch.cat([now["x"].expand(e, -1, -1), g(now["z"].expand(e, -1, -1))], 1)


def play_ensemble(
    members: Mapping[str, Mixes | None],
    target: GaussianMixture,
    *,
    seed: int,
    updates: int,
    objective: str = "js",
    spectral: bool = False,
    gamma: float = 0.0,
    n_dis: int = 1,
    batch: int = 64,
    latent: int = 2,
    units: Sequence[Sequence[int]] = ((64, 64), (64, 64, 64)),
    lr: Sequence[float] = (1e-3, 1e-3),
    betas: tuple[float, float] = (0.5, 0.999),
    watch: Callable[[int, Play], None] | None = None,
    watch_every: int = 100,
    dtype: torch.dtype = torch.float32,
) -> Play:
    """Train all members at once and return their players.

    Each generator update follows `n_dis` discriminator updates on fresh draws. The discriminator
    minimises ``l(d(x), 1) + l(d(g(z)), 0)``, ``gamma E |grad_x d(x)|^2`` on real points, and its
    member's mix terms (equations 1 to 3 of Manifold Mixup v1, 4 to 7 of the final version). The
    generator minimises `fooling_loss` on clean fakes and, where its `Mixes` say so, plays with the
    mixes. With mixes in several layers one is drawn for each update.

    Args:
        members: Name -> mixes, None for a game without.
        target: Where real points come from.
        seed: Of the first weights and all draws.
        updates: Of the generators.
        objective: ``"js"`` or ``"hinge"``.
        spectral: Spectral norm 1 in every layer of the discriminators.
        gamma: Coefficient of the zero-centred penalty.
        n_dis: Discriminator updates for each generator update.
        batch: Real points, and latent points, of an update.
        latent: Dimension of z, which is standard normal.
        units: Units of the hidden layers of generator and discriminator; with none a player is an
            affine map.
        lr: Rates of generator and discriminator.
        betas: Of Adam.
        watch: Called as ``watch(update, play)`` at update 0, every `watch_every` and the last.
        watch_every: Generator updates between two calls; losses are written down at the same times.
        dtype: Of weights and data; draws are the same in all.

    Returns:
        The players, loss curves and broken members.

    Raises:
        TypeError, ValueError: A setting is outside its range or a layer does not exist.

    Example:
        >>> from mmlib.data.mixtures import ring
        >>> from mmlib.training import variant
        >>> members = {"none": None, "final": variant("final", 0.5, ("input", "h1"))}
        >>> game = play_ensemble(members, ring(), seed=0, updates=2, batch=8)
        >>> game.generator(torch.zeros(2, 3, 2)).shape, game.broken
        (torch.Size([2, 3, 2]), {})
    """
    if not members:
        raise ValueError("members: expected at least one, but got none")
    counts = {"updates": updates, "n_dis": n_dis, "batch": batch, "watch_every": watch_every}
    for name, value in counts.items():
        integer(name, value, low=1)
    number("gamma", gamma, low=0)
    choice("objective", objective, OBJECTIVES)
    g, d = (
        one.to(dtype) for one in _players(len(members), target.dim, latent, units, spectral, seed)
    )
    mixing = _Mixing(list(members.values()), d.sites, dtype)
    draws = _Draws(target, latent, batch, dtype, seed)
    moves_g, moves_d = (
        torch.optim.Adam(one.parameters(), lr=positive("lr", rate), betas=betas, foreach=True)
        for one, rate in zip((g, d), lr, strict=True)
    )
    game = Play(tuple(members), g, d)
    bad = torch.full((len(members),), -1)
    if watch:
        watch(0, game)
    for update in range(1, updates + 1):
        for _ in range(n_dis):
            now = draws.step()
            with torch.no_grad():
                base = _pair_of_batches(g, now)
            loss_d = _discriminator_loss(d, base, mixing, now, objective, gamma)
            _step(loss_d, d, moves_d)
        now = draws.step()
        loss_g = _generator_loss(d, _pair_of_batches(g, now), mixing, now, objective)
        _step(loss_g, g, moves_g)
        losses = torch.stack([loss_d.detach(), loss_g.detach()])
        bad = torch.where((bad < 0) & ~torch.isfinite(losses).all(0), update, bad)
        if update % watch_every == 0 or update == updates:
            game.updates.append(update)
            game.losses.append(losses)
            if watch:
                watch(update, game)
    game.broken = {name: int(at) for name, at in zip(members, bad, strict=True) if at >= 0}
    return game
