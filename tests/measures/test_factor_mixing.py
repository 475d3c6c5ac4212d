"""The ideal factor-mixed classifier against simulation, symmetry and bad input."""

from __future__ import annotations

import numpy as np
import pytest

from mmlib.measures.factor_mixing import TRAIN, ideal_score, label_given_angle, threshold


def simulated(alpha: float, train=TRAIN, n: int = 2_000_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    label = rng.random((2, n)) < 0.5
    angle = np.where(label, rng.uniform(*train[1], (2, n)), rng.uniform(*train[0], (2, n)))
    lam = rng.beta(alpha, alpha, n)
    return lam * angle[0] + (1 - lam) * angle[1], lam * label[0] + (1 - lam) * label[1]


@pytest.mark.parametrize("alpha", [0.5, 1.0, 4.0])
def test_the_posterior_mean_agrees_with_simulation(alpha):
    angle, label = simulated(alpha)
    for centre in (-60.0, -35.0, 0.0, 20.0, 70.0):
        near = np.abs(angle - centre) < 1
        error = 4 * label[near].std() / np.sqrt(near.sum()) + 2e-3
        ours = label_given_angle(np.linspace(centre - 1, centre + 1, 9), alpha=alpha).mean()
        assert ours == pytest.approx(label[near].mean(), abs=error)


def test_mirrored_ranges_mirror_the_posterior():
    mirrored = ((-80.0, -50.0), (50.0, 70.0))
    angle = np.array([-20.0, 5.0, 40.0])
    ours, theirs = label_given_angle(angle), label_given_angle(-angle, train=mirrored)
    assert np.allclose(ours, 1 - theirs, atol=1e-6)


def test_symmetric_ranges_balance_at_zero():
    assert threshold(train=((-70.0, -50.0), (50.0, 70.0))) == pytest.approx(0, abs=1e-3)


def test_task_b_must_miss_what_lies_below_the_threshold():
    missed = (threshold() + 10) / 40
    assert ideal_score("B").accuracy == pytest.approx(100 - 50 * missed, abs=0.1)


def test_no_angle_outside_the_reach_of_mixing_has_a_posterior():
    assert np.isnan(label_given_angle(np.array([-100.0, 100.0]))).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ideal_score("D"), "task: expected one of 'A', 'B', but got 'D'"),
        (lambda: label_given_angle(np.zeros(1), alpha=0), "alpha: expected a finite number > 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
