"""Numbers that prose states by hand although the chapter computes them are refused, others not."""

from __future__ import annotations

import nbformat
import pytest
from builder import gate, typed
from builder.excerpts import RECORD
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

CARD = (
    '<span class="mm-value">-7.31</span> <span class="mm-interval">[-8.02, -6.6]</span>'
    '<p class="mm-facts">Seeds 12.34</p>'
)
PRINTED = frozenset({97.45})


def chapter(prose: str, **metadata) -> nbformat.NotebookNode:
    glued = new_output(
        "display_data", data={RECORD: "0.014512"}, metadata={"scrapbook": {"name": "c01-tail"}}
    )
    rate = new_output(
        "display_data", data={RECORD: "97.4488"}, metadata={"scrapbook": {"name": "c01-rate"}}
    )
    large = new_output(
        "display_data", data={RECORD: "10321.58"}, metadata={"scrapbook": {"name": "c01-many"}}
    )
    card = new_output("display_data", data={"text/html": CARD})
    code = new_code_cell("width = 0.145", outputs=[glued, rate, large, card], execution_count=1)
    code.metadata.update(metadata)
    return new_notebook(cells=[new_markdown_cell(prose, id="prose"), code])


BAD = {
    "a share as a percentage": chapter("The share is 1.45 %."),
    "a share": chapter("The share is 0.0145."),
    "more digits": chapter("The share is 0.014512."),
    "another rounding than the printed 97.45": chapter("The rate is 97.4 %."),
    "thousands": chapter("There are 10,321.6 of them."),
    "on a verdict card": chapter("It loses 7.31 points."),
    "negative": chapter("It changes by −7.31 points."),
    "the end of an interval": chapter("At most 8.02 points."),
    "in a table": chapter("| a | b |\n|---|---|\n| x | 1.45 % |"),
    "in a solution": chapter("## Exercises\n\n:::{dropdown} Solutions\n1. It is 1.45 %.\n:::"),
    "caption": chapter("Text.", mystnb={"figure": {"caption": "It falls to 1.45 %."}}),
    "alt text": chapter("Text.", mystnb={"image": {"alt": "A curve that falls to 0.0145."}}),
}

GOOD = {
    "glued": chapter("The share is {glue:text}`c01-tail:.2f` %."),
    "another number": chapter("The share is 1.46 %, not 0.0146, and 12.34 is no result."),
    "printed by a text": chapter("The text prints 97.45 %."),
    "set by a cell": chapter("The width is 0.145."),
    "a formula": chapter("The radius is $1.45$ %, or\n\n$$\n0.0145\n$$"),
    "code": chapter("Write `1.45 %` or\n\n```\nshare = 0.0145\n```"),
    "an address": chapter("[the text](https://example.org/1.45)"),
    "two digits": chapter("The share is 1.5 %, 1 % or 0.01."),
    "a section": chapter("See section 1.45.2 and version 3.1.45."),
}


@pytest.mark.parametrize("notebook", BAD.values(), ids=BAD)
def test_a_number_typed_by_hand_is_refused(notebook):
    (found,) = typed.problems(notebook, PRINTED)
    assert not gate.problems(notebook) and "by hand" in found.what


@pytest.mark.parametrize("notebook", GOOD.values(), ids=GOOD)
def test_other_numbers_pass(notebook):
    assert typed.problems(notebook, PRINTED) == []


def test_a_problem_names_cell_number_and_remedy():
    (found,) = typed.problems(chapter("The share is 1.45 %."), PRINTED)
    assert str(found) == (
        "cell 1 (prose): states 1.45 % by hand, which is c01-tail "
        "(glue it, or quote it by that name)"
    )


def test_pages_are_held_against_every_chapter(tmp_path):
    nbformat.write(chapter("Text."), tmp_path / "01_x.ipynb")
    pages = {"book/a.md": "It is 1.45 %.", "book/b.md": 'It is {{ value("c01-tail", ".2%") }}.'}
    (found,) = typed.page_problems(pages, tmp_path, tmp_path)
    assert found.startswith("book/a.md: states 1.45 % by hand, which is c01-tail")


def test_what_a_text_prints_is_read_from_the_tables_without_our_notes(tmp_path):
    folder = tmp_path / typed.PUBLISHED
    folder.mkdir(parents=True)
    (folder / "table.csv").write_text('value,note\n97.45,"we compute 1.45"\n3,\n', "utf-8")
    assert typed.printed_numbers(tmp_path) == {97.45}
