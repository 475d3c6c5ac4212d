"""Where everything lies, and the lock that keeps two builds apart."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class BuildError(Exception):
    """Something the person at the keyboard can mend; shown as one message, without a traceback."""


@dataclass(frozen=True)
class Layout:
    """The folders of one checkout."""

    root: Path

    @property
    def build(self) -> Path:
        """Everything generated; safe to delete."""
        return self.root / "_build"

    @property
    def stage(self) -> Path:
        """The source tree that Sphinx sees, laid out like the repository."""
        return self.build / "stage"

    @property
    def html(self) -> Path:
        """The finished book: open ``index.html`` in here."""
        return self.build / "html"

    def executed(self, profile: str) -> Path:
        """Executed notebooks that passed the gate, kept per profile."""
        return self.build / "executed" / profile

    @property
    def config(self) -> dict[str, Any]:
        """The parsed ``_config.yml``."""
        return yaml.safe_load((self.root / "_config.yml").read_text(encoding="utf-8"))

    def toc_files(self) -> list[str]:
        """Every document named in ``_toc.yml``, in reading order, without suffix."""
        text = (self.root / "_toc.yml").read_text(encoding="utf-8")
        return re.findall(r"^\s*(?:-\s+)?(?:root|file):\s*(\S+)", text, flags=re.M)

    def notebooks(self) -> list[Path]:
        """The notebooks of the book, in reading order.

        Raises:
            BuildError: the table of contents names a notebook that does not exist.
        """
        found = []
        for name in self.toc_files():
            if name.startswith("notebooks/"):
                path = self.root / f"{name}.ipynb"
                if not path.is_file():
                    raise BuildError(f"_toc.yml names {name}, but {name}.ipynb does not exist")
                found.append(path)
        return found


@contextlib.contextmanager
def exclusive(layout: Layout) -> Iterator[None]:
    """Hold the build lock; the operating system drops it even if the process is killed.

    Raises:
        BuildError: another build of this checkout is running, or ``_build`` cannot be written.
    """
    path = layout.build / "lock"
    try:
        layout.build.mkdir(parents=True, exist_ok=True)
        handle = open(path, "a+", encoding="utf-8")
    except OSError as error:
        raise BuildError(
            f"{path}: cannot be written ({error.strerror}). The book is built inside the "
            "checkout: make _build writable, or build in a copy of the checkout"
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            owner = handle.read().strip() or "unknown"
            raise BuildError(
                f"another build of this checkout is running (process {owner}). "
                "Wait for it to finish, or stop it, then try again."
            ) from None
        handle.seek(0)
        handle.truncate()
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def write_if_changed(path: Path, text: str) -> bool:
    """Write `text` unless the file already holds it: Sphinx re-reads what has a new date."""
    data = text.encode()
    if path.is_file() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return True


def read_json(path: Path, default: Any) -> Any:
    """Parse a JSON file; one that is missing, damaged or of another type counts as `default`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return default
    return found if default is None or isinstance(found, type(default)) else default


def write_json(path: Path, value: Any) -> None:
    """Write JSON through a temporary file, so that a killed build leaves the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".part")  # one name: a build holds the lock, the next writes over it
    try:
        scratch.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def replace_folder(fresh: Path, target: Path) -> None:
    """Put a finished folder in the place of another, which is never seen half deleted.

    A process that is killed between the two moves leaves no `target`, but the old one beside it:
    `restore_folder` puts it back.
    """
    old = _old(target)
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.replace(old)
    fresh.replace(target)
    shutil.rmtree(old, ignore_errors=True)


def restore_folder(target: Path) -> None:
    """Undo what `replace_folder` began, if it was killed halfway."""
    if not target.exists() and _old(target).exists():
        _old(target).replace(target)


def _old(target: Path) -> Path:
    return target.with_name(f"{target.name}.old")
