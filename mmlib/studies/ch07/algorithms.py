"""Chapter 07: equations 1 to 7, the library's terms against each equation written out.

Everything in float64 on small players, sample by sample in plain Python: another way of computing
the same numbers, so that an error of either side shows. Each has a control with one mistake.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from mmlib.evidence import Runs, Study, errors
from mmlib.mixing import Draw
from mmlib.training import (
    OBJECTIVES,
    PAIRS,
    Mixes,
    Scored,
    discriminator_terms,
    draw_mixes,
    generator_terms,
    scored,
    variant,
)

_SIZE = 6
_PLACES = ("input", "block1", "block2")
_EQUATIONS = range(1, 8)


def game(settings: dict, seed: int) -> dict:
    """Return ``eqN_error`` and ``eqN_control`` for the equations 1 to 7.

    Errors are the largest over both objectives, the layers and the two players' losses, of the
    library against the equation; controls the smallest of the same with a planted mistake.
    """
    found: dict[str, list[tuple[float, float]]] = {f"eq{n}": [] for n in _EQUATIONS}
    for objective in OBJECTIVES:
        table = _Table(seed, objective, settings["alpha"])
        for name, check in _CHECKS.items():
            found[name] += check(table)
    metrics = {}
    for name, pairs in found.items():
        metrics[f"{name}_error"] = max(error for error, _ in pairs)
        metrics[f"{name}_control"] = min(control for _, control in pairs)
    return metrics


def literal_loss(d: float, y: float, objective: str) -> float:
    """Return l(d, y) as it is written: cross-entropy of sigmoid(d), or the hinge."""
    if objective == "hinge":
        return y * max(0.0, 1 - d) + (1 - y) * max(0.0, 1 + d)
    p = 1 / (1 + math.exp(-d))
    return -(y * math.log(p) + (1 - y) * math.log(1 - p))


# Equation 5, case by case.
CASES: dict[str, Callable[[float], float]] = {
    "real-fake": lambda lam: lam,
    "fake-real": lambda lam: 1 - lam,
    "fake-fake": lambda lam: 0.0,
    "real-real": lambda lam: 1.0,
}


class _Table:
    """Players, samples and draws of one seed, with both ways of computing."""

    def __init__(self, seed: int, objective: str, alpha: float) -> None:
        self.objective, self.alpha, self.seed = objective, alpha, seed
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(seed)
            self.d = nn.Sequential()
            for name, width, before in (("block1", 8, 3), ("block2", 8, 8)):
                self.d.add_module(name, nn.Sequential(nn.Linear(before, width), nn.Tanh()))
            self.d.add_module("head", nn.Linear(8, 1))
            self.g = nn.Linear(2, 3)
        self.d, self.g = self.d.double(), self.g.double()
        stream = torch.Generator().manual_seed(seed)
        options = {"generator": stream, "dtype": torch.float64}
        self.real = torch.randn(_SIZE, 3, **options)
        self.fake = self.g(torch.randn(_SIZE, 2, **options))

    def mixes(self, name: str, layer: str = "input", **changes: object) -> Mixes:
        """Return a variant that mixes at one layer."""
        return variant(name, self.alpha, (layer,), **changes)  # type: ignore[return-value]  # one that mixes

    def draw(self, mixes: Mixes) -> Draw:
        """Return the draw of the seed."""
        return draw_mixes(mixes, _SIZE, torch.Generator().manual_seed(self.seed))

    def library(self, mixes: Mixes | None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the terms of the discriminator and of the generator."""
        draw = None if mixes is None else self.draw(mixes)
        said = scored(self.d, self.real, self.fake, mixes, draw)
        terms = discriminator_terms(said, mixes, self.objective)
        return terms, generator_terms(said, mixes, self.objective)

    def clean(self, part: Tensor, y: float) -> float:
        """Return E l(d(x), y) over single samples."""
        with torch.no_grad():
            return _mean(literal_loss(float(self.d(row)), y, self.objective) for row in part)

    def mixed(
        self,
        mixes: Mixes,
        pair: str,
        label: Callable[[float], float],
        *,
        layer: str | None = None,
        partner: Callable[[int], int] = lambda i: (i + 1) % _SIZE,
    ) -> float:
        """Return E l(f_k(lam h_k(x1) + (1 - lam) h_k(x2)), label(lam)) of one pair, one by one."""
        halves = {"real": self.real, "fake": self.fake}
        first, second = (halves[half] for half in pair.split("-"))
        place = _PLACES.index(mixes.layers[0] if layer is None else layer)
        start = (2 + mixes.pairs.index(pair)) * _SIZE if pair in mixes.pairs else 2 * _SIZE
        lams = self.draw(mixes).lam[start : start + _SIZE].tolist()
        losses = []
        with torch.no_grad():
            for i, lam in enumerate(lams):
                h1, h2 = first[i], second[partner(i)]
                for block in self.d[:place]:
                    h1, h2 = block(h1), block(h2)
                h = lam * h1 + (1 - lam) * h2
                for block in self.d[place:]:
                    h = block(h)
                losses.append(literal_loss(float(h), label(lam), self.objective))
        return _mean(losses)

    def plays_clean(self) -> float:
        """Return the ordinary loss of the generator."""
        if self.objective == "js":
            return self.clean(self.fake, 1.0)
        with torch.no_grad():
            return -_mean(float(self.d(row)) for row in self.fake)


