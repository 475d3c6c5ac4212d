"""Processes that can be killed, a results folder of its own, and a tiny checkout to build."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from builder import execute, run
from builder.layout import Layout, replace_folder
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from mmlib.evidence import records

ROOT = Path(__file__).resolve().parents[2]
COUNTER = itertools.count()


class Child:
    """A copy of this process that calls ``work(say)``; what it says comes back as JSON lines.

    A fork costs milliseconds where a new interpreter costs seconds, so a test can kill many.
    """

    def __init__(self, work: Callable[[Callable], None]) -> None:
        self.ear, mouth = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of torch are idle here
            self.pid = os.fork()
        self.code: int | None = None
        if self.pid == 0:
            code = 1
            try:
                work(lambda value: os.write(mouth, (json.dumps(value) + "\n").encode()))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(mouth)

    def finish(self) -> list:
        """Wait for the end and return what was said."""
        with open(self.ear, encoding="utf-8") as lines:
            said = [json.loads(line) for line in lines if line.endswith("\n")]
        self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return said

    def kill(self) -> list:
        """End it as the system would, without a chance to tidy up; return what was said."""
        os.kill(self.pid, signal.SIGKILL)
        return self.finish()


@pytest.fixture
def fork():
    """A function that starts a `Child`; those still running at the end are killed."""
    children = []

    def start(work: Callable[[Callable], None]) -> Child:
        children.append(Child(work))
        return children[-1]

    yield start
    for child in children:
        if child.code is None:
            child.kill()


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "results"
    monkeypatch.setenv("MMLIB_RESULTS", str(folder))
    return folder


@pytest.fixture
def record():
    """A function that makes a record as a study would."""

    def make(seed: int, **more) -> dict:
        return {
            "study": "toy",
            "profile": "quick",
            "key": f"k{seed}",
            "settings": {"method": "é"},
            "seed": seed,
            "metrics": {"x": seed / 7},
            "data": {"name": None, "asked": None, "fingerprint": None},
            "code": "c",
            "artifact": None,
            **more,
        }

    return make


@pytest.fixture
def seeds_of():
    """A function that returns the seeds in a results file and what was said of damaged lines."""

    def read(path: Path) -> tuple[list[int], list[str]]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = [row["seed"] for row in records.read(path)]
        return found, [str(one.message) for one in caught]

    return read


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A function that writes a module and imports it: run functions live at the top of a file."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []

    def make(source: str):
        name = f"faulty_{next(COUNTER)}"
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
        importlib.invalidate_caches()
        made.append(name)
        return importlib.import_module(name)

    yield make
    for name in made:
        sys.modules.pop(name, None)


NAMES = ("01_manifold_mixup", "02_synthetic_tasks")


class Checkout:
    """A checkout with two notebooks, whose build runs no kernel and no Sphinx.

    Attributes:
        layout: its folders.
        ran: names of the notebooks that were executed in this process.
    """

    def __init__(self, root: Path) -> None:
        self.layout, self.ran = Layout(root), []
        leave = shutil.ignore_patterns("results", "__pycache__")
        shutil.copytree(ROOT / "book", root / "book", ignore=leave)
        for name in ("_config.yml", "requirements.lock"):
            shutil.copy(ROOT / name, root / name)
        chapters = "".join(f"  - file: notebooks/{name}\n" for name in NAMES)
        toc = f"format: jb-book\nroot: book/status\nchapters:\n{chapters}"
        (root / "_toc.yml").write_text(toc, encoding="utf-8")
        for name in NAMES:
            self.edit(name, "print(0)")

    def edit(self, name: str, source: str) -> None:
        """Write a notebook that computes `source`."""
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        cells = [
            new_markdown_cell(f"# {name}", id="title"),
            new_code_cell("profile = 'quick'", metadata={"tags": ["parameters"]}, id="settings"),
            new_code_cell(source, id="result"),
        ]
        path = self.layout.root / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(new_notebook(metadata={"kernelspec": kernel}, cells=cells), path)

    def build(self) -> list[str]:
        return run.build(self.layout, profile="smoke")

    def execute(self, source: Path, target: Path, **options) -> execute.Outcome:
        """Stand in for papermill: every cell gets its number."""
        self.ran.append(source.stem)
        done = nbformat.read(source, as_version=4)
        for cell in done.cells:
            if cell.cell_type == "code":
                cell.execution_count = 1
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(done, target)
        return execute.Outcome(0.1)

    def publish(self, book) -> list[str]:
        """Stand in for Sphinx: one page for each notebook, with its source."""
        fresh = self.layout.build / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        for name in NAMES:
            done = self.layout.executed("smoke") / f"{name}.ipynb"
            text = nbformat.read(done, as_version=4).cells[2].source
            (fresh / f"{name}.html").write_text(text, encoding="utf-8")
        (fresh / "index.html").write_text("book", encoding="utf-8")
        replace_folder(fresh, self.layout.html)
        return []

    def pages(self) -> dict[str, str]:
        """The text of each page of the published book."""
        folder = self.layout.html
        return {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.html")}


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Checkout:
    found = Checkout(tmp_path / "checkout")
    monkeypatch.setattr(run.execute, "execute", lambda *args, **more: found.execute(*args, **more))
    monkeypatch.setattr(run.execute, "list_fonts", lambda folder: None)
    monkeypatch.setattr(run.site, "publish", lambda book: found.publish(book))
    return found
