"""Figure 2 in numbers: whom k-mixup pairs on the toy sets, and where the mixes then lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmlib.mixing import Law, OptimalPairing
from mmlib.studies.ch13 import fields
from mmlib.studies.ch13.toys import name_of

_STEPS = 34  # places along a segment at which its labels are read; none is its middle


class Pairs(NamedTuple):
    """Pairs of examples, (M,) indices each."""

    first: Tensor
    second: Tensor


def independent_pairs(
    x: Tensor, k: int, rounds: int, seed: int, cost: str = "sqeuclidean"
) -> Pairs:
    """Return the pairs of two independent orders of the data, matched in sets of k.

    Orders depend on the seed alone, so all k pair the same examples, differently.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
        >>> near = independent_pairs(x, 4, 1, seed=0)
        >>> bool((near.first == near.second).all())
        True
    """
    generator = torch.Generator().manual_seed(seed)
    pairing = OptimalPairing(k, cost=cost, sets="independent")
    found = []
    for _ in range(rounds):
        order = pairing.draw(len(x), generator, other=True)
        found.append(torch.stack([order[0], pairing.match(order, x, x)]))
    return Pairs(*torch.cat(found, 1))


def crossings(toy: str, x: Tensor, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Return how often the true label changes on each segment, and where it does first, in 0..1.

    The place is counted from the first example; NaN where the label never changes.

    Example:
        >>> ends = torch.tensor([[-0.5, 0.0], [0.5, 0.0], [-1.5, 0.0]])
        >>> pairs = Pairs(torch.tensor([0, 2]), torch.tensor([1, 1]))
        >>> times, place = crossings("four_bars", ends, pairs)
        >>> times.tolist(), [round(float(t), 2) for t in place]
        ([1, 2], [0.5, 0.26])
    """
    if len(pairs.first) == 0:
        return np.zeros(0, dtype=int), np.zeros(0)
    t = torch.linspace(0, 1, _STEPS)[:, None, None]
    labels = fields.field(toy).at(torch.lerp(x[pairs.first], x[pairs.second], t))[1]
    changes = labels[1:] != labels[:-1]
    times = changes.sum(0)
    place = (changes.argmax(0) + 0.5) / (_STEPS - 1)
    return times, np.where(times > 0, place, np.nan)


def shapes(toy: str, x: Tensor, y: Tensor, pairs: Pairs) -> dict[str, float]:
    """Return what pairs look like before any weight is drawn.

    ``square`` and ``length``: mean squared length and mean length. ``cross`` and ``between``:
    percent of pairs of two classes, and of two clusters. ``cross_length``: mean length of pairs of
    two classes. ``self``: percent of examples that are their own partner. Of the pairs of two
    classes: ``once``, percent whose segment meets the boundary once; ``bisected``, percent that
    meet it once and in their middle half; ``off_middle``, mean distance of that one place to the
    middle, in lengths of the segment.
    """
    i, j = pairs
    length = (x[i] - x[j]).norm(dim=1)
    cross, group = y[i] != y[j], fields.clusters(toy, x, y)
    times, place = crossings(toy, x, Pairs(i[cross], j[cross]))
    off = np.abs(place - 0.5)
    once = times == 1
    return {
        "square": float(length.square().mean()),
        "length": float(length.mean()),
        "cross": 100 * float(cross.double().mean()),
        "between": 100 * float((group[i] != group[j]).double().mean()),
        "cross_length": float(length[cross].mean()) if cross.any() else float("nan"),
        "self": 100 * float((i == j).double().mean()),
        "once": _percent(once),
        "bisected": _percent(once & (off <= 0.25)),
        "off_middle": float(off[once].mean()) if once.any() else float("nan"),
    }


def _percent(holds: np.ndarray) -> float:
    return 100 * float(holds.mean()) if len(holds) else float("nan")


class Mixes(NamedTuple):
    """Mixed points (M, 2) and the weight of class 1 in their targets (M,)."""

    x: Tensor
    target: Tensor


def mixes(x: Tensor, y: Tensor, pairs: Pairs, lam: Tensor) -> Mixes:
    """Return the vicinal points of pairs with weights (M,).

    Example:
        >>> x, y = torch.tensor([[0.0, 0.0], [4.0, 0.0]]), torch.tensor([0, 1])
        >>> pairs = Pairs(torch.tensor([0]), torch.tensor([1]))
        >>> mixed = mixes(x, y, pairs, torch.tensor([0.25]))
        >>> mixed.x.tolist(), mixed.target.tolist()
        ([[3.0, 0.0]], [0.75])
    """
    i, j = pairs
    lam = lam.to(x.dtype)
    return Mixes(lam[:, None] * x[i] + (1 - lam)[:, None] * x[j], lam * y[i] + (1 - lam) * y[j])


def intrusion(toy: str, mixed: Mixes) -> dict[str, float]:
    """Return where mixed points lie and how far their labels are from the true ones there.

    ``distance``: mean distance to the support. ``joint``: that of points with their targets to the
    support with its labels. ``wrong``: percent whose target gives less than half
    to the true label of their place. ``surely``: percent whose target gives nothing to it.
    ``label_error``: mean weight that targets give to the other label.
    """
    distance, label = fields.field(toy).at(mixed.x)
    joint = fields.field(toy).joint(*mixed)
    right = np.where(label > 0, mixed.target.numpy(), 1 - mixed.target.numpy())
    return {
        "distance": float(distance.mean()),
        "joint": float(joint.mean()),
        "wrong": _percent(right < 0.5),
        "surely": _percent(right < 1e-6),
        "label_error": float(1 - right.mean()),
    }


def couplings(settings: Mapping[str, Any], seed: int) -> dict[str, float]:
    """Pairs and vicinal sets of one trial: `shapes` for each k, `intrusion` for each k and alpha.

    The points are the training points of the same trial of `toys`. Weights come from the same
    uniform numbers for all k and alpha.
    """
    toy = settings["toy"]
    x, y, _, _ = fields.points(toy, settings["n"], 2, seed)
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(settings["rounds"] * len(x), generator=generator, dtype=torch.float64)
    metrics = {}
    for k in settings["ks"]:
        pairs = independent_pairs(x, k, settings["rounds"], seed)
        metrics |= {f"{name}_k{k}": v for name, v in shapes(toy, x, y, pairs).items()}
        for alpha in settings["alphas"]:
            found = intrusion(toy, mixes(x, y, pairs, Law("beta", alpha).quantile(u)))
            metrics |= {f"{name}_{name_of(k, alpha)}": v for name, v in found.items()}
    return metrics
