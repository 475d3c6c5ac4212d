r"""Spectra of hidden states by class, and what may be read from them.

The texts call a class *flatter* when its states vary in fewer directions (final version, appendix
G). The words hide three choices: whether the states are centred, by what they are scaled, and which
number is made of the spectrum. All spectra here are of :math:`H_k / \sqrt{n_k}`, with the states
of class k in the rows of :math:`H_k`, so that the squares of centred ones are variances.

What the rest of a network makes of states does not change when they are multiplied by an
invertible matrix A and the next weights by its inverse. Measures differ in what they ignore:
singular values change with a scale; their ratios and effective ranks do not, nor with a rotation,
but with other A; the spectrum of `whitened` states and numerical ranks change with no A.
"""

from __future__ import annotations

import torch
from scipy.linalg import subspace_angles
from torch import Tensor

from mmlib import checks


def _checked(h: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    if h.ndim != 2 or not h.is_floating_point() or h.shape[0] < 1 or h.shape[1] < 1:
        raise ValueError(f"h: expected (N, H) states, but got {tuple(h.shape)}, {h.dtype}")
    if y.shape != h.shape[:1] or y.is_floating_point():
        raise ValueError(
            f"y: expected ({h.shape[0]},) class indices, but got {tuple(y.shape)}, {y.dtype}"
        )
    return h.detach().double(), y


def _spectrum(s: Tensor) -> Tensor:
    s = torch.as_tensor(s, dtype=torch.float64)
    if s.ndim < 1 or s.shape[-1] < 1 or not (s >= 0).all():
        raise ValueError(f"s: expected (..., H) singular values >= 0, but got {s!r}")
    return s


def spectrum(h: Tensor, centred: bool = True) -> Tensor:
    r"""Return the singular values of :math:`H / \sqrt{N}`, falling, padded with zeros to (H,).

    Args:
        h: (N, H) states.
        centred: subtract the mean first; then the squares are the variances along the principal
            directions.

    Example:
        >>> spectrum(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).tolist()
        [1.0, 0.0]
    """
    checks.boolean("centred", centred)
    h, _ = _checked(h, torch.zeros(len(h), dtype=torch.long))
    h = h - h.mean(0) if centred else h
    found = torch.linalg.svdvals(h / len(h) ** 0.5)
    return torch.cat([found, found.new_zeros(h.shape[1] - len(found))])


def class_spectra(h: Tensor, y: Tensor, centred: bool = True) -> dict[int, Tensor]:
    r"""Return for each class the singular values of :math:`H_k / \sqrt{n_k}`, float64.

    Args:
        h: (N, H) states.
        y: (N,) class indices.
        centred: subtract the class mean first.

    Returns:
        class -> (H,) values, falling, in the order of the classes.

    Raises:
        ValueError: h or y has another shape or type.
        TypeError: `centred` is not a bool.

    Example:
        >>> h = torch.tensor([[3.0, 1.0], [3.0, -1.0], [0.0, 2.0]])
        >>> found = class_spectra(h, torch.tensor([0, 0, 1]))
        >>> found[0].tolist(), found[1].tolist()
        ([1.0, 0.0], [0.0, 0.0])
    """
    h, y = _checked(h, y)
    return {int(k): spectrum(h[y == k], centred) for k in y.unique()}


def _shares(s: Tensor) -> Tensor:
    """Return the shares of the variance; of no variance at all, zeros."""
    variance = _spectrum(s).square()
    total = variance.sum(-1, keepdim=True)
    return variance / torch.where(total > 0, total, torch.ones_like(total))


def effective_rank(s: Tensor) -> Tensor:
    r"""Return :math:`\exp(-\sum_i p_i \log p_i)` with :math:`p_i = s_i^2 / \sum_j s_j^2`.

    (..., H) -> (...): between 1 (one direction) and H (all alike), 0 where all states are one
    point. The effective rank of Roy and Vetterli (2007), taken of variances.

    Example:
        >>> round(effective_rank(torch.tensor([2.0, 2.0, 2.0, 0.0])).item(), 6)
        3.0
    """
    p = _shares(s)
    entropy = torch.special.entr(p).sum(-1)
    return torch.where(p.sum(-1) > 0, entropy.exp(), torch.zeros_like(entropy))


def participation_ratio(s: Tensor) -> Tensor:
    r"""Return :math:`(\sum_i s_i^2)^2 / \sum_i s_i^4`, (..., H) -> (...), 0 for one point.

    Never above `effective_rank`; rules out small directions more.

    Example:
        >>> round(participation_ratio(torch.tensor([1.0, 1.0, 0.0])).item(), 6)
        2.0
    """
    square = _shares(s).square().sum(-1)
    return torch.where(square > 0, 1 / square, torch.zeros_like(square))


def dimensions_for(s: Tensor, share: float = 0.95) -> Tensor:
    """Return the least number of directions that hold a share of the variance, (..., H) -> (...).

    Raises:
        ValueError: the share is not in (0, 1].

    Example:
        >>> dimensions_for(torch.tensor([3.0, 1.0, 0.1])).item()   # 9 of 10.01, then 10
        2
    """
    share = checks.number("share", share, low=0, low_open=True, high=1)
    held = _shares(s).sort(-1, descending=True).values.cumsum(-1)
    total = held[..., -1:]
    return (held < share * total - 1e-12).sum(-1) + (total[..., 0] > 0)


def tail_over_top(s: Tensor) -> Tensor:
    r"""Return the mean of :math:`s_2, \dots, s_H` over :math:`s_1`, (..., H) -> (...).

    NaN for H = 1 and for one point.

    Example:
        >>> tail_over_top(torch.tensor([4.0, 2.0, 0.0])).item()
        0.25
    """
    s = _spectrum(s)
    return s[..., 1:].mean(-1) / s[..., 0]


def numerical_rank(s: Tensor, tolerance: float = 1e-4) -> Tensor:
    """Return how many singular values exceed `tolerance` times the largest, (..., H) -> (...).

    Example:
        >>> numerical_rank(torch.tensor([2.0, 1e-3, 1e-9])).item()
        2
    """
    checks.number("tolerance", tolerance, low=0, high=1)
    s = _spectrum(s)
    return (s > tolerance * s.amax(-1, keepdim=True)).sum(-1)


def class_means(h: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean state of each class (d, H) and the place of each example's class (N,).

    Example:
        >>> means, of = class_means(torch.tensor([[1.0], [3.0], [7.0]]), torch.tensor([4, 4, 9]))
        >>> means.tolist(), of.tolist()
        ([[2.0], [7.0]], [0, 0, 1])
    """
    h, y = _checked(h, y)
    _, of, count = y.unique(return_inverse=True, return_counts=True)
    means = h.new_zeros(len(count), h.shape[1]).index_add_(0, of, h) / count[:, None]
    return means, of


def within_over_total(h: Tensor, y: Tensor) -> float:
    r"""Return :math:`\mathrm{tr}\, S_W / \mathrm{tr}\, S_T`, within-class over total variance.

    In [0, 1]; unchanged by scale, shift and rotation of the states, not by other linear maps. NaN
    where all states are one point.

    Raises:
        ValueError: h or y has another shape or type.

    Example:
        >>> h = torch.tensor([[0.0], [2.0], [10.0], [12.0]])
        >>> round(within_over_total(h, torch.tensor([0, 0, 1, 1])), 6)   # 1 / 26
        0.038462
    """
    means, of = class_means(h, y)
    h = h.detach().double()
    total = (h - h.mean(0)).square().sum()
    return float((h - means[of]).square().sum() / total)


def whitened(h: Tensor, tolerance: float = 1e-6) -> Tensor:
    r"""Return states whose covariance is the identity on the directions in which they vary.

    :math:`S_T^{-1/2} (h - \bar h)`, with the pseudo-inverse: directions with less than `tolerance`
    of the largest standard deviation are dropped. Spectra of whitened states are unchanged by every
    invertible affine map of the states, as is what a following layer can make of them.

    Args:
        h: (N, H) states.
        tolerance: relative, in units of standard deviations.

    Returns:
        (N, R) in float64, R the number of directions kept.

    Example:
        >>> h = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
        >>> spectrum(whitened(h @ torch.diag(torch.tensor([1.0, 100.0, 0.0])))).round(decimals=6)
        tensor([1., 1.], dtype=torch.float64)
    """
    checks.number("tolerance", tolerance, low=0, high=1)
    h, _ = _checked(h, torch.zeros(len(h), dtype=torch.long))
    u, s, _ = torch.linalg.svd(h - h.mean(0), full_matrices=False)
    return u[:, s > tolerance * s.amax()] * len(h) ** 0.5


def between_share(h: Tensor, y: Tensor) -> tuple[float, float]:
    """Return the share of the within-class variance along differences of class means.

    The means of d classes in general position span min(d - 1, H) directions.

    Args:
        h: (N, H) states.
        y: (N,) class indices.

    Returns:
        The share, and what it would be if all directions held the same variance, (d - 1) / H.

    Example:
        >>> h = torch.tensor([[0.0, 1.0], [0.0, -1.0], [5.0, 1.0], [5.0, -1.0]])
        >>> between_share(h, torch.tensor([0, 0, 1, 1]))   # varies across, not along
        (0.0, 0.5)
    """
    means, of = class_means(h, y)
    within = h.detach().double() - means[of]
    _, s, v = torch.linalg.svd(means - means.mean(0), full_matrices=False)
    basis = v[s > 1e-9 * s.amax()]
    share = (within @ basis.T).square().sum() / within.square().sum()
    return float(share), len(basis) / h.shape[1]


def outward_share(h: Tensor, y: Tensor) -> float:
    """Return the share of the within-class variance along the way from the centre to a class.

    Each class has its own direction, that of its mean from the mean of all. A network without any
    bound on its logits can move examples along it without changing their class.

    Example:
        >>> h = torch.tensor([[1.0, 0.0], [3.0, 0.0], [-1.0, 0.0], [-3.0, 0.0]])
        >>> outward_share(h, torch.tensor([0, 0, 1, 1]))
        1.0
    """
    means, of = class_means(h, y)
    h = h.detach().double()
    way = torch.nn.functional.normalize(means - h.mean(0), dim=1)[of]
    within = h - means[of]
    return float((within * way).sum(1).square().sum() / within.square().sum())


def principal_angles(a: Tensor, b: Tensor) -> Tensor:
    """Return the principal angles between the column spaces of a and b, rising, in radians.

    Args:
        a: (H, p), columns that span one subspace; they need not be orthonormal.
        b: (H, q), the other.

    Returns:
        (min(rank a, rank b),) angles in [0, pi / 2].

    Raises:
        ValueError: the columns live in different spaces.

    Example:
        >>> e = torch.eye(3)
        >>> principal_angles(e[:, :2], e[:, 1:]).tolist()   # they share the second axis
        [0.0, 1.5707963267948966]
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[0]:
        raise ValueError(
            f"a, b: expected (H, p) and (H, q), but got {tuple(a.shape)} and {tuple(b.shape)}"
        )
    found = subspace_angles(a.detach().double().numpy(), b.detach().double().numpy())
    return torch.from_numpy(found[::-1].copy())
