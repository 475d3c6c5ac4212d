"""Chapter 10: points that may move. Where does the mixed loss put the classes?

Each class is one point, a parameter, and a small network answers its mixes with the other classes.
Many starts train as one batched program; nothing is shared between them but the law of lambda.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mmlib.checks import choice, integer, number, positive
from mmlib.evidence import Study
from mmlib.measures.conflict import arrangement_loss, target_entropy
from mmlib.measures.drawings import crossings, margin
from mmlib.mixing import Law
from mmlib.models.ensemble import EnsembleMLP

# mixed: the mixed loss moves points and network. fixed: it moves the network alone. none: points
# and network see the loss of the unmixed points.
WAYS = ("mixed", "fixed", "none")
FRAMES = 24


class Moved(NamedTuple):
    """What training leaves behind.

    Attributes:
        steps: (T,) updates at which it was looked at, from 0.
        points: (T, E, K, D) the points.
        losses: (T, E) mixed cross-entropy on a fixed fine grid of lambda, independent pairs.
        floor: the mean entropy of the target.
    """

    steps: np.ndarray
    points: np.ndarray
    losses: np.ndarray
    floor: float


def floor_of(classes: int, alpha: float) -> float:
    """Return E H(T) for independent pairs of equally probable classes, in nats."""
    return (1 - 1 / classes) * target_entropy(alpha)


def move(
    classes: int,
    dim: int,
    way: str = "mixed",
    *,
    starts: int = 10,
    steps: int = 2000,
    width: int = 64,
    lr: float = 1e-2,
    alpha: float = 1.0,
    per_pair: int = 8,
    noise: float = 0.0,
    seed: int = 0,
    points: Tensor | None = None,
) -> Moved:
    """Train points and networks from several starts.

    The loss is that of independent pairs: ``1 / K`` of the weight on the unmixed points, the rest
    on all pairs of classes, each at `per_pair` values of lambda, one in each of equal cells of its
    law. The network has two hidden layers.

    Args:
        classes: K.
        dim: D.
        way: One of `WAYS`.
        starts: E, independent starts.
        steps: Of Adam.
        width: Units of a hidden layer.
        lr: Of Adam, the last value of a cosine being 0.
        alpha: lambda ~ Beta(alpha, alpha).
        per_pair: Values of lambda for each pair and update.
        noise: Standard deviation within a class; each end of a mix has its own draw.
        seed: Of points, networks, lambdas and noise.
        points: (K, D) where all starts begin; None for standard normal points.

    Raises:
        TypeError, ValueError: a setting does not fit; the message names it.

    Example:
        >>> moved = move(3, 2, starts=2, steps=5)
        >>> moved.points.shape, moved.steps.tolist()[-1], round(moved.floor, 4)
        ((6, 2, 3, 2), 5, 0.3333)
    """
    choice("way", way, WAYS)
    integer("classes", classes, low=2)
    stream = torch.Generator().manual_seed(integer("seed", seed, low=0))
    p = torch.randn(starts, classes, dim, generator=stream)
    if points is not None:
        p = points.float().expand(starts, -1, -1).clone()
    net = _networks(starts, dim, width, classes, stream)
    p.requires_grad_(way != "fixed")
    weights = [*net.parameters(), *([p] if p.requires_grad else [])]
    optimiser = torch.optim.Adam(weights, lr=positive("lr", lr), foreach=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, integer("steps", steps, low=1))
    mixes = _Mixes(classes, alpha, per_pair, number("noise", noise, low=0), stream)
    plain = way == "none"
    looks = sorted({0, steps, *np.geomspace(1, steps, FRAMES - 1).astype(int).tolist()})
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def look() -> None:
        # The same noise at every look.
        grid = _Mixes(classes, alpha, 64, noise, torch.Generator().manual_seed(seed))
        with torch.no_grad():
            loss = _loss(net, p, grid, 0.5)
        seen.append((p.detach().numpy().copy(), loss.numpy()))

    look()
    for step in range(1, steps + 1):
        optimiser.zero_grad()
        shift = float(torch.rand(1, generator=stream, dtype=torch.float64))
        _loss(net, p, mixes, shift, plain).sum().backward()
        optimiser.step()
        schedule.step()
        if step in looks:
            look()
    found_points, losses = (np.stack(one) for one in zip(*seen, strict=True))
    return Moved(np.array(looks), found_points, losses, floor_of(classes, alpha))


def _networks(
    starts: int, dim: int, width: int, classes: int, stream: torch.Generator
) -> EnsembleMLP:
    """Return networks that start differently, each layer uniform as `EnsembleLinear` draws it."""
    net = EnsembleMLP(starts, (dim, width, width, classes))
    with torch.no_grad():
        for layer in net.layers:
            bound = layer.weight.shape[1] ** -0.5
            for parameter in (layer.weight, layer.bias):
                drawn = torch.rand(parameter.shape, generator=stream)
                parameter.copy_((2 * drawn - 1) * bound)
    return net


class _Mixes:
    """All pairs of K classes, each at several values of lambda, with noise of their own."""

    def __init__(
        self, classes: int, alpha: float, per_pair: int, noise: float, stream: torch.Generator
    ) -> None:
        self.law, self.n, self.classes = Law("beta", alpha), per_pair, classes
        self.noise, self.stream = noise, stream
        self.first, self.second = torch.triu_indices(classes, classes, 1)

    def drawn(self, p: Tensor) -> Tensor:
        """Return n draws of each class, (E, K, n, D)."""
        p = p[:, :, None].expand(-1, -1, self.n, -1)
        return p + self.noise * torch.randn(p.shape, generator=self.stream) if self.noise else p

    def __call__(self, p: Tensor, shift: float) -> tuple[Tensor, Tensor]:
        """Return mixed points (E, P n, D) of the pairs of classes and their targets (P n, K)."""
        u = (torch.arange(self.n, dtype=torch.float64) + shift) / self.n
        lam = self.law.quantile(u).to(p.dtype)[:, None]
        a, b = (self.drawn(p[:, rows]) for rows in (self.first, self.second))
        eye = torch.eye(self.classes)
        t = lam * eye[self.first, None] + (1 - lam) * eye[self.second, None]
        return (lam * a + (1 - lam) * b).flatten(1, 2), t.flatten(0, 1)


def _loss(net: EnsembleMLP, p: Tensor, mixes: _Mixes, shift: float, plain: bool = False) -> Tensor:
    """Return the cross-entropy of each start, (E,); if plain, that of unmixed points alone."""
    k = p.shape[1]
    own = mixes.drawn(p).flatten(1, 2)
    t = torch.eye(k).repeat_interleave(mixes.n, 0)
    if plain:
        return _cross_entropy(net(own), t)
    if mixes.noise:  # pairs of one class mix too
        lam = mixes.law.quantile(torch.rand(mixes.n, generator=mixes.stream).double())
        other, lam = mixes.drawn(p).flatten(1, 2), lam.to(p.dtype).repeat(k)[:, None]
        own = lam * own + (1 - lam) * other
    z, mixed = mixes(p, shift)
    clean, rest = net(torch.cat([own, z], 1)).split([len(t), len(mixed)], 1)
    return _cross_entropy(clean, t) / k + (1 - 1 / k) * _cross_entropy(rest, mixed)


def _cross_entropy(logits: Tensor, t: Tensor) -> Tensor:
    return -(F.log_softmax(logits, 2) * t).sum(2).mean(1)


def moving(settings: dict[str, Any], seed: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Return where many starts end: excess of the network's loss, crossings, margins.

    Metrics over the starts: ``excess`` (mean), ``excess_least`` (of the best start); in the plane
    ``crossings_start``, ``crossings_end`` (means), ``crossings_least`` and ``planar`` (share of
    starts that end without a crossing); ``radius_start``, ``radius_end`` (root mean square distance
    to the centre, mean over the starts) and, for K >= 4, ``gap`` (mean margin over that radius);
    on a line ``conflict_start``, ``conflict_end`` (mean excess of the
    arrangement itself). Arrays: ``steps`` (T,), ``losses`` (T, E), ``points`` (T, 3, K, D) of the
    first three starts, ``ends`` (2, E, K, D) of all at start and end and, in the plane, their
    crossings ``count`` (2, E).
    """
    own = {key: value for key, value in settings.items() if key != "size"}
    moved = move(**own, seed=seed)
    excess = moved.losses[-1] - moved.floor
    metrics = {"excess": float(excess.mean()), "excess_least": float(excess.min())}
    first, last = moved.points[0], moved.points[-1]
    arrays = {
        "steps": moved.steps,
        "losses": moved.losses.astype(np.float32),
        "points": moved.points[:, :3].astype(np.float16),
        "ends": np.stack([first, last]).astype(np.float16),
    }
    k, dim = last.shape[1:]
    if dim == 2:
        count = np.array([[crossings(p) for p in points] for points in (first, last)])
        arrays["count"] = count.astype(np.int16)
        metrics["crossings_start"], metrics["crossings_end"] = map(float, count.mean(1))
        metrics["crossings_least"] = float(count[1].min())
        metrics["planar"] = float((count[1] == 0).mean())
    radius = [_radius(points) for points in (first, last)]
    metrics["radius_start"], metrics["radius_end"] = (float(one.mean()) for one in radius)
    if k >= 4:
        metrics["gap"] = float((margin(torch.from_numpy(last).double()).numpy() / radius[1]).mean())
    if dim == 1:
        for name, points in (("start", first), ("end", last)):
            metrics[f"conflict_{name}"] = float(
                np.mean([line_conflict(p, settings["alpha"]) for p in points])
            )
    return metrics, arrays


