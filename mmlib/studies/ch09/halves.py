"""Which half does it: the layers before the code or those behind it?

Each half of a network follows the gradient of one of two losses, the plain one and the mixed one.
With ``h`` the code of a batch and ``m`` its mix,

- the layers before follow :math:`L(g(h), y)` or :math:`L(g(m), t)`, with the layers behind held;
- the layers behind follow :math:`L(g(h), y)` or :math:`L(g(m), t)`, with the code held.

Plain and plain is training without mixing, mixed and mixed is Manifold Mixup at the code; the other
two are what `detach` alone cannot give: with the mix at the code and its gradient blocked, the
layers before get no gradient at all and stay as they were drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mmlib.data.dataset import Dataset
from mmlib.mixing import Law, soft_targets
from mmlib.models.stacked import Stacked
from mmlib.studies import bottlenecks
from mmlib.studies.ch09.experiments import Examples, curve, measured
from mmlib.studies.ch09.networks import fresh
from mmlib.training.fit import learning_rate

# What the layers before and behind follow.
HALVES = {
    "none": ("plain", "plain"),
    "behind": ("plain", "mixed"),
    "before": ("mixed", "plain"),
    "manifold": ("mixed", "mixed"),
}


class Split(nn.Module):
    """Networks side by side whose halves follow different losses.

    Args:
        nets: E networks with a child ``code``, as `Stacked` takes them.
        ways: for each, "plain" or "mixed" for the layers before and for those behind.
    """

    def __init__(self, nets: list[nn.Sequential], ways: list[tuple[str, str]]) -> None:
        super().__init__()
        self.stack = Stacked(nets)
        parts = dict(self.stack.children_of.named_children())
        names = list(parts)
        cut = names.index("code") + 1
        self.lower = nn.Sequential(*(parts[name] for name in names[:cut]))
        self.upper = nn.Sequential(*(parts[name] for name in names[cut:]))
        flags = torch.tensor([[side == "mixed" for side in pair] for pair in ways])
        self.register_buffer("lower_mixed", flags[:, :1, None])
        self.register_buffer("upper_mixed", flags[:, 1:, None])

    def losses(self, x: Tensor, y: Tensor, partner: Tensor, lam: float, loss: Any) -> Tensor:
        """Return the sum over members of both losses; each reaches its own half alone.

        Args:
            x: (B, n) inputs, one batch for all.
            y: (B, K) targets.
            partner: (B,).
            lam: weight of the example itself.
            loss: takes logits and targets, and returns their mean.
        """
        h = self.lower(x.expand(self.stack.members, -1, -1))
        mix, target = torch.lerp(h[:, partner], h, lam), torch.lerp(y[partner], y, lam)
        held = {name: value.detach() for name, value in self.upper.named_parameters()}
        for_lower = functional_call(self.upper, held, torch.where(self.lower_mixed, mix, h))
        for_upper = self.upper(torch.where(self.upper_mixed, mix, h).detach())
        members = self.stack.members
        return members * (
            loss(for_lower, torch.where(self.lower_mixed, target, y))
            + loss(for_upper, torch.where(self.upper_mixed, target, y))
        )


def train_halves(
    settings: Mapping[str, Any], data: Dataset, seed: int
) -> Iterator[dict[str, nn.Sequential]]:
    """Train the four networks of `HALVES`; yield them by name before and after each epoch.

    All start from the same weights and see the same batches, partners and weights of the mix.
    """
    first = fresh(settings, data, seed)
    nets = {name: deepcopy(first).to(data.device) for name in HALVES}
    split = Split(list(nets.values()), list(HALVES.values())).to(data.device)
    optimiser = torch.optim.Adam(split.stack.parameters(), lr=settings["lr"])
    loss, law = bottlenecks.LOSSES[settings["loss"]], Law("beta", settings["alpha"])
    targets = soft_targets(data.y_train, data.num_classes)
    draws = torch.Generator().manual_seed(seed)
    rates = {"lr": settings["lr"], "schedule": settings["schedule"]}
    size, step = settings["batch"], 0
    total = settings["epochs"] * -(-len(targets) // size)
    yield _shown(split, nets)
    for _ in range(settings["epochs"]):
        for rows in torch.randperm(len(targets), generator=draws).split(size):
            lam = law.quantile(torch.rand(1, generator=draws, dtype=torch.float64)).item()
            partner = torch.randperm(len(rows), generator=draws)
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, total, **rates)
            optimiser.zero_grad(set_to_none=True)
            x = data.inputs(data.x_train[rows.to(data.device)]).flatten(1)
            y = targets[rows.to(data.device)]
            split.losses(x, y, partner.to(data.device), lam, loss).backward()
            optimiser.step()
            step += 1
        yield _shown(split, nets)


def _shown(split: Split, nets: dict[str, nn.Sequential]) -> dict[str, nn.Sequential]:
    split.stack.write_back(list(nets.values()))
    for net in nets.values():
        net.eval()
    return nets


def halves(
    settings: Mapping[str, Any], seed: int, device: str = "cpu"
) -> tuple[dict[str, float], dict[str, Any]]:
    """Train the four networks of a seed and measure them; arrays: ``curves`` as in `plane`."""
    data = bottlenecks.images(settings, seed, device)
    one, rows = Examples(data), []
    for nets in train_halves(settings, data, seed):
        rows.append([curve(net, one) for net in nets.values()])
    metrics = {
        f"{measure}_{name}": value
        for name, net in nets.items()
        for measure, value in measured(net, one, settings).items()
    }
    return metrics, {"curves": torch.tensor(rows).numpy()}
