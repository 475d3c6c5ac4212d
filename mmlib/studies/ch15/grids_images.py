"""The studies of chapter 15 on images, and their settings."""

from __future__ import annotations

from typing import Any

from mmlib.checks import choice
from mmlib.evidence import Study
from mmlib.studies.ch15 import hidden, image_runs, timing
from mmlib.studies.networks import SITES

KS = (1, 2, 4, 8, 16, 32)
ALPHAS_PRINTED = (0.05, 0.1, 0.2, 0.5, 1.0, 10.0, 100.0)

# Sizes, rates and lengths were fixed on the plain networks of seed 100, which no study uses, before
# any run that mixes was looked at. MNIST: 97.1 % on test images, 97.9 % on training images; the
# rate of the text is 0.1, but from 0.05 on plain training of LeNet breaks down for some seeds.
# CIFAR-10: at equal cost few images and many epochs fit the training set best (86 %, test 60 %), as
# the networks of the text do, so there is something to regularise; for the same reason images are
# not cropped and mirrored at quick size.
_SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "mnist": {
        "smoke": {"n_train": 256, "n_test": 100, "n_watch": 100, "epochs": 2},
        "quick": {"n_train": 5120, "n_test": None, "n_watch": 1000, "epochs": 8},
        "paper": {"n_train": None, "n_test": None, "n_watch": None, "epochs": 200},
    },
    "cifar10": {
        "smoke": {"n_train": 256, "n_test": 100, "n_watch": 100, "epochs": 2},
        "quick": {"n_train": 2560, "n_test": None, "n_watch": 1000, "epochs": 20},
        "paper": {"n_train": None, "n_test": None, "n_watch": None, "epochs": 200},
    },
}
_LOOKS = {
    "smoke": {"n_vicinal": 128, "n_final": 128, "n_look": 100},
    "quick": {"n_vicinal": 512, "n_final": 2048, "n_look": 512},
    "paper": {"n_vicinal": 2048, "n_final": 10_000, "n_look": 2048},
}
_NETS: dict[str, dict[str, dict[str, Any]]] = {
    "mnist": {
        profile: {"model": "lenet", "width": 6, "lr": 0.03, "pad": 0, "flip": False}
        for profile in _LOOKS
    },
    "cifar10": {
        "smoke": {"model": "small_conv", "width": 8, "lr": 0.1, "pad": 0, "flip": False},
        "quick": {"model": "small_conv", "width": 16, "lr": 0.1, "pad": 0, "flip": False},
        "paper": {"model": "preactresnet18", "width": 64, "lr": 0.1, "pad": 4, "flip": True},
    },
}


def cell(
    profile: str, data: str, k: int | None = None, alpha: float = 1.0, **changes: Any
) -> dict[str, Any]:
    """Return the settings of one network; without k it is trained plainly.

    Example:
        >>> one = cell("quick", "mnist", 8, 10.0)
        >>> one["model"], one["k"], one["alpha"], one["layers"], one["batch"]
        ('lenet', 8, 10.0, ('input',), 128)
    """
    choice("data", data, tuple(_SIZES))
    settings = _SIZES[data][choice("profile", profile, tuple(_LOOKS))] | _LOOKS[profile]
    settings |= _NETS[data][profile]
    # k divides the batch and the batch the training set, so that no block is smaller.
    settings |= {"data": data, "batch": 128, "weight_decay": 1e-4, "schedule": "step"}
    settings |= {"ks": (1, 8, 32), "set": "input"}
    if k is not None:
        settings |= {"k": k, "alpha": alpha, "layers": ("input",), "sets": "disjoint"}
    return settings | changes


# Where a batch may be mixed. "pair" is the coin flip of Figure 9; the sets of "all" and "deep" are
# our reading of the sentence on residual blocks behind it.
SETS = {"pair": (0, 1), "all": (1, 2, 3), "deep": (2, 3)}


def sites(model: str, name: str) -> tuple[str, ...]:
    """Return the eligible sites of a model under a name of `SETS`.

    Example:
        >>> sites("small_conv", "deep")
        ('block2', 'block3')
    """
    every = SITES[model] + (("layer4",) if model.startswith("preactresnet") else ())
    chosen = SETS[choice("set", name, tuple(SETS))]
    if name != "pair":  # all or the last ones of the blocks
        return every[chosen[0] :]
    return tuple(every[i] for i in chosen)


