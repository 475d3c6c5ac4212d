"""One object for every mixing method of the three texts."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmlib import checks
from mmlib.mixing import forward, residual, sites
from mmlib.mixing.draw import Draw, Mixed, batch_size, first_mixed, fits, restrict
from mmlib.mixing.job import Job, mix, moved
from mmlib.mixing.law import Law, uniforms
from mmlib.mixing.losses import soft_targets
from mmlib.mixing.pairing import Permutation
from mmlib.mixing.sites import INPUT

_LOOK_EVERY = 100  # steps between checks that need the value of a tensor on an accelerator


class Mixup:
    r"""Mix the hidden states of any model, and the targets with them.

    .. math::
        \tilde h_i = \lambda\, h_k(x_i) + (1 - \lambda)\, h_k(x_{p(i)}), \qquad
        \tilde t_i = \lambda\, t_i + (1 - \lambda)\, t_{p(i)}

    Manifold Mixup v1, section 2: draw a layer k of the eligible ones, lambda ~ Beta(alpha, alpha)
    and partners p, run the network on the mixed state. ``layers=("input",)`` is input mixup,
    ``pairing=OptimalPairing(k)`` k-mixup, ``detach=True`` blocks the gradient at the mix.

    Under torch.compile compile the model, not the step that mixes: this call is never traced.

    Equal generators give equal lambdas and partners for any alpha and layer set, so that runs that
    differ only in those are paired. Draws are made on the CPU and agree on every device.

    Args:
        alpha: parameter of the law of lambda.
        layers: where; "input" (the model's argument) or dotted names of submodules, whose output is
            mixed. Drawn uniformly; a name given twice is twice as likely. "name@1" is the second
            call of a module that a forward pass calls several times.
        law: "beta", "uniform" or "fixed", see `Law`.
        lam: the lambda of the fixed law (implied when lam is given).
        fold: None, "min" or "max" of lambda and 1 - lambda.
        pairing: `Permutation`, `OptimalPairing`, `AcrossHalves` or `WithinHalves`.
        per_example: what is drawn per example instead of per batch: False, True (both), or a tuple
            of "lam" and "layer". With a layer per example, examples are paired among those with the
            same layer, so that each mix is one of two clean states.
        detach: whether the mixed state is detached, so that the layers before it get no gradient.
        num_classes: K, for class indices; by default the last dimension of the logits.
        generator: source of the draws; by default torch's global one.
        batch_dim: batch dimension of the features (and of x, for "input"), or {layer: dimension};
            0 unless said.
        select: where the tensor is in the output of a module that returns a tuple or dict: a key, a
            tuple of keys, or {layer: ...}.

    Raises:
        TypeError, ValueError: a setting is outside its range; the message names it.

    Example:
        >>> from mmlib.mixing import Mixup, soft_cross_entropy
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))
        >>> x, y = torch.randn(4, 2), torch.tensor([0, 1, 2, 0])
        >>> mixup = Mixup(2.0, ("input", "0"), generator=torch.Generator().manual_seed(1))
        >>> mixed = mixup(net, x, y)
        >>> mixed.layer, round(mixed.lam.item(), 4), mixed.partner.tolist()
        ('input', 0.3067, [3, 2, 0, 1])
        >>> soft_cross_entropy(mixed.logits, mixed.targets).backward()
    """

    def __init__(
        self,
        alpha: float = 1.0,
        layers: Sequence[str] = (INPUT,),
        *,
        law: str = "beta",
        lam: float | None = None,
        fold: str | None = None,
        pairing: Permutation | None = None,
        per_example: bool | Sequence[str] = False,
        detach: bool = False,
        num_classes: int | None = None,
        generator: torch.Generator | None = None,
        batch_dim: int | Mapping[str, int] | None = None,
        select: Any = None,
    ) -> None:
        fixed = lam is not None and law == "beta"
        self.law = Law("fixed" if fixed else law, alpha, lam, fold)
        self.layers = _layers(layers)
        pairing = Permutation() if pairing is None else pairing
        self.pairing = _instance("pairing", pairing, Permutation)
        self.per_example = _per_example(per_example)
        self.detach = checks.boolean("detach", detach)
        if num_classes is not None:
            num_classes = checks.integer("num_classes", num_classes, low=1)
        self.num_classes = num_classes
        if generator is not None:
            _instance("generator", generator, torch.Generator)
        self.generator = generator
        self.batch_dim = _per_layer("batch_dim", batch_dim, self.layers)
        for dim in self.batch_dim.values():
            checks.integer("batch_dim", dim)
        self.select = _per_layer("select", select, self.layers, not_input=True)
        self.select = {layer: forward.path_of(keys) for layer, keys in self.select.items()}
        if "layer" in self.per_example and not self.pairing.grouped:
            raise ValueError(f"pairing: {self.pairing!r} needs one layer for the whole batch")
        self._seen: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()

    @sites.untraced
    def __call__(
        self, model: nn.Module, x: Any, y: Tensor, *, other: tuple[Any, Tensor] | None = None
    ) -> Mixed:
        """Draw, run the model with one mix, mix the targets.

        Args:
            model: any module in training mode.
            x: its input; B examples.
            y: (B,) integer classes or (B, K) soft targets.
            other: (x2, y2), a second batch of the same size from which the partners come. Its
                hidden states take a forward pass of their own up to the layer, so batch-norm layers
                before it see each batch by itself, those after it the mixed batch only.

        Returns:
            A `Mixed`.

        Raises:
            RuntimeError: the model is in eval mode (use `mix_at` to measure); a layer is not
                reached in the forward pass or called several times; nothing changed although
                lambda < 1 and partners differ (looked at in each step on the CPU; on an
                accelerator, where looking means waiting, at the first step and each 100th).
            TypeError: targets of a wrong dtype, features that are no floating tensor.
            ValueError: unknown layer (the message lists the nearest names), target or feature
                shapes that do not fit.

        Warns:
            ResidualBranchWarning: at the first mix at a layer that something flows around.
        """
        self._check(model, self.layers)
        size = batch_size(y, "y")
        return self.apply(model, x, y, self.draw(size, other=other is not None), other=other)

    @sites.untraced
    def draw(self, size: int, *, other: bool = False) -> Draw:
        """Draw layer, lambda and partners for `size` examples, in this order.

        Example:
            >>> Mixup(lam=0.25, generator=torch.Generator().manual_seed(0)).draw(3).lam
            tensor(0.2500, dtype=torch.float64)
        """
        size = checks.integer("size", size, low=1)
        many_layers = "layer" in self.per_example
        n_layers = size if many_layers else 1
        u = uniforms(n_layers + (size if "lam" in self.per_example else 1), self.generator)
        lam = self.law.quantile(u[n_layers:])
        lam = lam if "lam" in self.per_example else lam[0]
        names = [self.layers[int(v * len(self.layers))] for v in u[:n_layers].tolist()]
        order = self.pairing.draw(size, self.generator, other=other)
        orders = {names[0]: order}
        if many_layers:
            orders = {name: restrict(order, names, name, other) for name in dict.fromkeys(names)}
        layer = tuple(names) if many_layers else names[0]
        if self.pairing.needs_features:
            k = min(self.pairing.effective_k(o.shape[1], other=other) for o in orders.values())
            return Draw(size, layer, lam, None, orders, k, other)
        partner = torch.empty(size, dtype=torch.long)
        for part in orders.values():
            partner[part[0]] = self.pairing.match(part)
        return Draw(size, layer, lam, partner, other=other)

    @sites.untraced
    def apply(
        self,
        model: nn.Module,
        x: Any,
        y: Tensor,
        draw: Draw,
        *,
        other: tuple[Any, Tensor] | None = None,
    ) -> Mixed:
        """Run the model with the mix that `draw` describes; see `__call__`.

        Raises:
            ValueError: the draw is for another batch size, or for a second batch that is not there.
        """
        self._check(model, draw.layers())
        x2, y2 = _pair(other)
        fits(draw, y, y2)
        jobs = self._jobs(model, x, x2, draw)
        logits = forward.run(model, x, jobs)
        self._verify(jobs, x, x2)
        if draw.partner is None:
            draw = dataclasses.replace(draw, partner=_assembled(jobs))
        return self._mixed(logits, y, y2, draw)

    def _check(self, model: nn.Module, layers: Sequence[str]) -> None:
        """Refuse a model in eval mode; look up each layer once per model."""
        if not isinstance(model, nn.Module):
            raise TypeError(f"model: expected a torch.nn.Module, but got {type(model).__name__}")
        if not sites.unwrap(model).training:
            raise RuntimeError(
                "model: expected training mode, but it is in eval mode, where Mixup never mixes; "
                "call model.train(), or mix_at(model, x, layer, lam, partner) to measure"
            )
        known = self._seen.setdefault(model, {})
        for layer in layers:
            if layer not in known:
                module = None if layer == INPUT else sites.resolve(model, layer)[0]
                sites.batch_dim_of(module, layer, self.batch_dim.get(layer))
                known[layer] = 0

    def _jobs(self, model: nn.Module, x: Any, x2: Any, draw: Draw) -> list[Job]:
        device = next((t.device for t in residual.tensors(x)), torch.device("cpu"))
        layers = draw.layers()
        second = {}
        if draw.other:
            second = forward.capture_all(model, x2, {n: self.select.get(n, ()) for n in layers})
        jobs = []
        for layer in layers:
            steps = self._seen[model][layer]
            self._seen[model][layer] = steps + 1
            weight = draw.weight(layer)
            job = Job(
                layer,
                draw.size,
                moved(weight, device),
                None if draw.partner is None else moved(draw.partner, device),
                pairing=self.pairing,
                second=second.get(layer),
                path=self.select.get(layer, ()),
                dim=self.batch_dim.get(layer, 0),
                detach=self.detach,
                trace=steps == 0 and torch.is_grad_enabled(),
                look=steps % _LOOK_EVERY == 0,
            )
            if draw.partner is None:
                job.order = moved(draw.orders[layer], device)
            elif layer != INPUT:
                job.probe = first_mixed(draw.partner, weight, draw.other)
            jobs.append(job)
        return jobs

    def _verify(self, jobs: list[Job], x: Any, x2: Any) -> None:
        """Raise if a mix changed nothing although it should have."""
        for job in jobs:
            looked = job.unchanged is not None and (job.look or job.weight.device.type == "cpu")
            if job.name == INPUT or not looked or not bool(job.unchanged):
                continue
            partner, weight = job.partner.cpu(), job.weight.cpu()  # type: ignore[union-attr]
            i = first_mixed(partner, weight, job.second is not None)
            if i is None or _same_inputs(x, x if x2 is None else x2, partner, self.batch_dim):
                continue
            raise RuntimeError(
                f"layer {job.name!r}: the features did not change although 1 - lambda is "
                f"{float(weight.max()):.3g} and partners differ, so only the targets would be "
                f"mixed. Does this layer put out the same for every example, or is "
                f"batch_dim={job.dim} not its batch dimension?"
            )

    def _mixed(self, logits: Any, y: Tensor, y2: Tensor | None, draw: Draw) -> Mixed:
        k = self.num_classes
        tensor = isinstance(logits, Tensor)
        if k is None and not y.is_floating_point():
            if not tensor or logits.ndim < 2:
                raise ValueError(
                    f"num_classes: expected a number, because the model returns "
                    f"{sites.shape_of(logits)}"
                )
            k = logits.shape[-1]
        soft = soft_targets(y, k)
        if tensor and soft.shape != logits.shape:
            raise ValueError(
                f"y: targets {tuple(y.shape)} stand for {tuple(soft.shape)}, but the model returns "
                f"{tuple(logits.shape)}"
            )
        source = soft if y2 is None else soft_targets(y2, k)
        if source.shape != soft.shape:
            raise ValueError(
                f"other: expected targets like {tuple(soft.shape)}, but got {tuple(source.shape)}"
            )
        if torch.float64 in (source.dtype, soft.dtype, logits.dtype if tensor else None):
            soft, source = soft.double(), source.double()  # a float64 model keeps its precision
        partner = moved(draw.partner, soft.device)  # type: ignore[arg-type]  # found by now
        lam = moved(draw.lam, soft.device).to(soft.dtype)
        weight = moved(1 - draw.lam, soft.device)
        targets = mix(soft, source.index_select(0, partner), weight)
        return Mixed(logits, targets, lam, partner, draw.layer, draw)

    def __getstate__(self) -> dict:
        return {name: value for name, value in vars(self).items() if name != "_seen"}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state, _seen=weakref.WeakKeyDictionary())

    def __repr__(self) -> str:
        extra = {
            "per_example": self.per_example or None,
            "detach": self.detach or None,
            "num_classes": self.num_classes,
            "batch_dim": self.batch_dim or None,
            "select": self.select or None,
        }
        shown = "".join(f", {k}={v!r}" for k, v in extra.items() if v is not None)
        return f"Mixup(lam ~ {self.law}, layers={self.layers}, pairing={self.pairing!r}{shown})"


def _layers(layers: Sequence[str]) -> tuple[str, ...]:
    if isinstance(layers, str) or not isinstance(layers, Sequence):
        raise TypeError(f"layers: expected a tuple of names such as ('input',), but got {layers!r}")
    if not layers or not all(isinstance(name, str) and name for name in layers):
        raise ValueError(f"layers: expected one or more names, but got {layers!r}")
    return tuple(layers)


def _per_example(value: bool | Sequence[str]) -> tuple[str, ...]:
    if isinstance(value, bool):
        return ("lam", "layer") if value else ()
    for item in (value,) if isinstance(value, str) else value:
        checks.choice("per_example", item, ("lam", "layer"))
    return (value,) if isinstance(value, str) else tuple(value)


def _per_layer(
    name: str, value: Any, layers: tuple[str, ...], *, not_input: bool = False
) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        return {layer: value for layer in layers if not (not_input and layer == INPUT)}
    for layer in value:
        checks.choice(f"{name} (layers)", layer, layers)
    return dict(value)


def _pair(other: Any) -> tuple[Any, Tensor | None]:
    if other is None:
        return None, None
    if not isinstance(other, (tuple, list)) or len(other) != 2 or other[1] is None:
        raise TypeError(f"other: expected a second batch (x2, y2), but got {type(other).__name__}")
    return other[0], other[1]


def _instance(name: str, value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{name}: expected a {kind.__name__}, but got {value!r}")
    return value


def _same_inputs(x: Any, source: Any, partner: Tensor, dims: dict[str, int]) -> bool:
    """Return whether every example equals its partner before the model saw it."""
    dim = dims.get(INPUT, 0)
    if not isinstance(x, Tensor) or x.shape[dim] != len(partner):
        return False
    return torch.equal(x, source.index_select(dim, partner.to(x.device)))


def _assembled(jobs: list[Job]) -> Tensor:
    """Return the partners that the layers found, each for its own examples."""
    partner = jobs[0].partner.clone()  # type: ignore[union-attr]
    for job in jobs[1:]:
        partner[job.order[0]] = job.partner[job.order[0]]  # type: ignore[index]
    return partner
