"""Tables of chapter 08: the networks, what the text says beside what was found, released code."""

from __future__ import annotations

import pandas as pd

from mmlib.evidence import Runs
from mmlib.studies.ch08.grids import DECODED, SECOND

_NAMES = {
    "none": "no mixup",
    "input": "input mixup",
    "manifold": "Manifold Mixup",
    "untrained": "untrained",
}

# What -> (text, released code, here). Sources: v1 section 5 and the caption of Figure 4; the
# released repository, supervised/autoencoder_exp.py of an early commit.
DIFFERENCES: dict[str, tuple[str, str, str]] = {
    "state that is decoded": (
        "output of the second resblock",
        "output of the second stage, 128 channels of 16 x 16",
        "the same stage, and each block of a smaller network on digits",
    ),
    "noise on the state": (
        "not mentioned",
        "normal with standard deviation 0.05 while training",
        "none; `fit_decoder(noise=0.05)` adds it",
    ),
    "decoder": (
        "a small convnet with upsampling layers, squared error",
        "five convolutions",
        "two convolutions and one for each doubling, squared error",
    ),
    "training": ("not mentioned", "Adam, rate 0.0001, 200 epochs", "Adam, rate 0.003 falling"),
    "judged by": ("eye", "eye", "another network, against the decoder's own end points"),
}


def networks(runs: Runs) -> pd.DataFrame:
    """Return accuracy (%) and decoder error (0.01 squared pixels) of each network, means."""
    rows = {}
    for (data, method), own in runs.table.groupby(["data", "method"], sort=False):
        row = {"accuracy, %": own["accuracy"].mean(), "eye, %": own["eye_accuracy"].mean()}
        for layer in DECODED[data]:
            if f"error_{layer}" in own and own[f"error_{layer}"].notna().any():
                row[f"decoder, {layer}"] = 100 * own[f"error_{layer}"].mean()
        rows[f"{data}, {_NAMES[method]}"] = row
    return pd.DataFrame(rows).T


KINDS = ("hidden", "blurred", "pixel", "random", "shuffled", "noise")


def shares(runs: Runs, method: str = "manifold") -> pd.DataFrame:
    """Return means over seeds of what images of each kind are, second block, different classes.

    Columns: plausible by the yardstick of own end points, by that of real images, and by both with
    distances in pixels (%); median distance to the nearest real image over that of real images;
    points of a third class, seen by the other network (%).
    """
    columns = {
        "own_yard": "own ends",
        "real_yard": "real",
        "own_pixel_yard": "own ends, pixels",
        "pixel_yard": "real, pixels",
        "distance": "distance",
        "points": "third class",
    }
    rows = {}
    for data, layer in SECOND.items():
        own = runs.table[(runs.table["data"] == data) & (runs.table["method"] == method)]
        for kind in KINDS:
            place = "" if kind in ("pixel", "noise") else f"_{layer}"
            names = {f"{name}_{kind}{place}": title for name, title in columns.items()}
            means = own.reindex(columns=list(names)).mean()
            rows[f"{data}, {kind}"] = means.rename(names)
    return pd.DataFrame(rows).T


def sphere(runs: Runs) -> pd.DataFrame:
    """Return means over seeds of where states of the second block lie."""
    columns = {
        "spread": "spread of radius, %",
        "mid": "mid point's radius",
        "inside": "states inside, %",
        "cosine": "cosine about origin",
        "cosine_mean": "cosine about mean",
        "mid_third": "mid point nearest to third class, %",
        "end_third": "end nearest to another, %",
        "gap_mid": "distance to third classes",
        "own_points": "third class, segments, %",
        "arc_points": "third class, arcs, %",
    }
    rows = {}
    for data, layer in SECOND.items():
        for method in ("none", "manifold"):
            own = runs.table[(runs.table["data"] == data) & (runs.table["method"] == method)]
            names = {f"{name}_{layer}": title for name, title in columns.items()}
            rows[f"{data}, {_NAMES[method]}"] = (
                own.reindex(columns=list(names)).mean().rename(names)
            )
    return pd.DataFrame(rows)


def predicted(runs: Runs) -> pd.DataFrame:
    """Return what class means predict and what paths from the second block meet, means over seeds.

    Columns: pairs of means that a third one cuts off (%), of all means as they are and whitened;
    paths on which the network sees a third class (%); rank correlation over pairs of classes of how
    deep a third mean lies in the ball with the share of third-class points.
    """
    columns = {
        "means_crossed": "means cut off, %",
        "means_crossed_white": "whitened, %",
        "own_paths": "paths, %",
        "margin_rank": "rank correlation",
    }
    rows = {}
    for data, layer in SECOND.items():
        for method in ("none", "manifold"):
            own = runs.table[(runs.table["data"] == data) & (runs.table["method"] == method)]
            names = {f"{name}_{layer}": title for name, title in columns.items()}
            means = own.reindex(columns=list(names)).mean()
            rows[f"{data}, {_NAMES[method]}"] = means.rename(names)
    return pd.DataFrame(rows).T


def statements(states: Runs, critics: Runs, widths: Runs) -> pd.DataFrame:
    """Return what section 5 says beside what was found, with Manifold Mixup, second block."""

    def mean(runs: Runs, metric: str, **where: object) -> float:
        table = runs.table
        for key, value in where.items():
            table = table[table[key] == value]
        return float(table[metric].mean())

    rows = []
    for data, layer in SECOND.items():
        where = {"data": data, "method": "manifold"}
        for words, runs, title, metric in (
            ("most interpolated points are plausible", critics, "not told", "plausible_hidden"),
            ("more than pixel mixes", critics, "not told, pixel mixes", "plausible_pixel"),
            ("none is of a third class", states, "points of a third class", f"own_points_{layer}"),
            ("", states, "paths that meet one", f"own_paths_{layer}"),
        ):
            rows.append((words, data, f"{title}, %", mean(runs, metric, **where)))
    for code in (min(widths.table["code"]), max(widths.table["code"])):
        found = mean(widths, "paths_manifold", code=code)
        rows.append(("high dimension explains it", "mnist", f"paths, {code} units, %", found))
    return pd.DataFrame(rows, columns=["the text", "data", "measured", "ours"])
