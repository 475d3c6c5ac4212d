"""Mixing at the last layer beside plain training with another rate: two runs, step by step.

The mixed run takes the expected gradient of each batch by brute force, mixing the states of all
pairs at Gauss nodes of lambda and sending them through the head; no closed form is used. Float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from math import cos, pi
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmlib.data.dataset import Dataset
from mmlib.measures.mixed_gradient import Loss, half_squared
from mmlib.measures.subspaces import beta_nodes, squared_shrinkage
from mmlib.mixing import Law, soft_cross_entropy
from mmlib.mixing.law import permutation, uniforms
from mmlib.models import mlp
from mmlib.studies.bottlenecks import images
from mmlib.studies.ch12.noise import noise_parts

OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


@dataclass(frozen=True)
class Comparison:
    """Two runs that share everything but the mixing and what is rescaled for it.

    Attributes:
        optimizer: a key of `OPTIMIZERS`.
        momentum: of SGD.
        schedule: whether the rate falls along a cosine.
        norm: batch norm behind the last hidden layer, in front of the mix.
        layer: where to mix; "layer1" leaves a hidden layer in the head.
        loss: of both runs.
        centred: the head's bias is the best one for each batch; else it is learned.
        kept: options that the plain run keeps although they should be rescaled.
        wrong: options that the plain run multiplies by c although they should be kept.
    """

    optimizer: str = "sgd"
    momentum: float = 0.9
    schedule: bool = False
    norm: bool = False
    layer: str = "layer2"
    loss: Loss = field(default=half_squared)
    centred: bool = True
    kept: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()

    def options(self, settings: dict[str, Any]) -> dict[str, float]:
        """Return the optimiser's options of the mixed run."""
        if self.optimizer == "sgd":
            # Momentum makes the way 1 / (1 - momentum) times as long.
            rate = {"lr": settings["lr"] * (1 - self.momentum), "momentum": self.momentum}
        else:
            rate = {"lr": settings["adam_lr"], "eps": 1e-8}
        return rate | {"weight_decay": settings["weight_decay"]}

    def plain_options(self, settings: dict[str, Any], c: float) -> dict[str, float]:
        """Return the options with which plain training makes the same steps.

        A gradient that is c times larger is a rate c times larger for SGD, with or without
        momentum. Adam divides it out, up to its epsilon; decay that is added to the gradient
        counts 1 / c as much beside it, decoupled decay (AdamW) does not notice.
        """
        factors = {"sgd": {"lr": c, "weight_decay": 1 / c}, "adam": {"eps": 1 / c}}
        factors["adamw"] = factors["adam"]
        factors["adam"] = factors["adam"] | {"weight_decay": 1 / c}
        chosen = {k: f for k, f in factors[self.optimizer].items() if k not in self.kept}
        chosen |= dict.fromkeys(self.wrong, c)
        return {k: v * chosen.get(k, 1.0) for k, v in self.options(settings).items()}


# The theorem's cases.
EQUAL: dict[str, Comparison] = {
    "SGD": Comparison(momentum=0.0),
    "SGD, momentum": Comparison(),
    "SGD, schedule": Comparison(schedule=True),
    "SGD, batch norm": Comparison(norm=True),
    "Adam": Comparison("adam"),
    "AdamW": Comparison("adamw"),
}
# One condition broken in each.
BROKEN: dict[str, Comparison] = {
    "rate kept": Comparison(kept=("lr",)),
    "decay kept": Comparison(kept=("weight_decay",)),
    "Adam's rate times c": Comparison("adam", wrong=("lr",)),
    "Adam's epsilon kept": Comparison("adam", kept=("eps",)),
    "bias learned": Comparison(centred=False),
    "curved head": Comparison(layer="layer1"),
    "cross-entropy": Comparison(loss=soft_cross_entropy, centred=False),
}


