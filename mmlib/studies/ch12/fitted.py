"""Squared error trained until the examples are fitted: what stops, and how flat the states are."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmlib.measures.interpolation import cyclic_partner
from mmlib.measures.mixed_expectation import expected_mixed_loss
from mmlib.measures.mixed_gradient import gradient_terms, half_squared
from mmlib.measures.spectra import class_spectra, effective_rank, within_over_total
from mmlib.measures.subspaces import squared_shrinkage
from mmlib.mixing import Law, capture, mix_at
from mmlib.mixing.law import permutation, uniforms
from mmlib.models import mlp
from mmlib.studies.bottlenecks import images

SITE = "layer2"  # the states that the head sees


@dataclass(frozen=True)
class Arm:
    """How a network is trained; all use half the squared error of one-hot targets.

    Attributes:
        layer: where to mix, None for no mixing.
        rescaled: whether the rate is multiplied by c = (a + 1) / (2a + 1), Part 2's equal run.
        rank: of a head that stays as it starts; None for a head that is trained.
    """

    layer: str | None = None
    rescaled: bool = False
    rank: int | None = None


ARMS: dict[str, Arm] = {
    "plain": Arm(),
    "equal": Arm(rescaled=True),
    "mixed": Arm(SITE),
    "curved": Arm("layer1"),
    "input": Arm("input"),
    "fixed": Arm(SITE, rank=10),
    "fixed4": Arm(SITE, rank=4),
}
CURVES = ("loss", "gradient", "rest", "within")


class Examples:
    """Inputs and one-hot targets of a run, and fixed draws at which gradients are measured.

    Attributes:
        x: inputs by split, (N, D).
        y: classes by split.
        rows: (N, K) one-hot targets of the training examples.
        draws: pairs of lambda and permutation of the training examples.
        partner: for each split a partner for chords, never the example itself.
    """

    def __init__(self, settings: dict[str, Any], seed: int, device: str) -> None:
        data = images(settings, seed, device)
        self.x = {
            "train": data.inputs(data.x_train).flatten(1),
            "test": data.inputs(data.x_test).flatten(1),
        }
        self.y = {"train": data.y_train, "test": data.y_test}
        self.rows = torch.eye(data.num_classes, device=data.device)[data.y_train]
        generator = torch.Generator().manual_seed(50_000 + seed)
        lam = Law("beta", settings["alpha"]).quantile(uniforms(settings["draws"], generator))
        size = len(self.rows)
        self.draws = [(float(one), permutation(size, generator).to(data.device)) for one in lam]
        self.partner = {
            split: cyclic_partner(len(x), generator).to(data.device) for split, x in self.x.items()
        }


@torch.no_grad()
def prepared(first: nn.Sequential, rank: int | None) -> nn.Sequential:
    """Return a copy; with a rank, its head is cut to that rank and does not learn."""
    net = deepcopy(first)
    if rank is not None:
        net.head.requires_grad_(False)
        left, values, right = torch.linalg.svd(net.head.weight, full_matrices=False)
        values[rank:] = 0
        net.head.weight.copy_(left @ torch.diag(values) @ right)
    return net


def gradient(net: nn.Sequential, data: Examples, layer: str | None) -> tuple[float, float]:
    """Return root mean square of the gradient for the features, and the share of the rest in it.

    Over the fixed draws, of all training examples at once. Without mixing lambda is 1.
    """
    whole, rest = 0.0, 0.0
    x = data.x["train"]
    for lam, partner in data.draws if layer else [(1.0, data.draws[0][1])]:
        terms = gradient_terms(net, x, data.rows, layer or SITE, lam, partner, half_squared)
        if layer == "input":  # everything is behind the mix
            both = terms.total("head"), terms.head["rest"]
        else:
            both = terms.total(), terms.features["rest"]
        whole += float(both[0].square().sum())
        rest += float(both[1].square().sum())
    return (whole / len(data.draws if layer else [0])) ** 0.5, (rest / whole) ** 0.5


def flatness(net: nn.Sequential, data: Examples, split: str) -> dict[str, float]:
    """Return three measures of the states that the head sees.

    ``within``: within-class over total variance; ``rank``: effective rank of a class, mean over
    classes; ``chord``: how far the state of the middle of two images lies from the middle of their
    states, over the distance of those, mean over pairs.
    """
    x, y, partner = data.x[split], data.y[split], data.partner[split]
    with torch.no_grad():
        h, middle = capture(net, x, SITE), capture(net, (x + x[partner]) / 2, SITE)
    off = (middle - (h + h[partner]) / 2).norm(dim=1) / (h - h[partner]).norm(dim=1)
    own = torch.stack(list(class_spectra(h.cpu(), y.cpu()).values()))
    return {
        "within": within_over_total(h.cpu(), y.cpu()),
        "rank": float(effective_rank(own).mean()),
        "chord": float(off.mean()),
    }


def blind_share(net: nn.Sequential, data: Examples, split: str) -> float:
    """Return the share of the within-class variance that the head does not see.

    It lies in the null space of the head's weights; fitted examples leave nothing elsewhere.
    """
    with torch.no_grad():
        h = capture(net, data.x[split], SITE)
    y = data.y[split]
    inside = torch.cat([h[y == k] - h[y == k].mean(0) for k in y.unique()])
    basis = torch.linalg.svd(net.head.weight.detach(), full_matrices=False)[2]
    return 1 - float((inside @ basis.T).square().sum() / inside.square().sum())


def residuals(net: nn.Sequential, data: Examples) -> Tensor:
    """Return outputs less targets of the training examples."""
    with torch.no_grad():
        return net(data.x["train"]) - data.rows


def floor(net: nn.Sequential, data: Examples, alpha: float) -> float:
    """Return the least expected mixed loss that any states reach under the head as it is.

    What of ``b - y`` lies outside the range of the weights stays, whatever the states are.
    """
    left, values, _ = torch.linalg.svd(net.head.weight.detach(), full_matrices=False)
    inside = left[:, values > 1e-5 * values[0]]
    r = net.head.bias.detach() - data.rows
    return expected_mixed_loss(r - r @ inside @ inside.T, alpha)


def train(
    net: nn.Sequential,
    arm: Arm,
    data: Examples,
    settings: dict[str, Any],
    seed: int,
    look: Callable[[int], None],
) -> list[float]:
    """Train in place; return the way that the features' weights go in each epoch.

    Equal seeds share batches, permutations and uniform numbers in all arms. ``look(epoch)`` is
    called before training and after each epoch.
    """
    generator, law = torch.Generator().manual_seed(seed), Law("beta", settings["alpha"])
    rate = settings["lr"] * (squared_shrinkage(settings["alpha"]) if arm.rescaled else 1)
    learned = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learned, rate, momentum=settings["momentum"])
    watched = [p for name, p in net.named_parameters() if not name.startswith("head.")]
    x, way = data.x["train"], []
    look(0)
    for epoch in range(1, settings["epochs"] + 1):
        before = [p.detach().clone() for p in watched]
        for rows in torch.randperm(len(x), generator=generator).split(settings["batch"]):
            lam = float(law.quantile(uniforms(1, generator))[0])
            partner = permutation(len(rows), generator).to(x.device)
            rows = rows.to(x.device)
            y = data.rows[rows]
            if arm.layer is None:
                out = net(x[rows])
            else:
                out = mix_at(net, x[rows], arm.layer, lam, partner)
                y = torch.lerp(y[partner], y, lam)
            optimizer.zero_grad()
            half_squared(out, y).backward()
            optimizer.step()
        pairs = zip(watched, before, strict=True)
        way.append(sum(float((p.detach() - q).square().sum()) for p, q in pairs) ** 0.5)
        look(epoch)
    return way


def fitted(
    settings: dict[str, Any], seed: int, device: str = "cpu"
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Train all arms from the same weights.

    Metrics, each followed by ``_<arm>``: ``loss``, plain half squared error of the training
    examples; ``mixed``, its expectation over all mixes of states, and ``mixed_start``;
    ``gradient``, that of the arm's own loss for the features at the end over that at the start
    (for input mixup of all weights), and ``rest``, the share of it outside the four terms;
    ``path``, the way of the last tenth of the epochs over the whole; those of `flatness`, with
    ``test_`` in front on test images; ``blind`` and ``test_blind``; ``accuracy`` in % and
    ``test_loss`` on test images. For heads that do not learn ``floor``.

    Arrays: ``curves`` (arms, looks, 4) of `CURVES`, and ``epochs`` (looks,).
    """
    data, alpha = Examples(settings, seed, device), settings["alpha"]
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        sizes = (data.x["train"].shape[1], settings["width"], settings["width"])
        first = mlp((*sizes, data.rows.shape[1])).to(device)
    wanted = [epoch for epoch in settings["looks"] if epoch <= settings["epochs"]]
    metrics: dict[str, float] = {}
    curves = []
    for name in settings["arms"]:
        arm = ARMS[name]
        net = prepared(first, arm.rank)
        curve: list[tuple[float, ...]] = []

        def look(epoch: int, arm: Any = arm, net: nn.Module = net, curve: list = curve) -> None:
            if epoch in wanted:
                loss = float(residuals(net, data).square().sum(1).mean()) / 2
                spread = flatness(net, data, "train")["within"]
                curve.append((loss, *gradient(net, data, arm.layer), spread))

        start = expected_mixed_loss(residuals(net, data), alpha)
        way = train(net, arm, data, settings, seed, look)
        curves.append(curve)
        found = {
            "loss": curve[-1][0],
            "mixed": expected_mixed_loss(residuals(net, data), alpha),
            "mixed_start": start,
            "gradient": curve[-1][1] / curve[0][1],
            "rest": curve[-1][2],
            "path": sum(way[-max(1, len(way) // 10) :]) / sum(way),
        }
        with torch.no_grad():
            out = net(data.x["test"])
        found["accuracy"] = 100 * float((out.argmax(1) == data.y["test"]).double().mean())
        found["test_loss"] = float(half_squared(out, data.y["test"]))
        for split, front in (("train", ""), ("test", "test_")):
            found |= {front + k: v for k, v in flatness(net, data, split).items()}
            found[f"{front}blind"] = blind_share(net, data, split)
        if arm.rank is not None:
            found["floor"] = floor(net, data, alpha)
        metrics |= {f"{key}_{name}": value for key, value in found.items()}
    arrays = {"curves": np.array(curves, dtype="float32"), "epochs": np.array(wanted)}
    return metrics, arrays
