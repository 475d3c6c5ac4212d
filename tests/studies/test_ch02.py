"""Chapter 02: factors, drawings, the rule of resemblance, and the comparison of the tables."""

from __future__ import annotations

import pytest
import torch

from mmlib.measures.factor_mixing import TRAIN
from mmlib.studies.ch02 import PRINTED, QUICK, RECIPE, printed_table
from mmlib.studies.ch02.tasks import (
    DRAWINGS,
    draw_factors,
    mix_validity,
    nearest_rule,
    test_factors,
    train_and_test,
)

test_factors.__test__ = False  # a function of the library, not a test


@pytest.mark.parametrize("task", ["AB", "C"])
def test_training_factors_lie_in_the_printed_ranges(task):
    factors = draw_factors(task, 4000, torch.Generator().manual_seed(0))
    low, high = factors.angle < 0, factors.angle > 0
    for chosen, (a, b) in zip((low, high), TRAIN, strict=True):
        assert a <= factors.angle[chosen].min() and factors.angle[chosen].max() <= b
        assert 0.45 < chosen.float().mean() < 0.55
    if task == "AB":
        assert torch.equal(factors.label, high.float()) and not factors.blend.any()
    else:
        assert torch.equal(factors.label, factors.blend)
        assert 0.2 < (factors.label * high).mean() < 0.3


def test_mixing_factors_is_linear_in_angle_glyph_and_label():
    factors = draw_factors("C", 6, torch.Generator().manual_seed(1))
    partner, lam = torch.arange(6).roll(1), torch.linspace(0, 1, 6)
    mixed = factors.mixed(lam, partner)
    for name in ("angle", "blend", "label"):
        values = getattr(factors, name)
        assert torch.allclose(getattr(mixed, name), lam * values + (1 - lam) * values[partner])


def test_test_angles_are_balanced_and_inside_their_ranges():
    factors = test_factors("B", 50)
    zero, one = factors.angle[:50], factors.angle[50:]
    assert -30 < zero.min() < zero.max() < -20 and -10 < one.min() < one.max() < 30
    assert factors.label.mean() == 0.5


def test_resemblance_predicts_the_square_and_its_intervention():
    assert nearest_rule("square", "A") < 5
    assert nearest_rule("square", "B") == pytest.approx(18.75, abs=4)
    assert nearest_rule("square", "A", ranges="turned") == 100
    assert nearest_rule("digit", "A") == 100


def test_factor_mixes_are_renderings_and_input_mixes_are_not():
    settings = {"task": "AB", "drawing": "digit", "size": 32, "batch": 32, "step": 0.25}
    found = mix_validity(settings, seed=0)
    assert found["factor"] < found["spacing"] / 2 < found["input"]


def test_both_printings_of_the_table_agree_and_a_changed_cell_shows():
    runs = PRINTED.run({"table": 8}, seed=0)
    assert runs == {"cells": 18, "gap": 0.0, "control": pytest.approx(0.01)}


def test_the_printed_table_is_complete():
    assert len(printed_table()) == 18 and printed_table()["A", "none", "accuracy"] == "1.6"


def test_equal_seeds_give_equal_runs_and_other_seeds_other_ones():
    settings = QUICK | RECIPE | {"task": "AB", "drawing": "square", "method": "input"}
    settings |= {"size": 16, "steps": 3, "batch": 16, "n_test": 10}
    first, again, other = (train_and_test(settings, seed) for seed in (0, 0, 1))
    assert first == again != other


def test_every_drawing_draws():
    factors = test_factors("C", 2)
    for drawing in DRAWINGS.values():
        assert drawing.images(factors, size=16).shape == (4, 1, 16, 16)
