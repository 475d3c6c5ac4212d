"""What changes the fingerprint of a run function, and what must not."""

from __future__ import annotations

import ast
import json
import os
import time

import pytest

from mmlib.evidence.fingerprint import code_closure, code_fingerprint, module_files
from mmlib.evidence.source import text

FILES = {
    "lab/__init__.py": "from lab.api import build\nfrom .consts import RATE as SPEED\n",
    "lab/consts.py": "import math\nRATE = 0.1\nDEPTH: int = 3\nUNUSED = 9\n",
    "lab/api.py": '''"""Module text."""
from __future__ import annotations
import functools
import lab.consts as c
from lab import consts
from lab.shapes import Base, tagged

def build(width: int = 4) -> "Net":
    """Make a net."""
    # a comment
    return Net(width)

class Net(Base):
    size = consts.DEPTH

    def area(self):
        """Say how large."""
        return self.size * c.RATE

def unrelated():
    return 1
''',
    "lab/shapes.py": '''REGISTRY = {}
SECOND = {}

def tagged(name):
    def keep(function):
        REGISTRY[name] = function
        return function
    return keep

class Base:
    def __init__(self, width):
        self.width = width
''',
    "lab/plugins.py": '''from lab.shapes import tagged

@tagged("one")
def one():
    return 1
''',
    "lab/dynamic.py": '''import lab.consts
import lab.plugins
from lab import shapes

def lookup(name):
    return shapes.REGISTRY[name]()

def by_attribute(name):
    return getattr(lab.consts, name)
''',
    "lab/main.py": '''import os
import lab
from lab.dynamic import by_attribute, lookup

GRID = [{"a": 1}]

def run(settings, seed):
    return {"x": lab.build().area()}

def run_registry(settings, seed):
    return {"x": lookup("one")}

def run_attribute(settings, seed):
    return {"x": by_attribute("RATE")}

def run_lazy(settings, seed):
    from lab.consts import DEPTH as deep
    for _ in range(deep):
        seed += 1
    return {"x": seed}

def _():
    return "not the loop variable"
''',
}


@pytest.fixture
def lab(module, tmp_path):
    """The package above, and a function that edits one of its files."""
    found = module(FILES, "lab.main")

    def edit(path: str, old: str, new: str) -> None:
        target = tmp_path / path
        source = target.read_text()
        assert source.count(old) >= 1, f"{old!r} is not in {path}"
        target.write_text(source.replace(old, new))
        os.utime(target, ns=(time.time_ns(), target.stat().st_mtime_ns + 10_000_000))

    return found, edit


KEEPS = [
    ("lab/api.py", '"""Make a net."""', '"""Make a net,\n    mended."""'),
    ("lab/api.py", "    # a comment\n", "\n\n    # another comment\n"),
    ("lab/api.py", '"""Module text."""', ""),
    ("lab/api.py", "width: int = 4", "width: float = 4"),
    ("lab/api.py", "self.size * c.RATE", "(self.size\n            * c.RATE)"),
    ("lab/api.py", "return 1", "return 2"),
    ("lab/api.py", "def unrelated", "def also_unrelated():\n    return 2\n\n\ndef unrelated"),
    ("lab/api.py", "import functools", "import functools, itertools"),
    ("lab/consts.py", "UNUSED = 9", "UNUSED = 10"),
    ("lab/consts.py", "DEPTH: int", "DEPTH: float"),
    ("lab/shapes.py", "REGISTRY = {}", "REGISTRY = {0: 0}"),
    ("lab/main.py", '[{"a": 1}]', '[{"a": 2}]'),
    ("lab/plugins.py", "return 1", "return 2"),
]
CHANGES = [
    ("lab/consts.py", "RATE = 0.1", "RATE = 0.2"),
    ("lab/consts.py", "= 3", "= 4"),
    ("lab/consts.py", "RATE = 0.1", "RATE = 0.1\nRATE *= 2"),
    ("lab/api.py", "width: int = 4", "width: int = 5"),
    ("lab/api.py", "def build", "@functools.cache\ndef build"),
    ("lab/api.py", "class Net(Base)", "class Net(object)"),
    ("lab/shapes.py", "self.width = width", "self.width = width + 1"),
    ("lab/api.py", "class Net(Base):", "class Net(Base):\n    extra = 1"),
    ("lab/__init__.py", "from lab.api import build", "from lab.api import unrelated as build"),
    ("lab/shapes.py", "SECOND = {}", "SECOND = {}\nimport lab.consts as c\nc.RATE = 5"),
    ("lab/shapes.py", "SECOND = {}", "SECOND = {}\nfrom lab import consts\nconsts.RATE = 5"),
    ("lab/shapes.py", "SECOND = {}", "SECOND = {}\nimport torch\ntorch.set_num_threads(2)"),
    ("lab/main.py", "GRID =", "setattr(lab.api.Net, 'size', 2)\nGRID ="),
    ("lab/main.py", "GRID =", "lab.api.Net.size = 2\nGRID ="),
]


