"""Chapter 01, the method (v1 section 2, Figure 1): studies, and the evidence for its claims."""

from __future__ import annotations

from collections.abc import Callable

from mmlib.evidence import Runs, Study, components, equivalent, errors, exact, paired, sample
from mmlib.evidence.findings import per_seed
from mmlib.studies.ch01 import experiments, identities

PROFILE_NAMES = ("smoke", "quick", "paper")


def _everywhere(*cells: dict) -> dict[str, list[dict]]:
    """The same cells at every profile, for studies of seconds."""
    return {profile: list(cells) for profile in PROFILE_NAMES}


LAW = Study("ch01-law", identities.law_of_lambda, _everywhere({"draws": 100_000}), n_jobs=1)


def _identity(name: str, run: Callable) -> Study:
    seeds = {"smoke": 2, "quick": 20, "paper": 20}
    return Study(f"ch01-{name}", run, _everywhere({"dtype": "float64"}), seeds, n_jobs=1)


SPLIT = _identity("split", identities.split)
REDUCTION = _identity("reduction", identities.reduction_to_input_mixup)
OBJECTIVE = _identity("objective", identities.expected_loss)
ALGORITHM = _identity("algorithm-2", identities.algorithm_2)
GRADIENT = _identity("gradient-flow", identities.gradient_flow)
NEIGHBOURS = _identity("neighbours", identities.against_neighbour_mixing)

SHUFFLE = Study(
    "ch01-shuffle",
    experiments.shuffled_or_two,
    grid={
        "smoke": [{"n": 64, "batches": [2, 8, 32], "rounds": 500}],
        "quick": [{"n": 256, "batches": [2, 4, 8, 16, 32, 64, 128], "rounds": 20_000}],
        "paper": [{"n": 512, "batches": [2, 4, 8, 16, 32, 64, 128, 256], "rounds": 20_000}],
    },
    seeds={"quick": 10, "paper": 10},
    data="mnist",
)

DIGITS = {
    "data": "mnist",
    "model": "small_conv",
    "layers": ["input", "block1", "block2"],
    "lr": 0.05,
    "weight_decay": 1e-4,
    "batch": 100,
}
PHOTOS = DIGITS | {"data": "cifar10"}
RESNET = {"model": "preactresnet18", "layers": ["input", "layer1", "layer2"], "lr": 0.1}
TINY = {"width": 8, "n_train": 100, "n_test": 60, "epochs": 1}

VARIANCE = Study(
    "ch01-update-variance",
    experiments.update_variance,
    grid={
        "smoke": [DIGITS | TINY | {"alpha": 2.0, "draws": 4}],
        "quick": [
            DIGITS
            | {"width": 8, "n_train": 2000, "n_test": 100, "alpha": 2.0, "draws": 100, "epochs": e}
            for e in (0, 1, 20)
        ],
        "paper": [
            DIGITS
            | {"width": 32, "n_train": 2000, "n_test": 100, "alpha": 2.0, "draws": 400, "epochs": e}
            for e in (0, 1, 20, 100)
        ],
    },
    seeds={"quick": 5, "paper": 10},
    live_seeds={"quick": 2},
)

SCHEMES = Study(
    "ch01-draw-schemes",
    experiments.train_scheme,
    grid={
        profile: [
            DIGITS | size | {"alpha": 2.0, "scheme": scheme}
            for scheme in ("batch", "example_lam", "example")
        ]
        for profile, size in {
            "smoke": TINY,
            "quick": {"width": 16, "n_train": 2000, "n_test": None, "epochs": 20},
            "paper": {"width": 32, "n_train": None, "n_test": None, "epochs": 50},
        }.items()
    },
    seeds={"quick": 10, "paper": 10},
    live_seeds={"quick": 2},
)


def _interpolation_cells(digits: dict, photos: dict, alpha: float = 2.0) -> list[dict]:
    cells = []
    for base in (DIGITS | {"epsilon": 0.1} | digits, PHOTOS | {"epsilon": 8 / 255} | photos):
        cells += [
            base | {"method": "none"},
            base | {"method": "input", "input_alpha": 1.0},
            base | {"method": "manifold", "alpha": alpha},
        ]
    return cells


INTERPOLATION = Study(
    "ch01-interpolation",
    experiments.train_and_interpolate,
    grid={
        "smoke": _interpolation_cells(TINY | {"n_pairs": 30}, TINY | {"n_pairs": 30}),
        "quick": _interpolation_cells(
            {"width": 16, "n_train": 10_000, "n_test": None, "n_pairs": 1000, "epochs": 10},
            {"width": 16, "n_train": 5000, "n_test": None, "n_pairs": 1000, "epochs": 15},
        ),
        "paper": _interpolation_cells(
            {"width": 32, "n_train": None, "n_test": None, "n_pairs": 2000, "epochs": 50},
            RESNET | {"width": 64, "n_train": None, "n_test": None, "n_pairs": 2000, "epochs": 200},
        ),
    },
    seeds={"quick": 5, "paper": 5},
    live_seeds={"quick": 1},
)

