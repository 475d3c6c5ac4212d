"""Class clouds in the directions of a hidden state that the head sees, and in the others."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def seen_basis(head: nn.Linear) -> Tensor:
    r"""Return an orthonormal basis (H, r) of the directions that change the predictions.

    They are the row space of the weights less their mean row: a shift of all logits by one number
    changes no softmax, so r is at most K - 1. The gradient of the loss at a state is
    :math:`W^\top (p - y)` with entries of p - y that sum to 0, and lies in this space.

    Example:
        >>> head = nn.Linear(3, 2)
        >>> _ = head.weight.data.copy_(torch.tensor([[1.0, 0.0, 7.0], [-1.0, 0.0, 7.0]]))
        >>> seen_basis(head).abs().flatten().tolist()
        [1.0, 0.0, 0.0]
    """
    w = head.weight.detach().cpu().double()
    _, s, v = torch.linalg.svd(w - w.mean(0), full_matrices=False)
    return v[s > 1e-6 * s.amax()].T


def parts(z: Tensor, y: Tensor, basis: Tensor) -> dict[str, float]:
    """Return variances of states within classes and in all, in both parts of the space.

    Args:
        z: (N, H) states.
        y: (N,) classes.
        basis: (H, r), orthonormal, of the directions that the head sees.

    Returns:
        ``within_seen, total_seen, within_unseen, total_unseen``: traces of covariances; a ratio of
        two of one part has no unit.

    Example:
        >>> z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        >>> parts(z, torch.tensor([0, 0, 1, 1]), torch.tensor([[1.0], [0.0]])).values()
        dict_values([0.0, 1.0, 1.0, 1.0])
    """
    z = z.detach().cpu().double()
    z = z - z.mean(0)
    mean_of = torch.zeros_like(z)
    for k in y.unique().tolist():
        mean_of[y == k] = z[y == k].mean(0)
    inside, basis = z - mean_of, basis.double()
    found = {}
    for name, rows in (("within", inside), ("total", z)):
        seen = float((rows @ basis).square().sum() / len(z))
        found[f"{name}_seen"] = seen
        found[f"{name}_unseen"] = float(rows.square().sum() / len(z)) - seen
    return {f"{a}_{b}": found[f"{a}_{b}"] for b in ("seen", "unseen") for a in ("within", "total")}
