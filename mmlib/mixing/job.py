"""The mix itself, and the work order for one site in one forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


def moved(t: Tensor, device: torch.device) -> Tensor:
    """Return a copy on the device, without waiting for it; float32 where there is no float64."""
    if device.type == "mps" and t.dtype == torch.float64:
        t = t.float()
    return t.to(device, non_blocking=True)


def rows(tensor: Tensor, index: Tensor, dim: int) -> Tensor:
    """Return index_select that keeps the channels-last layout (index_select itself loses it)."""
    channels_last = tensor.ndim == 4 and dim == 0 and not tensor.is_contiguous()
    if channels_last and tensor.is_contiguous(memory_format=torch.channels_last):
        return tensor.permute(0, 2, 3, 1).index_select(0, index).permute(0, 3, 1, 2)
    return tensor.index_select(dim, index)


def mix(h: Tensor, partners: Tensor, weight: Tensor, dim: int = 0) -> Tensor:
    """Return ``h + weight * (partners - h)``, a new tensor; weight is () or (B,), along `dim`."""
    weight = weight.to(h.device, h.dtype, non_blocking=True)
    if weight.ndim:
        weight = weight.view(-1, *(1,) * (h.ndim - 1 - dim % h.ndim))
    return torch.lerp(h, partners, weight)


@dataclass
class Job:
    """What happens at one site in one forward pass.

    Attributes:
        name: the site.
        weight: () or (B,), weight of the partner, 1 - lambda.
        partner: (B,) indices; None while `pairing` has not seen the features yet.
        order, pairing: what finds the partner from the features.
        second: output of the site for the second batch.
        probe: index of an example that is mixed with another one, None where nothing is mixed.
        calls: how often the module was called.
        unchanged: whether the mix changed nothing; a tensor from compiled code, None unknown.
        nodes: autograd nodes before and after the mix, where `trace` asks for them (not compiled).
    """

    name: str
    size: int
    weight: Tensor = None  # type: ignore[assignment]  # always given
    partner: Tensor | None = None
    order: Tensor | None = None
    pairing: Any = None
    second: Tensor | None = None
    path: tuple = ()
    dim: int = 0
    detach: bool = False
    probe: int | None = None
    trace: bool = False
    look: bool = True
    call: int | None = None
    calls: int = 0
    unchanged: Any = None
    nodes: tuple | None = None

    def apply(self, h: Tensor) -> Tensor:
        """Return the mix of the features `h`."""
        dim = self.dim
        if not -h.ndim <= dim < h.ndim or h.shape[dim] != self.size:
            raise ValueError(
                f"site {self.name!r}: expected {self.size} examples along dimension {dim}, but the "
                f"features are {tuple(h.shape)}; say batch_dim={{{self.name!r}: ...}}"
            )
        before = h
        source = h if self.second is None else self.second
        if source.shape != h.shape:
            raise ValueError(
                f"site {self.name!r}: expected the second batch to give features like "
                f"{tuple(h.shape)}, but got {tuple(source.shape)}"
            )
        if self.detach:
            h, source = h.detach(), source.detach()
        if self.partner is None:
            self.partner = self._find(h, source)
        index = self.partner.to(h.device, non_blocking=True)
        mixed = mix(h, rows(source, index, dim), self.weight, dim)
        self._observe(before, h, mixed)
        return mixed

    def _find(self, h: Tensor, source: Tensor) -> Tensor:
        order = self.order.to(h.device, non_blocking=True)  # type: ignore[union-attr]
        h, source = h.detach().movedim(self.dim, 0), source.detach().movedim(self.dim, 0)
        second = None if self.second is None else source
        matched = self.pairing.match(order, h, second)
        return torch.arange(self.size, device=h.device).index_copy(0, order[0], matched)

    def _observe(self, before: Tensor, h: Tensor, mixed: Tensor) -> None:
        if torch.compiler.is_compiling():
            self.unchanged = (mixed == h).all()
            return
        if self.trace:
            self.nodes = (before.grad_fn, mixed.grad_fn)
        if self.probe is not None and (self.look or h.device.type == "cpu"):
            row = [t.detach().select(self.dim, self.probe) for t in (mixed, h)]
            # One row is cheap; all of them are compared only where that one did not change.
            self.unchanged = torch.equal(*row) and torch.equal(mixed, h)
