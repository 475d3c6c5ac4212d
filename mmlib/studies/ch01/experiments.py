"""Chapter 01: the experiments on trained networks: batches, draws, interpolations, cost."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from mmlib.data import load
from mmlib.data.dataset import Dataset
from mmlib.data.glyphs import render, rotate
from mmlib.measures import evaluate, gradient_variance, interpolated, predict
from mmlib.measures.attacks import fgsm
from mmlib.measures.scores import accuracy, mean_confidence
from mmlib.mixing import Draw, Mixup, soft_cross_entropy, soft_targets
from mmlib.models import build, mlp
from mmlib.studies.networks import network, subset
from mmlib.training import fit

LAMBDAS = tuple(round(0.05 * step, 2) for step in range(21))
QUANTITIES = ("nll", "excess", "entropy", "confidence")


# ---------------------------------------------------------------- shuffled batch or two batches


def shuffled_or_two(settings: dict, seed: int) -> dict:
    """Expected loss with a permuted batch against two independent batches, as the batch grows.

    Over a finite set of N examples let S be the mean loss of an example mixed with itself and D
    that of two different ones. Two independent batches give ``S / N + (1 - 1/N) D``; a random
    permutation of one batch of B gives ``S / B + (1 - 1/B) D``, since each example meets itself
    with probability 1 / B. Hence ``gap(B) = (1/B - 1/N)(S - D)``. Here the gap is simulated on the
    matrix of all pair losses and compared with that; the control predicts a gap that does not
    shrink, that of the smallest batch.
    """
    n, generator = settings["n"], torch.Generator().manual_seed(seed)
    data = load(settings["data"])
    chosen = torch.randperm(len(data.x_train), generator=generator)[:n]
    x, y = data.inputs(data.x_train[chosen]).flatten(1), data.y_train[chosen]
    classes = len(data.classes)
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        model = mlp((x.shape[1], 64, classes))
    fit(model, x, y, epochs=5, batch_size=32, lr=0.05, generator=generator)
    losses = _pair_losses(model.eval(), x, soft_targets(y, classes), lam=0.3)
    self_loss = float(losses.diagonal().mean())
    pair_loss = float((losses.sum() - losses.diagonal().sum()) / (n * (n - 1)))
    two = self_loss / n + (1 - 1 / n) * pair_loss
    metrics: dict[str, float] = {"self_minus_pair": self_loss - pair_loss}
    gaps, self_rates = {}, {}
    for batch in settings["batches"]:
        rounds = settings["rounds"]
        rows = torch.rand(rounds, n, generator=generator).argsort(1)[:, :batch]
        partner = rows.gather(1, torch.rand(rounds, batch, generator=generator).argsort(1))
        drawn = losses[rows, partner].mean(1)
        gaps[batch] = float(drawn.mean()) - two
        self_rates[batch] = float((rows == partner).double().mean())
        metrics[f"gap_{batch}"] = gaps[batch]
        metrics[f"self_rate_{batch}"] = self_rates[batch]
    scale, smallest = abs(self_loss - pair_loss), min(settings["batches"])
    predicted = {b: (1 / b - 1 / n) * (self_loss - pair_loss) for b in gaps}
    metrics["error"] = max(abs(gaps[b] - predicted[b]) for b in gaps) / scale
    metrics["control"] = max(abs(gaps[b] - predicted[smallest]) for b in gaps) / scale
    metrics["self_rate_error"] = max(abs(rate - 1 / b) for b, rate in self_rates.items())
    return metrics


@torch.no_grad()
def _pair_losses(model: nn.Module, x: Tensor, targets: Tensor, *, lam: float) -> Tensor:
    """Loss of every ordered pair, (N, N), mixed at the input."""
    rows = []
    for i in range(len(x)):
        mixed = lam * x[i] + (1 - lam) * x
        rows.append(
            soft_cross_entropy(
                model(mixed), lam * targets[i] + (1 - lam) * targets, reduction="none"
            )
        )
    return torch.stack(rows).double()


# ---------------------------------------------------------------- draws per batch or per example

SCHEMES: dict[str, bool | tuple[str, ...]] = {
    "batch": False,
    "example_lam": ("lam",),
    "example": True,
    "batch_paired": False,  # these two are our own controls, see `draw_scheme`
    "pair_lam": ("lam",),
}


def draw_scheme(mixup: Mixup, scheme: str, size: int, generator: torch.Generator) -> Draw:
    """Draw one step; the two paired schemes match the examples two by two.

    ``lam h_i + (1 - lam) h_j`` and ``lam h_j + (1 - lam) h_i`` add up to ``h_i + h_j``: with one
    lambda per pair the sums of states and targets over the batch stay what they are, as they do
    with one lambda per batch, while there are as many lambdas as pairs. So "pair_lam" against
    "batch_paired" is "example_lam" against "batch" without the drift of those sums. An odd
    example is its own partner.
    """
    draw = mixup.draw(size)
    if scheme not in ("pair_lam", "batch_paired"):
        return draw
    order = torch.randperm(size, generator=generator)
    partner, even = torch.arange(size), size - size % 2
    first, second = order[:even:2], order[1:even:2]
    partner[first], partner[second] = second, first
    lam = draw.lam.clone()
    if lam.ndim:
        lam[second] = lam[first]
    return replace(draw, partner=partner, lam=lam)


def _fit(settings: dict, seed: int, model: nn.Module, data: Dataset, mixup: Mixup | None) -> None:
    fit(
        model,
        data.x_train,
        data.y_train,
        mixup=mixup,
        epochs=settings["epochs"],
        batch_size=settings["batch"],
        lr=settings["lr"],
        weight_decay=settings["weight_decay"],
        inputs=data.inputs,
        generator=torch.Generator().manual_seed(seed),
    )


def update_variance(settings: dict, seed: int, device: str = "cpu") -> dict:
    """Variance of the gradient at one minibatch, over the draws of lambda, layer and partners.

    The network has been trained for ``epochs`` with Manifold Mixup first (0: freshly initialised);
    the data of the minibatch stay fixed. `label_sum` is the mean squared distance of the mixed
    targets' batch mean from that of the targets, which a lambda per batch leaves at 0.
    """
    data = subset(settings, seed, device)
    model = network(settings, data, seed)
    generator = torch.Generator().manual_seed(seed)
    layers, size = tuple(settings["layers"]), settings["batch"]
    if settings["epochs"]:
        _fit(settings, seed, model, data, Mixup(settings["alpha"], layers, generator=generator))
    model.train()
    batch = data.inputs(data.x_train[:size])
    targets = soft_targets(data.y_train[:size], len(data.classes))
    metrics = {}
    for scheme, per_example in SCHEMES.items():
        mixup = Mixup(settings["alpha"], layers, per_example=per_example, generator=generator)
        moved: list[Tensor] = []

        def loss(mixup: Mixup = mixup, scheme: str = scheme, moved: list = moved) -> Tensor:
            draw = draw_scheme(mixup, scheme, size, generator)
            mixed = mixup.apply(model, batch, targets, draw)
            moved.append((mixed.targets.mean(0) - targets.mean(0)).square().sum())
            return soft_cross_entropy(mixed.logits, mixed.targets)

        found = gradient_variance(model, loss, settings["draws"])
        metrics[f"variance_{scheme}"] = found["total_variance"]
        metrics[f"mean_norm2_{scheme}"] = found["mean_norm2"]
        metrics[f"label_sum_{scheme}"] = float(torch.stack(moved).mean())
    base = metrics["variance_batch"]
    for scheme in SCHEMES:
        metrics[f"log_ratio_{scheme}"] = float(np.log(metrics[f"variance_{scheme}"] / base))
    return metrics


def train_scheme(settings: dict, seed: int, device: str = "cpu") -> dict:
    """Test scores after training with one way of drawing, per batch or per example."""
    data = subset(settings, seed, device)
    model = network(settings, data, seed)
    mixup = Mixup(
        settings["alpha"],
        tuple(settings["layers"]),
        per_example=SCHEMES[settings["scheme"]],
        generator=torch.Generator().manual_seed(seed + 10_000),
    )
    _fit(settings, seed, model, data, mixup)
    scores = evaluate(model, data.x_test, data.y_test, inputs=data.inputs)
    return {"accuracy": 100 * scores["accuracy"], "nll": scores["nll"], "ece": scores["ece"]}


# ---------------------------------------------------------------- interpolations, Figure 1


def mixup_of(settings: dict, seed: int) -> Mixup | None:
    """The mixing of one method: none, input mixup, or Manifold Mixup over its layer set."""
    generator = torch.Generator().manual_seed(seed + 10_000)
    if settings["method"] == "none":
        return None
    if settings["method"] == "input":
        return Mixup(settings["input_alpha"], generator=generator)
    return Mixup(settings["alpha"], tuple(settings["layers"]), generator=generator)


def train_and_interpolate(settings: dict, seed: int, device: str = "cpu") -> tuple[dict, dict]:
    """Train one model; NLL, entropy and confidence along interpolations, and off the data.

    All models of a seed see the same training subset, batches and test pairs.
    """
    data = subset(settings, seed, device)
    model = network(settings, data, seed)
    _fit(settings, seed, model, data, mixup_of(settings, seed))
    scores = evaluate(model, data.x_test, data.y_test, inputs=data.inputs)
    metrics = {f"test_{key}": value for key, value in scores.items()}
    curves: dict[str, np.ndarray] = {}
    hidden = [layer for layer in settings["layers"] if layer != "input"]
    n = settings["n_pairs"]
    for layer in ("input", *hidden):
        pairs = torch.Generator().manual_seed(seed)
        x, y = data.x_test[:n], data.y_test[:n]
        line = interpolated(model, x, y, layer, LAMBDAS, inputs=data.inputs, generator=pairs)
        for quantity in QUANTITIES:
            curves[f"{quantity}_{layer}"] = getattr(line, quantity).numpy().astype("float32")
    middle = LAMBDAS.index(0.5)
    for quantity in QUANTITIES:
        values = np.stack([curves[f"{quantity}_{layer}"] for layer in hidden])
        metrics[f"{quantity}_visible"] = float(curves[f"{quantity}_input"].mean())
        metrics[f"{quantity}_hidden"] = float(values.mean())
        metrics[f"{quantity}_hidden_middle"] = float(values[:, middle].mean())
    return metrics | _off_the_data(model, data, settings, seed), curves


def _off_the_data(model: nn.Module, data: Dataset, settings: dict, seed: int) -> dict:
    """Accuracy and mean confidence on turned, foreign and attacked images."""
    n = min(settings["n_pairs"], len(data.x_test))
    images, labels = data.x_test[:n].float() / 255, data.y_test[:n]
    generator = torch.Generator().manual_seed(seed)
    # 30 to 60 degrees either way: still readable, never seen in training.
    angle = 30 + 30 * torch.rand(n, generator=generator)
    angle = torch.where(torch.rand(n, generator=generator) < 0.5, angle, -angle).to(images)
    side, channels = images.shape[-1], images.shape[1]
    drawn = (torch.rand(n, generator=generator) * 360).to(images)
    foreign = torch.cat([render(g, drawn[i::3], size=side) for i, g in enumerate(FOREIGN)])
    images_by_kind = {
        "shifted": rotate(images, angle),
        "foreign": foreign.expand(-1, channels, -1, -1),
    }
    logits = {
        kind: predict(model, data.inputs((255 * shown).round().to(torch.uint8)))
        for kind, shown in images_by_kind.items()
    }
    x = data.inputs(data.x_test[:n])
    std = torch.tensor(data.std).mean()
    logits["attacked"] = predict(
        model, fgsm(model, x, labels, epsilon=float(settings["epsilon"] / std))
    )
    metrics = {f"confidence_{kind}": mean_confidence(out) for kind, out in logits.items()}
    for kind in ("shifted", "attacked"):
        metrics[f"accuracy_{kind}"] = accuracy(logits[kind], labels)
        metrics[f"gap_{kind}"] = metrics[f"confidence_{kind}"] - metrics[f"accuracy_{kind}"]
    return metrics


FOREIGN = ("square", "arrow", "seven")  # drawn shapes that are in none of the classes


# ---------------------------------------------------------------- cost of a step


def step_time(settings: dict, seed: int, device: str = "cpu") -> dict:
    """Ratio of the time of a mixed training step to a plain one, alternating in one process."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(settings["batch"], 3, 32, 32, generator=generator).to(device)
    y = torch.randint(10, (len(x),), generator=generator).to(device)
    model = build("preactresnet18", 3, 10, 32, settings["width"], seed=seed).to(device).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    layers = {"plain": None, "input": ("input",), "manifold": ("input", "layer1", "layer2")}
    mixups = {
        name: None if sites is None else Mixup(2.0, sites, generator=generator)
        for name, sites in layers.items()
    }
    times: dict[str, list[float]] = {name: [] for name in mixups}
    for _ in range(settings["rounds"]):
        for name, mixup in mixups.items():
            started = time.perf_counter()
            if mixup is None:
                loss = soft_cross_entropy(model(x), soft_targets(y, 10))
            else:
                mixed = mixup(model, x, y)
                loss = soft_cross_entropy(mixed.logits, mixed.targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if x.is_cuda:
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - started)
    plain = np.asarray(times["plain"][2:])
    return {
        "plain_ms": 1000 * float(np.median(plain)),
        **{
            f"ratio_{name}": float(np.median(np.asarray(times[name][2:]) / plain))
            for name in ("input", "manifold")
        },
    }
