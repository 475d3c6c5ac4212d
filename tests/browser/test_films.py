"""Pictures behind a slider: they move by mouse, by keyboard and by themselves."""

from __future__ import annotations

from walk import page_names, visit


def test_every_film_reacts(browser, built):
    pages = [
        name
        for name in page_names(built)
        if 'class="mm-film"' in (built / name).read_text(encoding="utf-8")
    ]
    assert pages, "no page of the book shows a film"
    for name in pages:
        with visit(browser, built, name) as seen:
            for film in seen.page.query_selector_all("figure.mm-film"):
                _moves(film, name)
            assert not seen.noticed


def _moves(film, name: str) -> None:
    picture, slider, button, label = (
        film.query_selector(one) for one in ("img", "input[type=range]", "button", "output")
    )

    def state() -> tuple[str, str]:
        return picture.get_attribute("src"), label.text_content()

    slider.focus()
    slider.press("Home")
    first = state()
    slider.press("ArrowRight")
    second = state()
    assert second[0] != first[0] and second[1] != first[1], f"{name}: a key moves nothing"
    slider.press("End")
    last = state()
    assert last[1] not in (first[1], second[1]), f"{name}: the last frame is not shown"
    button.click()  # at the end: from the start again
    assert button.text_content() == "pause" and state()[1] != last[1], f"{name}: does not play"
    film.wait_for_selector(f"output:not(:text-is({state()[1]!r}))", timeout=5_000)
    button.click()
    assert button.text_content() == "play", f"{name}: does not stop"
