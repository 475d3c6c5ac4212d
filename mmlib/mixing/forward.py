"""The split f(x) = g_k(h_k(x)): take a hidden state, put one in, mix it."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mmlib import checks
from mmlib.mixing import residual, sites
from mmlib.mixing.job import Job
from mmlib.mixing.sites import INPUT


class _Stop(BaseException):
    """Ends a forward pass once the hidden state is there; not an error, so not an Exception."""


@sites.untraced
def capture(model: nn.Module, x: Any, layer: str, *, select: Any = ()) -> Tensor:
    """Return the hidden state h_k(x), the output of `layer`; the forward pass stops there.

    Manifold Mixup v1, section 2: f(x) = g_k(h_k(x)), see `resume`. Runs in whatever mode the model
    is in, keeps gradients, and runs a compiled model uncompiled.

    Args:
        model: any module.
        x: its input.
        layer: "input", a submodule's dotted name, or "name@n" for its n-th call.
        select: where in the output the tensor is, for a module that returns a tuple or a dict.

    Raises:
        ValueError: unknown layer (the error lists the nearest names).
        TypeError: the output is no floating tensor.
        RuntimeError: the layer is not reached in the forward pass.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> x = torch.randn(4, 2)
        >>> h = capture(net, x, "1")
        >>> h.shape, torch.equal(resume(net, x, "1", h), net(x))
        (torch.Size([4, 3]), True)
    """
    return capture_all(model, x, {layer: path_of(select)})[layer]


def capture_all(model: nn.Module, x: Any, paths: dict[str, tuple]) -> dict[str, Tensor]:
    """Return the hidden states of several layers, {layer: path in its output}, of one forward."""
    found: dict[str, Tensor] = {}
    if INPUT in paths:
        found[INPUT] = sites.pick(x, paths[INPUT], INPUT)
    grad = torch.is_grad_enabled()

    def watcher(name: str, call: int | None) -> Any:
        count = [0]

        def hook(module: nn.Module, args: tuple, output: Any) -> None:
            count[0] += 1
            if call is not None and count[0] != call + 1:
                return
            if grad and not torch.is_grad_enabled():
                raise RuntimeError(
                    f"layer {name!r}: expected a forward pass with gradients, but it runs without "
                    f"them here; with activation checkpointing use use_reentrant=False"
                )
            found[name] = sites.pick(output, paths[name], name)
            if len(found) == len(paths):
                raise _Stop

        return hook

    handles = []
    try:
        for name in paths:
            if name != INPUT:
                module, call = sites.resolve(model, name)
                handles.append(module.register_forward_hook(watcher(name, call)))
        if handles:
            with sites.eagerly():
                sites.unwrap(model)(x)
    except _Stop:
        pass
    finally:
        for handle in handles:
            handle.remove()
    for name in paths:
        if name not in found:
            raise _not_reached(name)
    return found


@sites.untraced
def resume(model: nn.Module, x: Any, layer: str, h: Tensor, *, select: Any = ()) -> Any:
    """Return g_k(h), the output of the model when `layer` puts out `h`.

    Manifold Mixup v1, section 2. The part before the layer still runs (and, in training mode,
    updates batch-norm statistics), with `x`, whose values do not matter unless something flows
    around the layer: then the model is not a composition there, see `eligible_sites`.

    Args:
        model: any module.
        x: an input of the right shape.
        layer: as in `capture`.
        h: the hidden state, of the shape that the layer puts out.
        select: as in `capture`.

    Raises:
        ValueError: unknown layer; `h` of another shape than the layer's output.
        RuntimeError: the layer is not reached in the forward pass.

    Example:
        >>> net = nn.Sequential(nn.Identity(), nn.Flatten())
        >>> resume(net, torch.zeros(1, 2), "0", torch.ones(1, 2))
        tensor([[1., 1.]])
    """
    path = path_of(select)
    if layer == INPUT:
        return model(sites.put(x, path, h))
    module, call = sites.resolve(model, layer)
    calls = [0]

    def hook(module: nn.Module, args: tuple, output: Any) -> Any:
        calls[0] += 1
        if call is not None and calls[0] != call + 1:
            return output
        if sites.pick(output, path, layer).shape != h.shape:
            raise ValueError(
                f"h: expected the shape of layer {layer!r}, {sites.shape_of(output)}, "
                f"but got {tuple(h.shape)}"
            )
        return sites.put(output, path, h)

    handle = module.register_forward_hook(hook)
    try:
        with sites.eagerly():
            output = sites.unwrap(model)(x)
    finally:
        handle.remove()
    if calls[0] <= (call or 0):
        raise _not_reached(layer)
    return output


@sites.untraced
def mix_at(
    model: nn.Module,
    x: Any,
    layer: str,
    lam: float | Tensor,
    partner: Tensor,
    *,
    select: Any = (),
    batch_dim: int | None = None,
) -> Any:
    r"""Return the model's output when the state at `layer` is mixed, in any mode.

    .. math:: g_k\big(\lambda h_k(x_i) + (1 - \lambda) h_k(x_{p(i)})\big)

    For measuring, where the mix is chosen and the model is in eval mode (Manifold Mixup v1,
    Figure 1); `Mixup` is for training.

    Args:
        model: any module.
        x: its input; B examples.
        layer: as in `capture`.
        lam: number in [0, 1], or (B,) of them.
        partner: (B,) indices in [0, B); any, not only a permutation.
        select: as in `capture`.
        batch_dim: batch dimension of the features, 0 unless said.

    Raises:
        ValueError: unknown layer, lam outside [0, 1], partner of a wrong shape or range, features
            whose batch dimension does not fit.
        RuntimeError: the layer is not reached, or is called several times.

    Example:
        >>> net = nn.Sequential(nn.Identity(), nn.Flatten()).eval()
        >>> mix_at(net, torch.tensor([[0.0], [4.0]]), "0", 0.75, torch.tensor([1, 0]))
        tensor([[1.],
                [3.]])
    """
    if not isinstance(partner, Tensor) or partner.ndim != 1 or partner.is_floating_point():
        raise TypeError(f"partner: expected integer indices (B,), but got {partner!r:.80}")
    size, module = partner.numel(), None
    if partner.device.type == "cpu" and size and not 0 <= partner.min() <= partner.max() < size:
        raise ValueError(f"partner: expected indices in [0, {size}), but got {partner!r:.80}")
    if isinstance(lam, Tensor):
        if lam.shape not in ((), (size,)):
            raise ValueError(f"lam: expected one number or ({size},), but got {tuple(lam.shape)}")
        if lam.device.type == "cpu" and size and not 0 <= lam.min() <= lam.max() <= 1:
            raise ValueError(f"lam: expected numbers in [0, 1], but got {lam!r:.80}")
    else:
        lam = torch.tensor(checks.number("lam", lam, low=0, high=1), dtype=torch.float64)
    if layer != INPUT:
        module, _ = sites.resolve(model, layer)
    dim = sites.batch_dim_of(module, layer, batch_dim)
    job = Job(layer, size, 1 - lam, partner.long(), path=path_of(select), dim=dim)
    return run(model, x, [job])


def run(model: nn.Module, x: Any, jobs: Sequence[Job]) -> Any:
    """Return the model's output with every job done; check that each was."""
    sites.let_compiled_code_see_hooks()
    hooked = []
    for job in jobs:
        if job.name == INPUT:
            x = sites.put(x, job.path, job.apply(sites.pick(x, job.path, INPUT)))
            job.calls = 1
        else:
            module, job.call = sites.resolve(model, job.name)
            hooked.append((module, job))
    if not hooked:
        return model(x)
    with sites.attached(hooked):
        output = model(x)
    for _, job in hooked:
        if job.calls <= (job.call or 0):
            raise _not_reached(job.name)
        if job.trace and _bypassed(model, x, job, output):
            warnings.warn(
                f"layer {job.name!r} lies inside a residual branch: part of the state flows around "
                f"it and is not mixed. Name the whole block instead (see eligible_sites).",
                residual.ResidualBranchWarning,
                stacklevel=4,
            )
        job.nodes = None
    return output


