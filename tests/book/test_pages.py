"""Prose pages: numbers in them come from somewhere, ledger rows are grouped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from builder import claims, fragments, gate, landing, pages, texts
from builder.layout import BuildError, Layout

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / f"{name}.md" for name in Layout(ROOT).toc_files() if not name.startswith("note")]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_page_exists_and_passes_the_gate(path):
    assert gate.markdown_problems(path.read_text(encoding="utf-8")) == []


def test_an_unknown_number_is_an_error():
    assert pages.render(
        "{{ n.supported }} of {{ n_claims }}", {"n": {"supported": 3}, "n_claims": 9}, "p"
    )
    with pytest.raises(BuildError, match="p.md.*n_clams"):
        pages.render("{{ n_clams }}", {"n_claims": 9}, "p.md")


def test_every_name_on_every_page_is_known():
    names = set()
    for path in PAGES:
        names |= set(re.findall(r"{{\s*([a-z_]+)", path.read_text(encoding="utf-8")))
    source = (ROOT / "book" / "builder" / "pages.py").read_text(encoding="utf-8")
    assert {name for name in names if f'"{name}":' not in source} == set()


@pytest.mark.parametrize(
    ("source", "location", "section"),
    [
        ("Manifold Mixup v1", "abstract, sections 1 and 4.2", "Abstract"),
        ("Manifold Mixup v1", "sections 1 and 7", "Section 1"),
        ("Manifold Mixup v1", "section 4.1, Figure 6", "Section 4.1"),
        ("Manifold Mixup v1", "Tables 3 and 7", "Section 4.1"),
        ("Manifold Mixup ICML", "appendix C.1", "Appendix C"),
        ("Manifold Mixup ICML", "Figures 9 to 11", "Appendix G"),
        ("k-Mixup", "supplement E.1, Lemma 2", "Supplement E"),
        ("k-Mixup", "Figure 6 caption, section 5", "Section 5"),
        ("k-Mixup", "Figure 10(b)", "Section 5"),
        ("Manifold mixup: degeneracy? (blog)", "gradient expansion", "The gradient"),
    ],
)
def test_sections(source, location, section):
    assert texts.section_of(source, location) == section


def test_every_claim_of_the_registry_has_a_section():
    from mmlib.evidence import claims as registry

    table = registry()
    lost = [
        (source, location)
        for source, location in zip(table["source"], table["location"], strict=True)
        if source != "Manifold Mixup abstract page"
        and texts.section_of(source, location) == "Abstract"
        and "abstract" not in location
    ]
    assert lost == []


def test_counts_keep_the_order_of_verdicts(row):
    assert list(fragments.counts_of([row()])) == list(claims.VERDICTS)


def test_the_dashboard_leads_to_texts_sections_and_verdicts(row):
    rows = [row(), row(id="X-2", verdict="supported", location="section 4, Theorem 3")]
    items = [{"source": "k-Mixup", "item": "Section 2", "title": "<b>", "claims": "", "note": ""}]
    text = landing.sections(rows, items)
    assert 'href="ledger.html?in=k-mixup/section-2#k-mixup-section-2"' in text
    assert 'href="ledger.html?in=k-mixup&amp;verdict=supported">1 supported' in text
    assert "&lt;b&gt;" in text and text.count("mm-item") == 2


def test_a_verdict_in_a_sentence_is_computed_and_leads_to_its_row(row):
    link = fragments.linked_badge(row(id="X-2", verdict="inconclusive"))
    assert 'href="ledger.html#X-2"' in link and "mm-inconclusive" in link


def test_held_counts_what_was_tested_and_refuses_an_unknown_kind(row):
    rows = [row(verdict="supported"), row(verdict="contradicted"), row()]
    assert landing.held(rows, "identity") == "1 of 2"
    with pytest.raises(KeyError, match="identiy"):
        landing.held(rows, "identiy")


def test_a_claim_without_a_number_is_said_to_have_none(row):
    assert landing.measured(row(value=1.019), ".2f") == "1.02"
    assert landing.measured(row(), ".2f") == "(not measured)"


def test_reference_lists_public_names_first_ones_first():
    text = pages.api("mmlib.mixing", "Mixup")
    names = re.findall(
        r"^\.\. auto(?:class|function|exception):: mmlib\.mixing\.(\w+)", text, flags=re.M
    )
    assert names[0] == "Mixup" and len(names) == len(set(names)) > 5
    own = pages.api("mmlib.evidence.statistics")
    assert "autofunction:: mmlib.evidence.statistics." in own and "numpy" not in own


def test_a_chapter_may_load_the_studies_that_its_modules_hold():
    from mmlib.evidence import module_files

    modules = {
        Path(path) for path in module_files(ROOT / "mmlib" / "studies" / "ch01" / "__init__.py")
    }
    names = claims.study_names(modules)
    assert names and all(name.startswith("ch01-") for name in names)
    assert claims.study_names({ROOT / "mmlib" / "checks.py"}) == []
