"""Trained networks that several chapters measure: one training run per setting and seed.

A network is kept in the folder of the results, under a name made of its settings, its seed, the
data, the device and the code that trains it. So a chapter reads what another has trained, an
interrupted run goes on, and no network outlives a change of the code.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mmlib.checks import choice, integer
from mmlib.data import load
from mmlib.data.dataset import Dataset
from mmlib.evidence.fingerprint import code_fingerprint
from mmlib.evidence.records import results_root
from mmlib.measures import evaluate
from mmlib.mixing import Mixup, OptimalPairing, bce_on_softmax, soft_cross_entropy
from mmlib.models import build
from mmlib.studies.recipes import recipe
from mmlib.training import CropFlip, History, fit

LOSSES = {"ce": soft_cross_entropy, "bce_softmax": bce_on_softmax}

# Places to mix of each model in their order: the input, then the outputs of the blocks.
SITES = {
    "small_conv": ("input", "block1", "block2", "block3"),
    "lenet": ("input", "block1", "block2", "layer1"),
    "mlp": ("input", "layer1", "layer2"),
    **{
        f"preactresnet{depth}": ("input", "layer1", "layer2", "layer3")
        for depth in (18, 34, 50, 152)
    },
}

# What each method is: which sites, and its law. Input methods have their own name for alpha, so
# that a page can change that of Manifold Mixup alone.
METHODS: dict[str, dict[str, Any]] = {
    "none": {},
    "input": {"sites": 1, "input_alpha": 1.0},
    "input_2": {"sites": 1, "input_alpha": 2.0},
    "manifold": {"sites": 3, "alpha": 2.0},
    "manifold_all": {"sites": 4, "alpha": 6.0},
    "blocked": {"sites": 3, "alpha": 2.0, "detach": True},
    "kmixup": {"sites": 1, "input_alpha": 1.0, "k": 2},
    "fgsm_training": {"train_epsilon": 8 / 255},
}

_SIZES: dict[str, dict[str, dict[str, Any]]] = {
    # At quick size there are few images and many passes: the plain network fits its training set,
    # as the texts' networks do, so there is something to regularise.
    "cifar10": {
        "smoke": {"width": 8, "n_train": 100, "n_test": 60, "n_watch": 30, "epochs": 1},
        "quick": {"width": 8, "n_train": 500, "n_test": None, "n_watch": 500, "epochs": 80},
        "paper": {"width": 64, "n_train": None, "n_test": None, "n_watch": None},
    },
    "mnist": {
        "smoke": {"width": 6, "n_train": 100, "n_test": 60, "n_watch": 30, "epochs": 1},
        "quick": {"width": 6, "n_train": 500, "n_test": None, "n_watch": 500, "epochs": 80},
        "paper": {"width": 6, "n_train": None, "n_test": None, "n_watch": None, "epochs": 200},
    },
}
_SIZES["cifar100"] = _SIZES["cifar10"]
_MODELS = dict.fromkeys(("cifar10", "cifar100"), {"model": "preactresnet18"})
_MODELS["mnist"] = {"model": "lenet"}
# Digits are neither mirrored nor cropped. LeNet has no batch norm: at rates of 0.05 and more plain
# training breaks down for some seeds.
_OF_DATA = {"mnist": {"pad": 0, "flip": False, "lr": 0.02}}

_TRAINING_KEYS = frozenset(
    "data model width options method alpha input_alpha layers k detach train_epsilon loss epochs "
    "batch lr momentum nesterov weight_decay schedule milestones pad flip n_train n_test n_watch "
    "watch_every precision final_norm".split()
)


class Network(NamedTuple):
    """A trained network with what it was trained on.

    Attributes:
        model: the network in eval mode, on the device.
        data: this seed's part of the data set, on the device.
        history: of its training; scores of each epoch are on the first ``n_watch`` test images.
    """

    model: nn.Module
    data: Dataset
    history: History


def cell(
    profile: str,
    method: str,
    data: str = "cifar10",
    *,
    recipe_name: str = "text",
    **changes: Any,
) -> dict[str, Any]:
    """Return the settings of one network.

    Args:
        profile: ``"smoke"``, ``"quick"`` or ``"paper"``.
        method: a key of `METHODS`.
        data: ``"cifar10"``, ``"cifar100"`` or ``"mnist"``.
        recipe_name: ``"text"`` or ``"released"``, see `mmlib.studies.recipes.recipe`.
        **changes: settings that replace these, e.g. ``model="small_conv"`` or ``n_train=500``.

    Raises:
        ValueError: unknown profile, method, data, recipe or model, or fewer images than classes.

    Example:
        >>> one = cell("quick", "manifold")
        >>> one["layers"], one["alpha"], one["model"], one["loss"]
        (('input', 'layer1', 'layer2'), 2.0, 'preactresnet18', 'ce')
    """
    choice("data", data, tuple(_SIZES))
    choice("profile", profile, tuple(_SIZES[data]))
    settings = {"data": data, "method": choice("method", method, tuple(METHODS))}
    settings |= recipe(recipe_name) | _MODELS[data] | _OF_DATA.get(data, {}) | _SIZES[data][profile]
    settings |= METHODS[method] | changes
    sites = SITES[choice("model", settings["model"], tuple(SITES))]
    if "sites" in settings:
        settings.setdefault("layers", sites[: settings.pop("sites")])
    if not settings["model"].startswith("preactresnet"):
        settings.pop("final_norm", None)
    classes = 100 if settings["data"] == "cifar100" else 10
    if settings["n_train"] is not None:  # balanced over classes, so fewer would leave some out
        integer("n_train", settings["n_train"], low=classes)
    settings.pop("selection")  # a way of reading a finished run, not of making one
    settings.setdefault("watch_every", 4 if profile == "quick" else 1)
    settings["precision"] = "bf16" if profile == "paper" else "float32"
    return settings


def trained(settings: dict[str, Any], seed: int, device: str = "cpu") -> Network:
    """Return a network, trained now or read back.

    Runs of one seed see the same training images, initial weights, batches and augmentation,
    whatever the method; so methods are compared in pairs.

    Args:
        settings: those of `cell`; keys that do not concern the training are left alone.
        seed: of the subset, the weights, the order and the draws of the mixing.
        device: where to train.
    """
    settings = {key: settings[key] for key in sorted(_TRAINING_KEYS & set(settings))}
    data = subset(settings, seed, device)
    model = network(settings, data, seed)
    file = _file(settings, seed, device, data)
    history = _train(settings, seed, model, data, file)
    return Network(model.eval(), data, history)


def subset(settings: dict[str, Any], seed: int, device: str = "cpu") -> Dataset:
    """Return this seed's part of the data set, balanced over classes, on the device."""
    data = load(settings["data"], device=device)
    # An embedded stand-in may hold fewer images than asked for; real data must hold them all.
    return data.subset(settings["n_train"], settings["n_test"], seed=seed, at_most=data.embedded)


