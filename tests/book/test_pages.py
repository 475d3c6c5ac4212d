"""Prose pages: code on them runs, numbers in them come from somewhere, ledger rows are grouped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from builder import claims, fragments, gate, pages
from builder.layout import BuildError, Layout

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / f"{name}.md" for name in Layout(ROOT).toc_files() if not name.startswith("note")]
BLOCK = re.compile(r"^```python\n(.*?)^```", flags=re.M | re.S)


def row(**changes) -> claims.Row:
    values = {
        "id": "X-1",
        "source": "k-Mixup",
        "location": "section 2",
        "chapter": "13_kmixup",
        "kind": "identity",
        "statement": "a < b",
        "verdict": "not tested",
        "reason": "",
        "profile": None,
        "data": None,
        "n_seeds": None,
        "value": None,
        "interval": None,
        "published": None,
        "notebook": "notebooks/13_kmixup.ipynb",
        "cell": None,
        "record": None,
    }
    return values | changes


def run_code_of(page: str, at_least: int) -> None:
    blocks = BLOCK.findall((ROOT / "book" / page).read_text(encoding="utf-8"))
    assert len(blocks) >= at_least
    space: dict = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, f"book/{page}", "exec"), space)


def test_code_on_the_scale_page_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("MMLIB_RESULTS", str(tmp_path))
    run_code_of("scale.md", at_least=1)


def test_code_on_the_use_page_runs_in_order(capsys):
    run_code_of("use_it.md", at_least=5)
    said = capsys.readouterr().out.splitlines()
    assert "epochs was 3, now 4" in said[0]
    assert "alpha" in said[1] and "layr1" in said[2] and "eval" in said[3]


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
    ],
)
def test_sections(source, location, section):
    assert fragments.section_of(source, location) == section


def test_every_claim_of_the_registry_has_a_section():
    from mmlib.evidence import claims as registry

    table = registry()
    lost = [
        (source, location)
        for source, location in zip(table["source"], table["location"], strict=True)
        if source in fragments.HOME
        and fragments.section_of(source, location) == "Abstract"
        and "abstract" not in location
    ]
    assert lost == []


def test_ledger_links_what_is_tested_and_says_what_is_not():
    rows = [
        row(),
        row(id="X-2", verdict="supported", value=-0.31234, interval=[-0.4, -0.2], n_seeds=5),
        row(id="X-3", verdict="contradicted", chapter="14_kmixup_theory"),
    ]
    text = fragments.ledger(rows, linked={"13_kmixup"})
    assert text.count('class="mm-row"') == 3 and "a &lt; b" in text
    assert "../notebooks/13_kmixup.html#X-2" in text and "-0.312" in text and "5 seeds" in text
    assert (
        text.count("not tested yet (chapter") == 2
    )  # whose chapter is not in the book
    assert "1 supported, 1 contradicted, 1 not tested" in text


def test_counts_keep_the_order_of_verdicts():
    assert list(fragments.counts_of([row()])) == list(claims.VERDICTS)


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
