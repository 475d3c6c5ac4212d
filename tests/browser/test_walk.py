"""Every page of the built book in a browser: light on a desk, dark and light on a phone."""

from __future__ import annotations

from walk import FRONT, PHONE, report, visit


def test_page(browser, built, page_name):
    """Scripts, requests, links, headings, pictures, formulas, names, contrast, width."""
    with visit(browser, built, page_name) as seen:
        found = seen.look("headings", "pictures", "ids", "formulas", "layout")
        found += seen.links()
        seen.resize(PHONE)
        found += seen.look("layout")
        seen.resize()
        found += seen.names() + seen.contrast() + seen.noticed
    with visit(browser, built, page_name, theme="dark", size=PHONE) as seen:
        found += seen.look("formulas", "layout") + seen.contrast() + seen.noticed
    assert not found, f"\n{report(found)}"


def test_the_first_address_leads_to_the_book(browser, built):
    page = browser.new_page()
    page.goto((built / FRONT).as_uri())
    page.wait_for_url((built / "book" / "index.html").as_uri(), timeout=10_000)
    page.close()
