"""Expectation and variance of the mixed loss and its gradient: formulas against enumeration.

A small random network with an affine head, so few examples that all permutations, partners and
batches can be listed, and lambda by Gauss quadrature, exact for these polynomials.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmlib.measures.mixed_expectation import (
    cross_moments,
    expected_mixed_loss,
    permutation_variance,
)
from mmlib.measures.mixed_gradient import half_squared
from mmlib.measures.subspaces import beta_nodes, squared_shrinkage
from mmlib.mixing import Mixup
from mmlib.studies.ch12.random_nets import SITE, Case, draw, jacobians


def centred(case: Case) -> Case:
    """Return the case with targets moved so that the mean residual is zero: the best bias."""
    r = (case.model(case.x) - case.y).detach()
    return replace(case, y=case.y + r.mean(0))


def relative(found: float, wanted: float) -> float:
    """Return the difference over the second number."""
    return abs(found / wanted - 1)


def by_pairs(r: Tensor, alpha: float, pairs: list[tuple[int, int]]) -> float:
    """Return the mean loss of mixes over index pairs and lambda."""
    first, second = (torch.tensor(side) for side in zip(*pairs, strict=True))
    found = 0.0
    for lam, weight in zip(*beta_nodes(alpha, 3), strict=True):
        mixes = lam * r[first] + (1 - lam) * r[second]
        found += weight * float(mixes.square().sum(1).mean()) / 2
    return found


def expectations(r: Tensor, alpha: float, batch: int) -> dict[str, float]:
    """Expected losses against lists of all pairs, permutations, other partners and batches."""
    n = len(r)
    every = list(itertools.product(range(n), repeat=2))
    listed = {
        "any": every,
        "permutation": [pair for p in itertools.permutations(range(n)) for pair in enumerate(p)],
        "other": [(i, j) for i, j in every if i != j],
        "batches": [
            pair
            for rows in itertools.combinations(range(n), batch)
            for p in itertools.permutations(rows)
            for pair in zip(rows, p, strict=True)
        ],
    }
    whole = expected_mixed_loss(r, alpha)
    formula = {
        "any": whole,
        "permutation": whole,
        "other": expected_mixed_loss(r, alpha, partners="other"),
        "batches": expected_mixed_loss(r, alpha, batch),
    }
    # Planted mistakes: the mean residual shrunk like the rest; the form of other partners.
    shrunk = squared_shrinkage(alpha) * float(r.square().sum(1).mean()) / 2
    wrong = {"any": shrunk, "permutation": shrunk, "other": whole, "batches": whole}
    found = {}
    for name, pairs in listed.items():
        value = by_pairs(r, alpha, pairs)
        found[f"loss_{name}_error"] = relative(formula[name], value)
        found[f"loss_{name}_control"] = relative(wrong[name], value)
    return found


def pair_gradients(case: Case) -> Tensor:
    """Return A (B, B, P): the outputs' Jacobian of i contracted with the residual of j."""
    r = (case.model(case.x) - case.y).detach()
    return torch.einsum("ikp,jk->ijp", jacobians(case, full=True).detach(), r)


def gradients(case: Case, alpha: float) -> dict[str, float]:
    """Mean and variance of the gradient over permutations and lambda, formula against the list.

    ``noise_length`` and ``noise_cross`` are the two parts of the variance over its whole: that of
    the length of the usual step, and that of the cross terms.
    """
    a = pair_gradients(case)
    size, rows = len(a), torch.arange(len(a))
    usual = a[rows, rows].mean(0)
    pairs = a + a.transpose(0, 1)
    crosses = torch.stack(
        [pairs[rows, list(p)].mean(0) for p in itertools.permutations(range(size))]
    )
    mean, second = torch.zeros_like(usual), 0.0
    for lam, weight in zip(*beta_nodes(alpha, 3), strict=True):
        q = lam * (1 - lam)
        found = (1 - 2 * q) * usual + q * crosses
        mean = mean + weight * found.mean(0)
        second += weight * float(found.square().sum(1).mean())
    listed = second - float(mean.square().sum())

    q1, q2 = cross_moments(alpha)
    spread = q2 - q1**2
    middle = pairs.mean((0, 1))
    length = spread * float((2 * usual - middle).square().sum())
    cross = q2 * permutation_variance(pairs)
    uncentred = q2 * float(pairs.square().sum()) / size**3
    c = squared_shrinkage(alpha)
    return {
        "variance_error": relative(length + cross, listed),
        "variance_control": relative(length + uncentred, listed),
        "noise_length": length / listed,
        "noise_cross": cross / listed,
        "scaled": float((mean - c * usual).norm() / mean.norm()),
        "cross_mean": float(crosses.mean(0).norm() / crosses.norm(dim=1).mean()),
    }


def sampled(case: Case, alpha: float, draws: int, seed: int) -> tuple[float, float]:
    """Return the mean of the library's mixed loss over draws, and its standard error."""
    mixup = Mixup(alpha, (SITE,), generator=torch.Generator().manual_seed(seed))
    case.model.train()
    values = np.zeros(draws)
    with torch.no_grad():
        for i in range(draws):
            out = mixup(case.model, case.x, case.y)
            values[i] = half_squared(out.logits, out.targets)
    return float(values.mean()), float(values.std(ddof=1) / draws**0.5)


def closed_form(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """All checks of one random case; ``<name>_error`` beside ``<name>_control``.

    ``scaled`` and ``cross_mean`` are zero with the best bias (``_error``) and not without it
    (``_control``). ``loss``, ``loss_free`` are the closed form over the plain loss, with the best
    bias and without; ``sampled``, ``sampled_free`` the library's mean of draws, and ``se_*`` its
    standard error.
    """
    alpha, n_draws = settings["alpha"], settings["draws"]
    free = draw(settings, seed)
    best = centred(free)
    found = expectations((free.model(free.x) - free.y).detach(), alpha, settings["minibatch"])
    with_bias, without = gradients(best, alpha), gradients(free, alpha)
    for name in ("scaled", "cross_mean"):
        found[f"{name}_error"], found[f"{name}_control"] = with_bias.pop(name), without.pop(name)
    # The formula holds with or without the best bias; the parts are reported with it.
    found |= with_bias | {"variance_free_error": without["variance_error"]}
    for name, case in (("", best), ("_free", free)):
        r = (case.model(case.x) - case.y).detach()
        plain = float(r.square().sum(1).mean()) / 2
        mean, error = sampled(case, alpha, n_draws, seed)
        found[f"loss{name}"] = expected_mixed_loss(r, alpha) / plain
        found[f"sampled{name}"], found[f"se{name}"] = mean / plain, error / plain
    return found
