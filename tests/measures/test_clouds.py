"""Class clouds: values known in closed form, and what leaves each measure unchanged."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.neighbors import NearestCentroid

from mmlib.measures.clouds import (
    ball_around,
    class_core,
    class_margin,
    class_radius,
    cloud_share,
    confident_share,
    nearest_mean_accuracy,
    other_class_distances,
    spread,
)
from mmlib.measures.spectra import whitened, within_over_total


def clouds(units: int = 2, classes: int = 4, n: int = 60, seed: int = 0):
    rng = torch.Generator().manual_seed(seed)
    y = torch.arange(classes).repeat_interleave(n)
    means = 4 * torch.randn(classes, units, generator=rng, dtype=torch.float64)
    h = torch.randn(classes * n, units, generator=rng, dtype=torch.float64)
    return means[y] + h, y


def similar(h):
    """A shift, a rotation and a common scale."""
    q, _ = torch.linalg.qr(torch.randn(h.shape[1], h.shape[1], dtype=h.dtype))
    return 0.01 * h @ q + 7


def affine(h):
    """A map that stretches one axis a hundred times and shears."""
    a = torch.eye(h.shape[1], dtype=h.dtype)
    a[0, 0], a[0, -1] = 100.0, 3.0
    return h @ a - 2


RATIOS = {
    "within": within_over_total,
    "margin": lambda h, y: class_margin(h, y) / spread(h),
    "gap": lambda h, y: class_margin(h, y) / class_radius(h, y),
    "area": cloud_share,
}


@pytest.mark.parametrize("units", [2, 5])
@pytest.mark.parametrize("name", RATIOS)
def test_ratios_do_not_change_with_position_rotation_and_scale(name, units):
    torch.manual_seed(1)
    h, y = clouds(units)
    assert RATIOS[name](similar(h), y) == pytest.approx(RATIOS[name](h, y), rel=1e-9)
    shuffled = torch.randperm(len(h))
    assert RATIOS[name](h[shuffled], y[shuffled]) == pytest.approx(RATIOS[name](h, y), rel=1e-9)
    assert RATIOS[name](h, y.flip(0).sort().values) != pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", RATIOS)
def test_affine_maps_change_what_is_not_whitened(name):
    h, y = clouds()
    before, after = RATIOS[name](h, y), RATIOS[name](affine(h), y)
    if name == "area":
        assert after == pytest.approx(before, rel=1e-9)
    else:
        assert abs(after / before - 1) > 0.05
    white = [RATIOS[name](whitened(z), y) for z in (h, affine(h))]
    assert white[1] == pytest.approx(white[0], rel=1e-6)


def test_trace_ratio_of_whitened_states_is_the_affine_one():
    h, y = clouds(3)
    total = torch.cov(h.T, correction=0)
    within = sum(torch.cov(h[y == k].T, correction=0) for k in range(4)) / 4
    expected = torch.trace(torch.linalg.solve(total, within)).item() / 3
    assert within_over_total(whitened(h), y) == pytest.approx(expected)


def test_raw_scales_are_no_ratios():
    h, y = clouds()
    for measure in (
        lambda z: spread(z),
        lambda z: class_radius(z, y),
        lambda z: class_margin(z, y),
    ):
        assert measure(10 * h) == pytest.approx(10 * measure(h))


def test_distances_to_other_classes_against_a_loop():
    h, y = clouds(n=10)
    found = other_class_distances(h, y)
    for i in range(len(h)):
        others = [math.dist(h[i], h[j]) for j in range(len(h)) if y[j] != y[i]]
        assert found[i].item() == pytest.approx(min(others))
    with pytest.raises(ValueError, match="two classes or more"):
        other_class_distances(h, torch.zeros_like(y))


def test_margin_of_three_squares_by_hand():
    square = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    h = torch.cat([square, square + torch.tensor([3.0, 0.0]), square + torch.tensor([9.0, 0.0])])
    y = torch.arange(3).repeat_interleave(4)
    assert class_margin(h, y) == pytest.approx((2 + 2 + 5) / 3)
    assert class_radius(h, y) == pytest.approx(math.sqrt(0.5))
    assert class_margin(h, 2 - y) == class_margin(h, y) == class_margin(h, 10 * y)


@pytest.mark.parametrize("change", [similar, affine])
def test_cores_do_not_change_with_affine_maps(change):
    torch.manual_seed(2)
    h, y = clouds(n=50)
    kept = class_core(h, y)
    assert torch.equal(kept, class_core(change(h), y))
    assert kept.sum() == 4 * 45 and all(kept[y == k].sum() == 45 for k in range(4))
    assert class_core(h, y, 1.0).all()


def test_a_stray_spoils_the_margin_of_all_and_not_of_the_cores():
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(2).repeat_interleave(100)
    h = 10.0 * y[:, None] + 0.1 * torch.randn(200, 2, generator=rng)
    whole = class_margin(h, y)
    h[0] = h[150]  # an example of class 0 in the middle of class 1
    kept = class_core(h, y)
    assert class_margin(h, y) == 0 and other_class_distances(h, y)[100:].max() < 1
    assert not kept[0] and class_margin(h[kept], y[kept]) == pytest.approx(whole, rel=0.1)


def test_a_class_on_a_line_has_a_core():
    h, y = torch.zeros(20, 2), torch.zeros(20, dtype=torch.long)
    h[:, 0] = torch.arange(20.0)
    assert class_core(h, y).nonzero().flatten().tolist() == list(range(1, 19))
    assert class_core(torch.zeros(20, 2), y).sum() == 18
    with pytest.raises(ValueError, match="share"):
        class_core(h, y, 0.0)


def test_area_of_gaussians_and_of_lines():
    rng = torch.Generator().manual_seed(3)
    means = torch.tensor([[3.0, 0.0], [-3.0, 0.0]])
    y = torch.arange(2).repeat_interleave(50_000)
    h = means[y] + torch.randn(100_000, 2, generator=rng)
    # |S_k| = 1 and |S_T| = (1 + 9) * 1
    assert cloud_share(h, y) == pytest.approx(10**-0.5, rel=0.02)
    flat = means[y] + torch.randn(100_000, 1, generator=rng) * torch.tensor([0.0, 1.0])
    assert cloud_share(flat, y) == pytest.approx(0, abs=1e-6)
    assert math.isnan(cloud_share(torch.stack([h[:, 0], h[:, 0]], 1), y))


def test_confident_share_of_a_linear_head():
    """Above 0.9 where |z_1| > log 9: in a disc of radius 3 that is two caps."""
    rng = torch.Generator().manual_seed(0)
    h = whitened(torch.randn(500, 2, generator=rng)).float()

    def head(z):
        return torch.stack([z[:, 0], 0 * z[:, 0]], 1)

    at = math.log(9)
    caps = 2 * (9 * math.acos(at / 3) - at * math.sqrt(9 - at**2)) / (9 * math.pi)
    found = confident_share(head, h, n=60_000)
    assert found == pytest.approx(caps, abs=4 * math.sqrt(caps / 60_000))
    assert confident_share(head, h, n=60_000, reach=2.0) == 0
    assert confident_share(head, h, threshold=0.0) == 1


def test_confident_share_follows_states_and_head_through_an_affine_map():
    h, _ = clouds()
    a = torch.tensor([[100.0, 0.0], [3.0, 1.0]], dtype=h.dtype)
    weight = torch.tensor([[1.0, -1.0], [0.5, 2.0]], dtype=h.dtype)
    plain = confident_share(lambda z: (z @ weight).tanh() * 4, h, n=40_000)
    moved = confident_share(
        lambda z: (z @ torch.linalg.inv(a) @ weight).tanh() * 4, h @ a, n=40_000
    )
    assert moved == pytest.approx(plain, abs=0.015)
    assert abs(confident_share(lambda z: (z @ weight).tanh() * 4, h @ a, n=40_000) - plain) > 0.03


def test_points_lie_in_the_ellipsoid_and_fill_it():
    h, _ = clouds(3)
    z = ball_around(h, 20_000, reach=2.0)
    centred = z - h.mean(0)
    far = (centred @ torch.linalg.inv(torch.cov(h.T, correction=0)) * centred).sum(1).sqrt()
    assert far.max() <= 2 + 1e-9
    assert (far < 1).double().mean() == pytest.approx(1 / 8, abs=0.01)
    assert torch.equal(z, ball_around(h, 20_000, reach=2.0))


def test_nearest_means_against_scikit_learn():
    h, y = clouds(2, n=200)
    h_test, y_test = clouds(2, n=50, seed=0)
    h_test = h_test + 1.5 * torch.randn(h_test.shape, dtype=h.dtype)
    expected = NearestCentroid().fit(h.numpy(), y.numpy()).score(h_test.numpy(), y_test.numpy())
    assert nearest_mean_accuracy(h, y, h_test, y_test) == pytest.approx(100 * expected)
    assert expected < 1


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="h: expected"):
        spread(torch.zeros(3))
    with pytest.raises(ValueError, match="n: expected"):
        ball_around(torch.zeros(3, 2), 0)
