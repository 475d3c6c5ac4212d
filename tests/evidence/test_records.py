"""Records survive kills, damage and several writers."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mmlib.evidence import records
from mmlib.evidence.records import RecordWarning


def record(seed: int, **metrics: float) -> dict:
    encoded = {name: records.encode_metric(name, value) for name, value in metrics.items()}
    return {
        "study": "toy",
        "profile": "quick",
        "key": f"k{seed}",
        "settings": {"method": "é"},
        "seed": seed,
        "metrics": encoded,
        "data": {"name": None, "asked": None, "fingerprint": None},
        "code": "c",
        "artifact": None,
    }


def read_seeds(path) -> list[int]:
    return [row["seed"] for row in records.read(path)]


def test_floats_come_back_exactly_and_values_that_are_not_finite_are_marked(results):
    path = results / "a.jsonl"
    values = {"third": 1 / 3, "tiny": 5e-324, "big": 1.7976931348623157e308, "sum": 0.1 + 0.2}
    records.append(path, record(0, **values, odd=math.nan, top=math.inf, low=-math.inf))
    (row,) = records.read(path)
    assert {name: row["metrics"][name] for name in values} == values
    assert [row["metrics"][n] for n in ("odd", "top", "low")] == ["NaN", "Infinity", "-Infinity"]
    assert float(row["metrics"]["low"]) == -math.inf
    json.loads(path.read_text())  # one line of standard JSON


def test_a_damaged_line_is_reported_by_number_and_skipped(results):
    path = results / "a.jsonl"
    for seed in range(4):
        records.append(path, record(seed, x=0.5))
    lines = path.read_text().splitlines(keepends=True)
    lines[1] = lines[1].replace("0.5", "0.6")
    lines[2] = "\x00\x00 not a record\n"
    path.write_text("".join(lines))
    with pytest.warns(RecordWarning) as caught:
        assert read_seeds(path) == [0, 3]
    messages = [str(one.message) for one in caught]
    assert "a.jsonl, line 2: damaged record skipped, its checksum" in messages[0]
    assert "a.jsonl, line 3: damaged record skipped, it is not a whole record" in messages[1]
    before = path.read_bytes()
    with pytest.warns(RecordWarning):
        records.append(path, record(4, x=0.5))
        assert read_seeds(path) == [0, 3, 4]
    assert path.read_bytes().startswith(before)  # nothing is ever deleted


@pytest.mark.parametrize("kept", [1, 60, -1])
def test_an_unfinished_last_line_is_closed_off(results, kept):
    path = results / "a.jsonl"
    records.append(path, record(0, x=1.0))
    whole = path.read_text()
    records.append(path, record(1, x=1.0))
    path.write_text(whole + path.read_text()[len(whole) :][:kept])
    records.append(path, record(2, x=1.0))
    if kept == -1:  # only the end of the line was lost: the record is whole
        assert read_seeds(path) == [0, 1, 2]
    else:
        with pytest.warns(RecordWarning, match="line 2"):
            assert read_seeds(path) == [0, 2]


WRITER = '''
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from mmlib.evidence import records
from test_records import record
for seed in range({first}, {first} + 100):
    records.append(Path({path!r}), record(seed, x=seed / 7, text=1.0))
'''


def test_two_writers_at_once_lose_nothing(results, python, request):
    path = results / "a.jsonl"
    tests = str(request.path.parent)
    writers = [
        python(WRITER.format(tests=tests, first=1000 * n, path=str(path)), f"writer{n}.py")
        for n in range(2)
    ]
    for writer in writers:
        _, problem = writer.communicate(timeout=60)
        assert writer.returncode == 0, problem
    assert sorted(read_seeds(path)) == [*range(100), *range(1000, 1100)]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "quick" / "a.jsonl"
    with pytest.raises(OSError, match="MMLIB_RESULTS"):
        records.append(path, record(0))
    with pytest.raises(OSError, match="is not a folder"):
        records.check_writable(path)
    assert records.read(tmp_path / "absent.jsonl") == []


def test_a_read_only_folder_is_named(results, monkeypatch):
    monkeypatch.setattr(records.os, "access", lambda path, mode: False)
    with pytest.raises(OSError, match="read-only.*MMLIB_RESULTS"):
        records.check_writable(results / "quick" / "a.jsonl")


def test_whole_numbers_are_equal_as_settings_and_other_types_are_refused():
    assert records.key_of({"a": [1, 2.0]}) == records.key_of({"a": [1.0, 2]})
    assert records.key_of({"a": True}) != records.key_of({"a": 1})
    assert records.plain("a", np.float32(0.5)) == 0.5
    assert records.plain("a", (1, "b", None)) == [1, "b", None]
    with pytest.raises(TypeError, match="a: expected text, a number"):
        records.plain("a", object())
    with pytest.raises(ValueError, match="a: expected a finite number"):
        records.plain("a", math.nan)
    with pytest.raises(TypeError, match="metric 'curve': expected a number"):
        records.encode_metric("curve", [1.0, 2.0])
