"""From a finding and a rule to a verdict word, with one sentence of numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmlib.evidence import statistics
from mmlib.evidence.findings import Components, Errors, Exact, Finding, Paired, Sample
from mmlib.evidence.rulebook import KINDS, Rule
from mmlib.evidence.statistics import LEVEL

SUPPORTED, CONTRADICTED = "supported", "contradicted"
INCONCLUSIVE, NOT_TESTED = "inconclusive", "not tested"
WORDS = (SUPPORTED, CONTRADICTED, INCONCLUSIVE, NOT_TESTED)
_WORD = {1: SUPPORTED, -1: CONTRADICTED, 0: INCONCLUSIVE}


@dataclass(frozen=True)
class Decision:
    """A verdict word and what it rests on."""

    verdict: str
    reason: str
    value: float | None = None
    interval: tuple[float, float] | None = None
    n: int | None = None
    printed: str | None = None


def shown(value: float, unit: str = "") -> str:
    """Return a number with three significant digits and its unit.

    Example:
        >>> shown(0.012345, "nats"), shown(96.498)
        ('0.0123 nats', '96.5')
    """
    return f"{value:.3g} {unit}".strip()


def _few(values: tuple[float, ...], rule: Rule) -> str | None:
    """Return why a sample is no ground for a decision, or None."""
    if not np.isfinite(values).all():
        return f"{int((~np.isfinite(values)).sum())} of {len(values)} values are not finite"
    if len(values) < rule.min_seeds:
        return f"{len(values)} seeds, and the rule asks for {rule.min_seeds}"
    return None


def _from_seeds(
    finding: Paired | Sample,
    rule: Rule,
    decide: Callable[[np.ndarray], Any],
    text: str,
    level: float,
    extra: str = "",
) -> Decision:
    """Decide on values over seeds; `level` is that of the interval which is shown."""
    values = np.asarray(finding.values, dtype=float)
    mean, low, high = (float(x) for x in statistics.mean_interval(values, level=level))
    n, unit = len(values), rule.unit
    reason = f"{text} {shown(mean, unit)} over {n} seeds"
    interval = None
    if np.isfinite([low, high]).all():
        interval = (low, high)
        reason += f", {100 * (1 - level):.3g} % interval {shown(low)} to {shown(high)}"
        reason += ", the same in every seed" if np.ptp(values) == 0 else ""
    reason += extra
    if unpaired := getattr(finding, "unpaired", 0):
        reason += f"; {unpaired} seeds without a partner are left out"
    short = _few(finding.values, rule)
    word = INCONCLUSIVE if short else _WORD[int(decide(values))]
    reason = f"{short}: {reason}" if short else reason
    return Decision(word, reason, mean if np.isfinite(mean) else None, interval, n)


def _order(finding: Paired, rule: Rule, margin: float, level: float) -> Decision:
    if not finding.oriented:
        raise TypeError(f"{rule.id}: the rule 'order' needs paired(...), not equivalent(...)")
    return _from_seeds(
        finding,
        rule,
        lambda values: statistics.decide_order(values, margin=margin, level=level),
        "better by",
        level,
        f"; the rule asks for more than {shown(margin, rule.unit)}" if margin else "",
    )


def _equivalence(finding: Paired, rule: Rule, margin: float, level: float) -> Decision:
    return _from_seeds(
        finding,
        rule,
        lambda values: statistics.decide_equivalence(values, margin=margin, level=level),
        "difference",
        2 * level,
        f"; the margin is {shown(margin, rule.unit)} either way",
    )


def _threshold(sign: int) -> Callable[..., Decision]:
    def decide(finding: Sample, rule: Rule, margin: float, level: float) -> Decision:
        return _from_seeds(
            finding,
            rule,
            lambda values: statistics.decide_order(
                sign * values, margin=sign * margin, level=level
            ),
            "mean",
            level,
            f"; the rule asks for {'more' if sign > 0 else 'less'} than {shown(margin, rule.unit)}",
        )

    return decide


def _number(finding: Sample, rule: Rule, margin: float | None, level: float) -> Decision:
    if finding.printed is None:
        raise ValueError(f"{rule.id}: the rule 'number' needs sample(..., printed=...)")
    width = statistics.agreement_width(
        finding.values,
        finding.printed,
        uncertainty=finding.uncertainty,
        n_trials=finding.n_trials,
        level=level,
    )
    gap = abs(float(np.mean(finding.values)) - float(finding.printed))

    def decide(values: np.ndarray) -> int:
        if gap > width:
            return -1
        return 0 if margin is not None and width > margin else 1

    extra = f"; printed {finding.printed}, combined 95 % uncertainty {shown(width, rule.unit)}"
    if margin is not None and gap <= width and width > margin:
        extra += f", too wide to say (limit {shown(margin, rule.unit)})"
    found = _from_seeds(finding, rule, decide, "mean", level, extra)
    return replace(found, printed=finding.printed)


def _exact(finding: Exact, rule: Rule, margin: float | None, level: float) -> Decision:
    limit = statistics.half_unit(finding.printed) if margin is None else margin
    gap = abs(finding.value - float(finding.printed))
    reason = (
        f"derived {finding.value:.6g}, printed {finding.printed}: they differ by "
        f"{shown(gap, rule.unit)}, and the margin is {shown(limit, rule.unit)}"
    )
    # The slack covers the rounding of decimal numbers in binary, 0.30 - 0.25 against 0.05.
    slack = 1e-12 * max(1.0, abs(finding.value))
    if not np.isfinite(finding.value):
        return Decision(INCONCLUSIVE, f"the derived number is {finding.value}", None)
    word = SUPPORTED if gap <= limit + slack else CONTRADICTED
    return Decision(word, reason, finding.value, printed=finding.printed)


def _identity(finding: Errors, rule: Rule, margin: float, level: float) -> Decision:
    error, control = finding.error, finding.control
    reason = (
        f"largest error {shown(error, rule.unit)}, tolerance {shown(margin, rule.unit)}, "
        f"control with a planted mistake {shown(control, rule.unit)}"
    )
    value = error if np.isfinite(error) else None
    if np.isnan(error):
        return Decision(INCONCLUSIVE, f"the error is not a number: {reason}", value)
    if error > margin:
        return Decision(CONTRADICTED, reason, value)
    if not control > margin:
        why = "the control does not fail, so this test could not have seen an error"
        return Decision(INCONCLUSIVE, f"{why}: {reason}", value)
    return Decision(SUPPORTED, reason, value)


_DECIDE: dict[str, tuple[type, Callable[..., Decision]]] = {
    "order": (Paired, _order),
    "equivalence": (Paired, _equivalence),
    "number": (Sample, _number),
    "above": (Sample, _threshold(1)),
    "below": (Sample, _threshold(-1)),
    "exact": (Exact, _exact),
    "identity": (Errors, _identity),
}


def decide(
    finding: Finding,
    rule: Rule,
    *,
    profile: str,
    kind: str | None = None,
    margin: float | None = None,
    level: float = LEVEL,
) -> Decision:
    """Return the decision of a rule with one part, or of one part of the rule ``all``.

    Args:
        finding: what the study says.
        rule: the rule of the claim.
        profile: profile of the runs; printed numbers are compared at the paper's only.
        kind: rule of the part, where the rule is ``all``.
        margin: margin of the part.
        level: chance of a wrong decision.

    Raises:
        TypeError: the finding is not of the type that the rule judges.
    """
    name = kind or rule.rule
    expected, judge = _DECIDE[name]
    if not isinstance(finding, expected):
        raise TypeError(
            f"{rule.id}: the rule {name!r} judges {expected.__name__}, "
            f"but the evidence is {type(finding).__name__}"
        )
    found = judge(finding, rule, margin if kind else rule.margin, level)
    if name == "number" and profile != "paper":
        return replace(
            found,
            verdict=NOT_TESTED,
            reason=f"printed numbers are compared at profile paper only: {found.reason}",
        )
    return found


def decide_all(
    finding: Components, rule: Rule, *, profile: str
) -> tuple[Decision, dict[str, Decision]]:
    """Return the decision of the rule ``all`` and those of its parts.

    The claim is supported if every part is, each at 5 %: the chance that all of them are wrongly
    supported is not larger than that of one. It is contradicted if any part is at 5 % divided by
    the number of statistical parts, so that many parts do not make a contradiction by chance.

    Raises:
        ValueError: the rule does not name a part, or the finding lacks one that the rule names.
    """
    if lacking := set(rule.parts) - {"*"} - set(finding.parts):
        raise ValueError(f"{rule.id}: the evidence lacks the part {sorted(lacking)[0]!r}")
    kinds = {name: rule.part(name) for name in finding.parts}
    shared = LEVEL / max(1, sum(KINDS[kind].statistical for kind, _ in kinds.values()))
    parts = {}
    for name, part in finding.parts.items():
        kind, margin = kinds[name]
        options: dict[str, Any] = {"profile": profile, "kind": kind, "margin": margin}
        found = decide(part, rule, **options)
        if found.verdict == CONTRADICTED:
            strict = decide(part, rule, **options, level=shared)
            if strict.verdict != CONTRADICTED:
                found = replace(found, verdict=INCONCLUSIVE)
        parts[name] = found
    words = {name: part.verdict for name, part in parts.items()}
    word = next(
        (word for word in (CONTRADICTED, NOT_TESTED, INCONCLUSIVE) if word in words.values()),
        SUPPORTED,
    )
    counts = ", ".join(
        f"{count} {word}" for word in WORDS if (count := list(words.values()).count(word))
    )
    deciding = [f"{name}: {parts[name].reason}" for name in parts if words[name] == word]
    shown_parts = deciding if len(parts) <= 3 or word != SUPPORTED else []
    reason = f"{len(parts)} parts, {counts}" + "".join(f"; {text}" for text in shown_parts[:3])
    printed = ", ".join(part.printed for part in parts.values() if part.printed) or None
    n = min((part.n for part in parts.values() if part.n is not None), default=None)
    return Decision(word, reason, n=n, printed=printed), parts
