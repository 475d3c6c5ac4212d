"""The ledger is a function of the records and the code."""

from __future__ import annotations

import csv
import io
import json
import platform

import pytest

from mmlib.evidence import Study, paired
from mmlib.evidence import __main__ as command
from mmlib.evidence import ledger as ledger_function
from mmlib.evidence.ledgers import as_csv, studies, summary
from mmlib.evidence.rulebook import Rule

KEYS = [
    *("id", "source", "location", "chapter", "kind", "statement", "verdict", "reason", "rule"),
    *(
        "parts",
        "profile",
        "data",
        "n_seeds",
        "value",
        "interval",
        "published",
        "notebook",
        "cell",
        "record",
    ),
]
RULES = {
    "MM1-F1-hidden": Rule("MM1-F1-hidden", "toy", "order", margin=0.0, unit="nats", cell="cell-3"),
    "MM1-F1-visible": Rule("MM1-F1-visible", "absent", "order", margin=0.0),
    "MM1-s2-var": Rule("MM1-s2-var", "toy", "order", margin=0.0),
    "MM1-s2-perbatch": Rule("MM1-s2-perbatch", "toy", "order", margin=0.0),
    "MM1-s6-brain": Rule("MM1-s6-brain", "", "not_testable", note="no brains here"),
}
RUN = """
def run(settings, seed):
    return {"nll": 2.0 + (settings["method"] == "b") + 0.01 * seed}
"""


@pytest.fixture
def known(module, monkeypatch):
    """A toy study that judges one claim, and rules of its own."""
    monkeypatch.setattr("mmlib.evidence.ledgers.rules", lambda: RULES)
    monkeypatch.setattr("mmlib.evidence.verdicts.rules", lambda: RULES)
    grid = [{"method": m} for m in "ab"]
    sizes = {"quick": 5, "paper": 6}
    study = Study(
        "toy", module(RUN).run, {"smoke": grid, "quick": grid, "paper": grid}, sizes, n_jobs=1
    )

    @study.evidence("MM1-F1-hidden")
    def _(runs):
        sides = {"better": {"method": "a"}, "worse": {"method": "b"}}
        return paired(runs.table, "nll", **sides, lower_is_better=True)

    @study.evidence("MM1-s2-var")
    def _(runs):
        return paired(runs.table, "absent", better={}, worse={}, lower_is_better=True)

    return {"toy": study}


def rows(known) -> dict[str, dict]:
    return {row["id"]: row for row in ledger_function(known)}


def test_every_claim_has_a_row_with_all_keys(known):
    found = ledger_function(known)
    assert len(found) == 247 and all(list(row) == KEYS for row in found)
    assert {row["verdict"] for row in found} == {"not tested"}
    by_id = {row["id"]: row for row in found}
    assert "no complete runs of toy are recorded" in by_id["MM1-F1-hidden"]["reason"]
    assert by_id["MM1-F1-visible"]["reason"] == "study absent: no such study"
    assert by_id["MM1-s2-perbatch"]["reason"] == "study toy: no evidence for it there"
    assert by_id["MM1-s6-brain"]["reason"] == "no brains here"
    assert by_id["MM1-abs-ssl"]["reason"] == "no rule is written down for this claim yet"
    assert by_id["MM1-F1-hidden"]["notebook"] == "notebooks/01_manifold_mixup.ipynb"
    assert by_id["MM1-F1-hidden"]["cell"] == "cell-3" and by_id["MM1-s6-brain"]["cell"] is None


def test_the_best_profile_with_enough_seeds_is_used(known):
    study = known["toy"]
    study.collect("smoke", n_seeds=6)
    assert "no complete runs" in rows(known)["MM1-F1-hidden"]["reason"]
    study.collect("paper", n_seeds=3)
    row = rows_quietly(known)["MM1-F1-hidden"]
    assert (row["verdict"], row["profile"], row["n_seeds"]) == ("inconclusive", "paper", 3)
    study.collect("quick", n_seeds=5)
    row = rows_quietly(known)["MM1-F1-hidden"]
    assert (row["verdict"], row["profile"], row["n_seeds"]) == ("supported", "quick", 5)
    assert row["record"] == f"quick/toy.jsonl@{study.code}"
    assert row["value"] == pytest.approx(1) and row["interval"] == [row["value"]] * 2
    study.collect("paper", n_seeds=6)
    assert rows_quietly(known)["MM1-F1-hidden"]["profile"] == "paper"


def rows_quietly(known) -> dict[str, dict]:
    with pytest.warns(RuntimeWarning, match="MM1-s2-var"):
        return rows(known)


def test_broken_evidence_hides_no_other_verdict(known):
    known["toy"].collect("quick")
    found = rows_quietly(known)
    assert found["MM1-F1-hidden"]["verdict"] == "supported"
    assert "its evidence could not be computed: ValueError" in found["MM1-s2-var"]["reason"]


def test_the_table_holds_parts_and_both_ends_of_an_interval():
    parts = [{"name": "a, b", "verdict": "supported", "reason": 'said "so"'}]
    found = {"id": "X-1", "interval": [0.1, 0.25], "value": 0.2, "parts": parts, "data": None}
    table = as_csv([found, found | {"interval": None, "value": None, "parts": []}])
    first, second = csv.DictReader(io.StringIO(table))
    assert float(first["interval_low"]) == 0.1 and float(first["interval_high"]) == 0.25
    assert first["parts"] == 'a, b: supported, said "so"' and first["data"] == ""
    assert second["interval_low"] == second["value"] == second["parts"] == ""


@pytest.fixture
def cli(known, monkeypatch, capsys):
    monkeypatch.setattr(command, "studies", lambda: known)

    def run(*arguments: str) -> tuple[int, str]:
        status = command.main(list(arguments))
        return status, capsys.readouterr().out

    return run


@pytest.mark.filterwarnings("ignore:MM1-s2-var")
def test_the_command_line(cli, known, module):
    assert cli("--runs") == (0, "none\n") and cli("--stale") == (0, "none\n")
    status, out = cli("--record", "toy", "--profile", "quick")
    assert status == 0 and "10 computed" in out
    status, out = cli("--json")
    found = json.loads(out)
    assert status == 0 and len(found) == 247 == len(out.splitlines()) - 2
    assert sum(row["verdict"] == "supported" for row in found) == 1
    status, out = cli("--csv")
    table = list(csv.DictReader(io.StringIO(out)))
    assert status == 0 and [row["id"] for row in table] == [row["id"] for row in found]
    assert {(row["verdict"], row["reason"]) for row in table} == {
        (row["verdict"], row["reason"]) for row in found
    }
    status, out = cli()
    assert "02_synthetic_tasks" in out and "MM1-F1-hidden: supported. better by 1 nats" in out
    assert cli("--runs")[1].split() == [
        *("10", "quick", "toy", "no", "data", "cpu"),
        f"({platform.machine()})",
    ]
    old = known["toy"]
    known["toy"] = Study("toy", module(RUN.replace("2.0", "2.5")).run, old.grid, n_jobs=1)
    assert "    10  quick  toy  code" in cli("--stale")[1]
    assert "commit " in cli("--stale")[1] and cli("--runs")[1] == "none\n"
    del known["toy"]
    assert "toy (no such study)" in cli("--stale")[1]
    assert cli("--record", "toys")[0] == 2


def test_the_summary_counts_per_chapter(known):
    text = summary(ledger_function(known))
    assert text.splitlines()[-1].split() == ["all", "0", "0", "0", "247"]


def test_the_studies_of_the_project_are_found_and_have_evidence_for_their_rules():
    assert all(name == study.name for name, study in studies().items())
