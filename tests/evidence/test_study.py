"""Studies load what fits, compute what is missing, and give the same table either way."""

from __future__ import annotations

import json
import os
import signal
import time

import numpy as np
import pandas as pd
import pytest

from mmlib.evidence import Study, StudyError, execute, provenance, records
from mmlib.evidence.cluster import Conditions

RUN = '''
import random

def run(settings, seed):
    """Return a number that depends on the settings and the seed alone."""
    rng = random.Random(f"{settings['method']} {seed}")
    return {"accuracy": rng.random() + 3 * (settings["method"] == "b")}
'''
CELLS = [{"method": "a", "alpha": 1.0}, {"method": "b"}]


@pytest.fixture
def study(module):
    return Study("toy", module(RUN).run, {"quick": CELLS}, {"quick": 5}, {"quick": 2}, n_jobs=1)


def again(study: Study, **changes) -> Study:
    options = {"name": "toy", "run": study.run, "grid": study.grid, "n_jobs": 1}
    return Study(**(options | {"seeds": study.seeds, "live_seeds": study.live_seeds} | changes))


def counts(runs) -> tuple[int, int, tuple[int, ...]]:
    return runs.loaded, runs.computed, runs.seeds


def test_missing_runs_are_computed_once_and_seeds_are_whole(study):
    assert counts(study.collect("quick")) == (0, 4, (0, 1))  # only the live seeds
    assert counts(study.collect("quick")) == (4, 0, (0, 1))
    assert counts(study.collect("quick", n_seeds=4)) == (4, 4, (0, 1, 2, 3))
    assert counts(study.collect("quick")) == (8, 0, (0, 1, 2, 3))  # all that are recorded
    assert counts(study.collect("quick", n_seeds=1)) == (2, 0, (0,))
    assert counts(study.collect("quick", first_seed=3)) == (2, 2, (3, 4))
    assert counts(study.load("quick")) == (10, 0, (0, 1, 2, 3, 4))


def test_a_seed_that_not_all_cells_have_does_not_count(study):
    study.collect("quick", n_seeds=3)
    path = study.path("quick")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if '"seed": 1' not in line or '"b"' not in line))
    assert counts(study.load("quick")) == (4, 0, (0, 2))
    assert counts(study.collect("quick")) == (4, 0, (0, 2))
    assert counts(study.collect("quick", n_seeds=3)) == (5, 1, (0, 1, 2))


def test_the_table_is_tidy_and_the_order_of_the_file_does_not_matter(study):
    table = study.collect("quick", n_seeds=3).table
    assert list(table.columns) == ["method", "alpha", "seed", "accuracy"]
    assert table["seed"].tolist() == [0, 0, 1, 1, 2, 2]
    assert table["alpha"].isna().tolist() == [False, True] * 3
    path = study.path("quick")
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    pd.testing.assert_frame_equal(study.load("quick").table, table, check_exact=True)


def test_equal_seeds_give_equal_records_and_different_seeds_differ(study, results, monkeypatch):
    first = study.collect("quick", n_seeds=2).records
    monkeypatch.setenv("MMLIB_RESULTS", str(results / "other"))
    second = study.collect("quick", n_seeds=2).records
    for row in [*first, *second]:
        for varying in ("time", "seconds"):
            row.pop(varying)
    assert json.dumps(first) == json.dumps(second)
    assert len({row["metrics"]["accuracy"] for row in first}) == 4


def test_recompute_runs_all_again_and_the_newest_record_counts(study):
    honest = study.collect("quick").table
    path = study.path("quick")
    lines = path.read_text().splitlines()
    old = [json.loads(line) | {"metrics": {"accuracy": 9.0}} for line in lines]
    path.write_text("".join(map(records.line_of, old)))
    assert set(study.collect("quick").table["accuracy"]) == {9.0}
    runs = study.collect("quick", recompute=True)
    assert counts(runs) == (0, 4, (0, 1))
    pd.testing.assert_frame_equal(runs.table, honest)
    pd.testing.assert_frame_equal(study.collect("quick").table, honest)
    assert len(path.read_text().splitlines()) == 8  # nothing is deleted


def test_settings_seed_data_and_code_must_match(study, tmp_path, module):
    study.collect("quick")
    assert counts(again(study, grid={"quick": [{"method": "c"}]}).collect("quick"))[1] == 2
    other = Study("toy", module(RUN + "\nx = 1\n").run, study.grid, {"quick": 2}, n_jobs=1)
    assert counts(other.collect("quick"))[1] == 4
    assert len(study.stale()) == 4 and len(other.stale()) == 6


