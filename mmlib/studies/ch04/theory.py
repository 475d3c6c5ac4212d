"""Chapter 04 without training: the algorithms by hand, the two losses, gradients, costs."""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from mmlib.mixing import Draw, Mixup, mse, soft_cross_entropy
from mmlib.models import build, mlp
from mmlib.studies.ch04.experiments import method_of, network, task, train
from mmlib.training.consistency import virtual_adversary
from mmlib.training.semi_supervised import (
    algorithm_1,
    algorithm_3,
    l1_penalty,
    outputs,
    pseudo_targets,
    sigmoid_ramp,
)
from mmlib.training.ssl_methods import PseudoMix

HIDDEN = ("input", "layer1", "layer2")


def _rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _net(sizes: tuple[int, ...], seed: int, activation: str = "tanh") -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        return mlp(sizes, activation).double()


def _pair(layers: tuple[str, ...], seed: int) -> dict[str, Mixup]:
    return {
        "labelled": Mixup(0.5, layers, generator=_rng(2 * seed)),
        "unlabelled": Mixup(2.0, layers, generator=_rng(2 * seed + 1)),
    }


# ------------------------------------------------------------------------ the algorithms

MISTAKES = ("targets not mixed", "sum over the outputs", "gradient through the targets", "one draw")


def by_hand(
    net: nn.Sequential,
    x_l: Tensor,
    y_l: Tensor,
    x_u: Tensor,
    draws: tuple[Draw, Draw],
    weight: float,
    mistake: str = "",
) -> tuple[Tensor, Tensor, Tensor]:
    """Return L_S, L_US and L of Algorithm 1 from the weights alone: no `Mixup`, no loss of ours.

    Args:
        net: a `mlp` with tanh units.
        x_l: (B, D) labelled inputs.
        y_l: (B,) their classes.
        x_u: (B', D) unlabelled inputs.
        draws: layer, lambda and partners for either batch.
        weight: pi.
        mistake: one of `MISTAKES`, planted on purpose.
    """
    maps = [module for module in net.modules() if isinstance(module, nn.Linear)]

    def run(x: Tensor, draw: Draw | None) -> Tensor:
        h = x
        for place, one in enumerate(maps):
            name = "input" if place == 0 else f"layer{place}"
            if draw is not None and draw.layer == name:
                lam = float(draw.lam)
                h = lam * h + (1 - lam) * h[draw.partner]
            h = h @ one.weight.T + one.bias
            h = torch.tanh(h) if place < len(maps) - 1 else h
        return h

    def mixed(t: Tensor, draw: Draw) -> Tensor:
        lam = float(draw.lam)
        return lam * t + (1 - lam) * t[draw.partner]

    first, second = draws
    if mistake == "one draw":
        second = Draw(second.size, second.layer, first.lam, second.partner)
    one_hot = torch.eye(net.head.out_features, dtype=x_l.dtype)[y_l]
    log_p = run(x_l, first).log_softmax(1)
    l_s = -(mixed(one_hot, first) * log_p).sum() / len(x_l)
    pseudo = run(x_u, None).softmax(1)
    if mistake != "gradient through the targets":
        pseudo = pseudo.detach()
    target = pseudo if mistake == "targets not mixed" else mixed(pseudo, second)
    squared = (run(x_u, second).softmax(1) - target) ** 2
    l_us = squared.sum(1).mean() if mistake == "sum over the outputs" else squared.mean()
    return l_s, l_us, l_s + weight * l_us


def _distance(net: nn.Module, one: tuple[Tensor, ...], two: tuple[Tensor, ...]) -> float:
    """Return the largest difference of losses and of the gradients of the totals."""
    weights = list(net.parameters())
    gradients = [
        torch.autograd.grad(losses[-1], weights, retain_graph=True) for losses in (one, two)
    ]
    apart = [(a - b).abs().max() for a, b in zip(*gradients, strict=True)]
    apart += [(a - b).abs() for a, b in zip(one, two, strict=True)]
    return float(torch.stack(apart).max().detach())


