"""The two recipes of a supervised run: what the text says, and what the released code does."""

from __future__ import annotations

from typing import Any

from mmlib.checks import choice

# Every row in which the two differ; where the text is silent, its column holds our reading.
# Sources: v1 section 4.1 and appendix A, ICML appendix C; the released repository at its last
# commit (README and supervised/).
DIFFERENCES: dict[str, tuple[Any, Any, str]] = {
    "loss": ("ce", "bce_softmax", "cross-entropy in section 2; the code: BCE on the softmax"),
    "nesterov": (False, True, "the text: SGD with momentum"),
    "epochs": (1200, 2000, "appendix A; the README of the code"),
    "milestones": ((1 / 3, 2 / 3), (1 / 4, 1 / 2, 3 / 4), "400, 800 of 1200; every 500 of 2000"),
    "pad": (4, 2, "the text follows Zhang et al., who pad by 4"),
    "final_norm": (True, False, "He et al. normalise before the pooling"),
    "selection": ("last", "best", "the text is silent; the code keeps the best test epoch"),
}
SAME: dict[str, Any] = {
    "batch": 100,
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "schedule": "step",
    "flip": True,
}
RECIPES = ("text", "released")


def recipe(name: str) -> dict[str, Any]:
    """Return the settings of a recipe.

    Args:
        name: ``"text"`` or ``"released"``.

    Raises:
        ValueError: another name.

    Example:
        >>> recipe("text")["loss"], recipe("released")["loss"], recipe("text")["lr"]
        ('ce', 'bce_softmax', 0.1)
    """
    column = RECIPES.index(choice("recipe", name, RECIPES))
    return SAME | {key: row[column] for key, row in DIFFERENCES.items()}
