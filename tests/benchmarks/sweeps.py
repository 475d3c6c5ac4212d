"""What a sweep costs beside its runs: ``python tests/benchmarks/sweeps.py``.

Blocks of ten seconds, four for each of two processes, as a study collects them: processes of this
machine, and the workers of a local Dask cluster. The ratio is the wall time of the sweep over that
of the blocks alone; starting the processes, imports and records are what it exceeds one by. A
block waits instead of computing, so that what else runs on the machine does not count.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from typing import Any

from mmlib.evidence import Study

SECONDS, BLOCKS, WORKERS = 10.0, 8, 2


def wait(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Wait as long as a block takes."""
    time.sleep(settings["seconds"])
    return {"seed_squared": float(seed**2)}


def sweep(**options: Any) -> float:
    """Return the wall time of a sweep over that of its blocks."""
    study = Study("wait", wait, {"quick": [{"seconds": SECONDS}]}, {"quick": BLOCKS})
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("MMLIB_RESULTS")
        os.environ["MMLIB_RESULTS"] = folder
        try:
            started = time.perf_counter()
            study.collect("quick", progress=False, **options)
            return (time.perf_counter() - started) / (SECONDS * BLOCKS / WORKERS)
        finally:
            if before is None:
                del os.environ["MMLIB_RESULTS"]
            else:
                os.environ["MMLIB_RESULTS"] = before


def main() -> dict:
    """Return {name: {ratio, low, high, n, aim, ok}}."""
    from dask.distributed import LocalCluster

    ways = {"processes": sweep(n_jobs=WORKERS)}
    with LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None) as cluster:
        ways["Dask"] = sweep(cluster=cluster.scheduler_address)
    return {
        f"sweep of {BLOCKS} blocks of {SECONDS:g} s over the blocks alone, {way}": {
            "ratio": ratio, "low": ratio, "high": ratio, "n": 1,
            "aim": "at most 1.05", "ok": ratio <= 1.05,
        }
        for way, ratio in ways.items()
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(), indent=1))