def algorithms(settings: dict, seed: int) -> dict:
    """Algorithms 1 and 3 against independent computations, in float64; each with its control.

    Metrics: ``algorithm_1``, the largest difference of losses and gradients to `by_hand`, and
    ``algorithm_1_control``, the smallest such difference with a planted mistake; ``algorithm_3``,
    Algorithm 1 with mixing at the input against Algorithm 3 as printed, and its control, mixing at
    a hidden layer; the same for the schedule (``ramp``; control: a linear one); ``ramp_start``,
    ``ramp_end`` (distance from 1 at the end of the ramp) and ``ramp_before`` (halfway).
    """
    rng = _rng(seed)
    net = _net((4, 5, 6, 3), seed)
    x_l = torch.randn(6, 4, generator=rng, dtype=torch.float64)
    x_u = 2 * torch.randn(7, 4, generator=rng, dtype=torch.float64)
    y_l = torch.randint(3, (6,), generator=rng)
    weight = float(torch.rand(1, generator=rng))
    found = algorithm_1(net, x_l, y_l, x_u, **_pair(HIDDEN, seed), weight=weight)
    ours = (found.supervised, found.unsupervised, found.total)
    twins = _pair(HIDDEN, seed)
    draws = (twins["labelled"].draw(6), twins["unlabelled"].draw(7))
    given = (net, x_l, y_l, x_u, draws, weight)
    controls = [_distance(net, ours, by_hand(*given, mistake=name)) for name in MISTAKES]

    printed = algorithm_3(
        net, x_l, y_l, x_u, **_pair(("input",), seed), weight=weight, num_classes=3
    )
    third = (printed.supervised, printed.unsupervised, printed.total)
    other = {}
    for layers in (("input",), ("layer1",)):
        one = algorithm_1(net, x_l, y_l, x_u, **_pair(layers, seed), weight=weight)
        other[layers] = _distance(net, third, (one.supervised, one.unsupervised, one.total))

    n = settings["updates"]
    steps = np.arange(n + 1)
    t = np.minimum(steps / (0.4 * n), 1)
    schedule = np.asarray([sigmoid_ramp(int(step), 0.4 * n) for step in steps])
    return {
        "algorithm_1": _distance(net, ours, by_hand(*given)),
        "algorithm_1_control": min(controls),
        **{f"mistake_{i}": value for i, value in enumerate(controls)},
        "algorithm_3": other[("input",)],
        "algorithm_3_control": other[("layer1",)],
        "ramp": float(np.abs(schedule - np.exp(-5 * (1 - t) ** 2)).max()),
        "ramp_control": float(np.abs(schedule - t).max()),
        "ramp_start": sigmoid_ramp(0, 0.4 * n),
        "ramp_end": abs(1 - sigmoid_ramp(0.4 * n, 0.4 * n)),
        "ramp_before": 1 - sigmoid_ramp(0.2 * n, 0.4 * n),
    }


# ------------------------------------------------------------------------ the unlabelled loss


def losses(settings: dict, seed: int) -> tuple[dict, dict]:
    """What the unlabelled term asks for, with probabilities and with logits, in float64.

    Metrics: ``affine_logits``, the term of an affine network, which is zero, and its controls
    ``affine_probabilities`` and ``curved_logits`` (a network with a hidden layer);
    ``bound``, the largest term with probabilities over its bound 2 / K, met by ``bound_reached``.
    Arrays, over ``scale``, the factor of the last layer: ``loss_T`` and ``gradient_T``, the term
    and the norm of its gradient in the logits of the mixed batch, for either kind T of targets.
    """
    rng = _rng(seed)
    k = settings["classes"]
    x = torch.randn(64, 6, generator=rng, dtype=torch.float64)
    affine, curved = _net((6, k), seed), _net((6, 16, k), seed)
    scales = np.asarray(settings["scales"])
    arrays: dict[str, list[float]] = {}
    for kind in ("probabilities", "logits"):
        for scale in scales:
            scaled = copy.deepcopy(curved)
            scaled.head.weight.data.mul_(scale)
            scaled.head.bias.data.mul_(scale)
            term, slope = _term(scaled, x, kind, seed)
            arrays.setdefault(f"loss_{kind}", []).append(term)
            arrays.setdefault(f"gradient_{kind}", []).append(slope)
    apart = torch.eye(k, dtype=torch.float64)
    metrics = {
        "affine_logits": _term(affine, x, "logits", seed)[0],
        "affine_probabilities": _term(affine, x, "probabilities", seed)[0],
        "curved_logits": _term(curved, x, "logits", seed)[0],
        "bound": max(arrays["loss_probabilities"]) * k / 2,
        "bound_reached": float(mse(apart[:1], apart[1:2])) * k / 2,
        "quadratic": arrays["loss_logits"][-1] / arrays["loss_logits"][0],
    }
    return metrics, {name: np.asarray(v) for name, v in arrays.items()} | {"scale": scales}


