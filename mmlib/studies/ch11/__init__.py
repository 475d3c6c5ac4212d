"""Chapter 11, spectral flattening (final version, appendix G and the subspace statement)."""

from mmlib.studies.ch11 import beside, evidence
from mmlib.studies.ch11.candidates import CANDIDATES, measures_of, states_of, through_code
from mmlib.studies.ch11.grids import (
    FREE,
    IDENTITIES,
    ROUTES,
    SETUPS,
    SPECTRA,
    TITLES,
    cell,
    digits,
    methods,
)
from mmlib.studies.ch11.routes import ROUTES as ROUTE_NAMES

__all__ = [
    "CANDIDATES",
    "FREE",
    "IDENTITIES",
    "ROUTES",
    "ROUTE_NAMES",
    "SETUPS",
    "SPECTRA",
    "TITLES",
    "beside",
    "cell",
    "digits",
    "evidence",
    "measures_of",
    "methods",
    "states_of",
    "through_code",
]
