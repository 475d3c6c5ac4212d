"""Prose pages: generated numbers put into Markdown, and the library reference.

A page is a Jinja template. An unknown name is an error, so a sentence cannot lose its number.
"""

from __future__ import annotations

import importlib
import inspect
import json
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jinja2
import yaml

from builder import (
    benchmarks,
    claims,
    differences,
    find,
    fragments,
    landing,
    ledger_page,
    reference,
    times,
)
from builder.cards import Card, cards
from builder.excerpts import Excerpts
from builder.layout import BuildError, Layout, read_json


@dataclass
class Book:
    """Everything a page may show: ledger, chapters, build times, benchmarks."""

    layout: Layout
    profile: str
    entries: dict[str, dict[str, Any]]
    failures: dict[str, str] = field(default_factory=dict)

    @cached_property
    def ledger(self) -> tuple[list[claims.Row], list[str]]:
        """The ledger, and the claims whose evidence could not be computed."""
        return claims.ledger_rows()

    @property
    def rows(self) -> list[claims.Row]:
        """One row per claim."""
        return self.ledger[0]

    @cached_property
    def chapters(self) -> list[dict[str, str]]:
        """All chapters, planned ones included."""
        return self._yaml("chapters.yml")

    def _yaml(self, name: str) -> Any:
        return yaml.safe_load((self.layout.root / "book" / name).read_text(encoding="utf-8"))

    @cached_property
    def linked(self) -> set[str]:
        """Ids of the chapters whose notebook is in the book."""
        return {path.stem for path in self.layout.notebooks()}

    @cached_property
    def excerpts(self) -> Excerpts:
        """Numbers and figures of the executed chapters."""
        return Excerpts(self.layout.executed(self.profile), sorted(self.linked))

    @cached_property
    def cards(self) -> dict[str, Card]:
        """Where the chapters show their verdicts."""
        return cards(self.layout.executed(self.profile), sorted(self.linked))

    @cached_property
    def items(self) -> list[dict[str, str]]:
        """The numbered items of the texts."""
        return claims.items()

    @cached_property
    def bench(self) -> dict[str, Any] | None:
        """The last `make bench`, if one is recorded."""
        return read_json(self.layout.root / "book" / "results" / "bench.json", None)

    def context(self) -> dict[str, Any]:
        """The names that a page can use."""
        counts = fragments.counts_of(self.rows)
        by_id = {row["id"]: row for row in self.rows}
        here = [row for row in self.rows if row["chapter"] in self.linked]
        tested = [row for row in self.rows if row["verdict"] != "not tested"]
        n_statistical, n_wrong = claims.expected_wrong(self.rows)

        return {
            "profile": self.profile,
            "n_claims": len(self.rows),
            "n_tested": len(tested),
            "n_chapters": len(self.chapters),
            "n_linked": len(self.linked),
            "n_here": len(here),
            "n": {verdict.replace(" ", "_"): count for verdict, count in counts.items()},
            "n_statistical": n_statistical,
            "n_wrong": f"{n_wrong:.1f}",
            "overview": landing.overview(counts),
            "sections": landing.sections(self.rows, self.items),
            "chapters": landing.chapters(self.rows, self.chapters, self.linked),
            "held": partial(landing.held, self.rows),
            "measured": lambda name, form: landing.measured(by_id[name], form),
            "ledger": ledger_page.ledger(self.rows, self.cards),
            "find": find.find(self.items, self.rows, self.cards),
            "status": fragments.status(self.status_rows()),
            "performance": benchmarks.page(self.bench, self._yaml("benchmarks.yml")),
            "times": lambda profile: times.table(claims.results_root(), profile, self.chapters),
            "bibtex": reference.bibtex(reference.citation(self.layout.root)),
            "version": reference.citation(self.layout.root)["version"],
            "changelog": reference.changelog(self.layout.root),
            "licence": reference.licence(self.layout.root),
            "badge": fragments.badge,
            "verdict": lambda name: fragments.linked_badge(by_id[name]),
            "stated": lambda name: fragments.stated(by_id[name], self.linked),
            "recounted": differences.recounted,
            "n_differences": differences.counts(),
            "differences": lambda: differences.page(self.excerpts),
            "value": self.excerpts.value,
            "picture": self.excerpts.picture,
            "api": api,
        }

    def downloads(self) -> dict[str, str]:
        """Files that the built book carries besides its pages, by name."""
        ledger = claims.serialised(self.rows)
        return ledger | {"claims.js": ledger_page.search_data(self.rows, self.items)}

    def status_rows(self) -> list[dict[str, Any]]:
        """One row per notebook for the status page."""
        rows = []
        for path in self.layout.notebooks():
            entry = self.entries.get(path.stem, {})
            broken = path.stem in self.failures
            kept = "kept from an earlier build" if entry else "not available"
            rows.append(
                {
                    "name": path.stem,
                    "state": f"failed, {kept}" if broken else "current",
                    "profile": self.profile,
                    "seconds": entry.get("seconds", ""),
                    "finished": entry.get("finished", "")[:16].replace("T", " "),
                    "data": ", ".join(entry.get("data", [])) or "embedded stand-ins only",
                }
            )
        return rows