def network(settings: dict[str, Any], data: Dataset, seed: int) -> nn.Module:
    """Return the untrained network of a seed, on the device of the data."""
    options = dict(settings.get("options", {}))
    if "final_norm" in settings:
        options["final_norm"] = settings["final_norm"]
    model = build(
        settings["model"],
        data.x_train.shape[1],
        data.num_classes,
        data.image_size,
        settings["width"],
        seed=seed,
        **options,
    )
    return model.to(data.x_train.device)


def mixup_of(settings: dict[str, Any], seed: int) -> Mixup | None:
    """Return the mixing of a method; None for none."""
    if "layers" not in settings:
        return None
    k = settings.get("k", 1)
    return Mixup(
        settings["alpha"] if "alpha" in settings else settings["input_alpha"],
        tuple(settings["layers"]),
        pairing=OptimalPairing(k) if k > 1 else None,
        detach=settings.get("detach", False),
        generator=torch.Generator().manual_seed(seed + 10_000),
    )


@dataclass(frozen=True)
class SignedStep:
    """Replaces a batch by ``x + epsilon sign(grad_x CE)``: adversarial training with one step.

    The gradient is that of the network in training mode, as it is when it learns.

    Args:
        epsilon: size of the step in pixels of [0, 1].
        std: standard deviations by which the inputs were divided, one per channel.
    """

    epsilon: float
    std: tuple[float, ...]

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """Return the examples to train on."""
        start = x.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(soft_cross_entropy(model(start), y), start)
        step = self.epsilon / torch.tensor(self.std, device=x.device).view(1, -1, 1, 1)
        return x.detach() + step * gradient.sign()


