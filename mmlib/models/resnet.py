"""The pre-activation residual nets of the papers' CIFAR experiments."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from mmlib.checks import boolean, integer
from mmlib.models.blocks import PreActBlock, PreActBottleneck


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
        bottleneck: Blocks are `PreActBottleneck`, whose outputs have four times as many channels
            as said above (50 and 152 layers), and not `PreActBlock`.

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
        bottleneck: bool = False,
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
        block = PreActBottleneck if boolean("bottleneck", bottleneck) else PreActBlock
        channels = width
        for i, count in enumerate(counts):
            layer, channels = _layer(block, channels, 2**i * width, count, 1 if i == 0 else 2)
            self.add_module(f"layer{i + 1}", layer)
        norm = [nn.BatchNorm2d(channels), nn.ReLU()] if boolean("final_norm", final_norm) else []
        pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.head = nn.Sequential(*norm, *pool, nn.Linear(channels, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, num_classes)`` of images ``(B, in_channels, H, W)``."""
        h = self.layer2(self.layer1(self.stem(x)))  # type: ignore[operator]  # of add_module
        return self.head(self.layer4(self.layer3(h)))  # type: ignore[operator]


def _layer(
    block: type[PreActBlock] | type[PreActBottleneck],
    in_channels: int,
    width: int,
    count: int,
    stride: int,
) -> tuple[nn.Sequential, int]:
    """Return `count` blocks, the first one strided, and their number of output channels."""
    out_channels = block.expansion * width
    first = block(in_channels, width, stride)
    return nn.Sequential(
        first, *(block(out_channels, width) for _ in range(count - 1))
    ), out_channels


class PreActResNet18(PreActResNet):
    """`PreActResNet` with two blocks in each layer; 11.2 million weights at width 64.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of logits.
        width: Channels of the stem; 64 in the papers.
        final_norm: Put batch norm and ReLU before the pooling.

    Example:
        >>> net = PreActResNet18(in_channels=1, width=4)
        >>> net(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
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


class PreActResNet50(PreActResNet):
    """`PreActResNet` with (3, 4, 6, 3) bottleneck blocks; 23.5 million weights at width 64.

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
        super().__init__(
            (3, 4, 6, 3), in_channels, num_classes, width, final_norm=final_norm, bottleneck=True
        )


class PreActResNet152(PreActResNet):
    """`PreActResNet` with (3, 8, 36, 3) bottleneck blocks; 58.1 million weights at width 64.

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
        super().__init__(
            (3, 8, 36, 3), in_channels, num_classes, width, final_norm=final_norm, bottleneck=True
        )
