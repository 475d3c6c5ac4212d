"""What the baselines of Table 4 need: an average of weights, a virtual adversarial loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmlib.checks import integer, number, positive
from mmlib.training.semi_supervised import frozen_statistics


@torch.no_grad()
def average_into(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    r"""Move a teacher towards its student, :math:`\theta' \leftarrow d\,\theta' + (1-d)\,\theta`.

    Parameters and buffers alike, so that the batch-norm statistics of the teacher belong to its
    weights; whole-number buffers (the count of batches) are copied. Tarvainen and Valpola (2017)
    average the parameters; the released code of a successor does no more than that.

    Args:
        teacher: the module that is moved.
        student: one of the same structure.
        decay: d, the share that is kept.

    Example:
        >>> one, two = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        >>> _ = nn.init.constant_(one.weight, 0.0), nn.init.constant_(two.weight, 8.0)
        >>> average_into(one, two, 0.75)
        >>> one.weight.item()
        2.0
    """
    share = 1 - number("decay", decay, low=0, high=1)
    for kept, new in zip(teacher.parameters(), student.parameters(), strict=True):
        kept.lerp_(new, share)
    for kept, new in zip(teacher.buffers(), student.buffers(), strict=True):  # type: ignore[assignment]
        if kept.is_floating_point():
            kept.lerp_(new, share)
        else:
            kept.copy_(new)


def kl_divergence(logits_p: Tensor, logits_q: Tensor) -> Tensor:
    r"""Return the mean over examples of :math:`\sum_k p_k (\log p_k - \log q_k)`, in nats.

    Args:
        logits_p: (B, K), p is their softmax.
        logits_q: (B, K), q is their softmax.

    Example:
        >>> kl_divergence(torch.zeros(2, 3), torch.zeros(2, 3)).item()
        0.0
    """
    log_p, log_q = _log_softmax(logits_p), _log_softmax(logits_q)
    return (log_p.exp() * (log_p - log_q)).sum(-1).mean()


def output_entropy(logits: Tensor) -> Tensor:
    r"""Return the mean over examples of :math:`-\sum_k p_k \log p_k`, in nats, with its gradient.

    Example:
        >>> round(output_entropy(torch.zeros(2, 4)).item(), 4)
        1.3863
    """
    log_p = _log_softmax(logits)
    return -(log_p.exp() * log_p).sum(-1).mean()


def _log_softmax(logits: Tensor) -> Tensor:
    return (logits.double() if logits.dtype == torch.float64 else logits.float()).log_softmax(-1)


def virtual_adversary(
    model: nn.Module,
    x: Tensor,
    logits: Tensor,
    *,
    xi: float = 0.1,
    iterations: int = 1,
    generator: torch.Generator | None = None,
    start: Tensor | None = None,
) -> Tensor:
    r"""Return unit directions along which the prediction changes fastest, by power iteration.

    .. math:: d \leftarrow \overline{\nabla_r\, KL\big(p(x) \,\|\, p(x + r)\big)\big|_{r = \xi d}}

    Each iteration multiplies d by the Hessian of the divergence at 0, up to a scale and terms of
    order xi. The published xi is 1e-6; in float32 that leaves x + xi d equal to x in most
    components, and the gradient is rounding (`mmlib.studies.ch04` measures it). An example whose
    gradient vanishes keeps its random direction.

    Args:
        model: maps x to logits; its running statistics stay as they are.
        x: (B, ...) inputs.
        logits: (B, K) of the unperturbed inputs; no gradient flows into them.
        xi: length of the probe, in the units of x.
        iterations: of the power method.
        generator: CPU generator of the first direction.
        start: the first direction, like x, in place of a drawn one.

    Returns:
        Directions like x, of Euclidean length 1 for each example, without gradient.

    Example:
        >>> net, x = nn.Linear(2, 2), torch.zeros(1, 2)
        >>> _ = net.weight.data.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        >>> virtual_adversary(net, x, net(x), iterations=2).abs().round()  # the first input counts
        tensor([[1., 0.]])
    """
    xi = positive("xi", xi)
    if start is None:
        start = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
    d = _unit(start)
    for _ in range(integer("iterations", iterations, low=1)):
        r = (xi * d).requires_grad_()
        with frozen_statistics(model):
            divergence = kl_divergence(logits.detach(), model(x + r))
        (slope,) = torch.autograd.grad(divergence, r)
        d = torch.where(_length(slope) > 0, _unit(slope), d)
    return d


def vat_loss(
    model: nn.Module,
    x: Tensor,
    logits: Tensor,
    *,
    epsilon: float,
    xi: float = 0.1,
    iterations: int = 1,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Return :math:`KL(p(x) \,\|\, p(x + \epsilon d))` along `virtual_adversary` directions.

    Virtual adversarial training, Miyato et al. (2017). The prediction p(x) is a constant; neither
    perturbed pass moves the running statistics of batch norm. Both run in full precision, since d
    rests on small differences.

    Args:
        model: maps x to logits; its running statistics stay as they are.
        x: (B, ...) inputs.
        logits: (B, K) of the unperturbed inputs.
        epsilon: length of the perturbation, in the units of x.
        xi: as for `virtual_adversary`.
        iterations: likewise.
        generator: likewise.

    Returns:
        A scalar in nats, the mean over examples.

    Example:
        >>> net, x = nn.Linear(2, 3), torch.zeros(4, 2)
        >>> found = vat_loss(net, x, net(x), epsilon=1.0, generator=torch.Generator())
        >>> found.shape, found.item() > 0
        (torch.Size([]), True)
    """
    epsilon = number("epsilon", epsilon, low=0)
    with torch.autocast(x.device.type, enabled=False):
        d = virtual_adversary(model, x, logits, xi=xi, iterations=iterations, generator=generator)
        with frozen_statistics(model):
            moved = model(x + epsilon * d)
        return kl_divergence(logits.detach(), moved)


def _length(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1).view(-1, *[1] * (x.ndim - 1))


def _unit(x: Tensor) -> Tensor:
    return x / _length(x).clamp_min(torch.finfo(x.dtype).tiny)
