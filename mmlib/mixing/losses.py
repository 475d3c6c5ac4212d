"""Targets under mixing and the losses that take them, computed from log-softmax in float32."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mmlib import checks

REDUCTIONS = ("mean", "sum", "none")


def soft_targets(y: Tensor, num_classes: int | None = None) -> Tensor:
    """Return targets as rows of floats: one-hot rows for class indices, soft targets as they are.

    Args:
        y: (...,) integer class indices, or (..., K) floating soft targets.
        num_classes: K; needed for class indices.

    Returns:
        (..., K) of the dtype of soft targets, but at least float32; float32 for class indices.

    Raises:
        TypeError: `y` is no tensor, a bool tensor, or floats without a class dimension.
        ValueError: K is missing, does not fit soft targets, or an index lies outside [0, K) (this
            last check runs on the CPU only; on an accelerator the device itself asserts).

    Example:
        >>> soft_targets(torch.tensor([2, 0]), 3)
        tensor([[0., 0., 1.],
                [1., 0., 0.]])
    """
    if not isinstance(y, Tensor):
        raise TypeError(f"y: expected a tensor, but got {type(y).__name__}")
    if num_classes is not None:
        num_classes = checks.integer("num_classes", num_classes, low=1)
    if y.is_floating_point():
        if y.ndim < 2:
            raise TypeError(
                f"y: expected class indices (integers) or soft targets (B, K), but got "
                f"{_spec(y)}; for indices use y.long(), for one value per example y[:, None]"
            )
        if num_classes is not None and y.shape[-1] != num_classes:
            raise ValueError(f"y: expected {num_classes} classes (last dimension), got {_spec(y)}")
        return y.float() if y.dtype in (torch.float16, torch.bfloat16) else y
    if y.dtype == torch.bool or y.is_complex():
        raise TypeError(f"y: expected integer classes or floating targets, but got {_spec(y)}")
    if num_classes is None:
        raise ValueError("num_classes: expected the number of classes for class indices, got None")
    if y.device.type == "cpu" and y.numel() and not 0 <= int(y.min()) <= int(y.max()) < num_classes:
        raise ValueError(
            f"y: expected class indices in [0, {num_classes}), but got values from "
            f"{int(y.min())} to {int(y.max())}"
        )
    rows = torch.zeros(*y.shape, num_classes, device=y.device)
    return rows.scatter_(-1, y.long().unsqueeze(-1), 1.0)


def soft_cross_entropy(logits: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    r"""Cross-entropy against soft targets, :math:`-\sum_k t_k \log p_k` with p = softmax(logits).

    The loss of Manifold Mixup v1, section 2. Linear in the targets, so the loss against mixed
    targets is the mix of the two losses.

    Args:
        logits: (..., K).
        targets: (..., K) soft or (...,) class indices.
        reduction: "mean" or "sum" over examples, or "none" for (...,).

    Raises:
        TypeError: targets of a wrong dtype.
        ValueError: shapes do not match, unknown reduction.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
        >>> soft_cross_entropy(logits, torch.tensor([[0.5, 0.5], [1.0, 0.0]]), reduction="none")
        tensor([1.1269, 0.6931])
    """
    targets = _matching(logits, targets)
    loss = -(targets * _log_softmax(logits)).sum(-1)
    return _reduce(loss, reduction)


def bce_on_softmax(logits: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    r"""Binary cross-entropy of softmax probabilities, averaged over the K classes.

    .. math:: -\tfrac1K \sum_k \big[t_k \log p_k + (1 - t_k) \log(1 - p_k)\big], \quad p = softmax

    The loss of the released Manifold Mixup code ("binary cross entropy" in appendix C of the final
    version). log(1 - p) is exact also where p is 1 to rounding: there it is the log of the summed
    probability of the other classes. (The released code goes through p and clamps its log at -100.)

    Args:
        logits: (..., K) with K >= 2.
        targets: (..., K) soft or (...,) class indices.
        reduction: "mean" or "sum" over examples, or "none" for (...,).

    Raises:
        TypeError: targets of a wrong dtype.
        ValueError: shapes do not match, K < 2, unknown reduction.

    Example:
        >>> bce_on_softmax(torch.zeros(1, 2), torch.tensor([0]))
        tensor(0.6931)
        >>> bce_on_softmax(torch.tensor([[90.0, 0.0]]), torch.tensor([1]))
        tensor(90.)
    """
    targets = _matching(logits, targets)
    if logits.shape[-1] < 2:
        raise ValueError(f"logits: expected at least two classes, but got {_spec(logits)}")
    log_p = _log_softmax(logits)
    largest = log_p.argmax(-1, keepdim=True)
    top = torch.zeros_like(log_p, dtype=torch.bool).scatter(-1, largest, True)
    # Below the largest p, p <= 1/2 and log1p is exact; at the largest, sum the others.
    others = log_p.masked_fill(top, -torch.inf).logsumexp(-1, keepdim=True)
    log_not_p = torch.where(top, others, torch.log1p(-log_p.exp().masked_fill(top, 0.0)))
    loss = -(targets * log_p + (1 - targets) * log_not_p).mean(-1)
    return _reduce(loss, reduction)


def mse(outputs: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    r"""Squared error averaged over the K outputs, :math:`\tfrac1K \sum_k (o_k - t_k)^2`.

    Computed in float32 or wider, of the outputs as they are: pass ``logits.softmax(-1)`` to
    compare probabilities.

    Args:
        outputs: (..., K).
        targets: (..., K) or (...,) class indices.
        reduction: "mean" or "sum" over examples, or "none" for (...,).

    Raises:
        TypeError: targets of a wrong dtype.
        ValueError: shapes do not match, unknown reduction.

    Example:
        >>> mse(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 1.0]]))
        tensor(2.5000)
    """
    targets = _matching(outputs, targets)
    return _reduce((_at_least_float32(outputs) - targets).square().mean(-1), reduction)


def _spec(t: Tensor) -> str:
    return f"{str(t.dtype).removeprefix('torch.')} of shape {tuple(t.shape)}"


def _at_least_float32(t: Tensor) -> Tensor:
    return t.float() if t.dtype in (torch.float16, torch.bfloat16) else t


def _log_softmax(logits: Tensor) -> Tensor:
    return F.log_softmax(_at_least_float32(logits), dim=-1)


def _matching(logits: Tensor, targets: Tensor) -> Tensor:
    if not logits.is_floating_point() or logits.ndim == 0:
        raise TypeError(f"logits: expected floats (..., K), but got {_spec(logits)}")
    soft = soft_targets(targets, None if targets.is_floating_point() else logits.shape[-1])
    if soft.shape != logits.shape:
        raise ValueError(
            f"targets: expected {tuple(logits.shape)} or class indices "
            f"{tuple(logits.shape[:-1])} for logits {tuple(logits.shape)}, but got {_spec(targets)}"
        )
    return soft


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    checks.choice("reduction", reduction, REDUCTIONS)
    return loss if reduction == "none" else getattr(loss, reduction)()
