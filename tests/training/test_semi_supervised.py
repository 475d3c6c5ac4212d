"""Algorithms 1 and 3 on networks small enough to compute by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mmlib.mixing import Mixup
from mmlib.models import build, mlp
from mmlib.training.semi_supervised import (
    algorithm_1,
    algorithm_3,
    frozen_statistics,
    l1_penalty,
    pseudo_targets,
    sigmoid_ramp,
)


class Swap:
    """A `Mixup` whose lambda is given and whose partners are the batch in reverse."""

    def __new__(cls, lam: float, layer: str = "input"):
        mixup = Mixup(lam=lam, layers=(layer,), generator=torch.Generator())
        draw = mixup.draw
        mixup.draw = lambda size, other=False: reverse(draw(size, other=other))
        return mixup


def reverse(draw):
    import dataclasses

    return dataclasses.replace(draw, partner=torch.arange(draw.size).flip(0))


def scalar_net(w: float = 2.0) -> nn.Linear:
    """Two logits, w x and 0."""
    net = nn.Linear(1, 2, bias=False).double()
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[w], [0.0]]))
    return net


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


X_L = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
Y_L = torch.tensor([0, 1])
X_U = torch.tensor([[2.0], [0.5]], dtype=torch.float64)


def test_every_number_of_algorithm_1_by_hand():
    net = scalar_net(2.0)
    found = algorithm_1(net, X_L, Y_L, X_U, labelled=Swap(0.75), unlabelled=Swap(0.25), weight=0.5)
    # Labelled: x = 0.75 - 0.25 = +-0.5, logits (+-1, 0), targets (3/4, 1/4) and (1/4, 3/4).
    p = sigmoid(1.0)
    l_s = -(0.75 * math.log(p) + 0.25 * math.log(1 - p))
    assert found.supervised.item() == pytest.approx(l_s, abs=1e-12)
    # Unlabelled: x = 0.875, 1.625; pseudo-targets sigmoid(4), sigmoid(1), mixed 1 : 3.
    a, b = sigmoid(4.0), sigmoid(1.0)
    targets = (0.25 * a + 0.75 * b, 0.25 * b + 0.75 * a)
    out = (sigmoid(1.75), sigmoid(3.25))
    squares = [(o - t) ** 2 for o, t in zip(out, targets, strict=True)]
    l_us = sum(squares) / 2  # both outputs of a row err by the same amount
    assert found.unsupervised.item() == pytest.approx(l_us, abs=1e-12)
    assert found.total.item() == pytest.approx(l_s + 0.5 * l_us, abs=1e-12)
    assert found.pseudo[:, 0].tolist() == pytest.approx([a, b], abs=1e-12)
    # The gradient in w: targets are constants.
    found.unsupervised.backward()
    x = (0.875, 1.625)
    rows = zip(out, targets, x, strict=True)
    slope = sum(2 * (o - t) * o * (1 - o) * v for o, t, v in rows) / 2
    assert net.weight.grad[0].item() == pytest.approx(slope, abs=1e-12)


def test_with_logits_the_term_of_a_linear_network_is_zero_with_probabilities_not():
    net = scalar_net(3.0)
    mixes = {"labelled": Swap(0.75), "unlabelled": Swap(0.25)}
    logits = algorithm_1(net, X_L, Y_L, X_U, **mixes, weight=1.0, targets="logits")
    assert logits.unsupervised.item() < 1e-30
    soft = algorithm_1(net, X_L, Y_L, X_U, **mixes, weight=1.0)
    assert soft.unsupervised.item() > 1e-3


def test_a_weight_of_zero_leaves_the_supervised_loss_and_negative_ones_are_refused():
    mixes = {"labelled": Swap(0.75), "unlabelled": Swap(0.25)}
    found = algorithm_1(scalar_net(), X_L, Y_L, X_U, **mixes, weight=0.0)
    assert torch.equal(found.total, found.supervised) and found.unsupervised > 0
    for weight in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="weight"):
            algorithm_1(scalar_net(), X_L, Y_L, X_U, **mixes, weight=weight)


def deep() -> nn.Sequential:
    torch.manual_seed(0)
    return mlp((3, 4, 4, 4, 2), "tanh").double()


def mixups(layers, seed=0):
    return {
        name: Mixup(alpha, layers, generator=torch.Generator().manual_seed(seed + place))
        for place, (name, alpha) in enumerate((("labelled", 0.5), ("unlabelled", 2.0)))
    }


def batches(dtype=torch.float64):
    rng = torch.Generator().manual_seed(3)
    x_l, x_u = (torch.randn(5, 3, generator=rng, dtype=dtype) for _ in range(2))
    return x_l, torch.tensor([0, 1, 1, 0, 1]), x_u


@pytest.mark.parametrize("layer", ["input", "layer1", "layer3"])
def test_states_before_the_mix_get_gradient_from_both_terms(layer):
    net = deep()
    found = algorithm_1(net, *batches(), **mixups((layer,)), weight=1.0)
    for term in (found.supervised, found.unsupervised, l1_penalty(net)):
        slopes = torch.autograd.grad(term, list(net.parameters()), retain_graph=True)
        assert all(slope.abs().sum() > 0 for slope in slopes)


def test_first_tensor_alone_gets_the_released_penalty():
    net = deep()
    slopes = torch.autograd.grad(
        l1_penalty(net, "first"), list(net.parameters()), allow_unused=True
    )
    assert slopes[0].abs().min() == 1 and all(slope is None for slope in slopes[1:])
    assert l1_penalty(net).item() == pytest.approx(
        sum(p.abs().sum().item() for p in net.parameters())
    )


def test_pseudo_targets_carry_no_gradient():
    net = deep()
    x_l, y_l, x_u = batches()
    found = algorithm_1(net, x_l, y_l, x_u, **mixups(("layer2",)), weight=1.0)
    assert not found.pseudo.requires_grad and not found.unlabelled.targets.requires_grad
    live = net(x_u).softmax(1)
    lam, partner = found.unlabelled.lam, found.unlabelled.partner
    target = lam * live + (1 - lam) * live[partner]
    undetached = (found.unlabelled.logits.softmax(1) - target).square().mean()
    assert undetached.item() == pytest.approx(found.unsupervised.item(), abs=1e-15)
    one, two = (
        torch.autograd.grad(term, net.layer1[0].weight, retain_graph=True)[0]
        for term in (found.unsupervised, undetached)
    )
    assert (one - two).abs().max() > 1e-6


def test_algorithm_3_is_algorithm_1_at_the_input():
    net, data = deep(), batches()
    first = algorithm_1(net, *data, **mixups(("input",)), weight=0.7)
    third = algorithm_3(net, *data, **mixups(("input",)), weight=0.7, num_classes=2)
    for name in ("supervised", "unsupervised", "total"):
        assert getattr(first, name).item() == pytest.approx(getattr(third, name).item(), abs=1e-14)
    hidden = algorithm_1(net, *data, **mixups(("layer1",)), weight=0.7)
    assert hidden.total.item() != pytest.approx(third.total.item(), abs=1e-6)
    with pytest.raises(ValueError, match="layers"):
        algorithm_3(net, *data, **mixups(("layer1",)), weight=0.7, num_classes=2)


def test_the_two_batches_have_draws_of_their_own_and_may_differ_in_size():
    net = deep()
    x_l, y_l, x_u = batches()
    found = algorithm_1(
        net, x_l[:2], y_l[:2], x_u, **mixups(("input", "layer1", "layer2")), weight=1.0
    )
    assert found.labelled.lam != found.unlabelled.lam
    assert len(found.labelled.partner) == 2 and len(found.unlabelled.partner) == 5


# ------------------------------------------------------------------------ modes


def conv():
    net = build("small_conv", image_size=8, width=2, seed=0).train()
    x = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return net, x


def buffers(net) -> dict:
    return {name: value.clone() for name, value in net.named_buffers()}


def test_train_mode_moves_the_statistics_frozen_and_eval_do_not():
    for mode, moves in (("train", True), ("frozen", False), ("eval", False)):
        net, x = conv()
        before = buffers(net)
        found = pseudo_targets(net, x, mode=mode)
        after = buffers(net)
        assert any(not torch.equal(before[k], after[k]) for k in before) == moves, mode
        assert all(module.training for module in net.modules())
        assert found.sum(1).tolist() == pytest.approx([1] * 6)


def test_frozen_uses_the_batch_and_eval_the_running_statistics():
    net, x = conv()
    by_mode = {mode: pseudo_targets(net, x, mode=mode) for mode in ("frozen", "eval", "train")}
    assert torch.equal(by_mode["frozen"], by_mode["train"])
    assert not torch.allclose(by_mode["frozen"], by_mode["eval"])


def test_frozen_statistics_are_put_back_also_after_an_error_and_when_nested():
    net, x = conv()
    flags = [m.track_running_stats for m in net.modules() if hasattr(m, "track_running_stats")]
    with pytest.raises(RuntimeError), frozen_statistics(net), frozen_statistics(net):
        raise RuntimeError
    assert flags == [
        m.track_running_stats for m in net.modules() if hasattr(m, "track_running_stats")
    ]
    net.eval()
    before = net(x)
    with frozen_statistics(net):
        assert torch.equal(net(x), before)


@pytest.mark.parametrize("options", [{"mode": "test"}, {"targets": "soft"}])
def test_unknown_words_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        pseudo_targets(*conv(), **options)


# ------------------------------------------------------------------------ ramp


def test_the_ramp_by_hand():
    assert sigmoid_ramp(0, 40) == pytest.approx(math.exp(-5))
    assert sigmoid_ramp(10, 40) == pytest.approx(math.exp(-5 * 0.75**2))
    assert sigmoid_ramp(40, 40) == sigmoid_ramp(1000, 40) == sigmoid_ramp(0, 0) == 1.0
    values = [sigmoid_ramp(step, 40) for step in range(41)]
    assert values == sorted(values)
    with pytest.raises(ValueError):
        sigmoid_ramp(-1, 40)
