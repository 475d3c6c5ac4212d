"""A results folder of its own for each test, and toy modules that studies can live in."""

from __future__ import annotations

import importlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mmlib

COUNTER = itertools.count()


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    folder = tmp_path / "results"
    monkeypatch.setenv("MMLIB_RESULTS", str(folder))
    return folder


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write and import modules: ``module(source)`` or ``module({"a/b.py": source}, "a.b")``."""
    monkeypatch.syspath_prepend(str(tmp_path))
    def make(files: str | dict[str, str], name: str | None = None):
        if isinstance(files, str):
            name = name or f"toy_{next(COUNTER)}"
            files = {f"{name}.py": files}
        for path, source in files.items():
            target = tmp_path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(source, encoding="utf-8")
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield make
    for name, found in list(sys.modules.items()):
        if str(getattr(found, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def python(tmp_path, results):
    """Start a script in a process of its own; ``python(source)`` returns the process."""

    def start(source: str, name: str = "script.py", **environment: str) -> subprocess.Popen:
        path = tmp_path / name
        path.write_text(source, encoding="utf-8")
        root = Path(mmlib.__file__).parents[1]
        env = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{tmp_path}", **environment}
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        options |= {"env": env, "cwd": tmp_path, "start_new_session": True}
        return subprocess.Popen([sys.executable, str(path)], **options)

    return start
