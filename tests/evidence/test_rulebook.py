"""The file of rules is checked when it is read."""

from __future__ import annotations

import pytest

from mmlib.evidence.rulebook import COLUMNS, KINDS, rules

HEADER = ",".join(COLUMNS)


def written(tmp_path, *lines: str):
    path = tmp_path / "rules.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def test_each_kind_of_row_is_read(tmp_path):
    found = rules(
        written(
            tmp_path,
            "MM1-F1-hidden,s,order,NLL at hidden states,0.05,nats,,mnist cifar10,cell-3,",
            "MM1-F1-visible,s,equivalence,,0.1,,7,,,",
            "MM1-s2-split,s,identity,,1e-6,,,,,",
            "MM1-s2-5pct,s,exact,,,percent,,,,",
            "MM1-T8-A,s,all,,accuracy: number 2; NLL: order; *: order 0.1,,,,,",
            "MM1-s6-brain,,not_testable,,,,,,,no such methods here",
        )
    )
    one = found["MM1-F1-hidden"]
    assert (one.margin, one.unit, one.min_seeds) == (0.05, "nats", 5)
    assert one.data == ("mnist", "cifar10")
    assert one.cell == "cell-3" and found["MM1-F1-visible"].cell == "MM1-F1-visible"
    assert one.text == (
        "NLL at hidden states: supported when the 95 % interval of the paired differences over "
        "seeds lies above 0.05 nats, with at least 5 seeds"
    )
    assert found["MM1-F1-visible"].min_seeds == 7
    assert (found["MM1-s2-split"].min_seeds, found["MM1-s2-5pct"].margin) == (1, None)
    assert "half a unit of its last digit" in found["MM1-s2-5pct"].text
    several = found["MM1-T8-A"]
    assert several.part("accuracy") == ("number", 2.0) and several.part("NLL") == ("order", 0.0)
    assert several.part("other") == ("order", 0.1) and several.statistical
    assert "every other part" in several.text and several.min_seeds == 5
    assert found["MM1-s6-brain"].note == "no such methods here"


@pytest.mark.parametrize(
    "lines, message",
    [
        (["MM1-F1-hiden,s,order,,,,,,,"], "line 2: id: .*MM1-F1-hidden"),
        (["MM1-F1-hidden,s,ordr,,,,,,,"], "line 2: rule: expected one of.*did you mean 'order'"),
        (["MM1-F1-hidden,s,order,,,,,,,"] * 2, "line 3: claim MM1-F1-hidden has a rule already"),
        (["MM1-F1-hidden,,order,,,,,,,"], "expected a study"),
        (["MM1-F1-hidden,s,order,,x,,,,,"], "expected a number as margin, but got 'x'"),
        (["MM1-F1-hidden,s,equivalence,,,,,,,"], "expected a margin for the rule 'equivalence'"),
        (["MM1-F1-hidden,s,equivalence,,-1,,,,,"], "margin: expected a finite number >= 0"),
        (["MM1-F1-hidden,s,order,,,,4,,,"], "expected min_seeds >= 5, but got '4'"),
        (["MM1-F1-hidden,s,all,,,,,,,"], "expected the parts"),
        (["MM1-F1-hidden,s,all,,a: all,,,,,"], "rule of the part a"),
        (["MM1-F1-hidden,s,all,,a order,,,,,"], "expected 'name: rule margin'"),
        (["MM1-F1-hidden,s,all,,a: order; a: order,,,,,"], "named twice"),
        (["MM1-F1-hidden,,not_testable,,,,,,,"], "expected a note"),
        (["MM1-F1-hidden,s,order"], "expected 10 cells"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path, lines, message):
    with pytest.raises(ValueError, match=message):
        rules(written(tmp_path, *lines))


def test_other_columns_are_refused(tmp_path):
    path = tmp_path / "rules.csv"
    path.write_text("id,rule\n")
    with pytest.raises(ValueError, match="expected the columns id, study"):
        rules(path)


def test_the_rules_of_the_project_are_valid():
    for rule in rules().values():
        assert rule.rule in KINDS and rule.text
