"""The modules of the project as a tree of files: finding them, resolving names between them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mmlib.evidence.source import Module, Statement, Target

PACKAGE = Path(__file__).resolve().parents[1]
State = tuple[int, int]  # time of the last change and size
_modules: dict[Path, tuple[State, Module]] = {}
_trees: dict[Path | None, Tree] = {}


class Tree:
    """Finds modules by name: those of the package, and those beside the function or notebook."""

    def __init__(self, beside: Path | None = None) -> None:
        installed = beside is not None and {"site-packages", "dist-packages"} & set(beside.parts)
        self.beside = None if installed else beside
        self.fingerprints: dict[tuple[str, str], str] = {}
        self.reach: dict[Statement, Any] = {}  # of what a statement does at import
        self._found: dict[str, Module | None] = {}
        self._listed: dict[Path, set[str]] = {}
        self._states: dict[Path, State] = {}

    def is_current(self) -> bool:
        """Whether all files and folders are as they were when the tree read them."""
        try:
            return all(_state(path) == state for path, state in self._states.items())
        except FileNotFoundError:
            return False

    def find(self, name: str) -> Path | None:
        """Return the file (or the folder) of a module, None if it is not part of the project."""
        parts = name.split(".")
        base = PACKAGE.parent if parts[0] == PACKAGE.name else self.beside
        if base is None or not all(parts):
            return None
        stem = base.joinpath(*parts)
        for path in (stem / "__init__.py", stem.parent / f"{stem.name}.py"):
            if path.is_file():
                return path
        return stem if stem.is_dir() and _holds_code(stem) else None

    def module(self, name: str) -> Module | None:
        """Return a module, read once for each state of its file."""
        if name not in self._found:
            path = self.find(name)
            self._found[name] = _read(name, path) if path else None
            for read in {path, path.parent} if path else ():
                self._states[read] = _state(read)
        return self._found[name]

    def named_files(self, module: Module, strings: Iterable[str]) -> Iterator[Path]:
        """Yield the data files beside a module that its code names, alone or by their folder."""
        folder = module.folder
        if folder not in self._listed:
            self._listed[folder] = set(os.listdir(folder))
        for string in strings:
            path = folder / string if string.split("/")[0] in self._listed[folder] else None
            found = []
            if path and path.is_file() and path.suffix != ".py":
                found = [path]
            elif path and path.is_dir() and not _holds_code(path):
                found = [path, *(inner for inner in path.iterdir() if inner.is_file())]
            for read in found:
                self._states[read] = _state(read)
            yield from (read for read in found if read.is_file())

    def closure(self, targets: Iterable[Target]) -> dict[str, Module]:
        """Return every module of the project that these imports can execute."""
        found: dict[str, Module] = {}
        todo, seen = list(targets), set()
        while todo:
            target = todo.pop()
            if target in seen:
                continue
            seen.add(target)
            parts = target.module.split(".")
            names = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
            for name in names + ([f"{target.module}.{target.name}"] if target.name else []):
                module = None if name in found else self.module(name)
                if module:
                    found[name] = module
                    todo += module.imports
        return found

    def resolve(
        self, module: Module, chain: tuple[str, ...], seen: frozenset = frozenset()
    ) -> Iterator[tuple[Module, str]]:
        """Yield each definition and import that ``a.b.c`` goes through when read in `module`.

        ``(module, "*")`` stands for a module that is used as a value, or that does not say what
        the name is.
        """
        if not chain:
            yield module, "*"
            return
        name, rest = chain[0], chain[1:]
        here = (module.name, name)
        if name in module.bindings and here not in seen:
            yield module, name
            for statement in module.bindings[name]:
                for target in statement.targets(name):
                    inner = self.module(target.module)
                    if inner:
                        below = (target.name, *rest) if target.name else rest
                        yield from self.resolve(inner, below, seen | {here})
            return
        for star in filter(None, map(self.module, module.stars)):
            if name in star.bindings or star.stars:
                yield from self.resolve(star, chain, seen | {here})
                return
        inner = self.module(f"{module.name}.{name}") if module.is_package else None
        if inner:
            yield from self.resolve(inner, rest)
        elif not (name.startswith("__") and name.endswith("__")):
            yield module, "*"


def _holds_code(folder: Path) -> bool:
    return any(folder.glob("*.py"))


def _state(path: Path) -> State:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


def _read(name: str, path: Path) -> Module:
    state = _state(path)
    held = _modules.get(path)
    if held is None or held[0] != state or held[1].name != name:
        held = _modules[path] = (state, Module(name, path))
    return held[1]


def tree_beside(beside: Path | None) -> Tree:
    """Return the tree of the package and of the modules in a folder, read again if any changed."""
    if beside not in _trees or not _trees[beside].is_current():
        _trees[beside] = Tree(beside)
    return _trees[beside]
