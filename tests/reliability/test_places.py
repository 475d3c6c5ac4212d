"""Spaces, other alphabets and a terminal that knows only ASCII."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from mmlib.evidence import Study, records
from mmlib.training.checkpoint import Checkpoint
from mmlib.training.history import History

ROOT = Path(__file__).resolve().parents[2]
ODD = "a ü b 'q' № {x} %s"
# Text of these sets is ASCII, and recorded runs depend on the code of their readers.
ASCII_READERS = {"mmlib/data/readers.py"}


def test_text_files_are_read_and_written_as_utf_8():
    """What is left to the locale fails on another machine."""
    found = []
    for path in sorted([*(ROOT / "mmlib").rglob("*.py"), *(ROOT / "book").rglob("*.py")]):
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or name in ASCII_READERS:
                continue
            called = ast.unparse(node.func).rpartition(".")[2]
            words = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            plain = [ast.unparse(argument) for argument in node.args]
            named = "encoding" in words or "'utf-8'" in plain
            binary = any("b'" in f"{word}" or word in ("'rb'", "'wb'", "'ab'") for word in plain)
            if called in ("read_text", "write_text") and not named:
                found.append(f"{name}:{node.lineno} {called}")
            if called == "open" and ast.unparse(node.func) in ("open", "io.open"):
                if not named and not binary:
                    found.append(f"{name}:{node.lineno} open")
            if words.get("text") == "True" or words.get("universal_newlines") == "True":
                found.append(f"{name}:{node.lineno} text=True without an encoding")
    assert found == []


RUN = """
def run(settings, seed):
    return {"x": seed / 3}, {"kurve ä": [seed] * 3}
"""


def test_records_arrays_and_checkpoints_in_an_odd_folder(module, tmp_path, monkeypatch):
    folder = tmp_path / ODD
    monkeypatch.setenv("MMLIB_RESULTS", str(folder))
    grid = {"quick": [{"method": "gemischt für alle", "text": "λ ≥ 1"}]}
    study = Study("odd", module(RUN).run, grid, {"quick": 2}, n_jobs=1)
    study.collect("quick")
    runs = study.collect("quick")
    assert runs.loaded == 2 and runs.table["text"][0] == "λ ≥ 1"
    assert runs.arrays(1)["kurve ä"].tolist() == [1, 1, 1]
    model = torch.nn.Linear(2, 2)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    checkpoint = Checkpoint(folder / "lauf ä.pt", {}, [])
    checkpoint.save(model, optimiser, History([{"epoch": 1}], 5))
    assert checkpoint.resume(model, optimiser).steps == 5


@pytest.mark.parametrize("name", [ODD, "日本 語"])
def test_a_checkout_in_an_odd_folder_is_built(checkout, tmp_path, name):
    checkout.build()
    pages = checkout.pages()
    moved = tmp_path / name
    checkout.layout.root.rename(moved)
    object.__setattr__(checkout.layout, "root", moved)
    checkout.ran.clear()
    assert checkout.build() == [] and checkout.ran == [], "hashes do not hold the place"
    checkout.edit("01_manifold_mixup", "print('größer')")
    assert checkout.build() == [] and checkout.ran == ["01_manifold_mixup"]
    assert checkout.pages()["01_manifold_mixup"] == "print('größer')" and set(pages) == set(
        checkout.pages()
    )


SCRIPT = """
    import locale, sys
    from pathlib import Path
    from builder.layout import Layout, read_json, write_if_changed, write_json
    from mmlib.evidence import claims, records, rules
    import mmlib.__main__ as status

    assert locale.getpreferredencoding(False).lower().startswith(("ansi", "ascii", "iso", "us-")), 1
    folder = Path(sys.argv[1])
    write_json(folder / "a.json", {"é": "№"})
    assert read_json(folder / "a.json", {}) == {"é": "№"}
    assert write_if_changed(folder / "b.md", "λ") and not write_if_changed(folder / "b.md", "λ")
    record = {"study": "é", "profile": "quick", "key": "k", "settings": {"a": "λ"}, "seed": 0,
              "metrics": {}, "data": {"name": None, "fingerprint": None}, "code": "c",
              "artifact": None}
    records.append(folder / "a.jsonl", record)
    assert records.read(folder / "a.jsonl")[0]["settings"] == {"a": "λ"}
    assert len(claims()) > 200 and rules() and Layout(Path(sys.argv[2])).notebooks()
    print(status.report())
    print("done")
"""


def test_everything_is_utf_8_where_the_locale_is_not(tmp_path):
    folder, script = tmp_path / "a ü b", tmp_path / "script.py"
    folder.mkdir()
    script.write_text(textwrap.dedent(SCRIPT), encoding="utf-8")
    env = os.environ | {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    env |= {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "book")))}
    env |= {"MMLIB_RESULTS": str(folder / "ergebnisse")}
    done = subprocess.run([sys.executable, script, folder, ROOT], env=env, capture_output=True)
    assert done.stdout.decode().endswith("done\n"), done.stderr.decode()
    assert records.read(folder / "a.jsonl")[0]["study"] == "é"
