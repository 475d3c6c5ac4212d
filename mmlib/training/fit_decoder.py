"""Training of a decoder: squared error in pixels, Adam, a cosine schedule."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmlib.checks import integer, number, positive
from mmlib.mixing.forward import eval_mode
from mmlib.training.faults import require_finite
from mmlib.training.fit import learning_rate


def fit_decoder(
    decoder: nn.Module,
    states: Tensor,
    images: Tensor,
    *,
    epochs: int = 5,
    batch_size: int = 100,
    lr: float = 3e-3,
    noise: float = 0.0,
    generator: torch.Generator | None = None,
) -> list[float]:
    """Train a decoder to predict images from states, in place.

    Minimises the mean squared error ``mean (d(h) - x)^2`` over pixels in [0, 1] (Manifold Mixup
    v1, section 5: "a simple squared error loss in the visible space"). Adam; the rate falls on a
    cosine. The classifier that made the states is not part of it.

    Args:
        decoder: Maps states ``(B, ...)`` to images ``(B, C, H, W)``; left in eval mode.
        states: ``(N, ...)`` floats.
        images: ``(N, C, H, W)`` bytes, or floats in [0, 1].
        epochs: Passes over the data.
        batch_size: Examples per update; a last batch with fewer is left out.
        lr: Highest learning rate.
        noise: Standard deviation of Gaussian noise on the states while training; the released code
            uses 0.05, the text none.
        generator: CPU generator of the order and the noise.

    Returns:
        The mean loss of each epoch, in squared pixels.

    Raises:
        ValueError: A number is out of range, or states and images differ in length.
        FloatingPointError: The loss is not finite.

    Example:
        >>> from mmlib.models.decoder import build_decoder
        >>> rng = torch.Generator().manual_seed(0)
        >>> h = torch.randn(200, 2, generator=rng)
        >>> x = torch.sigmoid(h[:, :1, None, None]).expand(-1, 1, 8, 8)
        >>> losses = fit_decoder(build_decoder((2,), (1, 8, 8), 8), h, x, epochs=4, batch_size=20)
        >>> losses[-1] < losses[0] / 2
        True
    """
    epochs, size = integer("epochs", epochs, low=1), integer("batch_size", batch_size, low=1)
    lr, noise = positive("lr", lr), number("noise", noise, low=0)
    if len(states) != len(images) or len(images) < size:
        raise ValueError(
            f"states, images: expected equally many, at least {size}, "
            f"but got {len(states)} and {len(images)}"
        )
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=lr)
    steps, losses = len(states) // size, []  # type: int, list[Tensor]
    decoder.train()
    for epoch in range(epochs):
        order = torch.randperm(len(states), generator=generator)[: steps * size]
        for rows in order.to(states.device).split(size):
            rate = learning_rate(len(losses), epochs * steps, lr=lr)
            for group in optimizer.param_groups:
                group["lr"] = rate
            h = states[rows]
            if noise:
                h = h + noise * torch.randn(h.shape, generator=generator).to(h.device)
            loss = (decoder(h) - pixels(images[rows])).square().mean()
            losses.append(loss.detach())
            require_finite(losses, len(losses), epoch + 1)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    decoder.eval()
    return torch.stack(losses).view(epochs, steps).mean(1).tolist()


def decoded(decoder: nn.Module, states: Tensor, batch_size: int = 500) -> Tensor:
    """Return the images of states, ``(N, C, H, W)`` in [0, 1], decoded in eval mode.

    The decoder's mode is restored.

    Example:
        >>> from mmlib.models.decoder import build_decoder
        >>> decoded(build_decoder((2,), (1, 8, 8), 8), torch.zeros(3, 2), 2).shape
        torch.Size([3, 1, 8, 8])
    """
    with torch.no_grad(), eval_mode(decoder):
        return torch.cat([decoder(part) for part in states.split(batch_size)])


def pixels(images: Tensor) -> Tensor:
    """Return images in [0, 1]: bytes are divided by 255, floats are taken as they are.

    Example:
        >>> pixels(torch.tensor([255], dtype=torch.uint8)).item()
        1.0
    """
    return images.float() / 255 if images.dtype == torch.uint8 else images
