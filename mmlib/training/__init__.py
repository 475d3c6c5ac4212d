"""Training loops whose result depends on their arguments and generators alone."""

from mmlib.training.augment import CropFlip
from mmlib.training.checkpoint import CheckpointError
from mmlib.training.fit import fit, learning_rate
from mmlib.training.history import History
from mmlib.training.mixes import PAIRS, VARIANTS, Mixes, realness, variant

__all__ = [
    "CheckpointError",
    "CropFlip",
    "History",
    "Mixes",
    "PAIRS",
    "VARIANTS",
    "fit",
    "learning_rate",
    "realness",
    "variant",
]
