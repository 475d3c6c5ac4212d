"""The one-file book: every page, every link, every picture, and nothing from outside."""

from __future__ import annotations

import base64
import importlib.util
import re
import shutil
from pathlib import Path

import offline as command
import pytest
from builder import offline
from builder.layout import BuildError, Layout

TOC = """format: jb-book
root: book/index
parts:
  - caption: Chapters
    chapters:
      - file: notebooks/01_one
        sections:
          - file: notebooks/02_two
"""
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
PAGE = """<html><head><link rel="stylesheet" href="../_static/styles/theme.css">
<script src="../_static/scripts/bootstrap.js"></script><script src="../_static/table.js"></script>
</head><body><nav>frame</nav><article class="bd-article">{body}</article></body></html>"""
INDEX = """<h1>The book<a class="headerlink" href="#x">#</a></h1><h2 id="limits">Limits</h2>
<p class="mm-offline" hidden></p><img src="../_images/a.png" alt="a picture">
<a href="../notebooks/01_one.html#limits">limits of one</a>
<a href="../notebooks/02_two.html">two</a><a href="../genindex.html">index</a>
<a href="../_static/data.csv">data</a><a href="https://example.org/">outside</a>
<a href="#limits">here</a>"""
ONE = """<h1>One</h1><section id="limits"><label for="own">x</label><input id="own"></section>
<div class="math">\\[x^2 < 1\\]</div><details><summary>Solutions</summary>folded answer</details>
<script src="../_static/filter.js"></script>
<script>document.getElementById("own").value = "</" + "b>";</script>"""


@pytest.fixture
def layout(tmp_path):
    (tmp_path / "_toc.yml").write_text(TOC)
    for name, body in (
        ("book/index", INDEX), ("notebooks/01_one", ONE), ("notebooks/02_two", "<h1>Two</h1>")
    ):  # fmt: skip
        path = tmp_path / "_build/html" / f"{name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGE.format(body=body))
    html = tmp_path / "_build/html"
    for name, text in (
        ("styles/theme.css", '@import "../basic.css"; @font-face { src: url(far.woff2); }'),
        ("basic.css", "p { background: url(dot.png); }"),
        ("filter.js", "window.filter = 3;"),
        ("table.js", "window.table = '</script>';"),
        ("scripts/bootstrap.js", "frame();"),
        ("data.csv", "a,b\n"),
    ):
        (html / "_static" / name).parent.mkdir(parents=True, exist_ok=True)
        (html / "_static" / name).write_text(text)
    (html / "_images").mkdir()
    for path in (html / "_images/a.png", html / "_static/dot.png"):
        path.write_bytes(PIXEL)
    (html / "genindex.html").write_text("an index")
    return Layout(tmp_path)


def test_parts_are_in_reading_order(layout):
    assert offline.parts(layout) == [
        ("", ["book/index"]),
        ("Chapters", ["notebooks/01_one", "notebooks/02_two"]),
    ]


def test_links_lead_to_anchors_of_the_document(layout):
    text = offline.one_file(layout)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    anchors = re.findall(r'href="#([^"]+)"', text)
    assert set(anchors) <= set(ids)
    assert {"book-index--limits", "notebooks-01_one--limits", "own"} <= set(ids)
    assert '<a href="#notebooks-01_one--limits">limits of one</a>' in text
    assert '<a href="#page-notebooks-02_two">two</a>' in text
    assert '<a href="#book-index--limits">here</a>' in text
    assert "<a>index</a>" in text and '<a href="https://example.org/">outside</a>' in text
    assert '<label for="own">' in text
    assert text.index("The book") < text.index("One</h1>") < text.index("Two</h1>")


