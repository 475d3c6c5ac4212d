"""A page of the built book in a real browser, and everything that must not be found there.

A finding names the page, how it was looked at, the element and what to do. The checks of the page
itself are in `checks.js`; those of contrast and names are the rules of axe-core.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

CHECKS = (Path(__file__).parent / "checks.js").read_text(encoding="utf-8")
DESKTOP = {"width": 1300, "height": 900}
PHONE = {"width": 390, "height": 844}
LOAD_MS = 60_000
# Contrast has a check of its own; corner cells of tables are empty; the theme's header has no role.
NOT_ASKED = ("color-contrast", "empty-table-header", "region")
FRONT = "index.html"  # leads to the first page of the book
HERE = ("file:", "data:", "blob:", "about:")

REMEDIES = {
    "console": "mend the script, or take it off the page",
    "request": "bring the file into the book; a page must work without a network",
    "file": "the page asks for a file that is not in the book: correct the address",
    "link": "correct the address, or give the target this anchor",
    "ids": "give it another id; links lead to the first",
    "headings": "one title a page, and no level left out",
    "pictures": "describe the picture: mystnb.image.alt of the cell, :alt: or alt=",
    "formulas": "correct the TeX; in raw HTML write the formula as text",
    "layout": "put it into a box that scrolls (.mm-scroll), or let it break",
}


@dataclass(frozen=True)
class Finding:
    """One fault of one page."""

    page: str
    view: str
    check: str
    element: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = self.remedy or REMEDIES[self.check]
        return (
            f"{self.page} ({self.view}), {self.check}: {self.element}: {self.what}. To do: {remedy}"
        )


def page_names(site: Path) -> list[str]:
    """The pages of a built book, relative to its folder, without the one that only leads on."""
    pages = (path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    return sorted(page for page in pages if not page.startswith("_static/") and page != FRONT)


class Visit:
    """A page that is open in a browser, with what happened while it loaded."""

    def __init__(self, page: Page, site: Path, name: str, view: str) -> None:
        self.page, self.site, self.name, self.view = page, site.resolve(), name, view
        self.noticed: list[Finding] = []
        page.on("pageerror", lambda error: self._note("console", "script", str(error)))
        page.on("console", self._console)
        page.on("request", lambda request: self._request(request.url))
        page.on("websocket", lambda socket: self._request(socket.url))

    def _note(self, check: str, element: str, what: str) -> None:
        self.noticed.append(Finding(self.name, self.view, check, element, what))

    def _console(self, message) -> None:
        if message.type == "error":
            address = urlsplit(message.location.get("url", "")).path
            self._note("console", Path(address).name or "script", message.text)

    def _request(self, address: str) -> None:
        if not address.startswith(HERE):
            self._note("request", address, "leaves the machine")
        elif address.startswith("file:"):
            path = Path(unquote(urlsplit(address).path))
            if not path.is_relative_to(self.site):
                self._note("request", str(path), "lies outside the book")
            elif not path.is_file():
                self._note("file", path.relative_to(self.site).as_posix(), "does not exist")

    def load(self) -> None:
        """Open the page, unfold what is folded, wait for formulas."""
        address = (self.site / self.name).as_uri()
        self.page.goto(address, wait_until="load", timeout=LOAD_MS)
        self.run("unfold")

    def resize(self, size: dict = DESKTOP) -> None:
        """Look at the same page in a window of another size."""
        self.page.set_viewport_size(size)
        theme = self.view.partition(",")[0]
        self.view = f"{theme}, {size['width']} px"

    def run(self, check: str):
        """The answer of one function of `checks.js`."""
        return self.page.evaluate(f"async () => {{ {CHECKS}; return await {check}(); }}")

    def look(self, *checks: str) -> list[Finding]:
        """The faults that functions of `checks.js` find."""
        return [
            Finding(self.name, self.view, *fault) for check in checks for fault in self.run(check)
        ]

    def links(self) -> list[Finding]:
        """Links to a page, file or anchor that does not exist."""
        own = set(self.run("anchors"))
        found = []
        for address, element in self.run("links"):
            reason = self._broken(address, own)
            if reason:
                found.append(Finding(self.name, self.view, "link", element, reason))
        return found

    def _broken(self, address: str, own: set[str]) -> str:
        parts = urlsplit(address)
        if parts.scheme != "file":
            return "" if parts.scheme in ("http", "https", "mailto") else f"leads to {address}"
        target = Path(unquote(parts.path))
        if not target.is_relative_to(self.site):
            return f"leads to {target}, outside the book"
        if not target.is_file():
            return f"leads to {target.relative_to(self.site)}, which does not exist"
        anchor = unquote(parts.fragment)
        known = own if target == self.site / self.name else anchors_of(target)
        if anchor and target.suffix == ".html" and anchor not in known:
            return f"leads to {target.relative_to(self.site)}#{anchor}, which has no such anchor"
        return ""

    def contrast(self) -> list[Finding]:
        """Text that is hard to read, by axe-core. Removes most of the page: comes last."""
        self.run("thin")
        return self._axe({"runOnly": ["color-contrast"]})

    def names(self) -> list[Finding]:
        """Controls without a name, repeated ids and what else axe-core knows but contrast.

        Removes the formulas of the page: comes after their check.
        """
        self.run("unset")
        off = {rule: {"enabled": False} for rule in NOT_ASKED}
        return self._axe({"rules": off})

    def _axe(self, options: dict) -> list[Finding]:
        fixed = {"resultTypes": ["violations"], "preload": False}  # a file may not fetch its styles
        answer = Axe().run(self.page, options=fixed | options).response
        return [
            Finding(
                self.name,
                self.view,
                violation["id"],
                " ".join(map(str, node["target"])),
                _summary(node["failureSummary"]),
                violation["help"],
            )
            for violation in answer["violations"]
            for node in violation["nodes"]
        ]


def _summary(text: str) -> str:
    lines = [line.strip() for line in text.splitlines()[1:] if line.strip()]
    return "; ".join(lines)[:300]


@functools.cache
def anchors_of(path: Path) -> frozenset[str]:
    """The anchors of a page that is not open."""
    text = path.read_text(encoding="utf-8")
    return frozenset(re.findall(r"""<[^<>]*?\b(?:id|name)=["']([^"']+)["']""", text))


@contextmanager
def visit(
    browser: Browser, site: Path, name: str, *, theme: str = "light", size: dict = DESKTOP
) -> Iterator[Visit]:
    """Open one page in a fresh profile; nothing outside the machine is reached."""
    context = browser.new_context(
        color_scheme=theme, viewport=size, reduced_motion="reduce", offline=True
    )
    try:
        one = Visit(context.new_page(), site, name, f"{theme}, {size['width']} px")
        one.load()
        yield one
    finally:
        context.close()


def report(found: Iterable[Finding]) -> str:
    """One line per finding, equal ones once."""
    return "\n".join(dict.fromkeys(map(str, found)))
