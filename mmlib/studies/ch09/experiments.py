"""What a run of chapter 09 trains and measures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.metrics import silhouette_score
from torch import Tensor, nn

from mmlib.data.dataset import Dataset
from mmlib.measures.clouds import (
    class_core,
    class_margin,
    class_radius,
    cloud_share,
    confident_share,
    nearest_mean_accuracy,
    other_class_distances,
    spread,
)
from mmlib.measures.evaluation import evaluating
from mmlib.measures.passages import passages
from mmlib.measures.spectra import class_means, whitened, within_over_total
from mmlib.mixing import capture, soft_cross_entropy
from mmlib.studies.bottlenecks import images
from mmlib.studies.ch09.networks import sites, trained

QUARTER = 0.25  # share of the examples that lie nearer to another class, above all error rates
CURVES = (
    *("accuracy", "train_accuracy", "train_loss", "within", "white", "area"),
    *("core", "margin", "gap", "spread"),
)
PICTURED = ("none", "input", "manifold")
POINTS, SIDE, REACH = 250, 40, 2.2  # of a picture: examples, pixels, and half its side in spreads


def tail(net: nn.Sequential, layer: str) -> nn.Sequential:
    """Return the part of a network behind a layer."""
    names = [name for name, _ in net.named_children()]
    return net[names.index(layer) + 1 :]


def brief(h: Tensor, y: Tensor) -> dict[str, float]:
    """Return the measures of class clouds that are followed over training.

    ``within``: within-class over total variance, ``white``: the same of whitened states, ``core``:
    of the cores. ``margin`` and ``gap``: distance of a core to the nearest other one, over the
    spread of all states and over the radius of a core. ``area``: mean share of a class.
    ``spread``: that of all states.
    """
    kept = class_core(h, y)
    own, of = h[kept], y[kept]
    wide, apart = spread(h), class_margin(own, of)
    return {
        "within": within_over_total(h, y),
        "white": within_over_total(whitened(h), y),
        "core": within_over_total(own, of),
        "area": cloud_share(h, y),
        "margin": apart / wide,
        "gap": apart / class_radius(own, of),
        "spread": wide,
    }


def shape(h: Tensor, y: Tensor) -> dict[str, float]:
    """Return all measures of class clouds: those of `brief`, and some that take longer.

    ``margin_white``, ``gap_white``, ``core_white``: as without, of whitened states. ``near``: first
    quartile of the distance to another class over the spread, strays included.
    """
    found, white = brief(h, y), brief(whitened(h), y)
    found |= {f"{name}_white": white[name] for name in ("core", "margin", "gap")}
    found["near"] = float(other_class_distances(h, y).quantile(QUARTER)) / found["spread"]
    return found


class Examples:
    """The test images, and as many training images, as the networks take them."""

    def __init__(self, data: Dataset) -> None:
        step = max(1, len(data.x_train) // len(data.x_test))
        self.x_test, self.y_test = data.inputs(data.x_test), data.y_test
        # The order of a set need not be random (MNIST's second half differs from its first).
        self.x_train, self.y_train = data.inputs(data.x_train[::step]), data.y_train[::step]


def seen(net: nn.Sequential, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return code and logits of some inputs."""
    with evaluating(net):
        h = capture(net, x, "code")
        return h, tail(net, "code")(h)


def right(logits: Tensor, y: Tensor) -> float:
    """Return the accuracy in percent."""
    return 100 * float((logits.argmax(1) == y).double().mean())


