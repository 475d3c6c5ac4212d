"""The decoder: shapes from any state, determinism, and errors that name what came."""

from __future__ import annotations

import pytest
import torch

from mmlib.mixing import capture
from mmlib.models import build
from mmlib.models.decoder import Decoder, build_decoder


@pytest.mark.parametrize(
    ("state", "image"),
    [
        ((8, 14, 14), (1, 28, 28)),
        ((32, 7, 7), (1, 28, 28)),
        ((16, 16, 16), (3, 32, 32)),
        ((64, 4, 4), (3, 32, 32)),
        ((3, 32, 32), (3, 32, 32)),
        ((2,), (1, 28, 28)),
        ((30,), (3, 9, 9)),
        ((4, 3, 3), (1, 28, 28)),
    ],
)
def test_any_state_becomes_an_image(state, image):
    decoder = build_decoder(state, image, 8)
    out = decoder(torch.randn(3, *state))
    assert out.shape == (3, *image)
    assert 0 <= float(out.detach().min()) and float(out.detach().max()) <= 1


def test_states_of_each_block_of_a_network_fit():
    net, x = build("small_conv", width=4).eval(), torch.rand(2, 1, 28, 28)
    for layer in ("block1", "block2", "block3"):
        h = capture(net, x, layer)
        assert build_decoder(h.shape[1:], x.shape[1:], 8)(h).shape == x.shape


def test_scale_of_a_state_does_not_matter_and_its_pattern_does():
    decoder = build_decoder((4, 7, 7), (1, 28, 28), 8, seed=1).train()
    h = torch.randn(16, 4, 7, 7, generator=torch.Generator().manual_seed(0))
    out = decoder(h)
    assert torch.allclose(decoder(100 * h + 3), out, atol=1e-3)
    assert not torch.allclose(decoder(h.flip(2)), out, atol=1e-3)


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(5)
    one = build_decoder((4,), (1, 8, 8), 8, seed=2)
    before = torch.random.get_rng_state()
    two = build_decoder((4,), (1, 8, 8), 8, seed=2)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    other = build_decoder((4,), (1, 8, 8), 8, seed=3)
    assert not torch.equal(one.last.weight, other.last.weight)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="state: expected a map of at most 8 x 8"):
        Decoder((4, 16, 16), (1, 8, 8))
    with pytest.raises(ValueError, match="image: expected 3 numbers"):
        Decoder((4,), (8, 8))
    with pytest.raises(TypeError, match="width: expected"):
        Decoder((4,), (1, 8, 8), 2.5)
    with pytest.raises(ValueError, match="h: expected"):
        Decoder((4,), (1, 8, 8))(torch.zeros(2, 5))
