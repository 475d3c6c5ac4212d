r"""The law of the partners in k-mixup, by enumeration of all subsets (k-Mixup, section 4).

For subsets :math:`\gamma, \xi` of k out of N points let :math:`\sigma_{\gamma\xi}` be the cheapest
matching. Three laws of the partner of point i follow:

* given :math:`\gamma`, over all :math:`\xi`: `CouplingLaw.given`, with mean
  :math:`\bar x_i^\gamma`;
* over all :math:`\gamma` that hold i as well: :math:`\mathcal D_i`, `CouplingLaw.weights`;
* the same from draws of the library, for sets too large to enumerate: `sampled_weights`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mmlib import checks
from mmlib.mixing import OptimalPairing

LIMIT = 10_000_000  # assignments that one call compares at most: a few seconds
TIES = ("average", "solver")
_EQUAL = 1e-10  # relative: two assignments whose costs differ by less are a tie


@dataclass(frozen=True)
class CouplingLaw:
    r"""Laws of the partners of N points over all subsets of k of them.

    Attributes:
        subsets: (C, k) indices, all C = N choose k subsets in lexicographic order.
        given: (C, k, N) probability of each partner of ``subsets[c, a]``, over all subsets
            :math:`\xi`.
    """

    subsets: Tensor
    given: Tensor

    @cached_property
    def weights(self) -> Tensor:
        r"""Return the laws of all partners; row i is :math:`\mathcal D_i`, the mean of `given`.

        A matrix of N rows and columns; the mean is over the subsets that hold i.

        Doubly stochastic for every rule of breaking ties; symmetric if
        :math:`\sigma_{\xi\gamma} = \sigma_{\gamma\xi}^{-1}`.
        """
        n = self.given.shape[-1]
        total = self.given.new_zeros(n, n)
        total.index_add_(0, self.subsets.flatten(), self.given.flatten(0, 1))
        return total / math.comb(n - 1, self.subsets.shape[1] - 1)

    def means(self, values: Tensor) -> Tensor:
        r"""Return :math:`\bar x_i^\gamma`, the mean of (N, D) values at the partner, (C, k, D)."""
        return self.given @ values

    def covariances(self, first: Tensor, second: Tensor) -> Tensor:
        r"""Return :math:`\mathrm{Cov}_\xi` of two values at the partner, (C, k, D1, D2).

        Args:
            first: (N, D1) values.
            second: (N, D2) values.
        """
        products = torch.einsum("csn,nd,ne->csde", self.given, first, second)
        return products - self.means(first).unsqueeze(-1) * self.means(second).unsqueeze(-2)


def coupling_law(x: Tensor, k: int, *, ties: str = "average") -> CouplingLaw:
    """Enumerate all pairs of subsets of k points and all k! assignments of each.

    Args:
        x: (N, D) points, float64 advised.
        k: size of the subsets, 1 to N.
        ties: of equally cheap assignments "average" takes each with the same probability,
            "solver" the one that scipy's solver returns, which need not be the inverse of the one
            it returns for the two subsets exchanged.

    Raises:
        ValueError: points are no matrix or not finite, k is outside [1, N], ties is unknown, or
            more than `LIMIT` assignments would have to be compared.
        TypeError: k is no integer.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [3.0]]).double()
        >>> coupling_law(x, 1).weights[0].tolist()      # k = 1: any point, itself included
        [0.3333333333333333, 0.3333333333333333, 0.3333333333333333]
        >>> (6 * coupling_law(x, 2).weights).round().int().tolist()    # in sixths
        [[4, 2, 0], [2, 2, 2], [0, 2, 4]]
    """
    x = _points(x)
    n = len(x)
    k = checks.integer("k", k, low=1, high=n)
    checks.choice("ties", ties, TIES)
    count = math.comb(n, k) ** 2 * math.factorial(k)
    if count > LIMIT:
        raise ValueError(
            f"N={n}, k={k}: expected at most {LIMIT:,} assignments to enumerate, but there are "
            f"{count:,}; sampled_weights takes larger sets"
        )
    subsets = torch.tensor(list(itertools.combinations(range(n), k)))
    orders = torch.tensor(list(itertools.permutations(range(k))))  # (P, k)
    chosen = torch.nn.functional.one_hot(orders, k).to(x.dtype)  # (P, k, k)
    cost = _squared_distances(x)
    rows = torch.arange(k)
    given = x.new_zeros(len(subsets), k, n)
    for law, gamma in zip(given, subsets, strict=True):
        block = cost[gamma][:, subsets].transpose(0, 1)  # (C, k, k)
        if ties == "solver":
            columns = np.stack([linear_sum_assignment(one)[1] for one in block.numpy()])
            plan = torch.nn.functional.one_hot(torch.from_numpy(columns), k).to(x.dtype)
        else:
            total = block[:, rows, orders].sum(-1)  # (C, P)
            best = total <= total.min(1, keepdim=True).values + _EQUAL * k * cost.max()
            share = best / best.sum(1, keepdim=True).to(x.dtype)
            plan = torch.tensordot(share, chosen, 1)  # (C, k, k)
        law.index_add_(1, subsets.flatten(), plan.transpose(0, 1).flatten(1))
    return CouplingLaw(subsets, given / len(subsets))


def enumerated_mean(values: Tensor, x: Tensor, k: int) -> float:
    r"""Return the mean over all pairs of subsets and their matches of values[i, sigma(i)].

    .. math:: \binom{N}{k}^{-2} \sum_{\gamma, \xi} \frac1k \sum_{i \in \gamma}
        v_{i, \sigma_{\gamma\xi}(i)}

    A plain double loop around scipy's assignment, on purpose: with the mixed loss of each pair as
    values it is :math:`\mathcal E_k^{mix}` as defined in k-Mixup, section 2, and shares no code
    with `coupling_law`.

    Args:
        values: (N, N) one value for each ordered pair.
        x: (N, D) points.
        k: size of the subsets.

    Raises:
        ValueError, TypeError: shapes do not fit, k is outside [1, N], or there are more than a
            million pairs of subsets.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [3.0]]).double()
        >>> round(enumerated_mean(torch.eye(3), x, 2), 6)     # 10 of 18 points match themselves
        0.555556
    """
    x = _points(x)
    k = checks.integer("k", k, low=1, high=len(x))
    if values.shape != (len(x), len(x)):
        raise ValueError(
            f"values: expected {(len(x), len(x))} for {len(x)} points, but got "
            f"{tuple(values.shape)}"
        )
    if (count := math.comb(len(x), k) ** 2) > LIMIT // 10:
        raise ValueError(
            f"N={len(x)}, k={k}: expected at most {LIMIT // 10:,} pairs of subsets, but there are "
            f"{count:,}"
        )
    cost, table = _squared_distances(x).numpy(), values.numpy()
    subsets = [np.array(one) for one in itertools.combinations(range(len(x)), k)]
    total = 0.0
    for gamma, xi in itertools.product(subsets, subsets):
        _, columns = linear_sum_assignment(cost[np.ix_(gamma, xi)])
        total += table[gamma, xi[columns]].mean()
    return float(total / len(subsets) ** 2)


def sampled_weights(
    x: Tensor,
    k: int,
    draws: int,
    generator: torch.Generator | None = None,
    *,
    sets: str = "independent",
) -> Tensor:
    r"""Return the shares of partners in draws of `OptimalPairing`, (N, N) with mean row sum 1.

    Each draw cuts two permutations of the points into blocks of k and matches the blocks, so every
    block is a uniform pair of subsets if k divides N, and the rows estimate :math:`\mathcal D_i`.

    Args:
        x: (N, D) points.
        k: size of the blocks; must divide N.
        draws: number of draws, each of N pairs.
        generator: makes the draws repeatable.
        sets: as in `OptimalPairing`.

    Raises:
        ValueError: k does not divide N; points as in `coupling_law`.
        TypeError: k or draws is no integer.

    Example:
        >>> x = torch.tensor([[0.0], [0.1], [5.0], [5.1]])
        >>> sampled_weights(x, 4, 3, torch.Generator().manual_seed(0)).tolist() == \
        ...     torch.eye(4).tolist()
        True
    """
    return sum(_drawn(x, k, draws, generator, sets)) / draws  # type: ignore[return-value]  # draws >= 1


def sampled_mean(
    values: Tensor,
    x: Tensor,
    k: int,
    draws: int,
    generator: torch.Generator | None = None,
    *,
    sets: str = "independent",
) -> tuple[float, float]:
    """Return mean and standard error over draws of the mean of values[i, partner of i].

    Arguments as those of `sampled_weights` and `enumerated_mean`, which it estimates.

    Raises:
        ValueError, TypeError: as `sampled_weights`; draws below 2.

    Example:
        >>> x = torch.tensor([[0.0], [0.1], [5.0], [5.1]])
        >>> sampled_mean(torch.eye(4), x, 4, 5)
        (1.0, 0.0)
    """
    checks.integer("draws", draws, low=2)
    found = [float((one * values).sum() / len(x)) for one in _drawn(x, k, draws, generator, sets)]
    return float(np.mean(found)), float(np.std(found, ddof=1) / math.sqrt(draws))


def _drawn(
    x: Tensor, k: int, draws: int, generator: torch.Generator | None, sets: str
) -> Iterator[Tensor]:
    """Yield the pairs of each draw as an (N, N) table of zeros and ones."""
    x = _points(x)
    k = checks.integer("k", k, low=1, high=len(x))
    if len(x) % k:
        raise ValueError(f"k: expected a divisor of {len(x)} points, but got {k}")
    pairing = OptimalPairing(k, sets=sets)
    other = sets == "independent"
    for _ in range(checks.integer("draws", draws, low=1)):
        order = pairing.draw(len(x), generator, other=other)
        table = torch.zeros(len(x), len(x), dtype=torch.float64)
        table[order[0], pairing.match(order, x, x if other else None)] = 1
        yield table


def squared_reach(weights: Tensor, x: Tensor) -> Tensor:
    r"""Return :math:`E_{r \sim \mathcal D_i} |r - x_i|^2` for each point, (N,).

    Their mean over i is the mean of :math:`W_2^2` between two random subsets.

    Example:
        >>> squared_reach(torch.full((2, 2), 0.5), torch.tensor([[0.0], [2.0]])).tolist()
        [2.0, 2.0]
    """
    return (weights * _squared_distances(x)).sum(1)


def _points(x: Tensor) -> Tensor:
    if x.ndim != 2 or not len(x):
        raise ValueError(f"x: expected (N, D) points, but got {tuple(x.shape)}")
    if not bool(x.isfinite().all()):
        raise ValueError("x: expected finite points, but got NaN or inf")
    return x


def _squared_distances(x: Tensor) -> Tensor:
    return (x.unsqueeze(1) - x.unsqueeze(0)).square().sum(-1)
