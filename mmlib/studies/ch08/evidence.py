"""What the studies of chapter 08 say about its claims."""

from __future__ import annotations

import pandas as pd

from mmlib.evidence import Runs, components, errors, paired, per_seed, sample
from mmlib.evidence.findings import Paired
from mmlib.studies.ch08.grids import LAYERS, SECOND
from mmlib.studies.ch08.studies import CRITICS, NOISE, STATES, WIDTHS

MEASURES = ("rank", "participation", "share95", "two_nn")
_NAMES = {"none": "plain", "manifold": "manifold"}


def difference(
    table: pd.DataFrame, larger: str, smaller: str, first: dict, second: dict | None = None
) -> Paired:
    """Return one metric less another, seed by seed; of other cells if `second` is given."""
    one = per_seed(table, larger, first)
    two = per_seed(table, smaller, first if second is None else second)
    both = one.index.intersection(two.index)
    return Paired(
        tuple(map(float, one[both] - two[both])), len(one.index.union(two.index)) - len(both)
    )


@NOISE.evidence("MM1-s1-noise")
def _noise(runs: Runs) -> object:
    table, parts = runs.table, {}
    for data in LAYERS:
        own = table[(table["data"] == data) & (table["pool"] == 1)]
        where = {"data": data, "pool": 1}
        share = own["outside_error"], own["outside_control"]
        parts[f"{data}, outside a subspace"] = errors(*share)
        parts[f"{data}, noise like real variation"] = sample(per_seed(table, "like_real", where))
        parts[f"{data}, left by a local average"] = sample(per_seed(table, "left", where))
        parts[f"{data}, less left in place than shuffled"] = difference(
            table, "left_shuffled", "left", where
        )
        parts[f"{data}, more of noise removed than of real variation"] = difference(
            table, "removed_noise", "removed_real", where
        )
    return components(parts)


@STATES.evidence("MM1-s1-lowdim")
def _lower(runs: Runs) -> object:
    return components(
        {
            f"{data}, {measure}": difference(
                runs.table,
                f"{measure}_input",
                f"{measure}_{LAYERS[data][-1]}",
                {"data": data, "method": "none"},
            )
            for data in LAYERS
            for measure in MEASURES
        }
    )


@STATES.evidence("MM1-F3")
def _overlay(runs: Runs) -> object:
    table = runs.table[(runs.table["data"] == "mnist") & (runs.table["method"] == "manifold")]
    layer = SECOND["mnist"]
    return errors(table["overlay_error"], table[f"overlay_gap_{layer}"])


@CRITICS.evidence("MM1-F4")
def _consistent(runs: Runs) -> object:
    return components(
        {
            f"{data}, over pixel mixes{words}": difference(
                runs.table,
                "plausible_hidden",
                f"plausible_{kind}",
                {"data": data, "method": "manifold"},
            )
            for data in LAYERS
            for kind, words in (("pixel", ""), ("blurred", " through the decoder"))
        }
    )


@CRITICS.evidence("MM1-s5-plausible")
def _plausible(runs: Runs) -> object:
    return components(
        {
            data: sample(
                per_seed(runs.table, "plausible_hidden", {"data": data, "method": "manifold"})
            )
            for data in LAYERS
        }
    )


@STATES.evidence("MM1-s5-noC")
def _no_third(runs: Runs) -> object:
    parts = {}
    for data, layer in SECOND.items():
        for method, name in _NAMES.items():
            where = {"data": data, "method": method}
            parts[f"{data}, {name}, by the network"] = sample(
                per_seed(runs.table, f"own_points_{layer}", where)
            )
            if data == "mnist":
                parts[f"{data}, {name}, by another network"] = sample(
                    per_seed(runs.table, f"points_hidden_{layer}", where)
                )
    return components(parts)


@STATES.evidence("MM1-s5-sphere", also=[WIDTHS])
def _sphere(runs: Runs, widths: Runs) -> object:
    parts = {}
    for data, layer in SECOND.items():
        for method, name in _NAMES.items():
            where = {"data": data, "method": method}
            for metric, words in (
                ("spread", "spread of the radius"),
                ("inside", "states inside the mid points"),
                ("mid_third", "mid points nearest to a third class"),
            ):
                values = per_seed(runs.table, f"{metric}_{layer}", where)
                parts[f"{data}, {name}, {words}"] = sample(values)
            parts[f"{data}, {name}, more third classes along arcs"] = difference(
                runs.table, f"arc_points_{layer}", f"own_points_{layer}", where
            )
    parts["fewer third classes at 30 units than at 2"] = paired(
        widths.table,
        "points_none",
        better={"code": 30},
        worse={"code": 2},
        lower_is_better=True,
    )
    return components(parts)


@STATES.evidence("MM1-s5-flat", also=[CRITICS])
def _flat(runs: Runs, critics: Runs) -> object:
    table, parts = runs.table, {}
    for data, layer in SECOND.items():
        plain, mixed = ({"data": data, "method": method} for method in _NAMES)
        overlap, rank = f"overlap_{layer}", f"class_rank_{layer}"
        parts |= {
            f"{data}, shared more than at random": difference(
                table, overlap, f"overlap_random_{layer}", mixed
            ),
            f"{data}, shared more than plain": difference(table, overlap, overlap, mixed, plain),
            f"{data}, flatter than plain": difference(table, rank, rank, plain, mixed),
        }
    parts["mnist, plausible pairs share more"] = sample(
        per_seed(critics.table, "share_rank_hidden", {"data": "mnist", "method": "manifold"})
    )
    return components(parts)
