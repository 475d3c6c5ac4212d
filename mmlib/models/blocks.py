"""Pre-activated residual blocks."""

from __future__ import annotations

import torch
from torch import nn

from mmlib.checks import number


class PreActBlock(nn.Module):
    """Two pre-activated 3 x 3 convolutions and a shortcut (He et al., 2016).

    ``a = ReLU(BN(x));  out = conv2(ReLU(BN(conv1(a)))) + shortcut``, where the shortcut is `x`
    itself if the shapes agree and a strided 1 x 1 convolution of `a` if they do not.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Stride of the first convolution and of the shortcut.
        dropout: Share of the inputs of conv2 that are dropped (Zagoruyko & Komodakis, 2016).
        slope: Slope of the activation below zero: 0 for ReLU, else LeakyReLU.

    Shapes:
        Input ``(B, in_channels, H, W)``; output ``(B, out_channels, H / stride, W / stride)``.

    Raises:
        TypeError, ValueError: `dropout` is not a number in [0, 1), or `slope` not one in [0, 1].
    """

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        *,
        dropout: float = 0.0,
        slope: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.relu = activation(slope)
        self.dropout = drop(dropout)
        self.shortcut = None
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum of the residual branch and the shortcut."""
        a = self.relu(self.norm1(x))
        skip = x if self.shortcut is None else self.shortcut(a)
        return self.conv2(self.dropout(self.relu(self.norm2(self.conv1(a))))) + skip


class PreActBottleneck(nn.Module):
    """Pre-activated 1 x 1, 3 x 3 and 1 x 1 convolutions and a shortcut (He et al., 2016).

    ``a = ReLU(BN(x));  b = conv2(ReLU(BN(conv1(a))));  out = conv3(ReLU(BN(b))) + shortcut``. The
    output has four times as many channels as the inner convolutions. The shortcut is `x` itself
    if the shapes agree and a strided 1 x 1 convolution of `a` if they do not.

    Args:
        in_channels: Channels of the input.
        width: Channels of the two inner states.
        stride: Stride of the 3 x 3 convolution and of the shortcut.

    Shapes:
        Input ``(B, in_channels, H, W)``; output ``(B, 4 * width, H / stride, W / stride)``.
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        out_channels = self.expansion * width
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.relu = nn.ReLU()
        self.shortcut = None
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum of the residual branch and the shortcut."""
        a = self.relu(self.norm1(x))
        skip = x if self.shortcut is None else self.shortcut(a)
        b = self.conv2(self.relu(self.norm2(self.conv1(a))))
        return self.conv3(self.relu(self.norm3(b))) + skip


def activation(slope: float) -> nn.Module:
    """Return ReLU if `slope` is 0 and LeakyReLU of that slope if it is not."""
    slope = number("slope", slope, low=0.0, high=1.0)
    return nn.LeakyReLU(slope) if slope else nn.ReLU()


def drop(share: float) -> nn.Module:
    """Return dropout of that share; the identity, which draws no random numbers, if it is 0."""
    share = number("dropout", share, low=0.0, high=1.0, high_open=True)
    return nn.Dropout(share) if share else nn.Identity()
