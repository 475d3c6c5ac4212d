"""Pages that come from files at the root: how to cite, what changed, the licence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

# https://github.com/citation-file-format/citation-file-format, version 1.2.0
REQUIRED = ("cff-version", "message", "title", "authors")
KNOWN = {*REQUIRED, "type", "version", "license", "references", "abstract", "keywords", "url"}
KNOWN |= {"repository-code", "date-released", "doi", "identifiers", "preferred-citation"}
ENTRY = {"conference-paper": "inproceedings", "article": "article", "software": "software"}
ENTRY |= {"blog": "misc", "generic": "misc"}


def citation(root: Path) -> dict[str, Any]:
    """Return the parsed ``CITATION.cff``."""
    return yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))


def problems(cff: Mapping[str, Any]) -> list[str]:
    """Return what the format 1.2.0 does not allow, as far as the fields used here go.

    Example:
        >>> problems({"cff-version": "1.2.0", "message": "m", "title": "t", "authors": []})
        ['authors: expected at least one']
    """
    found = [f"{name}: missing" for name in REQUIRED if name not in cff]
    found += [f"{name}: no such field" for name in cff if name not in KNOWN]
    if cff.get("cff-version") != "1.2.0":
        found.append(f"cff-version: expected 1.2.0, but got {cff.get('cff-version')!r}")
    works = [
        ("", cff),
        *((f"references[{i}].", w) for i, w in enumerate(cff.get("references", []))),
    ]
    for where, work in works:
        if not work.get("authors"):
            found.append(f"{where}authors: expected at least one")
        for author in work.get("authors") or []:
            if not ({"name"} <= set(author) or {"family-names", "given-names"} <= set(author)):
                found.append(f"{where}authors: expected a name or family-names and given-names")
        if not isinstance(work.get("title"), str):
            found.append(f"{where}title: missing")
        if where and work.get("type") not in ENTRY:
            found.append(f"{where}type: expected one of {', '.join(ENTRY)}")
        if where and not isinstance(work.get("year", 0), int):
            found.append(f"{where}year: expected a number")
    return found


def bibtex(cff: Mapping[str, Any]) -> str:
    """Return the software and the works it refers to as BibTeX.

    Example:
        >>> one = {"type": "article", "title": "On B", "year": 2018, "journal": "J"}
        >>> me = {"title": "lib: words", "authors": [{"name": "The Makers"}], "version": "1"}
        >>> print(bibtex(me | {"references": [one | {"authors": [
        ...     {"family-names": "Doe", "given-names": "Ada"}]}]}))
        @software{lib,
          title = {{lib: words}},
          author = {{The Makers}},
          version = {1},
        }
        <BLANKLINE>
        @article{doe2018on,
          title = {{On B}},
          author = {Doe, Ada},
          journal = {J},
          year = {2018},
        }
    """
    own = {**cff, "type": "software"}
    entries = [_entry(re.split(r"\W", cff["title"])[0], own, ("version", "url"))]
    for work in cff.get("references", []):
        names = ("journal", "booktitle", "notes", "url", "year")
        work = {**work, "booktitle": work.get("collection-title")}
        author = work["authors"][0]
        first = author.get("family-names") or author["name"].split()[-1]
        word = next(iter(re.findall(r"\w+", work["title"])), "")
        entries.append(_entry(f"{first}{work.get('year', '')}{word}".lower(), work, names))
    return "\n\n".join(entries)


def _entry(key: str, work: Mapping[str, Any], names: Sequence[str]) -> str:
    people = " and ".join(
        f"{{{a['name']}}}" if "name" in a else f"{a['family-names']}, {a['given-names']}"
        for a in work["authors"]
    )
    fields = {"title": f"{{{work['title']}}}", "author": people}
    fields |= {name.removesuffix("s"): str(work[name]) for name in names if work.get(name)}
    body = "\n".join(f"  {name} = {{{value}}}," for name, value in fields.items())
    return f"@{ENTRY[work['type']]}{{{re.sub(r'[^A-Za-z0-9]', '', key)},\n{body}\n}}"


def changelog(root: Path) -> str:
    """Return ``CHANGELOG.md`` below its title."""
    return (root / "CHANGELOG.md").read_text(encoding="utf-8").split("\n", 1)[1].strip()


def licence(root: Path) -> str:
    """Return the text of ``LICENSE``."""
    return (root / "LICENSE").read_text(encoding="utf-8").strip()
