r"""How far a network is from affine along the chords between its hidden states."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from mmlib.checks import integer, number
from mmlib.measures.evaluation import Inputs, evaluating, prepared
from mmlib.measures.interpolation import cyclic_partner
from mmlib.mixing import capture, resume


def chord_curvature(
    model: nn.Module,
    x: torch.Tensor,
    layer: str,
    *,
    partner: torch.Tensor | None = None,
    lams: Sequence[float] = (0.25, 0.5, 0.75),
    inputs: Inputs | None = None,
    generator: torch.Generator | None = None,
    batch_size: int = 250,
) -> float:
    r"""Return the squared bend of the logits along chords, relative to the ends' squared distance.

    .. math::
        \kappa = \frac{E\,|g(\lambda z_i + (1 - \lambda) z_j) - \lambda g(z_i)
                 - (1 - \lambda) g(z_j)|^2}{E\,|g(z_i) - g(z_j)|^2}

    with the states z of a layer, the layers g behind it, means over pairs and the given lambda, and
    logits less their mean over the classes, which no softmax can see. 0 if g is affine on all
    chords. For a small distance it is the mean of ``(lam (1 - lam) / 2)^2 |H[z_i - z_j, z_i -
    z_j]|^2`` over the denominator, H the second derivative of g.

    Unchanged by rewriting the network with an invertible affine map of the states (and its inverse
    in g), and by shifts, rotations and scalings of the logits, so it compares networks whose codes
    or logits differ in size. Not bounded: a g that is wild between states has a large value.

    Args:
        model: Maps inputs to logits (N, K); measured in eval mode, its mode is restored.
        x: (N, ...) examples: bytes, or floats as the model takes them.
        layer: ``"input"`` or the dotted name of a module.
        partner: (N,) positions of the partners; None for `cyclic_partner`.
        lams: Weights of the first of each pair, in [0, 1].
        inputs: Makes model inputs of a batch of bytes (`Dataset.inputs`).
        generator: CPU generator of the partners; used only if `partner` is None.
        batch_size: Pairs at a time; has no influence beyond rounding.

    Returns:
        The ratio; NaN if all logits are equal, because nothing sets the scale then.

    Raises:
        ValueError: A lambda is outside [0, 1] or there is none, there are fewer than two examples,
            `partner` does not fit, or the model has no such layer.
        TypeError: `x` is uint8 and `inputs` is missing.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 4)).double()
        >>> x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).double()
        >>> chord_curvature(net, x, "0") > 1e-6, chord_curvature(net, x, "1") < 1e-28
        (True, True)
    """
    lams = [number("lams", float(lam), low=0, high=1) for lam in lams]
    if not lams:
        raise ValueError("lams: expected one or more numbers, but got none")
    partner = _partner(len(x), partner, generator).to(x.device)
    bend = spread = 0.0
    with evaluating(model):
        for rows in torch.arange(len(x), device=x.device).split(
            integer("batch_size", batch_size, low=1)
        ):
            first, second = prepared(x[rows], inputs), prepared(x[partner[rows]], inputs)
            z, other = capture(model, first, layer), capture(model, second, layer)
            ends = [_centred(resume(model, first, layer, state)) for state in (z, other)]
            spread += float((ends[0] - ends[1]).square().sum())
            for lam in lams:
                mixed = _centred(resume(model, first, layer, torch.lerp(other, z, lam)))
                # Weights that add up to one exactly keep an affine head's value at rounding errors.
                bend += float((mixed - torch.lerp(ends[1], ends[0], lam)).square().sum())
    return bend / len(lams) / spread if spread else float("nan")


def _partner(
    n: int, partner: torch.Tensor | None, generator: torch.Generator | None
) -> torch.Tensor:
    if partner is None:
        return cyclic_partner(n, generator)
    if partner.shape != (n,) or not 0 <= int(partner.min()) <= int(partner.max()) < n:
        raise ValueError(
            f"partner: expected {n} positions from 0 to {n - 1}, but got "
            f"{partner.numel()} of shape {tuple(partner.shape)}"
        )
    return partner


def _centred(logits: torch.Tensor) -> torch.Tensor:
    """Return logits less their mean over classes, float64 on the CPU (not all devices have it)."""
    logits = logits.cpu().double()
    return logits - logits.mean(1, keepdim=True)
