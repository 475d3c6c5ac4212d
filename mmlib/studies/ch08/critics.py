"""Runs of chapter 08: can a network learn to tell mixes from images as they are?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmlib.measures.plausibility import plausible
from mmlib.models import build
from mmlib.models.decoder import Decoder
from mmlib.studies.ch08 import geometry
from mmlib.studies.ch08.experiments import Scene, decoder_of, scene_of, some
from mmlib.studies.ch08.judged import LAMS, aside, rank
from mmlib.studies.ch08.paths import logits, normalised, states
from mmlib.training import fit
from mmlib.training.fit_decoder import decoded, pixels

KINDS = ("hidden", "pixel", "blurred", "shuffled", "noise", "null")


class Ends(NamedTuple):
    """Ends of paths: images (P, C, H, W) in [0, 1] and their states (P, ...)."""

    one: Tensor
    two: Tensor
    state_one: Tensor
    state_two: Tensor


def made(
    kind: str, ends: Ends, lam: Tensor, decoder: Decoder, scene: Scene, layer: str
) -> tuple[Tensor, Tensor]:
    """Return images as they are and mixes of the same kind, each (P, C, H, W).

    ``hidden``: decoded mixes of states against decoded states. ``pixel``: overlays against images.
    ``blurred``: overlays through network and decoder against decoded states. Controls:
    ``shuffled``, decoded states whose units are each from another example; ``noise``, images with
    noise as far from the first end as the overlay; ``null``, other decoded states, not mixed.
    """
    weight = lam.view(-1, 1, 1, 1)
    if kind in ("pixel", "noise"):
        if kind == "pixel":
            return ends.one, weight * ends.one + (1 - weight) * ends.two
        moved = [
            aside(a[None], b[None], float(w), scene.rng)
            for a, b, w in zip(ends.one, ends.two, lam, strict=True)
        ]
        return ends.one, torch.cat(moved)
    h, other = ends.state_one, ends.state_two
    if kind == "blurred":
        overlay = weight * ends.one + (1 - weight) * ends.two
        mixed = states(scene.found.model, normalised(overlay, scene.found.data), layer)
    elif kind == "hidden":
        wide = lam.view(-1, *[1] * (h.ndim - 1))
        mixed = wide * h + (1 - wide) * other
    elif kind == "shuffled":
        flat = h.flatten(1)
        rows = torch.rand(flat.shape, generator=scene.rng).argsort(0).to(flat.device)
        mixed = flat.gather(0, rows).view_as(h)
    else:
        mixed = other
    return decoded(decoder, h), decoded(decoder, mixed)


def told_apart(
    settings: dict[str, Any], seed: int, device: str = "cpu"
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Train a critic for each kind of mix, and count the mixes that it cannot tell.

    Critics learn on training images that neither network nor decoder need have seen, half as they
    are and half mixed (different classes, weights 0.1 to 0.9); test images judge. A mix is
    plausible if the critic's score is within the 95 % quantile of its scores of test images of the
    same kind that are not mixed; so 95 % of these are.

    Metrics by kind (see `made`): ``plausible_<kind>`` (%, over all weights), ``auc_<kind>``, the
    chance that the critic scores a mix above an image as it is: 0.5 if it sees no difference; for
    ``hidden`` and ``pixel`` also ``share_rank_<kind>``, the rank correlation over pairs of classes
    of the directions they share (see `overlaps`) with the plausible share. Arrays:
    ``by_lam_<kind>`` (9,), the share for each weight; ``pairs_<kind>`` (45,), by pair of classes;
    ``overlaps`` (45,).
    """
    scene, layer = scene_of(settings, seed, device), settings["layer"]
    data, n = scene.found.data, settings["n_decoder"]
    images, y = (some(a, n + settings["n_critic"], seed) for a in (data.x_train, data.y_train))
    decoder, _ = decoder_of(scene.found, layer, settings, seed, images[:n])
    fresh = pixels(images[n:])
    partner = torch.randperm(len(fresh), generator=scene.rng)
    apart = y[n:] != y[n:][partner]
    train = ends_of(scene, layer, fresh[apart], fresh[partner][apart])
    weights = torch.tensor(LAMS[1:-1])
    drawn = weights[torch.randint(len(weights), (len(train.one),), generator=scene.rng)]
    pairs = scene.pairs
    first, second = pairs.first[pairs.mixed], pairs.second[pairs.mixed]
    test = ends_of(scene, layer, scene.images[first], scene.images[second])
    whole = ends_of(scene, layer, scene.images, scene.images)
    flat = geometry.coordinates(whole.state_one.flatten(1))
    overlap = geometry.off_diagonal(geometry.overlaps(flat, scene.y)).numpy()
    metrics, arrays = {}, {"overlaps": overlap}
    for kind in KINDS:
        critic = build("small_conv", images.shape[1], 2, width=settings["critic_width"], seed=seed)
        asis, mixed = made(kind, train, drawn.to(device), decoder, scene, layer)
        fit(
            critic.to(device),
            normalised(torch.cat([asis, mixed]), data),
            torch.arange(2, device=asis.device).repeat_interleave(len(asis)),
            epochs=settings["critic_epochs"],
            lr=settings["critic_lr"],
            weight_decay=0.0,
            generator=torch.Generator().manual_seed(seed),
        )
        yard_images, _ = made(kind, whole, torch.ones(len(whole.one)), decoder, scene, layer)
        yard = score(critic, yard_images, data)
        said = torch.stack(
            [
                score(
                    critic,
                    made(kind, test, torch.full((len(first),), lam), decoder, scene, layer)[1],
                    data,
                )
                for lam in LAMS[1:-1]
            ]
        )
        good = plausible(said, yard)
        metrics[f"plausible_{kind}"] = 100 * float(good.float().mean())
        above = (said.flatten()[:, None] > yard).float() + (said.flatten()[:, None] == yard) / 2
        metrics[f"auc_{kind}"] = float(above.mean())
        arrays[f"by_lam_{kind}"] = good.float().mean(1).cpu().numpy()
        if kind in ("hidden", "pixel"):
            share = good.float().mean(0).view(-1, settings["per_pair"]).mean(1)
            arrays[f"pairs_{kind}"] = share.cpu().numpy()
            metrics[f"share_rank_{kind}"] = rank(overlap, arrays[f"pairs_{kind}"].astype(float))
    return metrics, {name: values.astype(np.float16) for name, values in arrays.items()}


def ends_of(scene: Scene, layer: str, one: Tensor, two: Tensor) -> Ends:
    """Return ends with their states."""
    h, other = (
        states(scene.found.model, normalised(side, scene.found.data), layer) for side in (one, two)
    )
    return Ends(one, two, h, other)


def score(critic: torch.nn.Module, images: Tensor, data: Any) -> Tensor:
    """Return the log-odds that images are mixed, (N,)."""
    out = logits(critic, normalised(images, data))
    return out[:, 1] - out[:, 0]
