"""Two processes at one file: builds wait for their turn, records mix without loss."""

from __future__ import annotations

import os
import signal

import pytest
from builder.layout import BuildError, exclusive

from mmlib.evidence import Study, records


def held(layout):
    """Work that holds the lock of a build until it is killed."""

    def work(say):
        with exclusive(layout):
            say(os.getpid())
            signal.pause()

    return work


def wait_for_lock(child) -> int:
    """Return what a child said first, without waiting for its end."""
    return int(os.read(child.ear, 100))


def test_a_second_build_is_refused_by_number_and_a_killed_one_frees_the_lock(
    checkout, fork, capsys
):
    import build as command

    child = fork(held(checkout.layout))
    owner = wait_for_lock(child)
    arguments = ["--root", str(checkout.layout.root), "--profile", "smoke"]
    assert command.main(arguments) == 2 and checkout.ran == []
    assert f"running (process {owner}). Wait for it" in capsys.readouterr().err
    child.kill()
    assert command.main(arguments) == 0 and len(checkout.ran) == 2


def test_a_lock_is_no_longer_held_by_what_a_killed_build_had_started(checkout, fork):
    import subprocess

    def work(say):
        with exclusive(checkout.layout):
            kernel = subprocess.Popen(["sleep", "60"])
            say(kernel.pid)
            signal.pause()

    child = fork(work)
    kernel = wait_for_lock(child)
    child.kill()
    try:
        with exclusive(checkout.layout):
            pass
    finally:
        os.kill(kernel, signal.SIGKILL)


def test_where_nothing_can_be_locked_the_builds_are_not_said_to_meet(checkout, monkeypatch):
    from builder import layout

    def no_locks(*args):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(layout.fcntl, "flock", no_locks)
    with pytest.raises((OSError, BuildError)) as caught:
        with exclusive(checkout.layout):
            pass
    assert "another build" not in str(caught.value) and "No locks" in str(caught.value)


def test_long_lines_of_three_writers_are_neither_lost_nor_interleaved(results, fork, record):
    path = results / "toy.jsonl"

    def writer(number):
        def work(say):
            for seed in range(number * 100, number * 100 + 30):
                records.append(path, record(seed, note=str(number) * 100_000))

        return work

    children = [fork(writer(number)) for number in range(3)]
    for child in children:
        child.finish()
        assert child.code == 0
    found = records.read(path)  # a warning would be an error
    assert sorted(row["seed"] for row in found) == [
        n * 100 + s for n in range(3) for s in range(30)
    ]
    assert all(set(row["note"]) == {str(row["seed"] // 100)} for row in found)


RUN = """
import time

def run(settings, seed):
    time.sleep(0.003)
    return {"x": seed / 3}, {"curve": [seed] * 50}
"""


def test_two_collectors_of_one_study_end_with_the_same_table(module, fork):
    study = Study("toy", module(RUN).run, {"quick": [{"a": 1}]}, {"quick": 12}, n_jobs=1)

    def work(say):
        say(study.collect("quick").table.to_json(double_precision=15))

    one, two = fork(work), fork(work)
    assert one.finish() == two.finish() != []
    assert (one.code, two.code) == (0, 0)
    runs = study.collect("quick")
    assert (runs.loaded, runs.computed) == (12, 0)
    assert [runs.arrays(row)["curve"][0] for row in range(12)] == list(range(12))
