"""One arm of the factorial: trained from the weights and draws of its seed, then measured."""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from mmlib.checks import choice
from mmlib.data.dataset import Dataset
from mmlib.measures import scores
from mmlib.measures.curvature import chord_curvature
from mmlib.measures.evaluation import evaluating, predict
from mmlib.measures.mixed_gradient import half_squared
from mmlib.measures.spectra import within_over_total
from mmlib.measures.temperature import best_temperature, cross_fitted_nll
from mmlib.mixing import Law, soft_cross_entropy, soft_targets
from mmlib.mixing.law import permutation, uniforms
from mmlib.studies.ch12.arms import ARMS, Arm, Batch, backward, matched
from mmlib.studies.ch12.penalties import NOISE, Penalty, bend, change, representation
from mmlib.studies.networks import network, subset
from mmlib.training import learning_rate
from mmlib.training.faults import require_finite

LOSSES = {"ce": soft_cross_entropy, "squared": half_squared}
MIXED = ("input", "block1", "block2")  # layers where the bend of the layers behind is measured


def factorial(
    settings: dict[str, Any], seed: int, device: str = "cpu"
) -> tuple[dict[str, float], dict[str, Any]]:
    """Train one arm of a seed and measure it.

    Returns:
        Metrics, see `measured`; no arrays.
    """
    data = images(settings["data"], settings["n_train"], settings["n_test"], seed, device)
    model = network(settings, data, seed)
    train(model, ARMS[choice("arm", settings["arm"], tuple(ARMS))], settings, data, seed)
    return measured(model, data, settings["n_look"], seed), {}


@lru_cache(maxsize=1)  # the arms of a seed are trained one after the other
def images(name: str, n_train: int | None, n_test: int | None, seed: int, device: str) -> Dataset:
    """Return this seed's part of a data set, the same for all arms."""
    return subset({"data": name, "n_train": n_train, "n_test": n_test}, seed, device)


def train(
    model: nn.Module, arm: Arm, settings: dict[str, Any], data: Dataset, seed: int
) -> list[float]:
    """Train a network in place by SGD with Nesterov momentum; return the mean loss of each epoch.

    Rate and decay as in `mmlib.training.fit`. The generator of the seed gives the order of each
    epoch, and for each batch the partners, lambda and the place; no arm draws more or less.
    """
    targets = soft_targets(data.y_train, data.num_classes)
    law, loss = Law("beta", settings["alpha"]), LOSSES[settings["loss"]]
    counterparts = matched(settings["alpha"], data.num_classes)
    generator = torch.Generator().manual_seed(seed)
    size = min(settings["batch"], len(targets))
    total = settings["epochs"] * math.ceil(len(targets) / size)
    rate = partial(learning_rate, total=total, lr=settings["lr"])
    model.train()
    penalty, optimiser, losses, means = None, None, [], []
    for epoch in range(1, settings["epochs"] + 1):
        order = torch.randperm(len(targets), generator=generator).to(data.device)
        for rows in order.split(size):
            partner = permutation(len(rows), generator).to(data.device)
            u = uniforms(2, generator)
            lam = law.quantile(u[:1])[0].to(data.device, torch.float32)
            batch = Batch(
                data.inputs(data.x_train[rows]),
                targets[rows],
                partner,
                lam,
                float(u[1]),
                **counterparts,
            )
            if optimiser is None:
                penalty = _penalty(arm, model, batch, seed)
                optimiser = _optimiser(model, penalty, settings)
            for group in optimiser.param_groups:
                group["lr"] = rate(len(losses))
            optimiser.zero_grad(set_to_none=True)
            losses.append(backward(model, arm, batch, loss, penalty))
            require_finite(losses, len(losses), epoch)
            optimiser.step()
        means.append(float(torch.stack(losses[-len(order.split(size)) :]).mean()))
    return means


def _penalty(arm: Arm, model: nn.Module, batch: Batch, seed: int) -> Penalty | None:
    if arm.penalty is None:
        return None
    return Penalty(arm.penalty, model, batch.x, arm.share, batch.y.shape[1], seed)


def _optimiser(
    model: nn.Module, penalty: Penalty | None, settings: dict[str, Any]
) -> torch.optim.Optimizer:
    weights = [*model.parameters(), *([] if penalty is None else penalty.parameters())]
    return torch.optim.SGD(
        weights,
        lr=settings["lr"],
        momentum=0.9,
        nesterov=True,
        weight_decay=settings["weight_decay"],
    )


