"""Batched deformations beside image by image: ``python tests/benchmarks/deformations.py``.

Processor time as in ``mixing.py``. Image by image is what is usual: PIL rotates each image between
two conversions, and scipy's affine map runs once for each channel, as in the released code. Images
are random bytes of the size of CIFAR-10's.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import torch
from _compare import compare
from scipy.ndimage import affine_transform
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as tv

from mmlib.measures import deform, deformation_matrices

MEAN = (0.4914, 0.4822, 0.4465)


def cases(n: int = 500) -> tuple[torch.Tensor, torch.Tensor]:
    """Return n random images and an angle for each, in degrees."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return x, 80 * (2 * torch.rand(n, generator=generator) - 1)


def rotations() -> tuple[Callable, Callable]:
    """Return functions that rotate: PIL image by image, batched."""
    x, angles = cases()

    def one_by_one() -> torch.Tensor:
        turned = [
            tv.to_tensor(tv.rotate(tv.to_pil_image(image), angle, InterpolationMode.BILINEAR))
            for image, angle in zip(x, angles.tolist(), strict=True)
        ]
        return torch.stack(turned)

    return one_by_one, lambda: deform(x, "rotation", angles, "text")


def shears() -> tuple[Callable, Callable]:
    """Return functions that shear as the released code: scipy channel by channel, batched."""
    x, angles = cases()
    floats, centre = x.numpy() / np.float32(255), np.array([16.5, 16.5])

    def one_by_one() -> np.ndarray:
        matrices = deformation_matrices("shearing", angles, "released").numpy()
        return np.stack(
            [
                [affine_transform(c, m, centre - m @ centre, order=0) for c in image]
                for image, m in zip(floats, matrices, strict=True)
            ]
        )

    return one_by_one, lambda: deform(x, "shearing", angles, "released", fill=MEAN)


def main(rounds: int = 15) -> dict[str, dict]:
    """Return {name: {ratio, low, high, n, aim, ok}}."""
    torch.set_num_threads(1)
    return {
        "batched rotations, times less CPU than PIL": compare(
            *rotations(), rounds, 2, at_most=False
        ),
        "batched shears, times less CPU than scipy": compare(*shears(), rounds, 2, at_most=False),
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=1))
