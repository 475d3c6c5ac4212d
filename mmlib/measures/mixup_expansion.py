r"""Mixup as regularisation: the expansion of its loss and its perturbations (k-Mixup, section 4).

Losses are :math:`h(f(x)) - y \cdot f(x)`, as softmax cross-entropy with :math:`h` the log-sum-exp.
With :math:`\lambda \sim \mathrm{Beta}(\alpha + 1, \alpha)`, a = 1 - lambda and partners r of weight
:math:`w_{ij}` the expansion in a of the loss at :math:`x_i + a (r - x_i)` under the label of i is

.. math:: E^{std} + R_1 + R_2 + R_3 + E[a^2 \varphi(a)].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from mmlib.measures.weight_laws import partner_moments

Network = Callable[[Tensor], Tensor]  # (B, D) -> (B, K), row by row


def log_partition(outputs: Tensor) -> Tensor:
    """Return h of the loss h(f) - y f: log-sum-exp of the logits, softplus of a single one.

    Args:
        outputs: (B, K).

    Returns:
        (B,).

    Example:
        >>> log_partition(torch.zeros(1, 4)).item()
        1.3862943649291992
    """
    if outputs.shape[-1] == 1:
        return torch.nn.functional.softplus(outputs[..., 0])
    return outputs.logsumexp(-1)


# ------------------------------------------------------------------------------ losses of pairs


def _batched(network: Network, points: Tensor) -> Tensor:
    return network(points.flatten(0, -2)).unflatten(0, points.shape[:-1])


@torch.no_grad()
def own_losses(
    network: Network, x: Tensor, r: Tensor, y: Tensor, a: Tensor, h: Callable = log_partition
) -> Tensor:
    """Return h(f) - y f at x + a (r - x) with the label of x, for each a, (Q, P).

    Args:
        network: f, (B, D) -> (B, K), row by row.
        x: (P, D) points.
        r: (P, D) their partners.
        y: (P, K) labels of the points.
        a: (Q,) weights of the partner.
        h: the convex part of the loss, (B, K) -> (B,).

    Example:
        >>> x, r, y = torch.zeros(1, 1), torch.ones(1, 1), torch.zeros(1, 1)
        >>> total = lambda out: out.sum(-1)
        >>> own_losses(lambda v: v, x, r, y, torch.tensor([0.0, 0.5]), total).tolist()
        [[0.0], [0.5]]
    """
    a = a[:, None, None]
    out = _batched(network, x + a * (r - x))
    return h(out.flatten(0, 1)).view(out.shape[:2]) - (out * y).sum(-1)


@torch.no_grad()
def mixed_losses(
    network: Network,
    x: Tensor,
    y: Tensor,
    lam: Tensor,
    weight: Tensor,
    h: Callable = log_partition,
) -> Tensor:
    r"""Return the expected loss of each mix with its mixed label, (N, N).

    .. math:: v_{ij} = E_\lambda\bigl[h(f(\lambda x_i + (1 - \lambda) x_j))
        - (\lambda y_i + (1 - \lambda) y_j) \cdot f(\lambda x_i + (1 - \lambda) x_j)\bigr]

    Args:
        network: f, (B, D) -> (B, K), row by row.
        x: (N, D) points.
        y: (N, K) labels.
        lam: (Q,) values of lambda.
        weight: (Q,) their probabilities.
        h: the convex part of the loss.

    Example:
        >>> x, y, half = torch.tensor([[0.0], [2.0]]), torch.zeros(2, 1), torch.tensor([0.5])
        >>> mixed_losses(lambda v: v, x, y, half, torch.ones(1), lambda out: out.sum(-1)).tolist()
        [[0.0, 1.0], [1.0, 2.0]]
    """
    n, lam = len(x), lam[:, None, None, None]
    points = lam * x[:, None] + (1 - lam) * x[None]  # (Q, N, N, D)
    labels = lam * y[:, None] + (1 - lam) * y[None]
    out = _batched(network, points)
    values = h(out.flatten(0, -2)).view(-1, n, n) - (out * labels).sum(-1)
    return torch.einsum("q,qij->ij", weight, values)


# ------------------------------------------------------------------------------ the expansion


class Expansion(NamedTuple):
    """The terms of Theorem 3 up to second order.

    Attributes:
        plain: E^std, the loss at the points themselves.
        r1: the linear term.
        r2: the term in the second derivative of h.
        r3: the term in the second derivative of f.
    """

    plain: float
    r1: float
    r2: float
    r3: float


def _along(function: Callable, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (B, K) outputs at x with their first and second derivatives along v, detached."""
    a = torch.zeros(len(x), dtype=x.dtype, device=x.device, requires_grad=True)
    with torch.enable_grad():
        out = function(x + a[:, None] * v)
        first = [torch.autograd.grad(o.sum(), a, create_graph=True)[0] for o in out.T]
        # The first derivative of an affine map is constant, and may have no graph at all.
        second = [
            torch.autograd.grad(f.sum(), a, retain_graph=True, materialize_grads=True)[0]
            if f.requires_grad
            else torch.zeros_like(a)
            for f in first
        ]
    return out.detach(), torch.stack(first, 1).detach(), torch.stack(second, 1).detach()


