"""Runs as lines of a text file: append-only, one JSON object a line, with a checksum each.

A line is written under a file lock, in one write, and synchronised to the disk. A process that is
killed while writing leaves at most one unfinished last line, which the next append closes off; on a
full disk what was written of a line is taken back. A damaged line is reported by file and line
number and skipped, never deleted. Floats are written
with ``repr`` and so come back exactly; values that are not finite are written as the strings
"NaN", "Infinity" and "-Infinity", because JSON has no such numbers.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import platform
import subprocess
import warnings
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from mmlib import __version__

try:
    import fcntl
except ImportError:  # a system without POSIX locks: one writer at a time is up to the user there
    fcntl = None  # type: ignore[assignment]

PACKAGE = Path(__file__).resolve().parents[1]
Record = dict[str, Any]
_FIELDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("study", "profile", "key", "code"), str),
    **dict.fromkeys(("settings", "metrics", "data"), dict),
    "seed": int,
    "artifact": (str, type(None)),
}
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # no room, quota, file too large


class RecordWarning(UserWarning):
    """A line of a results file could not be read and was skipped."""


def checkout() -> Path | None:
    """Return the root of the repository that the package lies in, or None when installed."""
    root = PACKAGE.parent
    return root if (root / ".git").exists() or (root / "pyproject.toml").exists() else None


def results_root() -> Path:
    """Return the folder of the results.

    It is ``MMLIB_RESULTS`` when that is set, else ``book/results`` of the checkout, else
    ``mmlib-results`` in the working folder.

    Example:
        >>> results_root().is_absolute()
        True
    """
    if os.environ.get("MMLIB_RESULTS"):
        return Path(os.environ["MMLIB_RESULTS"]).expanduser().absolute()
    root = checkout()
    return root / "book" / "results" if root else Path.cwd() / "mmlib-results"


def canonical(value: Any) -> str:
    """Return `value` as JSON with sorted keys and no spaces, the text that is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def key_of(value: Any) -> str:
    """Return the digest of settings; a whole number is the same as an integer or as a float.

    Example:
        >>> key_of({"alpha": 2}) == key_of({"alpha": 2.0}), key_of(True) == key_of(1)
        (True, False)
    """
    return digest(_whole(value))


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    return value


