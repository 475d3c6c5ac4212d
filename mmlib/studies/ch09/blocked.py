"""What blocking the gradient at the mix changes, by the place of the mix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from mmlib.mixing import Mixup, soft_cross_entropy
from mmlib.models.bottleneck import bottleneck


def gradients(net: nn.Module, layer: str, detach: bool, seed: int) -> dict[str, torch.Tensor]:
    """Return the gradient of one mixed step by name of the parameter; zeros where there is none."""
    draws = torch.Generator().manual_seed(seed)
    width = next(p for p in net.parameters()).shape[1]
    x = torch.randn(32, width, generator=draws, dtype=torch.float64)
    y = torch.randint(net[-1].out_features, (32,), generator=draws)
    mixup = Mixup(1.0, (layer,), detach=detach, generator=draws)
    net.zero_grad(set_to_none=True)
    mixed = mixup(net, x, y)
    soft_cross_entropy(mixed.logits, mixed.targets).backward()
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in net.named_parameters()
    }


def blocking(settings: Mapping[str, Any], seed: int) -> dict[str, float]:
    """Compare the gradients of a mixed step with and without blocking, in float64.

    Metrics: ``input_change``, the largest change of a gradient at any layer when mixes of the input
    are blocked; ``code_change``, the same for the layers before the code when mixes of the code
    are; ``code_left``, the largest gradient that is left to those layers; ``behind_change``, the
    change for the layers behind the code.
    """
    sizes = {key: settings[key] for key in ("width", "before", "after", "norm", "code")}
    net = bottleneck(20, 5, **sizes, seed=seed).double().train()
    names = [name for name, _ in net.named_children()]
    lower = tuple(f"{name}." for name in names[: names.index("code") + 1])
    open_, shut = (
        {layer: gradients(net, layer, detach, seed) for layer in ("input", "code")}
        for detach in (False, True)
    )
    change = {
        layer: {name: float((shut[layer][name] - value).abs().max()) for name, value in own.items()}
        for layer, own in open_.items()
    }
    before = [name for name in change["code"] if name.startswith(lower)]
    behind = [name for name in change["code"] if not name.startswith(lower)]
    return {
        "input_change": max(change["input"].values()),
        "code_change": min(
            max(change["code"][name] for name in before if name.startswith(part))
            for part in lower
            if any(name.startswith(part) for name in before)
        ),
        "code_left": max(float(shut["code"][name].abs().max()) for name in before),
        "behind_change": max(change["code"][name] for name in behind),
    }
