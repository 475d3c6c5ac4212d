"""Numbers that prose states by hand although the chapter computes them.

Such a number stays when the runs change. The rule is narrow, so that what it refuses is a fault:

- a decimal with at least three digits (no integers, no 0.05, no 95 %),
- in a sentence, a caption or an alt text: not in a formula, in code or in an address,
- that equals, as far as it is written out, a number that is glued or that a verdict card shows,
- and that no text prints (`PUBLISHED`) and no cell sets.

It does not see numbers with fewer digits, none that only a table or a figure shows, and none that
happens to equal a printed one. A setting that happens to equal a result is written as a formula.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from builder import gate
from builder.excerpts import glued

NUMBER = re.compile(r"(?<![\w.,/-])(?P<digits>\d+(?:,\d{3})*\.\d+)(?![\w/]|\.\d)(?P<percent>\s?%)?")
DIGITS = 3
PUBLISHED = "mmlib/evidence/published"
OURS = ("note", "how_to_check")  # columns that no text has printed
NO_PROSE = re.compile(
    r"""(`{3,}|~{3,}).*?^\1                  # a fenced block
      | \{[\w:-]+\}`[^`]*` | `[^`\n]+`       # a role, code
      | \$\$.*?\$\$ | \$[^$]+\$              # a formula
      | \]\([^)\n]*\) | <[^>\n]*> | \{\{.*?\}\}  # an address, a tag, what a template fills in
      """,
    re.S | re.M | re.X,
)
CARD_NUMBERS = re.compile(r'<span class="mm-(?:value|interval)">(.*?)</span>', re.S)


def printed_numbers(root: Path) -> frozenset[float]:
    """Every decimal that the texts print, by the tables in the checkout `root`; not our notes."""
    found = set()
    for path in (root / PUBLISHED).glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                cells = (row[name] or "" for name in row if name not in OURS)
                found |= {float(one) for cell in cells for one in re.findall(r"\d+\.\d+", cell)}
    return frozenset(found)


def computed_numbers(notebook: NotebookNode) -> dict[str, float]:
    """What an executed notebook glues and what its verdict cards show, by name."""
    found = {
        name: float(value)
        for name, value in glued(notebook).items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            html = "".join(output.get("data", {}).get("text/html", ""))
            for shown in CARD_NUMBERS.findall(html):
                for number in re.findall(r"\d+\.\d+", shown):
                    found[f"a verdict card ({number})"] = float(number)
    return found


def _texts(cell: NotebookNode) -> list[str]:
    """What a cell says: sentences, or caption and alt text."""
    if cell.cell_type == "markdown":
        return [cell.source]
    display = cell.metadata.get("mystnb", {})
    return [
        str(display.get("figure", {}).get("caption", "")),
        str(display.get("image", {}).get("alt", "")),
    ]


def settings(notebook: NotebookNode) -> frozenset[float]:
    """The decimals that its cells set."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return frozenset(map(float, re.findall(r"\d+\.\d+", code)))


def by_hand(
    text: str, computed: Mapping[str, float], allowed: AbstractSet[float] = frozenset()
) -> list[str]:
    """The numbers in Markdown that are written by hand and computed, too.

    Example:
        >>> by_hand("It loses 1.45 % there, $1.45$ in a formula.", {"c01-tail": 0.014512})
        ['states 1.45 % by hand, which is c01-tail (glue it, or quote it by that name)']
    """
    found = []
    for match in NUMBER.finditer(NO_PROSE.sub(" ", text)):
        written = match["digits"].replace(",", "")
        if len(written.replace(".", "").lstrip("0")) < DIGITS or float(written) in allowed:
            continue
        places = len(written.partition(".")[2])
        scales = (1, 100) if match["percent"] else (1,)
        for name, value in computed.items():
            if any(f"{abs(scale * value):.{places}f}" == written for scale in scales):
                remedy = "glue it, or quote it by that name"
                found.append(f"states {match[0]} by hand, which is {name} ({remedy})")
                break
    return found


def problems(notebook: NotebookNode, printed: AbstractSet[float]) -> list[gate.Problem]:
    """The numbers in the prose of an executed notebook that it should have glued."""
    computed = computed_numbers(notebook)
    allowed = printed | settings(notebook)
    number, found = 0, []
    for cell in notebook.cells:
        number += "injected-parameters" not in cell.metadata.get("tags", [])
        for text in _texts(cell):
            reasons = by_hand(text, computed, allowed)
            found += [gate.Problem(number, cell.get("id", "no id"), reason) for reason in reasons]
    return found


def page_problems(pages: Mapping[str, str], executed: Path, root: Path) -> list[str]:
    """The same for prose pages, by name, against everything in the folder `executed`."""
    computed: dict[str, float] = {}
    for path in sorted(executed.glob("*.ipynb")):
        computed |= computed_numbers(nbformat.read(path, as_version=4))
    printed = printed_numbers(root)
    return [
        f"{name}: {reason}"
        for name, text in pages.items()
        for reason in by_hand(text, computed, printed)
    ]
