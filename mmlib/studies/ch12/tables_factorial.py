"""Tables of the factorial: its arms, what they gain, and a check of what they learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from mmlib.evidence import Runs
from mmlib.evidence.statistics import LEVEL, mean_interval, t_quantile
from mmlib.mixing import soft_targets
from mmlib.studies.ch12.arms import ARMS, Arm, Batch, backward, matched, split
from mmlib.studies.ch12.evidence_factorial import by_arm, gains, oriented
from mmlib.studies.ch12.factorial import LOSSES
from mmlib.studies.ch12.grids_factorial import ARMS_OF, STUDIES, TITLES
from mmlib.studies.ch12.hypotheses import HYPOTHESES
from mmlib.studies.networks import network, subset

_STATES = {"own": "states", "mixed": "mixes", "near": "mixes, own part heavier"}
_TARGETS = {"own": "own", "mixed": "mixed", "smoothed": "smoothed"}


def arm_table() -> pd.DataFrame:
    """Return what the layers behind and before the mix learn from, a row for each arm."""
    rows = {}
    for name, arm in ARMS.items():
        loss = f"{_STATES[arm.states]}, targets {_TARGETS[arm.targets]}"
        loss += ", rescaled" if arm.scaled else ""
        loss += f", and penalty ({arm.share:g})" if arm.penalty else ""
        front = {("plain",): "plain loss", ("mixed",): "mixed loss", (): "the same"}
        mixes = arm.states != "own" or arm.front
        rows[name] = {
            "what": arm.title,
            "layers": ", ".join(arm.sites) if mixes else "",
            "behind the mix": loss,
            "before the mix": front.get(arm.front, " + ".join(arm.front)) if mixes else "",
            "passes": "{} + {}".format(*passes(arm)),
            "run on": ", ".join(setup for setup in TITLES if name in ARMS_OF[setup]),
        }
    return pd.DataFrame(rows).T


def passes(arm: Arm) -> tuple[int, int]:
    """Return the forward passes of one batch through the first block and through the affine head.

    Example:
        >>> passes(ARMS["deep"]), passes(ARMS["detached_deep"]), passes(ARMS["usual_deep"])
        ((1, 1), (1, 2), (1, 3))
    """
    if arm.penalty:
        return {"decoded": 1, "smooth": 2, "linear": 3}[arm.penalty], 1
    if not arm.front:
        return 1, 1
    return 1, 2 if arm.front in (("plain",), ("mixed",)) else 3


def settings_table(profile: str) -> pd.DataFrame:
    """Return the settings that the arms of each set-up share."""
    rows = {}
    for setup, study in STUDIES.items():
        cell = dict(study.grid[profile][0])
        del cell["arm"]
        rows[TITLES[setup]] = cell | {"arms": len(ARMS_OF[setup])}
    return pd.DataFrame(rows)


def prediction_table() -> pd.DataFrame:
    """Return the hypotheses in words, with what each predicts and where it is tested."""
    rows = {}
    for name, one in HYPOTHESES.items():
        where = {}
        for prediction in one.predictions:
            where.setdefault(prediction.setups, []).append(prediction.words)
        told = [f"{'; '.join(words)} ({', '.join(setups)})" for setups, words in where.items()]
        rows[f"{name} {one.name}"] = {
            "says": one.says,
            "predicts": ". ".join(told),
            "needs": "one of these" if one.enough else "all of these",
        }
    return pd.DataFrame(rows).T


def sums_of_terms(settings: Mapping[str, Any], seed: int, lam: float = 0.3) -> pd.DataFrame:
    """Return how far sums of terms are from the mixed gradient of the layers before the mix.

    One batch of an untrained network in double precision, at block 2 and before the affine head,
    relative to the size of the mixed gradient. A row for each loss and layer; columns: all three
    terms, and without each of them.
    """
    data = subset(dict(settings) | {"n_test": 20}, seed)
    start = network(dict(settings), data, seed).double().train().state_dict()
    x = data.inputs(data.x_train[: settings["batch"]]).double()
    y = soft_targets(data.y_train[: len(x)], data.num_classes).double()
    partner = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    counterparts = matched(settings["alpha"], data.num_classes)
    batch = Batch(x, y, partner, torch.tensor(lam), 0.0, **counterparts)

    def gradient(arm: Arm, loss: str) -> torch.Tensor:
        model = network(dict(settings), data, seed).double().train()
        model.load_state_dict(start)
        backward(model, arm, batch, LOSSES[loss])
        before = split(model, arm.sites[0])[0]
        return torch.cat([p.grad.flatten() for p in before.parameters()])

    rows, names = {}, ("usual", "cross", "rest")
    for loss in LOSSES:
        for arm in ("deep", "last"):
            whole = gradient(ARMS[arm], loss)
            parts = {name: gradient(replace(ARMS[arm], front=(name,)), loss) for name in names}
            off = sum(parts.values()) - whole
            found = {"all three": off} | {f"without {n}": off - parts[n] for n in names}
            rows[loss, arm] = {n: float(v.norm() / whole.norm()) for n, v in found.items()}
    return pd.DataFrame(rows).T


def share_interval(part: np.ndarray, whole: np.ndarray) -> tuple[float, float, float]:
    """Return a ratio of two paired means with its 95 % interval (Fieller).

    The interval is NaN where the mean of `whole` is not clearly away from zero: no bounded set of
    ratios has the level then. The ratio too is NaN where that mean is zero.

    Example:
        >>> whole = np.array([2.0, 2.2, 1.8, 2.1])
        >>> [round(x, 6) for x in share_interval(whole / 2, whole)]
        [0.5, 0.5, 0.5]
    """
    n = len(part)
    ratio = float(part.mean() / whole.mean()) if n and whole.mean() else float("nan")
    if n < 2:
        return ratio, float("nan"), float("nan")
    cov = np.cov(part, whole, ddof=1) / n
    t = t_quantile(1 - LEVEL / 2, n) ** 2
    a = whole.mean() ** 2 - t * cov[1, 1]
    b = part.mean() * whole.mean() - t * cov[0, 1]
    c = part.mean() ** 2 - t * cov[0, 0]
    if a <= 0:
        return ratio, float("nan"), float("nan")
    root = np.sqrt(max(b * b - a * c, 0.0))
    return ratio, float((b - root) / a), float((b + root) / a)


def shares(runs: Runs, outcome: str = "accuracy", of: str = "manifold") -> pd.DataFrame:
    """Return the share of an arm's gain that each arm has, with its 95 % interval."""
    found = gains(runs, outcome)
    rows = {name: share_interval(found[name].to_numpy(), found[of].to_numpy()) for name in found}
    return pd.DataFrame(rows, index=["share", "low", "high"]).T


