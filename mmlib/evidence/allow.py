"""What a parameter of a notebook may be: ``allow.integer(low=0)``, ``allow.device()``.

The specifications live in a namespace of their own because a notebook has parameters called
``device`` or ``number``, which an import of that name would overwrite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmlib import checks
from mmlib.evidence.profiles import PROFILES

Spec = Callable[[str, Any], Any]  # (name, value) -> checked value, or ValueError / TypeError


def choice(*allowed: Any) -> Spec:
    """Allow one of the given values.

    Example:
        >>> choice("a", "b")("layer", "b")
        'b'
    """
    return lambda name, value: checks.choice(name, value, allowed)


def integer(*, low: int | None = None, high: int | None = None) -> Spec:
    """Allow a whole number in a range; papermill makes a float of ``1e3``, which is refused."""
    return lambda name, value: checks.integer(name, value, low=low, high=high)


def number(**bounds: Any) -> Spec:
    """Allow a finite number; bounds are those of `mmlib.checks.number`, such as ``low=0``."""
    return lambda name, value: checks.number(name, value, **bounds)


def numbers(*, including: float | None = None, **bounds: Any) -> Spec:
    """Allow a list of different finite numbers, each within the bounds of `mmlib.checks.number`.

    One number, `including`, may have to be among them.

    papermill reads a list from ``-y "alphas: [0.5, 2]"``; ``-p`` hands it over as text, which is
    refused.

    Example:
        >>> numbers(low=0)("alphas", [0.5, 2])
        (0.5, 2.0)
    """

    def check(name: str, value: Any) -> tuple[float, ...]:
        if not isinstance(value, (list, tuple)) or not value:
            raise TypeError(f"{name}: expected a list of numbers, but got {value!r}")
        found = tuple(checks.number(f"{name}[{i}]", v, **bounds) for i, v in enumerate(value))
        if len(set(found)) < len(found):
            raise ValueError(f"{name}: expected different numbers, but got {value!r}")
        if including is not None and including not in found:
            raise ValueError(f"{name}: expected {including:g} among them, but got {value!r}")
        return found

    return check


def boolean() -> Spec:
    """Allow True or False; papermill hands over ``-p flag true`` as text, which is refused."""
    return checks.boolean


def optional(spec: Spec) -> Spec:
    """Allow None beside what `spec` allows.

    Example:
        >>> optional(integer(low=1))("n_seeds", None) is None
        True
    """

    def check(name: str, value: Any) -> Any:
        if value is None:
            return None
        try:
            return spec(name, value)
        except (TypeError, ValueError) as error:
            raise type(error)(str(error).replace("expected ", "expected None or ", 1)) from None

    return check


def profile() -> Spec:
    """Allow "smoke", "quick" or "paper"."""
    return choice(*PROFILES)


def device() -> Spec:
    """Allow "auto", "cpu" and the accelerators of this machine; "auto" becomes the best one.

    Example:
        >>> device()("device", "cpu")
        'cpu'
    """

    def check(name: str, value: Any) -> str:
        if value == "cpu":
            return value  # without the import of torch
        import torch

        found = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        found = (["cuda"] if found else []) + found
        found += ["mps"] if torch.backends.mps.is_available() else []
        if value == "auto":
            return found[0] if found else "cpu"
        if value in found:
            return value
        listed = ", ".join(map(repr, ["auto", "cpu", *found]))
        kind = str(value).partition(":")[0]
        absent = kind in ("cuda", "mps") and kind not in found
        why = f" (this machine has no {kind} device)" if absent else ""
        raise ValueError(f"{name}: expected one of {listed}, but got {value!r}{why}")

    return check
