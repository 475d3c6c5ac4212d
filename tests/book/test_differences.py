"""Errata and differences: numbering, places, claims, and numbers that come from somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from builder import differences
from builder.layout import BuildError

from mmlib.evidence import claims, recount
from mmlib.evidence import differences as table

ROOT = Path(__file__).resolve().parents[2]
ERRATA = (ROOT / "book" / "errata.md").read_text(encoding="utf-8")
ROWS = table().to_dict("records")


class Seven:
    """Excerpts of a book in which every number is seven."""

    def __init__(self):
        self.asked = []

    def value(self, key, form=""):
        self.asked.append(key)
        return format(7.0, form) if form else "7"


def test_differences_are_numbered_without_gaps_and_grouped():
    assert [row["number"] for row in ROWS] == [str(i + 1) for i in range(len(ROWS))]
    groups = [row["group"] for row in ROWS]
    assert len(groups) >= 30 and groups == sorted(groups, key=list(dict.fromkeys(groups)).index)
    names = [differences.name_of(row["topic"]) for row in ROWS]
    assert len(set(names)) == len(names) and all(names)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["number"])
def test_a_difference_names_its_places(row):
    assert all(row[name] for name in ("text", "code", "where", "why", "effect"))
    assert row["why"].endswith(".") and row["effect"].endswith(".")
    assert set(filter(None, row["claims"].split(";"))) <= set(claims()["id"])
    quoted = differences.QUOTED.findall(row["effect"])
    if row["measured"] == "no":
        assert not quoted
        return
    assert row["measured"] == "yes" and row["chapter"]
    source = nbformat.read(ROOT / "notebooks" / f"{row['chapter']}.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in source.cells)
    figures = {c.metadata.get("mystnb", {}).get("figure", {}).get("name") for c in source.cells}
    slugs = {
        re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        for title in re.findall(r"^#+ (.+)$", text, flags=re.M)
    }
    assert row["anchor"] in figures | slugs or f"({row['anchor']})=" in text
    assert quoted or "see the entry before" in row["effect"]


def test_the_page_holds_every_difference_and_asks_for_every_number():
    seven = Seven()
    page = differences.page(seven)
    targets = re.findall(r"^\(difference-([\w-]+)\)=$", page, flags=re.M)
    assert targets == [differences.name_of(row["topic"]) for row in ROWS]
    assert page.count("- *Effect:*") == len(ROWS) and "{c" not in page
    assert seven.asked and all(re.match(r"c\d\d-", key) for key in seven.asked)
    measured = sum(row["measured"] == "yes" for row in ROWS)
    assert differences.counts() == {"all": len(ROWS), "measured": measured}


def test_the_table_of_errata_and_the_entries_agree():
    listed = re.findall(r"^\| \[(\d+)\]\(#(erratum-[\w-]+)\)", ERRATA, flags=re.M)
    entries = re.findall(r"^\((erratum-[\w-]+)\)=\n### (\d+)\. ", ERRATA, flags=re.M)
    assert listed == [(number, name) for name, number in entries]
    assert [number for number, _ in listed] == [str(i + 1) for i in range(len(listed))]


def test_claims_and_recounts_of_the_errata_exist():
    named = re.findall(r'(?:stated|verdict)\("([\w-]+)"\)', ERRATA)
    assert len(named) > 50 and set(named) <= set(claims()["id"])
    counted = re.findall(r'recounted\("([\w.-]+)"', ERRATA)
    assert counted and set(counted) <= set(recount())


def test_an_unknown_recount_is_an_error_that_names_the_known_ones():
    assert differences.recounted("cifar10-high", ".2f") == "1.08"
    with pytest.raises(BuildError, match="toys-tie: expected one of .*toys-ties"):
        differences.recounted("toys-tie")
