"""The arrays of a run: one compressed file beside its record, named by what is in it.

The name holds a digest of the contents, so an older file is never overwritten by another, and a
damaged one is told from a whole one. Nothing is pickled, in either direction.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmlib.evidence.records import unwritable

LIMIT = 1_000_000  # bytes on the disk; the repository stays small


def _digest(values: Mapping[str, np.ndarray]) -> str:
    content = hashlib.sha256()
    for name, array in sorted(values.items()):
        content.update(f"{name}{array.dtype.str}{array.shape}".encode() + array.tobytes())
    return content.hexdigest()[:8]


def pack(key: str, arrays: Mapping[str, Any]) -> tuple[str, bytes]:
    """Return the name and the contents of the file that holds the arrays of run `key`.

    Equal arrays give equal bytes at any time: the dates in the archive are fixed, because a zip
    file cannot tell those of a machine whose clock stands before 1980.

    Raises:
        ValueError: the compressed file is above the limit of 1 MB, or an array holds objects.

    Example:
        >>> name, packed = pack("key", {"curve": [1, 2]})
        >>> name.startswith("key-"), packed == pack("key", {"curve": [1, 2]})[1]
        (True, True)
    """
    values = {name: np.asarray(array) for name, array in sorted(arrays.items())}
    if kept := [name for name, array in values.items() if array.dtype.hasobject]:
        raise ValueError(f"arrays of run {key}: expected numbers, but {kept[0]!r} holds objects")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in values.items():
            about = zipfile.ZipInfo(f"{name}.npy")
            about.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(about, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    packed = buffer.getvalue()
    if len(packed) > LIMIT:
        sizes = ", ".join(f"{name} {array.nbytes / 1e3:.0f} kB" for name, array in values.items())
        raise ValueError(
            f"arrays of run {key}: expected at most {LIMIT / 1e6:g} MB compressed, but "
            f"got {len(packed) / 1e6:.2f} MB ({sizes}); keep fewer points or use float16"
        )
    return f"{key}-{_digest(values)}.npz", packed


def write(path: Path, packed: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        OSError: it cannot be written; the message names the file and `MMLIB_RESULTS`.
    """
    part = path.with_name(f".{path.stem}-{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(part, "wb") as file:
                file.write(packed)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged; the message names it.
    """
    data = path.read_bytes()
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            values = {name: file[name] for name in file.files}
    except Exception as error:  # a damaged archive fails in many ways
        raise ValueError(f"{path}: damaged arrays ({type(error).__name__}: {error})") from error
    if _digest(values) != path.stem.rpartition("-")[2]:
        raise ValueError(f"{path}: damaged arrays (they are not those that its name tells)")
    return values
