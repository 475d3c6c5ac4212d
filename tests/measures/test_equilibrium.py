"""Best discriminators and resting scales, against independent computations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate

from mmlib.measures.equilibrium import masses, push, resting_scale
from mmlib.mixing import Law
from mmlib.training.mixes import variant
from mmlib.training.objectives import label_loss

FEW = {"points": 401, "laws": 100}


def normal(x: float, variance: float) -> float:
    return math.exp(-(x**2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


def mixed(x: float) -> float:
    """Density at x of lam x1 + (1 - lam) x2, lam ~ U(0, 1/2)."""
    found, _ = integrate.quad(lambda lam: normal(x, lam**2 + (1 - lam) ** 2), 0, 0.5)
    return 2 * found


@pytest.mark.parametrize("x", [0.0, 0.7, 2.0])
def test_best_discriminator_at_the_truth_in_closed_form(x):
    """At p_g = p: p / (2 p + p_m) for FR, (p + m / 3) / (2 p + m) for the final version."""
    p, m = normal(x, 1.0), mixed(x)
    for name, changes, expected in (
        ("fr", {"law": Law("uniform", 0.5)}, p / (2 * p + m)),
        ("fr_ff", {"law": Law("uniform", 0.5)}, p / (2 * p + 2 * m)),
        ("final", {}, (p + m / 3) / (2 * p + m)),
        ("four", {}, 0.5),
    ):
        found = masses(variant(name, 0.5, **changes), 1.0, points=1601, laws=400)
        assert np.interp(x, found.x, found.best) == pytest.approx(expected, abs=1e-4)


def test_slope_is_the_derivative_of_the_logit():
    found = masses(variant("final", 0.3), 1.2, points=2001, laws=50)
    logit = np.log(found.real) - np.log(found.fake)
    numeric = np.gradient(logit, found.x)
    inner = slice(2, 1200)
    assert found.slope[inner] == pytest.approx(numeric[inner], abs=1e-3)


@pytest.mark.parametrize("saturating", [False, True])
@pytest.mark.parametrize(
    "mixes",
    [
        None,
        variant("fr", 0.7),
        variant("final", 0.5),
        variant("final", 0.5, generator="flipped"),
        variant("eq1", 0.7),
    ],
    ids=["none", "fr", "final", "flipped", "eq1"],
)
def test_push_is_the_gradient_of_the_loss_by_draws(mixes, saturating):
    """Monte Carlo of the generator's loss with the discriminator held fixed, differentiated."""
    s0, n = 1.4, 400_000
    found = masses(mixes, s0, points=2001, laws=100)
    logit = torch.from_numpy(np.log(found.real) - np.log(found.fake))
    step = found.x[1]

    def t(x: torch.Tensor) -> torch.Tensor:
        place = (x.abs() / step).clamp(max=len(logit) - 1.001)
        low = place.detach().floor().long()
        return logit[low] + (place - low) * (logit[low + 1] - logit[low])

    generator = torch.Generator().manual_seed(0)
    z1, z2, x1, x2 = torch.randn(4, n, generator=generator, dtype=torch.float64)
    s = torch.tensor(s0, dtype=torch.float64, requires_grad=True)
    softplus = torch.nn.functional.softplus
    loss = torch.zeros(())
    if mixes is None or mixes.plays_clean:
        loss = (-softplus(t(s * z1)) if saturating else softplus(-t(s * z1))).mean()
    if mixes is not None and mixes.plays_mixes:
        u = torch.rand(n, generator=generator, dtype=torch.float64)
        lam = mixes.law.quantile(u)
        for pair in mixes.pairs:
            ends = {"real": [(x1, 1.0), (x2, 1.0)], "fake": [(s * z1, 0.0), (s * z2, 0.0)]}
            first, second = pair.split("-")
            (a, ya), (b, yb) = ends[first][0], ends[second][1]
            y = lam * ya + (1 - lam) * yb
            d = t(lam * a + (1 - lam) * b)
            if mixes.generator == "minimax":
                term = -(y * softplus(-d) + (1 - y) * softplus(d))
            else:
                term = (1 - y) * softplus(-d) + y * softplus(d)
            loss = loss + mixes.weight * term.mean()
    (slope,) = torch.autograd.grad(loss, s)
    expected = push(mixes, s0, saturating=saturating, points=2001, laws=100)
    assert -slope.item() == pytest.approx(expected, abs=0.004)


def test_which_games_rest_at_the_truth():
    balanced = {
        "none": None,
        "eq1": variant("eq1", 0.2),
        "two": variant("final", 0.5, pairs=("real-fake", "fake-real")),
        "four": variant("four", 0.5),
        "four, clean": variant("four", 0.2, generator="clean"),
    }
    for mixes in balanced.values():
        assert resting_scale(mixes, **FEW) == pytest.approx(1, abs=1e-5)
        assert push(mixes, 1.0, **FEW) == pytest.approx(0, abs=1e-12)
    for name in ("fr", "fr_ff", "final"):
        for saturating in (False, True):
            found = resting_scale(variant(name, 0.2), saturating=saturating, **FEW)
            assert found > 1.005
        assert push(variant(name, 0.2), 1.0, **FEW) > 0.01
    folded = variant("eq1", 0.2, law=Law("beta", 0.2, fold="min"))
    assert push(folded, 1.0, **FEW) < -0.001 and resting_scale(folded, **FEW) < 0.8


def test_the_value_of_four_pairs_is_largest_at_the_truth():
    """V(s) = min_d L: the entropy of the label given the point, at most that of the label."""

    def value(mixes, s: float) -> float:
        found = masses(mixes, s, points=1601, laws=100)
        total = found.real + found.fake
        entropy = -found.real * np.log(found.best) - found.fake * np.log1p(-found.best)
        assert 2 * np.trapezoid(total, found.x) == pytest.approx(3, rel=1e-3)
        return 2 * np.trapezoid(entropy, found.x)

    four, final = variant("four", 0.5), variant("final", 0.5)
    assert value(four, 1.0) == pytest.approx(3 * math.log(2), rel=1e-3)
    assert value(four, 1.0) > max(value(four, 0.9), value(four, 1.1))
    assert value(final, 1.03) > value(final, 1.0)


@pytest.mark.parametrize(("a", "b", "best"), [(0.4, 0.6, -1), (0.7, 0.3, 1)])
def test_hinge_is_smallest_at_the_sign_of_the_difference(a, b, best):
    """Why nothing pushes at the truth under hinge: fr and final have a < b all over, d = -1."""
    d = torch.linspace(-3, 3, 601, dtype=torch.float64)
    loss = a * label_loss(d, 1.0, "hinge") + b * label_loss(d, 0.0, "hinge")
    assert d[loss.argmin()].item() == pytest.approx(best)
    for name in ("fr", "fr_ff", "final"):
        found = masses(variant(name, 0.5), 1.0, **FEW)
        assert (found.real < found.fake).all()


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="s: expected"):
        masses(None, 0.0)
    with pytest.raises(ValueError, match="high: expected"):
        resting_scale(None, low=2.0, high=1.0)
    with pytest.raises(ValueError, match="points"):
        masses(None, 1.0, points=2)
    assert math.isnan(resting_scale(None, low=1.5, high=2.0))