def measured(net: nn.Sequential, one: Examples, settings: Mapping[str, Any]) -> dict[str, float]:
    """Return everything that is measured on a trained network."""
    (h, logits), (h_train, logits_train) = seen(net, one.x_test), seen(net, one.x_train)
    found = shape(h, one.y_test)
    found |= {f"{name}_train": value for name, value in shape(h_train, one.y_train).items()}
    found |= {
        "accuracy": right(logits, one.y_test),
        "nll": float(soft_cross_entropy(logits, one.y_test)),
        "train_accuracy": right(logits_train, one.y_train),
        "train_loss": float(soft_cross_entropy(logits_train, one.y_train)),
        "nearest_mean": nearest_mean_accuracy(h_train, one.y_train, h, one.y_test),
        "confident": 100 * confident_share(tail(net, "code"), h),
        "silhouette": float(silhouette_score(h.cpu().numpy(), one.y_test.cpu().numpy())),
    }
    chosen = one.x_test[:: max(1, len(one.x_test) // settings["n_ways"])]
    for layer in sites(settings["before"]):
        way = passages(net, chosen, layer)
        found |= {f"turns_{layer}": way.turns, f"unsure_{layer}": 100 * way.unsure}
    return found


def curve(net: nn.Sequential, one: Examples) -> list[float]:
    """Return the measures of `CURVES`, of the test images unless they say so."""
    (h, logits), (_, logits_train) = seen(net, one.x_test), seen(net, one.x_train)
    found = brief(h, one.y_test) | {
        "accuracy": right(logits, one.y_test),
        "train_accuracy": right(logits_train, one.y_train),
        "train_loss": float(soft_cross_entropy(logits_train, one.y_train)),
    }
    return [found[name] for name in CURVES]


def picture(net: nn.Sequential, one: Examples) -> dict[str, np.ndarray]:
    """Return what a picture of the plane needs: points, the box, and what the head says in it.

    ``regions`` holds predicted class times 20 plus confidence, from 0 (1 / K) to 19 (certain).
    """
    h, _ = seen(net, one.x_test)
    wide = REACH * spread(h)
    ticks = torch.linspace(-wide, wide, SIDE, device=h.device)
    up, across = torch.meshgrid(ticks, ticks, indexing="ij")
    with torch.no_grad():
        plane = torch.stack([across.flatten(), up.flatten()], 1) + h.mean(0)
        p, label = tail(net, "code")(plane).softmax(1).max(1)
    classes = int(one.y_test.max()) + 1
    level = ((p - 1 / classes) / (1 - 1 / classes) * 19.99).clamp(0, 19).long()
    box = torch.cat([h.mean(0), h.new_tensor([wide])])
    step = max(1, len(h) // POINTS)
    return {
        "points": h[::step][:POINTS].cpu().numpy().astype(np.float32),
        "regions": (20 * label + level).view(SIDE, SIDE).cpu().numpy().astype(np.uint8),
        "box": box.cpu().numpy().astype(np.float32),
    }


def plane(
    settings: Mapping[str, Any], seed: int, device: str = "cpu"
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Train the networks of one seed side by side and measure the clouds of their codes.

    Arrays: ``curves`` (epochs + 1, methods, measures); ``means`` (methods, classes, units), the
    mean codes of the test images; for codes in the plane also ``points``, ``regions`` and ``box``
    of the pictured methods, with a leading axis of epochs if the cell asks for frames, and
    ``labels`` of the points.
    """
    data = images(settings, seed, device)
    one, rows, frames = Examples(data), [], []
    shown = [name for name in PICTURED if name in settings["methods"]]
    flat = settings["code"] == 2

    def watch(epoch: int, nets: dict[str, nn.Module]) -> None:
        rows.append([curve(net, one) for net in nets.values()])
        if flat and settings["frames"]:
            frames.append([picture(nets[name], one) for name in shown])

    nets = trained(settings, data, seed, watch)
    metrics = {
        f"{measure}_{name}": value
        for name, net in nets.items()
        for measure, value in measured(net, one, settings).items()
    }
    arrays = {"curves": np.array(rows, dtype=np.float32)}
    means = [class_means(seen(net, one.x_test)[0], one.y_test)[0] for net in nets.values()]
    arrays["means"] = torch.stack(means).cpu().numpy().astype(np.float32)
    if flat and shown:
        frames = frames or [[picture(nets[name], one) for name in shown]]
        for key in frames[0][0]:
            whole = np.array([[each[key] for each in frame] for frame in frames])
            arrays[key] = whole if settings["frames"] else whole[0]
        step = max(1, len(one.y_test) // POINTS)
        arrays["labels"] = one.y_test[::step][:POINTS].cpu().numpy().astype(np.uint8)
    return metrics, arrays
