"""A slow reference for mixing, made of one plain forward hook, and what every model must pass."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmlib.mixing import Mixup, capture, mix_at, resume, soft_cross_entropy
from mmlib.mixing.draw import Draw

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing in this folder may ask the network for anything


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inner(output: Any) -> Tensor:
    """The features in a module's output: the output itself, or the first of a tuple."""
    return output[0] if isinstance(output, tuple) else output


def by_hand(model: nn.Module, x: Any, draw: Draw, detach: bool) -> Any:
    """The forward pass with lam * h + (1 - lam) * h[partner] in place of h, by a hook of torch."""
    lam, partner = float(draw.lam), draw.partner

    def blend(h: Tensor) -> Tensor:
        h = h.detach() if detach else h
        return lam * h + (1 - lam) * h[partner]

    def hook(module: nn.Module, args: tuple, output: Any) -> Any:
        mixed = blend(inner(output))
        return (mixed, *output[1:]) if isinstance(output, tuple) else mixed

    if draw.layer == "input":
        return model(blend(x))
    handle = dict(model.named_modules())[draw.layer].register_forward_hook(hook)
    try:
        return model(x)
    finally:
        handle.remove()


def gradients(model: nn.Module, logits: Tensor, targets: Tensor) -> dict[str, Tensor | None]:
    model.zero_grad()
    soft_cross_entropy(logits, targets).backward()
    return {name: p.grad for name, p in model.named_parameters()}


@pytest.fixture
def follows_the_definition() -> Callable[..., None]:
    """Check one site of a model of float64 in training mode; `read` finds the logits in its output.

    Dropout and stochastic depth draw from the global generator, so it is seeded before each pass.
    """

    def check(
        model: nn.Module,
        x: Any,
        y: Tensor,
        site: str,
        *,
        read: Callable[[Any], Tensor] = lambda output: output,
        **settings: Any,
    ) -> None:
        for detach in (False, True):
            mixup = Mixup(2.0, (site,), num_classes=5, detach=detach, generator=gen(1), **settings)
            draw = mixup.draw(len(y))
            assert (draw.partner != torch.arange(len(y))).any()
            torch.manual_seed(7)
            mixed = mixup.apply(model, x, y, draw)
            assert not any(module._forward_hooks for module in model.modules())
            got = gradients(model, read(mixed.logits), mixed.targets)
            torch.manual_seed(7)
            expected = read(by_hand(model, x, draw, detach))
            torch.testing.assert_close(read(mixed.logits), expected, rtol=1e-9, atol=1e-11)
            wanted = gradients(model, expected, mixed.targets)
            # A bias before batch norm has a gradient of zero, to the rounding of all others.
            scale = max(float(grad.abs().max()) for grad in wanted.values() if grad is not None)
            for name, grad in wanted.items():
                assert (grad is None) == (got[name] is None), name
                if grad is not None:
                    torch.testing.assert_close(got[name], grad, rtol=1e-6, atol=1e-9 * scale)
            reached = [name for name, grad in got.items() if grad is not None and grad.any()]
            assert reached
            if detach and site != "input":
                assert all(not name.startswith(f"{site}.") for name in reached)

    return check


@pytest.fixture
def splits_at() -> Callable[..., None]:
    """Check f = g o h at a site in eval mode, and that training's mix is refused there."""

    def check(model: nn.Module, x: Any, y: Tensor, site: str, *, select: Any = None) -> None:
        model.eval()
        with pytest.raises(RuntimeError, match="eval mode"):
            Mixup(layers=(site,), num_classes=5, select=select)(model, x, y)
        path = () if select is None else select
        with torch.no_grad():
            h = capture(model, x, site, select=path)
            roll = torch.arange(len(y)).roll(1)
            there = resume(model, x, site, h.roll(1, 0), select=path)
            moved = mix_at(model, x, site, 0.0, roll, select=path)
            plain = model(x)
        for output, wanted in ((there, plain), (moved, plain)):
            output, wanted = (inner(getattr(o, "logits", o)) for o in (output, wanted))
            torch.testing.assert_close(output, wanted.roll(1, 0), rtol=1e-9, atol=1e-11)
        model.train()

    return check
