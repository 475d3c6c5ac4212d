"""Findings pick the right rows, or say which ones they would need."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from mmlib.evidence import components, equivalent, errors, exact, paired, per_seed, sample

TABLE = pd.DataFrame(
    {
        "method": ["a", "b", "b"] * 3,
        "alpha": [math.nan, 1.0, 2.0] * 3,
        "layers": [("input",), ("input",), ("input", "x")] * 3,
        "seed": [0, 0, 0, 1, 1, 1, 2, 2, 2],
        "nll": [3.0, 2.0, 1.0, 4.0, 2.5, 1.5, 5.0, 3.0, math.nan],
    }
)


def test_rows_are_chosen_by_any_setting():
    assert per_seed(TABLE, "nll", {"method": "a"}).to_dict() == {0: 3.0, 1: 4.0, 2: 5.0}
    assert per_seed(TABLE, "nll", {"alpha": None}).to_dict() == {0: 3.0, 1: 4.0, 2: 5.0}
    assert per_seed(TABLE, "nll", {"alpha": 1}).to_dict() == {0: 2.0, 1: 2.5, 2: 3.0}
    assert per_seed(TABLE, "nll", {"layers": ["input", "x"]}).iloc[:2].tolist() == [1.0, 1.5]


def test_ambiguous_unknown_and_empty_choices_are_refused():
    with pytest.raises(ValueError, match="got 2; they differ in alpha, layers, nll: name these"):
        per_seed(TABLE, "nll", {"method": "b"})
    with pytest.raises(ValueError, match="column: expected one of.*did you mean 'method'"):
        per_seed(TABLE, "nll", {"metod": "b"})
    with pytest.raises(ValueError, match="expected rows with {'method': 'c'}, but got none"):
        per_seed(TABLE, "nll", {"method": "c"})


def test_averages_keep_a_nan():
    found = per_seed(TABLE, "nll", {"method": "b"}, average=True)
    assert found.tolist()[:2] == [1.5, 2.0] and np.isnan(found[2])


def test_paired_differences_are_positive_where_the_claim_says_so():
    sides = {"better": {"alpha": 1.0}, "worse": {"method": "a"}}
    assert paired(TABLE, "nll", **sides, lower_is_better=True).values == (1.0, 1.5, 2.0)
    assert paired(TABLE, "nll", **sides, lower_is_better=False).values == (-1.0, -1.5, -2.0)
    plain = equivalent(TABLE, "nll", first={"alpha": 1.0}, second={"method": "a"})
    assert plain.values == (-1.0, -1.5, -2.0) and not plain.oriented


def test_seeds_without_a_partner_are_counted():
    found = paired(
        TABLE.drop(index=[0, 4]),
        "nll",
        better={"alpha": 1.0},
        worse={"method": "a"},
        lower_is_better=True,
    )
    assert found.values == (2.0,) and found.unpaired == 2


def test_errors_take_the_largest_error_and_the_smallest_control():
    found = errors(pd.Series([1e-9, 3e-9]), [0.5, 0.2])
    assert (found.error, found.control) == (3e-9, 0.2)
    assert np.isnan(errors([1e-9, math.nan], 1.0).error)


def test_wrong_findings_are_refused():
    with pytest.raises(TypeError, match="printed: expected the printed digits as text"):
        exact(0.5, 0.5)
    with pytest.raises(TypeError, match="printed: expected the printed digits as text"):
        sample([1.0], printed=1.0)
    with pytest.raises(ValueError, match="at least one finding"):
        components({})
    with pytest.raises(TypeError, match=r"parts\['a'\]: expected a finding, but got float"):
        components({"a": 1.0})
