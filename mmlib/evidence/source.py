"""A module as a list of top-level statements, each with what it binds, uses and does.

This is the reading half of `mmlib.evidence.fingerprint`. Nothing here imports or runs the code it
reads. The text of a statement leaves out what cannot change a result (comments, formatting,
docstrings, type annotations) and is the same under every supported version of Python.
"""

# ruff: noqa: D102  (the methods of a visitor do what their names say)
from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_LEFT_OUT = {"annotation", "returns", "ctx", "kind", "type_comment", "type_params"}
_MUTABLE = (ast.Dict, ast.List, ast.Set, ast.Call, ast.ListComp, ast.SetComp, ast.DictComp)
# Annotations that change what a class does, not only what a reader expects of it.
_WORKING_ANNOTATIONS = ("ClassVar", "InitVar", "KW_ONLY")


@dataclass(frozen=True)
class Target:
    """What an import binds: a module (`name` is None) or a name inside a module."""

    module: str
    name: str | None = None


def text(node: object) -> str:
    r"""Return a serialisation of an AST node that ignores what cannot change a result.

    Example:
        >>> one = ast.parse("def f(x: int) -> int:\n    '''Doc.'''\n    return x  # why")
        >>> two = ast.parse("def f(x):\n    return x")
        >>> text(one) == text(two)
        True
    """
    if isinstance(node, list):
        kept = [item for item in node if not _is_idle(item)]
        return f"[{','.join(map(text, kept))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = []
    for name, value in ast.iter_fields(node):
        if name in _LEFT_OUT and not (name == "annotation" and _is_working(value)):
            continue
        if value is None or value == []:
            continue  # which empty fields exist depends on the version of Python
        parts.append(f"{name}={text(value)}")
    return f"{type(node).__name__}({','.join(parts)})"


def _is_idle(node: object) -> bool:
    return isinstance(node, ast.Pass) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def _is_working(annotation: ast.AST | None) -> bool:
    return annotation is not None and any(
        word in ast.unparse(annotation) for word in _WORKING_ANNOTATIONS
    )


def chain_of(node: ast.AST) -> tuple[str, ...] | None:
    """Return ``("a", "b", "c")`` for the expression ``a.b.c``, None for any other expression."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) else None


def _scope(node: ast.AST, names: set[str], free: set[str]) -> None:
    """Collect the names that the body of a function binds, without entering inner scopes."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        names.add(node.name)
        return
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.Global | ast.Nonlocal):
        free.update(node.names)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        names.add(node.id)
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        names.add(node.name)
    elif isinstance(node, ast.MatchMapping) and node.rest:
        names.add(node.rest)
    for child in ast.iter_child_nodes(node):
        if isinstance(node, _COMPREHENSIONS) and isinstance(child, ast.comprehension):
            for part in [child.iter, *child.ifs]:  # the targets are the comprehension's own
                _scope(part, names, free)
        else:
            _scope(child, names, free)


def _bound(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> set[str]:
    names: set[str] = {arg.arg for arg in ast.walk(node.args) if isinstance(arg, ast.arg)}
    free: set[str] = set()
    for child in node.body if isinstance(node.body, list) else [node.body]:
        _scope(child, names, free)
    return names - free


class Uses(ast.NodeVisitor):
    """The names of the module, and the imports, that a piece of code uses.

    `chains` holds ``("a", "b")`` for ``a.b``; names that are local to a function are left out.
    `imports` holds ``(alias, target)``; `dynamic` is what cannot be read from the source:
    "module" (``globals``, ``exec``) or "package" (an import by a computed name).
    """

    def __init__(self, package: str) -> None:
        self.package = package
        self.chains: set[tuple[str, ...]] = set()
        self.imports: list[tuple[str, Target]] = []
        self.modules: set[str] = set()  # imported by a call, under a constant name
        self.executed: set[str] = set()  # by ``import a.b.c``, which binds only ``a``
        self.dynamic: set[str] = set()
        self.strings: set[str] = set()
        self.class_names: set[str] = set()  # may be meant instead of a name of the module
        self._scopes: list[set[str]] = []

    def _use(self, chain: tuple[str, ...]) -> None:
        if chain[-1] in ("__subclasses__", "__init_subclass__") or chain[:2] == ("sys", "modules"):
            self.dynamic.add("package")
        if chain[0] in ("globals", "exec", "eval"):
            self.dynamic.add("module")
        if not any(chain[0] in scope for scope in self._scopes):
            self.chains.add(chain)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.strings.add(node.value)

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Store):
            self._use((node.id,))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        chain = chain_of(node)
        if chain:
            self._use(chain)
            return
        if node.attr == "__subclasses__":
            self.dynamic.add("package")
        self.visit(node.value)

    def _looks_up(self, table: ast.AST, key: ast.AST | None) -> bool:
        """Take ``sys.modules[key]``, which names a module where the key is a constant."""
        constant = isinstance(key, ast.Constant) and isinstance(key.value, str)
        if not constant or chain_of(table) not in (("sys", "modules"), ("sys", "modules", "get")):
            return False
        self.modules.add(key.value)  # type: ignore[union-attr]  # it is a constant
        self._use(("sys",))
        return True

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not self._looks_up(node.value, node.slice):
            self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        if len(node.comparators) != 1 or not self._looks_up(node.comparators[0], node.left):
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        chain = chain_of(node.func) or ("",)
        if self._looks_up(node.func, node.args[0] if node.args else None):
            return
        if chain[-1] in ("import_module", "__import__"):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                self.modules.add(first.value)
            else:
                self.dynamic.add("package")
        self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> None:
        self.chains.update((name,) for name in node.names)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            top = alias.name.partition(".")[0]
            self.imports.append((alias.asname or top, Target(alias.name if alias.asname else top)))
            self.executed.add(alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = absolute(node, self.package)
        for alias in node.names:
            self.imports.append((alias.asname or alias.name, Target(module, alias.name)))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.target)
        if node.value:
            self.visit(node.value)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        if getattr(node, "name", "") == "__init_subclass__":
            self.dynamic.add("package")
        defaults = [value for value in node.args.kw_defaults if value] + node.args.defaults
        for outer in [*getattr(node, "decorator_list", []), *defaults]:
            self.visit(outer)
        self._scopes.append(_bound(node))
        for inner in node.body if isinstance(node.body, list) else [node.body]:
            self.visit(inner)
        self._scopes.pop()

    visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for child in node.body:
            _scope(child, self.class_names, set())
        self.generic_visit(node)

    def _visit_comprehension(self, node: Any) -> None:
        self.visit(node.generators[0].iter)  # evaluated outside, so its names are not the targets
        names: set[str] = set()
        for generator in node.generators:
            _scope(generator.target, names, set())
        self._scopes.append(names)
        self.generic_visit(node)
        self._scopes.pop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension


