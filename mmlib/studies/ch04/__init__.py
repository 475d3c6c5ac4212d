"""Chapter 04, semi-supervised learning (v1 section 4.2, appendices B and C, Table 4)."""

from mmlib.studies.ch04 import evidence as _evidence  # noqa: F401  (registers the evidence)
from mmlib.studies.ch04.studies import (
    ALGORITHMS,
    ALPHAS,
    COST,
    FEWER,
    GRADIENTS,
    LABELS,
    LOSSES,
    OWN,
    PROBES,
    SVHN,
    SWITCHES,
    TABLE,
    TOYS,
    WEIGHTS,
)

__all__ = [
    "ALGORITHMS",
    "ALPHAS",
    "COST",
    "FEWER",
    "GRADIENTS",
    "LABELS",
    "LOSSES",
    "OWN",
    "PROBES",
    "SVHN",
    "SWITCHES",
    "TABLE",
    "TOYS",
    "WEIGHTS",
]
