"""Running the cells of a study: one after another or in processes, with bit-equal results.

Every run uses one thread, in a process of its own or not: the order in which threads add up
floats would otherwise show in the last digits.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from mmlib.evidence.fingerprint import code_fingerprint

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass
class Outcome:
    """What one run returned: its metrics and arrays, or the reason why it failed."""

    metrics: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    seconds: float = 0.0


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread inside the block; what was set before is restored after it."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    torch = sys.modules.get("torch")  # imported inside the block, torch reads the variables
    threads = torch.get_num_threads() if torch else None
    limits = contextlib.nullcontext()
    with contextlib.suppress(ImportError):
        from threadpoolctl import threadpool_limits

        limits = threadpool_limits(1)  # for libraries that are loaded already
    try:
        if torch:
            torch.set_num_threads(1)
        with limits:
            yield
    finally:
        if torch:
            torch.set_num_threads(threads)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def tupled(value: Any) -> Any:
    """Return a setting as run functions receive it: lists as tuples, so that it can be hashed."""
    if isinstance(value, list):
        return tuple(map(tupled, value))
    if isinstance(value, dict):
        return {key: tupled(item) for key, item in value.items()}
    return value


def run_one(run: Callable, settings: dict, seed: int, options: dict) -> Outcome:
    """Return the outcome of one run; an exception becomes the last line of its traceback."""
    started = time.perf_counter()
    try:
        with one_thread():
            result = run(tupled(settings), seed, **options)
        metrics, arrays = result if isinstance(result, tuple) else (result, {})
        outcome = Outcome(dict(metrics), dict(arrays))
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        message = traceback.format_exception_only(error)[-1].strip()
        outcome = Outcome(error=f"{message} ({os.path.basename(place.filename)}:{place.lineno})")
    outcome.seconds = time.perf_counter() - started
    return outcome


@cache
def _code_here(run: Callable) -> str:
    """Return the fingerprint of the code when this process first ran it, soon after importing."""
    return code_fingerprint(run)


def _numbered(
    position: int, code: str, run: Callable, settings: dict, seed: int, options: dict
) -> tuple[int, Outcome]:
    if _code_here(run) != code:
        why = "a new process found other code on the disk than the study was started with"
        return position, Outcome(error=why)
    return position, run_one(run, settings, seed, options)


def run_all(
    run: Callable,
    code: str,
    tasks: Sequence[tuple[dict, int]],
    options: dict,
    n_jobs: int | None,
    label: str | None,
) -> Iterator[tuple[int, Outcome]]:
    """Yield ``(position, outcome)`` of each task as it finishes, in any order.

    Processes are joblib's, so ``joblib.parallel_config`` chooses another backend such as Dask.

    Args:
        run: the run function of the study.
        code: fingerprint under which the runs are recorded; a process with other code runs none.
        tasks: ``(settings, seed)`` of each run.
        options: further keyword arguments of the run function.
        n_jobs: number of processes, all cores if None.
        label: text of the progress bar; None shows none.
    """
    from tqdm import tqdm

    jobs = min(n_jobs or os.cpu_count() or 1, len(tasks))
    hidden = {} if label else {"disable": True}  # a given value would override TQDM_DISABLE
    with tqdm(total=len(tasks), desc=label, unit="run", **hidden) as bar:
        for position, outcome in _outcomes(run, code, tasks, options, jobs):
            bar.update()
            yield position, outcome


def _outcomes(
    run: Callable, code: str, tasks: Sequence[tuple[dict, int]], options: dict, jobs: int
) -> Iterator[tuple[int, Outcome]]:
    if jobs == 1:
        for position, (settings, seed) in enumerate(tasks):
            yield _numbered(position, code, run, settings, seed, options)
        return
    import joblib

    left = set(range(len(tasks)))
    # One task at a time: a batch would come back, and be recorded, only as a whole.
    parallel = joblib.Parallel(jobs, return_as="generator_unordered", batch_size=1)
    calls = (
        joblib.delayed(_numbered)(position, code, run, settings, seed, options)
        for position, (settings, seed) in enumerate(tasks)
    )
    try:
        for position, outcome in parallel(calls):
            left.discard(position)
            yield position, outcome
    except (RuntimeError, OSError) as error:  # a worker was killed: memory, or a crash in C
        reason = f"its process ended before it did ({type(error).__name__})"
        for position in sorted(left):
            yield position, Outcome(error=reason)


def device_name(device: str) -> str:
    """Return what a record says of the device: its kind and model."""
    if device.startswith("cuda"):
        import torch

        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({platform.machine()})"
