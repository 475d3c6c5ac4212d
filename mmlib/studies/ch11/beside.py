"""Tables of chapter 11: printed values beside ours, and one function with several codes."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor, nn

from mmlib.evidence import Runs
from mmlib.measures.spectra import class_means
from mmlib.studies.ch11.candidates import CANDIDATES, measures_of, states_of, through_code
from mmlib.studies.ch11.evidence import METHODS, fall, of, printed
from mmlib.studies.ch11.grids import FEW, SETUPS, TITLES


def first_values(runs: Runs) -> pd.DataFrame:
    """Return the first singular values: printed, ours without and with centring, and their ratios.

    A row for each set-up and method; ratios are over the baseline of the same column.
    """
    rows = {}
    for setup in SETUPS:
        numbers = printed(setup)
        ours = {name: of(runs, setup, f"raw_top_{name}").mean() for name in METHODS}
        centred = {name: of(runs, setup, f"top_{name}").mean() for name in METHODS}
        for name, title in METHODS.items():
            rows[TITLES[setup], title] = {
                "printed": numbers[name],
                "ours, not centred": ours[name],
                "ours, centred": centred[name],
                "printed over baseline": numbers[name] / numbers["none"],
                "not centred over baseline": ours[name] / ours["none"],
                "centred over baseline": centred[name] / centred["none"],
            }
    return pd.DataFrame(rows).T


def means(runs: Runs, setup: str, wanted: list[str]) -> pd.DataFrame:
    """Return means over seeds of some metrics of a set-up, a row for each method."""
    table = runs.table[runs.table["setup"] == setup]
    names = [name for name in table["methods"].iloc[0]]
    return pd.DataFrame(
        {metric: {name: table[f"{metric}_{name}"].mean() for name in names} for metric in wanted}
    )


def sizes(runs: Runs) -> pd.DataFrame:
    """Return the singular values after the first over the baseline's, on test and training images.

    Means over classes, values and seeds; a row for each set-up and split, a column for each method
    that all set-ups have.
    """
    rows = {}
    for setup in SETUPS:
        for split, start in (("test", ""), ("training", "train_")):
            rows[TITLES[setup], split] = {
                method: (1 - fall(runs, setup, f"{start}tail", method)).mean() for method in FEW[1:]
            }
    return pd.DataFrame(rows).T


def on_the_way(runs: Runs, setup: str, name: str, place: int) -> tuple[int, dict[str, float]]:
    """Return an epoch at which the networks were looked at, and a candidate by method then.

    Args:
        runs: of the study of spectra.
        setup: which bottleneck.
        name: a candidate, on test images, mean over seeds.
        place: which look, from 0.
    """
    table = runs.table[runs.table["setup"] == setup]
    arrays = [runs.arrays(index) for index in table.index]
    column = list(CANDIDATES).index(name)
    values = sum(one["curves"][place, :, 0, column].astype(float) for one in arrays) / len(arrays)
    methods = table["methods"].iloc[0]
    return int(arrays[0]["epochs"][place]), dict(zip(methods, map(float, values), strict=True))


def same_function(net: nn.Sequential, x: Tensor, y: Tensor) -> dict[str, nn.Sequential]:
    """Return networks that compute the function of `net` with other codes.

    ``larger``: ten times the code. ``round``: a code whose within-class covariance is the identity.
    ``thin``: the principal within-class directions behind the first are shrunk to a hundredth.

    Args:
        net: a bottleneck network without batch norm, float64.
        x: inputs, float64.
        y: classes.
    """
    h = states_of(net, x)["code"]
    means, of_class = class_means(h, y)
    within = h - means[of_class]
    values, vectors = torch.linalg.eigh(within.T @ within / len(h))
    thin = torch.full_like(values, 0.01)
    thin[-1] = 1.0  # eigenvalues rise
    one = torch.eye(h.shape[1], dtype=h.dtype)
    changes = {
        "larger": 10 * one,
        "round": torch.diag(values.clamp(min=1e-12) ** -0.5) @ vectors.T,
        "thin": torch.diag(thin) @ vectors.T,
    }
    return {"trained": net} | {name: through_code(net, a) for name, a in changes.items()}


def measured(nets: dict[str, nn.Sequential], x: Tensor, y: Tensor) -> pd.DataFrame:
    """Return all candidates of several networks, and what leaves each candidate as it is."""
    columns = {name: measures_of(states_of(net, x)["code"], y) for name, net in nets.items()}
    table = pd.DataFrame(columns)
    table.insert(0, "what", [CANDIDATES[name][0] for name in table.index])
    table["unchanged by"] = [CANDIDATES[name][1] for name in table.index]
    return table.set_index("what")
