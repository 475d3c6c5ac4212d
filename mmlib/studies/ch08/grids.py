"""Cells of chapter 08 at each size."""

from __future__ import annotations

from typing import Any

from mmlib.checks import choice, integer
from mmlib.studies import bottlenecks, networks

LAYERS = {
    "mnist": ("input", "block1", "block2", "block3"),
    "cifar10": ("input", "layer2", "layer3", "layer4"),
}
# "The output of the second resblock", Figure 4; also the last place at which its net mixes.
SECOND = {"mnist": "block2", "cifar10": "layer2"}
DECODED = {"mnist": ("block1", "block2", "block3"), "cifar10": ("layer2",)}

# Rates and lengths were fixed on plain networks of seed 100, which no study uses: the classifier
# and the other network (the eye) until they learned their images, the decoder until its error on
# test images hardly fell.
_NETWORK: dict[str, dict[str, dict[str, Any]]] = {
    "mnist": {
        "smoke": {"width": 4, "n_train": 200, "epochs": 1},
        "quick": {"width": 8, "n_train": 5000, "epochs": 12, "lr": 0.05, "schedule": "cosine"},
        "paper": {"width": 32, "n_train": None},
    },
    "cifar10": {
        "smoke": {"n_train": 100, "epochs": 1},
        "quick": {"n_train": 4000, "epochs": 10, "schedule": "cosine"},
        "paper": {},
    },
}
_EYE: dict[str, dict[str, dict[str, Any]]] = {
    "mnist": {
        "smoke": {"n_train": 200, "epochs": 1},
        "quick": {"n_train": 10_000, "width": 12, "epochs": 5, "lr": 0.03, "schedule": "cosine"},
        "paper": {"n_train": None, "width": 12, "epochs": 20},
    },
    "cifar10": {
        "smoke": {"n_train": 200, "width": 4, "epochs": 1},
        "quick": {"n_train": 10_000, "width": 16, "epochs": 6, "schedule": "cosine"},
        "paper": {"n_train": None, "width": 64, "epochs": 100},
    },
}
_EYE_NET = {"mnist": ("lenet", "layer2"), "cifar10": ("small_conv", "head.1")}
_MEASURE: dict[str, dict[str, Any]] = {
    "smoke": {"n_test": 100, "n_known": 300, "n_decoder": 200, "per_pair": 1}
    | {"decoder_width": 8, "decoder_epochs": 1},
    "quick": {"n_test": 1000, "n_known": 3000, "n_decoder": 5000, "per_pair": 8}
    | {"decoder_width": 16, "decoder_epochs": 5},
    "paper": {"n_test": 5000, "n_known": 50_000, "n_decoder": None, "per_pair": 50}
    | {"decoder_width": 64, "decoder_epochs": 200},
}
METHODS = ("none", "input", "manifold", "untrained")


def cell(profile: str, data: str, method: str, **changes: Any) -> dict[str, Any]:
    """Return the settings of one network with its decoders.

    Args:
        profile: ``"smoke"``, ``"quick"`` or ``"paper"``.
        data: ``"mnist"`` or ``"cifar10"``.
        method: ``"none"``, ``"input"``, ``"manifold"`` or ``"untrained"``.
        **changes: settings that replace these.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> one = cell("quick", "mnist", "manifold")
        >>> one["layers"], one["decode"]
        (('input', 'block1', 'block2'), ('block1', 'block2', 'block3'))
    """
    choice("data", data, tuple(LAYERS))
    choice("method", method, METHODS)
    model = {"model": "small_conv"} if data == "mnist" else {}
    eye, eye_layer = _EYE_NET[data]
    plain = method if method != "untrained" else "none"
    settings = networks.cell(
        profile, plain, data, **model, **_NETWORK[data][profile], **{"watch_every": 100}
    )
    other = networks.cell(
        profile, "none", data, model=eye, **_EYE[data][profile], **{"watch_every": 100}
    )
    return (
        settings
        | {
            "method": method,
            "eye": other,
            "eye_layer": eye_layer,
            "geometry": LAYERS[data],
            "decode": DECODED[data],
            "decoder_lr": 3e-3,
        }
        | _MEASURE[profile]
        | changes
    )


