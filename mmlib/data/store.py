"""Where files are looked for, how they are checked, and how they are fetched."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

DATA_VARIABLE = "MMLIB_DATA"
OFFLINE_VARIABLE = "MMLIB_OFFLINE"
PROBE_SECONDS = 5.0
STALL_SECONDS = 20.0
RETRY_SECONDS = 300.0

_checked: dict[tuple[str, int, int], str] = {}
_refused: dict[str, tuple[float, str]] = {}


class DataError(RuntimeError):
    """Data cannot be used; the message names the set, the file and what to do."""


class DataNotFoundError(DataError, FileNotFoundError):
    """A set, or the folder that `MMLIB_DATA` names, is not there."""


class DataDamagedError(DataError):
    """A file is there, but it is not the published one: truncated, altered or unreadable."""


class StandInWarning(UserWarning):
    """Another data set than the one asked for is used."""


@dataclass(frozen=True)
class File:
    """One file of a set: its path below the root, its size in bytes and its MD5 sum.

    `md5` is None where no sum of the file is published; the size is then all that is checked.
    `text_md5` is the sum with line ends as LF and white space at the end removed: archives and
    copies of a text file differ in just that.
    """

    path: str
    size: int
    md5: str | None
    text_md5: str | None = None


def cache_root() -> Path:
    """Return the user's cache folder of this library (``XDG_CACHE_HOME`` is obeyed).

    Example:
        >>> cache_root().name
        'mmlib'
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mmlib"


def roots() -> list[Path]:
    """Return the folders that are searched, in order: ``MMLIB_DATA``, then the user's cache.

    Raises:
        DataNotFoundError: ``MMLIB_DATA`` names a folder that does not exist.
    """
    named = os.environ.get(DATA_VARIABLE)
    if not named:
        return [cache_root()]
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise DataNotFoundError(
            f"{DATA_VARIABLE} is set to {named!r}, but {folder.absolute()} is not a folder; "
            "correct it or unset it"
        )
    return [folder, cache_root()]


def locate(title: str, files: Sequence[File]) -> Path | None:
    """Return the first root that has all files of a set, or None if no root has any.

    Raises:
        DataDamagedError: ``MMLIB_DATA`` has some of the files but not all.
        DataNotFoundError: ``MMLIB_DATA`` names a folder that does not exist.
    """
    for root in roots():
        missing = [file.path for file in files if not (root / file.path).is_file()]
        if not missing:
            return root
        # In the cache that is a download under way, or a killed one: it is made again.
        if len(missing) < len(files) and root != cache_root():
            raise DataDamagedError(
                f"{title} in {root} is incomplete: {', '.join(missing)} missing; add "
                f"{'it' if len(missing) == 1 else 'them'}, or remove the other files of the set"
            )
    return None


def md5(path: Path) -> str:
    """Return the MD5 sum of a file, computed once per process, path, size and time of change."""
    status = path.stat()
    key = (str(path), status.st_size, status.st_mtime_ns)
    if key not in _checked:
        digest = hashlib.md5(usedforsecurity=False)
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
        _checked[key] = digest.hexdigest()
    return _checked[key]


def verify(root: Path, file: File) -> str:
    """Return the MD5 sum of a file after comparing it with the published one.

    Raises:
        DataDamagedError: The size or the sum is another one, or the file cannot be read.
    """
    path = root / file.path
    try:
        size = path.stat().st_size
        found = md5(path)
    except OSError as error:
        raise DataDamagedError(f"{path}: cannot be read ({error.strerror})") from error
    if found == file.md5 or (file.md5 is None and size == file.size):
        return found
    if file.text_md5 is not None:
        text = path.read_bytes().replace(b"\r\n", b"\n").rstrip()
        if hashlib.md5(text, usedforsecurity=False).hexdigest() == file.text_md5:
            return file.text_md5
    came = f"{size} bytes, MD5 {found}"
    raise DataDamagedError(
        f"{path}: the file is truncated or altered (expected {file.size} bytes, "
        f"MD5 {file.md5 or 'not published'}, but got {came}); replace or remove it"
    )


def _probe(url: str) -> str:
    """Return why `url` cannot be reached, or an empty string; always within a few seconds."""
    outcome = [f"no answer within {PROBE_SECONDS:g} s"]

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=PROBE_SECONDS):
                outcome[0] = ""  # an answer is enough: nothing of the body is read
        except Exception as error:  # whatever a network does, the answer is "not reachable"
            outcome[0] = str(getattr(error, "reason", error)) or type(error).__name__

    # A thread, because resolving a name has no timeout of its own.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return outcome[0]


def fetch(url: str, files: Sequence[File], download: Callable[[Path], None]) -> str:
    """Download a set into the user's cache; return an empty string, or why that was not possible.

    The files appear in the cache only when all of them are there and have the right sums, so a
    killed download leaves nothing behind that looks like data. An address that refused is not tried
    again for some minutes, so that a sweep without a network does not wait at every run.

    Args:
        url: An address of the set that is asked first whether it answers.
        files: The files that the download has to bring.
        download: Called with an empty folder, which it fills.
    """
    if os.environ.get(OFFLINE_VARIABLE, "").lower() not in ("", "0", "false"):
        return f"{OFFLINE_VARIABLE} is set"
    when, reason = _refused.get(url, (-RETRY_SECONDS, ""))
    if time.monotonic() - when < RETRY_SECONDS:
        return reason
    reason = _probe(url) or _fill_cache(files, download)
    if reason:
        _refused[url] = (time.monotonic(), reason)
    return reason


def _fill_cache(files: Sequence[File], download: Callable[[Path], None]) -> str:
    """Download into a folder beside the cache's files, check, move; return why it failed, or ""."""
    cache = cache_root()
    patience = socket.getdefaulttimeout()
    staging = None
    try:
        cache.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".partial-", dir=cache))
        # The downloaders of torchvision wait for ever on a connection that has stalled.
        socket.setdefaulttimeout(STALL_SECONDS)
        download(staging)
        for file in files:
            verify(staging, file)
        for file in files:
            target = cache / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(staging / file.path, target)
    except Exception as error:  # whatever a download does, the answer is that it failed, and why
        return str(error) or type(error).__name__
    finally:
        socket.setdefaulttimeout(patience)
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
    return ""
