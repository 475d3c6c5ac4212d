"""The landing page: counts, verdicts by text and section, the short list of chapters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from builder import fragments
from builder.claims import Row
from builder.find import Item, cell, titles
from builder.texts import SLUGS, TITLES, place


def overview(counts: Mapping[str, int]) -> str:
    """The four large numbers and the bar at the top of the landing page."""
    tiles = "".join(
        f'<a class="mm-tile {fragments.css(verdict)}" '
        f'href="ledger.html?verdict={fragments.css(verdict)[3:]}">'
        f"<strong>{n}</strong><span>{verdict}</span></a>"
        for verdict, n in counts.items()
    )
    return fragments.raw(f'<div class="mm-tiles">{tiles}</div>\n{fragments.bar(counts)}')


def sections(rows: Sequence[Row], items: Sequence[Item]) -> str:
    """For each text a bar and a cell per section; each leads to the claims behind it."""
    named = titles(items)
    blocks = []
    for source, groups in fragments.by_section(rows).items():
        own = [row for group in groups.values() for row in group]
        counts = fragments.counts_of(own)
        cells = "".join(
            cell(source, section, named.get((source, section), ""), group)
            for section, group in groups.items()
        )
        numbers = ", ".join(
            f'<a href="ledger.html?in={SLUGS[source]}&amp;verdict={fragments.css(verdict)[3:]}">'
            f"{n} {verdict}</a>"
            for verdict, n in counts.items()
            if n
        )
        heading = f'<a href="ledger.html?in={SLUGS[source]}#{place(source, "ledger")}">'
        blocks.append(
            f'<div class="mm-text"><p class="mm-text-title">{heading}{escape(TITLES[source])}</a> '
            f"<small>{numbers}</small></p>"
            + (f'<ul class="mm-cells">{cells}</ul>' if len(groups) > 1 else fragments.bar(counts))
            + "</div>"
        )
    return fragments.raw("\n".join(blocks))


def chapters(rows: Sequence[Row], listed: Sequence[Mapping[str, str]], linked: set[str]) -> str:
    """One line per chapter: title, what it covers, its verdicts."""
    lines = []
    for chapter in listed:
        own = [row for row in rows if row["chapter"] == chapter["id"]]
        title = escape(chapter["title"])
        if chapter["id"] in linked:
            title = f'<a href="../notebooks/{chapter["id"]}.html">{title}</a>'
        lines.append(
            f'<tr><td class="mm-no">{chapter["id"][:2]}</td>'
            f'<td><span class="mm-title">{title}</span>'
            f'<span class="mm-covers">{escape(chapter["covers"])}</span></td>'
            f'<td class="mm-barcell">{fragments.bar(fragments.counts_of(own))}</td></tr>'
        )
    return fragments.raw(
        '<div class="mm-scroll"><table class="mm-dashboard"><thead><tr><th>No.</th><th>Chapter</th>'
        "<th>Verdicts</th></tr></thead><tbody>" + "\n".join(lines) + "</tbody></table></div>"
    )


def held(rows: Sequence[Row], *kinds: str) -> str:
    """How many of the tested claims of these kinds are supported: "54 of 57".

    Raises:
        KeyError: no claim is of this kind.
    """
    unknown = set(kinds) - {row["kind"] for row in rows}
    if unknown:
        raise KeyError(f"held: no claim is of the kind {', '.join(sorted(unknown))}")
    own = [row for row in rows if row["kind"] in kinds and row["verdict"] != "not tested"]
    return f"{sum(row['verdict'] == 'supported' for row in own)} of {len(own)}"


def measured(row: Row, form: str) -> str:
    """The number that a claim was judged by, in the given format."""
    return "(not measured)" if row["value"] is None else format(row["value"], form)
