"""The ledger's filters, the list of items and the search, opened from the disk."""

from __future__ import annotations

import re

import pytest

SHOWN = ".mm-row:not([hidden])"


@pytest.fixture
def page(built, browser):
    """A page whose scripts must not fail."""
    found = browser.new_page(viewport={"width": 1200, "height": 900})
    faults: list[str] = []
    found.on("pageerror", lambda error: faults.append(str(error)))
    yield found
    found.close()
    assert not faults


def ledger(built, rest: str = "") -> str:
    return (built / "book" / "ledger.html").as_uri() + rest


def test_the_address_of_the_ledger_holds_its_filters(built, page):
    page.goto(ledger(built))
    everything = page.locator(SHOWN).count()
    assert everything == page.locator(".mm-row").count() > 200
    page.check("input[value=contradicted]")
    contradicted = page.locator(SHOWN).count()
    assert 0 < contradicted < everything and "verdict=contradicted" in page.url
    page.select_option("select[name=in]", "v1/section-2")
    both = page.locator(SHOWN).count()
    assert 0 < both < contradicted
    shared = page.url
    for row in page.locator(SHOWN).all():
        assert row.get_attribute("data-verdict") == "contradicted"
        assert "v1/section-2" in row.get_attribute("data-in").split()
    page.go_back()
    assert page.locator(SHOWN).count() == contradicted
    page.goto(shared)
    assert page.locator(SHOWN).count() == both
    page.click("button[type=reset]")
    page.wait_for_function("!location.search")
    assert page.locator(SHOWN).count() == everything
    page.fill("input[name=words]", "no such words anywhere")
    assert page.locator(SHOWN).count() == 0


def test_a_claim_in_the_address_is_open_even_where_the_filters_hide_it(built, page):
    page.goto(ledger(built, "?in=v1&verdict=supported#KM-Lem1"))
    row = page.locator("#KM-Lem1")
    assert row.evaluate("row => row.open") and row.is_visible()
    assert row.locator("dt", has_text="Rule").is_visible()
    image = row.locator("figure img")
    image.scroll_into_view_if_needed()
    page.wait_for_function("image => image.naturalWidth > 0", arg=image.element_handle())
    page.locator("#KM-Thm1 > summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("#KM-Thm1").evaluate("row => row.open")


def test_without_scripts_every_claim_is_there(built, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(ledger(built))
    assert page.locator(".mm-row").count() == page.locator(".mm-row:visible").count() > 200
    assert page.locator("#mm-filters").is_hidden()
    context.close()


def test_an_item_is_two_clicks_from_the_landing_page(built, page):
    page.goto((built / "book" / "index.html").as_uri())
    page.click("article a:has-text('find it here')")
    page.fill("#mm-find input", "theorem 2")
    items = page.locator(".mm-item:not([hidden]) h3")
    assert "Theorem 2" in [re.match(r"\w+ \d+", text)[0] for text in items.all_inner_texts()]
    page.click("#k-mixup-theorem-2 a >> nth=0")
    assert page.url.endswith("ledger.html#KM-Thm2")
    assert page.locator("#KM-Thm2").evaluate("row => row.open")


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("MM1-T8-nll", "MM1-T8-nll"),
        ("mm1-t8", "MM1-T8-"),
        ("T8-nll", "MM1-T8-nll"),
        ("Thm2-void", "KM-Thm2-void"),
        ("k-Mixup Theorem 4", "k-Mixup, Theorem 4"),
        ("gradient masking", ""),
    ],
)
def test_search_finds_whole_ids_parts_of_ids_and_words(built, page, asked, first):
    page.goto((built / "search.html").as_uri() + f"?q={asked.replace(' ', '+')}")
    found = page.locator("#mm-claims-found li")
    found.first.wait_for()
    assert first in found.first.inner_text()
    address = found.first.locator("a").get_attribute("href")
    name = found.first.locator("a").inner_text()
    page.goto(address)
    anchor = address.partition("#")[2]
    assert page.locator(f"[id='{anchor}']").is_visible(), name
