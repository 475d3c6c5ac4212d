"""What a reader needs beside the cells: exercises with solutions, and links."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from mmlib.evidence import claims

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXERCISES = re.compile(
    r"^## Exercises\n(?P<asked>.*?)^:::\{dropdown\} Solutions\n(?P<told>.*?)^:::", re.S | re.M
)
NUMBERED = re.compile(r"^(\d+)\. \S", re.M)
ROLE = re.compile(r"\{py:(?:func|class)\}`~?mmlib\.\w+\.\w+`")
ERRATA = (ROOT / "book" / "errata.md").read_text(encoding="utf-8")


def words_of(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_exercise_has_a_folded_solution(path):
    found = EXERCISES.search(words_of(path))
    assert found, "no section of exercises with a dropdown of solutions"
    asked, told = (NUMBERED.findall(found[part]) for part in ("asked", "told"))
    assert len(asked) >= 2 and asked == told == [str(i + 1) for i in range(len(asked))]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_cell_leads_to_ledger_library_and_another_chapter(path):
    head = nbformat.read(path, as_version=4).cells[0].source
    assert "](../book/ledger.md)" in head and ROLE.search(head)
    others = set(re.findall(r"\]\((\d\d_\w+)\.ipynb\)", head))
    assert others and path.stem not in others
    assert others <= {other.stem for other in NOTEBOOKS}


def test_every_erratum_is_linked_from_a_chapter_that_shows_it():
    chapter_of = dict(zip(claims()["id"], claims()["chapter"], strict=True))
    parts = re.split(r"^\((erratum-[\w-]+)\)=\n", ERRATA, flags=re.M)[1:]
    lost = []
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        shown_in = {chapter_of[claim] for claim in re.findall(r'stated\("([\w-]+)"\)', text)}
        shown_in |= set(re.findall(r"\.\./notebooks/(\d\d_\w+)\.", text))
        pages = [words_of(path) for path in NOTEBOOKS if path.stem in shown_in]
        if not any(f"(#{name})" in page for page in pages):
            lost.append(name)
    assert lost == []


def test_links_to_errata_and_differences_lead_somewhere():
    from builder.differences import name_of

    from mmlib.evidence import differences

    known = set(re.findall(r"^\((erratum-[\w-]+)\)=$", ERRATA, flags=re.M))
    known |= {f"difference-{name_of(topic)}" for topic in differences()["topic"]}
    pages = [words_of(path) for path in NOTEBOOKS]
    pages += [ERRATA, (ROOT / "book" / "differences.md").read_text(encoding="utf-8")]
    used = {
        name for page in pages for name in re.findall(r"\(#((?:erratum|difference)-[\w-]+)\)", page)
    }
    assert used and used <= known, used - known
