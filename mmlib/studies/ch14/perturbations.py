"""What the partners of k-mixup are on larger sets, drawn: their directions, and the expansion."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mmlib.checks import choice
from mmlib.data import load
from mmlib.measures.coupling_law import sampled_weights, squared_reach
from mmlib.measures.mixup_expansion import pair_expansion, pair_terms, remainders
from mmlib.measures.weight_laws import jacobi_nodes, partner_moments
from mmlib.mixing import Law, OptimalPairing
from mmlib.mixing.law import uniforms
from mmlib.studies.ch14.expansion import Pairs, Problem, nodes_of, problem, relative

CURVES = ("circle", "spiral", "bars")


def curve(name: str, n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return random points of a curve, unit tangents (both (n, 2) float64), and (n,) classes.

    ``circle``: radius 1, four arcs of alternating class; ``spiral``: radius 0.3 to 1 in one and a
    half turns, four pieces of alternating class; ``bars``: two parallel bars of length 2, a
    distance of 1 apart, a class each. There is no noise.

    Example:
        >>> x, tangent, y = curve("circle", 4, 0)
        >>> torch.allclose((x * tangent).sum(1), torch.zeros(4).double())
        True
    """
    choice("curve", name, CURVES)
    u = torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    if name == "bars":
        y = torch.arange(n) % 2
        tangent = torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(n, 2)
        return torch.stack([2 * u - 1, y - 0.5], 1), tangent, y
    turns, radius = (1.0, torch.ones_like(u)) if name == "circle" else (1.5, 0.3 + 0.7 * u)
    growth = torch.zeros_like(u) if name == "circle" else torch.full_like(u, 0.7)
    angle = 2 * math.pi * turns * u
    out = torch.stack([angle.cos(), angle.sin()], 1)
    round_ = torch.stack([-angle.sin(), angle.cos()], 1)
    tangent = growth[:, None] * out + (2 * math.pi * turns * radius)[:, None] * round_
    return radius[:, None] * out, tangent / tangent.norm(dim=1, keepdim=True), (4 * u).long() % 2


