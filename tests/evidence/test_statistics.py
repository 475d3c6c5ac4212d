"""The tests behind the verdicts keep the error rates that they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mmlib.evidence.statistics import (
    agreement_width,
    decide_equivalence,
    decide_order,
    half_unit,
    mean_interval,
)

N = 40_000  # simulated studies; three standard errors of a 5 % rate are 0.33 points
SLACK = 3 * (0.05 * 0.95 / N) ** 0.5


def simulated(seeds: int, *, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    """Differences of two methods whose seeds vary by 1, over many studies: (N, seeds)."""
    return np.random.default_rng(seed).normal(shift, 1.0, (N, seeds))


def rate(decisions: np.ndarray, word: int) -> float:
    return float((decisions == word).mean())


@pytest.mark.parametrize("seeds", [5, 10, 20])
def test_a_method_against_itself_is_called_a_difference_in_five_percent(seeds):
    found = decide_order(simulated(seeds))
    assert abs(rate(found, 1) - 0.025) < SLACK and abs(rate(found, -1) - 0.025) < SLACK


@pytest.mark.parametrize("seeds, shift", [(5, 1.0), (5, 2.0), (10, 1.0), (20, 0.5)])
def test_a_known_difference_is_found_with_the_power_of_the_t_test(seeds, shift):
    found = decide_order(simulated(seeds, shift=shift))
    edge = stats.t.ppf(0.975, seeds - 1)
    power = stats.nct.sf(edge, seeds - 1, shift * np.sqrt(seeds))
    assert abs(rate(found, 1) - power) < 0.01
    assert rate(found, -1) < 0.001


def test_a_margin_shifts_the_question():
    found = decide_order(simulated(10, shift=0.5), margin=0.5)
    assert rate(found, 1) + rate(found, -1) <= 0.05 + SLACK


@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("margin", [0.5, 1.0, 3.0])
def test_equivalence_at_the_margin_is_declared_in_at_most_five_percent(seeds, side, margin):
    found = decide_equivalence(simulated(seeds, shift=side * margin), margin=margin)
    assert rate(found, 1) <= 0.05 + SLACK
    assert rate(found, -1) <= 0.025 + SLACK


def test_equivalence_is_found_where_it_holds_and_denied_where_it_does_not():
    assert rate(decide_equivalence(simulated(10), margin=1.5), 1) > 0.95
    assert rate(decide_equivalence(simulated(10, shift=3), margin=1.0), -1) > 0.95
    assert rate(decide_equivalence(simulated(10), margin=0.1), 0) > 0.95  # too few seeds to say


@pytest.mark.parametrize("trials", [1, 3, 10])
def test_a_reproduced_number_agrees_in_95_percent(trials):
    rng = np.random.default_rng(1)
    agreed = []
    for _ in range(4000):
        printed = f"{rng.normal(90, 0.3, trials).mean():.4f}"
        ours = rng.normal(90, 0.3, 5)
        width = agreement_width(ours, printed, n_trials=trials)
        agreed.append(abs(ours.mean() - float(printed)) <= width)
    assert abs(np.mean(agreed) - 0.95) < 3 * (0.05 * 0.95 / 4000) ** 0.5


def test_printed_uncertainty_and_rounding_widen_the_agreement():
    ours = [1.0, 1.0, 1.0, 1.0, 1.0]
    assert agreement_width(ours, "1.0") == pytest.approx(0.05)
    width = agreement_width(ours, "1.000", uncertainty=0.1)
    assert width == pytest.approx(0.27764 + 0.0005, abs=1e-5)
    assert np.isnan(agreement_width([1.0], "1.0"))
    assert half_unit("8.8310") == pytest.approx(5e-5)
    assert half_unit("1.5e-3") == pytest.approx(5e-5)


def test_the_interval_is_that_of_scipy():
    values = np.random.default_rng(0).normal(size=7)
    low, high = stats.t.interval(0.95, 6, values.mean(), stats.sem(values))
    assert np.allclose(mean_interval(values), (values.mean(), low, high))


@pytest.mark.parametrize(
    "values, interval, order",
    [
        ([0.1] * 5, (0.1, 0.1), 1),  # the same in every seed: the point itself
        ([0.0] * 5, (0.0, 0.0), 0),
        ([-0.1] * 5, (-0.1, -0.1), -1),
        ([0.1], (np.nan, np.nan), 0),
        ([], (np.nan, np.nan), 0),
        ([0.1, np.nan, 0.1], (np.nan, np.nan), 0),
        ([0.1, np.inf, 0.1], (np.nan, np.nan), 0),
    ],
)
def test_edge_cases_are_defined(values, interval, order):
    assert np.array_equal(mean_interval(values)[1:], interval, equal_nan=True)
    assert decide_order(values) == order
    assert decide_equivalence(values, margin=1.0) == (1 if np.isfinite(interval[0]) else 0)
