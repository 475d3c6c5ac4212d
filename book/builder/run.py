"""One build from start to end: execute what changed, then publish what is finished."""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import nbformat

from builder import claims, execute, gate, pages, site, state, typed
from builder.layout import BuildError, Layout, read_json, restore_folder, write_json

WORKERS = 2
HEARTBEAT_S = 60


def check_profile(profile: str) -> None:
    """Raise `BuildError` for an unknown profile, before anything is locked or executed."""
    if profile not in claims.profiles():
        known = ", ".join(claims.profiles())
        raise BuildError(f"profile: expected one of {known}, but got {profile!r}")


def build(layout: Layout, *, profile: str, recompute: bool = False) -> list[str]:
    """Bring the book up to date and return one line for each thing that failed.

    Raises:
        BuildError: the profile is unknown, the table of contents names a notebook that is missing
            or damaged, or ``MMLIB_DATA`` a missing folder.
    """
    restore_folder(layout.html)
    memory = _memory(layout)
    before = state.dates(state.sources(layout.root))

    def everything() -> str:
        return state.fingerprint(layout, profile, memory.get("data_roots", []))

    built = (layout.html / "index.html").is_file()
    if built and not recompute and memory.get("everything") == everything():
        print("book: nothing changed")
        return []
    check_profile(profile)
    notebooks = layout.notebooks()
    entries = memory.setdefault("notebooks", {}).setdefault(profile, {})
    data_roots, data = claims.data_roots(), claims.data_found()
    modules = {path: _modules(path, layout.root) for path in notebooks}
    before |= state.dates({path for files in modules.values() for path in files} - set(before))

    def current(path: Path) -> str:
        studies = claims.study_names(modules[path])
        return state.notebook_hash(
            path,
            root=layout.root,
            profile=profile,
            modules=modules[path],
            records=state.record_files(claims.results_root(), profile, studies),
            data=data,
            environment=layout.root / "requirements.lock",
        )

    def edited() -> set[Path]:
        """The sources that are no longer those that the build began with."""
        now = {*state.sources(layout.root), *before}
        return state.changed(before, state.dates(now))

    def outdated(path: Path) -> bool:
        return (
            recompute
            or "cells" not in read_json(layout.executed(profile) / path.name, {})
            or entries.get(path.stem, {}).get("hash") != current(path)
        )

    def settle(finished: list[Path]) -> None:
        """Remember what notebooks were executed from, with the runs that they recorded."""
        hashes = {path: current(path) for path in finished}
        late = edited()
        for path, found in hashes.items():
            ran = found if late.isdisjoint({path, *modules[path]}) else None
            entries[path.stem] |= {"hash": ran, "data": sorted(data.values())}
        memory["everything"] = None
        write_json(layout.build / "state.json", memory)

    todo = [path for path in notebooks if outdated(path)]
    for path in todo:  # from here on an executed notebook may be another one than is remembered
        entries.get(path.stem, {}).pop("hash", None)
    settle([])
    failures = _execute_all(
        layout, todo, entries, profile=profile, recompute=recompute, settle=settle
    )
    settle([path for path in todo if path.stem not in failures])  # others recorded runs since
    messages = [f"notebooks/{stem}.ipynb, {text}" for stem, text in failures.items()]
    book = pages.Book(layout=layout, profile=profile, entries=entries, failures=failures)
    messages += site.publish(book)
    memory["data_roots"] = data_roots
    whole = everything()
    late = edited()
    if late:
        names = ", ".join(sorted(path.name for path in late))
        print(f"book: changed during the build, build again to include it: {names}")
    memory["everything"] = None if messages or late else whole
    write_json(layout.build / "state.json", memory)
    return messages


def _memory(layout: Layout) -> dict[str, Any]:
    """What earlier builds left in ``state.json``; without it every notebook is executed again."""
    memory = read_json(layout.build / "state.json", {})
    held = memory.get("notebooks", {})
    kept = isinstance(held, dict) and all(isinstance(part, dict) for part in held.values())
    whole = kept and all(isinstance(one, dict) for part in held.values() for one in part.values())
    return memory if whole else {}


