"""The nets of the papers: numbers of weights and of layers, blocks by hand, options."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmlib.models import (
    LeNet,
    PreActBlock,
    PreActBottleneck,
    WideResNet,
    build,
    layers_before,
)


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def conv(inputs, outputs, size):
    return inputs * outputs * size**2


def norms(channels):
    return 2 * channels


def preact_weights(blocks, bottleneck, width=64, classes=10):
    """Weights of convolutions and of the linear map, and scales and shifts of batch norms."""
    total, before = conv(3, width, 3), width
    for layer, n in enumerate(blocks):
        inner = width * 2**layer
        out = 4 * inner if bottleneck else inner
        for block in range(n):
            if bottleneck:
                total += conv(before, inner, 1) + conv(inner, inner, 3) + conv(inner, out, 1)
                total += norms(before) + 2 * norms(inner)
            else:
                total += conv(before, inner, 3) + conv(inner, inner, 3)
                total += norms(before) + norms(inner)
            if before != out or (layer > 0 and block == 0):
                total += conv(before, out, 1)
            before = out
    return total + before * classes + classes


def wide_weights(depth, widen, classes=10):
    total, before = conv(3, 16, 3), 16
    for out in (16 * widen, 32 * widen, 64 * widen):
        for _ in range((depth - 4) // 6):
            total += conv(before, out, 3) + conv(out, out, 3) + norms(before) + norms(out)
            total += conv(before, out, 1) if before != out else 0
            before = out
    return total + norms(before) + before * classes + classes


@pytest.mark.parametrize(
    ("name", "expected", "millions"),
    [
        ("preactresnet18", preact_weights((2, 2, 2, 2), False), 11.17),
        ("preactresnet34", preact_weights((3, 4, 6, 3), False), 21.28),
        ("preactresnet50", preact_weights((3, 4, 6, 3), True), 23.5),
        ("preactresnet152", preact_weights((3, 8, 36, 3), True), 58.1),
        # Printed by Zagoruyko & Komodakis (2016), Table 4: 36.5 M, and Table 3: 2.2 M.
        ("wrn28-10", wide_weights(28, 10), 36.5),
        ("wrn28-2", wide_weights(28, 2), 1.5),
        ("wrn40-2", wide_weights(40, 2), 2.2),
        # LeNet-5 with full connections between its maps: 156 + 2416 + 48120 + 10164 + 850.
        ("lenet", 61_706, 0.062),
    ],
)
def test_numbers_of_weights(name, expected, millions):
    net = build(name, in_channels=1 if name == "lenet" else 3)
    assert count(net) == expected
    assert expected / 1e6 == pytest.approx(millions, rel=0.025)


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("preactresnet18", 4, 4),
        ("preactresnet34", 6, 8),
        ("preactresnet50", 9, 12),
        ("preactresnet152", 9, 24),
    ],
)
def test_layers_of_the_first_two_blocks(name, first, second):
    net = build(name, 3, width=8)
    assert layers_before(net, "layer1") - layers_before(net, "stem") == first
    assert layers_before(net, "layer2") - layers_before(net, "layer1") == second
    # The number in the name of the net: all weight layers of the main path.
    assert layers_before(net, "head") == int(name.removeprefix("preactresnet"))


def test_layers_of_the_wide_net():
    net = build("wrn28-10", 3, width=1)
    assert len(net.block1) == 4
    assert layers_before(net, "block1") - layers_before(net, "stem") == 8
    # 28 are those of the main path and the strided shortcuts.
    assert layers_before(net, "head") == 26


def test_layers_before():
    net = build("preactresnet152", 3, width=8)
    assert layers_before(net, "layer2") == 34
    assert layers_before(net, "input") == 0
    assert layers_before(net, "layer1.0") == 4
    assert layers_before(net, "layer1.1") == 7
    assert layers_before(build("mlp", width=4), "layer2") == 2
    with pytest.raises(ValueError, match="did you mean 'layer4'"):
        layers_before(net, "layer5")


def scrambled(block):
    torch.manual_seed(0)
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return block.eval()


def test_bottleneck_by_hand():
    x = torch.randn(3, 16, 6, 6, generator=torch.Generator().manual_seed(0))
    for block in (PreActBottleneck(16, 4), PreActBottleneck(16, 8, stride=2)):
        scrambled(block)
        stride = block.conv2.stride
        a = F.relu(block.norm1(x))
        b = F.conv2d(
            F.relu(block.norm2(F.conv2d(a, block.conv1.weight))),
            block.conv2.weight,
            None,
            stride,
            1,
        )
        branch = F.conv2d(F.relu(block.norm3(b)), block.conv3.weight)
        skip = x if block.shortcut is None else F.conv2d(a, block.shortcut.weight, None, stride)
        assert torch.allclose(block(x), branch + skip, atol=1e-6)
    assert PreActBottleneck(16, 4).shortcut is None


def test_leaky_block_by_hand():
    block = scrambled(PreActBlock(4, 4, slope=0.1))
    x = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    a = F.leaky_relu(block.norm1(x), 0.1)
    inner = F.leaky_relu(block.norm2(F.conv2d(a, block.conv1.weight, padding=1)), 0.1)
    assert torch.allclose(block(x), x + F.conv2d(inner, block.conv2.weight, padding=1), atol=1e-6)


def test_dropout_lies_between_the_convolutions():
    torch.manual_seed(0)
    block, seen = PreActBlock(4, 4, dropout=0.5), []
    block.conv2.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.randn(8, 4, 16, 16)
    block(x)
    # ReLU leaves about half of the states at zero, and dropout half of the others.
    assert float((seen[0] == 0).float().mean()) == pytest.approx(0.75, abs=0.02)
    block.eval()
    block(x)
    kept = F.relu(block.norm2(block.conv1(F.relu(block.norm1(x)))))
    assert torch.equal(seen[1], kept)


def test_options_of_the_wide_net():
    net = build("wrn28-2", 3, width=8, dropout=0.3, slope=0.01)
    dropouts = [module.p for module in net.modules() if isinstance(module, nn.Dropout)]
    slopes = [m.negative_slope for m in net.modules() if isinstance(m, nn.LeakyReLU)]
    assert dropouts == [0.3] * 12
    assert slopes == [0.01] * 13
    assert not any(isinstance(module, nn.ReLU) for module in net.modules())
    with pytest.raises(ValueError, match="depth: .*multiple of 6"):
        WideResNet(depth=27)
    with pytest.raises(ValueError, match="dropout"):
        WideResNet(width=8, depth=10, widen=1, dropout=1.0)


@pytest.mark.parametrize(("size", "inputs"), [(8, 64), (16, 64), (28, 400), (32, 400)])
@pytest.mark.parametrize("channels", [1, 3])
def test_lenet_takes_every_size(size, inputs, channels):
    net = build("lenet", channels, 10, size)
    assert net.layer1[1].in_features == inputs
    assert net(torch.zeros(2, channels, size, size)).shape == (2, 10)


def test_lenet_by_hand():
    net = LeNet()
    x = torch.randn(2, 1, 28, 28)
    one, two = net.block1[0], net.block2[0]
    h = F.max_pool2d(F.relu(F.conv2d(x, one.weight, one.bias, padding=2)), 2)
    h = F.max_pool2d(F.relu(F.conv2d(h, two.weight, two.bias)), 2).flatten(1)
    for linear in (net.layer1[1], net.layer2[0]):
        h = F.relu(F.linear(h, linear.weight, linear.bias))
    assert torch.allclose(net(x), F.linear(h, net.head.weight, net.head.bias), atol=1e-6)


def test_options_of_lenet():
    net = build("lenet", dropout=0.25, norm=True)
    assert [m.p for m in net.modules() if isinstance(m, nn.Dropout)] == [0.25, 0.25]
    assert [m.num_features for m in net.modules() if isinstance(m, nn.BatchNorm2d)] == [6, 16]
    assert [type(m).__name__ for m in net.layer2] == ["Linear", "ReLU", "Dropout"]
    with pytest.raises(TypeError, match="norm"):
        LeNet(norm="yes")
    with pytest.raises(ValueError, match="image_size"):
        LeNet(image_size=3)
