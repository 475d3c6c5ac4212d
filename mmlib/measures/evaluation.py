"""Run a model over data without touching its state, and score it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from mmlib.checks import integer
from mmlib.measures import scores

Inputs = Callable[[torch.Tensor], torch.Tensor]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Put a model into eval mode without gradients, and each module back as it was.

    Example:
        >>> net = nn.Sequential(nn.Dropout()).train()
        >>> with evaluating(net):
        ...     print(net[0].training)
        False
        >>> net[0].training
        True
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield model
    finally:
        for module, mode in modes:
            module.training = mode


def predict(
    model: nn.Module, x: torch.Tensor, *, inputs: Inputs | None = None, batch_size: int = 500
) -> torch.Tensor:
    """Return the logits ``(N, K)`` of a model in eval mode.

    Args:
        model: Maps inputs to logits; its mode is restored.
        x: ``(N, ...)`` examples: bytes, or floats as the model takes them.
        inputs: Makes model inputs of a batch of bytes (`Dataset.inputs`).
        batch_size: Examples at a time; has no influence beyond rounding.

    Raises:
        ValueError: There is no example, or `batch_size` is below 1.
        TypeError: `x` is uint8 and `inputs` is missing.

    Example:
        >>> predict(nn.Linear(3, 2), torch.zeros(7, 3)).shape
        torch.Size([7, 2])
    """
    size = integer("batch_size", batch_size, low=1)
    with evaluating(model):
        parts = [model(prepared(x[i : i + size], inputs)) for i in range(0, len(x), size)]
    if not parts:
        raise ValueError("x: expected at least one example, but got none")
    return torch.cat(parts)


def prepared(x: torch.Tensor, inputs: Inputs | None) -> torch.Tensor:
    """Return model inputs of a batch.

    Raises:
        TypeError: `x` is uint8 and `inputs` is missing.
    """
    if inputs is not None:
        return inputs(x)
    if x.dtype == torch.uint8:
        raise TypeError("x: uint8 images need inputs=..., e.g. the inputs method of their set")
    return x


def evaluate(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    inputs: Inputs | None = None,
    batch_size: int = 500,
) -> dict[str, float]:
    """Return the scores of a model in eval mode; its mode is restored.

    Args:
        model: Maps inputs to logits.
        x: ``(N, ...)`` examples: bytes, or floats as the model takes them.
        y: ``(N,)`` classes.
        inputs: Makes model inputs of a batch of bytes (`Dataset.inputs`).
        batch_size: Examples at a time.

    Returns:
        ``accuracy`` (share), ``nll`` (nats), ``brier``, ``ece`` (15 bins), ``confidence``,
        ``entropy`` (nats), as the functions of this room define them.

    Raises:
        ValueError: There is no example, or the shapes do not fit.
        TypeError: `x` is uint8 and `inputs` is missing.

    Example:
        >>> net = nn.Linear(3, 2)
        >>> _ = nn.init.zeros_(net.weight), nn.init.zeros_(net.bias)
        >>> result = evaluate(net, torch.ones(4, 3), torch.tensor([0, 0, 0, 1]))
        >>> result["accuracy"], round(result["nll"], 4), result["ece"]
        (0.75, 0.6931, 0.25)
    """
    logits = predict(model, x, inputs=inputs, batch_size=batch_size)
    return {
        "accuracy": scores.accuracy(logits, y),
        "nll": scores.nll(logits, y),
        "brier": scores.brier(logits, y),
        "ece": scores.expected_calibration_error(logits, y),
        "confidence": scores.mean_confidence(logits),
        "entropy": scores.entropy(logits),
    }
