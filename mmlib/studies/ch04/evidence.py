"""What the runs of chapter 04 say about its claims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mmlib.evidence import Runs, components, errors, exact, paired, per_seed, published, sample
from mmlib.studies.ch04.grids import METHODS
from mmlib.studies.ch04.studies import (
    ALGORITHMS,
    ALPHAS,
    COST,
    SVHN,
    TABLE,
    WEIGHTS,
)

PRINTED = {
    "supervised": "supervised",
    "mean_teacher": "mean_teacher",
    "vat": "vat",
    "vat_em": "vat_em",
    "input": "ssl_input_mixup",
    "manifold": "ssl_manifold_mixup",
}


def printed_table() -> pd.DataFrame:
    """Return Table 4: the test errors in percent, method by data set."""
    table = published("manifold_mixup_v1_table4_semi_supervised")
    wide = table.pivot(index="method", columns="dataset", values="value")
    return wide.loc[[PRINTED[method] for method in METHODS]].set_axis(METHODS)


def _below(table: pd.DataFrame, better: Mapping[str, Any], worse: Mapping[str, Any]) -> object:
    return paired(table, "error", better=better, worse=worse, lower_is_better=True)


def _data_of(runs: Runs) -> list[str]:
    return list(dict.fromkeys(runs.table["data"]))


def _against(runs: Runs, worse: str) -> dict[str, object]:
    return {
        data: _below(
            runs.table,
            {"method": "manifold", "data": data},
            {"method": worse, "data": data},
        )
        for data in _data_of(runs)
    }


@TABLE.evidence("MM1-abs-ssl")
def _below_supervised(runs: Runs) -> object:
    return components(_against(runs, "supervised"))


@TABLE.evidence("MM1-T4-order")
def _below_input_mixup(runs: Runs) -> object:
    return components(_against(runs, "input"))


def _numbers(runs: Runs, data: str, title: str) -> object:
    table = published("manifold_mixup_v1_table4_semi_supervised")
    table = table[table["dataset"] == title].set_index("method")
    return components(
        {
            method: sample(
                per_seed(runs.table, "error", {"method": method, "data": data}),
                printed=table.loc[row, "printed"],
                uncertainty=float(table.loc[row, "uncertainty"]),
                n_trials=int(table.loc[row, "n_trials"]),
            )
            for method, row in PRINTED.items()
        }
    )


@TABLE.evidence("MM1-T4-cifar")
def _table_4(runs: Runs) -> object:
    return _numbers(runs, "cifar10", "CIFAR-10")


@SVHN.evidence("MM1-T4-svhn")
def _table_4_svhn(runs: Runs) -> object:
    return _numbers(runs, "svhn", "SVHN")


@COST.evidence("MM1-T4-cost")
def _costs(runs: Runs) -> object:
    one = runs.table.iloc[0]
    return components(
        {
            "backward passes, VAT less Manifold Mixup": exact(
                one["backward_vat"] - one["backward_manifold"], "1"
            ),
            "weights averaged, Mean Teacher": exact(one["averages_mean_teacher"], "1"),
            "weights averaged, Manifold Mixup": exact(one["averages_manifold"], "0"),
            "time over the same passes without a mix": sample(per_seed(runs.table, "mixing_time")),
        }
    )


def _identity(runs: Runs, name: str) -> object:
    return errors(runs.table[name], runs.table[f"{name}_control"])


@ALGORITHMS.evidence("MM1-Alg1")
def _algorithm_1(runs: Runs) -> object:
    return _identity(runs, "algorithm_1")


@ALGORITHMS.evidence("MM1-Alg3")
def _algorithm_3(runs: Runs) -> object:
    return _identity(runs, "algorithm_3")


@ALGORITHMS.evidence("MM1-C-ramp")
def _ramp(runs: Runs) -> object:
    return components(
        {
            "start": exact(float(runs.table["ramp_start"].iloc[0]), "0.0"),
            "shape": _identity(runs, "ramp"),
            "largest at 0.4 of the updates": errors(
                runs.table["ramp_end"], runs.table["ramp_before"]
            ),
        }
    )


def joined(runs: Runs, table: Runs) -> pd.DataFrame:
    """Return the runs of a study with those of the main one, which hold the text's choice."""
    main = table.table[table.table["method"] == "manifold"]
    return pd.concat([runs.table, main], ignore_index=True)


@ALPHAS.evidence("MM1-C-alpha", also=(TABLE,))
def _best_alphas(runs: Runs, table: Runs) -> object:
    both, (data,) = joined(runs, table), _data_of(runs)
    chosen = {"alpha": 0.1, "alpha_u": 2.0, "data": data}
    parts = {}
    for row in runs.table[["alpha", "alpha_u"]].drop_duplicates().itertuples(index=False):
        other = {"alpha": row.alpha, "alpha_u": row.alpha_u, "data": data}
        name = f"labelled {row.alpha:g}, unlabelled {row.alpha_u:g}"
        parts[name] = _below(both, chosen, other)
    return components(parts)


@WEIGHTS.evidence("MM1-C-weight", also=(TABLE,))
def _best_weight(runs: Runs, table: Runs) -> object:
    both = joined(runs, table)
    return components(
        {
            f"largest weight {weight:g}": _below(
                both,
                {"weight": 1.0, "data": "cifar10"},
                {"weight": weight, "data": "cifar10"},
            )
            for weight in dict.fromkeys(runs.table["weight"])
        }
    )
