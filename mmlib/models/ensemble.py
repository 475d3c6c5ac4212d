"""Many small networks as one: every weight has a leading axis, the member."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmlib.checks import boolean, integer, number


class EnsembleLinear(nn.Module):
    """``members`` linear layers side by side, ``y_e = x_e W_e + b_e``.

    All members start from the same weights, drawn once as `torch.nn.Linear` draws them: uniform on
    ``-1 / sqrt(n_in) .. 1 / sqrt(n_in)``. With `spectral` the weight in use is ``W / s`` with
    ``s = v' W u`` the power iteration's estimate of the largest singular value, one step each time
    `effective` is asked to iterate, as torch's ``spectral_norm`` does it (Miyato et al. 2018).

    Shapes: input (E, N, n_in), output (E, N, n_out); weight (E, n_in, n_out), bias (E, 1, n_out).

    Args:
        members: E.
        n_in, n_out: Units before and after.
        spectral: Divide by the spectral norm.
        generator: Source of the first weights; None takes one seeded with 0.

    Raises:
        TypeError, ValueError: A size is below 1, or `spectral` not a bool.

    Example:
        >>> layer = EnsembleLinear(3, 2, 4)
        >>> layer(torch.zeros(3, 5, 2)).shape, bool((layer.weight[0] == layer.weight[2]).all())
        (torch.Size([3, 5, 4]), True)
    """

    def __init__(
        self,
        members: int,
        n_in: int,
        n_out: int,
        spectral: bool = False,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("members", members), ("n_in", n_in), ("n_out", n_out)):
            integer(name, value, low=1)
        self.spectral = boolean("spectral", spectral)
        generator = generator or torch.Generator().manual_seed(0)
        bound = 1 / math.sqrt(n_in)
        drawn = (2 * torch.rand(n_in + 1, n_out, generator=generator) - 1) * bound
        self.weight = nn.Parameter(drawn[:-1].repeat(members, 1, 1))
        self.bias = nn.Parameter(drawn[-1:].repeat(members, 1, 1))
        u = F.normalize(torch.randn(n_out, generator=generator), dim=0)
        v = F.normalize(torch.randn(n_in, generator=generator), dim=0)
        self.register_buffer("u", u.repeat(members, 1))
        self.register_buffer("v", v.repeat(members, 1))
        if spectral:
            for _ in range(15):
                self._iterate()

    @torch.no_grad()
    def _iterate(self) -> None:
        """Take one step of the power iteration in every member."""
        self.u = F.normalize(torch.einsum("eio,ei->eo", self.weight, self.v), dim=1, eps=1e-12)  # type: ignore[has-type]
        self.v = F.normalize(torch.einsum("eio,eo->ei", self.weight, self.u), dim=1, eps=1e-12)

    def effective(self, iterate: bool = False) -> Tensor:
        """Return the weight in use, (E, n_in, n_out), after a power step if asked for."""
        if not self.spectral:
            return self.weight
        if iterate:
            self._iterate()
        u, v = self.u.clone(), self.v.clone()
        norm = torch.einsum("eio,ei,eo->e", self.weight, v, u)
        return self.weight / norm[:, None, None]

    def forward(self, x: Tensor) -> Tensor:
        """Apply every member to its own batch."""
        return torch.baddbmm(self.bias, x, self.effective())


class EnsembleMLP(nn.Module):
    """Fully connected networks side by side, with leaky ReLU between their layers.

    Places to mix: ``input``, then ``h1``, ``h2``, ... for the output of each hidden layer.

    Args:
        members: Number of networks.
        sizes: Number of inputs, of units in each hidden layer, and of outputs.
        spectral: Divide every weight by its spectral norm.
        slope: Of the leaky ReLU at negative numbers.
        generator: Source of the first weights, which all members share.

    Raises:
        ValueError: Fewer than two sizes, or one below 1.
        TypeError: A size is not an integer.

    Example:
        >>> net = EnsembleMLP(3, (2, 16, 16, 1))
        >>> net(torch.zeros(3, 5, 2)).shape, net.sites
        (torch.Size([3, 5, 1]), ('input', 'h1', 'h2'))
    """

    def __init__(
        self,
        members: int,
        sizes: Sequence[int],
        spectral: bool = False,
        *,
        slope: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if len(sizes) < 2:
            raise ValueError(f"sizes: expected inputs and outputs at least, but got {sizes!r}")
        self.slope = number("slope", slope, low=0, high=1)
        generator = generator or torch.Generator().manual_seed(0)
        pairs = zip(sizes[:-1], sizes[1:], strict=True)
        self.layers = nn.ModuleList(
            EnsembleLinear(members, a, b, spectral, generator=generator) for a, b in pairs
        )

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the places to mix."""
        return ("input", *(f"h{k}" for k in range(1, len(self.layers))))

    def effective(self, iterate: bool = False) -> list[tuple[Tensor, Tensor]]:
        """Return weight in use and bias of each layer, after a power step if asked for."""
        return [(layer.effective(iterate), layer.bias) for layer in self.layers]  # type: ignore

    def apply_layer(self, k: int, h: Tensor, weights: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Return the output of layer k at its input h, with weights from `effective`."""
        weight, bias = weights[k]
        h = torch.baddbmm(bias, h, weight)
        return h if k == len(self.layers) - 1 else F.leaky_relu(h, self.slope)

    def forward(self, x: Tensor) -> Tensor:
        """Apply every member to its own batch, (E, N, inputs) -> (E, N, outputs)."""
        weights = self.effective()
        for k in range(len(self.layers)):
            x = self.apply_layer(k, x, weights)
        return x

    def states(self, x: Tensor) -> list[Tensor]:
        """Return the input and the output of each hidden layer, in the order of `sites`."""
        weights, found = self.effective(), [x]
        for k in range(len(self.layers) - 1):
            found.append(self.apply_layer(k, found[-1], weights))
        return found
