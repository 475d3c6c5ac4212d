"""The ideal classifier of factor mixing: what the angle ranges alone allow (v1 appendix E).

Train with binary cross-entropy on mixed factors and mixed labels, with unlimited data and
capacity, and the network's probability of label 1 at angle ``theta`` is

    q(theta) = E[lam y_i + (1 - lam) y_j | lam theta_i + (1 - lam) theta_j = theta].

Nothing about images or networks enters, so accuracy and NLL on any test range follow by
quadrature. A network that sees the factors through pixels can only be as good as `q` by luck.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from mmlib import checks

Range = tuple[float, float]

TRAIN: tuple[Range, Range] = ((-70.0, -50.0), (50.0, 80.0))  # label 0, label 1
TESTS: dict[str, tuple[Range, Range]] = {
    "A": ((-30.0, -10.0), (10.0, 30.0)),
    "B": ((-30.0, -20.0), (-10.0, 30.0)),
}
TEST_C: Range = (-30.0, 30.0)


@dataclass(frozen=True)
class Score:
    """Accuracy in percent and NLL in nats of a classifier on balanced test ranges."""

    accuracy: float
    nll: float


def _mixed_density(theta: np.ndarray, first: Range, second: Range, share: np.ndarray) -> np.ndarray:
    """Density of ``(1 - share) U(first) + share U(second)`` at each theta, shape (T, S)."""
    widths = np.stack(((1 - share) * (first[1] - first[0]), share * (second[1] - second[0])))
    low = (1 - share) * first[0] + share * second[0]
    # The sum of two uniforms has a trapezoidal density: positive parts at its four corners.
    corners = np.stack((0 * share, widths[0], widths[1], widths.sum(0)))
    rise = np.maximum(theta[:, None, None] - low - corners, 0)  # (T, 4, S)
    return (rise[:, 0] - rise[:, 1] - rise[:, 2] + rise[:, 3]) / np.prod(widths, 0)


def label_given_angle(
    theta: np.ndarray,
    *,
    alpha: float = 1.0,
    train: tuple[Range, Range] = TRAIN,
    nodes: int = 4000,
) -> np.ndarray:
    r"""Posterior mean of the mixed label, ``q(theta)``, for balanced classes.

    With share ``t ~ Beta(alpha, alpha)`` and ``f_ab(theta | t)`` the density of
    ``(1 - t) theta_a + t theta_b``,

    .. math::
        q = \frac{\frac12 E[t f_{01}] + \frac14 E[f_{11}]}
                 {\frac12 E[f_{01}] + \frac14 E[f_{00}] + \frac14 E[f_{11}]}.

    Args:
        theta: (T,) angles in degrees.
        alpha: parameter of the Beta law.
        train: angle ranges of label 0 and label 1.
        nodes: midpoint nodes of the quadrature over the quantiles of t.

    Returns:
        (T,) probabilities of label 1; NaN where no mixed example can fall.

    Source: Manifold Mixup v1, appendix E (task A and B training ranges).

    Example:
        >>> label_given_angle(np.array([-60.0, 2.5, 65.0])).round(3)
        array([0.004, 0.503, 0.992])
    """
    checks.positive("alpha", alpha)
    theta = np.asarray(theta, dtype=float)
    share = stats.beta(alpha, alpha).ppf((np.arange(nodes) + 0.5) / nodes)
    share = share.clip(1e-6, 1 - 1e-6)  # small alpha: quantiles that underflow to 0 have no width
    cross = _mixed_density(theta, *train, share)
    within = [_mixed_density(theta, edge, edge, share).mean(1) for edge in train]
    mass = 0.5 * cross.mean(1) + 0.25 * (within[0] + within[1])
    reached = mass > 1e-9  # below that a density is the rounding error of its trapezoid
    mean = 0.5 * (share * cross).mean(1) + 0.25 * within[1]
    return np.where(reached, mean / np.where(reached, mass, 1.0), np.nan)


def threshold(*, alpha: float = 1.0, train: tuple[Range, Range] = TRAIN) -> float:
    """Angle in degrees at which the ideal classifier's probability crosses one half.

    Example:
        >>> round(threshold(), 2)
        2.17
    """
    from scipy.optimize import brentq

    gap = (train[0][1] + 5, train[1][0] - 5)
    return float(
        brentq(
            lambda angle: label_given_angle(np.array([angle]), alpha=alpha, train=train)[0] - 0.5,
            *gap,
        )
    )


def ideal_score(task: str, *, alpha: float = 1.0, nodes: int = 2000) -> Score:
    """Accuracy and NLL of the ideal factor-mixed classifier on task A or B.

    Args:
        task: "A" or "B"; the test angles are uniform in `TESTS`, classes balanced.
        alpha: parameter of the Beta law of the factor mixing.
        nodes: midpoint nodes over each test range.

    Source: Manifold Mixup v1, appendix E and Table 8.

    Example:
        >>> score = ideal_score("A")
        >>> score.accuracy, round(score.nll, 3)
        (100.0, 0.415)
    """
    ranges = TESTS[checks.choice("task", task, tuple(TESTS))]
    steps = (np.arange(nodes) + 0.5) / nodes
    zero, one = (label_given_angle(low + (high - low) * steps, alpha=alpha) for low, high in ranges)
    accuracy = 50 * ((zero < 0.5).mean() + (one > 0.5).mean())
    nll = -0.5 * (np.log1p(-zero).mean() + np.log(one).mean())
    return Score(float(accuracy), float(nll))
