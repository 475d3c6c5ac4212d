"""One registry of data sets; every result carries the name of the data it was computed on."""

from mmlib.data.dataset import Dataset, Table
from mmlib.data.mixtures import GaussianMixture, grid, ring
from mmlib.data.registry import (
    available,
    describe,
    fingerprint,
    load,
    names,
    resolve,
    title_of,
)
from mmlib.data.spirals import spiral, two_spirals
from mmlib.data.split import Split, ssl_split
from mmlib.data.store import (
    DataDamagedError,
    DataError,
    DataNotFoundError,
    StandInWarning,
    cache_root,
)
from mmlib.data.toys import rings, two_moons

__all__ = [
    "DataDamagedError",
    "DataError",
    "DataNotFoundError",
    "Dataset",
    "GaussianMixture",
    "Split",
    "StandInWarning",
    "Table",
    "available",
    "cache_root",
    "describe",
    "fingerprint",
    "grid",
    "load",
    "names",
    "resolve",
    "ring",
    "rings",
    "spiral",
    "ssl_split",
    "title_of",
    "two_moons",
    "two_spirals",
]
