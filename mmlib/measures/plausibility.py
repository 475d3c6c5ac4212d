"""How near images are to real ones, in the features of a network that has no part in them."""

from __future__ import annotations

import torch
from torch import Tensor

from mmlib.checks import integer, number


def nearest_distance(
    points: Tensor, reference: Tensor, *, neighbour: int = 1, batch_size: int = 1000
) -> tuple[Tensor, Tensor]:
    """Return distance ``(N,)`` and position ``(N,)`` of the nearest reference point.

    Args:
        points: ``(N, F)``.
        reference: ``(R, F)``; must not hold the points themselves unless `neighbour` skips them.
        neighbour: 1 for the nearest, 2 for the one after it and so on.
        batch_size: Points at a time.

    Raises:
        ValueError: The numbers of features differ, or there are too few reference points.

    Example:
        >>> away, which = nearest_distance(torch.tensor([[0.0, 0.0]]), torch.eye(2) * 3)
        >>> away.item()
        3.0
    """
    k, size = integer("neighbour", neighbour, low=1), integer("batch_size", batch_size, low=1)
    if points.ndim != 2 or reference.ndim != 2 or points.shape[1] != reference.shape[1]:
        raise ValueError(
            f"points, reference: expected (N, F) and (R, F), but got {tuple(points.shape)} "
            f"and {tuple(reference.shape)}"
        )
    if len(reference) < k:
        raise ValueError(f"reference: expected at least {k} points, but got {len(reference)}")
    found = [
        torch.cdist(part, reference).topk(k, dim=1, largest=False) for part in points.split(size)
    ]
    return (
        torch.cat([one.values[:, -1] for one in found]),
        torch.cat([one.indices[:, -1] for one in found]),
    )


def plausible(distances: Tensor, yardstick: Tensor, *, level: float = 0.95) -> Tensor:
    """Return which distances are typical of the yardstick: at most its `level` quantile, bool.

    With the yardstick of real test images, a share `level` of other real images is plausible.

    Args:
        distances: Any shape.
        yardstick: ``(M,)`` distances of what is plausible by definition.
        level: Share of the yardstick that counts as plausible.

    Raises:
        ValueError: The yardstick is empty or `level` is outside (0, 1).

    Example:
        >>> plausible(torch.tensor([1.0, 99.0]), torch.arange(100.0)).tolist()
        [True, False]
    """
    level = number("level", level, low=0, high=1, low_open=True, high_open=True)
    if yardstick.numel() == 0:
        raise ValueError("yardstick: expected at least one distance, but got none")
    return distances <= torch.quantile(yardstick.flatten(), level)


def overlay_gap(images: Tensor, first: Tensor, second: Tensor, lams: Tensor) -> Tensor:
    """Return the root mean square of images less the overlay of their ends, ``(L, P)``.

    ``|d - (lam x + (1 - lam) x')|`` over pixels: 0 for an interpolation in pixels (v1, Figure 3).

    Args:
        images: ``(L, P, ...)`` along the paths.
        first: ``(P, ...)`` images at ``lam = 1``.
        second: ``(P, ...)`` images at ``lam = 0``.
        lams: ``(L,)``.

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> a, b, lams = torch.zeros(1, 4), torch.ones(1, 4), torch.tensor([0.0, 0.5])
        >>> overlay_gap(torch.stack([b, b]), a, b, lams).tolist()
        [[0.0], [0.5]]
    """
    if images.shape[:1] != lams.shape or not images.shape[1:] == first.shape == second.shape:
        raise ValueError(
            f"images: expected (L, P, ...) with ends (P, ...), but got {tuple(images.shape)}, "
            f"{tuple(first.shape)}, {tuple(second.shape)} and {tuple(lams.shape)} weights"
        )
    weights = lams.view(-1, *[1] * first.ndim)
    gap = images - (weights * first + (1 - weights) * second)
    return gap.flatten(2).square().mean(2).sqrt()
