"""Which mixes the discriminator of a GAN sees, with which labels: both formulations as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from mmlib.checks import boolean, choice
from mmlib.mixing import Law

PAIRS = ("real-fake", "fake-real", "fake-fake", "real-real")
LABELS = ("soft", "fake")
GENERATORS = ("clean", "minimax", "flipped")
VARIANTS = ("none", "eq1", "fr", "fr_ff", "final", "four")


def realness(pair: str, lam: Tensor) -> Tensor:
    """Return the weight of real samples in a mix, which is equation 5's label.

    With y = 1 for a real sample and 0 for a fake one, ``lam y1 + (1 - lam) y2``: lam for
    real-fake, 1 - lam for fake-real, 0 for fake-fake, 1 for real-real (Manifold Mixup, final
    version, appendix E).

    Args:
        pair: One of `PAIRS`; the first of the pair has weight lam.
        lam: Any shape, in [0, 1].

    Raises:
        ValueError: An unknown pair.

    Example:
        >>> import torch
        >>> [realness(pair, torch.tensor(0.25)).item() for pair in PAIRS]
        [0.25, 0.75, 0.0, 1.0]
    """
    first, second = (float(half == "real") for half in choice("pair", pair, PAIRS).split("-"))
    return lam * first + (1 - lam) * second


@dataclass(frozen=True)
class Mixes:
    """The mixes of a GAN: pairs, law of lambda, labels, places, and who plays against them.

    Manifold Mixup v1, section 4.4 (equations 1 to 3), and final version, appendix E (equations 4
    to 7); `variant` has the settings of either.

    Attributes:
        pairs: Which mixes, of `PAIRS`; the first of a pair has weight lambda.
        law: Law of lambda, drawn for each sample.
        labels: ``"soft"`` for the weight of the real sample (equation 5), ``"fake"`` for 0.
        layers: ``"input"`` or names of the discriminator's modules, one of them drawn per update.
        alone: Leave the ordinary real and fake terms out (equations 1 and 4).
        generator: What the generator does about the mixes: ``"clean"`` nothing, ``"minimax"``
            it also minimises ``-l(d(mix), y)``, ``"flipped"`` it minimises ``l(d(mix), 1 - y)``.
        average: Take the mean over the pairs, one expectation (equation 6), not their sum
            (equations 2 and 3).

    Raises:
        TypeError, ValueError: A setting is outside its range; the message names it.

    Example:
        >>> mixes = Mixes(("real-fake", "fake-fake"), Law("uniform", 0.5), "soft", average=True)
        >>> mixes.weight, mixes.plays_clean, mixes.plays_mixes
        (0.5, True, False)
    """

    pairs: tuple[str, ...]
    law: Law
    labels: str
    layers: tuple[str, ...] = ("input",)
    alone: bool = False
    generator: str = "clean"
    average: bool = False

    def __post_init__(self) -> None:
        for name in ("pairs", "layers"):
            value = getattr(self, name)
            if isinstance(value, str) or not isinstance(value, tuple | list):
                raise TypeError(f"{name}: expected a tuple of names, but got {value!r}")
            if not value or not all(isinstance(one, str) and one for one in value):
                raise ValueError(f"{name}: expected one or more names, but got {value!r}")
            object.__setattr__(self, name, tuple(value))
        for pair in self.pairs:
            choice("pairs", pair, PAIRS)
        if len(set(self.pairs)) < len(self.pairs):
            raise ValueError(f"pairs: expected each at most once, but got {self.pairs!r}")
        if not isinstance(self.law, Law):
            raise TypeError(f"law: expected a Law, but got {self.law!r}")
        choice("labels", self.labels, LABELS)
        boolean("alone", self.alone)
        choice("generator", self.generator, GENERATORS)
        boolean("average", self.average)

    @property
    def weight(self) -> float:
        """Weight of each pair's term."""
        return 1 / len(self.pairs) if self.average else 1.0

    @property
    def plays_clean(self) -> bool:
        """Whether the generator plays with its fakes as they are; it must play with something."""
        return not self.alone or self.generator == "clean"

    @property
    def plays_mixes(self) -> bool:
        """Whether the generator plays with the mixes."""
        return self.generator != "clean"

    def label(self, pair: str, lam: Tensor) -> Tensor:
        """Return the labels of the mixes of a pair, of the shape of lam.

        Raises:
            ValueError: An unknown pair.
        """
        soft = realness(pair, lam)
        return soft if self.labels == "soft" else soft * 0


def variant(
    name: str, alpha: float, layers: tuple[str, ...] = ("input",), **changes: Any
) -> Mixes | None:
    """Return one of the formulations of the texts; None for a game without mixes.

    * ``"none"``: no mixes.
    * ``"eq1"``: equation 1 of v1, mixup for GANs as in Zhang et al.: real-fake mixes with label
      lambda ~ Beta(alpha, alpha) and nothing else, the generator maximises what d minimises.
      Footnote 3, which hangs on this equation, folds lambda: ``law=Law("beta", alpha,
      fold="min")``.
    * ``"fr"``: equation 2 of v1: real-fake mixes with label 0 besides the ordinary terms, lambda
      folded to at most 1/2; the generator does not play with them.
    * ``"fr_ff"``: equation 3 added: fake-fake mixes with label 0.
    * ``"final"``: equations 6 and 7: real-fake, fake-real and fake-fake mixes with the labels of
      equation 5, lambda ~ U(0, alpha), in one expectation; the generator plays with them.
    * ``"four"``: the same with real-real mixes, all four cases of equation 5.

    Args:
        name: One of `VARIANTS`.
        alpha: Parameter of the law of lambda.
        layers: Where to mix.
        **changes: Fields of `Mixes` that differ.

    Raises:
        ValueError: An unknown name, or alpha outside the range of its law.
        TypeError: An unknown field in `changes`.

    Example:
        >>> variant("final", 0.5).pairs, str(variant("fr", 0.2).law)
        (('real-fake', 'fake-real', 'fake-fake'), 'min(Beta(0.2, 0.2), 1 - Beta(0.2, 0.2))')
    """
    choice("variant", name, VARIANTS)
    if name == "none":
        return None
    if name == "eq1":
        law = Law("beta", alpha)
        found = Mixes(PAIRS[:1], law, "soft", layers, alone=True, generator="minimax")
    elif name in ("fr", "fr_ff"):
        pairs = ("real-fake", "fake-fake")[: 1 + (name == "fr_ff")]
        found = Mixes(pairs, Law("beta", alpha, fold="min"), "fake", layers)
    else:
        law = Law("uniform", alpha)
        pairs = PAIRS[: 3 + (name == "four")]
        found = Mixes(pairs, law, "soft", layers, generator="minimax", average=True)
    return replace(found, **changes)
