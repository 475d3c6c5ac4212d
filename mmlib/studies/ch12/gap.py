"""Networks with an affine head, mixed right before it: is the gap that theory names reached?"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmlib.data.dataset import Dataset
from mmlib.measures import beta_nodes, within_over_total
from mmlib.measures.logit_gap import optimal_gap, same_class, smoothing_for
from mmlib.measures.scores import accuracy, mean_confidence, nll
from mmlib.measures.temperature import best_temperature, cross_fitted_nll
from mmlib.models.bottleneck import bottleneck
from mmlib.studies.bottlenecks import images
from mmlib.studies.ch12.seen import parts, seen_basis
from mmlib.training.ensemble_fit import Member, fit_ensemble

SPLITS = ("train", "test")


def asked_for(settings: dict[str, Any], alpha: float) -> float:
    """Return the gap that mixing asks of free logits, with the partners of a finite batch."""
    classes = len(settings["digits"])
    same = same_class(settings["n_train"], classes, settings["batch"])
    return optimal_gap(classes, *beta_nodes(alpha), same).gap


def members(settings: dict[str, Any], seed: int) -> dict[str, Member]:
    """Return how each network of a run is trained, by name.

    ``plain``; ``mixed_<alpha>`` mixes the states right before the head; ``smooth_<alpha>`` mixes
    nothing and has the label smoothing that asks for the gap of mixing with that alpha.
    """
    found = {"plain": Member(seed=seed)}
    for alpha in settings["alphas"]:
        found[f"mixed_{alpha:g}"] = Member(seed=seed, layers=("code",), alpha=alpha)
    for alpha in settings["smooth"]:
        share = smoothing_for(asked_for(settings, alpha), len(settings["digits"]))
        found[f"smooth_{alpha:g}"] = Member(seed=seed, smoothing=share)
    return found


def gaps(logits: Tensor, y: Tensor) -> Tensor:
    """Return each example's own logit less the mean of the others, (N,) in float64.

    Example:
        >>> gaps(torch.tensor([[3.0, 1.0, 0.0]]), torch.tensor([0]))
        tensor([2.5000], dtype=torch.float64)
    """
    logits = logits.double()
    own = logits.gather(1, y[:, None])[:, 0]
    return own - (logits.sum(1) - own) / (logits.shape[1] - 1)


def all_pairs_risk(logits: Tensor, y: Tensor, alpha: float, same: float, nodes: int) -> float:
    """Return the mixed risk of an affine head, over all pairs that are no example with itself.

    Pairs of one class and of two get the weights that they have in training.

    Args:
        logits: (N, K) of unmixed examples.
        y: (N,) classes.
        alpha: of the law of lambda.
        same: probability that a partner has the same class.
        nodes: values of lambda.
    """
    u, target = logits.double(), nn.functional.one_hot(y, logits.shape[1]).double()
    alike = y[:, None] == y[None]
    alike_weight = (alike & ~torch.eye(len(y), dtype=torch.bool)).double()
    alike_weight, other = alike_weight / alike_weight.sum(), (~alike).double()
    weight = same * alike_weight + (1 - same) * other / other.sum()
    total = 0.0
    for lam, share in zip(*beta_nodes(alpha, nodes), strict=True):
        mixed = lam * u[:, None] + (1 - lam) * u[None]
        wanted = lam * target[:, None] + (1 - lam) * target[None]
        loss = mixed.logsumexp(2) - (wanted * mixed).sum(2)
        total += share * float((loss * weight).sum())
    return total


class Views:
    """Images of a run that its networks are measured on, with what is measured.

    Attributes:
        x: network inputs by split.
        y: classes by split, on the CPU.
    """

    def __init__(self, data: Dataset) -> None:
        self.x = {"train": data.inputs(data.x_train), "test": data.inputs(data.x_test)}
        self.y = {"train": data.y_train.cpu(), "test": data.y_test.cpu()}

    @torch.no_grad()
    def states(self, net: nn.Sequential, split: str) -> tuple[Tensor, Tensor]:
        """Return states before the head and logits, on the CPU."""
        z = net[:-1](self.x[split])
        return z.cpu(), net[-1](z).cpu()

    def brief(self, net: nn.Sequential, split: str) -> dict[str, float]:
        """Return gap, scores and clouds of a network in a split."""
        z, u = self.states(net, split)
        y, gap = self.y[split], gaps(u, self.y[split])
        right = u.argmax(1) == y
        own_class = torch.stack([gap[y == k].mean() for k in y.unique()])
        found = {
            "gap": float(gap.mean()),
            "gap_sd": float(gap.std()),
            "gap_between": float(own_class.std()),
            "confidence": mean_confidence(u),
            "accuracy": 100 * accuracy(u, y),
            "nll": nll(u, y),
            # What one wrong answer costs, and a right one; no errors, no cost.
            "nll_wrong": nll(u[~right], y[~right]) if (~right).any() else float("nan"),
            "nll_right": nll(u[right], y[right]) if right.any() else float("nan"),
            "logits_within": within_over_total(u - u.mean(1, keepdim=True), y),
        }
        return found | parts(z, y, seen_basis(net[-1]))

    def scored(self, net: nn.Sequential, seed: int) -> dict[str, float]:
        """Return `brief` of both splits, and what a temperature leaves of the test NLL."""
        found = {}
        for split in SPLITS:
            found |= {f"{split}_{name}": value for name, value in self.brief(net, split).items()}
        u, y = self.states(net, "test")[1], self.y["test"]
        found["temperature"] = best_temperature(u, y)
        found["test_scaled_nll"] = cross_fitted_nll(u, y, seed)
        return found


def start(settings: dict[str, Any], data: Dataset, seed: int) -> nn.Sequential:
    """Return the network that all members of a seed start from."""
    return bottleneck(
        data.x_train[0].numel(),
        data.num_classes,
        width=settings["width"],
        code=settings["code"],
        before=settings["before"],
        after=0,
        seed=seed,
    )


def fit(
    settings: dict[str, Any],
    ways: dict[str, Member],
    data: Dataset,
    seed: int,
    watch: Callable[[int, dict[str, nn.Sequential]], None] | None = None,
) -> dict[str, nn.Sequential]:
    """Return the trained networks by name; all start alike and see the same batches and draws."""
    first = start(settings, data, seed)
    nets = {name: deepcopy(first).to(data.device) for name in ways}
    fit_ensemble(
        list(nets.values()),
        list(ways.values()),
        data.x_train,
        data.y_train,
        epochs=settings["epochs"],
        batch_size=settings["batch"],
        lr=settings["lr"],
        optimizer=settings["optimizer"],
        schedule=settings["schedule"],
        inputs=data.inputs,
        watch=None if watch is None else lambda epoch, _: watch(epoch, nets),
    )
    return nets


def gap(
    settings: dict[str, Any], seed: int, device: str = "cpu"
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Train all members and compare them with what theory asks for.

    Metrics: ``n_used``, the number of training images; and followed by ``_<member>`` those of
    `Views.scored`, for mixing ``asked``, the gap that theory names, and ``risk``, the mixed risk on
    training examples.

    Arrays: ``train_gaps`` and ``test_gaps`` (members, N) of some examples, ``wrong`` likewise.
    """
    data = images(settings, seed, device)
    settings = settings | {"n_train": len(data.x_train)}
    views, ways = Views(data), members(settings, seed)
    nets = fit(settings, ways, data, seed)
    classes, metrics = data.num_classes, {"n_used": float(len(data.x_train))}
    same = same_class(len(data.x_train), classes, settings["batch"])
    arrays: dict[str, list] = {"train_gaps": [], "test_gaps": [], "wrong": []}
    few = torch.randperm(len(data.x_train), generator=torch.Generator().manual_seed(seed))[:400]
    for name, net in nets.items():
        found = views.scored(net, seed)
        u = {split: views.states(net, split)[1] for split in SPLITS}
        if name.startswith("mixed"):
            alpha = ways[name].alpha
            found["asked"] = asked_for(settings, alpha)
            found["risk"] = all_pairs_risk(
                u["train"][few], views.y["train"][few], alpha, same, settings["nodes"]
            )
        metrics |= {f"{key}_{name}": value for key, value in found.items()}
        for split in SPLITS:
            arrays[f"{split}_gaps"].append(gaps(u[split], views.y[split])[: settings["n_keep"]])
        wrong = (u["test"].argmax(1) != views.y["test"])[: settings["n_keep"]]
        arrays["wrong"].append(wrong)
    return metrics, {
        "train_gaps": np.stack([one.numpy() for one in arrays["train_gaps"]]).astype("float16"),
        "test_gaps": np.stack([one.numpy() for one in arrays["test_gaps"]]).astype("float16"),
        "wrong": np.stack([one.numpy() for one in arrays["wrong"]]),
    }


