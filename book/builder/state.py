"""What a notebook's outputs depend on, as one hash.

jupyter-cache keys on the cells alone and misses an edit of the library; dates miss a checkout.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def digest(parts: Iterable[tuple[str, bytes]]) -> str:
    """Hash named byte strings; order does not matter, names and boundaries do."""
    total = hashlib.sha256()
    for name, content in sorted(parts):
        total.update(f"{name}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def files_digest(paths: Iterable[Path], root: Path) -> str:
    """Hash files by content and by their place below `root`; a missing file is its absence."""
    unique = {path.resolve() for path in paths}
    parts = []
    for path in unique:
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        parts.append((name, path.read_bytes() if path.is_file() else b"\0missing"))
    return digest(parts)


def listing(folder: Path, depth: int = 2) -> str:
    """Names, sizes and dates below a folder, without reading the files; data sets are large."""
    lines = []
    for path in sorted(folder.glob("*")) if depth >= 0 else []:
        about = path.stat()
        lines.append(f"{path} {about.st_size if path.is_file() else 0} {about.st_mtime_ns}")
        if path.is_dir():
            lines.append(listing(path, depth - 1))
    return "\n".join(lines)


def record_files(results: Path, profile: str, studies: Iterable[str]) -> list[Path]:
    """The recorded runs of these studies at this profile, with their array artifacts."""
    found = []
    for study in studies:
        found.append(results / profile / f"{study}.jsonl")
        found.extend(sorted((results / profile / study).glob("*")))
    return [path for path in found if path.is_file()]


def notebook_hash(
    notebook: Path,
    *,
    root: Path,
    profile: str,
    modules: Iterable[Path],
    records: Iterable[Path],
    data: Iterable[str],
    environment: Path,
) -> str:
    """One hash over everything that can change the outputs of `notebook`.

    Args:
        notebook: the notebook's source.
        root: the checkout; hashed names are relative to it.
        profile: the size it is executed at.
        modules: the library files it reaches through imports.
        records: the recorded runs that it may load.
        data: the names of the data sets found on this machine.
        environment: the lock file that pins every package.
    """
    return digest(
        [
            ("profile", profile.encode()),
            ("notebook", files_digest([notebook], root).encode()),
            ("modules", files_digest(modules, root).encode()),
            ("records", files_digest(records, root).encode()),
            ("data", "\n".join(sorted(data)).encode()),
            ("environment", files_digest([environment], root).encode()),
        ]
    )
