"""Figure 3: one network for each k and alpha on a toy set, all cells of a trial side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmlib.models import Stacked, mlp
from mmlib.studies.ch13 import fields
from mmlib.training import KMember, ensemble_logits, fit_kmixup

PLAIN = "plain"
_OWN = 2000  # points of the support at which outputs are compared with their labels


def name_of(k: int, alpha: float) -> str:
    """Return how a cell is called in metrics.

    Example:
        >>> name_of(4, 0.25)
        'k4_a0.25'
    """
    return f"k{k}_a{alpha:g}"


def cells(settings: Mapping[str, Any]) -> list[tuple[int, float]]:
    """Return the cells (k, alpha) of a table: all pairs, and further k at the alphas of Figure 1.

    Example:
        >>> cells({"ks": (1, 2), "alphas": (1.0,), "more_ks": (32,), "drawn": (1.0, 64.0)})
        [(1, 1.0), (2, 1.0), (32, 1.0)]
    """
    pairs = [(k, alpha) for k in settings["ks"] for alpha in settings["alphas"]]
    drawn = [alpha for alpha in settings["drawn"] if alpha in settings["alphas"]]
    more = [(k, alpha) for k in settings["more_ks"] for alpha in drawn[:1]]
    return list(dict.fromkeys(pairs + more))


def surfaces(settings: Mapping[str, Any]) -> list[str]:
    """Return the names of the networks whose outputs on the region are kept.

    Example:
        >>> surfaces({"ks": (1, 2), "alphas": (1.0, 4.0), "more_ks": (32,), "drawn": (1.0,)})
        ['plain', 'k1_a1', 'k2_a1', 'k32_a1']
    """
    kept = [cell for cell in cells(settings) if cell[1] in settings["drawn"]]
    return [PLAIN, *(name_of(*cell) for cell in kept)]


def train(
    settings: Mapping[str, Any], members: Sequence[KMember], seed: int, device: str = "cpu"
) -> tuple[list[nn.Module], Tensor, Tensor]:
    """Train one network a member from one start, on the same points, as section 5 states it.

    The start is torch's, drawn with the seed of the trial. Learning rate, its drops, momentum and
    weight decay are the printed ones; the number of points, the minibatch and the length are not
    stated. Those used here fit plain training on seed 100 and were not changed afterwards.

    Returns:
        The networks, and the fresh test points and classes on the CPU.
    """
    x, y, x_test, y_test = fields.points(settings["toy"], settings["n"], settings["n_test"], seed)
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        start = mlp((2, *settings["hidden"], 2)).to(device)
    nets: list[nn.Module] = [deepcopy(start) for _ in members]
    fit_kmixup(
        nets,
        members,
        x.to(device),
        y.to(device),
        epochs=settings["epochs"],
        batch_size=settings["batch"],
        lr=settings["lr"],
        drops=settings["drops"],
    )
    return nets, x_test, y_test


def attacked(nets: Sequence[nn.Module], x: Tensor, y: Tensor, eps: float) -> Tensor:
    """Return the fast gradient sign attack of each member, (E, N, 2): ``x - eps sign(grad m)``.

    m is the logit of the class less that of the other. For two classes the cross-entropy falls with
    m alone, so this is the usual attack, without its gradient dying where the loss is 0.
    """
    stack = Stacked(nets).eval()
    points = x.to(next(stack.parameters())).expand(len(nets), -1, -1).clone().requires_grad_()
    sign = (1 - 2 * y).to(points)
    logits = stack(points)
    margin = ((logits[..., 0] - logits[..., 1]) * sign).sum()
    (gradient,) = torch.autograd.grad(margin, points)
    return (points - eps * gradient.sign()).detach()


def scores(nets: Sequence[nn.Module], x: Tensor, y: Tensor, eps: Sequence[float]) -> dict[str, Any]:
    """Return measures of all members on test points, each (E,).

    ``acc`` in percent, ``nll`` in nats, ``blur`` (mean of ``1 - |2 p - 1|``) and accuracy under
    attack, ``fgsm_<eps>``.
    """
    device = next(nets[0].parameters()).device
    logits = ensemble_logits(nets, x.to(device)).cpu()
    found = {
        "acc": 100 * (logits.argmax(-1) == y).double().mean(1),
        "nll": -logits.log_softmax(-1).gather(2, y.expand(len(nets), -1)[..., None]).mean((1, 2)),
        "blur": _blur(logits.softmax(-1)[..., 1]),
    }
    for one in eps:
        moved = attacked(nets, x, y, one)
        with torch.no_grad():
            right = Stacked(nets).eval()(moved).argmax(-1).cpu() == y
        found[f"fgsm_{one:g}"] = 100 * right.double().mean(1)
    return found


def on_the_plane(nets: Sequence[nn.Module], toy: str, side: int) -> tuple[dict[str, Any], Tensor]:
    """Return measures of the outputs on the region of a set, each (E,), and the outputs (E, S, S).

    ``error``: mean distance of p to the true label. ``misplaced``: percent of the region on the
    wrong side. ``zone``: percent of it where p is between 0.1 and 0.9. ``plane_blur``: mean of
    ``1 - |2 p - 1|``. ``own_error``: mean distance of p to the true label on the support.
    """
    device = next(nets[0].parameters()).device
    places, support = fields.region(toy, side), fields.field(toy)
    own = support.points[:_OWN]
    both = torch.cat([places, own]).to(device)
    p, p_own = ensemble_logits(nets, both).softmax(-1)[..., 1].cpu().split([side**2, len(own)], 1)
    label = torch.from_numpy(support.at(places)[1])
    found = {
        "error": (p - label).abs().mean(1),
        "misplaced": 100 * ((p > 0.5) != (label > 0)).double().mean(1),
        "zone": 100 * ((p > 0.1) & (p < 0.9)).double().mean(1),
        "plane_blur": _blur(p),
        "own_error": (p_own - support.labels[:_OWN]).abs().mean(1),
    }
    return found, p.view(len(nets), side, side)


def _blur(p: Tensor) -> Tensor:
    return (1 - (2 * p - 1).abs()).mean(1)


def toys(
    settings: dict[str, Any], seed: int, device: str = "cpu"
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Train all cells of one trial on one set, and plain training beside them.

    Metrics: ``<measure>_<cell>`` for the measures of `scores` and `on_the_plane`, with cells named
    by `name_of` and ``plain``. Arrays: ``surfaces`` (C, S, S), outputs p on the region in 255ths,
    of the networks that `surfaces` names.
    """
    table = cells(settings)
    members = [KMember(seed), *(KMember(seed, k, alpha) for k, alpha in table)]
    nets, x_test, y_test = train(settings, members, seed, device)
    plane, outputs = on_the_plane(nets, settings["toy"], settings["side"])
    measures = scores(nets, x_test, y_test, settings["eps"]) | plane
    names = [PLAIN, *(name_of(*cell) for cell in table)]
    metrics = {
        f"{measure}_{name}": float(value)
        for measure, values in measures.items()
        for name, value in zip(names, values, strict=True)
    }
    kept = outputs[[names.index(name) for name in surfaces(settings)]]
    return metrics, {"surfaces": (255 * kept).round().byte().numpy()}
