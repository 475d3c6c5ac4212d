"""The figure style: looks are distinct, intervals are right, grids take what they say."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import stats

from mmlib import plots


def test_no_two_methods_look_alike():
    looks = list(plots.LOOKS.values())
    assert len({(look.colour, look.marker) for look in looks}) == len(looks)
    assert len({look.marker for look in looks}) == len(looks)  # readable without colour


def test_interval_is_the_t_interval():
    samples = np.array([1.0, 2.0, 4.0, 7.0])
    mean, half = plots.interval(samples)
    low, high = stats.t.interval(0.95, 3, samples.mean(), stats.sem(samples))
    assert (mean - half, mean + half) == (pytest.approx(low), pytest.approx(high))


def test_unknown_method_is_named():
    with pytest.raises(ValueError, match="did you mean 'manifold'"):
        plots.look("manifld")


def test_curves_and_points_draw_every_seed():
    _, ax = plt.subplots()
    plots.curve(ax, [0, 1, 2], np.random.default_rng(0).normal(size=(4, 3)), "input")
    plots.points(ax, 0, [1.0, 2.0, 3.0], "none", vertical=False)
    assert len(ax.collections) >= 2 and len(ax.collections[1].get_offsets()) == 3
    plt.close("all")


def test_image_grid_refuses_other_shapes():
    with pytest.raises(ValueError, match="images: expected"):
        plots.image_grid(np.zeros((2, 3, 4)))
    assert len(plots.image_grid(np.zeros((2, 3, 4, 4))).axes) == 6
    plt.close("all")
