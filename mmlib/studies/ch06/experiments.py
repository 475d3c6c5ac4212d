"""Chapter 06: trained networks under attack. Accuracies are in percent, losses in nats."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmlib.data.dataset import Dataset
from mmlib.measures import (
    OnPixels,
    Wobble,
    fgsm,
    gradient_norms,
    iterated_signs,
    loss_along,
    pgd,
    pixel_step,
    predict,
    random_search,
    signed_gradient,
    smallest_flip,
    span_share,
    transfer,
)
from mmlib.measures.scores import nll
from mmlib.models import mlp
from mmlib.studies.networks import Network, trained

LEVELS = (0.5, 1, 2, 4, 8, 16)  # epsilon in grey levels, 255ths of the image range
PGD_LEVELS = (2, 4, 8)
PRINTED = 0.03  # epsilon of Table 5, whose unit the text does not say
FLIP_LEVELS = tuple(round(0.25 * 2 ** (step / 4), 4) for step in range(35))  # up to 90 levels


def percent(hits: Tensor) -> float:
    """Return the share of hits in percent."""
    return 100 * float(hits.double().mean())


def images(data: Dataset, n: int) -> tuple[Tensor, Tensor]:
    """Return the first n test images in [0, 1] and their labels."""
    return data.x_test[:n].float() / 255, data.y_test[:n]


def on_pixels(found: Network) -> OnPixels:
    """Return a trained network that acts on images in [0, 1]."""
    return OnPixels(found.model, found.data.mean, found.data.std).to(found.data.device)


# ------------------------------------------------------------------------ the definition


def definition(settings: dict, seed: int) -> dict:
    """Size and first-order effect of the step, in float64, on random networks.

    The loss rises by ``epsilon |g|_1 + O(epsilon^2)`` along the sign of its gradient g. Controls:
    a step along g of Euclidean length epsilon, and one along random signs.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        model = mlp((20, 32, 5)).double().eval()
    x = torch.randn(16, 20, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 5, (16,), generator=generator)
    epsilon = settings["epsilon"]
    moved = fgsm(model, x, y, epsilon=epsilon)
    start = x.clone().requires_grad_()
    loss = nn.functional.cross_entropy(model(start), y, reduction="none")
    (gradient,) = torch.autograd.grad(loss.sum(), start)
    along = epsilon * gradient / gradient.norm(dim=1, keepdim=True)
    signs = 2.0 * torch.randint(0, 2, x.shape, generator=generator) - 1

    def size_error(step: Tensor) -> float:
        return float((step.abs().amax(1) / epsilon - 1).abs().max())

    def rise_error(point: Tensor) -> float:
        with torch.no_grad():
            after = nn.functional.cross_entropy(model(point), y, reduction="none")
        rise = (after - loss.detach()) / (epsilon * gradient.abs().sum(1))
        return float((rise - 1).abs().max())

    return {
        "size_error": size_error(moved - x),
        "size_control": size_error(along),
        "rise_error": rise_error(moved),
        "rise_control": rise_error(x + epsilon * signs),
    }


# ------------------------------------------------------------------------ one network under attack


def fgsm_scores(model: OnPixels, x: Tensor, y: Tensor, direction: Tensor) -> dict[str, float]:
    """Accuracy, mean loss and share of falling losses along the gradient-sign direction."""
    losses, hits = loss_along(model, x, y, direction, [0.0, *(e / 255 for e in LEVELS)])
    metrics = {}
    for level, loss, right in zip((0, *LEVELS), losses, hits, strict=True):
        metrics[f"fgsm_{level:g}"] = percent(right)
        metrics[f"nll_{level:g}"] = float(loss.double().mean())
        if level:
            metrics[f"falls_{level:g}"] = percent(loss < losses[0])
    return metrics