def absolute(node: ast.ImportFrom, package: str) -> str:
    """Return the full name of the module that a ``from`` import reads, relative ones included."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])


@dataclass(eq=False)
class Statement:
    """One top-level statement of a module."""

    module: str
    package: str
    node: ast.stmt
    names: set[str] = field(default_factory=set)

    @cached_property
    def text(self) -> str:
        """The statement without what cannot change a result."""
        return text(self.node)

    @cached_property
    def uses(self) -> Uses:
        """The names and imports that the whole statement uses."""
        return self.read(self.node)

    def read(self, *nodes: ast.AST) -> Uses:
        """Return what some parts of the statement use."""
        found = Uses(self.package)
        for node in nodes:
            found.visit(node)
        return found

    @property
    def is_import(self) -> bool:
        """Whether the statement is an import and nothing else."""
        return isinstance(self.node, ast.Import | ast.ImportFrom)

    def targets(self, name: str) -> list[Target]:
        """Return what the imports inside the statement bind to `name`."""
        return [target for alias, target in self.uses.imports if alias == name]

    @cached_property
    def is_state(self) -> bool:
        """Whether the statement binds a value that other code could change in place."""
        node = self.node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return False
        return any(isinstance(part, _MUTABLE) for part in ast.walk(node))

    @cached_property
    def acting(self) -> list[ast.AST]:
        """The parts that run at import and may change something beside the names they bind."""
        node = self.node
        if self.is_import:
            return []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return list(node.decorator_list)
        stores = any(
            isinstance(part, ast.Attribute | ast.Subscript) and not isinstance(part.ctx, ast.Load)
            for part in ast.walk(node)
        )
        calls = any(isinstance(part, ast.Call) for part in ast.walk(node))
        decorated = any(getattr(part, "decorator_list", []) for part in ast.walk(node))
        return [node] if stores or calls or decorated or isinstance(node, ast.AugAssign) else []


def _is_guard(node: ast.stmt) -> bool:
    """Whether a block is skipped at import: ``if __name__ == ...``, ``if TYPE_CHECKING``."""
    if not isinstance(node, ast.If) or node.orelse:
        return False
    return any(
        isinstance(part, ast.Name | ast.Attribute)
        and (chain_of(part) or ("",))[-1] in ("__name__", "TYPE_CHECKING")
        for part in ast.walk(node.test)
    )


class Module:
    """The statements of one file; a folder without ``__init__.py`` is a module without any."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.is_package = path.name == "__init__.py" or path.is_dir()
        self.folder = path if path.is_dir() else path.parent
        self.package = name if self.is_package else name.rpartition(".")[0]
        self.statements: list[Statement] = []
        self.bindings: dict[str, list[Statement]] = {}
        self.stars: list[str] = []  # the modules of ``from a import *``
        tree = ast.parse("" if path.is_dir() else path.read_text(encoding="utf-8"), str(path))
        for node in tree.body:
            if not _is_idle(node) and not _is_guard(node):
                self._add(node)
        found = Uses(self.package)
        found.visit(tree)
        # Every module that the file imports, wherever in it the import stands.
        self.imports = {target for _, target in found.imports}
        self.imports |= {Target(name) for name in found.executed | found.modules}
        self.strings = found.strings

    def _add(self, node: ast.stmt) -> None:
        names: set[str] = set()
        _scope(node, names, set())
        for part in ast.walk(node) if not isinstance(node, _FUNCTIONS) else ():
            if isinstance(part, ast.Import | ast.ImportFrom):
                names.update(a.asname or a.name.partition(".")[0] for a in part.names)
        if isinstance(node, ast.ImportFrom) and "*" in names:
            self.stars.append(absolute(node, self.package))
        if isinstance(node, ast.ClassDef):
            names = {node.name}
        statement = Statement(self.name, self.package, node, names)
        self.statements.append(statement)
        for name in names - {"*"}:
            self.bindings.setdefault(name, []).append(statement)
