"""Run notebooks with papermill, a process each, in a kernel that is surely this interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

KERNEL = "mmlib-book"


@dataclass(frozen=True)
class Outcome:
    """What became of one execution; `message` is empty when papermill finished."""

    seconds: float
    message: str = ""


def install_kernel(folder: Path) -> None:
    """Write a kernelspec for ``sys.executable``; a "python3" spec may belong to another Python."""
    spec = {
        "argv": [
            sys.executable,
            "-Xfrozen_modules=off",
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}",
        ],
        "display_name": "mmlib book",
        "language": "python",
    }
    target = folder / "kernels" / KERNEL
    target.mkdir(parents=True, exist_ok=True)
    (target / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")


def list_fonts(jupyter_path: Path) -> None:
    """Let matplotlib look for fonts: a notebook that did it would say so where a page may not."""
    command = [sys.executable, "-c", "import matplotlib.font_manager"]
    subprocess.run(command, env=kernel_environment(jupyter_path, jupyter_path), capture_output=True)


def kernel_environment(jupyter_path: Path, scratch: Path) -> dict[str, str]:
    """The environment of a kernel: one thread, no progress bars, nothing of the home folder.

    Personal start-up files and styles must not show on a page, and the home may be read-only.
    """
    env = dict(os.environ)
    env.pop("MPLBACKEND", None)  # Agg here would make figures vanish from the outputs
    env |= {
        "JUPYTER_PATH": os.pathsep.join(filter(None, [str(jupyter_path), env.get("JUPYTER_PATH")])),
        "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
        "IPYTHONDIR": str(scratch / "ipython"),
        "MPLCONFIGDIR": str(jupyter_path / "matplotlib"),
        "OMP_NUM_THREADS": "1",
        "TQDM_DISABLE": "1",
        "PYTHONHASHSEED": "0",
    }
    return env


def execute(
    source: Path, target: Path, *, jupyter_path: Path, profile: str, recompute: bool = False
) -> Outcome:
    """Execute `source` into `target`, a file that does not exist yet.

    The working folder is a temporary one: a notebook that depends on it fails here, not on a
    reader's machine.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "papermill", str(source), str(target)]
    # Saving after every cell takes a long page a third of its time; it is saved at the end anyway.
    command.append("--no-request-save-on-cell-execute")
    command += ["-k", KERNEL, "--no-progress-bar", "--log-level", "ERROR", "-p", "profile", profile]
    if recompute:
        command += ["-p", "recompute", "True"]
    start = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory("", "mmlib-book-", ignore_cleanup_errors=True) as scratch:
            done = subprocess.run(
                command,
                cwd=scratch,
                env=kernel_environment(jupyter_path, Path(scratch)),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
            )
    except OSError as error:  # no room for the working folder, no memory for a process
        return Outcome(time.perf_counter() - start, f"it could not be started: {error}")
    seconds = time.perf_counter() - start
    if done.returncode == 0:
        return Outcome(seconds)
    lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
    return Outcome(
        seconds, lines[-1].strip() if lines else f"papermill ended with {done.returncode}"
    )
