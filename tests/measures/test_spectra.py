"""Spectra of states: closed forms, and which maps of the states change which measure."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mmlib.measures import spectra
from mmlib.measures.spectra import (
    between_share,
    class_means,
    class_spectra,
    dimensions_for,
    effective_rank,
    numerical_rank,
    outward_share,
    participation_ratio,
    principal_angles,
    spectrum,
    tail_over_top,
    whitened,
    within_over_total,
)


def states(seed: int = 0, n: int = 300, units: int = 6, classes: int = 3):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    scale = torch.linspace(0.3, 2, units).double()
    centres = 4 * torch.randn(classes, units, generator=generator).double()
    h = torch.randn(n, units, generator=generator).double() * scale + centres[y]
    return h, y


def test_squares_are_the_variances_of_each_class():
    h, y = states()
    for k, s in class_spectra(h, y).items():
        values = np.linalg.eigvalsh(np.cov(h[y == k].T.numpy(), bias=True))[::-1]
        assert s.square().numpy() == pytest.approx(values)
    raw = class_spectra(h, y, centred=False)
    for k, s in raw.items():
        assert s.square().sum().item() == pytest.approx(h[y == k].square().sum(1).mean().item())
    assert raw[0][0] > class_spectra(h, y)[0][0]  # the mean counts as a direction


def test_size_does_not_grow_with_the_number_of_examples():
    h, y = states()
    twice = class_spectra(torch.cat([h, h]), torch.cat([y, y]))
    for k, s in class_spectra(h, y).items():
        assert torch.allclose(s, twice[k])


def test_few_examples_are_padded():
    h, y = torch.randn(4, 7), torch.tensor([0, 0, 0, 5])
    found = class_spectra(h, y)
    assert list(found) == [0, 5] and all(len(s) == 7 for s in found.values())
    assert (found[0] > 1e-9).sum() == 2 and found[5].sum() == 0


def test_ranks_of_flat_and_of_geometric_spectra():
    flat = torch.cat([torch.ones(5), torch.zeros(3)])
    for measure in (effective_rank, participation_ratio):
        assert measure(flat).item() == pytest.approx(5)
        assert measure(torch.zeros(4)).item() == 0
    q = 0.5
    s = torch.tensor([q ** (i / 2) for i in range(60)], dtype=torch.float64)  # variances q^i
    assert participation_ratio(s).item() == pytest.approx((1 + q) / (1 - q))
    nats = -math.log(1 - q) - q / (1 - q) * math.log(q)
    assert effective_rank(s).item() == pytest.approx(math.exp(nats))
    assert numerical_rank(flat).item() == 5
    assert tail_over_top(flat).item() == pytest.approx(4 / 7)


def test_dimensions_for_a_share():
    s = torch.tensor([4.0, 3.0, 2.0, 1.0]).double().sqrt()  # shares 0.4, 0.7, 0.9, 1
    assert [int(dimensions_for(s, p)) for p in (0.4, 0.41, 0.7, 0.9, 0.95, 1)] == [1, 2, 2, 3, 4, 4]
    assert int(dimensions_for(torch.zeros(3))) == 0
    rows = torch.stack([s, torch.tensor([1.0, 0, 0, 0])])
    assert dimensions_for(rows).tolist() == [4, 1] and effective_rank(rows)[1] == 1


def test_what_changes_with_which_map():
    """Scale: raw values. Rotation: nothing. An anisotropic map: all but whitened spectra."""
    h, y = states()
    generator = torch.Generator().manual_seed(1)
    turn = torch.linalg.qr(torch.randn(6, 6, generator=generator).double()).Q
    shear = torch.randn(6, 6, generator=generator).double()
    before = class_spectra(h, y)[0]
    white = class_spectra(whitened(h), y)[0]
    for name, map_ in {"scale": 7 * torch.eye(6).double(), "turn": turn, "shear": shear}.items():
        moved = h @ map_ + 3
        after = class_spectra(moved, y)[0]
        assert torch.allclose(after, before) == (name == "turn")
        kept = name != "shear"
        for measure in (effective_rank, participation_ratio, tail_over_top):
            assert torch.isclose(measure(after), measure(before), rtol=1e-6).item() == kept
        assert (abs(within_over_total(moved, y) - within_over_total(h, y)) < 1e-9) == kept
        assert torch.allclose(class_spectra(whitened(moved), y)[0], white)


def test_whitening_makes_any_class_round():
    """The trap: an invertible map gives any effective rank that one likes."""
    h, y = states()
    own = h[y == 0] - h[y == 0].mean(0)
    values, vectors = torch.linalg.eigh(own.T @ own / len(own))
    assert effective_rank(class_spectra(h, y)[0]) < 4.5
    rounded = h @ vectors @ torch.diag(values**-0.5)
    assert effective_rank(class_spectra(rounded, y)[0]).item() == pytest.approx(6)


def test_variance_splits_into_within_and_between():
    h, y = states()
    means, of = class_means(h, y)
    between = (means[of] - h.mean(0)).square().sum() / (h - h.mean(0)).square().sum()
    assert within_over_total(h, y) + between.item() == pytest.approx(1)
    assert within_over_total(means[of], y) == pytest.approx(0)
    assert within_over_total(h, torch.zeros_like(y)) == pytest.approx(1)


def test_share_between_means_of_round_classes_is_its_expectation():
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(60_000) % 4
    h = torch.randn(60_000, 10, generator=generator) + 9 * torch.eye(10)[y]
    share, expected = between_share(h, y)
    assert expected == 0.3 and share == pytest.approx(0.3, abs=0.01)
    assert between_share(h[:, :2], y)[0] == pytest.approx(1)  # the means span everything


def test_outward_share_is_that_of_each_class_own_way():
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(60_000) % 5
    h = torch.randn(60_000, 10, generator=generator) + 9 * torch.eye(10)[y]
    assert outward_share(h, y) == pytest.approx(0.1, abs=0.01)
    stretched = h * (1 + 4 * torch.rand(60_000, 1, generator=generator))
    assert outward_share(stretched, y) > 0.3
    assert outward_share(3 * h + 1, y) == pytest.approx(outward_share(h, y))


def test_angles_against_planes_with_a_known_angle():
    t = 0.37
    a = torch.tensor([[1.0, 0], [0, 1], [0, 0], [0, 0]]).double()
    b = torch.tensor([[3 * math.cos(t), 0], [0, 0], [3 * math.sin(t), 0], [0, 2.0]]).double()
    assert principal_angles(a, b).tolist() == pytest.approx([t, math.pi / 2])
    tiny = torch.tensor([[1.0], [1e-9], [0], [0]]).double()  # arccos would return 0 or NaN
    assert principal_angles(a[:, :1], tiny).tolist() == pytest.approx([1e-9])


def test_errors_name_what_came():
    h, y = states()
    for call in (
        lambda: class_spectra(h[0], y),
        lambda: class_spectra(h, y[:-1]),
        lambda: class_spectra(h, y.double()),
        lambda: within_over_total(h.long(), y),
        lambda: effective_rank(torch.tensor([-1.0])),
        lambda: dimensions_for(torch.ones(2), 0.0),
        lambda: principal_angles(h, h.T),
    ):
        with pytest.raises(ValueError, match="expected"):
            call()
    with pytest.raises(TypeError, match="centred"):
        spectrum(h, centred=1)


def test_states_are_left_as_they_are():
    h, y = states()
    kept = h.clone()
    for name in ("class_spectra", "within_over_total", "between_share"):
        getattr(spectra, name)(h, y)
    whitened(h)
    assert torch.equal(h, kept)
