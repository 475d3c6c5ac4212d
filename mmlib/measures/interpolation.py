"""How a model behaves between pairs of examples, along the input or along a hidden state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from mmlib.checks import integer, number
from mmlib.measures.evaluation import Inputs, evaluating, prepared
from mmlib.mixing import capture, resume, soft_targets


@dataclass(frozen=True, eq=False)
class Interpolation:
    """Means over pairs along the line between their states, one entry per lambda.

    Attributes:
        layer: Where the states were taken.
        lams: ``(L,)`` weight of the first of each pair.
        nll: ``(L,)`` negative log-likelihood of the mixed targets, in nats.
        excess: ``(L,)`` `nll` less the entropy of the mixed targets, its least value, in nats.
        entropy: ``(L,)`` entropy of the predictions, in nats.
        confidence: ``(L,)`` largest predicted probability.
        pairs: Number of pairs.
    """

    layer: str
    lams: torch.Tensor
    nll: torch.Tensor
    excess: torch.Tensor
    entropy: torch.Tensor
    confidence: torch.Tensor
    pairs: int


def cyclic_partner(n: int, generator: torch.Generator | None = None) -> torch.Tensor:
    """Return a partner for each of `n` examples, no one its own: a random cycle through all.

    Each other example is equally likely to be the partner of a given one.

    Args:
        n: Number of examples, at least 2.
        generator: CPU generator.

    Raises:
        ValueError: `n` is below 2: a single example has no partner.

    Example:
        >>> cyclic_partner(5, torch.Generator().manual_seed(0)).tolist()
        [1, 3, 4, 2, 0]
    """
    order = torch.randperm(integer("n", n, low=2), generator=generator)
    partner = torch.empty_like(order)
    partner[order] = order.roll(-1)
    return partner


def interpolated(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    layer: str,
    lams: Sequence[float] | torch.Tensor,
    *,
    partner: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    inputs: Inputs | None = None,
    batch_size: int = 250,
) -> Interpolation:
    """Measure a model along the lines between the hidden states of pairs (v1, Figure 1).

    For each lambda the logits are ``g_k(lam h_k(x_i) + (1 - lam) h_k(x_p(i)))`` and the targets
    ``lam t_i + (1 - lam) t_p(i)``; the means run over all i. The model is in eval mode, so that
    each pair is measured by itself; its mode is restored.

    The same examples and the same seed of `generator` give the same pairs for every model.

    Args:
        model: Maps inputs to logits.
        x: ``(N, ...)`` examples: bytes, or floats as the model takes them.
        y: ``(N,)`` classes, or ``(N, K)`` probabilities.
        layer: ``"input"`` or the dotted name of a module.
        lams: L numbers in [0, 1], the weights of the first of each pair.
        partner: ``(N,)`` positions of the partners; None for `cyclic_partner`.
        generator: CPU generator of the partners; used only if `partner` is None.
        inputs: Makes model inputs of a batch of bytes (`Dataset.inputs`); ``"input"`` mixes what
            it returns.
        batch_size: Pairs at a time.

    Returns:
        The `Interpolation`, its tensors float64 on the CPU.

    Raises:
        ValueError: A lambda is outside [0, 1], there are fewer than two examples, `partner` has
            another length or points outside, or the model has no such layer.
        TypeError: `x` is uint8 and `inputs` is missing.

    Example:
        >>> net = nn.Linear(1, 2, bias=False)
        >>> _ = nn.init.constant_(net.weight, 0.0)
        >>> x, y = torch.zeros(4, 1), torch.tensor([0, 1, 0, 1])
        >>> line = interpolated(net, x, y, "input", [0.0, 0.5, 1.0], partner=torch.arange(4) ^ 1)
        >>> [round(v, 4) for v in line.nll.tolist()]  # log 2 everywhere, for even predictions
        [0.6931, 0.6931, 0.6931]
        >>> [round(v, 4) for v in line.excess.tolist()]
        [0.6931, 0.0, 0.6931]
    """
    lams = torch.tensor([number("lams", float(v), low=0, high=1) for v in lams]).double()
    size = integer("batch_size", batch_size, low=1)
    partner = _partner(x, y, partner, generator)
    sums = torch.zeros(4, len(lams), dtype=torch.float64)
    with evaluating(model):
        for rows in torch.arange(len(x), device=x.device).split(size):
            first = prepared(x[rows], inputs)
            second = prepared(x[partner[rows]], inputs)
            h, other = capture(model, first, layer), capture(model, second, layer)
            for i, lam in enumerate(lams.tolist()):
                # The end points are taken as they are: lerp would leave a rounding error there.
                mixed = torch.lerp(other, h, lam) if 0 < lam < 1 else (h if lam else other)
                # On the CPU, because some accelerators have no float64.
                log_p = resume(model, first, layer, mixed).cpu().double().log_softmax(1)
                t = [soft_targets(y[r].cpu(), log_p.shape[1]) for r in (rows, partner[rows])]
                sums[:, i] += _sums(log_p, lam * t[0].double() + (1 - lam) * t[1].double())
    nll, floor, entropy, confidence = sums / len(x)
    return Interpolation(layer, lams, nll, nll - floor, entropy, confidence, len(x))


def _partner(
    x: torch.Tensor,
    y: torch.Tensor,
    partner: torch.Tensor | None,
    generator: torch.Generator | None,
) -> torch.Tensor:
    if len(x) != len(y):
        raise ValueError(f"x, y: expected equally many examples, but got {len(x)} and {len(y)}")
    if partner is None:
        return cyclic_partner(len(x), generator).to(x.device)
    if partner.shape != (len(x),) or not 0 <= int(partner.min()) <= int(partner.max()) < len(x):
        raise ValueError(
            f"partner: expected {len(x)} positions from 0 to {len(x) - 1}, but got "
            f"{partner.numel()} of shape {tuple(partner.shape)}"
        )
    return partner.to(x.device)


def _sums(log_p: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the sums over a batch of NLL, target entropy, entropy and confidence."""
    p = log_p.exp()
    # 0 log 0 = 0, while a probability of 0 under a positive target is an infinite loss.
    nll = -torch.where(targets > 0, targets * log_p, 0.0).sum()
    floor = -torch.xlogy(targets, targets).sum()
    entropy = -torch.xlogy(p, p).sum()
    return torch.stack([nll, floor, entropy, p.amax(1).sum()])
