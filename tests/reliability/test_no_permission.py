"""Places that cannot be written or read: the message names them, and what to set."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
import torch
from builder import execute
from builder.layout import Layout, exclusive
from nbformat.v4 import new_code_cell, new_notebook

from mmlib import data
from mmlib.data import store
from mmlib.evidence import Study, records
from mmlib.training.checkpoint import Checkpoint
from mmlib.training.history import History

NOBODY = 65534


@pytest.fixture
def locked():
    """A folder that may be read and not written; the superuser's tests act as another user."""
    folder = Path(tempfile.mkdtemp(prefix="mmlib locked "))
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture
def as_user(fork, locked):
    """A function that lets a process without privileges act; returns what it said or raised."""

    def act(action) -> list:
        locked.chmod(0o555)

        def work(say):
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            try:
                say(action())
            except Exception as error:
                say(f"{type(error).__name__}: {error}")

        return fork(work).finish()

    return act


RUN = """
def run(settings, seed):
    return {"x": seed / 3}
"""


@pytest.fixture
def study(locked, monkeypatch) -> Study:
    monkeypatch.setenv("MMLIB_RESULTS", str(locked / "results"))
    (locked / "readable_run.py").write_text(RUN, encoding="utf-8")  # tmp_path is its owner's alone
    monkeypatch.syspath_prepend(str(locked))
    monkeypatch.delitem(sys.modules, "readable_run", raising=False)
    run = importlib.import_module("readable_run").run
    return Study("toy", run, {"quick": [{"a": 1}]}, {"quick": 3}, n_jobs=1)


def test_read_only_results_load_and_what_is_missing_is_refused_before_it_is_computed(
    study, as_user, locked
):
    study.collect("quick", n_seeds=2)
    for folder in (locked / "results", study.path("quick").parent):
        folder.chmod(0o555)
    study.path("quick").chmod(0o444)
    assert as_user(lambda: study.collect("quick", n_seeds=2).loaded) == [2]
    (said,) = as_user(lambda: study.collect("quick", n_seeds=3).loaded)
    assert said.startswith("OSError: ") and str(study.path("quick")) in said
    assert "read-only" in said and "set MMLIB_RESULTS" in said
    (said,) = as_user(lambda: records.append(study.path("quick"), {}))
    assert str(study.path("quick")) in said and "Permission denied" in said


def test_results_that_may_not_be_read_are_named(study, as_user):
    study.collect("quick")
    study.path("quick").chmod(0o000)
    (said,) = as_user(lambda: study.load("quick").loaded)
    assert f"{study.path('quick')}: recorded runs cannot be read here (Permission denied)" in said
    study.path("quick").chmod(0o644)
    study.path("quick").parent.chmod(0o000)
    (said,) = as_user(lambda: records.check_writable(study.path("quick")))
    assert "cannot be written here" in said and "MMLIB_RESULTS" in said
    study.path("quick").parent.chmod(0o755)


@pytest.mark.parametrize("place", ["file", "/dev/null"])
def test_a_results_folder_that_is_none_is_one_error(module, tmp_path, monkeypatch, place):
    if place == "file":
        place = str(tmp_path / "file")
        Path(place).write_text("", encoding="utf-8")
    monkeypatch.setenv("MMLIB_RESULTS", place)
    study = Study("toy", module(RUN).run, {"quick": [{"a": 1}]}, {"quick": 3}, n_jobs=1)
    with pytest.raises(OSError, match="MMLIB_RESULTS") as caught:
        study.collect("quick")
    assert place in str(caught.value)


def test_a_read_only_checkout_is_one_message(as_user, locked):
    layout = Layout(locked)

    def build():
        with exclusive(layout):
            return "built"

    (said,) = as_user(build)
    assert said.startswith(f"BuildError: {layout.build / 'lock'}: cannot be written (Permission")
    assert "copy of the checkout" in said


def test_a_checkpoint_in_a_read_only_folder_names_it(as_user, locked):
    model = torch.nn.Linear(2, 2)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    path = locked / "run.pt"
    (said,) = as_user(lambda: Checkpoint(path, {}, []).save(model, optimiser, History()))
    assert said.startswith("PermissionError") and str(path) in said


def test_a_home_that_cannot_be_written_costs_only_downloads(tmp_path, monkeypatch):
    monkeypatch.delenv("MMLIB_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("MMLIB_OFFLINE", raising=False)
    monkeypatch.setattr(store, "_refused", {})
    monkeypatch.setattr(store, "_probe", lambda url: "")
    monkeypatch.setenv("HOME", "/dev/null")
    with pytest.warns(data.StandInWarning, match="could not be downloaded.*/dev/null"):
        assert data.load("mnist").name == "digits"


def test_without_a_home_the_library_works(tmp_path):
    code = "import mmlib.evidence, mmlib.data as d; print(d.load('digits').name, d.cache_root())"
    env = {key: value for key, value in os.environ.items() if key not in ("HOME", "MMLIB_DATA")}
    env["PYTHONPATH"] = str(Path(records.PACKAGE).parent)
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, encoding="utf-8"
    )
    assert done.stdout.startswith("digits /"), done.stderr


@pytest.mark.slow
def test_a_chapter_runs_with_a_home_that_cannot_be_written(tmp_path, monkeypatch):
    """Fonts, kernels and their files are elsewhere, and nothing of it shows on the page."""
    monkeypatch.setenv("HOME", "/dev/null")
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    source, target = tmp_path / "ä b" / "figure.ipynb", tmp_path / "ä b" / "done.ipynb"
    source.parent.mkdir()
    cells = [
        new_code_cell("profile = 'quick'", metadata={"tags": ["parameters"]}),
        new_code_cell("import matplotlib.pyplot as plt\nplt.plot([1, 2]);"),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(metadata={"kernelspec": kernel}, cells=cells), source)
    execute.install_kernel(tmp_path / "jupyter")
    execute.list_fonts(tmp_path / "jupyter")
    done = execute.execute(source, target, jupyter_path=tmp_path / "jupyter", profile="smoke")
    assert done.message == ""
    (output,) = nbformat.read(target, as_version=4).cells[-1].outputs
    assert "image/png" in output.data, "a figure, and nothing on stderr"