def test_overrides_replace_settings_where_they_are(study):
    study.collect("quick")
    runs = study.collect("quick", overrides={"alpha": 4})
    assert counts(runs) == (2, 2, (0, 1)) and runs.overrides == {"alpha": 4}
    assert study.collect("quick", overrides={"alpha": 1}).overrides == {}  # as in the grid
    assert runs.table["alpha"].tolist()[0] == 4 and np.isnan(runs.table["alpha"][1])
    assert len(study.collect("quick", overrides={"method": "a"}).table) == 4
    with pytest.raises(ValueError, match="overrides: expected one of 'alpha', 'method'.*'alpa'"):
        study.collect("quick", overrides={"alpa": 4})


FAILING = RUN + '''
def fragile(settings, seed):
    if settings["method"] == "b" and seed == 1:
        raise RuntimeError("diverged at step 7")
    return run(settings, seed)
'''


def test_one_failure_keeps_the_rest_and_is_reported_with_its_settings(module):
    study = Study("toy", module(FAILING).fragile, {"quick": CELLS}, {"quick": 3}, n_jobs=1)
    with pytest.raises(StudyError, match="1 of 6 runs failed") as caught:
        study.collect("quick")
    assert "'method': 'b'" in str(caught.value) and "seed 1" in str(caught.value)
    assert "RuntimeError: diverged at step 7 (toy_" in str(caught.value)
    assert caught.value.failed[0][:2] == ({"method": "b"}, 1)
    assert counts(study.load("quick")) == (4, 0, (0, 2))
    runs = study.collect("quick", n_seeds=3, allow_failures=True)
    assert counts(runs) == (5, 0, (0, 2)) and len(runs.failed) == 1
    assert "1 runs failed" in runs.summary()


RESULTS = '''
import numpy as np

def run(settings, seed):
    kind = settings["kind"]
    if kind == "arrays":
        return {"x": np.float32(0.5)}, {"curve": np.arange(3, dtype="float16") + seed}
    if kind == "big":
        return {"x": 1}, {"noise": np.random.default_rng(0).random(10**6)}
    if kind == "clash":
        return {"kind": 1.0}
    if kind == "nan":
        return {"x": float("nan")}
    if kind == "tuple":
        return {"x": len(settings["layers"]), "hash": hash(settings["layers"]) * 0}
    return {"x": "a text"}
'''


def of_kind(module, kind: str, **more) -> Study:
    return Study("kinds", module(RESULTS).run, {"quick": [{"kind": kind, **more}]}, n_jobs=1)


def test_arrays_lie_beside_the_record_or_are_made_again(module):
    study = of_kind(module, "arrays")
    runs = study.collect("quick", n_seeds=2)
    (path,) = study.path("quick").with_suffix("").glob(f"{runs.records[1]['key']}-*.npz")
    for row in (1, runs.table.iloc[1], list(runs.table.itertuples())[1]):
        assert runs.arrays(row)["curve"].tolist() == [1, 2, 3]
    path.unlink()
    assert runs.arrays(1)["curve"].tolist() == [1, 2, 3] and path.exists()
    with pytest.raises(KeyError, match="recorded no arrays"):
        of_kind(module, "nan").collect("quick", n_seeds=1).arrays(0)


@pytest.mark.parametrize(
    "kind, message",
    [("big", "at most 1 MB"), ("clash", "that of a setting"), ("text", "expected a number")],
)
def test_results_that_cannot_be_recorded_are_failures(module, kind, message):
    with pytest.raises(StudyError, match=message):
        of_kind(module, kind).collect("quick", n_seeds=1)


def test_nan_is_recorded_and_marked_and_lists_arrive_as_tuples(module):
    runs = of_kind(module, "nan").collect("quick", n_seeds=1)
    assert np.isnan(runs.table["x"][0]) and "1 metrics are not finite" in runs.summary()
    runs = of_kind(module, "tuple", layers=["input", 2]).collect("quick", n_seeds=1)
    assert runs.table["layers"][0] == ("input", 2) and runs.table["x"][0] == 2


class Data:
    """Data that can go away: what `resolve` and `fingerprint` of the data room do."""

    def __init__(self) -> None:
        self.present, self.version = True, "1"

    def resolve(self, name: str) -> str:
        return name if self.present or name == "digits" else "digits"

    def fingerprint(self, name: str) -> str:
        return f"{name} {self.version}"


@pytest.fixture
def data_study(module):
    data = Data()
    options = {"resolve": data.resolve, "fingerprint": data.fingerprint, "n_jobs": 1}
    seeds = {"quick": 5}
    return data, Study(
        "toy", module(RUN).run, {"quick": CELLS}, seeds, {"quick": 2}, "mnist", **options
    )


