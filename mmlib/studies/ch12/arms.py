"""The arms of the factorial: what each layer learns from in one batch.

A batch has examples x with one-hot targets y, partners p (a permutation), one weight lambda and one
layer. With F the layers up to the mix and G those behind, z = F(x) are the states, L(z, y) is the
plain loss and L(mix(z), mix(y)) the mixed one, where ``mix(z) = lam z + (1 - lam) z[p]``. All arms
of a seed draw the same batches, partners, weights and layers, whether they use them or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmlib.checks import choice
from mmlib.measures.mixed_gradient import state_terms
from mmlib.studies.bottlenecks import matched_smoothing
from mmlib.studies.ch12.penalties import Penalty, representation

Loss = Callable[..., Tensor]


class Batch(NamedTuple):
    """One batch with its draws.

    Attributes:
        x: (B, ...) inputs of the network.
        y: (B, K) one-hot targets.
        partner: (B,) a permutation.
        lam: weight of an example itself, 0-d.
        place: in [0, 1), picks one of the layers of an arm.
        smoothing: of equal mean entropy as the mixed targets of all pairs.
        scale: mean of ``lam^2 + (1 - lam)^2``.
    """

    x: Tensor
    y: Tensor
    partner: Tensor
    lam: Tensor
    place: float
    smoothing: float
    scale: float

    def mixed(self, rows: Tensor) -> Tensor:
        """Return ``lam rows + (1 - lam) rows[partner]``; with lam = 1 the rows themselves."""
        return torch.lerp(rows[self.partner], rows, self.lam.to(rows.dtype))


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        title: for tables and figures.
        sites: layers of which one is drawn for each batch.
        states: what the layers behind see, ``"own"``, ``"mixed"``, or ``"near"``: mixed with the
            example itself as the heavier part.
        targets: ``"own"``, ``"mixed"`` or ``"smoothed"``.
        scaled: whether the loss is multiplied by the mean of ``lam^2 + (1 - lam)^2``.
        front: what the layers before the mix learn from, where it is not the loss of those behind:
            ``("plain",)``, ``("mixed",)``, or some of the terms ``usual``, ``cross``, ``rest`` of
            the mixed gradient at the states (`mmlib.measures.mixed_gradient.state_terms`).
        penalty: name of a penalty on the representation that is added.
        share: size of the penalty on the untrained network, in units of the loss of a guess.
    """

    title: str
    sites: tuple[str, ...] = ("input",)
    states: str = "own"
    targets: str = "own"
    scaled: bool = False
    front: tuple[str, ...] = ()
    penalty: str | None = None
    share: float = 0.1


_HIDDEN = ("input", "block1", "block2")


def _mix(title: str, *sites: str, front: tuple[str, ...] = ()) -> Arm:
    return Arm(title, sites, "mixed", "mixed", front=front)


def _split(title: str, site: str, *front: str) -> Arm:
    return _mix(title, site, front=front)


ARMS: dict[str, Arm] = {
    "none": Arm("plain"),
    "scaled": Arm("plain, loss rescaled", scaled=True),
    "targets": Arm("targets mixed, states not", targets="mixed"),
    "smoothing": Arm("label smoothing", targets="smoothed"),
    "features": Arm("states mixed, targets not", _HIDDEN, states="near"),
    "input": _mix("mix at the input", "input"),
    "early": _mix("mix behind block 1", "block1"),
    "deep": _mix("mix behind block 2", "block2"),
    "last": _mix("mix before the affine head", "block3"),
    "manifold": _mix("mix at a random layer", *_HIDDEN),
    # Two losses of one batch, each for a part of the layers.
    "detached": _mix("random: front learns plainly", *_HIDDEN, front=("plain",)),
    "head_blocked": Arm("random: back learns plainly", _HIDDEN, front=("mixed",)),
    "detached_deep": _split("block 2: front learns plainly", "block2", "plain"),
    "head_blocked_deep": Arm("block 2: back learns plainly", ("block2",), front=("mixed",)),
    # The layers behind the mix learn from the mixed loss, those before from some of its terms.
    "usual_last": _split("head: usual terms", "block3", "usual"),
    "cross_last": _split("head: unusual terms", "block3", "cross"),
    "no_cross_last": _split("head: all but the unusual", "block3", "usual", "rest"),
    "no_rest_last": _split("head: usual and unusual", "block3", "usual", "cross"),
    "usual_deep": _split("block 2: usual terms", "block2", "usual"),
    "cross_deep": _split("block 2: unusual terms", "block2", "cross"),
    "rest_deep": _split("block 2: the rest", "block2", "rest"),
    "no_cross_deep": _split("block 2: all but the unusual", "block2", "usual", "rest"),
    "no_rest_deep": _split("block 2: usual and unusual", "block2", "usual", "cross"),
    # What the text proposes instead, each at two strengths.
    "decoded": Arm("predictive of the input", penalty="decoded"),
    "decoded_strong": Arm("predictive of the input, 10 x", penalty="decoded", share=1.0),
    "smooth": Arm("small changes stay small", penalty="smooth"),
    "smooth_strong": Arm("small changes stay small, 10 x", penalty="smooth", share=1.0),
    "linear": Arm("linear in a shift", penalty="linear"),
    "linear_strong": Arm("linear in a shift, 10 x", penalty="linear", share=1.0),
}


