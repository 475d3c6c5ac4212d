"""Training of image networks by k-mixup, at the input and at hidden sites, with curves."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmlib.data.dataset import Dataset
from mmlib.measures import evaluate
from mmlib.measures.evaluation import evaluating
from mmlib.mixing import Mixup, OptimalPairing, capture, pair_statistics, resume
from mmlib.studies.ch15.hidden import distances
from mmlib.studies.networks import SITES, network, subset
from mmlib.training import CropFlip, fit

# What is said about vicinal points, see `vicinal`.
VICINAL = (
    *("weighted", "larger", "cross_weighted", "cross_larger", "same_class", "self_pairs"),
    *("ceiling", "match_ratio"),
)


def mixup_of(settings: dict[str, Any], seed: int) -> Mixup | None:
    """Return the mixing of a cell: None without ``k``, else k-mixup at its ``layers``.

    One lambda and one site a batch, as released. The ``sets`` of all cells but a few are disjoint
    blocks of the batch: like the two independent sets of the text they share no example, and they
    need no second batch. k = 1 is drawn in the same way, so that k is all that differs.

    Example:
        >>> cell = {"k": 8, "sets": "disjoint", "alpha": 1.0, "layers": ("input",)}
        >>> mixup_of(cell, 0).pairing
        OptimalPairing(k=8, cost='sqeuclidean', sets='disjoint')
    """
    if "k" not in settings:
        return None
    return Mixup(
        settings["alpha"],
        tuple(settings["layers"]),
        pairing=OptimalPairing(settings["k"], sets=settings["sets"]),
        generator=torch.Generator().manual_seed(seed + 10_000),
    )


def vicinal(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    layer: str,
    *,
    pairing: OptimalPairing,
    alpha: float,
    batch: int,
    generator: torch.Generator,
) -> dict[str, float]:
    r"""Return how a network answers on the vicinal points of k-mixup at one site.

    A point mixes ``h_i`` with the matched ``h_j`` by a lambda of its own; pairs are matched within
    batches. The network is in eval mode, the images are not augmented.

    Args:
        model: the network; its mode is restored.
        x: (N, ...) network inputs.
        y: (N,) classes.
        layer: the site.
        pairing: how sets are drawn and matched.
        alpha: of the law of lambda.
        batch: examples in a batch; what is left over is dropped.
        generator: of the pairs and lambdas.

    Returns:
        ``weighted``: mean of :math:`\lambda [\hat y = y_i] + (1 - \lambda) [\hat y = y_j]`, the
        train accuracy of the released code. ``larger``: share of points where the arg max is the
        class with the larger weight. ``cross_weighted``, ``cross_larger``: the same on pairs of
        two classes alone. ``ceiling``: the largest ``weighted`` that any classifier can reach.
        ``same_class`` and ``self_pairs``: shares of the pairs. ``match_ratio``: mean squared
        distance of partners over that of all pairs of a batch.

    Example:
        >>> x, y = torch.randn(8, 2), torch.zeros(8).long()
        >>> draws = torch.Generator().manual_seed(0)
        >>> options = {"pairing": OptimalPairing(2), "alpha": 1.0, "batch": 4, "generator": draws}
        >>> vicinal(nn.Linear(2, 3), x, y, "input", **options)["ceiling"]  # one class
        1.0
    """
    mixup = Mixup(alpha, (layer,), pairing=pairing, per_example=("lam",), generator=generator)
    rows = []
    with evaluating(model):
        for start in range(0, len(x) - batch + 1, batch):
            part = slice(start, start + batch)
            rows.append(_one_batch(model, x[part], y[part], layer, mixup))
    return dict(zip(VICINAL, np.mean(rows, 0).tolist(), strict=True))


def _one_batch(model: nn.Module, x: Tensor, y: Tensor, layer: str, mixup: Mixup) -> list[float]:
    """Return the measures of `vicinal` for one batch, in the order of `VICINAL`."""
    draw = mixup.draw(len(x))
    order = draw.orders[layer].to(x.device)
    h = capture(model, x, layer)
    partner = torch.empty(len(x), dtype=torch.long, device=x.device)
    partner[order[0]] = mixup.pairing.match(order, h)
    lam = draw.lam.to(x.device, h.dtype)
    share = lam.view(-1, *[1] * (h.ndim - 1))
    guess = resume(model, x, layer, share * h + (1 - share) * h[partner]).argmax(-1)
    theirs = y[partner]
    weighted = lam * (guess == y) + (1 - lam) * (guess == theirs)
    larger = (guess == torch.where(lam >= 0.5, y, theirs)).to(lam.dtype)
    cross = y != theirs
    ceiling = torch.where(cross, torch.maximum(lam, 1 - lam), torch.ones_like(lam))
    flat = h.flatten(1)
    apart = 2 * len(flat) / (len(flat) - 1) * flat.var(0, unbiased=False).sum()
    matched = (flat - flat[partner]).square().sum(1).mean()
    pairs = pair_statistics(partner, y)
    crossed = [(one * cross).sum() / cross.sum().clamp(min=1) for one in (weighted, larger)]
    found = [weighted.mean(), larger.mean(), *crossed, pairs.same_class, pairs.self_pairs]
    return [float(value) for value in (*found, ceiling.mean(), matched / apart)]


class Watch:
    """Looks at a network after each epoch: test images, and vicinal points of its own kind.

    The draws of vicinal points are the same at each look and for all runs of a seed.

    Attributes:
        vicinal: one {site: `vicinal`} per epoch; empty for a run that does not mix.
    """

    def __init__(self, settings: dict[str, Any], seed: int, data: Dataset) -> None:
        self.settings, self.seed, self.data = settings, seed, data
        rng = torch.Generator().manual_seed(20_000 + seed)
        some = torch.randperm(len(data.x_train), generator=rng)[: settings["n_final"]]
        some = some.to(data.device)
        self.x, self.y = data.inputs(data.x_train[some]), data.y_train[some]
        self.batch = min(settings["batch"], len(self.x))
        self.vicinal: list[dict[str, dict[str, float]]] = []

    def points(
        self,
        model: nn.Module,
        layer: str,
        pairing: OptimalPairing,
        alpha: float,
        n: int | None = None,
    ) -> dict[str, float]:
        """Return `vicinal` at a site on the first n images, with the same draws at each call."""
        options = {"pairing": pairing, "alpha": alpha, "batch": self.batch}
        draws = torch.Generator().manual_seed(40_000 + self.seed)
        return vicinal(model, self.x[:n], self.y[:n], layer, **options, generator=draws)

    def own(self, model: nn.Module, n: int | None = None) -> dict[str, dict[str, float]]:
        """Return `vicinal` of the run's own kind at each of its sites."""
        pairing = OptimalPairing(self.settings["k"], sets=self.settings["sets"])
        sites = dict.fromkeys(self.settings["layers"])
        return {s: self.points(model, s, pairing, self.settings["alpha"], n) for s in sites}

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Return the scores on the watched test images."""
        if "k" in self.settings:
            self.vicinal.append(self.own(model, max(self.settings["n_vicinal"], self.batch)))
        watched = slice(self.settings["n_watch"])
        x, y = self.data.x_test[watched], self.data.y_test[watched]
        return evaluate(model, x, y, inputs=self.data.inputs)


def image_run(
    settings: dict[str, Any], seed: int, device: str = "cpu"
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Train one network and look at it on the way and at the end.

    Runs of one seed see the same images, initial weights, batches, augmentation and, for equal
    alpha, the same lambdas: they are compared in pairs.

    Metrics: ``accuracy`` (%), ``nll``, ``ece`` on all test images; ``train_accuracy`` (%, unmixed
    training images); ``train_loss``; ``mean_accuracy`` (%, watched test images, over epochs);
    ``best_accuracy`` (the best epoch of these); ``seconds`` of training. On vicinal points of
    training images (see `vicinal`, accuracies in %), with the run's own alpha (1 without mixing):
    ``own_<name>`` with its own sets, mean over its sites, and ``k<k>_<name>`` at the input with
    disjoint sets of the ``ks`` of the settings. Of all sites ``<measure>_<site>``, see
    `hidden.distances`.

    Arrays: per epoch ``accuracy``, ``nll``, ``train_loss``, and ``vicinal`` (T, sites, names).
    """
    data = subset(settings, seed, device)
    model = network(settings, data, seed)
    watch = Watch(settings, seed, data)
    augment = CropFlip(settings["pad"], settings["flip"])
    started = time.perf_counter()
    history = fit(
        model,
        data.x_train,
        data.y_train,
        mixup=mixup_of(settings, seed),
        epochs=settings["epochs"],
        batch_size=min(settings["batch"], len(data.x_train)),
        lr=settings["lr"],
        momentum=0.9,
        nesterov=False,
        weight_decay=settings["weight_decay"],
        schedule=settings["schedule"],
        inputs=data.inputs,
        augment=augment if settings["pad"] or settings["flip"] else None,
        evaluate=watch,
        generator=torch.Generator().manual_seed(seed),
        progress=f"{settings['data']} k = {settings.get('k', 'none')} seed {seed}",
    )
    metrics = {"seconds": time.perf_counter() - started}
    full = evaluate(model, data.x_test, data.y_test, inputs=data.inputs)
    metrics |= {"accuracy": 100 * full["accuracy"], "nll": full["nll"], "ece": full["ece"]}
    fitted = evaluate(model, watch.x, watch.y)
    curve = np.array(history.column("accuracy"))
    metrics |= {
        "train_accuracy": 100 * fitted["accuracy"],
        "train_loss": history.last["train_loss"],
        "mean_accuracy": 100 * float(curve.mean()),
        "best_accuracy": 100 * float(curve.max()),
    }
    if "k" in settings:
        found = list(watch.own(model).values())
        metrics |= _percent("own", {n: float(np.mean([f[n] for f in found])) for n in VICINAL})
    for k in settings["ks"]:
        found = watch.points(model, "input", OptimalPairing(k), settings.get("alpha", 1.0))
        metrics |= _percent(f"k{k}", found)
    look = slice(settings["n_look"])
    x, y = data.inputs(data.x_test[look]), data.y_test[look]
    metrics |= distances(model, x, y, SITES[settings["model"]], batch=watch.batch, seed=seed)
    names = {"accuracy": curve, "nll": history.column("nll")}
    arrays = names | {"train_loss": history.column("train_loss")}
    if watch.vicinal:
        rows = [[list(one.values()) for one in epoch.values()] for epoch in watch.vicinal]
        arrays["vicinal"] = rows
    return metrics, {name: np.asarray(row, dtype="float32") for name, row in arrays.items()}


def _percent(start: str, found: dict[str, float]) -> dict[str, float]:
    """Name vicinal measures; accuracies and shares become percents."""
    return {
        f"{start}_{name}": value * (1 if name == "match_ratio" else 100)
        for name, value in found.items()
    }
