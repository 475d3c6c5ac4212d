"""A small convolutional net for digits and other small images."""

from __future__ import annotations

import torch
from torch import nn

from mmlib.checks import integer


def _block(in_channels: int, out_channels: int, *, pool: bool) -> nn.Sequential:
    # Pooling before the norm: the same function up to the sign of its scale, and a third faster.
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        *([nn.MaxPool2d(2)] if pool else []),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class SmallConvNet(nn.Module):
    """Three convolution blocks and a linear head: ``x -> block1 -> block2 -> block3 -> head``.

    A block is a 3 x 3 convolution, in the first two blocks 2 x 2 max pooling, batch norm and
    ReLU. The head averages over the four quarters of the image and applies one linear map. The
    output of each block is a place to mix: ``"block1"`` (w channels, half the height),
    ``"block2"`` (2 w channels, a quarter), ``"block3"`` (4 w channels, a quarter). Our own net
    for chapters that run on a laptop; the papers use larger ones.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of logits.
        width: Channels w of the first block.

    Shapes:
        Input ``(B, in_channels, H, W)`` with H, W >= 8 (8, 28 and 32 are meant); output
        ``(B, num_classes)`` logits.

    Raises:
        TypeError, ValueError: An argument is not a positive integer.

    Example:
        >>> net = SmallConvNet(in_channels=1, num_classes=10, width=8)
        >>> net(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
        >>> [name for name, _ in net.named_children()]
        ['block1', 'block2', 'block3', 'head']
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 10, width: int = 32) -> None:
        super().__init__()
        channels = integer("in_channels", in_channels, low=1)
        classes = integer("num_classes", num_classes, low=1)
        width = integer("width", width, low=1)
        self.block1 = _block(channels, width, pool=True)
        self.block2 = _block(width, 2 * width, pool=True)
        self.block3 = _block(2 * width, 4 * width, pool=False)
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16 * width, classes)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, num_classes)`` of images ``(B, in_channels, H, W)``."""
        return self.head(self.block3(self.block2(self.block1(x))))
