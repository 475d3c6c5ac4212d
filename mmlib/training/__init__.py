"""Training loops whose result depends on their arguments and generators alone."""

from mmlib.training.augment import CropFlip
from mmlib.training.checkpoint import CheckpointError
from mmlib.training.fit import fit, learning_rate
from mmlib.training.game import GameStopped, play
from mmlib.training.history import History
from mmlib.training.mixes import PAIRS, VARIANTS, Mixes, realness, variant
from mmlib.training.objectives import (
    OBJECTIVES,
    Scored,
    discriminator_terms,
    draw_mixes,
    generator_terms,
    gradient_penalty,
    label_loss,
    scored,
)

__all__ = [
    "CheckpointError",
    "CropFlip",
    "GameStopped",
    "History",
    "Mixes",
    "OBJECTIVES",
    "PAIRS",
    "Scored",
    "VARIANTS",
    "discriminator_terms",
    "draw_mixes",
    "fit",
    "generator_terms",
    "gradient_penalty",
    "label_loss",
    "learning_rate",
    "play",
    "realness",
    "scored",
    "variant",
]
