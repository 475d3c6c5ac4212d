"""Strict parameters for notebooks: a wrong name or value ends the notebook with one sentence."""

from __future__ import annotations

import ast
from collections import namedtuple
from collections.abc import Mapping, MutableMapping
from typing import Any

from mmlib import checks
from mmlib.evidence import allow

# Declared for every notebook that sets them.
COMMON: Mapping[str, allow.Spec] = {
    "profile": allow.profile(),
    "seed": allow.integer(low=0),
    "n_seeds": allow.optional(allow.integer(low=1)),
    "device": allow.device(),
    "recompute": allow.boolean(),
}
_PLAIN = (int, float, str, bool, list, dict, tuple, type(None))
_OF_IPYTHON = {"In", "Out", "exit", "quit", "open", "get_ipython"}
_CHECKED = "_mmlib_parameters_checked"


class ParameterError(ValueError):
    """A notebook was started with a parameter that does not exist or does not fit."""

    def _render_traceback_(self) -> list[str]:
        """Show the message alone: the reader's mistake is not in a frame of this library."""
        return [f"ParameterError: {self}"]


def parameters(namespace: MutableMapping[str, Any], /, **specs: allow.Spec) -> Any:
    """Check the parameters that a notebook's first cell, and papermill after it, have set.

    ``profile``, ``seed``, ``n_seeds``, ``device`` and ``recompute`` are declared already and need
    no specification where the notebook sets them.

    Args:
        namespace: the ``globals()`` of the notebook.
        **specs: for each parameter what it may be, such as ``alpha=allow.number(low=0)``.

    Returns:
        A named tuple of the checked values, with "auto" replaced by the device found.

    Raises:
        ParameterError: a value does not fit, a parameter is not set, or a name is unknown. Unknown
            are the names that papermill has injected, or else (on the first call only, since cells
            run later set variables of their own) all plain values of the namespace.

    Example:
        >>> P = parameters({"seed": 3, "alpha": 2.0}, alpha=allow.number(low=0, low_open=True))
        >>> P
        Parameters(seed=3, alpha=2.0)
        >>> parameters({"seed": 1.5})
        Traceback (most recent call last):
        mmlib.evidence.notebooks.ParameterError: seed: expected an integer >= 0, but got 1.5
    """
    declared = {name: spec for name, spec in COMMON.items() if name in namespace} | specs
    for name in _set_names(namespace):
        if name not in declared:
            listed = ", ".join(declared)
            raise ParameterError(
                f"{name}: there is no parameter of this name, but got {name} = "
                f"{namespace.get(name)!r}; expected one of {listed}{checks.nearest(name, declared)}"
            )
    values = {}
    for name, spec in declared.items():
        if name not in namespace:
            raise ParameterError(f"{name}: expected a value in the parameters cell, but got none")
        try:
            values[name] = spec(name, namespace[name])
        except (TypeError, ValueError) as error:
            raise ParameterError(f"{error}{_hint(namespace[name])}") from None
    namespace[_CHECKED] = True
    return namedtuple("Parameters", values)(**values)  # noqa: PYI024 (fields are known only here)


def _hint(value: Any) -> str:
    """Return how a value that papermill has read otherwise than meant could be written."""
    if isinstance(value, str) and value.lower() in ("true", "false", "none"):
        return f" (write {value.capitalize()})"
    if isinstance(value, float) and value.is_integer():
        return f" (write {int(value)})"
    return ""


def _set_names(namespace: Mapping[str, Any]) -> list[str]:
    injected = [cell for cell in namespace.get("In", ()) if cell.startswith("# Parameters\n")]
    if injected:
        body = ast.parse(injected[-1]).body
        targets = [t for node in body if isinstance(node, ast.Assign) for t in node.targets]
        return [target.id for target in targets if isinstance(target, ast.Name)]
    if namespace.get(_CHECKED):
        return []
    return [
        name
        for name, value in namespace.items()
        if type(value) in _PLAIN and not name.startswith("_") and name not in _OF_IPYTHON
    ]
