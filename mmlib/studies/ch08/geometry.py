"""Where hidden states lie: effective dimensions, shells, mid points, directions of classes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmlib.measures.crossings import crossed_pairs, crossing_margin
from mmlib.measures.intrinsic import two_nn
from mmlib.measures.plausibility import nearest_distance
from mmlib.measures.spectra import (
    class_means,
    class_spectra,
    dimensions_for,
    effective_rank,
    participation_ratio,
    spectrum,
    whitened,
    within_over_total,
)

LEADING = 5  # directions of a class


def coordinates(h: Tensor) -> Tensor:
    """Return states (N, H) in at most N coordinates with the same inner products, float64.

    All measures below but `nearest_classes` are the same for a rotated cloud, and many cost less.
    """
    h = h.double()
    if h.shape[1] <= len(h):
        return h
    values, vectors = torch.linalg.eigh(h @ h.T)
    return vectors * values.clamp(min=0).sqrt()


def dimensions(h: Tensor) -> dict[str, float]:
    """Four effective dimensions of states (N, H): three of the spectrum, one of neighbours."""
    s = spectrum(h)
    return {
        "rank": float(effective_rank(s)),
        "participation": float(participation_ratio(s)),
        "share95": float(dimensions_for(s)),
        "two_nn": two_nn(h),
    }


def shell(h: Tensor, first: Tensor, second: Tensor) -> dict[str, float]:
    """Radii of states (N, H) and of the mid points of pairs (P,) of them; in % unless said.

    ``spread`` is the standard deviation of the radius about the mean state over its mean,
    ``inside`` the share of states nearer to it than a mid point (mean over mid points), ``mid``
    the radius of mid points over that of states (a ratio, 0.71 for unrelated directions). The same
    about the origin with ``_origin``. ``cosine`` is the mean cosine of two states, ``cosine_mean``
    the same about their mean (ratios); on a sphere about the origin it would be 0.
    """
    found = {}
    middle = (h[first] + h[second]) / 2
    for name, centre in (("", h.mean(0)), ("_origin", torch.zeros_like(h[0]))):
        radius, mid = (h - centre).norm(dim=1), (middle - centre).norm(dim=1)
        nearer = torch.searchsorted(radius.sort().values, mid) / len(h)
        found[f"spread{name}"] = 100 * float(radius.std() / radius.mean())
        found[f"inside{name}"] = 100 * float(nearer.mean())
        found[f"mid{name}"] = float(mid.mean() / radius.mean())
    for name, states in (("cosine", h), ("cosine_mean", h - h.mean(0))):
        unit = states / states.norm(dim=1, keepdim=True).clamp(min=1e-12)
        n = len(unit)
        found[name] = float((unit.sum(0).square().sum() - n) / (n * (n - 1)))
    return found


def nearest_classes(
    h: Tensor, y: Tensor, known: Tensor, known_y: Tensor, first: Tensor, second: Tensor
) -> dict[str, float]:
    """Is the middle of a pair empty of third classes? Shares in %, distances as ratios.

    ``mid_third``: mid points whose nearest known state is of neither class. ``end_third``: the same
    of the states themselves, whose class is one: what a nearest neighbour gets wrong.
    ``gap_mid``: median distance of a mid point to the nearest known state of a third class over
    that of an end point; below 1 if the middle is nearer to third classes than the ends are.
    """
    middle = (h[first] + h[second]) / 2
    _, near = nearest_distance(middle, known)
    _, near_end = nearest_distance(h[first], known)
    a, b = y[first], y[second]
    third = (known_y[near] != a) & (known_y[near] != b)
    away = {}
    for name, points in (("mid", middle), ("end", h[first])):
        distance = torch.cdist(points, known)
        own = (known_y[None] == a[:, None]) | (known_y[None] == b[:, None])
        away[name] = distance.masked_fill(own, torch.inf).amin(1)
    return {
        "mid_third": 100 * float(third.float().mean()),
        "end_third": 100 * float((known_y[near_end] != a).float().mean()),
        "gap_mid": float(away["mid"].median() / away["end"].median()),
    }


def overlaps(h: Tensor, y: Tensor, leading: int = LEADING) -> Tensor:
    """Return the mean squared cosine of the principal angles of two classes, (K, K).

    Of the spans of the `leading` principal directions of each class about its own mean:
    ``|B_a B_b^T|^2 / leading``, 1 for equal spans and ``leading / H`` on average for random ones.
    A class of n examples has at most n - 1 directions.
    """
    bases = []
    leading = min(leading, int(y.unique(return_counts=True)[1].min()) - 1)
    for label in y.unique():
        own = h[y == label]
        _, _, v = torch.linalg.svd((own - own.mean(0)).double(), full_matrices=False)
        bases.append(v[:leading])
    basis = torch.stack(bases)
    return torch.einsum("aih,bjh->abij", basis, basis).square().sum((2, 3)) / basis.shape[1]


def off_diagonal(square: Tensor) -> Tensor:
    """Return the entries (a, b), a < b, of (K, K) as (K (K - 1) / 2,)."""
    rows, columns = torch.triu_indices(len(square), len(square), 1)
    return square[rows, columns]


def directions(h: Tensor, y: Tensor, units: int, generator: torch.Generator) -> dict[str, float]:
    """Are classes flat, and along the same directions?

    ``overlap`` as in `overlaps`, mean over pairs; ``overlap_random`` of random spans among all
    `units` of the layer (exact);
    ``overlap_shuffled`` for shuffled labels, the most that can be expected. ``class_rank``: mean
    effective rank of a class; ``within``: within-class over total variance.
    """
    shuffled = y[torch.randperm(len(y), generator=generator)]
    spectra = class_spectra(h, y).values()
    return {
        "overlap": float(off_diagonal(overlaps(h, y)).mean()),
        "overlap_shuffled": float(off_diagonal(overlaps(h, shuffled)).mean()),
        "overlap_random": min(1.0, LEADING / units),
        "class_rank": float(torch.stack([effective_rank(s) for s in spectra]).mean()),
        "within": within_over_total(h, y),
    }


WHITE = 50  # principal directions that are whitened


def mean_crossings(h: Tensor, y: Tensor) -> tuple[dict[str, float], np.ndarray]:
    """Crossed pairs of class means, in % of pairs, and their margins (K (K - 1) / 2,).

    ``means_crossed`` for the means as they are, ``means_crossed_white`` after the leading `WHITE`
    principal directions have been scaled to one variance.
    """
    means, _ = class_means(h, y)
    white, _ = class_means(whitened(h)[:, :WHITE], y)
    found = {
        "means_crossed": 100 * float(off_diagonal(crossed_pairs(means)).float().mean()),
        "means_crossed_white": 100 * float(off_diagonal(crossed_pairs(white)).float().mean()),
    }
    margin = off_diagonal(crossing_margin(means))
    found["least_margin"] = float(margin.min())
    return found, margin.numpy().astype(np.float16)
