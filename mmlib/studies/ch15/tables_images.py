"""Tables of chapter 15 on images: what the page shows beside its figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from scipy.integrate import quad
from scipy.stats import norm

from mmlib.evidence import Runs
from mmlib.evidence.statistics import mean_interval
from mmlib.studies.ch15.hidden import spread, squared_distances
from mmlib.studies.ch15.printed import TABLES, expected_best, gains, grid, standard_error
from mmlib.studies.ch15.read_images import (
    alphas,
    by_k,
    chosen,
    held_out,
    last_accuracy,
    rank_correlation,
    reached,
    value,
)
from mmlib.studies.networks import SITES

SITE_NAMES = {
    "pair": "input or first block",
    "all": "all blocks",
    "deep": "deep blocks",
}

# ------------------------------------------------------------------------------ k by alpha


def columns(runs: Runs) -> pd.DataFrame:
    """Return by alpha: accuracy at k = 1 and at the best k, its gain, held out, correlation."""
    rows = {}
    for alpha in alphas(runs):
        table = by_k(runs, alpha)
        mean, more = table.mean(), table.drop(columns=1, errors="ignore").mean()
        if 1 not in mean or more.empty:
            continue
        rows[alpha] = {
            "k = 1": mean[1],
            "best k": float(more.idxmax()),
            "accuracy there": more.max(),
            "gain": more.max() - mean[1],
            "gain, held out": held_out(table).mean(),
            "rank correlation": rank_correlation(table).mean(),
        }
    names = ("k = 1", "best k", "accuracy there", "gain", "gain, held out", "rank correlation")
    return pd.DataFrame(rows, index=list(names)).T.rename_axis(index="α").astype(float)


def sets_compared(
    runs: dict[str, Runs], unmixed: Runs
) -> tuple[dict[str, dict[str, pd.Series]], dict[str, str]]:
    """Return accuracies at alpha = 100 by data set and kind of sets, and the looks of the rows.

    Args:
        runs: title -> runs of the grid on a data set.
        unmixed: runs with a share of unmixed examples.
    """
    looks = {"no mixup": "none", "1-mixup": "input"}
    samples = {}
    for title, one in runs.items():
        rows = {
            "no mixup": value(one, "accuracy", None),
            "1-mixup": value(one, "accuracy", 1, 100.0),
            "32, disjoint": value(one, "accuracy", 32, 100.0),
        }
        table = unmixed.table[unmixed.table["data"] == one.table["data"].iloc[0]]
        for (k, share), group in table.groupby(["k", "share"]):
            label = f"{k:g}, {100 * share:.0f} % unmixed"
            rows[label] = group.set_index("seed")["accuracy"]
            looks[label] = "input" if k == 1 else "kmixup"
        samples[title] = rows | {"32, one batch": value(one, "accuracy", 32, 100.0, sets="batch")}
    order = ["no mixup", "1-mixup", *(x for x in looks if x.startswith("1, "))]
    order += ["32, disjoint", *(x for x in looks if x.startswith("32, ")), "32, one batch"]
    looks |= {"32, disjoint": "kmixup", "32, one batch": "manifold"}
    ordered = {title: {row: rows[row] for row in order} for title, rows in samples.items()}
    return ordered, looks


def by_chance(gain: float, n: int = 5) -> float:
    """Return the chance that the largest of n standard normals exceeds another by `gain` or more.

    Example:
        >>> round(by_chance(0.0), 4) == round(5 / 6, 4)
        True
    """
    return max(0.0, 1 - quad(lambda z: norm.pdf(z) * norm.cdf(z + gain) ** n, -9, 9)[0])


def chance(names: tuple[str, ...]) -> pd.DataFrame:
    """Return the printed gains of the best k > 1 beside what no effect would give.

    Errors are taken as normal and independent, see `printed.standard_error`.
    """
    table = gains(names)[["dataset", "alpha", "best_k", "gain"]]
    sigma = table["dataset"].map({TABLES[name][1]: standard_error(name) for name in names})
    table["expected without effect"] = expected_best(5) * sigma
    table["by chance"] = [by_chance(g) for g in table["gain"] / sigma]
    return table.rename(columns={"dataset": "table", "best_k": "best k > 1"})


# ------------------------------------------------------------------------------ convergence


def speed(runs: Runs) -> pd.DataFrame:
    """Return by alpha and k the share of the run until levels of a last accuracy."""
    rows = {}
    for alpha in alphas(runs):
        base = last_accuracy(runs, 1, alpha)
        for k in (1, 32):
            rows[f"α = {alpha:g}", f"k = {k}"] = {
                "own": reached(runs, k, alpha).mean(),
                "common": reached(runs, k, alpha, base=base).mean(),
                "last accuracy": last_accuracy(runs, k, alpha).mean(),
            }
    return pd.DataFrame(rows).T.astype(float)


def crossed(runs: Runs) -> pd.DataFrame:
    """Return the accuracy on vicinal points by network (rows) and by points (columns), in %."""
    rows = {}
    for alpha in alphas(runs):
        for k in (1, 32):
            rows[alpha, f"trained with k = {k}"] = {
                (f"points of k = {points}", title): value(
                    runs, f"k{points}_{name}", k, alpha
                ).mean()
                for points in (1, 32)
                for name, title in (
                    ("weighted", "all"),
                    ("cross_weighted", "two classes"),
                    ("ceiling", "ceiling"),
                    ("same_class", "one class, %"),
                )
            }
    return pd.DataFrame(rows).T.rename_axis(index=["alpha", "network"])


def parts_of(share: np.ndarray, own: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Split the change of ``s a + (1 - s) b`` into parts by s, by a and by b, which add up to it.

    Args:
        share: the two values of s.
        own: those of a.
        other: those of b.

    Example:
        >>> parts_of(np.array([0.0, 1.0]), np.array([0.8, 0.8]), np.array([0.5, 0.5]))
        {'composition': 0.30000000000000004, 'one class': 0.0, 'two classes': 0.0}
    """
    change = {name: float(x[1] - x[0]) for name, x in (("s", share), ("a", own), ("b", other))}
    return {
        "composition": change["s"] * float(own.mean() - other.mean()),
        "one class": float(share.mean()) * change["a"],
        "two classes": float(1 - share.mean()) * change["b"],
    }


