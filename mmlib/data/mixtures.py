"""Mixtures of equal round Gaussians whose density is known, so that a generator can be scored."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mmlib.checks import integer, positive


@dataclass(frozen=True)
class GaussianMixture:
    """Equal mixture ``p(x) = (1 / K) sum_k N(x; c_k, sigma^2 I)``, without a data file.

    Attributes:
        centres: The K centres c_k, each a tuple of D numbers.
        sigma: Standard deviation of every coordinate within a mode.

    Raises:
        ValueError: No centre, or centres of different lengths.
        TypeError, ValueError: `sigma` is not a positive number.

    Example:
        >>> two = GaussianMixture(((0.0, 0.0), (1.0, 0.0)), 0.1)
        >>> two.sample(5, torch.Generator().manual_seed(0)).shape
        torch.Size([5, 2])
    """

    centres: tuple[tuple[float, ...], ...]
    sigma: float

    def __post_init__(self) -> None:
        if not self.centres or len({len(one) for one in self.centres}) != 1:
            raise ValueError(f"centres: expected points of one length, but got {self.centres!r}")
        positive("sigma", self.sigma)

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return len(self.centres[0])

    def means(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the centres, (K, D)."""
        return torch.tensor(self.centres, dtype=dtype)

    def sample(
        self, n: int, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Return n independent points, (n, D), drawn on the CPU in double precision."""
        which = torch.randint(len(self.centres), (n,), generator=generator)
        noise = torch.randn(n, self.dim, generator=generator, dtype=torch.float64)
        return (self.means(torch.float64)[which] + self.sigma * noise).to(dtype)

    def log_density(self, x: Tensor) -> Tensor:
        """Return log p at points (..., D) -> (...), in nats.

        Example:
            >>> one = GaussianMixture(((0.0,),), 1.0)
            >>> round(one.log_density(torch.zeros(1)).item(), 4)
            -0.9189
        """
        away = (x.unsqueeze(-2) - self.means(x.dtype).to(x.device)).square().sum(-1)
        norm = self.dim * math.log(self.sigma * math.sqrt(2 * math.pi)) + math.log(
            len(self.centres)
        )
        return torch.logsumexp(-away / (2 * self.sigma**2), -1) - norm

    def nearest(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return distance to the nearest centre and its index, (..., D) -> (...), (...)."""
        means = self.means(x.dtype).to(x.device)
        away = (x.unsqueeze(-2) - means).square().sum(-1).sqrt()
        found = away.min(-1)
        return found.values, found.indices


def ring(modes: int = 8, radius: float = 2.0, sigma: float = 0.1) -> GaussianMixture:
    """Return `modes` Gaussians at equal angles on a circle.

    Raises:
        TypeError, ValueError: `modes` is below 1, `radius` or `sigma` not a positive number.

    Example:
        >>> len(ring().centres), ring(4).centres[0]
        (8, (2.0, 0.0))
    """
    integer("modes", modes, low=1)
    positive("radius", radius)
    turns = [2 * math.pi * k / modes for k in range(modes)]
    return GaussianMixture(
        tuple((radius * math.cos(t), radius * math.sin(t)) for t in turns), float(sigma)
    )


def grid(side: int = 5, spacing: float = 1.0, sigma: float = 0.1) -> GaussianMixture:
    """Return ``side * side`` Gaussians on a square lattice around the origin.

    Raises:
        TypeError, ValueError: `side` is below 1, `spacing` or `sigma` not a positive number.

    Example:
        >>> len(grid().centres), grid(2, 2.0).centres[0]
        (25, (-1.0, -1.0))
    """
    integer("side", side, low=1)
    positive("spacing", spacing)
    ticks = [spacing * (k - (side - 1) / 2) for k in range(side)]
    return GaussianMixture(tuple((a, b) for a in ticks for b in ticks), float(sigma))


def line() -> GaussianMixture:
    """Return the standard normal law on the line, for games that can be solved by hand.

    Example:
        >>> line().dim, line().sigma
        (1, 1.0)
    """
    return GaussianMixture(((0.0,),), 1.0)