def looks(epochs: int, count: int) -> list[int]:
    """Return epochs after which networks are looked at, a geometric series from 1 on.

    Example:
        >>> looks(100, 3)
        [1, 10, 100]
    """
    return sorted({round(max(epochs, 1) ** (k / (count - 1))) for k in range(count)})


CURVES = ("gap", "confidence", "accuracy", "nll", "nll_wrong", "logits_within",
          "within_seen", "total_seen", "within_unseen", "total_unseen")  # fmt: skip


def long(
    settings: dict[str, Any], seed: int, device: str = "cpu"
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Train at a constant rate for long and look at the networks on the way.

    Metrics: ``n_used``; ``slope_<member>``, growth of the mean training gap per unit of the log of
    the epoch over the second half of the looks, and the measures of `Views.scored` at the end.

    Arrays: ``epochs`` (T,), ``curves`` (T, members, splits, measures of `CURVES`).
    """
    data = images(settings, seed, device)
    settings = settings | {"n_train": len(data.x_train)}
    views, wanted = Views(data), looks(settings["epochs"], settings["looks"])
    ways, rows = members(settings, seed), []

    def watch(epoch: int, nets: dict[str, nn.Sequential]) -> None:
        if epoch in wanted:
            rows.append(
                [
                    [[views.brief(net, split)[key] for key in CURVES] for split in SPLITS]
                    for net in nets.values()
                ]
            )

    nets = fit(settings, ways, data, seed, watch)
    curves, metrics = np.array(rows), {"n_used": float(len(data.x_train))}
    late = len(wanted) // 2
    for place, (name, net) in enumerate(nets.items()):
        found = views.scored(net, seed)
        if len(wanted) - late > 1:
            found["slope"] = np.polyfit(np.log(wanted[late:]), curves[late:, place, 0, 0], 1)[0]
        metrics |= {f"{key}_{name}": float(value) for key, value in found.items()}
    return metrics, {"epochs": np.array(wanted), "curves": curves.astype("float32")}
