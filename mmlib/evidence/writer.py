"""Putting finished runs on the disk, however long that takes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

from mmlib.evidence import artifacts, records


class Writer:
    """Records runs in the order in which they finish; what cannot be written is kept.

    A run may have taken hours, and a full disk can be mended while the next ones are computed: so
    a run that cannot be recorded waits in memory, and is tried again before the next one.

    Args:
        path: returns the results file of a profile, as it is at the time of writing.
    """

    def __init__(self, path: Callable[[str], Path]) -> None:
        self.path = path
        self.waiting: list[tuple[records.Record, bytes]] = []
        self.fault = ""

    def add(self, record: records.Record, packed: bytes) -> None:
        """Record a run, after those that wait; `packed` is the file of its arrays, if any.

        Warns:
            RecordWarning: it cannot be written.
        """
        self.waiting.append((record, packed))
        before = self.fault
        if not self.flush() and not before:
            warnings.warn(
                f"{self.fault}; until then finished runs are kept in memory",
                records.RecordWarning,
                stacklevel=2,
            )

    def flush(self) -> bool:
        """Write what waits; return whether all of it is on the disk. `fault` says why not."""
        while self.waiting:
            record, packed = self.waiting[0]
            path = self.path(record["profile"])
            try:
                if packed:
                    artifacts.write(path.with_suffix("") / record["artifact"], packed)
                records.append(path, record)
            except OSError as error:
                self.fault = str(error)
                return False
            self.waiting.pop(0)
        self.fault = ""
        return True
