"""Chapter 07, generative adversarial networks (v1 section 4.4, final version appendix E)."""

from mmlib.studies.ch07 import beside, evidence, plane, released
from mmlib.studies.ch07.algorithms import GAME
from mmlib.studies.ch07.digits import DIGITS
from mmlib.studies.ch07.members import one_member, target_of
from mmlib.studies.ch07.plane import NDIS, PLANE, PLAUSIBLE
from mmlib.studies.ch07.theory import EQUILIBRIUM, REAL_REAL, REALNESS
from mmlib.studies.ch07.watched import watch_game
from mmlib.training.mixes import VARIANTS

__all__ = [
    "DIGITS",
    "EQUILIBRIUM",
    "GAME",
    "NDIS",
    "PLANE",
    "PLAUSIBLE",
    "REALNESS",
    "REAL_REAL",
    "VARIANTS",
    "beside",
    "evidence",
    "one_member",
    "plane",
    "released",
    "target_of",
    "watch_game",
]
