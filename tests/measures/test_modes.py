"""Scores of points against a mixture, on clouds whose scores are known."""

from __future__ import annotations

import math

import pytest
import torch

from mmlib.data.mixtures import grid, line, ring
from mmlib.measures.modes import (
    good_share,
    mixed_log_density,
    mode_shares,
    modes_covered,
    sliced_distance,
    true_good_share,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_points_of_the_target_reach_what_is_stated():
    x = ring().sample(40_000, seeded(), torch.float64)
    assert true_good_share(ring()) == pytest.approx(1 - math.exp(-4.5))
    assert true_good_share(line()) == pytest.approx(math.erf(3 / math.sqrt(2)))
    spread = math.sqrt(0.0111 * 0.9889 / 40_000)
    assert abs(good_share(x, ring()).item() - true_good_share(ring())) < 5 * spread
    assert modes_covered(x, ring()).item() == 8


def test_collapsed_and_blurred_clouds():
    target = grid(2, 2.0, 0.1)
    one = torch.tensor([target.centres[0]]).repeat(50, 1)
    assert good_share(one, target) == 1 and modes_covered(one, target) == 1
    assert mode_shares(one, target).tolist() == [1, 0, 0, 0]
    between = torch.zeros(50, 2)
    assert good_share(between, target) == 0 and modes_covered(between, target) == 0


def test_a_mode_counts_from_a_fifth_of_its_share():
    target = ring(4)
    centres = target.means()
    few = torch.cat([centres[:1].repeat(95, 1), centres[1:2].repeat(5, 1)])
    assert modes_covered(few, target) == 2  # 5 % = a fifth of a quarter
    fewer = torch.cat([centres[:1].repeat(96, 1), centres[1:2].repeat(4, 1)])
    assert modes_covered(fewer, target) == 1


def test_batches_are_scored_one_by_one():
    x = torch.stack([ring().sample(64, seeded(i)) * (1 + i) for i in range(3)])
    for score in (good_share, modes_covered):
        assert score(x, ring()).tolist() == pytest.approx([score(one, ring()).item() for one in x])
    y = ring().sample(64, seeded(9))
    found = sliced_distance(x, y)
    assert found.tolist() == pytest.approx([sliced_distance(one, y).item() for one in x])


def test_sliced_distance_on_clouds_that_can_be_solved():
    x = torch.randn(500, 2, generator=seeded()).double()
    assert sliced_distance(x, x[torch.randperm(500)]).item() == pytest.approx(0, abs=1e-12)
    shift = torch.tensor([0.6, 0.8]).double()
    assert sliced_distance(x, x + 3 * shift).item() == pytest.approx(3 / math.sqrt(2))
    # Scaling: the projections' W2^2 is their mean square, half the mean square length on average.
    length = x.square().sum(1).mean().item()
    assert sliced_distance(x, 2 * x).item() == pytest.approx(math.sqrt(length / 2))
    on_line = torch.tensor([[0.0], [1.0]]).double()
    assert sliced_distance(on_line, on_line.flip(0) + 2).item() == pytest.approx(2)


def test_density_of_mixes_against_draws():
    target, lam = ring(3, 1.0, 0.3), torch.tensor([0.2, 0.5]).double()
    x1, x2 = (target.sample(400_000, seeded(i), torch.float64) for i in (1, 2))
    weight = lam[torch.randint(2, (len(x1),), generator=seeded(3))][:, None]
    mixes = weight * x1 + (1 - weight) * x2
    side = 0.2
    for centre in ([0.0, 0.0], [0.5, 0.3], [-0.9, 0.1]):
        middle = torch.tensor(centre).double()
        share = ((mixes - middle).abs() < side / 2).all(1).double().mean().item()
        ticks = torch.linspace(-side / 2, side / 2, 21).double()
        cell = middle + torch.cartesian_prod(ticks, ticks)
        mean = mixed_log_density(cell, target, lam).exp().mean().item()
        assert share / side**2 == pytest.approx(mean, rel=0.08)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="x, y: expected as many points"):
        sliced_distance(torch.zeros(3, 2), torch.zeros(4, 2))
    with pytest.raises(ValueError, match="x, y"):
        sliced_distance(torch.zeros(3, 3), torch.zeros(3, 3))
    with pytest.raises(ValueError, match="directions: expected an integer >= 1"):
        sliced_distance(torch.zeros(3, 2), torch.zeros(3, 2), 0)
    with pytest.raises(ValueError, match="floor"):
        mixed_log_density(torch.zeros(1, 1), line(), torch.ones(1), floor=0)
