"""Chapter 10, inconsistent interpolations (final version, appendix F)."""

from mmlib.studies.ch10.beside import comparisons, moving_means, networks
from mmlib.studies.ch10.clouds import ANGLES, ARRANGEMENTS, CLOUDS, means_of, spreads_of
from mmlib.studies.ch10.line import LINE, NAMED
from mmlib.studies.ch10.margins import MARGINS
from mmlib.studies.ch10.moving import MOVING, WAYS, Moved, floor_of, line_conflict, move
from mmlib.studies.ch10.spiral import FILM, SHAPES, SHOWN, SPIRAL, WATCHED, by_method
from mmlib.studies.ch10.targets import TARGETS

__all__ = [
    "ANGLES",
    "ARRANGEMENTS",
    "CLOUDS",
    "FILM",
    "LINE",
    "MARGINS",
    "MOVING",
    "NAMED",
    "SHAPES",
    "SHOWN",
    "SPIRAL",
    "TARGETS",
    "WATCHED",
    "WAYS",
    "Moved",
    "by_method",
    "comparisons",
    "floor_of",
    "line_conflict",
    "means_of",
    "move",
    "moving_means",
    "networks",
    "spreads_of",
]
