"""Each check of the walk refuses a page with the fault that it is for, and passes a good page."""

from __future__ import annotations

import pytest
from walk import PHONE, page_names, report, visit

DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>A page</title>
<meta name="viewport" content="width=device-width">
<style>
  :root {{ color-scheme: light dark }}
  body {{ margin: 0; color: #222; background: #fff }}
  @media (prefers-color-scheme: dark) {{ body {{ color: #ddd; background: #111 }} }}
</style></head>
<body><main class="bd-article"><h1>Title</h1>{body}</main></body></html>"""

GOOD = f"""
<h2 id="a">First</h2><h3>Deeper</h3><h2>Second</h2>
<p>Prose with <code>$x_1$ \\frac</code>, a price of $5 or $6, a <a href="#a">link</a>, <a
 href="other.html#there">another</a> and <a href="https://example.org">one outside</a>.</p>
<figure><img src="{DOT}" alt="A dot"><figcaption>One dot.</figcaption></figure>
<p><span class="math"><mjx-container>x</mjx-container></span></p>
<div style="overflow-x: auto" tabindex="0"><p style="width: 3000px">A box that scrolls.</p></div>
<details><summary>Solution</summary><p>Folded.</p></details>
<label>Epoch <input type="range"></label><button>play</button>
<div role="img" aria-label="Two dots"><svg width="9" height="9"></svg><svg width="9"></svg></div>
"""

AXE = {"button-name", "label", "link-name", "color-contrast"}
FAULTS = {
    "console: error": ("console", "<script>throw new Error('broken')</script>"),
    "console: message": ("console", "<script>console.error('no')</script>"),
    "console: rejected": ("console", "<script>Promise.reject(new Error('late'))</script>"),
    "request: picture": ("request", "<img alt='x' src='https://example.org/x.png'>"),
    "request: script": (
        "request",
        "<script>fetch('https://example.org').catch(() => 0)</script>",
    ),
    "request: socket": ("request", "<script>new WebSocket('ws://127.0.0.1:9')</script>"),
    "request: outside the book": ("request", "<img alt='x' src='../secret.png'>"),
    "file": ("file", "<img alt='x' src='gone.png'>"),
    "link: page": ("link", "<a href='gone.html'>to nowhere</a>"),
    "link: anchor here": ("link", "<a href='#gone'>to nowhere</a>"),
    "link: anchor there": ("link", "<a href='other.html#gone'>to nowhere</a>"),
    "link: made by a script": (
        "link",
        "<script>document.body.insertAdjacentHTML('beforeend', '<a href=\"#gone\">x</a>')</script>",
    ),
    "link: outside the book": ("link", "<a href='../'>up</a>"),
    "link: script": ("link", "<a href='javascript:void 0'>act</a>"),
    "headings: two titles": ("headings", "<h1>Again</h1>"),
    "headings: a level left out": ("headings", "<h2>A</h2><h4>B</h4>"),
    "headings: empty": ("headings", "<h2> </h2>"),
    "pictures: no alt": ("pictures", f"<img src='{DOT}'>"),
    "pictures: empty alt": ("pictures", f"<img src='{DOT}' alt=' '>"),
    "pictures: file name": ("pictures", f"<img src='{DOT}' alt='../_images/abc.png'>"),
    "pictures: svg": ("pictures", "<svg role='img' width='9' height='9'></svg>"),
    "pictures: svg in a picture": ("pictures", "<p role='img'><svg width='9'></svg></p>"),
    "pictures: canvas": ("pictures", "<canvas width='9' height='9'></canvas>"),
    "pictures: does not load": ("pictures", "<img src='data:image/png;base64,AA' alt='A dot'>"),
    "pictures: empty figure": ("pictures", "<figure><figcaption>None.</figcaption></figure>"),
    "ids": ("ids", "<p id='x'>One</p><p id='x'>Two</p>"),
    "formulas: not typeset": ("formulas", "<span class='math'>\\(x\\)</span>"),
    "formulas: error": (
        "formulas",
        "<p class='math'><mjx-container><mjx-merror>Undefined</mjx-merror></mjx-container></p>",
    ),
    "formulas: dollars": ("formulas", "<p>where $x_1$ is</p>"),
    "formulas: parentheses": ("formulas", "<p>where \\(x\\) is</p>"),
    "formulas: command": ("formulas", "<p>the fraction \\frac12</p>"),
    "formulas: folded": ("formulas", "<details><summary>More</summary>a \\lambda</details>"),
    "formulas: a role": ("formulas", "<p>is {glue:text}`c01-x` here</p>"),
    "formulas: a template": ("formulas", "<p>is {{ value }} here</p>"),
    "layout: wide": ("layout", "<p style='width: 2000px'>A wide box.</p>"),
    "layout: long word": ("layout", f"<p>{'word' * 400}</p>"),
    "layout: cut off": (
        "layout",
        "<div style='overflow: hidden'><p style='width: 2000px'>Cut off.</p></div>",
    ),
    "button-name": ("button-name", "<button></button>"),
    "label": ("label", "<input type='range'>"),
    "link-name": ("link-name", "<a href='#'></a>"),
    "color-contrast": ("color-contrast", "<p style='color: #aaa; background: #fff'>Pale.</p>"),
    "color-contrast: folded": (
        "color-contrast",
        "<details><summary>More</summary><p style='color: #ccc'>Pale.</p></details>",
    ),
}


@pytest.fixture
def faults_of(browser, tmp_path):
    """What the walk finds on a page with this body."""

    def look(body: str, *, axe: bool = True, **how) -> list:
        book = tmp_path / "book"
        book.mkdir(exist_ok=True)
        (book / "page.html").write_text(PAGE.format(body=body), encoding="utf-8")
        (book / "other.html").write_text(PAGE.format(body="<p id='there'>x</p>"), encoding="utf-8")
        with visit(browser, book, "page.html", **how) as seen:
            found = seen.look("headings", "pictures", "ids", "formulas", "layout") + seen.links()
            found += seen.names() + seen.contrast() if axe else []  # half a second
            return found + seen.noticed

    return look


def test_a_good_page_passes_in_both_themes_and_sizes(faults_of):
    assert report(faults_of(GOOD)) == ""
    assert report(faults_of(GOOD, theme="dark", size=PHONE)) == ""


@pytest.mark.parametrize(("check", "body"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found(faults_of, check, body):
    assert check in {one.check for one in faults_of(body, axe=check in AXE)}


def test_a_fault_of_one_theme_or_size_is_found_there_only(faults_of):
    dark = "<p style='color: #333'>Readable on white only.</p>"
    assert not faults_of(dark)
    assert [one.check for one in faults_of(dark, theme="dark")] == ["color-contrast"]
    wide = "<p style='width: 500px'>Wider than a phone.</p>"
    assert not faults_of(wide)
    assert [one.check for one in faults_of(wide, size=PHONE)] == ["layout"]


def test_contrast_is_judged_once_per_look_and_wherever_a_ground_differs(faults_of):
    pale = "<div style='background: {}'><p style='color: #767676'>Text</p></div>"
    assert not faults_of(pale.format("#ffffff") * 50)
    found = faults_of(pale.format("#ffffff") * 50 + pale.format("#eeeeee"))
    assert [one.check for one in found] == ["color-contrast"]


def test_a_finding_names_page_theme_element_and_remedy(faults_of):
    (found,) = faults_of("<p id='late'>where \\lambda is</p>", theme="dark", size=PHONE)
    assert str(found) == (
        'page.html (dark, 390 px), formulas: p#late "where \\lambda is": '
        "a TeX command as text: \\lambda. "
        "To do: correct the TeX; in raw HTML write the formula as text"
    )


def test_assets_and_the_page_that_leads_on_are_not_walked(tmp_path):
    for name in ("index.html", "book/index.html", "a.html", "_static/x.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert page_names(tmp_path) == ["a.html", "book/index.html"]
