"""Pages made from files at the root and from records: citation, changes, times, measured costs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import tomllib
import yaml
from builder import benchmarks, reference, times
from builder.layout import BuildError

import mmlib

ROOT = Path(__file__).resolve().parents[2]


def test_the_citation_file_is_valid_and_speaks_of_this_version():
    cff = reference.citation(ROOT)
    assert reference.problems(cff) == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert cff["version"] == mmlib.__version__
    assert cff["license"] == project["license"]
    assert f"## [{cff['version']}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"authors": []}, "authors"),
        ({"autors": []}, "autors: no such field"),
        ({"cff-version": "1.1.0"}, "expected 1.2.0"),
        ({"references": [{"type": "paper", "title": "t", "authors": [{"name": "n"}]}]}, "type"),
        ({"references": [{"type": "article", "title": "t", "authors": [{"alias": "n"}]}]}, "name"),
        ({"references": [{"type": "article", "authors": [{"name": "n"}], "year": "x"}]}, "title"),
    ],
)
def test_a_citation_file_with_a_mistake_is_refused(change, said):
    found = reference.problems(reference.citation(ROOT) | change)
    assert any(said in problem for problem in found)
    assert reference.problems({"cff-version": "1.2.0"})


def test_bibtex_can_be_read_and_agrees_with_the_bibliography_of_the_book():
    from pybtex.database import parse_string

    made = parse_string(reference.bibtex(reference.citation(ROOT)), "bibtex").entries
    assert len(made) == 1 + len(reference.citation(ROOT)["references"])
    known = parse_string((ROOT / "book/references.bib").read_text(encoding="utf-8"), "bibtex")

    def people(entry):
        return [str(person) for person in entry.persons["author"]]

    def plain(entry):
        return re.sub(r"[{}]", "", entry.fields["title"]).lower()

    by_title = {plain(entry): entry for entry in known.entries.values()}
    for key, entry in made.items():
        if key != "mmlib":
            assert people(entry) == people(by_title[plain(entry)])


def record(**changes) -> str:
    row = {"study": "ch01-a", "key": "k", "code": "new", "seconds": 2.0, "device": "cpu"}
    return json.dumps(row | changes)


def test_times_count_each_run_of_the_newest_code_once(tmp_path):
    (tmp_path / "quick").mkdir()
    lines = [
        record(key="old", code="old", seconds=500.0),
        record(key="a", seconds=9.0),
        "not json",
        record(key="a", seconds=10.0),  # made again
        record(key="b", seconds=110.0, device="cuda"),
    ]
    (tmp_path / "quick" / "ch01-a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "quick" / "ch02-b.jsonl").write_text("", encoding="utf-8")
    found = times.spent(tmp_path, "quick")
    assert list(found) == ["01"]
    assert (found["01"].runs, found["01"].seconds, found["01"].longest) == (2, 120.0, 110.0)
    text = times.table(tmp_path, "quick", [{"id": "01_x", "title": "X"}])
    assert "| 01 X | 1 | 2 | 2.0 min | 1.8 min | `ch01-a`, 2.0 min |" in text
    assert "cpu: 1 runs, cuda: 1 runs" in text
    assert times.table(tmp_path, "paper", []) == "No runs are recorded at profile paper."


def test_every_benchmark_has_a_group_and_every_group_its_file():
    groups = yaml.safe_load((ROOT / "book" / "benchmarks.yml").read_text(encoding="utf-8"))
    bench = json.loads((ROOT / "book" / "results" / "bench.json").read_text(encoding="utf-8"))
    found = benchmarks.grouped(bench["results"], groups)
    assert all(own for _, own in found)
    for group in groups:
        for name in group["file"].split(","):
            assert (ROOT / "tests" / "benchmarks" / f"{name.strip()}.py").is_file()
    with pytest.raises(BuildError, match="'new thing'"):
        benchmarks.grouped({"new thing": {}}, groups)


def test_a_missed_aim_is_named_with_its_reason_and_a_met_one_has_none():
    group = {"title": "T", "match": ".", "file": "mixing", "compares": "C.", "missed": "Because."}
    row = {"ratio": 1.2, "low": 1.1, "high": 1.3, "n": 5, "aim": "at most 1.1", "ok": False}
    bench = {"conditions": {"threads": "1"}, "results": {"a": row, "b": row | {"ok": True}}}
    text = benchmarks.page(bench, [group])
    assert "1 of 2 aims are met" in text and "**Missed:** a. Because." in text
    assert "threads 1" in text and text.count("| **no** |") == 1
    bench["results"]["a"] = row | {"ok": True}
    assert "Because" not in benchmarks.page(bench, [group])
    assert "make bench" in benchmarks.page(None, [group])