def render(source: str, context: dict[str, Any], name: str) -> str:
    """Fill one page.

    Raises:
        BuildError: the page uses a name or a claim id that does not exist.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    try:
        return environment.from_string(source).render(context)
    except (jinja2.TemplateError, KeyError) as error:
        raise BuildError(f"{name}: {error}") from error


def api(module_name: str, *first: str) -> str:
    """The reference of one room: its docstring, the names in `first`, the rest by module.

    Public is what ``__all__`` names; a room without it shows what it defines itself.
    """
    module = importlib.import_module(module_name)
    public = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module_name
    ]
    blocks = [f".. automodule:: {module_name}\n   :no-members:\n   :no-index:"]
    for name in first:
        blocks.append(_directive(module_name, name, getattr(module, name)))
    homes: dict[str, list[str]] = {}
    for name in sorted(set(public) - set(first)):
        value = getattr(module, name)
        home = getattr(value, "__module__", None) if callable(value) else None
        homes.setdefault(home or module_name, []).append(name)
    for names in homes.values():
        for name in sorted(
            names, key=lambda name: (not inspect.isclass(getattr(module, name)), name)
        ):
            blocks.append(_directive(module_name, name, getattr(module, name)))
    return "```{eval-rst}\n" + "\n\n".join(blocks) + "\n```"


def _directive(module_name: str, name: str, value: Any) -> str:
    if inspect.ismodule(value):
        return f".. automodule:: {value.__name__}\n   :members:"
    if inspect.isclass(value):
        kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
        return f".. {kind}:: {module_name}.{name}\n   :members:"
    if inspect.isroutine(value):
        return f".. autofunction:: {module_name}.{name}"
    # A constant has no docstring of its own: autodoc would print that of its type.
    shown = f"one of {', '.join(map(repr, value))}" if isinstance(value, dict) else repr(value)
    return f".. py:data:: {module_name}.{name}\n\n   {shown if len(shown) < 200 else type(value)}"


def failed_page(notebook: Path, reason: str) -> str:
    """A stand-in for a chapter that has never been executed successfully."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    text = "".join(cells[0]["source"]) if cells else ""
    title = next(
        (line for line in text.splitlines() if line.startswith("# ")), f"# {notebook.stem}"
    )
    return f"{title}\n\n{failure_note(reason)}\n"


def failure_note(reason: str) -> str:
    """What a reader sees on a page whose last execution failed."""
    fence = ":" * 3
    return (
        f"{fence}{{error}} The last execution of this chapter failed\n"
        f"`{reason.replace('`', chr(39))}`\n\nNothing below comes from that run.\n{fence}"
    )