COST = Study(
    "ch01-step-cost",
    experiments.step_time,
    grid={
        "smoke": [{"batch": 8, "width": 8, "rounds": 4}],
        "quick": [{"batch": 64, "width": 16, "rounds": 30}],
        "paper": [{"batch": 64, "width": 64, "rounds": 30}],
    },
    seeds={"quick": 5, "paper": 5},
    n_jobs=1,
)

# ------------------------------------------------------------------------------ evidence


@LAW.evidence("MM1-s2-5pct")
def _tails(runs: Runs) -> object:
    return exact(100 * runs.table["exact_share"].iloc[0], "5")


@LAW.evidence("MM1-s2-beta1")
def _uniform(runs: Runs) -> object:
    return errors(runs.table["uniform_error"], runs.table["uniform_control"])


def _error_and_control(runs: Runs) -> object:
    return errors(runs.table["error"], runs.table["control"])


for _study, _claim in (
    (SPLIT, "MM1-s2-split"),
    (REDUCTION, "MM1-s2-input"),
    (OBJECTIVE, "MM1-s2-loss"),
    (ALGORITHM, "MM1-Alg2"),
    (GRADIENT, "MM1-s2-backprop"),
    (NEIGHBOURS, "MM1-s3-zhaocho"),
):
    _study.evidence(_claim)(_error_and_control)


@SHUFFLE.evidence("MM1-s2-shuffle")
def _shuffle(runs: Runs) -> object:
    table = runs.table
    return components(
        {
            "gap is (1/B - 1/N)(S - D)": errors(table["error"], table["control"]),
            "self-pairs are 1/B": errors(table["self_rate_error"], [0.5]),
        }
    )


@VARIANCE.evidence("MM1-s2-var")
def _variance(runs: Runs) -> object:
    stages = sorted(runs.table["epochs"].unique())
    return components(
        {
            f"after {stage} epochs": sample(
                per_seed(runs.table, "log_ratio_example", {"epochs": stage})
            )
            for stage in stages
        }
    )


@SCHEMES.evidence("MM1-s2-perbatch")
def _per_batch(runs: Runs) -> object:
    sides = {"first": {"scheme": "example"}, "second": {"scheme": "batch"}}
    return equivalent(runs.table, "accuracy", **sides)


def _data_sets(runs: Runs) -> list[str]:
    return list(dict.fromkeys(runs.table["data"]))


def _orders(runs: Runs, metric: str, worse: tuple[str, ...], *, lower: bool) -> object:
    """Manifold Mixup against other methods on both data sets, one component each."""
    return components(
        {
            f"{data}, against {other}": paired(
                runs.table,
                metric,
                better={"data": data, "method": "manifold"},
                worse={"data": data, "method": other},
                lower_is_better=lower,
            )
            for data in _data_sets(runs)
            for other in worse
        }
    )


@INTERPOLATION.evidence("MM1-F1-hidden")
def _hidden(runs: Runs) -> object:
    return _orders(runs, "nll_hidden", ("input", "none"), lower=True)


@INTERPOLATION.evidence("MM1-F1-visible")
def _visible(runs: Runs) -> object:
    return components(
        {
            data: equivalent(
                runs.table,
                "nll_visible",
                first={"data": data, "method": "manifold"},
                second={"data": data, "method": "input"},
            )
            for data in _data_sets(runs)
        }
    )


@INTERPOLATION.evidence("MM1-abs-lessconf")
def _less_confident(runs: Runs) -> object:
    return _orders(runs, "entropy_hidden_middle", ("none",), lower=False)


@INTERPOLATION.evidence("MMA-lessconf")
def _least_confident(runs: Runs) -> object:
    return _orders(runs, "entropy_hidden", ("none", "input"), lower=False)


def _overconfidence(runs: Runs, kinds: tuple[str, ...]) -> object:
    return components(
        {
            f"{data}, {kind}": sample(per_seed(runs.table, kind, {"data": data, "method": "none"}))
            for data in _data_sets(runs)
            for kind in kinds
        }
    )


@INTERPOLATION.evidence("MM1-abs-overconf")
def _overconfident(runs: Runs) -> object:
    return _overconfidence(runs, ("gap_shifted", "gap_attacked"))


@INTERPOLATION.evidence("MMA-overconf")
def _overconfident_three(runs: Runs) -> object:
    return _overconfidence(runs, ("gap_shifted", "confidence_foreign", "gap_attacked"))


@COST.evidence("MM1-abs-cost")
def _cost(runs: Runs) -> object:
    return sample(runs.table["ratio_manifold"])


COST.evidence("MMA-overhead")(_cost)
