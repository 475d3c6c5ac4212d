"""The sets that need no file and no network: scikit-learn's, and the coloured shapes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from mmlib.data.readers import Columns, Images
from mmlib.data.shapes import colour_shapes
from mmlib.data.store import DataError


class Embedded(NamedTuple):
    """A set that comes with the library or with scikit-learn: its title and how to make it."""

    title: str
    make: Callable[[], Images | Columns]
    origin: str


def _bundled(name: str) -> Any:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise DataError(
            f"the {name} set comes with scikit-learn, which is not installed "
            "(pip install scikit-learn)"
        ) from error
    return getattr(datasets, f"load_{name}")()


@lru_cache(maxsize=1)
def digits() -> Images:
    """Return scikit-learn's 8 x 8 digits: 1,442 training and 355 test images.

    The source has no split; every fifth image of each class is a test image. Grey values 0 to 16
    become 0 to 255.
    """
    bundle = _bundled("digits")
    images = np.rint(bundle.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = bundle.target.astype(np.int64)
    rank = np.empty_like(labels)
    for label in range(10):
        rows = labels == label
        rank[rows] = np.arange(rows.sum())
    test = rank % 5 == 4
    return Images(images[~test], labels[~test], images[test], labels[test], tuple("0123456789"))


def _sklearn_table(name: str) -> Columns:
    bundle = _bundled(name)
    return Columns(
        bundle.data.astype(np.float32),
        bundle.target.astype(np.int64),
        tuple(map(str, bundle.feature_names)),
        tuple(map(str, bundle.target_names)),
    )


EMBEDDED: dict[str, Embedded] = {
    "digits": Embedded("scikit-learn's digits", digits, "scikit-learn"),
    "iris": Embedded("Iris", lambda: _sklearn_table("iris"), "scikit-learn"),
    "breast_cancer": Embedded(
        "Breast cancer", lambda: _sklearn_table("breast_cancer"), "scikit-learn"
    ),
    "colour_shapes": Embedded("coloured shapes", colour_shapes, "mmlib"),
}
