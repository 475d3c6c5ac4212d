"""Images rendered deterministically from known factors: glyph, angle, scale, position, thickness.

A glyph is a signed distance function on the square [-1, 1]^2 (y up): negative inside the ink. An
image is that function evaluated at the pixel centres after the inverse of the factors' motion,
and turned into grey values over a ramp one pixel wide, which is what antialiases it. Two stroke
glyphs blend through their corners and two font digits through their distances, so that every mix
of factors is itself a rendered image: the "ground-truth factor space" of Manifold Mixup v1,
appendix E.

Everything is batched, differentiable in the factors and runs on any device.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mmlib import checks

# The centre line of each stroke glyph, one chain of corners in [-1, 1]^2. "bar" and "seven" stand
# for the drawn bars of the released script's digits 1 and 7; the bar's doubled corner lets the
# seven grow out of it, and the seven's two bars meet at a right angle.
STROKES: dict[str, list[tuple[float, float]]] = {
    "bar": [(0.0, 0.6), (0.0, 0.6), (0.0, -0.6)],
    "seven": [(-0.3, 0.6), (0.3, 0.6), (0.3, -0.6)],
    "slanted_seven": [(-0.4, 0.6), (0.4, 0.6), (-0.15, -0.6)],
    "arrow": [(-0.35, 0.15), (0.0, 0.6), (0.35, 0.15), (0.0, 0.6), (0.0, -0.6)],
    "square": [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5)],
}
FONT_DIGITS = tuple(f"font_{digit}" for digit in range(10))
GLYPHS = (*STROKES, *FONT_DIGITS)

_FONT_CELLS = 128  # resolution of a font digit's distance table; one cell is 1/64 of the half-width


def _chain_distance(x: Tensor, y: Tensor, corners: Tensor) -> Tensor:
    """Distance to a chain of segments; corners (P, 2) or one chain an image, (B, 1, 1, P, 2)."""
    best = None
    for index in range(corners.shape[-2] - 1):
        (x0, y0), (x1, y1) = (
            corners[..., index, :].unbind(-1),
            corners[..., index + 1, :].unbind(-1),
        )
        dx, dy = x1 - x0, y1 - y0
        length = (dx * dx + dy * dy).clamp_min(1e-12)  # a doubled corner is a segment of length 0
        along = (((x - x0) * dx + (y - y0) * dy) / length).clamp(0, 1)
        squared = (x - x0 - along * dx).square() + (y - y0 - along * dy).square()
        best = squared if best is None else torch.minimum(best, squared)
    return best.clamp_min(1e-12).sqrt()  # type: ignore[union-attr]  # there are two corners or more


def _table_distance(x: Tensor, y: Tensor, table: Tensor) -> Tensor:
    grid = torch.stack((x, -y), -1).reshape(1, 1, -1, 2)
    found = F.grid_sample(table.to(x)[None, None], grid, align_corners=False, padding_mode="border")
    return found.reshape(x.shape)


def signed_distance(
    glyph: str,
    x: Tensor,
    y: Tensor,
    *,
    thickness: float | Tensor = 0.22,
    other: str | None = None,
    blend: float | Tensor = 0.0,
) -> Tensor:
    """Signed distance from points to the ink of a glyph, in half-widths of the image.

    Args:
        glyph: one of `GLYPHS`.
        x: coordinates to the right, in [-1, 1], any shape.
        y: coordinates upwards, same shape.
        thickness: width of a stroke in the same unit; for a font digit the ink is grown or
            thinned by half its difference to 0.22. Broadcasts with `x`.
        other: a second glyph to blend with. Stroke glyphs with the same number of corners blend
            by moving their corners, all others by averaging their distances.
        blend: share of `other`, from 0 to 1. Broadcasts with `x`.

    Returns:
        Distances of the shape of `x`, negative inside the ink.

    Raises:
        ValueError: unknown glyph (the nearest names are given).

    Example:
        >>> signed_distance("bar", torch.tensor([0.0, 0.5]), torch.zeros(2), thickness=0.2)
        tensor([-0.1000,  0.4000])
    """
    for name in filter(None, (glyph, other)):
        checks.choice("glyph", name, GLYPHS)
    chains = [torch.tensor(STROKES[name]).to(x) for name in (glyph, other) if name in STROKES]
    if other is not None and len(chains) == 2 and chains[0].shape == chains[1].shape:
        share = torch.as_tensor(blend).to(x)[..., None, None]
        return _chain_distance(x, y, torch.lerp(*chains, share)) - 0.5 * thickness  # type: ignore[call-overload]
    if other is not None:
        first = signed_distance(glyph, x, y, thickness=thickness)
        return torch.lerp(first, signed_distance(other, x, y, thickness=thickness), blend)
    if glyph in STROKES:
        return _chain_distance(x, y, chains[0]) - 0.5 * thickness
    return _table_distance(x, y, _font_distance(glyph)) - 0.5 * (thickness - 0.22)


@cache
def _font_distance(glyph: str) -> Tensor:
    """Distance table of a DejaVu Sans digit, scaled to the height of the stroke glyphs."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath
    from scipy.ndimage import distance_transform_edt

    outline = TextPath((0, 0), glyph[-1], size=1, prop=FontProperties(family="DejaVu Sans"))
    lower, upper = outline.get_extents().get_points()
    scale = 1.3 / (upper[1] - lower[1])
    fine = 4 * _FONT_CELLS  # sample the outline four times finer than the table
    axis = (np.arange(fine) + 0.5) / fine * 2 - 1
    x, y = np.meshgrid(axis, -axis)  # row 0 is the top of the image
    where = np.stack((x, y), -1).reshape(-1, 2) / scale + (lower + upper) / 2
    # Even-odd filling over the closed outlines handles the holes of 0, 4, 6, 8 and 9.
    inside = np.zeros(len(where), dtype=bool)
    for polygon in outline.to_polygons():
        inside ^= _inside(where, np.asarray(polygon))
    ink = inside.reshape(fine, fine)
    distance = distance_transform_edt(~ink) - distance_transform_edt(ink)
    coarse = distance.reshape(_FONT_CELLS, 4, _FONT_CELLS, 4).mean((1, 3)) * (2 / fine)
    return torch.from_numpy(coarse).float()


