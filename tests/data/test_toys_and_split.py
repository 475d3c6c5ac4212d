"""Shapes of the toys, and what a semi-supervised split may and may not hold."""

from __future__ import annotations

import pytest
import torch

from mmlib.data.split import ssl_split
from mmlib.data.toys import rings, two_moons


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_moons_without_noise_lie_on_their_half_circles():
    x, y = two_moons(100, noise=0.0, generator=rng())
    x = x + torch.tensor([0.5, 0.25])
    upper, lower = x[y == 0], x[y == 1]
    assert torch.allclose(upper.norm(dim=1), torch.ones(50)) and (upper[:, 1] >= 0).all()
    centred = lower - torch.tensor([1.0, 0.5])
    assert torch.allclose(centred.norm(dim=1), torch.ones(50)) and (lower[:, 1] <= 0.5).all()


@pytest.mark.parametrize("make", [two_moons, rings])
def test_toys_depend_on_the_generator_alone(make):
    state = torch.get_rng_state()
    one, two, other = (make(30, generator=rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(one[0], two[0]) and not torch.equal(one[0], other[0])
    assert one[0].dtype == torch.float32 and one[1].dtype == torch.int64
    assert one[0].shape == (30, 2)


@pytest.mark.parametrize("options", [{"n": 1}, {"n": 10, "noise": -1.0}, {"n": 2.5}])
def test_toys_refuse_what_they_cannot_make(options):
    with pytest.raises((ValueError, TypeError), match="n: |noise: "):
        two_moons(options.pop("n"), **options)


Y = torch.arange(100) % 10


def test_a_split_is_balanced_and_keeps_the_validation_set_apart():
    split = ssl_split(Y, 20, 30, seed=3)
    assert Y[split.labelled].bincount().tolist() == [2] * 10
    assert set(split.labelled.tolist()) <= set(split.unlabelled.tolist())
    assert not set(split.unlabelled.tolist()) & set(split.validation.tolist())
    assert len(split.unlabelled) + len(split.validation) == 100


def test_fewer_labels_of_a_seed_are_among_more_and_validation_stays():
    few, many = ssl_split(Y, 20, 30, seed=1), ssl_split(Y, 40, 30, seed=1)
    assert set(few.labelled.tolist()) < set(many.labelled.tolist())
    assert torch.equal(few.validation, many.validation)
    assert not torch.equal(few.validation, ssl_split(Y, 20, 30, seed=2).validation)


@pytest.mark.parametrize(
    ("n_labels", "n_valid", "message"),
    [
        (71, 30, "n_labels: expected at most 70"),
        (9, 30, "no labelled example"),
        (20, 100, "unlabelled set would be empty"),
        (20, -1, "n_valid"),
        (0, 30, "n_labels"),
        (20, 98, "n_labels: expected at most 2"),
    ],
)
def test_impossible_splits_are_refused_in_one_sentence(n_labels, n_valid, message):
    with pytest.raises(ValueError, match=message):
        ssl_split(Y, n_labels, n_valid)


def test_a_class_that_is_gone_to_the_validation_set_is_missed():
    y = torch.tensor([0] * 50 + [1])
    seeds = [s for s in range(30) if 50 in ssl_split_validation(y, s)]
    with pytest.raises(ValueError, match="no labelled example left"):
        ssl_split(y, 2, 25, seed=seeds[0])


def ssl_split_validation(y, seed):
    order = torch.randperm(len(y), generator=rng(seed))
    return order[:25].tolist()
