"""The toy sets of chapter 13: their points, and the label that each place of the plane should have.

The *support* of a set is the set without its noise; the true label of a place is the class of the
nearest point of the support. Both come from a dense sample of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from mmlib.checks import choice
from mmlib.data.kmixup_toys import TOYS

NAMES = tuple(TOYS)
TITLES = {"one_ring": "One Ring", "four_bars": "Four Bars", "swiss_roll": "Swiss Roll"}
LIMITS = {"one_ring": 2.8, "four_bars": 2.25, "swiss_roll": 2.4}  # half the side of the region
_WITHOUT_NOISE = {"one_ring": {"noise": 0.0}, "four_bars": {}, "swiss_roll": {"noise": 0.0}}
_DENSE = 20_000


def points(toy: str, n: int, n_test: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return training points and classes, then fresh test points and classes, of one trial.

    Example:
        >>> x, y, x_test, y_test = points("four_bars", 8, 20, seed=0)
        >>> x.shape, y_test.shape
        (torch.Size([8, 2]), torch.Size([20]))
    """
    make = TOYS[choice("dataset", toy, NAMES)]
    generator = torch.Generator().manual_seed(seed)
    return *make(n, generator), *make(n_test, generator)


def clusters(toy: str, x: Tensor, y: Tensor) -> Tensor:
    """Return the cluster of each point: its bar for the bars, else its class.

    Example:
        >>> clusters("four_bars", torch.tensor([[-1.4, 0.0], [1.6, 0.0]]), torch.tensor([0, 1]))
        tensor([0, 3])
    """
    return (x[:, 0] + 1.5).round().long() if toy == "four_bars" else y


@dataclass(frozen=True)
class Field:
    """Distance to the support and true label, anywhere in the plane.

    Attributes:
        points: (M, 2) dense sample of the support.
        labels: (M,) its classes.
        trees: of the points of each class.
    """

    points: Tensor
    labels: Tensor
    trees: tuple[cKDTree, ...]

    def apart(self, x: Tensor) -> np.ndarray:
        """Return the distance of places (..., 2) to the support of each class, (2, ...)."""
        flat = x.reshape(-1, 2).numpy()
        return np.stack([tree.query(flat)[0].reshape(x.shape[:-1]) for tree in self.trees])

    def at(self, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return distance to the support and true label of places (..., 2), (...) each."""
        apart = self.apart(x)
        return apart.min(0), apart.argmin(0)

    def joint(self, x: Tensor, target: Tensor) -> np.ndarray:
        """Return the distance of places and targets to the support with its labels, (...).

        The support in features and one-hot targets together, as k-Mixup has it in section 3.1:
        ``min over classes c of sqrt(d_c(x)^2 + 2 (t - c)^2)`` with the weight t of class 1.
        """
        label = np.arange(2).reshape(-1, *[1] * target.ndim)
        return np.sqrt(self.apart(x) ** 2 + 2 * (target.numpy() - label) ** 2).min(0)


@cache
def field(toy: str) -> Field:
    """Return the field of a set.

    Example:
        >>> distance, label = field("four_bars").at(torch.tensor([[-0.5, 0.0], [0.05, 0.0]]))
        >>> label.tolist(), [round(float(d), 1) for d in distance]
        ([1, 0], [0.0, 0.2])
        >>> middle, sure = torch.tensor([[0.5, 0.0]]), torch.tensor([1.0])
        >>> round(float(field("four_bars").joint(middle, sure)[0]), 1)  # the bar next to it
        0.8
    """
    make = TOYS[choice("dataset", toy, NAMES)]
    x, y = make(_DENSE, torch.Generator().manual_seed(0), **_WITHOUT_NOISE[toy])
    return Field(x, y, tuple(cKDTree(x[y == label].numpy()) for label in (0, 1)))


def region(toy: str, side: int) -> Tensor:
    """Return the middles of side x side squares that fill the region, row by row from below.

    Example:
        >>> region("four_bars", 2).tolist()
        [[-1.125, -1.125], [1.125, -1.125], [-1.125, 1.125], [1.125, 1.125]]
    """
    ticks = ((torch.arange(side) + 0.5) / side * 2 - 1) * LIMITS[toy]
    down, across = torch.meshgrid(ticks, ticks, indexing="ij")
    return torch.stack([across.flatten(), down.flatten()], 1)
