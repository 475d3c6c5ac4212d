"""The games of the plane that are played side by side, and how each is set up."""

from __future__ import annotations

from typing import Any

from mmlib.checks import choice
from mmlib.data.mixtures import GaussianMixture, grid, ring
from mmlib.training.mixes import VARIANTS, Mixes, variant

TARGETS = {"ring": ring, "grid": grid}

# What the three kinds of row of Table 6 are: objective, spectral norm, coefficient of the penalty.
OBJECTIVES: dict[str, dict[str, Any]] = {
    "js": {"objective": "js", "spectral": True},
    "hinge": {"objective": "hinge", "spectral": True},
    "gp": {"objective": "js", "gamma": 10.0},
}

# alpha of Table 6, which is also that of equation 1 in Zhang et al., and of appendix E.
OWN_ALPHA = {"none": None, "eq1": 0.2, "fr": 0.2, "fr_ff": 0.2, "final": 0.5, "four": 0.5}

LAYER_SETS = {
    "pixel": ("input",),
    "h1": ("h1",),
    "h12": ("h1", "h2"),
    "all": ("input", "h1", "h2"),
}
ALPHAS = (0.1, 0.2, 0.5, 1.0)
PLACES = {"h1": ("h1",), "h2": ("h2",), "all": ("input", "h1", "h2")}


def target_of(name: str) -> GaussianMixture:
    """Return a target by name, ``"ring"`` or ``"grid"``."""
    return TARGETS[choice("target", name, tuple(TARGETS))]()


def one_member(
    name: str, alpha: float | None = None, layers: tuple[str, ...] = ("input",), **changes: Any
) -> Mixes | None:
    """Return the mixes of a variant with its own alpha unless another is given."""
    choice("variant", name, VARIANTS)
    if name == "none":
        return None
    return variant(name, OWN_ALPHA[name] if alpha is None else alpha, layers, **changes)


def _main() -> dict[str, Mixes | None]:
    return {name: one_member(name) for name in VARIANTS}


def _hidden() -> dict[str, Mixes | None]:
    """Equation 2 at hidden layers, with fake labels and with soft ones."""
    hard = {f"fr_{at}": one_member("fr", layers=layers) for at, layers in PLACES.items()}
    soft = {
        f"soft_{at}": one_member("fr", layers=layers, labels="soft")
        for at, layers in PLACES.items()
    }
    return hard | soft


def _alpha() -> dict[str, Mixes | None]:
    """Figure 8: alpha by layer set, under equation 7."""
    return {
        f"final_{at}_{alpha:g}": one_member("final", alpha, layers)
        for at, layers in LAYER_SETS.items()
        for alpha in ALPHAS
    }


GROUPS = {"main": _main, "hidden": _hidden, "alpha": _alpha}


def members_of(group: str) -> dict[str, Mixes | None]:
    """Return the members of a group by name.

    Example:
        >>> list(members_of("main")), len(members_of("alpha"))
        (['none', 'eq1', 'fr', 'fr_ff', 'final', 'four'], 16)
    """
    return GROUPS[choice("group", group, tuple(GROUPS))]()
