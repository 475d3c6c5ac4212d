"""What a notebook's outputs depend on, as one hash.

jupyter-cache keys on the cells alone and misses an edit of the library; dates miss a checkout.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from builder.layout import Layout

Dates = dict[Path, tuple[int, ...]]


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


def sources(root: Path) -> list[Path]:
    """The files of a checkout that people edit and that the book is made from."""
    names = (
        "_config.yml",
        "_toc.yml",
        "requirements.lock",
        "CITATION.cff",
        "CHANGELOG.md",
        "LICENSE",
    )
    found = [root / name for name in names]
    for folder in ("book", "notebooks", "mmlib"):
        found += _below(root / folder)
    return found


def _below(folder: Path) -> Iterator[Path]:
    """Files below a folder without caches, editors' copies and the recorded runs."""
    for path in sorted(folder.glob("*")):
        if path.name.startswith(".") or path.name.endswith("~") or path.name == "__pycache__":
            continue
        if path.is_file():
            yield path
        elif path.parts[-2:] != ("book", "results"):
            yield from _below(path)


def dates(paths: Iterable[Path]) -> Dates:
    """When files were last changed, by any means: an edit that was undone is seen too."""
    found: Dates = {}
    for path in paths:
        try:
            about = path.stat()
            found[path] = about.st_mtime_ns, about.st_ctime_ns, about.st_size
        except FileNotFoundError:
            found[path] = ()
    return found


def changed(before: Dates, after: Dates) -> set[Path]:
    """The files whose dates differ, those that came or went included."""
    return {path for path in {**before, **after} if before.get(path, ()) != after.get(path, ())}


def fingerprint(layout: Layout, profile: str, data_roots: list[str]) -> str:
    """A hash of everything that goes into the book, taken without importing `mmlib` (or torch).

    Args:
        layout: the checkout.
        profile: the size.
        data_roots: the folders that were searched for data by the last build.
    """
    root = layout.root
    folders = [root / "book" / "results", layout.executed(profile)]
    if os.environ.get("MMLIB_RESULTS"):
        folders.append(Path(os.environ["MMLIB_RESULTS"]).expanduser())
    files = sources(root)
    for folder in folders:
        files += [path for path in folder.glob("**/*") if path.is_file()]
    variables = ("MMLIB_DATA", "MMLIB_RESULTS", "XDG_CACHE_HOME")
    return digest(
        [
            ("files", files_digest(files, root).encode()),
            ("data", "\n".join(map(listing, map(Path, data_roots))).encode()),
            ("profile", profile.encode()),
            ("python", sys.version.encode()),
            *((name, os.environ.get(name, "").encode()) for name in variables),
        ]
    )


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
