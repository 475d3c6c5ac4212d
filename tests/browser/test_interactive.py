"""The three interactive figures answer the keyboard, in the built page and opened from the disk."""

from __future__ import annotations

import pytest

CHAPTERS = {
    "01_manifold_mixup": {"lam", "layer", "pair"},
    "09_representations": {"net", "from", "to", "lam", "epoch"},
    "13_kmixup": {"toy", "seed", "k", "lam"},
}


@pytest.fixture(params=CHAPTERS)
def figure(request, built, browser):
    """The interactive figure of a chapter, whose scripts must not fail."""
    path = built / "notebooks" / f"{request.param}.html"
    if not path.is_file():
        pytest.skip(f"{path} is not built: make book")
    page = browser.new_page(viewport={"width": 900, "height": 900})
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(path.as_uri())
    found = page.locator("figure.mm-live")
    assert found.count() == 1
    found.scroll_into_view_if_needed()
    yield request.param, found
    page.close()
    assert not faults


def shown(figure) -> tuple[str, str]:
    return figure.locator(".mm-live-stage").inner_html(), figure.locator(
        ".mm-live-words"
    ).inner_text()


def test_every_control_changes_picture_and_words(figure):
    chapter, one = figure
    controls = one.locator("[data-name]")
    names = {control.get_attribute("data-name") for control in controls.all()}
    assert names == CHAPTERS[chapter]
    assert one.locator(".mm-live-still").is_hidden() and one.locator(".mm-live-stage").is_visible()
    for name in sorted(names):
        control = one.locator(f"[data-name={name}]")
        if control.evaluate("c => c.disabled || (c.options && c.options.length < 2)"):
            continue
        before = shown(one)
        if control.evaluate("c => c.tagName") == "SELECT":
            other = control.evaluate(
                "c => [...c.options].find(o => !o.disabled && o.value !== c.value).value"
            )
            control.select_option(other)
        else:
            control.focus()
            label = control.evaluate("c => c.nextElementSibling.textContent")
            end = control.evaluate("c => c.value === c.max")
            control.press("ArrowLeft" if end else "ArrowRight")
            assert control.evaluate("c => c.nextElementSibling.textContent") != label
            assert control.get_attribute("aria-valuetext") != label
        after = shown(one)
        assert after[0] != before[0], f"{name}: the picture stays"
        assert name in ("layer", "seed", "epoch") or after[1] != before[1], f"{name}: same words"


def test_the_picture_fits_a_phone_and_a_script_is_not_needed(figure, built, browser):
    chapter, _ = figure
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto((built / "notebooks" / f"{chapter}.html").as_uri())
    still = page.locator("figure.mm-live .mm-live-still")
    assert still.is_visible() and still.get_attribute("alt")
    assert page.locator("figure.mm-live .mm-live-controls").is_hidden()
    context.close()
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto((built / "notebooks" / f"{chapter}.html").as_uri())
    box = page.locator("figure.mm-live .mm-live-stage").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    page.close()


def test_paper_shows_the_still_picture(figure):
    _, one = figure
    one.page.emulate_media(media="print")
    assert one.locator(".mm-live-still").is_visible()
    assert one.locator(".mm-live-stage").is_hidden() and one.locator("label").first.is_hidden()
