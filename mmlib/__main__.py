"""``python -m mmlib``: where one stands. Versions, device, data, chapters, recorded runs."""

from __future__ import annotations

import json
import platform
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

import mmlib

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "pandas", "matplotlib", "scikit-learn")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _device() -> str:
    try:
        import torch
    except ImportError as error:
        return f"torch cannot be imported: {error}"
    if torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name(0)}"
    if torch.backends.mps.is_available():
        return "mps"
    return f"cpu, {torch.get_num_threads()} threads"


def _data() -> list[str]:
    try:
        from mmlib.data import describe

        rows = describe()
    except Exception as error:  # this page is for finding out what is broken
        return [f"not available: {type(error).__name__}: {error}"]
    return [f"{row['title']:<28} {row['status']:<9} {row['where']} {row['size']}" for row in rows]


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _chapters(root: Path | None) -> list[str]:
    notebooks = sorted((root / "notebooks").glob("[0-9]*.ipynb")) if root else []
    if root is None or not notebooks:
        return ["none: the chapters are in the repository, not in the installed package"]
    built = _json(root / "_build" / "state.json").get("notebooks", {})
    lines = []
    for path in notebooks:
        last = {p: entries[path.stem] for p, entries in built.items() if path.stem in entries}
        times = [f"{p} {e['seconds']:.0f} s on {e['finished'][:10]}" for p, e in last.items()]
        lines.append(f"{path.stem:<28} {', '.join(times) or 'not built here yet'}")
    return lines


def _records(folder: Path) -> list[str]:
    counts: Counter[str] = Counter()
    for path in sorted(folder.glob("*/*.jsonl")):
        with open(path, "rb") as lines:
            counts[f"{path.parent.name}/{path.stem}"] += sum(1 for line in lines if line.strip())
    return [f"{name:<28} {count} runs" for name, count in counts.items()] or ["none yet"]


def report() -> str:
    """Return the whole page as text; nothing is downloaded, and nothing missing is an error."""
    try:
        from mmlib.evidence import results_root
        from mmlib.evidence.records import checkout

        root, results = checkout(), results_root()
    except ImportError as error:
        root, results = None, Path(f"unknown ({error})")
    sections = {
        "Versions": [
            f"{'mmlib':<28} {mmlib.__version__}",
            f"{'python':<28} {platform.python_version()} ({sys.executable})",
            *(f"{name:<28} {_version(name)}" for name in PACKAGES),
        ],
        "Device": [_device()],
        "Data (searched in MMLIB_DATA, then in the cache)": _data(),
        "Chapters, with the time of their last build here": _chapters(root),
        f"Recorded runs in {results}": _records(results),
    }
    return "\n\n".join(
        "\n".join([title, *(f"  {line}".rstrip() for line in lines)])
        for title, lines in sections.items()
    )


if __name__ == "__main__":
    print(report())
