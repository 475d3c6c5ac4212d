"""Does anything flow around a mix? A look at the autograd graph of one forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor


class ResidualBranchWarning(UserWarning):
    """The mixed layer lies inside a residual branch: what flows around it is not mixed."""


def tensors(output: Any) -> Iterator[Tensor]:
    """Yield the tensors of a nested output."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, dict):
        for value in output.values():
            yield from tensors(value)
    elif isinstance(output, (tuple, list)):
        for value in output:
            yield from tensors(value)


def bypassed(output: Any, before: Any, after: Any) -> bool:
    """Return whether the output depends on earlier activations other than through the mix.

    Every node of the graph that the unmixed features were computed from is marked; a walk from
    the output back, which stops at the mix, must not meet one. Parameters are not counted. Where
    the graph is opaque (compiled code, no gradients) the answer is False.

    Args:
        output: what the model returned.
        before: ``grad_fn`` of the features.
        after: ``grad_fn`` of their mix; None if the mix was detached.
    """
    if before is None:
        return False
    upstream = _reachable([before], stop=None)
    ends = [t.grad_fn for t in tensors(output) if t.grad_fn is not None]
    return not upstream.isdisjoint(_reachable(ends, stop=after))


def _is_parameter(node: Any) -> bool:
    """Return whether a node is a leaf or its cast, which autocast shares between all uses."""
    while node is not None and node.name().startswith("ToCopyBackward"):
        node = node.next_functions[0][0]
    return node is not None and "AccumulateGrad" in node.name()


def _reachable(ends: list, stop: Any) -> set:
    seen, todo = set(), list(ends)
    while todo:
        node = todo.pop()
        if node is None or node is stop or node in seen or _is_parameter(node):
            continue
        seen.add(node)
        todo.extend(parent for parent, _ in node.next_functions)
    return seen
