"""One call of `Study.collect`: which runs are needed, which are recorded, which are computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mmlib.evidence import artifacts, execute, records
from mmlib.evidence.cluster import Conditions
from mmlib.evidence.runs import Runs

if TYPE_CHECKING:
    from mmlib.evidence.study import Study

Settings = dict[str, Any]
Key = tuple[str, int]  # digest of the settings, seed


class Collection:
    """The runs of some cells at one profile, under one state of the code.

    Args:
        study: the study.
        profile: "smoke", "quick" or "paper".
        cells: the cells, naming the data that were asked for.
        code: fingerprint of the code.
        overrides: what was changed in the cells of the grid, for the report.
    """

    def __init__(
        self,
        study: Study,
        profile: str,
        cells: list[Settings],
        code: str,
        overrides: Settings | None = None,
    ) -> None:
        self.study, self.profile, self.code = study, profile, code
        self.asked, self.cells = cells, cells
        self.overrides = overrides or {}
        self.held = self._recorded()
        self.seeds: list[int] = []
        self.missing: list[tuple[Settings, int]] = []
        self.made: set[Key] = set()
        self.failed: list[tuple[Settings, int, str]] = []

    def _recorded(self) -> dict[Key, records.Record]:
        """Return the newest record of each run by this code, all on the newest data of a name."""
        found: dict[Key, records.Record] = {}
        newest: dict[str | None, str | None] = {}
        waiting = [row for row, _ in self.study.writer.waiting if row["profile"] == self.profile]
        for record in [*records.read(self.study.path(self.profile)), *waiting]:
            if record["study"] == self.study.name and record["code"] == self.code:
                found[records.key_of(record["settings"]), record["seed"]] = record
                newest[record["data"]["name"]] = record["data"]["fingerprint"]
        return {key: row for key, row in found.items() if _is_on(row, newest)}

    def complete(self, seeds: Iterable[int]) -> list[int]:
        """Return the seeds that every cell has: comparisons are paired."""
        keys = [records.key_of(cell) for cell in self.cells]
        return [seed for seed in seeds if keys and all((key, seed) in self.held for key in keys)]

    def recorded(self) -> Runs:
        """Return the recorded runs of the complete seeds."""
        self.seeds = self.complete(range(self.study.seeds.get(self.profile, 0)))
        return self.runs()

    # ---------------------------------------------------------------- planning

    def plan(self, first_seed: int, n_seeds: int | None, recompute: bool) -> None:
        """Decide which seeds are used, on which data, and which runs are missing."""
        study = self.study
        full = range(first_seed, first_seed + (n_seeds or study.seeds[self.profile]))
        recorded = self.complete(full)
        self._choose(full, n_seeds, recompute)
        if not self.missing:
            return
        used = {name: study.resolve(name) for name in _data_names(c for c, _ in self.missing)}
        if any(name != stand_in for name, stand_in in used.items()):
            if recorded and n_seeds is None and not recompute:
                self.seeds, self.missing = recorded, []  # real runs are better than stand-ins
                return
            self.cells = [
                {**cell, "data": used.get(cell["data"], cell["data"])} if "data" in cell else cell
                for cell in self.asked
            ]
        present = {name: study.fingerprint(name) for name in _data_names(self.cells)}
        self.held = {key: row for key, row in self.held.items() if _is_on(row, present)}
        self._choose(full, n_seeds, recompute)

    def _choose(self, full: range, n_seeds: int | None, recompute: bool) -> None:
        seeds = list(full) if n_seeds else self.complete(full)
        wanted = min(self.study.live_seeds[self.profile], len(full))
        more = [seed for seed in full if seed not in seeds]
        self.seeds = sorted(seeds + more[: max(0, wanted - len(seeds))])
        self.missing = [
            (cell, seed)
            for seed in self.seeds  # seed by seed, so that an interrupted study holds whole seeds
            for cell in self.cells
            if recompute or (records.key_of(cell), seed) not in self.held
        ]

    def _used_data(self) -> dict[str, str]:
        """Return, for each data set that was asked for, the one that is used."""
        pairs = zip(self.asked, self.cells, strict=True)
        return {cell["data"]: used["data"] for cell, used in pairs if cell.get("data")}

    # ---------------------------------------------------------------- computing

    def compute(
        self, device: str, jobs: int | None, label: str | None, cluster: str | None = None
    ) -> None:
        """Run what is missing, here or on a cluster; each run is recorded as it finishes."""
        study = self.study
        options = {"device": device} if study.takes_device else {}
        commit, dirty = records.commit()
        origin: dict[str, Any] = {"versions": records.versions(), "commit": commit, "dirty": dirty}
        conditions = Conditions(self.code, origin["versions"])
        if cluster:
            data = {name: study.fingerprint(name) for name in _data_names(self.cells)}
            conditions = replace(conditions, data=data, fingerprint=study.fingerprint)
        finished = execute.run_all(
            study.run, conditions, self.missing, options, jobs, label, cluster
        )
        for position, outcome in finished:
            settings, seed = self.missing[position]
            if outcome.error is None:
                try:
                    record, packed = self._record(settings, seed, outcome)
                except (TypeError, ValueError) as error:
                    outcome.error = f"{type(error).__name__}: {error}"
            if outcome.error is not None:
                self.failed.append((settings, seed, outcome.error))
                continue
            record |= {"device": outcome.device, **origin, "time": records.now()}
            study.writer.add(record, packed)
            key = records.key_of(settings), seed
            self.held[key] = record
            self.made.add(key)
        self.failed.sort(key=lambda entry: self.missing.index(entry[:2]))

    def _record(
        self, settings: Settings, seed: int, outcome: execute.Outcome
    ) -> tuple[records.Record, bytes]:
        """Return the record of a run and the file of its arrays, empty without any."""
        study = self.study
        if clash := set(outcome.metrics) & {*settings, "seed"}:
            raise ValueError(f"metric {clash.pop()!r}: the name is that of a setting")
        metrics = {name: records.encode_metric(name, v) for name, v in outcome.metrics.items()}
        key = records.key_of([study.name, self.profile, settings, seed, self.code])[:12]
        artifact, packed = artifacts.pack(key, outcome.arrays) if outcome.arrays else (None, b"")
        name = settings.get("data")
        asked: dict[str | None, str] = {used: one for one, used in self._used_data().items()}
        record = {
            "study": study.name,
            "profile": self.profile,
            "key": key,
            "settings": settings,
            "seed": seed,
            "metrics": metrics,
            "data": {
                "name": name,
                "asked": asked.get(name, name),
                "fingerprint": study.fingerprint(name) if name else None,
            },
            "code": self.code,
            "artifact": artifact,
            "seconds": round(outcome.seconds, 3),
        }
        return record, packed

    def failure_text(self) -> str:
        """Return the report of the runs that failed, and of those that could not be recorded."""
        lines = []
        if waiting := len(self.study.writer.waiting):
            lines = [
                f"study {self.study.name}: {waiting} runs are finished but not recorded: "
                f"{self.study.writer.fault}. They are kept in memory: once that is mended, collect "
                "again in this process to record them (`runs` of this error is their table)"
            ]
        if self.failed:
            others = "others are finished" if waiting else "others are recorded"
            lines.append(
                f"study {self.study.name}: {len(self.failed)} of {len(self.missing)} runs failed, "
                f"the {others}; start again to compute only these"
            )
        lines += [f"  {cell}, seed {seed}: {why}" for cell, seed, why in self.failed]
        return "\n".join(lines)

    # ---------------------------------------------------------------- result

    def runs(self) -> Runs:
        """Return the runs of the chosen seeds, seed by seed in the order of the grid."""
        keys = [records.key_of(cell) for cell in self.cells]
        wanted = [(key, seed) for seed in self.seeds for key in keys if (key, seed) in self.held]
        return Runs(
            study=self.study,
            profile=self.profile,
            code=self.code,
            records=[self.held[key] for key in wanted],
            cells=len(self.cells),
            seeds=tuple(self.complete(self.seeds)),
            data=self._used_data(),
            computed=len(self.made & set(wanted)),
            failed=tuple(self.failed),
            overrides=self.overrides,
        )


def _is_on(record: records.Record, present: Mapping[Any, str | None]) -> bool:
    name, fingerprint = record["data"]["name"], record["data"]["fingerprint"]
    return present.get(name, fingerprint) == fingerprint


def _data_names(cells: Iterable[Settings]) -> list[str]:
    return sorted({cell["data"] for cell in cells if cell.get("data")})
