r"""Clouds of hidden states, one for each class: how tight they are, and how far apart.

Mixing commutes with affine maps, and the layers behind a state can undo any that is invertible, so
nothing in a mixed loss can tell a cloud from its image under one. What the eye sees in a picture of
the plane is unchanged by shift, rotation and a common scale only. Measures here are of the second
kind; applied to `mmlib.measures.whitened` states they are of the first, and the pair says whether a
difference is one of shape or of axes. `cloud_share` and `confident_share` are of the first kind as
they stand. None changes with a common scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from mmlib import checks
from mmlib.measures.spectra import class_means, whitened


def spread(h: Tensor) -> float:
    r"""Return the root mean square distance of states to their mean, :math:`\sqrt{tr S_T}`.

    Example:
        >>> spread(torch.tensor([[0.0, 3.0], [0.0, -3.0]]))
        3.0
    """
    h = _states(h)
    return float((h - h.mean(0)).square().sum(1).mean().sqrt())


def class_radius(h: Tensor, y: Tensor) -> float:
    r"""Return the root mean square distance to the mean of the own class, :math:`\sqrt{tr S_W}`.

    Example:
        >>> class_radius(torch.tensor([[1.0], [3.0], [9.0], [11.0]]), torch.tensor([0, 0, 1, 1]))
        1.0
    """
    means, of = class_means(h, y)
    return float((_states(h) - means[of]).square().sum(1).mean().sqrt())


def other_class_distances(h: Tensor, y: Tensor) -> Tensor:
    """Return the distance of each example to the nearest one of another class, (N,) in float64.

    Raises:
        ValueError: there is only one class, or shapes do not fit.

    Example:
        >>> other_class_distances(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([0, 0, 1]))
        tensor([5., 4., 4.], dtype=torch.float64)
    """
    _, of = class_means(h, y)
    if int(of.max()) == 0:
        raise ValueError("y: expected two classes or more, but got one")
    h = _states(h)
    apart = torch.cdist(h, h, compute_mode="donot_use_mm_for_euclid_dist")
    return apart.masked_fill(of[:, None] == of[None, :], torch.inf).amin(1)


def class_core(h: Tensor, y: Tensor, share: float = 0.9) -> Tensor:
    """Return which examples belong to the cores of their classes, (N,) bools.

    Of each class those nearest to its mean in its own Mahalanobis distance, so that the choice is
    unchanged by affine maps. The rest may be strays: a single one that lies among the examples of
    another class, however tight and far away that class is, makes the distance to another class
    small for all of them.

    Args:
        h: (N, H) states.
        y: (N,) class indices.
        share: of each class that is kept, rounded up.

    Example:
        >>> h = torch.tensor([[0.0], [1.0], [2.0], [50.0]])
        >>> class_core(h, torch.tensor([0, 0, 0, 0]), share=0.75)
        tensor([ True,  True,  True, False])
    """
    share = checks.number("share", share, low=0, low_open=True, high=1)
    _, of = class_means(h, y)
    kept = torch.zeros(len(h), dtype=torch.bool, device=h.device)
    for k in range(int(of.max()) + 1):
        rows = (of == k).nonzero().flatten()
        far = whitened(h[rows]).norm(dim=1)
        kept[rows[far.argsort()[: math.ceil(share * len(rows))]]] = True
    return kept


def class_margin(h: Tensor, y: Tensor) -> float:
    """Return the distance from a class to the nearest other one, mean over classes.

    The distance of two classes is that of their two nearest examples; apply it to cores. In units
    of `spread` it says how wide the empty band is in a picture that is scaled to its contents; in
    units of `class_radius` also how tight the clouds are.

    Args:
        h: (N, H) states.
        y: (N,) class indices.

    Example:
        >>> h = torch.tensor([[0.0], [1.0], [5.0], [15.0]])   # 4, 4 and 10
        >>> class_margin(h, torch.tensor([0, 0, 1, 2]))
        6.0
    """
    far = other_class_distances(h, y)
    _, of = class_means(h, y)
    nearest = far.new_full((int(of.max()) + 1,), torch.inf)
    return float(nearest.scatter_reduce(0, of, far, "amin").mean())


def cloud_share(h: Tensor, y: Tensor) -> float:
    r"""Return the mean volume of a class over the volume of all states.

    .. math:: \frac1K \sum_k \sqrt{\det S_k / \det S_T}

    Volumes are those of the ellipsoids of covariance; in the plane they are areas. Unchanged by
    invertible affine maps. A class on a line has no area, however long the line is: the measure
    does not tell a flat class from a small one. NaN where all states lie in fewer than H
    directions.

    Example:
        >>> square = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        >>> h = torch.cat([square, 3 * square])   # areas 1 and 9 in 5
        >>> round(cloud_share(h, torch.tensor([0] * 4 + [1] * 4)), 6)
        1.0
    """
    _, of = class_means(h, y)
    flat = whitened(h)
    if flat.shape[1] < h.shape[1]:
        return float("nan")
    volumes = []
    for k in range(int(of.max()) + 1):
        own = flat[of == k]
        own = own - own.mean(0)
        volumes.append(torch.linalg.det(own.T @ own / len(own)).clamp_min(0).sqrt())
    return float(torch.stack(volumes).mean())


def ball_around(h: Tensor, n: int, reach: float = 3.0, seed: int = 0) -> Tensor:
    r"""Return n points spread evenly over the ellipsoid :math:`|S_T^{-1/2}(z - \bar h)| \le` reach.

    An affine map of the states carries the ellipsoid along, so a share of it is unchanged when the
    states and the layers behind them go through one together, up to the chance of the n points.

    Args:
        h: (N, H) states.
        n: number of points.
        reach: radius in Mahalanobis distance.
        seed: of the points.

    Returns:
        (n, H) of the type of `h`, on its device.

    Example:
        >>> h = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
        >>> inside = ball_around(h, 1000)
        >>> round((inside.var(0) / h.var(0)).mean().item(), 1)   # reach^2 / (H + 2) = 9 / 4
        2.3
    """
    n, reach = checks.integer("n", n, low=1), checks.positive("reach", reach)
    states = _states(h)
    generator = torch.Generator().manual_seed(checks.integer("seed", seed, low=0))
    units = states.shape[1]
    way = torch.randn(n, units, generator=generator, dtype=torch.float64)
    far = torch.rand(n, 1, generator=generator, dtype=torch.float64) ** (1 / units)
    ball = (reach * far * way / way.norm(dim=1, keepdim=True)).to(states.device)
    centred = states - states.mean(0)
    # The symmetric root, so that a rotation of the states rotates the ellipsoid alone.
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(states))
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    return (states.mean(0) + ball @ root).to(h.dtype)


def confident_share(
    head: Callable[[Tensor], Tensor],
    h: Tensor,
    *,
    threshold: float = 0.9,
    reach: float = 3.0,
    n: int = 4096,
    seed: int = 0,
) -> float:
    """Return the share of the space around states where the largest probability is high.

    Args:
        head: the layers behind the states, (n, H) -> (n, K) logits.
        h: (N, H) states; they fix the ellipsoid of `ball_around`.
        threshold: of the largest probability.
        reach: of the ellipsoid.
        n: points in it; the standard error of the share is at most ``1 / (2 sqrt(n))``.
        seed: of the points.

    Raises:
        ValueError, TypeError: a number does not fit; the message names it.

    Example:
        >>> h = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
        >>> confident_share(lambda z: torch.zeros(len(z), 2), h)   # probability 1/2 everywhere
        0.0
    """
    threshold = checks.number("threshold", threshold, low=0, high=1)
    with torch.no_grad():
        logits = head(ball_around(h, n, reach, seed))
    return float((logits.softmax(-1).amax(-1) > threshold).double().mean())


def nearest_mean_accuracy(h: Tensor, y: Tensor, h_test: Tensor, y_test: Tensor) -> float:
    """Return how many test states, in percent, lie nearest to the mean of their class.

    Args:
        h: (N, H) states that the means are taken of.
        y: (N,) their classes, 0 to K - 1.
        h_test: (M, H) states.
        y_test: (M,) their classes.

    Example:
        >>> h, y = torch.tensor([[0.0], [4.0]]), torch.tensor([0, 1])
        >>> nearest_mean_accuracy(h, y, torch.tensor([[1.0], [1.5]]), torch.tensor([0, 1]))
        50.0
    """
    means, of = class_means(h, y)
    names = y.new_zeros(len(means)).scatter_(0, of, y)
    found = names[torch.cdist(_states(h_test), means).argmin(1)]
    return 100 * float((found == y_test).double().mean())


def _states(h: Tensor) -> Tensor:
    if h.ndim != 2 or not h.is_floating_point() or not len(h):
        raise ValueError(f"h: expected (N, H) states, but got {tuple(h.shape)}, {h.dtype}")
    return h.detach().double()