def measured(model: nn.Module, data: Dataset, n_look: int, seed: int) -> dict[str, float]:
    """Return what one network is like, in eval mode.

    On all test images: ``accuracy`` (%), ``nll`` (nats), ``nll_scaled`` (at a temperature fitted on
    the other half), ``temperature``, ``ece``, ``brier``, ``confidence``, ``within`` (within-class
    over total variance of the input of the affine head). On the training images:
    ``train_accuracy`` (%), ``train_nll``, ``train_gap`` (own logit less the mean of the others),
    ``train_within``. On the first `n_look` test images: ``bend_input``, ``bend_block1``,
    ``bend_block2`` (`mmlib.measures.curvature.chord_curvature`), ``noise_change``, ``shift_bend``
    (see `mmlib.studies.ch12.penalties`), and ``readable``, the share of the variance of the pixels
    that an affine map of the representation explains on the other half of the images.
    """
    x, y = data.x_test, data.y_test
    logits = predict(model, x, inputs=data.inputs)
    train_logits = predict(model, data.x_train, inputs=data.inputs)
    found = {
        "accuracy": 100 * scores.accuracy(logits, y),
        "nll": scores.nll(logits, y),
        "nll_scaled": cross_fitted_nll(logits, y, seed),
        "temperature": best_temperature(logits, y),
        "ece": scores.expected_calibration_error(logits, y),
        "brier": scores.brier(logits, y),
        "confidence": scores.mean_confidence(logits),
        "train_accuracy": 100 * scores.accuracy(train_logits, data.y_train),
        "train_nll": scores.nll(train_logits, data.y_train),
        "train_gap": gap(train_logits, data.y_train),
        "within": within_over_total(codes_of(model, data, x), y),
        "train_within": within_over_total(codes_of(model, data, data.x_train), data.y_train),
    }
    look = x[:n_look]
    for layer in MIXED:
        generator = torch.Generator().manual_seed(seed)
        found[f"bend_{layer}"] = chord_curvature(
            model, look, layer, inputs=data.inputs, generator=generator
        )
    return found | _of_representation(model, data, look, seed)


def gap(logits: Tensor, y: Tensor) -> float:
    """Return the mean of the own logit less the mean of the others.

    Example:
        >>> gap(torch.tensor([[3.0, 1.0, 0.0]]), torch.tensor([0]))
        2.5
    """
    z = logits.double()
    own = z.gather(1, y[:, None])[:, 0]
    return float((own - (z.sum(1) - own) / (z.shape[1] - 1)).mean())


def codes_of(model: nn.Module, data: Dataset, x: Tensor) -> Tensor:
    """Return the inputs of the affine head for images, (N, 16 w), in eval mode."""
    with evaluating(model):
        return torch.cat([representation(model, data.inputs(part)) for part in x.split(500)])


def _of_representation(
    model: nn.Module, data: Dataset, look: Tensor, seed: int
) -> dict[str, float]:
    x, codes = data.inputs(look), codes_of(model, data, look)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).to(x)
    with evaluating(model):
        changed = float(change(model, x, codes, NOISE * noise))
        bent = float(bend(model, x, codes))
    return {
        "noise_change": changed,
        "shift_bend": bent,
        "readable": readable(codes, x.flatten(1)),
    }


def readable(codes: Tensor, pixels: Tensor, ridge: float = 1e-2) -> float:
    """Return the share of the variance of pixels that an affine map of codes explains.

    Fitted with a small ridge, relative to the mean variance of the codes, on the first half of the
    rows and scored on the second; so it can be negative.

    Example:
        >>> h = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
        >>> round(readable(h, h @ torch.ones(3, 5), ridge=0.0), 6)
        1.0
    """
    codes, pixels = codes.double(), pixels.double()
    half = len(codes) // 2
    mean, level = codes[:half].mean(0), pixels[:half].mean(0)
    h, t = codes[:half] - mean, pixels[:half] - level
    gram = h.T @ h
    own = ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype).to(gram)
    weights = torch.linalg.lstsq(gram + own, h.T @ t).solution
    rest = (pixels[half:] - level - (codes[half:] - mean) @ weights).square().sum()
    return 1 - float(rest / (pixels[half:] - pixels[half:].mean(0)).square().sum())
