"""What is measured on a trained model: scores, interpolations, variance of the gradient."""

from mmlib.measures.attacks import (
    OnPixels,
    Path,
    fgsm,
    fgsm_pixels,
    input_gradients,
    iterated_signs,
    pgd,
    pixel_epsilons,
    pixel_step,
    signed_gradient,
)
from mmlib.measures.deformations import (
    DEFORMATIONS,
    Deformation,
    deform,
    deformation_matrices,
    mirror_probability,
)
from mmlib.measures.evaluation import evaluate, evaluating, predict
from mmlib.measures.gradients import gradient_variance
from mmlib.measures.interpolation import Interpolation, cyclic_partner, interpolated
from mmlib.measures.masking import (
    GradientNorms,
    SpanShare,
    Wobble,
    gradient_norms,
    loss_along,
    random_search,
    smallest_flip,
    span_share,
    transfer,
)
from mmlib.measures.scores import (
    accuracy,
    brier,
    entropy,
    expected_calibration_error,
    mean_confidence,
    nll,
)

__all__ = [
    "DEFORMATIONS",
    "Deformation",
    "GradientNorms",
    "Interpolation",
    "OnPixels",
    "Path",
    "SpanShare",
    "Wobble",
    "accuracy",
    "brier",
    "cyclic_partner",
    "deform",
    "deformation_matrices",
    "entropy",
    "evaluate",
    "evaluating",
    "expected_calibration_error",
    "fgsm",
    "fgsm_pixels",
    "gradient_norms",
    "gradient_variance",
    "input_gradients",
    "interpolated",
    "iterated_signs",
    "loss_along",
    "mean_confidence",
    "mirror_probability",
    "nll",
    "pgd",
    "pixel_epsilons",
    "pixel_step",
    "predict",
    "random_search",
    "signed_gradient",
    "smallest_flip",
    "span_share",
    "transfer",
]
