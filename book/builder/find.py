"""Every numbered item of the texts, with the verdicts on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from builder import fragments
from builder.cards import Card
from builder.claims import Row
from builder.texts import SLUGS, TITLES, place, slug

Item = Mapping[str, str]
SECTIONS = ("Abstract", "Section", "Appendix", "Supplement")


def is_section(item: Item) -> bool:
    """Whether an item is a part of a text, whose claims are those of the ledger's section."""
    return item["item"].startswith(SECTIONS) and not item["claims"] and not item["note"]


def find(items: Sequence[Item], rows: Sequence[Row], cards: Mapping[str, Card]) -> str:
    """A list per text: its numbered items with their claims, then its sections."""
    by_id = {row["id"]: row for row in rows}
    blocks = [fragments.raw(_box())]
    for source in SLUGS:
        own = [item for item in items if item["source"] == source]
        listed = "\n".join(_item(item, by_id, cards) for item in own if not is_section(item))
        blocks += [
            f"({place(source, 'find')})=\n## {TITLES[source]}",
            fragments.raw(f'<div class="mm-items">{listed}</div>'),
        ]
        if any(map(is_section, own)):
            sections = fragments.by_section(rows).get(source, {})
            listed = "".join(
                _section(item, sections.get(item["item"], [])) for item in own if is_section(item)
            )
            blocks.append(
                fragments.raw(
                    '<h3>By section</h3><ul class="mm-cells mm-items">' + listed + "</ul>"
                )
            )
    return "\n\n".join(blocks)


def _box() -> str:
    links = " · ".join(
        f'<a href="#{place(source, "find")}">{escape(title)}</a>'
        for source, title in TITLES.items()
    )
    return (
        f'<p class="mm-jump">{links}</p>'
        '<form class="mm-filters" id="mm-find" hidden><label>Item, id or words '
        '<input type="search" name="words" placeholder="table 8" autocomplete="off"></label>'
        '<output name="shown" aria-live="polite"></output></form>'
        '<script src="../_static/find.js"></script>'
    )


def _item(item: Item, by_id: Mapping[str, Row], cards: Mapping[str, Card]) -> str:
    own = [by_id[name] for name in item["claims"].split()]
    claims = "".join(f"<li>{_claim(row, cards.get(row['id']))}</li>" for row in own)
    note = f'<p class="mm-note">{escape(item["note"])}</p>' if item["note"] else ""
    return (
        f'<section class="mm-item" id="{place(item["source"], item["item"])}">'
        f"<h3>{escape(item['item'])} <small>{escape(item['title'])}</small></h3>"
        + note
        + (f"<ul>{claims}</ul>" if claims else "")
        + "</section>"
    )


def _claim(row: Row, card: Card | None) -> str:
    cell = ""
    if card:
        address = f"../notebooks/{card.chapter}.html#{row['id']}"
        cell = f', <a href="{escape(address)}">cell in chapter {escape(card.chapter[:2])}</a>'
    return (
        f"{fragments.badge(row['verdict'])} {escape(row['statement'])} "
        f'<span class="mm-meta"><a href="ledger.html#{escape(row["id"])}">{escape(row["id"])}</a>'
        f"{cell}</span>"
    )


def _section(item: Item, own: Sequence[Row]) -> str:
    """A section's cell; one without claims of its own is named all the same."""
    anchor = f'id="{place(item["source"], item["item"])}"'
    return cell(item["source"], item["item"], item["title"], own, anchor)


def cell(source: str, section: str, title: str, own: Sequence[Row], anchor: str = "") -> str:
    """A section with its bar; it leads to the ledger, filtered to that section."""
    named = "" if title == section else escape(title)
    name = f"<b>{escape(section)}</b> {named}"
    if not own:
        return f'<li class="mm-item" {anchor}><span>{name}<small>no claim</small></span></li>'
    counts = fragments.counts_of(own)
    address = f"ledger.html?in={SLUGS[source]}/{slug(section)}#{place(source, section)}"
    return (
        f'<li class="mm-item" {anchor}><a href="{address}"><span>{name}</span>'
        f"{fragments.bar(counts)}</a></li>"
    )


def titles(items: Sequence[Item]) -> dict[tuple[str, str], str]:
    """Our title of each section, by text and section."""
    return {(item["source"], item["item"]): item["title"] for item in items if is_section(item)}
