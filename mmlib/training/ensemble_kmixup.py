"""k-mixup of many small networks as one batched program, paired wherever they can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmlib.checks import integer, number, positive
from mmlib.mixing import OptimalPairing, soft_cross_entropy
from mmlib.mixing.law import Law
from mmlib.mixing.losses import soft_targets
from mmlib.models.stacked import Stacked
from mmlib.training.ensemble_fit import EnsembleHistory, Watch, _finite_mean, _show


@dataclass(frozen=True)
class KMember:
    """How one network of a k-mixup ensemble is trained.

    Attributes:
        seed: Of its minibatches, partners, and of the uniform numbers behind lambda.
        k: Size of the sets that are matched; 1 is mixup, None is no mixing.
        alpha: lambda ~ Beta(alpha, alpha), one for each minibatch.
        sets: Where a minibatch finds its partners, see `mmlib.mixing.OptimalPairing`.
            ``"independent"``: in a second, independent minibatch of the whole data set;
            ``"disjoint"``: in other sets of its own; ``"batch"``: in its own permutation.
        cost: ``"sqeuclidean"`` or ``"euclidean"``.

    Raises:
        TypeError, ValueError: A field does not fit; the message names it.
    """

    seed: int = 0
    k: int | None = None
    alpha: float = 1.0
    sets: str = "independent"
    cost: str = "sqeuclidean"

    def __post_init__(self) -> None:
        integer("seed", self.seed, low=0)
        positive("alpha", self.alpha)
        OptimalPairing(1 if self.k is None else self.k, cost=self.cost, sets=self.sets)

    @property
    def pairing(self) -> OptimalPairing | None:
        """How partners are chosen; None without mixing."""
        return None if self.k is None else OptimalPairing(self.k, cost=self.cost, sets=self.sets)

    @property
    def matched(self) -> tuple[object, ...]:
        """Return what partners depend on; members that agree in it have the same ones."""
        if self.k is None:
            return ()
        return (self.seed, self.k, self.sets, None if self.k == 1 else self.cost)


def fit_kmixup(
    nets: Sequence[nn.Module],
    members: Sequence[KMember],
    x: Tensor,
    y: Tensor,
    *,
    epochs: int,
    batch_size: int,
    lr: float = 0.1,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    drops: Sequence[int] = (),
    drop: float = 0.1,
    inputs: Callable[[Tensor], Tensor] | None = None,
    loss: Callable[..., Tensor] = soft_cross_entropy,
    watch: Watch | None = None,
) -> EnsembleHistory:
    """Train networks of one shape side by side with k-mixup of their inputs, by SGD.

    A step of member e minimises the mean over its minibatch of ``L(f_e(lam x_i + (1 - lam) x_j),
    lam y_i + (1 - lam) y_j)``, where j = sigma(i) is the partner of i under the assignment that
    minimises the cost between two sets of k examples (k-Mixup, section 2; optimiser of section 5).

    Comparisons are paired. Members of one seed see the same minibatches. Those of one seed, k,
    `sets` and cost have the same partners. Lambda is the quantile of Beta(alpha, alpha) at a
    uniform number of the minibatch, so cells of one seed that differ in alpha alone differ in that
    quantile alone. No draw depends on which members there are: a network trained by itself has the
    same minibatches, partners and lambda to the last bit, and the same weights up to the rounding
    of the batched products.

    A k that does not divide the minibatch leaves a smaller last set in it; a last minibatch below
    k is matched as far as it reaches, and one of a single example is left out.

    Args:
        nets: E networks as `mmlib.models.stacked.Stacked` takes them, on the device of `x`; trained
            in place and left in eval mode.
        members: How each is trained.
        x: (N, ...) examples: bytes, or floats as the networks take them.
        y: (N,) int64 classes, or (N, K) float targets.
        epochs: Passes over the data.
        batch_size: Examples per update.
        lr: Learning rate.
        momentum: Of SGD.
        weight_decay: Coefficient c of ``c |w|^2 / 2``, added to the loss.
        drops: Numbers of epochs after which the learning rate is multiplied by `drop`.
        drop: See `drops`.
        inputs: Makes network inputs of bytes (`Dataset.inputs`); applied once to all of `x`.
        loss: Takes logits, targets and ``reduction="none"``.
        watch: Called as ``watch(epoch, nets)`` before training with 0 and after each epoch, with
            the plain networks in eval mode.

    Raises:
        ValueError: Numbers of networks, members or examples do not fit, a k does not fit into the
            minibatch (twice for disjoint sets), or `x` holds NaN or infinite values.
        TypeError: `x` holds bytes and `inputs` is missing.
        FloatingPointError: A loss is not finite; the message names member and epoch.

    Example:
        >>> from mmlib.models import mlp
        >>> x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
        >>> y = (x[:, 0] > 0).long()
        >>> nets = [mlp((2, 16, 2)) for _ in range(3)]
        >>> ways = [KMember(), KMember(k=1), KMember(k=16)]
        >>> history = fit_kmixup(nets, ways, x, y, epochs=40, batch_size=32)
        >>> plain, one, sixteen = history.train_loss[-1]
        >>> history.steps, plain < sixteen < one
        (80, True)
    """
    _check(nets, members, x, y, integer("batch_size", batch_size, low=2), inputs)
    points = (x if inputs is None else inputs(x)).flatten(1)
    if not bool(points.isfinite().all()):
        raise ValueError("x: expected finite inputs, but got NaN or infinite values")
    stack = Stacked(nets)
    weights = list(stack.parameters())
    classes = [part for part in nets[0].modules() if isinstance(part, nn.Linear)][-1].out_features
    run = _Run(members, points, soft_targets(y, classes).to(points.dtype))
    optimiser = torch.optim.SGD(
        weights,
        lr=positive("lr", lr),
        momentum=number("momentum", momentum, low=0, high=1),
        weight_decay=number("weight_decay", weight_decay, low=0),
        fused=True,
    )
    marks, drop = [integer("drops", d, low=0) for d in drops], positive("drop", drop)
    history = EnsembleHistory()
    _show(watch, 0, stack, nets)
    for epoch in range(1, integer("epochs", epochs, low=1) + 1):
        optimiser.param_groups[0]["lr"] = lr * drop ** sum(epoch > mark for mark in marks)
        losses = []
        for batch in run.epoch(batch_size):
            optimiser.zero_grad()
            value = loss(stack(batch[0]), batch[1], reduction="none").mean(1)
            value.sum().backward()
            optimiser.step()
            losses.append(value.detach())
        history.steps += len(losses)
        history.train_loss.append(_finite_mean(losses, epoch))
        _show(watch, epoch, stack, nets)
    stack.write_back(nets)
    for net in nets:
        net.eval()
    return history


@torch.no_grad()
def ensemble_logits(
    nets: Sequence[nn.Module],
    x: Tensor,
    *,
    inputs: Callable[[Tensor], Tensor] | None = None,
    batch_size: int = 1000,
) -> Tensor:
    """Return the logits of all members at the same examples, (E, N, K).

    Args:
        nets: E networks as `mmlib.models.stacked.Stacked` takes them.
        x: (N, ...) examples: bytes, or floats as the networks take them.
        inputs: Makes network inputs of bytes (`Dataset.inputs`).
        batch_size: Examples at a time; has no influence beyond rounding.

    Raises:
        ValueError: There is no example.
        TypeError: `x` holds bytes and `inputs` is missing.

    Example:
        >>> from mmlib.models import mlp
        >>> ensemble_logits([mlp((2, 8, 3)) for _ in range(4)], torch.zeros(5, 2)).shape
        torch.Size([4, 5, 3])
    """
    if len(x) == 0:
        raise ValueError("x: expected at least one example, but got none")
    _require_inputs(x, inputs)
    stack = Stacked(nets).eval()
    parts = x.split(integer("batch_size", batch_size, low=1))
    rows = ((part if inputs is None else inputs(part)).flatten(1) for part in parts)
    return torch.cat([stack(part.expand(len(nets), -1, -1)) for part in rows], dim=1)


@dataclass(frozen=True)
class _Draws:
    """What is random in an epoch of one seed, drawn whatever its members need of it.

    Attributes:
        first: (n,) the minibatches, one behind the other.
        second: (n,) as many examples in an order of their own, for independent sets.
        shuffled: (n,) `first`, permuted within each minibatch, for sets of one batch.
        u: (steps,) uniform numbers behind lambda.
    """

    first: Tensor
    second: Tensor
    shuffled: Tensor
    u: Tensor

    @classmethod
    def of(cls, generator: torch.Generator, total: int, ends: Sequence[int]) -> _Draws:
        n, sizes = ends[-1], torch.tensor([b - a for a, b in zip((0, *ends), ends, strict=False)])
        first = torch.randperm(total, generator=generator)[:n]
        second = torch.randperm(total, generator=generator)[:n]
        batch = torch.arange(len(sizes)).repeat_interleave(sizes)
        keys = batch + torch.rand(n, generator=generator, dtype=torch.float64)
        u = torch.rand(len(sizes), generator=generator, dtype=torch.float64)
        return cls(first, second, first[keys.argsort()], u)


class _Run:
    """The data and the draws of a joint run."""

    def __init__(self, members: Sequence[KMember], x: Tensor, targets: Tensor) -> None:
        self.x, self.targets = x, targets
        seeds = list(dict.fromkeys(member.seed for member in members))
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.laws = [None if m.k is None else Law("beta", m.alpha) for m in members]
        self.seed_of = [seeds.index(member.seed) for member in members]
        self.by_seed = torch.tensor(self.seed_of, device=x.device)
        ways = {m.matched: m for m in members if m.k is not None}
        self.ways = [(way.pairing, seeds.index(way.seed)) for way in ways.values()]
        # Without mixing the weight of the partner is 0, so any partner will do.
        way_of = [0 if m.k is None else [*ways].index(m.matched) for m in members]
        self.by_way = torch.tensor(way_of, device=x.device)

    def epoch(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the mixed inputs (E, B, D) and targets (E, B, K) of each minibatch of an epoch."""
        total = len(self.x)
        ends = [*range(size, total + 1, size)] + [total] * (total % size > 1)
        draws = [_Draws.of(generator, total, ends) for generator in self.generators]
        first = torch.stack([draw.first for draw in draws])
        found = [_partners(way, draws[seed], self.x, size) for way, seed in self.ways]  # type: ignore[arg-type]
        partner = torch.stack(found) if found else first[:1]
        first, partner = first.to(self.x.device), partner.to(self.x.device)
        lam = self.weights(draws)
        for step, end in enumerate(ends):
            batch = slice(step * size, end)
            own, other = first[:, batch], partner[:, batch]
            yield tuple(  # type: ignore[misc]  # two of them
                torch.lerp(rows[other][self.by_way], rows[own][self.by_seed], lam[step])
                for rows in (self.x, self.targets)
            )

    def weights(self, draws: Sequence[_Draws]) -> Tensor:
        """Return lambda of each step and member, (steps, E, 1, 1)."""
        lam = [
            torch.ones_like(draws[s].u) if law is None else law.quantile(draws[s].u)
            for law, s in zip(self.laws, self.seed_of, strict=True)
        ]
        return torch.stack(lam, 1).to(self.x)[:, :, None, None]


