"""The methods of Table 4 as objects: each turns two batches into a loss."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mmlib.checks import choice, number, positive
from mmlib.mixing import Mixup, mse, soft_cross_entropy
from mmlib.training.consistency import average_into, output_entropy, vat_loss
from mmlib.training.semi_supervised import (
    MODES,
    TARGETS,
    Losses,
    algorithm_1,
    frozen_statistics,
    outputs,
)


class Method:
    """What `fit_ssl` asks of a method; this one learns from the labelled batch alone.

    Attributes:
        views: how many views of the unlabelled batch it wants: 0, 1, or 2 (augmented twice).

    Example:
        >>> Method()
        labels alone
    """

    views = 0

    def start(self, model: nn.Module) -> None:
        """Prepare for a run that starts from this model."""

    def losses(
        self, model: nn.Module, x_l: Tensor, y_l: Tensor, x_u: list[Tensor], ramp: float
    ) -> Losses:
        """Return the losses of a step.

        Args:
            model: the network in training mode.
            x_l: (B, ...) labelled inputs.
            y_l: (B,) classes.
            x_u: the views of the unlabelled batch.
            ramp: share of the largest weight that has been reached, 0 to 1.
        """
        l_s = soft_cross_entropy(model(x_l), y_l)
        return Losses(l_s, torch.zeros_like(l_s), l_s)

    def updated(self, model: nn.Module) -> None:
        """Follow an update of the weights."""

    def predictor(self, model: nn.Module) -> nn.Module:
        """Return the network that is evaluated."""
        return model

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Further networks that a checkpoint has to hold."""
        return {}

    @property
    def generators(self) -> tuple[torch.Generator | None, ...]:
        """Generators that it draws from."""
        return ()

    def __repr__(self) -> str:
        return "labels alone"


@dataclass
class PseudoMix(Method):
    """Algorithm 1; with input mixing alone Algorithm 3.

    Args:
        labelled: how to mix the labelled batch.
        unlabelled: how to mix the unlabelled batch.
        weight: largest consistency coefficient.
        targets: kind of the pseudo-targets, as for `algorithm_1`.
        mode: of the pass that makes them, likewise.

    Raises:
        ValueError: the weight is negative, or a word is unknown.
    """

    labelled: Mixup
    unlabelled: Mixup
    weight: float = 1.0
    targets: str = "probabilities"
    mode: str = "train"
    views = 1

    def __post_init__(self) -> None:
        self.weight = number("weight", self.weight, low=0)
        choice("targets", self.targets, TARGETS)
        choice("mode", self.mode, MODES)

    def losses(
        self, model: nn.Module, x_l: Tensor, y_l: Tensor, x_u: list[Tensor], ramp: float
    ) -> Losses:
        """Return the losses of Algorithm 1."""
        return algorithm_1(
            model,
            x_l,
            y_l,
            x_u[0],
            labelled=self.labelled,
            unlabelled=self.unlabelled,
            weight=self.weight * ramp,
            targets=self.targets,
            mode=self.mode,
        )

    @property
    def generators(self) -> tuple[torch.Generator | None, ...]:
        """Those of the two `Mixup` objects."""
        return (self.labelled.generator, self.unlabelled.generator)


@dataclass
class MeanTeacher(Method):
    """Mean Teacher (Tarvainen and Valpola, 2017): agree with an average of one's own past.

    The squared error is taken between the probabilities of student and teacher on two views of a
    batch. The teacher's batch norm uses the batch, as in the authors' code; its running
    statistics, which count when it is evaluated, are averages like its weights.

    Args:
        weight: largest consistency coefficient; Oliver et al. (2018) take 8.
        decay: of the average; Oliver et al. take 0.95.
    """

    weight: float = 8.0
    decay: float = 0.95
    teacher: nn.Module = field(default=None, repr=False)  # type: ignore  # set by `start`
    views = 2

    def __post_init__(self) -> None:
        self.weight = number("weight", self.weight, low=0)
        self.decay = number("decay", self.decay, low=0, high=1)

    def start(self, model: nn.Module) -> None:
        """Make the teacher, a copy of the model."""
        self.teacher = copy.deepcopy(model).requires_grad_(False)

    def losses(
        self, model: nn.Module, x_l: Tensor, y_l: Tensor, x_u: list[Tensor], ramp: float
    ) -> Losses:
        """Return cross-entropy, squared error to the teacher, and their weighted sum."""
        student_view, teacher_view = x_u
        l_s = soft_cross_entropy(model(x_l), y_l)
        with torch.no_grad(), frozen_statistics(self.teacher.train()):
            target = outputs(self.teacher(teacher_view), "probabilities")
        l_us = mse(outputs(model(student_view), "probabilities"), target)
        return Losses(l_s, l_us, l_s + self.weight * ramp * l_us, pseudo=target)

    def updated(self, model: nn.Module) -> None:
        """Move the teacher."""
        average_into(self.teacher, model, self.decay)

    def predictor(self, model: nn.Module) -> nn.Module:
        """Return the teacher."""
        return self.teacher

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The teacher."""
        return {"teacher": self.teacher}


@dataclass
class VirtualAdversary(Method):
    """VAT (Miyato et al., 2017), with or without minimising the entropy of the predictions.

    Args:
        weight: largest consistency coefficient; Oliver et al. (2018) take 0.3.
        epsilon: length of the perturbation in the units of the inputs.
        xi: length of the probe, see `mmlib.training.consistency.virtual_adversary`.
        entropy: largest coefficient of the entropy term, 0 for none; Oliver et al. take 0.06. It
            rises along the same ramp.
        generator: CPU generator of the probes' first directions.
    """

    weight: float = 0.3
    epsilon: float = 6.0
    xi: float = 0.1
    entropy: float = 0.0
    generator: torch.Generator | None = field(default=None, repr=False)
    views = 1

    def __post_init__(self) -> None:
        self.weight = number("weight", self.weight, low=0)
        self.epsilon = positive("epsilon", self.epsilon)
        self.xi = positive("xi", self.xi)
        self.entropy = number("entropy", self.entropy, low=0)

    def losses(
        self, model: nn.Module, x_l: Tensor, y_l: Tensor, x_u: list[Tensor], ramp: float
    ) -> Losses:
        """Return cross-entropy, the virtual adversarial loss, and their sum with the entropy."""
        (x,) = x_u
        l_s = soft_cross_entropy(model(x_l), y_l)
        precise = torch.autocast(x.device.type, enabled=False)  # as the passes it is compared with
        with precise, torch.set_grad_enabled(self.entropy > 0):
            logits = model(x)
        l_us = vat_loss(
            model, x, logits, epsilon=self.epsilon, xi=self.xi, generator=self.generator
        )
        total = l_s + self.weight * ramp * l_us
        if self.entropy > 0:
            total = total + self.entropy * ramp * output_entropy(logits)
        return Losses(l_s, l_us, total, pseudo=outputs(logits.detach(), "probabilities"))

    @property
    def generators(self) -> tuple[torch.Generator | None, ...]:
        """That of the directions."""
        return (self.generator,)
