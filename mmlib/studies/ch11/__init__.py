"""Chapter 11, spectral flattening (final version, appendix G and the subspace statement)."""

from mmlib.studies.ch11 import evidence
from mmlib.studies.ch11.candidates import CANDIDATES, measures_of, states_of, through_code
from mmlib.studies.ch11.grids import FREE, IDENTITIES, ROUTES, SETUPS, SPECTRA, TITLES, WIDE, cell

__all__ = [
    "CANDIDATES",
    "FREE",
    "IDENTITIES",
    "ROUTES",
    "SETUPS",
    "SPECTRA",
    "TITLES",
    "WIDE",
    "cell",
    "evidence",
    "measures_of",
    "states_of",
    "through_code",
]
