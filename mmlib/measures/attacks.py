"""Adversarial examples: the gradient-sign step, iterated in a ball or without a bound.

Two units are in use, and every function says which one it takes:

- *pixels*: images in [0, 1]; epsilon is a fraction of that range (8/255), the result is clipped to
  it. These functions take an `OnPixels` model and nothing else.
- *units of x*: whatever the model is fed, as a rule normalised images. Nothing is clipped. The
  released code of Manifold Mixup attacks this way: its epsilon 0.03 is 1.9/255 in pixels on
  CIFAR-10, whose standard deviation is about 0.25 (see `pixel_epsilons`).

Every attack puts the model into eval mode and back, and leaves its parameters' gradients and the
global random state alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmlib import checks
from mmlib.measures.evaluation import evaluating
from mmlib.mixing import bce_on_softmax, soft_cross_entropy

LOSSES: dict[str, Callable[[Tensor, Tensor, str], Tensor]] = {
    "ce": soft_cross_entropy,
    "bce_softmax": bce_on_softmax,
}


class OnPixels(nn.Module):
    """A classifier of images in [0, 1]: ``model((x - mean) / std)`` with the channels' statistics.

    Args:
        model: takes normalised images.
        mean: mean of each channel in [0, 1], as `Dataset.mean` has them.
        std: standard deviation of each channel, likewise; all above 0.

    Shapes:
        Input ``(B, C, H, W)`` in [0, 1]; output ``(B, K)`` logits.

    Raises:
        ValueError: `mean` and `std` differ in length, or a number does not fit.

    Example:
        >>> net = OnPixels(nn.Flatten(), mean=(0.5,), std=(0.25,))
        >>> net(torch.tensor([[[[0.25, 1.0]]]]))
        tensor([[-1.,  2.]])
    """

    def __init__(
        self, model: nn.Module, mean: Sequence[float] = (0.0,), std: Sequence[float] = (1.0,)
    ) -> None:
        super().__init__()
        if len(mean) != len(std):
            raise ValueError(f"mean, std: expected equal lengths, but got {len(mean)}, {len(std)}")
        self.model = model
        mean = [checks.number("mean", m) for m in mean]
        std = [checks.positive("std", s) for s in std]
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float64).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float64).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(B, K)`` of images ``(B, C, H, W)`` in [0, 1]."""
        return self.model((x - self.mean.to(x)) / self.std.to(x))  # type: ignore[operator]  # of register_buffer


class Path(NamedTuple):
    """Where an iterated attack went.

    Attributes:
        x: (N, ...) the final inputs.
        loss: (T + 1, N) loss at the start and after each of the T steps, in nats.
        correct: (T + 1, N) whether the prediction was right there.
    """

    x: Tensor
    loss: Tensor
    correct: Tensor


def pixel_epsilons(epsilon: float, std: Sequence[float]) -> tuple[float, ...]:
    """Return what a step in normalised units is in pixels, ``epsilon * std`` per channel.

    Example:
        >>> [round(255 * e, 2) for e in pixel_epsilons(0.03, (0.2471, 0.2435, 0.2616))]
        [1.89, 1.86, 2.0]
    """
    checks.positive("epsilon", epsilon)
    return tuple(epsilon * checks.positive("std", s) for s in std)


def signed_gradient(
    model: nn.Module, x: Tensor, y: Tensor, *, loss: str = "ce", batch_size: int = 250
) -> Tensor:
    r"""Return :math:`\operatorname{sign} \nabla_x \ell(f(x), y)`, the one-step direction.

    It does not depend on epsilon, so one call serves all of them (`pixel_step`), and
    not on the units, since the standard deviations are positive.

    Args:
        model: classifier, (B, ...) -> (B, K) logits.
        x: (N, ...) floating inputs as the model takes them; in [0, 1] for an `OnPixels` model.
        y: (N,) class indices.
        loss: "ce", cross-entropy, or "bce_softmax", that of the released code.
        batch_size: examples at a time.

    Returns:
        (N, ...) of -1, 0 and 1.

    Raises:
        TypeError, ValueError: an argument does not fit.
        FloatingPointError: a gradient is NaN or infinite.

    Example:
        >>> net = nn.Linear(2, 2, bias=False)
        >>> _ = net.weight.data.copy_(torch.eye(2))
        >>> signed_gradient(net, torch.zeros(1, 2), torch.tensor([0]))
        tensor([[-1.,  1.]])
    """
    parts = [g.sign() for _, g in input_gradients(model, x, y, loss=loss, batch_size=batch_size)]
    return torch.cat(parts)


