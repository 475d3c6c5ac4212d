"""Section 5's networks on tables: one trial of a table with all its k, trained side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from mmlib.data import load
from mmlib.measures.scores import accuracy, nll
from mmlib.models import mlp
from mmlib.training.ensemble_kmixup import KMember, ensemble_logits, fit_kmixup

# name -> hidden units and k as printed, and the size of a minibatch, which is not. Sizes were
# fixed on the network without mixing at seed 100, which no study uses: it ends at 98 % or more of
# the training rows with each (Abalone: 32 %, see the chapter). At 64 rows and the printed rate the
# five layers for Arrhythmia end at a constant answer.
TABLES: dict[str, tuple[tuple[int, ...], tuple[int, ...], int]] = {
    "iris": ((120, 84), (1, 5, 10), 32),
    "breast_cancer": ((120, 120, 84), (1, 2, 4, 8, 16, 32, 64), 128),
    "abalone": ((120, 120, 84), (1, 2, 4, 8), 512),
    "arrhythmia": ((120, 120, 36, 84), (1, 2, 4, 8), 128),
    "htru2": ((120, 120, 84, 132), (1, 2, 4, 8), 512),
    "phishing": ((120, 120, 84), (1, 2, 4, 8), 512),
}
EPOCHS = 200  # drops at half and three quarters of it: 100 and 150 as printed


def epochs(rows: int, batch: int, most_updates: int) -> int:
    """Return the number of epochs: 200, or as many as fit into `most_updates`, at least 4.

    Example:
        >>> epochs(120, 32, 1500), epochs(14_318, 512, 1500)
        (200, 53)
    """
    return max(4, min(EPOCHS, most_updates // -(-rows // batch)))


def trial(settings: dict[str, Any], seed: int, device: str = "cpu") -> dict[str, float]:
    """Train all networks of one table on one split: none, and each k.

    They share split, first weights and minibatches, and those that mix the numbers behind lambda.
    Metrics: ``accuracy_<k>`` in percent and ``nll_<k>`` on the test rows, ``train_<k>`` in percent
    on the training rows, all after the last epoch, with ``<k>`` = 0 for no mixing; ``n_test``,
    ``n_train``, ``epochs``.
    """
    hidden, printed_ks, batch = TABLES[settings["table"]]
    ks = (0, *(settings["ks"] or printed_ks))
    table = load(settings["data"], device=device)
    x, y, x_test, y_test = table.split(settings["test_share"], seed=seed)
    batch = min(batch, len(x))
    torch.manual_seed(seed)
    first = mlp((x.shape[1], *hidden, table.num_classes)).state_dict()
    nets = []
    for _ in ks:
        net = mlp((x.shape[1], *hidden, table.num_classes))
        net.load_state_dict(first)
        nets.append(net.to(device))
    members = [KMember(seed, k or None, settings["alpha"]) for k in ks]
    n = epochs(len(x), batch, settings["most_updates"])
    fit_kmixup(nets, members, x, y, epochs=n, batch_size=batch, drops=(n // 2, 3 * n // 4))
    found = {"n_test": float(len(y_test)), "n_train": float(len(y)), "epochs": float(n)}
    tested, trained = (ensemble_logits(nets, rows).cpu() for rows in (x_test, x))
    for place, k in enumerate(ks):
        found[f"accuracy_{k}"] = 100 * accuracy(tested[place], y_test.cpu())
        found[f"nll_{k}"] = nll(tested[place], y_test.cpu())
        found[f"train_{k}"] = 100 * accuracy(trained[place], y.cpu())
    return found


# ------------------------------------------------------------------------------ the best of several


def accuracies(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return test accuracies of a table, one row a trial, one column a k (0: no mixing).

    Args:
        table: table of the runs.
        name: of the UCI table.
    """
    rows = table[table["table"] == name].set_index("seed")
    found = rows.filter(regex=r"^accuracy_\d+$").dropna(axis=1, how="all")
    found.columns = [int(column.removeprefix("accuracy_")) for column in found.columns]
    return found.sort_index().sort_index(axis=1)


def cross_fitted(values: pd.DataFrame, against: int) -> pd.Series:
    """Return the best k > 1 less `against`, trial by trial, with k chosen on the other trials.

    Trials are halved by turns; on each half the k is that of the highest mean on the other half.
    The differences are what a reader gains who picks k once and then tests it anew.

    Args:
        values: as `accuracies` returns them.
        against: 0 for no mixing, 1 for mixup.

    Example:
        >>> values = pd.DataFrame({1: [0.0, 0, 0, 0], 2: [1.0, 0, 1, 0], 4: [0.0, 1, 0, 1]})
        >>> cross_fitted(values, 1).tolist()   # the best k of one half is the worst of the other
        [0.0, 0.0, 0.0, 0.0]
    """
    more = [k for k in values.columns if k > 1]
    if not more or against not in values:  # other k were asked for
        return pd.Series(np.nan, values.index)
    half = np.arange(len(values)) % 2
    found = pd.Series(np.nan, values.index)
    for mine in (0, 1):
        other = values.loc[half != mine, more]
        if len(other):
            best = other.mean().idxmax()
            found[half == mine] = (values[best] - values[against])[half == mine]
    return found


def best_of_by_luck(
    values: pd.DataFrame, against: int = 1, draws: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Return the gain of the best k > 1 over another, what luck gives it, and a p-value.

    Under no effect of k the networks of a trial could change places, so columns are permuted
    within each trial; the gain is the largest of the means of the k > 1 less the mean of `against`.

    Args:
        values: as `accuracies` returns them.
        against: 0 or 1.
        draws: number of permutations.
        seed: of the permutations.

    Returns:
        observed gain, its mean over permutations, share of permutations that reach it (with the
        observed one among them).

    Example:
        >>> values = pd.DataFrame({1: [50.0] * 8, 2: [51.0] * 8, 4: [50.0] * 8})
        >>> gain, luck, p = best_of_by_luck(values)
        >>> gain, 0 < luck < gain, p < 0.01
        (1.0, True, True)
    """
    more = [k for k in values.columns if k > 1]
    if not more or against not in values:
        return float("nan"), float("nan"), float("nan")
    table = values[[against, *more]].to_numpy(dtype=float)
    rng = np.random.default_rng(seed)

    def gain(one: np.ndarray) -> np.ndarray:
        means = one.mean(-2)
        return means[..., 1:].max(-1) - means[..., 0]

    permuted = rng.permuted(np.broadcast_to(table, (draws, *table.shape)), axis=2)
    by_luck, observed = gain(permuted), float(gain(table))
    reached = (1 + (by_luck >= observed - 1e-9).sum()) / (draws + 1)
    return observed, float(by_luck.mean()), float(reached)
