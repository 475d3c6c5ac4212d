r"""What the noise of mixing does to the states: the same mean step with less and more of it.

With an affine head a mix of states has the mix of the residuals, so the sampled loss of a batch,
:math:`\tfrac12 |\lambda r + (1 - \lambda) r_p|^2`, and its expectation over lambda and the
permutation, :math:`\tfrac12 (c V + |\bar r|^2)`, are both written in the residuals of the unmixed
batch. The arms differ in how much of their difference is left in.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from mmlib.measures.mixed_expectation import cross_moments
from mmlib.mixing import Law
from mmlib.mixing.law import permutation, uniforms
from mmlib.models import mlp
from mmlib.studies.ch12.fitted import Examples, blind_share, flatness, residuals


def expected(r: Tensor, lam: float, partner: Tensor, mean_q: float) -> Tensor:
    """Return the mean over lambda and permutations of the mixed loss of residuals (B, K)."""
    return _by_length(r, mean_q)


def lengths(r: Tensor, lam: float, partner: Tensor, mean_q: float) -> Tensor:
    """Return the mean over permutations alone: lambda changes the length of the step."""
    return _by_length(r, lam * (1 - lam))


def crosses(r: Tensor, lam: float, partner: Tensor, mean_q: float) -> Tensor:
    """Return the loss of one permutation, with ``lam (1 - lam)`` at its mean."""
    own, other = r.square().sum(1).mean(), (r * r[partner]).sum(1).mean()
    return (1 - 2 * mean_q) * own / 2 + mean_q * other


def sampled(r: Tensor, lam: float, partner: Tensor, mean_q: float) -> Tensor:
    """Return the mixed loss of one lambda and one permutation, as in training."""
    return (lam * r + (1 - lam) * r[partner]).square().sum(1).mean() / 2


def doubled(r: Tensor, lam: float, partner: Tensor, mean_q: float) -> Tensor:
    """Return the expectation and twice the deviation of the sampled loss from it."""
    args = (lam, partner, mean_q)
    return 2 * sampled(r, *args) - expected(r, *args)


def _by_length(r: Tensor, q: float) -> Tensor:
    mean = r.mean(0)
    variance = (r - mean).square().sum(1).mean()
    return ((1 - 2 * q) * variance + mean.square().sum()) / 2


ARMS: dict[str, Callable[[Tensor, float, Tensor, float], Tensor]] = {
    "expected": expected,
    "lengths": lengths,
    "crosses": crosses,
    "sampled": sampled,
    "doubled": doubled,
}


def train(net: nn.Module, arm: str, data: Examples, settings: dict[str, Any], seed: int) -> None:
    """Train in place, with the batches, permutations and lambdas of `fitted.train`."""
    alpha, loss = settings["alpha"], ARMS[arm]
    generator, law = torch.Generator().manual_seed(seed), Law("beta", alpha)
    mean_q = cross_moments(alpha)[0]
    optimizer = torch.optim.SGD(net.parameters(), settings["lr"], momentum=settings["momentum"])
    x = data.x["train"]
    for _ in range(settings["epochs"]):
        for rows in torch.randperm(len(x), generator=generator).split(settings["batch"]):
            lam = float(law.quantile(uniforms(1, generator))[0])
            partner = permutation(len(rows), generator).to(x.device)
            rows = rows.to(x.device)
            optimizer.zero_grad()
            loss(net(x[rows]) - data.rows[rows], lam, partner, mean_q).backward()
            optimizer.step()


def scatter(settings: dict[str, Any], seed: int, device: str = "cpu") -> dict[str, float]:
    """Train the arms from the weights of `fitted.fitted`.

    Metrics, each followed by ``_<arm>``: ``loss``, half squared error of the training examples;
    those of `fitted.flatness`, with ``test_`` in front on test images; ``blind``, ``test_blind``;
    ``accuracy`` on test images in %.
    """
    data = Examples(settings, seed, device)
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        sizes = (data.x["train"].shape[1], settings["width"], settings["width"])
        first = mlp((*sizes, data.rows.shape[1])).to(device)
    metrics: dict[str, float] = {}
    for name in settings["arms"]:
        net = deepcopy(first)
        train(net, name, data, settings, seed)
        found = {"loss": float(residuals(net, data).square().sum(1).mean()) / 2}
        for split, front in (("train", ""), ("test", "test_")):
            found |= {front + k: v for k, v in flatness(net, data, split).items()}
            found[f"{front}blind"] = blind_share(net, data, split)
        with torch.no_grad():
            hit = net(data.x["test"]).argmax(1) == data.y["test"]
        found["accuracy"] = 100 * float(hit.double().mean())
        metrics |= {f"{key}_{name}": value for key, value in found.items()}
    return metrics
