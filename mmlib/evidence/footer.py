"""Where the numbers of a page come from, in one footer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from mmlib.evidence.runs import Runs


@dataclass(frozen=True)
class Provenance:
    """Rows of (what, value); shown as a table in a notebook and in the book."""

    rows: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "\n".join(f"{name}: {value}" for name, value in self.rows)

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        lines = (f"| {name} | {value.replace('|', '/')} |" for name, value in self.rows)
        return "\n".join(["| provenance | |", "|---|---|", *lines])

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
            for name, value in self.rows
        )
        return f'<table class="mm-provenance"><caption>Provenance</caption>{rows}</table>'


def _listed(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values))) or "none"


def _data(one: Runs) -> str:
    found = {
        f"{row['data']['name']} ({row['data']['fingerprint']})"
        for row in one.records
        if row["data"]["name"]
    }
    kind = "embedded, it stands in for real data" if one.is_stand_in else "as asked for"
    return f"{one.data_text}, {kind}: {_listed(found)}" if one.data else "none needed"


def _made(one: Runs) -> str:
    return _listed(
        f"{row.get('commit') or 'unknown'}{' with uncommitted changes' if row.get('dirty') else ''}"
        for row in one.records
    )


def provenance(*runs: Runs) -> Provenance:
    """Return the footer of a page: what its numbers were computed with, on and by.

    It says nothing of the present moment, so building again with the same runs changes nothing.

    Args:
        *runs: all runs that the page shows.

    Example:
        >>> provenance().rows
        ()
    """
    rows: list[tuple[str, str]] = []
    for one in runs:
        seconds = sum(row.get("seconds", 0.0) for row in one.records)
        spent = f"{seconds / 60:.1f} minutes" if seconds >= 60 else f"{seconds:.1f} seconds"
        rows += [
            (one.study.name, one.summary().partition(": ")[2]),
            ("data", _data(one)),
            ("made by", f"code {_listed(row['code'] for row in one.records)}, commit {_made(one)}"),
            ("made on", f"{_listed(row.get('device', '?') for row in one.records)} in {spent}"),
        ]
    versions = {
        (name, version)
        for one in runs
        for row in one.records
        for name, version in row.get("versions", {}).items()
    }
    if versions:
        rows.append(("versions", _listed(f"{name} {version}" for name, version in versions)))
    return Provenance(tuple(rows))
