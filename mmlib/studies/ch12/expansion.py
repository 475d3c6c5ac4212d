r"""The orders of the terms of a mixed loss in the distance of two states, on random heads.

Two states at a distance eps, :math:`\delta = z_j - z_i`, logits u = g(z). With B the second
derivative of g along :math:`\delta` the logits of a mix are :math:`\lambda u_i + (1 - \lambda) u_j
- \tfrac12 \lambda (1 - \lambda) B` and more; chapter 12 derives what follows for the losses. What
is left after the terms of an expansion falls like a power of eps, and the power is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from mmlib.measures.conflict import target_entropy
from mmlib.measures.logit_gap import optimal_gap
from mmlib.measures.subspaces import beta_nodes
from mmlib.mixing import soft_cross_entropy

ACTIVATIONS = {"tanh": nn.Tanh, "softplus": nn.Softplus, "relu": nn.ReLU}
LAM = 0.3  # not 1/2, where middle, mix and centroid of a chord are one point


def head(activation: str, units: int, hidden: int, classes: int, seed: int) -> nn.Sequential:
    """Return a random head with one hidden layer in float64, its weights drawn from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        net = nn.Sequential(
            nn.Linear(units, hidden), ACTIVATIONS[activation](), nn.Linear(hidden, classes)
        ).double()
        for layer in (net[0], net[2]):
            nn.init.normal_(layer.weight, std=1.5 / layer.in_features**0.5)
    return net


def second_derivative(g: Callable[[Tensor], Tensor], z: Tensor, d: Tensor) -> Tensor:
    """Return the second derivative of g at states z along d, (N, H) and (N, H) -> (N, K).

    Example:
        >>> second_derivative(torch.square, torch.tensor([[1.0]]), torch.tensor([[3.0]]))
        tensor([[18.]])
    """
    with torch.enable_grad():
        t = torch.zeros(len(z), dtype=z.dtype, requires_grad=True)
        columns = g(z + t[:, None] * d).unbind(1)
        # Rows do not meet, so the gradient of a sum holds each row's own derivative.
        slopes = [torch.autograd.grad(one.sum(), t, create_graph=True)[0] for one in columns]
        second = [torch.autograd.grad(one.sum(), t, retain_graph=True)[0] for one in slopes]
    return torch.stack(second, 1)


def power(distances: Tensor, errors: list[Tensor]) -> float:
    """Return the slope of the log of the root mean square error against the log of the distance.

    Example:
        >>> round(power(torch.tensor([1.0, 0.1]), [torch.tensor([2.0]), torch.tensor([0.002])]), 6)
        3.0
    """
    sizes = torch.stack([one.double().square().mean().sqrt() for one in errors])
    return float(np.polyfit(distances.double().log(), sizes.log(), 1)[0])


class Chords:
    """Chords of one length around fixed centres, and the logits on them.

    Attributes:
        ends: z_i and z_j, (N, H) each.
        delta: z_j - z_i.
        logits: u_i and u_j.
        chord: lam u_i + (1 - lam) u_j.
        mixed: g(lam z_i + (1 - lam) z_j).
    """

    def __init__(
        self, g: nn.Module, centre: Tensor, way: Tensor, eps: float, lam: float = LAM
    ) -> None:
        self.g, self.lam, self.delta = g, lam, eps * way
        self.ends = (centre - self.delta / 2, centre + self.delta / 2)
        self.logits = tuple(g(z) for z in self.ends)
        self.chord = lam * self.logits[0] + (1 - lam) * self.logits[1]
        self.mixed = g(self.at(1 - lam))

    def at(self, t: float) -> Tensor:
        """Return z_i + t (z_j - z_i)."""
        return self.ends[0] + t * self.delta

    def bend(self, place: str) -> Tensor:
        """Return lam (1 - lam) / 2 times the second derivative along the chord at a place of it."""
        t = {"mix": 1 - self.lam, "middle": 0.5, "centroid": (2 - self.lam) / 3}[place]
        return self.lam * (1 - self.lam) / 2 * second_derivative(self.g, self.at(t), self.delta)


def bends(make: Callable[..., list[Chords]], distances: Tensor) -> dict[str, float]:
    """Return the powers of the error of the logits of a mix; two controls have power 2."""
    found, half = {}, make(lam=0.5)
    for place in ("mix", "middle", "centroid"):
        errors = [c.mixed - c.chord + c.bend(place) for c in make()]
        found[f"bend_{place}"] = power(distances, errors)
    found["bend_half"] = power(distances, [c.mixed - c.chord + c.bend("mix") for c in half])
    found["bend_without"] = power(distances, [c.mixed - c.chord for c in make()])
    double = [c.mixed - c.chord + 2 * c.bend("centroid") for c in make()]
    return found | {"bend_double": power(distances, double)}