@dataclass(frozen=True, eq=False)
class Setting:
    """The data of a run and its batches.

    Attributes:
        x: (n, D) inputs, float64.
        y: (n, K) targets.
        settings: those of the study.
        seed: of the order of the examples.
    """

    x: Tensor
    y: Tensor
    settings: dict[str, Any]
    seed: int

    def batches(self) -> Iterator[Tensor]:
        """Yield the rows of each batch, the same for all runs."""
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(self.settings["epochs"]):
            yield from torch.randperm(len(self.x), generator=generator).split(
                self.settings["batch"]
            )

    @property
    def steps(self) -> int:
        """Number of batches."""
        return self.settings["epochs"] * -(-len(self.x) // self.settings["batch"])


def setting(settings: dict[str, Any], data: Dataset, seed: int) -> Setting:
    """Return images with one-hot targets, or with Gaussian ones that nothing explains."""
    rows = torch.eye(data.num_classes, dtype=torch.float64)[data.y_train.cpu()]
    if settings["targets"] == "random":
        rows = torch.randn(rows.shape, generator=torch.Generator().manual_seed(seed)).double()
    return Setting(data.inputs(data.x_train).cpu().double().flatten(1), rows, settings, seed)


def network(inputs: int, outputs: int, width: int, norm: bool, seed: int) -> nn.Sequential:
    """Return ``flatten, layer1, layer2, head`` in float64, batch norm at the end of layer2."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        net = mlp((inputs, width, width, outputs), "tanh")
    if norm:
        net.layer2.append(nn.BatchNorm1d(width))
    return net.double().train()


def all_pairs(head: nn.Module, z: Tensor, y: Tensor, alpha: float, loss: Loss) -> Tensor:
    """Return the mean mixed loss over all pairs of a batch and lambda.

    Two nodes are exact for squared error and an affine head, four serve the others.
    """
    exact = loss is half_squared and isinstance(head, nn.Linear)
    nodes = zip(*beta_nodes(alpha, 2 if exact else 4), strict=True)
    total = z.new_zeros(())
    for lam, weight in nodes:
        states = lam * z[:, None] + (1 - lam) * z[None]
        targets = lam * y[:, None] + (1 - lam) * y[None]
        total = total + weight * loss(head(states.flatten(0, 1)), targets.flatten(0, 1), "mean")
    return total


def run(
    first: nn.Sequential,
    where: Setting,
    how: Comparison,
    options: dict[str, float],
    mode: str,
    draws: int = 0,
    look: Callable[[int, nn.Sequential], None] | None = None,
) -> list[Tensor]:
    """Train a copy of a network; return its weights at the start and after every epoch.

    Args:
        first: the network as it starts.
        where: data and batches.
        how: loss, layer, bias and schedule.
        options: of the optimiser.
        mode: "plain", "expected" (all pairs) or "sampled" (one lambda and permutation a batch).
        draws: seed of the sampled mixes.
        look: called as ``look(epoch, net)`` before training and after every epoch.
    """
    net, alpha = deepcopy(first), where.settings["alpha"]
    names = [name for name, _ in net.named_children()]
    cut = names.index(how.layer) + 1
    front, behind = net[:cut], net[cut] if cut == len(names) - 1 else net[cut:]
    learned = [p for p in net.parameters() if not (how.centred and p is net.head.bias)]
    optimizer = OPTIMIZERS[how.optimizer](learned, **options)
    generator, law = torch.Generator().manual_seed(draws), Law("beta", alpha)
    per_epoch = where.steps // where.settings["epochs"]
    kept = [torch.cat([p.detach().flatten() for p in learned])]
    if look:
        look(0, net)
    for step, rows in enumerate(where.batches()):
        if how.schedule:
            optimizer.param_groups[0]["lr"] = options["lr"] * (1 + cos(pi * step / where.steps)) / 2
        z, y = front(where.x[rows]), where.y[rows]
        if how.centred:
            with torch.no_grad():
                net.head.bias += (y - behind(z)).mean(0)
        if mode == "plain":
            loss = how.loss(behind(z), y, "mean")
        elif mode == "expected":
            loss = all_pairs(behind, z, y, alpha, how.loss)
        else:
            lam = law.quantile(uniforms(1, generator))[0]
            partner = permutation(len(rows), generator)
            mixed = behind(torch.lerp(z[partner], z, lam))
            loss = how.loss(mixed, torch.lerp(y[partner], y, lam), "mean")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % per_epoch == 0:
            kept.append(torch.cat([p.detach().flatten() for p in learned]))
            if look:
                look((step + 1) // per_epoch, net)
    return kept


def gaps(found: list[Tensor], wanted: list[Tensor]) -> np.ndarray:
    """Return the distance of two runs over the length of the way from the start, by epoch."""
    start = wanted[0]
    pairs = list(zip(found, wanted, strict=True))[1:]
    return np.array([float((a - b).norm() / (b - start).norm()) for a, b in pairs])


def sampling(
    first: nn.Sequential, where: Setting, how: Comparison, runs: int, wanted: list[Tensor]
) -> tuple[dict[str, float], np.ndarray]:
    """How far runs with sampled mixes end from the plain run with its rate, and from each other.

    ``gap_sampled``: mean distance to the plain run; ``gap_seeds``: mean distance of two of them;
    ``gap_mean``: distance of their mean to the plain run.
    """
    options = how.options(where.settings)
    found = [run(first, where, how, options, "sampled", 1000 * where.seed + k) for k in range(runs)]
    to_plain = np.stack([gaps(one, wanted) for one in found])
    apart = [gaps(a, b)[-1] for i, a in enumerate(found) for b in found[:i]]
    middle = [torch.stack(at).mean(0) for at in zip(*found, strict=True)]
    return {
        "gap_sampled": float(to_plain[:, -1].mean()),
        "gap_seeds": float(np.mean(apart)),
        "gap_mean": float(gaps(middle, wanted)[-1]),
    }, to_plain.mean(0)


def equal(
    settings: dict[str, Any], seed: int, device: str = "cpu"
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Compare runs; all share their first weights and batches. On the CPU, in float64.

    Metrics: ``gap <name>``, the largest distance over epochs (see `gaps`) for each comparison
    asked for; those of `sampling`; ``accuracy`` of the plain run on its own images, in %;
    ``fit``, its loss at the end over that at the start.
    Arrays: ``gaps`` (comparisons, epochs), ``sampled`` (epochs,), ``noise`` (looks, 4) of
    `mmlib.studies.ch12.noise.noise_parts` along a run with sampled mixes, ``noise_epochs``.
    """
    data = images(settings, seed)
    where = setting(settings, data, seed)
    inputs, outputs = where.x.shape[1], where.y.shape[1]
    nets = {n: network(inputs, outputs, settings["width"], n, seed) for n in (False, True)}
    c = squared_shrinkage(settings["alpha"])
    metrics: dict[str, float] = {}
    curves = []
    for name in settings["comparisons"]:
        how = (EQUAL | BROKEN)[name]
        mixed = run(nets[how.norm], where, how, how.options(settings), "expected")
        plain = run(nets[how.norm], where, how, how.plain_options(settings, c), "plain")
        curves.append(gaps(mixed, plain))
        metrics[f"gap {name}"] = float(curves[-1].max())
    arrays = {"gaps": np.array(curves, dtype="float32")}
    if settings["sampled"]:
        metrics |= noisy(nets[False], where, settings, c, arrays)
    return metrics, arrays


def noisy(
    first: nn.Sequential,
    where: Setting,
    settings: dict[str, Any],
    c: float,
    arrays: dict[str, np.ndarray],
) -> dict[str, float]:
    """Add the sampled runs: distances, how well the plain run fits, the noise along one run."""
    how = EQUAL["SGD, momentum"]
    ends: dict[int, tuple[float, float]] = {}
    parts: list[list[float]] = []
    epochs = [e for e in settings["looks"] if e <= settings["epochs"]]

    def fit(epoch: int, net: nn.Sequential) -> None:
        with torch.no_grad():
            out = net(where.x)
        hit = (out.argmax(1) == where.y.argmax(1)).double().mean()
        ends[epoch] = (float(half_squared(out, where.y)), 100 * float(hit))

    def watch(epoch: int, net: nn.Sequential) -> None:
        if epoch in epochs:
            parts.append(noise_parts(net, where.x, where.y, settings["batch"], settings["alpha"]))

    wanted = run(first, where, how, how.plain_options(settings, c), "plain", look=fit)
    found, curve = sampling(first, where, how, settings["sampled"], wanted)
    run(first, where, how, how.options(settings), "sampled", 1000 * where.seed, watch)
    arrays |= {
        "sampled": curve.astype("float32"),
        "noise": np.array(parts, dtype="float32"),
        "noise_epochs": np.array(epochs),
    }
    last = ends[settings["epochs"]]
    return found | {"fit": last[0] / ends[0][0], "accuracy": last[1]}
