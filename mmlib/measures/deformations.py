"""Deformed test images: rotation, shearing and zoom, one draw per image (v1 Table 7).

Every deformation is a linear map about the centre of the image. In pixel coordinates (row, column)
the output pixel o takes the colour of the input at ``c + M (o - c)``: M maps output to input, so
that ``M = 0.2 I`` shows the central 20 % of each side at full size.

The text and the released code differ in four ways, and both are here:

==================  =======================================  ==================================
                    ``"text"``                               ``"released"``
==================  =======================================  ==================================
shearing by s       ``x' = x + tan(s) y``                    ``M = [[1, -sin s], [0, cos s]]``
between pixels      bilinear                                 nearest pixel
outside             black                                    mean colour (0 once normalised)
centre of 32 px     15.5, the middle                         16.5, one pixel low and right
==================  =======================================  ==================================

Both readings of shearing repeat themselves beyond 90 degrees. ``tan(s + 180) = tan(s)``: no shear
lies beyond 90. ``M(s + 180) = M(s) diag(1, -1)``: the image of s, mirrored left to right. Hence
170 degrees is nearly no shear in the text's reading and nearly a plain mirror image in the code's.
Two more readings of the angle separate causes: ``"unmirrored"`` has |cos s| for cos s, else as the
code; ``"linear"`` is ``x' = x + s y`` with s in radians, which never comes back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmlib.checks import choice, integer, positive


@dataclass(frozen=True)
class Deformation:
    """One row of Table 7.

    Attributes:
        kind: ``"rotation"``, ``"shearing"``, ``"zoom_in"`` or ``"zoom_out"``.
        strength: largest angle p in degrees, drawn uniformly from (-p, p); for the zooms the side
            k of the box that is shown, in % of the side of the image.

    Raises:
        ValueError: unknown kind, or `strength` is not positive.

    Example:
        >>> Deformation("rotation", 20).name
        'rotation_20'
        >>> Deformation("zoom_in", 40).draw(3)
        tensor([40., 40., 40.], dtype=torch.float64)
    """

    kind: str
    strength: float

    def __post_init__(self) -> None:
        choice("kind", self.kind, ("rotation", "shearing", "zoom_in", "zoom_out"))
        positive("strength", self.strength)

    @property
    def name(self) -> str:
        """Kind and strength, as settings and tables name them."""
        return f"{self.kind}_{self.strength:g}"

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Return ``(n,)`` float64 amounts: angles in degrees, or the k of the zoom in %."""
        n = integer("n", n, low=1)
        if self.kind.startswith("zoom"):
            return torch.full((n,), float(self.strength), dtype=torch.float64)
        return self.strength * (2 * torch.rand(n, generator=generator, dtype=torch.float64) - 1)


DEFORMATIONS: tuple[Deformation, ...] = tuple(
    Deformation(kind, strength)
    for kind, strengths in (
        ("rotation", (20, 40, 60, 80)),
        ("shearing", (28.6, 57.3, 114.6, 143.2, 171.9)),
        ("zoom_in", (20, 40, 60, 80)),
        ("zoom_out", (120, 140, 160, 180)),
    )
    for strength in strengths
)


class _Variant(NamedTuple):
    shear: Callable[[Tensor], tuple[Tensor | float, ...]]  # radians -> the four entries of M
    nearest: bool
    off_centre: float  # pixels


VARIANTS: dict[str, _Variant] = {
    "text": _Variant(lambda s: (1.0, 0.0, -s.tan(), 1.0), False, 0.0),
    "released": _Variant(lambda s: (1.0, -s.sin(), 0.0, s.cos()), True, 1.0),
    "unmirrored": _Variant(lambda s: (1.0, -s.sin(), 0.0, s.cos().abs()), True, 1.0),
    "linear": _Variant(lambda s: (1.0, 0.0, -s, 1.0), False, 0.0),
}


def deformation_matrices(kind: str, amounts: Tensor, variant: str = "text") -> Tensor:
    """Return ``(n, 2, 2)`` float64 matrices M from output to input (row, column).

    Args:
        kind: that of a `Deformation`.
        amounts: ``(n,)`` angles in degrees, or sides of the box in %.
        variant: a key of `VARIANTS`; matters for shearing alone.

    Example:
        >>> deformation_matrices("zoom_in", torch.tensor([50.0])).tolist()
        [[[0.5, 0.0], [0.0, 0.5]]]
    """
    choice("variant", variant, tuple(VARIANTS))
    amounts = amounts.double()
    if kind in ("zoom_in", "zoom_out"):
        entries = (amounts / 100, 0.0, 0.0, amounts / 100)  # type: tuple[Tensor | float, ...]
    elif kind == "rotation":
        angle = amounts * (math.pi / 180)
        entries = (angle.cos(), -angle.sin(), angle.sin(), angle.cos())
    else:
        choice("kind", kind, ("shearing", "rotation", "zoom_in", "zoom_out"))
        entries = VARIANTS[variant].shear(amounts * (math.pi / 180))
    columns = [torch.as_tensor(e, dtype=torch.float64).expand(len(amounts)) for e in entries]
    return torch.stack([c.to(amounts.device) for c in columns], 1).view(-1, 2, 2)