def overview(runs: Runs) -> pd.DataFrame:
    """Return means over seeds of what was measured, a row for each arm."""
    columns = {
        "accuracy": "accuracy, %",
        "nll": "NLL",
        "nll_scaled": "NLL, scaled",
        "temperature": "T",
        "ece": "ECE",
        "train_accuracy": "training, %",
        "train_gap": "logit gap",
        "within": "within / total",
        "bend_input": "bend, input",
        "bend_block2": "bend, block 2",
    }
    table = pd.DataFrame({title: by_arm(runs, name).mean() for name, title in columns.items()})
    return table.rename(index={name: arm.title for name, arm in ARMS.items()})


# The two factorials of two factors that the arms hold: which side of the mix learns from it, and
# which part of the batch is mixed. Each: (neither, first alone, second alone, both).
SIDES = ("none", "head_blocked", "detached", "manifold")
SIDES_DEEP = ("none", "head_blocked_deep", "detached_deep", "deep")
PARTS = ("none", "features", "targets", "manifold")


def effects(
    runs: Runs, corners: tuple[str, str, str, str], outcome: str = "accuracy"
) -> pd.DataFrame:
    """Return the main effects of two factors and what they do together beyond their sum.

    With outcomes n, a, b, ab of the corners by seed: ``((a - n) + (ab - b)) / 2``,
    ``((b - n) + (ab - a)) / 2`` and ``ab - a - b + n``.

    Args:
        runs: of one set-up.
        corners: the arms with neither factor, the first, the second, and both.
        outcome: a key of `OUTCOMES`, more being better.

    Returns:
        A table with rows ``first``, ``second``, ``together`` and columns ``mean``, ``low``,
        ``high`` of the 95 % interval over seeds.
    """
    n, a, b, ab = (oriented(runs, outcome)[name] for name in corners)
    found = {
        "first": ((a - n) + (ab - b)) / 2,
        "second": ((b - n) + (ab - a)) / 2,
        "together": ab - a - b + n,
    }
    rows = {name: [float(v) for v in mean_interval(values)] for name, values in found.items()}
    return pd.DataFrame(rows, index=["mean", "low", "high"]).T
