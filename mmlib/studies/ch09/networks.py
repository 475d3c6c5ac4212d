"""The networks of chapter 09: two settings, eight ways of training, and how they are trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from torch import nn

from mmlib import checks
from mmlib.data.dataset import Dataset
from mmlib.models.bottleneck import bottleneck
from mmlib.studies import bottlenecks
from mmlib.training.ensemble_fit import Member, fit_ensemble

# The texts print one network, the released code has another.
SETTINGS: dict[str, dict[str, Any]] = {
    "text": {"before": 2, "norm": False, "alpha": 2.0, "loss": "ce"},
    "released": {"before": 3, "norm": True, "alpha": 0.5, "loss": "bce_softmax"},
}
METHODS = ("none", "input", "manifold", "manifold_all", "blocked", "smoothing", "decay", "rescaled")
FIVE, TEN = (0, 1, 2, 3, 4), tuple(range(10))

# Width, batch, rate and length were fixed on the plain network of seed 100 alone, which no study
# uses: at quick size it fits its 10 000 images (cross-entropy 0.0001 on five digits, 0.01 on ten)
# and reaches 98.5 and 94.5 % on test images. Falling rates leave less noise of the last steps.
_SIZE: dict[str, dict[str, Any]] = {
    "smoke": {"schedule": "cosine", "lr": 3e-3, "n_ways": 20},
    "quick": {"schedule": "cosine", "lr": 3e-3, "n_ways": 250}
    | {"width": 128, "batch": 250, "n_test": 1500},
    "paper": {"schedule": "constant", "lr": 1e-4, "n_ways": 500, "n_test": 5000},
}


def cell(profile: str, setting: str = "text", **changes: Any) -> dict[str, Any]:
    """Return the settings of one program: all methods on the chosen digits.

    Args:
        profile: "smoke", "quick" or "paper".
        setting: "text" or "released".
        **changes: other settings than the profile's; ``methods`` as in `way`.

    Example:
        >>> one = cell("quick", "released", digits=(0, 1))
        >>> one["norm"], one["alpha"], one["loss"], one["digits"]
        (True, 0.5, 'bce_softmax', (0, 1))
    """
    checks.choice("setting", setting, tuple(SETTINGS))
    own = {"schedule", "n_ways"}
    size = _SIZE[checks.choice("profile", profile, tuple(_SIZE))]
    methods = tuple(changes.pop("methods", METHODS))
    frames = checks.boolean("frames", changes.pop("frames", False))
    shared = {key: value for key, value in size.items() if key not in own} | SETTINGS[setting]
    settings = bottlenecks.cell(profile, **(shared | changes))
    settings |= {key: size[key] for key in own}
    return {"setting": setting} | settings | {"methods": methods, "frames": frames}


def way(name: str, settings: Mapping[str, Any], seed: int) -> Member:
    """Return how the network of a name is trained.

    Args:
        name: one of `METHODS`, or ``"method@alpha"`` for another alpha than the cell's;
            ``manifold_all`` mixes at one of the `sites`.
        settings: those of a `cell`.
        seed: of the draws.

    Example:
        >>> way("manifold@0.5", cell("quick"), 0).alpha
        0.5
        >>> way("manifold_all", cell("quick"), 0).layers
        ('input', 'layer1', 'code')
    """
    method, at, own = name.partition("@")
    checks.choice("method", method, METHODS)
    alpha = settings["alpha"]
    if at:
        try:
            alpha = float(own)
        except ValueError:
            raise ValueError(f"method: expected 'name@alpha', but got {name!r}") from None
    if method == "manifold_all":
        return Member(seed=seed, layers=sites(settings["before"]), alpha=alpha)
    return bottlenecks.member(method, seed, alpha, len(settings["digits"]))


def sites(before: int) -> tuple[str, ...]:
    """Return the input, the hidden layers before the code but the last, and the code.

    The code is an affine map of the last of them, and mixing commutes with those: in eval mode the
    two are one place.

    Example:
        >>> sites(3)
        ('input', 'layer1', 'layer2', 'code')
    """
    return ("input", *(f"layer{i}" for i in range(1, before)), "code")


def fresh(settings: Mapping[str, Any], data: Dataset, seed: int) -> nn.Sequential:
    """Return the untrained network of a seed, from which all methods start."""
    return bottleneck(
        data.x_train[0].numel(),
        data.num_classes,
        **{key: settings[key] for key in ("width", "code", "before", "after", "norm")},
        seed=seed,
    )


def trained(
    settings: Mapping[str, Any],
    data: Dataset,
    seed: int,
    watch: Callable[[int, dict[str, nn.Module]], None] | None = None,
) -> dict[str, nn.Module]:
    """Return the trained networks of one seed by name; see `bottlenecks.train` for what they share.

    Args:
        settings: those of a `cell`.
        data: this seed's images.
        seed: of weights, order and draws.
        watch: called as ``watch(epoch, nets)`` before training and after each epoch.
    """
    first = fresh(settings, data, seed)
    nets = {name: deepcopy(first).to(data.device) for name in settings["methods"]}
    fit_ensemble(
        list(nets.values()),
        [way(name, settings, seed) for name in nets],
        data.x_train,
        data.y_train,
        epochs=settings["epochs"],
        batch_size=settings["batch"],
        lr=settings["lr"],
        schedule=settings["schedule"],
        loss=bottlenecks.LOSSES[settings["loss"]],
        inputs=data.inputs,
        watch=None if watch is None else lambda epoch, _: watch(epoch, nets),
    )
    return nets  # type: ignore[return-value]
