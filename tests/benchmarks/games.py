"""What mixes cost the discriminator of a GAN: ``python tests/benchmarks/games.py``.

A step of the discriminator, forward, backward and Adam, with mixes beside a plain one on as many
images: ``(2 + pairs) B`` rows either way, half of them real in the plain step. Processor time as in
``mixing.py``. The generator is left out: it would draw fewer images for the mixed step.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import torch
from _compare import compare
from torch import nn

from mmlib.models import sngan_pair
from mmlib.training import discriminator_terms, draw_mixes, scored, variant
from mmlib.training.mixes import Mixes
from mmlib.training.objectives import mixer

BATCH = 24


def step(net: nn.Module, size: int, mixes: Mixes | None) -> Callable:
    """Return a function that takes one step on `size` real and `size` fake images."""
    draws = torch.Generator().manual_seed(0)
    real, fake = (2 * torch.rand(size, 1, 28, 28, generator=draws) - 1 for _ in range(2))
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.0, 0.9), fused=True)
    mixup = None if mixes is None else mixer(mixes)

    def run() -> None:
        draw = None if mixes is None else draw_mixes(mixes, size, draws)
        said = scored(net, real, fake, mixes, draw, mixup)
        optimiser.zero_grad(set_to_none=True)
        sum(discriminator_terms(said, mixes).values()).backward()
        optimiser.step()

    return run


def main(rounds: int = 31) -> dict:
    """Return {name: {ratio, low, high, n, aim, ok}}."""
    found = {}
    for name, layer in (("fr", "input"), ("final", "input"), ("fr", "block1"), ("final", "block2")):
        mixes = variant(name, 0.5, (layer,))
        _, mixed = sngan_pair(28, 1, width=16, generator_width=8)
        _, plain = sngan_pair(28, 1, width=16, generator_width=8)
        rows = (2 + len(mixes.pairs)) * BATCH
        sides = step(mixed, BATCH, mixes), step(plain, rows // 2, None)
        where = "the input" if layer == "input" else layer
        found[f"discriminator step with mixes ({name}) at {where}, as many images"] = compare(
            *sides, rounds, 1.1
        )
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(main(), indent=1))
