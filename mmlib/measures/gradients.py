"""How much a gradient varies when only the random part of a step is drawn again."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from mmlib.checks import integer


def gradient_variance(
    model: nn.Module, closure: Callable[[], torch.Tensor], n_draws: int = 100
) -> dict[str, float]:
    """Return the total variance of the gradient of a loss over repeated draws.

    `closure` computes the loss of a fixed batch with fresh randomness, for instance a new mix.
    With the gradients ``g_1 ... g_n`` over all parameters that need one, and their mean ``m``,

    ``total_variance = 1 / (n - 1) sum_i |g_i - m|^2``

    estimates the trace of the gradient's covariance, and ``mean_norm2 = |m|^2 - total_variance /
    n`` the squared norm of its expectation; both without bias (the second may come out negative).
    The statement tested is that draws of lambda per example "reduce the variance" of the update
    (Manifold Mixup v1, section 2).

    Parameters, their ``.grad``, buffers (statistics of batch norm) and the model's mode are left
    as they were; memory is two copies of the parameters in float64.

    Args:
        model: Model whose parameters the gradient is taken for.
        closure: Returns a scalar loss; called `n_draws` times.
        n_draws: Number of draws n, at least 2.

    Returns:
        ``total_variance`` and ``mean_norm2`` (squared units of the gradient), ``n``.

    Raises:
        ValueError: `n_draws` is below 2, no parameter needs a gradient, or the loss is no scalar.
        FloatingPointError: A gradient is NaN or infinite.

    Example:
        >>> net = nn.Linear(1, 1, bias=False)
        >>> signs = iter([1.0, -1.0, 1.0, -1.0])
        >>> result = gradient_variance(net, lambda: next(signs) * net.weight.sum(), n_draws=4)
        >>> {key: round(value, 4) for key, value in result.items()}
        {'total_variance': 1.3333, 'mean_norm2': -0.3333, 'n': 4}
    """
    n = integer("n_draws", n_draws, low=2)
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError("model: expected a parameter that needs a gradient, but got none")
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    mean = [torch.zeros_like(p, dtype=torch.float64) for p in parameters]
    squares = 0.0
    try:
        for i in range(1, n + 1):
            loss = closure()
            if loss.ndim:
                raise ValueError(f"closure: expected a scalar loss, but got {tuple(loss.shape)}")
            # A parameter that the mix cuts off (detach=True) has gradient zero.
            grads = torch.autograd.grad(loss, parameters, allow_unused=True)
            for m, g in zip(mean, grads, strict=True):
                # Welford's update: exact also where the mean is far larger than the spread.
                delta = (0.0 if g is None else g.double()) - m
                m += delta / i
                squares += float(delta.square().sum()) * (i - 1) / i
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
    variance = squares / (n - 1)
    norm2 = sum(float(m.square().sum()) for m in mean)
    if not torch.isfinite(torch.tensor([variance, norm2])).all():
        raise FloatingPointError(f"the gradient is not finite in one of {n} draws")
    return {"total_variance": variance, "mean_norm2": norm2 - variance / n, "n": n}
