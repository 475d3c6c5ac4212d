"""A clock that is wrong, or goes backwards, changes no number and no order."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import pytest
from builder import state
from builder.layout import read_json

from mmlib.evidence import Study, artifacts, records

RUN = """
def run(settings, seed):
    return {"x": seed / 3}, {"curve": [seed] * 10}
"""
YEARS = {"1970": 0.0, "1979": 3e8, "2100": 4.2e9}


class Clock:
    """What the time module and the records take for now."""

    def __init__(self, monkeypatch) -> None:
        self.now = time.time()
        genuine = records.datetime
        monkeypatch.setattr(time, "time", lambda: self.now)

        class Wrong(genuine):
            @classmethod
            def now(cls, zone=None):
                return genuine.fromtimestamp(clock.now, zone)

        clock = self
        monkeypatch.setattr(records, "datetime", Wrong)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def study(module) -> Study:
    return Study("toy", module(RUN).run, {"quick": [{"a": 1}]}, {"quick": 4}, n_jobs=1)


@pytest.mark.parametrize("year", YEARS)
def test_runs_are_recorded_and_read_in_any_year(study, clock, year):
    """A zip file cannot hold a date before 1980: arrays carry none."""
    clock.now = YEARS[year]
    runs = study.collect("quick")
    assert runs.records[0]["time"].startswith(year[:3])
    assert study.collect("quick").loaded == 4
    assert [runs.arrays(row)["curve"][0] for row in range(4)] == [0, 1, 2, 3]


def test_the_last_line_counts_whatever_its_date(study, clock):
    clock.now = YEARS["2100"]
    study.collect("quick")
    path = study.path("quick")
    wrong = [row | {"metrics": {"x": 9.0}} for row in records.read(path)]
    path.write_text("".join(map(records.line_of, wrong)), encoding="utf-8")
    clock.now = YEARS["1970"]
    again = study.collect("quick", recompute=True)
    assert study.load("quick").table.equals(again.table) and 9.0 not in set(again.table["x"])


def test_equal_arrays_are_equal_files_at_any_time(clock):
    packed = []
    for clock.now in YEARS.values():
        packed.append(artifacts.pack("key", {"a": [1.0, 2.0]}))
    assert len(set(packed)) == 1


@pytest.mark.parametrize("date", YEARS.values(), ids=YEARS)
def test_a_checkout_with_odd_dates_is_built_once(checkout, capsys, date):
    checkout.build()
    checkout.ran.clear()
    for path in checkout.layout.root.rglob("*"):
        os.utime(path, (date, date))
    assert checkout.build() == [] and checkout.ran == []
    assert "nothing changed" in capsys.readouterr().out
    checkout.edit("01_manifold_mixup", "print(1)")
    os.utime(checkout.layout.root / "notebooks" / "01_manifold_mixup.ipynb", (date, date))
    assert checkout.build() == [] and checkout.ran == ["01_manifold_mixup"]


def test_a_build_under_a_clock_of_1970_is_not_older_than_one_of_today(checkout, clock):
    checkout.build()
    clock.now = YEARS["1970"]
    checkout.edit("01_manifold_mixup", "print(1)")
    checkout.ran.clear()
    checkout.build()
    assert checkout.ran == ["01_manifold_mixup"]
    entries = read_json(checkout.layout.build / "state.json", {})["notebooks"]["smoke"]
    assert all(entry["hash"] for entry in entries.values())


def test_an_edit_of_the_same_size_at_the_same_date_is_seen(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("one", encoding="utf-8")
    os.utime(path, (0, 0))
    before = state.dates([path])
    path.write_text("two", encoding="utf-8")
    os.utime(path, (0, 0))
    assert state.changed(before, state.dates([path])) == {path}


@pytest.mark.slow
def test_distributions_are_made_of_files_from_1970(tmp_path):
    root = records.PACKAGE.parent
    copy = tmp_path / "copy"
    leave = shutil.ignore_patterns("__pycache__", "results")
    shutil.copytree(root / "mmlib", copy / "mmlib", ignore=leave)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, copy / name)
    for path in copy.rglob("*"):
        os.utime(path, (0, 0))
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path / "dist")]
    env = os.environ | {"SOURCE_DATE_EPOCH": "0"}
    done = subprocess.run(
        [*command, str(copy)], env=env, cwd=tmp_path, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert sorted(path.suffix for path in (tmp_path / "dist").iterdir()) == [".gz", ".whl"]
