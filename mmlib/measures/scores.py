"""Scores of predictions: functions of logits and targets, computed in float64."""

from __future__ import annotations

import torch

from mmlib.checks import integer


def _log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    if logits.ndim != 2 or not logits.is_floating_point() or len(logits) == 0:
        raise ValueError(
            f"logits: expected floats of shape (B, K) with B >= 1, "
            f"but got {logits.dtype} of shape {tuple(logits.shape)}"
        )
    # On the CPU, because some accelerators have no float64.
    return torch.log_softmax(logits.detach().cpu().double(), dim=1)


def _as_probabilities(targets: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return targets ``(B, K)`` in float64 from class indices ``(B,)`` or from soft targets."""
    targets = targets.detach().cpu()
    if targets.ndim == 1 and not targets.is_floating_point() and len(targets) == len(like):
        return torch.nn.functional.one_hot(targets.long(), like.shape[1]).double()
    if targets.shape == like.shape and targets.is_floating_point():
        return targets.double()
    raise ValueError(
        f"targets: expected class indices of shape ({len(like)},) or floats of shape "
        f"{tuple(like.shape)}, but got {targets.dtype} of shape {tuple(targets.shape)}"
    )


def _indices(targets: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    if targets.ndim != 1 or targets.is_floating_point() or len(targets) != len(like):
        raise ValueError(
            f"targets: expected class indices of shape ({len(like)},), "
            f"but got {targets.dtype} of shape {tuple(targets.shape)}"
        )
    return targets.cpu()


def accuracy(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """Return the share of examples whose largest logit is the target's, between 0 and 1.

    Args:
        logits: ``(B, K)``.
        targets: ``(B,)`` class indices.

    Raises:
        ValueError: The shapes or types do not fit.

    Example:
        >>> accuracy(torch.tensor([[2.0, 1.0], [0.0, 3.0]]), torch.tensor([0, 0]))
        0.5
    """
    log_p = _log_probabilities(logits)
    return float((log_p.argmax(1) == _indices(targets, log_p)).double().mean())


def nll(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """Return the mean negative log-likelihood ``-(1/B) sum_b sum_k t_bk log p_bk`` in nats.

    For soft targets this is the cross-entropy, whose least value is the entropy of the targets.

    Args:
        logits: ``(B, K)``.
        targets: ``(B,)`` class indices or ``(B, K)`` probabilities.

    Raises:
        ValueError: The shapes or types do not fit.

    Example:
        >>> round(nll(torch.zeros(3, 10), torch.tensor([0, 4, 9])), 4)  # log 10
        2.3026
    """
    log_p = _log_probabilities(logits)
    t = _as_probabilities(targets, log_p)
    # Where a target is 0 its term is 0, also if the logit is -inf.
    terms = torch.where(t > 0, t * log_p, torch.zeros_like(log_p))
    return 0.0 - float(terms.sum(1).mean())


def brier(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """Return the Brier score ``(1/B) sum_b sum_k (p_bk - t_bk)^2``, between 0 and 2.

    Args:
        logits: ``(B, K)``.
        targets: ``(B,)`` class indices or ``(B, K)`` probabilities.

    Raises:
        ValueError: The shapes or types do not fit.

    Example:
        >>> brier(torch.zeros(1, 2), torch.tensor([1]))
        0.5
    """
    log_p = _log_probabilities(logits)
    return float((log_p.exp() - _as_probabilities(targets, log_p)).square().sum(1).mean())


def entropy(logits: torch.Tensor) -> float:
    """Return the mean entropy of the predictions, ``-(1/B) sum_b sum_k p_bk log p_bk``, in nats.

    Example:
        >>> round(entropy(torch.zeros(1, 10)), 4)  # log 10
        2.3026
    """
    p = (log_p := _log_probabilities(logits)).exp()
    # 0 log 0 = 0, also if the logit is -inf.
    terms = torch.where(p > 0, p * log_p, torch.zeros_like(p))
    return 0.0 - float(terms.sum(1).mean())


def mean_confidence(logits: torch.Tensor) -> float:
    """Return the mean of the largest predicted probability, between 1 / K and 1.

    Example:
        >>> mean_confidence(torch.zeros(5, 4))
        0.25
    """
    return float(_log_probabilities(logits).amax(1).exp().mean())


def expected_calibration_error(
    logits: torch.Tensor, targets: torch.Tensor, bins: int = 15
) -> float:
    """Return the expected calibration error, between 0 and 1.

    Predictions are put into `bins` equal intervals ``((i - 1) / bins, i / bins]`` of their
    confidence (largest probability); the error is the mean over all predictions of the gap
    between accuracy and mean confidence of their interval,
    ``sum_i (n_i / B) |accuracy_i - confidence_i|`` (Guo et al., 2017).

    Args:
        logits: ``(B, K)``.
        targets: ``(B,)`` class indices.
        bins: Number of intervals.

    Raises:
        ValueError: The shapes or types do not fit.

    Example:
        >>> expected_calibration_error(torch.zeros(4, 2), torch.tensor([0, 0, 0, 1]))
        0.25
    """
    bins = integer("bins", bins, low=1)
    log_p = _log_probabilities(logits)
    top = log_p.max(1)
    confidence = top.values.exp()
    hit = (top.indices == _indices(targets, log_p)).double()
    # A float32 logit makes 0.2 a little more than 0.2: edges give way by less than that.
    interval = (confidence * bins - 1e-9).ceil().clamp(1, bins).long() - 1
    gaps = torch.zeros(bins, dtype=torch.float64)
    gaps.index_add_(0, interval, hit - confidence)
    return float(gaps.abs().sum() / len(hit))
