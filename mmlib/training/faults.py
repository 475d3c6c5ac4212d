"""What can go wrong in the middle of a run: a loss that is no number, a batch that is too large."""

from __future__ import annotations

from collections.abc import Callable

import torch


def require_finite(losses: list[torch.Tensor], steps: int, epoch: int) -> None:
    """Raise if one of the last losses, the very last being that of update `steps`, is not finite.

    Looks at as many as have come since the last look: each on the CPU, every 100 elsewhere.

    Raises:
        FloatingPointError: The message names the first bad step.
    """
    recent = torch.stack(losses[-1:] if losses[-1].device.type == "cpu" else losses[-100:])
    bad = (~torch.isfinite(recent)).nonzero()
    if len(bad):
        at = int(bad[0])
        raise FloatingPointError(
            f"the loss is {float(recent[at])} at step {steps - len(recent) + at + 1} "
            f"(epoch {epoch}); try a lower learning rate"
        )


def fitting_batch(attempt: Callable[[int], object], size: int) -> int:
    """Return the largest of size / 2, size / 4, ... for which an attempt fits, 0 if none does.

    Args:
        attempt: Tries a step with that many examples; raises torch.OutOfMemoryError if they do
            not fit.
        size: The number of examples that did not fit.
    """
    while size := size // 2:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            attempt(size)
        except torch.OutOfMemoryError:
            continue
        return size
    return 0