def pair_terms(
    network: Network, x: Tensor, r: Tensor, y: Tensor, h: Callable = log_partition
) -> Tensor:
    r"""Return value and Taylor coefficients in a of the loss of each pair, (P, 4).

    With :math:`v = r - x`, :math:`f' = \nabla f \cdot v` and :math:`f''` the second derivative of f
    along v, each for all K outputs: the loss :math:`h(f) - y f`, then
    :math:`(h' - y) \cdot f'`, :math:`\frac12 f'^T h'' f'` and :math:`\frac12 (h' - y) \cdot f''`.
    Derivatives along v are taken directly, so no Hessian is formed.

    Args:
        network: f, (B, D) -> (B, K), row by row, twice differentiable.
        x: (P, D) points.
        r: (P, D) their partners.
        y: (P, K) labels of the points.
        h: the convex part of the loss.

    Example:
        >>> x, r, y = torch.zeros(1, 1), torch.ones(1, 1), torch.zeros(1, 1)
        >>> square = lambda out: out.square().sum(-1) / 2
        >>> pair_terms(lambda v: 1 + v + v**2, x, r, y, square).tolist()    # (1 + a + a^2)^2 / 2
        [[0.5, 1.0, 0.5, 1.0]]
    """
    out, first, second = _along(network, x, r - x)
    _, linear, curved = (part[:, 0] for part in _along(lambda o: h(o)[:, None], out, first))
    _, bent, _ = (part[:, 0] for part in _along(lambda o: h(o)[:, None], out, second))
    value = h(out) - (out * y).sum(-1)
    linear = linear - (first * y).sum(-1)
    bent = bent - (second * y).sum(-1)
    return torch.stack([value, linear, curved / 2, bent / 2], 1)


def pair_expansion(terms: Tensor, weight: Tensor, alpha: float) -> Expansion:
    """Return the expansion from the terms of pairs.

    Args:
        terms: (P, 4) of `pair_terms`.
        weight: (P,) probability of each pair, of sum 1: w_ij / N for the pair (i, j).
        alpha: of Beta(alpha + 1, alpha).

    Raises:
        ValueError: shapes do not fit.
        TypeError, ValueError: alpha is not above 0.

    Example:
        >>> pair_expansion(torch.ones(2, 4), torch.tensor([0.5, 0.5]), 0.5)
        Expansion(plain=1.0, r1=0.25, r2=0.125, r3=0.125)
    """
    if terms.ndim != 2 or terms.shape[1] != 4 or weight.shape != terms.shape[:1]:
        raise ValueError(
            f"terms, weight: expected (P, 4) and (P,), but got {tuple(terms.shape)} and "
            f"{tuple(weight.shape)}"
        )
    first, second, _ = partner_moments(alpha)
    value, linear, curved, bent = (weight @ terms).tolist()
    return Expansion(value, first * linear, second * curved, second * bent)


