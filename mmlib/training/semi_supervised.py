"""Algorithms 1 and 3 of Manifold Mixup v1, appendix B; Algorithm 2 is `Mixup` itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmlib.checks import choice, number
from mmlib.mixing import Draw, Mixed, Mixup, mse, soft_cross_entropy, soft_targets

TARGETS = ("probabilities", "logits")
MODES = ("train", "frozen", "eval")


@dataclass(frozen=True)
class Losses:
    """The terms of one update.

    Attributes:
        supervised: L_S, a scalar in nats.
        unsupervised: L_US, a scalar; zero for a method without one.
        total: L = L_S + pi L_US, what is minimised.
        labelled: the mix of the labelled batch, where there is one.
        unlabelled: that of the unlabelled batch.
        pseudo: (B, K) pseudo-targets before they were mixed.
    """

    supervised: Tensor
    unsupervised: Tensor
    total: Tensor
    labelled: Mixed | None = None
    unlabelled: Mixed | None = None
    pseudo: Tensor | None = None


def algorithm_1(
    model: nn.Module,
    x_l: Tensor,
    y_l: Tensor,
    x_u: Tensor,
    *,
    labelled: Mixup,
    unlabelled: Mixup,
    weight: float,
    targets: str = "probabilities",
    mode: str = "train",
) -> Losses:
    r"""Lines 4 to 10 of Algorithm 1, semi-supervised Manifold Mixup.

    .. math:: L = -\frac1B\sum_{i,k} \tilde y_{ik} \log \hat p_{ik}
        + \pi\, \frac1{BK} \sum_{j,k} (\hat y_{jk} - \tilde y_{jk})^2

    Lambda, layer and partners are drawn for each of the two batches by its own `Mixup`. The
    pseudo-targets come from the same network and carry no gradient. Both sides of the second term
    are probabilities or both are logits. The squared error is a mean over the K outputs.

    Args:
        model: any module in training mode.
        x_l: (B, ...) labelled inputs.
        y_l: (B,) their classes, or (B, K) soft targets.
        x_u: (B', ...) unlabelled inputs.
        labelled: how to mix the labelled batch; the text takes alpha = 0.1.
        unlabelled: how to mix the unlabelled batch; the text takes alpha = 2.
        weight: pi, the consistency coefficient of this update.
        targets: pseudo-targets are ``"probabilities"`` (the text: "soft target outputs") or
            ``"logits"`` (the released code).
        mode: the network that makes them: ``"train"``, ``"frozen"`` (as train, but the running
            statistics of batch norm stay as they were) or ``"eval"``.

    Raises:
        ValueError: the weight is negative or not finite, or a word is unknown.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))
        >>> mix = [Mixup(a, ("input", "0"), generator=torch.Generator()) for a in (0.1, 2.0)]
        >>> x, y = torch.randn(4, 2), torch.tensor([0, 1, 2, 0])
        >>> found = algorithm_1(net, x, y, x, labelled=mix[0], unlabelled=mix[1], weight=0.5)
        >>> torch.allclose(found.total, found.supervised + 0.5 * found.unsupervised)
        True
    """
    pi = number("weight", weight, low=0)
    mixed_l = labelled(model, x_l, y_l)  # line 4
    l_s = soft_cross_entropy(mixed_l.logits, mixed_l.targets)  # line 5
    y_u = pseudo_targets(model, x_u, targets=targets, mode=mode)  # line 7
    mixed_u = unlabelled(model, x_u, y_u)  # line 8
    l_us = mse(outputs(mixed_u.logits, targets), mixed_u.targets)  # line 9
    return Losses(l_s, l_us, l_s + pi * l_us, mixed_l, mixed_u, y_u)  # line 10


def algorithm_3(
    model: nn.Module,
    x_l: Tensor,
    y_l: Tensor,
    x_u: Tensor,
    *,
    labelled: Mixup,
    unlabelled: Mixup,
    weight: float,
    num_classes: int,
    targets: str = "probabilities",
    mode: str = "train",
) -> Losses:
    """Lines 5 to 11 of Algorithm 3, semi-supervised input mixup, as they are printed.

    Two inputs become one before the network sees them. The result is that of `algorithm_1` with
    mixing at the input alone, by another way; of the `Mixup` objects only the draws are used.

    Raises:
        ValueError: as for `algorithm_1`, or a `Mixup` that mixes elsewhere than at the input.

    Example:
        >>> net = nn.Linear(2, 3)
        >>> mixes = {"labelled": Mixup(0.1), "unlabelled": Mixup(2.0)}
        >>> x, y = torch.randn(4, 2), torch.tensor([0, 1, 2, 0])
        >>> found = algorithm_3(net, x, y, x, **mixes, weight=0.5, num_classes=3)
        >>> torch.allclose(found.total, found.supervised + 0.5 * found.unsupervised)
        True
    """
    pi = number("weight", weight, low=0)
    x_i, y_i = _input_mixup(x_l, soft_targets(y_l, num_classes).to(x_l.dtype), labelled)  # line 5
    l_s = soft_cross_entropy(model(x_i), y_i)  # line 6
    y_u = pseudo_targets(model, x_u, targets=targets, mode=mode)  # line 8
    x_j, y_j = _input_mixup(x_u, y_u, unlabelled)  # line 9
    l_us = mse(outputs(model(x_j), targets), y_j)  # line 10
    return Losses(l_s, l_us, l_s + pi * l_us, pseudo=y_u)  # line 11


def _input_mixup(x: Tensor, y: Tensor, mixup: Mixup) -> tuple[Tensor, Tensor]:
    if mixup.layers != ("input",):
        raise ValueError(f"layers: expected ('input',) for input mixup, but got {mixup.layers}")
    draw: Draw = mixup.draw(len(x))
    lam = draw.lam.to(x.dtype)
    return lam * x + (1 - lam) * x[draw.partner], lam * y + (1 - lam) * y[draw.partner]


def pseudo_targets(
    model: nn.Module, x: Tensor, *, targets: str = "probabilities", mode: str = "train"
) -> Tensor:
    """Return what the network itself says of a batch, without gradient: line 7 of Algorithm 1.

    Args:
        model: maps x to logits; each of its modules ends in the mode in which it was.
        x: (B, ...) inputs.
        targets: ``"probabilities"`` or ``"logits"``.
        mode: ``"train"``: the pass is like any other, and moves the running statistics of batch
            norm; ``"frozen"``: batch norm uses the batch and keeps its running statistics;
            ``"eval"``: batch norm uses the running statistics, dropout is off.

    Returns:
        (B, K) of at least float32.

    Example:
        >>> pseudo_targets(nn.Linear(3, 2), torch.zeros(4, 3)).sum(-1)
        tensor([1., 1., 1., 1.])
    """
    choice("targets", targets, TARGETS)
    as_asked = {"train": nullcontext, "frozen": frozen_statistics, "eval": _in_eval}
    with torch.no_grad(), as_asked[choice("mode", mode, MODES)](model):  # type: ignore[operator]
        return outputs(model(x), targets)


def outputs(logits: Tensor, targets: str) -> Tensor:
    """Return the logits as they are, or their softmax; in float32 if they are narrower."""
    logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    return logits.softmax(-1) if targets == "probabilities" else logits


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Keep the running statistics of all norms of a model; in training mode they use the batch."""
    norms = [module for module in model.modules() if getattr(module, "track_running_stats", False)]
    for module in norms:
        module.track_running_stats = module.training is False  # type: ignore[assignment]
    try:
        yield
    finally:
        for module in norms:
            module.track_running_stats = True  # type: ignore[assignment]


