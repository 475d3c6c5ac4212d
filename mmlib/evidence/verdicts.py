"""`judge`: the verdict on a claim, computed from runs by the rule written down for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from html import escape
from typing import Any

from mmlib import checks
from mmlib.evidence.decisions import NOT_TESTED, Decision, decide, decide_all
from mmlib.evidence.findings import Components
from mmlib.evidence.profiles import PROFILES
from mmlib.evidence.rulebook import Rule, rules
from mmlib.evidence.runs import Runs
from mmlib.evidence.statistics import LEVEL
from mmlib.evidence.tables import claims


@dataclass(frozen=True)
class Verdict:
    """The verdict on one claim; a notebook shows it as a card.

    Attributes:
        claim: id of the claim.
        verdict: "supported", "contradicted", "inconclusive" or "not tested".
        reason: one sentence with the numbers.
        value: the mean difference, mean, error or derived number, where there is one.
        interval: its interval.
        n_seeds: seeds behind it.
        profile: profile of the runs.
        data: data of the runs.
        published: the printed number or numbers it was compared with.
        records: keys of the runs.
        rule: the rule in words.
        statistical: whether chance can make it wrong.
        parts: the decision on each part of a claim that says several things.
    """

    claim: str
    verdict: str
    reason: str
    value: float | None = None
    interval: tuple[float, float] | None = None
    n_seeds: int | None = None
    profile: str | None = None
    data: str | None = None
    published: str | None = None
    records: tuple[str, ...] = ()
    rule: str = ""
    statistical: bool = False
    parts: Mapping[str, Decision] = field(default_factory=dict)

    @property
    def statement(self) -> str:
        """The claim in the words of the registry."""
        return _claim(self.claim)["statement"]

    def __str__(self) -> str:
        where = f" [{self._facts()}]" if self._facts() else ""
        return f"{self.claim}: {self.verdict}. {self.reason}{where}"

    __repr__ = __str__

    def _facts(self) -> str:
        seeds = f"{self.n_seeds} seeds" if self.n_seeds else ""
        profile = f"profile {self.profile}" if self.profile else ""
        data = f"data {self.data}" if self.data and self.data != "none" else ""
        return ", ".join(filter(None, [seeds, profile, data]))

    def _repr_html_(self) -> str:
        row = _claim(self.claim)
        css = f"mm-{self.verdict.replace(' ', '-')}"
        parts = "".join(
            f"<li>{escape(name)}: <em>{escape(part.verdict)}</em>, {escape(part.reason)}</li>"
            for name, part in self.parts.items()
        )
        parts = f"<details><summary>parts</summary><ul>{parts}</ul></details>" if parts else ""
        # The book's style sheet sets --mm-tone; elsewhere the text colour of the page serves.
        return (
            f'<div class="mm-card {css}" style="border-left: 4px solid var(--mm-tone, '
            'currentColor); padding: 0.4em 0.9em; margin: 0.6em 0">'
            f'<p class="mm-statement">{escape(row["statement"])}</p>'
            f'<p class="mm-facts"><span class="mm-verdict {css}">{escape(self.verdict)}</span> '
            f"{escape(self.reason)}</p>{parts}"
            f'<p class="mm-meta">{escape(row["source"])}, {escape(row["location"])} · '
            f"{escape(self.claim)}{f' · {escape(self._facts())}' if self._facts() else ''}"
            f"{f' · {escape(self.rule)}' if self.rule else ''}</p></div>"
        )


@cache
def _claims() -> dict[str, dict[str, str]]:
    return {row["id"]: row for row in claims().to_dict("records")}


def _claim(name: str) -> dict[str, str]:
    return _claims()[checks.choice("claim", name, tuple(_claims()))]


def _obstacle(rule: Rule, runs: tuple[Runs, ...]) -> str | None:
    """Return why these runs cannot support any verdict on the claim, or None."""
    for one in runs:
        if not one.records:
            return f"no runs of {one.study.name} are recorded at profile {one.profile}"
        if not PROFILES[one.profile].supports_verdicts:
            return f"runs at profile {one.profile} never support a verdict"
        if one.is_stand_in:
            return f"the runs of {one.study.name} are on {one.data_text}"
    used = {name for one in runs for name in one.data.values()}
    if absent := [name for name in rule.data if name not in used]:
        return f"the rule asks for runs on {', '.join(absent)}"
    return None


def judge(claim: str, *runs: Runs, rule: Rule | None = None) -> Verdict:
    """Return the verdict on a claim from the runs of its study.

    Args:
        claim: id of the claim.
        *runs: the runs of the study that holds the claim's evidence function, then those of the
            studies it was registered with by ``also``.
        rule: another rule than that of ``rules.csv``, to see what would follow from it.

    Raises:
        ValueError: the claim is unknown, or the runs are not those of its study.
        TypeError: the evidence does not fit the rule.
    """
    _claim(claim)
    rule = rule or rules().get(claim)
    if rule is None:
        return Verdict(claim, NOT_TESTED, "no rule is written down for this claim yet")
    if rule.rule == "not_testable":
        return Verdict(claim, NOT_TESTED, rule.note, rule=rule.text)
    if not runs or rule.study != runs[0].study.name:
        given = runs[0].study.name if runs else "none"
        raise ValueError(f"{claim}: expected the runs of study {rule.study!r}, but got {given!r}")
    study = runs[0].study
    if claim not in study.claims:
        raise ValueError(f"{claim}: study {study.name} has no evidence for it")
    evidence, also = study.claims[claim]
    wanted, found_in = [study, *also], [one.study for one in runs]
    if [one.name for one in wanted] != [one.name for one in found_in]:
        raise ValueError(f"{claim}: expected the runs of {wanted}, but got those of {found_in}")
    context: dict[str, Any] = {
        "n_seeds": min(len(one.seeds) for one in runs),
        "profile": runs[0].profile,
        "data": ", ".join(sorted({one.data_text for one in runs} - {"none"})) or "none",
        "records": tuple(record["key"] for one in runs for record in one.records),
        "rule": rule.text,
        "statistical": rule.statistical,
    }
    if why := _obstacle(rule, runs):
        return Verdict(claim, NOT_TESTED, why, **context)
    finding = evidence(*runs)
    parts: dict[str, Decision] = {}
    if rule.rule == "all":
        if not isinstance(finding, Components):
            raise TypeError(f"{claim}: the rule 'all' needs components(...)")
        found, parts = decide_all(finding, rule, profile=runs[0].profile)
    else:
        found = decide(finding, rule, profile=runs[0].profile)
    if found.n is not None:
        context["n_seeds"] = found.n
    changed = {key: value for one in runs for key, value in one.overrides.items()}
    text = ", ".join(f"{key} = {value}" for key, value in changed.items())
    return Verdict(
        claim,
        found.verdict,
        found.reason + (f"; with settings changed to {text}" if text else ""),
        value=found.value,
        interval=found.interval,
        published=found.printed,
        parts=parts,
        **context,
    )


def expected_false(verdicts: Iterable[Verdict | Mapping[str, Any]]) -> float:
    """Return how many verdicts are wrong by chance at most, on average.

    Each statistical test that was made, decided or not, is wrong with a chance of at most 5 %;
    identities and exact numbers are not wrong by chance.

    Args:
        verdicts: verdicts, or rows of the ledger.

    Example:
        >>> expected_false([Verdict("MM1-F1-hidden", "supported", "", statistical=True)] * 20)
        1.0
    """
    total = 0
    for one in verdicts:
        if isinstance(one, Verdict):
            word, statistical = one.verdict, one.statistical
        else:
            rule = rules().get(one["id"])
            word, statistical = one["verdict"], rule is not None and rule.statistical
        total += statistical and word != NOT_TESTED
    return LEVEL * total