def _train(
    settings: dict[str, Any], seed: int, model: nn.Module, data: Dataset, file: Path | None
) -> History:
    """Train a network, from the last saved epoch on if there is one."""
    watched = slice(settings["n_watch"])
    x, y = data.x_test[watched], data.y_test[watched]
    augment = CropFlip(settings["pad"], settings["flip"])
    epsilon = settings.get("train_epsilon")
    low = settings["precision"] == "bf16" and x.is_cuda  # most CPUs emulate bf16, at a loss
    return fit(
        model,
        data.x_train,
        data.y_train,
        mixup=mixup_of(settings, seed),
        loss=LOSSES[choice("loss", settings["loss"], tuple(LOSSES))],
        epochs=settings["epochs"],
        batch_size=min(settings["batch"], len(data.x_train)),
        lr=settings["lr"],
        momentum=settings["momentum"],
        nesterov=settings["nesterov"],
        weight_decay=settings["weight_decay"],
        schedule=settings["schedule"],
        milestones=settings["milestones"],
        inputs=data.inputs,
        augment=augment if settings["pad"] or settings["flip"] else None,
        perturb=None if epsilon is None else SignedStep(epsilon, tuple(data.std)),
        evaluate=lambda model: evaluate(model, x, y, inputs=data.inputs),
        evaluate_every=settings["watch_every"],
        autocast=torch.bfloat16 if low else None,
        generator=torch.Generator().manual_seed(seed),
        checkpoint=file,
        checkpoint_every=max(1, settings["epochs"] // 20),
        progress=f"{settings['data']} {settings['method']} seed {seed}",
    )


def _file(settings: dict[str, Any], seed: int, device: str, data: Dataset) -> Path:
    parts = [settings, seed, torch.device(device).type, data.fingerprint, torch.__version__]
    name = hashlib.sha256(json.dumps([*parts, code_fingerprint(trained)]).encode()).hexdigest()
    return _folder() / f"{name[:24]}.pt"


def _folder() -> Path:
    return results_root() / "networks"


def forget() -> None:
    """Delete the networks that are kept, so that they are trained again."""
    shutil.rmtree(_folder(), ignore_errors=True)


def scores(found: Network) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Return the scores of a network on all test images, and its curves over the epochs.

    Metrics: ``accuracy`` (%), ``nll`` (nats), ``brier``, ``ece``, ``train_loss`` of the last epoch
    (mixed, if the run mixes), and on the watched images ``watched_last``, ``watched_best`` and
    ``watched_median`` (of the last ten evaluations) of the accuracy, in %. Arrays:
    ``train_loss`` per epoch; per evaluation ``epoch``, ``watched_nll``, ``watched_accuracy`` (%).
    """
    model, data, history = found
    full = evaluate(model, data.x_test, data.y_test, inputs=data.inputs)
    metrics = {
        "accuracy": 100 * full["accuracy"],
        **{key: full[key] for key in ("nll", "brier", "ece")},
        "train_loss": history.last["train_loss"],
        "watched_last": 100 * history.last["accuracy"],
        "watched_best": 100 * history.best("accuracy"),
        "watched_median": 100 * history.median("accuracy"),
    }
    arrays = {
        "epoch": [row["epoch"] for row in history.epochs if "nll" in row],
        "train_loss": history.column("train_loss"),
        "watched_nll": history.column("nll"),
        "watched_accuracy": [100 * value for value in history.column("accuracy")],
    }
    return metrics, {name: np.asarray(row, dtype="float32") for name, row in arrays.items()}


def epoch_seconds(settings: dict[str, Any], device: str = "cpu", *, steps: int = 3) -> float:
    """Return the time of one epoch of a setting on this device, from a few steps of training."""
    data = subset(settings, 0, device)
    batch = min(settings["batch"], len(data.x_train))
    few = data.subset(batch, min(batch, len(data.x_test)), at_most=True)
    model = network(settings, data, 0)
    one_step = {"epochs": 1, "n_watch": 1, "batch": len(few.x_train)}
    took = []
    for _ in range(steps):
        if data.x_train.is_cuda:
            torch.cuda.synchronize()
        started = time.perf_counter()
        _train(settings | one_step, 0, model, few, None)
        took.append(time.perf_counter() - started)
    return min(took) * len(data.x_train) / len(few.x_train)
