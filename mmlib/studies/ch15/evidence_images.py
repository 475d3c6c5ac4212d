"""What the image runs of chapter 15 say about their claims."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mmlib.evidence import Runs, components, errors, exact, sample
from mmlib.evidence.findings import Components, Exact, Paired
from mmlib.studies.ch15.grids_images import CIFAR, EXTENSION, MANIFOLD, MNIST, STEPS
from mmlib.studies.ch15.printed import gains, grid
from mmlib.studies.ch15.read_images import (
    alphas,
    by_k,
    chosen,
    held_out,
    last_accuracy,
    rank_correlation,
    reached,
    rise_at_drop,
    value,
)

_N_PRINTED = 20  # trials behind a printed cell


def less(first: pd.Series, second: pd.Series | float, *, oriented: bool = True) -> Paired:
    """Return first - second seed by seed, for a claim that it is positive (or, if not, small)."""
    difference = (first - second).sort_index()
    return Paired(tuple(map(float, difference)), oriented=oriented)


# ------------------------------------------------------------------------------ k by alpha


def _at_one(name: str, without: Sequence[float] = ()) -> int:
    """Return how many columns of a printed table have no k > 1 above k = 1."""
    table = gains((name,))
    return int((table[~table["alpha"].isin(without)]["gain"] <= 0).sum())


def _not_rising(name: str) -> int:
    """Return how many columns of a printed table have no positive rank correlation with k."""
    return int((rank_correlation(grid(name).T) <= 0).sum())


def _gains(runs: Runs, where: str = "input") -> dict[str, Paired]:
    return {
        f"alpha {alpha:g}, best k": less(held_out(by_k(runs, alpha, where=where)), 0.0)
        for alpha in alphas(runs, where)
    }


@MNIST.evidence("KM-F5a")
def _mnist(runs: Runs) -> Components:
    one, many = (value(runs, "accuracy", k, 100.0) for k in (1, 32))
    table = published_digits("mnist")
    return components(
        {
            "rise": less(many, one),
            "k = 1": sample(one, printed=table[1, 100.0], n_trials=_N_PRINTED),
            "k = 32": sample(many, printed=table[32, 100.0], n_trials=_N_PRINTED),
        }
    )


def published_digits(name: str) -> dict[tuple[int, float], str]:
    """Return the cells of a printed table by (k, alpha), with as many digits as the text shows.

    Example:
        >>> published_digits("cifar10")[8, 1.0]
        '95.815'
    """
    places = 3 if name == "cifar10" else 2
    cells = grid(name).stack()
    return {(int(k), float(a)): f"{v:.{places}f}" for (k, a), v in cells.items()}


@MNIST.evidence("KM-F5a-best")
def _mnist_best(runs: Runs) -> Components:
    parts = {
        "printed, best k above 1": errors(_at_one("mnist"), _at_one("cifar10")),
        "printed, rank correlation": errors(_not_rising("mnist"), _not_rising("cifar10")),
    }
    for alpha in alphas(runs):
        rho = rank_correlation(by_k(runs, alpha))
        parts[f"alpha {alpha:g}, rank correlation"] = less(rho, 0.0)
    return components(parts | _gains(runs))


@CIFAR.evidence("KM-F6a")
def _cifar(runs: Runs) -> Components:
    table = grid("cifar10")
    one, more = table.loc[1], table.drop(index=1)
    best, best_one = float(more.max().max()), float(one.max())
    columns = {alpha: value(runs, "accuracy", 1, alpha) for alpha in alphas(runs)}
    highest = max(columns, key=lambda alpha: columns[alpha].mean(), default=1.0)
    ours, base = value(runs, "accuracy", 8), value(runs, "accuracy", 1, highest)
    gap = round(best - best_one, 3)
    return components(
        {
            "printed gap": exact(gap, "0.17"),
            "printed best": errors(
                int((table > table.loc[8, 1.0]).sum().sum()),
                int((table > best_one).sum().sum()),
            ),
            "k = 8": sample(ours, printed=f"{best:.3f}", n_trials=_N_PRINTED),
            "best 1-mixup": sample(base, printed=f"{best_one:.3f}", n_trials=_N_PRINTED),
            "gap": sample(ours - base, printed=f"{gap:.2f}", n_trials=_N_PRINTED),
        }
    )


@CIFAR.evidence("KM-F6a-best")
def _cifar_best(runs: Runs) -> Components:
    printed = errors(_at_one("cifar10", without=(0.1,)), _at_one("cifar10"))
    return components({"printed": printed} | _gains(runs))


@CIFAR.evidence("KM-ERM")
def _erm(runs: Runs) -> Components:
    plain, mixed = value(runs, "accuracy", None), value(runs, "accuracy", 1)
    return components(
        {"sign": less(mixed, plain), "size": sample(mixed - plain, printed="1.4", n_trials=1)}
    )


# ------------------------------------------------------------------------------ convergence


@CIFAR.evidence("KM-F7-speed")
def _speed(runs: Runs) -> Components:
    parts = {}
    for alpha in (1.0, 10.0):
        own = [reached(runs, k, alpha) for k in (32, 1)]
        parts[f"same rate, alpha {alpha:g}"] = less(*own, oriented=False)
        base = last_accuracy(runs, 1, alpha)
        common = [reached(runs, k, alpha, base=base) for k in (1, 32)]
        parts[f"faster, alpha {alpha:g}"] = less(*common)
    return components(parts)


@CIFAR.evidence("KM-F7-train")
def _train(runs: Runs) -> Components:
    def fitted(k: int, alpha: float) -> pd.Series:
        return value(runs, "own_weighted", k, alpha)

    higher = {alpha: fitted(32, alpha) - fitted(1, alpha) for alpha in (1.0, 10.0)}
    parts = {f"higher, alpha {alpha:g}": less(gap, 0.0) for alpha, gap in higher.items()}
    parts["most at alpha 10"] = less(higher[10.0], higher[1.0])
    for alpha in (1.0, 10.0):
        for k in (1, 32):
            test = value(runs, "accuracy", k, alpha)
            parts[f"below test, k = {k}, alpha {alpha:g}"] = less(test, fitted(k, alpha))
    return components(parts)


@CIFAR.evidence("KM-F7-step")
def _step(runs: Runs) -> Components:
    return components(
        {
            f"k = {k}": less(*(rise_at_drop(runs, k, s) for s in ("step", "constant")))
            for k in (1, 32)
        }
    )


# ------------------------------------------------------------------------------ hidden sites


def _printed_order(alpha: float) -> int:
    """Count how many statements about Figure 9 fail in a column, ties to half a unit allowed."""
    manifold, inputs = grid("manifold")[alpha], grid("cifar10")[alpha]
    holds = (
        manifold[1] > inputs[1],
        manifold[4] >= manifold[1],
        inputs[8] > manifold[1],
        inputs[8] > manifold[4],
    )
    return sum(not one for one in holds)


@MANIFOLD.evidence("KM-F9-man", also=(CIFAR,))
def _manifold(manifold: Runs, inputs: Runs) -> Components:
    hidden, plain = grid("manifold"), grid("cifar10")
    one = value(manifold, "accuracy", 1, where="pair")
    return components(
        {
            "printed, manifold k = 1": exact(float(hidden.loc[1].max()), "95.74"),
            "printed, manifold k = 4": exact(float(hidden.loc[4].max()), "95.75"),
            "printed, k-mixup": exact(float(plain.loc[8].max()), "95.815"),
            "printed order": errors(_printed_order(1.0), _printed_order(0.5)),
            "manifold over 1-mixup": less(one, value(inputs, "accuracy", 1)),
            "k = 4 matches": less(
                value(manifold, "accuracy", 4, where="pair"), one, oriented=False
            ),
            "k-mixup over manifold": less(value(inputs, "accuracy", 8), one),
        }
    )


@MANIFOLD.evidence("KM-F9-other")
def _other(runs: Runs) -> Components:
    return components(
        {
            f"{where}, k = {k}": less(
                value(runs, "accuracy", k, where="pair"), value(runs, "accuracy", k, where=where)
            )
            for where in ("all", "deep")
            for k in (1, 32)
        }
    )


def _printed_gain(alpha: float, printed: str) -> Exact:
    table = gains(("manifold",)).set_index("alpha")
    return exact(round(float(table.loc[alpha, "gain"]), 2), printed)


@MANIFOLD.evidence("KM-F9-boost")
def _boost(runs: Runs) -> Components:
    table = gains(("manifold",)).set_index("alpha")["gain"]
    below = [int(table[a] >= 0) for a in (0.1, 0.2, 0.5)]
    control = [int(table[a] >= 0) for a in (1.0, 10.0)]
    parts = {
        "printed, alpha 1": _printed_gain(1.0, "0.01"),
        "printed, alpha 10": _printed_gain(10.0, "0.28"),
        "printed, below at the others": errors(below, control),
    }
    for alpha in (1.0, 10.0):
        gain = held_out(by_k(runs, alpha, where="pair"))
        parts[f"alpha {alpha:g}"] = less(gain, 0.0)
    return components(parts)


@EXTENSION.evidence("KM-F9-extend")
def _extension(runs: Runs) -> Components:
    table = runs.table
    wrong = table[table["k"] > 1]  # sets of one match any features alike
    return components(
        {
            "equals k-mixup at the input": errors(table["input_error"], wrong["input_control"]),
            "states of the first block": errors(table["hidden_error"], wrong["hidden_control"]),
            "other sites change nothing": errors(table["set_error"], table["set_control"]),
            "one site a batch": errors(table["site_z"], table["site_control"]),
        }
    )


@MANIFOLD.evidence("KM-cost-manifold", also=(CIFAR, STEPS))
def _cost(manifold: Runs, inputs: Runs, steps: Runs) -> Components:
    base = last_accuracy(inputs, 1)
    one = reached(inputs, 1, base=base)
    parts = {"manifold is slower": less(reached(manifold, 1, base=base, where="pair"), one)}
    for k in (8, 32):
        parts[f"k = {k} less 1"] = sample(reached(inputs, k, base=base) - one)
    for model, rows in steps.table.groupby("model"):
        parts[f"step, {model}"] = sample(rows["manifold_1_over_mixup"])
    return components(parts)


@MANIFOLD.evidence("KM-dim-metric", also=(CIFAR, MNIST))
def _metric(manifold: Runs, photos: Runs, digits: Runs) -> Components:
    gained = [
        value(runs, "same_32_input", None) - value(runs, "same_1_input", None)
        for runs in (digits, photos)
    ]
    rows = chosen(manifold, 1, where="all")
    last = rows["layers"].iloc[0][-1] if len(rows) else "input"
    deep, first = (value(manifold, f"same_32_{site}", 1, where="all") for site in (last, "input"))
    gains_by_place = [
        value(runs, "accuracy", 32, where=where) - value(runs, "accuracy", 1, where=where)
        for runs, where in ((manifold, "all"), (photos, "input"))
    ]
    return components(
        {
            "distance is worth less": less(*gained),
            "better in hidden layers": less(deep, first),
            "no remedy": sample(gains_by_place[0] - gains_by_place[1]),
        }
    )
