r"""The topology of neighbourhoods in the plane, on a grid: k-Mixup, Definition 1.

``B_e(S)`` is the set of points nearer than e to S. In the plane its homotopy type is told by its
number of pieces and its number of holes (bounded pieces of the complement).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage
from scipy.spatial import cKDTree

from mmlib import checks


class Topology(NamedTuple):
    """Pieces and holes of a set of the plane.

    Attributes:
        pieces: number of connected pieces.
        holes: number of bounded pieces of the complement.
    """

    pieces: int
    holes: int


def topology(mask: ArrayLike) -> Topology:
    """Return pieces and holes of a set given on a grid; cells of it hang together at corners, too.

    Args:
        mask: (H, W) booleans; everything beyond the grid is outside the set.

    Raises:
        ValueError: not two-dimensional, or empty.

    Example:
        >>> topology([[1, 1, 1], [1, 0, 1], [1, 1, 1]])
        Topology(pieces=1, holes=1)
    """
    mask = np.asarray(mask, dtype=bool)
    if mask.ndim != 2 or not mask.any():
        raise ValueError(f"mask: expected a set of the plane that is not empty, got {mask.shape}")
    pieces = ndimage.label(mask, structure=np.ones((3, 3)))[1]
    outside = ndimage.label(np.pad(~mask, 1, constant_values=True))[1]
    return Topology(pieces, outside - 1)


def topology_changes(
    curve: ArrayLike, radii: Sequence[float], spacing: float
) -> list[tuple[float, Topology]]:
    """Return the topology of the neighbourhood of a set of points for each radius.

    Args:
        curve: (n, 2) points of S, at most `spacing` apart along it.
        radii: the radii, each above `spacing`, below which the grid sees nothing.
        spacing: of the grid.

    Raises:
        ValueError: shapes do not fit, or a radius is too small for the grid.

    Example:
        >>> turn = np.linspace(0, 2 * np.pi, 100)
        >>> circle = np.stack([np.cos(turn), np.sin(turn)], 1)
        >>> [(radius, *found) for radius, found in topology_changes(circle, [0.2, 1.2], 0.1)]
        [(0.2, 1, 1), (1.2, 1, 0)]
    """
    curve = np.asarray(curve, dtype=float)
    if curve.ndim != 2 or curve.shape[1] != 2 or not len(curve):
        raise ValueError(f"curve: expected (n, 2) points, but got {curve.shape}")
    checks.positive("spacing", spacing)
    for radius in radii:
        checks.number("radius", radius, low=2 * spacing)
    low, high = curve.min(0) - max(radii) - 2 * spacing, curve.max(0) + max(radii) + 2 * spacing
    x, y = (np.arange(a, b, spacing) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    away = cKDTree(curve).query(grid.reshape(-1, 2))[0].reshape(grid.shape[:2])
    return [(radius, topology(away < radius)) for radius in radii]


def injectivity_radius(curve: ArrayLike, radii: Sequence[float], spacing: float) -> float:
    """Return the first of the radii at which the topology differs from that at the smallest one.

    Returns:
        Infinity if it never does.

    Example:
        >>> angle = np.linspace(0, 2 * np.pi, 400)
        >>> circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        >>> injectivity_radius(circle, [0.2, 0.6, 0.9, 1.1], 0.05)
        1.1
    """
    found = topology_changes(curve, sorted(radii), spacing)
    return next((radius for radius, now in found if now != found[0][1]), float("inf"))
