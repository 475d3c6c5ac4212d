"""Imports go only upward through the rooms, and the method needs little more than torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "mmlib"
ROOMS = (
    "checks",
    "mixing",
    "data",
    "models",
    "training",
    "measures",
    "evidence",
    "studies",
    "plots",
    "__main__",
)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_modules(source: str, package: tuple[str, ...]) -> set[str]:
    """Full names of everything that a module imports; relative imports are resolved."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def rooms_used(source: str, package: tuple[str, ...]) -> set[str]:
    names = [name.split(".") for name in imported_modules(source, package)]
    return {parts[1] for parts in names if parts[0] == "mmlib" and parts[1:2] and parts[1] in ROOMS}


def modules() -> list[Path]:
    return [
        path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.parent != PACKAGE or path.stem in ROOMS
    ]


def violations(room: str, used: set[str]) -> set[str]:
    return {other for other in used if other != room and ROOMS.index(other) >= ROOMS.index(room)}


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_rooms_import_only_upward(path):
    room = room_of(path)
    assert room in ROOMS, f"{room} is not in the list of rooms"
    package = ("mmlib", *path.relative_to(PACKAGE).parent.parts)
    assert not violations(room, rooms_used(path.read_text(encoding="utf-8"), package))


@pytest.mark.parametrize(
    "source",
    [
        "from mmlib.evidence import ledger",
        "from mmlib import plots",
        "from ..evidence.records import x",
    ],
)
def test_a_downward_import_would_be_seen(source):
    assert violations("mixing", rooms_used(source, ("mmlib", "mixing")))


def test_mixing_needs_only_torch_and_scipy():
    allowed = set(sys.stdlib_module_names) | {"torch", "scipy", "numpy", "mmlib"}
    for path in (PACKAGE / "mixing").glob("*.py"):
        package = ("mmlib", "mixing")
        names = imported_modules(path.read_text(encoding="utf-8"), package)
        assert {name.split(".")[0] for name in names} <= allowed, path.name


def test_importing_mixing_loads_nothing_heavy():
    code = (
        "import sys, mmlib.mixing; "
        "print(*{'pandas', 'matplotlib', 'seaborn', 'torchvision', 'joblib'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