def fgsm(model: nn.Module, x: Tensor, y: Tensor, *, epsilon: float, loss: str = "ce") -> Tensor:
    r"""Return :math:`x + \epsilon \operatorname{sign} \nabla_x \ell(f(x), y)`, not clipped.

    The step is taken in the units of `x` as the model receives it; `fgsm_pixels` is the attack in
    pixels, clipped to the image range.

    Args:
        model: classifier, (B, ...) -> (B, K) logits.
        x: (N, ...) inputs.
        y: (N,) class indices.
        epsilon: size of the step per component, > 0, in units of `x`.
        loss: as for `signed_gradient`.

    Raises:
        TypeError, ValueError, FloatingPointError: as for `signed_gradient`.

    Source: Manifold Mixup v1, appendix D.

    Example:
        >>> model = nn.Linear(2, 2, bias=False)
        >>> _ = model.weight.data.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        >>> fgsm(model, torch.zeros(1, 2), torch.tensor([0]), epsilon=0.5)
        tensor([[-0.5000,  0.5000]])
    """
    checks.positive("epsilon", epsilon)
    return x.detach() + epsilon * signed_gradient(model, x, y, loss=loss)


def pixel_step(x: Tensor, direction: Tensor, epsilon: float) -> Tensor:
    """Return ``clip(x + epsilon * direction, 0, 1)``.

    Args:
        x: (N, ...) images in [0, 1].
        direction: (N, ...) signs, as `signed_gradient` returns them.
        epsilon: step as a fraction of the image range, in (0, 1]; 8/255 for eight grey levels.

    Raises:
        ValueError: `epsilon` is outside (0, 1] (a number of grey levels must be divided by 255),
            or the shapes differ.

    Example:
        >>> pixel_step(torch.tensor([0.1, 0.9]), torch.tensor([-1.0, -1.0]), 0.2)
        tensor([0.0000, 0.7000])
    """
    pixel_epsilon(epsilon)
    if x.shape != direction.shape:
        shapes = f"{tuple(x.shape)} and {tuple(direction.shape)}"
        raise ValueError(f"direction: expected the shape of x, but got {shapes}")
    return (x.detach() + epsilon * direction).clamp(0, 1)


def fgsm_pixels(
    model: OnPixels, x: Tensor, y: Tensor, *, epsilon: float, loss: str = "ce"
) -> Tensor:
    r"""Return :math:`\operatorname{clip}_{[0,1]}(x + \epsilon \operatorname{sign} \nabla_x \ell)`.

    Args:
        model: a model on images in [0, 1].
        x: (N, C, H, W) images in [0, 1].
        y: (N,) class indices.
        epsilon: as for `pixel_step`.
        loss: as for `signed_gradient`.

    Raises:
        TypeError: `model` is not an `OnPixels`.
        ValueError, FloatingPointError: as for `signed_gradient` and `pixel_step`.

    Source: k-Mixup, Figure 10, whose epsilons are 0.5/255 to 16/255.

    Example:
        >>> model = OnPixels(nn.Sequential(nn.Flatten(), nn.Linear(1, 2)))
        >>> _ = model.model[1].weight.data.copy_(torch.tensor([[1.0], [-1.0]]))
        >>> x, y = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0])
        >>> fgsm_pixels(model, x, y, epsilon=0.25).item()  # the larger, the surer of class 0
        0.25
    """
    require_pixels(model)
    pixel_epsilon(epsilon)
    return pixel_step(x, signed_gradient(model, x, y, loss=loss), epsilon)


