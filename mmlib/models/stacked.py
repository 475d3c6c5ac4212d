"""Networks of one shape as one program: every weight gets a leading axis, the member."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mmlib.models.ensemble import EnsembleLinear

ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.GELU, nn.Softplus, nn.Identity)


class StackedNorm(nn.Module):
    """Batch norm of every member by itself: one `torch.nn.BatchNorm1d` over members and units.

    Shapes: (E, B, U) -> (E, B, U).

    Args:
        members: E.
        norm: What each member has; its options are taken over, its weights are not.
    """

    def __init__(self, members: int, norm: nn.BatchNorm1d) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(
            members * norm.num_features, norm.eps, norm.momentum, norm.affine,
            norm.track_running_stats,
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each member's batch."""
        members, batch, units = x.shape
        flat = x.transpose(0, 1).reshape(batch, members * units)
        return self.norm(flat).view(batch, members, units).transpose(0, 1)


class Stacked(nn.Module):
    """Networks of one shape, run side by side with one batched product per layer.

    The weights are copies; `write_back` puts them into the plain networks again. Takes nets that
    are a `torch.nn.Sequential` of named children made of `Flatten`, `Linear`, `BatchNorm1d` and
    elementwise activations, such as `mmlib.models.bottleneck.bottleneck` and `mmlib.models.mlp`.

    Args:
        nets: E networks with equal children and shapes.

    Raises:
        TypeError: A net is no Sequential, or holds a layer that cannot be stacked (it is named).
        ValueError: There is no net, or the shapes of their parameters differ.

    Example:
        >>> from mmlib.models.bottleneck import bottleneck
        >>> nets = [bottleneck(6, 3, width=4, seed=s) for s in range(5)]
        >>> x = torch.ones(5, 7, 6)
        >>> bool(torch.allclose(Stacked(nets)(x)[2], nets[2](x[2]), atol=1e-6))
        True
    """

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        super().__init__()
        if not nets:
            raise ValueError("nets: expected at least one network, but got none")
        for net in nets:
            if not isinstance(net, nn.Sequential):
                raise TypeError(f"nets: expected torch.nn.Sequential, but got {type(net).__name__}")
            if _shapes(net) != _shapes(nets[0]):
                raise ValueError("nets: expected equal layers and shapes in all of them")
        self.members = len(nets)
        rows = zip(*(net.named_children() for net in nets), strict=True)
        self.children_of = nn.ModuleDict(
            OrderedDict((row[0][0], _stacked([child for _, child in row])) for row in rows)
        )

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the places to mix, the input first."""
        return ("input", *tuple(self.children_of)[:-1])

    def forward(self, x: Tensor, at: Callable[[str, Tensor], Tensor] | None = None) -> Tensor:
        """Run every member on its own batch.

        Args:
            x: (E, B, ...); may be expanded from one batch.
            at: Called as ``at(site, state)`` at the input and behind every child but the last;
                what it returns goes on.

        Returns:
            (E, B, K) logits.
        """
        names = tuple(self.children_of)
        h = x if at is None else at("input", x)
        for name in names:
            h = self.children_of[name](h)
            if at is not None and name != names[-1]:
                h = at(name, h)
        return h

    @torch.no_grad()
    def write_back(self, nets: Sequence[nn.Module]) -> None:
        """Copy the weights and running statistics into plain networks of the same shape."""
        if len(nets) != self.members:
            raise ValueError(f"nets: expected {self.members} networks, but got {len(nets)}")
        for e, net in enumerate(nets):
            if list(dict(net.named_children())) != list(self.children_of):
                raise ValueError("nets: expected networks with the layers of this ensemble")
            for name, child in net.named_children():
                for own, plain in zip(_parts(self.children_of[name]), _parts(child), strict=True):
                    _exchange(own, plain, e, self.members, into_plain=True)


def _shapes(net: nn.Module) -> list[tuple[str, object]]:
    kinds = [(name, type(part)) for name, part in net.named_modules()]
    return kinds + [(name, tuple(value.shape)) for name, value in net.state_dict().items()]


def _parts(child: nn.Module) -> list[nn.Module]:
    return list(child) if isinstance(child, nn.Sequential) else [child]


def _stacked(children: Sequence[nn.Module]) -> nn.Module:
    """Return one module for the same child of all members, with their weights."""
    made = []
    for parts in zip(*map(_parts, children), strict=True):
        first, members = parts[0], len(parts)
        if isinstance(first, nn.Linear):
            own: nn.Module = EnsembleLinear(members, first.in_features, first.out_features)
        elif isinstance(first, nn.BatchNorm1d):
            own = StackedNorm(members, first)
        elif isinstance(first, nn.Flatten):
            own = nn.Flatten(2)
        elif isinstance(first, ELEMENTWISE):
            own = first
        else:
            raise TypeError(f"nets: {type(first).__name__} cannot be stacked")
        if (like := next(first.parameters(), None)) is not None:
            own = own.to(like)
        with torch.no_grad():
            for e, plain in enumerate(parts):
                _exchange(own, plain, e, members, into_plain=False)
        made.append(own)
    return nn.Sequential(*made)


def _exchange(own: nn.Module, plain: nn.Module, e: int, members: int, into_plain: bool) -> None:
    """Copy the numbers of member e into its plain layer, or out of it."""
    if isinstance(plain, nn.Linear):
        pairs = [(own.weight[e].T, plain.weight)]  # type: ignore[index]
        if plain.bias is None:
            raise TypeError("nets: a Linear without bias cannot be stacked")
        pairs.append((own.bias[e, 0], plain.bias))  # type: ignore[index]
    elif isinstance(plain, nn.BatchNorm1d):
        mine, units = own.norm.state_dict(), plain.num_features  # type: ignore[union-attr]
        pairs = [
            (mine[name].view(members, units)[e], value)
            for name, value in plain.state_dict().items()
            if value.ndim
        ]
    else:
        return
    for stacked, single in pairs:
        single.copy_(stacked) if into_plain else stacked.copy_(single)
