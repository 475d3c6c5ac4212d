"""Models by name, with initial weights that depend on a seed and on nothing else."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from mmlib.checks import choice, integer
from mmlib.models.convnet import SmallConvNet
from mmlib.models.lenet import LeNet
from mmlib.models.mlp import mlp
from mmlib.models.resnet import (
    PreActResNet18,
    PreActResNet34,
    PreActResNet50,
    PreActResNet152,
)
from mmlib.models.wideresnet import WideResNet

IMAGE_NETS = {
    "small_conv": SmallConvNet,
    "lenet": LeNet,
    "preactresnet18": PreActResNet18,
    "preactresnet34": PreActResNet34,
    "preactresnet50": PreActResNet50,
    "preactresnet152": PreActResNet152,
    "wrn28-10": partial(WideResNet, depth=28, widen=10),
    "wrn28-2": partial(WideResNet, depth=28, widen=2),
    "wrn40-2": partial(WideResNet, depth=40, widen=2),
}
NAMES = (*IMAGE_NETS, "mlp")


def build(
    name: str,
    in_channels: int = 1,
    num_classes: int = 10,
    image_size: int = 28,
    width: int | None = None,
    *,
    seed: int = 0,
    **options: Any,
) -> nn.Module:
    """Return a freshly initialised model.

    Equal arguments give equal weights, whatever was drawn before; the global random state is left
    as it was.

    Args:
        name: ``"small_conv"``, ``"lenet"``, ``"preactresnet18"`` (or 34, 50, 152),
            ``"wrn28-10"``, ``"wrn28-2"``, ``"wrn40-2"``, or ``"mlp"`` (two hidden layers of
            `width` units).
        in_channels: Channels of the image.
        num_classes: Number of logits.
        image_size: Height and width of the image in pixels; only ``"mlp"`` and ``"lenet"``
            depend on it.
        width: Width of the model as its class defines it; None for the class's own.
        seed: Seed of the initial weights.
        **options: Further options of the class, e.g. ``final_norm=True``.

    Raises:
        ValueError: `name` is unknown (the nearest names are listed) or a number is below 1.
        TypeError: A number is not an integer, or an option is unknown to the class.

    Example:
        >>> one, two = (build("small_conv", width=4, seed=7) for _ in range(2))
        >>> torch.equal(one.head[2].weight, two.head[2].weight)
        True
        >>> build("smallconv")
        Traceback (most recent call last):
        ValueError: name: expected one of ... (did you mean 'small_conv'?)
    """
    choice("name", name, NAMES)
    if width is not None:
        width = integer("width", width, low=1)
    seed = integer("seed", seed, low=0)
    with torch.random.fork_rng(devices=[]):
        # The CPU generator alone: models are made on the CPU, and seeding a GPU would leak out.
        torch.random.default_generator.manual_seed(seed)
        if name == "mlp":
            pixels = integer("in_channels", in_channels, low=1) * image_size**2
            units = 1024 if width is None else width
            return mlp((pixels, units, units, num_classes), **options)
        if name == "lenet":
            options["image_size"] = image_size
        if width is not None:
            options["width"] = width
        net = IMAGE_NETS[name](in_channels, num_classes, **options)  # type: ignore[operator]
    # Weights in channels-last order pull the activations along: up to twice as fast on a CPU.
    return net.to(memory_format=torch.channels_last)
