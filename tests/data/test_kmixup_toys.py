"""The toy sets of k-Mixup have the shapes, classes and distances that they are said to have."""

import pytest
import torch

from mmlib.data import kmixup_toys
from mmlib.data.kmixup_toys import TOYS, four_bars, one_ring, swiss_roll


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", TOYS)
def test_points_depend_on_the_generator_alone_and_classes_are_balanced(name: str) -> None:
    x, y = TOYS[name](401, seeded())
    again, _ = TOYS[name](401, seeded())
    other, _ = TOYS[name](401, seeded(1))
    assert x.shape == (401, 2) and x.dtype == torch.float32 and y.dtype == torch.int64
    assert x.equal(again) and not x.equal(other)
    assert abs(int((y == 0).sum()) - int((y == 1).sum())) <= 1


def test_a_disc_inside_a_ring() -> None:
    x, y = one_ring(20_000, seeded(), noise=0.0)
    r = x.norm(dim=1)
    assert r[y == 0].max() <= 1 and torch.allclose(r[y == 1], torch.tensor(2.0), atol=1e-5)
    # uniform on a disc: half of the points within 1 / sqrt(2), and the mean is the centre
    assert float((r[y == 0] < 0.5**0.5).double().mean()) == pytest.approx(0.5, abs=0.02)
    assert x[y == 0].mean(0).norm() < 0.02 and x[y == 1].mean(0).norm() < 0.05
    noisy, _ = one_ring(20_000, seeded(), noise=0.3)
    assert float((noisy - x).std()) == pytest.approx(0.3, rel=0.02)


def test_bars_alternate_and_keep_their_distance() -> None:
    x, y = four_bars(4000, seeded())
    bar = (x[:, 0] + 1.5).round().long()
    assert y.equal(bar % 2) and bar.bincount().tolist() == [1000] * 4
    assert ((x[:, 0] + 1.5 - bar).abs() <= 0.25).all() and (x[:, 1].abs() <= 1.75).all()
    gap = torch.cdist(x[y == 0], x[y == 1]).min()
    assert 0.5 <= gap < 0.52


def test_arms_of_the_roll_are_each_others_reflections() -> None:
    x, y = swiss_roll(20_000, seeded(), noise=0.0)
    nearest = torch.cdist(-x[y == 0][:500], x[y == 1]).min(1).values
    assert nearest.max() < 0.05
    assert torch.cdist(x[y == 0], x[y == 1]).min() > 0.3  # apart all along


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (one_ring, {"n": 1}, "n: expected an integer >= 2, but got 1"),
        (one_ring, {"inner": 3.0}, "inner: expected"),
        (one_ring, {"noise": -0.1}, "noise: expected"),
        (four_bars, {"width": 0.0}, "width: expected"),
        (four_bars, {"length": -1.0}, "length: expected"),
        (swiss_roll, {"turns": 0.0}, "turns: expected"),
        (swiss_roll, {"noise": float("nan")}, "noise: expected"),
    ],
)
def test_what_does_not_fit_is_named(make, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**({"n": 8} | options))


def test_the_text_names_three_sets() -> None:
    assert list(TOYS) == ["one_ring", "four_bars", "swiss_roll"]
    assert "no generator" in kmixup_toys.__doc__
