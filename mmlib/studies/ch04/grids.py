"""Sizes and settings of the studies of chapter 04."""

from __future__ import annotations

from typing import Any

from mmlib.checks import choice

METHODS = ("supervised", "input", "manifold", "mean_teacher", "vat", "vat_em")
MIXED = ("input", "manifold")

# What each method adds to the common settings. The weights of the baselines are those of Oliver
# et al. (2018), and so is the decay; epsilon is theirs for CIFAR-10, where inputs have about the
# same norm as theirs. The probe is longer: see the study of it.
_OF_METHOD: dict[str, dict[str, Any]] = {
    "supervised": {},
    "input": {"sites": 1},
    "manifold": {"sites": 3},
    "mean_teacher": {"teacher_weight": 8.0, "decay": 0.95},
    "vat": {"vat_weight": 0.3, "epsilon": 6.0, "xi": 0.1, "entropy": 0.0},
    "vat_em": {"vat_weight": 0.3, "epsilon": 6.0, "xi": 0.1, "entropy": 0.06},
}
_MIXING = {"alpha": 0.1, "alpha_u": 2.0, "weight": 1.0, "targets": "probabilities", "mode": "train"}
SITES = ("input", "block1", "block2")

# Appendix C, for all methods. Augmentation and noise are those of Oliver et al. on CIFAR-10.
TEXT: dict[str, Any] = {
    "batch": 100,
    "lr": 0.1,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5e-4,
    "l1": 1e-3,
    "l1_on": "all",
    "milestones": (0.5, 0.75, 0.875),
    "ramp": 0.4,
    "stream": "fresh",
    "pad": 2,
    "flip": True,
    "noise": 0.15,
}

_SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "mnist": {
        "smoke": {"width": 2, "n_labels": 20, "n_valid": 100, "updates": 4},
        "quick": {"width": 8, "n_labels": 100, "n_valid": 2000, "updates": 600},
        "paper": {"width": 32, "n_labels": 100, "n_valid": 5000, "updates": 50_000},
    },
    "cifar10": {
        "smoke": {"width": 2, "n_labels": 20, "n_valid": 100, "updates": 4},
        "quick": {"width": 8, "n_labels": 4000, "n_valid": 5000, "updates": 800},
        "paper": {"n_labels": 4000, "n_valid": 5000, "updates": 450_000},  # 1000 epochs of 45 000
    },
    "svhn": {
        # 200 epochs of 65 932 images; epsilon 1.0 on [-1, 1] is 2.5 in units of the deviation.
        "paper": {"n_labels": 1000, "n_valid": 7325, "updates": 131_800},
    },
}
_OF_DATA: dict[str, dict[str, Any]] = {
    "mnist": {"model": "small_conv", "flip": False},
    "cifar10": {"model": "small_conv"},
    "svhn": {"flip": False, "noise": 0.0},
}
_WEIGHT = {"svhn": {"weight": 2.0}}
_EPSILON = {"svhn": {"epsilon": 2.5}}


def cell(profile: str, method: str, data: str, **changes: Any) -> dict[str, Any]:
    """Return the settings of one run.

    Args:
        profile: ``"smoke"``, ``"quick"`` or ``"paper"``.
        method: one of `METHODS`.
        data: ``"mnist"``, ``"cifar10"`` or (at the size of the paper) ``"svhn"``.
        **changes: settings that replace these.

    Raises:
        ValueError: an unknown profile, method or data set.

    Example:
        >>> one = cell("quick", "manifold", "mnist")
        >>> one["layers"], one["alpha"], one["alpha_u"], one["n_labels"]
        (('input', 'block1', 'block2'), 0.1, 2.0, 100)
    """
    choice("method", method, METHODS)
    choice("data", data, tuple(_SIZES))
    choice("profile", profile, tuple(_SIZES[data]))
    settings = {"data": data, "method": method} | TEXT | _OF_DATA[data] | _SIZES[data][profile]
    own = dict(_OF_METHOD[method])
    if sites := own.pop("sites", None):
        own |= _MIXING | _WEIGHT.get(data, {}) | {"layers": SITES[:sites]}
    if "epsilon" in own:
        own |= _EPSILON.get(data, {})
    settings |= own
    if profile == "paper" and data != "mnist":
        # The net of the released code, which is that of Oliver et al.
        settings |= {"model": "wrn28-2", "dropout": 0.3, "slope": 0.01}
    settings["validations"] = {"smoke": 2, "quick": 20, "paper": 200}[profile]
    settings["n_train"] = 600 if profile == "smoke" else None
    settings["n_test"] = 100 if profile == "smoke" else None
    settings["precision"] = "bf16" if profile == "paper" else "float32"
    return settings | changes


# One switch at a time from the text's reading to what the released code does, and all of them.
RELEASED: dict[str, dict[str, Any]] = {
    "logits": {"targets": "logits"},
    "l1 on the first tensor": {"l1_on": "first"},
    "repeated labelled batches": {"stream": "repeated"},
}
SWITCHES: dict[str, dict[str, Any]] = {
    **RELEASED,
    "frozen statistics": {"mode": "frozen"},
    "eval mode": {"mode": "eval"},
    "no L1": {"l1": 0.0},
    "released code": {key: v for one in RELEASED.values() for key, v in one.items()}
    | {"nesterov": True},
}

LABELS = {"smoke": (20, 40), "quick": (20, 250, 1000), "paper": (250, 500, 1000, 2000)}

# A cross around the text's choice, with values of its grids.
ALPHAS = {"quick": (0.5, 1.0), "paper": tuple(n / 10 for n in range(2, 11))}
ALPHAS_U = {"quick": (0.1, 4.0), "paper": (0.1, 0.5, 1.0, 1.5, 3.0, 4.0)}
WEIGHTS = {"quick": (0.0, 0.3, 3.0), "paper": (0.0, 0.1, 0.3, 0.5, 2.0, 3.0, 10.0)}

TOYS: dict[str, dict[str, Any]] = {
    "moons": {"n_labels": 6, "noise_of_data": 0.1},
    "rings": {"n_labels": 12, "noise_of_data": 0.08},
}


def toy_cell(profile: str, method: str, toy: str) -> dict[str, Any]:
    """Return the settings of a run on points in the plane.

    Inputs are of size 1, so probe and perturbation are shorter; there is no augmentation but the
    noise, and no L1, whose coefficient is for networks of a million weights.
    """
    own = cell("quick", method, "mnist")
    del own["data"]
    own |= {"toy": toy, "model": "mlp", "width": 32, "l1": 0.0, "pad": 0}
    own |= {"n_points": 500, "noise": 0.05, "n_valid": 0, "n_test": 1000} | TOYS[toy]
    own |= {"updates": 20 if profile == "smoke" else 600, "grid": 9 if profile == "smoke" else 61}
    if "layers" in own:
        own["layers"] = ("input",) if method == "input" else ("input", "layer1")
    if "epsilon" in own:
        own |= {"epsilon": 0.3, "xi": 0.01}
    return own
