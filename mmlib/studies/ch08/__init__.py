"""Chapter 08, hidden interpolations (v1 Figures 3 and 4, section 5, two claims of section 1)."""

from mmlib.studies.ch08 import beside, evidence
from mmlib.studies.ch08.grids import CODES, DECODED, LAYERS, METHODS, PAIRS, SECOND, two_classes
from mmlib.studies.ch08.studies import CRITICS, NOISE, PICTURES, STATES, TRIANGLES, WIDTHS

__all__ = [
    "CODES",
    "CRITICS",
    "DECODED",
    "LAYERS",
    "METHODS",
    "NOISE",
    "PAIRS",
    "PICTURES",
    "SECOND",
    "STATES",
    "TRIANGLES",
    "WIDTHS",
    "beside",
    "evidence",
    "two_classes",
]