@pytest.mark.parametrize("path, old, new", KEEPS)
def test_what_cannot_change_a_result_keeps_the_fingerprint(lab, path, old, new):
    found, edit = lab
    before = code_fingerprint(found.run)
    edit(path, old, new)
    assert code_fingerprint(found.run) == before


@pytest.mark.parametrize("path, old, new", CHANGES)
def test_what_can_change_a_result_changes_the_fingerprint(lab, path, old, new):
    found, edit = lab
    before = code_fingerprint(found.run)
    edit(path, old, new)
    assert code_fingerprint(found.run) != before


@pytest.mark.parametrize(
    "function, path, old, new",
    [
        ("run_registry", "lab/plugins.py", "return 1", "return 2"),
        ("run_registry", "lab/shapes.py", "REGISTRY = {}", "REGISTRY = {0: 0}"),
        ("run_registry", "lab/plugins.py", 'tagged("one")', 'tagged("two")'),
        ("run_attribute", "lab/consts.py", "UNUSED = 9", "UNUSED = 10"),
        ("run_lazy", "lab/consts.py", "= 3", "= 4"),
    ],
)
def test_what_the_source_does_not_name_counts_too(lab, function, path, old, new):
    found, edit = lab
    before = code_fingerprint(getattr(found, function))
    edit(path, old, new)
    assert code_fingerprint(getattr(found, function)) != before


def test_a_loop_variable_is_not_the_function_of_that_name(lab):
    found, edit = lab
    before = code_fingerprint(found.run_lazy)
    edit("lab/main.py", "not the loop variable", "still not")
    assert code_fingerprint(found.run_lazy) == before


STUDY = '''
from mmlib.evidence import Study, paired

LEVEL = {"x": 1}

def run(settings, seed):
    return dict(LEVEL)

def _study(name, function, size):
    return Study(name, function, {"quick": [{"a": size}]})

def _claim(study, claim):
    return study.evidence(claim)

STUDY = Study("lab", run, {"quick": [{"a": 1}]})
OTHER = _study("other", run, 3)

@STUDY.evidence("MM1-F1-hidden")
def _(runs):
    return paired(runs.table, "x", better=LEVEL, worse={}, lower_is_better=True)

@_claim(STUDY, "MM1-F1-visible")
def _(runs):
    return paired(runs.table, "x", better={}, worse=LEVEL, lower_is_better=False)
'''


def test_studies_and_evidence_functions_do_not_count(module, tmp_path):
    found = module({"studies.py": STUDY}, "studies")
    before = found.STUDY.code
    for old, new in [
        ("lower_is_better=True", "lower_is_better=False"),
        ("worse=LEVEL", "worse={}"),
        ('{"a": 1}', '{"a": 2}'),
        ("run, 3", "run, 4"),
    ]:
        source = (tmp_path / "studies.py").read_text()
        (tmp_path / "studies.py").write_text(source.replace(old, new))
        os.utime(tmp_path / "studies.py", ns=(1, 1 + len(new)))
        assert found.STUDY.code == before
    (tmp_path / "studies.py").write_text(STUDY.replace('{"x": 1}', '{"x": 20}'))
    assert found.STUDY.code != before


