"""A study: a function, a grid of settings and seeds, whose runs are loaded or computed.

A recorded run is used when its settings, seed, data and code are those of the study as it stands;
anything else is computed and recorded as it finishes. Tables depend on which runs there are and
not on the order in which they were made.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from mmlib import checks
from mmlib.evidence import execute, records
from mmlib.evidence.cluster import address_of
from mmlib.evidence.collection import Collection, Settings
from mmlib.evidence.fingerprint import code_fingerprint
from mmlib.evidence.profiles import PROFILES
from mmlib.evidence.runs import Runs
from mmlib.evidence.writer import Writer


class StudyError(RuntimeError):
    """Some runs of a study failed, or could not be made; what finished is recorded.

    Attributes:
        failed: one ``(settings, seed, reason)`` per run that failed.
        runs: the runs that finished, recorded or not; None where none was asked for.
    """

    def __init__(
        self,
        message: str,
        failed: Sequence[tuple[Settings, int, str]] = (),
        runs: Runs | None = None,
    ) -> None:
        super().__init__(message)
        self.failed, self.runs = tuple(failed), runs


def resolve_data(name: str) -> str:
    """Return the name of the data to use: `name`, or its stand-in where the files are absent."""
    from mmlib.data import resolve

    return resolve(name)


@cache
def data_fingerprint(name: str) -> str:
    """Return the fingerprint of a data set, read once in a process."""
    from mmlib.data import fingerprint

    return fingerprint(name)


class Study:
    """Runs that belong together, at three sizes.

    Args:
        name: name of the study and of its results file.
        run: ``run(settings, seed)`` -> metrics, or -> (metrics, arrays); defined at the top level
            of a file. It receives ``device=...`` too when it has a parameter of that name.
            ``metrics`` maps names to numbers, ``arrays`` maps names to small arrays.
        grid: for each profile the list of cells, each a dict of settings.
        seeds: for each profile the number of seeds that the recorded study holds.
        live_seeds: for each profile how many seeds are computed when nothing is recorded
            (as many as ``seeds`` unless given).
        data: name of the data set, put into each cell that names none; None for studies that
            need no data set.
        n_jobs: processes used for missing runs; None takes all cores, 1 suits runs of under two
            seconds, which a process would cost more than it saves.
        resolve, fingerprint: how a data name becomes the name to use and its fingerprint; by
            default those of `mmlib.data`.

    Raises:
        TypeError, ValueError: an argument does not fit; the message names it.
    """

    def __init__(
        self,
        name: str,
        run: Callable[..., Any],
        grid: Mapping[str, Iterable[Mapping[str, Any]]],
        seeds: Mapping[str, int] | None = None,
        live_seeds: Mapping[str, int] | None = None,
        data: str | None = None,
        *,
        n_jobs: int | None = None,
        resolve: Callable[[str], str] = resolve_data,
        fingerprint: Callable[[str], str] = data_fingerprint,
    ) -> None:
        if not name or not all(part.isalnum() for part in name.split("-")):
            raise ValueError(f"name: expected letters, digits and hyphens, but got {name!r}")
        self.name, self.run, self.data = name, run, data
        self.n_jobs, self.resolve, self.fingerprint = n_jobs, resolve, fingerprint
        self.grid = {
            checks.choice("profile", profile, tuple(PROFILES)): self._cells(cells)
            for profile, cells in grid.items()
        }
        self.seeds = {"smoke": 1, "quick": 5, "paper": 5, **(seeds or {})}
        self.live_seeds = {**self.seeds, **(live_seeds or {})}
        for profile, count in [*self.seeds.items(), *self.live_seeds.items()]:
            checks.choice("profile", profile, tuple(PROFILES))
            checks.integer(f"seeds[{profile!r}]", count, low=1)
        self.writer = Writer(self.path)
        self.claims: dict[str, tuple[Callable[..., Any], tuple[Study, ...]]] = {}
        self.takes_device = "device" in inspect.signature(run).parameters
        self._code_at_import = code_fingerprint(run)

    def __repr__(self) -> str:
        return f"Study({self.name!r})"

    def _cells(self, cells: Iterable[Mapping[str, Any]]) -> list[Settings]:
        found: dict[str, Settings] = {}
        for cell in cells:
            settings = {key: records.plain(key, value) for key, value in cell.items()}
            if self.data is not None:
                settings.setdefault("data", self.data)
            if clash := {"seed", "key"} & set(settings):
                raise ValueError(f"grid: {clash.pop()!r} is not a setting; seeds are counted apart")
            found.setdefault(records.key_of(settings), settings)
        if not found:
            raise ValueError("grid: expected at least one cell for each profile, but got none")
        return list(found.values())

    @property
    def code(self) -> str:
        """Fingerprint of the code that the run function can reach, as it is on the disk."""
        return code_fingerprint(self.run)

    def path(self, profile: str) -> Path:
        """Return the results file of a profile."""
        return records.results_root() / profile / f"{self.name}.jsonl"

    def evidence(self, claim: str, *, also: Sequence[Study] = ()) -> Callable[[Callable], Callable]:
        """Register the function that turns the runs of this study into evidence for a claim.

        The function is pure: it receives the runs of this study, then those of the studies in
        `also`, and returns an evidence object such as `paired` makes.

        Raises:
            ValueError: the claim has its evidence already.
        """

        def register(function: Callable) -> Callable:
            if claim in self.claims:
                raise ValueError(f"claim {claim!r}: study {self.name} has its evidence already")
            self.claims[claim] = (function, tuple(also))
            return function

        return register

    def load(self, profile: str) -> Runs:
        """Return the recorded runs of the seeds that are complete; computes and resolves nothing.

        The ledger reads studies this way: the result depends on the records and the code alone.
        """
        return Collection(self, profile, self.grid.get(profile, []), self.code).recorded()

    def stale(self) -> list[records.Record]:
        """Return the recorded runs that the present code did not make, which no table uses."""
        code = self.code
        return [
            record
            for profile in PROFILES
            for record in records.read(self.path(profile))
            if record["code"] != code
        ]

    def collect(
        self,
        profile: str,
        *,
        n_seeds: int | None = None,
        first_seed: int = 0,
        overrides: Mapping[str, Any] | None = None,
        recompute: bool = False,
        n_jobs: int | None = None,
        device: str = "cpu",
        progress: bool = True,
        allow_failures: bool = False,
        cluster: str | None = None,
    ) -> Runs:
        """Load the recorded runs, compute the missing ones, and return them as one table.

        Args:
            profile: "smoke", "quick" or "paper".
            n_seeds: how many seeds. None takes every recorded seed that all cells have, and
                computes the first ``live_seeds[profile]`` ones if there are fewer.
            first_seed: the first seed.
            overrides: settings that replace those of the grid, in the cells that have them.
            recompute: run all again; the newest record of a run counts, none is deleted.
            n_jobs: processes for the missing runs; None takes that of the study.
            device: handed to the run function if it asks for it; recorded.
            progress: show a bar with count, rate and time left (``TQDM_DISABLE`` hides it too).
            allow_failures: return what finished instead of raising when runs fail, or cannot be
                recorded.
            cluster: address of a Dask scheduler, ``"tcp://host:8786"``, whose workers make the
                missing runs; None takes what ``MMLIB_CLUSTER`` names, if anything. Workers have one
                thread each, this code, these versions and these data; others are refused.

        Raises:
            ClusterError: the cluster does not answer or cannot be used.
            StudyError: runs failed; it lists their settings, seeds and reasons. All others are
                finished and recorded first. Or finished runs could not be recorded, on a full
                disk: they are tried again by the next call. Or the code on the disk is not the
                code in memory.
            ValueError, TypeError: an argument does not fit.
            OSError: something must be computed and the results folder cannot be written.
        """
        checks.choice("profile", profile, tuple(self.grid))
        checks.integer("first_seed", first_seed, low=0)
        if n_seeds is not None:
            checks.integer("n_seeds", n_seeds, low=1)
        cells, changed = self._overridden(self.grid[profile], dict(overrides or {}))
        self.writer.flush()
        collection = Collection(self, profile, cells, self._checked_code(), changed)
        collection.plan(first_seed, n_seeds, recompute)
        if collection.missing:
            records.check_writable(self.path(profile))
            jobs = n_jobs or self.n_jobs or (None if device == "cpu" else 1)
            label = self.name if progress else None
            collection.compute(device, jobs, label, address_of(cluster))
        finished = collection.runs()
        if (collection.failed or self.writer.waiting) and not allow_failures:
            raise StudyError(collection.failure_text(), collection.failed, finished)
        return finished

    def _checked_code(self) -> str:
        code = self.code
        if code != self._code_at_import:
            raise StudyError(
                f"study {self.name}: its code has changed on the disk since it was imported; "
                "restart the kernel, so that runs are recorded under the code that made them"
            )
        return code

    def _overridden(
        self, cells: list[Settings], overrides: Settings
    ) -> tuple[list[Settings], Settings]:
        """Return the cells with the overrides, and those overrides that changed any of them."""
        known = sorted({key for cell in cells for key in cell})
        changed = {}
        for key, value in overrides.items():
            checks.choice("overrides", key, known)
            if any(key in cell and cell[key] != records.plain(key, value) for cell in cells):
                changed[key] = value
        new = ({k: changed.get(k, v) for k, v in cell.items()} for cell in cells)
        return self._cells(new), changed

    def rerun(self, record: records.Record) -> dict[str, Any]:
        """Return the arrays of a recorded run, made again because their file is absent.

        Raises:
            StudyError: the run fails.
        """
        options = {"device": "cpu"} if self.takes_device else {}
        outcome = execute.run_one(self.run, record["settings"], record["seed"], options)
        if outcome.error:
            raise StudyError(f"study {self.name}: {outcome.error}")
        return outcome.arrays
