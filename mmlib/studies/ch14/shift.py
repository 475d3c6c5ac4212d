"""Theorem 4 and Lemma 2 on sets small enough to enumerate."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mmlib.measures.coupling_law import CouplingLaw, coupling_law, enumerated_mean
from mmlib.measures.weight_laws import FoldedMoments, folded_moments, folded_nodes, jacobi_nodes
from mmlib.studies.ch14.couplings_law import small_set
from mmlib.studies.ch14.expansion import Problem, nodes_of, problem

# What "empirical covariance of the reverted points" can mean; see `readings`.
READINGS = ("all", "subsets", "points", "partners")
BLOCKS = ("xx", "yy", "xy")


class Shift(NamedTuple):
    """Theorem 4 in the letters of the text, for the points of every subset.

    Attributes:
        own: (C, k, D) the points of the subsets.
        mean: (C, k, D) x-bar, the mean of the partner over all other subsets.
        moved: (C, k, D) x-tilde.
    """

    own: Tensor
    mean: Tensor
    moved: Tensor

    @classmethod
    def of(cls, law: CouplingLaw, values: Tensor, theta_bar: float) -> Shift:
        """Return the shift of features, or of labels, (N, D)."""
        own, mean = values[law.subsets], law.means(values)
        return cls(own, mean, mean + theta_bar * (own - mean))

    def perturbations(self, values: Tensor, theta: Tensor, theta_bar: float) -> Tensor:
        """Return delta-tilde for each theta and each partner, (Q, C, k, N, D)."""
        theta = theta[:, None, None, None, None]
        own, mean = self.own.unsqueeze(2), self.mean.unsqueeze(2)
        return (theta - theta_bar) * own + (1 - theta) * values - (1 - theta_bar) * mean


def squared(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return half the squared error: not of the form h(f) - y f once labels mix."""
    return (outputs - labels).square().sum(-1) / 2


def shifted_loss(
    one: Problem, law: CouplingLaw, theta: Tensor, weight: Tensor, theta_bar: float
) -> float:
    """Return the right side of Theorem 4, and nothing of it simplified."""
    x, y = (Shift.of(law, values, theta_bar) for values in (one.x, one.y))
    points = x.moved.unsqueeze(2) + x.perturbations(one.x, theta, theta_bar)
    labels = y.moved.unsqueeze(2) + y.perturbations(one.y, theta, theta_bar)
    out = one.network(points.flatten(0, -2)).view(labels.shape)
    values = torch.einsum("q,csn,qcsn->cs", weight, law.given, squared(out, labels))
    return float(values.mean())


def mixed_squared(one: Problem, lam: Tensor, weight: Tensor) -> Tensor:
    """Return the expected squared error of each mix with its mixed label, (N, N)."""
    lam = lam[:, None, None, None]
    points = lam * one.x[:, None] + (1 - lam) * one.x
    labels = lam * one.y[:, None] + (1 - lam) * one.y
    out = one.network(points.flatten(0, -2)).view(labels.shape)
    return torch.tensordot(weight, squared(out, labels), 1)


# ------------------------------------------------------------------------------ Lemma 2


def _outer(first: Tensor, second: Tensor) -> Tensor:
    return first.unsqueeze(-1) * second.unsqueeze(-2)


def covariance(first: Tensor, second: Tensor, over: tuple[int, ...]) -> Tensor:
    """Return the covariance of (..., D1) and (..., D2) values over some axes, which stay."""
    first, second = (v - v.mean(over, keepdim=True) for v in (first, second))
    return _outer(first, second).mean(over, keepdim=True)


def reverted_partners(x: Tensor, law: CouplingLaw, moved: tuple[Tensor, Tensor]) -> Tensor:
    """Return the covariance over the partner's subset of the reverted partner, (C, k, D1, D2).

    The partner is a point of a subset too, so it has a reverted point of its own there.
    """
    subsets, found = law.subsets.numpy(), []
    cost = (x[:, None] - x).square().sum(-1).numpy()
    for gamma in subsets:
        columns = [linear_sum_assignment(cost[np.ix_(gamma, xi)])[1] for xi in subsets]
        at = torch.from_numpy(np.stack(columns)).unsqueeze(-1)  # (C, k, 1)
        first, second = (m.gather(1, at.expand(-1, -1, m.shape[-1])) for m in moved)
        found.append(covariance(first, second, (0,))[0])
    return torch.stack(found)


def readings(x: Tensor, law: CouplingLaw, first: Shift, second: Shift) -> dict[str, Tensor]:
    r"""Return what :math:`\Sigma_{\tilde x \tilde x}` can mean, (C, k, D1, D2) or to be expanded.

    ``all``: covariance of the reverted points over all points and subsets; ``subsets``: for each
    point, over the subsets that hold it; ``points``: for each subset, over its points;
    ``partners``: of the reverted partners, over their subsets.
    """
    count, k = law.subsets.shape
    found = {
        "all": covariance(first.moved, second.moved, (0, 1)),
        "points": covariance(first.moved, second.moved, (1,)),
        "partners": reverted_partners(x, law, (first.moved, second.moved)),
    }
    per_point = torch.zeros(count, k, first.moved.shape[-1], second.moved.shape[-1]).double()
    for point in range(law.given.shape[-1]):
        held = law.subsets == point
        part = covariance(first.moved[held], second.moved[held], (0,))
        per_point[held] = part
    return found | {"subsets": per_point}


