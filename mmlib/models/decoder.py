"""A decoder from the hidden states of a classifier back to pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmlib.checks import integer


class Decoder(nn.Module):
    """A small convolutional net with upsampling that predicts an image from a hidden state.

    Manifold Mixup v1, section 5: "a small decoder convnet (with upsampling layers) to predict an
    image from the classifier's hidden representation". States are standardised unit by unit or
    channel by channel; a flat state goes through one linear map to a quarter of the image's size.
    Then come a 3 x 3 convolution and, for each doubling up to the image's size, nearest-neighbour
    upsampling and another one, each with batch norm and ReLU; a last convolution and a sigmoid
    give pixels in [0, 1].

    Args:
        state: Shape of one state, ``(U,)`` or ``(C, h, w)``.
        image: Shape of one image, ``(channels, H, W)``.
        width: Channels of the convolutions at the size of the state; never halved below 8.

    Shapes:
        Input ``(B, *state)``; output ``(B, *image)``.

    Raises:
        TypeError, ValueError: A shape does not fit; the message names it.

    Example:
        >>> Decoder((12, 7, 7), (1, 28, 28))(torch.zeros(2, 12, 7, 7)).shape
        torch.Size([2, 1, 28, 28])
        >>> Decoder((30,), (3, 32, 32))(torch.zeros(2, 30)).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(self, state: Sequence[int], image: Sequence[int], width: int = 32) -> None:
        super().__init__()
        self.state, self.image = _shape("state", state, (1, 3)), _shape("image", image, (3,))
        width = integer("width", width, low=1)
        _, height, across = self.image
        if len(self.state) == 1:
            start = (width, max(1, -(-height // 4)), max(1, -(-across // 4)))
            units = start[0] * start[1] * start[2]
            self.norm: nn.Module = nn.BatchNorm1d(self.state[0], affine=False)
            self.start: nn.Module = nn.Sequential(
                nn.Linear(self.state[0], units), nn.Unflatten(1, start)
            )
        else:
            start = self.state  # type: ignore[assignment]  # three numbers
            self.norm, self.start = nn.BatchNorm2d(start[0], affine=False), nn.Identity()
        if start[1] > height or start[2] > across:
            raise ValueError(
                f"state: expected a map of at most {height} x {across}, but got {self.state}"
            )
        blocks, channels, size = [_block(start[0], width)], width, start[1]
        while size < height:
            size, out = min(2 * size, height), max(8, channels // 2)
            blocks.append(_block(channels, out))
            channels = out
        self.blocks = nn.ModuleList(blocks)
        self.last = nn.Conv2d(channels, self.image[0], 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """Return the images ``(B, channels, H, W)`` of states, pixels in [0, 1].

        Raises:
            ValueError: The states have another shape than the decoder was made for.
        """
        if tuple(h.shape[1:]) != self.state:
            raise ValueError(f"h: expected (B, *{self.state}), but got {tuple(h.shape)}")
        first, *others = self.blocks
        z = first(self.start(self.norm(h)))
        _, height, across = self.image
        for block in others:
            size = (min(2 * z.shape[2], height), min(2 * z.shape[3], across))
            z = block(F.interpolate(z, size=size, mode="nearest"))
        return torch.sigmoid(self.last(F.interpolate(z, size=(height, across), mode="nearest")))


def build_decoder(
    state: Sequence[int], image: Sequence[int], width: int = 32, *, seed: int = 0
) -> Decoder:
    """Return a `Decoder` whose initial weights depend on the arguments alone.

    Example:
        >>> one, two = (build_decoder((4,), (1, 8, 8), 8, seed=3) for _ in range(2))
        >>> torch.equal(one.last.weight, two.last.weight)
        True
    """
    seed = integer("seed", seed, low=0)
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        decoder = Decoder(state, image, width)
    return decoder.to(memory_format=torch.channels_last)


def _shape(name: str, value: Sequence[int], lengths: tuple[int, ...]) -> tuple[int, ...]:
    found = tuple(integer(f"{name}[{i}]", v, low=1) for i, v in enumerate(value))
    if len(found) not in lengths:
        expected = " or ".join(f"{length} numbers" for length in lengths)
        raise ValueError(f"{name}: expected {expected}, but got {found}")
    return found


def _block(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )
