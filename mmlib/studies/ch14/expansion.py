"""Theorem 3 on sets small enough to enumerate: both sides, the remainder, and ties."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmlib.measures.coupling_law import coupling_law, enumerated_mean
from mmlib.measures.mixup_expansion import (
    mixed_losses,
    own_losses,
    pair_expansion,
    pair_terms,
    printed_expansion,
    remainders,
)
from mmlib.measures.weight_laws import folded_nodes, jacobi_nodes, partner_moments
from mmlib.studies.ch14.couplings_law import small_set

SCALES = tuple(float(2.0**-e) for e in range(8))
ALPHAS = tuple(float(2.0**e) for e in range(-8, 7))
_SMALL = (2e-3, 1e-3)  # two values of a, or of the scale, between which a slope is taken


class Problem(NamedTuple):
    """Points, one-hot or 0/1 labels, and a smooth network on them, all float64.

    Attributes:
        x: (N, D) points.
        y: (N, K) labels.
        network: (B, D) -> (B, K).
    """

    x: Tensor
    y: Tensor
    network: Callable[[Tensor], Tensor]


def problem(x: Tensor, outputs: int, seed: int) -> Problem:
    """Return random labels and a random network of one hidden layer of tanh units for points.

    Example:
        >>> one = problem(small_set("normal", 5, 0), 3, 0)
        >>> one.network(one.x).shape, one.y.sum().item()
        (torch.Size([5, 3]), 5.0)
    """
    generator = torch.Generator().manual_seed(1000 + seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    first, shift, last = normal(x.shape[1], 8), normal(8), normal(8, outputs)

    def network(points: Tensor) -> Tensor:
        return torch.tanh(points @ first + shift) @ last

    labels = torch.arange(len(x)) % max(2, outputs)
    labels = labels[torch.randperm(len(x), generator=generator)]
    y = torch.eye(max(2, outputs), dtype=torch.float64)[labels]
    return Problem(x, y if outputs > 1 else y[:, 1:], network)


def nodes_of(nodes: tuple[np.ndarray, np.ndarray]) -> tuple[Tensor, Tensor]:
    """Return quadrature nodes and weights as tensors."""
    return torch.from_numpy(nodes[0]), torch.from_numpy(nodes[1])


class Pairs(NamedTuple):
    """The pairs of positive weight: x, r, y as `pair_terms` takes them, and the weights."""

    x: Tensor
    r: Tensor
    y: Tensor
    weight: Tensor

    @classmethod
    def of(cls, one: Problem, weights: Tensor, scale: float = 1.0) -> Pairs:
        """Return the pairs of a law, (N, N), on points that are scaled first."""
        i, j = weights.nonzero().T
        x = scale * one.x
        return cls(x[i], x[j], one.y[i], weights[i, j] / len(x))


def slope_short(sizes: tuple[float, float], values: tuple[float, float]) -> float:
    """Return by how much a log-log slope stays below 3; 0 where the values are rounding errors.

    Example:
        >>> round(slope_short((0.2, 0.1), (0.04, 0.01)), 6), slope_short((0.2, 0.1), (8e-3, 1e-3))
        (1.0, 0.0)
    """
    if max(map(abs, values)) < 1e-15:
        return 0.0
    slope = math.log(abs(values[0] / values[1])) / math.log(sizes[0] / sizes[1])
    return max(0.0, round(3 - slope, 12))


def _slopes(one: Problem, weights: Tensor, alpha: float, nodes: int) -> dict[str, float]:
    """Return shortfalls of slopes of the remainder in a and in the scale, beside R2 doubled.

    Sizes are taken pair by pair: the mean over pairs, which they bound, can pass through zero just
    where the slope is taken.
    """
    small = torch.tensor(_SMALL, dtype=torch.float64)
    pairs = Pairs.of(one, weights)
    terms = pair_terms(one.network, *pairs[:3])
    rest = remainders(one.network, pairs[:3], terms, small)
    doubled = rest - small[:, None].square() * terms[:, 2]
    found = {
        "a_error": slope_short(_SMALL, tuple((rest.abs() @ pairs.weight).tolist())),
        "a_control": slope_short(_SMALL, tuple((doubled.abs() @ pairs.weight).tolist())),
    }
    a, probability = nodes_of(jacobi_nodes(alpha, alpha + 1, nodes))
    scaled, control = [], []
    for scale in _SMALL:
        pairs = Pairs.of(one, weights, scale)
        terms = pair_terms(one.network, *pairs[:3])
        left = probability @ remainders(one.network, pairs[:3], terms, a)
        doubled = left - partner_moments(alpha)[1] * terms[:, 2]
        scaled.append(float(pairs.weight @ left.abs()))
        control.append(float(pairs.weight @ doubled.abs()))
    found["scale_error"] = slope_short(_SMALL, tuple(scaled))
    found["scale_control"] = slope_short(_SMALL, tuple(control))
    return found


def relative(rest: float, second: float, third: float) -> float:
    """Return the remainder over the second-order terms by size, 0 where there is none.

    Example:
        >>> relative(0.5, 1.0, -1.0), relative(0.0, 0.0, 0.0)
        (0.25, 0.0)
    """
    size = abs(second) + abs(third)
    return abs(rest) / size if size else 0.0


def small_alpha_limit(one: Problem, pairs: Pairs, terms: Tensor, nodes: int) -> float:
    r"""Return what `relative` tends to as alpha tends to 0.

    :math:`E[\psi(a)] / \alpha \to \int_0^1 \psi(a)\, da / a` for :math:`\psi(a) = O(a)`, so
    :math:`E a^2 / \alpha \to 1/2`, and the remainder is integrated in the same way.
    """
    a, probability = nodes_of(jacobi_nodes(1.0, 1.0, nodes))
    rest = remainders(one.network, pairs[:3], terms, a) @ pairs.weight
    second, third = (pairs.weight @ terms[:, 2:] / 2).tolist()
    return relative(float(probability @ (rest / a)), second, third)


def _curves(one: Problem, weights: Tensor, alpha: float, nodes: int) -> dict[str, np.ndarray]:
    """Return (alpha or scale) -> R1, R2, R3, the remainder, and sizes that do not cancel.

    These are the second-order terms and the remainder with sizes taken pair by pair.
    """

    def row(scale: float, alpha: float) -> list[float]:
        pairs = Pairs.of(one, weights, scale)
        terms = pair_terms(one.network, *pairs[:3])
        a, probability = nodes_of(jacobi_nodes(alpha, alpha + 1, nodes))
        rest = probability @ remainders(one.network, pairs[:3], terms, a)
        second = partner_moments(alpha)[1] * terms[:, 2:].sum(1)
        return [
            *pair_expansion(terms, pairs.weight, alpha)[1:],
            *(float(pairs.weight @ part) for part in (rest, second.abs(), rest.abs())),
        ]

    return {
        "by_alpha": np.array([row(1.0, value) for value in ALPHAS]),
        "by_scale": np.array([row(scale, alpha) for scale in SCALES]),
    }


def expansion(
    settings: dict[str, Any], seed: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Both sides of Theorem 3 on one random problem.

    Metrics: ``beta_error``, the enumerated loss with mixed labels less that with own labels and the
    tilted law; ``sum_error``, the same less all terms as printed and the remainder;
    ``form_error``, the printed terms less those along directions; ``a_error`` and ``scale_error``,
    shortfalls of the slopes of the sizes of the remainder; a ``_control`` beside each. ``plain``,
    ``r1``, ``r2``, ``r3``, ``rest``, ``relative`` (`relative` at this alpha) and
    ``relative_limit`` (alpha to 0). Arrays: terms and remainder by alpha and by scale.
    """
    alpha, k, nodes = settings["alpha"], settings["k"], settings["nodes"]
    one = problem(small_set("normal", settings["n"], seed), settings["outputs"], seed)
    weights = coupling_law(one.x, k).weights
    symmetric = nodes_of(jacobi_nodes(alpha, alpha, nodes))
    enumerated = enumerated_mean(mixed_losses(one.network, one.x, one.y, *symmetric), one.x, k)
    a, probability = nodes_of(jacobi_nodes(alpha, alpha + 1, nodes))
    pairs = Pairs.of(one, weights)
    terms = pair_terms(one.network, *pairs[:3])
    own = float(probability @ own_losses(one.network, *pairs[:3], a) @ pairs.weight)
    wrong = own_losses(one.network, *pairs[:3], 1 - symmetric[0]) @ pairs.weight
    rest = float(probability @ remainders(one.network, pairs[:3], terms, a) @ pairs.weight)
    printed = printed_expansion(one.network, one.x, one.y, weights, alpha)
    direct = pair_expansion(terms, pairs.weight, alpha)
    metrics = {
        "beta_error": abs(enumerated - own),
        "beta_control": abs(enumerated - float(symmetric[1] @ wrong)),
        "sum_error": abs(enumerated - sum(printed) - rest),
        "sum_control": abs(enumerated - sum(printed) - printed.r2 - rest),
        "form_error": max(abs(p - d) for p, d in zip(printed, direct, strict=True)),
        "effect": enumerated - printed.plain,
        "rest": rest,
        "relative": relative(rest, printed.r2, printed.r3),
        "relative_limit": small_alpha_limit(one, pairs, terms, nodes),
        **printed._asdict(),
        **_slopes(one, weights, alpha, nodes),
    }
    return metrics, _curves(one, weights, alpha, nodes)