def test_recorded_runs_load_where_the_data_are_absent(data_study):
    data, study = data_study
    study.collect("quick", n_seeds=1)
    data.present = False
    runs = study.collect("quick")  # one real seed is better than two on a stand-in
    assert counts(runs) == (2, 0, (0,)) and not runs.is_stand_in and runs.data_text == "mnist"


def test_the_whole_study_moves_to_the_stand_in_when_something_must_be_computed(data_study):
    data, study = data_study
    study.collect("quick", n_seeds=1)
    data.present = False
    runs = study.collect("quick", n_seeds=2)
    assert counts(runs) == (0, 4, (0, 1)) and set(runs.table["data"]) == {"digits"}
    assert runs.is_stand_in and "data digits (stands in for mnist)" in runs.summary()
    assert {row["data"]["asked"] for row in runs.records} == {"mnist"}
    assert counts(study.collect("quick", n_seeds=2)) == (4, 0, (0, 1))
    assert study.load("quick").data == {"mnist": "mnist"} and study.load("quick").loaded == 2
    data.present = True
    runs = study.collect("quick", n_seeds=2)
    assert counts(runs) == (2, 2, (0, 1)) and set(runs.table["data"]) == {"mnist"}


def test_runs_on_another_state_of_the_data_do_not_count(data_study):
    data, study = data_study
    study.collect("quick", n_seeds=1)
    data.version = "2"
    assert counts(study.collect("quick", n_seeds=1)) == (2, 0, (0,))  # nothing had to be read
    runs = study.collect("quick", n_seeds=2)
    assert counts(runs) == (0, 4, (0, 1))
    assert {row["data"]["fingerprint"] for row in runs.records} == {"mnist 2"}


def test_a_real_seed_is_not_mixed_with_stand_ins_when_nothing_is_recorded(data_study):
    data, study = data_study
    data.present = False
    assert study.collect("quick").is_stand_in


def test_the_code_must_be_the_one_in_memory(study, tmp_path):
    path = tmp_path / f"{study.run.__module__}.py"
    path.write_text(path.read_text().replace("Return a number", "Return one number"))
    study.collect("quick", n_seeds=1)  # a docstring was mended
    path.write_text(path.read_text().replace("3 *", "4.0 *"))
    with pytest.raises(StudyError, match="restart the kernel"):
        study.collect("quick", n_seeds=1)


def test_a_process_that_finds_other_code_runs_nothing(study):
    elsewhere = Conditions("other")
    (outcome,) = [o for _, o in execute.run_all(study.run, elsewhere, [({}, 0)], {}, 1, None)]
    assert "found other code on the disk" in outcome.error and not outcome.metrics


