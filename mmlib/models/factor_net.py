"""The binary classifier of the synthetic tasks: four strided convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmlib.checks import integer


class FactorNet(nn.Module):
    """Four 4 x 4 convolutions of stride 2 with batch norm and leaky ReLU, then one linear unit.

    The released script of Manifold Mixup v1, appendix E, uses this depth, stride and
    normalisation; the text names no network and no width. The single output z is returned as the
    logits ``(0, z)``, so that softmax cross-entropy is the script's binary cross-entropy on
    ``sigmoid(z)``.

    Args:
        image_size: side of the grey image, a multiple of 16.
        width: channels of the first convolution; each further one doubles them.

    Shapes:
        Input (B, 1, S, S), output (B, 2) logits.

    Raises:
        ValueError: `image_size` is no multiple of 16, or `width` < 1.

    Example:
        >>> FactorNet(image_size=32, width=4)(torch.zeros(3, 1, 32, 32)).shape
        torch.Size([3, 2])
    """

    def __init__(self, *, image_size: int = 64, width: int = 16) -> None:
        super().__init__()
        if integer("image_size", image_size, low=16) % 16:
            raise ValueError(f"image_size: expected a multiple of 16, but got {image_size}")
        channels = [1, *(integer("width", width, low=1) * 2**depth for depth in range(4))]
        self.features = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False),
                    nn.BatchNorm2d(after),
                    nn.LeakyReLU(0.2),
                )
                for before, after in zip(channels, channels[1:], strict=False)
            )
        )
        self.head = nn.Linear(channels[-1] * (image_size // 16) ** 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(0, z)``, shape (B, 2)."""
        z = self.head(self.features(x).flatten(1))
        return torch.cat((torch.zeros_like(z), z), 1)
