"""Time of a training step: plain, 1-mixup, k-mixup, and mixing at a hidden site.

On a CPU processor time is counted, which other programs of the machine hardly change; on an
accelerator time on the clock.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from mmlib.mixing import Mixup, OptimalPairing, soft_cross_entropy, soft_targets
from mmlib.models import build
from mmlib.studies.networks import SITES

IMAGES = {"lenet": (1, 28), "small_conv": (3, 32), "preactresnet18": (3, 32)}
_WARM = 2  # rounds that are not counted


def arms(model: str, ks: tuple[int, ...]) -> dict[str, tuple[tuple[str, ...], int] | None]:
    """Return the sites and k of each kind of step; None for no mix.

    Manifold steps flip a coin between the input and the first block, as in the text.

    Example:
        >>> list(arms("lenet", (1, 8)))
        ['plain', 'input_1', 'manifold_1', 'input_8', 'manifold_8']
    """
    found: dict[str, tuple[tuple[str, ...], int] | None] = {"plain": None}
    for k in ks:
        found |= {f"input_{k}": (("input",), k), f"manifold_{k}": (SITES[model][:2], k)}
    return found


def step_seconds(settings: dict[str, Any], seed: int, device: str = "cpu") -> dict[str, float]:
    """Time one training step of each kind, in turn, in one process.

    Metrics: ``<arm>_ms``, the median; ``<arm>_over_plain`` and ``<arm>_over_mixup``, medians over
    rounds of the ratio to a plain step and to a 1-mixup step of the same round; ``match_<k>_ms``,
    the matching of a batch of inputs alone.
    """
    channels, size = IMAGES[settings["model"]]
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(settings["batch"], channels, size, size, generator=rng).to(device)
    y = torch.randint(10, (len(x),), generator=rng).to(device)
    model = build(settings["model"], channels, 10, size, settings["width"], seed=seed)
    model = model.to(device).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    mixups = {
        name: None
        if arm is None
        else Mixup(
            1.0, arm[0], pairing=OptimalPairing(arm[1]) if arm[1] > 1 else None, generator=rng
        )
        for name, arm in arms(settings["model"], tuple(settings["ks"])).items()
    }
    names, took = list(mixups), {name: [] for name in mixups}
    for round_ in range(settings["rounds"] + _WARM):
        # Each round starts with another arm, so that none always follows the same one.
        for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
            started = _now(x)
            if mixups[name] is None:
                loss = soft_cross_entropy(model(x), soft_targets(y, 10))
            else:
                mixed = mixups[name](model, x, y)
                loss = soft_cross_entropy(mixed.logits, mixed.targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            took[name].append(_now(x) - started)
    seconds = {name: np.array(values[_WARM:]) for name, values in took.items()}
    metrics = {f"{name}_ms": 1000 * float(np.median(s)) for name, s in seconds.items()}
    for base, short in (("plain", "plain"), ("input_1", "mixup")):
        for name, s in seconds.items():
            metrics[f"{name}_over_{short}"] = float(np.median(s / seconds[base]))
    for k in settings["ks"]:
        metrics[f"match_{k}_ms"] = 1000 * _match_seconds(x, k, settings["rounds"], rng)
    return metrics


def _match_seconds(x: torch.Tensor, k: int, rounds: int, rng: torch.Generator) -> float:
    """Return the median time to match a batch of inputs."""
    pairing, took = OptimalPairing(k), []
    for _ in range(rounds):
        started = _now(x)
        pairing.match(pairing.draw(len(x), rng).to(x.device), x)
        took.append(_now(x) - started)
    return float(np.median(took))


def _now(x: torch.Tensor) -> float:
    """Return the time in seconds at which the work on a tensor's device is done."""
    if x.is_cuda:
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()
