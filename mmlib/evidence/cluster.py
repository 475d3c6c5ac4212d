"""Runs on the workers of a Dask cluster, and what a process must have for its runs to count.

A run is recorded under the code, the versions and the data of the machine that collects the study.
A worker elsewhere may have others: it is asked before each run, and a run that would not be the
one of the record is refused instead of made.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from mmlib.evidence import records
from mmlib.evidence.fingerprint import code_fingerprint

VARIABLE = "MMLIB_CLUSTER"  # the address of a Dask scheduler, for notebooks and builds


class ClusterError(RuntimeError):
    """A cluster cannot be used; nothing has been computed."""


@cache
def _code_here(run: Callable) -> str:
    """Return the fingerprint of the code when this process first ran it, soon after importing."""
    return code_fingerprint(run)


@dataclass(frozen=True)
class Conditions:
    """What the process that makes a run must share with the one that records it.

    Attributes:
        code: Fingerprint of the run function's code.
        versions: Those that the record states.
        data: Fingerprint of each data set that the runs may name; empty for processes of this
            machine, which read the same files.
        fingerprint: Returns the fingerprint of a data set by its name.
    """

    code: str
    versions: Mapping[str, str] = field(default_factory=records.versions)
    data: Mapping[str, str] = field(default_factory=dict)
    fingerprint: Callable[[str], str] | None = None

    def unmet(self, run: Callable, settings: Mapping[str, object]) -> str | None:
        """Return why this process may not make a run, or None."""
        if _code_here(run) != self.code:
            return "its process found other code on the disk than the study was started with"
        here = records.versions()
        if other := [n for n, v in self.versions.items() if here.get(n) != v]:
            found = ", ".join(f"{n} {here.get(n)} instead of {self.versions[n]}" for n in other)
            return f"its worker has {found}"
        name = settings.get("data")
        if name in self.data and self.fingerprint is not None:
            try:
                same = self.fingerprint(str(name)) == self.data[str(name)]
            except Exception as error:  # absent, damaged, unreadable: the reason is reported
                return f"its worker cannot read the data {name!r}: {error}"
            if not same:
                return f"its worker has other files of the data {name!r}"
        return None


def address_of(cluster: str | None) -> str | None:
    """Return the scheduler to use: `cluster`, or what ``MMLIB_CLUSTER`` names, or None."""
    return cluster or os.environ.get(VARIABLE) or None


@contextlib.contextmanager
def connected(address: str, timeout: float = 10) -> Iterator[int]:
    """Send the tasks of joblib to a Dask cluster inside the block; yields its number of workers.

    Args:
        address: Of the scheduler, ``"tcp://host:8786"``.
        timeout: Seconds to wait for the scheduler, and then for the first worker.

    Raises:
        ClusterError: dask is not installed, no scheduler answers at the address, it has no worker,
            or a worker runs several tasks at a time (a run counts on one thread).
    """
    try:
        from dask.distributed import Client
    except ImportError as error:
        raise ClusterError(
            f"cluster {address!r}: expected dask, which is not installed "
            "(pip install 'mmlib[cluster]')"
        ) from error
    import joblib

    log = logging.getLogger("distributed")
    level = log.level
    log.setLevel(logging.CRITICAL)  # the error below says it in one sentence
    try:
        client = Client(address, timeout=timeout, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ClusterError(
            f"cluster: expected the address of a running Dask scheduler, such as "
            f"'tcp://host:8786', but none answered at {address!r} ({type(error).__name__})"
        ) from error
    finally:
        log.setLevel(level)
    with client:
        try:
            client.wait_for_workers(1, timeout=timeout)
        except TimeoutError as error:
            raise ClusterError(f"cluster {address!r}: the scheduler has no worker") from error
        threads = [w["nthreads"] for w in client.scheduler_info(n_workers=-1)["workers"].values()]
        if max(threads) > 1:
            raise ClusterError(
                f"cluster {address!r}: expected workers with one thread each (dask worker "
                f"--nthreads 1), but got one with {max(threads)}"
            )
        with joblib.parallel_config("dask", client=client):
            yield len(threads)