def _bypassed(model: nn.Module, x: Any, job: Job, output: Any) -> bool:
    """Return whether something flows around the mix, from the graph of this forward pass.

    Compiled code hides its graph: then one more forward pass, uncompiled and in eval mode so that
    it leaves no trace in batch-norm statistics or random generators, shows it.
    """
    if job.nodes is not None:
        return residual.bypassed(output, *job.nodes)
    module, call = sites.resolve(model, job.name)
    probe = dataclasses.replace(job, trace=True, probe=None, call=call, calls=0)
    probe.second = None
    inner = sites.unwrap(model)
    try:
        with sites.eagerly(), eval_mode(inner), sites.attached([(module, probe)]):
            output = inner(x)
    except Exception:  # a model that cannot run in eval mode gets no warning
        return False
    return probe.nodes is not None and residual.bypassed(output, *probe.nodes)


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Put the model into eval mode; give every submodule its own mode back."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


def _not_reached(name: str) -> RuntimeError:
    compiled = (
        " The model may have been compiled in a way that hides hooks: call torch.compiler.reset() "
        "after importing mmlib.mixing, or mix the uncompiled model."
        if "torch._dynamo" in sys.modules
        else ""
    )
    return RuntimeError(
        f"layer {name!r}: not reached in the forward pass, so nothing was mixed. The module's "
        f"forward must be called as module(x), in this mode, as often as named.{compiled}"
    )


