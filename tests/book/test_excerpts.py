"""Numbers and figures that prose pages take from executed chapters."""

from __future__ import annotations

import nbformat
import pytest
from builder.excerpts import ABSENT, RECORD, Excerpts
from builder.layout import BuildError


@pytest.fixture
def excerpts(tmp_path):
    v4 = nbformat.v4
    record = v4.new_output(
        "display_data", {RECORD: "0.25"}, metadata={"scrapbook": {"name": "c03-gain"}}
    )
    picture = v4.new_output("display_data", {"image/png": "aGk=\n"})
    none = v4.new_output(
        "display_data", {RECORD: "nan"}, metadata={"scrapbook": {"name": "c03-spread"}}
    )
    shown = v4.new_code_cell("x", outputs=[picture])
    shown.metadata = nbformat.from_dict(
        {"mystnb": {"figure": {"name": "fig-c03-x"}, "image": {"alt": "a < b"}}}
    )
    notebook = v4.new_notebook(cells=[v4.new_code_cell("y", outputs=[record, none]), shown])
    nbformat.write(notebook, tmp_path / "03_supervised.ipynb")
    return Excerpts(tmp_path, ["03_supervised", "04_ssl"])


def test_a_number_and_a_figure_are_quoted_by_name(excerpts):
    assert excerpts.value("c03-gain", ".1f") == "0.2"
    image = excerpts.picture("fig-c03-x")
    assert 'src="data:image/png;base64,aGk="' in image and 'alt="a &lt; b"' in image
    assert excerpts.picture("fig-c03-x", "03") == image


def test_a_spread_of_one_seed_is_a_value(excerpts):
    assert excerpts.value("c03-spread", ".1f") == "nan"


def test_an_unknown_name_is_an_error_and_a_failed_chapter_is_said(excerpts):
    with pytest.raises(BuildError, match="c03-gian"):
        excerpts.value("c03-gian")
    with pytest.raises(BuildError, match="fig-c03-y"):
        excerpts.picture("fig-c03-y")
    with pytest.raises(BuildError, match="c77-x"):
        excerpts.value("c77-x")
    assert excerpts.value("c04-gain") == ABSENT == excerpts.picture("fig-c04-x")
