"""The two players of SN-GAN: residual nets, the discriminator's weights of spectral norm one."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from mmlib.checks import boolean, choice, integer

# Of each image size: side of the generator's first map, discriminator blocks that halve or not.
_SHAPES = {28: (7, (True, True, False)), 32: (4, (True, True, False, False))}


class UpBlock(nn.Module):
    """Twice the height: ``conv(ReLU(BN(conv(up(ReLU(BN(x)))))))`` plus ``conv1x1(up(x))``.

    Miyato et al. (2018), appendix B. `up` repeats each pixel.

    Args:
        channels: Channels of input and output.

    Shapes:
        Input ``(B, C, H, W)``, output ``(B, C, 2 H, 2 W)``.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of the residual branch and the shortcut."""
        a = self.conv1(_up(F.relu(self.norm1(x))))
        # A 1 x 1 convolution and the repetition of pixels commute; this order is cheaper.
        return self.conv2(F.relu(self.norm2(a))) + _up(self.shortcut(x))


class DownBlock(nn.Module):
    """``pool(conv(ReLU(conv(ReLU(x)))))`` plus ``pool(conv1x1(x))``, without batch norm.

    Miyato et al. (2018), appendix B. `pool` averages 2 x 2 pixels where `halve`; where it is off
    and the channels agree, the shortcut is x. On images the first ReLU is left out.

    Args:
        before: Channels of the input.
        after: Channels of the output.
        halve: Whether height and width are halved.
        image: Whether the input is an image.

    Shapes:
        Input ``(B, before, H, W)``, output ``(B, after, H / 2, W / 2)`` or ``(B, after, H, W)``.
    """

    def __init__(self, before: int, after: int, *, halve: bool, image: bool = False) -> None:
        super().__init__()
        self.halve, self.image = halve, image
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1) if halve or before != after else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of the residual branch and the shortcut."""
        a = self.conv2(F.relu(self.conv1(x if self.image else F.relu(x))))
        if self.halve:
            a, x = F.avg_pool2d(a, 2), F.avg_pool2d(x, 2)
        # Pooling and a 1 x 1 convolution commute; pooling first is cheaper.
        return a + (x if self.shortcut is None else self.shortcut(x))


