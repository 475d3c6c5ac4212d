"""``python -m mmlib`` and the ledger's commands help where something is broken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmlib import __main__ as status
from mmlib.evidence import __main__ as command
from mmlib.evidence import records

ROOT = Path(__file__).resolve().parents[2]
TITLES = ("Versions", "Device", "Data (searched", "Chapters, with", "Recorded runs in")
WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1:]:
            raise ImportError(f"No module named {name!r}")

sys.meta_path.insert(0, Absent())
from mmlib.__main__ import report
print(report())
"""


def parts_of(report: str) -> dict[str, str]:
    parts = dict(part.split("\n", 1) for part in report.split("\n\n"))
    assert all(any(title.startswith(start) for title in parts) for start in TITLES)
    return parts


@pytest.mark.parametrize("absent", ["torch", "numpy", "pandas"])
def test_status_without_a_package(absent, tmp_path):
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, absent],
        env=env, cwd=tmp_path, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    parts = parts_of(done.stdout)
    assert f"No module named '{absent}'" in done.stdout and "mmlib" in parts["Versions"]


def test_status_with_a_wrong_data_folder_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("MMLIB_DATA", str(tmp_path / "typo"))
    assert "MMLIB_DATA is set to" in status.report() and "correct it" in status.report()


@pytest.mark.parametrize("home", ["/dev/null", None])
def test_status_without_a_home(monkeypatch, home):
    monkeypatch.setenv("HOME", home) if home else monkeypatch.delenv("HOME")
    parts_of(status.report())


def test_status_with_results_that_cannot_be_read(monkeypatch, results):
    results.write_text("", encoding="utf-8")
    assert "this is a file; set MMLIB_RESULTS to a folder" in status.report()
    results.unlink()
    (results / "quick" / "odd.jsonl").mkdir(parents=True)
    (results / "quick" / "toy.jsonl").write_bytes(b"\xff\n\n{}")
    said = status.report()
    assert "quick/odd" in said and "cannot be read (Is a directory)" in said
    assert "quick/toy" in said and "2 runs" in said


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"notebooks": 3}',
        b'{"notebooks": {"quick": {"01": {}}}}',
        b"[" * 10**5,
    ],
    ids=range(6),
)
def test_status_with_a_damaged_state(tmp_path, content):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_x.ipynb").write_text("{}", encoding="utf-8")
    (tmp_path / "_build").mkdir()
    (tmp_path / "_build" / "state.json").write_bytes(content)
    assert status._chapters(tmp_path) == [f"{'01_x':<28} not built here yet"]


@pytest.mark.parametrize("arguments", [[], ["--runs"], ["--record", "toy"]])
def test_commands_of_the_ledger_name_results_that_cannot_be_read(
    results, monkeypatch, capsys, arguments
):
    results.write_text("", encoding="utf-8")
    study = command.Study("toy", records.now, {"quick": [{}]}, {"quick": 1})
    monkeypatch.setattr(command, "studies", lambda: {"toy": study})
    monkeypatch.setattr(command, "ledger", lambda known: known["toy"].load("quick"))
    assert command.main(arguments) == 1
    said = capsys.readouterr().err
    assert "MMLIB_RESULTS" in said and str(results) in said and "Traceback" not in said
