"""What is measured on a trained model: scores, interpolations, variance of the gradient."""

from mmlib.measures.evaluation import evaluate, evaluating, predict
from mmlib.measures.gradients import gradient_variance
from mmlib.measures.interpolation import Interpolation, cyclic_partner, interpolated
from mmlib.measures.scores import (
    accuracy,
    brier,
    entropy,
    expected_calibration_error,
    mean_confidence,
    nll,
)

__all__ = [
    "Interpolation",
    "accuracy",
    "brier",
    "cyclic_partner",
    "entropy",
    "evaluate",
    "evaluating",
    "expected_calibration_error",
    "gradient_variance",
    "interpolated",
    "mean_confidence",
    "nll",
    "predict",
]
