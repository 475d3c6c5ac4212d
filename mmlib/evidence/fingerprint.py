"""The code behind a recorded number: a fingerprint of every line that could have changed it.

`code_fingerprint` starts at a function and follows each name it uses, through imports and
re-exports, to the module-level definitions of the package, and theirs in turn. What it finds is
hashed without docstrings, comments, formatting and annotations. So mending a docstring or adding
an unrelated function keeps every recorded run; changing a constant two modules away discards those
runs that used it, and only those.

Where the source does not say what is used, more is taken rather than less: a module that is passed
around as a value, ``globals()``, or a name that cannot be resolved count as the whole module; an
import by a computed name as the whole package. Statements that act at import (decorators that
register, assignments to another module's attributes) count when they touch something the function
uses. Files that lie beside a module and are named in the code that is used count by content.
Values patched at run time, and code outside the package, are not seen; the versions of the main
packages are in each record instead.

One exception is by contract: a statement that defines a study or registers evidence for one (it
reaches the class `Study` when it runs) does not act. Studies and evidence functions read runs and
never make them, so another grid or another comparison discards no run.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import inspect
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from mmlib.evidence.modules import PACKAGE, Tree, tree_beside
from mmlib.evidence.source import Module, Statement, Target, Uses

_STUDY = ("mmlib.evidence.study", "Study")
_VERSION = "1"  # of this method; a change discards every recorded run
_BUILTINS = frozenset(dir(builtins))


class Closure:
    """The module-level symbols that a piece of code reaches, with the text of each."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.texts: dict[tuple[str, str], list[str]] = {}
        self.state: set[tuple[str, str]] = set()  # symbols that could be changed in place
        self.modules: dict[str, Module] = {}
        self._followed: set[Statement] = set()

    def add(self, module: Module, name: str) -> None:
        """Take a symbol of a module and all that it uses; "*" takes the whole module."""
        key = (module.name, name)
        if key in self.texts:
            return
        self.modules[module.name] = module
        if name == "*":
            self._add_whole(module)
            return
        texts = self.texts[key] = []
        if key == _STUDY:
            return  # what follows makes no run
        for statement in module.bindings[name]:
            if statement.is_import:
                texts.extend(str(target) for target in statement.targets(name))
            else:
                texts.append(statement.text)
                if statement.is_state:
                    self.state.add(key)
                self.add_statement(module, statement)

    def add_statement(self, module: Module, statement: Statement) -> None:
        """Take what a statement uses."""
        if statement not in self._followed:
            self._followed.add(statement)
            self.add_uses(module, statement.uses)

    def add_uses(self, module: Module, uses: Uses) -> None:
        """Take what a piece of code that stands in `module` uses."""
        local = {alias for alias, _ in uses.imports}
        known = local | uses.class_names
        for chain in uses.chains:
            name = chain[0]
            if name in module.bindings or not (name in known or name in _BUILTINS):
                self._add_all(self.tree.resolve(module, chain))
            for alias, target in uses.imports:
                inner = self.tree.module(target.module) if alias == name else None
                if inner:
                    below = (target.name, *chain[1:]) if target.name else chain[1:]
                    self._add_all(self.tree.resolve(inner, below))
        for whole in filter(None, map(self.tree.module, uses.modules)):
            self.add(whole, "*")
        if "module" in uses.dynamic:
            self.add(module, "*")
        if "package" in uses.dynamic:
            for top in (PACKAGE.name, module.name.partition(".")[0]):
                self._add_all((found, "*") for found in [self.tree.module(top)] if found)
        for path in self.tree.named_files(module, uses.strings):
            key = (module.name, f"file {path.relative_to(module.folder).as_posix()}")
            if key not in self.texts:
                self.texts[key] = [hashlib.sha256(path.read_bytes()).hexdigest()]

    def _add_all(self, found: Iterable[tuple[Module, str]]) -> None:
        for module, name in list(found):
            self.add(module, name)

    def _add_whole(self, module: Module) -> None:
        self.texts[module.name, "*"] = [statement.text for statement in module.statements]
        for name in module.bindings:
            self._add_all(self.tree.resolve(module, (name,)))
        for statement in module.statements:
            self.add_statement(module, statement)
        for path in sorted(module.folder.iterdir()) if module.is_package else ():
            inner = self.tree.module(f"{module.name}.{path.stem}")
            if inner and path.stem != "__init__":
                self.add(inner, "*")

    def add_effects(self) -> None:
        """Take the statements that act at import on what was taken, until there is none left."""
        grown = True
        while grown:
            grown = False
            for module in self.tree.closure(map(Target, list(self.modules))).values():
                for statement in module.statements:
                    if statement not in self._followed and self._is_touched(module, statement):
                        self.texts.setdefault((module.name, "!"), []).append(statement.text)
                        self.modules[module.name] = module
                        self.add_statement(module, statement)
                        grown = True

    def _is_touched(self, module: Module, statement: Statement) -> bool:
        parts = statement.acting
        if not parts:
            return False
        uses = statement.read(*parts)
        if statement not in self.tree.reach:
            self.tree.reach[statement] = Closure(self.tree)
            self.tree.reach[statement].add_uses(module, uses)
        reach = self.tree.reach[statement]
        if _STUDY in reach.texts:
            return False
        if reach.state & self.state or ("*" in {name for _, name in reach.texts}):
            return True
        named = [hit for chain in uses.chains for hit in self.tree.resolve(module, chain)]
        shared = {hit for hit in named if (hit[0].name, hit[1]) in self.texts}
        if isinstance(statement.node, ast.Assign | ast.AnnAssign) and statement.names:
            # The value of a call: it can change a class that is handed over, a function hardly.
            return any(_binds(*hit, ast.ClassDef) for hit in shared)
        if parts == [statement.node] and all(_is_import(*hit) for hit in named):
            return True  # acts on something outside the project, such as a default of torch
        return any(not _is_import(*hit) for hit in shared)


