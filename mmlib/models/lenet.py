"""LeNet, the small convolutional net of the digits."""

from __future__ import annotations

import torch
from torch import nn

from mmlib.checks import boolean, integer
from mmlib.models.blocks import drop


class LeNet(nn.Module):
    """LeNet-5 with ReLU: ``x -> block1 -> block2 -> layer1 -> layer2 -> head``.

    A block is a 5 x 5 convolution, max pooling over 2 x 2 pixels and ReLU: 6 and 16 channels.
    The linear layers have 120 and 84 units (LeCun et al., 1998). Images below 32 pixels are padded
    by 2, so that 28 pixels give the 32 of the original; where the second convolution would leave
    fewer than 2 pixels, it is padded too (images below 12 pixels).

    Args:
        in_channels: Channels of the image.
        num_classes: Number of logits.
        width: Channels of block1, 6 in the original; the other layers keep their ratios to it.
        image_size: Height and width of the image in pixels.
        dropout: Share of the states of layer1 and layer2 that is dropped.
        norm: Batch norm between the pooling and the ReLU of each block.

    Shapes:
        Input ``(B, in_channels, image_size, image_size)``; output ``(B, num_classes)`` logits.

    Raises:
        TypeError, ValueError: A number is outside its range.

    Example:
        >>> net = LeNet()
        >>> net(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
        >>> net.layer1[1]
        Linear(in_features=400, out_features=120, bias=True)
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 10,
        width: int = 6,
        *,
        image_size: int = 28,
        dropout: float = 0.0,
        norm: bool = False,
    ) -> None:
        super().__init__()
        size = integer("image_size", image_size, low=4)
        width = integer("width", width, low=1)
        classes = integer("num_classes", num_classes, low=1)
        first, second, units, last = (round(width * ratio / 6) for ratio in (6, 16, 120, 84))
        pad = 2 if size < 32 else 0
        size = (size + 2 * pad - 4) // 2
        self.block1 = _block(integer("in_channels", in_channels, low=1), first, pad, norm)
        pad = 2 if size < 6 else 0
        size = (size + 2 * pad - 4) // 2
        self.block2 = _block(first, second, pad, norm)
        inputs = second * size**2
        self.layer1 = nn.Sequential(
            nn.Flatten(), nn.Linear(inputs, units), nn.ReLU(), drop(dropout)
        )
        self.layer2 = nn.Sequential(nn.Linear(units, last), nn.ReLU(), drop(dropout))
        self.head = nn.Linear(last, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, num_classes)`` of images ``(B, in_channels, H, W)``."""
        return self.head(self.layer2(self.layer1(self.block2(self.block1(x)))))


def _block(in_channels: int, out_channels: int, pad: int, norm: bool) -> nn.Sequential:
    # ReLU and the maximum commute: pooling first gives equal outputs from a quarter of the work.
    after = [nn.BatchNorm2d(out_channels)] if boolean("norm", norm) else []
    convolution = nn.Conv2d(in_channels, out_channels, 5, padding=pad)
    return nn.Sequential(convolution, nn.MaxPool2d(2), *after, nn.ReLU())