def deform(
    x: Tensor,
    kind: str,
    amounts: Tensor,
    variant: str = "text",
    *,
    fill: Sequence[float] | None = None,
    batch_size: int = 100,
) -> Tensor:
    """Return deformed images, float32 in [0, 1]; they are not yet normalised.

    Args:
        x: ``(n, C, H, W)`` images: bytes, or floats in [0, 1].
        kind: that of a `Deformation`.
        amounts: ``(n,)`` angles in degrees, or sides of the box in %, one per image.
        variant: ``"text"``, ``"released"``, ``"unmirrored"`` or ``"linear"``.
        fill: colour outside the image, one number in [0, 1] per channel. None is black, which
            the code's variants refuse: theirs is the mean colour of the data set.
        batch_size: images at a time; has no influence.

    Raises:
        ValueError: shapes do not fit, the variant is unknown, or `fill` is missing.

    Example:
        >>> image = torch.eye(4).view(1, 1, 4, 4)
        >>> deform(image, "shearing", torch.tensor([180.0]), "released", fill=[0.0])[0, 0]
        tensor([[0., 0., 0., 0.],
                [0., 0., 0., 0.],
                [0., 0., 0., 1.],
                [0., 0., 1., 0.]])
    """
    rule = VARIANTS[choice("variant", variant, tuple(VARIANTS))]
    if x.ndim != 4 or amounts.shape != x.shape[:1]:
        raise ValueError(
            "x, amounts: expected (n, C, H, W) images and (n,) amounts, "
            f"but got shapes {tuple(x.shape)} and {tuple(amounts.shape)}"
        )
    if fill is None and rule.nearest:
        raise ValueError(f"fill: expected the mean colour for {variant!r}, but got none")
    colour = torch.zeros(x.shape[1]) if fill is None else torch.tensor(fill, dtype=torch.float32)
    if colour.shape != x.shape[1:2]:
        raise ValueError(f"fill: expected {x.shape[1]} numbers, but got {fill!r}")
    colour = colour.to(x.device).view(-1, 1, 1)
    matrices = deformation_matrices(kind, amounts, variant).to(x.device)
    sample = _nearest if rule.nearest else _bilinear
    parts = []
    for start in range(0, len(x), batch_size):
        rows = slice(start, start + batch_size)
        pixels = x[rows].float() / 255 if x.dtype == torch.uint8 else x[rows].float()
        places = _places(matrices[rows], x.shape[2], x.shape[3], rule.off_centre)
        parts.append(sample(pixels, places, colour))
    return torch.cat(parts)


def _places(matrices: Tensor, height: int, width: int, off_centre: float) -> Tensor:
    """Return ``(n, H, W, 2)`` input coordinates (row, column) of every output pixel."""
    device = matrices.device
    rows, columns = (
        torch.arange(side, dtype=torch.float64, device=device) for side in (height, width)
    )
    centre = [(side - 1) / 2 + off_centre for side in (height, width)]
    # In the order in which the released code adds: its zooms fall on halves between two pixels.
    places = []
    for i in range(2):
        m = matrices[:, i, :, None, None]
        shift = centre[i] - (m[:, 0] * centre[0] + m[:, 1] * centre[1])
        places.append(shift + m[:, 0] * rows[:, None] + m[:, 1] * columns)
    return torch.stack(places, -1)


def _nearest(pixels: Tensor, places: Tensor, colour: Tensor) -> Tensor:
    """Nearest pixel, halves upwards; outside the outermost pixel centres is `colour`."""
    n, channels, height, width = pixels.shape
    last = torch.tensor([height - 1.0, width - 1.0], dtype=torch.float64, device=places.device)
    inside = ((places >= 0) & (places <= last)).all(-1).view(n, 1, height, width)
    row, column = (places + 0.5).floor().clamp(torch.zeros_like(last), last).long().unbind(-1)
    index = (row * width + column).view(n, 1, -1).expand(-1, channels, -1)
    return torch.where(inside, pixels.flatten(2).gather(2, index).view_as(pixels), colour)


def _bilinear(pixels: Tensor, places: Tensor, colour: Tensor) -> Tensor:
    """Bilinear between pixel centres, as if the image lay in an endless area of `colour`."""
    last = torch.tensor([pixels.shape[2] - 1.0, pixels.shape[3] - 1.0], device=places.device)
    # A tangent near 90 degrees is huge: beyond a few image sides all places are equally outside.
    grid = (2 * places / last.clamp(min=1) - 1).clamp(-8.0, 8.0).flip(-1).float()
    return F.grid_sample(pixels - colour, grid, align_corners=True) + colour


def mirror_probability(strength: float) -> float:
    """Return how often the released shearing mirrors an image.

    It does where the angle, uniform in (-p, p), is more than 90 degrees either way, which has the
    probability ``max(0, 1 - 90 / p)`` for p up to 270 degrees.

    Args:
        strength: p in degrees, at most 270.

    Example:
        >>> [round(mirror_probability(p), 3) for p in (28.6, 57.3, 114.6, 143.2, 171.9)]
        [0.0, 0.0, 0.215, 0.372, 0.476]
    """
    if positive("strength", strength) > 270:
        raise ValueError(f"strength: expected at most 270 degrees, but got {strength!r}")
    return max(0.0, 1 - 90 / strength)