def squared(chords: list[Chords], residuals: tuple[Tensor, Tensor], distances: Tensor) -> dict:
    """Return powers for half the squared loss with fixed residuals of the ends, and with none."""
    errors: dict[str, list[Tensor]] = {}
    for c in chords:
        r = c.lam * residuals[0] + (1 - c.lam) * residuals[1]
        rest = c.mixed - c.chord  # the residual of the mix is r + rest
        loss, affine = 0.5 * (r + rest).square().sum(1), 0.5 * r.square().sum(1)
        signed, fourth = (r * c.bend("centroid")).sum(1), 0.5 * c.bend("mix").square().sum(1)
        fitted = 0.5 * rest.square().sum(1)
        for name, error in {
            "squared_affine": loss - affine,
            "squared_signed": loss - affine + signed,
            "squared_wrong_sign": loss - affine - signed,
            "fitted": fitted,
            "fitted_fourth": fitted - fourth,
            "fitted_double": fitted - 2 * fourth,
        }.items():
            errors.setdefault(name, []).append(error)
    return {name: power(distances, row) for name, row in errors.items()}


def cross_entropy(
    chords: list[Chords], targets: tuple[Tensor, Tensor], distances: Tensor
) -> dict[str, float]:
    """Return powers for cross-entropy with terms left out, and the error of an identity.

    ``gap_identity`` is the largest error of the exact gap part, ``gap_control`` without Jensen's.
    """
    errors: dict[str, list[Tensor]] = {}
    exact, control = [], []
    for c in chords:
        lam, (a, b), (ya, yb) = c.lam, c.logits, targets
        y = lam * ya + (1 - lam) * yb
        ends = lam * soft_cross_entropy(a, ya, "none") + (1 - lam) * soft_cross_entropy(
            b, yb, "none"
        )
        first = lam * (1 - lam) * ((ya - yb) * (a - b)).sum(1)
        jensen = lam * a.logsumexp(1) + (1 - lam) * b.logsumexp(1) - c.chord.logsumexp(1)
        gap = soft_cross_entropy(c.chord, y, "none") - ends
        exact.append((gap - first + jensen).abs().max())
        control.append((gap - first).abs().max())
        p = c.mixed.softmax(1)
        variance = (p * (a - b).square()).sum(1) - (p * (a - b)).sum(1).square()
        spread = lam * (1 - lam) / 2 * variance
        curved = ((p - y) * c.bend("mix")).sum(1)
        loss = soft_cross_entropy(c.mixed, y, "none")
        for name, error in {
            "ce_ends": loss - ends,
            "ce_first": loss - ends - first,
            "ce_no_curvature": loss - ends - first + spread,
            "ce_no_variance": loss - ends - first + curved,
            "ce_second": loss - ends - first + spread + curved,
        }.items():
            errors.setdefault(name, []).append(error)
    found = {name: power(distances, row) for name, row in errors.items()}
    return found | {
        "gap_identity": float(torch.stack(exact).max()),
        "gap_control": float(torch.stack(control).max()),
    }


def pressures(chords: list[Chords], distances: Tensor) -> dict[str, float]:
    """Return powers of the gradient of the fitted squared loss, in head and states.

    ``_any`` is all of it; ``_fit`` what is left for moves that keep both ends fitted: parameters
    that change neither u_i nor u_j, states that move where the head is level.
    """
    found: dict[str, list[Tensor]] = {}
    for c in chords:
        weights = {k: v.detach() for k, v in c.g.named_parameters()}

        def by_weight(z: Tensor, c: Chords = c, weights: dict = weights) -> Tensor:
            one = jacrev(lambda w: functional_call(c.g, w, (z,)))(weights)
            return torch.cat([part.flatten(1) for part in one.values()], 1)

        rest = (c.mixed - c.chord).detach()
        by_state = vmap(jacrev(c.g))
        slope = by_state(c.at(1 - c.lam))
        level = [c.lam * (rest[:, None] @ slope)[:, 0]]
        level.append(_without(level[0], by_state(c.ends[0])))
        rows = [torch.stack([by_weight(z) for z in place]) for place in (*c.ends, c.at(1 - c.lam))]
        # A fitted target stays where it is, so the residual of the mix moves as its logits do.
        pull = (rest[:, None] @ rows[2])[:, 0]
        for name, value in {
            "states_any": level[0],
            "states_fit": level[1],
            "head_any": pull,
            "head_fit": _without(pull, torch.cat(rows[:2], 1)),
        }.items():
            found.setdefault(name, []).append(value)
    return {name: power(distances, row) for name, row in found.items()}


