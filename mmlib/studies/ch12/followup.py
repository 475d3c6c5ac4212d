"""After the factorial: which noise on the states, where, and for whom.

In the factorial, states mixed with targets left alone gained most, and layers before the mix did
not need to feel it. These arms were chosen after that, and before any run of theirs:

- ``near_input``, ``near_deep``, ``near_last``: that arm with one layer each;
- ``near_detached``: at a random layer, the layers before learn from the plain loss;
- ``noise``: at a random layer, the partner's direction replaced by a random one. Each state moves
  as far as it would in a mix, ``(1 - lam) |z[p] - z|`` with lam folded to at least a half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mmlib.checks import choice
from mmlib.mixing import Law
from mmlib.mixing.law import permutation, uniforms
from mmlib.studies.ch12.arms import ARMS, Arm
from mmlib.studies.ch12.factorial import images, measured, train
from mmlib.studies.networks import network

_RANDOM = ("input", "block1", "block2")

FOLLOWUP: dict[str, Arm] = {
    "none": ARMS["none"],
    "features": ARMS["features"],
    "near_detached": Arm("front learns plainly", _RANDOM, states="near", front=("plain",)),
    "near_input": Arm("at the input", ("input",), states="near"),
    "near_deep": Arm("behind block 2", ("block2",), states="near"),
    "near_last": Arm("before the affine head", ("block3",), states="near"),
    "noise": Arm("random directions, as far"),
}


def followup(
    settings: dict[str, Any], seed: int, device: str = "cpu"
) -> tuple[dict[str, float], dict[str, Any]]:
    """Train one arm of `FOLLOWUP` and measure it, as `mmlib.studies.ch12.factorial.factorial`."""
    name = choice("arm", settings["arm"], tuple(FOLLOWUP))
    data = images(settings["data"], settings["n_train"], settings["n_test"], seed, device)
    model = network(settings, data, seed)
    if name == "noise":
        with noisy(model, settings["alpha"], seed):
            train(model, FOLLOWUP[name], settings, data, seed)
    else:
        train(model, FOLLOWUP[name], settings, data, seed)
    return measured(model, data, settings["n_look"], seed), {}


@contextmanager
def noisy(model: nn.Module, alpha: float, seed: int) -> Iterator[None]:
    """Move the states of one random layer in each forward pass in training mode.

    Args:
        model: a `SmallConvNet`.
        alpha: of the law of lambda.
        seed: of the layers, of lambda, of the partners and of the directions.
    """
    law, generator = Law("beta", alpha, fold="max"), torch.Generator().manual_seed(seed + 10_000)
    drawn: dict[str, Any] = {}

    def move(z: Tensor) -> Tensor:
        partner = permutation(len(z), generator).to(z.device)
        direction = torch.randn(z.shape, generator=generator).to(z)
        return moved(z, z[partner], float(1 - drawn["lam"]), direction)

    def before(module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor] | None:
        if not module.training:
            return None
        u = uniforms(2, generator)
        drawn["lam"], drawn["site"] = law.quantile(u[:1])[0], _RANDOM[int(u[1] * len(_RANDOM))]
        return (move(args[0]),) if drawn["site"] == "input" else None

    def behind(site: str) -> Callable[..., Tensor | None]:
        def hook(module: nn.Module, args: tuple[Tensor], z: Tensor) -> Tensor | None:
            return move(z) if module.training and drawn["site"] == site else None

        return hook

    handles = [model.block1.register_forward_pre_hook(before)]
    handles += [
        model.get_submodule(site).register_forward_hook(behind(site)) for site in _RANDOM[1:]
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def moved(z: Tensor, other: Tensor, share: float, direction: Tensor) -> Tensor:
    """Return states moved along directions by a share of their distance to others.

    Example:
        >>> z, other = torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])
        >>> moved(z, other, 0.2, torch.tensor([[0.0, 7.0]]))
        tensor([[0., 1.]])
    """
    shape = (-1, *[1] * (z.ndim - 1))
    size = share * (other - z).detach().flatten(1).norm(dim=1).view(shape)
    return z + size * direction / direction.flatten(1).norm(dim=1).view(shape)
