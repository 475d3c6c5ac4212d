r"""The gradient of a mixed loss, split into the terms of the degeneracy critique.

An example i and its partner j have states :math:`z_i = F(x_i)`, :math:`z_j = F(x_j)`; the head G
sees :math:`\tilde z = \lambda z_i + (1 - \lambda) z_j` with the target
:math:`\tilde y = \lambda y_i + (1 - \lambda) y_j`. Write :math:`g_i` for the gradient of the loss
of the clean pair :math:`(z_i, y_i)` with respect to :math:`z_i`, :math:`\tilde g` for that of the
mixed pair with respect to :math:`\tilde z`, and :math:`J_i` for the Jacobian of :math:`z_i` with
respect to the parameters of F. The gradient of the mixed loss is

.. math::

    (\lambda J_i + (1 - \lambda) J_j)^T \tilde g
    = \underbrace{\lambda^2 J_i^T g_i + (1 - \lambda)^2 J_j^T g_j}_{usual}
    + \underbrace{\lambda (1 - \lambda) (J_i^T g_j + J_j^T g_i)}_{cross}
    + \underbrace{(\lambda J_i + (1 - \lambda) J_j)^T
      (\tilde g - \lambda g_i - (1 - \lambda) g_j)}_{rest}.

The rest is zero for an affine head and squared error (*Manifold mixup: degeneracy?*). For a smooth
head and with :math:`d = z_i - z_j`, :math:`e = y_i - y_j` and :math:`g(z, y)` the gradient of the
loss with respect to z, Taylor's formula at the mix gives, as every loss here is linear or quadratic
in the target,

.. math::
    \tilde g - \lambda g_i - (1 - \lambda) g_j
    = -\lambda (1 - \lambda) \big(g_{zy}[d, e] + \tfrac12 g_{zz}[d, d]\big) + third order:

of first order in the distance of the states for a curved head and targets that differ, of second
order for equal targets, and of second order for a linear head and cross-entropy, whose
:math:`g_{zy}` is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmlib import checks
from mmlib.mixing import capture, resume, soft_cross_entropy, soft_targets

TERMS = ("usual_first", "usual_second", "cross_first", "cross_second", "rest")
Loss = Callable[[Tensor, Tensor, str], Tensor]


def half_squared(outputs: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    r"""Half the squared error summed over outputs, :math:`\tfrac12 |o - t|^2`.

    The loss of *Manifold mixup: degeneracy?*, with the sign of a loss: the text prints
    :math:`-\tfrac12 |\cdot|^2`, which is an objective to maximise. Its gradient with respect to the
    outputs is the residual o - t.

    Args:
        outputs: (B, K).
        targets: (B, K), or (B,) class indices, which stand for one-hot rows.
        reduction: "mean" or "sum" over examples, or "none" for (B,).

    Raises:
        ValueError: shapes do not match, unknown reduction.
        TypeError: targets of a wrong dtype.

    Example:
        >>> half_squared(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 1.0]]))
        tensor(2.5000)
    """
    checks.choice("reduction", reduction, ("mean", "sum", "none"))
    loss = (outputs - _rows(targets, outputs)).square().sum(-1) / 2
    return loss if reduction == "none" else getattr(loss, reduction)()


@dataclass(frozen=True, eq=False)
class GradientTerms:
    """The terms of the gradient of one mixed batch, see `TERMS`; each group adds up to its whole.

    Attributes:
        loss: the mixed loss.
        states: term -> cotangents (B, ...) at the states of the layer, each state in both its
            roles.
        features: term -> (P,) gradient for the parameters of the layers up to the mix, end to end.
        head: term -> (Q,) gradient for the parameters behind the mix, end to end.
        feature_names: names of the parameters in `features`, in order.
        head_names: names of the parameters in `head`, in order.
    """

    loss: float
    states: dict[str, Tensor]
    features: dict[str, Tensor]
    head: dict[str, Tensor]
    feature_names: tuple[str, ...]
    head_names: tuple[str, ...]

    def total(self, group: str = "features") -> Tensor:
        """Return the whole gradient of a group, "features", "head" or "states"."""
        checks.choice("group", group, ("features", "head", "states"))
        return sum(getattr(self, group).values())


def gradient_terms(
    model: nn.Module,
    x: Any,
    y: Tensor,
    layer: str,
    lam: float | Tensor,
    partner: Tensor,
    loss: Loss = soft_cross_entropy,
    reduction: str = "mean",
) -> GradientTerms:
    r"""Return the gradient of a mixed loss in its usual, cross and remaining terms.

    Formulas are in the head of this module; ``first`` is the part that moves F at the example
    itself, ``second`` the part at its partner. So ``cross_first`` is
    :math:`\lambda (1 - \lambda) J_i^T g_j`: F at :math:`x_i` moved by the residual of its partner.

    The head's own gradient, which the text leaves out, splits alike. With :math:`s_i` the gradient
    of the clean loss with respect to the outputs of i and :math:`D_i` the Jacobian of those outputs
    with respect to the head's parameters, the terms are :math:`\lambda^2 D_i^T s_i`,
    :math:`(1 - \lambda)^2 D_j^T s_j`, :math:`\lambda (1 - \lambda) D_i^T s_j` and
    :math:`\lambda (1 - \lambda) D_j^T s_i`. For an affine head, :math:`D^T s` is :math:`s z^T` for
    the weights and s for the bias.

    All states come from one forward pass. Where batch norm makes the state of one example depend on
    all of them, :math:`J_i` is the Jacobian of that joint pass, and the terms still add up. Batch
    norm in the head sees the clean and the mixed batch apart, which is part of the rest, and so is
    dropout in the head, which draws anew. Gradients, running statistics and the mode of the model
    are left as they were. A parameter used on both sides of the mix stands in both groups, its
    gradient being their sum.

    Args:
        model: any model that is a composition at `layer`, see `mmlib.mixing.eligible_sites`.
        x: its input, B examples.
        y: (B, K) targets or (B,) class indices.
        layer: where to mix, as in `mmlib.mixing.capture`.
        lam: the weight of an example itself, a number in [0, 1] or (B,) of them.
        partner: (B,) indices in [0, B), a permutation or not.
        loss: ``loss(outputs, targets, reduction)``, `half_squared` or `soft_cross_entropy`.
        reduction: "mean" or "sum" over the B mixes.

    Raises:
        ValueError: unknown layer, lam outside [0, 1], partner of a wrong shape or range.
        TypeError: partner is no tensor of integers, targets are of a wrong dtype.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
        >>> x, y = torch.randn(4, 3).double(), torch.randn(4, 2).double()
        >>> p = torch.tensor([3, 2, 1, 0])
        >>> terms = gradient_terms(net, x, y, "1", 0.3, p, half_squared)
        >>> terms.feature_names, bool(terms.features["rest"].abs().max() < 1e-14)
        (('0.weight', '0.bias'), True)
        >>> curved = gradient_terms(net, x, y, "0", 0.3, p, half_squared)
        >>> bool(curved.features["rest"].abs().max() > 1e-6)
        True
    """
    _check_reduction(reduction)
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        with torch.enable_grad():
            return _gradient_terms(model, x, y, layer, lam, partner, loss, reduction)
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


def state_terms(
    head: Callable[[Tensor], Tensor],
    z: Tensor,
    y: Tensor,
    lam: float | Tensor,
    partner: Tensor,
    loss: Loss = soft_cross_entropy,
    reduction: str = "mean",
) -> dict[str, Tensor]:
    r"""Return the usual, cross and remaining cotangents of a mixed loss at the states.

    Their sum is the gradient of the mixed loss with respect to `z`. A training loop that keeps some
    of the terms calls ``z.backward(terms["usual"])`` and the like. For one lambda and a permutation
    p, state i is the first of its own pair and the partner in that of :math:`p^{-1}(i)`, so

    .. math::
        usual_i = (\lambda^2 + (1 - \lambda)^2) g_i, \qquad
        cross_i = \lambda (1 - \lambda) (g_{p(i)} + g_{p^{-1}(i)}).

    Args:
        head: maps states to outputs (B, K); run once on the states and once on the mixes.
        z: (B, ...) states; detached here.
        y: as in `gradient_terms`.
        lam: as in `gradient_terms`.
        partner: as in `gradient_terms`.
        loss: as in `gradient_terms`.
        reduction: as in `gradient_terms`.

    Returns:
        ``usual``, ``cross``, ``rest``, each of the shape of `z` and without a graph.

    Raises:
        ValueError, TypeError: as in `gradient_terms`.

    Example:
        >>> z, y, p = torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1), torch.tensor([1, 0])
        >>> found = state_terms(nn.Identity(), z, y, 0.75, p, half_squared, "sum")
        >>> {name: value.flatten().tolist() for name, value in found.items()}
        {'usual': [0.625, 1.875], 'cross': [1.125, 0.375], 'rest': [0.0, 0.0]}
    """
    _check_reduction(reduction)
    with torch.enable_grad():
        z = z.detach()
        lam, partner = _mix_of(lam, partner, z)
        clean, mixed = z.clone().requires_grad_(), _mixed(z, lam, partner).requires_grad_()
        out = head(clean)
        rows = _rows(y, out)
        own = torch.autograd.grad(loss(out, rows, reduction), clean)[0]
        whole = torch.autograd.grad(
            loss(head(mixed), _mixed(rows, lam, partner), reduction), mixed
        )[0]
    found = _state_cotangents(own, whole, lam, partner)
    return {
        "usual": found["usual_first"] + found["usual_second"],
        "cross": found["cross_first"] + found["cross_second"],
        "rest": found["rest"],
    }


def _gradient_terms(
    model: nn.Module,
    x: Any,
    y: Tensor,
    layer: str,
    lam: float | Tensor,
    partner: Tensor,
    loss: Loss,
    reduction: str,
) -> GradientTerms:
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    states = capture(model, x, layer)
    lam, partner = _mix_of(lam, partner, states)
    clean = states.detach().clone().requires_grad_()
    mixed = _mixed(clean.detach(), lam, partner).requires_grad_()
    out, out_mixed = resume(model, x, layer, clean), resume(model, x, layer, mixed)
    rows = _rows(y, out)
    # The residuals: gradients with respect to outputs, without the weights of the mix.
    residual = _gradient(loss(out, rows, reduction), out)
    mixed_loss = loss(out_mixed, _mixed(rows, lam, partner), reduction)
    own = torch.autograd.grad(out, clean, residual, retain_graph=True)[0]
    whole = torch.autograd.grad(mixed_loss, mixed, retain_graph=True)[0]

    at_states = _state_cotangents(own, whole, lam, partner)
    front_names, features = _pulled_back(states, at_states, named)
    at_outputs = _four_cotangents(residual, lam, partner)
    head_names, head = _pulled_back(out, at_outputs, named)
    _, exact = _pulled_back(out_mixed, {"whole": _gradient(mixed_loss, out_mixed)}, named)
    head["rest"] = exact["whole"] - sum(head.values())
    return GradientTerms(
        float(mixed_loss.detach()), at_states, features, head, front_names, head_names
    )


def _gradient(loss: Tensor, at: Tensor) -> Tensor:
    return torch.autograd.grad(loss, at, retain_graph=True)[0]


def _four_cotangents(own: Tensor, lam: Tensor, partner: Tensor) -> dict[str, Tensor]:
    """Return what the four terms put on each example of the batch, (B, ...) each."""
    lam = lam.view(-1, *[1] * (own.ndim - 1))
    both = lam * (1 - lam)
    return {
        "usual_first": lam**2 * own,
        "usual_second": _to_partner((1 - lam) ** 2 * own[partner], partner),
        "cross_first": both * own[partner],
        "cross_second": _to_partner(both * own, partner),
    }


def _state_cotangents(
    own: Tensor, whole: Tensor, lam: Tensor, partner: Tensor
) -> dict[str, Tensor]:
    """Return the four terms and the rest at the states, from clean and mixed gradients there."""
    found = _four_cotangents(own, lam, partner)
    lam = lam.view(-1, *[1] * (own.ndim - 1))
    gap = whole - lam * own - (1 - lam) * own[partner]
    return found | {"rest": lam * gap + _to_partner((1 - lam) * gap, partner)}


def _to_partner(rows: Tensor, partner: Tensor) -> Tensor:
    """Add row i to the place of the partner of i."""
    return torch.zeros_like(rows).index_add_(0, partner, rows)


def _pulled_back(
    outputs: Tensor, cotangents: dict[str, Tensor], named: Sequence[tuple[str, Tensor]]
) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    """Return which parameters `outputs` depends on, and the gradient of each cotangent for them."""
    found: dict[str, Tensor] = {}
    names: tuple[str, ...] = ()
    for term, cotangent in cotangents.items():
        if not named or outputs.grad_fn is None:
            found[term] = outputs.new_zeros(0)
            continue
        grads = torch.autograd.grad(
            outputs, [p for _, p in named], cotangent, retain_graph=True, allow_unused=True
        )
        used = [(name, g) for (name, _), g in zip(named, grads, strict=True) if g is not None]
        names = tuple(name for name, _ in used)
        found[term] = torch.cat([outputs.new_zeros(0), *(g.flatten() for _, g in used)])
    return names, found


def _mixed(rows: Tensor, lam: Tensor, partner: Tensor) -> Tensor:
    lam = lam.view(-1, *[1] * (rows.ndim - 1))
    return lam * rows + (1 - lam) * rows[partner]


def _rows(y: Tensor, outputs: Tensor) -> Tensor:
    """Return targets as rows like the outputs."""
    rows = soft_targets(y, None if y.is_floating_point() else outputs.shape[-1])
    if rows.shape != outputs.shape:
        raise ValueError(
            f"targets: expected {tuple(outputs.shape)} like the outputs, "
            f"but got {tuple(rows.shape)}"
        )
    return rows.to(outputs)


def _mix_of(lam: float | Tensor, partner: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
    """Return lambda as (B,) like the states and the partners as indices, both checked."""
    size = len(states)
    if not isinstance(partner, Tensor) or partner.is_floating_point() or partner.ndim != 1:
        raise TypeError(f"partner: expected integer indices ({size},), but got {partner!r:.80}")
    if len(partner) != size or (size and not 0 <= partner.min() <= partner.max() < size):
        raise ValueError(f"partner: expected {size} indices in [0, {size}), got {partner!r:.80}")
    if not isinstance(lam, Tensor):
        lam = torch.tensor(checks.number("lam", lam, low=0, high=1), dtype=torch.float64)
    if lam.shape not in ((), (size,)):
        raise ValueError(f"lam: expected one number or ({size},), but got {tuple(lam.shape)}")
    if lam.numel() and not 0 <= lam.min() <= lam.max() <= 1:
        raise ValueError(f"lam: expected numbers in [0, 1], but got {lam!r:.80}")
    return lam.to(states).expand(size), partner.long().to(states.device)


def _check_reduction(reduction: str) -> None:
    checks.choice("reduction", reduction, ("mean", "sum"))
