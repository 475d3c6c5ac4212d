"""Linear probes: how well an affine classifier reads the class from hidden states."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mmlib import checks


def probe_accuracy(
    h: Tensor, y: Tensor, h_test: Tensor, y_test: Tensor, *, ridge: float = 1e-4
) -> float:
    """Return the accuracy on other states of a softmax regression fitted to states, in [0, 1].

    Units are standardised by the mean and deviation of the fitted states; the cross-entropy plus
    ``ridge |W|^2 / 2`` is convex and minimised by L-BFGS from zero, so there is no chance in it.

    Args:
        h: (N, H) states to fit.
        y: (N,) classes.
        h_test: (M, H) states to score.
        y_test: (M,) classes.
        ridge: above 0, which makes the minimum unique.

    Raises:
        TypeError, ValueError: `ridge` is not above 0.

    Example:
        >>> h, y = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]]), torch.tensor([0, 0, 1, 1])
        >>> probe_accuracy(h, y, torch.tensor([[-0.5], [0.5]]), torch.tensor([0, 1]))
        1.0
    """
    ridge = checks.positive("ridge", ridge)
    h, h_test = h.detach().double(), h_test.detach().double()
    mean, spread = h.mean(0), h.std(0, correction=0).clamp(min=1e-12)
    h, h_test = (h - mean) / spread, (h_test - mean) / spread
    weight = h.new_zeros(h.shape[1] + 1, int(max(y.max(), y_test.max())) + 1, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(h @ weight[:-1] + weight[-1], y)
        loss = loss + ridge / 2 * weight[:-1].square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    found = (h_test @ weight[:-1] + weight[-1]).argmax(1)
    return float((found == y_test).double().mean())
