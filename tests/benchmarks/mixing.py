"""What a mix costs, measured side by side in one run: ``python tests/benchmarks/mixing.py``.

Each ratio is the median over rounds of time(A) / time(B), the two taken in turn in every round, so
that a machine that slows down slows both. Times are the processor time of this process, which
other programs on the machine do not lengthen. ``low`` and ``high`` are a 95 % interval of that
median (order statistics). Steps: forward, soft cross-entropy, backward and SGD on a pre-activation
ResNet, batch 64.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import torch
from _compare import compare
from scipy.optimize import linear_sum_assignment
from scipy.spatial import distance_matrix
from torch import nn

from mmlib.mixing import Mixup, OptimalPairing, soft_cross_entropy, soft_targets


class Block(nn.Module):
    """A pre-activation residual block."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        same = stride == 1 and inputs == outputs
        self.skip = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.norm1(x))
        return self.conv2(torch.relu(self.norm2(self.conv1(h)))) + self.skip(h)


def preact_resnet(width: int = 16) -> nn.Sequential:
    """Four stages of two blocks, as PreActResNet18, narrower."""
    stages, inputs = [nn.Conv2d(3, width, 3, 1, 1, bias=False)], width
    for level in range(4):
        outputs = width * 2**level
        stages.append(
            nn.Sequential(Block(inputs, outputs, 1 + (level > 0)), Block(outputs, outputs, 1))
        )
        inputs = outputs
    return nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


def training_step(model: nn.Module, compiled: bool, mixup: Mixup | None) -> Callable:
    """Return a function that makes one training step."""
    run = torch.compile(model) if compiled else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 3, 32, 32, generator=generator)
    y = torch.randint(10, (64,), generator=generator)

    def step() -> None:
        if mixup is None:
            logits, targets = run(x), soft_targets(y, 10)
        else:
            mixed = mixup(run, x, y)
            logits, targets = mixed.logits, mixed.targets
        optimizer.zero_grad()
        soft_cross_entropy(logits, targets).backward()
        optimizer.step()

    return step


def steps(rounds: int) -> dict:
    """Return the cost of a mixed step against a plain step, eager and compiled."""
    results = {}
    for compiled in (False, True):
        kind = "compiled" if compiled else "eager"
        for name, layers, aim in (
            ("input mixup step", ("input",), 1.02),
            ("Manifold Mixup step", ("1", "2"), 1.05),
        ):
            torch.manual_seed(0)
            mixup = Mixup(2.0, layers, generator=torch.Generator().manual_seed(0))
            model = preact_resnet()
            mixed, plain = (training_step(model, compiled, m) for m in (mixup, None))
            for _ in range(6 if compiled and len(layers) > 1 else 0):  # compile each layer's graph
                mixed()
            results[f"{name}, {kind}"] = compare(mixed, plain, rounds, aim)
    return results


def released_pairs(x: torch.Tensor, index: np.ndarray, k: int) -> np.ndarray:
    """Pair as the released k-mixup code does: one assignment, 1000 off the blocks."""
    x = x.numpy()
    cost = np.full((len(x), len(x)), 1000.0)
    for start in range(0, len(x), k):
        block = slice(start, start + k)
        cost[block, block] = distance_matrix(x[block], x[index][block])
    return index[linear_sum_assignment(cost)[1]]


def pairings(rounds: int) -> dict:
    """Return how many times faster OptimalPairing finds the same pairs; B = 512."""
    results = {}
    for k, dims, aim in ((2, 784, 2), (2, 3072, 2), (32, 784, 20), (32, 3072, 20)):
        pairing = OptimalPairing(k, cost="euclidean", sets="batch")
        generator = torch.Generator().manual_seed(k)
        x, order = torch.rand(512, dims, generator=generator), pairing.draw(512, generator)
        index = order[1].numpy()
        same = bool((pairing.match(order, x).numpy() == released_pairs(x, index, k)).all())
        result = compare(
            lambda: released_pairs(x, index, k),  # noqa: B023 (used within this turn)
            lambda: pairing.match(order, x),  # noqa: B023
            rounds,
            aim,
            at_most=False,
        )
        result["ok"] = result["ok"] and same
        results[f"OptimalPairing(k={k}), {dims} dimensions, times faster"] = result
    return results


def main(rounds: int = 25) -> dict:
    """Return {name: {ratio, low, high, n, aim, ok}}."""
    return {**pairings(rounds), **steps(rounds)}


if __name__ == "__main__":
    print(json.dumps(main(), indent=1))
