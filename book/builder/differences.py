"""The page on texts and released code, and the recounts that the errata quote."""

from __future__ import annotations

import re
from html import escape
from itertools import groupby

from builder.excerpts import Excerpts
from builder.layout import BuildError

# A number in a sentence of the table: {c03-ratio:.0f}
QUOTED = re.compile(r"\{(?P<key>[\w-]+)(?::(?P<form>[^}]*))?\}")


def page(excerpts: Excerpts) -> str:
    """All differences as MyST: a heading per group, a target and four lines per difference."""
    from mmlib.evidence import differences

    blocks = []
    rows = differences().to_dict("records")
    for group, own in groupby(rows, key=lambda row: row["group"]):
        blocks.append(f"## {group}")
        blocks += [_entry(row, excerpts) for row in own]
    return "\n\n".join(blocks)


def counts() -> dict[str, int]:
    """How many differences there are, and how many of them a chapter measured."""
    from mmlib.evidence import differences

    measured = differences()["measured"]
    return {"all": len(measured), "measured": int((measured == "yes").sum())}


def _entry(row: dict[str, str], excerpts: Excerpts) -> str:
    place = f" ({row['place']})" if row["place"] else ""
    files = "; ".join(map(_code, row["where"].split("; ")))
    effect = QUOTED.sub(lambda m: excerpts.value(m["key"], m["form"] or ""), row["effect"])
    if row["chapter"]:
        anchor = f"#{row['anchor']}" if row["anchor"] else ""
        address = f"../notebooks/{row['chapter']}.html{anchor}"
        effect += f' <a href="{escape(address)}">Chapter {int(row["chapter"][:2])}</a>'
        effect += "".join(f", {_ledger_link(name)}" for name in row["claims"].split(";") if name)
        effect += "."
    title = row["topic"][:1].upper() + row["topic"][1:]
    return (
        f"(difference-{name_of(row['topic'])})=\n**{row['number']}. {title}**\n\n"
        f"- *Text:* {row['text']}{place}.\n- *Code:* {row['code']} ({files}).\n"
        f"- *Why it matters:* {row['why']}\n- *Effect:* {effect}"
    )


def _code(name: str) -> str:
    """A path that may break after its separators, since a narrow page is narrower than it."""
    return "<code>" + re.sub("([:/_,])", r"\1<wbr>", escape(name)) + "</code>"


def name_of(topic: str) -> str:
    """The topic as a part of an anchor.

    Example:
        >>> name_of("unit of the step")
        'unit-of-the-step'
    """
    return re.sub(r"[^a-z0-9]+", "-", topic.lower()).strip("-")


def _ledger_link(name: str) -> str:
    return f'<a href="ledger.html#{escape(name)}">{escape(name)}</a>'


def recounted(name: str, form: str = "") -> str:
    """A number recomputed from the printed cells, in the given format.

    Raises:
        BuildError: no such number is recomputed.
    """
    from mmlib.evidence import recount

    found = recount()
    if name not in found:
        raise BuildError(f"{name}: expected one of {', '.join(found)}")
    return format(found[name], form)
