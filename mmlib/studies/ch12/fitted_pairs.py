"""What is left of the mixed gradient where all pairs are fitted, and the rest beyond four terms."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from mmlib.measures.mixed_gradient import Loss, gradient_terms, half_squared
from mmlib.mixing import soft_cross_entropy
from mmlib.studies.ch12.random_nets import SITE, Case, draw

LAMBDAS = (0.1, 0.35, 0.5, 0.8)
SIZES = (1.0, 3.0, 10.0)  # what the weights of the features are multiplied by: how curved they are


def size_of(case: Case, loss: Loss = half_squared, layer: str = SITE) -> dict[str, float]:
    """Return the norms of the two gradients, and the root of the loss."""
    found = case.terms(loss, layer)
    return {
        "features": float(found.total("features").norm()),
        "head": float(found.total("head").norm()),
        "loss": found.loss**0.5,
    }


def share(case: Case, layer: str = SITE, groups: tuple[str, ...] = ("features",)) -> float:
    """Return sizes at fitted targets over those at targets of other examples, the largest."""
    at, away = size_of(case.fitted(), layer=layer), size_of(case.fitted().shifted(), layer=layer)
    return max(at[name] / away[name] for name in groups)


def fits(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """What is left of the gradient at fitted pairs: affine and curved heads, mixing at the input.

    ``converse``: two residuals that cancel at one lambda have no loss there, fitted as they are
    not.
    """
    everything = ("features", "head", "loss")
    zero, half = [], []
    for size in SIZES:
        case = draw(settings, seed, size=size)
        for lam in LAMBDAS:
            at = replace(case, lam=torch.full_like(case.lam, lam))
            zero.append(share(at, groups=everything))
            one = at.fitted()
            one = replace(one, y=torch.cat([at.y[:1], one.y[1:]]))
            half.append(size_of(one)["features"] / size_of(one.shifted())["features"])
    case = draw(settings, seed)
    flat = draw(settings, seed, activation="none")
    pair = replace(case.fitted(), x=case.x[:2], lam=case.lam[:2], partner=torch.tensor([1, 0]))
    lam, r = 0.3, case.y[:1]
    pair = replace(pair, y=pair.y[:2] + torch.cat([r, -lam / (1 - lam) * r]))

    def loss_at(weight: float) -> float:
        # Both rows of the batch are the same mix, told from either side.
        one = replace(pair, lam=torch.tensor([weight, 1 - weight], dtype=torch.float64))
        return size_of(one)["loss"] / float(r.norm())

    return {
        "zero_error": max(zero),
        "zero_residual_control": min(half),
        "curved_share": share(draw(settings, seed, curved=True)),
        "input_error": share(flat, "input", ("head",)),
        "input_control": share(case, "input", ("head",)),
        "converse_error": loss_at(lam),
        "converse_control": loss_at(1 - lam),
    }


def entropy_share(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """The same under cross-entropy: an affine head that puts each example's probability at 1.

    The head solves ``W z_i + b = s e_{y_i}`` exactly, as there are no more examples than units.
    """
    case = draw(settings, seed)
    n, outputs = case.y.shape
    rows = torch.eye(outputs, dtype=torch.float64)[torch.arange(n) % outputs]
    z = torch.cat([case.model.features(case.x).detach(), torch.ones(n, 1).double()], 1)
    if case.model.head.bias is None:
        z = z[:, :-1]
    solved = torch.linalg.lstsq(z, settings["scale"] * rows).solution.T
    with torch.no_grad():
        case.model.head.weight.copy_(solved[:, : case.model.head.in_features])
        if case.model.head.bias is not None:
            case.model.head.bias.copy_(solved[:, -1])
    # Neighbours are of different classes; mixes within a class would tell nothing.
    at = replace(case, y=rows, partner=torch.roll(torch.arange(n), 1))
    gap = (case.model(case.x).softmax(1) - rows).abs().max()
    plain = replace(at, partner=torch.arange(n))
    return {
        "entropy_gap": float(gap.detach()),
        "entropy_share": size_of(at, soft_cross_entropy)["features"]
        / size_of(at.shifted(), soft_cross_entropy)["features"],
        "entropy_over_plain": size_of(at, soft_cross_entropy)["features"]
        / size_of(plain, soft_cross_entropy)["features"],
    }


DISTANCES = tuple(np.geomspace(1e-3, 10, 13))
# name -> curved head, targets that differ, loss
RESTS: dict[str, tuple[bool, bool, Loss]] = {
    "curved, targets differ": (True, True, half_squared),
    "curved, equal targets": (True, False, half_squared),
    "affine, cross-entropy": (False, True, soft_cross_entropy),
    "affine, squared error": (False, True, half_squared),
}


def rests(settings: dict[str, Any], seed: int) -> tuple[dict[str, float], np.ndarray]:
    """Size of the rest over that of the usual term, for two states at growing distance.

    Returns:
        its slope in log-log between the two least distances, by case; and (4, 13) sizes.
    """
    sizes = np.zeros((len(RESTS), len(DISTANCES)))
    for row, (curved, differ, loss) in enumerate(RESTS.values()):
        case = draw(settings, seed, curved=curved)
        middle, way = case.model.features(case.x[:2]).detach()
        way = way / way.norm()
        y = torch.eye(case.y.shape[1], dtype=torch.float64)[: 2 if differ else 1].expand(2, -1)
        for column, distance in enumerate(DISTANCES):
            z = torch.stack([middle + distance / 2 * way, middle - distance / 2 * way])
            alone = nn.Sequential(OrderedDict(features=nn.Identity(), head=case.model.head))
            lam = torch.tensor([0.3, 0.7], dtype=torch.float64)  # one mix, told from either side
            found = gradient_terms(alone, z, y, SITE, lam, torch.tensor([1, 0]), loss)
            sizes[row, column] = float(
                found.states["rest"].norm() / found.states["usual_first"].norm()
            )
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.diff(np.log(sizes[:, :2]))[:, 0] / np.diff(np.log(DISTANCES[:2]))[0]
    names = list(RESTS)
    found = {f"slope {name}": float(slope[i]) for i, name in enumerate(names[:3])}
    return found | {"rest affine": float(sizes[3].max())}, sizes
