"""Choices that the text leaves open: where the two sets come from, and which distance counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmlib.mixing import OptimalPairing
from mmlib.studies.ch13 import fields
from mmlib.studies.ch13.couplings import Pairs
from mmlib.studies.ch13.toys import PLAIN, scores, train
from mmlib.training import KMember

# Sets and cost: the text's; its sets cut from one minibatch; the released code's (last).
WAYS = {
    "independent": ("independent", "sqeuclidean"),
    "disjoint": ("disjoint", "sqeuclidean"),
    "batch": ("batch", "sqeuclidean"),
    "independent_distance": ("independent", "euclidean"),
    "batch_distance": ("batch", "euclidean"),
}


def allowed(settings: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the ways and k that a minibatch has room for.

    Example:
        >>> sizes = {"ways": ("batch", "disjoint"), "ks": (2, 4), "batch": 4}
        >>> list(allowed(sizes))
        [('batch', 2), ('batch', 4), ('disjoint', 2)]
    """
    for way in settings["ways"]:
        for k in settings["ks"]:
            if k * (2 if way == "disjoint" and k > 1 else 1) <= settings["batch"]:
                yield way, k


def pairs_of(
    x: Tensor, way: str, k: int, batch: int, rounds: int, generator: torch.Generator
) -> Pairs:
    """Return the pairs of `rounds` minibatches, drawn as in training.

    Example:
        >>> x = torch.randn(32, 2, generator=torch.Generator().manual_seed(0))
        >>> pairs = pairs_of(x, "batch", 8, 8, 3, torch.Generator().manual_seed(1))
        >>> len(pairs.first), bool((pairs.first == pairs.second).all())
        (24, True)
    """
    sets, cost = WAYS[way]
    pairing, found = OptimalPairing(k, cost=cost, sets=sets), []
    other = sets == "independent"
    for _ in range(rounds):
        rows = torch.randperm(len(x), generator=generator)[:batch]
        source = torch.randperm(len(x), generator=generator)[:batch] if other else rows
        order = pairing.draw(batch, generator, other=other)
        partner = pairing.match(order, x[rows], x[source] if other else None)
        found.append(torch.stack([rows[order[0]], source[partner]]))
    return Pairs(*torch.cat(found, 1))


def rates(x: Tensor, y: Tensor, pairs: Pairs) -> dict[str, float]:
    """Return percent of self-pairs and of pairs of two classes, mean length and mean square.

    Example:
        >>> x, y = torch.tensor([[0.0], [3.0]]), torch.tensor([0, 1])
        >>> rates(x, y, Pairs(torch.tensor([0, 0]), torch.tensor([0, 1])))
        {'self': 50.0, 'cross': 50.0, 'length': 1.5, 'square': 4.5}
    """
    i, j = pairs
    length = (x[i] - x[j]).norm(dim=1)
    return {
        "self": 100 * float((i == j).double().mean()),
        "cross": 100 * float((y[i] != y[j]).double().mean()),
        "length": float(length.mean()),
        "square": float(length.square().mean()),
    }


def choices(settings: dict[str, Any], seed: int, device: str = "cpu") -> dict[str, float]:
    """Pairs and accuracy of all ways of choosing sets and distance, on one set at one alpha.

    Metrics: ``<measure>_<way>_k<k>`` for the measures of `rates` and, for the k that are trained,
    of `scores`; those of `scores` for ``plain`` too.
    """
    x, y, _, _ = fields.points(settings["toy"], settings["n"], 2, seed)
    table = list(allowed(settings))
    found: dict[str, float] = {}
    for way, k in table:
        generator = torch.Generator().manual_seed(seed)
        pairs = pairs_of(x, way, k, settings["batch"], settings["rounds"], generator)
        found |= {f"{name}_{way}_k{k}": value for name, value in rates(x, y, pairs).items()}
    trained = [cell for cell in table if cell[1] in settings["trained"]]
    members = [KMember(seed)] + [_member(seed, way, k, settings["alpha"]) for way, k in trained]
    nets, x_test, y_test = train(settings, members, seed, device)
    names = [PLAIN, *(f"{way}_k{k}" for way, k in trained)]
    for measure, values in scores(nets, x_test, y_test, settings["eps"]).items():
        found |= {f"{measure}_{n}": float(v) for n, v in zip(names, values, strict=True)}
    return found


def _member(seed: int, way: str, k: int, alpha: float) -> KMember:
    sets, cost = WAYS[way]
    return KMember(seed, k, alpha, sets=sets, cost=cost)


def overlaps(pairs: Pairs, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each pair of sets how many examples both hold, and how many are self-pairs.

    Example:
        >>> overlaps(Pairs(torch.tensor([0, 1]), torch.tensor([1, 2])), 2)
        (array([1]), array([0]))
    """
    first, second = pairs.first.view(-1, k), pairs.second.view(-1, k)
    shared = (first[:, :, None] == second[:, None, :]).sum((1, 2))
    return shared.numpy(), (first == second).sum(1).numpy()


def self_pairs(dims: Sequence[int], k: int, batch: int, rounds: int, seed: int) -> dict[str, float]:
    """Self-pairs of one permuted minibatch of normal points against the examples its sets share.

    For each number of dimensions D and each way: ``share_<way>_D<D>`` percent of self-pairs;
    ``left_<way>_D<D>`` the largest number of shared examples of two sets that are not paired with
    themselves; ``shared_D<D>`` percent of examples that both sets hold.
    """
    found = {}
    for dim in dims:
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(8 * batch, dim, generator=generator, dtype=torch.float64)
        for way in ("batch", "batch_distance"):
            pairs = pairs_of(x, way, k, batch, rounds, torch.Generator().manual_seed(seed))
            shared, own = overlaps(pairs, k)
            found[f"share_{way}_D{dim}"] = 100 * float(own.sum() / len(pairs.first))
            found[f"left_{way}_D{dim}"] = float((shared - own).max())
        found[f"shared_D{dim}"] = 100 * float(shared.sum() / len(pairs.first))
    return found
