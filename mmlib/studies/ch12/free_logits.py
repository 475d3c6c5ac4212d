"""Free logits under an affine head: the mixed risk of all pairs, minimised to many digits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize
from torch import Tensor

from mmlib.measures.logit_gap import optimal_gap, same_class
from mmlib.measures.subspaces import beta_nodes


def pair_weights(y: Tensor, batch: int | None = None) -> Tensor:
    """Return the probability of each pair (i, j), (N, N), that sums to 1.

    Partners are a permutation of a batch drawn without replacement, see
    `mmlib.measures.logit_gap.same_class`.

    Args:
        y: (N,) classes.
        batch: B; None for partners from all examples, themselves included.

    Example:
        >>> pair_weights(torch.tensor([0, 1]), 2)
        tensor([[0.2500, 0.2500],
                [0.2500, 0.2500]], dtype=torch.float64)
    """
    n = len(y)
    if batch is None:
        return torch.full((n, n), 1 / n**2, dtype=torch.float64)
    own = torch.eye(n, dtype=torch.float64)
    return (own / batch + (1 - 1 / batch) * (1 - own) / (n - 1)) / n


def risk(u: Tensor, y: Tensor, lam: Tensor, weights: Tensor, pairs: Tensor) -> Tensor:
    """Return the mean cross-entropy of the mixes of all pairs of logits u (N, K)."""
    target = torch.nn.functional.one_hot(y, u.shape[1]).double()
    lam = lam[:, None, None, None]
    mixed = lam * u[:, None] + (1 - lam) * u[None]
    wanted = lam * target[:, None] + (1 - lam) * target[None]
    loss = mixed.logsumexp(3) - (wanted * mixed).sum(3)
    return weights @ (loss * pairs).sum((1, 2))


def minimiser(
    y: Tensor, classes: int, nodes: tuple[np.ndarray, np.ndarray], pairs: Tensor, seed: int = 0
) -> Tensor:
    """Return the logits (N, K) with the least risk, each row with mean 0.

    Args:
        y: (N,) classes.
        classes: K.
        nodes: values of lambda and their weights, as those of `mmlib.measures.beta_nodes`.
        pairs: of `pair_weights`.
        seed: of the start, standard normal; a convex problem ends at one place whatever it is.

    Example:
        >>> from mmlib.measures import beta_nodes, best_scale
        >>> y, nodes = torch.tensor([0, 0, 1, 1]), beta_nodes(1.0, 16)
        >>> u = minimiser(y, 2, nodes, pair_weights(y))
        >>> bool(abs(float(u[0, 0] - u[0, 1]) - best_scale(2, *nodes)[0]) < 1e-5)
        True
    """
    lam, weights = (torch.from_numpy(np.asarray(one, dtype=float)) for one in nodes)
    shape = (len(y), classes)

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        u = torch.from_numpy(flat).view(shape).requires_grad_()
        loss = risk(u, y, lam, weights, pairs)
        (slope,) = torch.autograd.grad(loss, u)
        return loss.item(), slope.numpy().ravel()

    start = np.random.default_rng(seed).normal(size=len(y) * classes)
    options = {"maxiter": 5000, "maxfun": 10_000, "ftol": 1e-16, "gtol": 1e-10}
    found = minimize(value, start, jac=True, method="L-BFGS-B", options=options)
    u = torch.from_numpy(found.x).view(shape)
    return u - u.mean(1, keepdim=True)


def compared(alpha: float, nodes: int = 16) -> pd.DataFrame:
    """Return predicted gaps beside those of minimised free logits, for four cases.

    Three balanced classes of two examples; the same with batches of three; the same data, but
    with the prediction for all pairs, a control; and two classes of four and one, which are not
    balanced, so that no single gap can be right.

    ``least`` and ``most`` are over all examples and other classes, ``starts`` is the largest
    difference of the logits from two starts.
    """
    law = beta_nodes(alpha, nodes)
    even, uneven = torch.arange(6) % 3, torch.tensor([0, 0, 0, 0, 1])
    rows = {}
    for name, y, classes, batch, q in (
        ("all pairs", even, 3, None, same_class(6, 3)),
        ("batches of 3", even, 3, 3, same_class(6, 3, 3)),
        ("control: batches, formula of all pairs", even, 3, 3, same_class(6, 3)),
        ("control: 4 examples against 1", uneven, 2, None, same_class(6, 2)),
    ):
        pairs = pair_weights(y, batch)
        u, again = (minimiser(y, classes, law, pairs, seed) for seed in (0, 1))
        gaps = u.gather(1, y[:, None]) - u
        others = gaps[torch.nn.functional.one_hot(y, classes) == 0]
        rows[name] = {
            "predicted": optimal_gap(classes, *law, q).gap,
            "least": float(others.min()),
            "most": float(others.max()),
            "starts": float((u - again).abs().max()),
        }
    return pd.DataFrame(rows).T
