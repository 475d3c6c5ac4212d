"""Training loops whose result depends on their arguments and generators alone."""

from mmlib.training.augment import CropFlip
from mmlib.training.checkpoint import CheckpointError
from mmlib.training.fit import fit, learning_rate
from mmlib.training.history import History

__all__ = ["CheckpointError", "CropFlip", "History", "fit", "learning_rate"]
