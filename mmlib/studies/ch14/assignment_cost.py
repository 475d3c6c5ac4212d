"""What the assignment costs: its time against k, and beside a training step.

Processor time is counted, which other programs of the machine hardly change; on an accelerator
the training step is timed on the clock, as the assignment runs beside it on the processor.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from mmlib.checks import choice
from mmlib.data import load
from mmlib.measures.matching import squared_distances
from mmlib.mixing import OptimalPairing, soft_cross_entropy, soft_targets
from mmlib.models import build

COSTS = ("points", "vectors", "products")
_WARM = 2  # rounds that are not counted


def cost_matrix(kind: str, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return a (k, k) cost.

    ``points``: squared distances of uniform points of the plane; ``vectors``: minus the products
    of normal vectors of 784 numbers, as between images; ``products``: ``i j``, on which each new
    row makes an algorithm of shortest augmenting paths look at all the rows before it.

    Example:
        >>> cost_matrix("products", 2, np.random.default_rng(0)).tolist()
        [[1.0, 2.0], [2.0, 4.0]]
    """
    choice("kind", kind, COSTS)
    if kind == "products":
        return np.outer(np.arange(1.0, k + 1), np.arange(1.0, k + 1))
    if kind == "points":
        return squared_distances(rng.random((k, 2)), rng.random((k, 2)))
    return -rng.normal(size=(k, 784)) @ rng.normal(size=(k, 784)).T


def least_seconds(work: Callable[[], Any], repeats: int, budget: float = 0.005) -> float:
    """Return the least processor time of a call, over repeats of enough calls to be seen."""
    started = time.process_time()
    work()
    once = time.process_time() - started
    calls, best = max(1, int(budget / max(once, 1e-7))), float("inf")
    for _ in range(repeats):
        started = time.process_time()
        for _ in range(calls):
            work()
        best = min(best, (time.process_time() - started) / calls)
    return best


def assignment_time(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Milliseconds of one assignment for each k, ``ms_<k>``; the cost is there already."""
    rng, found = np.random.default_rng(seed), {}
    for k in settings["ks"]:
        cost = cost_matrix(settings["cost"], k, rng)
        work = lambda cost=cost: linear_sum_assignment(cost)  # noqa: E731
        found[f"ms_{k}"] = 1000 * least_seconds(work, settings["repeats"])
    return found


def _step_seconds(
    model: torch.nn.Module, optimiser: Any, x: torch.Tensor, y: torch.Tensor
) -> float:
    clock = time.perf_counter if x.is_cuda else time.process_time
    started = clock()
    loss = soft_cross_entropy(model(x), soft_targets(y, 10))
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if x.is_cuda:
        torch.cuda.synchronize()
    return clock() - started


def matching_share(settings: dict[str, Any], seed: int, device: str = "cpu") -> dict[str, float]:
    """Time of the matching of a batch over that of a training step, in turn in one process.

    The batch is matched in blocks of k with a second, independent one, as in the text: costs,
    assignments and all. ``over_<k>``: median over rounds of the ratio in a round; ``step_ms``,
    ``match_ms_<k>``: medians.
    """
    clock = time.perf_counter if device == "cuda" else time.process_time
    data, batch = load(settings["data"], device=device), settings["batch"]
    rows = torch.from_numpy(np.random.default_rng(seed).choice(len(data.x_train), 2 * batch))
    rows = rows.to(data.x_train.device)
    x, other = data.inputs(data.x_train[rows]).split(batch)
    y = data.y_train[rows[:batch]]
    channels, size = x.shape[1], x.shape[-1]
    model = build("lenet", channels, 10, size, settings["width"], seed=seed).to(device).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    generator = torch.Generator().manual_seed(seed)
    steps, matches = [], {k: [] for k in settings["ks"] if k <= batch}
    for _ in range(settings["rounds"] + _WARM):
        steps.append(_step_seconds(model, optimiser, x, y))
        for k, times in matches.items():
            pairing = OptimalPairing(k, sets="independent")
            started = clock()
            order = pairing.draw(batch, generator, other=True)
            pairing.match(order.to(x.device), x, other)
            times.append(clock() - started)
    step = np.array(steps[_WARM:])
    found = {"step_ms": 1000 * float(np.median(step))}
    for k, times in matches.items():
        taken = np.array(times[_WARM:])
        found[f"match_ms_{k}"] = 1000 * float(np.median(taken))
        found[f"over_{k}"] = float(np.median(taken / step))
    return found
