"""What lies between two hidden states: whether it stays the same, whether it is empty, who is near.

Three sentences of the critique are about the space between examples: that its meaning changes as
the features change, that it is empty of real states, and that mixing there resembles mixing with
retrieved neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmlib.data.dataset import Dataset
from mmlib.evidence import Runs, Study, components, errors, per_seed, sample
from mmlib.evidence.findings import Components, Errors
from mmlib.measures import cyclic_partner, interpolated, nearest_distance, plausible
from mmlib.mixing import capture, mix_at, resume, soft_cross_entropy, soft_targets
from mmlib.studies import bottlenecks
from mmlib.studies.ch11.grids import FREE

METHODS = ("none", "manifold")
LAYER = "code"


def cell(profile: str, **changes: Any) -> dict[str, Any]:
    """Return the settings: bottleneck nets of 30 units, plain and mixed at the code.

    Example:
        >>> one = cell("quick")
        >>> one["code"], one["methods"], one["n_real"]
        (30, ('none', 'manifold'), 5000)
    """
    settings = bottlenecks.cell(profile, code=30, methods=METHODS, **changes)
    n_train = settings["n_train"]
    return settings | {"n_real": 10_000 if n_train is None else n_train // 2}


class Middle:
    """The middle between fixed pairs of test images of different classes, while networks train.

    Args:
        data: training images are the real ones that a middle is compared with.
        n_real: number of them.
        seed: of the pairs and of the choice.
    """

    def __init__(self, data: Dataset, n_real: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(40_000 + seed)
        some = torch.randperm(len(data.x_train), generator=generator)[:n_real].to(data.device)
        self.real, self.labels = data.inputs(data.x_train[some]), data.y_train[some]
        self.test, self.y = data.inputs(data.x_test), data.y_test
        self.partner = cyclic_partner(len(self.y), generator).to(data.device)
        self.apart = self.y != self.y[self.partner]
        self.named: dict[str, list[Tensor]] = {}

    @torch.no_grad()
    def look(self, net: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
        """Return distances to the nearest real state of middles and of states, and its class."""
        real, h = capture(net, self.real, LAYER), capture(net, self.test, LAYER)
        away, which = nearest_distance((h + h[self.partner]) / 2, real)
        return away, nearest_distance(h, real)[0], self.labels[which]

    def watch(self, _: int, nets: dict[str, nn.Module]) -> None:
        """Keep the class of the real state nearest to each middle."""
        for name, net in nets.items():
            self.named.setdefault(name, []).append(self.look(net)[2][self.apart])

    def metrics(self, name: str, net: nn.Module) -> dict[str, float]:
        """Return what the middles of a trained network are like."""
        away, yardstick, _ = self.look(net)
        empty = ~plausible(away, yardstick)
        classes = self.named[name]
        ends = torch.stack([self.y, self.y[self.partner]])[:, self.apart]
        half = classes[len(classes) // 2]
        return {
            f"empty_{name}": _share(empty[self.apart]),
            f"empty_own_{name}": _share(empty[~self.apart]),
            f"changed_{name}": _share(classes[1] != classes[-1]),
            f"changed_late_{name}": _share(half != classes[-1]),
            f"third_{name}": _share((classes[-1] != ends).all(0)),
        }


def _share(of: Tensor) -> float:
    return float(of.double().mean())


def retrieved(net: nn.Module, data: Dataset, n_real: int, seed: int) -> dict[str, float]:
    """Mix examples with the nearest state of a store, in two ways, and with a random one.

    ``error`` compares the loss written out for retrieval (take both states, add them up, go on)
    with the library's mix of a batch that holds the retrieved partners; ``control`` is the same
    with the mix at the input.
    """
    generator = torch.Generator().manual_seed(50_000 + seed)
    net = net.double()
    order = torch.randperm(len(data.x_train), generator=generator).to(data.device)
    n = min(200, len(order) // 2)
    query, store = order[:n], order[n : n + n_real]
    x, kept = (data.inputs(data.x_train[rows]).double() for rows in (query, store))
    targets = soft_targets(data.y_train, data.num_classes).double()
    lam = torch.rand(n, generator=generator, dtype=torch.float64).to(data.device)
    found: dict[str, float] = {}
    with torch.no_grad():
        _, nearest = nearest_distance(capture(net, x, LAYER), capture(net, kept, LAYER))
        chance = torch.randperm(len(store), generator=generator)[:n].to(data.device)
        for name, which in (("retrieved", nearest), ("random", chance)):
            wanted = torch.lerp(targets[store[which]], targets[query], lam[:, None])
            h = torch.lerp(capture(net, kept[which], LAYER), capture(net, x, LAYER), lam[:, None])
            loss = soft_cross_entropy(resume(net, x, LAYER, h), wanted)
            both, partner = torch.cat([x, kept[which]]), torch.arange(2 * n).roll(n)
            weights = torch.cat([lam, torch.ones_like(lam)])
            for key, layer in (("error", LAYER), ("control", "input")):
                out = mix_at(net, both, layer, weights, partner.to(data.device))[:n]
                found[f"{key}_{name}"] = abs(float(soft_cross_entropy(out, wanted) - loss))
            found[f"loss_{name}"] = float(loss)
            found[f"other_{name}"] = _share(data.y_train[store[which]] != data.y_train[query])
    net.float()
    return found


def between(
    settings: dict[str, Any], seed: int, device: str = "cpu"
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Train both networks of a seed and look at what lies between their states.

    Metrics end in the method. ``empty``, ``empty_own``: share of middles of two classes, and of one
    class, that lie farther from every real state than 95 % of test states do. ``changed``,
    ``changed_late``: share of middles whose nearest real state has another class at the end than
    after the first epoch, and than half way. ``third``: share whose nearest class is neither of the
    pair's. ``excess``: mixed cross-entropy on held-out pairs above the entropy of the targets, in
    nats. Those of `retrieved` are about the mixed network. Arrays: ``changed_<method>``, the share
    that differs from the end, per epoch.
    """
    data = bottlenecks.images(settings, seed, device)
    middle = Middle(data, settings["n_real"], seed)
    nets = bottlenecks.train(settings, seed, device, watch=middle.watch, data=data).nets
    metrics, arrays = {}, {}
    for name, net in nets.items():
        metrics |= middle.metrics(name, net)
        line = interpolated(net, middle.test, middle.y, LAYER, [0.5], partner=middle.partner)
        metrics[f"excess_{name}"] = float(line.excess)
        last = middle.named[name][-1]
        shares = [_share(classes != last) for classes in middle.named[name]]
        arrays[f"changed_{name}"] = np.asarray(shares, dtype="float32")
    return metrics | retrieved(nets["manifold"], data, settings["n_real"], seed), arrays


