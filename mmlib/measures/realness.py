"""The law of a mix's realness: the weight r that real points have in what the discriminator sees.

Everything is exact, in float64, from the distribution function of lambda; nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from mmlib.checks import choice, number
from mmlib.mixing import Law
from mmlib.training.mixes import PAIRS, Mixes


def law_cdf(law: Law, t: ArrayLike) -> np.ndarray:
    """Return P(lambda <= t).

    ``I_t(alpha, alpha)`` for Beta, ``t / alpha`` on (0, alpha) for the uniform law. With
    F that function, ``min(lambda, 1 - lambda)`` has ``F(t) + 1 - F(1 - t)`` below 1/2 and 1 from
    there on: for the symmetric Beta twice F, and twice its density (v1, footnote 3). The largest of
    both has ``F(t) - F(1 - t)`` from 1/2 on, and 0 below.

    Args:
        law: Of lambda.
        t: Any numbers.

    Example:
        >>> law_cdf(Law("beta", 0.2, fold="min"), [0.05, 0.5]).round(2).tolist()
        [0.58, 1.0]
    """
    t = np.asarray(t, dtype=float)

    def plain(s: np.ndarray) -> np.ndarray:
        s = np.clip(s, 0, 1)
        if law.kind == "fixed":
            return (s >= law.lam).astype(float)
        if law.kind == "uniform":
            return np.clip(s / law.alpha, 0, 1)
        return special.betainc(law.alpha, law.alpha, s)

    inside = np.where(t < 0, 0.0, plain(t))
    if law.fold is None:
        return inside
    if law.kind == "fixed":
        ends = (min, max)[law.fold == "max"](law.lam, 1 - law.lam)  # type: ignore[type-var, operator]
        return (t >= ends).astype(float)
    if law.fold == "min":
        return np.where(t < 0.5, inside + np.where(t < 0, 0.0, 1 - plain(1 - t)), 1.0)
    return np.where(t < 0.5, 0.0, inside - np.where(t >= 1, 0.0, plain(1 - t)))


def realness_cdf(pair: str, law: Law, t: ArrayLike) -> np.ndarray:
    """Return P(r <= t) for the mixes of one pair.

    r is lambda for real-fake, ``1 - lambda`` for fake-real, 0 for fake-fake and 1 for real-real.
    lambda has no atoms here unless its law is ``"fixed"``, which is refused for fake-real.

    Raises:
        ValueError: An unknown pair, or a law with an atom.

    Example:
        >>> realness_cdf("fake-real", Law("uniform", 0.5), [0.4, 0.75, 1.0]).tolist()
        [0.0, 0.5, 1.0]
    """
    t = np.asarray(t, dtype=float)
    if choice("pair", pair, PAIRS) in ("fake-fake", "real-real"):
        return (t >= float(pair == "real-real")).astype(float)
    if law.kind == "fixed":
        raise ValueError("law: expected one without atoms, but got a fixed lambda")
    return law_cdf(law, t) if pair == "real-fake" else 1 - law_cdf(law, 1 - t)


def mixture_cdf(pairs: Sequence[str], law: Law, t: ArrayLike) -> np.ndarray:
    """Return P(r <= t) over all mixes, the pairs in equal shares.

    Example:
        >>> cdf = mixture_cdf(("real-fake", "fake-real"), Law("uniform", 0.5), [0.1, 0.7])
        >>> cdf.round(12).tolist()      # together they are uniform on (0, 1)
        [0.1, 0.7]
    """
    return np.mean([realness_cdf(pair, law, t) for pair in pairs], axis=0)


def edge_masses(mixes: Mixes, edge: float = 0.05) -> dict[str, float]:
    """Return how the mass of a formulation's mixes lies between pure fake and pure real.

    Args:
        mixes: Pairs and law.
        edge: How near counts as almost pure.

    Returns:
        ``fake`` = P(r < edge), ``real`` = P(r > 1 - edge), ``between`` = the rest, and
        ``mean`` = E r.

    Raises:
        TypeError, ValueError: `edge` is not in (0, 1/2).

    Example:
        >>> from mmlib.training import variant
        >>> {k: round(v, 3) for k, v in edge_masses(variant("final", 0.5)).items()}
        {'fake': 0.367, 'real': 0.033, 'between': 0.6, 'mean': 0.333}
    """
    number("edge", edge, low=0, high=0.5, low_open=True, high_open=True)
    below = float(mixture_cdf(mixes.pairs, mixes.law, np.nextafter(edge, 0)))
    above = 1 - float(mixture_cdf(mixes.pairs, mixes.law, 1 - edge))
    lam = mean_lambda(mixes.law)
    mean = {"real-fake": lam, "fake-real": 1 - lam, "fake-fake": 0.0, "real-real": 1.0}
    return {
        "fake": below,
        "real": above,
        "between": 1 - below - above,
        "mean": float(np.mean([mean[pair] for pair in mixes.pairs])),
    }


def mean_lambda(law: Law) -> float:
    """Return E lambda.

    ``1/2`` for Beta and ``alpha / 2`` for the uniform law. Folded at 1/2 the Beta law has
    ``2 E[lambda; lambda < 1/2] = I_half(alpha + 1, alpha)``, since ``t f_(a,a)(t)`` is half the
    density of Beta(a + 1, a).

    Raises:
        ValueError: A law whose mean is not needed here (folded uniform, or fixed).

    Example:
        >>> round(mean_lambda(Law("beta", 0.2, fold="min")), 3)
        0.101
    """
    if law.kind == "beta" and law.fold is None:
        return 0.5
    if law.kind == "beta":
        low = float(special.betainc(law.alpha + 1, law.alpha, 0.5))
        return low if law.fold == "min" else 1 - low
    if law.kind == "uniform" and law.fold is None:
        return law.alpha / 2
    raise ValueError(f"law: expected a Beta law or a plain uniform one, but got {law}")
