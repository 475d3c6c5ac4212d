"""What section 2 states exactly, on random cases, beside controls that must fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from scipy import special

from mmlib.mixing import Law
from mmlib.studies.ch13 import choices, objective, transport

NEAR = 0.1  # a weight this close to 0 or 1 is near an end


def near_an_end(alpha: float) -> float:
    """Return the chance that lambda ~ Beta(alpha, alpha) is within 0.1 of 0 or 1.

    Example:
        >>> round(near_an_end(1.0), 6)
        0.2
    """
    return 2 * float(special.betainc(alpha, alpha, NEAR))


def weights(alphas: Sequence[float], n: int, seed: int) -> dict[str, float]:
    """Return the share of n drawn weights near an end, and the mean distance to the nearer end."""
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(n, generator=generator, dtype=torch.float64)
    found = {}
    for alpha in alphas:
        lam = Law("beta", alpha).quantile(u)
        inside = torch.minimum(lam, 1 - lam)
        found[f"near_a{alpha:g}"] = float((inside < NEAR).double().mean())
        found[f"inside_a{alpha:g}"] = float(inside.mean())
    return found


def identities(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """All checks of one random case; ``<name>_error`` beside ``<name>_control``."""
    k = settings["size"]
    return {
        **objective.objective(settings["weight"], settings["draws"], seed),
        **transport.wasserstein(k, seed),
        **transport.displacement(k, seed),
        **transport.on_a_line(min(k, 6), seed),
        **transport.in_the_plane(2 * k, settings["sets"], seed),
        **choices.self_pairs(settings["dims"], k, 4 * k, settings["sets"], seed),
        **weights(settings["alphas"], settings["samples"], seed),
    }