BETWEEN = Study(
    "ch12-between",
    between,
    {profile: [cell(profile)] for profile in ("smoke", "quick", "paper")},
    seeds={"smoke": 1, "quick": 5, "paper": 5},
    live_seeds={"quick": 1},
    data="mnist",
)


@BETWEEN.evidence("CHO-tie")
def _tie(runs: Runs) -> Components:
    return components({name: sample(per_seed(runs.table, f"changed_{name}")) for name in METHODS})


@BETWEEN.evidence("CHO-empty")
def _empty(runs: Runs) -> Components:
    table = runs.table
    ratio = per_seed(table, "excess_manifold") / per_seed(table, "excess_none")
    empty = sample(per_seed(table, "empty_manifold"))
    return components({"empty": empty, "no meaning for the head": sample(ratio)})


@BETWEEN.evidence("CHO-related")
def _related(runs: Runs) -> Errors:
    table = runs.table
    return errors(table["error_retrieved"], table["control_retrieved"])


@FREE.evidence("CHO-theory")
def _theory(runs: Runs) -> Components:
    """Return how many directions the minimum of the mixed loss takes from a class, by seed."""
    table = runs.table
    wanted = {"head": "affine", "mixing": True, "decay": 0.0, "units": 6}
    return components(
        {
            name: sample(6 - per_seed(table, "rank", wanted | {"loss": loss}))
            for name, loss in (("squared loss", "squared"), ("cross-entropy", "ce"))
        }
    )