def _mean(values: object) -> float:
    values = list(values)
    return math.fsum(values) / len(values)


def _total(terms: dict[str, Tensor]) -> float:
    return float(sum(terms.values()).detach())


def _slope(table: _Table, terms: dict[str, Tensor]) -> Tensor:
    """Return the gradient of a sum of terms with respect to the generator's weights."""
    return torch.autograd.grad(sum(terms.values()), table.g.weight, retain_graph=True)[0]


# ------------------------------------------------------------------------ the equations


def _equation_1(table: _Table) -> list[tuple[float, float]]:
    """Only mixes, label lambda; the generator's loss is minus the discriminator's."""
    mixes = table.mixes("eq1")
    terms, against = table.library(mixes)
    value = table.mixed(mixes, "real-fake", lambda lam: lam)
    wrong = table.mixed(mixes, "real-fake", lambda lam: 1 - lam)
    found = [(abs(_total(terms) - value), abs(_total(terms) - wrong))]
    found.append((abs(_total(against) + value), abs(_total(against) - value)))
    uphill, downhill = _slope(table, terms), _slope(table, against)
    found.append((float((uphill + downhill).abs().max()), float((uphill - downhill).abs().max())))
    for end, part in ((1.0, table.real), (0.0, table.fake)):
        # At lambda = 1 the target is that of a real sample, at 0 that of a fake one.
        fixed = replace(mixes, law=replace(mixes.law, kind="fixed", lam=end))
        got = _total(table.library(fixed)[0])
        found.append((abs(got - table.clean(part, end)), abs(got - table.clean(part, 1 - end))))
    return found


def _equation_2(table: _Table) -> list[tuple[float, float]]:
    """The usual loss plus one term, label 0, at any layer; the generator's loss is the usual."""
    plain, usual = table.library(None)
    found = []
    for layer in _PLACES:
        mixes = table.mixes("fr", layer)
        terms, same = table.library(mixes)
        ordinary = table.clean(table.real, 1.0) + table.clean(table.fake, 0.0)
        term = table.mixed(mixes, "real-fake", lambda lam: 0.0)
        soft = table.mixed(mixes, "real-fake", lambda lam: lam)
        found.append((abs(_total(terms) - ordinary - term), abs(_total(terms) - ordinary - soft)))
        more = _total(terms) - _total(plain)
        found.append((abs(more - term), abs(more)))
        loud = _total(table.library(replace(mixes, generator="minimax"))[1])
        found.append((abs(_total(same) - _total(usual)), abs(loud - _total(usual))))
        found.append((abs(_total(same) - table.plays_clean()), abs(loud - table.plays_clean())))
    return found


def _equation_3(table: _Table) -> list[tuple[float, float]]:
    """One more term: mixes of two fake samples, label 0."""
    found = []
    for layer in _PLACES:
        mixes = table.mixes("fr_ff", layer)
        more = _total(table.library(mixes)[0]) - _total(table.library(table.mixes("fr", layer))[0])
        term = table.mixed(mixes, "fake-fake", lambda lam: 0.0)
        unmixed = table.mixed(mixes, "fake-fake", lambda lam: 0.0, partner=lambda i: i)
        found.append((abs(more - term), abs(more - unmixed)))
    return found


def _equation_4(table: _Table) -> list[tuple[float, float]]:
    """Mixes of any two samples and nothing else; max over g of what d minimises."""
    mixes = table.mixes("four", alone=True)
    terms, against = table.library(mixes)
    value = _mean(table.mixed(mixes, pair, CASES[pair]) for pair in PAIRS)
    swapped = CASES | {"real-fake": CASES["fake-real"], "fake-real": CASES["real-fake"]}
    wrong = _mean(table.mixed(mixes, pair, swapped[pair]) for pair in PAIRS)
    return [
        (abs(_total(terms) - value), abs(_total(terms) - wrong)),
        (abs(_total(against) + value), abs(_total(against) - value)),
    ]


