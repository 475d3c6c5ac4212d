"""The pre-activation residual net of the papers' CIFAR experiments."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from mmlib.checks import boolean, integer


class PreActBlock(nn.Module):
    """Two pre-activated 3 x 3 convolutions and a shortcut (He et al., 2016).

    ``a = ReLU(BN(x));  out = conv2(ReLU(BN(conv1(a)))) + shortcut``, where the shortcut is `x`
    itself if the shapes agree and a strided 1 x 1 convolution of `a` if they do not.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Stride of the first convolution and of the shortcut.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.relu = nn.ReLU()
        self.shortcut = None
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum of the residual branch and the shortcut."""
        a = self.relu(self.norm1(x))
        skip = x if self.shortcut is None else self.shortcut(a)
        return self.conv2(self.relu(self.norm2(self.conv1(a)))) + skip


class PreActResNet(nn.Module):
    """Pre-activation residual net: ``x -> stem -> layer1 -> ... -> layer4 -> head``.

    The stem is one 3 x 3 convolution without batch norm; layer i has ``2 ** (i - 1) * width``
    channels, and layers 2 to 4 halve the height. As in the papers' released code there is no
    batch norm and ReLU between the last residual sum and the average pooling; the text of
    He et al. has one, `final_norm=True`. The papers mix at ``"input"``, ``"layer1"`` and
    ``"layer2"``: outputs of layers, after the residual sums (Manifold Mixup v1, section 4.1).

    Args:
        blocks: Number of blocks in the four layers: (2, 2, 2, 2) for 18, (3, 4, 6, 3) for 34.
        in_channels: Channels of the image.
        num_classes: Number of logits.
        width: Channels of the stem and of layer1; 64 in the papers.
        final_norm: Put batch norm and ReLU before the pooling.

    Shapes:
        Input ``(B, in_channels, H, W)`` with H, W >= 8; output ``(B, num_classes)`` logits.

    Raises:
        TypeError, ValueError: An argument is not a positive integer, or `blocks` has not four.

    Example:
        >>> net = PreActResNet18(width=4)
        >>> net(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
        >>> [name for name, _ in net.named_children()]
        ['stem', 'layer1', 'layer2', 'layer3', 'layer4', 'head']
    """

    def __init__(
        self,
        blocks: Sequence[int],
        in_channels: int = 3,
        num_classes: int = 10,
        width: int = 64,
        *,
        final_norm: bool = False,
    ) -> None:
        super().__init__()
        if len(blocks) != 4:
            raise ValueError(f"blocks: expected four numbers of blocks, but got {blocks!r}")
        counts = [integer("blocks", count, low=1) for count in blocks]
        classes = integer("num_classes", num_classes, low=1)
        width = integer("width", width, low=1)
        self.stem = nn.Conv2d(
            integer("in_channels", in_channels, low=1), width, 3, padding=1, bias=False
        )
        self.layer1 = self._layer(width, width, counts[0], stride=1)
        self.layer2 = self._layer(width, 2 * width, counts[1], stride=2)
        self.layer3 = self._layer(2 * width, 4 * width, counts[2], stride=2)
        self.layer4 = self._layer(4 * width, 8 * width, counts[3], stride=2)
        norm = [nn.BatchNorm2d(8 * width), nn.ReLU()] if boolean("final_norm", final_norm) else []
        pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.head = nn.Sequential(*norm, *pool, nn.Linear(8 * width, classes))

    @staticmethod
    def _layer(in_channels: int, out_channels: int, count: int, stride: int) -> nn.Sequential:
        first = PreActBlock(in_channels, out_channels, stride)
        return nn.Sequential(
            first, *(PreActBlock(out_channels, out_channels) for _ in range(count - 1))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, num_classes)`` of images ``(B, in_channels, H, W)``."""
        h = self.layer2(self.layer1(self.stem(x)))
        return self.head(self.layer4(self.layer3(h)))


class PreActResNet18(PreActResNet):
    """`PreActResNet` with two blocks in each layer; 11.2 million weights at width 64.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of logits.
        width: Channels of the stem; 64 in the papers.
        final_norm: Put batch norm and ReLU before the pooling.
    """

    def __init__(
        self,
        in_channels: int = 3,
        num_classes: int = 10,
        width: int = 64,
        *,
        final_norm: bool = False,
    ) -> None:
        super().__init__((2, 2, 2, 2), in_channels, num_classes, width, final_norm=final_norm)


class PreActResNet34(PreActResNet):
    """`PreActResNet` with (3, 4, 6, 3) blocks; 21.3 million weights at width 64.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of logits.
        width: Channels of the stem; 64 in the papers.
        final_norm: Put batch norm and ReLU before the pooling.
    """

    def __init__(
        self,
        in_channels: int = 3,
        num_classes: int = 10,
        width: int = 64,
        *,
        final_norm: bool = False,
    ) -> None:
        super().__init__((3, 4, 6, 3), in_channels, num_classes, width, final_norm=final_norm)
