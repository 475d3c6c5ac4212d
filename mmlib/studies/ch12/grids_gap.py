"""The studies of Parts 3 and 4 of chapter 12 and their settings."""

from __future__ import annotations

from typing import Any

from mmlib.checks import choice, integer
from mmlib.evidence import Study
from mmlib.studies.ch12 import expansion, gap, pressure

# Digits that are often taken for each other come first, so that few classes leave errors to study.
_ORDER = (4, 9, 3, 5, 8, 7, 2, 0, 1, 6)
CLASSES = (2, 4, 10)
ALPHAS = (0.2, 1.0, 2.0, 8.0)


def digits_for(classes: int) -> tuple[int, ...]:
    """Return the digits of a problem with so many classes, in rising order.

    Example:
        >>> digits_for(2), digits_for(4)
        ((4, 9), (3, 4, 5, 9))
    """
    return tuple(sorted(_ORDER[: integer("classes", classes, low=2, high=10)]))


# Width, images, rate and length were fixed on the plain baseline of seed 100, which no study uses:
# with two and with ten classes it names all training images rightly after 60 epochs (a third rate,
# Adam, cosine). Theory is about minima, so the networks train for twice as long.
_SIZES: dict[str, dict[str, Any]] = {
    "smoke": {"width": 16, "n_train": 100, "n_test": 100, "epochs": 1, "batch": 20, "n_keep": 50},
    "quick": {"width": 128, "n_train": 2000, "n_test": None, "epochs": 120, "batch": 100},
    "paper": {"width": 1024, "n_test": None, "epochs": 200, "batch": 100},
}


def gap_cell(profile: str, classes: int, **changes: Any) -> dict[str, Any]:
    """Return the settings of one program: plain, mixed and smoothed networks side by side.

    Example:
        >>> one = gap_cell("quick", 4)
        >>> one["digits"], one["alphas"], one["epochs"]
        ((3, 4, 5, 9), (0.2, 1.0, 2.0, 8.0), 120)
    """
    settings = {
        "digits": digits_for(classes),
        "before": 2,
        "code": 32,
        "lr": 1e-3,
        "optimizer": "adam",
        "schedule": "cosine",
        "alphas": ALPHAS,
        "smooth": ALPHAS,
        "nodes": 6,
        "n_keep": 200,
        "n_train": 5000 * classes,
    }
    return settings | _SIZES[choice("profile", profile, tuple(_SIZES))] | changes


def _thin(profile: str) -> dict[str, Any]:
    """Return a control: two units before the head of four classes, where theory asks for three."""
    return gap_cell(profile, 4, code=2, alphas=(1.0,), smooth=())


GAP = Study(
    "ch12-gap",
    gap.gap,
    {
        "smoke": [gap_cell("smoke", 4, alphas=(1.0,), smooth=(1.0,))],
        "quick": [*(gap_cell("quick", classes) for classes in CLASSES), _thin("quick")],
        "paper": [*(gap_cell("paper", classes) for classes in CLASSES), _thin("paper")],
    },
    seeds={"smoke": 1, "quick": 5, "paper": 5},
    live_seeds={"quick": 1},
    data="mnist",
)

# Gradient descent proper and one rate throughout: Adam divides by the size of the gradient, and a
# loss that vanishes would not slow it down. The rate is the largest of 0.3, 0.1, 0.03 at which the
# plain baseline of seed 100 fits its training images without a jump of its loss.
_LONG = {"alphas": (1.0,), "smooth": (1.0,), "optimizer": "sgd", "schedule": "constant", "lr": 0.03}

LONG = Study(
    "ch12-gap-plain",
    gap.long,
    {
        "smoke": [gap_cell("smoke", 4, **_LONG | {"epochs": 4, "looks": 3})],
        "quick": [gap_cell("quick", 10, **_LONG | {"epochs": 400, "looks": 10, "n_test": 2000})],
        "paper": [gap_cell("paper", 10, **_LONG | {"epochs": 1000, "looks": 12})],
    },
    seeds={"smoke": 1, "quick": 5, "paper": 5},
    live_seeds={"quick": 1},
    data="mnist",
)


def pressure_cell(profile: str, loss: str, **changes: Any) -> dict[str, Any]:
    """Return the settings of networks with two hidden layers behind the code.

    The plain baseline of seed 100 fits its training images under both losses within 40 epochs at
    the rate of the other studies.

    Example:
        >>> pressure_cell("quick", "squared")["members"]
        ('plain', 'deep', 'last')
    """
    choice("loss", loss, tuple(pressure.LOSSES))
    settings = {
        "digits": digits_for(10),
        "before": 2,
        "after": 2,
        "code": 32,
        "lr": 1e-3,
        "alpha": 1.0,
        "loss": loss,
        "members": ("plain", "deep", "last", *(("smooth",) if loss == "ce" else ())),
        "n_train": 50_000,
        "n_look": 500,
        "looks": 7,
    }
    settings |= _SIZES[choice("profile", profile, tuple(_SIZES))]
    settings.pop("n_keep", None)
    own = {"smoke": {"n_look": 50, "looks": 2}, "quick": {"epochs": 60, "n_test": 2000}}
    return settings | own.get(profile, {}) | changes


PRESSURE = Study(
    "ch12-pressure",
    pressure.pressure,
    {
        profile: [pressure_cell(profile, loss) for loss in ("ce", "squared")]
        for profile in ("smoke", "quick", "paper")
    },
    seeds={"smoke": 1, "quick": 5, "paper": 5},
    live_seeds={"quick": 1},
    data="mnist",
)


def _expansions(pairs: int, chords: int) -> list[dict[str, Any]]:
    sizes = {"units": 6, "hidden": 16, "classes": 3, "pairs": pairs, "chords": chords}
    return [
        sizes | {"activation": name, "alpha": 1.0, "bound": 16.0} for name in ("tanh", "softplus")
    ]


EXPANSION = Study(
    "ch12-expansion",
    expansion.expansion,
    {
        "smoke": _expansions(8, 2000),
        "quick": _expansions(16, 20_000),
        "paper": _expansions(64, 200_000),
    },
    seeds={"smoke": 1, "quick": 5, "paper": 20},
    n_jobs=1,
)