def digest(value: Any) -> str:
    """Return sixteen hexadecimal digits that identify a JSON value.

    Example:
        >>> digest({"alpha": 2.0, "seed": 0}) == digest({"seed": 0, "alpha": 2.0})
        True
    """
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def plain(name: str, value: Any) -> Any:
    """Return a setting as JSON keeps it: text, numbers, True, False, None, lists and dicts.

    Raises:
        TypeError: `value` is of another type; the message names the setting.
        ValueError: a number is not finite.
    """
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()  # a NumPy or torch scalar
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise ValueError(f"{name}: expected a finite number, but got {value!r}")
        return value
    if isinstance(value, list | tuple):
        return [plain(name, item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(f"{name}.{key}", item) for key, item in value.items()}
    raise TypeError(
        f"{name}: expected text, a number, True, False, None, or a list or dict of these, "
        f"but got {type(value).__name__}"
    )


def encode_metric(name: str, value: Any) -> float | str:
    """Return a metric as it is written: a float, or the name of a value that is not finite."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"metric {name!r}: expected a number, but got {type(value).__name__}; "
            "arrays are returned beside the metrics, as (metrics, arrays)"
        ) from None
    if math.isnan(number):
        return "NaN"
    return number if math.isfinite(number) else ("Infinity" if number > 0 else "-Infinity")


def append(path: Path, record: dict[str, Any]) -> None:
    """Append one record and make sure that it is on the disk, whole or not at all.

    Raises:
        OSError: the file cannot be written; the message names it and `MMLIB_RESULTS`.
    """
    data = line_of(record).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            _lock(handle, exclusive=True)  # released when the file is closed
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                data = b"\n" + data  # a killed process left an unfinished line: close it off
            written = 0
            try:
                while written < len(data):  # a second write says why the first wrote only a part
                    written += os.write(handle, data[written:])
                os.fsync(handle)
            except OSError:
                if os.fstat(handle).st_size == size + written:  # nothing of another writer
                    os.ftruncate(handle, size)
                raise
        finally:
            os.close(handle)
    except OSError as error:
        raise unwritable(path, error) from error


def line_of(record: dict[str, Any]) -> str:
    """Return the line of a record: the record and the checksum of everything else in it."""
    body = {key: value for key, value in record.items() if key != "checksum"}
    return json.dumps({**body, "checksum": digest(body)}, allow_nan=False) + "\n"


def unwritable(path: Path, error: OSError) -> OSError:
    """Return the error for a file of the results: which one, why, and what to do about it."""
    remedy = "free space on that disk, or " if error.errno in FULL else ""
    return OSError(
        f"{path}: results cannot be written here ({error.strerror or error}); "
        f"{remedy}set MMLIB_RESULTS to a folder that can be written"
    )


def check_writable(path: Path) -> None:
    """Raise OSError before hours are spent on runs that could not be recorded in `path`."""
    folder = path.parent
    try:
        while not folder.exists():
            folder = folder.parent
        file = path.exists()
    except OSError as error:  # a folder above may not be looked into
        raise unwritable(path, error) from error
    if not folder.is_dir():
        raise unwritable(path, OSError(0, f"{folder} is not a folder"))
    if not os.access(path if file else folder, os.W_OK):
        raise unwritable(path, OSError(0, "read-only"))


def read(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file in the order they were written; a missing file has none.

    Raises:
        OSError: the file is there and cannot be read; the message names it and `MMLIB_RESULTS`.

    Warns:
        RecordWarning: a line is damaged; it is skipped.
    """
    try:
        with open(path, "rb") as file:
            _lock(file.fileno(), exclusive=False)
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OSError(
            f"{path}: recorded runs cannot be read here ({error.strerror or error}); make it a "
            "file that can be read, or set MMLIB_RESULTS to another folder"
        ) from error
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        record, fault = _parsed(line)
        if fault:
            warnings.warn(
                f"{path}, line {number}: damaged record skipped, {fault}; "
                "restore the line or delete it, and the run is made again when it is asked for",
                RecordWarning,
                stacklevel=2,
            )
        else:
            found.append(record)
    return found


def _parsed(line: bytes) -> tuple[Record, str]:
    """Return the record of a line, and what is wrong with it."""
    try:
        record = json.loads(line)
        body = {key: value for key, value in record.items() if key != "checksum"}
        intact = record["checksum"] == digest(body)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return {}, "it is not a whole record"
    fields = all(isinstance(body.get(name, ...), kind) for name, kind in _FIELDS.items())
    if intact and fields and {"name", "fingerprint"} <= set(body["data"]):
        return record, ""
    return {}, "its checksum does not match, or fields are absent"


def _lock(handle: int, *, exclusive: bool) -> None:
    """Wait for the lock; where there are none, an unfinished line is caught by its checksum."""
    if fcntl:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)


@cache
def versions() -> dict[str, str]:
    """Return the versions that a record states: python, torch, numpy, mmlib."""
    found = {"python": platform.python_version()}
    for name in ("torch", "numpy"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return {**found, "mmlib": __version__}


def commit() -> tuple[str | None, bool]:
    """Return the commit of the checkout and whether files of the package differ from it."""
    root = checkout()
    if root is None or not (root / ".git").exists():
        return None, False
    try:
        head = _git(root, "rev-parse", "--short=12", "HEAD")
        return head.strip(), bool(_git(root, "status", "--porcelain", "--", PACKAGE.name).strip())
    except (OSError, subprocess.SubprocessError):
        return None, False


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, check=True, timeout=20)
    return done.stdout.decode(errors="replace")  # names of files may be in any encoding


def now() -> str:
    """Return the time as it is recorded: UTC, to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
