"""Numbers and figures of executed chapters, for the pages that quote them.

A chapter glues a number under a key `cNN-name` and names a figure `fig-cNN-name`; a prose page asks
for it by that name, so what it quotes is what the chapter shows.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from builder.layout import BuildError

RECORD = "application/papermill.record/text/plain"
ABSENT = "not available (its chapter failed)"


def glued(notebook: NotebookNode) -> dict[str, Any]:
    """The plain values that a notebook glued, by key."""
    found = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            text = output.get("data", {}).get(RECORD) or output.get("data", {}).get("text/plain")
            if name and text:
                try:
                    found[name] = _parsed("".join(text))
                except (ValueError, SyntaxError):
                    continue  # a table or a figure: not for a sentence
    return found


def _parsed(text: str) -> Any:
    """The value that has this representation; numbers that are none, as of one seed, are values."""
    return float(text) if text in ("nan", "inf", "-inf") else ast.literal_eval(text)


def pictures(notebook: NotebookNode) -> dict[str, tuple[str, str]]:
    """PNG (base64) and alt text of each named figure."""
    found = {}
    for cell in notebook.cells:
        display = cell.metadata.get("mystnb", {})
        name = display.get("figure", {}).get("name")
        for output in cell.get("outputs", []):
            if name and "image/png" in output.get("data", {}):
                png = "".join(output.data["image/png"].split())
                found[name] = (png, display.get("image", {}).get("alt", ""))
    return found


@dataclass
class Excerpts:
    """What the executed notebooks in `folder` show, read when it is asked for."""

    folder: Path
    chapters: list[str]

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        self._read: dict[str, NotebookNode | None] = {}

    def _notebook(self, name: str, number: str = "") -> NotebookNode | None:
        named = re.match(r"(?:fig-)?c(\d\d)-", name)
        number = number or (named[1] if named else "no chapter")
        chapter = next((c for c in self.chapters if c.startswith(number)), None)
        if chapter is None:
            raise BuildError(f"{name}: expected a name of a chapter, such as c03-gain or fig-c03-x")
        if chapter not in self._read:
            path = self.folder / f"{chapter}.ipynb"
            self._read[chapter] = nbformat.read(path, as_version=4) if path.is_file() else None
        return self._read[chapter]

    def value(self, key: str, form: str = "") -> str:
        """The value glued under `key`, in the given format.

        Raises:
            BuildError: the chapter glues no such key.
        """
        notebook = self._notebook(key)
        if notebook is None:
            return ABSENT
        values = glued(notebook)
        if key not in values:
            raise BuildError(f"{key}: its chapter glues no plain value under this key")
        return format(values[key], form)

    def picture(self, name: str, number: str = "") -> str:
        """The figure `name` as an HTML image that carries its own data and alt text.

        Args:
            name: the figure's name.
            number: the chapter's, such as 02, if the figure's name does not begin with it.

        Raises:
            BuildError: the chapter shows no such figure.
        """
        notebook = self._notebook(name, number)
        if notebook is None:
            return escape(ABSENT)
        shown = pictures(notebook)
        if name not in shown:
            raise BuildError(f"{name}: its chapter shows no figure of this name")
        png, alt = shown[name]
        return f'<img src="data:image/png;base64,{png}" alt="{escape(alt)}">'
