"""Which numbers of examples make printed percentages possible, against fractions by hand."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from mmlib.measures import rounding


def by_hand(n: int, decimals: int, mode: str) -> set[int]:
    unit = Fraction(100 * 10**decimals)
    half = Fraction(1, 2) if mode == "rounded" else Fraction(0)
    return {floor(unit * c / n + half) for c in range(n + 1)}


@pytest.mark.parametrize("mode", rounding.MODES)
def test_attainable_by_fractions(mode):
    for n in (1, 2, 3, 7, 50, 128, 999):
        for decimals in (0, 1, 2):
            found = rounding.attainable(n, decimals, mode)
            assert found.tolist() == sorted(by_hand(n, decimals, mode))


def test_large_denominators_make_everything_possible():
    assert len(rounding.attainable(10_000, 2)) == 10_001
    assert len(rounding.attainable(9_999, 2)) < 10_001


@pytest.mark.parametrize("mode", rounding.MODES)
@pytest.mark.parametrize("n", (35, 97, 128))
def test_the_true_number_is_found(n, mode):
    rng = np.random.default_rng(n)
    values = [int(v) for v in rng.choice(rounding.attainable(n, 2, mode), 8)]
    found = rounding.denominators([f"{v / 100:.2f}" for v in values], 200, mode)
    assert n in found.found and found.found[0] <= n and found.by_luck < 1e-3


def test_random_digits_fit_as_often_as_said():
    """Expected number of fits by luck up to 60, against 3000 random tables of two values."""
    rng, decimals, largest = np.random.default_rng(0), 1, 60
    sets = [rounding.attainable(n, decimals) for n in range(1, largest + 1)]
    draws = rng.integers(1, 1000, size=(3000, 2))
    counts = sum(np.isin(draws, one).all(1).astype(float) for one in sets)
    expected = sum((len(one) / 1001) ** 2 for one in sets)
    assert counts.mean() == pytest.approx(expected, rel=0.15)
    # The same sum, where nothing fits up to the largest number.
    none = rounding.denominators(["50.1", "49.3", "77.7", "12.9"], 60)
    assert none.found == () and none.values == 4
    assert none.by_luck == pytest.approx(sum((len(one) / 1001) ** 4 for one in sets))


def test_values_that_always_fit_say_nothing():
    assert rounding.denominators(["0", "100"], 3).found == (1, 2, 3)
    assert rounding.denominators(["50.0", "100.0"], 8).by_luck == pytest.approx(
        rounding.denominators(["50.0"], 8).by_luck
    )


@pytest.mark.parametrize("printed", ([], ["101"], ["-1"], ["ninety"]))
def test_refuses_what_is_no_percentage(printed):
    with pytest.raises(ValueError, match="printed"):
        rounding.denominators(printed, 10)


def test_refuses_unknown_modes():
    with pytest.raises(ValueError, match="mode"):
        rounding.attainable(10, 1, "up")
