"""The runs of a study, as one tidy table that is the same whatever was loaded or computed."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mmlib.evidence import artifacts, records
from mmlib.evidence.execute import tupled

if TYPE_CHECKING:
    from mmlib.evidence.study import Study


@dataclass
class Runs:
    """What `Study.collect` returns.

    Attributes:
        study: the study.
        profile: the profile of the runs.
        code: fingerprint of the code that made them.
        records: one record per run, in the order of the table: by seed, then by cell of the grid.
        cells: number of cells of the grid.
        seeds: the seeds that all cells have.
        data: for each data set that was asked for, the one that was used.
        computed: how many runs were computed by this call; the others were loaded.
        failed: ``(settings, seed, reason)`` of each run that failed.
        overrides: the settings that replaced other ones of the grid.
    """

    study: Study
    profile: str
    code: str
    records: list[dict[str, Any]]
    cells: int
    seeds: tuple[int, ...]
    data: dict[str, str]
    computed: int = 0
    failed: tuple[tuple[dict, int, str], ...] = ()
    overrides: dict[str, Any] = field(default_factory=dict)

    @property
    def loaded(self) -> int:
        """How many runs were loaded from the records."""
        return len(self.records) - self.computed

    @property
    def is_stand_in(self) -> bool:
        """Whether any data set that was asked for is replaced by an embedded one."""
        return any(asked != used for asked, used in self.data.items())

    @property
    def data_text(self) -> str:
        """The data as the page names it, "mnist" or "digits (stands in for mnist)"."""
        parts = [
            used if asked == used else f"{used} (stands in for {asked})"
            for asked, used in sorted(self.data.items())
        ]
        return ", ".join(parts) or "none"

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a run, with settings, then ``seed``, then metrics.

        A setting that a cell does not have is missing (NaN); a metric that is not finite is kept
        as NaN or infinity. Lists are tuples.
        """
        settings = list(dict.fromkeys(key for row in self.records for key in row["settings"]))
        metrics = list(dict.fromkeys(key for row in self.records for key in row["metrics"]))
        rows = [
            {
                **tupled(row["settings"]),
                "seed": row["seed"],
                **{name: float(value) for name, value in row["metrics"].items()},
            }
            for row in self.records
        ]
        return pd.DataFrame(rows, columns=[*settings, "seed", *metrics])

    def arrays(self, row: int | Any) -> dict[str, Any]:
        """Return the arrays of a run, from the file beside its record or by running it again.

        Args:
            row: a row of the table, as its index label, a Series or a tuple of ``itertuples``.

        Raises:
            KeyError: the run has recorded no arrays.

        Warns:
            RecordWarning: the file is damaged, or cannot be written again.
        """
        label = getattr(row, "Index", getattr(row, "name", row))
        record = self.records[int(label)]
        if not record["artifact"]:
            raise KeyError(f"study {self.study.name}, row {label}: the run recorded no arrays")
        path = self.study.path(self.profile).with_suffix("") / record["artifact"]
        with contextlib.suppress(FileNotFoundError):
            try:
                return artifacts.read(path)
            except ValueError as error:
                _warn(f"{error}; the run is made again")
        arrays = self.study.rerun(record)
        name, packed = artifacts.pack(record["key"], arrays)
        try:
            artifacts.write(path.with_name(name), packed)
        except OSError as error:
            _warn(str(error))
        return {name: np.asarray(array) for name, array in arrays.items()}

    def summary(self) -> str:
        """Return one line: how many runs, where they came from, at which size, on which data."""
        text = (
            f"{self.study.name}: {self.loaded} runs loaded, {self.computed} computed; "
            f"profile {self.profile}, {len(self.seeds)} seeds, data {self.data_text}"
        )
        odd = sum(isinstance(v, str) for row in self.records for v in row["metrics"].values())
        text += f"; {odd} metrics are not finite" if odd else ""
        return text + (f"; {len(self.failed)} runs failed" if self.failed else "")

    def __repr__(self) -> str:
        return f"<{self.summary()}>"


def _warn(text: str) -> None:
    warnings.warn(text, records.RecordWarning, stacklevel=3)
