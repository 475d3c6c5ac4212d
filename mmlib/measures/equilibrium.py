"""Where a GAN's game with mixes comes to rest: one number, by quadrature.

Real points are standard normal on the line, the generator is ``g(z) = s z`` with z standard normal,
and the discriminator is the best one for every s. Then all densities are normal, the push on s is
an integral over the line and over the law of lambda, and a game at rest is a zero of that push.

Best discriminator: the loss is linear in the label, so at a point with mass a labelled real and
mass b labelled fake (a soft label y gives y and 1 - y) it is smallest at ``sigma(d) = a / (a + b)``
for binary cross-entropy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq

from mmlib.checks import integer, number, positive
from mmlib.training.mixes import Mixes

_ENDS = {"real": (1.0, 0.0), "fake": (0.0, 1.0)}  # label, and whether the generator made it


@dataclass(frozen=True)
class Masses:
    """Labelled masses on a grid x of the line, with their derivatives, and the parts of each mix.

    Attributes:
        x: (N,) points.
        real, fake: (N,) mass labelled real, and labelled fake.
        d_real, d_fake: (N,) their derivatives in x.
    """

    x: np.ndarray
    real: np.ndarray
    fake: np.ndarray
    d_real: np.ndarray
    d_fake: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """The best discriminator's probability of real, ``a / (a + b)``."""
        return self.real / (self.real + self.fake)

    @property
    def slope(self) -> np.ndarray:
        """Derivative of its logit ``log a - log b``."""
        return self.d_real / self.real - self.d_fake / self.fake


