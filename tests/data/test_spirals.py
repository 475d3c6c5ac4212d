"""Two spirals: their shape, balance and draws."""

from __future__ import annotations

import pytest
import torch

from mmlib.data.spirals import spiral, two_spirals


def test_points_lie_on_their_spiral():
    x, y = two_spirals(400, turns=2.0, noise=0.0, seed=3)
    first = torch.where(y[:, None] == 0, x, -x).double()
    t = (first.norm(dim=1) - 0.1) / 0.9
    assert t.min() >= 0 and t.max() <= 1
    assert torch.allclose(spiral(t, 2.0), first, atol=1e-5)
    assert int((y == 0).sum()) == 200


def test_classes_mirror_and_interleave():
    t = torch.linspace(0, 1, 2000).double()
    one = spiral(t, 1.5)
    away = torch.cdist(one, -one).min(1).values
    assert away.min() > 0.15  # classes keep apart
    x, y = two_spirals(2000, noise=0.0)
    near = torch.cdist(x, x) + 9 * torch.eye(2000)
    assert (y[near.argmin(1)] == y).all()
    # but no half plane separates them
    way = torch.stack([torch.linspace(0, 3.14, 50).cos(), torch.linspace(0, 3.14, 50).sin()])
    signs = x @ way
    assert ((signs > 0) == (y[:, None] == 0)).double().mean(0).sub(0.5).abs().max() < 0.3


def test_noise_seed_and_bad_arguments():
    a, b, c = (two_spirals(50, noise=0.1, seed=s)[0] for s in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)
    bad = {"n": {"n": 1}, "noise": {"n": 5, "noise": -1}, "turns": {"n": 5, "turns": 0}}
    for name, kwargs in bad.items():
        with pytest.raises(ValueError, match=name):
            two_spirals(**kwargs)
