r"""What mixing before a curved head presses on while networks train, and what gives way.

A mixed loss is, exactly, the losses of the two ends, what the mix would cost on the straight chord
between the ends' logits, and what the head's curvature adds to that. Each has its gradient.
"""

from __future__ import annotations

from collections import OrderedDict
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmlib.checks import choice
from mmlib.data.dataset import Dataset
from mmlib.measures import chord_curvature, cyclic_partner, within_over_total
from mmlib.measures.logit_gap import smoothing_for
from mmlib.measures.scores import accuracy, nll
from mmlib.measures.temperature import cross_fitted_nll
from mmlib.mixing import soft_cross_entropy
from mmlib.models.bottleneck import bottleneck
from mmlib.studies.bottlenecks import images
from mmlib.studies.ch12.gap import asked_for, gaps, looks
from mmlib.training.ensemble_fit import Member, fit_ensemble

PARTS = ("ends", "chord", "curvature")  # of a mixed loss
SITE = "code"
LAMS = (0.25, 0.5, 0.75)


def half_squared(out: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    """Return half the squared error against targets (N, K), summed over outputs.

    Example:
        >>> half_squared(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0]]), "none")
        tensor([2.])
    """
    loss = 0.5 * (out - targets).square().sum(-1)
    return loss if choice("reduction", reduction, ("mean", "none")) == "none" else loss.mean()


LOSSES = {"ce": soft_cross_entropy, "squared": half_squared}


def last_site(settings: dict[str, Any]) -> str:
    """Return the name of the layer right before the last linear map."""
    return f"layer{settings['before'] + settings['after']}"


def members(settings: dict[str, Any], seed: int) -> dict[str, Member]:
    """Return how each network is trained.

    ``plain``; ``deep`` mixes the code, behind which the head is curved; ``last`` mixes right before
    the last linear map; ``smooth`` has the label smoothing that asks for the gap of ``last``.

    Raises:
        ValueError: an unknown name.
    """
    alpha, classes = settings["alpha"], len(settings["digits"])
    share = smoothing_for(asked_for(settings, alpha), classes)
    known = {
        "plain": Member(seed=seed),
        "deep": Member(seed=seed, layers=(SITE,), alpha=alpha),
        "last": Member(seed=seed, layers=(last_site(settings),), alpha=alpha),
        "smooth": Member(seed=seed, smoothing=share),
    }
    return {choice("member", name, tuple(known)): known[name] for name in settings["members"]}


def split(net: nn.Sequential) -> tuple[nn.Sequential, nn.Sequential]:
    """Return the layers up to the code, and those behind it."""
    cut = [name for name, _ in net.named_children()].index(SITE) + 1
    return net[:cut], net[cut:]


def joined(features: nn.Sequential, head: nn.Sequential) -> nn.Sequential:
    """Return a network made of the features of one and the head of another."""
    parts = [*features.named_children(), *head.named_children()]
    return nn.Sequential(OrderedDict(parts))


class Batch:
    """Fixed training images and partners that all measures of a run use.

    Attributes:
        x: (N, ...) network inputs.
        y: (N, K) one-hot targets.
        partner: (N,), none its own.
    """

    def __init__(self, data: Dataset, n: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(40_000 + seed)
        rows = torch.randperm(len(data.x_train), generator=generator)[:n].to(data.device)
        self.x, self.labels = data.inputs(data.x_train[rows]), data.y_train[rows]
        self.y = nn.functional.one_hot(self.labels, data.num_classes).float()
        self.partner = cyclic_partner(len(rows), generator).to(data.device)

    def curvature(self, net: nn.Module, layer: str = SITE) -> float:
        """Return `chord_curvature` of the logits behind a layer."""
        return chord_curvature(net, self.x, layer, partner=self.partner, lams=LAMS)

    def probability_curvature(self, net: nn.Module) -> float:
        """Return `chord_curvature` of the predicted probabilities behind the code."""
        whole = nn.Sequential(net, nn.Softmax(1))
        return self.curvature(whole, f"0.{SITE}")


def loss_parts(
    ends: tuple[Tensor, Tensor],
    mixed: Tensor,
    targets: tuple[Tensor, Tensor],
    lam: float,
    loss: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the parts of a mixed loss, in the order of `PARTS`; they add up to it.

    Args:
        ends: logits of the ends, (N, K) each.
        mixed: logits of the mix.
        targets: of the ends.
        lam: weight of the first end.
        loss: of `LOSSES`.

    Example:
        >>> a, b, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]]), torch.eye(2)
        >>> found = loss_parts((a, b), 0.5 * (a + b), (y[:1], y[1:]), 0.5, soft_cross_entropy)
        >>> [round(float(one), 4) for one in found]   # a straight head has no third part
        [0.1809, 0.6323, 0.0]
    """
    chord = torch.lerp(ends[1], ends[0], lam)
    target = torch.lerp(targets[1], targets[0], lam)
    own = lam * loss(ends[0], targets[0]) + (1 - lam) * loss(ends[1], targets[1])
    straight = loss(chord, target)
    return own, straight - own, loss(mixed, target) - straight


def _bend_ratio(ends: tuple[Tensor, Tensor], mixed: list[Tensor]) -> Tensor:
    """Return the log of the chord curvature, with its graph."""
    a, b, *mixes = (u - u.mean(1, keepdim=True) for u in (*ends, *mixed))
    bend = sum(
        (m - torch.lerp(b, a, lam)).square().sum() for m, lam in zip(mixes, LAMS, strict=True)
    )
    return (bend / len(LAMS) / (a - b).square().sum()).log()


def pressures(net: nn.Sequential, batch: Batch, loss: str) -> dict[str, float]:
    """Return gradients of the parts of the mixed loss, and what they do to the curvature.

    For each part: ``head_<part>``, ``features_<part>`` and ``states_<part>``, norms of its gradient
    in the weights behind the code, in those up to it, and in the codes (root of the sum over
    examples of a mean loss, times the root of the codes' variance, so that it has the unit of the
    loss). ``head_rate_<part>`` and ``features_rate_<part>`` are minus the inner product with the
    gradient of the log of the chord curvature: the rate at which a gradient flow on this part
    alone would change it, by either group of weights.
    """
    features, head = split(net)
    z = features(batch.x)
    other = z[batch.partner]
    u = head(z)
    ends, targets = (u, u[batch.partner]), (batch.y, batch.y[batch.partner])
    mixed = [head(torch.lerp(other, z, lam)) for lam in LAMS]
    rows = [
        loss_parts(ends, m, targets, lam, LOSSES[loss]) for m, lam in zip(mixed, LAMS, strict=True)
    ]
    parts = [sum(row) / len(LAMS) for row in zip(*rows, strict=True)]
    own, behind = list(features.parameters()), list(head.parameters())
    ratio = _bend_ratio(ends, mixed)
    wanted = torch.autograd.grad(ratio, own + behind, retain_graph=True)
    spread = float(z.detach().var(0, correction=0).sum().sqrt())
    found = {}
    for name, value in zip(PARTS, parts, strict=True):
        slopes = torch.autograd.grad(value, [z, *own, *behind], retain_graph=True)
        groups = {"features": slice(0, len(own)), "head": slice(len(own), None)}
        found[f"states_{name}"] = spread * float(slopes[0].norm())
        for group, chosen in groups.items():
            pairs = list(zip(slopes[1:][chosen], wanted[chosen], strict=True))
            found[f"{group}_{name}"] = float(sum(s.square().sum() for s, _ in pairs).sqrt())
            found[f"{group}_rate_{name}"] = -float(sum((s * w).sum() for s, w in pairs))
    return found


def profile(net: nn.Sequential, batch: Batch, lams: Tensor, layer: str) -> Tensor:
    """Return mean log-odds of the first of two different classes along chords at a layer, (L,)."""
    names = [name for name, _ in net.named_children()]
    cut = names.index(layer) + 1
    mine, theirs = batch.labels, batch.labels[batch.partner]
    pick = (mine != theirs).nonzero()[:, 0]
    rows = []
    with torch.no_grad():
        z = net[:cut](batch.x)
        for lam in lams.tolist():
            u = net[cut:](torch.lerp(z[batch.partner], z, lam))[pick]
            odds = u.gather(1, mine[pick, None]) - u.gather(1, theirs[pick, None])
            rows.append(odds.mean())
    return torch.stack(rows).cpu()


def moved(before: nn.Sequential, now: nn.Sequential, batch: Batch) -> tuple[float, float]:
    """Return the change of the log of the chord curvature by the head, and by the features.

    Between two times each is changed alone, in both orders, and the mean is taken, so that the two
    add up to the whole change.
    """
    old, new = split(before), split(now)
    log = {
        (i, j): float(np.log(batch.curvature(joined((old, new)[i][0], (old, new)[j][1]))))
        for i in (0, 1)
        for j in (0, 1)
    }
    head = 0.5 * (log[0, 1] - log[0, 0] + log[1, 1] - log[1, 0])
    return head, log[1, 1] - log[0, 0] - head


WATCHED = ("curvature", "probability", "within", "gap", "nll")
ODDS = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98])


def pressure(
    settings: dict[str, Any], seed: int, device: str = "cpu"
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Train all members and measure curvature, pressures and who gives way, on the way.

    Metrics: ``n_used``, the number of training images; and, followed by ``_<member>``, at the end
    those of `WATCHED` on training images (``within`` is within-class over total variance of the
    code), ``input_curvature``, ``head_moved`` and ``features_moved`` (see `moved`, summed over all
    epochs), ``test_accuracy`` in %, ``test_nll``, ``test_scaled_nll`` (cross-entropy alone),
    ``test_curvature``.

    Arrays: ``epochs`` (T,), ``watched`` (T, members, measures), ``pressures`` (T, members,
    numbers in the order of their sorted names), ``moved`` (T, members, 2), summed up to the epoch,
    ``odds`` (members, 2, L), log-odds along chords at the code and before the last linear map.
    """
    data = images(settings, seed, device)
    settings = settings | {"n_train": len(data.x_train)}
    batch = Batch(data, settings["n_look"], seed)
    ways, wanted = members(settings, seed), [0, *looks(settings["epochs"], settings["looks"])]
    first = bottleneck(
        data.x_train[0].numel(), data.num_classes, width=settings["width"], code=settings["code"],
        before=settings["before"], after=settings["after"], seed=seed,
    )  # fmt: skip
    nets = {name: deepcopy(first).to(data.device) for name in ways}
    watched, pressed, history = [], [], []
    last, sums = {}, np.zeros((len(ways), 2))

    def watch(epoch: int, _: object) -> None:
        for place, (name, net) in enumerate(nets.items()):
            if name in last:
                sums[place] += moved(last[name], net, batch)
            last[name] = deepcopy(net)
        if epoch in wanted:
            watched.append([list(seen(net, batch).values()) for net in nets.values()])
            with torch.enable_grad():
                rows = [pressures(net, batch, settings["loss"]) for net in nets.values()]
            pressed.append([[row[key] for key in sorted(row)] for row in rows])
            history.append(sums.copy())

    fit_ensemble(
        list(nets.values()),
        list(ways.values()),
        data.x_train,
        data.y_train,
        epochs=settings["epochs"],
        batch_size=settings["batch"],
        lr=settings["lr"],
        loss=LOSSES[settings["loss"]],
        inputs=data.inputs,
        watch=watch,
    )
    metrics = {"n_used": float(len(data.x_train))}
    for place, (name, net) in enumerate(nets.items()):
        found = seen(net, batch) | scored(net, data, settings, seed)
        found["input_curvature"] = batch.curvature(net, "input")
        found["head_moved"], found["features_moved"] = sums[place]
        metrics |= {f"{key}_{name}": float(value) for key, value in found.items()}
    lams = torch.from_numpy(ODDS)
    odds = [
        [profile(net, batch, lams, layer).numpy() for layer in (SITE, last_site(settings))]
        for net in nets.values()
    ]
    small = {"watched": watched, "pressures": pressed, "moved": history, "odds": odds}
    arrays = {name: np.array(value, dtype="float32") for name, value in small.items()}
    return metrics, arrays | {"epochs": np.array(wanted)}