def test_everything_is_inside(layout):
    text = offline.one_file(layout)
    picture = base64.b64encode(PIXEL).decode()
    assert f'<img alt="a picture" src="data:image/png;base64,{picture}"' in text
    assert f"background: url(data:image/png;base64,{picture})" in text
    assert 'download="data.csv" href="data:text/csv;base64,' in text
    tag = r"<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)="
    loaded = rf"""(?:{tag}|@import\s|url\()["']?(?!data:)\w"""
    mathjax = offline._mathjax().read_text(encoding="utf-8").replace("</script", "<\\/script")
    assert mathjax in text
    assert not re.search(loaded, text.replace(mathjax, ""))
    assert "frame();" not in text and "far.woff2" not in text and "headerlink" not in text
    assert r"window.table = '<\/script>';" in text
    assert text.count("window.filter = 3;") == 1  # a script inside an article comes along
    assert (
        'getElementById("own").value = "</" + "b>";' in text
    )  # scripts of a page stay as they are


def test_an_unbuilt_book_and_a_missing_picture_are_one_message(layout, capsys):
    (layout.html / "_images/a.png").unlink()
    with pytest.raises(BuildError, match=r"index.html: names ../_images/a.png, which does not"):
        offline.one_file(layout)
    shutil.rmtree(layout.html)
    assert command.main(["--root", str(layout.root)]) == 2
    assert "build the book first, with `make book`" in capsys.readouterr().err


def test_without_chromium_the_one_file_is_still_made_and_linked(layout, capsys, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert command.main(["--root", str(layout.root)]) == 1
    assert "no Chromium found, so no PDF: apt-get install chromium" in capsys.readouterr().err
    assert (layout.build / f"{offline.NAME}.html").is_file()
    assert not (layout.build / f"{offline.NAME}.pdf").exists()
    index = (layout.html / "book/index.html").read_text()
    assert (
        f'href="../{offline.FOLDER}/{offline.NAME}.html" download' in index and ".pdf" not in index
    )
    assert command.main(["--root", str(layout.root), "--no-pdf"]) == 0
    assert (layout.html / "book/index.html").read_text() == index  # linked once
    assert "mm-offline" not in (layout.build / f"{offline.NAME}.html").read_text()


def test_a_first_page_without_room_is_linked_at_its_end(layout):
    index = layout.html / "book/index.html"
    index.write_text(index.read_text().replace('<p class="mm-offline" hidden></p>', ""))
    for _ in range(2):
        assert command.main(["--root", str(layout.root), "--no-pdf"]) == 0
    assert index.read_text().count(offline.FOLDER) == 1
    assert re.search(r'<p class="mm-offline">.*</p>\s*</article>', index.read_text())
    assert (layout.html / offline.FOLDER / f"{offline.NAME}.html").is_file()


@pytest.mark.slow
@pytest.mark.skipif(
    not any(map(shutil.which, offline.CHROMIUM)), reason="no Chromium: apt-get install chromium"
)
@pytest.mark.skipif(
    not (importlib.util.find_spec("playwright") and importlib.util.find_spec("pypdf")),
    reason="playwright or pypdf missing: pip install playwright pypdf",
)
def test_the_pdf_has_every_page_its_equations_and_solutions(layout):
    from playwright.sync_api import sync_playwright
    from pypdf import PdfReader

    assert command.main(["--root", str(layout.root)]) == 0
    document = layout.build / f"{offline.NAME}.html"
    reader = PdfReader(document.with_suffix(".pdf"))
    assert len(reader.pages) == 4  # contents and three pages
    text = "\n".join(page.extract_text() for page in reader.pages)
    assert "folded answer" in text and "\\[" not in text
    assert [entry.title for entry in reader.outline if not isinstance(entry, list)]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=next(filter(None, map(shutil.which, offline.CHROMIUM))),
            args=["--no-sandbox"],
        )
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda one: asked.append(one.url))
        page.goto(document.as_uri())
        page.locator("mjx-container").first.wait_for()
        assert page.evaluate("window.table") == "</script>"
        browser.close()
    assert [url for url in asked if not url.startswith("data:")] == [Path(document).as_uri()]
