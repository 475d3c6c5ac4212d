"""Fully connected nets with a narrow linear layer, the code, in the middle."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from mmlib.checks import boolean, integer, number


def bottleneck(
    n_in: int,
    num_classes: int,
    width: int = 1024,
    code: int = 2,
    before: int = 2,
    after: int = 2,
    norm: bool = False,
    slope: float = 0.01,
    seed: int = 0,
) -> nn.Sequential:
    """Return ``flatten -> layer1 ... -> code -> layer ... -> head``.

    Hidden layers are linear with leaky ReLU; ``code`` is linear (with batch norm behind it if asked
    for) and ``head`` linear. The output of each named child but the head is a place to mix. The
    defaults are the net of Manifold Mixup v1, appendix F; the released code has ``before=3`` and
    ``norm=True``. Appendix G of the final version has 12 or 30 units of code, with 3 and 4 layers
    or 1 layer before it.

    Args:
        n_in: Numbers per example; inputs of any shape are flattened.
        num_classes: Number of logits.
        width: Units of each hidden layer.
        code: Units of the bottleneck.
        before: Hidden layers before the code.
        after: Hidden layers after it; 0 puts the head on the code.
        norm: Batch norm on the code, which fixes mean and variance of each unit up to two learned
            numbers.
        slope: Of the leaky ReLU at negative numbers; the texts state none, 0.01 is torch's.
        seed: Of the initial weights, which depend on nothing else.

    Raises:
        TypeError, ValueError: A size is no integer or too small, `norm` no bool, `slope` outside
            [0, 1].

    Example:
        >>> net = bottleneck(784, 10, width=32, code=2)
        >>> [name for name, _ in net.named_children()]
        ['flatten', 'layer1', 'layer2', 'code', 'layer3', 'layer4', 'head']
    """
    for name, value in (("n_in", n_in), ("num_classes", num_classes), ("width", width)):
        integer(name, value, low=1)
    integer("code", code, low=1)
    before, after = integer("before", before, low=0), integer("after", after, low=0)
    number("slope", slope, low=0, high=1)
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(integer("seed", seed, low=0))
        units = n_in
        for i in range(1, before + 1):
            layers[f"layer{i}"] = nn.Sequential(nn.Linear(units, width), nn.LeakyReLU(slope))
            units = width
        narrow = nn.Linear(units, code)
        normed = boolean("norm", norm)
        layers["code"] = nn.Sequential(narrow, nn.BatchNorm1d(code)) if normed else narrow
        units = code
        for i in range(before + 1, before + after + 1):
            layers[f"layer{i}"] = nn.Sequential(nn.Linear(units, width), nn.LeakyReLU(slope))
            units = width
        layers["head"] = nn.Linear(units, num_classes)
    return nn.Sequential(layers)
