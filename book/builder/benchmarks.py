"""The page of measured costs: the last `make bench`, by what is compared, misses with a reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from builder.layout import BuildError

Group = Mapping[str, str]
Result = Mapping[str, Any]


def grouped(
    results: Mapping[str, Result], groups: Sequence[Group]
) -> list[tuple[Group, dict[str, Result]]]:
    """Sort results into groups, each into the first that its name matches.

    Raises:
        BuildError: a result belongs to no group.

    Example:
        >>> one = {"title": "A", "match": "^a"}
        >>> grouped({"a step": {}, "another": {}}, [one])
        [({'title': 'A', 'match': '^a'}, {'a step': {}, 'another': {}})]
    """
    found: list[tuple[Group, dict[str, Result]]] = [(group, {}) for group in groups]
    for name, result in results.items():
        home = next((own for group, own in found if re.search(group["match"], name)), None)
        if home is None:
            raise BuildError(f"benchmarks.yml: no group matches the benchmark {name!r}")
        home[name] = result
    return found


def page(bench: Mapping[str, Any] | None, groups: Sequence[Group]) -> str:
    """Every group with what it compares, its table, and why an aim was missed.

    Raises:
        BuildError: a result belongs to no group.
    """
    if not bench:
        return "Nothing is recorded yet: run `make bench`."
    results = bench["results"]
    missed = sum(not row["ok"] for row in results.values())
    where = ", ".join(f"{key} {value}" for key, value in bench["conditions"].items())
    blocks = [
        f"Measured on: {where}. {len(results) - missed} of {len(results)} aims are met; an aim is "
        "what was set as good enough before measuring, and missing one is printed, not mended by "
        "moving it."
    ]
    for group, own in grouped(results, groups):
        if not own:
            continue
        files = ", ".join(f"`{name.strip()}.py`" for name in group["file"].split(","))
        blocks += [f"## {group['title']}", f"{group['compares']} ({files})", _table(own)]
        short = [name for name, row in own.items() if not row["ok"]]
        if short:
            blocks.append(f"**Missed:** {'; '.join(short)}. {group['missed']}")
    return "\n\n".join(blocks)


def _table(results: Mapping[str, Result]) -> str:
    lines = [
        "| what is compared | ratio | interval | repeats | aim | met |",
        "|---|---:|---|---:|---|---|",
    ]
    for name, row in results.items():
        lines.append(
            f"| {name} | {row['ratio']:.3f} | {row['low']:.3f} to {row['high']:.3f} | {row['n']} "
            f"| {row['aim']} | {'yes' if row['ok'] else '**no**'} |"
        )
    return "\n".join(lines)
