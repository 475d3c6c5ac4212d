"""Running the cells of a study: one after another, in processes, on a cluster, to the same bits.

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
from typing import Any

from mmlib.evidence import records
from mmlib.evidence.cluster import Conditions, connected

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass
class Outcome:
    """What one run returned: its metrics and arrays, where, or the reason why it failed."""

    metrics: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    seconds: float = 0.0
    device: str = ""


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
        message += f" ({os.path.basename(place.filename)}:{place.lineno})"
        outcome = Outcome(error=message + _no_room(error))
    outcome.seconds = time.perf_counter() - started
    return outcome


def _no_room(error: BaseException | None) -> str:
    """Return what to do about a full disk; torch hides it behind "unexpected pos"."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in records.FULL:
            place = f"{error.filename or records.results_root()}"
            return f"; {error.strerror}: free space on the disk of {place}, then start again"
        error = error.__cause__ or error.__context__
    return ""


def _numbered(
    position: int,
    conditions: Conditions,
    run: Callable,
    settings: dict,
    seed: int,
    options: dict,
) -> tuple[int, Outcome]:
    if why := conditions.unmet(run, settings):
        return position, Outcome(error=why)
    outcome = run_one(run, settings, seed, options)
    outcome.device = device_name(options.get("device", "cpu"))
    return position, outcome


def run_all(
    run: Callable,
    conditions: Conditions,
    tasks: Sequence[tuple[dict, int]],
    options: dict,
    n_jobs: int | None,
    label: str | None,
    cluster: str | None = None,
) -> Iterator[tuple[int, Outcome]]:
    """Yield ``(position, outcome)`` of each task as it finishes, in any order.

    Args:
        run: the run function of the study.
        conditions: under which a process may make a run; a task elsewhere is refused.
        tasks: ``(settings, seed)`` of each run.
        options: further keyword arguments of the run function.
        n_jobs: number of processes, all cores if None; without effect on a cluster.
        label: text of the progress bar; None shows none.
        cluster: address of the Dask scheduler whose workers make the runs; None for processes of
            this machine.
    """
    from tqdm import tqdm

    jobs = min(n_jobs or os.cpu_count() or 1, len(tasks))
    # Given only where there is no bar: a given value would override TQDM_DISABLE.
    hidden: dict[str, Any] = {} if label else {"disable": True}
    calls = [(conditions, run, settings, seed, options) for settings, seed in tasks]
    with contextlib.ExitStack() as stack:
        if cluster:
            jobs = stack.enter_context(connected(cluster))
        bar = stack.enter_context(tqdm(total=len(tasks), desc=label, unit="run", **hidden))
        one_by_one = jobs == 1 and not cluster
        finished = (
            (_numbered(position, *call) for position, call in enumerate(calls))
            if one_by_one
            else _parallel(calls, jobs)
        )
        for position, outcome in finished:
            bar.update()
            yield position, outcome


def _parallel(calls: Sequence[tuple], jobs: int) -> Iterator[tuple[int, Outcome]]:
    """Yield the outcome of each call; a process that is killed costs what it was doing, no more.

    When a process dies, joblib gives up all that is under way. The runs that were, one of which
    may have killed it (memory, a crash in C), are made again one at a time after the others; one
    during which a process dies again has failed.
    """
    import joblib

    left, suspects = set(range(len(calls))), set[int]()
    while left:
        batch = sorted(left - suspects) or [min(left)]
        # Two jobs at least: with one, joblib would make the run in this process. One task at a
        # time: a batch would come back, and be recorded, only as a whole.
        parallel = joblib.Parallel(max(jobs, 2), return_as="generator_unordered", batch_size=1)
        try:
            for position, outcome in parallel(
                joblib.delayed(_numbered)(position, *calls[position]) for position in batch
            ):
                left.discard(position)
                yield position, outcome
        except Exception as error:  # never the run's own: `run_one` returns those
            under_way = [position for position in batch if position in left][:jobs]
            if suspects.issuperset(under_way):
                left.difference_update(under_way)
                why = f"its process ended before it did ({type(error).__name__})"
                yield from ((position, Outcome(error=why)) for position in under_way)
            suspects.update(under_way)


def device_name(device: str) -> str:
    """Return what a record says of the device: its kind and model."""
    if device.startswith("cuda"):
        import torch

        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({platform.machine()})"