def pgd(
    model: OnPixels,
    x: Tensor,
    y: Tensor,
    *,
    epsilon: float,
    steps: int = 10,
    step: float | None = None,
    generator: torch.Generator | None = None,
    loss: str = "ce",
    batch_size: int = 250,
) -> Path:
    r"""Projected gradient ascent in the l-infinity ball around each image (Madry et al., 2018).

    .. math:: x_{t+1} = \Pi\big(x_t + \eta \operatorname{sign} \nabla_x \ell(f(x_t), y)\big)

    where the projection clips to :math:`[x_0 - \epsilon, x_0 + \epsilon]` and to [0, 1].

    Args:
        model: a model on images in [0, 1].
        x: (N, C, H, W) images in [0, 1].
        y: (N,) class indices.
        epsilon: radius of the ball in pixels, in (0, 1].
        steps: number T of steps.
        step: size of one step in pixels; None for 2.5 epsilon / T, which can cross the ball.
        generator: CPU generator of the random start, uniform in the ball; None starts at x.
        loss: as for `signed_gradient`.
        batch_size: examples at a time.

    Raises:
        TypeError: `model` is not an `OnPixels`.
        ValueError, FloatingPointError: as for `signed_gradient` and `pixel_step`.

    Example:
        >>> model = OnPixels(nn.Sequential(nn.Flatten(), nn.Linear(1, 2)))
        >>> _ = model.model[1].weight.data.copy_(torch.tensor([[1.0], [-1.0]]))
        >>> x, y = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0])
        >>> round(pgd(model, x, y, epsilon=0.25).x.item(), 6)
        0.25
    """
    require_pixels(model)
    radius = pixel_epsilon(epsilon)
    checks.integer("steps", steps, low=1)
    size = 2.5 * radius / steps if step is None else checks.positive("step", step)
    start = x.detach()
    if generator is not None:
        check_inputs(model, x, y, loss)  # before a dtype that cannot be drawn fails obscurely
        noise = torch.rand(x.shape, generator=generator, dtype=x.dtype).to(x.device)
        start = (start + radius * (2 * noise - 1)).clamp(0, 1)

    def project(moved: Tensor, origin: Tensor) -> Tensor:
        return moved.clamp(origin - radius, origin + radius).clamp(0, 1)

    return _ascend(model, x, y, start, size, steps, loss, batch_size, project)


def iterated_signs(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    step: float = 0.01,
    steps: int = 200,
    loss: str = "ce",
    batch_size: int = 250,
) -> Path:
    """Repeat ``x <- x + step sign(gradient)`` with no projection, no clipping, no random start.

    The "unbounded PGD" of appendix D. In the released code the steps are in normalised units: 200
    of 0.01 may move an input by 2 standard deviations, 126/255 in pixels on CIFAR-10, and out of
    the image range. A model that survives has gradients that lead nowhere; one that does not may
    still hide them from a single step.

    Args:
        model: classifier, (B, ...) -> (B, K) logits.
        x: (N, ...) inputs as the model takes them.
        y: (N,) class indices.
        step: size of a step per component, in units of `x`.
        steps: number T of steps.
        loss: as for `signed_gradient`.
        batch_size: examples at a time.

    Raises:
        TypeError, ValueError, FloatingPointError: as for `signed_gradient`.

    Source: Manifold Mixup v1, appendix D.

    Example:
        >>> net = nn.Linear(2, 2, bias=False)
        >>> _ = net.weight.data.copy_(torch.eye(2))
        >>> path = iterated_signs(net, torch.tensor([[0.03, 0.0]]), torch.tensor([0]), steps=3)
        >>> path.correct.flatten().tolist()
        [True, True, False, False]
    """
    checks.positive("step", step)
    checks.integer("steps", steps, low=1)
    return _ascend(model, x, y, x.detach(), step, steps, loss, batch_size, lambda moved, _: moved)