def pgd_scores(
    model: OnPixels, x: Tensor, y: Tensor, levels: tuple[float, ...], steps: int, seed: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Accuracy after projected steps from a random start; arrays: along the steps."""
    metrics, arrays = {}, {}
    for level in levels:
        generator = torch.Generator().manual_seed(seed)
        path = pgd(model, x, y, epsilon=level / 255, steps=steps, generator=generator)
        metrics[f"pgd_{level:g}"] = percent(path.correct[-1])
        metrics[f"pgd_nll_{level:g}"] = float(path.loss[-1].double().mean())
        arrays[f"pgd_{level:g}"] = 100 * path.correct.float().mean(1).cpu().numpy()
    return metrics, arrays


def attacked(settings: dict, seed: int, device: str = "cpu") -> tuple[dict, dict]:
    """One network of Table 5 under every attack of the chapter, and the checks of masking.

    Metrics: ``fgsm_E``, ``nll_E`` and ``falls_E`` (share of images whose loss falls) at E grey
    levels, 0 being the clean images; ``fgsm_pixels`` and ``fgsm_normalised`` at epsilon 0.03 in
    either unit, the latter as in the released code (BCE on the softmax, no clipping); ``pgd_E``;
    ``unbounded``; ``search_E`` beside ``search_fgsm_E`` on the same images;
    norms of the gradient; share of the direction in the span of image differences.
    """
    found = trained(settings, seed, device)
    model, data = on_pixels(found), found.data
    x, y = images(data, settings["n_fgsm"])
    direction = signed_gradient(model, x, y)
    metrics = fgsm_scores(model, x, y, direction)
    metrics |= _in_both_units(found, model, x, y, direction)

    part = slice(settings["n_pgd"])
    steps = settings["steps"]
    scores, arrays = pgd_scores(model, x[part], y[part], PGD_LEVELS, steps, seed)
    metrics |= scores
    for level in PGD_LEVELS:  # one step on the same images, for comparison
        stepped = pixel_step(x[part], direction[part], level / 255)
        metrics[f"same_fgsm_{level:g}"] = _accuracy(model, stepped, y[part])

    part = slice(settings["n_unbounded"])
    path = iterated_signs(
        found.model,
        _normalised(found, x[part]),
        y[part],
        step=0.01,
        steps=settings["unbounded_steps"],
    )
    arrays["unbounded"] = 100 * path.correct.float().mean(1).cpu().numpy()
    arrays["unbounded_loss"] = path.loss.mean(1).cpu().numpy()
    metrics["unbounded"] = float(arrays["unbounded"][-1])

    part = slice(settings["n_search"])
    for level in settings["search_levels"]:
        generator = torch.Generator().manual_seed(seed)
        searched = random_search(
            model,
            x[part],
            y[part],
            epsilon=level / 255,
            queries=settings["queries"],
            generator=generator,
        )
        stepped = pixel_step(x[part], direction[part], level / 255)
        metrics[f"search_{level:g}"] = _accuracy(model, searched, y[part])
        metrics[f"search_fgsm_{level:g}"] = _accuracy(model, stepped, y[part])

    part = slice(settings["n_pgd"])
    norms = gradient_norms(model, x[part], y[part])
    metrics["gradient_l1"] = float(norms.l1.median())
    metrics["gradient_zeros"] = 100 * norms.zeros
    metrics |= _overlap(data, direction[part], settings["n_span"])
    return metrics, {key: np.asarray(row, dtype="float32") for key, row in arrays.items()}


def _in_both_units(
    found: Network, model: OnPixels, x: Tensor, y: Tensor, direction: Tensor
) -> dict[str, float]:
    inputs = _normalised(found, x)
    moved = fgsm(found.model, inputs, y, epsilon=PRINTED, loss="bce_softmax")
    logits = predict(found.model, moved)
    pixels = predict(model, pixel_step(x, direction, PRINTED))
    return {
        "fgsm_normalised": percent(logits.argmax(1) == y),
        "nll_normalised": nll(logits, y),
        "fgsm_pixels": percent(pixels.argmax(1) == y),
        "nll_pixels": nll(pixels, y),
    }


def _normalised(found: Network, x: Tensor) -> Tensor:
    """Return the inputs that the network itself takes, of images in [0, 1]."""
    return found.data.inputs((255 * x).round().to(torch.uint8))


def _accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    return percent(predict(model, x).argmax(1) == y)


def _overlap(data: Dataset, direction: Tensor, n: int) -> dict[str, float]:
    """Share of the directions in the span of training images' differences, over its expectation."""
    moving = direction.flatten(1).abs().sum(1) > 0
    if not moving.any():
        return {"span_ratio": float("nan"), "span_expected": float("nan")}
    found = span_share(direction[moving], data.x_train[:n].float() / 255)
    return {
        "span_ratio": float(found.share.mean()) / found.expected,
        "span_expected": found.expected,
    }


# ------------------------------------------------------------------------ between networks


def transferred(settings: dict, seed: int, device: str = "cpu") -> dict:
    """Accuracy of each network of Table 5 on the examples that each of them gives rise to.

    Metrics: ``SOURCE_to_TARGET_E`` for one gradient-sign step of E grey levels.
    """
    nets = {
        method: trained(one, seed, device) for method, one in network_settings(settings).items()
    }
    models = {method: on_pixels(found) for method, found in nets.items()}
    x, y = images(next(iter(nets.values())).data, settings["n"])
    metrics = {}
    directions = {method: signed_gradient(model, x, y) for method, model in models.items()}
    for level in settings["levels"]:
        examples = {
            method: pixel_step(x, direction, level / 255)
            for method, direction in directions.items()
        }
        for (source, target), share in transfer(models, examples, y).items():
            metrics[f"{source}_to_{target}_{level:g}"] = 100 * share
    return metrics


def network_settings(settings: dict) -> dict[str, dict[str, Any]]:
    """Return the settings of the networks that attack each other, those of the main study."""
    found = {}
    for method, one in settings["networks"].items():
        found[method] = one | {"data": settings["data"]}  # a stand-in, where the files are absent
        if "alpha" in one:
            found[method]["alpha"] = settings["alpha"]
    return found


# ------------------------------------------------------------------------ a mask on purpose


def masked(settings: dict, seed: int, device: str = "cpu") -> dict:
    """A network trained without mixing behind a mask: what it gains under one step is masking.

    Everything is in normalised units, as in the released code: one step of 0.03, 200 of 0.01.
    """
    found = trained(settings, seed, device)
    plain = found.model
    mask = Wobble(plain, amplitude=settings["amplitude"], period=settings["period"])
    x, y = images(found.data, settings["n"])
    inputs = _normalised(found, x)
    examples = {
        name: fgsm(model, inputs, y, epsilon=PRINTED)
        for name, model in (("plain", plain), ("mask", mask))
    }
    crossed = transfer({"plain": plain, "mask": mask}, examples, y)
    part = slice(settings["n_unbounded"])
    path = iterated_signs(mask, inputs[part], y[part], step=0.01, steps=settings["unbounded_steps"])
    metrics = {
        "clean_plain": _accuracy(plain, inputs, y),
        "clean_mask": _accuracy(mask, inputs, y),
        "fgsm_plain": 100 * crossed["plain", "plain"],
        "fgsm_mask": 100 * crossed["mask", "mask"],
        "transfer_mask": 100 * crossed["plain", "mask"],
        "unbounded_mask": percent(path.correct[-1]),
    }
    return metrics | {"gain": metrics["fgsm_mask"] - metrics["fgsm_plain"]}


# ------------------------------------------------------------------------ k-mixup


def k_mixed(settings: dict, seed: int, device: str = "cpu") -> tuple[dict, dict]:
    """One network of Figure 10 under one-step and iterated attacks, and how smooth it is.

    Metrics: ``fgsm_E``, ``nll_E``, ``falls_E`` and ``pgd_E``; ``drop_E``, points lost to one step
    of E grey levels; ``flip_mean`` and ``flip_median``, smallest step that flips the label of an
    image that was classified right, in grey levels (one that none flips counts as the largest);
    ``gradient_l1``, median over these images.
    """
    found = trained(settings, seed, device)
    model = on_pixels(found)
    x, y = images(found.data, settings["n_fgsm"])
    direction = signed_gradient(model, x, y)
    metrics = fgsm_scores(model, x, y, direction)
    for level in LEVELS:
        metrics[f"drop_{level:g}"] = metrics["fgsm_0"] - metrics[f"fgsm_{level:g}"]
    part = slice(settings["n_pgd"])
    scores, arrays = pgd_scores(model, x[part], y[part], LEVELS, settings["steps"], seed)
    metrics |= scores
    for level in LEVELS:
        one_step = _accuracy(model, pixel_step(x[part], direction[part], level / 255), y[part])
        metrics[f"same_fgsm_{level:g}"] = one_step
        metrics[f"stronger_{level:g}"] = one_step - metrics[f"pgd_{level:g}"]
    part = slice(settings["n_flip"])
    flips = smallest_flip(model, x[part], y[part], [level / 255 for level in FLIP_LEVELS])
    right = flips > 0
    levels = (255 * flips[right]).clamp(max=FLIP_LEVELS[-1]).double()
    norms = gradient_norms(model, x[part], y[part]).l1[right].double()
    metrics["flip_mean"] = float(levels.mean())
    metrics["flip_median"] = float(levels.median()) if len(levels) else float("nan")
    metrics["gradient_l1"] = float(norms.median()) if len(norms) else float("nan")
    return metrics, {key: np.asarray(row, dtype="float32") for key, row in arrays.items()}