def _modules(notebook: Path, root: Path) -> set[Path]:
    """The files of `mmlib` that a notebook reaches; all of them if its code cannot be parsed."""
    try:
        return claims.module_closure(notebook)
    except SyntaxError:
        return set((root / "mmlib").rglob("*.py"))
    except (ValueError, KeyError) as error:
        raise BuildError(
            f"notebooks/{notebook.name}: not a notebook ({error}); mend it, or take it out of the "
            "table of contents"
        ) from error


def _execute_all(
    layout: Layout,
    todo: list[Path],
    entries: dict,
    *,
    profile: str,
    recompute: bool,
    settle: Callable[[list[Path]], None],
) -> dict[str, str]:
    """Execute notebooks, the slowest first; return the failures by notebook.

    Each that is done is settled at once: a build that is killed later executes it no second time.
    """
    jupyter_path = layout.build / "jupyter"
    execute.install_kernel(jupyter_path)
    if todo:
        execute.list_fonts(jupyter_path)
    running: dict[Future[execute.Outcome], Path]
    failures: dict[str, str] = {}
    # An execution that outlived a killed build still writes: not where this one looks.
    shutil.rmtree(layout.build / "running", ignore_errors=True)
    scratch = layout.build / "running" / str(os.getpid())
    # Prose stands beside the recorded runs; others may by chance give a number that it states.
    as_written = profile != "smoke" and not recompute
    todo = sorted(todo, key=lambda path: -entries.get(path.stem, {}).get("seconds", 1e9))

    def start(path: Path) -> execute.Outcome:
        last = entries.get(path.stem, {}).get("seconds")
        hint = f", last time {last:.0f} s" if last else ""
        print(f"book: executing {path.stem} ({profile}{hint})", flush=True)
        return execute.execute(
            path,
            scratch / path.name,
            jupyter_path=jupyter_path,
            profile=profile,
            recompute=recompute,
        )

    with ThreadPoolExecutor(WORKERS) as pool, _cancelled_on_error(pool):
        running = {pool.submit(start, path): path for path in todo}
        while running:
            done, _ = wait(running, timeout=HEARTBEAT_S, return_when=FIRST_COMPLETED)
            if not done:
                now = ", ".join(path.stem for job, path in running.items() if job.running())
                print(f"book: still running: {now}; {len(running)} to go", flush=True)
            for job in done:
                path = running.pop(job)
                output, outcome = scratch / path.name, job.result()
                message = _accept(layout, path, output, outcome, entries, profile, as_written)
                if message:
                    failures[path.stem] = message
                else:
                    settle([path])
                print(
                    f"book: {path.stem}: {message or 'done'} ({job.result().seconds:.0f} s)",
                    flush=True,
                )
    return failures


@contextlib.contextmanager
def _cancelled_on_error(pool: ThreadPoolExecutor) -> Iterator[None]:
    """Start nothing more after an interruption or a fault; what is running is waited for."""
    try:
        yield
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _accept(
    layout: Layout,
    path: Path,
    output: Path,
    outcome: execute.Outcome,
    entries: dict,
    profile: str,
    as_written: bool,
) -> str:
    """Keep an execution that passes the gate; otherwise return why not."""
    found: list = []
    if output.is_file():
        try:
            notebook = nbformat.read(output, as_version=4)
            found = gate.problems(notebook)
        except Exception as error:  # half written, on a full disk: of many kinds
            found = [f"{output}: papermill left a damaged file ({type(error).__name__})"]
        if as_written and not found:
            found = typed.problems(notebook, typed.printed_numbers(layout.root))
    if found or outcome.message or not output.is_file():
        reason = "; ".join(map(str, found[:3])) or outcome.message or "papermill wrote nothing"
        more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
        return f"{reason}{more}"
    target = layout.executed(profile) / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    output.replace(target)
    finished = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    entries[path.stem] = {"seconds": round(outcome.seconds, 1), "finished": finished}
    return ""
