"""Tables of chapter 13: what its page shows beside the verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from pandas.io.formats.style import Styler

from mmlib.evidence import Runs
from mmlib.evidence.statistics import mean_interval
from mmlib.mixing import Law
from mmlib.studies.ch13 import evidence, fields
from mmlib.studies.ch13.choices import WAYS
from mmlib.studies.ch13.couplings import independent_pairs, intrusion, mixes
from mmlib.studies.ch13.evidence import of
from mmlib.studies.ch13.grids import ALPHAS, KS, MORE_KS
from mmlib.studies.ch13.identities import near_an_end
from mmlib.studies.ch13.toys import PLAIN, name_of
from mmlib.studies.ch13.toys import surfaces as names_of_surfaces

_CHECKS = {
    "equation 1, loss": ("eq1_error", "eq1_control"),
    "objective for k = 2, loss": ("ek_error", "ek_control"),
    "objective for k = 2, chance of a pair": ("ek_law_error", "ek_law_control"),
    "k = 1, chance of a pair": ("k1_law_error", "k1_control"),
    "assignment against linear program": ("w2_error", "w2_control"),
    "displacement, ends": ("di_ends", "di_swapped"),
    "displacement, distances": ("di_error", "di_control"),
}
_LINE = {
    "optimal assignments, beside": ("ties_square_apart", "ties_distance_apart"),
    "optimal assignments, within": ("ties_square_within", "ties_distance_within"),
    "crossing segments": ("crossings_square", "crossings_distance"),
    "pairs that run backwards": ("backward_square", "backward_distance"),
}


def with_one(k: int) -> tuple[int, ...]:
    """Return k = 1 and k, once each.

    Example:
        >>> with_one(8), with_one(1)
        ((1, 8), (1,))
    """
    return tuple(dict.fromkeys((1, k)))


def checks(runs: Runs) -> pd.DataFrame:
    """Return the largest error of each identity beside the smallest of its controls."""
    table = runs.table
    return pd.DataFrame(
        {
            name: {
                "largest error": table[error].max(),
                "smallest of the controls": table[control].min(),
            }
            for name, (error, control) in _CHECKS.items()
        }
    ).T


def near_the_ends(runs: Runs) -> pd.DataFrame:
    """Return the chance that a weight is within 0.1 of an end: drawn and exact, by alpha."""
    alphas = runs.table.iloc[0]["alphas"]
    return pd.DataFrame(
        {
            alpha: {
                "drawn": runs.table[f"near_a{alpha:g}"].mean(),
                "exact": near_an_end(alpha),
                "mean distance to the nearer end": runs.table[f"inside_a{alpha:g}"].mean(),
            }
            for alpha in alphas
        }
    )


def grid_of(runs: Runs, toy: str, metric: str) -> pd.DataFrame:
    """Return the mean of a metric over seeds by k and alpha, for the k and alpha of couplings."""
    return pd.DataFrame(
        {a: {k: of(runs, toy, f"{metric}_{name_of(k, a)}").mean() for k in (*KS, *MORE_KS)}
         for a in ALPHAS}
    )  # fmt: skip


def printed_grid(toy: str) -> pd.DataFrame:
    """Return the printed accuracies of a set by k and alpha.

    Example:
        >>> float(printed_grid("swiss_roll").loc[16, 64.0])
        99.761
    """
    table = evidence.printed()
    return table[table["toy"] == toy].pivot(index="k", columns="alpha", values="value")


def bar_targets(
    alpha: float, ks: Iterable[int], rounds: int, seed: int, n: int = 512
) -> dict[str, np.ndarray]:
    """Return the mean target of the mixed points in each of the four bars, by k.

    Example:
        >>> found = bar_targets(64.0, (1,), rounds=4, seed=0)["k = 1"]
        >>> bool(found[0] < 0.2 and 0.25 < found[1] < 0.42 and 0.58 < found[2] < 0.75)
        True
    """
    x, y, _, _ = fields.points("four_bars", n, 2, seed)
    u = torch.rand(rounds * n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = {}
    for k in ks:
        pairs = independent_pairs(x, k, rounds, seed)
        mixed = mixes(x, y, pairs, Law("beta", alpha).quantile(u))
        bar = (mixed.x[:, 0] + 1.5).round()
        inside = (mixed.x[:, 0] + 1.5 - bar).abs() <= 0.25
        found[f"k = {k}"] = np.array(
            [float(mixed.target[inside & (bar == b)].mean()) for b in range(4)]
        )
    return found


def surfaces(
    runs: Runs, toys: Sequence[str], alpha: float, seed: int
) -> dict[str, dict[str, np.ndarray]]:
    """Return outputs on the region by set and network, of one seed, for plain and all k at alpha.

    The seed is the first recorded one where the wanted one is not among the runs.
    """
    found = {}
    for toy in toys:
        rows = runs.table[runs.table["toy"] == toy]
        index = rows.index[rows["seed"] == seed] if (rows["seed"] == seed).any() else rows.index
        row = rows.loc[index[0]]
        kept = dict(zip(names_of_surfaces(row), runs.arrays(index[0])["surfaces"], strict=True))
        ks = dict.fromkeys((*row["ks"], *row["more_ks"]))
        wanted = {"no mixing": PLAIN} | {f"k = {k}": name_of(k, alpha) for k in ks}
        found[toy] = {title: kept[name] / 255 for title, name in wanted.items() if name in kept}
    return found


def beside_plain(
    runs: Runs, toys: Sequence[str], metrics: Sequence[str], ks: Sequence[int], alpha: float
) -> pd.DataFrame:
    """Return means over seeds of plain training and some k at one alpha, a row each."""
    rows = {
        (fields.TITLES[toy], title): {
            metric: of(runs, toy, f"{metric}_{name}").mean() for metric in metrics
        }
        for toy in toys
        for title, name in [("no mixing", PLAIN), *((f"k = {k}", name_of(k, alpha)) for k in ks)]
    }
    words = {"acc": "accuracy, %", "nll": "NLL", "fgsm_0.2": "under attack, %",
             "zone": "zone, %", "error": "distance to the true label",
             "misplaced": "wrong side, %"}  # fmt: skip
    return pd.DataFrame(rows).T.rename(columns=words)


def beside(runs: Runs, toys: Sequence[str]) -> Styler:
    """Return Figure 3: for each set, alpha and k the printed accuracy and ours with its spread."""
    rows = {}
    for toy in toys:
        mean, spread, plain = evidence.table_of(runs, toy)
        theirs = printed_grid(toy)
        title = fields.TITLES[toy]
        for k in mean.index:
            cell = {f"α = {a:g}": _cell(mean.loc[k, a], spread.loc[k, a]) for a in mean}
            rows[title, f"k = {k}", "ours"] = cell
            if k in theirs.index:
                rows[title, f"k = {k}", "printed"] = {
                    f"α = {a:g}": f"{theirs.loc[k, a]:.3f}" if a in theirs else "" for a in mean
                }
        rows[title, "no mixing", "ours"] = {f"α = {a:g}": f"{plain:.2f}" for a in mean}
    return pd.DataFrame(rows).T.style


def _cell(mean: float, spread: float) -> str:
    return f"{mean:.2f}" if np.isnan(spread) else f"{mean:.2f} ± {spread:.2f}"


def signs(runs: Runs, toys: Sequence[str]) -> pd.DataFrame:
    """Return in how many trials each k > 1 is above (and below) k = 1, by set and alpha."""
    found = {}
    for toy in toys:
        for alpha in ALPHAS:
            gain = evidence.gains(runs, toy, alpha)
            for k in gain:
                row = found.setdefault((fields.TITLES[toy], f"k = {k}"), {})
                row["above", alpha] = (gain[k] > 0).sum()
                row["below", alpha] = (gain[k] < 0).sum()
    table = pd.DataFrame(found).T
    return table[[(side, alpha) for side in ("above", "below") for alpha in ALPHAS]]


def best(runs: Runs, toys: Sequence[str]) -> pd.DataFrame:
    """Return plain training, the best cell of mixup and the best of k-mixup, by set and measure."""
    rows = {}
    for toy in toys:
        for metric, words, sign in (
            ("acc", "accuracy, %", 1), ("nll", "NLL", -1), ("fgsm_0.2", "under attack, %", 1)
        ):  # fmt: skip
            value = {
                (k, a): of(runs, toy, f"{metric}_{name_of(k, a)}").mean()
                for k in KS
                for a in ALPHAS
            }
            one = max((c for c in value if c[0] == 1), key=lambda c, v=value, s=sign: s * v[c])
            more = max((c for c in value if c[0] > 1), key=lambda c, v=value, s=sign: s * v[c])
            rows[fields.TITLES[toy], words] = {
                "plain": of(runs, toy, f"{metric}_{PLAIN}").mean(),
                "mixup": value[one],
                "at": f"α = {one[1]:g}",
                "k-mixup": value[more],
                "at ": f"k = {more[0]}, α = {more[1]:g}",
            }
    return pd.DataFrame(rows).T


def self_pairs(runs: Runs) -> pd.DataFrame:
    """Return shared examples and self-pairs in percent, by cost and dimension of normal points."""
    table, dims = runs.table, runs.table.iloc[0]["dims"]
    rows: Mapping[str, str] = {
        "shared by both sets, %": "shared_D{}",
        "self-pairs under distance, %": "share_batch_distance_D{}",
        "self-pairs under its square, %": "share_batch_D{}",
    }
    return pd.DataFrame(
        {d: {words: table[name.format(d)].mean() for words, name in rows.items()} for d in dims}
    )


def ways(runs: Runs, toys: Sequence[str]) -> pd.DataFrame:
    """Return accuracy, self-pairs and mean length of a match, by set, way and k that is trained."""
    rows = {}
    row = runs.table.iloc[0]
    for toy in toys:
        for way in WAYS:
            for k in row["trained"]:
                if f"acc_{way}_k{k}" in runs.table:
                    rows[fields.TITLES[toy], way.replace("_", ", "), f"k = {k}"] = {
                        "accuracy, %": of(runs, toy, f"acc_{way}_k{k}").mean(),
                        "self-pairs, %": of(runs, toy, f"self_{way}_k{k}").mean(),
                        "length": of(runs, toy, f"length_{way}_k{k}").mean(),
                    }
        rows[fields.TITLES[toy], "no mixing", ""] = {
            "accuracy, %": of(runs, toy, f"acc_{PLAIN}").mean()
        }
    return pd.DataFrame(rows).T


def cost_matters(runs: Runs, toys: Sequence[str]) -> pd.DataFrame:
    """Return accuracy under distance less that under its square: mean and 95 % interval."""
    rows = {}
    for toy in toys:
        for way in ("independent", "batch"):
            for k in runs.table.iloc[0]["trained"]:
                first, second = (of(runs, toy, f"acc_{name}_k{k}") for name in
                                 (f"{way}_distance", way))  # fmt: skip
                mean, low, high = (float(x) for x in mean_interval(first - second))
                found = f"{mean:+.2f}"
                found += f" ({low:+.2f} to {high:+.2f})" if np.isfinite(low) else ""
                rows.setdefault((fields.TITLES[toy], way), {})[f"k = {k}"] = found
    return pd.DataFrame(rows).T


def cost_shapes(
    toys: Sequence[str], ks: Sequence[int], alpha: float, seed: int, n: int = 512, rounds: int = 8
) -> pd.DataFrame:
    """Return what matches and mixes are like under both costs, for the same draws.

    Example:
        >>> table = cost_shapes(("four_bars",), (8,), 64.0, seed=0, rounds=2)
        >>> square, distance = table["longer than 2, %"]
        >>> bool(square < distance)
        True
    """
    u = torch.rand(rounds * n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    lam, rows = Law("beta", alpha).quantile(u), {}
    for toy in toys:
        x, y, _, _ = fields.points(toy, n, 2, seed)
        for k in ks:
            for words, cost in (("square", "sqeuclidean"), ("distance", "euclidean")):
                pairs = independent_pairs(x, k, rounds, seed, cost)
                length = (x[pairs.first] - x[pairs.second]).norm(dim=1)
                rows[fields.TITLES[toy], f"k = {k}", words] = {
                    "median length": float(length.median()),
                    "longer than 2, %": 100 * float((length > 2).double().mean()),
                    "wrong label, %": intrusion(toy, mixes(x, y, pairs, lam))["wrong"],
                }
    return pd.DataFrame(rows).T


def costs(runs: Runs) -> pd.DataFrame:
    """Return what squared distance and distance allow, mean over random sets."""
    mean = runs.table.mean(numeric_only=True)
    return pd.DataFrame(
        {words: {"square": mean[a], "distance": mean[b]} for words, (a, b) in _LINE.items()}
    ).T
