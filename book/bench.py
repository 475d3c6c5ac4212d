"""``make bench``: run every benchmark, print the ratios, and record them for the book.

A benchmark is a file ``tests/benchmarks/<name>.py`` with ``main()``, which returns a dictionary
``{what: {"ratio", "low", "high", "n", "aim", "ok"}}``: the median ratio of two things measured
alternately in one process, its range over the repeats, their number, the aim in words, and whether
it was met. Exit status 1 when an aim was missed.
"""

from __future__ import annotations

import datetime
import importlib.util
import os
import platform
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from builder.layout import write_json  # noqa: E402  (threads are counted at the first import)

ROOT = Path(__file__).resolve().parents[1]
FIELDS = ("ratio", "low", "high", "n", "aim", "ok")


def load(path: Path) -> Any:
    """Import a benchmark by its file."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cpu() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def conditions() -> dict[str, str]:
    """Where and with what the ratios were measured."""
    import torch

    return {
        "processor": cpu(),
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
    }


def main() -> int:
    """Run, print and record."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]
    files = sorted(
        path
        for path in (ROOT / "tests" / "benchmarks").glob("*.py")
        if not path.name.startswith(("_", "test_", "conftest"))
    )
    if not files:
        print("bench: no benchmark in tests/benchmarks", file=sys.stderr)
        return 2
    results: dict[str, dict[str, Any]] = {}
    for path in files:
        module = load(path)
        if not hasattr(module, "main"):
            continue
        print(f"bench: {path.stem}", flush=True)
        for name, row in module.main().items():
            results[name] = {field: row[field] for field in FIELDS}
    width = max(map(len, results))
    print(f"\n{'':<{width}}  ratio  [low, high]       n   aim")
    for name, row in results.items():
        mark = "met" if row["ok"] else "MISSED"
        print(
            f"{name:<{width}}  {row['ratio']:.3f}  [{row['low']:.3f}, {row['high']:.3f}]"
            f"  {row['n']:>3}  {row['aim']}  {mark}"
        )
    target = ROOT / "book" / "results" / "bench.json"
    write_json(target, {"conditions": conditions(), "results": results})
    print(f"\nbench: recorded in {target.relative_to(ROOT)}")
    return 0 if all(row["ok"] for row in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
