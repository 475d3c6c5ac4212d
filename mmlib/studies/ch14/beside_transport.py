"""Small computations and tables of chapter 14, first half, that stand beside its studies."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from scipy import integrate, stats
from scipy.optimize import linear_sum_assignment

from mmlib.data.kmixup_toys import four_bars
from mmlib.evidence import Runs
from mmlib.measures import matching
from mmlib.measures import transport_rates as closed
from mmlib.studies.ch14 import faces
from mmlib.studies.ch14.clusters import centres_of, radius_at
from mmlib.studies.ch14.evidence_transport import at_largest, series, slopes
from mmlib.studies.ch14.grids_transport import CASES, DIMENSIONS
from mmlib.studies.ch14.rates import sample, squared_lengths


def corners() -> pd.DataFrame:
    """Return for each fixed arrangement its angle and the least gap that suffices, in radii.

    Example:
        >>> corners().loc["pair"].round(2).tolist()
        [0.0, 0.83]
    """
    rows, rng = {}, np.random.default_rng(0)
    for name in ("pair", "triangle", "simplex", "square", "line3", "line4"):
        centres = centres_of(name, rng)
        angle = matching.widest_corner(centres, 0.0).angle
        gap = 1 / radius_at(centres, 90.0) - 2 if angle < 90 - 1e-6 else np.inf
        rows[name] = {"largest angle": angle, "gap that suffices": gap}
    return pd.DataFrame(rows).T


def bars(k: int, draws: int, seed: int = 0) -> dict[str, float]:
    """Cross matches of four bars of alternating classes, a mean over draws.

    ``over``: their number over the least one; ``jumps``: share that pass over a bar, in the optimal
    matching; ``fewest_jumps``: the same in the cheapest matching with the least number.
    """
    generator = torch.Generator().manual_seed(seed)
    cross, least, jumps, fewest = 0, 0, 0, 0
    for _ in range(draws):
        points, own = [], []
        for _ in range(2):
            x = four_bars(16 * k, generator)[0].numpy()
            x = x[torch.randperm(len(x), generator=generator)[:k].numpy()]
            points.append(x)
            own.append(np.rint(x[:, 0] + 1.5).astype(int))
        cost = matching.squared_distances(*points)
        steps = np.abs(own[0][:, None] - own[1][None])
        for penalty in (0.0, 1e6):
            partner = linear_sum_assignment(cost + penalty * (steps > 0))[1]
            walked = steps[np.arange(k), partner]
            if penalty:
                fewest += (walked > 1).sum()
                least += (walked > 0).sum()
            else:
                jumps += (walked > 1).sum()
                cross += (walked > 0).sum()
    return {
        "over": float(cross / max(1, least)),
        "jumps": float(jumps / max(1, cross)),
        "fewest_jumps": float(fewest / max(1, least)),
    }


def rows_over_bound(sizes: tuple[int, ...], k: int = 1000) -> dict[int, float]:
    """Return the share of m equal clusters in a row over the printed bound, at a large k.

    Example:
        >>> {m: round(v, 2) for m, v in rows_over_bound((2, 3)).items()}
        {2: 0.8, 3: 1.06}
    """
    return {m: closed.line_share(k, [1 / m] * m) / closed.share_bound(k, [1 / m] * m)
            for m in sizes}  # fmt: skip


def share_table(runs: Runs) -> pd.DataFrame:
    """Return slope, share over bound, and share over its exact value, at the largest k."""
    rows = {}
    for case, (arrangement, p) in CASES.items():
        exact = closed.line_share if arrangement.startswith("line") else closed.least_share
        values = series(runs, "share", case=case)
        k = values.columns[-1]
        rows[case] = {
            "slope": slopes(values, 8).mean(),
            "over bound": values[k].mean() / closed.share_bound(k, p),
            "exact over bound": exact(k, p) / closed.share_bound(k, p),
        }
    return pd.DataFrame(rows).T


def far_chance(draws: int, k: int, seed: int = 0) -> tuple[float, float]:
    """Return how often the far piece has a direct match: the limit, and for batches of k.

    The far piece (a quarter of the mass) and B (a half) then differ by surpluses of unlike sign.
    In the limit these are normal, and the chance is ``1/2 + arcsin(1 / sqrt(3)) / pi``.
    """
    r, s = np.random.default_rng(seed).multinomial(k, [0.25, 0.25, 0.5], size=(2, draws))
    surplus = r - s
    return 0.5 + float(np.arcsin(1 / np.sqrt(3))) / np.pi, float(
        (surplus[:, 1] * surplus[:, 2] < 0).mean()
    )


def long_share_on_a_line() -> float:
    r"""Return the limit of the share of matches on [0, 1] with squared length above 1/k.

    Sorted samples differ by a Brownian bridge over ``sqrt(k / 2)``:
    :math:`\int_0^1 P\big(2 t (1 - t) N^2 > 1\big)\,dt`.

    Example:
        >>> round(long_share_on_a_line(), 3)
        0.089
    """
    chance = lambda t: 2 * stats.norm.sf(1 / np.sqrt(2 * t * (1 - t)))  # noqa: E731
    return float(integrate.quad(chance, 0, 1)[0])


def pieces_on_a_line(k: int, draws: int, seed: int = 0) -> float:
    """Return the mean cost of two unit intervals a unit apart, times sqrt(k).

    Its limit is ``1 / sqrt(pi)``: a share ``E|r - s| / k`` of matches across, each of length 1.
    """
    rng = np.random.default_rng(seed)
    found = [squared_lengths(*(sample("two", 1, k, rng) for _ in range(2))).mean()
             for _ in range(draws)]  # fmt: skip
    return float(np.mean(found) * np.sqrt(k))


def long_share(k: int, draws: int, seed: int = 0) -> float:
    """Return the share of matches on [0, 1] with squared length above 1/k, by sorting draws."""
    x, y = np.sort(np.random.default_rng(seed).random((2, draws, k)), axis=2)
    return float(((x - y) ** 2 > 1 / k).mean())


def shell_pairs(name: str, n: int = 4000, seed: int = 0) -> tuple[float, float]:
    """Return the longest way between near parts of two sets over D, and the one of the proof.

    The near parts are within ``D (1 + d)`` of the other set, ``d = e / 4`` as in supplement C, and
    the proof takes ``D (1 + 2 d)`` for it.
    """
    of = faces.scene(name)
    x, in_a = of.sample(n, np.random.default_rng(seed))
    delta, d = of.epsilon / 4, of.distance
    near_a = x[in_a][faces.to_set(x[in_a], of.b) < d * (1 + delta)]
    near_b = x[~in_a][faces.to_set(x[~in_a], of.a) < d * (1 + delta)]
    longest = np.sqrt(matching.squared_distances(near_a, near_b).max())
    return float(longest / d), 1 + 2 * delta


def shell_table(runs: Runs) -> pd.DataFrame:
    """Return what is known of each scene and where its cross matches end, at the largest k."""
    rows = {}
    for name in dict.fromkeys(runs.table["scene"]):
        of = faces.scene(name)
        rows[name] = {
            "R / D": max(of.radii) / of.distance,
            "ε": of.epsilon,
            "outside": at_largest(runs, "outside", scene=name).mean(),
            "outside, corrected": at_largest(runs, "beyond", scene=name).mean(),
            "mean excess": at_largest(runs, "excess", scene=name).mean(),
            "slope of it": slopes(series(runs, "excess", scene=name), 64).mean(),
            "mixed points inside": at_largest(runs, "inside", scene=name).mean(),
            "of random pairs": at_largest(runs, "inside_random", scene=name).mean(),
        }
    return pd.DataFrame(rows).T


def rate_table(runs: Runs) -> pd.DataFrame:
    """Return the slopes of the cost against k beside -2/d, and of the number of long matches."""
    rows = {}
    for d in DIMENSIONS:
        found = {"printed, −2/d": -2 / d}
        for support, title in (("connected", "one piece"), ("two", "two pieces")):
            where = {"dimension": d, "support": support}
            found[title] = slopes(series(runs, "cost", **where), 32).mean()
            found[f"long, {title}"] = at_largest(runs, "long", **where).mean()
        k = series(runs, "long", dimension=d, support="two").columns[-1]
        rows[d] = found | {"k^(1 − 1/d)": k ** (1 - 1 / d)}
    return pd.DataFrame(rows).T.rename_axis("d")


def time_slopes(runs: Runs) -> dict[str, float]:
    """Return the mean slope of log time against log k of each kind of cost, from k = 64 on."""
    kinds = dict.fromkeys(runs.table["cost"])
    return {kind: float(slopes(series(runs, "ms", cost=kind), 64).mean()) for kind in kinds}
