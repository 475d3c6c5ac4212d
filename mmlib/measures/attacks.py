"""Adversarial examples: the fast gradient sign method."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmlib import checks
from mmlib.measures.evaluation import evaluating


def fgsm(model: nn.Module, x: Tensor, y: Tensor, *, epsilon: float) -> Tensor:
    """One signed gradient step, ``x + epsilon sign(grad_x CE(model(x), y))``, in eval mode.

    The step is taken in the units of `x` as the model receives it and is not clipped to an image
    range; the model's mode and its parameters' gradients are left as they were.

    Args:
        model: classifier, (B, ...) -> (B, K) logits.
        x: (B, ...) inputs.
        y: (B,) class indices.
        epsilon: size of the step per component, > 0, in units of `x`.

    Returns:
        (B, ...) perturbed inputs, detached.

    Source: Manifold Mixup v1, appendix D.

    Example:
        >>> model = nn.Linear(2, 2, bias=False)
        >>> _ = model.weight.data.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        >>> fgsm(model, torch.zeros(1, 2), torch.tensor([0]), epsilon=0.5)
        tensor([[-0.5000,  0.5000]])
    """
    checks.positive("epsilon", epsilon)
    with evaluating(model), torch.enable_grad():
        start = x.detach().clone().requires_grad_()
        loss = F.cross_entropy(model(start), y, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, start)
    return x.detach() + epsilon * gradient.sign()
