"""A full disk: nothing is left half written, the message says what to do, nothing is lost."""

from __future__ import annotations

import errno
import os
import resource
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from builder import execute as papermill
from builder import site
from builder.layout import read_json, write_json

import mmlib.evidence
from mmlib.evidence import RecordWarning, Study, StudyError, artifacts, execute, records
from mmlib.training.checkpoint import Checkpoint
from mmlib.training.history import History

PUBLISH = site.publish  # before a test puts a stand-in for it


def limited(fork, n_bytes: int, act) -> list:
    """Let a copy of this process act with files of at most `n_bytes`; return what it raised.

    The limit is the kernel's own, so a write really stops in the middle.
    """

    def work(say):
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
        try:
            act()
        except Exception as error:
            say([type(error).__name__, str(error)])

    return fork(work).finish()


def test_of_a_record_nothing_or_all_is_written(results, fork, record):
    path = results / "quick" / "toy.jsonl"
    records.append(path, record(0))
    before, line = path.read_bytes(), len(records.line_of(record(1)).encode())
    for room in (0, 1, line // 2, line - 1):
        ((kind, message),) = limited(
            fork, len(before) + room, lambda: records.append(path, record(1))
        )
        assert kind == "OSError" and str(path) in message
        assert "File too large" in message and "free space on that disk" in message
        assert "set MMLIB_RESULTS" in message
        assert path.read_bytes() == before
    assert limited(fork, len(before) + line, lambda: records.append(path, record(1))) == []
    assert [row["seed"] for row in records.read(path)] == [0, 1]


def test_an_unfinished_line_of_another_process_stays_closed_off(results, fork, record, seeds_of):
    path = results / "quick" / "toy.jsonl"
    records.append(path, record(0))
    with open(path, "ab") as file:
        file.write(b'{"study": "to')
    size = path.stat().st_size
    assert limited(fork, size + 40, lambda: records.append(path, record(1)))
    assert path.stat().st_size == size
    records.append(path, record(2))
    assert seeds_of(path)[0] == [0, 2]


def test_arrays_and_state_are_whole_or_absent(tmp_path, fork):
    name, packed = artifacts.pack("key", {"a": np.random.default_rng(0).random(5000)})
    state = tmp_path / "state.json"
    write_json(state, {"old": True})
    ((kind, message),) = limited(fork, 9000, lambda: artifacts.write(tmp_path / name, packed))
    assert kind == "OSError" and name in message and "MMLIB_RESULTS" in message
    assert limited(fork, 9000, lambda: write_json(state, {"new": ["x"] * 9000}))
    assert read_json(state, {}) == {"old": True}
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["state.json"]


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before_it(tmp_path, fork):
    path, small, large = tmp_path / "run.pt", torch.nn.Linear(4, 4), torch.nn.Linear(300, 300)

    def save(model):
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        Checkpoint(path, {}, []).save(model, optimiser, History([{"epoch": 1}], 1))

    save(small)
    assert limited(fork, 20_000, lambda: save(large))
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["run.pt"]
    again = torch.nn.Linear(4, 4)
    Checkpoint(path, {}, []).resume(again, torch.optim.SGD(again.parameters(), lr=0.1))
    assert torch.equal(again.weight, small.weight)


def test_a_run_that_fails_for_want_of_room_says_so(tmp_path, fork):
    def run(settings, seed):
        model = torch.nn.Linear(300, 300)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        Checkpoint(tmp_path / "run.pt", {}, []).save(model, optimiser, History())

    def work(say):
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        say(execute.run_one(run, {}, 0, {}).error)

    (message,) = fork(work).finish()  # torch's own words are "unexpected pos 64 vs 0"
    assert "File too large: free space on the disk of" in message


RUN = """
def run(settings, seed):
    return {"x": seed + 0.5}, {"curve": [seed] * 10}
"""


@pytest.fixture
def study(module) -> Study:
    return Study("toy", module(RUN).run, {"quick": [{"a": 1}]}, {"quick": 4}, n_jobs=1)


@pytest.fixture
def disk(monkeypatch):
    """A disk whose free room is a number of writes; ``disk.room = None`` is a disk with enough."""

    class Disk:
        room: int | None = None

    genuine = os.write

    def write(handle, data):
        if Disk.room is not None:
            if Disk.room == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            Disk.room -= 1
        return genuine(handle, data)

    monkeypatch.setattr(records.os, "write", write)
    return Disk


def test_a_disk_that_is_full_for_a_while_costs_nothing(study, disk, monkeypatch):
    disk.room = 1
    genuine = study.writer.flush

    def mended_before_the_last_run():
        if len(study.writer.waiting) == 3:
            disk.room = None
        return genuine()

    monkeypatch.setattr(study.writer, "flush", mended_before_the_last_run)
    with pytest.warns(RecordWarning, match="No space left.*free space.*kept in memory") as caught:
        runs = study.collect("quick")
    assert len(caught) == 1, "one line, not one a run"
    assert runs.computed == 4 and study.collect("quick").loaded == 4
    assert [row["seed"] for row in records.read(study.path("quick"))] == [0, 1, 2, 3]


def test_runs_that_cannot_be_recorded_are_kept_and_recorded_later(study, disk):
    disk.room = 1
    with pytest.warns(RecordWarning), pytest.raises(StudyError) as caught:
        study.collect("quick")
    message = str(caught.value)
    assert "3 runs are finished but not recorded" in message and str(study.path("quick")) in message
    assert "No space left on device" in message and "collect again in this process" in message
    assert caught.value.runs.table["x"].tolist() == [0.5, 1.5, 2.5, 3.5]
    assert len(records.read(study.path("quick"))) == 1
    disk.room = 0
    with pytest.raises(StudyError, match="3 runs are finished but not recorded") as caught:
        study.collect("quick")
    assert caught.value.runs.computed == 0, "they are not made again"
    disk.room = None
    runs = study.collect("quick")
    assert (runs.loaded, runs.computed) == (4, 0)
    assert [row["seed"] for row in records.read(study.path("quick"))] == [0, 1, 2, 3]
    assert [runs.arrays(row)["curve"][0] for row in range(4)] == [0, 1, 2, 3]


def test_another_folder_can_be_named_for_what_waits(study, disk, tmp_path, monkeypatch):
    disk.room = 0
    with pytest.warns(RecordWarning), pytest.raises(StudyError):
        study.collect("quick")
    monkeypatch.setenv("MMLIB_RESULTS", str(tmp_path / "other disk"))
    disk.room = None
    assert study.collect("quick").loaded == 4
    assert study.path("quick").is_relative_to(tmp_path / "other disk")


def test_failures_and_a_full_disk_are_told_together(module, disk):
    source = RUN.replace("    return", "    assert seed != 1, 'diverged'\n    return")
    study = Study("toy", module(source).run, {"quick": [{"a": 1}]}, {"quick": 3}, n_jobs=1)
    disk.room = 0
    with pytest.warns(RecordWarning), pytest.raises(StudyError) as caught:
        study.collect("quick")
    message = str(caught.value)
    assert "2 runs are finished but not recorded" in message
    assert "1 of 3 runs failed, the others are finished" in message and "diverged" in message
    assert len(study.collect("quick", allow_failures=True).records) == 2


def test_a_full_disk_is_a_line_on_the_command_line(study, disk, monkeypatch, capsys):
    from mmlib.evidence import __main__ as command

    monkeypatch.setattr(command, "studies", lambda: {"toy": study})
    disk.room = 0
    with pytest.warns(RecordWarning):
        assert command.main(["--record", "toy"]) == 1
    assert "4 runs are finished but not recorded" in capsys.readouterr().err


# ---------------------------------------------------------------- builds


def test_a_notebook_that_is_half_written_is_refused_and_the_page_before_it_kept(checkout):
    checkout.build()
    genuine = checkout.execute

    def cut_off(source, target, **options):
        genuine(source, target, **options)
        target.write_bytes(target.read_bytes()[:300])
        return papermill.Outcome(0.1, "[Errno 28] No space left on device")

    checkout.execute = cut_off
    checkout.edit("01_manifold_mixup", "print('new')")
    (message,) = checkout.build()
    assert message.startswith("notebooks/01_manifold_mixup.ipynb, ") and "damaged file" in message
    assert checkout.pages()["01_manifold_mixup"] == "print(0)"
    checkout.execute = genuine
    assert checkout.build() == [] and checkout.pages()["01_manifold_mixup"] == "print('new')"


def test_no_room_for_a_working_folder_is_that_notebooks_failure(checkout, monkeypatch, tmp_path):
    def no_room(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/mmlib-book-x")

    monkeypatch.undo()
    monkeypatch.setattr(papermill.tempfile, "TemporaryDirectory", no_room)
    done = papermill.execute(
        tmp_path / "a.ipynb", tmp_path / "b.ipynb", jupyter_path=tmp_path, profile="smoke"
    )
    assert "could not be started" in done.message and "No space left" in done.message


@pytest.mark.parametrize("whole", [False, True])
def test_pages_of_a_sphinx_that_was_cut_off_are_not_published(checkout, monkeypatch, whole):
    layout = checkout.layout
    checkout.build()

    def sphinx(layout, scratch):
        fresh = scratch / "_build" / "html"
        fresh.mkdir(parents=True)
        for name in ("index.html", *(["searchindex.js"] if whole else [])):
            (fresh / name).write_text("<p>new</p>", encoding="utf-8")
        return [] if whole else ["OSError: No space left on device"]

    monkeypatch.setattr(site, "stage", lambda book: None)
    monkeypatch.setattr(site, "_sphinx", sphinx)
    book = SimpleNamespace(layout=layout, ledger=([], []), profile="smoke")
    assert bool(PUBLISH(book)) is not whole
    expected = {"index": "<p>new</p>"} if whole else {"01_manifold_mixup": "print(0)"}
    assert expected.items() <= checkout.pages().items()


def test_a_full_disk_ends_a_build_with_one_message(checkout, monkeypatch, capsys):
    import build as command

    checkout.build()

    def full(book):
        raise OSError(errno.ENOSPC, "No space left on device", "_build/stage/book/index.md")

    checkout.publish = full
    checkout.edit("01_manifold_mixup", "print('new')")
    assert command.main(["--root", str(checkout.layout.root), "--profile", "smoke"]) == 1
    said = capsys.readouterr().err
    assert "_build/stage/book/index.md" in said and "Free space" in said
    assert checkout.pages()["01_manifold_mixup"] == "print(0)"
    del checkout.publish
    assert checkout.build() == [] and checkout.pages()["01_manifold_mixup"] == "print('new')"
    assert mmlib.evidence.results_root()  # the command put the checkout first in the path
