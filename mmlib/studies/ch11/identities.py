"""What the derivations of chapter 11 say, on random cases, beside controls that must fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmlib.measures import segments
from mmlib.measures.spectra import class_spectra, numerical_rank
from mmlib.measures.subspaces import (
    best_scale,
    beta_nodes,
    class_dimension,
    excess_at,
    squared_floor,
    squared_shrinkage,
)
from mmlib.studies.ch11.free_states import all_mixes


def least_rank(h: Tensor, y: Tensor) -> int:
    """Return the rank of the centred states of the class that has the fewest directions.

    Example:
        >>> least_rank(torch.eye(4), torch.tensor([0, 0, 0, 1]))
        0
    """
    return min(
        int(numerical_rank(s, 1e-6)) if s[0] > 0 else 0 for s in class_spectra(h, y).values()
    )


def any_head(classes: int, per_class: int, units: int, n: int, seed: int) -> dict[str, float]:
    """Random states and the head on their segments: largest error on n mixes, and dimensions.

    ``above`` counts by how many directions the flattest class exceeds H - d + 1. The control puts
    four classes on the corners of a square, whose diagonals cross.
    """
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(classes).repeat_interleave(per_class)
    h = torch.randn(len(y), units, generator=generator, dtype=torch.float64)
    targets = torch.eye(classes, dtype=torch.float64)[y]
    first, second = torch.randint(len(y), (2, n), generator=generator)
    lam = torch.rand(n, 1, generator=generator, dtype=torch.float64)
    out = segments.SegmentHead(h, targets)(lam * h[first] + (1 - lam) * h[second])
    wanted = lam * targets[first] + (1 - lam) * targets[second]
    square = torch.tensor([[0.0, 0], [1, 1], [0, 1], [1, 0]], dtype=torch.float64)
    eye = torch.eye(4, dtype=torch.float64)
    middle = segments.SegmentHead(square, eye)(square[:1] + 0.5)
    return {
        "any_error": float((out - wanted).abs().max()),
        "any_control": float((middle - (eye[0] + eye[1]) / 2).abs().max()),
        "any_gap": segments.least_gap(h),
        "any_above": float(least_rank(h, y) - class_dimension(units, classes)),
        "any_bound": float(class_dimension(units, classes)),
        "any_rank": float(least_rank(h, y)),
    }


def arc_and_point(n: int, seed: int) -> dict[str, float]:
    """A curved class and a point: largest error of the head on n mixes, seen and unseen arcs."""
    generator = torch.Generator().manual_seed(seed)
    half = float(0.3 + 0.7 * torch.rand(1, generator=generator))
    found = {}
    for name, place in (("arc_error", 3.0), ("arc_control", -3.0)):
        case = segments.ArcAndPoint(half, place)
        a = case.arc(n)
        lam = torch.rand(n, 1, generator=generator, dtype=torch.float64)
        error = (case(lam * a + (1 - lam) * case.point) - lam[:, 0]).abs().max()
        chords = lam * a + (1 - lam) * a[torch.randperm(n, generator=generator)]
        found[name] = float(torch.maximum(error, (case(chords) - 1).abs().max()))
    rank = least_rank(a, torch.zeros(n, dtype=torch.long))
    return found | {"arc_above": float(rank - class_dimension(2, 2))}


def squared_identity(alpha: float, classes: int, units: int, seed: int) -> dict[str, float]:
    """Mixed over plain squared loss of a random affine head against its factor, relative error.

    Controls: a head whose bias is not the best; the floor of classes that are not balanced.
    """
    rng = np.random.default_rng(seed)
    targets = np.eye(classes).repeat(3, axis=0)
    residual = rng.normal(size=(len(targets), units)) @ rng.normal(size=(units, classes)) - targets
    lam, weight = map(torch.from_numpy, beta_nodes(alpha, 8))

    def ratio(r: np.ndarray) -> float:
        mixes = all_mixes(torch.from_numpy(r), lam).square().sum(-1)
        return float(mixes.mean((1, 2)) @ weight) / float((r**2).sum(1).mean())

    def left(rows: np.ndarray) -> float:
        s = np.linalg.svd(rows - rows.mean(0), compute_uv=False)
        return float((s[units:] ** 2).sum() / len(rows))

    expected, floor = squared_shrinkage(alpha), squared_floor(units, classes)
    uneven = targets[: len(targets) // 2 + 1]
    return {
        "factor_error": abs(ratio(residual - residual.mean(0)) / expected - 1),
        "factor_control": abs(ratio(residual - residual.mean(0) + 0.3) / expected - 1),
        "floor_error": abs(left(targets) - floor),
        "floor_control": abs(left(uneven) - floor),
    }


def scale_identity(alpha: float, classes: int) -> dict[str, float]:
    """Slope of the excess at the best scale, which must be 0, and at a larger one."""
    nodes = beta_nodes(alpha, 64)
    scale, excess = best_scale(classes, *nodes)
    step = 1e-3 * scale
    around = [excess_at(scale + k * step, classes, *nodes) for k in (-1, 1)]
    slope = (around[1] - around[0]) / (2 * step)
    far = [excess_at(k * scale, classes, *nodes) for k in (1.18, 1.2)]
    return {
        "scale": scale,
        "excess": excess,
        "scale_error": abs(slope),
        "scale_control": abs(far[1] - far[0]) / (0.02 * scale),
    }


def identities(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """All checks of one random case; ``<name>_error`` beside ``<name>_control``.

    ``reach`` is the range of lambda at one point for two segments at a random angle, and
    ``reach_parallel`` that of parallel ones, which is the error of 'parallel segments agree'.
    """
    alpha, classes, units = settings["alpha"], settings["classes"], settings["units"]
    angle = 0.1 + 1.3 * float(np.random.default_rng(seed).random())
    return {
        **any_head(classes, settings["per_class"], units, settings["mixes"], seed),
        **arc_and_point(settings["mixes"], seed),
        **squared_identity(alpha, classes, max(1, classes - 2), seed),
        **scale_identity(alpha, classes),
        "reach": segments.reachable_range(angle),
        "reach_parallel": segments.reachable_range(0.0),
    }
