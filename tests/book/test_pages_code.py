"""Code on pages runs, block by block in one name space, and prints what the page says it prints."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import torch
from builder import gate

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:\n*^```text\n(?P<said>.*?)^```\n)?", re.M | re.S
)
# A block that is the content of a file, with what is to be done with it.
FILE = re.compile(
    r"^(?P<what>Write|Append to|After the last chapter in) `(?P<name>[^`]+)`[^\n]*:\n\n"
    r"```\w+\n(?P<content>.*?)^```\n",
    re.M | re.S,
)


class Page:
    """The Python of one page; `text` is what stands there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.files = list(FILE.finditer(self.text))
        inside = [range(*m.span()) for m in self.files]
        self.blocks = [
            (m["code"], m["said"], m.start())
            for m in BLOCK.finditer(self.text)
            if not any(m.start() in span for span in inside)
        ]

    def run(self, **names: object) -> list[str]:
        """Execute all blocks; return what differs from the printed lines.

        A block that begins with "# needs <package>" is left out where that is not installed.
        """
        space: dict = {"__name__": "page", **names}
        wrong = []
        for code, said, start in self.blocks:
            needed = re.match(r"# needs (\w+)", code)
            if needed and importlib.util.find_spec(needed[1]) is None:
                continue
            line = self.text.count("\n", 0, start) + 1
            printed = io.StringIO()
            padded = "\n" * line + code  # so that a traceback names the line of the page
            with contextlib.redirect_stdout(printed):
                exec(compile(padded, str(self.path), "exec"), space)
            if printed.getvalue().split() != (said or "").split():
                wrong.append(f"{self.path.name}, line {line}: prints\n{printed.getvalue()}")
        return wrong


@pytest.fixture(autouse=True)
def as_it_was():
    """Pages change what all tests share."""
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_use_it():
    page = Page(ROOT / "book" / "use_it.md")
    assert len(page.blocks) > 20
    assert page.run() == []


def test_scale(tmp_path, monkeypatch):
    """Code of the page itself; files of its worked example are written into a copy below."""
    monkeypatch.setenv("MMLIB_RESULTS", str(tmp_path))
    page = Page(ROOT / "book" / "scale.md")
    assert page.blocks and page.run() == []


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the repository without its records, in which the worked example is carried out."""
    root = tmp_path_factory.mktemp("copy")
    for name in ("mmlib", "notebooks", "book", "tests", "_toc.yml", "pyproject.toml"):
        source = ROOT / name
        if source.is_dir():
            unwanted = shutil.ignore_patterns("results", "__pycache__", "_static")
            shutil.copytree(source, root / name, ignore=unwanted)
        else:
            shutil.copy(source, root / name)
    page = Page(ROOT / "book" / "scale.md")
    for step in page.files:
        path = root / step["name"]
        if step["what"] == "Write":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(step["content"], encoding="utf-8")
            continue
        text = path.read_text(encoding="utf-8")
        last = "".join(re.findall(r"^ +- file: notebooks/.*\n", text, re.M)[-1:])
        at = text.index(last) + len(last) if step["what"].startswith("After") else len(text)
        path.write_text(text[:at] + step["content"] + text[at:], encoding="utf-8")
    return root


def in_copy(root: Path, *command: str) -> str:
    """Run Python in the copy and return what it prints."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join((str(root), str(root / "book")))}
    env.pop("MMLIB_RESULTS", None)
    done = subprocess.run(
        [sys.executable, *command], cwd=root, env=env, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_worked_example_is_judged_and_becomes_a_chapter(copied):
    page = Page(ROOT / "book" / "scale.md").text
    for line in re.findall(r"^python (-m mmlib.evidence --record ch16.*)$", page, re.M):
        in_copy(copied, *line.split())
    rows = json.loads(in_copy(copied, "-m", "mmlib.evidence", "--json"))
    (row,) = [row for row in rows if row["id"] == "OWN-less"]
    assert row["verdict"] in ("supported", "contradicted", "inconclusive")
    assert row["n_seeds"] == 10 and row["record"].startswith("quick/ch16-own-class.jsonl@")

    in_copy(copied, "notebooks/make_16.py")
    (copied / "notebooks" / "make_16.py").unlink()
    run = (
        "import pathlib, tempfile; from builder import execute\n"
        "folder = pathlib.Path(tempfile.mkdtemp()); execute.install_kernel(folder)\n"
        "paths = [pathlib.Path(name).resolve() for name in {names}]\n"
        "done = execute.execute(*paths, jupyter_path=folder, profile='quick')\n"
        "assert not done.message, done.message"
    )
    in_copy(copied, "-c", run.format(names=["notebooks/16_own_class.ipynb", "out.ipynb"]))
    executed = nbformat.read(copied / "out.ipynb", as_version=4)
    assert gate.problems(executed) == []
    shown = "".join(str(cell.get("outputs", "")) for cell in executed.cells)
    assert row["reason"] in shown.replace("&lt;", "<") and row["verdict"] in shown
    tested = ["tests/notebooks/test_sources.py", "mmlib/studies/ch16/__init__.py"]
    options = ["-q", "-p", "no:cacheprovider", "-k", "16_own_class or contents or ch16"]
    assert "3 passed" in in_copy(copied, "-m", "pytest", *options, *tested)


def test_readme():
    from torchvision.models import resnet18

    page = Page(ROOT / "README.md")
    x, y = torch.randn(4, 3, 32, 32), torch.randint(10, (4,))
    assert page.blocks
    assert page.run(model=resnet18(weights=None, num_classes=10), x=x, y=y) == []


def test_pages_without_python_are_not_forgotten():
    """Another page that shows Python needs a test here."""
    tested = {"use_it.md", "scale.md"}
    found = {path.name for path in (ROOT / "book").glob("*.md") if Page(path).blocks}
    assert found <= tested


def test_a_wrong_output_and_a_failing_block_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1)\n```\n\n```text\n2\n```\n", encoding="utf-8")
    assert "line 1: prints\n1" in Page(page).run()[0]
    page.write_text(
        "a\n\n```python\nprint(1)\n```\n\nWords.\n\n```text\n1\n```\n", encoding="utf-8"
    )
    assert len(Page(page).run()) == 1  # printed, but the page does not say so
    page.write_text("```python\n# needs nothing_of_this_name\n1 / 0\n```\n", encoding="utf-8")
    assert Page(page).run() == []
    page.write_text("```python\n1 / 0\n```\n", encoding="utf-8")
    with pytest.raises(ZeroDivisionError):
        Page(page).run()
