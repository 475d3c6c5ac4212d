"""What the trainer saves, beside a textbook loop: ``python tests/benchmarks/training.py``.

Processor time as in ``mixing.py``. The textbook loop is that of the tutorials: images as PIL
objects, transforms of torchvision one image at a time in a DataLoader, float32 in the default
memory layout, ``F.cross_entropy``. Both sides see as many images, in batches of 100, and the same
network. Images are random bytes of the size of CIFAR-10's: the time does not depend on them.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import torch
from _compare import compare
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from mmlib.models import build
from mmlib.training import CropFlip, fit

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.262)
BATCH = 100
TEXTBOOK = transforms.Compose(
    [
        transforms.ToPILImage(),
        transforms.RandomCrop(32, padding=4),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
)


class Images(Dataset):
    """Images of bytes with a transform for each."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return TEXTBOOK(self.x[i]), int(self.y[i])


def images(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return n random images and labels."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return x, torch.randint(10, (n,), generator=generator)


def inputs(x: torch.Tensor) -> torch.Tensor:
    """Normalise a batch of bytes."""
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (MEAN, STD))
    return (x.float() / 255 - mean) / std


def augmentation(n: int = 1000) -> tuple[Callable, Callable]:
    """Return functions that crop, flip and normalise n images: textbook, batched."""
    x, y = images(n)
    loader = DataLoader(Images(x, y), BATCH, shuffle=True)
    crop = CropFlip(4)

    def batched() -> None:
        for rows in torch.randperm(n).split(BATCH):
            inputs(crop(x[rows]))

    return lambda: [batch for batch in loader], batched


def loops(name: str, width: int, n: int) -> tuple[Callable, Callable]:
    """Return functions that train one epoch on n images: textbook, ours."""
    x, y = images(n)
    loader = DataLoader(Images(x, y), BATCH, shuffle=True)
    plain: nn.Module = build(name, 3, 10, 32, width).to(memory_format=torch.contiguous_format)
    optimiser = torch.optim.SGD(plain.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)

    def textbook() -> None:
        plain.train()
        for batch, labels in loader:
            optimiser.zero_grad()
            loss = F.cross_entropy(plain(batch), labels)
            loss.backward()
            optimiser.step()

    ours = build(name, 3, 10, 32, width)

    def trainer() -> None:
        fit(ours, x, y, lr=0.01, batch_size=BATCH, inputs=inputs, augment=CropFlip(4))

    return textbook, trainer


def main(rounds: int = 15) -> dict:
    """Return {name: {ratio, low, high, n, aim, ok}}."""
    found = {
        "batched crop and flip, times less CPU than PIL": compare(
            *augmentation(), rounds, 10, at_most=False
        )
    }
    for name, width, n in (("small_conv", 16, 1000), ("preactresnet18", 8, 400)):
        found[f"trainer, {name} of width {width}, times faster than a textbook loop"] = compare(
            *loops(name, width, n), rounds, 1.5, at_most=False
        )
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(main(), indent=1))
