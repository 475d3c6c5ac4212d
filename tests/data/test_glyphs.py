"""The glyph renderer: geometry, factors, blending, gradients, bad input."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlib.data.glyphs import GLYPHS, STROKES, render, rotate, signed_distance


def slow_chain_distance(x: float, y: float, corners: list[tuple[float, float]]) -> float:
    """Reference: distance to a chain by dense sampling of its segments."""
    best = float("inf")
    for (x0, y0), (x1, y1) in zip(corners, corners[1:], strict=False):
        for step in range(2001):
            t = step / 2000
            best = min(best, (x - x0 - t * (x1 - x0)) ** 2 + (y - y0 - t * (y1 - y0)) ** 2)
    return best**0.5


@pytest.mark.parametrize("glyph", ["seven", "arrow", "square"])
def test_distance_to_a_chain_agrees_with_dense_sampling(glyph):
    for x, y in [(0.1, 0.2), (-0.7, 0.4), (0.3, -0.9)]:
        ours = signed_distance(glyph, torch.tensor(x), torch.tensor(y), thickness=0.0)
        assert float(ours) == pytest.approx(slow_chain_distance(x, y, STROKES[glyph]), abs=1e-3)


@pytest.mark.parametrize("glyph", GLYPHS)
def test_every_glyph_has_ink_inside_the_image_and_none_at_its_corners(glyph):
    image = render(glyph, torch.tensor([0.0, 33.0]), size=32)
    assert image.shape == (2, 1, 32, 32)
    assert 0 <= image.min() and image.max() == 1
    assert image[..., 0, 0].max() == 0 and image[..., -1, -1].max() == 0
    assert 0.02 < image.mean() < 0.4


def test_rendering_at_a_right_angle_is_turning_the_image():
    images = render("font_7", torch.tensor([0.0, 90.0, 180.0]), size=24)
    assert torch.allclose(torch.rot90(images[0], 1, (1, 2)), images[1], atol=2e-2)
    assert torch.allclose(torch.rot90(images[0], 2, (1, 2)), images[2], atol=2e-2)


def test_the_square_repeats_every_quarter_turn_and_the_seven_does_not():
    for glyph, same in (("square", True), ("seven", False)):
        first, second = render(glyph, torch.tensor([20.0, 110.0]), size=32)
        assert torch.allclose(first, second, atol=1e-4) is same


@settings(max_examples=25, deadline=None)
@given(st.floats(-180, 180), st.floats(0.6, 1.2), st.floats(0.15, 0.4))
def test_ink_grows_with_thickness_and_is_kept_by_turning(angle, scale, thickness):
    turned = torch.tensor([0.0, angle])
    thin = render("bar", turned, scale=scale, thickness=thickness, size=32)
    thick = render("bar", turned, scale=scale, thickness=thickness + 0.1, size=32)
    assert (thick >= thin - 1e-5).all()
    assert float(thin[0].sum()) == pytest.approx(float(thin[1].sum()), rel=0.06)


def test_position_moves_the_ink_up_and_right():
    image = render("bar", torch.tensor([0.0]), position=(0.3, 0.25), size=64)[0, 0]
    weight = image / image.sum()
    rows, columns = torch.arange(64.0), torch.arange(64.0)
    assert float((weight.sum(1) * rows).sum()) == pytest.approx(31.5 - 0.25 * 32, abs=0.1)
    assert float((weight.sum(0) * columns).sum()) == pytest.approx(31.5 + 0.3 * 32, abs=0.1)


def test_a_blend_goes_from_one_glyph_to_the_other():
    angle = torch.zeros(3)
    ends = [render(glyph, angle[:1], size=32) for glyph in ("bar", "seven")]
    blend = render("bar", angle, other="seven", blend=torch.tensor([0.0, 0.5, 1.0]), size=32)
    assert torch.allclose(blend[:1], ends[0], atol=1e-5)
    assert torch.allclose(blend[2:], ends[1], atol=1e-5)
    middle = blend[1:2]
    assert (middle - ends[0]).abs().max() > 0.5 and (middle - ends[1]).abs().max() > 0.5


def test_a_sheet_is_the_negative_inside_and_black_outside():
    angle = torch.tensor([0.0])
    ink, sheet = render("font_4", angle, size=32), render("font_4", angle, sheet=1.0, size=32)
    inner = (slice(None), slice(None), slice(2, 30), slice(2, 30))
    assert torch.allclose(sheet[inner], 1 - ink[inner], atol=1e-5)
    turned = render("font_4", torch.tensor([45.0]), sheet=1.0, size=32)
    assert turned[0, 0, 0, 0] == 0 and turned[0, 0, 16, 2] > 0.9


def test_factors_have_gradients():
    angle = torch.tensor([10.0, -40.0], requires_grad=True)
    render("seven", angle, size=16).square().sum().backward()
    assert torch.isfinite(angle.grad).all() and angle.grad.abs().max() > 0


def test_rotate_agrees_with_rendering_at_the_angle():
    upright = render("arrow", torch.tensor([0.0]), size=64)
    turned = render("arrow", torch.tensor([25.0]), size=64)
    assert (rotate(upright, torch.tensor([25.0])) - turned).abs().mean() < 0.01


def test_rotate_enlarges():
    assert rotate(torch.ones(2, 3, 8, 8), torch.zeros(2), size=16).shape == (2, 3, 16, 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"glyph": "sevn"}, "did you mean 'seven'"),
        ({"angle": torch.tensor(3.0)}, "angle: expected a float tensor of shape"),
        ({"angle": torch.tensor([1, 2])}, "angle: expected a float tensor"),
        ({"size": 4}, "size: expected an integer >= 8, but got 4"),
        ({"sheet": 1.5}, "sheet: expected a finite number"),
    ],
)
def test_bad_input_is_named(change, message):
    given = {"glyph": "bar", "angle": torch.zeros(1)} | change
    with pytest.raises(ValueError, match=message):
        render(given.pop("glyph"), given.pop("angle"), **given)
