"""The law of the partners on sets small enough to enumerate all subsets, for every k."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmlib.measures.coupling_law import (
    CouplingLaw,
    coupling_law,
    enumerated_mean,
    sampled_mean,
    squared_reach,
)

POINTS = ("normal", "clusters", "between")
# Five points on the left, two on the right, one between them: random sets of two and more hold
# different numbers of right points ever more often, and the point between makes up for it.
_BETWEEN = (0.0, 0.1, 0.2, 0.3, 0.4, 1.4, 5.0, 5.1)


def small_set(name: str, n: int, seed: int) -> Tensor:
    """Return a tiny set of points, float64.

    ``normal``: (n, 2) standard normal; ``clusters``: two of them, 4 apart and a third as wide;
    ``between``: 8 fixed points on a line, whatever n and seed.

    Example:
        >>> small_set("between", 8, 0).shape, small_set("clusters", 6, 0).shape
        (torch.Size([8, 1]), torch.Size([6, 2]))
    """
    if name == "between":
        return torch.tensor(_BETWEEN, dtype=torch.float64)[:, None]
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    if name == "clusters":
        x = x / 3
        x[: n // 2, 0] += 4
    return x


def _sums(law: CouplingLaw) -> tuple[float, float]:
    """Return how far sums of D_i are from 1, and so with N choose k twice as the normaliser."""
    weights, (count, k, n) = law.weights, law.given.shape
    wrong = weights * math.comb(n - 1, k - 1) / count
    columns = float((weights.sum(0) - 1).abs().max())
    return max(columns, float((weights.sum(1) - 1).abs().max())), float(
        (wrong.sum(1) - 1).abs().min()
    )


def couplings(
    settings: dict[str, Any], seed: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Enumerate D_i for k = 1 to N and compare it with the library's draws for two k.

    Metrics: ``<name>_error`` beside ``<name>_control`` for ``sum``, ``uniform``, ``self`` and
    ``draws`` (in standard errors); for each k the mean squared distance to a partner ``reach_<k>``,
    the mean share of self-pairs ``self_<k>``, the share of points closer than under k = 1
    ``closer_<k>``; ``rise`` and ``point_rise``, the largest rise from k to k + 1 of the mean and of
    a single point; ``self_excess``, the largest share of self-pairs of a point less k / N. Arrays:
    the points, and the distances of each point, (N, N), by k.
    """
    x = small_set(settings["points"], settings["n"], seed)
    n = len(x)
    laws = [coupling_law(x, k) for k in range(1, n + 1)]
    weights = torch.stack([law.weights for law in laws])
    reach = torch.stack([squared_reach(one, x) for one in weights])
    eye = torch.eye(n, dtype=torch.float64)
    sums = [_sums(law) for law in laws[:-1]] + [_sums(laws[-1])[:1] * 2]
    metrics = {
        "sum_error": max(error for error, _ in sums),
        "sum_control": min(control for _, control in sums[:-1]),
        "uniform_error": float((weights[0] - 1 / n).abs().max()),
        "uniform_control": float((weights[1] - 1 / n).abs().max()),
        "self_error": float((weights[-1] - eye).abs().max()),
        "self_control": float((weights[-2] - eye).abs().max()),
        "rise": float(reach.mean(1).diff().max()),
        "point_rise": float(reach.diff(dim=0).max()),
        "self_excess": max(float(one.diagonal().max()) - k / n for k, one in enumerate(weights, 1)),
    }
    for k in range(1, n + 1):
        metrics[f"reach_{k}"] = float(reach[k - 1].mean())
        metrics[f"self_{k}"] = float(weights[k - 1].diagonal().mean())
        metrics[f"closer_{k}"] = float((reach[k - 1] < reach[0]).double().mean())
    return metrics | _draws(x, settings, seed), {"x": x.numpy(), "reach": reach.numpy()}


def _draws(x: Tensor, settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Compare the mean squared distance of drawn and of enumerated pairs, in standard errors.

    The control draws blocks that share no point, which no example is its own partner in.
    """
    distance = (x[:, None] - x[None]).square().sum(-1)
    generator, scores = torch.Generator().manual_seed(seed), {"independent": [], "disjoint": []}
    for k in settings["drawn"]:
        exact = enumerated_mean(distance, x, k)
        for sets, found in scores.items():
            mean, error = sampled_mean(distance, x, k, settings["draws"], generator, sets=sets)
            found.append(abs(mean - exact) / error)
    return {
        "draws_error": max(scores["independent"]),
        "draws_control": min(scores["disjoint"]),
    }
