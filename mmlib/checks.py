"""Argument checks shared by every room: one clear sentence that says what came and what fits.

Each check returns the checked value, so that a constructor reads
``self.alpha = positive("alpha", alpha)``.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable
from numbers import Integral, Real
from typing import Any


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _reject(error: type[Exception], name: str, expected: str, value: Any) -> Exception:
    return error(f"{name}: expected {expected}, but got {_shown(value)}")


def number(
    name: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    low_open: bool = False,
    high_open: bool = False,
) -> float:
    """Return `value` as a float if it is a finite number inside the interval.

    Raises:
        TypeError: `value` is not a real number (a bool is not a number here).
        ValueError: `value` is NaN, infinite or outside the interval.

    Example:
        >>> number("lam", 0.25, low=0, high=1)
        0.25
        >>> number("alpha", -1, low=0, low_open=True)
        Traceback (most recent call last):
        ValueError: alpha: expected a finite number > 0, but got -1
    """
    left = f"> {low:g}" if low_open else f">= {low:g}"
    right = f"< {high:g}" if high_open else f"<= {high:g}"
    bounds = [text for text, edge in ((left, low), (right, high)) if math.isfinite(edge)]
    expected = " ".join(["a finite number", " and ".join(bounds)]).strip()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise _reject(TypeError, name, expected, value)
    inside = (value > low if low_open else value >= low) and (  # type: ignore[operator]
        value < high if high_open else value <= high
    )
    if not math.isfinite(value) or not inside:
        raise _reject(ValueError, name, expected, value)
    return float(value)


def positive(name: str, value: Any) -> float:
    """Return `value` as a float if it is a finite number above zero."""
    return number(name, value, low=0.0, low_open=True)


def integer(name: str, value: Any, *, low: int | None = None, high: int | None = None) -> int:
    """Return `value` as an int if it is a whole number (not a bool, not 1.0) in the range.

    Raises:
        TypeError: `value` is not an integer.
        ValueError: `value` is outside the range.

    Example:
        >>> integer("seed", 1.5, low=0)
        Traceback (most recent call last):
        TypeError: seed: expected an integer >= 0, but got 1.5
    """
    bounds = ([f">= {low}"] if low is not None else []) + (
        [f"<= {high}"] if high is not None else []
    )
    expected = " ".join(["an integer", " and ".join(bounds)]).strip()
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise _reject(TypeError, name, expected, value)
    if (low is not None and value < low) or (high is not None and value > high):  # type: ignore[operator]
        raise _reject(ValueError, name, expected, value)
    return int(value)


def boolean(name: str, value: Any) -> bool:
    """Return `value` if it is True or False; the string "true" is refused."""
    if not isinstance(value, bool):
        raise _reject(TypeError, name, "True or False", value)
    return value


def choice(name: str, value: Any, allowed: Collection[Any]) -> Any:
    """Return `value` if it is one of `allowed`; otherwise name the nearest spelling.

    Example:
        >>> choice("size", "quik", ("smoke", "quick"))
        Traceback (most recent call last):
        ValueError: size: expected one of 'smoke', 'quick', but got 'quik' (did you mean 'quick'?)
    """
    if value in allowed:
        return value
    listed = ", ".join(map(repr, allowed))
    raise ValueError(
        f"{name}: expected one of {listed}, but got {_shown(value)}{nearest(value, allowed)}"
    )


def nearest(value: Any, known: Iterable[Any]) -> str:
    """Return `` (did you mean 'x'?)`` for the closest known names, or an empty string."""
    close = difflib.get_close_matches(str(value), [str(item) for item in known], n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""