def _equation_5(table: _Table) -> list[tuple[float, float]]:
    """The four labels, which are lam y1 + (1 - lam) y2 with y = 1 for real and 0 for fake."""
    mixes = table.mixes("four")
    draw = table.draw(mixes)
    said: Scored = scored(table.d, table.real, table.fake, mixes, draw)
    one = {"real": 1.0, "fake": 0.0}
    error, wrong = 0.0, math.inf
    swapped = {"real-fake": "fake-real", "fake-real": "real-fake"}
    for number, pair in enumerate(mixes.pairs, start=2):
        lam = draw.lam[number * _SIZE : (number + 1) * _SIZE].tolist()
        y1, y2 = (one[half] for half in pair.split("-"))
        got = said.labels[pair].tolist()
        cases = [CASES[pair](value) for value in lam]
        mixed = [value * y1 + (1 - value) * y2 for value in lam]
        error = max([error, *(abs(a - b) for a, b in zip(got, cases, strict=True))])
        error = max([error, *(abs(a - b) for a, b in zip(got, mixed, strict=True))])
        if pair in swapped:
            others = [CASES[swapped[pair]](value) for value in lam]
            wrong = min(wrong, max(abs(a - b) for a, b in zip(got, others, strict=True)))
    return [(error, wrong)]


def _final(table: _Table, layer: str, at: str | None = None) -> tuple[float, float]:
    """Return the loss of the final version written out, and its mix term alone."""
    mixes = table.mixes("final", layer)
    term = _mean(table.mixed(mixes, pair, CASES[pair], layer=at) for pair in mixes.pairs)
    return table.clean(table.real, 1.0) + table.clean(table.fake, 0.0) + term, term


def _equation_6(table: _Table) -> list[tuple[float, float]]:
    """The usual game plus one expectation over mixes, against which the generator plays too."""
    terms, against = table.library(table.mixes("final"))
    value, term = _final(table, "input")
    summed = _total(table.library(table.mixes("final", average=False))[0])
    both = _total(against)
    return [
        (abs(_total(terms) - value), abs(summed - value)),
        (abs(both - (table.plays_clean() - term)), abs(both - (table.plays_clean() + term))),
    ]


def _equation_7(table: _Table) -> list[tuple[float, float]]:
    """Equation 6 with the mix at layer k; at the input it is equation 6."""
    found = []
    for layer in _PLACES:
        got = _total(table.library(table.mixes("final", layer))[0])
        elsewhere = "block2" if layer == "input" else "input"
        wrong = _final(table, layer, elsewhere)[0]
        found.append((abs(got - _final(table, layer)[0]), abs(got - wrong)))
    return found


_CHECKS = {
    "eq1": _equation_1,
    "eq2": _equation_2,
    "eq3": _equation_3,
    "eq4": _equation_4,
    "eq5": _equation_5,
    "eq6": _equation_6,
    "eq7": _equation_7,
}

GAME = Study(
    "ch07-game",
    game,
    {profile: [{"alpha": 0.5}] for profile in ("smoke", "quick", "paper")},
    seeds={"smoke": 2, "quick": 20, "paper": 20},
    n_jobs=1,
)


def _identity(runs: Runs, equation: int) -> object:
    table = runs.table
    return errors(table[f"eq{equation}_error"], table[f"eq{equation}_control"])


@GAME.evidence("MM1-eq1")
def _mixup_alone(runs: Runs) -> object:
    return _identity(runs, 1)


@GAME.evidence("MM1-eq2")
def _mixes_are_fake(runs: Runs) -> object:
    return _identity(runs, 2)


@GAME.evidence("MM1-eq3")
def _fake_fake(runs: Runs) -> object:
    return _identity(runs, 3)


@GAME.evidence("MMF-E-eq4")
def _any_two(runs: Runs) -> object:
    return _identity(runs, 4)


@GAME.evidence("MMF-E-eq5")
def _labels(runs: Runs) -> object:
    return _identity(runs, 5)


@GAME.evidence("MMF-E-eq6")
def _in_addition(runs: Runs) -> object:
    return _identity(runs, 6)


@GAME.evidence("MMF-E-eq7")
def _at_a_layer(runs: Runs) -> object:
    return _identity(runs, 7)
