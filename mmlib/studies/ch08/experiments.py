"""Runs of chapter 08 on images: one trained network, its states, and decoders from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mmlib.data import load
from mmlib.data.dataset import Dataset
from mmlib.measures import evaluate
from mmlib.measures.crossings import third_class
from mmlib.models.decoder import Decoder, build_decoder
from mmlib.studies.ch08 import geometry
from mmlib.studies.ch08.judged import (
    DECODED,
    IN_PIXELS,
    INNER,
    Yard,
    away,
    by_class_pair,
    hidden_gap,
    in_pixels,
    judge_images,
    library_overlay,
    rank,
    reconstruction,
    through_decoder,
)
from mmlib.studies.ch08.paths import Eye, Pairs, continued, logits, mix, pairs_of, states
from mmlib.studies.networks import network, subset, trained
from mmlib.training.fit_decoder import decoded, fit_decoder, pixels

FINE = tuple(i / 20 for i in range(21))  # weights of paths that are only classified
EYE_SEED = 1000  # the other network has another seed than any network of a study


class Classifier(NamedTuple):
    """A network with what was used to train it, and all images of its data set."""

    model: nn.Module
    own: Dataset
    data: Dataset


def classifier(settings: dict[str, Any], seed: int, device: str) -> Classifier:
    """Return the network of a cell, trained or, for ``method = "untrained"``, as it starts."""
    data = load(settings["data"], device=device)
    if settings["method"] != "untrained":
        found = trained(settings, seed, device)
        return Classifier(found.model, found.data, data)
    own = subset(settings, seed, device)
    model = network(settings, own, seed).train()
    with torch.no_grad():  # running statistics, or batch norm would not normalise
        for _ in range(20):
            model(own.inputs(own.x_train[:500]))
    return Classifier(model.eval(), own, data)


def eye_of(settings: dict[str, Any], seed: int, device: str, reference: Tensor) -> Eye:
    """Return the other network, with the features of some real images (bytes)."""
    found = trained(settings["eye"], EYE_SEED + seed, device)
    known = pixels(reference)
    eye = Eye(found.model, settings["eye_layer"], found.data, known, known.flatten(1))
    return Eye(eye.model, eye.layer, eye.data, eye.features(known), eye.reference_pixels)


def decoder_of(
    found: Classifier, layer: str, settings: dict[str, Any], seed: int, images: Tensor
) -> tuple[Decoder, list[float]]:
    """Train a decoder from the states of a layer; returns it with its losses by epoch."""
    h = states(found.model, found.data.inputs(images), layer)
    decoder = build_decoder(h.shape[1:], images.shape[1:], settings["decoder_width"], seed=seed)
    losses = fit_decoder(
        decoder.to(h.device),
        h,
        images,
        epochs=settings["decoder_epochs"],
        lr=settings["decoder_lr"],
        generator=torch.Generator().manual_seed(seed),
    )
    return decoder, losses


def some(x: Tensor, n: int | None, seed: int) -> Tensor:
    """Return `n` random rows, the same for equal seeds; all for None."""
    if n is None or n >= len(x):
        return x
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    return x[order[:n].to(x.device)]


def measured(
    settings: dict[str, Any], seed: int, device: str = "cpu"
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """One network: where its states lie, what it says between them, what they decode to.

    Metrics (shares in %): ``accuracy``, ``eye_accuracy``; for each layer those of
    `mmlib.studies.ch08.geometry` with ``_<layer>`` behind the name, ``own_points_<layer>`` and
    ``own_paths_<layer>`` (third classes among interior points and among paths, by the network
    itself) and ``arc_points_<layer>``, ``arc_paths_<layer>`` (the same along arcs on the shell),
    ``margin_rank_<layer>`` (rank correlation over class pairs of how deep a third mean
    lies between two with the measured share); those of `judge_images` for mixes in pixels and with
    noise; for each decoded layer the same, `reconstruction` and `hidden_gap` with ``_<layer>``, and
    ``share_rank_<layer>`` (rank correlation over class pairs of shared directions with the share of
    plausible decoded mixes); ``overlay_error``, see `library_overlay`.
    """
    scene = scene_of(settings, seed, device)
    scores = evaluate(scene.found.model, scene.bytes, scene.y, inputs=scene.found.data.inputs)
    metrics, arrays = {"accuracy": 100 * scores["accuracy"]}, {}
    for layer in settings["geometry"]:
        more, curves = where_states_lie(scene, layer)
        metrics |= {f"{name}_{layer}": value for name, value in more.items()}
        arrays |= {f"{name}_{layer}": values for name, values in curves.items()}
    eye = eye_of(settings, seed, device, scene.known)
    seen = eye.predictions(scene.images) == scene.y
    metrics["eye_accuracy"] = 100 * float(seen.float().mean())
    real = away(scene.images, eye)
    for kind in IN_PIXELS:
        along = in_pixels(kind, scene.images, scene.pairs, scene.rng)
        more, curves, _ = judge_images(kind, along, real, real, eye, scene.pairs)
        metrics, arrays = metrics | more, arrays | curves
    metrics["overlay_error"] = library_overlay(scene.images, scene.found.data, scene.pairs)
    images = some(scene.found.data.x_train, settings["n_decoder"], seed)
    for layer in settings["decode"]:
        decoder, losses = decoder_of(scene.found, layer, settings, seed, images)
        more, curves = what_they_decode_to(scene, layer, decoder, eye, real, arrays)
        more["decoder_loss"] = losses[-1]
        metrics |= {f"{name}_{layer}": value for name, value in more.items()}
        arrays |= {f"{name}_{layer}": values for name, values in curves.items()}
    return metrics, {name: np.asarray(a, dtype=np.float16) for name, a in arrays.items()}


class Scene(NamedTuple):
    """A network and the real images that it is looked at with.

    Attributes:
        found: the network and its data.
        bytes: (N, C, H, W) test images.
        images: the same in [0, 1].
        x: the same as the network takes them.
        y: (N,) their classes.
        known: (R, C, H, W) training images, bytes.
        known_y: (R,) their classes.
        right: (N,) which test images the network gets right.
        pairs: the ends of the paths.
        rng: of all further draws.
    """

    found: Classifier
    bytes: Tensor
    images: Tensor
    x: Tensor
    y: Tensor
    known: Tensor
    known_y: Tensor
    right: Tensor
    pairs: Pairs
    rng: torch.Generator


def scene_of(settings: dict[str, Any], seed: int, device: str) -> Scene:
    """Return the network of a cell with its test images and pairs of them."""
    found = classifier(settings, seed, device)
    data, rng = found.data, torch.Generator().manual_seed(20_000 + seed)
    bytes_, y = (some(a, settings["n_test"], seed) for a in (data.x_test, data.y_test))
    known, known_y = (some(a, settings["n_known"], seed) for a in (data.x_train, data.y_train))
    x = data.inputs(bytes_)
    right = logits(found.model, x).argmax(1) == y
    pairs = pairs_of(y, data.num_classes, settings["per_pair"], rng)
    return Scene(found, bytes_, pixels(bytes_), x, y, known, known_y, right, pairs, rng)


def where_states_lie(scene: Scene, layer: str) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the geometry of a layer's states, and third classes between them."""
    model, pairs, different = scene.found.model, scene.pairs, scene.pairs.mixed
    h = states(model, scene.x, layer)
    flat = geometry.coordinates(h.flatten(1))
    known = states(model, scene.found.data.inputs(scene.known), layer).flatten(1)
    ends = pairs.first[different], pairs.second[different]
    means, margins = geometry.mean_crossings(flat, scene.y)
    third, used = own_third(model, scene.x, layer, h, pairs, scene.right)
    arcs, _ = own_third(model, scene.x, layer, h, pairs, scene.right, arc=True)
    share = by_class_pair(third[1:-1].float().mean(0), used, pairs)
    metrics = {
        **geometry.dimensions(flat),
        **geometry.shell(flat, *ends),
        **geometry.nearest_classes(h.flatten(1), scene.y, known, scene.known_y, *ends),
        **geometry.directions(flat, scene.y, h[0].numel(), scene.rng),
        **means,
        "own_points": 100 * float(third[1:-1, used].float().mean()),
        "own_paths": 100 * float(third[:, used].any(0).float().mean()),
        "arc_points": 100 * float(arcs[1:-1, used].float().mean()),
        "arc_paths": 100 * float(arcs[:, used].any(0).float().mean()),
        "margin_rank": rank(-margins.astype(float), share),
    }
    arrays = {
        "own": third[:, used].float().mean(1).cpu().numpy(),
        "margins": margins,
        "own_pairs": share,
        "overlaps": geometry.off_diagonal(geometry.overlaps(flat, scene.y)).numpy(),
        "spectrum": geometry.spectrum(flat)[:50].numpy(),
    }
    return metrics, arrays


