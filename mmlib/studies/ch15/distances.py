"""Match lengths of real images under the ways of drawing the sets, and the printed distances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from mmlib.data import load
from mmlib.evidence import Runs
from mmlib.measures import vicinal
from mmlib.mixing import OptimalPairing
from mmlib.studies.ch15.printed import DISTANCES, grid
from mmlib.training.augment import CropFlip

KS = (1, 2, 4, 8, 16, 32)
# Channel spreads that inputs are divided by: those of the released code for CIFAR-10, which are
# not the spreads of its pixels, and the usual one for MNIST. Shifts do not change distances.
STD = {"mnist": (0.3081,), "cifar10": (0.2023, 0.1994, 0.2010)}
# What could be meant by the distance of a mix: name -> (factor at alpha, how it is written).
LAWS = {
    "nearer": "nearer end, squared",
    "plain": "nearer end, not squared",
    "end": "one end, squared",
    "product": "λ(1 − λ)",
}


def factor(law: str, alpha: float) -> float:
    """Return the factor by which a law of lambda multiplies match lengths.

    Example:
        >>> [round(factor(law, 1.0), 4) for law in LAWS]
        [0.0833, 0.25, 0.3333, 0.1667]
    """
    return {
        "nearer": lambda a: vicinal.nearer_moment(a, 2.0),
        "plain": lambda a: vicinal.nearer_moment(a, 1.0),
        "end": vicinal.end_moment,
        "product": vicinal.product_moment,
    }[law](alpha)


def resized(x: Tensor, side: int | None) -> Tensor:
    """Return images (B, C, H, W) with `side` pixels a side, bilinear; None leaves them as they are.

    LeNet was made for 32 x 32 pixels, and many programs enlarge MNIST's 28 x 28 to that.
    """
    if side is None:
        return x
    return functional.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)


def lengths(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Measure match lengths of training images: k by k, batch by batch.

    Images are shifted by up to ``pad`` pixels, mirrored if ``flip``, resized to ``side``.

    Metrics, each a mean over the images of this seed: ``unit_<sets><B>_<k>`` squared distance of
    pixels from 0 to 1, ``standard_...`` of pixels over their spread (in which sets are matched),
    ``plain_...`` without the square, ``own_...`` the share of images that are their own partner.
    ``<sets><B>`` is ``batch<B>`` for a minibatch of B and its permutation matched by plain
    distance, as released, or ``two<B>`` for two independent draws matched by squared distance, as
    printed. ``train`` counts the training images of the set.
    """
    data = load(settings["data"])
    rng = torch.Generator().manual_seed(seed)
    augment = CropFlip(settings["pad"], settings["flip"])
    std = torch.tensor(STD.get(data.name, data.std)).view(-1, 1, 1)
    total = min(settings["n"], len(data.x_train) // 2)
    found: dict[str, float] = {"train": float(len(data.x_train))}
    for sets, sizes in (("batch", settings["batches"]), ("two", settings["batches"][-1:])):
        for size in sizes:
            order = torch.randperm(len(data.x_train), generator=rng)[: 2 * total]
            draws = [[] for _ in KS]
            for start in range(0, total - size + 1, size):
                rows = order[start : start + size], order[total + start : total + start + size]
                first, second = (
                    resized(augment(data.x_train[r], rng).float() / 255, settings["side"])
                    for r in rows
                )
                for k, into in zip(KS, draws, strict=True):
                    if k <= size:
                        into.append(_one(first, second, std, sets, k, rng))
            for k, rows in zip(KS, draws, strict=True):
                for name, value in _means(rows).items():
                    found[f"{name}_{sets}{size}_{k}"] = value
    return found


def _one(
    first: Tensor, second: Tensor, std: Tensor, sets: str, k: int, rng: torch.Generator
) -> tuple[float, ...]:
    """Return squared distance in both scales, plain distance and own share of one minibatch."""
    kind, cost = ("batch", "euclidean") if sets == "batch" else ("independent", "sqeuclidean")
    pairing = OptimalPairing(k, cost=cost, sets=kind)
    other = None if sets == "batch" else second / std
    gaps, own = vicinal.match_gaps(first / std, pairing, rng, other)
    unit, square = ((g.flatten(1).square().sum(1).double()) for g in (gaps * std, gaps))
    return unit.mean().item(), square.mean().item(), square.sqrt().mean().item(), own


def _means(rows: list[tuple[float, ...]]) -> dict[str, float]:
    names = ("unit", "standard", "plain", "own")
    if not rows:  # this k does not fit into the minibatch
        return dict.fromkeys(names, float("nan"))
    return dict(zip(names, map(float, np.mean(rows, 0)), strict=True))


# ------------------------------------------------------------------------------ printed grids


def printed_fit(
    data: str, law: str = "nearer", low: float = 0.0
) -> tuple[vicinal.Factorised, tuple[float, ...]]:
    """Fit a printed distance grid by match lengths times the factor of a law.

    Args:
        data: "mnist" or "cifar10".
        law: a key of `LAWS`.
        low: only columns with alpha from here on, where single draws spread little.

    Returns:
        the fit, whose rows are the implied match lengths, and the alphas.

    Example:
        >>> fit, alphas = printed_fit("mnist")
        >>> fit.rows.round(1).tolist(), fit.misfit < printed_fit("mnist", "plain")[0].misfit
        ([7.8, 7.1, 6.3, 5.3, 4.2, 2.6], True)
    """
    table = grid(DISTANCES[data])
    table = table.loc[:, [alpha for alpha in table.columns if alpha >= low]]
    columns = np.array([factor(law, alpha) for alpha in table.columns])
    spread = np.array([vicinal.nearer_spread(alpha) for alpha in table.columns])
    fit = vicinal.factorised(table.to_numpy(), columns, spread)
    return fit, tuple(map(float, table.columns))


def largest_residual(data: str, law: str, low: float = 0.5) -> float:
    """Return the largest absolute logarithm of a printed cell over its fit, from alpha `low` on."""
    return float(np.abs(printed_fit(data, law, low)[0].residuals).max())


def law_table() -> pd.DataFrame:
    """Return the misfit of each law on both grids, and the draws that it would stand for."""
    rows = {}
    for law, title in LAWS.items():
        row = {}
        for data in DISTANCES:
            fit, alphas = printed_fit(data, law)
            n, low, high = vicinal.draws_behind(fit.misfit, len(fit.rows) * (len(alphas) - 1))
            row |= {f"{data}: largest, α ≥ 0.5": largest_residual(data, law)}
            row |= {f"{data}: draws": n, f"{data}: from": low, f"{data}: to": high}
        rows[title] = row
    return pd.DataFrame(rows).T


def log_factor(batch: int, train: int) -> float:
    """Return the factor of a mean per image in the logs of the released code.

    There the distances of the last minibatch of an epoch are added over its B images and divided by
    the index of that minibatch, one less than the number of minibatches: ``B / (n // B - 1)``, for
    n training images of which an incomplete last minibatch is left out; NaN for a single minibatch,
    whose index is 0.

    Example:
        >>> round(log_factor(128, 50_000), 4)   # 390 minibatches
        0.329
    """
    last = train // batch - 1
    return batch / last if last > 0 else float("nan")


def variants(runs: Runs, data: str) -> pd.DataFrame:
    """Return the ways in which the images of a set were prepared: columns ``pad`` and ``side``."""
    table = runs.table[runs.table["images"] == data]
    return table[["pad", "side"]].drop_duplicates().reset_index(drop=True)


def measured(
    runs: Runs, data: str, way: str, scale: str = "standard", pad: int = 0, side: int | None = None
) -> np.ndarray:
    """Return mean lengths by k over seeds, (6,); `way` and `scale` as in names of metrics."""
    table = runs.table[(runs.table["images"] == data) & (runs.table["pad"] == pad)]
    table = table[table["side"].isna() if side is None else table["side"] == side]
    return table[[f"{scale}_{way}_{k}" for k in KS]].mean().to_numpy(dtype=float)


def candidates(runs: Runs, data: str) -> pd.DataFrame:
    """Compare the implied match lengths of a printed grid with every way of measuring them.

    Columns: how images were prepared (``pad``, ``side``), how sets were drawn (``sets``, ``B``),
    ``pixels`` from 0 to 1 or over their spread; ``shape`` the root mean square logarithm of implied
    over measured lengths after the best constant, which no scale of the pixels changes;
    ``constant`` that constant, 1 if the cells are means per image; ``logged`` the constant over
    the factor of the released logs, 1 if the cells are what these hold (NaN for two independent
    draws, which the released code does not make).
    """
    implied, rows = printed_fit(data)[0].rows, []
    table = runs.table[runs.table["images"] == data]
    train = int(table["train"].iloc[0])
    names = {column.split("_")[1] for column in table.columns if column.startswith("unit_")}
    for one in variants(runs, data).itertuples():
        side = None if one.side != one.side or one.side is None else int(one.side)
        for way in sorted(names, key=_by_size):
            kind, size = _by_size(way)
            for scale in ("standard", "unit"):
                ours = measured(runs, data, way, scale, one.pad, side)
                if not (np.isfinite(ours) & (ours > 0)).all():
                    continue  # minibatches of k examples are matched to themselves
                logs = np.log(implied / ours)
                level = float(np.exp(logs.mean()))
                rows.append(
                    {"pad": int(one.pad), "side": side or "", "pixels": scale}
                    | {"sets": "one minibatch" if kind == "batch" else "two draws", "B": size}
                    | {"shape": float(logs.std()), "constant": level}
                    | {"logged": level / log_factor(size, train) if kind == "batch" else np.nan}
                )
    return pd.DataFrame(rows)


def _by_size(way: str) -> tuple[str, int]:
    kind = way.rstrip("0123456789")
    return kind, int(way[len(kind) :])
