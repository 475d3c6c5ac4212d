"""What the two players of a GAN minimise: the terms of equations 1 to 7, in one forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from mmlib.checks import choice
from mmlib.mixing import Draw, Mixup
from mmlib.mixing.law import uniforms
from mmlib.training.mixes import Mixes

OBJECTIVES = ("js", "hinge")


def label_loss(d: Tensor, y: Tensor | float, objective: str = "js") -> Tensor:
    r"""Return the loss l(d, y) of each output d for a label y in [0, 1], the weight of "real".

    ``"js"``: binary cross-entropy on the logit, ``y softplus(-d) + (1 - y) softplus(d)``;
    ``"hinge"``: ``y max(0, 1 - d) + (1 - y) max(0, 1 + d)``. Both are linear in y.

    Example:
        >>> d = torch.tensor([0.0, 2.0])
        >>> label_loss(d, 1.0, "hinge").tolist(), label_loss(d, 0.5, "hinge").tolist()
        ([1.0, 0.0], [1.0, 1.5])
    """
    if choice("objective", objective, OBJECTIVES) == "js":
        return y * F.softplus(-d) + (1 - y) * F.softplus(d)
    return y * F.relu(1 - d) + (1 - y) * F.relu(1 + d)


@dataclass(frozen=True)
class Scored:
    """What the discriminator says in one forward pass.

    Attributes:
        real: (B,) outputs for real samples; None where only fakes were shown.
        fake: (B,) outputs for generated samples.
        mixed: for each pair (B,) outputs for its mixes.
        labels: for each pair (B,) labels of its mixes.
    """

    real: Tensor | None
    fake: Tensor
    mixed: dict[str, Tensor] = field(default_factory=dict)
    labels: dict[str, Tensor] = field(default_factory=dict)


def draw_mixes(mixes: Mixes, size: int, generator: torch.Generator | None) -> Draw:
    """Draw one layer, and lambda for each of `size` mixes of each pair.

    The rows of the draw are real samples, fake samples, then the mixes of the pairs in turn. Clean
    rows keep themselves, lambda = 1. The partner of mix i is sample i + 1 of the other half of its
    pair: samples are independent, so nothing needs drawing, and none meets itself.

    Example:
        >>> from mmlib.training import variant
        >>> draw = draw_mixes(variant("fr", 0.2), 2, torch.Generator().manual_seed(0))
        >>> draw.partner.tolist(), draw.lam[:4].tolist()
        ([0, 1, 2, 3, 3, 2], [1.0, 1.0, 1.0, 1.0])
    """
    u = uniforms(1 + size * len(mixes.pairs), generator)
    lam = torch.cat((torch.ones(2 * size, dtype=u.dtype), mixes.law.quantile(u[1:])))
    layer = mixes.layers[int(u[0] * len(mixes.layers))]
    following = torch.arange(size).roll(-1)
    partners = [following + size * pair.endswith("fake") for pair in mixes.pairs]
    return Draw(len(lam), layer, lam, torch.cat((torch.arange(2 * size), *partners)))


def mixer(mixes: Mixes) -> Mixup:
    """Return the `Mixup` that carries out the draws of `draw_mixes`."""
    return Mixup(layers=mixes.layers, per_example=("lam",))


def scored(
    discriminator: nn.Module,
    real: Tensor,
    fake: Tensor,
    mixes: Mixes | None = None,
    draw: Draw | None = None,
    mixup: Mixup | None = None,
) -> Scored:
    """Return what the discriminator says about real samples, fake samples and their mixes.

    One forward pass: the samples and the first of each pair go in together, and at the layer of
    the draw each mix takes ``lam h_k(x1) + (1 - lam) h_k(x2)`` from the rows of its pair. So the
    discriminator must treat the rows of a batch independently (no batch norm).

    Args:
        discriminator: Maps (N, ...) to (N, 1); in training mode.
        real: (B, ...) real samples.
        fake: (B, ...) generated samples.
        mixes: Which mixes; None for none.
        draw: Of `draw_mixes`, for B.
        mixup: Of `mixer`; a new one if None.

    Raises:
        ValueError: A layer of the draw does not exist (the nearest names are listed), or it is for
            another batch.

    Example:
        >>> said = scored(nn.Flatten(), torch.ones(2, 1), torch.zeros(2, 1))
        >>> said.real.tolist(), said.fake.tolist()
        ([1.0, 1.0], [0.0, 0.0])
    """
    size = len(real)
    if mixes is None:
        found = discriminator(torch.cat((real, fake))).squeeze(1)
        return Scored(*found.to(real.dtype).split(size))
    firsts = [real if pair.startswith("real") else fake for pair in mixes.pairs]
    x = torch.cat((real, fake, *firsts))
    y = torch.cat([torch.full((size, 1), float(part is real)) for part in (real, fake, *firsts)])
    mixup = mixer(mixes) if mixup is None else mixup
    # With y = 1 for real and 0 for fake, label mixing as everywhere else is equation 5.
    found = mixup.apply(discriminator, x, y.to(x), draw)  # type: ignore[arg-type]  # given with mixes
    d = found.logits.squeeze(1).to(real.dtype).split(size)
    soft = found.targets.squeeze(1).split(size)
    labels = [one if mixes.labels == "soft" else torch.zeros_like(one) for one in soft[2:]]
    pairs = mixes.pairs
    return Scored(  # type: ignore[call-arg]
        *d[:2], dict(zip(pairs, d[2:], strict=True)), dict(zip(pairs, labels, strict=True))
    )


def discriminator_terms(
    said: Scored, mixes: Mixes | None = None, objective: str = "js"
) -> dict[str, Tensor]:
    """Return the terms whose sum the discriminator minimises, by name.

    Without mixes ``real: E l(d(x), 1)`` and ``fake: E l(d(g(z)), 0)``. Each pair of the mixes adds
    ``E l(d(mix), label)`` under its name (equations 2, 3, 6, 7 of Manifold Mixup), times 1 / the
    number of pairs if they are averaged; with ``alone`` there is nothing else (equations 1, 4).

    Example:
        >>> terms = discriminator_terms(Scored(torch.zeros(2), torch.zeros(2)), None, "hinge")
        >>> {name: value.item() for name, value in terms.items()}
        {'real': 1.0, 'fake': 1.0}
    """
    terms = {}
    if mixes is None or not mixes.alone:
        terms["real"] = label_loss(said.real, 1.0, objective).mean()  # type: ignore[arg-type]
        terms["fake"] = label_loss(said.fake, 0.0, objective).mean()
    for pair, d in said.mixed.items():
        terms[pair] = mixes.weight * label_loss(d, said.labels[pair], objective).mean()  # type: ignore[union-attr]
    return terms


def generator_terms(
    said: Scored, mixes: Mixes | None = None, objective: str = "js"
) -> dict[str, Tensor]:
    """Return the terms whose sum the generator minimises, by name.

    ``fake``: ``E l(d(g(z)), 1)``, the non-saturating form, for ``"js"`` and ``-E d(g(z))`` for
    ``"hinge"`` (Miyato et al., 2018). If it plays with the mixes, each pair adds ``-E l(d(mix),
    label)`` (``"minimax"``, the max over g of equations 1, 4, 6) or ``E l(d(mix), 1 - label)``
    (``"flipped"``), weighted as for the discriminator.

    Example:
        >>> generator_terms(Scored(torch.zeros(2), torch.tensor([1.0, 3.0])), None, "hinge")
        {'fake': tensor(-2.)}
    """
    terms = {}
    if mixes is None or mixes.plays_clean:
        js = choice("objective", objective, OBJECTIVES) == "js"
        terms["fake"] = (label_loss(said.fake, 1.0) if js else -said.fake).mean()
    if mixes is not None and mixes.plays_mixes:
        for pair, d in said.mixed.items():
            y = said.labels[pair]
            if mixes.generator == "minimax":
                terms[pair] = -mixes.weight * label_loss(d, y, objective).mean()
            else:
                terms[pair] = mixes.weight * label_loss(d, 1 - y, objective).mean()
    return terms


def gradient_penalty(discriminator: nn.Module, x: Tensor) -> Tensor:
    """Return the mean of ``|grad_x d(x)|^2`` over real samples, centred at zero.

    The penalty of the released code of Manifold Mixup, there weighted by gamma; no other than
    that of Mescheder et al. (2018), called R1, but for their factor 1/2.

    Example:
        >>> net = nn.Linear(2, 1)
        >>> bool(gradient_penalty(net, torch.ones(3, 2)).isclose((net.weight**2).sum()))
        True
    """
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return gradient.pow(2).flatten(1).sum(1).mean()


@contextmanager
def weights_once(discriminator: nn.Module) -> Iterator[None]:
    """Compute each spectrally normalised weight once, in full precision: one power iteration."""
    with parametrize.cached():
        for module in discriminator.modules():
            for name in getattr(module, "parametrizations", ()):
                getattr(module, name)
        yield
