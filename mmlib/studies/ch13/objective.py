"""Equation 1 and the k-mixup objective on tiny data, every draw enumerated."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from mmlib.measures.subspaces import beta_nodes
from mmlib.mixing import Mixup, OptimalPairing, soft_cross_entropy
from mmlib.models import mlp

N = 4  # all pairs of orders of four examples are 576


class Tiny:
    """Four examples of three classes and a small network, in float64.

    Args:
        alpha: of the weights.
        seed: of everything.
    """

    def __init__(self, alpha: float, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.alpha = alpha
        self.x = torch.randn(N, 2, generator=generator, dtype=torch.float64)
        self.y = torch.tensor([0, 1, 2, 0])
        self.targets = nn.functional.one_hot(self.y, 3).double()
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(seed)
            self.net = mlp((2, 8, 3), "tanh").double()
        self.lam, self.weight = map(torch.from_numpy, beta_nodes(alpha, 12))

    @torch.no_grad()
    def losses(self) -> Tensor:
        """Return the expected loss of each pair over lambda, (N, N), by quadrature."""
        rows, columns = torch.meshgrid(torch.arange(N), torch.arange(N), indexing="ij")
        lam = self.lam[:, None, None, None]
        x = lam * self.x[rows] + (1 - lam) * self.x[columns]
        t = lam * self.targets[rows] + (1 - lam) * self.targets[columns]
        each = soft_cross_entropy(self.net(x.flatten(0, 2)), t.flatten(0, 2), reduction="none")
        return torch.einsum("q,qij->ij", self.weight, each.view(len(lam), N, N))


def orders() -> Iterator[Tensor]:
    """Yield all pairs of orders of the examples, (2, N) each."""
    for first in itertools.permutations(range(N)):
        for second in itertools.permutations(range(N)):
            yield torch.tensor([first, second])


def pair_law(k: int, x: Tensor, sets: str = "independent") -> Tensor:
    """Return the chance of each pair under the library's pairing, averaged over all its orders.

    Example:
        >>> pair_law(1, torch.randn(4, 2))[0].tolist()
        [0.0625, 0.0625, 0.0625, 0.0625]
    """
    pairing, found = OptimalPairing(k, sets=sets), torch.zeros(N, N, dtype=torch.float64)
    other = x if sets == "independent" else None
    for order in orders():
        first = order if other is not None else order[:1].expand(2, -1)
        partner = pairing.match(first, x, other)
        found.index_put_((first[0], partner), torch.ones(N).double(), accumulate=True)
    return found / found.sum()


def subset_law(k: int, x: Tensor) -> Tensor:
    """Return the chance of each pair from the definition: all pairs of k-subsets, all k! maps.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [5.0], [6.0]]).double()
        >>> bool(torch.allclose(subset_law(2, x), pair_law(2, x)))
        True
    """
    x, found = x.numpy(), torch.zeros(N, N, dtype=torch.float64)
    subsets = list(itertools.combinations(range(N), k))
    for first, second in itertools.product(subsets, subsets):
        best = min(
            itertools.permutations(second),
            key=lambda order, f=first: sum(
                ((x[i] - x[j]) ** 2).sum() for i, j in zip(f, order, strict=True)
            ),
        )
        for i, j in zip(first, best, strict=True):
            found[i, j] += 1
    return found / found.sum()


def average(law: Tensor, losses: Tensor) -> float:
    """Return the mean loss over pairs."""
    return float((law * losses).sum())


def sampled(tiny: Tiny, k: int, draws: int, seed: int, exact: float) -> float:
    """Return by how many standard errors `mmlib.mixing.Mixup` misses the exact mean loss."""
    mixup = Mixup(
        tiny.alpha,
        pairing=OptimalPairing(k, sets="independent"),
        num_classes=3,
        generator=torch.Generator().manual_seed(seed),
    )

    @torch.no_grad()
    def one() -> float:
        mixed = mixup(tiny.net, tiny.x, tiny.targets, other=(tiny.x, tiny.targets))
        return float(soft_cross_entropy(mixed.logits, mixed.targets))

    values = np.array([one() for _ in range(draws)])
    return float(abs(values.mean() - exact) / (values.std(ddof=1) / np.sqrt(draws)))


def objective(alpha: float, draws: int, seed: int) -> dict[str, float]:
    """Check equation 1, the objective for k = 2, and their meeting at k = 1.

    Controls: pairs that are never of one example with itself (disjoint sets); k = 2 for k = 1.
    """
    tiny = Tiny(alpha, seed)
    losses, uniform = tiny.losses(), torch.full((N, N), 1 / N**2, dtype=torch.float64)
    one, two, exact_two = pair_law(1, tiny.x), pair_law(2, tiny.x), subset_law(2, tiny.x)
    apart: Callable[[int], Tensor] = lambda k: pair_law(k, tiny.x, "disjoint")  # noqa: E731
    mixup, ek = average(uniform, losses), average(exact_two, losses)
    return {
        "eq1_error": abs(average(one, losses) - mixup),
        "eq1_control": abs(average(apart(1), losses) - mixup),
        "eq1_sampled": sampled(tiny, 1, draws, seed, mixup),
        "ek_error": abs(average(two, losses) - ek),
        "ek_law_error": float((two - exact_two).abs().max()),
        "ek_control": abs(average(apart(2), losses) - ek),
        "ek_law_control": float((apart(2) - exact_two).abs().max()),
        "ek_sampled": sampled(tiny, 2, draws, seed, ek),
        "k1_error": float((subset_law(1, tiny.x) - uniform).abs().max()),
        "k1_law_error": float((one - uniform).abs().max()),
        "k1_control": float((two - uniform).abs().max()),
    }
