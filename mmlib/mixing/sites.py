"""Where to mix: the input or the output of any submodule, by its dotted name.

A site is a forward hook that replaces the output of a module by its mix. It is attached for one
forward pass and removed after it, whatever happens. Activation checkpointing runs a part of the
forward again during the backward pass; the hook comes back for exactly that part, with the same
draw, and only in the recomputation of the forward pass it belongs to.
"""

from __future__ import annotations

import copy
import functools
import re
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.utils import checkpoint

from mmlib import checks
from mmlib.mixing.job import Job

INPUT = "input"
P = ParamSpec("P")
T = TypeVar("T")


def unwrap(model: nn.Module) -> nn.Module:
    """Return the module inside torch.compile's and DistributedDataParallel's wrappers."""
    while (inner := _inside(model)) is not None:
        model = inner
    return model


def _inside(model: nn.Module) -> nn.Module | None:
    if isinstance(model, nn.parallel.DistributedDataParallel):
        return model.module
    return getattr(model, "_orig_mod", None)


def resolve(model: nn.Module, name: str) -> tuple[nn.Module, int | None]:
    """Return the submodule called `name` and the number of the call to mix at.

    Wrappers may be named or left out: "layer1", "module.layer1", "_orig_mod.layer1" are the same.
    "block@1" is the second call of a module that the forward pass calls several times.

    Raises:
        TypeError: `name` is not a string or `model` not a module.
        ValueError: there is no such submodule; the error lists the nearest names.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: expected a torch.nn.Module, but got {type(model).__name__}")
    if isinstance(model, nn.DataParallel):
        raise TypeError(
            "model: nn.DataParallel splits the batch behind the caller's back, so partners would "
            "be lost; use DistributedDataParallel"
        )
    if isinstance(unwrap(model), torch.jit.ScriptModule):
        raise TypeError("model: TorchScript runs no hooks; mix the module it was made from")
    if not isinstance(name, str):
        raise TypeError(f"layer: expected the dotted name of a submodule, but got {name!r}")
    module = _descend(model, name)
    if module is not None and name:
        return module, None
    numbered = re.fullmatch(r"(.+)@(\d+)", name)
    module = _descend(model, numbered[1]) if numbered else None
    if module is not None:
        return module, int(numbered[2])  # type: ignore[index]  # it was found by its number
    known = [INPUT, *module_names(model)]
    raise ValueError(
        f"layer: expected 'input' or the name of a submodule of {type(unwrap(model)).__name__}, "
        f"but got {name!r}{checks.nearest(name, known) or '; there are ' + ', '.join(known[:12])}"
    )


def _descend(model: nn.Module, name: str) -> nn.Module | None:
    module = model  # type: Any
    for part in name.split("."):
        while part not in module._modules:
            module = _inside(module)
            if module is None:
                return None
        module = module._modules[part]
        if module is None:
            return None
    return module


def module_names(model: nn.Module) -> list[str]:
    """Return the dotted names of all submodules, without the names of wrappers."""
    names = (name.replace("_orig_mod.", "") for name, _ in unwrap(model).named_modules())
    return list(dict.fromkeys(name for name in names if name and name != "_orig_mod"))


def pick(output: Any, path: tuple, site: str) -> Tensor:
    """Return the tensor at `path` inside a module's output."""
    for key in path:
        try:
            output = output[key]
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(
                f"select: site {site!r} has no element {key!r} in its output {shape_of(output)}"
            ) from error
    if not isinstance(output, Tensor):
        raise TypeError(
            f"site {site!r}: expected a tensor to mix, but the output is {shape_of(output)}; say "
            f"which element to mix, for example select={{{site!r}: 0}}"
        )
    if output.is_nested or output.layout != torch.strided:
        raise TypeError(
            f"site {site!r}: expected a dense tensor, but got a nested or sparse one; for "
            f"nn.TransformerEncoder use enable_nested_tensor=False"
        )
    if not output.is_floating_point():
        raise TypeError(f"site {site!r}: expected floating values, but got {output.dtype}")
    return output


def put(output: Any, path: tuple, tensor: Tensor) -> Any:
    """Return the output with the tensor at `path` replaced; the original stays as it is."""
    if not path:
        return tensor
    key, inner = path[0], put(output[path[0]], path[1:], tensor)
    if isinstance(output, tuple):
        items = list(output)
        items[key] = inner
        return output._make(items) if hasattr(output, "_make") else type(output)(items)
    changed = copy.copy(output)
    changed[key] = inner
    return changed


def shape_of(output: Any) -> str:
    """Return a short description of a module's output for an error message."""
    if isinstance(output, Tensor):
        return f"{str(output.dtype).removeprefix('torch.')}{tuple(output.shape)}"
    if isinstance(output, (tuple, list)):
        return f"{type(output).__name__}({', '.join(map(shape_of, output))})"
    return f"a {type(output).__name__}"


def batch_dim_of(module: nn.Module | None, name: str, given: int | None) -> int:
    """Return the batch dimension of a site, or refuse to guess where 0 would be a trap.

    Raises:
        ValueError: the module is sequence-first (``batch_first=False``) and nothing was said.
    """
    if given is not None:
        return given
    inner = unwrap(module) if module is not None else None
    if isinstance(inner, nn.TransformerEncoder | nn.TransformerDecoder):
        inner = inner.layers[0]
    inner = getattr(inner, "self_attn", inner)
    if isinstance(inner, nn.RNNBase | nn.MultiheadAttention) and not inner.batch_first:
        raise ValueError(
            f"batch_dim: site {name!r} is sequence-first (batch_first=False), its batch dimension "
            f"is 1; say batch_dim={{{name!r}: 1}} (or 0 to mix along its first dimension)"
        )
    return 0