class Generator(nn.Module):
    """Latent normal vectors to images in (-1, 1).

    A linear map to a ``(width, S0, S0)`` map, an `UpBlock` for each doubling, batch norm, ReLU, a
    3 x 3 convolution and tanh (Miyato et al., 2018, appendix B: latent 128, width 256, 32 pixels).

    Args:
        latent: Length of the latent vectors.
        channels: Channels of the images.
        width: Channels of every hidden map.
        image_size: 28 (two blocks from 7 x 7) or 32 (three from 4 x 4).

    Shapes:
        Input ``(B, latent)``, output ``(B, channels, S, S)``.

    Raises:
        ValueError: `image_size` is neither 28 nor 32, or a number is below 1.
        TypeError: A number is no integer.

    Example:
        >>> Generator(16, 1, 8, 28)(torch.zeros(2, 16)).shape
        torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self, latent: int = 128, channels: int = 3, width: int = 256, image_size: int = 32
    ) -> None:
        super().__init__()
        self.latent = integer("latent", latent, low=1)
        width = integer("width", width, low=1)
        self.side, _ = _SHAPES[choice("image_size", image_size, tuple(_SHAPES))]
        self.dense = nn.Linear(latent, width * self.side**2)
        blocks = int(math.log2(image_size // self.side))
        self.blocks = nn.Sequential(*(UpBlock(width) for _ in range(blocks)))
        self.norm = nn.BatchNorm2d(width)
        self.conv = nn.Conv2d(width, integer("channels", channels, low=1), 3, padding=1)
        _initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        """Return images ``(B, channels, S, S)``."""
        # The order of the units is free: channels last is the faster one for the convolutions.
        h = self.dense(z).view(len(z), self.side, self.side, -1).permute(0, 3, 1, 2)
        return torch.tanh(self.conv(F.relu(self.norm(self.blocks(h)))))


class Discriminator(nn.Module):
    """Images to one logit of being real: residual blocks, ReLU, sum over pixels, a linear unit.

    Miyato et al. (2018), appendix B. Places to mix are ``"input"``, the outputs of ``"block1"``,
    ``"block2"``, ..., and with `stem` that of ``"stem"``, a 3 x 3 convolution before the blocks:
    the competitive row of Manifold Mixup v1, Table 6, mixes "the output of the first convolutional
    layer".

    Args:
        in_channels: Channels of the images.
        width: Channels of every hidden map.
        image_size: 28 (three blocks) or 32 (four); the first two blocks halve the height.
        stem: Whether the first convolution is a module of its own.
        spectral: Divide every weight, 1 x 1 shortcuts and the head included, by an estimate of its
            largest singular value (one power iteration per forward pass in training mode).

    Shapes:
        Input ``(B, in_channels, S, S)``, output ``(B, 1)``.

    Raises:
        ValueError: `image_size` is neither 28 nor 32, or a number is below 1.
        TypeError: An argument has the wrong type.

    Example:
        >>> net = Discriminator(1, 8, 28, stem=True)
        >>> net(torch.zeros(2, 1, 28, 28)).shape, [name for name, _ in net.named_children()]
        (torch.Size([2, 1]), ['stem', 'block1', 'block2', 'block3', 'head'])
    """

    def __init__(
        self,
        in_channels: int = 3,
        width: int = 128,
        image_size: int = 32,
        *,
        stem: bool = False,
        spectral: bool = True,
    ) -> None:
        super().__init__()
        before = integer("in_channels", in_channels, low=1)
        width = integer("width", width, low=1)
        _, halves = _SHAPES[choice("image_size", image_size, tuple(_SHAPES))]
        if boolean("stem", stem):
            self.stem = nn.Conv2d(before, width, 3, padding=1)
            before = width
        for depth, halve in enumerate(halves, 1):
            image = depth == 1 and not stem
            self.add_module(f"block{depth}", DownBlock(before, width, halve=halve, image=image))
            before = width
        self.head = nn.Linear(width, 1)
        _initialise(self)
        if boolean("spectral", spectral):
            for layer in [m for m in self.modules() if isinstance(m, nn.Conv2d | nn.Linear)]:
                spectral_norm(layer)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(B, 1)``, large for images taken for real."""
        for name, module in self.named_children():
            if name != "head":
                x = module(x)
        return self.head(F.relu(x).sum((2, 3)))


def sngan_pair(
    image_size: int = 32,
    channels: int = 3,
    *,
    latent: int = 128,
    width: int = 128,
    generator_width: int = 256,
    stem: bool = False,
    spectral: bool = True,
    seed: int = 0,
) -> tuple[Generator, Discriminator]:
    """Return freshly initialised players; the defaults are those of Miyato et al. for CIFAR-10.

    Equal arguments give equal weights, whatever was drawn before; the global random state is left
    as it was. The generator does not depend on the options of the discriminator.

    Args:
        image_size: 28 or 32.
        channels: Channels of the images.
        latent: Length of the latent vectors.
        width: Width of the discriminator.
        generator_width: Width of the generator.
        stem: See `Discriminator`.
        spectral: See `Discriminator`.
        seed: Seed of the initial weights.

    Raises:
        TypeError, ValueError: As of the two classes.

    Example:
        >>> one, two = (sngan_pair(28, 1, latent=8, width=8, generator_width=8) for _ in range(2))
        >>> torch.equal(one[0].dense.weight, two[0].dense.weight)
        True
    """
    seed = integer("seed", seed, low=0)
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        generator = Generator(latent, channels, generator_width, image_size)
        discriminator = Discriminator(channels, width, image_size, stem=stem, spectral=spectral)
    layout = {"memory_format": torch.channels_last}
    return generator.to(**layout), discriminator.to(**layout)


def _initialise(net: nn.Module) -> None:
    """Glorot's uniform law, with gain sqrt 2 for the 3 x 3 convolutions; biases 0."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            wide = isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1)
            nn.init.xavier_uniform_(module.weight, math.sqrt(2.0) if wide else 1.0)
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # all have one here


def _up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")