def arms_of(name: str, value: Any) -> tuple[str, ...]:
    """Check a notebook's list of arms; plain training and the random layer are always among them.

    Returns:
        The arms in the order of `ARMS`.

    Raises:
        ValueError: one is unknown or named twice, or there is none.
        TypeError: it is no list of names.

    Example:
        >>> arms_of("arms", ["last", "scaled"])
        ('none', 'scaled', 'last', 'manifold')
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{name}: expected a list of names, but got {value!r}")
    for one in value:
        choice(name, one, tuple(ARMS))
    if not value or len(set(value)) < len(value):
        raise ValueError(f"{name}: expected different names, at least one, but got {value!r}")
    return tuple(one for one in ARMS if one in {"none", "manifold", *value})


def split(model: nn.Module, site: str) -> tuple[nn.Sequential, nn.Sequential]:
    """Return the layers up to a site, and those behind it, of a network that is a chain.

    Example:
        >>> from mmlib.models import build
        >>> front, back = split(build("small_conv", width=4, seed=0), "block3")
        >>> len(front), len(back)
        (3, 1)
    """
    names = ["input", *(name for name, _ in model.named_children())]
    at = names.index(choice("site", site, tuple(names)))
    children = list(model.children())
    return nn.Sequential(*children[:at]), nn.Sequential(*children[at:])


@contextmanager
def without_statistics(module: nn.Module) -> Iterator[None]:
    """Let forward passes leave the running statistics of batch norm alone.

    Where two losses are made of one batch, the statistics are those of the pass from which the
    layer learns; otherwise an arm would also differ in what batch norm sees.
    """
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    rates = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 0.0
        yield
    finally:
        for norm, rate in zip(norms, rates, strict=True):
            norm.momentum = rate


def backward(
    model: nn.Module, arm: Arm, batch: Batch, loss: Loss, penalty: Penalty | None = None
) -> Tensor:
    """Add the gradient of one batch to the parameters; return the loss of the last layers.

    Args:
        model: a chain of modules in training mode.
        arm: how to train.
        batch: with its draws.
        loss: takes outputs, targets and ``reduction``.
        penalty: that of the arm, if it has one.
    """
    front, back = split(model, arm.sites[int(batch.place * len(arm.sites))])
    targets = _targets(arm, batch)
    if penalty is not None:
        codes = representation(model, batch.x)
        with without_statistics(model):
            extra = penalty(model, batch.x, codes)
        value = loss(model.head[2](codes), targets, reduction="mean")
        (value + extra).backward()
        return value.detach()
    z = front(batch.x)
    if not arm.front:
        value = loss(back(_states(arm, batch, z)), targets, reduction="mean")
        (batch.scale * value if arm.scaled else value).backward()
        return value.detach()
    pull = None
    if z.requires_grad:  # else the mix is at the input: there are no layers before it
        with without_statistics(back):
            pull = cotangent(arm.front, back, z, batch, loss)
    value = loss(back(_states(arm, batch, z.detach())), targets, reduction="mean")
    value.backward()
    if pull is not None:
        z.backward(pull)
    return value.detach()


def cotangent(
    sources: tuple[str, ...], back: nn.Module, z: Tensor, batch: Batch, loss: Loss
) -> Tensor:
    """Return the gradient at the states of the plain loss, of the mixed loss, or of its terms."""
    if sources in (("plain",), ("mixed",)):
        mix = batch.mixed if sources == ("mixed",) else lambda rows: rows
        own = z.detach().requires_grad_()
        value = loss(back(mix(own)), mix(batch.y), reduction="mean")
        return torch.autograd.grad(value, own)[0]
    terms = state_terms(back, z, batch.y, batch.lam, batch.partner, loss)
    return sum(terms[name] for name in sources)  # type: ignore[return-value]  # of one or more


def _states(arm: Arm, batch: Batch, z: Tensor) -> Tensor:
    if arm.states == "near":
        return batch._replace(lam=torch.maximum(batch.lam, 1 - batch.lam)).mixed(z)
    return batch.mixed(z) if arm.states == "mixed" else z


def _targets(arm: Arm, batch: Batch) -> Tensor:
    if arm.targets == "smoothed":
        return torch.lerp(batch.y, torch.full_like(batch.y, 1 / batch.y.shape[1]), batch.smoothing)
    return batch.mixed(batch.y) if arm.targets == "mixed" else batch.y


def matched(alpha: float, classes: int) -> dict[str, float]:
    """Return the smoothing and the scale that are the counterparts of lambda ~ Beta(alpha, alpha).

    ``E[lam^2 + (1 - lam)^2] = (alpha + 1) / (2 alpha + 1)``.

    Example:
        >>> matched(2.0, 10)["scale"]
        0.6
    """
    return {
        "smoothing": matched_smoothing(alpha, classes),
        "scale": (alpha + 1) / (2 * alpha + 1),
    }
