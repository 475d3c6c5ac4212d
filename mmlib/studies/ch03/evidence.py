"""What the studies of chapter 03 say about its claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmlib.evidence import Runs, components, errors, paired, sample
from mmlib.evidence.findings import Paired, per_seed
from mmlib.studies.ch03.grids import (
    ALPHA,
    BLOCKED,
    COUNTS,
    DEPTH,
    DIGITS,
    DROPOUT,
    EPOCHS,
    FULL,
    HYPER,
    LOW_DATA,
    TABLE,
)


def _main(runs: Runs) -> dict[str, Any]:
    """Settings that single out the network of Table 1 at any profile."""
    table = runs.table
    first = table.iloc[0]
    return {"model": first["model"], "data": first["data"]} | (
        {"n_train": None} if table["n_train"].isna().any() else {}
    )


def _orders(
    runs: Runs, metric: str, pairs: Sequence[tuple[str, str]], where: dict, *, lower: bool
) -> dict[str, Any]:
    return {
        f"{metric}, {better} over {worse}": paired(
            runs.table,
            metric,
            better=where | {"method": better},
            worse=where | {"method": worse},
            lower_is_better=lower,
        )
        for better, worse in pairs
    }


CHAIN = (("input", "none"), ("manifold", "input"))


@TABLE.evidence("MM1-T1-b")
def _table_1(runs: Runs) -> object:
    where = _main(runs)
    return components(
        _orders(runs, "accuracy", CHAIN, where, lower=False)
        | _orders(runs, "nll", CHAIN, where, lower=True)
    )


def _relative(runs: Runs, metric: str, other: str, where: dict, ceiling: float | None) -> Any:
    """Relative reduction of a quantity from another method to Manifold Mixup, per seed."""
    ours = per_seed(runs.table, metric, where | {"method": "manifold"})
    theirs = per_seed(runs.table, metric, where | {"method": other})
    if ceiling is not None:
        ours, theirs = ceiling - ours, ceiling - theirs
    return 1 - ours / theirs


@TABLE.evidence("MM1-T1-e")
def _likelihood_more(runs: Runs) -> object:
    where = _main(runs)
    return components(
        {
            f"against {other}": sample(
                _relative(runs, "nll", other, where, None)
                - _relative(runs, "accuracy", other, where, 100.0)
            )
            for other in ("none", "input")
        }
    )


@TABLE.evidence("MM1-s3-beforeafter")
def _before_and_after(runs: Runs) -> object:
    where = _main(runs)
    return components(_orders(runs, "accuracy", (("manifold", "blocked"),), where, lower=False))


@TABLE.evidence("MMA-nll", also=[DIGITS])
def _likelihood(runs: Runs, digits: Runs) -> object:
    parts = {}
    for each in (runs, digits):
        where = _main(each)
        pairs = (("manifold", "none"), ("manifold", "input"))
        found = _orders(each, "nll", pairs, where, lower=True)
        parts |= {f"{where['data']}, {name}": part for name, part in found.items()}
    return components(parts)


@EPOCHS.evidence("MM1-gradorder")
def _blocked_order(runs: Runs) -> object:
    parts = {}
    for epochs in sorted(runs.table["epochs"].unique())[-2:]:
        pairs = (("blocked", "none"), ("input", "blocked"), ("manifold", "blocked"))
        found = _orders(runs, "accuracy", pairs, {"epochs": epochs}, lower=False)
        parts |= {f"{epochs} epochs: {name}": part for name, part in found.items()}
    return components(parts)


def _number(runs: Runs, metric: str, printed: str, **where: Any) -> object:
    return sample(per_seed(runs.table, metric, where), printed=printed)


def _full(depth: int, data: str, method: str, epochs: int = 1200) -> dict[str, Any]:
    net = {"model": f"preactresnet{depth}", "data": data, "n_train": None}
    return net | {"method": method, "epochs": epochs}


@FULL.evidence("MM1-T1-a")
def _printed_c10(runs: Runs) -> object:
    where = _full(18, "cifar10", "manifold")
    return components(
        {
            "accuracy": _number(runs, "accuracy", "97.104", **where),
            "nll": _number(runs, "nll", "0.1407", **where),
        }
    )


@FULL.evidence("MM1-T2-a")
def _printed_c100(runs: Runs) -> object:
    rows = {("manifold", "accuracy"): "78.95", ("manifold", "nll"): "0.913"}
    rows |= {("none", "accuracy"): "75.32", ("none", "nll"): "1.284"}
    return components(
        {
            f"{method}, {metric}": _number(runs, metric, text, **_full(18, "cifar100", method))
            for (method, metric), text in rows.items()
        }
    )


@FULL.evidence("MM1-T1-c")
def _deep_accuracy(runs: Runs) -> object:
    chain = (*CHAIN, ("manifold_all", "manifold"))
    where = {"model": "preactresnet152", "data": "cifar10", "n_train": None}
    return components(_orders(runs, "accuracy", chain, where, lower=False))


@FULL.evidence("MM1-T1-d")
def _deep_likelihood(runs: Runs) -> object:
    pairs = (("none", "input"), ("manifold", "none"), ("manifold_all", "none"))
    where = {"model": "preactresnet152", "data": "cifar10", "n_train": None}
    return components(_orders(runs, "nll", pairs, where, lower=True))


@FULL.evidence("MM1-T2-b")
def _c100_deep(runs: Runs) -> object:
    where = {"model": "preactresnet34", "data": "cifar100", "n_train": None}
    pair = (("manifold", "input"),)
    return components(
        _orders(runs, "accuracy", pair, where, lower=False)
        | _orders(runs, "nll", pair, where, lower=True)
    )


@FULL.evidence("MM1-T2-c")
def _c100_both(runs: Runs) -> object:
    parts = {}
    for depth in (18, 34):
        where = {"model": f"preactresnet{depth}", "data": "cifar100", "n_train": None}
        found = _orders(runs, "accuracy", (("manifold", "none"),), where, lower=False)
        parts |= {f"{depth} layers: {name}": part for name, part in found.items()}
    return components(parts)


@FULL.evidence("MM1-grad400")
def _blocked_400(runs: Runs) -> object:
    return _number(runs, "accuracy", "95.14", **_full(18, "cifar10", "blocked", 400))


@FULL.evidence("MM1-grad1200")
def _blocked_1200(runs: Runs) -> object:
    return _number(runs, "accuracy", "95.67", **_full(18, "cifar10", "blocked"))


@FULL.evidence("MM1-s42-lowdata")
def _printed_low_data(runs: Runs) -> object:
    net = {"model": "preactresnet152", "data": "cifar10", "n_train": 4000}
    error = 100 - per_seed(runs.table, "accuracy", net | {"method": "manifold"})
    return sample(error, printed="13.64")


@LOW_DATA.evidence("MM1-abs-lowdata")
def _low_data(runs: Runs) -> object:
    parts = {}
    for data, n in dict.fromkeys(zip(runs.table["data"], runs.table["n_train"], strict=True)):
        where = {"data": data, "n_train": n}
        found = _orders(runs, "accuracy", (("manifold", "none"),), where, lower=False)
        parts |= {f"{data}, {n} labels": part for part in found.values()}
    return components(parts)


@ALPHA.evidence("MM1-s2-alpha2")
def _alpha_two(runs: Runs) -> object:
    return components(
        {
            f"{data}, against {alpha:g}": _alphas(runs, data, alpha)
            for data in dict.fromkeys(runs.table["data"])
            for alpha in _others(runs)
        }
    )


@ALPHA.evidence("MMF-C1-mm")
def _alpha_best(runs: Runs) -> object:
    data = runs.table["data"].iloc[0]
    return components({f"against {alpha:g}": _alphas(runs, data, alpha) for alpha in _others(runs)})


def _others(runs: Runs) -> list[float]:
    return [alpha for alpha in sorted(runs.table["alpha"].dropna().unique()) if alpha != 2.0]


def _alphas(runs: Runs, data: str, other: float) -> Any:
    sides = ({"data": data, "method": "manifold", "alpha": a} for a in (2.0, other))
    better, worse = sides
    return paired(runs.table, "accuracy", better=better, worse=worse, lower_is_better=False)


def first_epoch_below(curve: Sequence[float], epochs: Sequence[float], level: float) -> float:
    """Return the first evaluated epoch at which a curve is at or below a level.

    A curve that never gets there counts as one evaluation past the end.

    Example:
        >>> first_epoch_below([2.0, 1.0, 0.5], [1, 2, 3], 1.0)
        2.0
        >>> first_epoch_below([2.0, 1.0, 0.5], [1, 2, 3], 0.1)
        4.0
    """
    step = epochs[-1] - epochs[-2] if len(epochs) > 1 else 1
    hits = [epoch for epoch, value in zip(epochs, curve, strict=True) if value <= level]
    return float(hits[0] if hits else epochs[-1] + step)


@TABLE.evidence("MM1-F6")
def _epochs_to_likelihood(runs: Runs) -> object:
    """Epochs to 105 % of the best NLL of the plain run of the same seed, as a share of the run."""
    where = _main(runs)
    table = runs.table
    for column, value in where.items():
        table = table[table[column].isna() if value is None else table[column] == value]
    rows = {(row["method"], row["seed"]): row for _, row in table.iterrows()}
    values = []
    for seed in sorted(table["seed"].unique()):
        level = 1.05 * min(runs.arrays(rows["none", seed])["watched_nll"])
        epochs = {}
        for method in ("none", "manifold"):
            row = rows[method, seed]
            curves = runs.arrays(row)
            found = first_epoch_below(curves["watched_nll"], curves["epoch"], level)
            epochs[method] = found / row["epochs"]
        values.append(epochs["manifold"] - epochs["none"])
    return Paired(tuple(values), oriented=False)


# ------------------------------------------------------------ training loss and the place to mix


def _places(runs: Runs) -> tuple[dict, list[tuple[str, ...]]]:
    """Settings of the networks of one width, and the single places to mix in their order."""
    table = runs.table
    width = table.loc[table["method"] == "blocked", "width"].iloc[0]
    where = {"width": width, "data": table["data"].iloc[0]}
    alone = [layers for layers in dict.fromkeys(table["layers"]) if len(layers) == 1]
    return where, alone


def _train_loss(runs: Runs, better: dict, worse: dict, metric: str = "train_loss_mean") -> Paired:
    return paired(runs.table, metric, better=better, worse=worse, lower_is_better=True)


@DEPTH.evidence("MMF-C-underfit")
def _underfit(runs: Runs) -> object:
    where, alone = _places(runs)
    return components(
        {
            f"{at[0]} below input": _train_loss(
                runs, where | {"layers": at}, where | {"layers": ("input",)}
            )
            for at in alone[1:]
        }
    )


@DEPTH.evidence("MMF-F6-order")
def _highest_loss(runs: Runs) -> object:
    where, alone = _places(runs)
    first = where | {"layers": ("input",)}
    parts = {}
    for quarter in (1, 2, 3, 4):
        metric = f"train_loss_quarter_{quarter}"
        name = f"quarter {quarter}: "
        blocked = where | {"method": "blocked"}
        parts[f"{name}blocked above input"] = _train_loss(runs, first, blocked, metric)
        for at in alone[1:]:
            found = _train_loss(runs, where | {"layers": at}, first, metric)
            parts[f"{name}input above {at[0]}"] = found
    return components(parts)


def _deepest(runs: Runs, where: dict, alone: list[tuple[str, ...]]) -> object:
    deepest = where | {"layers": alone[-1]}
    return components(
        {
            f"{alone[-1][0]} below {at[0]}": _train_loss(
                runs, deepest, where | {"layers": at}, "train_loss"
            )
            for at in alone[:-1]
        }
    )


@DEPTH.evidence("MMF-F6-deep")
def _deepest_c10(runs: Runs) -> object:
    return _deepest(runs, *_places(runs))


@FULL.evidence("MMF-F7")
def _deepest_c100(runs: Runs) -> object:
    alone = [("input",), *((f"layer{i}",) for i in (1, 2, 3))]
    return _deepest(runs, {"model": "preactresnet50", "data": "cifar100"}, alone)


@DEPTH.evidence("MMF-F6-units")
def _more_units(runs: Runs) -> object:
    where, alone = _places(runs)
    at = {"data": where["data"], "layers": alone[2]}
    rows = runs.table[(runs.table["data"] == at["data"]) & (runs.table["layers"] == alone[2])]
    widths = sorted(rows["width"].unique())
    return components(
        {
            f"{wide} below {narrow}": _train_loss(
                runs, at | {"width": wide}, at | {"width": narrow}, "train_loss"
            )
            for narrow, wide in zip(widths, widths[1:], strict=False)
        }
    )


# ------------------------------------------------------------ hyper-parameters, dropout, counts


@HYPER.evidence("MM1-s7-hparams")
def _hyper(runs: Runs) -> object:
    """Gain of every combination over plain training at the same learning rate."""
    rows = runs.table[runs.table["method"] == "manifold"]
    keys = dict.fromkeys(zip(rows["lr"], rows["alpha"], rows["layers"], strict=True))
    return components(
        {
            f"lr {lr:g}, alpha {alpha:g}, {len(layers)} places": paired(
                runs.table,
                "accuracy",
                better={"method": "manifold", "lr": lr, "alpha": alpha, "layers": layers},
                worse={"method": "none", "lr": lr},
                lower_is_better=False,
            )
            for lr, alpha, layers in keys
        }
    )


@DROPOUT.evidence("MM1-s3-dropout")
def _dropout(runs: Runs) -> object:
    """Each regulariser helps on top of the other, and dropout makes mixing more effective."""

    def found(method: str, dropout: float, norm: bool) -> Any:
        options = runs.table["options"].map(dict)
        chosen = runs.table[
            options.map(lambda o: (o["dropout"], o["norm"]) == (dropout, norm))
            & (runs.table["method"] == method)
        ]
        return chosen.set_index("seed")["accuracy"]

    plain = {method: found(method, 0.0, False) for method in ("none", "manifold")}
    parts = {}
    for name, options in (("dropout", (0.5, False)), ("batch norm", (0.0, True))):
        both, alone = found("manifold", *options), found("none", *options)
        parts[f"mixing on top of {name}"] = sample(both - alone)
        parts[f"{name} on top of mixing"] = sample(both - plain["manifold"])
        if name == "dropout":
            gain = (both - alone) - (plain["manifold"] - plain["none"])
            parts["interaction with dropout"] = sample(gain)
    return components(parts)


@BLOCKED.evidence("MM1-grad-layers")
def _every_layer(runs: Runs) -> object:
    table = runs.table
    return components(
        {
            "gradients end at the mix": errors(table["error"], table["control"]),
            "no layer is left untrained": errors(table["never_reached"], [1]),
        }
    )


@COUNTS.evidence("MM1-A-layers")
def _counts_first(runs: Runs) -> object:
    table = runs.table
    wrong = table[["error_preactresnet18", "error_preactresnet34", "error_preactresnet152"]]
    return errors(wrong.max().max(), table["control"])


@COUNTS.evidence("MMF-C-layers")
def _counts_final(runs: Runs) -> object:
    table = runs.table
    names = ("preactresnet18", "preactresnet34", "wrn28-10")
    return components({name: errors(table[f"error_{name}"], table["control"]) for name in names})
