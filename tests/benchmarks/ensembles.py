"""What one program for many networks saves: ``python tests/benchmarks/ensembles.py``.

An epoch of seven bottleneck networks by `fit_ensemble`, which runs them side by side, beside the
same epoch of one after the other, each by a plain loop: forward, backward, Adam, without mixing.
Both sides take the same batches of bytes, and the plain loop makes inputs of a batch once for all
seven. Processor time as in ``mixing.py``. Small networks gain, since calls and not products cost
time there; wide ones do not. Neither do networks with convolutions, which is why the library has
no joint program for them: the last row, gradients of LeNets by `torch.func.vmap`, says whether
that is still so.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy

import torch
from _compare import compare
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional as F

from mmlib.models import bottleneck, build
from mmlib.training import Member, fit_ensemble

MEMBERS, BATCH = 7, 100
# Width -> updates of an epoch, and the aim for time side by side over time in turn. The fixed cost
# of a run, networks copied into the joint program and back, counts against the joint side.
SIZES = {64: (40, 1.0), 256: (20, 1.1), 1024: (8, 1.2)}


def inputs(x: torch.Tensor) -> torch.Tensor:
    """Make network inputs of bytes."""
    return x.float() / 255


def sides(width: int, steps: int) -> tuple[Callable, Callable]:
    """Return one epoch side by side, and one of the networks in turn."""
    draws = torch.Generator().manual_seed(0)
    x = torch.randint(256, (steps * BATCH, 784), generator=draws, dtype=torch.uint8)
    y = torch.randint(10, (len(x),), generator=draws)
    nets = [bottleneck(784, 10, width=width, seed=s) for s in range(MEMBERS)]
    members = [Member(seed=0) for _ in nets]

    def together() -> None:
        own = deepcopy(nets)
        fit_ensemble(own, members, x, y, epochs=1, batch_size=BATCH, inputs=inputs)

    def in_turn() -> None:
        own = deepcopy(nets)
        optimisers = [torch.optim.Adam(net.parameters(), lr=1e-3) for net in own]
        for rows in torch.randperm(len(x)).split(BATCH):
            batch = inputs(x[rows])
            for net, optimiser in zip(own, optimisers, strict=True):
                optimiser.zero_grad()
                F.cross_entropy(net(batch), y[rows]).backward()
                optimiser.step()

    return together, in_turn


def lenets(members: int = 5) -> tuple[Callable, Callable]:
    """Return the gradients of a batch of each LeNet side by side, and of the networks in turn."""
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(members, 128, 1, 28, 28, generator=draws)
    y = torch.randint(10, (members, 128), generator=draws)
    nets = [build("lenet", seed=s) for s in range(members)]
    weights, buffers = stack_module_state(nets)

    def loss(own: dict, fixed: dict, batch: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(functional_call(nets[0], (own, fixed), (batch,)), classes)

    gradients = vmap(grad(loss))

    def in_turn() -> None:
        for net, batch, classes in zip(nets, x, y, strict=True):
            net.zero_grad()
            F.cross_entropy(net(batch), classes).backward()

    return lambda: gradients(weights, buffers, x, y), in_turn


def main(rounds: int = 15) -> dict:
    """Return {name: {ratio, low, high, n, aim, ok}}."""
    found = {
        f"{MEMBERS} bottleneck networks of width {width} as one program": compare(
            *sides(width, steps), rounds if width < 1024 else max(5, rounds // 3), aim
        )
        for width, (steps, aim) in SIZES.items()
    }
    row = compare(*lenets(), rounds, 1.0, at_most=False)
    return {**found, "5 LeNets as one program (not used: it should not pay)": row}


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(main(), indent=1))
