"""What several pages show: verdicts, bars, numbers, status tables, as HTML inside MyST."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from builder.claims import VERDICTS, Row
from builder.texts import reading_order, section_of


def by_section(rows: Iterable[Row]) -> dict[str, dict[str, list[Row]]]:
    """The rows by text and, in reading order, by section."""
    found: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        section = section_of(row["source"], row["location"])
        found.setdefault(row["source"], {}).setdefault(section, []).append(row)
    return {
        source: {name: own[name] for name in sorted(own, key=reading_order)}
        for source, own in found.items()
    }


def counts_of(rows: Iterable[Row]) -> dict[str, int]:
    """How many rows carry each verdict, in the fixed order."""
    counted = Counter(row["verdict"] for row in rows)
    return {verdict: counted[verdict] for verdict in VERDICTS}


def css(verdict: str) -> str:
    """The CSS class of a verdict."""
    return f"mm-{verdict.replace(' ', '-')}"


def in_words(counts: Mapping[str, int]) -> str:
    """The counts that are not zero, as words."""
    return ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n)


def badge(verdict: str) -> str:
    """The verdict as a coloured word."""
    return f'<span class="mm-verdict {css(verdict)}">{escape(verdict)}</span>'


def linked_badge(row: Row) -> str:
    """The verdict on a claim as a link to its evidence."""
    claim = escape(row["id"])
    return f'<a href="ledger.html#{claim}" title="{claim}">{badge(row["verdict"])}</a>'


def bar(counts: Mapping[str, int]) -> str:
    """A stacked bar of verdicts, with the counts as its text alternative."""
    words = in_words(counts)
    parts = "".join(
        f'<span class="{css(verdict)}" style="flex-grow:{n}"></span>'
        for verdict, n in counts.items()
        if n
    )
    return f'<div class="mm-bar" role="img" aria-label="{words}" title="{words}">{parts}</div>'


def raw(html: str) -> str:
    """HTML that MyST passes through unchanged."""
    return f"```{{raw}} html\n{html}\n```"


def number(value: Any) -> str:
    """A measured number with three significant digits; other values as they are."""
    if isinstance(value, bool) or value is None:
        return "" if value is None else ("yes" if value else "no")
    if isinstance(value, (int, float)):
        return f"{value:.3g}"
    return str(value)


def interval(row: Row) -> str:
    """The row's number with its interval, or an empty string."""
    if row["value"] in (None, ""):
        return ""
    text = f'<span class="mm-value">{escape(number(row["value"]))}</span>'
    if row["interval"]:
        low, high = row["interval"]
        text += f' <span class="mm-interval">[{escape(number(low))}, {escape(number(high))}]</span>'
    return text


def where(row: Row, linked: set[str]) -> str:
    """The link to the cell that tests a claim, or that nothing tests it yet."""
    chapter = row["chapter"]
    if row["verdict"] == "not tested" or chapter not in linked:
        return f'<span class="mm-planned">not tested yet (chapter {escape(chapter[:2])})</span>'
    address = f"../notebooks/{chapter}.html#{row['id']}"
    return f'<a href="{escape(address)}">the cell in chapter {escape(chapter[:2])}</a>'


def details(row: Row) -> str:
    """What a verdict rests on: number, seeds, profile, data, printed value."""
    facts = [interval(row)]
    if row["published"] not in (None, ""):
        facts.append(f"printed {escape(number(row['published']))}")
    if row["n_seeds"]:
        facts.append(f"{row['n_seeds']} seeds")
    facts += [escape(str(row[key])) for key in ("profile", "data") if row[key]]
    return " · ".join(fact for fact in facts if fact)


def stated(row: Row, linked: set[str]) -> str:
    """One claim in a sentence, with its verdict and the cell that tests it."""
    return (
        f"<em>{escape(row['source'])}, {escape(row['location'])}:</em> {escape(row['statement'])} "
        f"{badge(row['verdict'])} {where(row, linked)}, "
        f'<a href="ledger.html#{escape(row["id"])}">{escape(row["id"])}</a>.'
    )


def status(chapters: Iterable[Mapping[str, Any]]) -> str:
    """A line per notebook: state, time, profile, data."""
    lines = [
        "| notebook | state | profile | seconds | finished | data found |",
        "|---|---|---|---:|---|---|",
    ]
    for row in chapters:
        lines.append(
            f"| [{row['name']}](../notebooks/{row['name']}) | {row['state']} | {row['profile']} "
            f"| {row['seconds']} | {row['finished']} | {row['data']} |"
        )
    return "\n".join(lines)
