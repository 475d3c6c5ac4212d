"""One command writes the repository's address; the built pages then have their buttons."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import address
import nbformat
import pytest
import yaml
from builder import site
from builder.layout import Layout

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "https://github.com/someone/mixing"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture
def checkout(tmp_path):
    for name in ("_config.yml", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "notebooks").mkdir()
    for path in NOTEBOOKS[:2]:
        shutil.copy(path, tmp_path / "notebooks" / path.name)
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_every_notebook_has_the_install_cell_first():
    current = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    assert len(NOTEBOOKS) == 15
    for path in NOTEBOOKS:
        codes = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
        assert codes[0].source == "".join(address.install_cell(current)["source"]), path.name
        assert "remove-cell" in codes[0].metadata.tags
        assert "parameters" in codes[1].metadata.tags, path.name


def test_it_is_written_once_and_taken_away_again(checkout):
    address.write(checkout, "")
    empty = contents(checkout)
    assert len(address.write(checkout, ADDRESS + ".git/")) == 4
    full = contents(checkout)
    assert all(text.count(ADDRESS) for text in full.values())
    assert yaml.safe_load(full["_config.yml"])["repository"] == {"url": ADDRESS, "branch": "main"}
    assert yaml.safe_load(full["CITATION.cff"])["repository-code"] == ADDRESS
    assert address.write(checkout) == [] == address.write(checkout, ADDRESS)
    address.write(checkout, "")
    assert contents(checkout) == empty


@pytest.mark.parametrize(
    "wrong",
    ["github.com/a/b", "https://github.com/a", "http://github.com/a/b", 'https://github.com/a/b"x',
     "https://github.com/a/b/tree/main"],
)  # fmt: skip
def test_a_malformed_address_changes_nothing(checkout, wrong, capsys):
    before = contents(checkout)
    assert address.main([wrong, "--root", str(checkout)]) == 2
    assert "expected https://github.com/OWNER/NAME, but got" in capsys.readouterr().err
    assert contents(checkout) == before


def run_cell(where: str, calls: list, *, missing: bool, monkeypatch) -> dict:
    """Run the install cell with the commands caught; return what it leaves behind."""
    monkeypatch.setattr("subprocess.run", lambda words, check: calls.append(words))
    monkeypatch.setattr("sys.path", list(sys.path))
    if missing:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    namespace: dict = {}
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec("".join(address.install_cell(where)["source"]), namespace)
    assert not said.getvalue()
    return namespace


@pytest.mark.parametrize(("where", "missing"), [("", True), (ADDRESS, False), ("", False)])
def test_the_cell_does_nothing_here(where, missing, monkeypatch):
    calls: list = []
    path = list(sys.path)
    run_cell(where, calls, missing=missing, monkeypatch=monkeypatch)
    assert calls == [] and sys.path == path


def test_where_mmlib_is_missing_the_cell_fetches_it(monkeypatch):
    calls: list = []
    left = run_cell(ADDRESS, calls, missing=True, monkeypatch=monkeypatch)
    (git, pip), modules = calls, {"importlib", "os", "subprocess", "sys", "__builtins__"}
    assert git[:2] == ["git", "clone"] and ADDRESS in git and git[-1] in pip
    assert sys.path[0] == os.path.abspath(git[-1])
    assert set(left) == modules  # a plain value would be taken for a parameter


def sphinx(root: Path) -> str:
    """Build one page with the staged configuration and return its HTML."""
    layout = Layout(root)
    config = site.staged_config(layout)
    source = root / "stage"
    (source / "notebooks").mkdir(parents=True)
    shutil.copytree(ROOT / "book" / "_static", source / "book" / "_static")
    shutil.copy(ROOT / "book" / "references.bib", source / "book" / "references.bib")
    (source / "_config.yml").write_text(yaml.safe_dump(config))
    (source / "_toc.yml").write_text("format: jb-book\nroot: notebooks/01_method\n")
    page = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        cells=[nbformat.v4.new_markdown_cell("# Method")],
    )
    nbformat.write(page, source / "notebooks" / "01_method.ipynb")
    entry = "from jupyter_book.cli.main import main; main()"
    subprocess.run(
        [sys.executable, "-c", entry, "build", str(source), "--path-output", str(root / "out")],
        check=True, capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return (root / "out/_build/html/notebooks/01_method.html").read_text()


@pytest.mark.slow
def test_the_built_page_has_its_buttons_only_with_an_address(checkout, tmp_path_factory):
    other = tmp_path_factory.mktemp("without")
    shutil.copy(checkout / "_config.yml", other / "_config.yml")
    address.write(checkout, ADDRESS)
    page, owner = sphinx(checkout), "someone/mixing"
    place = "notebooks/01_method.ipynb"
    assert f"https://colab.research.google.com/github/{owner}/blob/main/{place}" in page
    assert f"https://mybinder.org/v2/gh/{owner}/main?urlpath=lab/tree/{place}" in page
    assert f"{ADDRESS}/issues/new" in page
    address.write(other, "")
    bare = sphinx(other)
    assert not any(word in bare for word in ("colab.research", "mybinder.org", "github.com"))
