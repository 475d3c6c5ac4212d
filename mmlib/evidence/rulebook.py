"""The rules by which claims are judged, written down before the runs that feed them.

They stand in ``rules.csv``, one claim a row:

- ``id``: the claim. ``study``: the study whose runs judge it.
- ``rule``: one of the names in `KINDS`. ``quantity``: in words what is measured, and for a printed
  number the selection (best, last or median of the last ten epochs).
- ``margin``: a number, whose meaning depends on the rule; for the rule ``all`` one entry for each
  part, ``name: rule margin`` separated by semicolons, where the name ``*`` stands for every part
  not named. ``unit``: its unit.
- ``min_seeds``: at least 5 for statistical rules, which is also what an empty cell means.
- ``data``: the data sets that the runs must be on, separated by spaces; empty if any real data, or
  none, will do.
- ``cell``: the cell of the notebook that tests the claim (empty: the id). ``note``: anything else;
  for ``not_testable`` the reason.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

from mmlib import checks
from mmlib.evidence.tables import claims

COLUMNS = (
    *("id", "study", "rule", "quantity", "margin", "unit"),
    *("min_seeds", "data", "cell", "note"),
)


@dataclass(frozen=True)
class Kind:
    """A way of judging: its text with ``{margin}``, and what its margin may be.

    Attributes:
        text: when the claim is supported.
        statistical: whether chance can make the verdict wrong.
        default: margin of an empty cell; None if the cell must be filled, "" if none is needed.
        low: the margin must be above this.
    """

    text: str
    statistical: bool = False
    default: float | str | None = ""
    low: float | None = None


KINDS: dict[str, Kind] = {
    "order": Kind(
        "the 95 % interval of the paired differences over seeds lies above {margin}",
        statistical=True,
        default=0.0,
    ),
    "equivalence": Kind(
        "two one-sided tests at 5 % put the paired difference inside -{margin} to {margin}",
        statistical=True,
        default=None,
        low=0.0,
    ),
    "number": Kind(
        "at the paper's profile the printed number lies within the combined 95 % uncertainty of "
        "the mean over seeds, and that uncertainty is below {margin}",
        statistical=True,
        low=0.0,
    ),
    "above": Kind(
        "the 95 % interval of the mean over seeds lies above {margin}",
        statistical=True,
        default=None,
    ),
    "below": Kind(
        "the 95 % interval of the mean over seeds lies below {margin}",
        statistical=True,
        default=None,
    ),
    "exact": Kind("the derived number differs from the printed one by at most {margin}", low=0.0),
    "identity": Kind(
        "the largest error is at most {margin}, and a control with a planted mistake exceeds it",
        default=None,
        low=0.0,
    ),
    "all": Kind(
        "each part holds by its own rule; one part that fails at a level shared among all of them "
        "contradicts the claim"
    ),
    "not_testable": Kind("not testable with these methods"),
}


@dataclass(frozen=True)
class Rule:
    """The rule of one claim; for the rule ``all``, `parts` maps names to ``(rule, margin)``."""

    id: str
    study: str
    rule: str
    quantity: str = ""
    margin: float | None = None
    unit: str = ""
    min_seeds: int = 5
    data: tuple[str, ...] = ()
    cell: str = ""
    note: str = ""
    parts: Mapping[str, tuple[str, float | None]] = field(default_factory=dict)

    @property
    def statistical(self) -> bool:
        """Whether chance can make the verdict wrong."""
        return any(KINDS[kind].statistical for kind, _ in [(self.rule, 0), *self.parts.values()])

    def part(self, name: str) -> tuple[str, float | None]:
        """Return the rule and margin of one part.

        Raises:
            ValueError: the rule does not name the part.
        """
        if name not in self.parts and "*" not in self.parts:
            listed = ", ".join(self.parts)
            raise ValueError(f"{self.id}: expected one of the parts {listed}, but got {name!r}")
        return self.parts[name if name in self.parts else "*"]

    @property
    def text(self) -> str:
        """The rule in words, its quantity and when the claim counts as supported."""
        lines = [(name, *part) for name, part in self.parts.items()]
        whole = sentence(self.rule, self.margin, self.unit)
        inner = "; ".join(
            f"{'every other part' if name == '*' else name}: {sentence(kind, margin, self.unit)}"
            for name, kind, margin in lines
        )
        seeds = f", with at least {self.min_seeds} seeds" if self.statistical else ""
        start = f"{self.quantity}: " if self.quantity else ""
        return f"{start}supported when {whole}{f' ({inner})' if inner else ''}{seeds}"


def sentence(kind: str, margin: float | None, unit: str) -> str:
    """Return when a claim is supported, with the margin filled in.

    Example:
        >>> sentence("below", 1.05, "x")
        'the 95 % interval of the mean over seeds lies below 1.05 x'
    """
    if margin is None:
        text = KINDS[kind].text.replace(", and that uncertainty is below {margin}", "")
        return text.format(margin="half a unit of its last digit")
    return KINDS[kind].text.format(margin=f"{margin:g} {unit}".strip())


def _margin(where: str, kind: str, text: str) -> float | None:
    rule = KINDS[kind]
    if not text:
        if rule.default is None:
            raise ValueError(f"{where}: expected a margin for the rule {kind!r}, but got none")
        return None if rule.default == "" else float(rule.default)
    if kind in ("all", "not_testable"):
        raise ValueError(f"{where}: expected no margin for the rule {kind!r}, but got {text!r}")
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{where}: expected a number as margin, but got {text!r}") from None
    low = -math.inf if rule.low is None else rule.low
    return checks.number(f"{where}: margin", value, low=low)


def _parts(where: str, text: str) -> dict[str, tuple[str, float | None]]:
    found = {}
    for entry in filter(None, map(str.strip, text.split(";"))):
        match = re.fullmatch(r"(.+?):\s*(\w+)(?:\s+(\S+))?", entry)
        if not match:
            raise ValueError(f"{where}: expected 'name: rule margin', but got {entry!r}")
        name, kind, margin = match[1].strip(), match[2], match[3] or ""
        simple = tuple(set(KINDS) - {"all", "not_testable"})
        checks.choice(f"{where}: rule of the part {name}", kind, sorted(simple))
        if name in found:
            raise ValueError(f"{where}: the part {name!r} is named twice")
        found[name] = (kind, _margin(f"{where}: {name}", kind, margin))
    if not found:
        raise ValueError(f"{where}: expected the parts of the rule 'all', but got none")
    return found


def _rule(where: str, row: Mapping[str, str]) -> Rule:
    kind = checks.choice(f"{where}: rule", row["rule"], tuple(KINDS))
    required = "note" if kind == "not_testable" else "study"
    if not row[required]:
        raise ValueError(f"{where}: expected a {required} for the rule {kind!r}, but got none")
    parts = _parts(where, row["margin"]) if kind == "all" else {}
    rule = Rule(
        id=row["id"],
        study=row["study"],
        rule=kind,
        quantity=row["quantity"],
        margin=None if parts else _margin(where, kind, row["margin"]),
        unit=row["unit"],
        min_seeds=1,
        data=tuple(row["data"].split()),
        cell=row["cell"] or row["id"],
        note=row["note"],
        parts=parts,
    )
    low = 5 if rule.statistical else 1
    text = row["min_seeds"] or str(low)
    if not text.isdigit() or int(text) < low:
        raise ValueError(f"{where}: expected min_seeds >= {low}, but got {text!r}")
    return Rule(**{**rule.__dict__, "min_seeds": int(text)})


def rules(path: Path | None = None) -> Mapping[str, Rule]:
    """Return the rules by claim, checked.

    Args:
        path: another file of rules, for tests.

    Raises:
        ValueError: a claim or rule is unknown, a claim has two rows, or a cell does not fit; the
            message names file and line.

    Example:
        >>> len(rules()), rules()["MMF-G-svd12"].id
        (247, 'MMF-G-svd12')
    """
    path = path or Path(__file__).with_name("rules.csv")
    return _read(path, path.stat().st_mtime_ns)


@cache
def _read(path: Path, changed: int) -> Mapping[str, Rule]:
    known = tuple(claims()["id"])
    found: dict[str, Rule] = {}
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, strict=True)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(
                f"{path.name}: expected the columns {', '.join(COLUMNS)}, "
                f"but got {reader.fieldnames}"
            )
        for row in reader:
            where = f"{path.name}, line {reader.line_num}"
            if None in row or None in row.values():
                raise ValueError(f"{where}: expected {len(COLUMNS)} cells; quote cells with commas")
            row = {key: value.strip() for key, value in row.items()}
            checks.choice(f"{where}: id", row["id"], known)
            if row["id"] in found:
                raise ValueError(f"{where}: claim {row['id']} has a rule already")
            found[row["id"]] = _rule(where, row)
    return MappingProxyType(found)
