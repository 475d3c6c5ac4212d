"""Published numbers keep their printed digits."""

from __future__ import annotations

import pytest

from mmlib.evidence import claims, published, scalars, settings


def test_all_tables_load_with_printed_digits_and_floats():
    assert len(published()) == 21
    for name in published():
        table = published(name)
        assert table["value"].dtype == float and table["value"].notna().all()
        assert (table["printed"].astype(float) == table["value"]).all()
        assert list(table.columns[:9]) == [
            *("dataset", "model", "method", "alpha", "k"),
            *("epsilon_255", "deformation", "parameter", "metric"),
        ]


def test_a_cell_of_table_8():
    table = published("manifold_mixup_v1_table8_synthetic")
    chosen = table[(table["task"] == "A") & (table["method"] == "input_mixup")]
    assert chosen["printed"].tolist() == ["0.0", "6.0601"]
    assert chosen["alpha"].tolist() == [1.0, 1.0]


def test_the_registries_are_whole_and_copies_are_handed_out():
    assert (len(claims()), len(settings()), len(scalars())) == (247, 288, 83)
    mine = claims()
    mine.loc[0, "id"] = "changed"
    assert claims()["id"].is_unique and (claims() != "").any(axis=1).all()
    assert claims()["id"][0] != "changed"
    number = scalars().set_index("quantity")["number"]
    assert number["alpha described as often a good choice for Manifold Mixup"] == 2.0


def test_an_unknown_table_is_named_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'kmixup_fig3_toy'"):
        published("kmixup_fig3_toys")
