"""Chapter 10: the targets of mixes of two points, as the library makes them."""

from __future__ import annotations

import torch
from torch import nn

from mmlib.evidence import Runs, Study, errors
from mmlib.mixing import Mixup

_LAMBDAS = (0.0, 0.1, 0.25, 0.5, 0.7, 1.0)


def targets(settings: dict, seed: int) -> dict[str, float]:
    """Return errors of mixed targets on the line between two points, and of their controls.

    Mixes at the input and at a hidden layer, with a lambda for each example.
    ``line_error``: pairs of one class; control: pairs of two. ``mid_error``: pairs of two classes,
    at fixed lambdas, 1/2 among them; control: lambda moved by 0.1.
    """
    generator = torch.Generator().manual_seed(seed)
    n, k = settings["n"], settings["classes"]
    x = torch.randn(n, 3, generator=generator)
    y = torch.randint(k, (n,), generator=generator)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, k))
    one_hot = torch.eye(k)
    options = {"layers": ("input", "1"), "generator": generator, "num_classes": k}
    mixed = Mixup(settings["alpha"], per_example=("lam",), **options)(net, x, y)
    same = y == y[mixed.partner]
    away = (mixed.targets - one_hot[y]).abs().amax(1)
    middle, wrong = [], []
    for lam in _LAMBDAS:
        mixed_at = Mixup(lam=lam, **options)(net, x, y)
        two = y != y[mixed_at.partner]
        first, second = one_hot[y[two]], one_hot[y[mixed_at.partner[two]]]
        for rows, weight in ((middle, lam), (wrong, lam + 0.1)):
            hand = weight * first + (1 - weight) * second
            rows.append(float((mixed_at.targets[two] - hand).abs().max()))
    return {
        "line_error": float(away[same].max()),
        "line_control": float(away[~same].max()),
        "mid_error": max(middle),
        "mid_control": min(wrong),
    }


TARGETS = Study(
    "ch10-targets",
    targets,
    {
        profile: [{"classes": 5, "n": n, "alpha": 1.0}]
        for profile, n in {"smoke": 64, "quick": 1000, "paper": 1000}.items()
    },
    seeds={"smoke": 1, "quick": 10, "paper": 10},
    n_jobs=1,
)


@TARGETS.evidence("MMF-F-line")
def _one_class(runs: Runs) -> object:
    return errors(runs.table["line_error"], runs.table["line_control"])


@TARGETS.evidence("MMF-F-mid")
def _two_classes(runs: Runs) -> object:
    return errors(runs.table["mid_error"], runs.table["mid_control"])
