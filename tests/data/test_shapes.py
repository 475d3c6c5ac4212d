from __future__ import annotations

import hashlib

import numpy as np

from mmlib.data import shapes


def test_bytes_are_the_same_everywhere():
    images = shapes.colour_shapes()
    assert hashlib.md5(images.x_train.tobytes()).hexdigest() == "1c8a33f48ab4d568bac85db31bf268a4"
    assert np.bincount(images.y_test).tolist() == [200] * 10


def test_every_shape_covers_part_of_the_image_around_its_centre():
    grid = np.linspace(-1.5, 1.5, 301)
    u, v = np.meshgrid(grid, grid)
    areas = []
    for kind in range(len(shapes.CLASSES)):
        inside = shapes._level(kind, u, v) < 0
        assert not inside[np.hypot(u, v) > 1.25].any()
        areas.append(inside.mean() * 9)
    area = dict(zip(shapes.CLASSES, areas, strict=True))
    assert abs(area["disc"] - np.pi * 0.85**2) < 0.03
    assert abs(area["square"] - 1.5**2) < 0.05
    # A regular n-gon of radius 1 has area n / 2 sin(2 pi / n).
    assert abs(area["triangle"] - 1.5 * np.sin(2 * np.pi / 3)) < 0.03
    assert abs(area["pentagon"] - 2.5 * np.sin(2 * np.pi / 5)) < 0.03
    # A star is ten triangles with sides 1 and 0.42 and an angle of 36 degrees.
    assert abs(area["star"] - 10 * 0.5 * 0.42 * np.sin(np.pi / 5)) < 0.03


def test_colour_and_place_say_nothing_about_the_class():
    images = shapes.colour_shapes()
    colour = images.x_train.mean((2, 3))
    means = np.stack([colour[images.y_train == k].mean(0) for k in range(10)])
    spread = colour.std(0) / np.sqrt(800)
    assert (np.abs(means - means.mean(0)) < 5 * spread).all()
