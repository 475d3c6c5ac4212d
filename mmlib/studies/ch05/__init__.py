"""Chapter 05, deformed test images (v1 Tables 3 and 7, ICML Table 9)."""

from mmlib.studies.ch05 import evidence, experiments, printed
from mmlib.studies.ch05.grids import DEFINITION, DEFORMED, SAME, SUBSET

__all__ = [
    "DEFINITION",
    "DEFORMED",
    "SAME",
    "SUBSET",
    "evidence",
    "experiments",
    "printed",
]
