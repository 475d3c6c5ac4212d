"""Training of a decoder: it learns what the state says, and nothing else."""

from __future__ import annotations

import pytest
import torch

from mmlib.models.decoder import build_decoder
from mmlib.training.fit_decoder import decoded, fit_decoder, pixels


def task(n: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    h = torch.randn(n, 2, generator=rng)
    image = torch.sigmoid(2 * h[:, :1, None, None]).expand(-1, 1, 8, 8).clone()
    image[:, :, :4] = torch.sigmoid(2 * h[:, 1:, None, None])
    return h, image


def test_it_learns_images_from_states_and_not_from_shuffled_ones():
    h, images = task()
    baseline = float((images - images.mean(0)).square().mean())
    errors = []
    for states in (h, h[torch.randperm(len(h), generator=torch.Generator().manual_seed(1))]):
        decoder = build_decoder((2,), (1, 8, 8), 8)
        losses = fit_decoder(decoder, states, images, epochs=8, batch_size=20)
        assert len(losses) == 8 and not decoder.training
        errors.append(float((decoded(decoder, states) - images).square().mean()))
    assert errors[0] < baseline / 5 and errors[1] > baseline / 2


def test_same_generator_same_weights_and_bytes_are_pixels():
    h, images = task(60)
    bytes_ = (255 * images).round().byte()
    assert torch.equal(pixels(bytes_), bytes_.float() / 255)
    first, second = (build_decoder((2,), (1, 8, 8), 8) for _ in range(2))
    for decoder, x in ((first, bytes_), (second, bytes_.float() / 255)):
        fit_decoder(
            decoder, h, x, epochs=2, batch_size=20, generator=torch.Generator().manual_seed(3)
        )
    assert torch.equal(first.last.weight, second.last.weight)


def test_decoding_does_not_depend_on_the_batch_or_change_the_decoder():
    decoder = build_decoder((2,), (1, 8, 8), 8).train()
    h = torch.randn(7, 2, generator=torch.Generator().manual_seed(0))
    state = {k: v.clone() for k, v in decoder.state_dict().items()}
    assert torch.allclose(decoded(decoder, h, 2), decoded(decoder, h, 100), atol=1e-6)
    assert decoder.training
    assert all(torch.equal(v, state[k]) for k, v in decoder.state_dict().items())


def test_bad_arguments_are_named():
    h, images = task(30)
    decoder = build_decoder((2,), (1, 8, 8), 8)
    with pytest.raises(ValueError, match="states, images: expected equally many"):
        fit_decoder(decoder, h[:20], images)
    with pytest.raises(ValueError, match="epochs: expected"):
        fit_decoder(decoder, h, images, epochs=0, batch_size=10)
    with pytest.raises(FloatingPointError, match="the loss is"):
        fit_decoder(decoder, h * torch.nan, images, batch_size=10)
