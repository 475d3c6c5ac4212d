"""Chapter 04: semi-supervised runs, and what is measured on them. Errors are in percent."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mmlib.checks import choice
from mmlib.data import load
from mmlib.data.dataset import Dataset
from mmlib.data.split import Split, ssl_split
from mmlib.data.toys import rings, two_moons
from mmlib.evidence.fingerprint import code_fingerprint
from mmlib.evidence.records import results_root
from mmlib.measures import evaluate, predict
from mmlib.mixing import Mixup
from mmlib.models import build, mlp
from mmlib.training import CropFlip
from mmlib.training.checkpoint import discard
from mmlib.training.fit_ssl import Fitted, RunStopped, fit_ssl
from mmlib.training.ssl_methods import MeanTeacher, Method, PseudoMix, VirtualAdversary

SMALL = 1e-3  # a weight below this counts as zero


class Task(NamedTuple):
    """What a run is given: a data set and which part of it may be used how."""

    data: Dataset
    split: Split


def task(settings: dict[str, Any], seed: int, device: str = "cpu") -> Task:
    """Return the data set and this seed's split; a small stand-in gives what it has."""
    data = load(settings["data"], device=device)
    small = settings["n_train"] is not None
    data = data.subset(settings["n_train"], settings["n_test"], seed=seed, at_most=data.embedded)
    n = len(data.x_train)
    n_valid = settings["n_valid"]
    n_labels = settings["n_labels"]
    if data.embedded or small:
        n_valid = min(n_valid, n // 4)
    if data.embedded:
        n_labels = max(data.num_classes, min(n_labels, n // 2))
    return Task(data, ssl_split(data.y_train, n_labels, n_valid, seed=seed))


def method_of(settings: dict[str, Any], seed: int) -> Method:
    """Return the method of a run, with generators of its own."""
    kind = choice("method", settings["method"], tuple(_METHODS))
    return _METHODS[kind](settings, seed)


def _generator(seed: int, place: int) -> torch.Generator:
    return torch.Generator().manual_seed(1000 * seed + place)


def _pseudo_mix(settings: dict[str, Any], seed: int) -> PseudoMix:
    layers = tuple(settings["layers"])
    return PseudoMix(
        Mixup(settings["alpha"], layers, generator=_generator(seed, 1)),
        Mixup(settings["alpha_u"], layers, generator=_generator(seed, 2)),
        weight=settings["weight"],
        targets=settings["targets"],
        mode=settings["mode"],
    )


def _virtual_adversary(settings: dict[str, Any], seed: int) -> VirtualAdversary:
    return VirtualAdversary(
        settings["vat_weight"],
        settings["epsilon"],
        settings["xi"],
        settings["entropy"],
        _generator(seed, 3),
    )


_METHODS = {
    "supervised": lambda settings, seed: Method(),
    "input": _pseudo_mix,
    "manifold": _pseudo_mix,
    "mean_teacher": lambda settings, seed: MeanTeacher(
        settings["teacher_weight"], settings["decay"]
    ),
    "vat": _virtual_adversary,
    "vat_em": _virtual_adversary,
}


def network(settings: dict[str, Any], data: Dataset, seed: int) -> nn.Module:
    """Return the untrained network of a seed, on the device of the data."""
    options = {key: settings[key] for key in ("dropout", "slope") if key in settings}
    model = build(
        settings["model"],
        data.in_channels,
        data.num_classes,
        data.image_size,
        settings.get("width"),
        seed=seed,
        **options,
    )
    return model.to(data.device)


def _options(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return what `fit_ssl` takes from the settings of any run."""
    updates = settings["updates"]
    return {
        "updates": updates,
        "generator": _generator(seed, 0),
        "batch_size": settings["batch"],
        "lr": settings["lr"],
        "momentum": settings["momentum"],
        "nesterov": settings["nesterov"],
        "weight_decay": settings["weight_decay"],
        "l1": settings["l1"],
        "l1_on": settings["l1_on"],
        "milestones": settings["milestones"],
        "ramp": settings["ramp"],
        "labelled": settings["stream"],
        "noise": settings["noise"],
        "validate_every": max(1, updates // settings["validations"]),
    }


def train(
    settings: dict[str, Any],
    seed: int,
    given: Task,
    *,
    method: Method | None = None,
    checkpoint: Path | None = None,
) -> Fitted:
    """Train one network; a run whose loss is no longer finite gives what came before.

    Runs of one seed share split, initial weights, batches and views, whatever the method.
    """
    data, split = given
    x, y = data.x_train[split.validation], data.y_train[split.validation]
    augment = CropFlip(settings["pad"], settings["flip"])
    low = settings["precision"] == "bf16" and data.device.type == "cuda"
    try:
        return fit_ssl(
            network(settings, data, seed),
            method or method_of(settings, seed),
            data.x_train[split.labelled],
            data.y_train[split.labelled],
            data.x_train[split.unlabelled],
            **_options(settings, seed),
            inputs=data.inputs,
            augment=augment if settings["pad"] or settings["flip"] else None,
            validate=partial(error, x=x, y=y, inputs=data.inputs),
            autocast=torch.bfloat16 if low else None,
            checkpoint=checkpoint,
            progress=f"{settings['data']} {settings['method']} seed {seed}",
        )
    except RunStopped as stopped:
        return stopped.fitted


def error(model: nn.Module, x: Tensor, y: Tensor, inputs: Any = None) -> float:
    """Return the share of examples that a network gets wrong, in percent."""
    return 100 * float((predict(model, x, inputs=inputs).argmax(1) != y).double().mean())


def scored(settings: dict, seed: int, device: str = "cpu") -> tuple[dict, dict]:
    """Train one network, select it on the validation set, and look at the test set once.

    Metrics: ``error`` and ``nll`` (nats) of the selected network on the test set, ``error_last``
    of the last one; ``valid_error`` and ``chosen`` (share of the updates made) of the selection;
    ``stopped`` (updates made before the loss was no number, or NaN); ``zeros`` (% of the weights
    of the last network below 1e-3), ``weight_size`` (their mean size); ``seconds``, and
    ``step_ms`` per update. Arrays: the columns of the history.
    """
    given = task(settings, seed, device)
    file = _checkpoint(settings, seed, given.data) if settings["precision"] == "bf16" else None
    found = train(settings, seed, given, checkpoint=file)
    scores = _scores(settings, given.data, found)
    if file is not None:
        discard(file)
    return scores


def _checkpoint(settings: dict, seed: int, data: Dataset) -> Path:
    """Return where a run of hours keeps its state; runs of other code or data have other names."""
    parts = [settings, seed, data.device.type, data.fingerprint, torch.__version__]
    name = hashlib.sha256(json.dumps([*parts, code_fingerprint(train)]).encode()).hexdigest()
    return results_root() / "networks" / f"ssl-{name[:20]}.pt"


def _scores(settings: dict, data: Dataset, found: Fitted) -> tuple[dict, dict]:
    history, updates = found.history, settings["updates"]
    test = evaluate(found.model, data.x_test, data.y_test, inputs=data.inputs)
    valid = history.column("valid_error")
    sizes = torch.cat([p.detach().abs().flatten() for p in found.last.parameters()])
    seconds = history.last["seconds"] if history.epochs else float("nan")
    metrics = {
        "error": 100 * (1 - test["accuracy"]),
        "nll": test["nll"],
        "error_last": error(found.last, data.x_test, data.y_test, data.inputs),
        "valid_error": min(valid, default=float("nan")),
        "chosen": history.epochs[int(np.argmin(valid))]["step"] / updates if valid else 0.0,
        "stopped": float(history.steps) if history.steps < updates else float("nan"),
        "zeros": 100 * float((sizes < SMALL).double().mean()),
        "weight_size": float(sizes.double().mean()),
        "seconds": seconds,
        "step_ms": 1000 * seconds / max(1, history.steps),
    }
    names = ("step", "lr", "weight", "supervised", "unsupervised", "train_loss", "l1")
    arrays = {name: history.column(name) for name in (*names, "valid_error")}
    return metrics, {name: np.asarray(row, dtype="float32") for name, row in arrays.items()}


# ------------------------------------------------------------------------ points in the plane

_TOYS = {"moons": two_moons, "rings": rings}


def planar(settings: dict, seed: int) -> tuple[dict, dict]:
    """A small network on moons or rings, with a few labels per class.

    Metrics: ``error`` on fresh points. Arrays: ``probability`` (G, G), of the arg max class over a
    grid; ``decision`` (G, G); ``extent``; the labelled points ``x`` and ``y``, and some of the
    unlabelled, ``points``.
    """
    make = _TOYS[choice("toy", settings["toy"], tuple(_TOYS))]
    rng = _generator(seed, 9)
    make = partial(make, noise=settings["noise_of_data"], generator=rng)
    (x, y), (x_test, y_test) = make(settings["n_points"]), make(settings["n_test"])
    split = ssl_split(y, settings["n_labels"], settings["n_valid"], seed=seed)
    x_l, y_l = x[split.labelled], y[split.labelled]
    found = fit_ssl(
        _planar_net(settings, int(y.max()) + 1, seed),
        method_of(settings, seed),
        x_l,
        y_l,
        x[split.unlabelled],
        **_options(settings, seed),
    )
    reach = float(x.abs().max()) + 0.3
    line = torch.linspace(-reach, reach, settings["grid"])
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    surface = predict(found.model, torch.stack([columns, rows], -1).view(-1, 2)).softmax(1)
    top = surface.max(1)
    shape = (settings["grid"],) * 2
    arrays = {
        "probability": top.values.view(shape).numpy().astype("float16"),
        "decision": top.indices.view(shape).numpy().astype("int8"),
        "extent": np.asarray([-reach, reach], dtype="float32"),
        "x": x_l.numpy(),
        "y": y_l.numpy().astype("int8"),
        "points": x[split.unlabelled][:300].numpy().astype("float16"),
    }
    return {"error": error(found.model, x_test, y_test)}, arrays


def _planar_net(settings: dict, classes: int, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        return mlp((2, settings["width"], settings["width"], classes))
