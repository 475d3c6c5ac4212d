"""The list of numbered items: nothing is missing, and every claim stands under its item."""

from __future__ import annotations

import re

import pytest
from builder import claims, find, texts

KINDS = "Table|Figure|Equation|Algorithm|Definition|Lemma|Proposition|Theorem|Footnote"
UNNUMBERED = ("Manifold mixup: degeneracy? (blog)", "Manifold Mixup abstract page")
# The last number of each kind, counted in the texts; of the final version the appendices.
LAST = {
    "Manifold Mixup v1": {"Table": 8, "Figure": 8, "Equation": 3, "Algorithm": 3, "Footnote": 3},
    "Manifold Mixup ICML": {"Table": 9, "Figure": 12, "Equation": 7, "Footnote": 2},
    "k-Mixup": {
        **{"Figure": 10, "Equation": 1, "Definition": 1, "Proposition": 1},
        **{"Lemma": 2, "Theorem": 4, "Footnote": 2},
    },
}
NUMBER = r"\d+(?:\([a-z]\))?"


def named(location: str) -> list[str]:
    """The items that words name: "Figures 9 to 11" is three of them."""
    found = []
    lists = rf"\b({KINDS})s? ({NUMBER}(?:(?:, | and | to ){NUMBER})*)"
    for kind, numbers in re.findall(lists, location, flags=re.I):
        for first, last in re.findall(r"(\d+)(?:\([a-z]\))?(?: to (\d+))?", numbers):
            found += [f"{kind.capitalize()} {n}" for n in range(int(first), int(last or first) + 1)]
    return found


@pytest.fixture(scope="module")
def items():
    return claims.items()


@pytest.fixture(scope="module")
def registry():
    from mmlib.evidence import claims as table

    return table().to_dict("records")


def test_locations_are_read():
    assert named("Tables 3 and 7") == ["Table 3", "Table 7"]
    assert named("Figures 9 to 11") == ["Figure 9", "Figure 10", "Figure 11"]
    assert named("Figures 5(b) and 6(b)") == ["Figure 5", "Figure 6"]
    assert named("appendix E, equation 4") == ["Equation 4"]
    assert named("appendix G, Figures 9 and 11") == ["Figure 9", "Figure 11"]


@pytest.mark.parametrize("source", LAST)
def test_no_number_is_missing(items, source):
    own = {name for item in items if item["source"] == source for name in named(item["item"])}
    wanted = {f"{kind} {n}" for kind, last in LAST[source].items() for n in range(1, last + 1)}
    assert own == wanted


def test_every_item_is_listed_once_and_says_something(items):
    listed = [(item["source"], item["item"]) for item in items]
    assert len(listed) == len(set(listed)) and {source for source, _ in listed} == set(texts.SLUGS)
    for item in items:
        assert item["title"]
        assert item["claims"] or item["note"] or find.is_section(item), item


def test_every_claim_stands_under_the_items_that_its_location_names(items, registry):
    held = {(item["source"], item["item"].lower()): item["claims"].split() for item in items}
    assert {claim for own in held.values() for claim in own} <= {row["id"] for row in registry}
    for claim in registry:
        places = (
            claim["location"].split(", ")
            if claim["source"] in UNNUMBERED
            else named(claim["location"])
        )
        for place in places:
            assert claim["id"] in held[claim["source"], place.lower()], (claim["id"], place)


def test_every_section_with_claims_has_a_title(items, registry):
    known = find.titles(items)
    for claim in registry:
        section = texts.section_of(claim["source"], claim["location"])
        if claim["source"] not in UNNUMBERED:
            assert (claim["source"], section) in known, section


def test_the_page_lists_items_with_verdicts_and_those_without_a_claim(row):
    items = [
        {"source": "k-Mixup", "item": "Theorem 1", "title": "T", "claims": "X-1", "note": ""},
        {"source": "k-Mixup", "item": "Figure 2", "title": "F", "claims": "", "note": "A < B."},
        {"source": "k-Mixup", "item": "Section 2", "title": "S", "claims": "", "note": ""},
        {"source": "k-Mixup", "item": "Section 9", "title": "S", "claims": "", "note": ""},
    ]
    page = find.find(items, [row(verdict="supported")], {})
    assert 'id="k-mixup-theorem-1"' in page and 'href="ledger.html#X-1"' in page
    assert "A &lt; B." in page and page.count("mm-verdict mm-supported") == 1
    assert 'href="ledger.html?in=k-mixup/section-2#k-mixup-section-2"' in page
    assert "<small>no claim</small>" in page
