"""Tables of chapter 07: printed numbers beside ours, and differences beside the spread of seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mmlib.data.mixtures import GaussianMixture
from mmlib.evidence import Runs, per_seed, published
from mmlib.evidence.statistics import mean_interval
from mmlib.studies.ch07.evidence import LOWER, by_member, gain
from mmlib.studies.ch07.members import target_of
from mmlib.training.mixes import VARIANTS

# Objectives in the plane -> models of Table 6, and variants -> its methods.
_MODELS = {"gp": "GAN-GP", "js": "SN-GAN", "hinge": "SN-GAN + hinge"}
_METHODS = {"none": "no_mixup", "fr": "mixup_fr", "fr_ff": "mixup_fr_ff"}
_TITLES = {"none": "", "fr": "+ FR", "fr_ff": "+ FR + FF"}


def printed_row(objective: str, variant: str) -> dict[str, tuple[float, str, float]] | None:
    """Return ``score -> (value, as printed, uncertainty)`` of a row of Table 6, None if absent.

    Example:
        >>> printed_row("js", "fr")["fid"][1], printed_row("hinge", "fr_ff")
        ('21.5', None)
    """
    table = published("manifold_mixup_v1_table6_gan")
    chosen = table[
        (table["model"] == _MODELS[objective])
        & (table["method"] == _METHODS[variant])
        & (table["reported_by"] == "this paper")
    ]
    if chosen.empty:
        return None
    return {
        row["metric"]: (float(row["value"]), str(row["printed"]), float(row["uncertainty"]))
        for row in chosen.to_dict("records")
    }


def _shown(values: pd.Series, digits: int) -> str:
    spread = f" ± {values.std():.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"


def table_6(plane: Runs, images: Runs) -> pd.DataFrame:
    """Table 6 with our scores beside it; ours with the standard deviation over seeds.

    Columns: the printed Inception score and FID, good points and distance on the ring and, where
    it was played, on the grid, and score and Frechet distance of the digits (SN and JS alone).
    """
    table, rows = by_member(plane), {}
    targets = table[["target", "objective"]].drop_duplicates().itertuples(index=False)
    known = set(map(tuple, targets))
    for objective, model in _MODELS.items():
        for variant, title in _TITLES.items():
            printed = printed_row(objective, variant)
            if printed is None:
                continue
            _, score, uncertainty = printed["inception_score"]
            row = {"Inception": f"{score} ± {uncertainty:.2f}", "FID": printed["fid"][1]}
            for target in ("ring", "grid"):
                where = {"target": target, "objective": objective, "member": variant}
                for name, digits in (("quality", 1), ("distance", 3)):
                    played = (target, objective) in known
                    values = _shown(per_seed(table, name, where), digits) if played else ""
                    row[f"{target}: {name}"] = values
            if objective == "js" and {"score", "frechet"} <= set(images.table):
                cell = _digits_cell(images, variant)
                row["digits: score"] = _shown(per_seed(images.table, "score", cell), 2)
                row["digits: Fréchet"] = _shown(per_seed(images.table, "frechet", cell), 2)
            rows[f"{model} {title}".strip()] = row
    return pd.DataFrame(rows).T.fillna("")


def _digits_cell(images: Runs, variant: str) -> dict:
    cell = {"variant": variant} | ({} if variant == "none" else {"where": "input"})
    return cell | ({"row": "sn"} if "row" in images.table else {})


def spreads(
    plane: Runs, pairs: list[tuple[str, str]], places: list[tuple[str, str]]
) -> pd.DataFrame:
    """How much better each first variant is than the second, beside the spread of one seed.

    Args:
        plane: runs of the plane.
        pairs: (first, second) members.
        places: (target, objective).

    Returns:
        For each comparison and score: mean improvement, half-width of its 95 % interval, standard
        deviation of the second variant over seeds, and the improvement in units of it; where
        Table 6 prints both rows, the printed improvement in units of the printed spread of its
        Inception score.
    """
    table, rows = by_member(plane), {}
    for target, objective in places:
        for first, second in pairs:
            for score in ("quality", "distance"):
                found = gain(table, score, first, second, target, objective)
                mean, low, high = (float(v) for v in mean_interval(found.values))
                where = {"target": target, "objective": objective, "member": second}
                spread = float(per_seed(table, score, where).std())
                rows[f"{target}, {objective}: {first} over {second}, {score}"] = {
                    "improvement": mean,
                    "± (95 %)": (high - low) / 2,
                    "spread of a seed": spread,
                    "improvement / spread": mean / spread if spread else np.nan,
                    "printed / printed spread": _printed_ratio(objective, first, second)
                    if score == "quality"
                    else np.nan,
                }
    return pd.DataFrame(rows).T


def _printed_ratio(objective: str, first: str, second: str) -> float:
    if not {first, second} <= set(_METHODS):
        return np.nan
    a, b = (printed_row(objective, one) for one in (first, second))
    if a is None or b is None:
        return np.nan
    (new, _, _), (old, _, spread) = a["inception_score"], b["inception_score"]
    return (new - old) / spread


def means(plane: Runs, target: str = "ring", objective: str = "js") -> pd.DataFrame:
    """Mean scores by member, with the standard deviation over seeds."""
    table = by_member(plane)
    chosen = table[(table["target"] == target) & (table["objective"] == objective)]
    found = chosen.groupby("member", sort=False)[list(LOWER)].agg(["mean", "std"])
    found.columns = [f"{name} {what}" for name, what in found.columns]
    return found


NEAR = 5.0  # points within this many standard deviations of a centre belong to its mode


def outward(points: np.ndarray, target: GaussianMixture) -> float:
    """Return how far the points of the modes lie outward of their centres, in sigma.

    The mean over points within five sigma of a centre c of ``(x - c) . c / (|c| sigma)``: 0 for
    points of the target.

    Args:
        points: (N, 2).
        target: A mixture without a mode at the origin.

    Example:
        >>> from mmlib.data.mixtures import ring
        >>> outward(np.array([[2.1, 0.0], [0.0, -2.1], [0.0, 0.0]]), ring()).__round__(6)
        1.0
    """
    centres = np.asarray(target.centres)
    x = np.asarray(points, dtype=float)
    away = np.linalg.norm(x[:, None] - centres[None], axis=-1)
    near = away.min(1) < NEAR * target.sigma
    own = centres[away.argmin(1)][near]
    along = ((x[near] - own) * own).sum(1) / np.linalg.norm(own, axis=1)
    return float(along.mean() / target.sigma) if near.any() else float("nan")


def outward_shifts(plane: Runs) -> pd.DataFrame:
    """Return `outward` of the points kept of each main game on the ring.

    Columns: ``objective``, ``member``, ``seed``, ``shift``.
    """
    table, rows = plane.table, []
    chosen = table[(table["target"] == "ring") & (table["group"] == "main")]
    for index, run in zip(chosen.index, chosen.to_dict("records"), strict=True):
        for name, points in zip(VARIANTS, plane.arrays(index)["points"], strict=True):
            start = {"objective": run["objective"], "seed": run["seed"], "member": name}
            rows.append(start | {"shift": outward(points, target_of("ring"))})
    return pd.DataFrame(rows)
