"""A step of Algorithm 1 beside what it could cost: ``python tests/benchmarks/semi_supervised.py``.

Processor time as in ``mixing.py``: the two sides take turns in one process. A step of Algorithm 1
trains on a labelled and an unlabelled batch of 100 and makes one forward pass more, for the
pseudo-targets; if a backward pass costs two forward passes, that is 7/6 = 1.17 of a supervised step
on one batch of 200. Both sides include the update of the weights. Images are random numbers of the
size of CIFAR-10's: the time does not depend on them.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import torch
from _compare import compare
from torch import nn

from mmlib.mixing import Mixup, mse, soft_cross_entropy
from mmlib.models import build
from mmlib.training import algorithm_1, pseudo_targets

BATCH = 100
LAYERS = ("input", "block1", "block2")


def learner(name: str, width: int | None) -> tuple[nn.Module, Callable]:
    """Return a network and what updates it by a loss."""
    net = build(name, 3, 10, 32, width)
    optimiser = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)

    def update(loss: torch.Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return net, update


def steps(name: str, width: int | None) -> tuple[Callable, Callable, Callable]:
    """Return steps: Algorithm 1, supervised on twice the batch, the same passes without a mix."""
    generator = torch.Generator().manual_seed(0)
    x_l, x_u = (torch.randn(BATCH, 3, 32, 32, generator=generator) for _ in range(2))
    both, y = torch.cat([x_l, x_u]), torch.randint(10, (2 * BATCH,), generator=generator)
    mixes = [Mixup(a, LAYERS, generator=torch.Generator().manual_seed(1)) for a in (0.1, 2.0)]
    net, update = learner(name, width)
    plain, update_plain = learner(name, width)
    unmixed, update_unmixed = learner(name, width)

    def semi_supervised() -> None:
        found = algorithm_1(
            net, x_l, y[:BATCH], x_u, labelled=mixes[0], unlabelled=mixes[1], weight=1.0
        )
        update(found.total)

    def supervised() -> None:
        update_plain(soft_cross_entropy(plain(both), y))

    def without_a_mix() -> None:
        labelled = soft_cross_entropy(unmixed(x_l), y[:BATCH])
        target = pseudo_targets(unmixed, x_u)
        update_unmixed(labelled + mse(unmixed(x_u).softmax(-1), target))

    return semi_supervised, supervised, without_a_mix


def main(rounds: int = 31) -> dict:
    """Return {name: {ratio, low, high, n, aim, ok}}."""
    step, twice, unmixed = steps("small_conv", 16)
    return {
        "Algorithm 1, step over a supervised one on twice the batch": compare(
            step, twice, rounds, 1.3
        ),
        "Algorithm 1, step over one with the same passes and no mix": compare(
            step, unmixed, rounds, 1.1
        ),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(main(), indent=1))
