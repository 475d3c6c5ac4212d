"""Refuse what must not be published, then clean what remains.

Sphinx with execution off publishes a notebook with an error output without a warning, and papermill
leaves a file behind when it fails: nothing reaches the book without passing `problems`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import nbformat
from nbformat import NotebookNode

ERROR = "error: "
IMAGES = ("image/png", "image/jpeg", "image/svg+xml", "image/gif")
OUTSIDE = re.compile(
    r"""<(?:script|img|iframe|link|source|video|audio)\b[^>]*?
        \b(?:src|href)\s*=\s*["']?\s*(?:https?:)?//""",
    re.I | re.X,
)
OUTSIDE_CSS = re.compile(r"(?:@import\s+|url\()\s*[\"']?\s*(?:https?:)?//", re.I)
HTML_IMAGE = re.compile(r"<img\b[^>]*>", re.I)
HTML_ALT = re.compile(r"""\balt\s*=\s*(?:"\s*[^"\s][^"]*"|'\s*[^'\s][^']*')""", re.I)
MARKDOWN_IMAGE = re.compile(r"!\[(?P<alt>[^\]]*)\]\(\s*<?(?P<address>[^)\s>]+)")
CODE = re.compile(r"(`{3,}|~{3,}).*?\1|`[^`\n]+`", re.S)
DIRECTIVE_IMAGE = re.compile(r"^(`{3,}|:{3,})\{(?:image|figure)\}(?P<body>.*?)^\1", re.S | re.M)
CARD = re.compile(
    r"""<div(?P<card>\ class="mm-card\b.*?<p\ class="mm-meta">[^<·]*·\ )(?P<claim>\w+-[\w-]+)""",
    re.S | re.X,
)
# Without a data set a chapter runs on a stand-in and warns: wanted, but not with a path in it.
STAND_IN = re.compile(r"^.*\bStandInWarning: (?P<message>.*)\n?(?:[ \t]+.*\n?)?", re.M)
PARAMETERS_FOLD = {
    "code_prompt_show": "Show the parameters",
    "code_prompt_hide": "Hide the parameters",
}


@dataclass(frozen=True)
class Problem:
    """One reason not to publish a notebook."""

    cell: int
    cell_id: str
    what: str

    def __str__(self) -> str:
        return f"cell {self.cell} ({self.cell_id}): {self.what}"


def problems(notebook: NotebookNode) -> list[Problem]:
    """List everything in an executed notebook that must not be published."""
    found: list[Problem] = []
    number = 0
    for cell in notebook.cells:
        added = "injected-parameters" in cell.metadata.get("tags", [])
        if "papermill-error-cell-tag" in cell.metadata.get("tags", []):
            continue  # papermill's own notice; the failing cell itself is reported
        number += not added
        reasons = (
            _code_problems(cell) if cell.cell_type == "code" else markdown_problems(cell.source)
        )
        found += [Problem(number, cell.get("id", "no id"), reason) for reason in reasons]
    failed = [problem for problem in found if problem.what.startswith(ERROR)]
    if failed:  # what follows a failed cell was not executed: one cause, one line
        return [Problem(one.cell, one.cell_id, one.what.removeprefix(ERROR)) for one in failed]
    if not found and notebook.metadata.get("papermill", {}).get("exception"):
        found.append(Problem(0, "notebook", "papermill reports an exception"))
    return found


def _code_problems(cell: NotebookNode) -> list[str]:
    errors = [output for output in cell.outputs if output.output_type == "error"]
    if errors:
        return [f"{ERROR}{error.ename}: {first_line(error.evalue)}" for error in errors]
    if cell.metadata.get("papermill", {}).get("exception"):
        return ["papermill reports an exception here"]
    if cell.source.strip() and cell.execution_count is None:
        return ["was not executed"]
    found = []
    display = cell.metadata.get("mystnb", {})
    if display and not cell.outputs:
        found.append("has a caption or alt text but no output")
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stderr":
            noise = STAND_IN.sub("", _text(output.text))
            if noise.strip():
                found.append(f"writes to stderr: {first_line(noise)}")
        data = output.get("data", {})
        if any(kind in data for kind in IMAGES) and not _alt_text(display):
            found.append("shows an image without alt text (metadata mystnb.image.alt)")
        if any("widget" in kind for kind in data):
            found.append("shows a widget, which needs scripts from outside")
        if "application/javascript" in data:
            found.append("runs a script in the page")
        found += html_problems(_text(data.get("text/html", "")))
    return found


def _alt_text(display: dict) -> str:
    return str(display.get("image", {}).get("alt", "")).strip()


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def first_line(text: str) -> str:
    """The first line with something on it, cut to a readable length."""
    lines = [line.strip() for line in _text(text).splitlines() if line.strip()]
    return (lines[0] if lines else "")[:200]


def html_problems(html: str) -> list[str]:
    """Problems of raw HTML: anything loaded from outside, images without alt text."""
    found = []
    if OUTSIDE.search(html) or OUTSIDE_CSS.search(html):
        found.append("loads a script, style, image or frame from outside")
    if any(not HTML_ALT.search(tag) for tag in HTML_IMAGE.findall(html)):
        found.append("has an <img> without alt text")
    return found


def markdown_problems(source: str) -> list[str]:
    """Problems of a markdown cell or page: outside images, images without alt text, bad HTML."""
    found = []
    for match in DIRECTIVE_IMAGE.finditer(source):
        if not re.search(r"^\s*:alt:\s*\S", match["body"], flags=re.M):
            found.append("has an image directive without :alt:")
    text = CODE.sub("", source)
    for match in MARKDOWN_IMAGE.finditer(text):
        if not match["alt"].strip():
            found.append(f"has an image without alt text: {match['address'][:80]}")
        if re.match(r"(?:https?:)?//", match["address"]):
            found.append(f"shows an image from outside: {match['address'][:80]}")
    return found + html_problems(text)


def clean(notebook: NotebookNode, source: NotebookNode) -> NotebookNode:
    """Return a copy for publishing: a reader's notebook, without traces of the machinery.

    The injected parameters disappear, the parameters keep their place with the input folded, the
    kernel is the one that the source names, and timestamps go, so that equal runs give equal files.
    """
    notebook = nbformat.from_dict(notebook)
    notebook.metadata.pop("papermill", None)
    if "kernelspec" in source.metadata:
        notebook.metadata.kernelspec = source.metadata.kernelspec
    else:
        notebook.metadata.pop("kernelspec", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        tags = list(cell.metadata.get("tags", []))
        if "injected-parameters" in tags:
            tags.append("remove-cell")
        if "parameters" in tags:
            tags.append("hide-input")
            cell.metadata.mystnb = dict(PARAMETERS_FOLD) | dict(cell.metadata.get("mystnb", {}))
        if tags:
            cell.metadata.tags = sorted(set(tags))
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                notes = [match["message"] for match in STAND_IN.finditer(_text(output.text))]
                output.update(name="stdout", text="".join(f"Note: {note}\n" for note in notes))
    _anchor_cards(notebook)
    return notebook


def _anchor_cards(notebook: NotebookNode) -> None:
    """Tie verdict cards and ledger: the first card of a claim becomes the target of its row."""
    seen: set[str] = set()

    def tie(match: re.Match[str]) -> str:
        claim = match["claim"]
        anchor = "" if claim in seen else f' id="{claim}"'
        seen.add(claim)
        link = f'<a class="mm-id" href="../book/ledger.html#{claim}">{claim}</a>'
        return f"<div{anchor}{match['card']}{link}"

    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):
                output.data["text/html"] = CARD.sub(tie, _text(output.data["text/html"]))
