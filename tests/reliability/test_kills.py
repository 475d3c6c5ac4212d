"""Killed at any moment: what was finished is kept, once, and the next start goes on."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from builder import run
from builder.layout import exclusive, read_json, replace_folder, restore_folder, write_json

from mmlib.evidence import Study, artifacts, records
from mmlib.training.checkpoint import Checkpoint
from mmlib.training.history import History


def die(*args, **options) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_record_that_was_acknowledged_is_there_once(results, fork, record, seeds_of):
    path, rng, told, kills = results / "quick" / "toy.jsonl", random.Random(0), [], 0
    while kills < 12 or len(told) < 50:

        def work(say, start=1000 * kills):
            for seed in itertools.count(start):
                records.append(path, record(seed, note="x" * 3000))
                say(seed)

        child = fork(work)
        time.sleep(rng.uniform(0.01, 0.08))
        told += child.kill()
        kills += 1
        assert kills < 200
    seeds, damaged = seeds_of(path)
    assert set(told) <= set(seeds)
    assert len(seeds) == len(set(seeds)) <= len(told) + kills, "at most one a kill was not told"
    assert len(damaged) <= kills


def test_arrays_and_settings_are_the_old_or_the_new_ones(tmp_path, fork):
    rng = random.Random(1)
    packed = [artifacts.pack("key", {"a": np.full(50_000, n, "float32")}) for n in range(2)]
    (old, first), (_, second) = packed
    for _ in range(8):

        def work(say):
            for n in itertools.count():
                artifacts.write(tmp_path / old, (first, second)[n % 2])
                write_json(tmp_path / "state.json", {"n": n, "text": ["x"] * 5000})

        child = fork(work)
        time.sleep(rng.uniform(0.01, 0.05))
        child.kill()
        if (tmp_path / old).exists():
            assert (tmp_path / old).read_bytes() in (first, second)
        held = read_json(tmp_path / "state.json", {"text": ["x"] * 5000})
        assert held["text"] == ["x"] * 5000
    assert (tmp_path / old).exists() and (tmp_path / "state.json").exists()


def network() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    model = torch.nn.Linear(400, 400)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def resumed(path: Path) -> tuple[int, torch.Tensor]:
    """The epoch that a checkpoint is of, and its weights."""
    model, optimiser = network()
    history = Checkpoint(path, {}, []).resume(model, optimiser)
    return history.steps, model.weight


def save_from(path: Path, epochs: Iterable[int], say=lambda epoch: None) -> None:
    """Save networks whose weights are all the number of their epoch."""
    model, optimiser = network()
    for epoch in epochs:
        with torch.no_grad():
            model.weight.fill_(epoch)
        Checkpoint(path, {}, []).save(model, optimiser, History([{"epoch": epoch}], epoch))
        say(epoch)


def test_a_checkpoint_killed_at_random_is_that_of_one_epoch(tmp_path, fork):
    rng, path, saved, kills = random.Random(2), tmp_path / "run.pt", 0, 0
    while saved < 10 or kills < 5:
        child = fork(partial(save_from, path, itertools.count(saved + 1)))
        time.sleep(rng.uniform(0.02, 0.2))
        told, kills = child.kill(), kills + 1
        if path.exists():
            epoch, weights = resumed(path)
            assert (weights == epoch).all() and epoch >= (told or [saved])[-1]
            saved = epoch
        assert kills < 100


@pytest.mark.parametrize(("moment", "epoch"), [("fsync", 1), ("replace", 1), ("after", 2)])
def test_a_checkpoint_is_replaced_whole(tmp_path, fork, monkeypatch, moment, epoch):
    path, replace = tmp_path / "run.pt", os.replace
    save_from(path, [1])

    def work(say):
        if moment == "after":
            monkeypatch.setattr(os, "replace", lambda *paths: (replace(*paths), die()))
        else:
            monkeypatch.setattr(os, moment, die)
        save_from(path, [2])

    child = fork(work)
    child.finish()
    assert child.code == -signal.SIGKILL
    found, weights = resumed(path)
    assert found == epoch and (weights == epoch).all()


RUN = """
import time

def run(settings, seed):
    time.sleep(0.004)
    return {"x": settings["a"] * 100 + seed}, {"curve": [seed] * 300}
