"""Chapter 02, synthetic tasks with known factors (v1 appendix E; ICML appendix A; Table 8)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from mmlib.evidence import Runs, Study, components, errors, paired, published, sample
from mmlib.evidence.findings import per_seed
from mmlib.studies.ch02.tasks import (
    METHODS,
    compare_tables,
    mix_validity,
    train_and_go_around,
    train_and_test,
    train_and_test_handwritten,
)

SMOKE = {"size": 16, "width": 8, "steps": 12, "batch": 32, "n_test": 20}
QUICK = {"size": 32, "width": 8, "steps": 1000, "batch": 128, "n_test": 400}
PAPER = {"size": 64, "width": 32, "steps": 1000, "batch": 128, "n_test": 1000}
RECIPE = {"lr": 1e-4, "alpha": 1.0, "ranges": "printed"}


def _cells(*rows: tuple, size: dict) -> list[dict]:
    names = ("task", "drawing", "method", "ranges")
    return [size | RECIPE | dict(zip(names, row, strict=False)) for row in rows]


MAIN = [
    (task, drawing, method)
    for (task, drawing), method in product(
        [("AB", "digit"), ("AB", "digit_on_sheet"), ("C", "bars"), ("C", "font_on_sheet")], METHODS
    )
]
TABLE8 = Study(
    "ch02-table8",
    train_and_test,
    grid={
        "smoke": _cells(*MAIN, size=SMOKE),
        "quick": _cells(*MAIN, size=QUICK),
        "paper": _cells(*MAIN, size=PAPER),
    },
    seeds={"quick": 10, "paper": 10},
    live_seeds={"quick": 2},
)

PLAIN = ("seven", "square", "font_4")
SHEETS = ("font_2_on_sheet", "font_4_on_sheet")
BELOW = [
    *(("AB", drawing, "none") for drawing in (*PLAIN, *SHEETS)),
    *(("AB", drawing, "none", "turned") for drawing in ("square", "font_4_on_sheet")),
    *product(("AB",), ("square", "font_4_on_sheet"), ("input", "factor")),
]
BELOW_CHANCE = Study(
    "ch02-below-chance",
    train_and_go_around,
    grid={
        "smoke": _cells(*BELOW[1:2], *BELOW[4:], size=SMOKE),
        "quick": _cells(*BELOW, size=QUICK),
        "paper": _cells(*BELOW, size=PAPER),
    },
    seeds={"quick": 3, "paper": 10},
    live_seeds={"quick": 1},
)

HANDWRITTEN = Study(
    "ch02-handwritten",
    train_and_test_handwritten,
    grid={
        profile: [
            size | RECIPE | {"task": "AB", "digit": 7, "method": method} for method in METHODS
        ]
        for profile, size in (("smoke", SMOKE), ("quick", QUICK), ("paper", PAPER))
    },
    seeds={"quick": 3, "paper": 10},
    live_seeds={"quick": 1},
    data="mnist",
)

VALIDITY = Study(
    "ch02-mix-validity",
    mix_validity,
    grid={
        profile: [
            {"task": task, "drawing": drawing, "size": size, "batch": 64, "step": step}
            for task, drawing in (("AB", "digit"), ("AB", "digit_on_sheet"), ("C", "bars"))
        ]
        for profile, size, step in (("smoke", 16, 2.0), ("quick", 32, 0.25), ("paper", 64, 0.25))
    },
    seeds={"quick": 10, "paper": 10},
    n_jobs=1,
)

PRINTED = Study(
    "ch02-printed-tables",
    compare_tables,
    grid={profile: [{"table": 8}] for profile in ("smoke", "quick", "paper")},
    seeds={"quick": 5},
    n_jobs=1,
)

# ------------------------------------------------------------------------------ evidence

# The tests of the main study: (task tested, settings that choose the runs).
TESTED = [
    *((task, {"task": "AB", "drawing": d}) for task in "AB" for d in ("digit", "digit_on_sheet")),
    *(("C", {"task": "C", "drawing": drawing}) for drawing in ("bars", "font_on_sheet")),
]
# The drawing whose numbers stand beside the printed ones.
BESIDE_PRINT = {"A": "digit_on_sheet", "B": "digit_on_sheet", "C": "bars"}
PRINTED_METHOD = {"none": "no_mixup", "input": "input_mixup", "factor": "ground_truth_factor_mixup"}


def printed_table() -> dict[tuple[str, str, str], str]:
    """The digits of Table 8 by (task, method, accuracy or nll)."""
    table = published("manifold_mixup_v1_table8_synthetic")
    ours = {name: method for method, name in PRINTED_METHOD.items()}
    short = {"test_accuracy_pct": "accuracy", "test_nll": "nll"}
    return {
        (row.task, ours[row.method], short[row.metric]): row.printed for row in table.itertuples()
    }


def _beside_print(runs: Runs, task: str) -> object:
    settings = {"task": "C" if task == "C" else "AB", "drawing": BESIDE_PRINT[task]}
    parts = {}
    for (printed_task, method, metric), digits in printed_table().items():
        if printed_task == task:
            values = per_seed(runs.table, f"{task}_{metric}", settings | {"method": method})
            scale = 100 if metric == "accuracy" else 1
            parts[f"{method}, {metric}"] = sample(scale * values, printed=digits)
    return components(parts)


@TABLE8.evidence("MM1-T8-A")
def _task_a(runs: Runs) -> object:
    return _beside_print(runs, "A")


@TABLE8.evidence("MM1-T8-B")
def _task_b(runs: Runs) -> object:
    return _beside_print(runs, "B")


@TABLE8.evidence("MM1-T8-C")
def _task_c(runs: Runs) -> object:
    return _beside_print(runs, "C")


def _in_percent(runs: Runs) -> object:
    columns = [name for name in runs.table if name.endswith(("_accuracy", "_ece"))]
    return runs.table.assign(**{name: 100 * runs.table[name] for name in columns})


def _compare(runs: Runs, metrics: dict[str, bool], better: str, worse: tuple[str, ...]) -> dict:
    """Paired differences for each test, metric (True: lower is better) and other method."""
    table = _in_percent(runs)
    return {
        f"{task} {settings['drawing']}, {metric}, {better} against {other}": paired(
            table,
            f"{task}_{metric}",
            better=settings | {"method": better},
            worse=settings | {"method": other},
            lower_is_better=lower,
        )
        for task, settings in TESTED
        for metric, lower in metrics.items()
        for other in worse
    }


@TABLE8.evidence("MM1-T8-factor")
def _factor_best(runs: Runs) -> object:
    return components(_compare(runs, {"accuracy": False, "nll": True}, "factor", ("none", "input")))


@TABLE8.evidence("MM1-T8-nll")
def _input_lowers_nll(runs: Runs) -> object:
    lower = {"nll": True}
    return components(
        _compare(runs, lower, "input", ("none",)) | _compare(runs, lower, "factor", ("input",))
    )


@TABLE8.evidence("MM1-T8-acc")
def _input_no_more_accurate(runs: Runs) -> object:
    return components(_compare(runs, {"accuracy": False}, "none", ("input",)))


@TABLE8.evidence("MMF-A-calib")
def _calibration(runs: Runs) -> object:
    return components(_compare(runs, {"nll": True, "ece": True}, "input", ("none",)))


def _by_drawing(runs: Runs, values: Callable) -> object:
    return components(
        {
            f"{task} {drawing}": sample(values(group.set_index("seed")))
            for (task, drawing), group in runs.table.groupby(["task", "drawing"])
        }
    )


@VALIDITY.evidence("MM1-F2")
def _superpositions(runs: Runs) -> object:
    return _by_drawing(runs, lambda group: group["input"] - group["factor"])


@VALIDITY.evidence("MMF-A-F4")
def _renderings(runs: Runs) -> object:
    return _by_drawing(runs, lambda group: group["factor"] - group["spacing"] / 2)


@PRINTED.evidence("MMF-A-T8same")
def _same_table(runs: Runs) -> object:
    return errors(runs.table["gap"], runs.table["control"])
