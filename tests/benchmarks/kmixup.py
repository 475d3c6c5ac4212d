"""What k-mixup costs, and what one program for many of its networks saves.

``python tests/benchmarks/kmixup.py``. Processor time of one thread as in ``mixing.py``, two things
in turn. A step of LeNet on images of digits, batch 128, matched at the input; and epochs of the
toy networks of chapter 13 (130 and 120 units, every k and alpha) as one program, against the same
epochs of one network after the other: by plain tensors, and with a `torch.utils.data.DataLoader`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product

import torch
from _compare import compare
from torch.utils.data import DataLoader, TensorDataset

from mmlib.mixing import Mixup, OptimalPairing, soft_cross_entropy
from mmlib.models import build, mlp
from mmlib.training import KMember, fit_kmixup

SIZES = (2, 4, 8, 16, 32)  # of the matched sets
ALPHAS = (0.25, 1, 4, 16, 64)
POINTS, BATCH, EPOCHS = 512, 32, 4


def image_step(k: int) -> Callable[[], None]:
    """Return a function that makes one k-mixup step of LeNet."""
    model = build("lenet", seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(128, 1, 28, 28, generator=generator)
    y = torch.randint(10, (128,), generator=generator)
    mixup = Mixup(alpha=1.0, layers=("input",), pairing=OptimalPairing(k))

    def step() -> None:
        mixed = mixup(model, x, y)
        optimizer.zero_grad()
        soft_cross_entropy(mixed.logits, mixed.targets).backward()
        optimizer.step()

    return step


def toy_table(way: str) -> Callable[[], None]:
    """Return a function that trains every cell of the toy table for some epochs.

    Args:
        way: ``"ensemble"``, ``"plain"`` or ``"loader"``.
    """
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(POINTS, 2, generator=draws)
    y = (x[:, 0] > 0).long()
    cells = [(1, alpha) for alpha in ALPHAS] + [*product(SIZES[:4], ALPHAS)]
    nets = [mlp((2, 130, 120, 2)) for _ in cells]
    members = [KMember(k=k, alpha=alpha) for k, alpha in cells]

    def together() -> None:
        fit_kmixup(nets, members, x, y, epochs=EPOCHS, batch_size=BATCH)

    def in_turn() -> None:
        for net, (k, alpha) in zip(nets, cells, strict=True):
            optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
            pairing = OptimalPairing(k, sets="independent")
            mixup = Mixup(alpha=alpha, layers=("input",), pairing=pairing)
            for _ in range(EPOCHS):
                for own, other in zip(batches(), batches(), strict=True):
                    mixed = mixup(net, *own, other=other)
                    optimizer.zero_grad()
                    soft_cross_entropy(mixed.logits, mixed.targets).backward()
                    optimizer.step()

    def batches():  # noqa: ANN202
        if way == "loader":
            return iter(DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True))
        return ((x[rows], y[rows]) for rows in torch.randperm(len(x)).split(BATCH))

    return together if way == "ensemble" else in_turn


def main(rounds: int = 15) -> dict:
    """Return {name: {ratio, low, high, n, aim, ok}}."""
    found = {
        f"k-mixup step of LeNet, k = {k}, over a mixup step": compare(
            image_step(k), image_step(1), 4 * rounds, 1.06
        )
        for k in SIZES
    }
    for way, words, aim in (("plain", "plain tensors", 4), ("loader", "a DataLoader", 7)):
        name = f"k-mixup of {5 * len(ALPHAS)} toy networks in turn, {words}, over one program"
        found[name] = compare(
            toy_table(way), toy_table("ensemble"), rounds // 2, aim, at_most=False
        )
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(main(), indent=1))