def enumerated_covariance(
    law: CouplingLaw, deltas: tuple[Tensor, Tensor], weight: Tensor
) -> Tensor:
    """Return the covariance of two perturbations over theta and partner, (C, k, D1, D2)."""
    return torch.einsum("q,csn,qcsnd,qcsne->csde", weight, law.given, *deltas)


def lemma(
    one: Problem, law: CouplingLaw, moments: FoldedMoments, theta: Tensor, weight: Tensor
) -> dict[str, float]:
    """Return the largest error of Lemma 2 in each reading, over the largest entry of a covariance.

    Keys: ``lemma_<reading>_<block>`` for the readings ``matched`` (theta-bar squared times the
    covariance of the matched points) and `READINGS`, and ``lemma_control_<block>``, ``matched``
    without (1 - theta-bar)^2.
    """
    bar, values = moments.mean, {"x": one.x, "y": one.y}
    shifts = {name: Shift.of(law, v, bar) for name, v in values.items()}
    deltas = {name: shifts[name].perturbations(v, theta, bar) for name, v in values.items()}
    found = {}
    for block in BLOCKS:
        first, second = shifts[block[0]], shifts[block[1]]
        exact = enumerated_covariance(law, (deltas[block[0]], deltas[block[1]]), weight)
        outer = _outer(first.moved - first.mean, second.moved - second.mean)
        matched = bar**2 * law.covariances(values[block[0]], values[block[1]])
        candidates = {"matched": matched, **readings(one.x, law, first, second)}
        size = float(exact.abs().max())
        size = size if size > 1e-12 else 1.0  # k = N: every point is its own partner
        for name, local in candidates.items():
            formula = (moments.variance * outer + moments.partner * local) / bar**2
            found[f"lemma_{name}_{block}"] = float((formula - exact).abs().max()) / size
        formula = moments.variance * (outer + matched) / bar**2
        found[f"lemma_control_{block}"] = float((formula - exact).abs().max()) / size
    return found


# ------------------------------------------------------------------------------ the study


def local_means(x: Tensor, law: CouplingLaw) -> dict[str, float]:
    r"""Compare x-bar, which depends on the subset, with the mean of :math:`\mathcal D_i`.

    In units of the root mean square distance of a partner to the mean of its law. ``between`` is
    the share of the variance of the laws that lies between subsets, hence not in x-bar's own.
    """
    weights, means = law.weights, law.means(x)
    target = weights @ x
    total = float((weights * (x[None] - target[:, None]).square().sum(-1)).sum() / len(x))
    total = total if total > 1e-12 else 0.0  # k = N: every point is its own partner
    size = total**0.5 or 1.0
    away = means - target[law.subsets]
    averaged = torch.zeros_like(x).index_add_(0, law.subsets.flatten(), away.flatten(0, 1))
    averaged = averaged * len(x) / law.subsets.numel()  # each point is in as many subsets
    return {
        "mean_subset": float(away.norm(dim=-1).max()) / size,
        "mean_average": float(averaged.norm(dim=-1).max()) / size,
        "mean_control": float((target - x.mean(0)).norm(dim=-1).max()) / size,
        "between": float(away.square().sum(-1).mean()) / total if total else 0.0,
    }


def shift(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Theorem 4 and Lemma 2 on one random problem.

    Metrics: ``loss_error`` (both sides of the theorem), ``zero_error`` (means of perturbations),
    ``folded_error`` (closed moments of theta against quadrature), each with a ``_control``; those
    of `local_means` and `lemma`; ``theta_bar``.
    """
    alpha, k, nodes = settings["alpha"], settings["k"], settings["nodes"]
    one = problem(small_set("normal", settings["n"], seed), settings["outputs"], seed)
    law, moments = coupling_law(one.x, k), folded_moments(alpha)
    theta, weight = nodes_of(folded_nodes(alpha, nodes))
    lam = nodes_of(jacobi_nodes(alpha, alpha, nodes))
    left = enumerated_mean(mixed_squared(one, *lam), one.x, k)
    bar = moments.mean
    doubled = nodes_of(folded_nodes(2 * alpha, nodes))
    means = {"error": 0.0, "control": float("inf")}
    for values in (one.x, one.y):
        shifts = Shift.of(law, values, bar)
        for name, centre in (("error", bar), ("control", 0.5)):
            deltas = shifts.perturbations(values, theta, centre)
            mean = torch.einsum("q,csn,qcsnd->csd", weight, law.given, deltas)
            means[name] = (max if name == "error" else min)(means[name], float(mean.abs().max()))
    first, second = float(weight @ theta), float(weight @ (1 - theta).square())
    return {
        "loss_error": abs(left - shifted_loss(one, law, theta, weight, bar)),
        "loss_control": abs(left - shifted_loss(one, law, *doubled, bar)),
        "zero_error": means["error"],
        "zero_control": means["control"],
        "folded_error": max(abs(first - bar), abs(second - moments.partner)),
        "folded_control": abs(folded_moments(2 * alpha).mean - bar),
        "theta_bar": bar,
        **local_means(one.x, law),
        **lemma(one, law, moments, theta, weight),
    }
