"""Training loops whose result depends on their arguments and generators alone."""

from mmlib.training.augment import CropFlip
from mmlib.training.checkpoint import CheckpointError
from mmlib.training.consistency import average_into, vat_loss, virtual_adversary
from mmlib.training.ensemble_fit import EnsembleHistory, Member, fit_ensemble
from mmlib.training.ensemble_game import Play, play_ensemble
from mmlib.training.ensemble_kmixup import KMember, ensemble_logits, fit_kmixup
from mmlib.training.fit import fit, learning_rate
from mmlib.training.fit_decoder import decoded, fit_decoder, pixels
from mmlib.training.fit_ssl import Fitted, RunStopped, fit_ssl
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
from mmlib.training.semi_supervised import (
    Losses,
    algorithm_1,
    algorithm_3,
    l1_penalty,
    pseudo_targets,
    sigmoid_ramp,
)
from mmlib.training.ssl_methods import MeanTeacher, Method, PseudoMix, VirtualAdversary

__all__ = [
    "CheckpointError",
    "CropFlip",
    "EnsembleHistory",
    "Fitted",
    "GameStopped",
    "History",
    "KMember",
    "Losses",
    "MeanTeacher",
    "Member",
    "Method",
    "Mixes",
    "OBJECTIVES",
    "PAIRS",
    "Play",
    "PseudoMix",
    "RunStopped",
    "Scored",
    "VARIANTS",
    "VirtualAdversary",
    "algorithm_1",
    "algorithm_3",
    "average_into",
    "decoded",
    "discriminator_terms",
    "draw_mixes",
    "ensemble_logits",
    "fit",
    "fit_decoder",
    "fit_ensemble",
    "fit_kmixup",
    "fit_ssl",
    "generator_terms",
    "gradient_penalty",
    "l1_penalty",
    "label_loss",
    "learning_rate",
    "pixels",
    "play",
    "play_ensemble",
    "pseudo_targets",
    "realness",
    "scored",
    "sigmoid_ramp",
    "variant",
    "vat_loss",
    "virtual_adversary",
]