def seen(net: nn.Sequential, batch: Batch) -> dict[str, float]:
    """Return the measures of `WATCHED` on the images of a batch."""
    with torch.no_grad():
        z = split(net)[0](batch.x)
        u = net(batch.x).cpu()
    return {
        "curvature": batch.curvature(net),
        "probability": batch.probability_curvature(net),
        "within": within_over_total(z.cpu(), batch.labels.cpu()),
        "gap": float(gaps(u, batch.labels.cpu()).mean()),
        "nll": nll(u, batch.labels.cpu()),
    }


def scored(net: nn.Sequential, data: Dataset, settings: dict, seed: int) -> dict[str, float]:
    """Return scores on the test images."""
    x, y = data.inputs(data.x_test), data.y_test.cpu()
    with torch.no_grad():
        u = net(x).cpu()
    generator = torch.Generator().manual_seed(seed)
    found = {
        "test_accuracy": 100 * accuracy(u, y),
        "test_nll": nll(u, y),
        "test_curvature": chord_curvature(net, x, SITE, lams=LAMS, generator=generator),
    }
    # The outputs of a squared loss are no logits: a temperature would turn them into some.
    if settings["loss"] == "ce":
        found["test_scaled_nll"] = cross_fitted_nll(u, y, seed)
    return found
