"""Free states: the hidden states themselves are the parameters, with a head above them.

All pairs of examples and a few values of lambda with their weights make up the objective, so it is
deterministic and can be minimised to many digits; ranks are then ranks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmlib.checks import choice
from mmlib.measures.spectra import class_spectra, effective_rank, spectrum
from mmlib.measures.subspaces import best_scale, beta_nodes, squared_floor, target_entropy
from mmlib.mixing import soft_cross_entropy

HEADS = ("affine", "mlp")
LOSSES = ("squared", "ce")
TOLERANCE = 1e-3  # a direction counts if its share of the largest spread of all states exceeds this


class FreeStates(nn.Module):
    """States (N, H) of d classes, n each, and a head on them, in float64.

    Args:
        classes: d.
        per_class: n.
        units: H.
        head: ``"affine"``, or ``"mlp"`` with two hidden layers.
        seed: of the first states, standard normal, and of the head.

    Raises:
        ValueError: an unknown head.
    """

    def __init__(self, classes: int, per_class: int, units: int, head: str, seed: int) -> None:
        super().__init__()
        choice("head", head, HEADS)
        generator = torch.Generator().manual_seed(seed)
        self.classes = classes
        self.y = torch.arange(classes).repeat_interleave(per_class)
        start = torch.randn(len(self.y), units, generator=generator, dtype=torch.float64)
        self.states = nn.Parameter(start)
        sizes = (units, 64, 64, classes) if head == "mlp" else (units, classes)
        layers: list[nn.Module] = []
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(seed)
            for a, b in zip(sizes[:-1], sizes[1:], strict=True):
                layers += [nn.Linear(a, b).double(), nn.LeakyReLU(0.01)]
        self.head = nn.Sequential(*layers[:-1])

    def forward(self, h: Tensor) -> Tensor:
        """Return the outputs of the head, (..., H) -> (..., d)."""
        return self.head(h)

    def objective(self, loss: str, lam: Tensor | None, weights: Tensor | None) -> Tensor:
        """Return the mean loss of the mixes of all pairs, at all values of lambda.

        Args:
            loss: ``"squared"``, summed over outputs, or ``"ce"``.
            lam: (Q,) values; None for no mixing.
            weights: (Q,) their probabilities.
        """
        targets = torch.eye(self.classes, dtype=torch.float64)[self.y]
        if lam is None:
            return _losses(loss, self(self.states), targets).mean()
        values = _losses(loss, self(all_mixes(self.states, lam)), all_mixes(targets, lam))
        return values.mean((1, 2)) @ weights


def all_mixes(rows: Tensor, lam: Tensor) -> Tensor:
    """Return ``lam_q r_i + (1 - lam_q) r_j``, (N, D) and (Q,) -> (Q, N, N, D).

    Example:
        >>> all_mixes(torch.tensor([[0.0], [4.0]]), torch.tensor([0.25]))[0, :, :, 0].tolist()
        [[0.0, 3.0], [1.0, 4.0]]
    """
    lam = lam[:, None, None, None]
    return lam * rows[:, None] + (1 - lam) * rows[None]


def _losses(loss: str, out: Tensor, wanted: Tensor) -> Tensor:
    if choice("loss", loss, LOSSES) == "squared":
        return (out - wanted).square().sum(-1)
    return soft_cross_entropy(out, wanted, reduction="none")


def minimise(model: FreeStates, settings: dict[str, Any]) -> float:
    """Minimise the objective over states and head; return what is left of it.

    Adam brings states and head near; L-BFGS alone, from random states, sometimes ends where the
    states are large and the head small and then gains little. It goes on from there in rounds,
    until a round gains nothing or the rounds are used up. With ``decay`` its half times the mean
    squared state and times the squared weights is added, and left out of what is returned.
    """
    lam = weights = None
    if settings["mixing"]:
        lam, weights = map(torch.from_numpy, beta_nodes(settings["alpha"], settings["nodes"]))
    parameters = list(model.parameters())

    def value() -> Tensor:
        own = model.objective(settings["loss"], lam, weights)
        size = model.states.square().sum(1).mean()
        size = size + sum(p.square().sum() for p in model.head.parameters() if p.ndim > 1)
        return own + settings["decay"] / 2 * size

    adam = torch.optim.Adam(parameters, 0.03)
    for _ in range(settings["warm"]):
        adam.zero_grad()
        value().backward()
        adam.step()
    last = float("inf")
    for _ in range(settings["rounds"]):
        optimizer = torch.optim.LBFGS(
            parameters,
            max_iter=100,
            history_size=30,
            tolerance_grad=1e-12,
            tolerance_change=1e-15,
            line_search_fn="strong_wolfe",
        )

        def closure(optimizer: torch.optim.Optimizer = optimizer) -> Tensor:
            optimizer.zero_grad()
            found = value()
            found.backward()
            return found

        optimizer.step(closure)
        now = float(value().detach())
        if last - now < 1e-14:
            break
        last = now
    return float(model.objective(settings["loss"], lam, weights).detach())


def class_ranks(states: Tensor, y: Tensor, centred: bool = True) -> list[int]:
    """Return how many singular values of each class count beside the spread of all states.

    Example:
        >>> h = torch.tensor([[0.0, 0.0], [0.0, 1.0], [5.0, 0.0], [5.0, 0.0]])
        >>> class_ranks(h, torch.tensor([0, 0, 1, 1]))
        [1, 0]
    """
    unit = TOLERANCE * spectrum(states)[0]
    return [int((s > unit).sum()) for s in class_spectra(states, y, centred).values()]


def free_states(
    settings: dict[str, Any], seed: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Minimise a loss over free states and a head, and look at what the states have become.

    Metrics: ``excess`` (loss less the entropy of its targets), ``floor`` (predicted for affine
    heads, else NaN), ``rank`` and ``raw_rank`` (largest over classes of the centred and uncentred
    states), ``least_rank``, ``start_rank``, ``head_rank`` (of W, else NaN), ``effective``
    (effective rank of a class, mean), ``spread`` (largest difference of two outputs of one class),
    ``scale`` (mean logit of the own class above the mean of the others), ``size`` (root mean square
    of the states). Arrays: ``spectra`` (d, H) centred.
    """
    classes, units = settings["classes"], settings["units"]
    model = FreeStates(classes, settings["per_class"], units, settings["head"], seed)
    start = class_ranks(model.states, model.y)
    left = minimise(model, settings)
    states = model.states.detach()
    ranks = class_ranks(states, model.y)
    spectra = torch.stack(list(class_spectra(states, model.y).values()))
    with torch.no_grad():
        outputs = model(states).view(classes, settings["per_class"], classes)
    outputs = outputs - outputs.mean(-1, keepdim=True)
    own = outputs.diagonal(dim1=0, dim2=2).mean()
    metrics = {
        "excess": left - _entropy(settings),
        "floor": _floor(settings),
        "rank": max(ranks),
        "least_rank": min(ranks),
        "raw_rank": max(class_ranks(states, model.y, centred=False)),
        "start_rank": min(start),
        "head_rank": _head_rank(model),
        "effective": float(effective_rank(spectra).mean()),
        "spread": float((outputs.amax(1) - outputs.amin(1)).max()),
        "scale": float(own * classes / (classes - 1)),
        "size": float(states.square().sum(1).mean().sqrt()),
    }
    return metrics, {"spectra": spectra.numpy().astype("float32")}


def _nodes(settings: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    return beta_nodes(settings["alpha"], settings["nodes"])


def _entropy(settings: dict[str, Any]) -> float:
    if settings["loss"] == "squared" or not settings["mixing"]:
        return 0.0
    return target_entropy(settings["classes"], *_nodes(settings))


def _floor(settings: dict[str, Any]) -> float:
    """Return the least excess that an affine head can reach; NaN where it is not known."""
    units, classes = settings["units"], settings["classes"]
    if settings["head"] == "mlp" or settings["decay"]:
        return float("nan")
    if settings["loss"] == "squared":
        return squared_floor(units, classes, settings["alpha"] if settings["mixing"] else None)
    if not settings["mixing"]:
        return 0.0
    return best_scale(classes, *_nodes(settings))[1] if units >= classes - 1 else float("nan")


def _head_rank(model: FreeStates) -> float:
    """Return the rank of the affine head, NaN for another head."""
    if len(model.head) > 1:
        return float("nan")
    s = torch.linalg.svdvals(model.head[0].weight.detach())
    return float((s > TOLERANCE * s[0]).sum())
