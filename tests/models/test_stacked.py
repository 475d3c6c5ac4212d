"""Stacked networks do what each network does alone."""

import pytest
import torch
from torch import nn

from mmlib.mixing import mix_at
from mmlib.models import mlp
from mmlib.models.bottleneck import bottleneck
from mmlib.models.stacked import Stacked


def nets_of(n: int, norm: bool = False) -> list[nn.Module]:
    return [bottleneck(6, 3, width=8, code=2, norm=norm, seed=s).double() for s in range(n)]


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_logits_equal_those_of_each_net(norm: bool, training: bool) -> None:
    nets = nets_of(4, norm)
    stack = Stacked(nets).double()
    for net in (stack, *nets):
        net.train(training)
    x = torch.randn(4, 9, 6, dtype=torch.float64)
    together = stack(x)
    alone = torch.stack([net(one) for net, one in zip(nets, x, strict=True)])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)
    if norm and training:  # the control: batch norm over the wrong axis would not agree
        assert not torch.allclose(together[0], together[0].flip(0))


def test_running_statistics_and_weights_come_back() -> None:
    nets, copies = nets_of(3, True), nets_of(3, True)
    stack = Stacked(copies).double().train()
    x = torch.randn(3, 9, 6, dtype=torch.float64)
    stack(x)
    stack.write_back(copies)
    for net, one in zip(nets, x, strict=True):
        net.train()(one)
    for net, copy in zip(nets, copies, strict=True):
        for name, value in net.state_dict().items():
            if value.ndim:
                torch.testing.assert_close(copy.state_dict()[name], value, rtol=1e-12, atol=0)


def test_a_mix_at_the_code_is_that_of_the_library() -> None:
    nets = nets_of(2)
    stack = Stacked(nets).double()
    x = torch.randn(5, 6, dtype=torch.float64)
    partner, lam = torch.tensor([3, 0, 4, 1, 2]), 0.3

    def at(site: str, h: torch.Tensor) -> torch.Tensor:
        return lam * h + (1 - lam) * h[:, partner] if site == "code" else h

    together = stack(x.expand(2, -1, -1), at)
    for e, net in enumerate(nets):
        expected = mix_at(net, x, "code", lam, partner)
        torch.testing.assert_close(together[e], expected, rtol=1e-12, atol=1e-12)


def test_takes_an_mlp_and_names_its_places() -> None:
    nets = [mlp((4, 5, 3)) for _ in range(2)]
    stack = Stacked(nets)
    assert stack.sites == ("input", "flatten", "layer1")
    assert stack(torch.zeros(2, 7, 4)).shape == (2, 7, 3)


def test_refuses_what_it_cannot_stack() -> None:
    with pytest.raises(ValueError, match="at least one network"):
        Stacked([])
    with pytest.raises(TypeError, match="expected torch.nn.Sequential, but got Linear"):
        Stacked([nn.Linear(2, 2)])
    with pytest.raises(ValueError, match="equal layers and shapes"):
        Stacked([bottleneck(6, 3, width=4), bottleneck(6, 3, width=5)])
    with pytest.raises(ValueError, match="equal layers and shapes"):
        Stacked([mlp((4, 5, 3), "relu"), mlp((4, 5, 3), "tanh")])
    with pytest.raises(TypeError, match="Dropout cannot be stacked"):
        Stacked([nn.Sequential(nn.Dropout(), nn.Linear(2, 2))])
    with pytest.raises(TypeError, match="without bias"):
        Stacked([nn.Sequential(nn.Linear(2, 2, bias=False))])
    stack = Stacked([bottleneck(6, 3, width=4)])
    with pytest.raises(ValueError, match="expected 1 networks, but got 2"):
        stack.write_back([bottleneck(6, 3, width=4)] * 2)
    with pytest.raises(ValueError, match="the layers of this ensemble"):
        stack.write_back([mlp((6, 4, 3))])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width: expected an integer >= 1, but got 0"),
        ({"code": 2.0}, "code: expected an integer >= 1, but got 2.0"),
        ({"before": -1}, "before: expected an integer >= 0"),
        ({"norm": "yes"}, "norm: expected True or False"),
        ({"slope": 2}, "slope: expected a finite number"),
    ],
)
def test_bottleneck_refuses(change: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        bottleneck(6, 3, **change)


def test_bottleneck_is_the_printed_net() -> None:
    net = bottleneck(784, 10)
    linear = [m for m in net.modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [
        *((784, 1024), (1024, 1024), (1024, 2)),
        *((2, 1024), (1024, 1024), (1024, 10)),
    ]
    before = torch.random.get_rng_state()
    again = bottleneck(784, 10)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(net.head.weight, again.head.weight)
    early = bottleneck(4, 3, width=5, code=1, before=0, after=0)
    assert [name for name, _ in early.named_children()] == ["flatten", "code", "head"]
