"""The noise that mixing adds to the gradient of the features, in its parts, at given weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from mmlib.measures.mixed_expectation import cross_moments, permutation_variance
from mmlib.measures.subspaces import squared_shrinkage

PARTS = ("gradient", "length", "cross", "batch")


def jacobians(net: nn.Sequential, x: Tensor) -> list[Tensor]:
    """Return the Jacobian of the outputs for each weight of the layers before the head.

    (B, D) -> one (B, K, p) for each of them; without batch norm.
    """
    names = [name for name, _ in net.named_parameters() if not name.startswith("head.")]
    weights = {name: net.get_parameter(name).detach() for name in names}
    rest = {n: p.detach() for n, p in net.named_parameters() if n not in weights}

    def outputs(values: dict[str, Tensor], one: Tensor) -> Tensor:
        return functional_call(net, values | rest, (one[None],))[0]

    return [j.flatten(2) for j in vmap(jacrev(outputs), (None, 0))(weights, x).values()]


def noise_parts(
    net: nn.Sequential, x: Tensor, y: Tensor, batch: int, alpha: float, chunk: int = 2000
) -> list[float]:
    """Return squared length of the expected mixed gradient and the parts of its variance.

    In the order of `PARTS`, for the first `batch` examples with their best bias, one lambda and one
    permutation: ``length``, the variance of the usual terms, which only changes how long the step
    is; ``cross``, that of the cross terms; and beside them ``batch``, the variance that plain
    training at the same expected step has because the batch is drawn from the examples given.

    Args:
        net: a network with a last layer called head; it is not changed.
        x: (n, D) examples.
        y: (n, K) targets.
        batch: B.
        alpha: of the mixing.
        chunk: weights treated at a time, for memory.
    """
    q1, q2 = cross_moments(alpha)
    c, n = squared_shrinkage(alpha), len(x)
    own, length, cross, spread = 0.0, 0.0, 0.0, 0.0
    with torch.no_grad():
        r = net(x) - y
    inside = r[:batch] - r[:batch].mean(0)
    for whole in jacobians(net, x[:batch]):
        for j in whole.split(chunk, 2):
            pairs = torch.einsum("ikp,jk->ijp", j, inside)
            usual = pairs.diagonal().mean(1)  # diagonal puts the examples last
            cross += q2 * permutation_variance(pairs + pairs.transpose(0, 1))
            own += c**2 * float(usual.square().sum())
            length += 4 * (q2 - q1**2) * float(usual.square().sum())
            each = pairs.diagonal() - usual[:, None]
            # Variance of a mean of B examples drawn without replacement from n.
            spread += c**2 * float(each.square().sum()) / (batch - 1) / batch * (n - batch) / n
    return [own, length, cross, spread]
