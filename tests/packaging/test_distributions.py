"""The wheel and the source distribution: what is in them, and that they work alone."""

from __future__ import annotations

import json
import re
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

import mmlib
from mmlib.evidence import claims

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "mmlib").rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}

STEP = """
import torch
from mmlib.mixing import Mixup, OptimalPairing, soft_cross_entropy

model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
x, y = torch.randn(12, 4), torch.arange(12) % 3
for pairing in (None, OptimalPairing(3), OptimalPairing(6)):
    mixed = Mixup(0.5, ("input", "1"), pairing=pairing)(model, x, y)
    soft_cross_entropy(mixed.logits, mixed.targets).backward()
print(model[0].weight.grad.isfinite().all().item())
"""


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name[-1] != "/"}


def test_wheel_holds_the_library_its_data_and_the_licence(wheel):
    files = contents(wheel)
    code = {name for name in files if not re.match(r"mmlib-[\d.]+\.dist-info/", name)}
    assert code == SOURCES
    assert "mmlib/py.typed" in code and "mmlib/evidence/published/claims.csv" in code
    assert any(name.endswith("/licenses/LICENSE") for name in files)


def test_source_distribution_holds_what_the_wheel_is_made_from(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {m.name.split("/", 1)[1] for m in archive.getmembers() if m.isfile()}
    names = {name for name in names if not name.startswith("mmlib.egg-info/")}
    around = {"CITATION.cff", "LICENSE", "MANIFEST.in", "PKG-INFO", "README.md"}
    assert names == SOURCES | around | {"pyproject.toml", "setup.cfg"}


def test_wheel_from_the_source_distribution_is_that_from_the_tree(built, wheel):
    (direct,) = (built / "direct").glob("*.whl")
    assert direct.name == wheel.name
    one, two = contents(wheel), contents(direct)
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []


def test_versions_agree(wheel):
    (found,) = metadata.distributions(path=[str(wheel)])
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.M)
    assert cited is not None
    assert found.version == mmlib.__version__ == cited[1].strip("\"'")


def test_lower_bounds_are_what_was_run(wheel):
    """Each requirement names the version that `make oldest` installs."""
    (found,) = metadata.distributions(path=[str(wheel)])
    needs = [Requirement(line) for line in found.requires or () if "extra ==" not in line]
    lines = (ROOT / "requirements-oldest.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    for need in needs:
        (bound,) = need.specifier
        assert bound.operator == ">=" and Version(bound.version) == Version(pins[need.name])


def test_every_module_imports_with_what_is_declared(alone):
    code = """
import importlib, pkgutil, mmlib
names = [m.name for m in pkgutil.walk_packages(mmlib.__path__, "mmlib.")]
names = [name for name in names if not name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
print(len(names), mmlib.__file__)
"""
    count, path = alone.run("-c", code).split()
    assert Path(path).is_relative_to(alone.folder)
    assert int(count) == sum(n.endswith(".py") and "__main__" not in n for n in SOURCES) - 1


def test_an_undeclared_import_would_be_seen(alone):
    code = "import importlib.util; print(*map(importlib.util.find_spec, ['pytest', 'IPython']))"
    assert alone.run("-c", code).split() == ["None", "None"]


def test_a_mixed_step(alone):
    assert alone.run("-c", STEP).strip() == "True"


def test_where_one_stands(alone):
    said = alone.run("-m", "mmlib")
    assert mmlib.__version__ in said and "the chapters are in the repository" in said
    assert "not available" not in said and "missing" not in said.split("Device")[0]


def test_the_ledger_without_any_record(alone):
    rows = json.loads(alone.run("-m", "mmlib.evidence", "--json"))
    assert len({row["id"] for row in rows}) == len(rows) == len(claims())
    assert {row["verdict"] for row in rows} == {"not tested"}
    assert all(row["reason"] for row in rows)
    assert not (alone.folder / "away" / "mmlib-results").exists()


def test_mixing_needs_only_torch_numpy_and_scipy(environment):
    small = environment(["torch", "numpy", "scipy"])
    assert small.run("-c", STEP).strip() == "True"
    code = """
import sys, torch, scipy.optimize, scipy.special
before = set(sys.modules)
import mmlib.mixing
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before} - {"mmlib"}))
"""
    loaded = set(small.run("-c", code).split())
    assert loaded <= set(sys.stdlib_module_names) | {"torch"}
