"""The ledger as a page: filters, a row per claim that opens to its evidence, downloads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from builder import fragments
from builder.cards import Card
from builder.claims import Row
from builder.texts import SLUGS, TITLES, place, section_of, slug

NO_DATA = "generated"  # what a reader calls runs that need no data set


def ledger(rows: Sequence[Row], cards: Mapping[str, Card]) -> str:
    """The whole ledger as MyST: a heading per text and section, and under it the claims."""
    blocks = [fragments.raw(_filters(rows))]
    for source, sections in fragments.by_section(rows).items():
        own = [row for group in sections.values() for row in group]
        counts = fragments.counts_of(own)
        total = f"{len(own)} claims: {fragments.in_words(counts)}"
        blocks += [
            f"({place(source, 'ledger')})=\n## {TITLES[source]}",
            fragments.raw(f'<p class="mm-total">{total}</p>{fragments.bar(counts)}'),
        ]
        for section, group in sections.items():
            blocks += [
                f"({place(source, section)})=\n### {section}",
                fragments.raw("\n".join(_row(row, cards.get(row["id"])) for row in group)),
            ]
    return "\n\n".join(blocks)


def data_of(row: Row) -> list[str]:
    """The data sets of a row, each once.

    Example:
        >>> data_of({"data": "cifar10, mnist, mnist"}), data_of({"data": "none"})
        (['cifar10', 'mnist'], ['generated'])
    """
    if not row["data"]:
        return []
    named = dict.fromkeys(str(row["data"]).replace("none", NO_DATA).split(", "))
    return list(named)


def _row(row: Row, card: Card | None) -> str:
    source, section = row["source"], section_of(row["source"], row["location"])
    verdict = fragments.css(row["verdict"])
    facts = [fragments.interval(row)]
    facts += [f"{row['n_seeds']} seeds"] if row["n_seeds"] else []
    facts += [escape(value) for value in (row["profile"], ", ".join(data_of(row))) if value]
    attributes = {
        "verdict": verdict[3:],
        "in": f"{SLUGS[source]} {SLUGS[source]}/{slug(section)}",
        "profile": row["profile"] or "none",
        "data": " ".join(data_of(row)) or "none",
        "chapter": row["chapter"],
        "kind": row["kind"],
    }
    data = " ".join(f'data-{name}="{escape(value)}"' for name, value in attributes.items())
    return (
        f'<details class="mm-row {verdict}" id="{escape(row["id"])}" {data}><summary>'
        f"{fragments.badge(row['verdict'])} "
        f'<span class="mm-statement">{escape(row["statement"])}</span> '
        f'<span class="mm-meta"><span class="mm-id">{escape(row["id"])}</span> · '
        f"{escape(row['location'])}</span> "
        f'<span class="mm-facts">{" · ".join(filter(None, facts))}</span></summary>'
        f'<div class="mm-evidence"><dl>{_evidence(row, card)}</dl>{_figure(card)}</div></details>'
    )


def _evidence(row: Row, card: Card | None) -> str:
    seeds = f"{row['n_seeds']}" if row["n_seeds"] else ""
    lines = {
        "Rule": escape(row["rule"] or ""),
        "Found": escape(row["reason"] or ""),
        "Parts": _parts(row["parts"]),
        "Value": fragments.interval(row),
        "Printed": escape(fragments.number(row["published"])),
        "Seeds": seeds,
        "Profile, data": escape(", ".join(filter(None, [row["profile"], *data_of(row)]))),
        "Cell": _cell(row, card),
        "Record": _record(row["record"]),
        "Address": f'<a class="mm-id" href="#{escape(row["id"])}">{escape(row["id"])}</a>',
    }
    return "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in lines.items() if text)


def _parts(parts: Sequence[Mapping[str, str]]) -> str:
    if not parts:
        return ""
    items = "".join(
        f"<li>{escape(part['name'])}: <em>{part['verdict']}</em>, {escape(part['reason'])}</li>"
        for part in parts
    )
    return f"<details><summary>all {len(parts)}</summary><ul>{items}</ul></details>"


def _cell(row: Row, card: Card | None) -> str:
    if card is None:
        return f"none yet (chapter {escape(row['chapter'][:2])})"
    address = f"../notebooks/{card.chapter}.html#{row['id']}"
    return f'<a href="{escape(address)}">in chapter {escape(card.chapter[:2])}</a>'


def _record(record: str | None) -> str:
    """The results files of a row, each with the fingerprint of the code behind it."""
    files = dict.fromkeys((record or "").split(", ")) if record else {}
    found = [name.partition("@") for name in files]
    return "<br>".join(
        f"<code>book/results/{escape(path)}</code>, code <code>{escape(code)}</code>"
        for path, _, code in found
    )


def _figure(card: Card | None) -> str:
    if card is None or card.figure is None:
        return ""
    address = f"../notebooks/{card.chapter}.html#{card.figure}"
    return (
        f'<figure class="mm-again"><a href="{escape(address)}">'
        f'<img src="../_images/{card.image}" loading="lazy" alt="{escape(card.alt)}"></a>'
        f"<figcaption>The figure above the verdict, in chapter {escape(card.chapter[:2])}."
        "</figcaption></figure>"
    )


def _filters(rows: Sequence[Row]) -> str:
    chips = "".join(
        f'<label class="mm-chip {fragments.css(verdict)}"><input type="checkbox" name="verdict" '
        f'value="{fragments.css(verdict)[3:]}"> {verdict} <b>{n}</b></label>'
        for verdict, n in fragments.counts_of(rows).items()
    )
    groups = "".join(
        f'<optgroup label="{escape(TITLES[source])}">'
        f'<option value="{SLUGS[source]}">all of it</option>'
        + "".join(
            f'<option value="{SLUGS[source]}/{slug(name)}">{escape(name)}</option>'
            for name in sections
        )
        + "</optgroup>"
        for source, sections in fragments.by_section(rows).items()
    )
    return (
        '<form class="mm-filters" id="mm-filters" hidden>'
        f'<fieldset class="mm-chips"><legend>Verdict</legend>{chips}</fieldset>'
        '<label>Words or id <input type="search" name="words"></label>'
        f"{_menu('in', 'Text', groups)}"
        f"{_menu('profile', 'Profile', _options(row['profile'] or 'none' for row in rows))}"
        f"{_menu('data', 'Data', _options(n for row in rows for n in data_of(row) or ['none']))}"
        f"{_menu('chapter', 'Chapter', _options(row['chapter'] for row in rows))}"
        f"{_menu('kind', 'Kind', _options(row['kind'] for row in rows))}"
        '<button type="reset">Show all</button>'
        '<output name="shown" aria-live="polite"></output></form>'
        '<script src="../_static/ledger.js"></script>'
    )


def _options(values: Iterable[str]) -> str:
    return "".join(f"<option>{escape(value)}</option>" for value in sorted(set(values)))


def _menu(name: str, label: str, options: str) -> str:
    return (
        f'<label>{label} <select name="{name}"><option value="">all</option>{options}'
        "</select></label>"
    )


def search_data(rows: Sequence[Row], items: Iterable[Mapping[str, Any]]) -> str:
    """What the search page looks through, as a script: a page on disk may not fetch a file."""
    found = [
        {
            "id": row["id"],
            "verdict": row["verdict"],
            "text": row["statement"],
            "where": f"{row['source']}, {row['location']}",
            "page": f"book/ledger.html#{row['id']}",
        }
        for row in rows
    ]
    found += [
        {
            "id": f"{item['source']}, {item['item']}",
            "verdict": "",
            "text": item["title"],
            "where": "",
            "page": f"book/find.html#{place(item['source'], item['item'])}",
        }
        for item in items
    ]
    return f"window.mmClaims = {json.dumps(found, ensure_ascii=False)};\n"
