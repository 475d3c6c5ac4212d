"""Wide residual nets: few, but wide, pre-activated blocks."""

from __future__ import annotations

import torch
from torch import nn

from mmlib.checks import integer
from mmlib.models.blocks import PreActBlock, activation


class WideResNet(nn.Module):
    """Wide residual net: ``x -> stem -> block1 -> block2 -> block3 -> head``.

    WRN-d-k of Zagoruyko & Komodakis (2016): block i is a sequence of ``n = (d - 4) / 6`` residual
    blocks of two convolutions with ``2 ** (i - 1) * k * width`` channels, and block2 and block3
    halve the height. The head is batch norm, activation, average pooling and a linear map.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of logits.
        width: Channels of the stem; 16 in the paper. The number of weights grows as its square.
        depth: Number d, 4 more than a multiple of 6. The main path has d - 2 weight layers; the
            other two are the shortcuts at which the height is halved.
        widen: Factor k by which the blocks are wider than the stem.
        dropout: Share dropped between the two convolutions of a residual block.
        slope: Slope of the activations below zero: 0 for ReLU, else LeakyReLU.

    Shapes:
        Input ``(B, in_channels, H, W)`` with H, W >= 4; output ``(B, num_classes)`` logits.

    Raises:
        TypeError, ValueError: A number is outside its range.

    Example:
        >>> net = WideResNet(width=8, depth=10, widen=2)
        >>> net(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
        >>> [name for name, _ in net.named_children()]
        ['stem', 'block1', 'block2', 'block3', 'head']
    """

    def __init__(
        self,
        in_channels: int = 3,
        num_classes: int = 10,
        width: int = 16,
        *,
        depth: int = 28,
        widen: int = 10,
        dropout: float = 0.0,
        slope: float = 0.0,
    ) -> None:
        super().__init__()
        depth = integer("depth", depth, low=10)
        if depth % 6 != 4:
            raise ValueError(f"depth: expected 4 more than a multiple of 6, but got {depth}")
        width = integer("width", width, low=1)
        classes = integer("num_classes", num_classes, low=1)
        self.stem = nn.Conv2d(
            integer("in_channels", in_channels, low=1), width, 3, padding=1, bias=False
        )
        before, after = width, width * integer("widen", widen, low=1)
        for i in range(3):
            blocks = nn.Sequential()
            for j in range((depth - 4) // 6):
                stride = 2 if i > 0 and j == 0 else 1
                blocks.append(PreActBlock(before, after, stride, dropout=dropout, slope=slope))
                before = after
            self.add_module(f"block{i + 1}", blocks)
            after = 2 * after
        self.head = nn.Sequential(
            nn.BatchNorm2d(before),
            activation(slope),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(before, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, num_classes)`` of images ``(B, in_channels, H, W)``."""
        return self.head(self.block3(self.block2(self.block1(self.stem(x)))))  # type: ignore[operator]
