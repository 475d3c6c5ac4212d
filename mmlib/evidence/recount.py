"""Numbers recomputed from printed cells, for statements that a text's own tables decide."""

from __future__ import annotations

import pandas as pd

from mmlib.evidence.tables import published, scalars

_FAMILIES = {"none": "baseline", "input": "Input Mixup", "manifold": "Manifold Mixup"}
_SPECTRA = {"late12": "Figure 9", "late30": "Figure 10", "early30": "Figure 11"}


def recount() -> dict[str, float]:
    """Return every recomputed number by name.

    Differences of accuracies are in points; cells, ties and the like are counts.

    Example:
        >>> found = recount()
        >>> round(found["manifold-1"], 2), round(found["fgsm-mnist-loss"], 2)
        (0.01, 7.81)
    """
    parts = (_synthetic(), _supervised(), _attacks(), _gans(), _spectra(), _kmixup())
    return {name: float(value) for part in parts for name, value in part.items()}


def _table(name: str) -> pd.DataFrame:
    return pd.DataFrame(published(name))  # named, so never the tuple of names


def _synthetic() -> dict[str, float]:
    rows = _table("manifold_mixup_v1_table8_synthetic")
    rows = rows[rows["metric"] == "test_accuracy_pct"]
    cells = rows.pivot(index="task", columns="method", values="value")
    change = cells["input_mixup"] - cells["no_mixup"]
    return {f"synthetic-{task}": value for task, value in change.items()}


def _supervised() -> dict[str, float]:
    rows = _table("manifold_mixup_v1_table2_cifar100")
    rows = rows[rows["metric"] == "test_accuracy_pct"].set_index(["model", "method"])["value"]
    small, large = rows.loc["PreActResNet18"], rows.loc["PreActResNet34"]
    return {
        "cifar100-gap": small["manifold_mixup"] - small["input_mixup"],
        "cifar100-below": small["input_mixup"] - large["input_mixup"],
    }


def _attacks() -> dict[str, float]:
    rows = _table("manifold_mixup_v1_table5_fgsm").set_index(["dataset", "method"])["value"]
    rows = rows.loc["CIFAR-10"]
    return {
        "fgsm-plain-training": rows["manifold_mixup"] - rows["adversarial_training"],
        "fgsm-fortified": rows["adversarial_training_fortified_networks"] - rows["manifold_mixup"],
    }


def _gans() -> dict[str, float]:
    rows = scalars()
    rows = rows[(rows["source"] == "Manifold Mixup ICML") & (rows["location"] == "appendix E")]
    value = rows.set_index("quantity")["number"]
    layers = "Manifold Mixup, mixing in all layers (both resblocks and input)"
    found = {}
    for name, score in (("inception", "Inception score"), ("fid", "FID")):
        found[f"gan-{name}"] = value[f"{score}, {layers}"] - value[f"{score}, Input Mixup"]
        found[f"gan-{name}-spread"] = value[f"{score} plus-minus, {layers}"]
    return found


def _spectra() -> dict[str, float]:
    rows = scalars()
    found = {}
    for name, figure in _SPECTRA.items():
        at = rows[rows["location"].str.contains(f"{figure} caption")]
        first = {
            method: at[at["quantity"].str.contains(f", {words},")]["number"].item()
            for method, words in _FAMILIES.items()
        }
        for method in ("input", "manifold"):
            found[f"first-{name}-{method}"] = first[method] / first["none"]
    return found


def _kmixup() -> dict[str, float]:
    toys = _against_one(_table("kmixup_fig3_toy"), ["dataset", "alpha"])
    found = {
        "toys-cells": len(toys),
        "toys-ties": (toys == 0).sum(),
        "toys-below": (toys < 0).sum(),
    }
    for name, letter in (("cifar10", "a"), ("mnist", "b")):
        attacked = _against_one(_table(f"kmixup_fig10{letter}_{name}_fgsm"), ["epsilon_255"])
        found |= {
            f"fgsm-{name}-cells": len(attacked),
            f"fgsm-{name}-below": (attacked < 0).sum(),
            f"fgsm-{name}-loss": -attacked.min(),
        }
    hidden = _against_one(_table("kmixup_fig9_manifold_cifar10_accuracy"), ["alpha"])
    best = hidden.groupby("alpha").max()
    found |= {f"manifold-{alpha:g}": gain for alpha, gain in best.items()}
    photos = _table("kmixup_fig6a_cifar10_accuracy")
    found["cifar10-high"] = _against_one(photos, ["alpha"])[100, 32]
    cells = photos["value"]
    steps = cells * 200  # multiples of half an image in 10,000, which is 0.005 %
    return found | {
        "cifar10-cells": len(cells),
        "cifar10-halves": ((steps - steps.round()).abs() < 1e-6).sum(),
    }


def _against_one(rows: pd.DataFrame, column: list[str]) -> pd.Series:
    """Each cell with k > 1 less the cell of its column with k = 1, indexed by column and k."""
    cells = rows.set_index([*column, "k"])["value"].unstack("k")
    return cells.drop(columns=1).sub(cells[1], axis=0).stack().round(6)
