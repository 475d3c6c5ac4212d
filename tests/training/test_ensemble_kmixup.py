"""Joint k-mixup training gives what a plain loop gives each network by itself."""

from collections.abc import Sequence
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from mmlib.mixing import OptimalPairing, soft_cross_entropy
from mmlib.mixing.law import Law
from mmlib.models import mlp
from mmlib.training.ensemble_kmixup import KMember, ensemble_logits, fit_kmixup

WAYS = [
    KMember(seed=1),
    KMember(seed=1, k=1, alpha=0.3),
    KMember(seed=1, k=4, alpha=16.0),
    KMember(seed=2, k=4, alpha=16.0),
    KMember(seed=1, k=5, cost="euclidean"),
    KMember(seed=1, k=3, sets="disjoint"),
    KMember(seed=2, k=8, sets="disjoint", cost="euclidean"),
    KMember(seed=1, k=12, sets="batch"),
    KMember(seed=2, k=6, sets="batch"),
]


def task(n: int = 58, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    x = torch.randn(n, 6, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()


def nets_of(n: int, dtype: torch.dtype = torch.float64) -> list[nn.Module]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = mlp((6, 8, 7, 3)).to(dtype)
    return [deepcopy(net) for _ in range(n)]


def weights(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def plain_loop(
    net: nn.Module,
    way: KMember,
    x: Tensor,
    y: Tensor,
    *,
    epochs: int,
    batch_size: int,
    lr: float = 0.1,
    drops: Sequence[int] = (),
) -> list[float]:
    """Train one network as `fit_kmixup` trains a member, with plain tensors and torch alone."""
    rng = torch.Generator().manual_seed(way.seed)
    optimiser = torch.optim.SGD(net.parameters(), lr, momentum=0.9, weight_decay=1e-4)
    targets = nn.functional.one_hot(y).to(x.dtype)
    law, history = Law("beta", way.alpha), []
    net.train()
    for epoch in range(epochs):
        optimiser.param_groups[0]["lr"] = lr * 0.1 ** sum(epoch >= d for d in drops)
        n = len(x) - (len(x) % batch_size == 1)
        first = torch.randperm(len(x), generator=rng)[:n].split(batch_size)
        second = torch.randperm(len(x), generator=rng)[:n].split(batch_size)
        keys = torch.rand(n, generator=rng, dtype=torch.float64).split(batch_size)
        lams = law.quantile(torch.rand(len(first), generator=rng, dtype=torch.float64)).tolist()
        losses = []
        for rows, others, key, lam in zip(first, second, keys, lams, strict=True):
            mixed, wanted = x[rows], targets[rows]
            if way.k is not None:
                at = torch.arange(len(rows))
                pairing = OptimalPairing(way.k, cost=way.cost, sets=way.sets)
                source = others if way.sets == "independent" else rows
                order = torch.stack([at, key.argsort() if way.sets == "batch" else at])
                other = x[source] if way.sets == "independent" else None
                j = source[pairing.match(order, x[rows], other)]
                mixed = lam * mixed + (1 - lam) * x[j]
                wanted = lam * wanted + (1 - lam) * targets[j]
            optimiser.zero_grad()
            loss = soft_cross_entropy(net(mixed), wanted)
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        history.append(sum(losses) / len(losses))
    return history


@pytest.mark.parametrize("n", [64, 58, 49], ids=["whole", "rest of 10", "rest of 1"])
def test_together_as_a_plain_loop_each(n: int) -> None:
    """k that divides the minibatch and k that does not, whole and shorter last minibatches."""
    x, y = task(n)
    options = {"epochs": 4, "batch_size": 16, "lr": 0.1, "drops": (2, 3)}
    nets = nets_of(len(WAYS))
    history = fit_kmixup(nets, WAYS, x, y, **options)
    for e, way in enumerate(WAYS):
        own = nets_of(1)[0]
        losses = plain_loop(own, way, x, y, **options)
        torch.testing.assert_close(weights(nets[e]), weights(own), rtol=1e-12, atol=1e-12)
        assert [row[e] for row in history.train_loss] == pytest.approx(losses, rel=1e-12)
    assert history.steps == 4 * (len(x) // 16 + (len(x) % 16 > 1))
    ends = torch.stack([weights(net) for net in nets])
    apart = torch.cdist(ends, ends) + torch.eye(len(ends))
    assert apart.min() > 1e-4  # each way of training leads elsewhere


def test_single_precision() -> None:
    x, y = task(64, torch.float32)
    nets = nets_of(len(WAYS), torch.float32)
    fit_kmixup(nets, WAYS, x, y, epochs=3, batch_size=16)
    for e, way in enumerate(WAYS):
        own = nets_of(1, torch.float32)[0]
        plain_loop(own, way, x, y, epochs=3, batch_size=16)
        error = (weights(nets[e]) - weights(own)).norm() / weights(own).norm()
        assert error < 1e-5


def test_other_members_change_nothing_but_rounding() -> None:
    """What is mixed is equal to the last bit; only the batched products may round otherwise."""
    x, y = task()
    options = {"epochs": 2, "batch_size": 16}
    seen: dict[str, list[Tensor]] = {"together": [], "alone": []}

    def spy(name: str, row: int):
        def loss(logits: Tensor, targets: Tensor, reduction: str) -> Tensor:
            seen[name].append(targets[row].clone())
            return soft_cross_entropy(logits, targets, reduction)

        return loss

    for e, way in enumerate(WAYS):
        seen["together"].clear(), seen["alone"].clear()
        nets, alone = nets_of(len(WAYS)), nets_of(1)
        fit_kmixup(nets, WAYS, x, y, loss=spy("together", e), **options)
        fit_kmixup(alone, [way], x, y, loss=spy("alone", 0), **options)
        assert all(a.equal(b) for a, b in zip(*seen.values(), strict=True))
        torch.testing.assert_close(weights(nets[e]), weights(alone[0]), rtol=1e-12, atol=1e-12)


def test_repeated_runs_are_equal_to_the_last_bit() -> None:
    x, y = task(64, torch.float32)
    ways = [WAYS[2], WAYS[0], WAYS[5]]
    first, second = nets_of(3, torch.float32), nets_of(3, torch.float32)
    for nets in (first, second):
        fit_kmixup(nets, ways, x, y, epochs=2, batch_size=16)
    assert all(weights(a).equal(weights(b)) for a, b in zip(first, second, strict=True))


def test_a_full_set_of_the_batch_mixes_nothing() -> None:
    """Sets from one batch with k = B hold the same points: every example is its own partner."""
    x, y = task(64)
    for sets, same in (("batch", True), ("independent", False)):
        nets = nets_of(2)
        fit_kmixup(nets, [KMember(), KMember(k=16, sets=sets)], x, y, epochs=2, batch_size=16)
        assert torch.allclose(weights(nets[0]), weights(nets[1]), rtol=1e-12) == same


def test_images_as_bytes_and_a_watch() -> None:
    x, y = task(32, torch.float32)
    as_bytes = (40 * x + 128).clamp(0, 255).byte().view(32, 1, 2, 3)
    inputs = lambda b: (b.float() - 128) / 40  # noqa: E731
    nets, own, seen = nets_of(2, torch.float32), nets_of(2, torch.float32), []
    ways = [KMember(k=2), KMember()]

    def watch(epoch: int, now: Sequence[nn.Module]) -> None:
        assert not any(net.training for net in now)
        seen.append((epoch, float(weights(now[0]).norm())))

    fit_kmixup(nets, ways, as_bytes, y, epochs=2, batch_size=8, inputs=inputs, watch=watch)
    fit_kmixup(own, ways, inputs(as_bytes), nn.functional.one_hot(y).float(), epochs=2,
               batch_size=8)  # fmt: skip
    assert weights(nets[0]).equal(weights(own[0]))
    assert [epoch for epoch, _ in seen] == [0, 1, 2] and len({norm for _, norm in seen}) == 3
    logits = ensemble_logits(nets, as_bytes, inputs=inputs, batch_size=5)
    for e, net in enumerate(nets):
        torch.testing.assert_close(logits[e], net(inputs(as_bytes)), rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu() -> None:
    x, y = task(64)
    nets, own = [net.cuda() for net in nets_of(len(WAYS))], nets_of(len(WAYS))
    fit_kmixup(nets, WAYS, x.cuda(), y.cuda(), epochs=3, batch_size=16)
    fit_kmixup(own, WAYS, x, y, epochs=3, batch_size=16)
    for a, b in zip(nets, own, strict=True):
        torch.testing.assert_close(weights(a).cpu(), weights(b), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"members": [KMember()] * 3}, "one for each of the 2 networks, but got 3"),
        ({"y": torch.zeros(5, dtype=torch.long)}, "equally many examples, but got 16 and 5"),
        ({"batch_size": 17}, "batch_size: expected 2 to 16, .* but got 17"),
        ({"batch_size": 1}, "batch_size: expected an integer >= 2, but got 1"),
        ({"members": [KMember(), KMember(k=9)]}, "k: expected at most 8 with independent sets"),
        ({"members": [KMember(), KMember(k=5, sets="disjoint")]}, "at most 4 with disjoint sets"),
        ({"x": torch.full((16, 6), float("nan")).double()}, "x: expected finite inputs"),
        ({"lr": 0.0}, "lr: expected"),
        ({"epochs": 0}, "epochs: expected"),
        ({"drops": (-1,)}, "drops: expected"),
    ],
)
def test_what_does_not_fit_is_named(change: dict, message: str) -> None:
    x, y = task(16)
    options = {"members": [KMember(), KMember(k=2)], "x": x, "y": y, "epochs": 1, "batch_size": 8}
    with pytest.raises(ValueError, match=message):
        fit_kmixup(nets_of(2), **(options | change))


def test_members_and_bytes_that_do_not_fit() -> None:
    for fields in ({"k": 0}, {"alpha": 0.0}, {"sets": "all"}, {"cost": "cosine"}, {"seed": -1}):
        with pytest.raises(ValueError, match=f"{next(iter(fields))}: expected"):
            KMember(**fields)
    with pytest.raises(TypeError, match="uint8 images need inputs"):
        fit_kmixup(nets_of(1), [KMember()], torch.zeros(8, 6).byte(), torch.zeros(8).long(),
                   epochs=1, batch_size=4)  # fmt: skip


def test_a_loss_that_runs_away_is_named() -> None:
    x, y = task(16)
    nets = nets_of(2)
    with torch.no_grad():
        nets[1][-1].bias += float("nan")
    with pytest.raises(FloatingPointError, match="member 1 is not finite in epoch 1"):
        fit_kmixup(nets, [KMember(), KMember(k=2)], x, y, epochs=2, batch_size=8)
