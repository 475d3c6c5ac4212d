"""Images along paths, judged by another network: how near to real ones, and of which class."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from mmlib.measures.crossings import third_class
from mmlib.measures.plausibility import nearest_distance, overlay_gap, plausible
from mmlib.mixing import mix_at
from mmlib.models.decoder import Decoder
from mmlib.studies.ch08 import geometry
from mmlib.studies.ch08.paths import Eye, Pairs, mix, normalised, states
from mmlib.training.fit_decoder import decoded

LAMS = tuple(i / 10 for i in range(11))
INNER = slice(1, -1)
IN_PIXELS = ("pixel", "noise")
DECODED = ("hidden", "blurred", "shuffled", "random")


class Yard(NamedTuple):
    """Distances to the nearest real image: in the other network's features, and in pixels."""

    features: Tensor
    pixels: Tensor


def away(images: Tensor, eye: Eye) -> Yard:
    """Return the distances of images (N, C, H, W) in [0, 1] to the nearest real image, (N,)."""
    near = nearest_distance(eye.features(images), eye.reference)[0]
    return Yard(near, nearest_distance(images.flatten(1), eye.reference_pixels)[0])


def in_pixels(kind: str, images: Tensor, pairs: Pairs, rng: torch.Generator) -> list[Tensor]:
    """Return images (P, C, H, W) for each of `LAMS`, made of pixels alone.

    ``pixel``: the overlay of both ends. ``noise``: the first end with isotropic noise that goes as
    far from it as the overlay does.
    """
    one, two = images[pairs.first], images[pairs.second]
    way = mix if kind == "pixel" else lambda a, b, lam: aside(a, b, lam, rng)
    return [way(one, two, lam) for lam in LAMS]


def through_decoder(
    kind: str,
    model: nn.Module,
    layer: str,
    decoder: Decoder,
    h: Tensor,
    overlays: list[Tensor],
    data: Any,
    pairs: Pairs,
    rng: torch.Generator,
) -> list[Tensor]:
    """Return decoded images (P, C, H, W) for each of `LAMS`.

    ``hidden``: mixes of states. ``blurred``: the overlays, through the network up to the layer and
    the decoder. Controls: ``random``, a state aside of the first end, as far as the mix but in a
    random direction; ``shuffled``, a state whose units are each from another example.
    """
    start, end, flat = h[pairs.first], h[pairs.second], h.flatten(1)
    images = []
    for lam, overlay in zip(LAMS, overlays, strict=True):
        if kind == "hidden":
            state = mix(start, end, lam)
        elif kind == "blurred":
            state = states(model, normalised(overlay, data), layer)
        elif kind == "random":
            state = aside(start, end, lam, rng)
        else:
            rows = torch.randint(len(flat), (len(start), flat.shape[1]), generator=rng)
            state = flat.gather(0, rows.to(flat.device)).view_as(start)
        images.append(decoded(decoder, state))
    return images


def aside(start: Tensor, end: Tensor, lam: float, rng: torch.Generator) -> Tensor:
    """Return `start` moved by ``(1 - lam) |end - start|`` in a random direction."""
    way = torch.randn(start.shape, generator=rng).to(start.device)
    length = (end - start).flatten(1).norm(dim=1) / way.flatten(1).norm(dim=1)
    return start + (1 - lam) * way * length.view(-1, *[1] * (start.ndim - 1))


