"""Distances between hidden states, and manifold k-mixup written out step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata
from torch import Tensor, nn

from mmlib.measures.evaluation import evaluating
from mmlib.mixing import Mixup, OptimalPairing, capture, pair_statistics
from mmlib.models import build

MEASURES = ("spread", "contrast", "auc", "nearest", "same_1", "same_32", "ratio_32")


def squared_distances(h: Tensor) -> Tensor:
    """Return the squared distances of all pairs, (N, ...) -> (N, N) float64 on the CPU.

    Example:
        >>> squared_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]])).tolist()
        [[0.0, 25.0], [25.0, 0.0]]
    """
    flat = h.detach().flatten(1).cpu().double()
    flat = flat - flat.mean(0)
    norms = flat.square().sum(1)
    found = norms[:, None] + norms - 2 * flat @ flat.T
    return found.clamp_(min=0).fill_diagonal_(0)


def spread(squares: Tensor) -> float:
    r"""Return std over mean of the squared distances of distinct pairs.

    For independent standard normal coordinates in d dimensions it is :math:`\sqrt{2 / d}` (the
    squared distance is twice a chi-squared number), so :math:`2 / s^2` reads a spread s as the
    dimension of a round cloud.

    Example:
        >>> x = torch.randn(2000, 50, generator=torch.Generator().manual_seed(0))
        >>> round(2 / spread(squared_distances(x)) ** 2)
        50
    """
    n = len(squares)
    values = squares[torch.triu_indices(n, n, 1).unbind()]
    return float(values.std() / values.mean())


def contrast(squares: Tensor) -> float:
    """Return the median over queries of (farthest - nearest) / nearest, in plain distances.

    The relative contrast of Beyer et al. (1999): a nearest neighbour says little where it is near
    0. Infinite where most queries have a duplicate.

    Example:
        >>> contrast(squared_distances(torch.tensor([[0.0], [1.0], [3.0]])))
        1.0
    """
    roots = squares.sqrt()
    nearest = roots.clone().fill_diagonal_(torch.inf).min(1).values
    return float(((roots.max(1).values - nearest) / nearest).median())


def class_auc(squares: Tensor, y: Tensor) -> float:
    """Return the share of (same-class pair, other pair) with the same-class pair closer.

    One half if distances do not know the classes, 1 if every pair of one class is closer than
    every pair of two; ties count half.

    Example:
        >>> squares = squared_distances(torch.tensor([[0.0], [1.0], [5.0]]))
        >>> class_auc(squares, torch.tensor([0, 0, 1]))
        1.0
    """
    rows, columns = torch.triu_indices(len(y), len(y), 1)
    same = (y[rows] == y[columns]).numpy()
    ranks = rankdata(squares[rows, columns].numpy())
    n_same, n_other = int(same.sum()), int((~same).sum())
    if not n_same or not n_other:
        return float("nan")
    below = ranks[same].sum() - n_same * (n_same + 1) / 2
    return float(1 - below / (n_same * n_other))


def distances(
    model: nn.Module, x: Tensor, y: Tensor, sites: tuple[str, ...], *, batch: int, seed: int
) -> dict[str, float]:
    """Return what distances are worth at each site, ``<measure>_<site>``.

    ``spread`` and ``contrast`` as the functions of these names; ``auc`` as `class_auc`;
    ``nearest``: % of images whose nearest neighbour has their class; ``same_1`` and ``same_32``:
    % of partners of the same class when sets of 1 and 32 are matched there; ``ratio_32``: mean
    squared distance of the latter over that of all pairs.

    Args:
        model: the network; its mode is restored.
        x: (N, ...) network inputs.
        y: (N,) classes.
        sites: where.
        batch: examples in a batch, within which sets are matched.
        seed: of the sets.
    """
    found, classes = {}, y.cpu()
    for site in sites:
        with evaluating(model):
            h = capture(model, x, site).flatten(1)
        squares = squared_distances(h)
        nearest = squares.clone().fill_diagonal_(torch.inf).argmin(1)
        values = [spread(squares), contrast(squares), class_auc(squares, classes)]
        values.append(100 * float((classes[nearest] == classes).double().mean()))
        apart = float(squares.sum() / (len(x) * (len(x) - 1)))
        for k in (1, 32):
            partner = matched(h, k, batch, seed)
            values.append(100 * pair_statistics(partner, y[: len(partner)]).same_class)
        values.append(float(squares[torch.arange(len(partner)), partner.cpu()].mean()) / apart)
        found |= {f"{name}_{site}": v for name, v in zip(MEASURES, values, strict=True)}
    return found


def matched(h: Tensor, k: int, batch: int, seed: int) -> Tensor:
    """Return the partners when consecutive batches are matched; the rest is left out.

    Example:
        >>> matched(torch.tensor([[0.0], [9.0], [1.0], [8.0], [5.0]]), 2, 4, 0).tolist()
        [2, 3, 0, 1]
    """
    pairing, rng = OptimalPairing(k), torch.Generator().manual_seed(50_000 + seed)
    size, parts = min(batch, len(h)), []
    for start in range(0, len(h) - size + 1, size):
        order = pairing.draw(size, rng).to(h.device)
        partner = torch.empty(size, dtype=torch.long, device=h.device)
        partner[order[0]] = pairing.match(order, h[start : start + size])
        parts.append(partner + start)
    return torch.cat(parts)


# ------------------------------------------------------------------------------ written out


def assigned(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cheapest assignment by a plain double loop over squared distances.

    Example:
        >>> assigned(np.array([[0.0], [5.0]]), np.array([[4.0], [1.0]])).tolist()
        [1, 0]
    """
    cost = [[float(((u - v) ** 2).sum()) for v in b] for u in a]
    return linear_sum_assignment(np.array(cost))[1]


