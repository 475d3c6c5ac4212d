"""The method: how much to mix, with whom, where, and which targets and losses go with it."""

from mmlib.mixing.draw import Draw, Mixed, mixed_accuracy
from mmlib.mixing.forward import capture, eligible_sites, mix_at, resume
from mmlib.mixing.law import Law
from mmlib.mixing.losses import bce_on_softmax, mse, soft_cross_entropy, soft_targets
from mmlib.mixing.mixup import Mixup
from mmlib.mixing.pairing import (
    AcrossHalves,
    OptimalPairing,
    PairStatistics,
    Permutation,
    WithinHalves,
    pair_statistics,
)
from mmlib.mixing.residual import ResidualBranchWarning

__all__ = [
    "AcrossHalves",
    "Draw",
    "Law",
    "Mixed",
    "Mixup",
    "OptimalPairing",
    "PairStatistics",
    "Permutation",
    "ResidualBranchWarning",
    "WithinHalves",
    "bce_on_softmax",
    "capture",
    "eligible_sites",
    "mix_at",
    "mixed_accuracy",
    "mse",
    "pair_statistics",
    "resume",
    "soft_cross_entropy",
    "soft_targets",
]