class Hook:
    """The forward hook of one module; the same object each time, so compiled code stays valid."""

    def __init__(self) -> None:
        self.job: Job = None  # type: ignore[assignment]  # only while attached

    def __call__(self, module: nn.Module, args: tuple, output: Any) -> Any:
        """Return the output with its tensor mixed."""
        job = self.job
        call = job.calls
        job.calls = call + 1
        if job.call is None and call:
            raise RuntimeError(
                f"site {job.name!r}: the forward pass calls this module more than once; name one "
                f"call, {job.name + '@0'!r} or {job.name + '@1'!r} ..."
            )
        if job.call is not None and call != job.call:
            return output
        return put(output, job.path, job.apply(pick(output, job.path, job.name)))


_HOOKS: weakref.WeakKeyDictionary[nn.Module, dict[str, Hook]] = weakref.WeakKeyDictionary()


@contextmanager
def attached(pairs: list[tuple[nn.Module, Job]]) -> Iterator[None]:
    """Attach the jobs to their modules; always detach them, also after an exception.

    Raises:
        RuntimeError: a module is being mixed already.
    """
    placed = []
    try:
        for module, job in pairs:
            key = f"mmlib.mixing@{job.call}"
            if key in module._forward_hooks:
                raise RuntimeError(f"site {job.name!r}: this module is being mixed already")
            hook = _HOOKS.setdefault(module, {}).setdefault(key, Hook())
            hook.job = job
            module._forward_hooks[key] = hook  # type: ignore[index]  # any hashable key serves
            placed.append((module, key, hook))
        with _checkpoints_remember(pairs):
            yield
    finally:
        for module, key, hook in placed:
            module._forward_hooks.pop(key, None)  # type: ignore[call-overload]
            hook.job = None  # type: ignore[assignment]


class _Recomputation:
    """A checkpointed function: run again in the backward pass, it runs with the same mixes."""

    def __init__(self, function: Any, pairs: list[tuple[nn.Module, Job]], forward: dict) -> None:
        self.function, self.pairs, self.forward = function, pairs, forward
        self.calls = [job.calls for _, job in pairs]  # a module's calls before this function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.forward["running"]:
            return self.function(*args, **kwargs)
        jobs = [copy.copy(job) for _, job in self.pairs]
        for job, calls in zip(jobs, self.calls, strict=True):
            job.calls, job.trace, job.probe = calls, False, None
        with attached([(m, job) for (m, _), job in zip(self.pairs, jobs, strict=True)]):
            return self.function(*args, **kwargs)


# The functions inside torch.utils.checkpoint that receive the function to run again.
_GENERATORS = [
    name
    for name in (
        "_checkpoint_without_reentrant_generator",  # up to torch 2.14
        "_checkpoint_without_reentrant_generator_impl",
    )
    if hasattr(checkpoint, name)
]


@contextmanager
def _checkpoints_remember(pairs: list[tuple[nn.Module, Job]]) -> Iterator[None]:
    forward = {"running": True}
    originals = {name: getattr(checkpoint, name) for name in ("CheckpointFunction", *_GENERATORS)}

    def remember(original: Any) -> Any:
        def run(function: Any, *args: Any, **kwargs: Any) -> Any:
            if not isinstance(function, _Recomputation):  # one of these calls another
                function = _Recomputation(function, pairs, forward)
            return original(function, *args, **kwargs)

        return run

    for name in _GENERATORS:
        setattr(checkpoint, name, remember(originals[name]))
    apply = remember(originals["CheckpointFunction"].apply)
    checkpoint.CheckpointFunction = types.SimpleNamespace(apply=apply)  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        forward["running"] = False
        for name, original in originals.items():
            setattr(checkpoint, name, original)


def let_compiled_code_see_hooks() -> None:
    """Make torch.compile look at hooks.

    By default it ignores hooks that appear after the first call. The setting costs nothing
    measurable; it is changed once, and code compiled before is compiled again.
    """
    dynamo = sys.modules.get("torch._dynamo")
    if dynamo is not None and dynamo.config.skip_nnmodule_hook_guards:
        dynamo.config.skip_nnmodule_hook_guards = False
        torch.compiler.reset()


def untraced(function: Callable[P, T]) -> Callable[P, T]:
    """Keep torch.compile out of a function that a compiled function calls.

    Draws come from an explicit generator and hooks come and go: a traced copy of that would be
    wrong or slow. The model inside may be a compiled one. (`torch.compiler.disable` itself would
    import the compiler, two seconds, also where nobody compiles.)
    """
    hidden = []  # type: list[Callable[P, T]]

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if not hidden:
            if "torch._dynamo" not in sys.modules:
                return function(*args, **kwargs)
            hidden.append(torch.compiler.disable(function))
        return hidden[0](*args, **kwargs)

    return call


def eagerly() -> Any:
    """Return a context in which compiled modules run uncompiled."""
    loaded = "torch._dynamo" in sys.modules
    return torch.compiler.set_stance("force_eager") if loaded else nullcontext()