def _normal(x: np.ndarray, variance: np.ndarray | float) -> np.ndarray:
    return np.exp(-(x**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def _lambdas(mixes: Mixes, n: int) -> np.ndarray:
    """Values of lambda that stand for its law: the quantiles at n midpoints."""
    u = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    return mixes.law.quantile(u).numpy()


def _parts(
    mixes: Mixes, s: float, lam: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each pair: labels, variance of the mix, and its covariance with d(mix) / ds, each (L,).

    A mix is ``lam x1 + (1 - lam) x2`` with x = z (real) or s z (fake), so its derivative in s is
    the sum of weight times z over its fake ends, and the covariance of both is the sum of
    ``weight^2 s`` over these.
    """
    found = []
    for pair in mixes.pairs:
        (y1, made1), (y2, made2) = (_ENDS[end] for end in pair.split("-"))
        spread = [s if made else 1.0 for made in (made1, made2)]
        variance = (lam * spread[0]) ** 2 + ((1 - lam) * spread[1]) ** 2
        moved = made1 * lam**2 * s + made2 * (1 - lam) ** 2 * s
        label = lam * y1 + (1 - lam) * y2
        found.append((label if mixes.labels == "soft" else 0 * label, variance, moved))
    return found


def _alone(mixes: Mixes | None) -> bool:
    return mixes is not None and mixes.alone


def masses(mixes: Mixes | None, s: float, *, points: int = 801, laws: int = 400) -> Masses:
    """Return what is labelled real and fake where, for a generator of scale s.

    Args:
        mixes: The mixes of the game; None for none.
        s: Scale of the generator, positive.
        points: Points of the grid, which spans eight standard deviations on the right; all
            densities are even.
        laws: Values of lambda that stand for its law.

    Raises:
        TypeError, ValueError: An argument is outside its range.

    Example:
        >>> from mmlib.training import variant
        >>> bool(abs(masses(variant("four", 0.5), 1.0).best - 0.5).max() < 1e-12)
        True
        >>> bool(masses(variant("fr", 0.2), 1.0).best.max() < 0.42)  # mixes count as fake
        True
    """
    positive("s", s)
    x = np.linspace(0, 8 * max(1.0, s), integer("points", points, low=3))
    column = x[:, None]
    total = {name: np.zeros(len(x)) for name in ("real", "fake", "d_real", "d_fake")}
    if not _alone(mixes):
        for name, variance in (("real", 1.0), ("fake", s**2)):
            density = _normal(x, variance)
            total[name] += density
            total[f"d_{name}"] += -x / variance * density
    if mixes is not None:
        lam = _lambdas(mixes, integer("laws", laws, low=1))
        for label, variance, _ in _parts(mixes, s, lam):  # type: ignore[assignment]
            density = _normal(column, variance)
            falls = -column / variance * density
            for name, y in (("real", label), ("fake", 1 - label)):
                total[name] += mixes.weight * (density * y).mean(1)
                total[f"d_{name}"] += mixes.weight * (falls * y).mean(1)
    return Masses(x, **total)


def push(
    mixes: Mixes | None,
    s: float,
    *,
    saturating: bool = False,
    points: int = 801,
    laws: int = 400,
) -> float:
    """Return -dL/ds of the generator's loss L against the best discriminator, held fixed.

    Positive: the fakes are pushed apart. The clean part of L is ``-E log D(s z)``, or
    ``E log(1 - D(s z))`` if it is `saturating` (the minimax game). Where the generator plays with
    the mixes ``-E l(D(mix), y)`` is added (``"minimax"``), or ``E l(D(mix), 1 - y)``
    (``"flipped"``). With slope t' of the logit, ``dl/dx = (D - y) t'``; and for a mix of variance
    v, ``E[d(mix)/ds | mix = x] = x cov / v``.

    Example:
        >>> from mmlib.training import variant
        >>> abs(push(None, 1.0)) < 1e-12, push(variant("fr", 0.2), 1.0) > 0.001
        (True, True)
    """
    found = masses(mixes, s, points=points, laws=laws)
    x, best, slope = found.x, found.best, found.slope
    total = np.zeros(len(x))
    if mixes is None or mixes.plays_clean:
        weight = best if saturating else 1 - best  # of t', in minus the derivative of the loss
        total += weight * slope * _normal(x, s**2) * x / s
    if mixes is not None and mixes.plays_mixes:
        lam = _lambdas(mixes, laws)
        column = x[:, None]
        for label, variance, moved in _parts(mixes, s, lam):
            flow = _normal(column, variance) * column * moved / variance
            if mixes.generator == "minimax":
                change = best[:, None] - label
            else:
                change = -(best[:, None] - (1 - label))
            total += mixes.weight * (change * flow).mean(1) * slope
    return float(2 * np.trapezoid(total, x))


def resting_scale(
    mixes: Mixes | None,
    *,
    low: float = 0.3,
    high: float = 4.0,
    saturating: bool = False,
    points: int = 801,
    laws: int = 400,
) -> float:
    """Return the scale s at which the push changes from outward to inward; NaN if there is none.

    The truth is s = 1. With several such scales the one nearest to 1 is returned.

    Args:
        mixes: The mixes of the game; None for none.
        low: Where to look, from here
        high: to here.
        saturating: Of the clean part, see `push`.
        points: See `masses`.
        laws: See `masses`.

    Raises:
        TypeError, ValueError: The range is empty or not positive.

    Example:
        >>> from mmlib.training import variant
        >>> round(resting_scale(None), 6), round(resting_scale(variant("four", 0.5)), 6)
        (1.0, 1.0)
    """
    positive("low", low)
    number("high", high, low=low, low_open=True)
    options = {"saturating": saturating, "points": points, "laws": laws}

    def force(s: float) -> float:
        return push(mixes, s, **options)  # type: ignore[arg-type]

    scales = np.geomspace(low, high, 25)
    values = [force(s) for s in scales]
    zeros = [
        brentq(force, a, b, xtol=1e-7)
        for a, b, left, right in zip(scales, scales[1:], values, values[1:], strict=False)
        if left > 0 >= right
    ]
    return float(min(zeros, key=lambda s: abs(np.log(s)))) if zeros else float("nan")