def _term(net: nn.Module, x: Tensor, kind: str, seed: int) -> tuple[float, float]:
    """Return the unlabelled term and the norm of its gradient in the logits of the mix."""
    mixed = Mixup(2.0, generator=_rng(seed))(net, x, pseudo_targets(net, x, targets=kind))
    term = mse(outputs(mixed.logits, kind), mixed.targets)
    (slope,) = torch.autograd.grad(term, mixed.logits)
    return float(term.detach()), float(slope.norm())


TERMS = ("labelled", "unlabelled", "through the targets", "L1")


def gradients(settings: dict, seed: int) -> dict:
    """Norm of the gradient that each term gives to each layer, when the mix is at one layer.

    Metrics: ``TERM | LAYER`` for the terms of `TERMS` and the layers of the network. The third is
    what the unlabelled term would add if the pseudo-targets were not detached.
    """
    rng = _rng(seed)
    net = _net((8, 12, 12, 12, 5), seed, "relu")
    x_l, x_u = (torch.randn(32, 8, generator=rng, dtype=torch.float64) for _ in range(2))
    y_l = torch.randint(5, (32,), generator=rng)
    found = algorithm_1(net, x_l, y_l, x_u, **_pair((settings["layer"],), seed), weight=1.0)
    mix = found.unlabelled
    lam = float(mix.lam)
    live = net(x_u).softmax(1)
    target = lam * live + (1 - lam) * live[mix.partner]
    through = mse(outputs(mix.logits, "probabilities").detach(), target)
    terms = (found.supervised, found.unsupervised, through, l1_penalty(net))
    metrics = {}
    for term, value in zip(TERMS, terms, strict=True):
        named = dict(net.named_parameters())
        slopes = torch.autograd.grad(value, list(named.values()), retain_graph=True)
        for layer in [name for name, _ in net.named_children() if name != "flatten"]:
            own = [g for name, g in zip(named, slopes, strict=True) if name.startswith(layer)]
            metrics[f"{term} | {layer}"] = math.sqrt(sum(float(g.square().sum()) for g in own))
    return metrics


# ------------------------------------------------------------------------ the probe of VAT


def probes(settings: dict, seed: int) -> dict:
    """How well the adversarial direction in float32 agrees with that of a tiny probe in float64.

    Metrics: ``cosine_XI``, the median over images between the direction after one power iteration
    with a probe of that length and the limit (float64, 1e-6), both from one random start;
    ``unmoved_XI``, share of the input's components that x + xi d leaves as they were.
    """
    given = task(settings, seed)
    net = train(settings, seed, given).last.train()
    x = given.data.inputs(given.data.x_test[: settings["n_images"]])
    exact = copy.deepcopy(net).double()

    def direction(model: nn.Module, at: Tensor, xi: float) -> Tensor:
        # The same start in both precisions: it is drawn once, in float32.
        with torch.no_grad():
            logits = model(at)
        start = torch.randn(x.shape, generator=_rng(seed)).to(at)
        return virtual_adversary(model, at, logits, xi=xi, start=start)

    limit = direction(exact, x.double(), 1e-6).flatten(1)
    start = torch.randn(x.shape, generator=_rng(seed))
    start = start / start.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    metrics = {}
    for xi in settings["xis"]:
        found = direction(net, x, xi).flatten(1).double()
        metrics[f"cosine_{xi:g}"] = float((found * limit).sum(1).median())
        metrics[f"unmoved_{xi:g}"] = 100 * float((x + xi * start == x).double().mean())
    return metrics


# ------------------------------------------------------------------------ what a step costs