def _partners(pairing: OptimalPairing, draws: _Draws, x: Tensor, size: int) -> Tensor:
    """Return the partner of each row of an epoch, (n,).

    What `OptimalPairing.match` finds minibatch for minibatch, with the sets of all minibatches of
    one size in one call.
    """
    independent = pairing.sets == "independent"
    columns = {"independent": draws.second, "disjoint": draws.first, "batch": draws.shuffled}
    n = len(draws.first)
    whole, found = n // size * size, []
    for a, b, width in ((0, whole, size), (whole, n, n - whole)):
        if a == b:
            continue
        rows, others = (t[a:b].view(-1, width) for t in (draws.first, columns[pairing.sets]))
        k = pairing.effective_k(width, other=independent)
        if pairing.sets == "disjoint":
            others = others.roll(-k, 1)
        cut = width // k * k
        sets = [(rows[:, :cut], others[:, :cut], k), (rows[:, cut:], others[:, cut:], width - cut)]
        parts = [_matched(i, j, x, own, pairing) for i, j, own in sets if own]
        found.append(torch.cat(parts, 1).flatten())
    return torch.cat(found)


def _matched(rows: Tensor, columns: Tensor, x: Tensor, k: int, pairing: OptimalPairing) -> Tensor:
    """Return partners within sets of k, (steps, m) each way with m a multiple of k."""
    if pairing.k == 1:
        return columns
    i, j = (t.flatten().to(x.device) for t in (rows, columns))
    partner = torch.ops.mmlib.optimal_pairs(x, None, i, j, k, pairing.cost == "euclidean")
    return partner.view(rows.shape).cpu()


def _require_inputs(x: Tensor, inputs: object) -> None:
    if x.dtype == torch.uint8 and inputs is None:
        raise TypeError("x: uint8 images need inputs=..., e.g. the inputs method of their set")


def _check(
    nets: Sequence[nn.Module],
    members: Sequence[KMember],
    x: Tensor,
    y: Tensor,
    batch_size: int,
    inputs: object,
) -> None:
    if len(nets) != len(members):
        raise ValueError(
            f"members: expected one for each of the {len(nets)} networks, but got {len(members)}"
        )
    if len(x) == 0 or len(x) != len(y):
        raise ValueError(f"x, y: expected equally many examples, but got {len(x)} and {len(y)}")
    if batch_size > len(x):
        raise ValueError(
            f"batch_size: expected 2 to {len(x)}, the number of examples, but got {batch_size}"
        )
    for member in members:
        most = batch_size // 2 if member.sets == "disjoint" and member.k != 1 else batch_size
        if member.k is not None and member.k > most:
            raise ValueError(
                f"k: expected at most {most} with {member.sets} sets and minibatches of "
                f"{batch_size}, but got {member.k}"
            )
    _require_inputs(x, inputs)