def printed_expansion(
    network: Network,
    x: Tensor,
    y: Tensor,
    weights: Tensor,
    alpha: float,
    h: Callable = log_partition,
) -> Expansion:
    r"""Return the terms as Theorem 3 prints them, with gradients and Hessians as matrices.

    .. math::
        R_1 &= \frac{E[a]}{N} \sum_i (h'(f_i) - y_i) \nabla f_i^T m_i, \\
        R_2 &= \frac{E[a^2]}{2N} \sum_i h''(f_i) \nabla f_i^T M_i \nabla f_i, \\
        R_3 &= \frac{E[a^2]}{2N} \sum_i (h'(f_i) - y_i)\, \mathrm{tr}(\nabla^2 f_i\, M_i)

    with :math:`m_i = E_{\mathcal D_i}[r - x_i]` and
    :math:`M_i = E_{\mathcal D_i}[(r - x_i)(r - x_i)^T]`. For K outputs :math:`h''` is a K x K
    matrix, between K gradients, and the last sum runs over outputs. Small inputs only.

    Args:
        network: f, (B, D) -> (B, K), row by row, twice differentiable.
        x: (N, D) points.
        y: (N, K) labels.
        weights: (N, N), row i is the law of the partners of point i.
        alpha: of Beta(alpha + 1, alpha).
        h: the convex part of the loss.

    Raises:
        ValueError: weights are not (N, N).
    """
    if weights.shape != (len(x), len(x)):
        raise ValueError(
            f"weights: expected {(len(x), len(x))} for {len(x)} points, but got "
            f"{tuple(weights.shape)}"
        )

    def one(point: Tensor) -> Tensor:
        return network(point[None])[0]

    def part(outputs: Tensor) -> Tensor:
        return h(outputs[None])[0]

    away = x[None] - x[:, None]  # (N, N, D)
    mean = torch.einsum("ij,ijd->id", weights, away)
    square = torch.einsum("ij,ijd,ije->ide", weights, away, away)
    out = network(x).detach()
    gradient, curvature = (
        vmap(jacrev(one))(x),
        vmap(jacrev(jacrev(one)))(x),
    )  # (N, K, D), (N, K, D, D)
    gradient, curvature = gradient.detach(), curvature.detach()
    slope, bend = vmap(jacrev(part))(out) - y, vmap(jacrev(jacrev(part)))(out)  # (N, K), (N, K, K)
    first, second, _ = partner_moments(alpha)
    return Expansion(
        float((h(out) - (out * y).sum(-1)).mean()),
        first * float(torch.einsum("ik,ikd,id->i", slope, gradient, mean).mean()),
        second / 2
        * float(torch.einsum("ikl,ikd,ide,ile->i", bend, gradient, square, gradient).mean()),
        second / 2 * float(torch.einsum("ik,ikde,ide->i", slope, curvature, square).mean()),
    )  # fmt: skip


@torch.no_grad()
def remainders(
    network: Network,
    pairs: tuple[Tensor, Tensor, Tensor],
    terms: Tensor,
    a: Tensor,
    h: Callable = log_partition,
) -> Tensor:
    r"""Return what the expansion leaves of the loss of each pair, (Q, P).

    :math:`a^2 \varphi(a)` before the mean over pairs: the loss at :math:`x + a (r - x)` less its
    Taylor polynomial of degree two.

    Args:
        network: f, (B, D) -> (B, K), row by row.
        pairs: x, r and y as in `pair_terms`.
        terms: (P, 4) of `pair_terms`.
        a: (Q,) weights of the partner.
        h: the convex part of the loss.

    Example:
        >>> x, r, y = torch.zeros(1, 1), torch.ones(1, 1), torch.zeros(1, 1)
        >>> cube = lambda out: out.pow(3).sum(-1)
        >>> terms = pair_terms(lambda v: v, x, r, y, cube)
        >>> remainders(lambda v: v, (x, r, y), terms, torch.tensor([0.5]), cube).item()  # a^3
        0.125
    """
    value, linear, curved, bent = terms.T
    a = a[:, None]
    taylor = value + a * linear + a.square() * (curved + bent)
    return own_losses(network, *pairs, a[:, 0], h) - taylor
