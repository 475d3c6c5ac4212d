"""The finished book as one file, and as a PDF printed from it.

Every page of the built site becomes a part of one document that holds its styles, scripts,
pictures and the typesetting of its equations, so that it can be sent and opened anywhere.
"""

from __future__ import annotations

import base64
import importlib.util
import mimetypes
import re
import shutil
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag

from builder.layout import BuildError, Layout
from builder.offline_document import DOCUMENT, DRIVER

NAME = "manifold-mixup-tested"
FOLDER = "_static/offline"  # in the built site; what lies under _static is no page of the book
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
LARGEST_DOWNLOAD = 3_000_000  # bytes of a linked file that is put into the document
# Scripts of the theme's frame and of its search: the document has neither.
FRAME = re.compile(
    r"scripts/|doctools|documentation_options|sphinx_highlight|clipboard|copybutton|togglebutton"
    r"|mathjax|searchtools|language_data|searchindex"
)
POINTERS = ("for", "aria-labelledby", "aria-describedby", "aria-controls")
MARK = re.compile(r'<p class="mm-offline"[^>]*>.*?</p>', re.S)


def parts(layout: Layout) -> list[tuple[str, list[str]]]:
    """The documents of ``_toc.yml`` in reading order, by the caption of their part."""

    def below(entries: list[dict]) -> list[str]:
        return [
            name for entry in entries for name in (entry["file"], *below(entry.get("sections", [])))
        ]

    toc = yaml.safe_load((layout.root / "_toc.yml").read_text(encoding="utf-8"))
    found = [("", [toc["root"]])]
    return found + [(part.get("caption", ""), below(part["chapters"])) for part in toc["parts"]]


def one_file(layout: Layout) -> str:
    """The whole book as one HTML document.

    Raises:
        BuildError: the book is not built, or a page of it is missing.
    """
    grouped, site = parts(layout), layout.html.resolve()
    names = [name for _, group in grouped for name in group]
    pages = {name: _page(site / f"{name}.html") for name in names}
    index = next(iter(pages.values()))
    scripts: dict[Path, None] = {}
    for name, page in pages.items():  # now: an article gives up its own
        for tag in page.find_all("script", src=True):
            path = _local(site / f"{name}.html", str(tag["src"]))
            if path and not FRAME.search(path.relative_to(site).as_posix()):
                scripts[path] = None
    articles = {name: _article(name, page) for name, page in pages.items()}
    known = _anchors(articles)
    for name, article in articles.items():
        _rewrite(article, site / f"{name}.html", site, known)
    contents = "".join(
        (f"<p>{caption}</p>" if caption else "")
        + "<ol>"
        + "".join(
            f'<li><a href="#{known[name, ""]}">{_title(articles[name])}</a></li>' for name in group
        )
        + "</ol>"
        for caption, group in grouped
    )
    # No <section>: scripts of a page hide its sections by how deep they lie in each other.
    body = "\n".join(
        f'<div class="mm-page" id="{known[name, ""]}">{article.decode_contents()}</div>'
        for name, article in articles.items()
    )
    return DOCUMENT.format(
        title=_title(articles[names[0]]),
        css=_styles(site / f"{names[0]}.html", index),
        contents=contents,
        body=body,
        scripts="\n".join(_script(path.read_text(encoding="utf-8")) for path in scripts),
        mathjax=_script(_mathjax().read_text(encoding="utf-8")),
        driver=_script(DRIVER),
    )


def _page(path: Path) -> BeautifulSoup:
    if not path.is_file():
        raise BuildError(f"{path} does not exist: build the book first, with `make book`")
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def _article(name: str, page: BeautifulSoup) -> Tag:
    article = page.find("article")
    if not isinstance(article, Tag):
        raise BuildError(f"{name}.html: expected an <article>, but found none")
    # mm-again: a figure that the document shows in its chapter already
    for tag in article.select("a.headerlink, script[src], p.mm-offline, figure.mm-again"):
        tag.decompose()
    return article


def _title(article: Tag) -> str:
    heading = article.find("h1")
    return heading.get_text(strip=True) if heading else ""


def _anchors(articles: dict[str, Tag]) -> dict[tuple[str, str], str]:
    """What each anchor of each page is called in the document; those of several pages are renamed.

    The page itself is its empty anchor.
    """
    ids = {
        name: [str(tag["id"]) for tag in article.find_all(id=True)]
        for name, article in articles.items()
    }
    count = Counter(one for found in ids.values() for one in set(found))
    known = {}
    for name, found in ids.items():
        slug = re.sub(r"\W+", "-", name)
        known[name, ""] = f"page-{slug}"
        for one in found:
            known[name, one] = one if count[one] == 1 else f"{slug}--{one}"
    return known


def _rewrite(article: Tag, where: Path, site: Path, known: dict[tuple[str, str], str]) -> None:
    """Make anchors, links and pictures of one page those of the document."""
    here = where.relative_to(site).with_suffix("").as_posix()
    for tag in article.find_all(id=True):
        tag["id"] = known[here, str(tag["id"])]
    for attribute in POINTERS:
        for tag in article.select(f"[{attribute}]"):
            named = str(tag[attribute]).split()
            tag[attribute] = " ".join(known.get((here, one), one) for one in named)
    for tag in article.find_all("img", src=True):
        path = _local(where, str(tag["src"]))
        if path:
            tag["src"] = _data(path)
    for tag in article.find_all("a", href=True):
        given = str(tag["href"])
        address = _linked(given, where, site, known)
        if address is None:
            tag.attrs.pop("href")
        else:
            if address.startswith("data:"):
                tag["download"] = Path(urlsplit(given).path).name
            tag["href"] = address