def _binds(module: Module, name: str, kind: type) -> bool:
    return any(isinstance(statement.node, kind) for statement in module.bindings.get(name, ()))


def _is_import(module: Module, name: str) -> bool:
    return all(statement.is_import for statement in module.bindings.get(name, ()))


def code_fingerprint(function: Callable) -> str:
    """Return sixteen hexadecimal digits for the code that `function` can reach.

    Raises:
        TypeError: `function` is not defined at the top level of a file.

    Example:
        >>> from mmlib import checks
        >>> code_fingerprint(checks.integer) == code_fingerprint(checks.integer)
        True
        >>> code_fingerprint(checks.integer) == code_fingerprint(checks.number)
        False
    """
    tree, module, name = _place(function)
    key = (module.name, name)
    if key not in tree.fingerprints:
        body = json.dumps([_VERSION, sorted(_closure(tree, module, name).texts.items())])
        tree.fingerprints[key] = hashlib.sha256(body.encode()).hexdigest()[:16]
    return tree.fingerprints[key]


def code_closure(function: Callable) -> Closure:
    """Return the symbols that `code_fingerprint` hashes, to see why a fingerprint changed.

    Raises:
        TypeError: `function` is not defined at the top level of a file.

    Example:
        >>> from mmlib import checks
        >>> sorted(name for _, name in code_closure(checks.choice).texts)
        ['_shown', 'choice', 'difflib', 'nearest']
    """
    return _closure(*_place(function))


def _closure(tree: Tree, module: Module, name: str) -> Closure:
    closure = Closure(tree)
    closure.add(module, name if name in module.bindings else "*")
    closure.add_effects()
    return closure


def _place(function: Callable) -> tuple[Tree, Module, str]:
    """Return where a function stands: the tree of modules, its own, and its name there."""
    name = getattr(function, "__qualname__", repr(function))
    module_name = getattr(function, "__module__", "")
    try:
        path = Path(inspect.getsourcefile(inspect.unwrap(function)) or "").resolve()
    except TypeError:
        path = Path()
    if path.suffix != ".py" or "." in name:
        raise TypeError(
            f"run: expected a function defined at the top level of a .py file, but got {name} "
            f"of {module_name}"
        )
    parts = module_name.split(".")
    if list(path.with_suffix("").parts[-len(parts) :]) != parts:
        parts = [path.stem]  # run as a script, or imported under another name
    tree = tree_beside(path.parents[len(parts) - 1])
    return tree, tree.module(".".join(parts)), name  # type: ignore[return-value]  # it was imported from there


def module_files(source: str | Path) -> set[Path]:
    """Return every file of the project that a module, notebook or piece of code depends on.

    The closure is by file: imports wherever they stand, the packages on the way, and the data
    files that these modules name. It decides what is executed again when a file changes.

    Args:
        source: path of a ``.py`` or ``.ipynb`` file, or Python code as text.

    Example:
        >>> sorted(path.name for path in module_files("from mmlib import checks"))
        ['__init__.py', 'checks.py']
    """
    beside, package, code = None, "", str(source)
    if isinstance(source, Path) or ("\n" not in code and code.endswith((".py", ".ipynb"))):
        path = Path(source).resolve()
        beside, code = path.parent, path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            code = _notebook_code(code)
        while (beside / "__init__.py").exists():
            beside, package = beside.parent, f"{beside.name}.{package}".rstrip(".")
    found = Uses(package)
    found.visit(ast.parse(code))
    targets = {target for _, target in found.imports}
    tree = Tree(beside)
    modules = tree.closure(targets | {Target(n) for n in found.executed | found.modules})
    files = {module.path for module in modules.values() if module.path.is_file()}
    return files.union(*(tree.named_files(module, module.strings) for module in modules.values()))


def _notebook_code(text: str) -> str:
    """Return the Python code of a notebook, without magic and shell lines."""
    cells = (cell["source"] for cell in json.loads(text)["cells"] if cell["cell_type"] == "code")
    lines = "\n".join(cell if isinstance(cell, str) else "".join(cell) for cell in cells)
    return "\n".join(line for line in lines.split("\n") if not line.lstrip().startswith(("%", "!")))
