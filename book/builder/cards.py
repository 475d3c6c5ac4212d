"""Where the executed chapters show their verdicts, and the figure that stands above each."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nbformat

from builder.gate import CARD

HEADING = re.compile(r"^#{1,4} ", re.M)


@dataclass(frozen=True)
class Card:
    """One verdict card of a chapter, and the last figure above it in the same section.

    Attributes:
        chapter: the chapter that shows it.
        figure: name of the figure, which is its anchor; None if the section has none.
        image: name of the picture's file among the images of the built book.
        alt: the figure's alt text.
    """

    chapter: str
    figure: str | None = None
    image: str = ""
    alt: str = ""


def cards(folder: Path, chapters: Iterable[str]) -> dict[str, Card]:
    """The first card of each claim in the executed notebooks, by claim."""
    found: dict[str, Card] = {}
    for chapter in chapters:
        path = folder / f"{chapter}.ipynb"
        if not path.is_file():
            continue
        above = Card(chapter)
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown" and HEADING.search(cell.source):
                above = Card(chapter)
            display = cell.metadata.get("mystnb", {})
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                name = display.get("figure", {}).get("name")
                if name and "image/png" in data:
                    alt = display.get("image", {}).get("alt", "")
                    above = Card(chapter, name, _file(data["image/png"]), alt)
                for card in CARD.finditer("".join(data.get("text/html", ""))):
                    found.setdefault(card["claim"], above)
    return found


def _file(png: str | list[str]) -> str:
    """MyST-NB names a picture by the hash of its bytes; the check of links sees if it does not."""
    return hashlib.sha256(base64.b64decode("".join(png))).hexdigest() + ".png"
