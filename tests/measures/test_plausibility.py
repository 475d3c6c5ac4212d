"""Distances to real images and overlays, against brute force."""

from __future__ import annotations

import pytest
import torch

from mmlib.measures.plausibility import nearest_distance, overlay_gap, plausible


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nearest_distance_is_that_of_brute_force_in_any_batches():
    points, reference = torch.randn(37, 5, generator=rng()), torch.randn(80, 5, generator=rng(1))
    away = (points[:, None] - reference).square().sum(2).sqrt()
    for batch in (1, 10, 1000):
        found, which = nearest_distance(points, reference, batch_size=batch)
        assert torch.allclose(found, away.amin(1), atol=1e-5)
        assert torch.equal(which, away.argmin(1))
    second, _ = nearest_distance(points, reference, neighbour=2)
    assert torch.allclose(second, away.sort(1).values[:, 1], atol=1e-5)


def test_real_images_are_plausible_as_often_as_the_level_says_and_noise_is_not():
    real, reference = torch.randn(2000, 3, generator=rng(2)), torch.randn(500, 3, generator=rng(3))
    yard = nearest_distance(real, reference)[0]
    fresh = nearest_distance(torch.randn(2000, 3, generator=rng(4)), reference)[0]
    far = nearest_distance(5 + torch.randn(2000, 3, generator=rng(5)), reference)[0]
    assert abs(float(plausible(fresh, yard).float().mean()) - 0.95) < 0.02
    assert float(plausible(far, yard).float().mean()) < 0.1
    assert float(plausible(yard, yard, level=0.5).float().mean()) == 0.5


def test_overlay_gap_is_zero_for_mixes_of_pixels_alone():
    one, two = torch.rand(4, 1, 6, 6, generator=rng(6)), torch.rand(4, 1, 6, 6, generator=rng(7))
    lams = torch.linspace(0, 1, 5)
    mixes = torch.stack([lam * one + (1 - lam) * two for lam in lams])
    assert overlay_gap(mixes, one, two, lams).max() < 1e-6
    moved = mixes + 0.1
    assert torch.allclose(overlay_gap(moved, one, two, lams), torch.full((5, 4), 0.1), atol=1e-5)
    assert overlay_gap(mixes, two, one, lams)[0].min() > 0.1  # the ends exchanged


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="points, reference: expected"):
        nearest_distance(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="reference: expected at least 3"):
        nearest_distance(torch.zeros(2, 3), torch.zeros(2, 3), neighbour=3)
    with pytest.raises(ValueError, match="yardstick: expected"):
        plausible(torch.zeros(1), torch.zeros(0))
    with pytest.raises(ValueError, match="images: expected"):
        overlay_gap(torch.zeros(2, 3, 4), torch.zeros(3, 5), torch.zeros(3, 5), torch.zeros(2))
