"""Nothing that comes in a file is executed: no pickle is read, with one exception that is checked.

The exception is CIFAR, which is published as pickles: its files are compared with the published
sums first (``test_damage.py`` holds that code in their place does not run).
"""

from __future__ import annotations

import ast
import io
import tarfile
from pathlib import Path

import pytest

from mmlib import data
from mmlib.data import registry, sources, store

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path for folder in ("mmlib", "book") for path in (ROOT / folder).rglob("*.py")
)  # fmt: skip

# Calls that run code of a file, or may, and the argument that forbids it.
NEVER = frozenset(
    "pickle.loads pickle.Unpickler cPickle.load dill.load dill.loads cloudpickle.load "
    "cloudpickle.loads joblib.load shelve.open marshal.load marshal.loads pd.read_pickle "
    "pandas.read_pickle torch.jit.load torch.hub.load torch.package.PackageImporter eval exec "
    "yaml.load yaml.unsafe_load yaml.full_load runpy.run_path".split()
)
GUARDED = {"torch.load": ("weights_only", True), "pickle.load": None}
FORBIDDEN_OPTIONS = {("allow_pickle", True), ("weights_only", False)}
ALLOWED = {"mmlib/data/readers.py: pickle.load in _unpickle"}


def faults(tree: ast.Module, name: str) -> set[str]:
    """Calls in a module that could run code of a file, with the function that they stand in."""
    found = set()
    holders = [(tree, "module")]
    while holders:
        node, owner = holders.pop()
        for child in ast.iter_child_nodes(node):
            inside = child.name if isinstance(child, ast.FunctionDef) else owner
            holders.append((child, inside))
            if not isinstance(child, ast.Call):
                continue
            called = ast.unparse(child.func)
            options = {
                (keyword.arg, keyword.value.value)
                for keyword in child.keywords
                if isinstance(keyword.value, ast.Constant)
            }
            guard = GUARDED.get(called)
            unguarded = called in GUARDED and (guard is None or guard not in options)
            if called in NEVER or unguarded or options & FORBIDDEN_OPTIONS:
                found.add(f"{name}: {called} in {owner}")
    return found


def test_no_code_of_a_file_is_run_but_by_the_one_reader():
    found = set()
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= faults(tree, path.relative_to(ROOT).as_posix())
    assert len(FILES) > 200 and found == ALLOWED


@pytest.mark.parametrize(
    "call",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "pickle.load(file)",
        "joblib.load(path)",
        "eval(text)",
    ],
)
def test_the_test_above_finds_what_it_looks_for(call):
    assert faults(ast.parse(f"def f(path):\n    return {call}"), "x.py")
    safe = "torch.load(path, weights_only=True), np.load(path), json.loads(text)"
    assert not faults(ast.parse(safe), "x.py")


def test_readers_are_called_after_the_sums_were_compared():
    """The reader of pickles is reached from the registry alone, and there behind the check."""
    users = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name | ast.Attribute):
                name = node.id if isinstance(node, ast.Name) else node.attr
                if name in ("_unpickle", "read_cifar"):
                    users.add((path.name, name))
    assert users == {("readers.py", "_unpickle"), ("sources.py", "read_cifar")}
    source = ast.parse(Path(registry.__file__).read_text(encoding="utf-8"))
    contents = next(n for n in source.body if getattr(n, "name", "") == "_contents")
    calls = [ast.unparse(n.func) for n in ast.walk(contents) if isinstance(n, ast.Call)]
    reading = "SOURCES[name].variants[number][1]"
    assert sum(reading in ast.unparse(n) for n in source.body) == 1
    text = ast.unparse(contents)
    assert reading in calls and text.index("_checked(name)") < text.index(reading)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return (exec, (f"open({str(self.path)!r}, 'w').close()",))


def test_a_download_with_other_contents_is_not_read(tmp_path, monkeypatch):
    """An address that was taken over sends a proper archive of pickles that are not CIFAR's."""
    import pickle

    from torchvision import datasets

    mark = tmp_path / "ran"
    archive = tmp_path / "served" / "cifar-10-python.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as packed:
        for file in sources.SOURCES["cifar10"].variants[0][0]:
            content = pickle.dumps(Bomb(mark))
            about = tarfile.TarInfo(file.path)
            about.size = len(content)
            packed.addfile(about, io.BytesIO(content))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("MMLIB_DATA", "MMLIB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(store, "_refused", {})
    monkeypatch.setattr(store, "_probe", lambda url: "")
    monkeypatch.setattr(datasets.CIFAR10, "url", archive.as_uri())
    with pytest.raises(data.DataNotFoundError, match="could not be downloaded"):
        data.load("cifar10", fallback=False)
    assert not mark.exists() and not list((tmp_path / "cache" / "mmlib").glob("cifar*"))
