"""Sources of the notebooks: no outputs, one parameters cell, short cells, sentences between."""

from __future__ import annotations

import copy
from pathlib import Path

import nbformat
import nbstripout
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LONGEST_CELL = 15


def faults(notebook) -> list[str]:
    """Everything about a notebook's source that the book does not allow."""
    found = []
    cells = notebook.cells
    if not cells or cells[0].cell_type != "markdown" or not cells[0].source.startswith("# "):
        found.append("does not open with a title")
    if "kernelspec" not in notebook.metadata:
        found.append("names no kernel")
    parameters = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if len(parameters) != 1:
        found.append(f"{len(parameters)} cells tagged parameters")
    ids = [cell.get("id") for cell in cells]
    if None in ids or len(set(ids)) != len(ids):
        found.append("cell ids missing or repeated")
    bare = nbstripout.strip_output(
        copy.deepcopy(notebook), keep_output=False, keep_count=False, keep_id=True
    )
    if bare != notebook:
        found.append("nbstripout --keep-id would change it")
    previous = None
    for number, cell in enumerate(cells, start=1):
        if cell.cell_type == "code":
            if cell.outputs or cell.execution_count is not None:
                found.append(f"cell {number}: holds outputs or an execution count")
            lines = len(cell.source.splitlines())
            if lines > LONGEST_CELL:
                found.append(f"cell {number}: {lines} lines")
            if previous == "code":
                found.append(f"cell {number}: no sentence before it")
        previous = cell.cell_type
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_source(path):
    assert not faults(nbformat.read(path, as_version=4))


def test_notebooks_table_of_contents_and_chapters_agree():
    toc = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    chapters = yaml.safe_load((ROOT / "book" / "chapters.yml").read_text(encoding="utf-8"))
    names = [path.stem for path in NOTEBOOKS]
    assert names == [name for name in names if f"file: notebooks/{name}" in toc]
    assert toc.count("notebooks/") == len(names)
    assert set(names) <= {chapter["id"] for chapter in chapters}


def good() -> nbformat.NotebookNode:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(
        metadata={"kernelspec": kernel},
        cells=[
            new_markdown_cell("# Title"),
            new_code_cell("profile = 'quick'", metadata={"tags": ["parameters"]}),
            new_markdown_cell("A sentence."),
            new_code_cell("1 + 1"),
        ],
    )


def test_a_good_notebook_has_no_faults():
    assert faults(good()) == []


def test_each_fault_is_found():
    def changed(change):
        notebook = good()
        change(notebook.cells)
        return faults(notebook)

    assert changed(lambda cells: cells[3].update(execution_count=1))
    assert changed(lambda cells: cells[3].update(source="x = 1\n" * (LONGEST_CELL + 1)))
    assert changed(lambda cells: cells.pop(2))
    assert changed(lambda cells: cells[1].metadata.update(tags=[]))
    assert changed(lambda cells: cells[3].metadata.update(tags=["parameters"]))
    assert changed(lambda cells: cells[3].update(id=cells[1]["id"]))
    assert changed(lambda cells: cells[0].update(source="No title"))
