"""Joint training gives what training each network alone gives."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from mmlib.mixing import bce_on_softmax, capture, resume, soft_cross_entropy
from mmlib.mixing.law import Law
from mmlib.models.bottleneck import bottleneck
from mmlib.training.ensemble_fit import Member, fit_ensemble

WAYS = [
    Member(seed=1),
    Member(seed=1, layers=("input",), alpha=0.5),
    Member(seed=1, layers=("code",), alpha=2.0),
    Member(seed=2, layers=("code",), alpha=2.0, detach=True),
    Member(seed=2, layers=("input", "layer1", "code"), smoothing=0.1),
    Member(seed=1, weight_decay=0.1, loss_scale=0.5),
]


def task(n: int = 50) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(n, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()


def nets_of(n: int, norm: bool = True) -> list[nn.Module]:
    return [bottleneck(6, 3, width=8, norm=norm, seed=0).double() for _ in range(n)]


def weights(net: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_together_as_alone(optimizer: str) -> None:
    x, y = task()
    options = {"epochs": 3, "batch_size": 16, "lr": 0.01, "optimizer": optimizer}
    nets = nets_of(len(WAYS))
    together = fit_ensemble(nets, WAYS, x, y, **options)
    for e, way in enumerate(WAYS):
        net = nets_of(1)[0]
        alone = fit_ensemble([net], [way], x, y, **options)
        torch.testing.assert_close(weights(nets[e]), weights(net), rtol=1e-7, atol=1e-7)
        assert together.train_loss[-1][e] == pytest.approx(alone.train_loss[-1][0])
    assert not torch.allclose(weights(nets[0]), weights(nets[5]))


def test_plain_member_is_a_plain_loop() -> None:
    """Written out with torch alone: order, Adam with its own weight decay, smoothed targets."""
    x, y = task(48)
    net, own = nets_of(1)[0], nets_of(1)[0]
    way = Member(seed=5, weight_decay=0.01, smoothing=0.2)
    fit_ensemble([net], [way], x, y, epochs=2, batch_size=16, lr=0.01)
    optimiser = torch.optim.Adam(own.parameters(), lr=0.01, weight_decay=0.01)
    rng = torch.Generator().manual_seed(5)
    own.train()
    for _ in range(2):
        for rows in torch.randperm(48, generator=rng).split(16):
            torch.randperm(16, generator=rng), torch.rand(2, generator=rng, dtype=torch.float64)
            optimiser.zero_grad()
            nn.functional.cross_entropy(own(x[rows]), y[rows], label_smoothing=0.2).backward()
            optimiser.step()
    torch.testing.assert_close(weights(net), weights(own), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("layer", ["input", "layer2", "code"])
@pytest.mark.parametrize("detach", [False, True])
def test_one_mixed_step_is_that_of_mixup(layer: str, detach: bool) -> None:
    x, y = task(12)
    net, own = nets_of(1, norm=False)[0], nets_of(1, norm=False)[0]
    way = Member(seed=3, layers=(layer,), alpha=0.7, detach=detach)
    fit_ensemble([net], [way], x, y, epochs=1, batch_size=12, lr=0.1, optimizer="sgd", momentum=0.0)
    rng = torch.Generator().manual_seed(3)
    rows, partner = torch.randperm(12, generator=rng), torch.randperm(12, generator=rng)
    u = torch.rand(2, generator=rng, dtype=torch.float64)
    lam = float(Law("beta", 0.7).quantile(u[:1])[0])
    h = capture(own, x[rows], layer)
    mixed = lam * h + (1 - lam) * h[partner]
    logits = resume(own, x[rows], layer, mixed.detach() if detach else mixed)
    targets = nn.functional.one_hot(y[rows], 3).double()
    soft_cross_entropy(logits, lam * targets + (1 - lam) * targets[partner]).backward()
    with torch.no_grad():
        for p in own.parameters():
            if p.grad is not None:
                p -= 0.1 * p.grad
    torch.testing.assert_close(weights(net), weights(own), rtol=1e-5, atol=1e-6)


def test_layers_before_a_blocked_mix_stay() -> None:
    x, y = task()
    nets = nets_of(2, norm=False)
    start = deepcopy(nets[0])
    ways = [Member(layers=("code",), detach=True), Member(layers=("code",))]
    fit_ensemble(nets, ways, x, y, epochs=1, batch_size=10)
    assert torch.equal(nets[0].layer1[0].weight, start.layer1[0].weight)
    assert not torch.equal(nets[1].layer1[0].weight, start.layer1[0].weight)
    assert not torch.equal(nets[0].layer3[0].weight, start.layer3[0].weight)


def test_watch_sees_plain_nets_in_eval_mode() -> None:
    x, y = task()
    nets, seen = nets_of(2), []

    def watch(epoch: int, now: list) -> None:
        seen.append((epoch, now[1].training, weights(now[1])))

    fit_ensemble(nets, WAYS[:2], x, y, epochs=2, batch_size=10, loss=bce_on_softmax, watch=watch)
    assert [(epoch, mode) for epoch, mode, _ in seen] == [(0, False), (1, False), (2, False)]
    assert torch.equal(seen[-1][2], weights(nets[1]))
    assert not torch.equal(seen[0][2], seen[1][2])


def test_a_single_left_over_is_left_out() -> None:
    x, y = task(21)
    nets = nets_of(1)
    assert fit_ensemble(nets, [Member()], x, y, epochs=1, batch_size=10).steps == 2


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"members": [Member()]}, ValueError, "expected one for each of the 2 networks"),
        ({"members": [Member(layers=("kode",))] * 2}, ValueError, "did you mean 'code'"),
        ({"members": [Member(layers=("head",))] * 2}, ValueError, "layers: expected one of"),
        ({"batch_size": 51}, ValueError, "batch_size: expected 2 to 50"),
        ({"batch_size": 1}, ValueError, "batch_size: expected 2 to 50"),
        ({"epochs": 0}, ValueError, "epochs: expected an integer >= 1"),
        ({"optimizer": "lion"}, ValueError, "optimizer: expected one of"),
        ({"schedule": "step"}, ValueError, "schedule: expected one of"),
        ({"lr": 0}, ValueError, "lr: expected a finite number > 0"),
        ({"y": torch.zeros(3, dtype=torch.long)}, ValueError, "equally many examples"),
        ({"x": torch.zeros(50, 6, dtype=torch.uint8)}, TypeError, "need inputs="),
        ({"x": torch.full((50, 6), torch.nan).double()}, FloatingPointError, "member 0.*epoch 1"),
    ],
)
def test_refuses(change: dict, error: type, message: str) -> None:
    x, y = task()
    given = {"members": [Member()] * 2, "x": x, "y": y, "epochs": 1, "batch_size": 10} | change
    with pytest.raises(error, match=message):
        fit_ensemble(nets_of(2), **given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 0}, "alpha"),
        ({"layers": "code"}, "layers: expected a tuple"),
        ({"smoothing": 1.5}, "smoothing"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"detach": 1}, "detach"),
        ({"seed": -1}, "seed"),
        ({"loss_scale": 0}, "loss_scale"),
    ],
)
def test_member_refuses(change: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Member(**change)