def _radius(points: np.ndarray) -> np.ndarray:
    """Return the root mean square distance of the points of each start to their mean."""
    centred = points - points.mean(1, keepdims=True)
    return np.sqrt((centred.astype(float) ** 2).sum(2).mean(1))


def line_conflict(points: np.ndarray, alpha: float = 1.0) -> float:
    """Return the excess that an arrangement of one point a class forces, (K, D)."""
    return arrangement_loss(points, np.arange(len(points)), alpha=alpha).excess


# Width, rate and length were fixed on points that stay, K = 4 with one inside the triangle, seed
# 100: there the network comes within 0.005 nats of the floor.
_SIZES: dict[str, dict[str, Any]] = {
    "smoke": {"starts": 2, "steps": 5, "width": 8},
    "quick": {"starts": 10, "steps": 2000, "width": 64},
    "paper": {"starts": 50, "steps": 10_000, "width": 128},
}
SPACES = ((3, 1), (3, 2), (4, 2), (5, 2), (6, 2), (10, 2), (5, 3), (6, 3), (10, 3))


def cell(profile: str, classes: int, dim: int, way: str = "mixed", **changes: Any) -> dict:
    """Return the settings of one program.

    Example:
        >>> cell("quick", 4, 2)["starts"]
        10
    """
    plain = {"classes": classes, "dim": dim, "way": way, "alpha": 1.0, "noise": 0.0}
    return plain | _SIZES[profile] | changes


CONTROLS = ((4, 2), (6, 2), (10, 2), (10, 3))
# Clouds in place of points: a way, and a space.
NOISE = 0.3
NOISY = (("mixed", 4, 2), ("fixed", 4, 2), ("none", 4, 2), ("mixed", 6, 2), ("mixed", 6, 3))

MOVING = Study(
    "ch10-moving",
    moving,
    {
        profile: [cell(profile, k, d) for k, d in SPACES]
        + [cell(profile, k, d, way) for k, d in CONTROLS for way in ("fixed", "none")]
        + [cell(profile, k, d, way, noise=NOISE) for way, k, d in NOISY]
        for profile in _SIZES
    },
    live_seeds={"quick": 1},
)
