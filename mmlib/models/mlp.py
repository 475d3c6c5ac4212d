"""Fully connected nets with a named layer per hidden state."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from mmlib.checks import choice, integer

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
}


def mlp(sizes: Sequence[int], activation: str = "relu") -> nn.Sequential:
    """Return a fully connected net ``flatten -> layer1 -> ... -> layerL -> head``.

    ``layer i`` is ``activation(W_i h + b_i)``, so its output is the i-th hidden state and its
    name a place to mix; ``head`` is linear. Inputs of any shape are flattened first.

    Args:
        sizes: Number of inputs, of units in each hidden layer, and of logits.
        activation: One of ``"relu"``, ``"leaky_relu"``, ``"tanh"``, ``"gelu"``, ``"softplus"``.

    Returns:
        A module from ``(B, ...)`` with ``sizes[0]`` numbers per example to ``(B, sizes[-1])``.

    Raises:
        ValueError: `sizes` has fewer than two numbers, one below 1, or `activation` is unknown.
        TypeError: A size is not an integer.

    Example:
        >>> net = mlp((784, 120, 84, 10))
        >>> [name for name, _ in net.named_children()]
        ['flatten', 'layer1', 'layer2', 'head']
    """
    sizes = [integer("sizes", size, low=1) for size in sizes]
    if len(sizes) < 2:
        raise ValueError(f"sizes: expected the numbers of inputs and of logits, but got {sizes}")
    kind = ACTIVATIONS[choice("activation", activation, tuple(ACTIVATIONS))]
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for i in range(1, len(sizes) - 1):
        layers[f"layer{i}"] = nn.Sequential(nn.Linear(sizes[i - 1], sizes[i]), kind())
    layers["head"] = nn.Linear(sizes[-2], sizes[-1])
    return nn.Sequential(layers)
