"""A notebook is executed again exactly when something that its outputs depend on has changed."""

from __future__ import annotations

import pytest
from builder import state


@pytest.fixture
def checkout(tmp_path):
    files = {
        "notebooks/01.ipynb": "{}",
        "mmlib/ch01.py": "x = 0",
        "mmlib/ch02.py": "x = 1",
        "results/quick/ch01-nll.jsonl": "{}\n",
        "results/quick/ch01-nll/a.npz": "array",
        "results/quick/ch02-toy.jsonl": "{}\n",
        "requirements.lock": "torch==2.8.0",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def hashed(root, *, profile="quick", data=("mnist",)):
    modules = [root / "mmlib" / "ch01.py"]
    studies = ["ch01-nll", "ch01-cost"]
    return state.notebook_hash(
        root / "notebooks" / "01.ipynb",
        root=root,
        profile=profile,
        modules=modules,
        records=state.record_files(root / "results", profile, studies),
        data=data,
        environment=root / "requirements.lock",
    )


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("notebooks/01.ipynb", True),
        ("mmlib/ch01.py", True),
        ("results/quick/ch01-nll.jsonl", True),
        ("results/quick/ch01-nll/a.npz", True),
        ("results/quick/ch01-cost.jsonl", True),
        ("requirements.lock", True),
        ("mmlib/ch02.py", False),
        ("results/quick/ch02-toy.jsonl", False),
        ("results/paper/ch01-nll.jsonl", False),
    ],
)
def test_hash_follows_what_the_notebook_depends_on(checkout, name, changes):
    before = hashed(checkout)
    path = checkout / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as handle:
        handle.write("\n# more")
    assert (hashed(checkout) != before) is changes


def test_hash_follows_profile_and_data_but_not_dates_or_place(checkout, tmp_path_factory):
    before = hashed(checkout)
    assert hashed(checkout, profile="smoke") != before
    assert hashed(checkout, data=()) != before
    assert hashed(checkout, data=("mnist", "cifar10")) != before
    (checkout / "mmlib" / "ch01.py").touch()
    assert hashed(checkout) == before
    elsewhere = tmp_path_factory.mktemp("clone") / "repo"
    checkout.rename(elsewhere)
    assert hashed(elsewhere) == before


def test_a_deleted_module_changes_the_hash(checkout):
    path = checkout / "mmlib" / "ch01.py"
    before = state.files_digest([path], checkout)
    path.unlink()
    assert state.files_digest([path], checkout) != before


def test_digest_separates_names_from_contents():
    assert state.digest([("a", b"bc")]) != state.digest([("ab", b"c")])
    assert state.digest([("a", b"1"), ("b", b"2")]) == state.digest([("b", b"2"), ("a", b"1")])


def test_listing_sees_new_and_changed_files_but_reads_none(tmp_path):
    before = state.listing(tmp_path)
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    empty = state.listing(tmp_path)
    (tmp_path / "MNIST" / "raw" / "images").write_bytes(b"12")
    full = state.listing(tmp_path)
    (tmp_path / "MNIST" / "raw" / "images").write_bytes(b"123")
    assert len({before, empty, full, state.listing(tmp_path)}) == 4
    assert state.listing(tmp_path / "missing") == ""
