"""The toy study killed and resumed, and made by a Dask cluster, is the study made in one go."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import mmlib

VARYING = ("time", "seconds", "checksum")  # the last is that of the line with its times

distributed = pytest.importorskip("distributed")


def start(folder: Path, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "mmlib.evidence", "--record", "ch13-toys", "--profile"]
    environment = {**os.environ, "MMLIB_RESULTS": str(folder), "TQDM_DISABLE": "1"}
    return subprocess.Popen(
        [*command, "smoke", *options],
        env=environment,
        cwd=Path(mmlib.__file__).parents[1],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return out


def rows(folder: Path) -> list[str]:
    """Return the records of a folder in a fixed order, without times."""
    lines = (folder / "smoke" / "ch13-toys.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    keep = [{k: v for k, v in row.items() if k not in VARYING} for row in found]
    return sorted(json.dumps(row, sort_keys=True) for row in keep)


def test_killed_and_resumed_or_on_dask_it_is_the_same_table(tmp_path):
    whole, killed, spread = (tmp_path / name for name in ("whole", "killed", "spread"))
    finish(start(whole, "--jobs", "1"))
    process, path = start(killed, "--jobs", "1"), killed / "smoke" / "ch13-toys.jsonl"
    deadline = time.monotonic() + 120
    while not (path.exists() and path.read_text().count("\n")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    held = path.read_text().count("\n")
    assert 1 <= held < len(rows(whole))
    assert f"{held} runs loaded" in finish(start(killed, "--jobs", "2"))
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster:
        finish(start(spread, "--cluster", cluster.scheduler_address))
    assert rows(whole) == rows(killed) == rows(spread)
