"""The ledger: every claim of the registry with the verdict that the recorded runs give it.

It is a function of the records and the code: nothing is trained, downloaded or looked up.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import math
import pkgutil
import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any

from mmlib.evidence.decisions import NOT_TESTED, WORDS
from mmlib.evidence.profiles import PROFILES
from mmlib.evidence.rulebook import Rule, rules
from mmlib.evidence.runs import Runs
from mmlib.evidence.study import Study
from mmlib.evidence.tables import claims
from mmlib.evidence.verdicts import Verdict, judge

Row = dict[str, Any]


def studies() -> dict[str, Study]:
    """Return the studies that the modules of `mmlib.studies` define, by name.

    Raises:
        ValueError: two studies have one name, and so one results file.
    """
    found: dict[str, Study] = {}
    package = importlib.import_module("mmlib.studies")
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(info.name)
        for study in vars(module).values():
            if isinstance(study, Study) and found.setdefault(study.name, study) is not study:
                raise ValueError(f"study {study.name!r}: two studies have this name")
    return found


class _Loaded:
    """Recorded runs, each study and profile read once."""

    def __init__(self, known: Mapping[str, Study]) -> None:
        self.known = known
        self._runs: dict[tuple[str, str], Runs] = {}

    def runs(self, study: Study, profile: str) -> Runs:
        key = (study.name, profile)
        if key not in self._runs:
            self._runs[key] = study.load(profile)
        return self._runs[key]

    def best(self, rule: Rule, wanted: list[Study]) -> list[Runs] | None:
        """Return runs at the largest profile with enough seeds, else at that with the most."""
        best: tuple[int, list[Runs]] | None = None
        profiles = [name for name, profile in PROFILES.items() if profile.supports_verdicts]
        for profile in reversed(profiles):
            found = [self.runs(study, profile) for study in wanted]
            n = min(len(runs.seeds) for runs in found)
            if n >= rule.min_seeds:
                return found
            if n and (best is None or n > best[0]):
                best = (n, found)
        return best and best[1]


def verdict(claim: str, rule: Rule | None, loaded: _Loaded) -> tuple[Verdict, str]:
    """Return the verdict on a claim from recorded runs, and where these are recorded."""
    if rule is None or rule.rule == "not_testable":
        return judge(claim), ""
    study = loaded.known.get(rule.study)
    if study is None or claim not in study.claims:
        lacking = "no such study" if study is None else "no evidence for it there"
        return Verdict(claim, NOT_TESTED, f"study {rule.study}: {lacking}", rule=rule.text), ""
    wanted = [study, *study.claims[claim][1]]
    runs = loaded.best(rule, wanted)
    if runs is None:
        names = ", ".join(one.name for one in wanted)
        reason = f"no complete runs of {names} are recorded for the present code"
        return Verdict(claim, NOT_TESTED, reason, rule=rule.text), ""
    record = ", ".join(f"{one.profile}/{one.study.name}.jsonl@{one.code}" for one in runs)
    try:
        return judge(claim, *runs), record
    except Exception as error:  # one claim's evidence must not hide the verdicts on all others
        reason = f"its evidence could not be computed: {type(error).__name__}: {error}"
        warnings.warn(f"{claim}: {reason}", RuntimeWarning, stacklevel=2)
        return Verdict(claim, NOT_TESTED, reason, rule=rule.text), record


def verdicts(known: Mapping[str, Study] | None = None) -> dict[str, tuple[Verdict, str]]:
    """Return the verdict on each claim of the registry, and where its runs are recorded."""
    loaded = _Loaded(studies() if known is None else known)
    written = rules()
    return {name: verdict(name, written.get(name), loaded) for name in claims()["id"]}


def ledger(known: Mapping[str, Study] | None = None) -> list[Row]:
    """Return one row per claim, in the order of the registry, ready for JSON.

    Keys: ``id, source, location, chapter, kind, statement, verdict, reason, rule, parts, profile,
    data, n_seeds, value, interval, published, notebook, cell, record``. ``parts`` lists name,
    verdict and reason of each part of a claim that says several things. ``record`` names the
    results files and, after an @, the fingerprint of the code that made the runs in them.

    Args:
        known: the studies by name; those of `mmlib.studies` unless given.

    Warns:
        RuntimeWarning: the evidence of a claim could not be computed; its row says why.
    """
    written, found = rules(), verdicts(known)
    rows = []
    for claim in claims().to_dict("records"):
        one, record = found[claim["id"]]
        rule = written.get(claim["id"])
        interval = list(one.interval or [])
        rows.append(
            {
                **{k: claim[k] for k in ("id", "source", "location", "chapter", "kind")},
                "statement": claim["statement"],
                "verdict": one.verdict,
                "reason": one.reason,
                "rule": one.rule or None,
                "parts": [
                    {"name": name, "verdict": part.verdict, "reason": part.reason}
                    for name, part in one.parts.items()
                ],
                "profile": one.profile,
                "data": one.data,
                "n_seeds": one.n_seeds,
                "value": one.value,
                "interval": interval if interval and all(map(math.isfinite, interval)) else None,
                "published": one.published,
                "notebook": f"notebooks/{claim['chapter']}.ipynb",
                "cell": rule.cell if rule and rule.rule != "not_testable" else None,
                "record": record or None,
            }
        )
    return rows


def as_json(rows: list[Row]) -> str:
    """Return the ledger as a JSON array, one claim on a line.

    Example:
        >>> json.loads(as_json([{"id": "X-1"}, {"id": "X-2"}]))
        [{'id': 'X-1'}, {'id': 'X-2'}]
    """
    lines = (json.dumps(row, allow_nan=False, ensure_ascii=False) for row in rows)
    return "[\n" + ",\n".join(lines) + "\n]\n"


def as_csv(rows: list[Row]) -> str:
    """Return the ledger as CSV: the columns of `ledger`, ``interval`` in two, ``parts`` as text.

    An empty cell is a value that is not there.
    """
    flat = []
    for row in rows:
        parts = (f"{part['name']}: {part['verdict']}, {part['reason']}" for part in row["parts"])
        low, high = row["interval"] or (None, None)
        flat.append(row | {"parts": " | ".join(parts), "interval_low": low, "interval_high": high})
        del flat[-1]["interval"]
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=list(flat[0]) if flat else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return file.getvalue()


def summary(rows: list[Row]) -> str:
    """Return the counts of each verdict per chapter, as text."""
    chapters = sorted({row["chapter"] for row in rows})
    width = max(map(len, [*chapters, "all"]))
    lines = [f"{'chapter':<{width}}" + "".join(f"{word:>14}" for word in WORDS)]
    for chapter in [*chapters, "all"]:
        counts = Counter(row["verdict"] for row in rows if chapter in ("all", row["chapter"]))
        lines.append(f"{chapter:<{width}}" + "".join(f"{counts[word]:>14}" for word in WORDS))
    tested = [row for row in rows if row["verdict"] != NOT_TESTED]
    lines += [""] * bool(tested)
    lines += [f"{row['id']}: {row['verdict']}. {row['reason']}" for row in tested]
    return "\n".join(lines)
