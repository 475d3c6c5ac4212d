"""Mixtures of Gaussians: samples follow the density that is stated."""

from __future__ import annotations

import math

import pytest
import torch

from mmlib.data.mixtures import GaussianMixture, grid, line, ring


def test_density_is_the_sum_of_the_modes_and_integrates_to_one():
    target = ring(5, sigma=0.3)
    ticks = torch.linspace(-5, 5, 401, dtype=torch.float64)
    x = torch.cartesian_prod(ticks, ticks)
    density = target.log_density(x).exp()
    assert density.sum().item() * (ticks[1] - ticks[0]).item() ** 2 == pytest.approx(1, abs=1e-6)
    point = torch.tensor([0.3, 1.1]).double()
    by_hand = sum(
        math.exp(-((point[0] - a) ** 2 + (point[1] - b) ** 2).item() / (2 * 0.09))
        for a, b in target.centres
    ) / (5 * 2 * math.pi * 0.09)
    assert target.log_density(point).exp().item() == pytest.approx(by_hand)


def test_samples_follow_it():
    target = grid(3, 1.0, 0.05)
    x = target.sample(18_000, torch.Generator().manual_seed(0), torch.float64)
    away, which = target.nearest(x)
    shares = torch.bincount(which, minlength=9) / len(x)
    assert shares.sub(1 / 9).abs().max() < 5 * math.sqrt(8 / 81 / len(x))
    assert away.square().mean().item() == pytest.approx(2 * 0.05**2, rel=0.03)
    assert x.mean(0).abs().max() < 0.03


def test_geometry():
    assert len(grid(5).centres) == 25 and len(set(grid(5).centres)) == 25
    radii = torch.tensor(ring(8, 3.0).centres).norm(dim=1)
    assert radii.tolist() == pytest.approx([3.0] * 8)
    steps = torch.tensor(ring(8, 1.0).centres)
    gaps = (steps - steps.roll(1, 0)).norm(dim=1)
    assert gaps.tolist() == pytest.approx([2 * math.sin(math.pi / 8)] * 8)


def test_equal_generators_equal_points():
    one, two = (line().sample(5, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(one, two) and one.shape == (5, 1)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ring(0), "modes: expected an integer >= 1"),
        (lambda: ring(8, -1.0), "radius: expected a finite number > 0"),
        (lambda: grid(2.0), "side: expected an integer"),
        (lambda: grid(2, 1.0, 0), "sigma: expected a finite number > 0"),
        (lambda: GaussianMixture((), 1.0), "centres: expected points of one length"),
        (lambda: GaussianMixture(((1.0,), (1.0, 2.0)), 1.0), "centres"),
    ],
)
def test_bad_input_is_named(make, text):
    with pytest.raises((TypeError, ValueError), match=text):
        make()
