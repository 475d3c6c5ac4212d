"""Noise outside subspaces and local averages, against closed forms."""

from __future__ import annotations

import pytest
import torch

from mmlib.measures.noise import LocalAverage, fit_local_average, left_of_noise, share_outside


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_isotropic_noise_leaves_its_share_outside_any_subspace():
    basis, _ = torch.linalg.qr(torch.randn(60, 12, generator=rng()))
    noise = torch.randn(20_000, 60, generator=rng(1))
    outside = share_outside(noise, basis.T)
    assert abs(float(outside.mean()) - (1 - 12 / 60)) < 0.003
    a, b = 48 / 2, 12 / 2  # the whole law is a beta law
    assert abs(float(outside.var()) - a * b / ((a + b) ** 2 * (a + b + 1))) < 3e-4
    inside = torch.randn(100, 12, generator=rng(2)) @ basis.T
    assert share_outside(inside, basis.T).abs().max() < 1e-5  # control: not isotropic


def test_filter_of_one_pixel_is_the_wiener_gain():
    x = torch.randn(2000, 1, 6, 6, generator=rng(3)) * 0.5
    average = fit_local_average(x, 0.5, 0, generator=rng(4))
    assert average.weights.item() == pytest.approx(0.5, abs=0.02)  # var / (var + sigma^2)
    left = left_of_noise(x, 0.5, average, generator=rng(5))
    assert left == pytest.approx(0.5, abs=0.02)


def test_a_constant_image_lets_a_window_average_its_noise_away():
    grey = torch.rand(400, 1, 1, 1, generator=rng(6)).expand(-1, 1, 12, 12)
    average = fit_local_average(grey, 0.2, 2, generator=rng(7))
    # A bare mean of 25 pixels would leave 1/25; edges repeat pixels, so a little more.
    assert left_of_noise(grey, 0.2, average, generator=rng(8)) < 2 / 25
    shuffled = torch.rand(400, 1, 12, 12, generator=rng(9))
    alone = fit_local_average(shuffled, 0.2, 2, generator=rng(10))
    assert left_of_noise(shuffled, 0.2, alone, generator=rng(11)) > 0.5


def test_colour_images_keep_their_channels_apart():
    x = torch.rand(50, 3, 8, 8, generator=rng(12))
    keep = LocalAverage(torch.eye(3), torch.zeros(3), 0)
    assert torch.allclose(keep(x), x, atol=1e-6)
    turn = LocalAverage(torch.eye(3).roll(1, 0), torch.zeros(3), 0)
    assert torch.allclose(turn(x), x.roll(1, 1), atol=1e-6)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="basis: expected"):
        share_outside(torch.zeros(2, 3), torch.zeros(1, 4))
    with pytest.raises(ValueError, match="orthonormal"):
        share_outside(torch.ones(2, 3), torch.ones(1, 3))
    with pytest.raises(ValueError, match="sigma: expected"):
        fit_local_average(torch.zeros(1, 1, 4, 4), 0)
