"""How far mixes lie from their ends: moments against quadrature, matches, and the printed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import linear_sum_assignment

from mmlib.measures import vicinal
from mmlib.mixing import OptimalPairing

ALPHAS = (0.05, 0.2, 1.0, 3.0, 100.0)


def integral(function, alpha: float) -> float:
    """Mean under Beta(alpha, alpha) by symmetry and the substitution lam = t^(1 / alpha)."""
    law = stats.beta(alpha, alpha)

    def integrand(t: float) -> float:
        lam = t ** (1 / alpha)
        density = law.pdf(lam) * lam ** (1 - alpha) / alpha if lam > 0 else 0.0
        return (function(lam) + function(1 - lam)) * density

    return quad(integrand, 0, 0.5**alpha, limit=200)[0]


@pytest.mark.parametrize("alpha", ALPHAS)
def test_moments_are_integrals(alpha):
    for power in (1.0, 2.0, 4.0):
        expected = integral(lambda lam, p=power: min(lam, 1 - lam) ** p, alpha)
        assert vicinal.nearer_moment(alpha, power) == pytest.approx(expected, rel=2e-3)
        expected = integral(lambda lam, p=power: (1 - lam) ** p, alpha)
        assert vicinal.end_moment(alpha, power) == pytest.approx(expected, rel=2e-3)
    expected = integral(lambda lam: lam * (1 - lam), alpha)
    assert vicinal.product_moment(alpha) == pytest.approx(expected, rel=2e-3)


def test_nearer_end_by_the_text_and_by_the_formula():
    """Squared distance to the closer of the pair, made of points: the text's own words."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 200_000, 3))
    for alpha in (0.2, 1.0, 10.0):
        lam = rng.beta(alpha, alpha, size=(len(a), 1))
        mix = lam * a + (1 - lam) * b
        closer = np.minimum(((mix - a) ** 2).sum(1), ((mix - b) ** 2).sum(1)).mean()
        length = ((a - b) ** 2).sum(1).mean()
        assert closer == pytest.approx(vicinal.nearer_moment(alpha) * length, rel=0.02)
        # Control: the distance to one end is another law.
        assert closer < 0.9 * vicinal.end_moment(alpha) * length


def test_limits_and_bounds():
    assert vicinal.nearer_moment(1e-8) == pytest.approx(0, abs=1e-6)
    assert vicinal.nearer_moment(2.0, 0.0) == pytest.approx(1)
    for bad in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="alpha"):
            vicinal.nearer_moment(bad)
    with pytest.raises(ValueError, match="power"):
        vicinal.nearer_moment(1.0, -1.0)


def test_spread_is_that_of_draws():
    lam = np.random.default_rng(1).beta(0.5, 0.5, size=400_000)
    square = np.minimum(lam, 1 - lam) ** 2
    assert vicinal.nearer_spread(0.5) == pytest.approx(square.std() / square.mean(), rel=0.01)


def test_gaps_of_one_set_are_those_of_the_assignment():
    x = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    y = torch.randn(12, 3, generator=torch.Generator().manual_seed(1))
    pairing = OptimalPairing(12, sets="independent")
    gaps, own = vicinal.match_gaps(x, pairing, torch.Generator().manual_seed(2), y)
    cost = torch.cdist(x, y).square().numpy()
    rows, columns = linear_sum_assignment(cost)
    assert gaps.square().sum().item() == pytest.approx(cost[rows, columns].sum(), rel=1e-5)
    assert own == 0.0


def test_sets_of_the_whole_batch_match_everything_to_itself():
    x = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    gaps, own = vicinal.match_gaps(
        x, OptimalPairing(8, sets="batch"), torch.Generator().manual_seed(1)
    )
    assert own == 1.0 and gaps.abs().max() == 0


def made(n_draws: int | None, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A table of 6 x 7 cells: exact, or each with the mean of its own draws of lambda."""
    alphas = (0.05, 0.1, 0.2, 0.5, 1.0, 10.0, 100.0)
    rng, rows = np.random.default_rng(seed), np.array([8.0, 7, 6, 5, 4, 3])
    columns = np.array([vicinal.nearer_moment(a) for a in alphas])
    spread = np.array([vicinal.nearer_spread(a) for a in alphas])
    if n_draws is None:
        return rows[:, None] * columns, columns, spread
    cells = []
    for a in alphas:
        lam = rng.beta(a, a, size=(6, n_draws))
        cells.append((np.minimum(lam, 1 - lam) ** 2).mean(1))
    return rows[:, None] * np.array(cells).T, columns, spread


def test_factorised_finds_rows_and_refuses_another_law():
    table, columns, spread = made(None)
    found = vicinal.factorised(table, columns, spread)
    assert np.allclose(found.rows, [8, 7, 6, 5, 4, 3]) and found.misfit < 1e-12
    wrong = np.array([vicinal.end_moment(a) for a in (0.05, 0.1, 0.2, 0.5, 1.0, 10.0, 100.0)])
    assert vicinal.factorised(table, wrong, spread).misfit > 0.05
    # A scale of all columns goes into the rows.
    assert np.allclose(vicinal.factorised(table, 3 * columns, spread).rows, found.rows / 3)


def test_misfit_tells_the_number_of_draws():
    """The number of draws is inside the 95 % interval in nearly all of 40 made tables."""
    inside = 0
    for seed in range(40):
        found = vicinal.factorised(*made(400, seed))
        _, low, high = vicinal.draws_behind(found.misfit, 36)
        inside += low < 400 < high
    assert inside >= 33


def test_factorised_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="column factors"):
        vicinal.factorised(np.ones((2, 3)), np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match="positive"):
        vicinal.factorised(np.zeros((2, 2)), np.ones(2), np.ones(2))