def _linked(address: str, where: Path, site: Path, known: dict[tuple[str, str], str]) -> str | None:
    """What a link becomes: an anchor, the file itself, or nothing if its target stays outside."""
    split = urlsplit(address)
    if split.scheme or split.netloc:
        return address
    target = (where.parent / unquote(split.path)).resolve() if split.path else where
    if not target.is_relative_to(site):
        return None
    name, anchor = target.relative_to(site).with_suffix("").as_posix(), unquote(split.fragment)
    if target.suffix == ".html":
        found = known.get((name, anchor)) or known.get((name, ""))
        return found and f"#{found}"
    if target.is_file() and target.stat().st_size <= LARGEST_DOWNLOAD:
        return _data(target)
    return None


def _local(where: Path, address: str) -> Path | None:
    """The file that an address names, None for data and for other machines."""
    split = urlsplit(address)
    if split.scheme or split.netloc or not split.path:
        return None
    path = (where.parent / unquote(split.path)).resolve()
    if not path.is_file():
        raise BuildError(f"{where.name}: names {address}, which does not exist")
    return path


def _data(path: Path) -> str:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _styles(where: Path, page: BeautifulSoup) -> str:
    """All style sheets of a page as one."""
    files = [_local(where, str(tag["href"])) for tag in page.find_all("link", rel="stylesheet")]
    return "\n".join(_style(path) for path in files if path).replace("</style", "<\\/style")


def _style(path: Path) -> str:
    """A style sheet with all it names; icon fonts stay out, since a script draws the icons."""

    def imported(match: re.Match[str]) -> str:
        return _style(_local(path, match[1]) or path)

    def inlined(match: re.Match[str]) -> str:
        address = match[1].strip("\"' ")
        target = (path.parent / urlsplit(address).path).resolve()
        outside = address.startswith(("data:", "#")) or not target.is_file()
        return match[0] if outside else f"url({_data(target)})"

    text = re.sub(r"@font-face\s*\{[^}]*\}", "", path.read_text(encoding="utf-8"))
    text = re.sub(r"@import\s+(?:url\()?[\"']?([^\"')]+)[\"']?\)?;", imported, text)
    return re.sub(r"url\(([^)]*)\)", inlined, text)


def _script(text: str) -> str:
    """A script element; nothing in it may end it."""
    return "<script>" + text.replace("</script", "<\\/script") + "</script>"


def _mathjax() -> Path:
    """MathJax with all its extensions and glyphs as paths: it asks for no other file."""
    # The package is not importable by name (it has hyphens), but its folder is found by it.
    found = importlib.util.find_spec("sphinx-mathjax-offline")
    folder = Path(found.origin if found and found.origin else "absent").parent
    path = folder / "static" / "mathjax" / "tex-svg-full.js"
    if not path.is_file():
        raise BuildError("tex-svg-full.js not found: pip install sphinx-mathjax-offline")
    return path


def print_pdf(source: Path, target: Path) -> None:
    """Print the document with headless Chromium: equations set, folds open, pages numbered.

    Raises:
        BuildError: there is no Chromium, or no package to drive it.
    """
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        raise BuildError("no Chromium found, so no PDF: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise BuildError("playwright is missing, so no PDF: pip install playwright") from None
    footer = (
        '<div style="width:100%;font:8px sans-serif;color:#666;text-align:center">'
        '<span class="title"></span>, <span class="pageNumber"></span></div>'
    )
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(color_scheme="light")
        page.set_default_timeout(900_000)
        page.goto(source.resolve().as_uri())
        page.evaluate("window.mmSetAll()")
        scratch = target.with_suffix(".tmp.pdf")
        page.pdf(
            path=scratch, format="A4", outline=True, tagged=True, display_header_footer=True,
            header_template="<span></span>", footer_template=footer,
            margin={"top": "16mm", "bottom": "18mm", "left": "16mm", "right": "16mm"},
        )  # fmt: skip
        browser.close()
    scratch.replace(target)


def publish(layout: Layout, files: list[Path]) -> list[Path]:
    """Lay the files beside the built pages and link them from the first page.

    The links are the paragraph of class ``mm-offline`` if the page has one, else its last. The next
    build takes them away together with the files.
    """
    folder = layout.html / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    placed = [Path(shutil.copyfile(file, folder / file.name)) for file in files]
    page = layout.html / "book" / "index.html"
    words = {".html": "the whole book in one file", ".pdf": "the book as a PDF"}
    links = " · ".join(
        f'<a href="../{FOLDER}/{file.name}" download>{words[file.suffix]}</a> '
        f"({file.stat().st_size / 1e6:.0f} MB)"
        for file in placed
    )
    line = f'<p class="mm-offline">To keep: {links}</p>'
    text = page.read_text(encoding="utf-8")
    if MARK.search(text):
        text = MARK.sub(lambda _: line, text, count=1)
    else:
        before, end, after = text.rpartition("</article>")
        text = f"{before}{line}\n{end}{after}"
    page.write_text(text, encoding="utf-8")
    return placed
