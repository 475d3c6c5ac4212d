"""Chapter 09, representations in a bottleneck (v1 Figures 5 and 8, final version appendix B)."""

from mmlib.studies.ch09 import beside, evidence, halves, networks
from mmlib.studies.ch09.grids import ALPHAS, BLOCKED, HALVES, PLANE, PRICE, WATCH
from mmlib.studies.ch09.networks import FIVE, METHODS, SETTINGS, TEN, cell

__all__ = [
    "ALPHAS",
    "BLOCKED",
    "FIVE",
    "HALVES",
    "METHODS",
    "PLANE",
    "PRICE",
    "SETTINGS",
    "TEN",
    "WATCH",
    "beside",
    "cell",
    "evidence",
    "halves",
    "networks",
]
