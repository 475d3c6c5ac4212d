"""Runs on trained bottleneck networks: their spectra while they train, and at the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmlib.data.dataset import Dataset
from mmlib.measures.probes import probe_accuracy
from mmlib.measures.scores import accuracy, nll
from mmlib.measures.spectra import class_spectra, effective_rank, spectrum, within_over_total
from mmlib.studies.bottlenecks import images, train
from mmlib.studies.ch11.candidates import measures_of, states_of

SPLITS = ("test", "train")
KINDS = ("class", "raw class", "all")  # spectra that are kept: centred, not centred, all classes


def looks(epochs: int, count: int = 8) -> list[int]:
    """Return the epochs after which the states are looked at, spaced as a geometric series.

    Example:
        >>> looks(20)
        [0, 1, 2, 3, 4, 7, 12, 20]
    """
    steps = count - 2
    return sorted({0, *(round(max(epochs, 1) ** (k / steps)) for k in range(steps + 1))})


class Views:
    """Images of a run whose states are looked at: all test images, and some for training.

    Attributes:
        x: network inputs by split.
        y: classes by split, on the CPU.
    """

    def __init__(self, data: Dataset, n_look: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(30_000 + seed)
        some = torch.randperm(len(data.x_train), generator=generator)[:n_look]
        some = some.to(data.x_train.device)
        self.x = {"test": data.inputs(data.x_test), "train": data.inputs(data.x_train[some])}
        self.y = {"test": data.y_test.cpu(), "train": data.y_train[some].cpu()}

    def states(self, net: nn.Sequential, split: str) -> dict[str, Tensor]:
        """Return the states of all layers for the images of a split, on the CPU."""
        return {name: h.cpu() for name, h in states_of(net, self.x[split]).items()}

    def measured(self, net: nn.Sequential, split: str) -> tuple[list[float], np.ndarray]:
        """Return the candidates of the code and its spectra (3, H), see `KINDS`."""
        h, y = self.states(net, split)["code"], self.y[split]
        rows = [
            *(torch.stack(list(class_spectra(h, y, c).values())).mean(0) for c in (True, False)),
            spectrum(h),
        ]
        return list(measures_of(h, y).values()), torch.stack(rows).numpy()


def by_layer(states: dict[str, Tensor], y: Tensor, method: str) -> dict[str, float]:
    """Return mean effective rank of a class, and within over total variance, of hidden layers."""
    found = {}
    for name, h in states.items():
        if name.startswith("layer") or name == "code":
            own = torch.stack(list(class_spectra(h, y).values()))
            found[f"rank_{name}_{method}"] = float(effective_rank(own).mean())
            found[f"within_{name}_{method}"] = within_over_total(h, y)
    return found


def scored(views: Views, net: nn.Sequential, method: str) -> dict[str, float]:
    """Return scores and candidates of a trained network, their names ending in its method."""
    metrics, codes = {}, {}
    for split in SPLITS:
        states, y = views.states(net, split), views.y[split]
        start = "" if split == "test" else "train_"
        codes[split] = states["code"]
        values = measures_of(states["code"], y)
        metrics |= {f"{start}{name}_{method}": value for name, value in values.items()}
        metrics[f"{start}accuracy_{method}"] = 100 * float(accuracy(states["head"], y))
        metrics[f"{start}nll_{method}"] = float(nll(states["head"], y))
        if split == "test":
            metrics |= by_layer(states, y, method)
    probe = probe_accuracy(codes["train"], views.y["train"], codes["test"], views.y["test"])
    return metrics | {f"probe_{method}": 100 * probe}


def lower_shares(classes: np.ndarray, methods: tuple[str, ...]) -> dict[str, float]:
    """Return the share of singular values below those of the first method.

    Args:
        classes: (methods, d, H) class spectra.
        methods: their names.

    Example:
        >>> rows = np.array([[[4.0, 2.0, 2.0]], [[8.0, 1.0, 3.0]]])
        >>> lower_shares(rows, ("none", "input"))
        {'lower_input': 0.5, 'lower_ratio_input': 1.0}
    """
    tails, found = classes[:, :, 1:], {}
    with np.errstate(invalid="ignore"):  # a network that is switched off has no spread
        over = tails / classes[:, :, :1]
    for row, method in list(enumerate(methods))[1:]:
        found[f"lower_{method}"] = float((tails[row] < tails[0]).mean())
        found[f"lower_ratio_{method}"] = float((over[row] < over[0]).mean())
    return found


def spectra(
    settings: dict[str, Any], seed: int, device: str = "cpu"
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Train all methods of a set-up and look at their codes on the way.

    Metrics, each followed by ``_<method>``: the candidates (see `CANDIDATES`) on test images, with
    ``train_`` in front on images of the training set; ``accuracy`` and ``train_accuracy`` in %,
    ``nll``; ``probe``, the % of test images that a linear probe on the code reads; ``lower`` and
    ``lower_ratio`` (see `lower_shares`); ``rank_<layer>`` and ``within_<layer>``.

    Arrays: ``epochs`` (T,), ``curves`` (T, methods, splits, candidates), ``profile`` (T, methods,
    splits, 3, H), and at the end ``classes`` and ``raw_classes`` (methods, d, H) on test images.
    """
    data = images(settings, seed, device)
    views = Views(data, settings["n_look"], seed)
    methods, wanted = tuple(settings["methods"]), looks(settings["epochs"])
    curves, profile = [], []

    def watch(epoch: int, nets: dict[str, nn.Module]) -> None:
        if epoch in wanted:
            rows = [[views.measured(nets[m], split) for split in SPLITS] for m in methods]
            curves.append([[one[0] for one in row] for row in rows])
            profile.append([[one[1] for one in row] for row in rows])

    nets = train(settings, seed, device, watch, data).nets
    metrics: dict[str, float] = {}
    final = {"classes": [], "raw_classes": []}
    for method in methods:
        metrics |= scored(views, nets[method], method)
        h, y = views.states(nets[method], "test")["code"], views.y["test"]
        for name, centred in (("classes", True), ("raw_classes", False)):
            own = class_spectra(h, y, centred).values()
            final[name].append(torch.stack(list(own)).numpy())
    metrics |= lower_shares(np.array(final["classes"]), methods)
    arrays = {"curves": curves, "profile": profile} | final
    small = {name: np.array(value, dtype="float32") for name, value in arrays.items()}
    return metrics, small | {"epochs": np.array(wanted)}
