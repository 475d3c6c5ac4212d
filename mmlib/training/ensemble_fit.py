"""Supervised training of many small networks as one batched program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mmlib.checks import boolean, choice, integer, number, positive
from mmlib.mixing import soft_cross_entropy
from mmlib.mixing.law import Law
from mmlib.mixing.losses import soft_targets
from mmlib.models.stacked import Stacked
from mmlib.training.fit import learning_rate

OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class Member:
    """How one network of an ensemble is trained.

    Attributes:
        seed: Of its batches, partners, and of the uniform numbers behind lambda and the layer.
        layers: Places to mix, one drawn for each batch; none for no mixing.
        alpha: lambda ~ Beta(alpha, alpha), one for each batch.
        detach: Block the gradient at the mix, so that it does not reach the layers before.
        weight_decay: Coefficient c of ``c |w|^2 / 2``, whose gradient is added to that of the loss.
        loss_scale: Factor of the loss. Under Adam it acts only against the weight decay.
        smoothing: Share of the target that is spread evenly over all classes.

    Raises:
        TypeError, ValueError: A field does not fit; the message names it.
    """

    seed: int = 0
    layers: tuple[str, ...] = ()
    alpha: float = 1.0
    detach: bool = False
    weight_decay: float = 0.0
    loss_scale: float = 1.0
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        integer("seed", self.seed, low=0)
        if isinstance(self.layers, str) or not all(isinstance(name, str) for name in self.layers):
            raise TypeError(f"layers: expected a tuple of names, but got {self.layers!r}")
        object.__setattr__(self, "layers", tuple(self.layers))
        positive("alpha", self.alpha)
        boolean("detach", self.detach)
        number("weight_decay", self.weight_decay, low=0)
        positive("loss_scale", self.loss_scale)
        number("smoothing", self.smoothing, low=0, high=1)


@dataclass
class EnsembleHistory:
    """What a joint training run leaves behind besides the weights.

    Attributes:
        train_loss: Per epoch the loss of each member, mean over its batches, on its mixed and
            smoothed targets and without `loss_scale`.
        steps: Number of updates of each member.
    """

    train_loss: list[list[float]] = field(default_factory=list)
    steps: int = 0


Watch = Callable[[int, Sequence[nn.Module]], None]


def fit_ensemble(
    nets: Sequence[nn.Module],
    members: Sequence[Member],
    x: Tensor,
    y: Tensor,
    *,
    epochs: int,
    batch_size: int,
    lr: float = 1e-3,
    optimizer: str = "adam",
    momentum: float = 0.9,
    schedule: str = "constant",
    loss: Callable[..., Tensor] = soft_cross_entropy,
    inputs: Callable[[Tensor], Tensor] | None = None,
    watch: Watch | None = None,
) -> EnsembleHistory:
    """Train networks of one shape side by side, each with its own way of mixing.

    In each step member e minimises ``s_e L(f_e(mix), lam y + (1 - lam) y')``, mixed with a permuted
    copy of its batch at one of its layers. Members of one seed see the same batches, partners and
    uniform numbers: lambda is the quantile of Beta(alpha, alpha) at that number, so methods and
    values of alpha are compared in pairs. No member feels another: a network trained alone ends
    with the same weights up to rounding.

    Args:
        nets: E networks as `mmlib.models.stacked.Stacked` takes them, on the device of `x`; trained
            in place and left in eval mode.
        members: How each is trained.
        x: (N, ...) examples: bytes, or floats as the networks take them.
        y: (N,) int64 classes, or (N, K) float targets.
        epochs: Passes over the data.
        batch_size: Examples per update; the last batch of a pass has what is left, and is left out
            if that is a single example, which batch norm cannot take.
        lr: Learning rate.
        optimizer: ``"adam"`` or ``"sgd"``.
        momentum: Of ``"sgd"``.
        schedule: ``"constant"`` or ``"cosine"``.
        loss: Takes logits, targets and ``reduction="none"``.
        inputs: Makes network inputs of a batch of bytes (`Dataset.inputs`).
        watch: Called as ``watch(epoch, nets)`` before training with 0 and after each epoch, with
            the plain networks in eval mode.

    Raises:
        ValueError: Numbers of networks, members or examples do not fit, or a layer is no place to
            mix of these networks.
        TypeError: `x` holds bytes and `inputs` is missing.
        FloatingPointError: A loss is not finite; the message names member and epoch.

    Example:
        >>> from mmlib.models.bottleneck import bottleneck
        >>> x = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
        >>> y = (x[:, 0] > 0).long()
        >>> nets = [bottleneck(6, 2, width=16, seed=0) for _ in range(2)]
        >>> ways = [Member(), Member(layers=("code",), alpha=2.0)]
        >>> history = fit_ensemble(nets, ways, x, y, epochs=30, batch_size=16, lr=0.01)
        >>> history.steps, history.train_loss[-1][0] < 0.1 < history.train_loss[-1][1]
        (120, True)
    """
    epochs = integer("epochs", epochs, low=1)
    _check(nets, members, x, y, integer("batch_size", batch_size, low=1), inputs)
    stack = Stacked(nets)
    run = _Run(stack, members, x, soft_targets(y, _classes(nets[0])), loss, inputs)
    weights = list(stack.parameters())
    rates = {"lr": positive("lr", lr), "schedule": choice("schedule", schedule, SCHEDULES)}
    optimiser = (
        torch.optim.Adam(weights, lr=lr)
        if choice("optimizer", optimizer, OPTIMIZERS) == "adam"
        else torch.optim.SGD(weights, lr=lr, momentum=number("momentum", momentum, low=0, high=1))
    )
    history = EnsembleHistory()
    total = epochs * run.batches(batch_size)
    _show(watch, 0, stack, nets)
    for epoch in range(1, epochs + 1):
        losses = []
        for rows in run.order(batch_size):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(history.steps, total, **rates)
            optimiser.zero_grad(set_to_none=False)
            losses.append(run.backward(rows))
            run.decay(weights)
            optimiser.step()
            history.steps += 1
        history.train_loss.append(_finite_mean(losses, epoch))
        _show(watch, epoch, stack, nets)
    stack.write_back(nets)
    for net in nets:
        net.eval()
    return history


class _Run:
    """The data and the draws of a joint run."""

    def __init__(
        self,
        stack: Stacked,
        members: Sequence[Member],
        x: Tensor,
        targets: Tensor,
        loss: Callable[..., Tensor],
        inputs: Callable[[Tensor], Tensor] | None,
    ) -> None:
        self.stack, self.members, self.loss, self.inputs = stack, members, loss, inputs
        self.x, self.targets, device = x, targets, x.device
        seeds = list(dict.fromkeys(member.seed for member in members))
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.seed_of = torch.tensor([seeds.index(m.seed) for m in members], device=device)
        self.laws = [Law("beta", m.alpha) for m in members]
        self.detached = torch.tensor([m.detach for m in members], device=device)[:, None, None]
        column = torch.tensor([m.smoothing for m in members], device=device)
        self.smoothing = column[:, None, None]
        self.scale = torch.tensor([m.loss_scale for m in members], device=device)
        self.weight_decay = torch.tensor([m.weight_decay for m in members], device=device)

    def batches(self, size: int) -> int:
        """Return the number of updates in an epoch."""
        whole, rest = divmod(len(self.x), size)
        return whole + (rest > 1)

    def order(self, size: int) -> list[Tensor]:
        """Return the batches of an epoch, (seeds, B) rows each."""
        orders = torch.stack([torch.randperm(len(self.x), generator=g) for g in self.generators])
        return list(orders.to(self.x.device).split(size, dim=1))[: self.batches(size)]

    def backward(self, rows: Tensor) -> Tensor:
        """Add the gradient of one batch; return the members' losses."""
        partner, lam, layer = self.draw(rows.shape[1])
        mixed_here: dict[str, Tensor] = {}
        for name in set(layer) - {None}:
            at = torch.tensor([one == name for one in layer], device=self.x.device)
            mixed_here[name] = torch.where(at, lam, torch.ones_like(lam))[:, None, None]  # type: ignore[index]

        def at(site: str, h: Tensor) -> Tensor:  # type: ignore[no-redef]
            if site not in mixed_here:
                return h
            other = h.gather(1, partner.view(*partner.shape, *[1] * (h.ndim - 2)).expand_as(h))
            # With weight 1 lerp returns h itself, so members that do not mix here are untouched.
            mixed = torch.lerp(other, h, mixed_here[site].to(h.dtype))
            if not self.detached.any():
                return mixed
            block = self.detached & (mixed_here[site] < 1)
            return torch.where(block, mixed.detach(), mixed)

        y = self.targets[rows][self.seed_of]
        y = torch.lerp(y, torch.full_like(y, 1 / y.shape[2]), self.smoothing)
        other = y.gather(1, partner[:, :, None].expand_as(y))
        value = self.loss(
            self.stack(self.batch(rows), at),
            torch.lerp(other, y, lam[:, None, None]),
            reduction="none",
        ).mean(1)
        (value * self.scale).sum().backward()
        return value.detach()

    def batch(self, rows: Tensor) -> Tensor:
        """Return the members' inputs, (E, B, n) floats."""
        x = self.x[rows.flatten()]
        x = x if self.inputs is None else self.inputs(x)
        x = x.reshape(*rows.shape, -1)
        # Expanding one batch costs no memory; several seeds have batches of their own.
        return x.expand(len(self.members), -1, -1) if len(rows) == 1 else x[self.seed_of]

    def draw(self, size: int) -> tuple[Tensor, Tensor, list[str | None]]:
        """Return partners (E, B), lambda (E,) and the layer of each member."""
        partners = torch.stack([torch.randperm(size, generator=g) for g in self.generators])
        u = torch.stack([torch.rand(2, generator=g, dtype=torch.float64) for g in self.generators])[
            self.seed_of.cpu()
        ]
        lam = torch.stack([law.quantile(u[e, :1])[0] for e, law in enumerate(self.laws)])
        layer = [
            member.layers[int(u[e, 1] * len(member.layers))] if member.layers else None
            for e, member in enumerate(self.members)
        ]
        mixes = torch.tensor([name is not None for name in layer])
        lam = torch.where(mixes, lam, torch.ones_like(lam)).float().to(self.x.device)
        return partners.to(self.x.device)[self.seed_of], lam, layer

    @torch.no_grad()
    def decay(self, weights: Sequence[Tensor]) -> None:
        """Add the gradient of the weight decay."""
        if not self.weight_decay.any():
            return
        for weight in weights:
            # Batch norm keeps its numbers as one row over members and units.
            by_member = weight.view(len(self.members), -1)
            weight.grad.view_as(by_member).addcmul_(by_member, self.weight_decay[:, None])  # type: ignore[union-attr]


def _classes(net: nn.Module) -> int:
    return [part for part in net.modules() if isinstance(part, nn.Linear)][-1].out_features


def _check(
    nets: Sequence[nn.Module],
    members: Sequence[Member],
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
    if batch_size > len(x) or batch_size < 2:
        raise ValueError(
            f"batch_size: expected 2 to {len(x)}, the number of examples, but got {batch_size}"
        )
    if x.dtype == torch.uint8 and inputs is None:
        raise TypeError("x: uint8 images need inputs=..., e.g. the inputs method of their set")
    sites = ("input", *[name for name, _ in nets[0].named_children()][:-1])
    for member in members:
        for name in member.layers:
            choice("layers", name, sites)


def _finite_mean(losses: Sequence[Tensor], epoch: int) -> list[float]:
    mean = torch.stack(list(losses)).double().mean(0).cpu()
    bad = (~mean.isfinite()).nonzero().flatten().tolist()
    if bad:
        raise FloatingPointError(f"the loss of member {bad[0]} is not finite in epoch {epoch}")
    return mean.tolist()


def _show(watch: Watch | None, epoch: int, stack: Stacked, nets: Sequence[nn.Module]) -> None:
    if watch is None:
        return
    stack.write_back(nets)
    for net in nets:
        net.eval()
    with torch.no_grad():
        watch(epoch, nets)