def trained(
    x: Tensor,
    y: Tensor,
    widths: tuple[int, ...],
    settings: dict[str, Any],
    seed: int,
    k: int | None = None,
) -> Callable[[Tensor], Tensor]:
    """Return a network of tanh units trained with all examples in each step.

    Args:
        x: (N, D) points.
        y: (N, K) labels.
        widths: of the hidden layers.
        settings: ``lr`` and ``steps`` of Adam, ``alpha`` where it mixes.
        seed: of the first weights and of the mixes.
        k: None for the plain loss; k-mixup with a new matching and one lambda a step otherwise.
    """
    sizes, layers = (x.shape[1], *widths), []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for first, second in zip(sizes, sizes[1:], strict=False):
            layers += [nn.Linear(first, second), nn.Tanh()]
        net = nn.Sequential(*layers, nn.Linear(sizes[-1], y.shape[1])).to(x)
    optimizer = torch.optim.Adam(net.parameters(), settings["lr"])
    generator, points, labels = torch.Generator().manual_seed(seed), x, y
    for _ in range(settings["steps"]):
        if k is not None:
            pairing = OptimalPairing(k, sets="independent")
            order = pairing.draw(len(x), generator, other=True)
            rows, partner = order[0], pairing.match(order, x, x)
            lam = float(Law("beta", settings["alpha"]).quantile(uniforms(1, generator)))
            points = torch.lerp(x[partner], x[rows], lam)
            labels = torch.lerp(y[partner], y[rows], lam)
        loss = nn.functional.cross_entropy(net(points), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.requires_grad_(False)


def expanded(one: Problem, weights: Tensor, alpha: float, nodes: int) -> dict[str, float]:
    """Return the terms of Theorem 3 under given laws of the partners, the remainder and the effect.

    Keys ``r1``, ``r2``, ``r3``, ``rest``, ``relative`` (remainder over R2 and R3 by size),
    ``gross`` (the same with sizes pair by pair before the means, so that nothing cancels) and
    ``effect`` (the whole k-mixup loss less the plain loss), under the label of the point itself.
    """
    pairs = Pairs.of(one, weights)
    terms = pair_terms(one.network, *pairs[:3])
    a, probability = nodes_of(jacobi_nodes(alpha, alpha + 1, nodes))
    left = torch.zeros_like(pairs.weight)
    for at, share in zip(a.to(one.x), probability.tolist(), strict=True):  # one at a time: memory
        left += share * remainders(one.network, pairs[:3], terms, at[None])[0]
    left, terms, weight = left.double(), terms.double(), pairs.weight.double()
    found, rest = pair_expansion(terms, weight, alpha), float(weight @ left)
    second = partner_moments(alpha)[1] * float(weight @ terms[:, 2:].abs().sum(1))
    return {
        "r1": found.r1,
        "r2": found.r2,
        "r3": found.r3,
        "rest": rest,
        "relative": relative(rest, found.r2, found.r3),
        "gross": relative(float(weight @ left.abs()), second, 0.0),
        "effect": found.r1 + found.r2 + found.r3 + rest,
    }


def local(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Partners on a curve for several k: how far, in which direction, and what they do to a loss.

    Metrics, each with ``_<k>``: ``reach``, mean squared distance to the partner; ``across``, its
    share across the curve; those of `expanded` for a network trained on the plain loss, and
    ``random_gross`` for one with random weights of unit size, which nothing has saturated.
    ``plain`` and ``accuracy`` are those of the trained network.
    """
    x, tangent, classes = curve(settings["curve"], settings["n"], seed)
    y = torch.eye(2, dtype=x.dtype)[classes]
    one = Problem(x, y, trained(x, y, (settings["hidden"],) * 2, settings, seed))
    rough = Problem(x, y, problem(x, 2, seed).network)
    generator = torch.Generator().manual_seed(seed)
    metrics = _fit(one, classes)
    for k in settings["ks"]:
        weights = sampled_weights(x, k, settings["draws"], generator)
        reach = float(squared_reach(weights, x).mean())
        along = torch.einsum("ijd,id->ij", x[None] - x[:, None], tangent).square()
        across = 1 - float((weights * along).sum() / len(x)) / reach
        found = {"reach": reach, "across": across}
        found |= expanded(one, weights, settings["alpha"], settings["nodes"])
        other = expanded(rough, weights, settings["alpha"], settings["nodes"])
        found["random_gross"] = other["gross"]
        metrics |= {f"{name}_{k}": value for name, value in found.items()}
    return metrics


def digits(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """The expansion for a network of tanh units on images, trained plainly or with k-mixup.

    Metrics as `local` (but ``across``), the terms with ``_<k>_<alpha>``.
    """
    data = load(settings["data"])
    data = data.subset(settings["n"], 10, seed=seed, at_most=data.embedded)
    x, classes = data.inputs(data.x_train).flatten(1), data.y_train
    y = torch.eye(data.num_classes)[classes]
    one = Problem(x, y, trained(x, y, (settings["hidden"],), settings, seed, settings["trained_k"]))
    generator = torch.Generator().manual_seed(seed)
    metrics = _fit(one, classes)
    for k in settings["ks"]:
        weights = sampled_weights(x, k, settings["draws"], generator).to(x)
        i, j = weights.nonzero().T
        metrics[f"reach_{k}"] = float(weights[i, j] @ (x[i] - x[j]).square().sum(1)) / len(x)
        for alpha in (settings["alpha"], *settings["alphas"]):
            found = expanded(one, weights, alpha, settings["nodes"])
            metrics |= {f"{name}_{k}_{alpha:g}": value for name, value in found.items()}
    return metrics


def _fit(one: Problem, classes: Tensor) -> dict[str, float]:
    out = one.network(one.x)
    return {
        "plain": float(nn.functional.cross_entropy(out, classes)),
        "accuracy": float((out.argmax(1) == classes).double().mean()),
    }