"""


def test_a_sweep_killed_again_and_again_records_each_run_once(module, results, fork, seeds_of):
    grid = {"quick": [{"a": a} for a in range(3)]}
    study = Study("sweep", module(RUN).run, grid, {"quick": 6}, n_jobs=1)
    rng, kills, computed = random.Random(3), 0, None
    while computed is None:
        child = fork(lambda say: say(study.collect("quick").computed))
        time.sleep(rng.uniform(0.02, 0.2))
        told = child.kill()
        computed = told[0] if told else None
        kills += computed is None
        assert kills < 200
    runs = study.collect("quick")
    assert kills > 1 and computed < 18 and (runs.loaded, runs.computed) == (18, 0)
    path = study.path("quick")
    assert len(seeds_of(path)[0]) == 18, "none twice"
    assert (runs.table["x"] == runs.table["a"] * 100 + runs.table["seed"]).all()
    assert all(runs.arrays(row)["curve"][0] == runs.table["seed"][row] for row in range(18))


# ---------------------------------------------------------------- builds


def test_a_build_killed_at_random_leaves_whole_pages_and_the_next_one_completes(checkout, fork):
    rng, publish, layout = random.Random(4), checkout.publish, checkout.layout
    checkout.build()

    def slow(book):
        time.sleep(0.02)
        return publish(book)

    checkout.publish = slow
    began = time.perf_counter()
    checkout.edit("01_manifold_mixup", "print('slow')")
    checkout.build()
    whole = time.perf_counter() - began
    kills = attempt = 0
    while kills < 6:
        attempt += 1
        assert attempt < 60
        for name in checkout.pages():
            if name != "index":
                checkout.edit(name, f"print({attempt})")

        def work(say):
            with exclusive(layout):
                checkout.build()

        child = fork(work)
        time.sleep(rng.uniform(0, whole))
        child.kill()
        kills += child.code == -signal.SIGKILL
        restore_folder(layout.html)  # as the next build begins
        assert set(checkout.pages()) == {"index", "01_manifold_mixup", "02_synthetic_tasks"}
        assert all(checkout.pages().values()), "no page is half written"
    with exclusive(layout):
        assert checkout.build() == []
    pages = {text for name, text in checkout.pages().items() if name != "index"}
    assert pages == {f"print({attempt})"}
    assert not list(layout.build.glob("*.part"))


def test_a_notebook_that_was_finished_when_the_build_was_killed_runs_no_second_time(checkout, fork):
    genuine, first = checkout.execute, "01_manifold_mixup"

    def one_is_slow(source, target, **options):
        if source.stem != first:
            time.sleep(60)
        return genuine(source, target, **options)

    checkout.execute = one_is_slow
    child = fork(lambda say: checkout.build())
    deadline = time.monotonic() + 60

    def settled() -> bool:
        entries = read_json(checkout.layout.build / "state.json", {}).get("notebooks", {})
        return "hash" in entries.get("smoke", {}).get(first, {})

    while not settled():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.kill()
    checkout.execute = genuine
    assert checkout.build() == [] and checkout.ran == ["02_synthetic_tasks"]


def test_an_execution_that_outlives_its_build_is_not_taken_for_that_of_the_next(checkout, fork):
    checkout.edit("01_manifold_mixup", "print('old')")
    genuine = checkout.execute
    fork(lambda say: checkout.build()).finish()
    (target,) = (checkout.layout.build / "running").iterdir()  # where the killed build's would go

    def while_the_old_one_ends(source, new_target, **options):
        assert new_target.parent != target
        done = genuine(source, new_target, **options)
        assert not target.exists()
        return done

    checkout.edit("01_manifold_mixup", "print('new')")
    checkout.execute = while_the_old_one_ends
    assert checkout.build() == [] and checkout.pages()["01_manifold_mixup"] == "print('new')"


@pytest.mark.parametrize(
    ("step", "text"), [(0, "old"), (1, "old"), (2, "old"), (3, "new"), (4, "new"), (6, "new")]
)
def test_a_book_is_replaced_whole_wherever_the_process_dies(
    tmp_path, fork, monkeypatch, step, text
):
    html, fresh = tmp_path / "html", tmp_path / "fresh"
    for folder, of in ((html, "old"), (fresh, "new")):
        folder.mkdir()
        for n in range(5):
            (folder / f"{n}.html").write_text(of, encoding="utf-8")

    def work(say):
        steps = itertools.count()

        def counted(genuine):
            def call(*args, **options):
                if next(steps) == step:
                    die()
                return genuine(*args, **options)

            return call

        for owner, name in ((Path, "replace"), (shutil, "rmtree"), (os, "unlink")):
            monkeypatch.setattr(owner, name, counted(getattr(owner, name)))
        replace_folder(fresh, html)

    child = fork(work)
    child.finish()
    restore_folder(html)
    assert child.code == -signal.SIGKILL
    assert [path.read_text(encoding="utf-8") for path in html.iterdir()] == [text] * 5


def test_after_an_interruption_no_further_notebook_is_started(checkout, monkeypatch):
    toc = checkout.layout.root / "_toc.yml"
    for n in range(6):
        checkout.edit(f"{n:02}_more", "print(0)")
    more = "".join(f"  - file: notebooks/{n:02}_more\n" for n in range(6))
    toc.write_text(toc.read_text(encoding="utf-8") + more, encoding="utf-8")
    genuine = checkout.execute

    def execute(*args, **options):
        time.sleep(0.1)
        return genuine(*args, **options)

    def interrupted(*args, **options):
        raise KeyboardInterrupt

    checkout.execute = execute
    monkeypatch.setattr(run, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkout.build()
    assert len(checkout.ran) <= run.WORKERS
