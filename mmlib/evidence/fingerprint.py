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

One exception is by contract: studies and their evidence functions read runs and never make them,
so ``Study(...)`` and ``@STUDY.evidence(...)`` do not act.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mmlib.evidence.source import Module, Statement, Target, Uses, chain_of

_PACKAGE = Path(__file__).resolve().parents[1]
_STUDY = ("mmlib.evidence.study", "Study")
_VERSION = "1"  # of this method; a change discards every recorded run
_modules: dict[tuple[str, Path], tuple[tuple[int, int], Module]] = {}


class Tree:
    """Finds modules by name: those of the package, and those beside the function or notebook."""

    def __init__(self, beside: Path | None = None) -> None:
        installed = beside is not None and {"site-packages", "dist-packages"} & set(beside.parts)
        self.beside = None if installed else beside

    def find(self, name: str) -> Path | None:
        """Return the file (or the folder) of a module, None if it is not part of the project."""
        parts = name.split(".")
        base = _PACKAGE.parent if parts[0] == _PACKAGE.name else self.beside
        if base is None or not all(parts):
            return None
        stem = base.joinpath(*parts)
        for path in (stem / "__init__.py", stem.parent / f"{stem.name}.py"):
            if path.is_file():
                return path
        return stem if stem.is_dir() and any(stem.glob("*.py")) else None

    def module(self, name: str) -> Module | None:
        """Return a module, read once for each state of its file."""
        path = self.find(name)
        if path is None:
            return None
        stat = path.stat()
        state = (stat.st_mtime_ns, stat.st_size)
        held = _modules.get((name, path))
        if held is None or held[0] != state:
            held = _modules[name, path] = (state, Module(name, path))
        return held[1]

    def closure(self, targets: Iterable[Target]) -> dict[str, Module]:
        """Return every module of the project that these imports can execute."""
        found: dict[str, Module] = {}
        todo = list(targets)
        while todo:
            target = todo.pop()
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
        known = local | uses.class_names | set(dir(builtins))
        for chain in uses.chains:
            if chain[0] in module.bindings or chain[0] not in known:
                self._add_all(self.tree.resolve(module, chain))
            for alias, target in uses.imports:
                inner = self.tree.module(target.module) if alias == chain[0] else None
                if inner:
                    below = (target.name, *chain[1:]) if target.name else chain[1:]
                    self._add_all(self.tree.resolve(inner, below))
        for whole in filter(None, map(self.tree.module, uses.modules)):
            self.add(whole, "*")
        if "module" in uses.dynamic:
            self.add(module, "*")
        if "package" in uses.dynamic:
            for top in (_PACKAGE.name, module.name.partition(".")[0]):
                self._add_all((found, "*") for found in [self.tree.module(top)] if found)
        for path in _named_files(module, uses.strings):
            name = path.relative_to(module.folder).as_posix()
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            self.texts[module.name, f"file {name}"] = [content]

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
        parts = [part for part in statement.acting if not self._is_study(module, part)]
        if not parts:
            return False
        uses = statement.read(*parts)
        reach = Closure(self.tree)
        reach.add_uses(module, uses)
        if reach.state & self.state or ("*" in {name for _, name in reach.texts}):
            return True
        named = [hit for chain in uses.chains for hit in self.tree.resolve(module, chain)]
        shared = {hit for hit in named if (hit[0].name, hit[1]) in self.texts}
        if isinstance(statement.node, ast.Assign | ast.AnnAssign) and statement.names:
            # The value of a call: it can change a class that is handed over, a function hardly.
            return any(_binds(*hit, ast.ClassDef) for hit in shared)
        if parts == [statement.node] and not named:
            return True  # acts on something outside the project, such as a default of torch
        return any(not _binds(*hit, ast.Import | ast.ImportFrom) for hit in shared)

    def _is_study(self, module: Module, part: ast.AST) -> bool:
        call = part.value if isinstance(part, ast.Assign | ast.AnnAssign | ast.Expr) else part
        while isinstance(call, ast.Call) and isinstance(call.func, ast.Call):
            call = call.func
        chain = chain_of(call.func) if isinstance(call, ast.Call) else None
        if not chain:
            return False
        found = [(inner.name, name) for inner, name in self.tree.resolve(module, chain[:1])]
        if isinstance(part, ast.Assign | ast.AnnAssign):
            return _STUDY in found
        return chain[1:] == ("evidence",) and any(
            isinstance(statement.node, ast.Assign | ast.AnnAssign)
            and self._is_study(inner, statement.node)
            for inner, name in self.tree.resolve(module, chain[:1])
            for statement in inner.bindings.get(name, ())
        )


def _binds(module: Module, name: str, kind: type) -> bool:
    return any(isinstance(statement.node, kind) for statement in module.bindings.get(name, ()))


def _named_files(module: Module, strings: set[str]) -> Iterator[Path]:
    """Yield the data files beside a module that its code names, one by one or by their folder."""
    for string in sorted(strings):
        if not (0 < len(string) < 100 and string.strip("./ ")) or "\n" in string or "\0" in string:
            continue
        path = module.folder / string
        if path.is_file() and path.suffix != ".py" and module.folder in path.parents:
            yield path
        elif path.is_dir() and module.folder in path.parents and not any(path.glob("*.py")):
            yield from sorted(inner for inner in path.iterdir() if inner.is_file())


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
    closure = code_closure(function)
    body = json.dumps([_VERSION, sorted(closure.texts.items())])
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def code_closure(function: Callable) -> Closure:
    """Return the symbols that `code_fingerprint` hashes, to see why a fingerprint changed.

    Raises:
        TypeError: `function` is not defined at the top level of a file.

    Example:
        >>> from mmlib import checks
        >>> sorted(name for _, name in code_closure(checks.choice).texts)
        ['_shown', 'choice', 'difflib', 'nearest']
    """
    name = getattr(function, "__qualname__", repr(function))
    try:
        path = Path(inspect.getsourcefile(function) or "").resolve()
    except TypeError:
        path = Path()
    module_name = getattr(function, "__module__", "")
    parts = module_name.split(".")
    if path.suffix != ".py" or "." in name:
        raise TypeError(
            f"run: expected a function defined at the top level of a .py file, but got {name} "
            f"of {module_name}"
        )
    if list(path.with_suffix("").parts[-len(parts) :]) != parts:
        parts = [path.stem]  # run as a script, or imported under another name
    tree = Tree(path.parents[len(parts) - 1])
    closure = Closure(tree)
    module = tree.module(".".join(parts))
    closure.add(module, name if name in module.bindings else "*")
    closure.add_effects()
    return closure


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
    beside = None
    code = str(source)
    if isinstance(source, Path) or ("\n" not in code and code.endswith((".py", ".ipynb"))):
        path = Path(source).resolve()
        beside, code = path.parent, path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            code = _notebook_code(code)
    found = Uses("")
    found.visit(ast.parse(code))
    targets = {target for _, target in found.imports}
    modules = Tree(beside).closure(targets | {Target(n) for n in found.executed | found.modules})
    files = {module.path for module in modules.values() if module.path.is_file()}
    return files.union(*(_named_files(module, module.strings) for module in modules.values()))


def _notebook_code(text: str) -> str:
    """Return the Python code of a notebook, without magic and shell lines."""
    cells = (cell["source"] for cell in json.loads(text)["cells"] if cell["cell_type"] == "code")
    lines = "\n".join(cell if isinstance(cell, str) else "".join(cell) for cell in cells)
    return "\n".join(line for line in lines.split("\n") if not line.lstrip().startswith(("%", "!")))
