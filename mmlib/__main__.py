"""``python -m mmlib``: where one stands. Versions, device, data, chapters, recorded runs."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import mmlib

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "pandas", "matplotlib", "scikit-learn")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name(0)}"
    if torch.backends.mps.is_available():
        return "mps"
    return f"cpu, {torch.get_num_threads()} threads"


def _lines(section: Callable[[], list[str]]) -> list[str]:
    try:
        return section()
    except Exception as error:  # this page is for finding out what is broken
        return [f"not available: {type(error).__name__}: {error}"]


def _data() -> list[str]:
    from mmlib.data import describe

    rows = describe()
    return [f"{row['title']:<28} {row['status']:<9} {row['where']} {row['size']}" for row in rows]


def _times(state: Path) -> dict[str, list[str]]:
    """Return when each chapter was built; a damaged file says nothing, the next build renews it."""
    found: dict[str, list[str]] = {}
    try:
        for profile, entries in json.loads(state.read_text(encoding="utf-8"))["notebooks"].items():
            for name, one in entries.items():
                when = f"{profile} {one['seconds']:.0f} s on {one['finished'][:10]}"
                found.setdefault(name, []).append(when)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    return found


def _chapters(root: Path | None) -> list[str]:
    notebooks = sorted((root / "notebooks").glob("[0-9]*.ipynb")) if root else []
    if root is None or not notebooks:
        return ["none: the chapters are in the repository, not in the installed package"]
    times = _times(root / "_build" / "state.json")
    return [
        f"{path.stem:<28} {', '.join(times.get(path.stem, [])) or 'not built here yet'}"
        for path in notebooks
    ]


def _records(folder: Path) -> list[str]:
    if folder.exists() and not folder.is_dir():
        return ["not available: this is a file; set MMLIB_RESULTS to a folder"]
    lines = []
    for path in sorted(folder.glob("*/*.jsonl")):
        name = f"{path.parent.name}/{path.stem}"
        try:
            with open(path, "rb") as runs:
                lines.append(f"{name:<28} {sum(1 for line in runs if line.strip())} runs")
        except OSError as error:
            lines.append(f"{name:<28} cannot be read ({error.strerror}): {path}")
    return lines or ["none yet"]


def report() -> str:
    """Return the whole page as text; nothing is downloaded, and nothing missing is an error."""
    try:
        from mmlib.evidence import results_root
        from mmlib.evidence.records import checkout

        root, results = checkout(), results_root()
    except Exception as error:
        root, results = None, Path(f"unknown ({error})")
    sections: dict[str, list[str]] = {
        "Versions": [
            f"{'mmlib':<28} {mmlib.__version__}",
            f"{'python':<28} {platform.python_version()} ({sys.executable})",
            *(f"{name:<28} {_version(name)}" for name in PACKAGES),
        ],
        "Device": _lines(lambda: [_device()]),
        "Data (searched in MMLIB_DATA, then in the cache)": _lines(_data),
        "Chapters, with the time of their last build here": _lines(lambda: _chapters(root)),
        f"Recorded runs in {results}": _lines(lambda: _records(results)),
    }
    return "\n\n".join(
        "\n".join([title, *(f"  {line}".rstrip() for line in lines)])
        for title, lines in sections.items()
    )


if __name__ == "__main__":
    print(report())
