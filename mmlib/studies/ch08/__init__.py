"""Chapter 08, hidden interpolations (v1 Figures 3 and 4, section 5, two claims of section 1)."""

from mmlib.studies.ch08 import evidence
from mmlib.studies.ch08.grids import CODES, DECODED, LAYERS, METHODS, PAIRS, SECOND
from mmlib.studies.ch08.studies import NOISE, PICTURES, STATES, TRIANGLES, WIDTHS

__all__ = [
    "CODES",
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
    "evidence",
]
