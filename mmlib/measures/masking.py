"""Is a model robust, or are its gradients of no use? Checks that do not trust one gradient.

A small error under one gradient step can mean that no small change fools the model, or that the
gradient at the image points elsewhere (*gradient masking*; Athalye et al., 2018). Each function
here looks past the single gradient: along its direction, from another model, without gradients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmlib import checks
from mmlib.measures.attacks import (
    OnPixels,
    check_inputs,
    input_gradients,
    pixel_epsilon,
    pixel_step,
    require_pixels,
    signed_gradient,
)
from mmlib.measures.evaluation import evaluating, predict
from mmlib.mixing import soft_cross_entropy


class Wobble(nn.Module):
    r"""The same classifier behind a gradient mask: ``model(x + a sin(2 pi x / period))``.

    The inputs move by at most `amplitude`, so the predictions hardly change; but the derivative of
    the wobble, :math:`1 + (2\pi a / p) \cos(2 \pi x / p)`, changes its sign within each period, and
    the gradient's sign says little about the next epsilon. A control for checks of masking: what
    it gains under one-step attacks is masking by construction.

    Args:
        model: classifier, (B, ...) -> (B, K).
        amplitude: a, in units of x.
        period: p, in units of x; the slope is masked if it is well below 2 pi a.

    Example:
        >>> plain = nn.Linear(1, 2)
        >>> masked = Wobble(plain, amplitude=0.01, period=0.01)
        >>> bool((masked(torch.ones(1, 1)) - plain(torch.ones(1, 1))).abs().max() < 0.02)
        True
    """

    def __init__(self, model: nn.Module, *, amplitude: float, period: float) -> None:
        super().__init__()
        self.model = model
        self.amplitude = checks.positive("amplitude", amplitude)
        self.period = checks.positive("period", period)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the wobbled input."""
        return self.model(x + self.amplitude * torch.sin(x * (2 * torch.pi / self.period)))


