"""The studies of chapter 03 and their settings per profile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mmlib.evidence import Study
from mmlib.studies import recipes
from mmlib.studies.ch03 import experiments
from mmlib.studies.networks import cell

PROFILE_NAMES = ("smoke", "quick", "paper")
ALPHAS = (0.1, 0.2, 0.4, 0.8, 1.0, 2.0, 4.0)  # the grid of ICML appendix C.1
METHODS = ("none", "input", "manifold", "manifold_all", "blocked")


def _by_profile(make: Callable[[str], list[dict]]) -> dict[str, list[dict]]:
    return {profile: make(profile) for profile in PROFILE_NAMES}


def _small(profile: str, method: str, **changes: Any) -> dict[str, Any]:
    """A network for the sweeps: three blocks at quick size, the text's network at the paper's."""
    if profile == "paper":
        return cell("paper", method, **{"epochs": 200} | changes)
    width = changes.pop("width", 16 if profile == "quick" else 8)
    return cell(profile, method, model="small_conv", width=width, **changes)


def _digits(profile: str, method: str, **changes: Any) -> dict[str, Any]:
    return cell(profile, method, "mnist", **changes)


# ------------------------------------------------------------------------------ studies


def _study(
    name: str, cells: Callable[[str], list[dict]], *, curves: bool = False, seeds: int = 5
) -> Study:
    return Study(
        f"ch03-{name}",
        experiments.train_with_curves if curves else experiments.train_and_score,
        _by_profile(cells),
        seeds={"quick": seeds, "paper": 5},
        live_seeds={"quick": 1, "paper": 1},
    )


TABLE = _study("table", lambda p: [cell(p, m) for m in METHODS], curves=True)
DIGITS = _study("digits", lambda p: [_digits(p, m) for m in METHODS])


def _full_cells() -> list[dict]:
    """What the texts print numbers of, and claims about networks too large for a laptop."""
    places = [("input",), *((f"layer{i}",) for i in (1, 2, 3))]
    deep = {"model": "preactresnet152"}
    fifty = {"model": "preactresnet50", "loss": "bce_softmax"}
    return [
        cell("paper", "manifold"),
        *(cell("paper", "blocked", epochs=epochs) for epochs in (400, 1200)),
        *(cell("paper", m, **deep) for m in METHODS[:4]),
        *(cell("paper", m, n_train=4000, **deep) for m in ("none", "manifold")),
        *(
            cell("paper", m, "cifar100", model=f"preactresnet{depth}")
            for depth in (18, 34)
            for m in METHODS[:3]
        ),
        *(cell("paper", "manifold", "cifar100", layers=at, **fifty) for at in places),
    ]


FULL = Study(
    "ch03-full", experiments.train_and_score, {"paper": _full_cells()}, live_seeds={"paper": 1}
)


def _alpha_cells(profile: str, alphas: Sequence[float]) -> list[dict]:
    return [
        *(_small(profile, "manifold", alpha=a) for a in alphas),
        *(_digits(profile, "manifold", alpha=a) for a in alphas),
        *(_digits(profile, "input", input_alpha=a) for a in alphas),
    ]


ALPHA = _study("alpha", lambda p: _alpha_cells(p, ALPHAS))


def alpha_study(alphas: Sequence[float]) -> Study:
    """Return the sweep over a grid of alpha, which should hold 2, the value of the claims."""
    if tuple(alphas) == ALPHAS:
        return ALPHA
    study = _study("alpha", lambda p: _alpha_cells(p, alphas))
    study.claims.update(ALPHA.claims)
    return study


LABELS = {"cifar10": (100, 500, 2000), "mnist": (100, 500, 2000)}
UPDATES = {"smoke": 2, "quick": 400, "paper": 20_000}


def _low_data_cells(profile: str) -> list[dict]:
    """The same number of updates for every number of labels."""
    cells = []
    for data, make in (("cifar10", _small), ("mnist", _digits)):
        for n in LABELS[data]:
            epochs = max(1, UPDATES[profile] * 100 // n)
            size = {"n_train": n, "epochs": epochs}
            cells += [make(profile, m, **size) for m in ("none", "input", "manifold")]
    return cells


LOW_DATA = _study("low-data", _low_data_cells)

LENGTHS = {"smoke": (1, 2), "quick": (20, 80, 160), "paper": (200, 400, 1200)}
EPOCHS = _study(
    "epochs",
    lambda p: [
        _small(p, m, epochs=e) for e in LENGTHS[p] for m in ("none", "input", "manifold", "blocked")
    ],
)


def _depth_cells(profile: str) -> list[dict]:
    """BCE, as in Figure 6; one place to mix at a time, and the blocked variant."""
    block = "layer" if profile == "paper" else "block"
    one = [("input",), *((f"{block}{i}",) for i in (1, 2, 3))]
    widths = {"smoke": (8,), "quick": (8, 32), "paper": (32, 128)}[profile]
    same = {"loss": "bce_softmax"}
    return [
        *(_small(profile, "manifold", layers=layers, **same) for layers in one),
        _small(profile, "blocked", **same),
        *(_small(profile, "manifold", layers=(f"{block}2",), width=w, **same) for w in widths),
    ]


DEPTH = _study("depth", _depth_cells, curves=True)
LOSS = _study(
    "loss",
    lambda p: [
        make(p, m, loss=loss)
        for make in (_small, _digits)
        for m in ("none", "input", "manifold")
        for loss in ("ce", "bce_softmax")
    ],
)


def _fewer(profile: str) -> int:
    return {"smoke": 100, "quick": 500, "paper": 10_000}[profile]


HYPER = _study(
    "hyper-parameters",
    lambda p: [
        *(_digits(p, "none", n_train=_fewer(p), lr=lr) for lr in (0.01, 0.02)),
        *(
            _digits(p, "manifold", n_train=_fewer(p), lr=lr, alpha=a, layers=layers)
            for lr in (0.01, 0.02)
            for a in (0.5, 2.0, 6.0)
            for layers in (
                ("block1",),
                ("input", "block1", "block2"),
                ("input", "block1", "block2", "layer1"),
            )
        ),
    ],
)


DROPOUT = _study(
    "dropout",
    lambda p: [
        _digits(p, m, n_train=_fewer(p), options={"dropout": share, "norm": norm})
        for m in ("none", "manifold")
        for share, norm in ((0.0, False), (0.5, False), (0.0, True))
    ],
    seeds=10,
)

# One difference between the recipes at a time; the loss is that of `LOSS`.
TOGGLES = ("nesterov", "milestones", "pad", "loss")


def _recipe_cells(profile: str) -> list[dict]:
    text = _small(profile, "manifold")
    other = {key: recipes.recipe("released")[key] for key in TOGGLES}
    return [text, *(_small(profile, "manifold", **{key: other[key]}) for key in TOGGLES)]


RECIPES = _study("recipes", _recipe_cells)

GRADIENTS = Study(
    "ch03-loss-gradients",
    experiments.loss_gradients,
    _by_profile(lambda p: [{"classes": k, "draws": 1000} for k in (10, 100, 200)]),
    seeds={"quick": 5, "paper": 5},
    n_jobs=1,
)
BLOCKED = Study(
    "ch03-blocked-updates",
    experiments.blocked_updates,
    {p: [{"batch": 8, "updates": 8 if p == "smoke" else 60}] for p in PROFILE_NAMES},
    seeds={"quick": 5, "paper": 5},
    n_jobs=1,
)
COUNTS = Study(
    "ch03-layers", experiments.layer_counts, _by_profile(lambda p: [{}]), {"quick": 1, "paper": 1},
    n_jobs=1,
)  # fmt: skip


def recipe_overrides(name: str) -> dict[str, Any]:
    """Return what turns cells of the recipe ``text`` into those of another, at their length.

    Raises:
        ValueError: unknown recipe.
    """
    chosen, text = recipes.recipe(name), recipes.recipe("text")
    kept = ("epochs", "selection")
    return {key: chosen[key] for key in text if chosen[key] != text[key] and key not in kept}