def by_hand(h: Tensor, features: Tensor, order: Tensor, k: int, lam: float) -> tuple:
    """Return the mixed states and the partners of k-mixup over disjoint blocks, by loops.

    Args:
        h: (B, ...) states that are mixed.
        features: (B, ...) what the sets are matched by: `h` itself, or the inputs for a control.
        order: (2, B), the drawn order of the batch in its first row.
        k: size of the sets; it divides B.
        lam: weight of a state against its partner.
    """
    flat = features.detach().flatten(1).double().numpy()
    rows = order[0].tolist()
    partner = torch.empty(len(rows), dtype=torch.long)
    for start in range(0, len(rows), k):
        ours = rows[start : start + k]
        theirs = [rows[(start + k + i) % len(rows)] for i in range(k)]
        for i, j in zip(ours, assigned(flat[ours], flat[theirs]), strict=True):
            partner[i] = theirs[j]
    return lam * h + (1 - lam) * h[partner], partner


def extension(settings: dict[str, Any], seed: int, device: str = "cpu") -> dict[str, float]:
    """Compare manifold k-mixup of the library with its definition, written out.

    Metrics: ``input_error``, the largest difference of logits to mixing ``x_i`` with
    ``x_sigma(i)``, and ``hidden_error`` to mixing the states of block1 with sigma the assignment
    of these states, both in training mode and double precision; the controls match the other
    features (block1 for the input, the inputs for block1). ``set_error``: the same batch when
    block1 is eligible too but the input is drawn; control: block1 is drawn. ``site_z``: how many
    standard errors the share of batches mixed at the input is from one half; control: that of a
    single site. ``released_gap``: relative distance of the product of the released code,
    ``(lam X + (1 - lam) X_sigma) X^T X``, from the mix of X; ``released_same``: the same for an X
    with orthonormal columns, where ``X^T X`` is the identity.
    """
    k, size = settings["k"], settings["batch"]
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(size, 3, 16, 16, generator=rng, dtype=torch.float64)
    y = torch.randint(10, (size,), generator=rng)
    model = build("small_conv", 3, 10, 16, settings["width"], seed=seed).double().train()

    def mixed(layers: tuple[str, ...], lam: float) -> tuple[Tensor, str, Tensor]:
        draws = torch.Generator().manual_seed(seed + 1)
        mixup = Mixup(lam=lam, layers=layers, pairing=OptimalPairing(k), generator=draws)
        draw = mixup.draw(size)
        return mixup.apply(model, x, y, draw).logits, draw.layer, draw.orders[draw.layer]  # type: ignore[return-value]

    def rest(h: Tensor) -> Tensor:
        return model.head(model.block3(model.block2(h)))

    lam = 0.3 + 0.4 * float(torch.rand((), generator=rng))
    found = {}
    with torch.no_grad():
        h = model.block1(x)
        logits, _, order = mixed(("input",), lam)
        for name, features in (("error", x), ("control", h)):
            mix, _ = by_hand(x, features, order, k, lam)
            found[f"input_{name}"] = float((logits - model(mix)).abs().max())
        hidden, _, order = mixed(("block1",), lam)
        for name, features in (("error", h), ("control", x)):
            mix, _ = by_hand(h, features, order, k, lam)
            found[f"hidden_{name}"] = float((hidden - rest(mix)).abs().max())
        # Which of two names is drawn depends on their order alone, so one order draws the input.
        both = [mixed(layers, lam) for layers in (("input", "block1"), ("block1", "input"))]
        drawn = {layer: out for out, layer, _ in both}
        found["set_error"] = float((drawn["input"] - logits).abs().max())
        found["set_control"] = float((drawn["block1"] - logits).abs().max())
    draws = torch.Generator().manual_seed(seed + 2)
    many = Mixup(layers=("input", "block1"), pairing=OptimalPairing(k), generator=draws)
    n = settings["draws"]
    inputs = sum(many.draw(4).layer == "input" for _ in range(n))
    found |= {"site_z": abs(inputs - n / 2) / (n / 4) ** 0.5, "site_control": n**0.5}
    flat = x.flatten(1)
    columns = torch.linalg.qr(flat[:, :4]).Q
    for name, states in (("gap", flat), ("same", columns)):
        mix = lam * states + (1 - lam) * states.roll(1, 0)
        product = mix @ states.T @ states
        found[f"released_{name}"] = float((product - mix).norm() / mix.norm())
    return found
