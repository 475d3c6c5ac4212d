"""Bottleneck nets of chapters 09 to 11: all methods of one seed trained as one program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import optimize, stats
from torch import Tensor, nn

from mmlib.checks import choice, integer, positive
from mmlib.data import load
from mmlib.data.dataset import Dataset
from mmlib.measures.conflict import target_entropy
from mmlib.mixing import bce_on_softmax, soft_cross_entropy
from mmlib.models.bottleneck import bottleneck
from mmlib.training.ensemble_fit import EnsembleHistory, Member, fit_ensemble

LOSSES = {"ce": soft_cross_entropy, "bce_softmax": bce_on_softmax}

# What each method is; `smoothing`, `decay` and `rescaled` hold the scale where a claim is about
# geometry. None of them mixes.
METHODS = ("none", "input", "manifold", "blocked", "smoothing", "decay", "rescaled")
DECAY = 1e-3
RESCALED = 0.1

_SIZES: dict[str, dict[str, Any]] = {
    "smoke": {"width": 16, "n_train": 200, "n_test": 100, "epochs": 1, "batch": 50},
    "quick": {"width": 256, "n_train": 10_000, "n_test": 2000, "epochs": 20, "batch": 100},
    "paper": {"width": 1024, "n_train": None, "n_test": None, "epochs": 30, "batch": 256},
}


def cell(profile: str, **changes: Any) -> dict[str, Any]:
    """Return the settings of one program: the methods side by side.

    Keys: ``data, digits, code, before, after, norm, alpha, methods, loss, width, n_train, n_test,
    epochs, batch, lr, weight_decay``. The defaults are the net of v1, appendix F, on all digits.

    Raises:
        ValueError, TypeError: a setting is unknown or does not fit; the message names it.

    Example:
        >>> one = cell("quick", digits=(0, 1, 2, 3, 4), code=2)
        >>> one["before"], one["norm"], one["methods"][:3]
        (2, False, ('none', 'input', 'manifold'))
    """
    choice("profile", profile, tuple(_SIZES))
    settings: dict[str, Any] = {
        "data": "mnist",
        "digits": tuple(range(10)),
        "code": 2,
        "before": 2,
        "after": 2,
        "norm": False,
        "alpha": 2.0,
        "methods": METHODS,
        "loss": "ce",
        "lr": 1e-4 if profile == "paper" else 1e-3,
        "weight_decay": 0.0,
    } | _SIZES[profile]
    for key in changes:
        choice("settings", key, tuple(settings))
    settings |= changes
    settings["digits"] = digits_of(settings["digits"])
    settings["methods"] = methods_of(settings["methods"])
    positive("alpha", settings["alpha"])
    integer("code", settings["code"], low=1)
    choice("loss", settings["loss"], tuple(LOSSES))
    if settings["n_train"] is not None:
        integer("n_train", settings["n_train"], low=len(settings["digits"]))
    return settings


def digits_of(digits: Sequence[int]) -> tuple[int, ...]:
    """Return the digits in rising order.

    Raises:
        ValueError: fewer than two, twice the same, or one outside 0 to 9.
        TypeError: one is no integer.

    Example:
        >>> digits_of([4, 1])
        (1, 4)
    """
    if isinstance(digits, str) or not isinstance(digits, Sequence):
        raise TypeError(f"digits: expected a list of digits such as [0, 1, 2], but got {digits!r}")
    found = sorted(integer("digits", digit, low=0, high=9) for digit in digits)
    if len(found) < 2 or len(set(found)) < len(found):
        raise ValueError(f"digits: expected at least two different digits, but got {digits!r}")
    return tuple(found)


def methods_of(methods: Sequence[str], known: Sequence[str] = METHODS) -> tuple[str, ...]:
    """Return the methods in the order of `known`.

    Raises:
        ValueError: one is unknown or named twice, or there is none.

    Example:
        >>> methods_of(["manifold", "none"])
        ('none', 'manifold')
    """
    if isinstance(methods, str) or not isinstance(methods, Sequence):
        raise TypeError(f"methods: expected a list of names, but got {methods!r}")
    for name in methods:
        choice("methods", name, tuple(known))
    if not methods or len(set(methods)) < len(methods):
        raise ValueError(f"methods: expected different names, at least one, but got {methods!r}")
    return tuple(name for name in known if name in methods)


def member(method: str, seed: int, alpha: float, classes: int, weight_decay: float = 0) -> Member:
    """Return how a method is trained: mixing methods mix at the input or at the code alone."""
    choice("method", method, METHODS)
    plain = Member(seed=seed, alpha=alpha, weight_decay=weight_decay)
    return {
        "none": plain,
        "input": replace(plain, layers=("input",)),
        "manifold": replace(plain, layers=("code",)),
        "blocked": replace(plain, layers=("code",), detach=True),
        "smoothing": replace(plain, smoothing=matched_smoothing(alpha, classes)),
        "decay": replace(plain, weight_decay=weight_decay + DECAY),
        "rescaled": replace(plain, weight_decay=weight_decay + DECAY, loss_scale=RESCALED),
    }[method]


def mixed_entropy(alpha: float, classes: int) -> float:
    """Return the mean entropy (nats) of a mixed target of two independent, balanced labels.

    The labels differ with probability ``1 - 1/K``; if so it is `target_entropy`.

    Example:
        >>> round(mixed_entropy(1.0, 2), 6)  # (1 - 1/2) (psi(3) - psi(2)) = 1/4
        0.25
    """
    return (1 - 1 / integer("classes", classes, low=2)) * target_entropy(alpha)


def matched_smoothing(alpha: float, classes: int) -> float:
    """Return the label smoothing whose targets have the mean entropy of mixed ones.

    The target is ``(1 - s) e_y + s / K``.

    Example:
        >>> s = matched_smoothing(2.0, 10)
        >>> target = np.full(10, s / 10)
        >>> target[0] += 1 - s
        >>> bool(np.isclose(stats.entropy(target), mixed_entropy(2.0, 10)))
        True
    """
    wanted = mixed_entropy(alpha, classes)

    def gap(share: float) -> float:
        target = np.full(classes, share / classes)
        target[0] += 1 - share
        return float(stats.entropy(target)) - wanted

    return float(optimize.brentq(gap, 0.0, 1.0))


class Bottlenecks(NamedTuple):
    """Trained networks of one seed with what they were trained on.

    Attributes:
        nets: by method, in eval mode, on the device.
        data: this seed's part of the data; classes are numbered from 0 in the order of the digits.
        history: of their training; losses in the order of `nets`.
    """

    nets: dict[str, nn.Module]
    data: Dataset
    history: EnsembleHistory


def images(settings: dict[str, Any], seed: int, device: str = "cpu") -> Dataset:
    """Return this seed's images of the chosen digits, balanced, with classes from 0."""
    data = load(settings["data"], device=device)
    digits = torch.tensor(settings["digits"], device=data.device)

    def only(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        keep = torch.isin(y, digits)
        return x[keep], torch.searchsorted(digits, y[keep])

    x_train, y_train = only(data.x_train, data.y_train)
    x_test, y_test = only(data.x_test, data.y_test)
    name = ",".join(map(str, settings["digits"]))
    chosen = replace(
        data,
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        classes=tuple(data.classes[digit] for digit in settings["digits"]),
        fingerprint=f"{data.fingerprint}[{name}]",
    )
    n_train, n_test = settings["n_train"], settings["n_test"]
    return chosen.subset(n_train, n_test, seed=seed, at_most=data.embedded)


def train(
    settings: dict[str, Any],
    seed: int,
    device: str = "cpu",
    watch: Callable[[int, dict[str, nn.Module]], None] | None = None,
    data: Dataset | None = None,
) -> Bottlenecks:
    """Return the networks of one seed, one for each method.

    All start from the same weights and see the same batches, partners and uniform numbers.

    Args:
        settings: those of `cell`.
        seed: of the images, the weights, the order and the draws.
        device: where to train.
        watch: called as ``watch(epoch, nets by method)`` before training and after each epoch.
        data: what to train on; None for this seed's digits.
    """
    data = images(settings, seed, device) if data is None else data
    methods, classes = tuple(settings["methods"]), data.num_classes
    first = bottleneck(
        data.x_train[0].numel(),
        classes,
        **{key: settings[key] for key in ("width", "code", "before", "after", "norm")},
        seed=seed,
    )
    nets = {name: deepcopy(first).to(device) for name in methods}
    history = fit_ensemble(
        list(nets.values()),
        [member(name, seed, settings["alpha"], classes, settings["weight_decay"]) for name in nets],
        data.x_train,
        data.y_train,
        epochs=settings["epochs"],
        batch_size=settings["batch"],
        lr=settings["lr"],
        loss=LOSSES[settings["loss"]],
        inputs=data.inputs,
        watch=None if watch is None else lambda epoch, _: watch(epoch, nets),
    )
    return Bottlenecks(nets, data, history)
