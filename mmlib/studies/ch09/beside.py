"""Tables of chapter 09: what is invariant, what is left at equal accuracy, and what lies beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mmlib.evidence import Runs, per_seed
from mmlib.evidence.statistics import mean_interval
from mmlib.measures.clouds import class_core, class_margin, class_radius, cloud_share, spread
from mmlib.measures.drawings import crossings
from mmlib.measures.spectra import class_spectra, whitened, within_over_total
from mmlib.studies.ch09.evidence import gain, long, pick, rows_of
from mmlib.studies.ch09.experiments import CURVES, PICTURED

# What a measure is of states and classes.
MEASURES: dict[str, Callable[[Tensor, Tensor], float]] = {
    "spread": lambda h, y: spread(h),
    "within over total": within_over_total,
    "margin over spread": lambda h, y: _margin(h, y) / spread(h),
    "margin over radius": lambda h, y: _margin(h, y) / _radius(h, y),
    "area of a class, share": cloud_share,
    "whitened: within over total": lambda h, y: within_over_total(whitened(h), y),
    "whitened: margin over spread": lambda h, y: _margin(whitened(h), y) / spread(whitened(h)),
}


def _margin(h: Tensor, y: Tensor, share: float = 0.9) -> float:
    kept = class_core(h, y, share)
    return class_margin(h[kept], y[kept])


def _radius(h: Tensor, y: Tensor) -> float:
    kept = class_core(h, y)
    return class_radius(h[kept], y[kept])


def invariances(h: Tensor, y: Tensor) -> pd.DataFrame:
    """Return by which factor each measure changes when the states go through a map.

    Columns: a shift with a rotation; all units times 100; one unit times 100; a shear.

    Args:
        h: (N, 2) states.
        y: (N,) class indices.
    """
    h = h.double()
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=h.dtype)
    shear = torch.tensor([[1.0, 0.0], [2.0, 1.0]], dtype=h.dtype)
    maps = {
        "shift and rotation": lambda z: z @ turn + 5,
        "scale": lambda z: 100 * z,
        "one unit scaled": lambda z: z * torch.tensor([100.0, 1.0], dtype=h.dtype),
        "shear": lambda z: z @ shear,
    }
    return pd.DataFrame(
        {
            title: {name: of(change(h), y) / of(h, y) for name, of in MEASURES.items()}
            for title, change in maps.items()
        }
    )


def matched(
    runs: Runs, where: Mapping[str, object], names: Sequence[str], by: str = "accuracy"
) -> pd.DataFrame:
    """Return the measures of methods at the epoch where each is first as good as all become.

    Args:
        runs: of `PLANE`.
        where: the cell.
        names: the methods.
        by: "accuracy" of test images or "train_loss" on clean training images. The level is the
            best that the worst of the methods reaches, seed by seed.

    Returns:
        One row per method: mean epoch and level, mean measures, and for `within` the 95 % interval
        of the difference to the first method, in favour of the row's.
    """
    sign = 1 if by == "accuracy" else -1
    shown = ("within", "white", "margin")
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    for index in rows_of(runs, where):
        curves, methods = runs.arrays(index)["curves"], list(runs.table.loc[index, "methods"])
        goodness = sign * curves[:, [methods.index(name) for name in names], CURVES.index(by)]
        level = goodness.max(0).min()
        for column, name in enumerate(names):
            epoch = int((goodness[:, column] >= level).argmax())
            own = curves[epoch, methods.index(name)]
            found[name].append([epoch, sign * level, *(own[CURVES.index(m)] for m in shown)])
    rows = {}
    for name, values in found.items():
        mean = np.mean(values, 0)
        texts = (f"{number:.3g}" for number in mean)
        rows[name] = dict(zip(("epoch", by, *shown), texts, strict=True))
        gap = -(np.array(values) - np.array(found[names[0]]))[:, 2 + shown.index("within")]
        rows[name]["within: gain"] = "" if name == names[0] else _interval(gap)
    return pd.DataFrame(rows).T


def _interval(values: Sequence[float]) -> str:
    """Return the 95 % interval of a mean as text, after "+" or "-" if it lies beside zero."""
    mean, low, high = mean_interval(values)
    if len(values) < 2:
        return f"{mean:+.3f}, one seed"
    mark = "+" if low > 0 else "-" if high < 0 else "0"
    return f"{mark} ({low:+.3f} to {high:+.3f})"


def gains(
    runs: Runs,
    cells: Mapping[str, Mapping[str, object]],
    measures: Sequence[str],
    better: str = "manifold",
    worse: Sequence[str] = ("none", "input", "smoothing", "decay", "rescaled"),
) -> pd.DataFrame:
    """Return the 95 % intervals by which one method is better than others, as text.

    Rows: cell and measure; columns: the other methods. "+" and "-" mark intervals beside zero.
    """
    table, rows = long(runs, measures), {}
    for title, where in cells.items():
        for measure in measures:
            row = {}
            for other in worse:
                row[other] = _interval(gain(table, measure, better, other, where).values)
            rows[title, measure] = row
    return pd.DataFrame(rows).T


def crossing_counts(
    runs: Runs, cells: Mapping[str, Mapping[str, object]], names: Sequence[str]
) -> pd.DataFrame:
    """Return how many pairs of segments between class means cross, mean over seeds (and range)."""
    rows = {}
    for title, where in cells.items():
        counts: dict[str, list[int]] = {name: [] for name in names}
        for index in rows_of(runs, where):
            means, methods = runs.arrays(index)["means"], list(runs.table.loc[index, "methods"])
            for name in names:
                counts[name].append(crossings(means[methods.index(name)].astype(float)))
        rows[title] = {
            name: f"{np.mean(values):.1f} ({min(values)} to {max(values)})"
            for name, values in counts.items()
        }
    return pd.DataFrame(rows).T


def summary(
    runs: Runs, where: Mapping[str, object], measures: Sequence[str], names: Sequence[str]
) -> pd.DataFrame:
    """Return measures of the methods in one cell: mean and standard deviation over seeds."""
    table = long(runs, measures)
    rows = {}
    for name in names:
        rows[name] = {}
        for measure in measures:
            values = per_seed(table, measure, {**where, "name": name})
            spread_ = f" ± {values.std():.3f}" if len(values) > 1 else ""
            rows[name][measure] = f"{values.mean():.3f}{spread_}"
    return pd.DataFrame(rows).T


# Words of the texts -> measures.
WORDS = {
    "tighter: within over total": "within",
    "specific points: of the cores": "core",
    "smaller region: area of a class": "area",
    "wider margin: over spread": "margin",
    "plane above 0.9, %": "confident",
}


def words(runs: Runs, cells: Mapping[str, Mapping[str, object]]) -> pd.DataFrame:
    """Return what the words of the texts come to: no mixing, input mixup, mixing at the code."""
    table = long(runs, tuple(WORDS.values()))
    rows = {}
    for title, where in cells.items():
        mean = pick(table, where).groupby("name").mean(numeric_only=True)
        rows[title] = {
            word: ", ".join(f"{mean.loc[name, measure]:.3g}" for name in PICTURED)
            for word, measure in WORDS.items()
        }
    return pd.DataFrame(rows).T


def by_core(
    runs: Runs,
    cells: Mapping[str, Mapping[str, object]],
    shares: Sequence[float] = (0.7, 0.8, 0.9, 0.95, 1.0),
) -> pd.DataFrame:
    """Return margins over spread by the share of a class that counts as its core, as text.

    Entries: no mixing, input mixup, mixing at the code; means over seeds, of the drawn codes, which
    are fewer than those of the records. With a share of 1 every stray counts.
    """
    rows = {}
    for title, where in cells.items():
        found = []
        for index in rows_of(runs, where):
            arrays = runs.arrays(index)
            y = torch.from_numpy(arrays["labels"]).long()
            codes = [torch.from_numpy(points) for points in arrays["points"]]
            found.append([[_margin(h, y, share) / spread(h) for h in codes] for share in shares])
        mean = np.mean(found, axis=0)
        rows[title] = {
            f"{share:.0%}": ", ".join(f"{value:.2f}" for value in line)
            for share, line in zip(shares, mean, strict=True)
        }
    return pd.DataFrame(rows).T


def flatness(runs: Runs, cells: Mapping[str, Mapping[str, object]]) -> pd.DataFrame:
    """Return the smaller over the larger standard deviation of a class core, mean over classes.

    1 for a disc and 0 for a line; means over seeds, of the drawn codes.
    """
    rows = {}
    for title, where in cells.items():
        found = []
        for index in rows_of(runs, where):
            arrays = runs.arrays(index)
            y, line = torch.from_numpy(arrays["labels"]).long(), []
            for points in arrays["points"]:
                h = torch.from_numpy(points)
                kept = class_core(h, y)
                spectra = class_spectra(h[kept], y[kept])
                line.append(np.mean([float(s[-1] / s[0]) for s in spectra.values()]))
            found.append(line)
        rows[title] = dict(zip(PICTURED, map(float, np.mean(found, axis=0)), strict=True))
    return pd.DataFrame(rows).T