# ------------------------------------------------------------------------------ ties


def lattice(sides: tuple[int, ...]) -> Tensor:
    """Return the points of a lattice, where many assignments cost the same.

    Example:
        >>> lattice((2, 3)).shape
        torch.Size([6, 2])
    """
    return torch.tensor(list(itertools.product(*map(range, sides))), dtype=torch.float64)


def ties(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Both theorems on a lattice, with ties averaged and as scipy's solver breaks them.

    For each rule: ``asymmetry_<rule>``, largest difference of D_i(j) and D_j(i); ``beta_<rule>``
    and ``folded_<rule>``, how far the right sides of Theorems 3 and 4 are from the loss under that
    rule. ``symmetrised``: the same for Theorem 3 with the mean of D_i(j) and D_j(i) in place of
    D_i(j), under the solver's rule. ``loss_gap``: difference of the losses under the two rules.
    """
    alpha, nodes = settings["alpha"], settings["nodes"]
    one = problem(lattice(settings["sides"]), settings["outputs"], seed)
    mixed, folded = (
        mixed_losses(one.network, one.x, one.y, *nodes_of(law))
        for law in (jacobi_nodes(alpha, alpha, nodes), folded_nodes(alpha, nodes))
    )
    a, probability = nodes_of(jacobi_nodes(alpha, alpha + 1, nodes))

    def right_side(weights: Tensor) -> float:
        pairs = Pairs.of(one, weights)
        return float(probability @ own_losses(one.network, *pairs[:3], a) @ pairs.weight)

    metrics, losses = {}, {}
    for rule in ("average", "solver"):
        weights = coupling_law(one.x, settings["k"], ties=rule).weights
        loss = losses[rule] = float((weights * mixed).sum() / len(one.x))
        metrics[f"asymmetry_{rule}"] = float((weights - weights.T).abs().max())
        metrics[f"beta_{rule}"] = abs(loss - right_side(weights))
        metrics[f"folded_{rule}"] = abs(loss - float((weights * folded).sum() / len(one.x)))
    metrics["symmetrised"] = abs(losses["solver"] - right_side((weights + weights.T) / 2))
    metrics["loss_gap"] = abs(losses["solver"] - losses["average"])
    return metrics