def _released(profile: str, data: str, ks: tuple[int, ...]) -> list[dict[str, Any]]:
    """Sets of one batch, as released: about k of 128 examples are matched to themselves.

    At alpha = 100, where all others are mixed half and half, these are the only clean examples.
    """
    return [cell(profile, data, k, 100.0, sets="batch") for k in ks if k in (8, 32)]


def _mnist(profile: str) -> list[dict[str, Any]]:
    ks = (1, 32) if profile == "smoke" else KS
    alphas = {"smoke": (1.0, 100.0), "quick": (0.1, 1.0, 10.0, 100.0), "paper": ALPHAS_PRINTED}
    mixed = [cell(profile, "mnist", k, alpha) for alpha in alphas[profile] for k in ks]
    return [cell(profile, "mnist"), *mixed, *_released(profile, "mnist", ks[1:])]


MNIST = Study(
    "ch15-mnist",
    image_runs.image_run,
    {profile: _mnist(profile) for profile in _LOOKS},
    seeds={"smoke": 1, "quick": 5, "paper": 20},
    live_seeds={"quick": 1},
    data="mnist",
)


def _cifar(profile: str) -> list[dict[str, Any]]:
    ks = {"smoke": (1, 32), "quick": (1, 8, 32), "paper": KS}[profile]
    alphas = {"smoke": (1.0, 10.0), "quick": (1.0, 10.0, 100.0), "paper": ALPHAS_PRINTED}
    constant = {"schedule": "constant"}
    return [
        cell(profile, "cifar10"),
        *(cell(profile, "cifar10", k, alpha) for alpha in alphas[profile] for k in ks),
        *(cell(profile, "cifar10", k, 1.0, **constant) for k in (1, 32)),
        *_released(profile, "cifar10", () if profile == "smoke" else (32,)),
    ]


CIFAR = Study(
    "ch15-cifar10",
    image_runs.image_run,
    {profile: _cifar(profile) for profile in _LOOKS},
    seeds={"smoke": 1, "quick": 5, "paper": 20},
    live_seeds={"quick": 1},
    data="cifar10",
)


def _manifold(profile: str) -> list[dict[str, Any]]:
    model = _NETS["cifar10"][profile]["model"]
    wanted: list[tuple[str, float, tuple[int, ...]]] = {
        "smoke": [("pair", 1.0, (1, 32)), ("deep", 1.0, (1,))],
        "quick": [
            ("pair", 1.0, (1, 4, 8, 32)),
            ("pair", 10.0, (1, 32)),
            ("all", 1.0, (1, 32)),
            ("deep", 1.0, (1, 32)),
        ],
        "paper": [
            *(("pair", alpha, KS) for alpha in ALPHAS_PRINTED[1:-1]),
            *((name, 1.0, (1, 4, 8, 32)) for name in ("all", "deep")),
        ],
    }[profile]
    return [
        cell(profile, "cifar10", k, alpha, layers=sites(model, name), set=name)
        for name, alpha, ks in wanted
        for k in ks
    ]


MANIFOLD = Study(
    "ch15-manifold",
    image_runs.image_run,
    {profile: _manifold(profile) for profile in _LOOKS},
    seeds={"smoke": 1, "quick": 5, "paper": 20},
    live_seeds={"quick": 1},
    data="cifar10",
)

EXTENSION = Study(
    "ch15-extension",
    hidden.extension,
    {
        profile: [{"k": k, "batch": 32, "width": 4, "draws": draws} for k in ks]
        for profile, ks, draws in (
            ("smoke", (4,), 100),
            ("quick", (1, 2, 4, 8, 16), 400),
            ("paper", (1, 2, 4, 8, 16), 400),
        )
    },
    seeds={"smoke": 1, "quick": 5, "paper": 5},
    n_jobs=1,
)


def _timed(profile: str) -> list[dict[str, Any]]:
    nets = {
        "smoke": [("lenet", 6, 4, (1, 32)), ("small_conv", 8, 2, (1, 32))],
        "quick": [("lenet", 6, 40, KS), ("small_conv", 16, 24, (1, 8, 32))],
        "paper": [("lenet", 6, 40, KS), ("preactresnet18", 64, 40, KS)],
    }[profile]
    return [
        {"model": model, "width": width, "batch": 128, "rounds": rounds, "ks": ks}
        for model, width, rounds, ks in nets
    ]


STEPS = Study(
    "ch15-step-time",
    timing.step_seconds,
    {profile: _timed(profile) for profile in _LOOKS},
    seeds={"smoke": 1, "quick": 5, "paper": 5},
    n_jobs=1,  # one process at a time has the caches to itself
)