def _inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    from matplotlib.path import Path

    return Path(polygon).contains_points(points)


def render(
    glyph: str,
    angle: Tensor,
    *,
    other: str | None = None,
    blend: Tensor | float = 0.0,
    scale: Tensor | float = 1.0,
    position: Tensor | tuple[float, float] = (0.0, 0.0),
    thickness: Tensor | float = 0.22,
    sheet: float = 0.0,
    size: int = 64,
) -> Tensor:
    """Render a batch of images from their factors.

    ``image(p) = clamp(1/2 - d(R(-angle) (p - position) / scale) * scale / pixel, 0, 1)`` with the
    signed distance ``d`` of the glyph, or of its blend with `other`, and ``pixel = 2 / size``.

    Args:
        glyph: one of `GLYPHS`.
        angle: (B,) rotation in degrees, counter-clockwise.
        other: a second glyph to blend with.
        blend: share of `other`, 0 to 1; number or (B,).
        scale: factor on the glyph's size; number or (B,).
        position: offset of the centre in half-widths, (2,) or (B, 2), y up.
        thickness: stroke width in half-widths before scaling; number or (B,).
        sheet: brightness s of a square sheet, as large as the image, on which the glyph lies and
            with which it turns; outside the sheet is black and the ink has brightness 1 - s. 0 is
            white ink on black without a visible edge, 1 is black ink on a white sheet of paper.
        size: side of the image in pixels.

    Returns:
        (B, 1, size, size) float grey values in [0, 1], on the device of `angle`.

    Raises:
        ValueError: unknown glyph, `angle` not one-dimensional, `sheet` outside [0, 1], `size` < 8.

    Source: Manifold Mixup v1, appendix E and Figures 2, 7 (ICML appendix A and Figure 4).

    Example:
        >>> image = render("bar", torch.tensor([0.0, 90.0]), size=16)
        >>> tuple(image.shape), bool(torch.allclose(image[0, 0].T, image[1, 0], atol=1e-5))
        ((2, 1, 16, 16), True)
    """
    checks.integer("size", size, low=8)
    checks.number("sheet", sheet, low=0, high=1)
    if not isinstance(angle, Tensor) or angle.ndim != 1 or not angle.is_floating_point():
        raise ValueError(f"angle: expected a float tensor of shape (B,), but got {angle!r}")

    def column(value: Tensor | float) -> Tensor:
        return torch.as_tensor(value, dtype=angle.dtype, device=angle.device).reshape(-1, 1, 1)

    radians = torch.deg2rad(angle).reshape(-1, 1, 1)
    axis = (torch.arange(size, dtype=angle.dtype, device=angle.device) + 0.5) * (2 / size) - 1
    y, x = torch.meshgrid(-axis, axis, indexing="ij")  # row 0 is the top
    centre = torch.as_tensor(position, dtype=angle.dtype, device=angle.device).reshape(-1, 2, 1, 1)
    x, y = x - centre[:, 0], y - centre[:, 1]  # (B or 1, H, W)
    cos, sin, zoom = torch.cos(radians), torch.sin(radians), column(scale)
    x, y = (cos * x + sin * y) / zoom, (cos * y - sin * x) / zoom

    def coverage(distance: Tensor) -> Tensor:
        return (0.5 - distance * zoom * (size / 2)).clamp(0, 1)

    ink = coverage(
        signed_distance(glyph, x, y, thickness=column(thickness), other=other, blend=column(blend))
    )
    if not sheet:
        return ink[:, None]
    paper = coverage(torch.maximum(x.abs(), y.abs()) - 1)
    return (sheet * paper * (1 - ink) + (1 - sheet) * ink)[:, None]


def rotate(images: Tensor, angle: Tensor, *, size: int | None = None) -> Tensor:
    """Rotate images counter-clockwise about their centre, black outside, bilinear.

    Args:
        images: (B, C, H, W) float images.
        angle: (B,) degrees.
        size: side of the result; the images are enlarged to it.

    Returns:
        (B, C, size, size) images.

    Example:
        >>> dot = torch.zeros(1, 1, 3, 3); dot[0, 0, 1, 2] = 1.0
        >>> rotate(dot, torch.tensor([90.0]))[0, 0].round().int().tolist()
        [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    """
    radians = torch.deg2rad(angle)
    cos, sin, zero = torch.cos(radians), torch.sin(radians), torch.zeros_like(radians)
    # grid_sample's y axis points down, so the inverse of a counter-clockwise turn has +sin below.
    inverse = torch.stack(
        (torch.stack((cos, -sin, zero), -1), torch.stack((sin, cos, zero), -1)), 1
    )
    side = images.shape[-1] if size is None else checks.integer("size", size, low=1)
    grid = F.affine_grid(inverse, [len(images), images.shape[1], side, side], align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)