@contextmanager
def _in_eval(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def sigmoid_ramp(step: float, length: float) -> float:
    r"""Return :math:`\exp(-5 (1 - t)^2)` with t = min(step / length, 1).

    The schedule of Tarvainen and Valpola (2017), which appendix C takes over. It starts at
    exp(-5) = 0.0067, where the text says 0.0, and stays at 1 from `length` on; a length of 0 gives
    1 throughout.

    Example:
        >>> [round(sigmoid_ramp(step, 40), 4) for step in (0, 20, 40, 100)]
        [0.0067, 0.2865, 1.0, 1.0]
    """
    step = number("step", step, low=0)
    length = number("length", length, low=0)
    t = min(step / length, 1.0) if length else 1.0
    return math.exp(-5 * (1 - t) ** 2)


def l1_penalty(model: nn.Module, on: str = "all") -> Tensor:
    """Return the sum of the sizes of the weights.

    Args:
        model: any module with parameters.
        on: ``"all"`` parameters, or the ``"first"`` tensor alone: in the released code the sum is
            lost after it.

    Example:
        >>> net = nn.Linear(2, 1)
        >>> _ = nn.init.constant_(net.weight, -2.0), nn.init.constant_(net.bias, 3.0)
        >>> l1_penalty(net).item(), l1_penalty(net, "first").item()
        (7.0, 4.0)
    """
    parameters = list(model.parameters())
    chosen = parameters if choice("on", on, ("all", "first")) == "all" else parameters[:1]
    return torch.stack([parameter.abs().sum() for parameter in chosen]).sum()
