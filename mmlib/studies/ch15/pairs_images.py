"""Pairs of images before any network: whom matching finds, and what their mixes keep."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from mmlib.data import load, resolve
from mmlib.mixing import OptimalPairing, pair_statistics

_BATCH = 128
# Cycles per image.
BANDS = {"below 3": (0, 3), "3 to 8": (3, 8), "8 and more": (8, 99)}


def _images(name: str, n: int, seed: int) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """Return a data set, n of its training images in random order and their classes."""
    data = load(resolve(name))  # by its own name a stand-in warns no second time
    order = torch.randperm(len(data.x_train), generator=torch.Generator().manual_seed(seed))[:n]
    return data, data.x_train[order], data.y_train[order]


def _partners(x: torch.Tensor, k: int, sets: str, rng: torch.Generator) -> torch.Tensor:
    pairing = OptimalPairing(k, sets=sets)
    order = pairing.draw(len(x), rng)
    partner = torch.empty(len(x), dtype=torch.long)
    partner[order[0]] = pairing.match(order, x)
    return partner


def one_batch(name: str, ks: list[int], seed: int, batches: int = 10) -> pd.DataFrame:
    """Return what pairs of a data set look like by the sets and k, mean over batches of 128."""
    data, x, y = _images(name, _BATCH * batches, seed)
    x, rows = data.inputs(x).flatten(1), {}
    for sets, title in (("disjoint", "disjoint blocks"), ("batch", "one batch, as released")):
        for k in ks:
            rng, found = torch.Generator().manual_seed(seed), []
            for part, classes in zip(x.split(_BATCH), y.split(_BATCH), strict=True):
                partner = _partners(part, k, sets, rng)
                pairs = pair_statistics(partner, classes)
                apart = 2 * len(part) / (len(part) - 1) * part.var(0, unbiased=False).sum()
                near = (part - part[partner]).square().sum(1).mean() / apart
                found.append([100 * pairs.same_class, 100 * pairs.self_pairs, float(near)])
            rows[title, k] = np.mean(found, 0)
    names = ("partners of one class, %", "not mixed, %", "squared distance over that of all pairs")
    table = pd.DataFrame(rows, index=names).T
    return table.rename_axis(index=["sets", "k"])


def mixes(name: str, k: int, seed: int, n: int = 8) -> np.ndarray:
    """Return images, random partners, mixes half way, matched partners and mixes, (5, n, C, H, W).

    Pixels are in [0, 1]; the images are the first n of one batch of 128.
    """
    data, raw, _ = _images(name, _BATCH, seed)
    x, pixels = data.inputs(raw).flatten(1), raw.float() / 255
    rows = [pixels[:n]]
    for size in (1, k):
        rng = torch.Generator().manual_seed(seed)
        partner = _partners(x, size, "disjoint", rng)[:n]
        rows += [pixels[partner], (pixels[:n] + pixels[partner]) / 2]
    return torch.stack(rows).numpy()


def kept_power(names: tuple[str, ...], k: int, seed: int, batches: int = 10) -> pd.DataFrame:
    """Return the share of the power of images that mixes half way keep, by spatial frequency.

    Powers are of deviations from the mean image, in cycles per image. The mix of a and b keeps
    ``(1 + r) / 2`` of the power at a frequency, r the correlation of the coefficients of partners:
    one half for random partners.

    Args:
        names: data sets.
        k: size of disjoint matched sets, beside sets of one.
        seed: of images and sets.
        batches: of 128 images.
    """
    rows = {}
    for name in names:
        data, raw, _ = _images(name, _BATCH * batches, seed)
        x = data.inputs(raw)
        x = x - x.mean(0)
        radius = torch.fft.fftfreq(x.shape[-1], 1 / x.shape[-1])
        radius = torch.hypot(radius[:, None], radius)
        for size in (1, k):
            rng = torch.Generator().manual_seed(seed)
            parts = [
                (part + part[_partners(part.flatten(1), size, "disjoint", rng)]) / 2
                for part in x.split(_BATCH)
            ]
            before, after = (
                torch.fft.fft2(one).abs().square().sum((0, 1)) for one in (x, torch.cat(parts))
            )
            rows[data.title, size] = {
                title: float(after[inside].sum() / before[inside].sum())
                for title, (low, high) in BANDS.items()
                for inside in ((radius >= low) & (radius < high),)
            }
    return pd.DataFrame(rows).T.rename_axis(index=["data", "k"])