def what_they_decode_to(
    scene: Scene, layer: str, decoder: Decoder, eye: Eye, real: Yard, known: dict[str, Any]
) -> tuple[dict[str, float], dict[str, Any]]:
    """Return how another network judges what a layer's states decode to."""
    h = states(scene.found.model, scene.x, layer)
    rebuilt = decoded(decoder, h)
    own = away(rebuilt, eye)
    metrics, arrays = reconstruction(rebuilt, scene.images, own, real), {}
    for kind in DECODED:
        along = through_decoder(
            kind,
            scene.found.model,
            layer,
            decoder,
            h,
            in_pixels("pixel", scene.images, scene.pairs, scene.rng),
            scene.found.data,
            scene.pairs,
            scene.rng,
        )
        more, curves, good = judge_images(kind, along, own, real, eye, scene.pairs)
        metrics, arrays = metrics | more, arrays | curves
        if kind == "hidden":
            share = by_class_pair(good[INNER].float().mean(0), scene.pairs.mixed, scene.pairs)
            overlap = known[f"overlaps_{layer}"].astype(float)
            metrics |= hidden_gap(along) | {"share_rank": rank(overlap, share)}
            arrays["own_yard_pairs"] = share
    return metrics, arrays


def own_third(
    model: nn.Module,
    x: Tensor,
    layer: str,
    h: Tensor,
    pairs: Pairs,
    right: Tensor,
    *,
    arc: bool = False,
) -> tuple[Tensor, Tensor]:
    """Where the network itself sees a third class, (L, P), and the pairs (P,) that count.

    Those of different classes whose ends are classed correctly. Along segments, or along arcs
    about the mean state, which stay on the shell and do not pass its middle.
    """
    used = pairs.mixed & right[pairs.first] & right[pairs.second]
    third = torch.zeros(len(FINE), len(used), dtype=torch.bool, device=used.device)
    if used.any():
        one, two = h[pairs.first[used]], h[pairs.second[used]]
        way = on_shell(h.mean(0)) if arc else mix
        said = [continued(model, x[:1], layer, way(one, two, lam)).argmax(1) for lam in FINE]
        third[:, used] = third_class(torch.stack(said), pairs.a[used], pairs.b[used])
    return third, used


def on_shell(centre: Tensor) -> Callable[[Tensor, Tensor, float], Tensor]:
    """Return a way from one state to another whose radius about `centre` goes linearly.

    Its direction is that of the segment between the two unit vectors.

    Example:
        >>> half = on_shell(torch.zeros(2))(torch.tensor([[2.0, 0]]), torch.tensor([[0, 4.0]]), 0.5)
        >>> round(half.norm().item(), 4), (half[0, 0] == half[0, 1]).item()
        (3.0, True)
    """

    def way(one: Tensor, two: Tensor, lam: float) -> Tensor:
        a, b = ((v - centre).flatten(1) for v in (one, two))
        far = [v.norm(dim=1, keepdim=True).clamp(min=1e-12) for v in (a, b)]
        direction = lam * a / far[0] + (1 - lam) * b / far[1]
        direction = direction / direction.norm(dim=1, keepdim=True).clamp(min=1e-12)
        radius = lam * far[0] + (1 - lam) * far[1]
        return centre + (radius * direction).view_as(one)

    return way
