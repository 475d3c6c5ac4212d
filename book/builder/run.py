"""One build from start to end: execute what changed, then publish what is finished."""

from __future__ import annotations

import datetime
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import nbformat

from builder import claims, execute, gate, pages, site, state
from builder.layout import BuildError, Layout, read_json, write_json

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
        BuildError: the profile is unknown, the table of contents names a missing notebook, or
            ``MMLIB_DATA`` a missing folder.
    """
    memory = read_json(layout.build / "state.json", {})

    def everything() -> str:
        return site.fingerprint(layout, profile, memory.get("data_roots", []))

    built = (layout.html / "index.html").is_file()
    if built and not recompute and memory.get("everything") == everything():
        print("book: nothing changed")
        return []
    check_profile(profile)
    notebooks = layout.notebooks()
    entries = memory.setdefault("notebooks", {}).setdefault(profile, {})
    data_roots, data = claims.data_roots(), claims.data_found()

    def current(path: Path) -> str:
        modules = claims.module_closure(path)
        return state.notebook_hash(
            path,
            root=layout.root,
            profile=profile,
            modules=modules,
            records=state.record_files(claims.results_root(), profile, claims.study_names(modules)),
            data=data,
            environment=layout.root / "requirements.lock",
        )

    def outdated(path: Path) -> bool:
        done = layout.executed(profile) / path.name
        return (
            recompute
            or not done.is_file()
            or entries.get(path.stem, {}).get("hash") != current(path)
        )

    todo = [path for path in notebooks if outdated(path)]
    failures = _execute_all(layout, todo, entries, profile=profile, recompute=recompute)
    for path in todo:  # only now: a run that was computed is a record that the next build may load
        if path.stem not in failures:
            entries[path.stem] |= {"hash": current(path), "data": sorted(data.values())}
    memory["everything"] = None
    write_json(layout.build / "state.json", memory)
    messages = [f"notebooks/{stem}.ipynb, {text}" for stem, text in failures.items()]
    book = pages.Book(layout=layout, profile=profile, entries=entries, failures=failures)
    messages += site.publish(book)
    memory["data_roots"] = data_roots
    memory["everything"] = None if messages else everything()
    write_json(layout.build / "state.json", memory)
    return messages


def _execute_all(
    layout: Layout, todo: list[Path], entries: dict, *, profile: str, recompute: bool
) -> dict[str, str]:
    """Execute notebooks, the slowest first; return the failures by notebook."""
    jupyter_path = layout.build / "jupyter"
    execute.install_kernel(jupyter_path)
    running: dict[Future, Path] = {}
    failures: dict[str, str] = {}
    scratch = layout.build / "running" / profile
    todo = sorted(todo, key=lambda path: -entries.get(path.stem, {}).get("seconds", 1e9))
    with ThreadPoolExecutor(WORKERS) as pool:
        for path in todo:
            last = entries.get(path.stem, {}).get("seconds")
            hint = f", last time {last:.0f} s" if last else ""
            print(f"book: executing {path.stem} ({profile}{hint})", flush=True)
            job = pool.submit(
                execute.execute,
                path,
                scratch / path.name,
                jupyter_path=jupyter_path,
                profile=profile,
                recompute=recompute,
            )
            running[job] = path
        while running:
            done, _ = wait(running, timeout=HEARTBEAT_S, return_when=FIRST_COMPLETED)
            if not done:
                print(
                    f"book: still running: {', '.join(p.stem for p in running.values())}",
                    flush=True,
                )
            for job in done:
                path = running.pop(job)
                message = _accept(layout, path, scratch / path.name, job.result(), entries, profile)
                if message:
                    failures[path.stem] = message
                print(
                    f"book: {path.stem}: {message or 'done'} ({job.result().seconds:.0f} s)",
                    flush=True,
                )
    return failures


def _accept(
    layout: Layout, path: Path, output: Path, outcome: execute.Outcome, entries: dict, profile: str
) -> str:
    """Keep an execution that passes the gate; otherwise return why not."""
    found: list = []
    if output.is_file():
        found = gate.problems(nbformat.read(output, as_version=4))
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
