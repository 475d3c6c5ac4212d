"""Independent noise against real variation: subspaces, and a local average that removes noise."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmlib.checks import integer, number, positive


def share_outside(vectors: Tensor, basis: Tensor) -> Tensor:
    """Return the share of energy of vectors outside a subspace, ``(N,)``.

    ``1 - |B v|^2 / |v|^2`` for orthonormal rows B. For isotropic noise in R^D and d rows the law is
    Beta((D - d)/2, d/2) with mean ``1 - d / D``.

    Args:
        vectors: ``(N, D)``, none of them 0.
        basis: ``(d, D)`` orthonormal rows.

    Raises:
        ValueError: The shapes do not fit, or the rows are not orthonormal.

    Example:
        >>> share_outside(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]])).round(decimals=6)
        tensor([0.6400], dtype=torch.float64)
    """
    if basis.ndim != 2 or vectors.ndim != 2 or basis.shape[1] != vectors.shape[1]:
        raise ValueError(
            f"basis: expected (d, D) for vectors (N, D), but got {tuple(basis.shape)} and "
            f"{tuple(vectors.shape)}"
        )
    basis, vectors = basis.double(), vectors.double()
    gram = basis @ basis.T - torch.eye(len(basis), dtype=basis.dtype, device=basis.device)
    if len(basis) and gram.abs().max() > 1e-4:
        raise ValueError("basis: expected orthonormal rows")
    inside = (vectors @ basis.T).square().sum(1)
    return 1 - inside / vectors.square().sum(1)


class LocalAverage(NamedTuple):
    """A linear filter that predicts a pixel from a window around it.

    Attributes:
        weights: ``(C, C r^2)`` of the window's pixels.
        bias: ``(C,)``.
        reach: the window has ``2 reach + 1`` pixels a side.
    """

    weights: Tensor
    bias: Tensor
    reach: int

    def __call__(self, images: Tensor) -> Tensor:
        """Return filtered images, ``(N, C, H, W)``."""
        flat = _windows(images, self.reach) @ self.weights.T + self.bias
        n, channels, height, across = images.shape
        return flat.view(n, height, across, channels).permute(0, 3, 1, 2)


def fit_local_average(
    images: Tensor, sigma: float, reach: int = 2, *, generator: torch.Generator | None = None
) -> LocalAverage:
    """Fit the linear filter that best removes independent noise by least squares.

    Minimises ``|x - A(x + sigma e)|^2`` over filters A with one window for all pixels.

    Args:
        images: ``(N, C, H, W)`` floats.
        sigma: Standard deviation of the noise, in the units of the pixels.
        reach: Half width of the window in pixels; 0 looks at the pixel alone.
        generator: CPU generator of the noise.

    Raises:
        TypeError, ValueError: A number does not fit.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> x = torch.rand(50, 1, 1, 1, generator=rng).expand(-1, 1, 8, 8)  # one grey per image
        >>> noisy = x + 0.2 * torch.randn(x.shape, generator=rng)
        >>> clean = fit_local_average(x, 0.2, generator=rng)(noisy)
        >>> bool((clean - x).square().mean() < (noisy - x).square().mean() / 5)
        True
    """
    sigma, reach = positive("sigma", sigma), integer("reach", reach, low=0)
    noisy = images + sigma * torch.randn(images.shape, generator=generator).to(images.device)
    windows = _windows(noisy, reach).double()
    wanted = images.permute(0, 2, 3, 1).reshape(-1, images.shape[1]).double()
    ones = torch.ones(len(windows), 1, dtype=windows.dtype, device=windows.device)
    design = torch.cat([windows, ones], dim=1)
    normal = design.T @ design
    normal += 1e-9 * normal.diagonal().mean() * torch.eye(len(normal), dtype=normal.dtype)
    solution = torch.linalg.solve(normal, design.T @ wanted).float()
    return LocalAverage(solution[:-1].T.contiguous(), solution[-1], reach)


def _windows(images: Tensor, reach: int) -> Tensor:
    """Return the window around each pixel, (N H W, C (2 reach + 1)^2); edges are repeated."""
    padded = F.pad(images, (reach,) * 4, mode="replicate") if reach else images
    windows = F.unfold(padded, 2 * reach + 1)
    return windows.transpose(1, 2).reshape(-1, windows.shape[1])


def left_of_noise(
    images: Tensor, sigma: float, filtered: LocalAverage, *, generator: torch.Generator
) -> float:
    """Return the mean squared error after filtering over the energy of the noise.

    ``|x - A(x + sigma e)|^2 / (pixels sigma^2)``: 1 if the filter does nothing, and what it takes
    away from the image itself counts as an error too.

    Example:
        >>> keep = LocalAverage(torch.ones(1, 1), torch.zeros(1), 0)
        >>> rng = torch.Generator().manual_seed(0)
        >>> round(left_of_noise(torch.zeros(100, 1, 9, 9), 0.1, keep, generator=rng), 1)
        1.0
    """
    sigma = number("sigma", sigma, low=0, low_open=True)
    noisy = images + sigma * torch.randn(images.shape, generator=generator).to(images.device)
    return float((filtered(noisy) - images).square().mean() / sigma**2)
