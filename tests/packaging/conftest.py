"""Distributions built once, and environments that hold what is declared and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LEFT_BEHIND = (".*", "_build", "build", "__pycache__", "results", "*.egg-info")


def run(*command: object, **options) -> subprocess.CompletedProcess:
    """Run a command that has to succeed; its output is in the message where it does not."""
    options = {"capture_output": True, "text": True, "encoding": "utf-8", **options}
    done = subprocess.run([str(part) for part in command], **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    """A folder with the sdist, the wheel made from it, and below `direct` one from the tree."""
    folder = tmp_path_factory.mktemp("dist")
    tree = folder / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
    recorded = tree / "book" / "results" / "quick" / "run.jsonl"  # must not be packed either
    recorded.parent.mkdir(parents=True)
    recorded.write_text("{}\n", encoding="utf-8")
    make = [sys.executable, "-m", "build", "--no-isolation"]
    run(*make, "--outdir", folder / "dist", tree)
    run(*make, "--wheel", "--outdir", folder / "dist" / "direct", tree)
    return folder / "dist"


@pytest.fixture(scope="session")
def wheel(built) -> Path:
    (found,) = built.glob("*.whl")
    return found


def _closure(names: list[str]) -> dict[str, metadata.Distribution]:
    """Return the named distributions and all that they require on this machine, by name."""
    found: dict[str, metadata.Distribution] = {}
    left = [Requirement(name) for name in names]
    while left:
        need = left.pop()
        key = re.sub(r"[-_.]+", "-", need.name).lower()
        if key in found or (need.marker and not need.marker.evaluate({"extra": ""})):
            continue
        found[key] = metadata.distribution(need.name)
        left += [Requirement(line) for line in found[key].requires or ()]
    return found


class Environment:
    """A virtual environment whose packages are links to installed ones."""

    def __init__(self, folder: Path, requirements: list[str]) -> None:
        venv.create(folder, with_pip=False, symlinks=os.name != "nt")
        self.python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
        self.folder = folder
        self.site = Path(
            run(
                self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"
            ).stdout.strip()
        )
        for distribution in _closure(requirements).values():
            for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
                source, link = Path(str(distribution.locate_file(top))), self.site / top
                if source.exists() and not link.exists():
                    link.symlink_to(source)

    def install(self, wheel: Path) -> None:
        """Install a wheel and nothing with it, from nowhere else."""
        pip = [sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet"]
        run(*pip, "--no-deps", "--no-index", "--no-compile", wheel)

    def run(self, *arguments: object, **more: str) -> str:
        """Run python away from the checkout, without a network; return what it prints."""
        away = self.folder / "away"
        away.mkdir(exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
        fixed = {"HOME": str(away), "MMLIB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        return run(self.python, *arguments, cwd=away, env=kept | fixed | more).stdout


@pytest.fixture(scope="session")
def environment(tmp_path_factory, wheel) -> Callable[[list[str]], Environment]:
    """What makes an environment with the wheel, the named packages and what these require."""

    def make(requirements: list[str]) -> Environment:
        made = Environment(tmp_path_factory.mktemp("alone") / "env", requirements)
        made.install(wheel)
        return made

    return make


@pytest.fixture(scope="session")
def alone(environment, wheel) -> Environment:
    """An environment with the wheel and what it declares; extras are left out."""
    (found,) = metadata.distributions(path=[str(wheel)])
    return environment([line for line in found.requires or () if "extra ==" not in line])
