"""Segments between two classes: do they pass through a third, and must they?

For the second observation of Manifold Mixup v1, section 5. Four facts are used.

- *Nearest mean.* The segment between the means of A and B enters the cell of C exactly if C lies
  in the open ball with diameter AB, that is if ``(a - c) . (b - c) < 0``: the angle at C is obtuse.
- *Linear head.* On a segment every logit is affine in the weight, so C is on top somewhere exactly
  if it is on top where A and B are equal.
- *Random points.* The angle at one of three independent Gaussian points of R^d is obtuse with
  probability ``I_{1/4}(d/2, d/2)``, the regularised incomplete beta function; see
  `obtuse_share` for points on a sphere.
- *The plane.* Whatever the classifier, K points of K classes in the plane have at most 3 K - 6
  segments that stay within the two classes of their ends.
"""

from __future__ import annotations

import math

import torch
from scipy import integrate, special
from torch import Tensor

from mmlib.checks import choice, integer


def third_class(predictions: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return where a prediction is neither of the two classes of its pair, bool ``(L, P)``.

    Args:
        predictions: ``(L, P)`` classes along L points of P paths.
        first: ``(P,)`` class of one end.
        second: ``(P,)`` class of the other.

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> along = torch.tensor([[0, 0], [2, 0], [1, 3]])
        >>> third_class(along, torch.tensor([0, 0]), torch.tensor([1, 3])).any(0).tolist()
        [True, False]
    """
    if predictions.ndim != 2 or not first.shape == second.shape == predictions.shape[1:]:
        raise ValueError(
            f"predictions: expected (L, P) with P classes of either end, but got "
            f"{tuple(predictions.shape)}, {tuple(first.shape)} and {tuple(second.shape)}"
        )
    return (predictions != first) & (predictions != second)


def crossed_pairs(means: Tensor) -> Tensor:
    """Return for each pair of means whether their segment meets a third cell, bool ``(K, K)``.

    The classifier is that of the nearest mean. At the middle of the segment A and B are equally
    near; towards A the squared distance to C less that to A is affine and ends positive, so if it
    is not negative in the middle it is not negative anywhere, and the same towards B. So the pair
    (A, B) is crossed exactly if some C has ``|c - (a + b)/2| < |a - b| / 2``, which is
    ``(a - c) . (b - c) < 0``: pairs that are *not* crossed are the edges of the Gabriel graph.

    Args:
        means: ``(K, d)``, K >= 2, all different.

    Returns:
        Symmetric, False on the diagonal.

    Raises:
        ValueError: `means` is not a matrix of at least two rows.

    Example:
        >>> line = torch.tensor([[0.0], [1.0], [2.0]])
        >>> crossed_pairs(line)[0].tolist()  # from 0 to 2 one passes 1
        [False, False, True]
    """
    return _inner(means).lt(0).any(0)


def crossing_margin(means: Tensor) -> Tensor:
    """Return the smallest ``(a - c) . (b - c) / |a - b|^2`` over third classes, ``(K, K)``.

    Negative where a pair is crossed, -1/4 where a third mean lies in the middle; without unit. NaN
    on the diagonal, infinite for K = 2.

    Example:
        >>> crossing_margin(torch.tensor([[0.0], [1.0], [2.0]]))[0, 2].item()
        -0.25
    """
    inner = _inner(means)
    smallest = inner.amin(0) if len(means) > 2 else torch.full_like(inner[0], torch.inf)
    return smallest / torch.cdist(means.double(), means.double()).square()


def _inner(means: Tensor) -> Tensor:
    """``(a - c) . (b - c)`` as (C, A, B), infinite where C is A or B or A is B."""
    if means.ndim != 2 or len(means) < 2:
        raise ValueError(f"means: expected (K, d) with K >= 2, but got {tuple(means.shape)}")
    away = means.double()[None] - means.double()[:, None]  # [c, a] = a - c
    inner = away @ away.transpose(1, 2)
    same = torch.eye(len(means), dtype=torch.bool, device=means.device)
    return inner.masked_fill(same[:, :, None] | same[:, None, :] | same[None], torch.inf)


def crosses_linearly(logits_a: Tensor, logits_b: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return whether a third class is on top somewhere between two points, bool ``(P,)``.

    For a part of the network that is affine, such as a linear head: the logits on the segment are
    ``t l(A) + (1 - t) l(B)``. A is on top at one end and B at the other, so their lines meet at
    one t*, where their upper envelope is lowest. An affine l_C that is below it at both ends and at
    t* is below it throughout. So C appears exactly if ``l_C(t*) > l_A(t*)``.

    Args:
        logits_a: ``(P, K)`` at the ends of class `a`, where it is on top.
        logits_b: ``(P, K)`` at the ends of class `b`, where it is on top.
        a: ``(P,)`` classes.
        b: ``(P,)`` classes, different from `a`.

    Raises:
        ValueError: At some end another class is on top.

    Example:
        >>> one, two = torch.tensor([[1.0, 0.0, 0.9]]), torch.tensor([[0.0, 1.0, 0.9]])
        >>> crosses_linearly(one, two, torch.tensor([0]), torch.tensor([1])).item()
        True
    """
    if not (logits_a.argmax(1) == a).all() or not (logits_b.argmax(1) == b).all():
        raise ValueError("logits: expected the class of each end on top at that end")
    rows = torch.arange(len(a), device=a.device)
    lead_a = logits_a[rows, a] - logits_a[rows, b]  # >= 0
    lead_b = logits_b[rows, b] - logits_b[rows, a]  # >= 0
    t = (lead_b / (lead_a + lead_b))[:, None]
    meeting = t * logits_a + (1 - t) * logits_b
    top = meeting[rows, a]
    others = meeting.clone()
    others[rows, a] = others[rows, b] = -torch.inf
    return others.amax(1) > top


def obtuse_share(dimension: int, law: str = "gaussian") -> float:
    """Return the probability that the angle at C of three random points of R^d is obtuse.

    This is the share of random pairs of means whose segment a third random mean cuts off.

    *Gaussian.* With A, B, C independent N(0, I), ``(A + B)/2 - C`` and ``(A - B)/2`` are
    independent with variances 3/2 and 1/2 a coordinate, and the angle is obtuse exactly if the
    first is shorter: ``3 P < Q`` for independent chi-squared P and Q with d degrees of freedom,
    ``P / (P + Q) < 1/4``, so the share is ``I_{1/4}(d/2, d/2)``.

    *Sphere.* On the unit sphere with angle t between A and B it is obtuse exactly if C is within
    t/2 of the direction of A + B. A cap of angle t/2 <= pi/2 holds the share
    ``I_{sin^2(t/2)}((d - 1)/2, 1/2) / 2``, and t has density proportional to ``sin^{d-2} t``.

    Args:
        dimension: d, at least 1 (at least 2 on a sphere).
        law: ``"gaussian"`` or ``"sphere"``.

    Raises:
        TypeError, ValueError: Another law, or too small a dimension.

    Example:
        >>> round(obtuse_share(2), 10), round(obtuse_share(2, "sphere"), 10)
        (0.25, 0.25)
        >>> round(obtuse_share(3, "sphere"), 10), obtuse_share(30) < 0.002
        (0.1666666667, True)
    """
    d = integer("dimension", dimension, low=1 if law == "gaussian" else 2)
    if choice("law", law, ("gaussian", "sphere")) == "gaussian":
        return float(special.betainc(d / 2, d / 2, 0.25))

    def weighted(t: float) -> float:
        cap = special.betainc((d - 1) / 2, 0.5, math.sin(t / 2) ** 2) / 2
        return cap * math.sin(t) ** (d - 2)

    top, _ = integrate.quad(weighted, 0, math.pi)
    return top / float(special.beta((d - 1) / 2, 0.5))


def least_crossed_share(classes: int) -> float:
    """Return the least share of class pairs that pass a third class in the plane.

    Take any classifier on the plane and one point of each of K classes. Segments that stay within
    the classes of their ends cannot meet but at a common end, because they lie in cells that have
    nothing in common otherwise: they draw a planar graph without crossings, which has at most
    3 K - 6 edges for K >= 3. All other pairs pass through a third class. In space there is no such
    bound: every graph can be drawn there.

    Example:
        >>> round(least_crossed_share(10), 4), least_crossed_share(4)
        (0.4667, 0.0)
    """
    k = integer("classes", classes, low=2)
    pairs = k * (k - 1) // 2
    return max(0, pairs - max(1, 3 * k - 6)) / pairs