def _without(v: Tensor, rows: Tensor) -> Tensor:
    """Return vectors (N, D) less their part in the span of rows (N, R, D)."""
    q, _ = torch.linalg.qr(rows.transpose(1, 2))
    return v - (q @ (q.transpose(1, 2) @ v[:, :, None]))[:, :, 0]


def kinks(g: nn.Module, n: int, seed: int, distances: Tensor) -> dict[str, float]:
    """Return the powers of mean, root mean square and frequency of the bend of random chords.

    For a head made of ReLUs the second derivative sits on kinks. A short chord meets one with a
    chance of order eps, and then bends by an amount of order eps.
    """
    generator = torch.Generator().manual_seed(seed)
    units = g[0].in_features
    draw = {"generator": generator, "dtype": torch.float64}
    centre = torch.randn(n, units, **draw)
    way = nn.functional.normalize(torch.randn(n, units, **draw), dim=1)
    mean, rms, share = [], [], []
    with torch.no_grad():
        for eps in distances.tolist():
            c = Chords(g, centre, way, eps)
            size = (c.mixed - c.chord).norm(dim=1)
            mean.append(size.mean()[None])
            rms.append(size)
            share.append((size > 1e-9 * eps).double().mean()[None])
    return {
        "kink_mean": power(distances, mean),
        "kink_rms": power(distances, rms),
        "kink_share": power(distances, share),
    }


def curved_optimum(classes: int, alpha: float, bound: float) -> dict[str, float]:
    """Return excesses of the mixed cross-entropy: of the best affine head, and of a curved one.

    The curved head has the log-odds log(lam / (1 - lam)) of two classes on their chord, cut at
    +-`bound` on the mixes and at `bound` on the ends, and gives all others as little.
    """
    lam, weight = beta_nodes(alpha, 200)
    floor = (1 - 1 / classes) * target_entropy(alpha)
    odds = np.clip(np.log(lam) - np.log1p(-lam), -bound, bound)
    rows = np.stack([odds / 2, -odds / 2, *([np.full_like(odds, -bound)] * (classes - 2))])
    total = np.logaddexp.reduce(rows, axis=0)
    mixed = total - lam * rows[0] - (1 - lam) * rows[1]
    own = np.log1p((classes - 1) * np.exp(-bound))
    return {
        "affine_excess": optimal_gap(classes, lam, weight).risk - floor,
        "curved_excess": float(own / classes + (1 - 1 / classes) * (weight @ mixed)) - floor,
    }


def expansion(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Measure all powers on one random head.

    Metrics: those of `bends`, `squared`, `cross_entropy`, `pressures`; of `kinks` for a head of
    ReLUs and, with ``smooth_`` in front, for this one; of `curved_optimum`.
    """
    sizes = [settings[key] for key in ("units", "hidden", "classes")]
    g = head(settings["activation"], *sizes, seed)
    generator = torch.Generator().manual_seed(10_000 + seed)
    draw = {"generator": generator, "dtype": torch.float64}
    n, units, classes = settings["pairs"], settings["units"], settings["classes"]
    centre = torch.randn(n, units, **draw)
    way = nn.functional.normalize(torch.randn(n, units, **draw), dim=1)
    residuals = tuple(torch.randn(n, classes, **draw) for _ in range(2))
    first = torch.arange(n) % classes
    eye = torch.eye(classes, dtype=torch.float64)
    targets = eye[first], eye[(first + 1) % classes]
    distances = torch.logspace(-0.5, -1.75, 6, dtype=torch.float64)

    def make(lam: float = LAM) -> list[Chords]:
        with torch.no_grad():
            return [Chords(g, centre, way, eps, lam) for eps in distances.tolist()]

    chords = make()
    with torch.no_grad():
        found = bends(make, distances) | squared(chords, residuals, distances)
        found |= cross_entropy(chords, targets, distances) | pressures(chords, distances)
    short = torch.logspace(-0.8, -2.0, 5, dtype=torch.float64)
    found |= kinks(head("relu", *sizes, seed), settings["chords"], seed, short)
    smooth = kinks(g, settings["chords"] // 10, seed, short)
    found |= {f"smooth_{name}": value for name, value in smooth.items()}
    return found | curved_optimum(classes, settings["alpha"], settings["bound"])