def test_a_read_only_results_folder_matters_only_when_something_is_written(study, monkeypatch):
    study.collect("quick")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert study.collect("quick").loaded == 4
    with pytest.raises(OSError, match="MMLIB_RESULTS"):
        study.collect("quick", n_seeds=3)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"name": "a/b"}, "name: expected letters"),
        ({"grid": {"quik": CELLS}}, "profile: expected one of.*'quik'"),
        ({"grid": {"quick": []}}, "at least one cell"),
        ({"grid": {"quick": [{"seed": 1}]}}, "'seed' is not a setting"),
        ({"grid": {"quick": [{"a": object}]}}, "a: expected text"),
        ({"seeds": {"quick": 0}}, r"seeds\['quick'\]: expected an integer >= 1"),
    ],
)
def test_wrong_studies_are_refused(study, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        again(study, **options)


def test_wrong_calls_are_refused(study):
    with pytest.raises(ValueError, match="profile: expected one of 'quick', but got 'paper'"):
        study.collect("paper")
    with pytest.raises(ValueError, match="n_seeds: expected an integer >= 1, but got 0"):
        study.collect("quick", n_seeds=0)
    study.evidence("MM1-F1-hidden")(lambda runs: None)
    with pytest.raises(ValueError, match="has its evidence already"):
        study.evidence("MM1-F1-hidden")(lambda runs: None)


def test_provenance_states_everything_and_does_not_change_between_builds(data_study):
    data, study = data_study
    study.collect("quick")
    first, second = provenance(study.collect("quick")), provenance(study.collect("quick"))
    assert str(first) == str(second) and first._repr_html_() == second._repr_html_()
    for part in ("profile quick", "mnist 1", study.code, "python 3", "cpu", "torch", "seconds"):
        assert part in str(first)
    data.present = False
    stand_in = str(provenance(study.collect("quick", n_seeds=3)))
    assert "digits (stands in for mnist), embedded, it stands in for real data" in stand_in
    assert "| data |" in first._repr_markdown_()


# ---------------------------------------------------------------- in processes of their own

SLOW = '''
import random, time
import numpy as np

def run(settings, seed):
    with open({log!r}, "a") as log:
        log.write(f"{{settings['method']}} {{seed}}\\n")
    time.sleep({seconds})
    rng = random.Random(f"{{settings['method']}} {{seed}}")
    matrix = np.random.default_rng(seed).normal(size=(300, 300))
    return {{"accuracy": rng.random(), "loss": (matrix @ matrix @ matrix).sum()}}
'''
COLLECT = '''
from mmlib.evidence import Study
from slow import run

if __name__ == "__main__":
    grid = [{{"method": m}} for m in "abcd"]
    study = Study("slow", run, {{"quick": grid}}, {{"quick": 3}})
    runs = study.collect("quick", n_jobs={jobs})
    print(runs.loaded, runs.computed)
    print(runs.table.to_json(double_precision=15), [x.hex() for x in runs.table["loss"]])
'''


def finish(process) -> tuple[list[str], str]:
    out, bar = process.communicate(timeout=120)
    assert process.returncode == 0, bar
    return out.splitlines(), bar


@pytest.fixture
def uninterrupted(module, tmp_path, monkeypatch):
    """The lines that `COLLECT` prints when all runs are made one after another, and the log."""
    log = tmp_path / "log"
    source = SLOW.format(log=str(log), seconds=0.0)
    grid = [{"method": m} for m in "abcd"]
    study = Study("slow", module({"slow.py": source}, "slow").run, {"quick": grid}, {"quick": 3})
    with monkeypatch.context() as context:
        context.setenv("MMLIB_RESULTS", str(tmp_path / "whole"))
        table = study.collect("quick", n_jobs=1).table
    lines = f"{table.to_json(double_precision=15)} {[x.hex() for x in table['loss']]}"
    (tmp_path / "slow.py").write_text(SLOW.format(log=str(log), seconds=0.15))
    log.write_text("")
    return [lines], log


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_study_resumes_and_its_table_is_that_of_an_uninterrupted_one(
    tmp_path, python, uninterrupted, jobs
):
    table, log = uninterrupted
    script, path = COLLECT.format(jobs=jobs), tmp_path / "results" / "quick" / "slow.jsonl"
    process = python(script)
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text().count("\n") >= 4):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)  # with its workers, which would idle for minutes
    process.communicate()
    held = path.read_text().count("\n")
    assert 4 <= held < 12
    log.write_text("")
    lines, bar = finish(python(script, TQDM_DISABLE=""))
    assert lines == [f"{held} {12 - held}", *table]
    assert len(log.read_text().splitlines()) == 12 - held
    assert "slow: 100%" in bar and f"{12 - held}/{12 - held}" in bar and "run" in bar


def test_processes_give_the_same_bits_as_one_after_another(python, uninterrupted):
    lines, bar = finish(python(COLLECT.format(jobs=2), TQDM_DISABLE="1"))
    assert lines == ["0 12", *uninterrupted[0]] and "12/12" not in bar


DYING = """
import os, pathlib, signal, time

def run(settings, seed):
    log = pathlib.Path({log!r})
    log.open("a").write(settings["method"])
    if settings["method"] == "b" and (seed == 1 or log.read_text().count("b") == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return {{"x": 1.0}}
"""

SURVIVE = """
from mmlib.evidence import Study, StudyError
from dying import run
if __name__ == "__main__":
    study = Study("dying", run, {{"quick": [{{"method": m}} for m in "abcdefgh"]}}, {{"quick": 2}})
    try:
        print(len(study.collect("quick", n_jobs=2, first_seed={seed}, n_seeds=1).records))
    except StudyError as error:
        print(error)
"""


def test_a_killed_process_costs_only_what_it_was_doing(tmp_path, python):
    log = tmp_path / "log"
    (tmp_path / "dying.py").write_text(DYING.format(log=str(log)))
    assert finish(python(SURVIVE.format(seed=0)))[0] == ["8"]
    assert sorted(set(log.read_text())) == list("abcdefgh")
    # Two processes are handed two runs each; one more may have begun when the others were taken up.
    assert len(log.read_text()) <= 8 + 4 + 1


def test_a_run_that_kills_its_process_each_time_fails_alone(tmp_path, python):
    (tmp_path / "dying.py").write_text(DYING.format(log=str(tmp_path / "log")))
    text = "\n".join(finish(python(SURVIVE.format(seed=1)))[0])
    assert "1 of 8 runs failed" in text and "{'method': 'b'}, seed 1" in text
    assert "its process ended before it did" in text
    held = (tmp_path / "results" / "quick" / "dying.jsonl").read_text()
    assert held.count("\n") == 7