def split(runs: Runs) -> pd.DataFrame:
    """Return by alpha why networks are more often right on their own points for k = 32 than 1."""
    rows = {}
    for alpha in alphas(runs):
        found = {
            name: np.array([value(runs, f"own_{name}", k, alpha).mean() for k in (1, 32)])
            for name in ("same_class", "weighted", "cross_weighted")
        }
        share, other = found["same_class"] / 100, found["cross_weighted"]
        own = (found["weighted"] - (1 - share) * other) / share
        total = float(found["weighted"][1] - found["weighted"][0])
        rows[alpha] = {"k = 32 less 1": total} | parts_of(share, own, other)
    return pd.DataFrame(rows).T.rename_axis(index="α")


# ------------------------------------------------------------------------------ hidden sites


def figure_nine() -> pd.DataFrame:
    """Return Figure 9 of the text by alpha, beside k-mixup at the input."""
    hidden, inputs = gains(("manifold",)).set_index("alpha"), gains(("cifar10",)).set_index("alpha")
    rows = {
        "manifold, k = 1": hidden["one"],
        "manifold, best k > 1": hidden["best"],
        "its gain": hidden["gain"],
        "input, k = 1": inputs["one"],
        "input, best k > 1": inputs["best"],
        "its gain ": inputs["gain"],
    }
    return pd.DataFrame(rows).T[list(grid("manifold").columns)].rename_axis(columns="α")


