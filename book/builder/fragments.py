"""Verdict bars, ledger tables and status tables as HTML inside MyST pages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from builder.claims import VERDICTS, Row

# Where the figures and tables of a text stand, for rows that name only the figure.
HOME = {
    "Manifold Mixup v1": {
        "Figure 1": "Section 2",
        "Table 1": "Section 4.1",
        "Table 2": "Section 4.1",
        "Tables 3": "Section 4.1",
        "Table 4": "Section 4.2",
        "Table 5": "Section 4.3",
        "Table 6": "Section 4.4",
        "Figures 2": "Section 5",
        "Figure 3": "Section 5",
        "Figure 4": "Section 5",
        "Figure 5": "Section 5",
        "Table 7": "Appendix A",
        "Table 8": "Appendix E",
        "Figure 8": "Appendix F",
    },
    "Manifold Mixup ICML": {
        "Figure 4": "Appendix A",
        "Figure 6": "Appendix C",
        "Figure 7": "Appendix C",
        "Table 9": "Appendix C",
        "Figure 9": "Appendix G",
        "Figure 10": "Appendix G",
        "Figure 11": "Appendix G",
        "Figures 9": "Appendix G",
        "Figure 12": "Appendix G",
    },
    "k-Mixup": {"Figure 1": "Section 1", "Figure 2": "Section 2"}
    | {f"Figure{s} {n}": "Section 5" for n in range(3, 11) for s in ("", "s")},
}


def section_of(source: str, location: str) -> str:
    """The section of a text that a location belongs to, for grouping.

    Example:
        >>> section_of("Manifold Mixup v1", "section 4.3, Table 5")
        'Section 4.3'
        >>> section_of("Manifold Mixup v1", "Table 1 caption")
        'Section 4.1'
    """
    if source == "Manifold mixup: degeneracy? (blog)":
        return "The argument"
    named = re.match(r"(abstract|section|appendix|supplement)s?(?: ([A-Z]|[\d.]+))?", location)
    if named:
        return f"{named[1].capitalize()} {named[2] or ''}".strip()
    figure = re.match(r"(?:Figure|Table)s? \d+", location)
    return HOME.get(source, {}).get(figure[0] if figure else "", "Abstract")


def _reading_order(section: str) -> tuple[int, str]:
    kinds = ("Abstract", "Section", "Appendix", "Supplement")
    rank = next((i for i, kind in enumerate(kinds) if section.startswith(kind)), len(kinds))
    return rank, section


def counts_of(rows: Iterable[Row]) -> dict[str, int]:
    """How many rows carry each verdict, in the fixed order."""
    counted = Counter(row["verdict"] for row in rows)
    return {verdict: counted[verdict] for verdict in VERDICTS}


def css(verdict: str) -> str:
    """The CSS class of a verdict."""
    return f"mm-{verdict.replace(' ', '-')}"


def badge(verdict: str) -> str:
    """The verdict as a coloured word."""
    return f'<span class="mm-verdict {css(verdict)}">{escape(verdict)}</span>'


def bar(counts: Mapping[str, int]) -> str:
    """A stacked bar of verdicts, with the counts as its text alternative."""
    words = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
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


def overview(counts: Mapping[str, int]) -> str:
    """The four large numbers and the bar at the top of the landing page."""
    tiles = "".join(
        f'<a class="mm-tile {css(verdict)}" href="ledger.html?verdict={css(verdict)[3:]}">'
        f"<strong>{n}</strong><span>{verdict}</span></a>"
        for verdict, n in counts.items()
    )
    return raw(f'<div class="mm-tiles">{tiles}</div>\n{bar(counts)}')


def dashboard(rows: Sequence[Row], chapters: Sequence[Mapping[str, str]], linked: set[str]) -> str:
    """One line per chapter: title, what it covers, its verdicts."""
    lines = []
    for chapter in chapters:
        own = [row for row in rows if row["chapter"] == chapter["id"]]
        counts = counts_of(own)
        tested = len(own) - counts["not tested"]
        title = escape(chapter["title"])
        if chapter["id"] in linked:
            title = f'<a href="../notebooks/{chapter["id"]}.html">{title}</a>'
        lines.append(
            f'<tr><td class="mm-no">{chapter["id"][:2]}</td>'
            f'<td><span class="mm-title">{title}</span>'
            f'<span class="mm-covers">{escape(chapter["covers"])}</span></td>'
            f'<td class="mm-count">{tested} / {len(own)}</td>'
            f'<td class="mm-barcell">{bar(counts)}</td></tr>'
        )
    return raw(
        '<div class="mm-scroll"><table class="mm-dashboard"><thead><tr><th>No.</th><th>Chapter</th>'
        '<th class="mm-count">Tested</th><th>Verdicts</th></tr></thead><tbody>'
        + "\n".join(lines)
        + "</tbody></table></div>"
    )


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


def claim_card(row: Row) -> str:
    """One claim with its verdict, for the landing page."""
    facts = details(row)
    return (
        f'<div class="mm-card {css(row["verdict"])}">'
        f'<p class="mm-statement">{escape(row["statement"])}</p>'
        f'<p class="mm-facts">{badge(row["verdict"])} {facts}</p>'
        f'<p class="mm-meta">{escape(row["source"])}, {escape(row["location"])} · '
        f'<a href="ledger.html#{escape(row["id"])}">{escape(row["id"])}</a></p></div>'
    )


def stated(row: Row, linked: set[str]) -> str:
    """One claim in a sentence, with its verdict and the cell that tests it."""
    return (
        f"<em>{escape(row['source'])}, {escape(row['location'])}:</em> {escape(row['statement'])} "
        f'{badge(row["verdict"])} {where(row, linked)}, '
        f'<a href="ledger.html#{escape(row["id"])}">{escape(row["id"])}</a>.'
    )


def ledger(rows: Sequence[Row], linked: set[str]) -> str:
    """The whole ledger as MyST: a heading per text, a table with a group per section."""
    texts: dict[str, list[Row]] = {}
    for row in rows:
        texts.setdefault(row["source"], []).append(row)
    blocks = [raw(_filters(rows))]
    for source, own in texts.items():
        counts = counts_of(own)
        groups: dict[str, list[Row]] = {}
        for row in own:
            groups.setdefault(section_of(source, row["location"]), []).append(row)
        body = []
        for section in sorted(groups, key=_reading_order):
            total = ", ".join(f"{n} {v}" for v, n in counts_of(groups[section]).items() if n)
            body.append(
                '<tbody class="mm-section"><tr class="mm-group"><th colspan="3" scope="rowgroup">'
                f"{escape(section)} <small>{total}</small></th></tr>"
                + "\n".join(_ledger_row(row, linked) for row in groups[section])
                + "</tbody>"
            )
        total = ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n)
        blocks += [
            f"## {source}",
            raw(f'<p class="mm-total">{len(own)} claims: {total}</p>{bar(counts)}'),
            raw(
                '<table class="mm-ledger"><thead>'
                "<tr><th>Claim</th><th>Verdict</th><th>Test</th></tr>"
                "</thead>" + "\n".join(body) + "</table>"
            ),
        ]
    return "\n\n".join(blocks)


def _ledger_row(row: Row, linked: set[str]) -> str:
    reason = f'<p class="mm-reason">{escape(str(row["reason"]))}</p>' if row["reason"] else ""
    tested = row["verdict"] != "not tested"
    facts = details(row) if tested else ""
    return (
        f'<tr class="mm-row" id="{escape(row["id"])}" data-verdict="{css(row["verdict"])[3:]}" '
        f'data-chapter="{escape(row["chapter"])}" data-kind="{escape(row["kind"])}">'
        f'<td><p class="mm-statement">{escape(row["statement"])}</p><p class="mm-meta">'
        f'<a class="mm-id" href="#{escape(row["id"])}">{escape(row["id"])}</a> · '
        f"{escape(row['location'])} · {escape(row['kind'])}</p></td>"
        f"<td>{badge(row['verdict'])}"
        + (
            f'<p class="mm-facts" title="{escape(row["record"] or "")}">{facts}</p>'
            if facts
            else ""
        )
        + (reason if tested else "")
        + f'</td><td class="mm-where">{where(row, linked)}</td></tr>'
    )


def _filters(rows: Sequence[Row]) -> str:
    chips = "".join(
        f'<label class="mm-chip {css(verdict)}"><input type="checkbox" name="verdict" '
        f'value="{css(verdict)[3:]}"> {verdict} <b>{n}</b></label>'
        for verdict, n in counts_of(rows).items()
    )

    def menu(name: str, label: str) -> str:
        values = dict.fromkeys(row[name] for row in rows)
        options = "".join(
            f'<option value="{escape(v)}">{escape(v)}</option>' for v in sorted(values)
        )
        options = f'<option value="">all</option>{options}'
        return f'<label>{label} <select name="{name}">{options}</select></label>'

    return (
        '<form class="mm-filters" id="mm-filters" hidden>'
        f'<div class="mm-chips">{chips}</div>'
        '<label class="mm-find">Find <input type="search" name="text" '
        'placeholder="words or an id"></label>'
        f"{menu('chapter', 'Chapter')}{menu('kind', 'Kind')}"
        '<output name="shown" aria-live="polite"></output></form>'
        '<script src="../_static/ledger.js"></script>'
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


def performance(bench: Mapping[str, Any] | None) -> str:
    """The table of `make bench`, or the command that makes it."""
    if not bench:
        return "Nothing is recorded yet: run `make bench`."
    lines = [
        "| what is compared | ratio | range over repeats | repeats | aim | met |",
        "|---|---:|---|---:|---|---|",
    ]
    for name, row in bench["results"].items():
        lines.append(
            f"| {name} | {row['ratio']:.3f} | {row['low']:.3f} to {row['high']:.3f} | {row['n']} "
            f"| {row['aim']} | {'yes' if row['ok'] else '**no**'} |"
        )
    where = ", ".join(f"{key} {value}" for key, value in bench["conditions"].items())
    return "\n".join(lines) + f"\n\nMeasured on: {where}."
