"""How much to mix: the law of lambda.

A draw is the quantile function of the law at a uniform number, ``lam = F^-1(u)``. Two reasons:
the generator is explicit (`torch.distributions.Beta` takes none), and draws under two laws that
start from equal generators are coupled, so a comparison of two values of alpha is a paired one.
Very small alphas, where the ratio of two Gamma variables is 0 / 0, need no special care.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy import special
from torch import Tensor

from mmlib import checks

LAWS = ("beta", "uniform", "fixed")


@dataclass(frozen=True)
class Law:
    """The law of lambda, the weight of an example itself in its mix.

    * ``"beta"``: lambda ~ Beta(alpha, alpha). Manifold Mixup v1, section 2. Beta(1, 1) is uniform.
    * ``"uniform"``: lambda ~ U(0, alpha) with alpha <= 1. Manifold Mixup v1, section 4.4.
    * ``"fixed"``: lambda = lam.

    `fold` maps lambda to ``min(lambda, 1 - lambda)`` or ``max(lambda, 1 - lambda)``.

    Raises:
        TypeError: alpha or lam is not a number.
        ValueError: alpha <= 0, NaN or infinite, alpha > 1 for the uniform law, lam outside [0, 1],
            an unknown kind or fold.

    Example:
        >>> Law("beta", alpha=1.0).quantile(torch.tensor([0.25, 0.9]).double()).tolist()
        [0.25, 0.8999999761581421]
        >>> Law("uniform", alpha=0.5, fold="max").quantile(torch.tensor([0.5]).double()).tolist()
        [0.75]
    """

    kind: str = "beta"
    alpha: float = 1.0
    lam: float | None = None
    fold: str | None = None

    def __post_init__(self) -> None:
        checks.choice("law", self.kind, LAWS)
        checks.choice("fold", self.fold, (None, "min", "max"))
        checks.positive("alpha", self.alpha)
        if self.kind == "uniform":
            checks.number("alpha (law 'uniform')", self.alpha, low=0, low_open=True, high=1)
        if (self.kind == "fixed") != (self.lam is not None):
            raise ValueError(
                f"lam: expected a number with law='fixed' and None with any other law, "
                f"but got lam={self.lam!r} with law={self.kind!r}"
            )
        if self.lam is not None:
            checks.number("lam", self.lam, low=0, high=1)

    def quantile(self, u: Tensor) -> Tensor:
        """Return lambda at the uniform numbers `u`, (N,) float64 on the CPU -> (N,) float64."""
        if self.kind == "fixed":
            lam = torch.full_like(u, self.lam)  # type: ignore[arg-type]  # a number, see __post_init__
        elif self.kind == "uniform":
            lam = self.alpha * u
        elif self.alpha == 1.0:
            lam = u.clone()
        else:
            lam = torch.from_numpy(special.betaincinv(self.alpha, self.alpha, u.numpy()))
        if self.fold is None:
            return lam
        return torch.minimum(lam, 1 - lam) if self.fold == "min" else torch.maximum(lam, 1 - lam)

    def __str__(self) -> str:
        text = {
            "beta": f"Beta({self.alpha:g}, {self.alpha:g})",
            "uniform": f"U(0, {self.alpha:g})",
            "fixed": f"{self.lam}",
        }[self.kind]
        return f"{self.fold}({text}, 1 - {text})" if self.fold else text


def uniforms(n: int, generator: torch.Generator | None) -> Tensor:
    """Return n uniform numbers on [0, 1) as float64 on the CPU, from `generator` wherever it lives.

    Draws are made on the CPU so that equal seeds give equal mixes on every device. A generator that
    lives on an accelerator works too and costs one synchronisation per draw.
    """
    device = "cpu" if generator is None else generator.device
    return torch.rand(n, generator=generator, device=device, dtype=torch.float64).cpu()


def permutation(n: int, generator: torch.Generator | None) -> Tensor:
    """Return a random permutation of range(n), int64 on the CPU (see `uniforms`)."""
    device = "cpu" if generator is None else generator.device
    return torch.randperm(n, generator=generator, device=device).cpu()