def judge_images(
    kind: str, along: list[Tensor], own: Yard, real: Yard, eye: Eye, pairs: Pairs
) -> tuple[dict[str, float], dict[str, np.ndarray], Tensor]:
    """Score images along paths; shares in %, over interior weights and different classes.

    Args:
        kind: name behind those of the metrics.
        along: (P, C, H, W) for each of `LAMS`.
        own: of end points of the same kind: real images, or reconstructions.
        real: of real test images.
        eye: the other network.
        pairs: the ends.

    Returns:
        Metrics, each with ``_<kind>``: ``own_yard`` and ``real_yard``, within the 95 % quantile of
        either; ``own_pixel_yard`` and ``pixel_yard``, the same with distances in pixels;
        ``distance``, the median over that of real images; ``same``, as own_yard for two examples
        of one class; ``points`` and ``paths``, third classes among points and paths whose ends the
        other network sees correctly (absent if there are none). Arrays (L,): the same shares
        against the weight. And own_yard of each point, (L, P).
    """
    feature, pixel = (
        torch.stack(side) for side in zip(*(away(x, eye) for x in along), strict=True)
    )
    said = torch.stack([eye.predictions(x) for x in along])
    mixed = pairs.mixed
    good = plausible(feature, own.features)
    shares = {
        "own_yard": good,
        "real_yard": plausible(feature, real.features),
        "own_pixel_yard": plausible(pixel, own.pixels),
        "pixel_yard": plausible(pixel, real.pixels),
    }
    metrics = {
        f"{name}_{kind}": 100 * float(share[INNER][:, mixed].float().mean())
        for name, share in shares.items()
    }
    middle = feature[INNER][:, mixed].median() / real.features.median()
    metrics[f"distance_{kind}"] = float(middle)
    metrics[f"same_{kind}"] = 100 * float(good[INNER][:, ~mixed].float().mean())
    arrays = {f"{name}_{kind}": share[:, mixed].float().mean(1) for name, share in shares.items()}
    third = third_class(said, pairs.a, pairs.b)
    used = mixed & (said[0] == pairs.b) & (said[-1] == pairs.a)
    if used.any():
        metrics[f"points_{kind}"] = 100 * float(third[INNER][:, used].float().mean())
        metrics[f"paths_{kind}"] = 100 * float(third[:, used].any(0).float().mean())
        arrays[f"third_{kind}"] = third[:, used].float().mean(1)
    return metrics, {name: share.cpu().numpy() for name, share in arrays.items()}, good


def reconstruction(rebuilt: Tensor, images: Tensor, own: Yard, real: Yard) -> dict[str, float]:
    """Return ``error`` (squared pixels), and how near reconstructions are to real images.

    ``real_yard_ends`` and ``pixel_yard_ends`` in %, ``distance_ends`` as a ratio of medians.
    """
    near = plausible(own.features, real.features), plausible(own.pixels, real.pixels)
    return {
        "error": float((rebuilt - images).square().mean()),
        "real_yard_ends": 100 * float(near[0].float().mean()),
        "pixel_yard_ends": 100 * float(near[1].float().mean()),
        "distance_ends": float(own.features.median() / real.features.median()),
    }


def hidden_gap(along: list[Tensor]) -> dict[str, float]:
    """Return the least and the mean distance of decoded mixes to the average of decoded ends."""
    gap = overlay_gap(torch.stack(along), along[-1], along[0], torch.tensor(LAMS))[INNER]
    return {"overlay_gap": float(gap.min()), "overlay_gap_mean": float(gap.mean())}


def library_overlay(images: Tensor, data: Any, pairs: Pairs) -> float:
    """Return the largest difference of the library's input mixes to the average of pixels.

    The library mixes normalised inputs; they are turned back into pixels.
    """
    both = torch.cat([images[pairs.first], images[pairs.second]])
    n = len(pairs.first)
    inputs, partner = normalised(both, data), torch.arange(2 * n).roll(n).to(both.device)
    zero = normalised(torch.zeros_like(both[:1]), data)
    one = normalised(torch.ones_like(both[:1]), data)
    worst = 0.0
    for lam in LAMS:
        mixed = (mix_at(nn.Identity(), inputs, "input", lam, partner)[:n] - zero) / (one - zero)
        worst = max(worst, float((mixed - lam * both[:n] - (1 - lam) * both[n:]).abs().max()))
    return worst


def by_class_pair(values: Tensor, used: Tensor, pairs: Pairs) -> np.ndarray:
    """Return means over the used pairs of each two classes, in order; NaN where there are none."""
    a, b = pairs.a[pairs.mixed], pairs.b[pairs.mixed]
    values, used = values[pairs.mixed].double(), used[pairs.mixed].double()
    classes = int(b.max()) + 1
    where = a * classes + b
    flat = torch.zeros(classes * classes, dtype=torch.float64, device=values.device)
    total = flat.index_add(0, where, values * used)
    count = flat.index_add(0, where, used)
    return geometry.off_diagonal((total / count).view(classes, classes)).cpu().numpy()


def rank(one: np.ndarray, two: np.ndarray) -> float:
    """Return Spearman's rank correlation; 0 where one side is constant, NaNs left out."""
    both = np.isfinite(one) & np.isfinite(two)
    one, two = one[both], two[both]
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(two) == 0:
        return 0.0
    return float(stats.spearmanr(one, two).statistic)
