"""What the games of chapter 07 say about its claims."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mmlib.evidence import Runs, components, paired, per_seed, published, sample
from mmlib.evidence.findings import Paired
from mmlib.studies.ch07.digits import DIGITS
from mmlib.studies.ch07.experiments import SCORES
from mmlib.studies.ch07.members import LAYER_SETS
from mmlib.studies.ch07.plane import NDIS, PLANE, PLAUSIBLE
from mmlib.studies.ch07.theory import REAL_REAL

LOWER = {"quality": False, "modes": False, "distance": True}


def by_member(runs: Runs) -> pd.DataFrame:
    """Return the runs of the plane with one row per target, objective, member and seed.

    Columns: ``target``, ``objective``, ``group``, ``member``, ``seed`` and the scores.
    """
    rows = []
    for row in runs.table.to_dict("records"):
        names = [key.removeprefix("quality_") for key in row if key.startswith("quality_")]
        start = {key: row[key] for key in ("target", "objective", "group", "seed")}
        for name in names:
            # A cell has NaN where another group has its members: columns that it did not fill.
            if row["group"] == group_of(name):
                scores = {score: row[f"{score}_{name}"] for score in SCORES}
                rows.append(start | {"member": name} | scores)
    return pd.DataFrame(rows)


def group_of(member: str) -> str:
    """Return the group that a member belongs to.

    Example:
        >>> group_of("fr"), group_of("fr_h1"), group_of("final_all_0.5")
        ('main', 'hidden', 'alpha')
    """
    if member.startswith("final_"):
        return "alpha"
    return "hidden" if member.startswith("soft_") or member[:4] in ("fr_h", "fr_a") else "main"


def gain(
    table: pd.DataFrame,
    score: str,
    better: str,
    worse: str,
    target: str = "ring",
    objective: str = "js",
) -> Paired:
    """Return by how much one member's score is better than another's, seed by seed."""
    where = {"target": target, "objective": objective}
    return paired(
        table,
        score,
        better=where | {"member": better},
        worse=where | {"member": worse},
        lower_is_better=LOWER[score],
    )


def _gains(
    runs: Runs,
    pairs: list[tuple[str, str]],
    places: list[tuple[str, str]],
    scores: tuple[str, ...] = ("quality", "distance"),
) -> dict[str, object]:
    """A part for each place, score and pair (better, worse)."""
    table = by_member(runs)
    return {
        f"{target}, {score}, {better} over {worse}": gain(
            table, score, better, worse, target, objective
        )
        for target, objective in places
        for score in scores
        for better, worse in pairs
    }


@PLANE.evidence("MM1-gan-eq1bad")
def _equation_1(runs: Runs) -> object:
    return components(
        {
            f"{objective}, {name}": part
            for objective in ("js", "gp")
            for name, part in _gains(
                runs, [("fr", "eq1")], [("ring", objective)], ("quality",)
            ).items()
        }
    )


# ------------------------------------------------------------------------------ images


_IMAGE_SCORES = {"score": ("inception_score", "score"), "distance": ("fid", "frechet")}


def image_scores(images: Runs) -> dict[str, str]:
    """Return the columns that hold ``score`` (higher is better) and ``distance`` (lower).

    Inception's where it was there, else those through the chapter's classifier.
    """
    first = {
        name: next((column for column in columns if column in images.table), None)
        for name, columns in _IMAGE_SCORES.items()
    }
    return {name: column for name, column in first.items() if column}


def _image_cell(images: Runs, name: str, row: str) -> dict[str, str | None]:
    """Return the cell of ``variant`` or ``variant@place`` among the rows of a kind of Table 6."""
    variant, _, place = name.partition("@")
    cell: dict[str, str | None] = {"variant": variant}
    if variant != "none":
        cell["where"] = place or "input"
    return cell | ({"row": row} if "row" in images.table else {})


def image_gains(images: Runs, pairs: list[tuple[str, str]], row: str = "sn") -> dict[str, Paired]:
    """A part for each score of the image games and pair (better, worse); none for absent cells.

    Digits at quick size were played with spectral norm and JS alone, which is the row ``"sn"``.
    """
    if row != "sn" and "row" not in images.table:
        return {}
    parts = {}
    for score, column in image_scores(images).items():
        for pair in pairs:
            better, worse = (_image_cell(images, one, row) for one in pair)
            if _has(images, better) and _has(images, worse):
                sides = {"better": better, "worse": worse}
                name = f"images, {score}, {pair[0]} over {pair[1]}"
                lower = score == "distance"
                parts[name] = paired(images.table, column, lower_is_better=lower, **sides)
    return parts


def _has(images: Runs, cell: dict[str, str | None]) -> bool:
    chosen = images.table
    for key, value in cell.items():
        chosen = chosen[chosen[key] == value]
    return not chosen.empty


_TABLE_6 = [("fr", "none"), ("fr_ff", "fr")]


@PLANE.evidence("MM1-T6-gp", also=(DIGITS,))
def _penalty(runs: Runs, images: Runs) -> object:
    plane = _gains(runs, _TABLE_6, [("ring", "gp"), ("grid", "gp")])
    return components(plane | image_gains(images, _TABLE_6, "gp"))


@PLANE.evidence("MM1-T6-sn", also=(DIGITS,))
def _spectral_norm(runs: Runs, images: Runs) -> object:
    return components(_gains(runs, _TABLE_6, [("ring", "js")]) | image_gains(images, _TABLE_6))


@PLANE.evidence("MM1-T6-hinge", also=(DIGITS,))
def _hinge(runs: Runs, images: Runs) -> object:
    worse = [("none", "fr")]
    return components(
        _gains(runs, worse, [("ring", "hinge")]) | image_gains(images, worse, "hinge")
    )


@PLANE.evidence("MM1-gan-deep", also=(DIGITS,))
def _deeper_is_worse(runs: Runs, images: Runs) -> object:
    plane = _gains(runs, [("fr", "fr_all")], [("ring", "js")])
    return components(plane | image_gains(images, [("fr", "fr@all")]))


@PLANE.evidence("MMF-E-order", also=(DIGITS,))
def _order_of_appendix_e(runs: Runs, images: Runs) -> object:
    rising = [("final", "none"), ("final_all_0.5", "final")]
    parts = _gains(runs, rising, [("ring", "js")])
    parts |= image_gains(images, [("final", "none"), ("final@all", "final")])
    table, ring = by_member(runs), {"target": "ring", "objective": "js"}
    for score in ("quality", "distance"):
        ends = [ring | {"member": one} for one in ("final_all_0.5", "final")]
        parts[f"ring, {score}, last gap over spread"] = over_spread(table, score, *ends)
    for score, column in image_scores(images).items():
        ends = [_image_cell(images, one, "sn") for one in ("final@all", "final")]
        name = f"images, {score}, last gap over spread"
        parts[name] = over_spread(images.table, column, *ends)
    return components(parts)


def _printed_parts(images: Runs, rows: dict[str, tuple[dict, str, str]]) -> object:
    """Our Inception scores and FIDs beside printed ones; NaN where Inception was not there."""
    parts = {}
    for name, (cell, *printed) in rows.items():
        for score, number in zip(("inception_score", "fid"), printed, strict=True):
            known = score in images.table and _has(images, cell)
            values = per_seed(images.table, score, cell) if known else [np.nan]
            parts[f"{name}, {score}"] = sample(values, printed=number, n_trials=3)
    return components(parts)


@DIGITS.evidence("MM1-T6-mm")
def _printed_manifold(images: Runs) -> object:
    table = published("manifold_mixup_v1_table6_gan")
    row = table[table["method"] == "manifold_mixup_fr"].set_index("metric")["printed"]
    cell = {"variant": "fr", "where": "stem", "row": "mm"}
    return _printed_parts(images, {"mm": (cell, row["inception_score"], row["fid"])})


APPENDIX_E = {
    "baseline": ("none", "7.97", "21.9"),
    "input mixup": ("final", "8.03", "21.4"),
    "Manifold Mixup, all layers": ("final@all", "8.04", "21.2"),
}


@DIGITS.evidence("MMF-E-numbers")
def _printed_appendix(images: Runs) -> object:
    return _printed_parts(
        images,
        {
            name: (_image_cell(images, one, "sn"), *printed)
            for name, (one, *printed) in APPENDIX_E.items()
        },
    )


# ------------------------------------------------------------------------------ the plane


@PLANE.evidence("MM1-gan-soft")
def _soft_labels(runs: Runs) -> object:
    pairs = [("soft_all", "fr_all"), ("fr", "soft_all")]
    return components(_gains(runs, pairs, [("ring", "js")], ("quality",)))


@PLANE.evidence("MMF-E-alpha")
def _best_alpha(runs: Runs) -> object:
    pairs = [
        (f"final_{layers}_0.5", f"final_{layers}_{other}")
        for layers in LAYER_SETS
        for other in ("0.1", "0.2")
    ]
    return components(_gains(runs, pairs, [("ring", "js")]))


def over_spread(table: pd.DataFrame, score: str, first: dict, second: dict) -> Paired:
    """Return differences first - second over seeds, in units of the spread of one of them.

    The unit is ``sqrt((var first + var second) / 2)`` over seeds.
    """
    a, b = (per_seed(table, score, one) for one in (first, second))
    spread = float(np.sqrt((a.var() + b.var()) / 2))
    values = (a - b) / spread if spread > 0 else (a - b) * np.nan
    return Paired(tuple(map(float, values)), oriented=False)


@PLAUSIBLE.evidence("MM1-gan-plausible")
def _plausible_mixes(runs: Runs) -> object:
    sites = ("input", "h1", "h2", "h3")
    found = {site: per_seed(runs.table, f"good_{site}") for site in sites}
    return components(
        {
            f"{deeper} over {site}": sample(found[deeper] - found[site])
            for site, deeper in zip(sites, sites[1:], strict=False)
        }
    )


@NDIS.evidence("MM1-gan-ndis")
def _discriminator_steps(runs: Runs) -> object:
    length = int(runs.table["updates"].min())
    five = {"n_dis": 5, "updates": length}
    others = {
        "1 step": {"n_dis": 1, "updates": length},
        "2 steps": {"n_dis": 2, "updates": length},
        "1 step, as many updates of both players": {"n_dis": 1, "updates": 3 * length},
    }
    return components(
        {
            f"{score}, 5 steps over {name}": paired(
                runs.table, score, better=five, worse=other, lower_is_better=LOWER[score]
            )
            for score in ("quality", "distance")
            for name, other in others.items()
        }
    )


@REAL_REAL.evidence("MMF-E-realreal", also=(PLANE,))
def _two_real_points(mixes: Runs, games: Runs) -> object:
    parts: dict[str, object] = {
        f"{target}, good mixes of different modes": sample(
            per_seed(mixes.table, "good_other", {"target": target})
        )
        for target in ("ring", "grid")
    }
    return components(parts | _gains(games, [("final", "four")], [("ring", "js")]))
