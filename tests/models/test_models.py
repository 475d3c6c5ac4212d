from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmlib.mixing import ResidualBranchWarning, capture, eligible_sites, resume
from mmlib.models import (
    LeNet,
    PreActBlock,
    PreActResNet,
    PreActResNet18,
    SmallConvNet,
    WideResNet,
    build,
    mlp,
)
from mmlib.models.factory import NAMES


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("size", [8, 28, 32])
@pytest.mark.parametrize("name", NAMES)
def test_shapes(name, size):
    net = build(name, in_channels=2, num_classes=3, image_size=size, width=8)
    assert net(torch.zeros(2, 2, size, size)).shape == (2, 3)


@pytest.mark.parametrize("name", NAMES)
def test_weights_depend_on_the_seed_alone(name):
    state = torch.random.get_rng_state()
    one = build(name, width=8, seed=3)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(5)
    again, other = build(name, width=8, seed=3), build(name, width=8, seed=4)
    pairs = list(zip(one.parameters(), again.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert not all(torch.equal(a, c) for a, _, c in pairs)


def test_unknown_names_and_numbers():
    with pytest.raises(ValueError, match="did you mean .*'preactresnet18'"):
        build("preactresnet")
    with pytest.raises(ValueError, match="width: expected an integer >= 1"):
        build("small_conv", width=0)
    with pytest.raises(TypeError, match="seed"):
        build("small_conv", seed=1.5)
    with pytest.raises(TypeError, match="final_norm"):
        build("small_conv", final_norm=True)


@pytest.mark.parametrize("name", ["num_classes", "in_channels"])
def test_numbers_of_classes_and_channels(name):
    for model in NAMES:
        with pytest.raises(ValueError, match=f"{name}|sizes"):
            build(model, width=2, **{name: 0})


def test_sizes_of_the_papers_nets():
    # 11,171,146 weights: the net of the released code, ten classes.
    assert count(PreActResNet18()) == 11_171_146
    assert count(PreActResNet18(final_norm=True)) == 11_171_146 + 2 * 512
    assert count(build("preactresnet34", 3, 10)) == 21_279_306


def test_residual_sum_by_hand():
    torch.manual_seed(0)
    x = torch.randn(3, 4, 6, 6)
    same, wider = PreActBlock(4, 4).eval(), PreActBlock(4, 6, stride=2).eval()
    for block in (same, wider):
        for norm in (block.norm1, block.norm2):
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
        a = F.relu(block.norm1(x))
        branch = F.conv2d(a, block.conv1.weight, stride=block.conv1.stride, padding=1)
        branch = F.conv2d(F.relu(block.norm2(branch)), block.conv2.weight, padding=1)
        # The identity takes the raw input, the convolution the pre-activated one.
        skip = x if block is same else F.conv2d(a, block.shortcut.weight, stride=2)
        assert torch.allclose(block(x), branch + skip, atol=1e-6)


def test_final_norm_comes_before_the_pooling():
    net = PreActResNet18(width=2, final_norm=True)
    kinds = [type(module).__name__ for module in net.head]
    assert kinds == ["BatchNorm2d", "ReLU", "AdaptiveAvgPool2d", "Flatten", "Linear"]
    with pytest.raises(ValueError, match="four"):
        PreActResNet((2, 2))


@pytest.mark.parametrize(
    ("net", "sites"),
    [
        (SmallConvNet(3, 10, 4), ("block1", "block2", "block3", "head")),
        (PreActResNet18(width=8), ("stem", "layer1", "layer2", "layer3", "layer4", "head")),
        (PreActResNet((1, 1, 1, 1), width=8, bottleneck=True), ("stem", "layer1", "layer4")),
        (WideResNet(width=8, depth=10, widen=1), ("stem", "block1", "block2", "block3", "head")),
        (LeNet(3, image_size=8), ("block1", "block2", "layer1", "layer2", "head")),
        (mlp((48, 5, 4, 3)), ("flatten", "layer1", "layer2", "head")),
    ],
)
def test_every_named_module_is_a_place_to_mix(net, sites):
    torch.manual_seed(0)
    size = 4 if isinstance(net, nn.Sequential) else 8
    x = torch.randn(4, 3, size, size)
    assert set(sites) <= set(eligible_sites(net, x))
    net.eval()
    for site in sites:
        h = capture(net, x, site)
        assert torch.equal(resume(net, torch.zeros_like(x), site, h), net(x))


def test_the_inside_of_a_block_is_not():
    from mmlib.mixing import Mixup

    net = PreActResNet18(width=8).train()
    mixup = Mixup(1.0, ("layer1.0.conv1",), lam=0.5)
    x = torch.randn(4, 3, 8, 8)
    with pytest.warns(ResidualBranchWarning):
        mixup(net, x, torch.arange(4))
    assert "layer1.0.conv1" not in eligible_sites(net, x)


def test_mlp():
    net = mlp((4, 5, 3), "tanh")
    x = torch.randn(2, 1, 2, 2)
    first, last = net.layer1[0], net.head
    expected = torch.tanh(x.flatten(1) @ first.weight.T + first.bias) @ last.weight.T + last.bias
    assert torch.allclose(net(x), expected)
    assert mlp((4, 3))(x).shape == (2, 3)
    with pytest.raises(ValueError, match="did you mean 'relu'"):
        mlp((4, 5, 3), "rulu")
    with pytest.raises(ValueError, match="numbers of inputs and of logits"):
        mlp((4,))
    with pytest.raises(TypeError, match="sizes"):
        mlp((4, 5.0, 3))
