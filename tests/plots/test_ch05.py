"""Figures of chapter 05 show what they say."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from mmlib.plots import ch05 as figures
from mmlib.studies.ch05 import printed

MEAN = (0.5, 0.4, 0.3)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


class Fake:
    """Runs of four methods: every row and band has its own value."""

    def __init__(self):
        rows = []
        for seed in range(3):
            for i, method in enumerate(printed.METHODS):
                row = {"method": method, "data": "cifar10", "seed": seed}
                for j, reading in enumerate(figures.READING_LOOKS):
                    for k, p in enumerate((28.6, 57.3, 114.6, 143.2, 171.9)):
                        row[f"{reading}_shearing_{p:g}_accuracy"] = 10 * j + k + seed + i
                    for k in range(6):
                        row[f"{reading}_band_{k + 1}_accuracy"] = 10 * j - k + seed + i
                rows.append(row)
        self.table = pd.DataFrame(rows)


def pictures(figure):
    return [ax.images[0].get_array() for ax in figure.axes]


def test_examples_in_three_rows():
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    figure = figures.examples(images, MEAN, [("rotation", 0.0), ("zoom_out", 200.0)])
    shown = pictures(figure)
    assert len(shown) == 6
    assert np.allclose(shown[0], images[0].permute(1, 2, 0))
    assert np.allclose(shown[2], shown[0], atol=1e-5)  # no rotation changes nothing
    assert np.allclose(shown[3][0, 0], 0.0) and np.allclose(shown[5][0, 0], MEAN)


def test_shear_angles_beyond_90_degrees():
    image = (255 * torch.rand(3, 9, 9, generator=torch.Generator().manual_seed(0))).byte()
    shown = pictures(figures.shear_angles(image, MEAN, [0.0, 180.0]))
    text, code, unmirrored = shown[0:2], shown[2:4], shown[4:6]
    assert np.allclose(text[0], text[1], atol=1e-4)
    # Around the code's centre, column 5 of 0 to 8.
    assert np.allclose(code[1][1:-1, 3:8], code[0][1:-1, 3:8][:, ::-1], atol=1e-4)
    assert not np.allclose(code[1], code[0], atol=0.1)
    assert np.allclose(unmirrored[0][1:-1], unmirrored[1][1:-1], atol=1e-4)


def test_lines_of_the_readings_are_means_over_methods():
    left, right = figures.shear_readings(Fake()).axes
    for j, (row, band) in enumerate(zip(left.lines, right.lines[:4], strict=True)):
        assert row.get_ydata() == pytest.approx(10 * j + np.arange(5) + 2.5)
        assert band.get_ydata() == pytest.approx(10 * j - np.arange(6) + 2.5)
    assert right.lines[0].get_xdata()[0] == pytest.approx(171.9 / 12)


def test_printed_shearing():
    left, right = figures.printed_shearing().axes
    assert left.lines[0].get_ydata() == pytest.approx([55.92, 35.66, 19.57, 17.55, 22.38])
    assert right.lines[1].get_ydata() == pytest.approx([0, 0, 0.215, 0.372, 0.476], abs=1e-3)


def test_tables_mark_the_best_of_each_row():
    table = printed.printed_rows()
    figure = figures.tables({"printed": table, "turned": table[table.columns[::-1]]})
    for ax in figure.axes:
        boxes = [patch for patch in ax.patches if isinstance(patch, plt.Rectangle)]
        assert len(boxes) == 17
        assert len(ax.texts) == 68
        assert {text.get_text() for text in ax.texts if text.get_weight() == "bold"} >= {"63.6"}
    orange = matplotlib.colors.to_rgba("#d55e00")
    colours = [patch.get_edgecolor() == orange for patch in figure.axes[0].patches]
    assert sum(colours) == 13
