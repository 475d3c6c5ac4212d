"""The gate refuses what must not be published, and cleaning leaves a reader's notebook."""

from __future__ import annotations

import nbformat
import pytest
from builder import gate
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

PNG = {"image/png": "iVBORw0KGgo="}
ALT = {"mystnb": {"image": {"alt": "A curve that rises"}}}


def executed(*cells) -> nbformat.NotebookNode:
    return new_notebook(cells=list(cells))


def code(source="x", *outputs, count=1, **metadata):
    return new_code_cell(source, outputs=list(outputs), execution_count=count, metadata=metadata)


def display(data):
    return new_output("display_data", data=data)


GOOD = [
    executed(
        new_markdown_cell("# T\n\n![A digit](digit.png)"), code("1", display({"text/plain": "1"}))
    ),
    executed(code("plot()", display(PNG), **ALT)),
    executed(code("", count=None)),
    executed(code("card", display({"text/html": "<a href='https://example.org'>a link</a>"}))),
    executed(new_markdown_cell("In code, `![](x)` and `<img src='https://x'>` are only text.")),
    executed(new_markdown_cell("```{image} a.png\n:alt: A digit\n```")),
]

BAD = {
    "error output": executed(
        code("1/0", new_output("error", ename="ZeroDivisionError", evalue="division by zero"))
    ),
    "papermill exception": executed(code("1", papermill={"exception": True})),
    "unexecuted cell": executed(code("1"), code("2", count=None)),
    "stderr": executed(code("w()", new_output("stream", name="stderr", text="UserWarning: no"))),
    "image without alt text": executed(code("plot()", display(PNG))),
    "empty alt text": executed(code("plot()", display(PNG), mystnb={"image": {"alt": " "}})),
    "figure without output": executed(code("plot()", **ALT)),
    "widget": executed(code("w", display({"application/vnd.jupyter.widget-view+json": {}}))),
    "script": executed(code("w", display({"application/javascript": "alert(1)"}))),
    "outside script": executed(
        code("p", display({"text/html": "<script src='https://cdn.example.org/x.js'></script>"}))
    ),
    "outside image": executed(
        code("p", display({"text/html": "<img alt='x' src=//example.org/x.png>"}))
    ),
    "outside font": executed(
        code(
            "p", display({"text/html": "<style>@import url(https://fonts.example.org/f);</style>"})
        )
    ),
    "html image without alt": executed(
        code("p", display({"text/html": "<img src='data:image/png;'>"}))
    ),
    "markdown image without alt": executed(new_markdown_cell("![](digit.png)")),
    "markdown image from outside": executed(
        new_markdown_cell("![A digit](https://example.org/d.png)")
    ),
    "directive without alt": executed(new_markdown_cell("```{figure} a.png\nA caption\n```")),
    "notebook exception": new_notebook(metadata={"papermill": {"exception": True}}),
}


@pytest.mark.parametrize("notebook", GOOD)
def test_a_good_notebook_passes(notebook):
    assert gate.problems(notebook) == []


@pytest.mark.parametrize("notebook", BAD.values(), ids=BAD)
def test_a_bad_notebook_is_refused(notebook):
    assert gate.problems(notebook)


def test_a_problem_names_cell_and_reason():
    notebook = executed(
        new_markdown_cell("# T"),
        code("profile = 'smoke'", tags=["injected-parameters"]),
        code("1/0", new_output("error", ename="ValueError", evalue="alpha: expected > 0\nmore")),
    )
    notebook.cells[2]["id"] = "fit-model"
    (problem,) = gate.problems(notebook)
    assert str(problem) == "cell 2 (fit-model): ValueError: alpha: expected > 0"


def test_clean_hides_machinery_and_keeps_the_rest():
    source = new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    done = executed(
        code("profile = 'quick'", tags=["parameters"], papermill={"duration": 1.0}),
        code(
            "profile = 'smoke'",
            tags=["injected-parameters"],
            execution={"iopub.execute_input": "t"},
        ),
        code("1", display({"text/plain": "1"})),
    )
    done.metadata.update(kernelspec={"name": "mmlib-book"}, papermill={"start_time": "now"})
    cleaned = gate.clean(done, source)
    assert cleaned.metadata.kernelspec.name == "python3" and "papermill" not in cleaned.metadata
    assert cleaned.cells[0].metadata.tags == ["hide-input", "parameters"]
    assert "remove-cell" in cleaned.cells[1].metadata.tags
    assert not any({"papermill", "execution"} & set(cell.metadata) for cell in cleaned.cells)
    assert cleaned.cells[2] == done.cells[2]


def test_a_stand_in_for_data_is_a_note_and_nothing_else_passes_with_it():
    place, source = "/somewhere/123.py:1:", "  ds = load('mnist')"
    warning = f"{place} StandInWarning: using digits in place of MNIST\n{source}\n"
    done = executed(code("load()", new_output("stream", name="stderr", text=warning)))
    assert gate.problems(done) == []
    (output,) = gate.clean(done, new_notebook()).cells[0].outputs
    assert (output.name, output.text) == ("stdout", "Note: using digits in place of MNIST\n")
    done.cells[0].outputs[0].text += "x.py:1: UserWarning: something else\n"
    assert "UserWarning" in str(gate.problems(done)[0])


def test_the_first_card_of_a_claim_becomes_the_target_of_its_ledger_row():
    card = (
        '<div class="mm-card mm-supported" style="x"><p class="mm-facts">5 &lt; 6</p>'
        '<p class="mm-meta">Manifold Mixup v1, Figure 1 · MM1-F1-hidden · 5 seeds · x-y</p></div>'
    )
    done = executed(
        code("judge()", display({"text/html": card})), code("b", display({"text/html": card}))
    )
    first, second = (
        cell.outputs[0].data["text/html"] for cell in gate.clean(done, new_notebook()).cells
    )
    assert '<div id="MM1-F1-hidden" class="mm-card' in first and 'id="' not in second
    assert 'href="../book/ledger.html#MM1-F1-hidden">MM1-F1-hidden</a> · 5 seeds' in first
