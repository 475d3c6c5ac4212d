"""The ledger page: rows that open to evidence, filters that match them, downloads that agree."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re

import nbformat
import pytest
from builder import claims, gate, ledger_page
from builder.cards import Card, cards


@pytest.fixture(scope="module")
def rows():
    found, warnings = claims.ledger_rows()
    assert warnings == []
    return found


def test_a_row_holds_its_evidence_and_links_to_cell_and_figure(row):
    tested = row(
        id="X-2",
        verdict="supported",
        value=-0.31234,
        interval=[-0.4, -0.2],
        n_seeds=5,
        rule="lies below 0",
        parts=[{"name": "a < b", "verdict": "supported", "reason": "by 3"}],
        record="quick/toy.jsonl@c0de, quick/toy.jsonl@c0de, paper/toy.jsonl@beef",
        profile="quick",
        data="mnist, mnist",
    )
    card = Card("13_kmixup", "fig-x", "abc.png", 'says "so"')
    text = ledger_page.ledger([row(), tested], {"X-2": card})
    assert text.count('<details class="mm-row ') == 2 and "a &lt; b" in text
    assert 'href="../notebooks/13_kmixup.html#X-2"' in text
    assert 'href="../notebooks/13_kmixup.html#fig-x"' in text
    assert 'src="../_images/abc.png"' in text and 'alt="says &quot;so&quot;"' in text
    assert "-0.312" in text and "[-0.4, -0.2]" in text and "lies below 0" in text
    assert text.count("quick/toy.jsonl") == 1 and "<code>beef</code>" in text
    assert 'data-data="mnist"' in text and 'data-in="k-mixup k-mixup/section-2"' in text
    assert "none yet (chapter 13)" in text  # X-1 has no cell
    assert "2 claims: 1 supported, 1 not tested" in text
    assert not gate.html_problems(text)


def test_every_choice_of_a_filter_keeps_a_row(rows):
    text = ledger_page.ledger(rows, {})
    form, _, body = text.partition("</form>")
    for name, menu in re.findall(r'<select name="(\w+)">(.*?)</select>', form, flags=re.S):
        values = re.findall(r'<option(?: value="([^"]+)")?>([^<]*)', menu)
        held = {
            word for cell in re.findall(rf'data-{name}="([^"]*)"', body) for word in cell.split()
        }
        assert {value or shown for value, shown in values} - {"all"} == held - {""}, name


def test_the_downloads_parse_and_agree_with_the_ledger(rows):
    files = claims.serialised(rows)
    listed = json.loads(files["ledger.json"])
    table = list(csv.DictReader(io.StringIO(files["ledger.csv"])))
    assert listed == rows and len(table) == len(rows) > 200
    for one, cells in zip(rows, table, strict=True):
        assert set(cells) == set(one) - {"interval"} | {"interval_low", "interval_high"}
        for name in ("id", "statement", "verdict", "reason", "rule", "data", "record"):
            assert cells[name] == (one[name] or "")
        assert cells["value"] == ("" if one["value"] is None else repr(one["value"]))
        ends = [float(cells[end]) for end in ("interval_low", "interval_high") if cells[end]]
        assert ends == (one["interval"] or [])


def test_the_search_page_knows_every_claim_and_item(rows):
    script = ledger_page.search_data(rows, claims.items())
    listed = json.loads(script.removeprefix("window.mmClaims = ").rstrip(";\n"))
    ids = {entry["id"] for entry in listed}
    assert {one["id"] for one in rows} < ids and "k-Mixup, Theorem 1" in ids


def test_a_card_knows_the_figure_above_it_in_its_section(tmp_path):
    v4 = nbformat.v4
    html = '<div class="mm-card x"><p class="mm-meta">k-Mixup, section 2 · {}</p></div>'

    def card(claim: str):
        data = {"text/html": html.format(claim)}
        return v4.new_code_cell("x", outputs=[v4.new_output("display_data", data)])

    png = base64.b64encode(b"picture").decode()
    shown = v4.new_code_cell("y", outputs=[v4.new_output("display_data", {"image/png": png})])
    shown.metadata = nbformat.from_dict(
        {"mystnb": {"figure": {"name": "fig-a"}, "image": {"alt": "A curve."}}}
    )
    cells = [card("KM-one"), shown, card("KM-two"), card("KM-one"), v4.new_markdown_cell("## New")]
    nbformat.write(v4.new_notebook(cells=[*cells, card("KM-three")]), tmp_path / "13_k.ipynb")
    found = cards(tmp_path, ["13_k", "14_never_executed"])
    name = hashlib.sha256(b"picture").hexdigest() + ".png"
    assert found == {
        "KM-one": Card("13_k"),
        "KM-two": Card("13_k", "fig-a", name, "A curve."),
        "KM-three": Card("13_k"),
    }
