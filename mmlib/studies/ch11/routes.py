"""Where the effect sits: a mixed loss whose gradient reaches the layers before, behind, or both.

With mixing at the code alone and the gradient blocked there, the layers before get no gradient at
all and stay as they started: no fair comparison. Here every network has the plain loss for all its
layers, and a mixed loss beside it whose gradient is let into one part, the other, or both.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mmlib.mixing import Law, soft_cross_entropy
from mmlib.mixing.law import uniforms
from mmlib.models.bottleneck import bottleneck
from mmlib.studies.bottlenecks import images
from mmlib.studies.ch11.networks import Views, scored

# name -> whether the gradient of the mixed loss reaches the layers up to the code, and those behind
ROUTES = {
    "plain": (False, False),
    "before": (True, False),
    "behind": (False, True),
    "both": (True, True),
}


def mixed_loss(
    behind: nn.Sequential, h: Tensor, mix: tuple[Tensor, Tensor], y: Tensor, route: str
) -> Tensor:
    """Return the loss of mixed codes, with gradients on a route only.

    Args:
        behind: the layers behind the code.
        h: (B, H) codes, with the graph of the layers before.
        mix: lambda (a number) and partners (B,).
        y: (B, K) one-hot targets.
        route: a key of `ROUTES`.

    Example:
        >>> net, h = nn.Sequential(nn.Linear(2, 2)), torch.randn(3, 2, requires_grad=True)
        >>> mix = torch.tensor(0.3), torch.tensor([1, 2, 0])
        >>> mixed_loss(net, h, mix, torch.eye(2)[[0, 1, 1]], "before").backward()
        >>> h.grad is not None, net[0].weight.grad is None
        (True, True)
    """
    lam, partner = mix
    reaches_before, reaches_behind = ROUTES[route]
    mixed = torch.lerp(h[partner], h, lam)
    mixed = mixed if reaches_before else mixed.detach()
    if reaches_behind:
        out = behind(mixed)
    else:
        frozen = {name: value.detach() for name, value in behind.named_parameters()}
        out = functional_call(behind, frozen, (mixed,))
    return soft_cross_entropy(out, torch.lerp(y[partner], y, lam))


def train_route(
    net: nn.Sequential, route: str, data: Any, settings: dict[str, Any], seed: int
) -> None:
    """Train a network in place; equal seeds share batches, partners and lambda on every route."""
    generator = torch.Generator().manual_seed(seed)
    law = Law("beta", settings["alpha"])
    names = [name for name, _ in net.named_children()]
    cut = names.index("code") + 1
    before, behind = net[:cut], net[cut:]
    targets = torch.eye(data.num_classes, device=data.y_train.device)
    optimizer = torch.optim.Adam(net.parameters(), settings["lr"])
    net.train()
    for _ in range(settings["epochs"]):
        order = torch.randperm(len(data.x_train), generator=generator)
        for rows in order.split(settings["batch"]):
            partner = torch.randperm(len(rows), generator=generator).to(data.device)
            lam = law.quantile(uniforms(1, generator))[0].to(data.device, torch.float32)
            rows = rows.to(data.device)
            h, y = before(data.inputs(data.x_train[rows])), targets[data.y_train[rows]]
            loss = soft_cross_entropy(behind(h), y)
            if any(ROUTES[route]):
                loss = loss + mixed_loss(behind, h, (lam, partner), y, route)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    net.eval()


def routes(settings: dict[str, Any], seed: int, device: str = "cpu") -> dict[str, float]:
    """Train one network for each route and score its code and layers.

    Metrics as those of `mmlib.studies.ch11.networks.scored`, with the route for the method.
    """
    data = images(settings, seed, device)
    views = Views(data, settings["n_look"], seed)
    first = bottleneck(
        data.x_train[0].numel(),
        data.num_classes,
        **{key: settings[key] for key in ("width", "code", "before", "after", "norm")},
        seed=seed,
    )
    metrics: dict[str, float] = {}
    for route in settings["routes"]:
        net = deepcopy(first).to(device)
        train_route(net, route, data, settings, seed)
        metrics |= scored(views, net, route)
    return metrics