def sites_compared(
    manifold: Runs, inputs: Runs, alpha: float
) -> tuple[dict[str, dict[str, pd.Series]], dict[str, str]]:
    """Return accuracies by k and eligible sites, and the looks of the rows."""
    looks = {"no mixup": "none", "input": "input", SITE_NAMES["pair"]: "manifold"}
    looks |= {SITE_NAMES["all"]: "manifold_all", SITE_NAMES["deep"]: "blocked"}
    samples = {}
    for k in (1, 32):
        rows = {"no mixup": value(inputs, "accuracy", None)}
        rows["input"] = value(inputs, "accuracy", k, alpha)
        for where, title in SITE_NAMES.items():
            rows[title] = value(manifold, "accuracy", k, alpha, where=where)
        samples[f"k = {k}"] = rows
    return samples, looks


def site_gains(manifold: Runs, inputs: Runs, alpha: float) -> pd.DataFrame:
    """Return what k = 32 adds to k = 1 by eligible sites, with the half-width of its interval."""
    rows = {}
    for where, title in {"input": "input", **SITE_NAMES}.items():
        runs = inputs if where == "input" else manifold
        one, many = (
            {m: value(runs, m, k, alpha, where=where) for m in ("accuracy", "own_same_class")}
            for k in (1, 32)
        )
        gain = (many["accuracy"] - one["accuracy"]).dropna()
        mean, low, _ = mean_interval(gain)
        rows[title] = {
            "k = 1, %": one["accuracy"].mean(),
            "k = 32, %": many["accuracy"].mean(),
            "gain": float(mean),
            "95 % half-width": float(mean - low),
            "partners of one class, k = 1, %": one["own_same_class"].mean(),
            "k = 32": many["own_same_class"].mean(),
        }
    return pd.DataFrame(rows).T


def matching(runs: Runs) -> pd.DataFrame:
    """Return the time of the matching of a batch by k: in ms, and in % of a 1-mixup step."""
    rows = {}
    for model, one in runs.table.groupby("model"):
        for k in one["ks"].iloc[0]:
            took = one[f"match_{k}_ms"]
            share = 100 * (took / one["input_1_ms"]).mean()
            rows.setdefault((model, "ms"), {})[k] = took.mean()
            rows.setdefault((model, "% of a 1-mixup step"), {})[k] = share
    return pd.DataFrame(rows).T.rename_axis(columns="k")


# ------------------------------------------------------------------------------ distances


def clouds(seed: int, n: int = 1000) -> pd.DataFrame:
    """Return the relative spread of squared distances of clouds beside ``sqrt(2 / d)``.

    The control has the same directions and random scales: its coordinates are uncorrelated but
    not independent, and the formula fails.
    """
    rng, rows = torch.Generator().manual_seed(seed), {}
    for d in (10, 100, 1000):
        x = torch.randn(n, d, generator=rng)
        scaled = x * torch.rand(n, 1, generator=rng).mul(2).exp()
        rows[d] = {
            "sqrt(2 / d)": (2 / d) ** 0.5,
            "independent": spread(squared_distances(x)),
            "random scales (control)": spread(squared_distances(scaled)),
        }
    return pd.DataFrame(rows).T.rename_axis(index="d")


def by_site(
    digits: Runs, photos: Runs, manifold: Runs, alpha: float
) -> tuple[dict[str, dict[str, pd.DataFrame]], dict[str, float]]:
    """Return measures of distances by network, seed by site, and values that mean nothing."""
    networks = {
        "CIFAR-10, plain": chosen(photos, None),
        "CIFAR-10, mixed at all blocks": chosen(manifold, 1, alpha, where="all"),
        "MNIST, plain": chosen(digits, None),
    }
    titles = {
        "spread": "dimension read from the spread",
        "auc": "same-class pair is closer",
        "same_32": "partners of one class, %",
    }
    found: dict[str, dict[str, pd.DataFrame]] = {}
    for measure, title in titles.items():
        found[title] = {}
        for name, rows in networks.items():
            sites = SITES[rows["model"].iloc[0]] if len(rows) else ()
            table = rows.set_index("seed")[[f"{measure}_{site}" for site in sites]]
            found[title][name] = 2 / table**2 if measure == "spread" else table
    return found, {titles["auc"]: 0.5, titles["same_32"]: 10.0}