def path_of(select: Any) -> tuple:
    """Return `select` (nothing, one key, or several) as a tuple of keys."""
    if select is None:
        return ()
    path = select if isinstance(select, tuple) else (select,)
    for key in path:
        if isinstance(key, bool) or not isinstance(key, (int, str)):
            raise TypeError(f"select: expected indices or names, but got {select!r}")
    return path


@sites.untraced
def eligible_sites(model: nn.Module, x: Any = None, *, tolerance: float = 1e-5) -> tuple[str, ...]:
    """Return the names at which the model can be mixed.

    Without `x` these are "input" and all submodules. With `x` each name is tried, in eval mode and
    without gradients: it stays if its module is called once, puts out a floating tensor with the
    batch first, and if the network factors there, f(x) = g_k(h_k(x)): another input must
    give the same output once the layer's output is replaced by h_k(x). So modules inside residual
    branches and on side branches fall out. Costs three forward passes per submodule.

    Args:
        model: any module; its mode is restored.
        x: a batch of at least two different examples.
        tolerance: largest relative difference taken for rounding.

    Raises:
        ValueError: `x` holds fewer than two examples, or the output does not depend on them.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> eligible_sites(net)
        ('input', '0', '1', '2', '3')
        >>> eligible_sites(net, torch.arange(8.0).view(2, 2, 2))
        ('input', '0', '1', '2', '3')
    """
    names = sites.module_names(model)
    if x is None:
        return (INPUT, *names)
    if not isinstance(x, Tensor) or len(x) < 2:
        raise ValueError(f"x: expected a batch of two or more examples, got {sites.shape_of(x)}")
    with torch.no_grad(), sites.eagerly(), eval_mode(model):
        expected, rolled = ([*residual.tensors(model(v))] for v in (x, x.roll(1, 0)))
        if _close(expected, rolled, tolerance):
            raise ValueError("x: the model's output does not depend on which example comes in")
        keep = [name for name in names if _factors(model, x, name, expected, tolerance)]
    return ((INPUT,) if x.is_floating_point() else ()) + tuple(keep)


def _factors(model: nn.Module, x: Tensor, name: str, expected: list, tolerance: float) -> bool:
    try:
        h = capture(model, x, name)
        if not h.ndim or len(h) != len(x):
            return False
        # A module that is called twice raises here, as in a mix.
        run(model, x, [Job(name, len(x), torch.zeros(()), torch.arange(len(x)))])
        resumed = resume(model, x.roll(1, 0), name, h)
        return _close(expected, [*residual.tensors(resumed)], tolerance)
    except (RuntimeError, TypeError, ValueError):
        return False


def _close(expected: list[Tensor], got: list[Tensor], tolerance: float) -> bool:
    return all(
        torch.allclose(a, b, rtol=tolerance, atol=tolerance * float(a.abs().max()))
        for a, b in zip(expected, got, strict=True)
        if a.is_floating_point()
    )
