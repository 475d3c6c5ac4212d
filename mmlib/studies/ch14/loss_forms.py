"""Which losses have the form h(f) - y f, and the law of the weight that supplement D uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor
from torch import distributions as laws

from mmlib.measures.weight_laws import jacobi_nodes
from mmlib.mixing import soft_cross_entropy

Loss = Callable[[Tensor, Tensor], Tensor]  # (n, K) arguments f and labels y -> (n,)


def _glm(family: Callable[[Tensor], laws.Distribution]) -> Loss:
    return lambda f, y: -family(f[:, 0]).log_prob(y[:, 0])


def _softmax(f: Tensor, y: Tensor) -> Tensor:
    return torch.stack([soft_cross_entropy(a[None], b[None]) for a, b in zip(f, y, strict=True)])


def _probit(f: Tensor) -> Tensor:
    return torch.special.ndtr(f)


# Negative log-likelihoods as torch.distributions has them; f is the linear predictor. The gamma
# law's canonical parameter is minus one over its mean, so f is made negative there.
CROSS_ENTROPY: dict[str, Loss] = {
    "softmax": _softmax,
    "logistic": _glm(lambda f: laws.Bernoulli(logits=f)),
}
CANONICAL: dict[str, Loss] = {
    "normal, identity": _glm(lambda f: laws.Normal(f, 1.0)),
    "Bernoulli, logit": _glm(lambda f: laws.Bernoulli(logits=f)),
    "Poisson, log": _glm(lambda f: laws.Poisson(f.exp())),
    "gamma, reciprocal": _glm(lambda f: laws.Exponential(f.exp())),
}
OTHER: dict[str, Loss] = {
    "Bernoulli, probit": _glm(lambda f: laws.Bernoulli(_probit(f))),
    "Bernoulli, complementary log-log": _glm(lambda f: laws.Bernoulli(-torch.expm1(-f.exp()))),
    "Poisson, square root": _glm(lambda f: laws.Poisson(1e-3 + f.square())),
    "gamma, log": _glm(lambda f: laws.Exponential((-f).exp())),
}
# The natural parameter of the laws above as a function of f: what takes the place of f.
NATURAL: dict[str, Callable[[Tensor], Tensor]] = {
    "gamma, reciprocal": lambda f: -f.exp(),
    "Bernoulli, probit": lambda f: _probit(f).logit(),
    "Bernoulli, complementary log-log": lambda f: f.exp().expm1().log(),
    "Poisson, square root": lambda f: (1e-3 + f.square()).log(),
    "gamma, log": lambda f: -(-f).exp(),
}


def mixed_difference(
    loss: Loss, f: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor], slope: tuple[Tensor, Tensor]
) -> float:
    r"""Return how far a loss is from :math:`h(f) + c(y) - y \cdot s(f)`, the largest over rows.

    .. math:: \ell(f, y) - \ell(f', y) - \ell(f, y') + \ell(f', y')
        + (s(f) - s(f')) \cdot (y - y'),

    which is 0 for all arguments exactly if the loss has this form.

    Args:
        loss: the loss.
        f: two (n, K) arguments.
        y: two (n, K) labels.
        slope: s at the two arguments; f itself for the form of the text.

    Example:
        >>> f, y = (torch.zeros(1, 1), torch.ones(1, 1)), (torch.zeros(1, 1), torch.ones(1, 1))
        >>> mixed_difference(CANONICAL["normal, identity"], f, y, f)
        0.0
    """
    cross = loss(f[0], y[0]) - loss(f[1], y[0]) - loss(f[0], y[1]) + loss(f[1], y[1])
    product = ((slope[0] - slope[1]) * (y[0] - y[1])).sum(1)
    return float((cross + product).abs().max())


def _arguments(name: str, n: int, generator: torch.Generator) -> tuple[tuple, tuple]:
    """Return two arguments and two different labels in the support of a law."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    if name == "softmax":
        return (normal(n, 4), normal(n, 4)), (normal(n, 4).softmax(1), normal(n, 4).softmax(1))
    first = torch.randint(2, (n, 1), generator=generator).double()
    f = tuple(1.5 * normal(n, 1).tanh() for _ in range(2))  # no probability rounds to 0 or 1
    return f, (first, 1 - first) if name[:4] in ("Bern", "logi") else (first, first + 1)


def forms(n: int, seed: int) -> dict[str, float]:
    """Return the error of the form for each loss, of a doubled f, and of the natural parameter.

    Keys: ``form_<loss>``, ``doubled_<loss>`` (the control) and, where f is not the natural
    parameter, ``natural_<loss>``.
    """
    generator, found = torch.Generator().manual_seed(seed), {}
    for name, loss in (CROSS_ENTROPY | CANONICAL | OTHER).items():
        f, y = _arguments(name, n, generator)
        slope = tuple(map(NATURAL[name], f)) if name in NATURAL else f
        # The canonical gamma model is the one whose f is the natural parameter already.
        own = slope if name in CANONICAL else f
        found[f"form_{name}"] = mixed_difference(loss, f, y, own)
        found[f"doubled_{name}"] = mixed_difference(loss, f, y, tuple(2 * s for s in own))
        if name in NATURAL:
            found[f"natural_{name}"] = mixed_difference(loss, f, y, slope)
    return found


def label_mixing(n: int, seed: int) -> dict[str, float]:
    r"""Return what mixing labels does to a loss beyond mixing losses, largest over random cases.

    ``linear_error``: cross-entropy of the mixed label less the mix of cross-entropies. Squared
    error differs by :math:`-\frac12 \lambda (1 - \lambda) (y - y')^2` (``square_error``: less
    that), which is not 0 (``square_gap``) and does not depend on f.
    """
    generator = torch.Generator().manual_seed(seed)
    (f, _), (y, other) = _arguments("softmax", n, generator)
    lam = torch.rand(n, 1, generator=generator, dtype=torch.float64)

    def gap(loss: Loss) -> Tensor:
        mixed = loss(f, lam * y + (1 - lam) * other)
        return mixed - lam[:, 0] * loss(f, y) - (1 - lam[:, 0]) * loss(f, other)

    square = gap(lambda f, y: (f - y).square().sum(1) / 2)
    expected = -(lam * (1 - lam) * (y - other).square()).sum(1) / 2
    return {
        "linear_error": float(gap(_softmax).abs().max()),
        "square_error": float((square - expected).abs().max()),
        "square_gap": float(square.abs().max()),
    }


def weight_law(alpha: float, n: int, seed: int) -> dict[str, float]:
    """Compare densities and moments of the tilted law Beta(alpha + 1, alpha).

    ``joint``: both orders of drawing lambda and B; ``mean``: (alpha + 1) / (2 alpha + 1), and
    whether it is above 1/2; ``tilt``: density at lambda over that at 1 - lambda; ``exponent``: of
    1 - lambda near 1. Each as ``_error`` beside ``_control``. ``near_one``: density at 1 - 1e-9.
    """
    lam = np.random.default_rng(seed).uniform(0.01, 0.99, n)
    tilted, flat = stats.beta(alpha + 1, alpha), stats.beta(alpha, alpha)
    joint, control = [], []
    for b in (0, 1):
        second = 0.5 * stats.beta(alpha + b, alpha + 1 - b).pdf(lam)
        first = flat.pdf(lam) * np.where(b, lam, 1 - lam)
        swapped = flat.pdf(lam) * np.where(b, 1 - lam, lam)
        joint.append(np.abs(first / second - 1).max())
        control.append(np.abs(swapped / second - 1).max())
    nodes, weight = jacobi_nodes(alpha, alpha, 8)
    mean = float(weight @ (2 * nodes * nodes))  # the tilted density is 2 lambda times the flat one
    ratio = lam / (1 - lam)
    slopes = [
        float(np.diff(np.log(at))[0] / np.log(10))
        for at in (tilted.pdf([1 - 1e-7, 1 - 1e-6]), tilted.pdf([1e-7, 1e-6]))
    ]
    formula = (alpha + 1) / (2 * alpha + 1)
    return {
        "joint_error": float(max(joint)),
        "joint_control": float(min(control)),
        "mean_error": max(abs(mean - formula), 0.0 if mean > 0.5 else 1.0),
        "mean_control": abs(float(weight @ nodes) - formula),
        "tilt_error": float(np.abs(tilted.pdf(lam) / tilted.pdf(1 - lam) / ratio - 1).max()),
        "tilt_control": float(np.abs(flat.pdf(lam) / flat.pdf(1 - lam) / ratio - 1).max()),
        "exponent_error": abs(slopes[0] - (alpha - 1)),
        "exponent_control": abs(slopes[1] - (alpha - 1)),
        "near_one": float(tilted.pdf(1 - 1e-9)),
    }


def losses(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """All checks of one random case: `forms`, `label_mixing` and `weight_law`."""
    n = settings["cases"]
    return {**forms(n, seed), **label_mixing(n, seed), **weight_law(settings["alpha"], n, seed)}