HARD = [
    "import importlib as i\ndef run(s, e):\n    return i.import_module('pieces.' + s['m']).f()\n",
    "import pieces\ndef run(s, e):\n    return getattr(pieces, s['m']).f()\n",
    "from pieces.one import *\ndef run(s, e):\n    return f()\n",
    "import sys, pieces.one\ndef run(s, e):\n    return sys.modules['pieces.one'].f()\n",
    "import pieces.one as m\ndef run(s, e):\n    return vars(m)['f']()\n",
    "def run(s, e):\n    import importlib\n    return importlib.import_module('pieces.one').f()\n",
    "from pieces import lazy\ndef run(s, e):\n    return lazy.f()\n",
    "from pieces import thing\ndef run(s, e):\n    return thing()\n",
    "try:\n    from pieces.one import f\nexcept ImportError:\n    f = None\ndef run(s, e):\n"
    "    return f()\n",
    "from pieces.one import f\ndef run(s, e):\n    return [x for y in [f] if (x := y())][0]\n",
    "from . import one\ndef run(s, e):\n    return [one.f() for one in [one]]\n",
]


@pytest.mark.parametrize("source", HARD)
def test_dynamic_code_is_taken_whole(module, tmp_path, source):
    files = {
        "pieces/__init__.py": "from pieces.lazy import f as thing\n",
        "pieces/one.py": "VALUE = 1\ndef f():\n    return {'x': VALUE}\n",
        "pieces/lazy.py": "def __getattr__(name):\n    from pieces import one\n"
        "    return getattr(one, name)\n",
        "pieces/main.py": source,
    }
    found = module(files, "pieces.main")
    before = code_fingerprint(found.run)
    (tmp_path / "pieces/one.py").write_text(files["pieces/one.py"].replace("= 1", "= 200"))
    assert code_fingerprint(found.run) != before


def test_a_data_file_that_the_code_names_counts_by_content(module, tmp_path):
    source = (
        "from pathlib import Path\ndef run(s, e):\n"
        "    return {'x': len(Path(__file__).with_name('table.csv').read_text())}\n"
    )
    found = module({"reader/main.py": source, "reader/table.csv": "1,2"}, "reader.main")
    before = code_fingerprint(found.run)
    (tmp_path / "reader/table.csv").write_text("1,2,3")
    assert code_fingerprint(found.run) != before


def test_serialisation_does_not_depend_on_empty_fields():
    dumped = text(ast.parse("def f(a, *, b=None, **c): return {**a, 'x': None}"))
    assert "type_params" not in dumped and "ctx" not in dumped and "annotation" not in dumped
    assert text(ast.parse("x: ClassVar[int] = 1")) != text(ast.parse("x: int = 1"))
    assert text(ast.parse("f(None)")) != text(ast.parse("f()"))


def test_only_functions_of_a_file_have_a_fingerprint():
    with pytest.raises(TypeError, match="top level of a .py file"):
        code_fingerprint(lambda settings, seed: {})
    with pytest.raises(TypeError, match="top level"):
        code_fingerprint(len)


def test_a_fingerprint_is_fast_and_does_not_reach_into_the_evidence(lab):
    found, _ = lab
    code_fingerprint(found.run)
    started = time.perf_counter()
    code_fingerprint(found.run)
    assert time.perf_counter() - started < 0.2
    assert not any(module.startswith("mmlib") for module, _ in code_closure(found.run).texts)


def test_module_files_of_a_module_a_notebook_and_a_text(lab, tmp_path):
    names = {path.name for path in module_files(tmp_path / "lab/main.py")}
    assert {"consts.py", "shapes.py", "api.py", "plugins.py", "__init__.py"} <= names
    cells = [
        {"cell_type": "markdown", "source": "import nothing"},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "from mmlib import checks\n"]},
        {"cell_type": "code", "source": "!ls\nimport torch"},
    ]
    notebook = tmp_path / "a.ipynb"
    notebook.write_text(json.dumps({"cells": cells}))
    assert {path.name for path in module_files(notebook)} == {"__init__.py", "checks.py"}
    found = {path.name for path in module_files("from mmlib.evidence import judge")}
    assert {"verdicts.py", "rules.csv", "claims.csv", "checks.py"} <= found
