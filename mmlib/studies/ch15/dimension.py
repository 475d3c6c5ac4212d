"""Spheres and bars of any dimension: gain of k-mixup against intrinsic and ambient dimension."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mmlib.checks import choice, integer, number, positive
from mmlib.measures.scores import accuracy, nll
from mmlib.measures.vicinal import match_gaps
from mmlib.mixing import OptimalPairing
from mmlib.models import mlp
from mmlib.training.ensemble_kmixup import KMember, ensemble_logits, fit_kmixup

KINDS = ("shells", "bars")
HIDDEN = (130, 120)  # the network of the toy sets, section 5


def drawn(
    kind: str, n: int, d: int, ambient: int, gap: float, noise: float, seed: int
) -> tuple[Tensor, Tensor]:
    """Draw points of two classes on d-dimensional pieces, turned into more dimensions, with noise.

    ``"shells"``: class 0 on the unit sphere of d + 1 dimensions, class 1 on one of radius 1 + gap.
    ``"bars"``: four parallel cubes of side 2 and dimension d, `gap` apart, of classes 0, 1, 0, 1:
    however large d is, a mix of two points lies between bars with the same probability. The d + 1
    dimensions are a random subspace of the ambient ones; noise of standard deviation `noise` is
    added to every ambient coordinate, so all of it grows with the ambient dimension.

    Args:
        kind: which.
        n: number of points.
        d: intrinsic dimension, at least 1.
        ambient: at least d + 1.
        gap: distance of the pieces, above 0.
        noise: at least 0.
        seed: of the subspace and of the points.

    Returns:
        (n, ambient) float32 points and (n,) classes, half and half in random order.

    Raises:
        ValueError, TypeError: an argument does not fit.

    Example:
        >>> x, y = drawn("shells", 1000, 2, 5, 0.5, 0.0, 0)
        >>> bool(torch.allclose(x.norm(dim=1), 1 + 0.5 * y)), int(torch.linalg.matrix_rank(x))
        (True, 3)
    """
    choice("kind", kind, KINDS)
    integer("n", n, low=4)
    integer("d", d, low=1)
    integer("ambient", ambient, low=d + 1)
    positive("gap", gap)
    number("noise", noise, low=0)
    rng = torch.Generator().manual_seed(integer("seed", seed, low=0))
    basis = torch.linalg.qr(torch.randn(ambient, d + 1, generator=rng))[0]
    bar = torch.randperm(n, generator=rng) % 4
    y = bar % 2
    if kind == "shells":
        points = torch.randn(n, d + 1, generator=rng)
        points = points * ((1 + gap * y) / points.norm(dim=1))[:, None]
    else:
        points = 2 * torch.rand(n, d + 1, generator=rng) - 1
        points[:, 0] = gap * (bar - 1.5)
    return points @ basis.T + noise * torch.randn(n, ambient, generator=rng), y


def trial(settings: dict[str, Any], seed: int, device: str = "cpu") -> dict[str, float]:
    """Train none, k = 1 and larger k at each alpha on one draw of the points, all paired.

    Metrics: ``accuracy_<k>_<alpha>`` in percent, ``nll_...`` on fresh points, with ``0_1`` for no
    mixing; ``length_<k>`` the mean squared match length of 512 training points and a second such
    draw, over that of random pairs.
    """
    n, n_test = settings["n_train"], settings["n_test"]
    space = [settings[name] for name in ("intrinsic", "ambient", "gap", "noise")]
    x, y = drawn(settings["kind"], n + n_test, *space, seed)
    x, x_test, y, y_test = x[:n].to(device), x[n:].to(device), y[:n].to(device), y[n:]
    cells = [(0, 1.0)] + [(k, alpha) for k in settings["ks"] for alpha in settings["alphas"]]
    torch.manual_seed(seed)
    first = mlp((x.shape[1], *HIDDEN, 2)).state_dict()
    nets = []
    for _ in cells:
        net = mlp((x.shape[1], *HIDDEN, 2))
        net.load_state_dict(first)
        nets.append(net.to(device))
    fit_kmixup(
        nets,
        [KMember(seed, k or None, alpha) for k, alpha in cells],
        x,
        y,
        epochs=settings["epochs"],
        batch_size=settings["batch"],
        drops=(settings["epochs"] // 2, 3 * settings["epochs"] // 4),
    )
    logits, trained = (ensemble_logits(nets, rows).cpu() for rows in (x_test.to(device), x))
    found = {}
    for place, (k, alpha) in enumerate(cells):
        name = f"{k}_{alpha:g}"
        found[f"accuracy_{name}"] = 100 * accuracy(logits[place], y_test)
        found[f"nll_{name}"] = nll(logits[place], y_test)
        found[f"train_{name}"] = 100 * accuracy(trained[place], y.cpu())
    return found | _relative_lengths(x.cpu(), settings["ks"], seed)


def _relative_lengths(x: Tensor, ks: tuple[int, ...], seed: int) -> dict[str, float]:
    rng = torch.Generator().manual_seed(seed)
    size = min(512, len(x) // 2)
    lengths = {
        k: match_gaps(x[:size], OptimalPairing(k, sets="independent"), rng, x[size : 2 * size])[0]
        for k in (1, *ks)
    }
    squares = {k: gaps.square().sum(1).mean().item() for k, gaps in lengths.items()}
    return {f"length_{k}": squares[k] / squares[1] for k in ks}
