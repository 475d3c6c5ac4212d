"""Chapter 05: a trained network on deformed test images."""

from __future__ import annotations

import torch
from torch import Tensor

from mmlib.data.dataset import Dataset
from mmlib.measures import DEFORMATIONS, Deformation, OnPixels, accuracy, deform, nll, predict
from mmlib.studies.networks import trained

# The text's and the code's deformations in all rows; two more readings of shearing in its rows.
READINGS = ("text", "released")
SHEARINGS = ("unmirrored", "linear")
BANDS = 6  # bands of 28.65 degrees in the widest range of shearing
WIDEST = max(one.strength for one in DEFORMATIONS if one.kind == "shearing")


def deformed(settings: dict, seed: int, device: str = "cpu") -> dict:
    """Accuracy (%) and NLL (nats) of one network on the test images, plain and deformed.

    The images and all draws depend on the seed alone, so that methods are compared in pairs; the
    two readings share their draws too. Metrics: ``clean_accuracy``, ``clean_nll``; for each row of
    Table 7 and each reading ``<reading>_<row>_accuracy`` and ``..._nll``, where a row is named as
    by `Deformation.name`; for the widest shearing ``<reading>_band_<i>_accuracy``, the accuracy
    (%) where the angle without its sign is in the i-th sixth of the range, from 1.
    """
    network = trained(settings, seed, device)
    data, count = network.data, settings["n_images"]
    chosen = data.subset(None, count, seed=seed, at_most=True)
    model = OnPixels(network.model, data.mean, data.std).to(data.device)
    metrics = _scores(predict(model, chosen.x_test.float() / 255), chosen.y_test, "clean")
    for one, amounts in draws(len(chosen.y_test), seed):
        for reading in READINGS + (SHEARINGS if one.kind == "shearing" else ()):
            logits = predict(model, deformed_images(chosen, one, amounts, reading))
            metrics |= _scores(logits, chosen.y_test, f"{reading}_{one.name}")
            if one.kind == "shearing" and one.strength == WIDEST:
                metrics |= _bands(logits, chosen.y_test, amounts, reading)
    return metrics


def draws(n: int, seed: int) -> list[tuple[Deformation, Tensor]]:
    """Return the amounts of every row of Table 7 for n images, a matter of the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    return [(one, one.draw(n, generator)) for one in DEFORMATIONS]


def deformed_images(data: Dataset, one: Deformation, amounts: Tensor, reading: str) -> Tensor:
    """Return the test images of a set, deformed, floats in [0, 1]."""
    fill = data.mean if reading in ("released", "unmirrored") else None
    return deform(data.x_test, one.kind, amounts.to(data.device), reading, fill=fill)


def _scores(logits: Tensor, y: Tensor, name: str) -> dict[str, float]:
    return {f"{name}_accuracy": 100 * accuracy(logits, y), f"{name}_nll": nll(logits, y)}


def _bands(logits: Tensor, y: Tensor, amounts: Tensor, reading: str) -> dict[str, float]:
    band = (amounts.abs() * BANDS / WIDEST).long().clamp(max=BANDS - 1).to(y.device)
    right = 100 * (logits.argmax(1) == y).double()
    return {
        # Without an image in a band (at smoke size) the accuracy of all stands in for it.
        f"{reading}_band_{i + 1}_accuracy": float(
            right[band == i].mean() if (band == i).any() else right.mean()
        )
        for i in range(BANDS)
    }
