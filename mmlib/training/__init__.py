"""Training loops whose result depends on their arguments and generators alone."""

from mmlib.training.augment import CropFlip
from mmlib.training.fit import History, fit, learning_rate

__all__ = ["CropFlip", "History", "fit", "learning_rate"]