def costs(settings: dict, seed: int) -> dict:
    """Passes and time of a step of each method, on random images.

    Metrics, for each method: ``forward_M``, ``backward_M``, passes of a batch through the network
    (or a copy) in one step; ``averages_M``, 1 if the step ends with averaging weights;
    ``time_M``, processor time over that of a supervised step on twice the batch, the median over
    rounds that alternate. ``mixing_time``: a step of Manifold Mixup over one with the same passes
    and no mix.
    """
    size = settings["batch"]
    rng = _rng(seed)
    pixels = (settings["channels"], settings["size"], settings["size"])
    x_l, x_u, x_v = (torch.randn(size, *pixels, generator=rng) for _ in range(3))
    y = torch.randint(10, (2 * size,), generator=rng)

    def stepper(kind: str) -> tuple[Callable, nn.Module, object]:
        own = settings["methods"][kind]
        net = network(own, _Shape(settings["channels"], 10, settings["size"], x_l.device), seed)
        method = method_of(own, seed)
        method.start(net)
        optimiser = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)

        def step() -> None:
            views = [x_u, x_v][: method.views]
            found = method.losses(net, x_l, y[:size], views, 1.0)
            _descend(optimiser, found.total)
            method.updated(net)

        return step, net, method

    metrics: dict[str, float] = {}
    steps: dict[str, Callable] = {}
    for kind in settings["methods"]:
        steps[kind], net, method = stepper(kind)
        metrics |= {
            f"{key}_{kind}": v for key, v in _passes(steps[kind], net, method, size).items()
        }
    steps["twice"] = _plain_step(settings, torch.cat([x_l, x_u]), y, seed)
    steps["no mix"] = _unmixed_step(settings, x_l, x_u, y[:size], seed)
    took = _alternating(steps, settings["rounds"])
    for kind in settings["methods"]:
        metrics[f"time_{kind}"] = _median_ratio(took[kind], took["twice"])
    metrics["mixing_time"] = _median_ratio(took["manifold"], took["no mix"])
    return metrics


class _Shape:
    """What `network` asks of a data set."""

    def __init__(self, channels: int, classes: int, size: int, device: torch.device) -> None:
        self.in_channels, self.num_classes, self.image_size = channels, classes, size
        self.device = device


def _descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def _small(settings: dict, seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    own = next(iter(settings["methods"].values()))
    net = build(own["model"], settings["channels"], 10, settings["size"], own["width"], seed=seed)
    return net, torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)


def _plain_step(settings: dict, x: Tensor, y: Tensor, seed: int) -> Callable:
    net, optimiser = _small(settings, seed)
    return lambda: _descend(optimiser, soft_cross_entropy(net(x), y))


def _unmixed_step(settings: dict, x_l: Tensor, x_u: Tensor, y: Tensor, seed: int) -> Callable:
    """Return the passes of Algorithm 1 without a mix."""
    net, optimiser = _small(settings, seed)

    def step() -> None:
        l_s = soft_cross_entropy(net(x_l), y)
        target = pseudo_targets(net, x_u)
        _descend(optimiser, l_s + mse(outputs(net(x_u), "probabilities"), target))

    return step


def _passes(step: Callable, net: nn.Module, method: PseudoMix, size: int) -> dict[str, float]:
    """Count what one step does, by hooks on the output of the network and its copies."""
    count = {"forward": 0.0, "backward": 0.0}

    def back(gradient: Tensor) -> None:
        count["backward"] += len(gradient) / size

    def forward(module: nn.Module, args: tuple, output: Tensor) -> None:
        count["forward"] += len(output) / size
        if output.requires_grad:
            output.register_hook(back)

    copies = method.modules
    handles = [one.register_forward_hook(forward) for one in (net, *copies.values())]
    before = [p.clone() for one in copies.values() for p in one.parameters()]
    step()
    for handle in handles:
        handle.remove()
    after = [p for one in copies.values() for p in one.parameters()]
    moved = any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    return count | {"averages": float(moved)}


def _alternating(steps: dict[str, Callable], rounds: int) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {name: [] for name in steps}
    for name in steps:
        steps[name]()
    for i in range(rounds):
        for name in list(steps) if i % 2 else list(steps)[::-1]:
            began = time.process_time()
            steps[name]()
            took[name].append(time.process_time() - began)
    return took


def _median_ratio(one: list[float], two: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(one, two, strict=True))
