"""With whom to mix: pairings of the examples of a batch.

A pairing works in two steps. `draw` makes everything random before the forward pass: the rows
``order[0]`` and the columns ``order[1]``, two sequences of example indices. `match` says which
column each row is mixed with; only `OptimalPairing` looks at features to do so.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mmlib import checks
from mmlib.mixing.law import permutation

_ENUMERATED = 4  # all k! assignments of a block are compared up to this k, scipy solves larger ones


class Permutation:
    """Each example with its image under a random permutation of the batch.

    Manifold Mixup v1, section 2: one minibatch mixed with its own shuffle. A fixed point of the
    permutation is not mixed; on average one example per batch. With a second batch the partner is a
    random example of that batch, each used once.

    Example:
        >>> Permutation().draw(4, torch.Generator().manual_seed(0)).tolist()
        [[0, 1, 2, 3], [0, 1, 3, 2]]
    """

    needs_features = False
    grouped = True  # can be applied within groups of the batch (a layer per example)

    def draw(
        self, n: int, generator: torch.Generator | None = None, *, other: bool = False
    ) -> Tensor:
        """Return rows and columns, (2, n) int64 on the CPU."""
        return torch.stack([torch.arange(n), permutation(n, generator)])

    def match(self, order: Tensor, x: Tensor | None = None, y: Tensor | None = None) -> Tensor:
        """Return the partner of each row ``order[0]``, (m,)."""
        return order[1]

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # Python's own way to say so


class _Halves(Permutation):
    """Pairings of a batch whose first half is one kind (real) and second half another (fake)."""

    grouped = False
    _crossing: bool

    def draw(
        self, n: int, generator: torch.Generator | None = None, *, other: bool = False
    ) -> Tensor:
        if other:
            raise ValueError(f"{self!r}: expected one batch of two halves, got a second batch")
        if n % 2:
            raise ValueError(f"{self!r}: expected two equal halves, but got {n} examples")
        half = n // 2
        first, second = permutation(half, generator), permutation(half, generator) + half
        columns = [second, first] if self._crossing else [first, second]
        return torch.stack([torch.arange(n), torch.cat(columns)])


class AcrossHalves(_Halves):
    """Each example of the first half with a random one of the second half, and the reverse.

    The real-fake mixes of Manifold Mixup v1, section 4.4, for a batch ``cat([real, fake])``. No
    example is its own partner.

    Raises:
        ValueError: the batch has an odd size, or a second batch is given.

    Example:
        >>> AcrossHalves().draw(4, torch.Generator().manual_seed(0))[1].tolist()
        [3, 2, 0, 1]
    """

    _crossing = True


class WithinHalves(_Halves):
    """Each example with a random one of its own half: real with real, fake with fake.

    The fake-fake mixes of Manifold Mixup v1, section 4.4, for a batch ``cat([real, fake])``.

    Raises:
        ValueError: the batch has an odd size, or a second batch is given.

    Example:
        >>> WithinHalves().draw(4, torch.Generator().manual_seed(0))[1].tolist()
        [0, 1, 3, 2]
    """

    _crossing = False


class OptimalPairing(Permutation):
    r"""k-mixup: two sets of k examples, paired by the cheapest assignment between their features.

    .. math:: \min_{\sigma \in S_k} \sum_{i=1}^k c\big(h(x_i),\, h(x'_{\sigma(i)})\big)

    k-Mixup, section 3. The features are those of the layer at which the batch is mixed, detached.
    Deterministic given the features and the order: of equally cheap assignments one is always
    chosen. The last block of a batch that k does not divide is smaller.

    Args:
        k: size of the sets, at least 1. A k that is too large for the batch is lowered; the one
            used is `Mixed.k`.
        cost: "sqeuclidean" (the text, Theorem 2) or "euclidean" (the released code).
        sets: "disjoint": positions of a random order, block [s, s + k) matched to block
            [s + k, s + 2k), cyclically; no example is its own partner, every example is a partner
            once, k is at most half the batch. "independent": blocks of two independent batches,
            ``mixup(..., other=(x2, y2))``. "batch": as released, block [s, s + k) of the batch
            matched to the same block of its shuffle; an example in both is matched to itself, which
            happens for a share of about k / B of them. With a second batch "disjoint" means
            "independent".

    Raises:
        TypeError: k is not an integer.
        ValueError: k < 1, an unknown cost or sets, a second batch missing or not expected; when
            matching: NaN or infinite features (on an accelerator with k <= 4 these are not looked
            for, as that would synchronise; the pairs are then arbitrary but valid).

    Example:
        >>> x = torch.tensor([[0.0], [10.0], [1.0], [11.0]])
        >>> pairing = OptimalPairing(k=2)
        >>> order = pairing.draw(4, torch.Generator().manual_seed(0))
        >>> order[0].tolist(), pairing.match(order, x).tolist()
        ([0, 1, 3, 2], [2, 3, 1, 0])
        >>> OptimalPairing(k=0)
        Traceback (most recent call last):
        ValueError: k: expected an integer >= 1, but got 0
    """

    needs_features = True

    def __init__(self, k: int, *, cost: str = "sqeuclidean", sets: str = "disjoint") -> None:
        self.k = checks.integer("k", k, low=1)
        self.cost = checks.choice("cost", cost, ("sqeuclidean", "euclidean"))
        self.sets = checks.choice("sets", sets, ("disjoint", "independent", "batch"))

    def draw(
        self, n: int, generator: torch.Generator | None = None, *, other: bool = False
    ) -> Tensor:
        """Return rows and columns, (2, n) int64 on the CPU."""
        if (self.sets == "independent") > other or (self.sets == "batch") & other:
            got = "a second batch" if other else "none"
            needs = "a second batch, other=(x2, y2)," if self.sets == "independent" else "no other"
            raise ValueError(f"sets={self.sets!r}: expected {needs} but got {got}")
        first = permutation(n, generator)
        if other:
            return torch.stack([first, permutation(n, generator)])
        return torch.stack([torch.arange(n) if self.sets == "batch" else first, first])

    def effective_k(self, n: int, *, other: bool = False) -> int:
        """Return the k used for n rows.

        Example:
            >>> [OptimalPairing(k=16, sets=s).effective_k(20) for s in ("disjoint", "batch")]
            [10, 16]
        """
        largest = n // 2 if self.sets == "disjoint" and not other else n
        return max(1, min(self.k, largest))

    def match(self, order: Tensor, x: Tensor, y: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """Return the partner of each row ``order[0]``, (m,) on the device of `x`.

        Args:
            order: (2, m) from `draw`, or a part of it.
            x: features, (B, ...).
            y: features of the second batch, (B, ...), when there is one.
        """
        rows, columns = order
        k = self.effective_k(rows.numel(), other=y is not None)
        if self.sets == "disjoint" and y is None:
            columns = columns.roll(-k)
        if k == 1:
            return columns
        x, y = x.detach().flatten(1), None if y is None else y.detach().flatten(1)
        return torch.ops.mmlib.optimal_pairs(x, y, rows, columns, k, self.cost == "euclidean")

    def __repr__(self) -> str:
        return f"OptimalPairing(k={self.k}, cost={self.cost!r}, sets={self.sets!r})"


# An opaque operator, so that a compiled model keeps its graph whole around the assignment.
@torch.library.custom_op(
    "mmlib::optimal_pairs",
    mutates_args=(),
    schema="(Tensor x, Tensor? y, Tensor rows, Tensor columns, int k, bool root) -> Tensor",
)
def _optimal_pairs(
    x: Tensor, y: Tensor | None, rows: Tensor, columns: Tensor, k: int, root: bool
) -> Tensor:
    whole = rows.numel() // k * k
    parts = [(rows[:whole].view(-1, k), columns[:whole].view(-1, k))]
    if whole < rows.numel():
        parts.append((rows[None, whole:], columns[None, whole:]))
    return torch.cat([j.gather(1, _assign(_cost(x, y, i, j, root))).flatten() for i, j in parts])


@_optimal_pairs.register_fake
def _(x: Tensor, y: Tensor | None, rows: Tensor, columns: Tensor, k: int, root: bool) -> Tensor:
    return torch.empty_like(columns)


def _cost(x: Tensor, y: Tensor | None, rows: Tensor, columns: Tensor, root: bool) -> Tensor:
    """Return the cost of each pair in each block: (B, D), (B, D), 2 x (N, k) -> (N, k, k)."""
    on_cpu = x.device.type == "cpu"
    # float32 suffices because blocks are centred; on an accelerator it could mean TF32
    precise = torch.float32 if on_cpu and x.dtype != torch.float64 else torch.float64
    step = max(1, (64 if on_cpu else 4096) // rows.shape[1])  # blocks at a time: they fit the cache
    source, cost = x if y is None else y, []
    size = min(step, len(rows)) * rows.shape[1]
    buffers = x.new_empty(2, size, x.shape[1], dtype=precise)  # used again, so they stay in cache
    for i, j in zip(rows.split(step), columns.split(step), strict=True):
        a, b = _gather(x, i, buffers[0]), _gather(source, j, buffers[1])  # (n, k, D)
        centre = a.mean(1, keepdim=True)  # a shift changes no distance, only the rounding
        a, b = a.sub_(centre), b.sub_(centre)
        if root:
            squares = [torch.linalg.vector_norm(t, dim=-1).square() for t in (a, b)]
            norms = squares[0].unsqueeze(2) + squares[1].unsqueeze(1)
            distance = torch.baddbmm(norms, a, b.mT, alpha=-2).clamp_(min=0).sqrt_()
            if y is None:  # rounding must not keep an example away from itself
                distance.masked_fill_(i.unsqueeze(2) == j.unsqueeze(1), 0.0)
            cost.append(distance)
        else:
            cost.append(-torch.bmm(a, b.mT))  # the norms are the same for every assignment
    return torch.cat(cost)


def _gather(x: Tensor, index: Tensor, buffer: Tensor) -> Tensor:
    """Return the rows of `x` at (n, k) indices as (n, k, D), written into the buffer."""
    out = buffer[: index.numel()]
    if x.dtype == out.dtype:
        torch.index_select(x, 0, index.flatten(), out=out)
    else:
        out.copy_(x.index_select(0, index.flatten()))
    return out.view(*index.shape, -1)


def _assign(cost: Tensor) -> Tensor:
    """Return the cheapest assignment of each block, (N, k, k) -> (N, k) columns."""
    k = cost.shape[-1]
    on_device = k <= _ENUMERATED and cost.device.type != "cpu"
    if not on_device and not bool(cost.isfinite().all()):
        raise ValueError("OptimalPairing: expected finite features to match, but got NaN or inf")
    if k <= _ENUMERATED:
        candidates = torch.tensor(list(itertools.permutations(range(k))), device=cost.device)
        entries = candidates + k * torch.arange(k, device=cost.device)  # (k!, k) in a flat block
        return candidates[cost.flatten(1)[:, entries].sum(-1).argmin(-1)]
    solved = np.stack([linear_sum_assignment(block)[1] for block in cost.cpu().numpy()])
    return torch.from_numpy(solved).to(cost.device)


class PairStatistics(NamedTuple):
    """Shares of the pairs of a draw.

    Attributes:
        self_pairs: share of examples that are their own partner (not mixed at all).
        same_class: share of examples whose partner has the same class, self-pairs included.
    """

    self_pairs: float
    same_class: float


def pair_statistics(partner: Tensor, y: Tensor, other: Tensor | None = None) -> PairStatistics:
    """Return the self-pair rate and the same-class rate of a draw.

    Args:
        partner: (B,) index of each example's partner.
        y: (B,) classes, or (B, K) soft targets, whose class is the arg max.
        other: targets of the second batch if `partner` points there; there are no self-pairs then.

    Raises:
        ValueError: shapes do not match.

    Example:
        >>> pair_statistics(torch.tensor([0, 2, 1, 3]), torch.tensor([5, 7, 7, 7]))
        PairStatistics(self_pairs=0.5, same_class=1.0)
    """
    if partner.ndim != 1 or len(partner) != len(y):
        raise ValueError(
            f"partner: expected ({len(y)},) for targets {tuple(y.shape)}, "
            f"but got {tuple(partner.shape)}"
        )
    partner = partner.to(y.device)
    mine = y.argmax(-1) if y.ndim > 1 else y
    theirs = mine if other is None else (other.argmax(-1) if other.ndim > 1 else other)
    own = partner == torch.arange(len(y), device=y.device)
    return PairStatistics(
        0.0 if other is not None else own.double().mean().item(),
        (mine == theirs[partner]).double().mean().item(),
    )