def state_cells(profile: str) -> list[dict[str, Any]]:
    """Return the cells of the networks that are measured."""
    digits = [cell(profile, "mnist", method) for method in ("none", "manifold")]
    # The controls need one layer: mixing at the input, and a network that has learned nothing.
    digits += [
        cell(profile, "mnist", method, decode=(SECOND["mnist"],))
        for method in ("input", "untrained")
    ]
    return digits + [cell(profile, "cifar10", method) for method in ("none", "manifold")]


# Fixed on critics of overlays of the plain network, seed 100.
_CRITIC: dict[str, dict[str, Any]] = {
    "smoke": {"n_critic": 60, "critic_width": 4, "critic_epochs": 1, "critic_lr": 0.05},
    "quick": {"n_critic": 3000, "critic_width": 8, "critic_epochs": 3, "critic_lr": 0.05},
    "paper": {"n_critic": 20_000, "critic_width": 32, "critic_epochs": 20, "critic_lr": 0.05},
}


def critic_cells(profile: str) -> list[dict[str, Any]]:
    """Return the cells of the networks whose decoded mixes critics learn to tell."""
    n_decoder = {"paper": 30_000}
    return [
        cell(profile, data, method, layer=SECOND[data], **_CRITIC[profile])
        | ({"n_decoder": n_decoder[profile]} if profile in n_decoder else {})
        for data in LAYERS
        for method in ("none", "manifold")
    ]


# Digits that look alike and digits that do not; the first pair is the notebook's parameter.
PAIRS = {
    "mnist": ((3, 5), (4, 9), (1, 7), (0, 6), (2, 8), (3, 3)),
    "cifar10": ((3, 5), (1, 9), (0, 8), (4, 7), (0, 2), (3, 3)),
}


def two_classes(name: str, value: Any) -> tuple[int, int]:
    """Return two classes, 0 to 9, as a tuple; equal ones are allowed.

    Raises:
        TypeError, ValueError: it is no list of two such numbers.

    Example:
        >>> two_classes("pair", [3, 8])
        (3, 8)
        >>> two_classes("pair", [3])
        Traceback (most recent call last):
        ValueError: pair: expected two classes such as [3, 8], but got [3]
    """
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ValueError(f"{name}: expected two classes such as [3, 8], but got {value!r}")
    first, second = (integer(f"{name}[{i}]", v, low=0, high=9) for i, v in enumerate(value))
    return first, second


def picture_cells(profile: str) -> list[dict[str, Any]]:
    """Return the cells of the networks that are looked at."""
    steps = {"steps": 5 if profile == "smoke" else 11}
    return [
        cell(profile, data, method, pairs=PAIRS[data], **steps)
        for data in LAYERS
        for method in ("none", "manifold")
    ]


CODES = (2, 3, 5, 10, 30)


def width_cells(profile: str) -> list[dict[str, Any]]:
    """Return the cells of bottleneck nets, one for each width of the code."""
    size = {
        "smoke": {"tuples": 2, "n_codes": 50},
        "quick": {"tuples": 20, "n_codes": 500},
        "paper": {"tuples": 100, "n_codes": 2000},
    }[profile]
    codes = (2, 3) if profile == "smoke" else CODES
    methods = ("none", "input", "manifold")
    short = {"epochs": 10} if profile == "quick" else {}
    return [bottlenecks.cell(profile, code=code, methods=methods, **short) | size for code in codes]


DIMENSIONS = (2, 3, 5, 10, 30, 100)


def triangle_cells(profile: str) -> list[dict[str, Any]]:
    """Return the cells of random means, one for each dimension."""
    size = {"n": 1000, "sets": 4} if profile == "smoke" else {"n": 50_000, "sets": 40}
    return [{"dimension": d, "classes": 10} | size for d in DIMENSIONS]


def noise_cells(profile: str) -> list[dict[str, Any]]:
    """Return the cells of noise against real variation."""
    size = {
        "smoke": {"n": 200, "n_filter": 50},
        "quick": {"n": 4000, "n_filter": 500},
        "paper": {"n": 40_000, "n_filter": 5000},
    }[profile]
    return [
        {"data": data, "pool": pool, "sigma": 0.2, "reach": 2} | size
        for data in ("mnist", "cifar10")
        for pool in (1, 2, 4)
    ]
