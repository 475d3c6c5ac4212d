"""The build as a whole, on a tiny checkout: what runs again, what is kept, what is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from builder import execute, run, site, state
from builder.excerpts import RECORD
from builder.layout import BuildError, Layout, exclusive
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parents[2]


def notebook(title: str, source: str) -> nbformat.NotebookNode:
    return new_notebook(
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        },
        cells=[
            new_markdown_cell(f"# {title}"),
            new_code_cell("profile = 'quick'", metadata={"tags": ["parameters"]}),
            new_markdown_cell("Now compute."),
            new_code_cell(source),
        ],
    )


@pytest.fixture
def checkout(tmp_path):
    for name in ("book", *(path.name for path in state.sources(ROOT) if path.parent == ROOT)):
        source = ROOT / name
        if source.is_dir():  # without the recorded runs: those of this checkout are read
            leave = shutil.ignore_patterns("results", "__pycache__")
            shutil.copytree(source, tmp_path / name, ignore=leave)
        else:
            shutil.copy(source, tmp_path / name)
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: book/status\nchapters:\n"
        "  - file: notebooks/01_manifold_mixup\n  - file: notebooks/02_synthetic_tasks\n"
    )
    (tmp_path / "notebooks").mkdir()
    for name in ("01_manifold_mixup", "02_synthetic_tasks"):
        nbformat.write(notebook(name, "print(1 + 1)"), tmp_path / "notebooks" / f"{name}.ipynb")
    return Layout(tmp_path)


@pytest.fixture
def executions(monkeypatch):
    """Replace papermill and Sphinx by stand-ins; return the list of executed notebooks."""
    ran = []

    def fake(source, target, *, jupyter_path, profile, recompute=False):
        ran.append(source.stem)
        done = nbformat.read(source, as_version=4)
        failing = "1/0" in done.cells[3].source
        for cell in done.cells:
            if cell.cell_type == "code":
                cell.execution_count = 1
        if failing:
            error = nbformat.v4.new_output("error", ename="ZeroDivisionError", evalue="by zero")
            done.cells[3].outputs = [error]
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(done, target)
        return execute.Outcome(1.0, "failed" if failing else "")

    def publish(book):
        site.stage(book)
        book.layout.html.mkdir(parents=True, exist_ok=True)
        (book.layout.html / "index.html").write_text("book")
        return []

    monkeypatch.setattr(run.execute, "execute", fake)
    monkeypatch.setattr(run.execute, "list_fonts", lambda folder: None)
    monkeypatch.setattr(run.site, "publish", publish)
    return ran


def change(layout, name, source):
    nbformat.write(notebook(name, source), layout.root / "notebooks" / f"{name}.ipynb")


def test_only_what_changed_runs_again(checkout, executions, capsys):
    assert run.build(checkout, profile="smoke") == []
    assert sorted(executions) == ["01_manifold_mixup", "02_synthetic_tasks"]
    executions.clear()
    assert run.build(checkout, profile="smoke") == [] and executions == []
    assert "nothing changed" in capsys.readouterr().out
    change(checkout, "02_synthetic_tasks", "print(2)")
    assert run.build(checkout, profile="smoke") == [] and executions == ["02_synthetic_tasks"]
    executions.clear()
    assert run.build(checkout, profile="smoke", recompute=True) == [] and len(executions) == 2
    executions.clear()
    run.build(checkout, profile="quick")
    run.build(checkout, profile="smoke")
    assert len(executions) == 2, "going back to a profile that is built executes nothing"


def test_a_failure_names_the_cell_and_keeps_finished_pages(checkout, executions):
    run.build(checkout, profile="smoke")
    change(checkout, "01_manifold_mixup", "1/0")
    executions.clear()
    (message,) = run.build(checkout, profile="smoke")
    assert "01_manifold_mixup" in message and "cell 4" in message and "ZeroDivisionError" in message
    assert executions == ["01_manifold_mixup"]
    staged = nbformat.read(checkout.stage / "notebooks" / "01_manifold_mixup.ipynb", as_version=4)
    assert "last execution of this chapter failed" in staged.cells[1].source
    assert "1/0" not in staged.cells[-1].source, "the page is the one of the earlier build"
    executions.clear()
    assert run.build(checkout, profile="smoke"), "it fails again until it is mended"
    change(checkout, "01_manifold_mixup", "print(3)")
    assert run.build(checkout, profile="smoke") == []


def test_a_chapter_that_never_ran_gets_a_page_that_says_so(checkout, executions):
    change(checkout, "02_synthetic_tasks", "1/0")
    assert len(run.build(checkout, profile="smoke")) == 1
    text = (checkout.stage / "notebooks" / "02_synthetic_tasks.md").read_text()
    assert text.startswith("# 02_synthetic_tasks") and "failed" in text
    assert (checkout.stage / "notebooks" / "01_manifold_mixup.ipynb").is_file()


def test_wrong_profile_and_missing_notebook_are_one_message(checkout, executions):
    with pytest.raises(BuildError, match="profile: expected one of smoke, quick, paper.*'banana'"):
        run.build(checkout, profile="banana")
    (checkout.root / "notebooks" / "02_synthetic_tasks.ipynb").unlink()
    with pytest.raises(BuildError, match="02_synthetic_tasks.ipynb does not exist"):
        run.build(checkout, profile="smoke")


def test_a_missing_data_folder_stops_the_build_before_it_runs_anything(
    checkout, executions, monkeypatch, tmp_path
):
    monkeypatch.setenv("MMLIB_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(BuildError, match="MMLIB_DATA.*nowhere"):
        run.build(checkout, profile="smoke")
    assert executions == []


def test_two_builds_at_once(checkout):
    with exclusive(checkout), pytest.raises(BuildError, match="another build .* is running"):
        with exclusive(checkout):
            pass
    with exclusive(checkout):
        pass


def test_buttons_that_need_an_address_are_hidden_without_one(checkout):
    assert "launch_buttons" not in site.staged_config(checkout)
    config = checkout.root / "_config.yml"
    config.write_text(config.read_text().replace('  url: ""', '  url: "https://example.org/r"', 1))
    staged = site.staged_config(checkout)
    assert staged["launch_buttons"]["colab_url"] and staged["html"]["use_repository_button"]


def test_finished_pages_are_checked_for_outside_addresses_and_dead_links(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there">x</a><a href="b.html#gone">y</a><a href="c.html">z</a>'
        '<script src="https://cdn.example.org/x.js"></script><a href="https://example.org">ok</a>'
    )
    (tmp_path / "b.html").write_text('<p id="there">t</p>')
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "x.css").write_text("@import url('https://fonts.example.org/f.css');")
    found = " ".join(site.check(tmp_path))
    assert found.count("a.html:") == 3 and "b.html#gone" in found and "c.html" in found
    assert "x.css" in found and "there," not in found


@pytest.mark.slow
def test_papermill_runs_in_this_interpreter_and_reports_a_failure(tmp_path):
    good, bad = tmp_path / "good.ipynb", tmp_path / "bad.ipynb"
    nbformat.write(notebook("good", "import sys; print(sys.executable, profile)"), good)
    nbformat.write(notebook("bad", "raise ValueError('alpha: expected > 0')"), bad)
    execute.install_kernel(tmp_path / "jupyter")
    out = tmp_path / "out.ipynb"
    done = execute.execute(good, out, jupyter_path=tmp_path / "jupyter", profile="smoke")
    cells = nbformat.read(out, as_version=4).cells
    assert done.message == "" and cells[-1].outputs[0].text.split() == [sys.executable, "smoke"]
    done = execute.execute(bad, out, jupyter_path=tmp_path / "jupyter", profile="smoke")
    assert "alpha: expected > 0" in done.message


def test_command_line_refuses_an_unknown_profile():
    done = subprocess.run(
        [sys.executable, "book/build.py", "--profile", "banana"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "banana" in done.stderr and "Traceback" not in done.stderr


def test_a_number_typed_by_hand_is_refused_beside_recorded_runs_only(
    checkout, executions, monkeypatch
):
    monkeypatch.setattr(run.site, "publish", lambda book: [])
    typed = notebook("01", "share()")
    typed.cells[2].source = "The share is 1.45 %."
    shown = {RECORD: "0.014512"}
    typed.cells[3].outputs = [
        new_output("display_data", data=shown, metadata={"scrapbook": {"name": "c01-share"}})
    ]
    nbformat.write(typed, checkout.root / "notebooks" / "01_manifold_mixup.ipynb")
    (message,) = run.build(checkout, profile="quick")
    assert "01_manifold_mixup" in message and "1.45 % by hand, which is c01-share" in message
    assert run.build(checkout, profile="quick", recompute=True) == []
    assert run.build(checkout, profile="smoke") == []
