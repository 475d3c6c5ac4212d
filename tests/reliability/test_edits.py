"""What is edited while a build runs is not taken for built."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from builder import state
from builder.layout import read_json

ROOT = Path(__file__).resolve().parents[2]

FIRST = "01_manifold_mixup"


@pytest.fixture
def during(checkout):
    """A function that has something done once, while notebooks run or while pages are staged."""

    def register(moment: str, act) -> None:
        genuine, done = getattr(checkout, moment), []

        def call(*args, **options):
            result = genuine(*args, **options)
            if not done and (moment == "publish" or args[0].stem == FIRST):
                done.append(act())
            return result

        setattr(checkout, moment, call)

    return register


def test_a_notebook_edited_after_its_execution_runs_again(checkout, during, capsys):
    during("execute", lambda: checkout.edit(FIRST, "print('edited')"))
    assert checkout.build() == []
    said = capsys.readouterr().out
    assert f"changed during the build, build again to include it: {FIRST}.ipynb" in said
    assert checkout.pages()[FIRST] == "print(0)"
    checkout.ran.clear()
    assert checkout.build() == [] and checkout.ran == [FIRST]
    assert checkout.pages()[FIRST] == "print('edited')"
    checkout.build()
    assert "nothing changed" in capsys.readouterr().out


def test_an_edit_that_is_undone_while_the_build_runs_is_seen(checkout, during):
    genuine = checkout.execute

    def execute(source, target, **options):
        if source.stem == FIRST and FIRST not in checkout.ran:
            checkout.edit(FIRST, "print('by mistake')")
            result = genuine(source, target, **options)
            checkout.edit(FIRST, "print(0)")
            return result
        return genuine(source, target, **options)

    checkout.execute = execute
    checkout.build()
    checkout.build()
    assert checkout.pages()[FIRST] == "print(0)" and checkout.ran.count(FIRST) == 2


@pytest.mark.parametrize("name", ["book/status.md", "_toc.yml", "book/_static/new.css"])
def test_a_page_edited_after_it_was_staged_is_published_by_the_next_build(
    checkout, during, capsys, name
):
    path = checkout.layout.root / name

    def edit():
        with open(path, "a", encoding="utf-8") as file:
            file.write("\n")

    during("publish", edit)
    checkout.build()
    assert path.name in capsys.readouterr().out
    checkout.ran.clear()
    checkout.build()
    assert "changed" not in capsys.readouterr().out and checkout.ran == []
    checkout.build()
    assert "nothing changed" in capsys.readouterr().out


def test_every_file_that_pages_are_made_of_is_watched():
    code = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "book/builder").glob("*.py"))
    named = set(re.findall(r'\broot / "(\w[^"/]*\.\w+|[A-Z]+)"', code))
    assert {"CITATION.cff", "LICENSE", "_toc.yml"} <= named
    assert named <= {path.name for path in state.sources(ROOT)}


def test_runs_that_a_notebook_records_do_not_make_it_run_again(
    checkout, during, monkeypatch, results, record, capsys
):
    from builder import run

    from mmlib.evidence import records

    monkeypatch.setattr(run.claims, "study_names", lambda modules: ["toy"])
    during("execute", lambda: records.append(results / "smoke" / "toy.jsonl", record(0)))
    checkout.build()
    assert "build again" not in capsys.readouterr().out
    checkout.ran.clear()
    checkout.build()
    assert checkout.ran == [] and "nothing changed" in capsys.readouterr().out
    records.append(results / "smoke" / "toy.jsonl", record(1))
    checkout.build()
    assert len(checkout.ran) == 2, "runs that came from elsewhere are loaded"


def test_copies_of_editors_and_caches_are_no_sources(checkout, during, capsys):
    names = (".status.md.swp", "status.md~", "__pycache__/x.pyc", "results/quick/toy.jsonl")

    def litter():
        for name in names:
            path = checkout.layout.root / "book" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x", encoding="utf-8")

    during("publish", litter)
    checkout.build()
    checkout.build()
    said = capsys.readouterr().out
    assert "build again" not in said and "nothing changed" in said


def test_a_notebook_restored_after_a_killed_build_is_not_taken_for_the_one_that_ran(
    checkout, monkeypatch
):
    checkout.build()
    checkout.edit(FIRST, "print('new')")
    genuine = checkout.execute

    def killed_after_it(source, target, **options):
        genuine(source, target, **options)
        place = checkout.layout.executed("smoke") / source.name
        os.replace(target, place)  # as an accepted one, before anything is remembered
        raise KeyboardInterrupt

    checkout.execute = killed_after_it
    with pytest.raises(KeyboardInterrupt):
        checkout.build()
    entries = read_json(checkout.layout.build / "state.json", {})["notebooks"]["smoke"]
    assert "hash" not in entries[FIRST]
    checkout.edit(FIRST, "print(0)")
    checkout.execute = genuine
    assert checkout.build() == [] and checkout.pages()[FIRST] == "print(0)"
