"""Runs of chapter 08 without networks: random triangles, classifiers in the plane, noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from mmlib.data import load
from mmlib.measures.crossings import crossed_pairs, least_crossed_share, obtuse_share
from mmlib.measures.noise import fit_local_average, left_of_noise, share_outside
from mmlib.studies.ch08.geometry import off_diagonal
from mmlib.training.fit_decoder import pixels


def triangles(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Random means of a nearest-mean classifier in d dimensions.

    Metrics: ``<law>`` and ``<law>_expected``: the share (%) of random triples with an obtuse angle
    at a given corner, drawn and by formula, for ``gaussian`` and ``sphere``; ``crossed_<law>``:
    the share (%) of pairs among K random means whose segment meets a third cell;
    ``scan_error``: how many of these answers differ from a fine scan of the segments, and
    ``scan_control``: the same for the rule that looks for the nearest third mean to a line, not a
    segment, which is wrong; ``least_crossed``: the smallest share (%) among pairs of one point per
    class over random classifiers of many shapes, which in the plane cannot be below ``bound`` (%).
    """
    d, k, n = settings["dimension"], settings["classes"], settings["n"]
    rng = torch.Generator().manual_seed(seed)
    metrics = {}
    for law in ("gaussian", "sphere"):
        points = torch.randn(n, 3, d, generator=rng, dtype=torch.float64)
        means = torch.randn(settings["sets"], k, d, generator=rng, dtype=torch.float64)
        if law == "sphere":
            points = points / points.norm(dim=2, keepdim=True)
            means = means / means.norm(dim=2, keepdim=True)
        a, b, c = points.unbind(1)
        metrics[law] = 100 * float((((a - c) * (b - c)).sum(1) < 0).double().mean())
        metrics[f"{law}_expected"] = 100 * obtuse_share(d, law)
        crossed = torch.stack([off_diagonal(crossed_pairs(one)) for one in means])
        metrics[f"crossed_{law}"] = 100 * float(crossed.double().mean())
        if law == "gaussian":
            found = [scanned(one) for one in means[:20]]
            metrics["scan_error"] = float((torch.stack(found) != crossed[:20]).sum())
            wrong = torch.stack([near_line(one) for one in means[:20]])
            metrics["scan_control"] = float((wrong != crossed[:20]).sum())
    shares = [crossed_by(kind, d, k, rng) for kind in SHAPES for _ in range(settings["sets"] // 4)]
    metrics["least_crossed"] = 100 * min(shares)
    metrics["bound"] = 100 * least_crossed_share(k) if d <= 2 else 0.0
    return metrics


def scanned(means: Tensor, steps: int = 4001) -> Tensor:
    """Which pairs of means meet a third cell, by looking at many points of each segment."""
    t = torch.linspace(0, 1, steps, dtype=means.dtype)[:, None]
    found = []
    for a in range(len(means)):
        for b in range(a + 1, len(means)):
            near = torch.cdist(t * means[a] + (1 - t) * means[b], means).argmin(1)
            found.append(bool(((near != a) & (near != b)).any()))
    return torch.tensor(found)


def near_line(means: Tensor) -> Tensor:
    """The same by a wrong rule: a third mean within half the length of the segment's line."""
    found = []
    for a in range(len(means)):
        for b in range(a + 1, len(means)):
            way = (means[b] - means[a]) / (means[b] - means[a]).norm()
            away = means - means[a]
            away = (away - (away @ way)[:, None] * way).norm(dim=1)
            away[[a, b]] = torch.inf
            found.append(bool(away.min() < (means[b] - means[a]).norm() / 2))
    return torch.tensor(found)


SHAPES = ("linear", "nearest mean", "nearest points", "random net")


def crossed_by(kind: str, d: int, k: int, rng: torch.Generator) -> float:
    """Return the share of pairs, one point a class, that pass a third class of a classifier.

    The classifier is random and of the given kind, and so are the points of each class.
    """

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    weights, bias, centres, many = draw(k, d), draw(k) / 2, draw(k, d), draw(20 * k, d)
    first, shift, second = draw(30, d) * 2, draw(30) * 2, draw(k, 30)

    def classes(x: Tensor) -> Tensor:
        if kind == "linear":
            return (x @ weights.T + bias).argmax(1)
        if kind == "nearest mean":
            return torch.cdist(x, centres).argmin(1)
        if kind == "nearest points":
            return torch.cdist(x, many).argmin(1) % k
        return (torch.tanh(x @ first.T + shift) @ second.T).argmax(1)

    candidates = draw(5000, d) * 2
    label = classes(candidates)
    present = label.unique()
    ends = torch.stack([candidates[(label == one).nonzero()[0, 0]] for one in present])
    t = torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None]
    crossed = []
    for i in range(len(present)):
        for j in range(i + 1, len(present)):
            said = classes(t * ends[i] + (1 - t) * ends[j])
            crossed.append(bool(((said != present[i]) & (said != present[j])).any()))
    # A class that occurs nowhere leaves fewer points, for which the bound is lower.
    return float(np.mean(crossed)) if len(present) == k else 1.0


def noise(settings: dict[str, Any], seed: int, device: str = "cpu") -> tuple[dict, dict]:
    """Isotropic noise against real variation, on images of a data set; see `mmlib.measures.noise`.

    Half of the images give the subspace and the filter (`n_filter` of them), the other half
    differences and errors. Images are shrunk by averages over `pool` x `pool` pixels first.

    Metrics: ``dimension`` d of the subspace with 95 % of the variance, ``pixels`` D;
    ``outside_noise`` and ``outside_real``, shares (%) of energy outside it; ``outside_error``, the
    largest difference of the mean share of noise to 1 - d / D over several d, and
    ``outside_control``, the least of real differences; ``like_real``: noise draws (%) with at least
    the share inside of the lowest 1 % of real differences; for noise of standard deviation
    ``sigma`` and a fitted average over a window: ``left`` (error over energy of the noise, %),
    ``left_shuffled`` (pixels in shuffled places), ``left_centre`` (window of one pixel),
    ``removed_noise`` and ``removed_real`` (energy of noise and of real differences that is taken
    away, %). Arrays: ``left_by_sigma`` and ``left_by_sigma_shuffled`` for `SIGMAS`,
    ``outside_by_dimension`` (3, D') for d / D, noise and real differences.
    """
    data = load(settings["data"], device=device)
    rng = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data.x_train), generator=rng)[: settings["n"]]
    images = avg_pool2d(pixels(data.x_train[order.to(data.device)]).cpu(), settings["pool"])
    fitted, held = images[: len(images) // 2], images[len(images) // 2 :]
    flat = fitted.flatten(1)
    _, values, basis = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)
    variance, total = values.square(), flat.shape[1]
    d = int((variance.cumsum(0) < 0.95 * variance.sum()).sum()) + 1
    real = (held[: len(held) // 2] - held[len(held) // 2 :][: len(held) // 2]).flatten(1)
    white = torch.randn(len(real), total, generator=rng)
    sizes = sorted({1, d, *np.linspace(1, len(basis), 13).astype(int).tolist()})
    outside = [cumulative_outside(v, basis)[[s - 1 for s in sizes]].tolist() for v in (white, real)]
    away = [abs(share - (1 - s / total)) for share, s in zip(outside[0], sizes, strict=True)]
    inside_noise, inside_real = (1 - share_outside(v, basis[:d]) for v in (white, real))
    metrics = {
        "dimension": float(d),
        "pixels": float(total),
        "outside_noise": 100 * float(1 - inside_noise.mean()),
        "outside_real": 100 * float(1 - inside_real.mean()),
        "outside_error": max(away),
        "outside_control": abs(float(1 - inside_real.mean()) - (1 - d / total)),
        "like_real": 100 * float((inside_noise >= inside_real.quantile(0.01)).double().mean()),
    }
    places = torch.randperm(images[0, 0].numel(), generator=rng)
    few = [one[: settings["n_filter"]] for one in (fitted, held)]
    mixed = [one.flatten(2)[:, :, places].view_as(one) for one in few]
    curves = {"left_by_sigma": [], "left_by_sigma_shuffled": []}
    for sigma in SIGMAS:
        for name, (fit, test) in (("", few), ("_shuffled", mixed)):
            average = fit_local_average(fit, sigma, settings["reach"], generator=rng)
            left = 100 * left_of_noise(test, sigma, average, generator=rng)
            curves[f"left_by_sigma{name}"].append(left)
            if sigma == settings["sigma"]:
                metrics[f"left{name}"] = left
                metrics |= removed(average, test, sigma, rng) if not name else {}
    alone = fit_local_average(few[0], settings["sigma"], 0, generator=rng)
    metrics["left_centre"] = 100 * left_of_noise(few[1], settings["sigma"], alone, generator=rng)
    shares = [np.asarray(sizes) / total, *outside]
    arrays = {name: np.asarray(row, dtype="float32") for name, row in curves.items()}
    return metrics, arrays | {"outside_by_dimension": np.asarray(shares, dtype="float32")}


def cumulative_outside(vectors: Tensor, basis: Tensor) -> Tensor:
    """Return the mean share of energy outside the first 1, 2, ... rows of a basis, (D,)."""
    energy = (vectors @ basis.T).double().square()
    return (1 - energy.cumsum(1) / vectors.double().square().sum(1, keepdim=True)).mean(0)


SIGMAS = (0.05, 0.1, 0.2, 0.4)


def removed(average: Any, images: Tensor, sigma: float, rng: torch.Generator) -> dict[str, float]:
    """Return how much of the energy of noise and of real differences a filter takes away, in %."""
    noisy = images + sigma * torch.randn(images.shape, generator=rng)
    change = (average(noisy) - average(images)).square().mean() / sigma**2
    half = len(images) // 2
    one, two = images[:half], images[half : 2 * half]
    kept = (average(one) - average(two)).square().mean() / (one - two).square().mean()
    return {"removed_noise": 100 * float(1 - change), "removed_real": 100 * float(1 - kept)}