def loss_along(
    model: OnPixels, x: Tensor, y: Tensor, direction: Tensor, epsilons: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Return cross-entropy and hits at ``clip(x + epsilon * direction)``, an epsilon a row.

    Along the direction of its own gradient's sign the loss of a model should rise from the first
    step on; where it falls, or first rises and then falls, the gradient misleads.

    Args:
        model: a model on images in [0, 1].
        x: (N, C, H, W) images in [0, 1].
        y: (N,) class indices.
        direction: (N, C, H, W) signs.
        epsilons: E steps in pixels; 0 gives the images themselves.

    Returns:
        Losses in nats and hits (bool), both (E, N).

    Raises:
        TypeError, ValueError: an argument does not fit.

    Example:
        >>> model = OnPixels(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)))
        >>> x, y = torch.rand(5, 1, 2, 2), torch.tensor([0, 1, 2, 0, 1])
        >>> losses, hits = loss_along(model, x, y, torch.ones_like(x), [0.0, 0.1])
        >>> losses.shape, hits.dtype
        (torch.Size([2, 5]), torch.bool)
    """
    require_pixels(model)
    check_inputs(model, x, y, "ce")
    losses, hits = [], []
    for epsilon in epsilons:
        logits = predict(model, x if epsilon == 0 else pixel_step(x, direction, epsilon))
        losses.append(soft_cross_entropy(logits, y, reduction="none"))
        hits.append(logits.argmax(1) == y)
    if not losses:
        raise ValueError("epsilons: expected at least one step, but got none")
    return torch.stack(losses), torch.stack(hits)


def smallest_flip(model: OnPixels, x: Tensor, y: Tensor, epsilons: Sequence[float]) -> Tensor:
    """Return the smallest of the epsilons at which the gradient-sign step flips the label.

    0 where the image itself is misclassified, infinity where no epsilon of the list is enough.

    Args:
        model: a model on images in [0, 1].
        x: (N, C, H, W) images in [0, 1].
        y: (N,) class indices.
        epsilons: rising steps in pixels, in (0, 1]; they are the resolution of the answer.

    Returns:
        (N,) epsilons.

    Raises:
        ValueError: the epsilons do not rise, or do not fit.

    Example:
        >>> model = OnPixels(nn.Flatten())  # the logits are the two pixels
        >>> smallest_flip(model, torch.tensor([[[[0.6, 0.4]]]]), torch.tensor([0]), [0.05, 0.2])
        tensor([0.2000])
    """
    steps = [pixel_epsilon(epsilon) for epsilon in epsilons]
    if not steps or any(b <= a for a, b in zip(steps, steps[1:], strict=False)):
        raise ValueError(f"epsilons: expected rising steps, but got {list(epsilons)}")
    require_pixels(model)
    direction = signed_gradient(model, x, y)
    _, hits = loss_along(model, x, y, direction, [0.0, *steps])
    missed = torch.cat([~hits, torch.ones_like(hits[:1])])
    found = torch.tensor([0.0, *steps, torch.inf], device=x.device)
    return found[missed.int().argmax(0)]


class GradientNorms(NamedTuple):
    """Norms of the loss's gradient with respect to each input.

    Attributes:
        l1: (N,) sum of absolute components: to first order the loss rises by epsilon times this
            under the gradient-sign step.
        l2: (N,) Euclidean norm.
        zeros: share of components that are exactly 0, where the sign has no direction.
    """

    l1: Tensor
    l2: Tensor
    zeros: float


def gradient_norms(
    model: nn.Module, x: Tensor, y: Tensor, *, loss: str = "ce", batch_size: int = 250
) -> GradientNorms:
    """Return the norms of the input gradients, in nats per unit of `x`.

    Args:
        model: classifier, (B, ...) -> (B, K).
        x: (N, ...) inputs as the model takes them.
        y: (N,) class indices.
        loss: "ce" or "bce_softmax".
        batch_size: examples at a time.

    Raises:
        TypeError, ValueError, FloatingPointError: as for `signed_gradient`.

    Example:
        >>> net = nn.Linear(2, 2, bias=False)
        >>> _ = net.weight.data.copy_(torch.eye(2))
        >>> gradient_norms(net, torch.zeros(1, 2), torch.tensor([0]))
        GradientNorms(l1=tensor([1.]), l2=tensor([0.7071]), zeros=0.0)
    """
    l1, l2, zeros, total = [], [], 0, 0
    for _, gradient in input_gradients(model, x, y, loss=loss, batch_size=batch_size):
        flat = gradient.flatten(1)
        l1.append(flat.abs().sum(1))
        l2.append(flat.norm(dim=1))
        zeros, total = zeros + int((flat == 0).sum()), total + flat.numel()
    return GradientNorms(torch.cat(l1), torch.cat(l2), zeros / total)


def transfer(
    models: Mapping[str, nn.Module], examples: Mapping[str, Tensor], y: Tensor
) -> dict[tuple[str, str], float]:
    """Return the accuracy of every model on the adversarial examples made from every other.

    Examples from another model cannot profit from the target's gradients. Where they fool it more
    than its own do, its own gradients were masked.

    Args:
        models: name -> classifier.
        examples: name of the model that they were made from -> (N, ...) inputs.
        y: (N,) class indices.

    Returns:
        (source, target) -> share right, the diagonal included.

    Raises:
        ValueError: a set of examples has another length than `y`.

    Example:
        >>> x, y = torch.eye(2), torch.tensor([0, 1])
        >>> models = {"plain": nn.Identity(), "turned": nn.Linear(2, 2, bias=False)}
        >>> _ = models["turned"].weight.data.copy_(-torch.eye(2))
        >>> transfer(models, {"plain": x}, y)
        {('plain', 'plain'): 1.0, ('plain', 'turned'): 0.0}
    """
    found = {}
    for source, x in examples.items():
        if len(x) != len(y):
            raise ValueError(f"examples[{source!r}]: expected {len(y)} inputs, but got {len(x)}")
        for target, model in models.items():
            found[source, target] = float((predict(model, x).argmax(1) == y).float().mean())
    return found


@torch.no_grad()
def random_search(
    model: OnPixels,
    x: Tensor,
    y: Tensor,
    *,
    epsilon: float,
    queries: int = 100,
    generator: torch.Generator | None = None,
    batch_size: int = 250,
) -> Tensor:
    """Attack without gradients: random squares at the border of the ball, kept if they help.

    The start is vertical stripes of plus or minus epsilon; each query sets one random square of
    each image to plus or minus epsilon per channel and keeps it if the margin of the right class
    over the best other one falls. The squares shrink as the search goes on. After the square
    attack of Andriushchenko et al. (2020), with its schedule scaled to a small budget.

    Args:
        model: a model on images in [0, 1].
        x: (N, C, H, W) images in [0, 1].
        y: (N,) class indices.
        epsilon: radius in pixels, in (0, 1].
        queries: forward passes per image, beyond the one of the start.
        generator: CPU generator of the squares.
        batch_size: examples at a time.

    Returns:
        (N, C, H, W) perturbed images in [0, 1].

    Raises:
        TypeError, ValueError: an argument does not fit.

    Example:
        >>> model = OnPixels(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)))
        >>> x = torch.rand(2, 1, 4, 4)
        >>> found = random_search(model, x, torch.tensor([0, 1]), epsilon=0.1, queries=5)
        >>> bool((found - x).abs().max() <= 0.1 + 1e-6)
        True
    """
    require_pixels(model)
    radius, queries = pixel_epsilon(epsilon), checks.integer("queries", queries, low=1)
    checks.integer("batch_size", batch_size, low=1)
    check_inputs(model, x, y, "ce")
    found = []
    with evaluating(model):
        for rows in range(0, len(x), batch_size):
            part = slice(rows, rows + batch_size)
            found.append(_search(model, x[part], y[part], radius, queries, generator))
    return torch.cat(found)


def _search(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    radius: float,
    queries: int,
    generator: torch.Generator | None,
) -> Tensor:
    n, channels, height, width = x.shape

    def signs(*shape: int) -> Tensor:
        drawn = torch.randint(0, 2, shape, generator=generator)
        return (radius * (2 * drawn - 1)).to(x)

    def margin(delta: Tensor) -> Tensor:
        logits = model((x + delta).clamp(0, 1))
        right = logits.gather(1, y[:, None])
        others = logits.scatter(1, y[:, None], -torch.inf)
        return right[:, 0] - others.amax(1)

    rows = torch.arange(height, device=x.device).view(1, 1, -1, 1)
    columns = torch.arange(width, device=x.device).view(1, 1, 1, -1)
    delta = signs(n, channels, 1, width).expand(-1, -1, height, -1).contiguous()
    best = margin(delta)
    for query in range(queries):
        side = max(1, round((_square_share(query / queries) * height * width) ** 0.5))
        side = min(side, height, width)
        top, left = (
            torch.randint(0, extent - side + 1, (n, 1, 1, 1), generator=generator).to(x.device)
            for extent in (height, width)
        )
        inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
        tried = torch.where(inside, signs(n, channels, 1, 1), delta)
        value = margin(tried)
        better = value < best
        delta = torch.where(better.view(-1, 1, 1, 1), tried, delta)
        best = torch.where(better, value, best)
    return (x + delta).clamp(0, 1)


def _square_share(progress: float) -> float:
    """Share of the image that a square covers: 0.4 at the start, halved eight times on the way."""
    halvings = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
    return 0.8 / 2 ** max(1, sum(progress >= point for point in halvings))


class SpanShare(NamedTuple):
    """How much of some directions lies in a subspace.

    Attributes:
        share: (N,) squared norm of the projection over the squared norm.
        expected: m / d, the mean of `share` for a direction without any preference.
        dimensions: m, dimension of the subspace.
    """

    share: Tensor
    expected: float
    dimensions: int


def span_share(directions: Tensor, images: Tensor) -> SpanShare:
    r"""Return the share of each direction within the span of the images' pairwise differences.

    The span of all :math:`x_i - x_j` of n images is that of :math:`x_i - \bar x`, of dimension
    :math:`m \le n - 1`. With an orthonormal basis Q of it, the share is :math:`|Q^T v|^2 / |v|^2`.
    If the components of v have mean zero, equal variances and no correlation, such as independent
    random signs, then :math:`E[v v^T] = c I` and the mean share is
    :math:`\operatorname{tr}(Q Q^T) / d = m / d`.

    Args:
        directions: (N, ...) vectors of d components, none of them zero altogether.
        images: (n, ...) images of d components.

    Raises:
        ValueError: the sizes differ, or a direction is zero.

    Example:
        >>> images = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
        >>> found = span_share(torch.tensor([[1.0, 1.0, 0.0]]), images)
        >>> round(float(found.share[0]), 3), round(found.expected, 3)
        (0.5, 0.333)
    """
    v, z = directions.flatten(1).double(), images.flatten(1).double()
    if v.shape[1] != z.shape[1] or len(z) < 2:
        raise ValueError(
            f"images: expected at least two of {v.shape[1]} components, but got {tuple(z.shape)}"
        )
    norms = v.square().sum(1)
    if not (norms > 0).all():
        raise ValueError(f"directions: expected none to be zero, but {int((norms == 0).sum())} are")
    _, sizes, basis = torch.linalg.svd(z - z.mean(0), full_matrices=False)
    tolerance = sizes.max() * max(z.shape) * torch.finfo(z.dtype).eps
    kept = basis[sizes > tolerance]
    share = (v @ kept.T).square().sum(1) / norms
    return SpanShare(share, len(kept) / z.shape[1], len(kept))
