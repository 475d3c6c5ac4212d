from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from mmlib.mixing import eligible_sites
from mmlib.models import Discriminator, Generator, sngan_pair
from mmlib.models.sngan import DownBlock, UpBlock


def pair(image_size=28, channels=1, **options):
    return sngan_pair(image_size, channels, latent=5, width=8, generator_width=8, **options)


@pytest.mark.parametrize(("size", "channels", "blocks"), [(28, 1, 3), (32, 3, 4)])
@pytest.mark.parametrize("stem", [False, True])
def test_shapes_and_names(size, channels, blocks, stem):
    generator, discriminator = pair(size, channels, stem=stem)
    images = generator(torch.randn(3, 5))
    assert images.shape == (3, channels, size, size)
    assert images.abs().max() <= 1
    assert discriminator(images).shape == (3, 1)
    names = ["stem"] * stem + [f"block{i}" for i in range(1, blocks + 1)] + ["head"]
    assert [name for name, _ in discriminator.named_children()] == names


def test_blocks_halve_and_double():
    x = torch.randn(2, 6, 8, 8)
    assert UpBlock(6)(x).shape == (2, 6, 16, 16)
    assert DownBlock(6, 4, halve=True)(x).shape == (2, 4, 4, 4)
    assert DownBlock(6, 6, halve=False)(x).shape == x.shape
    assert DownBlock(6, 6, halve=False).shortcut is None
    generator, discriminator = pair(32, 3)
    state = torch.randn(2, 3, 32, 32)
    sides = []
    for name, module in discriminator.named_children():
        if name != "head":
            state = module(state)
            sides.append(state.shape[-1])
    assert sides == [16, 8, 8, 8]
    assert generator.side == 4 and len(generator.blocks) == 3


def test_blocks_are_those_of_the_paper_written_out():
    torch.manual_seed(0)
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)
    up = nn.Upsample(scale_factor=2, mode="nearest")
    pool, relu = nn.AvgPool2d(2), nn.ReLU()
    block = UpBlock(4).double()
    nn.init.normal_(block.norm1.weight)
    wide = block.conv2(relu(block.norm2(block.conv1(up(relu(block.norm1(x)))))))
    assert torch.allclose(block(x), wide + block.shortcut(up(x)))
    down = DownBlock(4, 5, halve=True).double()
    branch = pool(down.conv2(relu(down.conv1(relu(x)))))
    assert torch.allclose(down(x), branch + pool(down.shortcut(x)))
    first = DownBlock(4, 5, halve=True, image=True).double()
    branch = pool(first.conv2(relu(first.conv1(x))))
    assert torch.allclose(first(x), branch + pool(first.shortcut(x)))


def layers(net: nn.Module) -> list[nn.Module]:
    return [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


@pytest.mark.parametrize("stem", [False, True])
def test_every_layer_of_the_discriminator_has_spectral_norm_one(stem):
    _, discriminator = pair(32, 3, stem=stem)
    found = layers(discriminator)
    assert all(parametrize.is_parametrized(layer, "weight") for layer in found)
    # Two 3 x 3 convolutions in each block, shortcuts of the two that halve, the head, the stem.
    assert len(found) == 4 * 2 + 2 + 1 + stem
    discriminator = discriminator.double()
    for _ in range(300):
        discriminator(torch.zeros(1, 3, 32, 32, dtype=torch.float64))
    discriminator.eval()
    for layer in found:
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert largest.item() == pytest.approx(1, abs=1e-4)


def test_without_spectral_norm_nothing_is_normalised():
    _, discriminator = pair(spectral=False)
    assert not any(parametrize.is_parametrized(layer) for layer in layers(discriminator))
    generator, _ = pair()
    assert not any(parametrize.is_parametrized(layer) for layer in layers(generator))


def test_no_power_iteration_in_eval_mode():
    _, discriminator = pair()
    discriminator.eval()
    before = {name: value.clone() for name, value in discriminator.state_dict().items()}
    discriminator(torch.randn(2, 1, 28, 28))
    assert all(torch.equal(before[k], v) for k, v in discriminator.state_dict().items())


def test_rows_do_not_see_each_other():
    _, discriminator = pair()
    discriminator.eval()
    x = torch.randn(4, 1, 28, 28)
    together = discriminator(x)
    alone = torch.cat([discriminator(row[None]) for row in x])
    assert torch.allclose(together, alone, atol=1e-5)


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    one = pair(seed=3)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(1)
    two, other = pair(seed=3), pair(seed=4)
    for a, b, c in zip(one, two, other, strict=True):
        assert all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())
        assert any(not torch.equal(v, c.state_dict()[k]) for k, v in a.state_dict().items())


def test_the_generator_is_the_same_whatever_the_discriminator():
    plain, stemmed = pair()[0], pair(stem=True, spectral=False)[0]
    assert all(torch.equal(v, stemmed.state_dict()[k]) for k, v in plain.state_dict().items())


def test_blocks_are_places_to_mix():
    _, discriminator = pair(stem=True)
    for _ in range(20):
        discriminator(torch.zeros(1, 1, 28, 28))
    sites = eligible_sites(discriminator, torch.randn(3, 1, 28, 28))
    assert {"input", "stem", "block1", "block2", "block3", "head"} <= set(sites)


@pytest.mark.parametrize("width", [3, 8, 17])
def test_layout_has_no_influence(width):
    _, net = sngan_pair(28, 1, latent=4, width=width, generator_width=width)
    net.eval()
    generator = sngan_pair(28, 1, latent=4, width=width, generator_width=width)[0].eval()
    x, z = torch.randn(2, 1, 28, 28), torch.randn(2, 4)
    with torch.no_grad():
        for player, given in ((net, x), (generator, z)):
            fast = player(given)
            plain = player.to(memory_format=torch.contiguous_format)
            assert torch.allclose(fast, plain(given), atol=1e-4)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"image_size": 30}, ValueError, "image_size: expected one of 28, 32"),
        ({"channels": 0}, ValueError, "in_channels|channels"),
        ({"latent": 0}, ValueError, "latent"),
        ({"width": 0}, ValueError, "width"),
        ({"generator_width": 1.5}, TypeError, "width"),
        ({"stem": 1}, TypeError, "stem"),
        ({"spectral": "true"}, TypeError, "spectral"),
        ({"seed": -1}, ValueError, "seed"),
    ],
)
def test_settings_are_checked(options, error, message):
    with pytest.raises(error, match=message):
        sngan_pair(**{"image_size": 28, "channels": 1, "latent": 4, "width": 8} | options)


def test_defaults_are_those_of_miyato():
    assert Generator().latent == 128
    assert Generator().conv.in_channels == 256
    assert Discriminator().head.in_features == 128
