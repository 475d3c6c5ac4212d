"""What the recorded runs took, chapter by chapter, from the seconds in the records."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Spent:
    """The runs of one chapter at one profile.

    Attributes:
        studies: seconds by study.
        runs: how many runs.
        longest: seconds of the longest run.
        devices: how many runs each device made.
    """

    studies: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    longest: float = 0.0
    devices: Counter[str] = field(default_factory=Counter)

    @property
    def seconds(self) -> float:
        """All runs together, as if made one after the other."""
        return sum(self.studies.values())


def newest(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the runs of a results file that its newest code made, each run once.

    A line that cannot be read is passed over: the library reports it, where it matters.
    """
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
            rows.append({name: row[name] for name in ("study", "key", "code", "seconds", "device")})
        except (ValueError, KeyError, TypeError):
            continue
    yield from {row["key"]: row for row in rows if row["code"] == rows[-1]["code"]}.values()


def spent(results: Path, profile: str) -> dict[str, Spent]:
    """Return what each chapter's recorded runs took, by its number."""
    found: dict[str, Spent] = {}
    for path in sorted((results / profile).glob("ch[0-9][0-9]-*.jsonl")):
        chapter = found.setdefault(path.name[2:4], Spent())
        for row in newest(path):
            chapter.studies[row["study"]] += row["seconds"]
            chapter.runs += 1
            chapter.longest = max(chapter.longest, row["seconds"])
            chapter.devices[row["device"]] += 1
    return {number: chapter for number, chapter in found.items() if chapter.runs}


def duration(seconds: float) -> str:
    """Return a time in the unit that fits.

    Example:
        >>> [duration(s) for s in (0.31, 7.2, 95, 4000, 90_000)]
        ['0.3 s', '7.2 s', '1.6 min', '1.1 h', '25 h']
    """
    amount, name = seconds, "s"
    for unit, longer in ((60, "min"), (60, "h")):
        if amount >= unit:
            amount, name = amount / unit, longer
    return f"{amount:.1f} {name}" if amount < 9.95 else f"{amount:.0f} {name}"


def table(results: Path, profile: str, chapters: Sequence[Mapping[str, str]]) -> str:
    """One line per chapter: runs, all of them in turn, the longest one, the largest study."""
    by_number = spent(results, profile)
    if not by_number:
        return f"No runs are recorded at profile {profile}."
    lines = [
        "| chapter | studies | runs | all runs, in turn | longest run | largest study |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for chapter in chapters:
        one = by_number.get(chapter["id"][:2])
        if one:
            name, seconds = one.studies.most_common(1)[0]
            lines.append(
                f"| {chapter['id'][:2]} {chapter['title']} | {len(one.studies)} | {one.runs} "
                f"| {duration(one.seconds)} | {duration(one.longest)} "
                f"| `{name}`, {duration(seconds)} |"
            )
    every = list(by_number.values())
    total = duration(sum(one.seconds for one in every))
    devices = sum((one.devices for one in every), Counter())
    made = ", ".join(f"{name}: {count} runs" for name, count in devices.most_common())
    studies, runs = sum(len(one.studies) for one in every), sum(one.runs for one in every)
    lines.append(f"| **together** | {studies} | {runs} | **{total}** | | |")
    return "\n".join(lines) + f"\n\nMade on {made}."
