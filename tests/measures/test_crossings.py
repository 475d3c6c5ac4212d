"""Third classes along segments: closed forms against scans, bounds, and wrong rules that fail."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from mmlib.measures.crossings import (
    crossed_pairs,
    crosses_linearly,
    crossing_margin,
    least_crossed_share,
    obtuse_share,
    third_class,
)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scan(means: torch.Tensor, a: int, b: int) -> bool:
    t = torch.linspace(0, 1, 5001, dtype=means.dtype)[:, None]
    near = torch.cdist(t * means[a] + (1 - t) * means[b], means).argmin(1)
    return bool(((near != a) & (near != b)).any())


@pytest.mark.parametrize("dimension", [1, 2, 3, 7])
def test_crossed_pairs_are_those_a_scan_of_the_segment_finds(dimension):
    means = torch.randn(9, dimension, generator=rng(dimension), dtype=torch.float64)
    crossed = crossed_pairs(means)
    assert torch.equal(crossed, crossed.T) and not crossed.diagonal().any()
    for a, b in itertools.combinations(range(9), 2):
        assert crossed[a, b] == scan(means, a, b)


def test_margin_is_negative_exactly_where_a_pair_is_crossed_and_has_no_scale():
    means = torch.randn(8, 2, generator=rng(1), dtype=torch.float64)
    margin = crossing_margin(means)
    off = ~torch.eye(8, dtype=torch.bool)
    assert torch.equal(margin[off] < 0, crossed_pairs(means)[off])
    assert torch.allclose(crossing_margin(3 * means + 5)[off], margin[off])
    assert margin[off].min() >= -0.25 - 1e-12  # Thales: the middle is the worst place for C
    assert torch.isinf(crossing_margin(means[:2])[0, 1])


@pytest.mark.parametrize("dimension", [1, 2, 3, 4])
def test_corners_of_a_cube_have_no_obtuse_angle_and_no_point_can_be_added(dimension):
    # Danzer and Gruenbaum: 2^d points are the most.
    corners = torch.tensor(list(itertools.product([0.0, 1.0], repeat=dimension)))
    assert not crossed_pairs(corners).any()
    for point in torch.rand(50, 1, dimension, generator=rng(2)) * 3 - 1:
        assert crossed_pairs(torch.cat([corners, point])).any()


def test_on_a_circle_only_neighbours_are_not_crossed():
    angle = torch.rand(10, generator=rng(3), dtype=torch.float64).sort().values * 2 * math.pi
    crossed = crossed_pairs(torch.stack([angle.cos(), angle.sin()], 1))
    for a, b in itertools.combinations(range(10), 2):
        if b - a not in (1, 9):
            assert crossed[a, b]


@pytest.mark.parametrize("dimension", [2, 3, 8, 20])
@pytest.mark.parametrize("law", ["gaussian", "sphere"])
def test_share_of_obtuse_angles_is_that_of_random_points(dimension, law):
    a, b, c = torch.randn(3, 200_000, dimension, generator=rng(4))
    if law == "sphere":
        a, b, c = (v / v.norm(dim=1, keepdim=True) for v in (a, b, c))
    seen = float((((a - c) * (b - c)).sum(1) < 0).double().mean())
    expected = obtuse_share(dimension, law)
    assert abs(seen - expected) < 4 * math.sqrt(expected * (1 - expected) / 200_000)


def test_share_of_obtuse_angles_falls_exponentially():
    shares = [obtuse_share(d) for d in range(1, 200)]
    assert all(b < a for a, b in itertools.pairwise(shares))
    assert abs(shares[-1] / shares[-2] - math.sqrt(3) / 2) < 0.01
    assert abs(obtuse_share(1) - 1 / 3) < 1e-12  # one of three points on a line is in the middle


def test_third_class_along_a_linear_head_is_decided_where_both_ends_are_equal():
    weight = torch.randn(6, 3, generator=rng(5), dtype=torch.float64)
    x = torch.randn(400, 3, generator=rng(6), dtype=torch.float64)
    logits = x @ weight.T + torch.randn(6, generator=rng(7), dtype=torch.float64)
    label = logits.argmax(1)
    one, two = torch.arange(0, 399), torch.arange(1, 400)
    different = label[one] != label[two]
    one, two = one[different], two[different]
    t = torch.linspace(0, 1, 4001, dtype=torch.float64)[:, None, None]
    along = (t * logits[one] + (1 - t) * logits[two]).argmax(2)
    seen = third_class(along, label[one], label[two]).any(0)
    found = crosses_linearly(logits[one], logits[two], label[one], label[two])
    assert found.any() and not found.all()
    assert (seen & ~found).sum() == 0  # a scan never sees what the rule excludes
    assert (found & ~seen).sum() <= 2  # and misses only slivers between its points
    middle = third_class(along[2000:2001], label[one], label[two])[0]
    assert (middle != found).any()  # looking at lambda = 1/2 alone is not enough


def test_no_classifier_of_the_plane_beats_the_bound_and_in_space_one_does():
    assert [round(45 * least_crossed_share(10)), least_crossed_share(3)] == [21, 0]
    for seed in range(20):
        draw = rng(seed)
        weight, shift = torch.randn(20, 2, generator=draw) * 2, torch.randn(20, generator=draw) * 2
        out = torch.randn(10, 20, generator=draw)

        def classes(x, weight=weight, shift=shift, out=out):
            return (torch.tanh(x @ weight.T + shift) @ out.T).argmax(1)

        points = torch.randn(4000, 2, generator=draw) * 2
        label = classes(points)
        present = label.unique()
        ends = [points[(label == one).nonzero()[0, 0]] for one in present]
        t = torch.linspace(0, 1, 2001)[:, None]
        crossed = [
            bool(third_class(classes(t * p + (1 - t) * q)[:, None], a[None], b[None]).any())
            for (p, a), (q, b) in itertools.combinations(zip(ends, present, strict=True), 2)
        ]
        assert sum(crossed) / len(crossed) >= least_crossed_share(len(present))
    axes = torch.eye(10)[:, :3] + 0.3 * torch.randn(10, 3, generator=rng(9))
    assert crossed_pairs(torch.eye(10)).sum() == 0 and crossed_pairs(axes).any()


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="means: expected"):
        crossed_pairs(torch.zeros(3))
    with pytest.raises(ValueError, match="predictions: expected"):
        third_class(torch.zeros(2, 3), torch.zeros(3), torch.zeros(2))
    with pytest.raises(ValueError, match="law: expected"):
        obtuse_share(3, "cube")
    with pytest.raises(ValueError, match="dimension: expected"):
        obtuse_share(1, "sphere")
    with pytest.raises(ValueError, match="logits: expected"):
        crosses_linearly(torch.eye(2), torch.eye(2), torch.tensor([0, 0]), torch.tensor([1, 0]))
