"""Chapter 07, generative adversarial networks (v1 section 4.4, final version appendix E)."""

from mmlib.studies.ch07 import evidence
from mmlib.studies.ch07.algorithms import GAME
from mmlib.studies.ch07.digits import DIGITS
from mmlib.studies.ch07.plane import NDIS, PLANE, PLAUSIBLE
from mmlib.studies.ch07.theory import EQUILIBRIUM, REAL_REAL, REALNESS

__all__ = [
    "DIGITS",
    "EQUILIBRIUM",
    "GAME",
    "NDIS",
    "PLANE",
    "PLAUSIBLE",
    "REALNESS",
    "REAL_REAL",
    "evidence",
]
