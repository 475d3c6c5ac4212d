"""Chapter 03: what each study runs."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from mmlib.measures import evaluate
from mmlib.mixing import Mixup, bce_on_softmax, soft_cross_entropy
from mmlib.models import build, layers_before
from mmlib.studies import networks


def train_with_curves(settings: dict, seed: int, device: str = "cpu") -> tuple[dict, dict]:
    """Train one network, or read it back; its scores and curves (`networks.scores`).

    ``train_accuracy`` (%) is that on the clean training images: whether the network fits them.
    ``train_loss_mean`` is the mean over all epochs of the loss that was minimised,
    ``train_loss_quarter_<i>`` that over a quarter of the run.
    """
    found = networks.trained(settings, seed, device)
    metrics, curves = networks.scores(found)
    model, data, _ = found
    fitted = evaluate(model, data.x_train, data.y_train, inputs=data.inputs)
    metrics["train_accuracy"] = 100 * fitted["accuracy"]
    losses = curves["train_loss"].astype(float)
    metrics["train_loss_mean"] = float(losses.mean())
    for i in range(4):
        part = losses[i * len(losses) // 4 : max(1, (i + 1) * len(losses) // 4)]
        metrics[f"train_loss_quarter_{i + 1}"] = float((part if len(part) else losses).mean())
    return metrics, curves


def train_and_score(settings: dict, seed: int, device: str = "cpu") -> dict:
    """The scores alone; curves of many runs are not worth keeping."""
    return train_with_curves(settings, seed, device)[0]


# ------------------------------------------------------------ the two losses and their gradients


def gradient_ratio(q: np.ndarray | float, classes: int) -> np.ndarray | float:
    """Return cross-entropy's gradient over that of BCE on the softmax, at the right logit.

    The label has probability q, the other K - 1 classes share the rest alike,
    ``r = (1 - q) / (K - 1)``. With ``a_k = (p_k - t_k) / (1 - p_k)`` the gradient of BCE, averaged
    over the K classes, is ``(a_j - p_j sum_k a_k) / K``; at the label ``a = -1``, elsewhere
    ``r / (1 - r)``, hence the ratio ``K / (1 + q / (1 - r))``: K - 1 at q = 1 / K, K / 2 as q
    tends to 1.

    Example:
        >>> round(gradient_ratio(0.1, 10), 6), round(gradient_ratio(0.9, 10), 2)
        (9.0, 5.24)
    """
    r = (1 - q) / (classes - 1)
    return classes / (1 + q / (1 - r))


def loss_gradients(settings: dict, seed: int) -> dict:
    """Compare the gradients of the two losses with the formula, at random confidences.

    ``error``: largest relative distance of the measured ratio from `gradient_ratio`; ``control``:
    the same distance from the ratio K, as if the mean over classes were all that differs.
    """
    classes, generator = settings["classes"], torch.Generator().manual_seed(seed)
    q = torch.rand(settings["draws"], generator=generator, dtype=torch.float64) * 0.998 + 0.001
    p = ((1 - q) / (classes - 1))[:, None].repeat(1, classes)
    p[:, 0] = q
    target = torch.zeros(len(q), dtype=torch.int64)
    gradients = {}
    for name, loss in (("ce", soft_cross_entropy), ("bce", bce_on_softmax)):
        logits = p.log().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(logits, target, reduction="sum"), logits)
        gradients[name] = gradient[:, 0]
    ratio = (gradients["ce"] / gradients["bce"]).numpy()
    expected = gradient_ratio(q.numpy(), classes)
    return {
        "error": float(np.abs(ratio / expected - 1).max()),
        "control": float(np.abs(ratio / classes - 1).max()),
        "at_uniform": float(gradient_ratio(1 / classes, classes)),
        "at_nine_tenths": float(gradient_ratio(0.9, classes)),
    }


# ------------------------------------------------------------ blocked gradients

_PARTS = ("stem", "layer1", "layer2", "layer3", "layer4", "head")
_FIRST_REACHED = {"input": 0, "layer1": 2, "layer2": 3}  # parts whose weights act after the mix


def blocked_updates(settings: dict, seed: int) -> dict:
    """Count the updates that reach each part of a network whose gradient is blocked at the mix.

    ``error``: number of (update, part) pairs with a gradient where the draw allows none, or none
    where it must be; ``control``: the same count without the block. ``share_<part>``: share of
    the updates that reach a part.
    """
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(settings["batch"], 3, 32, 32, generator=generator)
    y = torch.randint(10, (len(x),), generator=generator)
    metrics = {}
    for name, detach in (("error", True), ("control", False)):
        model = build("preactresnet18", 3, 10, 32, 8, seed=seed).train()
        mixup = Mixup(2.0, tuple(_FIRST_REACHED), detach=detach, generator=generator)
        wrong, reached = 0, dict.fromkeys(_PARTS, 0)
        for _ in range(settings["updates"]):
            model.zero_grad(set_to_none=True)
            mixed = mixup(model, x, y)
            soft_cross_entropy(mixed.logits, mixed.targets).backward()
            for position, part in enumerate(_PARTS):
                found = _has_gradient(getattr(model, part))
                reached[part] += found
                wrong += found != (position >= _FIRST_REACHED[mixed.layer])
        metrics[name] = wrong
        if detach:
            shares = {part: count / settings["updates"] for part, count in reached.items()}
            metrics |= {f"share_{part}": share for part, share in shares.items()}
            metrics["never_reached"] = sum(share == 0 for share in shares.values())
    return metrics


def _has_gradient(module: nn.Module) -> bool:
    return any(p.grad is not None and bool(p.grad.abs().any()) for p in module.parameters())


# ------------------------------------------------------------ layers before the mix

# Model, site, the site from which is counted, and the number in the text.
_COUNTS = (
    ("preactresnet18", "layer1", "stem", 4),
    ("preactresnet18", "layer2", "layer1", 4),
    ("preactresnet34", "layer1", "stem", 6),
    ("preactresnet34", "layer2", "layer1", 8),
    ("preactresnet152", "layer1", "stem", 9),
    ("preactresnet152", "layer2", "layer1", 24),
    ("preactresnet152", "layer2", "input", 34),
    ("wrn28-10", "block1", "stem", 4),
)


def layer_counts(settings: dict, seed: int) -> dict:
    """Count the layers before the mixing places, beside the numbers of the text.

    ``error_<model>``: largest distance of a count from the text; ``control``: the same for
    PreActResNet18 against the numbers of PreActResNet34; ``count_<model>_<site>``: our counts.
    """
    nets = {name: build(name, 3, 10, 32, 8) for name in dict.fromkeys(row[0] for row in _COUNTS)}

    def count(name: str, site: str, start: str) -> int:
        return layers_before(nets[name], site) - layers_before(nets[name], start)

    metrics: dict[str, float] = {}
    for name, site, start, printed in _COUNTS:
        found = count(name, site, start)
        metrics[f"count_{name}_{site}_from_{start}"] = found
        key = f"error_{name}"
        metrics[key] = max(metrics.get(key, 0), abs(found - printed))
    metrics["blocks_wrn28-10"] = len(nets["wrn28-10"].block1)
    wrong = [
        abs(count("preactresnet18", site, start) - printed)
        for name, site, start, printed in _COUNTS
        if name == "preactresnet34"
    ]
    metrics["control"] = max(wrong)
    return metrics
