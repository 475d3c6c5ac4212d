"""Identities behind section 3 of k-Mixup, each beside a control with a planted mistake."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from mmlib.measures import transport_rates as closed
from mmlib.measures.matching import squared_distances
from mmlib.studies.ch14.clusters import batch, centres_of, spacing


def binomials(ks: tuple[int, ...], rng: np.random.Generator) -> dict[str, float]:
    """Three ways to the mean difference, the bound of Jensen, and their ratio at the largest k.

    ``bound``: largest value over its bound, less one; the control takes the bound without the 2.
    ``limit``: distance of the ratio at the largest k from sqrt(2 / pi); its control from 1.
    """
    ways, over, low = [0.0], [], []
    for k in ks:
        for p in (0.5, 0.1 + 0.8 * rng.random()):
            value = closed.mean_difference(k, p)
            ways.append(abs(closed.mean_difference_by_returns(k, p) / value - 1))
            if p == 0.5:
                ways.append(abs(closed.equal_clusters(k) / value - 1))
            over.append(value / closed.jensen_bound(k, p) - 1)
            low.append(value / (closed.jensen_bound(k, p) / np.sqrt(2)) - 1)
    ratio = [closed.mean_difference(max(ks), p) / closed.jensen_bound(max(ks), p)
             for p in (0.5, 0.3, 0.1)]  # fmt: skip
    return {
        "ways_error": max(ways),
        "ways_control": abs(
            closed.mean_difference_by_returns(9, 0.3) / closed.mean_difference(10, 0.3) - 1
        ),
        "bound_error": max(0.0, *over),
        "bound_control": max(low),
        "limit_error": float(np.abs(np.array(ratio) - np.sqrt(2 / np.pi)).max()),
        "limit_control": float(np.abs(np.array(ratio) - 1).min()),
        "rare_ratio": closed.mean_difference(max(ks), 0.1 / max(ks))
        / closed.jensen_bound(max(ks), 0.1 / max(ks)),
    }


def shell_algebra(rng: np.random.Generator, cases: int = 50) -> dict[str, float]:
    r"""The algebra of supplement C in exact fractions; errors are counts of cases that fail.

    With :math:`\delta = R^2 / (4 D^2)`: :math:`2 \delta + R^2 / (2 D^2) = R^2 / D^2`, and
    :math:`D^2 (1 + \epsilon)^2 - D^2 (1 + 2 \delta)^2 > R^2`. The control takes twice that delta;
    ``diameter`` counts where the same difference does not exceed the squared diameter.
    """
    error = control = diameter = 0
    for _ in range(cases):
        r, d = (Fraction(int(n), int(m)) for n, m in rng.integers(1, 1000, (2, 2)))
        ratio = r**2 / d**2
        for delta, planted in ((ratio / 4, False), (ratio / 2, True)):
            epsilon = 2 * delta + ratio / 2
            gain = d**2 * (1 + epsilon) ** 2 - d**2 * (1 + 2 * delta) ** 2
            wrong = epsilon != ratio or not gain > r**2
            control += planted and wrong
            error += not planted and wrong
            diameter += not planted and not gain > (2 * r) ** 2
    return {
        "shell_error": error / cases,
        "shell_control": control / cases,
        "shell_diameter": diameter / cases,
    }


def neighbours(settings: dict[str, Any], rng: np.random.Generator) -> dict[str, float]:
    """Nearest neighbours in a batch of four clusters on a square.

    ``nn_error``: most cross pairs in a batch in which no point is alone in its cluster; the control
    is their least number where one is. ``nn_mean`` and ``nn_expected``: mean number at size k and
    the number of lone points to be expected.
    """
    centres, p = spacing(10.0) * centres_of("square", rng), np.full(4, 0.25)
    counts: dict[bool, list[int]] = {False: [], True: []}
    at_k = []
    for k in (settings["k"], 4, 8):
        for _ in range(settings["trials"]):
            x, own = batch(centres, 1.0, p, k, rng)
            away = squared_distances(x, x)
            np.fill_diagonal(away, np.inf)
            cross = int((own[away.argmin(1)] != own).sum()) if k > 1 else 0
            counts[bool((np.bincount(own) == 1).any())].append(cross)
            if k == settings["k"]:
                at_k.append(cross)
    return {
        "nn_error": max(counts[False], default=0),
        "nn_control": min(counts[True], default=0),
        "nn_mean": float(np.mean(at_k)),
        "nn_expected": closed.lone_points(settings["k"], p),
    }


def covering(rng: np.random.Generator, points: int = 500) -> dict[str, float]:
    """How far points of the generators lie outside m balls of the stated radius.

    The control is a mixture of normal clusters of the same standard deviation.
    """
    error, control = [0.0], []
    for name in ("pair", "triangle", "simplex", "square", "line4", "random"):
        centres = spacing(2.0) * centres_of(name, rng)
        m, d = centres.shape
        x, own = batch(centres, 1.0, np.full(m, 1 / m), points, rng)
        error.append(np.linalg.norm(x - centres[own], axis=1).max() - 1)
        width = np.sqrt(((x - centres[own]) ** 2).mean())
        normal = rng.normal(size=x.shape) * width
        control.append(np.linalg.norm(normal, axis=1).max() - 1)
    return {"cover_error": max(error), "cover_control": min(control)}


def transport_identities(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """All checks of one seed; ``<name>_error`` beside ``<name>_control``."""
    rng = np.random.default_rng(seed)
    found = binomials(tuple(settings["ks"]), rng) | shell_algebra(rng)
    found |= neighbours(settings, rng) | covering(rng)
    return {name: float(value) for name, value in found.items()}
