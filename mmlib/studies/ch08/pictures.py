"""Runs of chapter 08 that are looked at: decoded paths between single images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmlib.measures.plausibility import nearest_distance, plausible
from mmlib.mixing import resume
from mmlib.studies.ch08.experiments import classifier, decoder_of, eye_of, some
from mmlib.studies.ch08.paths import mix, normalised, states
from mmlib.training.fit_decoder import decoded, pixels


def ends_of(pairs: Any, y: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Return positions of one random example for each end of the given pairs of classes."""
    rng = torch.Generator().manual_seed(seed)

    def one(label: int) -> Tensor:
        own = (y == label).nonzero()[:, 0]
        return own[torch.randint(len(own), (1,), generator=rng)]

    found = [(one(a), one(b)) for a, b in pairs]
    first, second = (torch.cat(side) for side in zip(*found, strict=True))
    return first, second


def pictured(
    settings: dict[str, Any], seed: int, device: str = "cpu"
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Decode the paths between a few test images, in pixels and from each layer.

    ``pairs`` are the classes of the ends; the images are the first seed's draw of `ends_of`.

    Arrays: ``lams`` (L,); ``pixel`` (P, L, C, H, W) and ``hidden_<layer>``, ``blurred_<layer>``
    alike, bytes; ``ends`` (P, 2) classes; ``own_<layer>``, ``own_input`` (P, L), what the network
    goes on to say, and ``eye_pixel``, ``eye_<layer>``, what another network sees; ``good_<...>``,
    whether it is within the 95 % quantile of its own end points' distance to real images. Metrics:
    ``error_<layer>``, squared pixels, of reconstructed test images.
    """
    found = classifier(settings, seed, device)
    test_x = some(found.data.x_test, settings["n_test"], seed)
    test_y = some(found.data.y_test, settings["n_test"], seed)
    images = pixels(test_x)
    first, second = ends_of(settings["pairs"], test_y, seed)
    eye = eye_of(settings, seed, device, some(found.data.x_train, settings["n_known"], seed))
    lams = torch.linspace(0, 1, settings["steps"]).tolist()
    x = normalised(images, found.data)
    real = nearest_distance(eye.features(images), eye.reference)[0]
    metrics = {}
    arrays = {"lams": np.asarray(lams), "ends": torch.stack([test_y[first], test_y[second]], 1)}

    def keep(name: str, along: list[Tensor], yardstick: Tensor) -> None:
        batch = torch.stack(along, 1)
        flat = batch.flatten(0, 1)
        near = nearest_distance(eye.features(flat), eye.reference)[0]
        arrays[name] = (255 * batch).round().byte()
        seen = name.removeprefix("hidden_")
        arrays[f"eye_{seen}"] = eye.predictions(flat).view(batch.shape[:2]).byte()
        arrays[f"good_{seen}"] = plausible(near, yardstick).view(batch.shape[:2])

    mixed = [mix(images[first], images[second], lam) for lam in lams]
    keep("pixel", mixed, real)
    with torch.no_grad():
        said = [found.model(normalised(one, found.data)).argmax(1) for one in mixed]
    arrays["own_pixel"] = torch.stack(said, 1).byte()
    train_x = some(found.data.x_train, settings["n_decoder"], seed)
    for layer in settings["decode"]:
        decoder, _ = decoder_of(found, layer, settings, seed, train_x)
        h = states(found.model, x, layer)
        rebuilt = decoded(decoder, h)
        yardstick = nearest_distance(eye.features(rebuilt), eye.reference)[0]
        metrics[f"error_{layer}"] = float((rebuilt - images).square().mean())
        along = [mix(h[first], h[second], lam) for lam in lams]
        keep(f"hidden_{layer}", [decoded(decoder, one) for one in along], yardstick)
        blurred = [states(found.model, normalised(one, found.data), layer) for one in mixed]
        keep(f"blurred_{layer}", [decoded(decoder, one) for one in blurred], yardstick)
        with torch.no_grad():
            own = [resume(found.model, x[first], layer, one).argmax(1) for one in along]
        arrays[f"own_{layer}"] = torch.stack(own, 1).byte()
    return metrics, {name: np.asarray(torch.as_tensor(a).cpu()) for name, a in arrays.items()}