def input_gradients(
    model: nn.Module, x: Tensor, y: Tensor, *, loss: str = "ce", batch_size: int = 250
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, batch by batch, the losses (b,) and their gradients (b, ...) with respect to x.

    Raises:
        TypeError, ValueError, FloatingPointError: as for `signed_gradient`.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
        >>> x, y = torch.randn(5, 1, 2, 2), torch.tensor([0, 1, 2, 0, 1])
        >>> [(len(loss), slope.shape) for loss, slope in input_gradients(model, x, y, batch_size=3)]
        [(3, torch.Size([3, 1, 2, 2])), (2, torch.Size([2, 1, 2, 2]))]
    """
    checks.integer("batch_size", batch_size, low=1)
    largest = check_inputs(model, x, y, loss)
    for rows in range(0, len(x), batch_size):
        part = slice(rows, rows + batch_size)
        values, _, gradient = _at(model, x[part], y[part], loss, largest)
        yield values, gradient


def _ascend(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    start: Tensor,
    step: float,
    steps: int,
    loss: str,
    batch_size: int,
    project: Callable[[Tensor, Tensor], Tensor],
) -> Path:
    checks.integer("batch_size", batch_size, low=1)
    largest = check_inputs(model, x, y, loss)
    ends, losses, hits = [], [], []
    for rows in range(0, len(x), batch_size):
        part = slice(rows, rows + batch_size)
        origin, label, moved = x[part].detach(), y[part], start[part]
        seen = []
        for _ in range(steps):
            values, right, gradient = _at(model, moved, label, loss, largest)
            seen.append((values, right))
            moved = project(moved + step * gradient.sign(), origin)
        with evaluating(model):
            logits = model(moved)
            seen.append((LOSSES[loss](logits, label, "none"), logits.argmax(1) == label))
        ends.append(moved)
        losses.append(torch.stack([values for values, _ in seen]))
        hits.append(torch.stack([right for _, right in seen]))
    return Path(torch.cat(ends), torch.cat(losses, 1), torch.cat(hits, 1))


def _at(
    model: nn.Module, x: Tensor, y: Tensor, loss: str, largest: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return losses, hits and the gradient of the summed loss, with respect to the input alone."""
    with evaluating(model), torch.enable_grad():
        point = x.detach().clone().requires_grad_()
        logits = model(point)
        if logits.ndim != 2 or largest >= logits.shape[1]:
            raise ValueError(
                f"y: expected classes below the number of logits, but got class {largest} and "
                f"logits of shape {tuple(logits.shape)}"
            )
        values = LOSSES[loss](logits, y, "none")
        if not values.requires_grad:
            raise ValueError("model: expected logits that depend on x, but no gradient flows")
        # Asked for the input alone, autograd leaves the parameters' gradients uncomputed.
        (gradient,) = torch.autograd.grad(values.sum(), point)
    bad = int((~torch.isfinite(gradient)).sum())
    if bad:
        raise FloatingPointError(f"{bad} of {gradient.numel()} input gradients are not finite")
    return values.detach(), logits.detach().argmax(1) == y, gradient


def check_inputs(model: nn.Module, x: Tensor, y: Tensor, loss: str) -> int:
    """Check the arguments of an attack and return the largest class, for a check of the logits.

    Raises:
        TypeError, ValueError: an argument does not fit; an `OnPixels` model takes x in [0, 1].
    """
    checks.choice("loss", loss, tuple(LOSSES))
    if not x.is_floating_point():
        raise TypeError(f"x: expected floats as the model takes them, but got {x.dtype}")
    if len(x) == 0 or y.shape != (len(x),) or y.is_floating_point():
        raise ValueError(
            f"y: expected class indices, one for each of {len(x)} > 0 inputs, "
            f"but got {y.dtype} of shape {tuple(y.shape)}"
        )
    low, high = float(x.min()), float(x.max())
    if isinstance(model, OnPixels) and not (low >= 0 and high <= 1):
        raise ValueError(f"x: expected images in [0, 1], but got {low:.4g} to {high:.4g}")
    if int(y.min()) < 0:
        raise ValueError(f"y: expected class indices >= 0, but got {int(y.min())}")
    return int(y.max())


def require_pixels(model: nn.Module) -> None:
    """Check that a model acts on images in [0, 1].

    Raises:
        TypeError: it does not.
    """
    if not isinstance(model, OnPixels):
        raise TypeError(
            f"model: an attack in pixels expects OnPixels(model, mean, std), "
            f"but got {type(model).__name__}"
        )


def pixel_epsilon(epsilon: float) -> float:
    """Return epsilon if it is a share of the image range, in (0, 1].

    Raises:
        TypeError, ValueError: it is not; 8 grey levels are 8/255.
    """
    return checks.number("epsilon", epsilon, low=0, high=1, low_open=True)
