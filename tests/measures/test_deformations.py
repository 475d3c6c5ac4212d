"""Deformations against scipy, against a loop over pixels, and on marked images."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform

from mmlib.measures import (
    DEFORMATIONS,
    Deformation,
    deform,
    deformation_matrices,
    mirror_probability,
)
from mmlib.measures.deformations import VARIANTS

MEAN = (0.4914, 0.4822, 0.4465)
NAMES = [one.name for one in DEFORMATIONS]


def images(n=4, size=32, channels=3):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(0))


def amounts(deformation, n):
    return deformation.draw(n, torch.Generator().manual_seed(1))


def by_scipy(x, matrix, offset, **options):
    """The same map with scipy, one channel at a time."""
    centre = np.array([side / 2 + offset for side in x.shape[1:]])
    shift = centre - matrix @ centre
    return np.stack([affine_transform(c, matrix, shift, mode="constant", **options) for c in x])


def hand_matrix(kind, amount, variant):
    """Matrices written out from the definitions, in (row, column)."""
    if kind.startswith("zoom"):
        return np.eye(2) * amount / 100
    s = math.radians(amount)
    if kind == "rotation":
        return np.array([[math.cos(s), -math.sin(s)], [math.sin(s), math.cos(s)]])
    return {
        "text": np.array([[1, 0], [-math.tan(s), 1]]),
        "released": np.array([[1, -math.sin(s)], [0, math.cos(s)]]),
        "unmirrored": np.array([[1, -math.sin(s)], [0, abs(math.cos(s))]]),
        "linear": np.array([[1, 0], [-s, 1]]),
    }[variant]


@pytest.mark.parametrize("one", DEFORMATIONS, ids=NAMES)
def test_released_variant_is_scipys_nearest_pixel(one):
    # The released code works on normalised images and fills with 0, around half the side + 0.5.
    x, drawn = images(), amounts(one, 4)
    mean = torch.tensor(MEAN).view(-1, 1, 1)
    ours = deform(x, one.kind, drawn, "released", fill=MEAN) - mean
    for i, amount in enumerate(drawn.tolist()):
        matrix = hand_matrix(one.kind, amount, "released")
        theirs = by_scipy((x[i] - mean).numpy(), matrix, 0.5, order=0, cval=0.0)
        assert np.abs(ours[i].numpy() - theirs).max() < 1e-6


@pytest.mark.parametrize("one", DEFORMATIONS, ids=NAMES)
def test_text_variant_is_bilinear_on_an_image_in_black(one):
    x, drawn = images(), amounts(one, 4)
    ours = deform(x, one.kind, drawn, "text")
    for i, amount in enumerate(drawn.tolist()):
        matrix = hand_matrix(one.kind, amount, "text")
        wide = np.pad(x[i].numpy(), ((0, 0), (1, 1), (1, 1)))
        theirs = by_scipy(wide, matrix, -0.5, order=1, cval=0.0)
        theirs = theirs[:, 1:-1, 1:-1]
        assert np.abs(ours[i].numpy() - theirs).max() < 1e-4


@pytest.mark.parametrize("variant", VARIANTS)
def test_loop_over_pixels(variant):
    x = images(1, 6, 1)[0, 0].double()
    angle, centre = 31.0, 2.5 + (1.0 if variant in ("released", "unmirrored") else 0.0)
    matrix = hand_matrix("shearing", angle, variant)
    expected = torch.zeros(6, 6, dtype=torch.float64)
    for i in range(6):
        for j in range(6):
            r, c = matrix @ np.array([i - centre, j - centre]) + centre
            if variant in ("released", "unmirrored"):
                inside = 0 <= r <= 5 and 0 <= c <= 5
                expected[i, j] = x[math.floor(r + 0.5), math.floor(c + 0.5)] if inside else 0.25
                continue
            for a in range(6):
                for b in range(6):
                    expected[i, j] += max(0, 1 - abs(r - a)) * max(0, 1 - abs(c - b)) * x[a, b]
    fill = [0.25] if variant in ("released", "unmirrored") else None
    ours = deform(x.view(1, 1, 6, 6), "shearing", torch.tensor([angle]), variant, fill=fill)
    assert torch.allclose(ours[0, 0].double(), expected, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("kind", "nothing"), [("rotation", 0), ("shearing", 0), ("zoom_in", 100), ("zoom_out", 100)]
)
def test_no_deformation_is_the_identity(kind, nothing, variant):
    x = images()
    still = deform(x, kind, torch.full((4,), float(nothing)), variant, fill=MEAN)
    assert torch.allclose(still, x, atol=1e-5)
    changed = deform(x, kind, torch.full((4,), nothing + 20.0), variant, fill=MEAN)
    assert not torch.allclose(changed, x, atol=0.1)


def test_zoom_in_takes_the_central_share_and_expands_it():
    # Constant 16 x 16 centre: 50 % shows it and nothing else, also in the corners.
    x = torch.zeros(1, 1, 32, 32)
    x[..., 8:24, 8:24] = 1.0
    half = deform(x, "zoom_in", torch.tensor([50.0]))
    assert float(half[..., 1:-1, 1:-1].min()) == pytest.approx(1.0, abs=1e-5)
    # Of 60 % it is 16 / 19.2 of the side: 26.67 pixels, area 711.1.
    wider = deform(x, "zoom_in", torch.tensor([60.0]))
    assert float(wider.sum()) == pytest.approx((16 / 0.6) ** 2, rel=0.02)


def test_zoom_out_shrinks_the_image_into_black():
    white = torch.ones(1, 1, 32, 32)
    small = deform(white, "zoom_out", torch.tensor([160.0]))[0, 0]
    # The image is 20 x 20 pixels then, in the middle; the frame around it is black.
    assert torch.allclose(small[7:25, 7:25], torch.ones(18, 18), atol=1e-5)
    assert float(small[:5].max()) == 0.0 and float(small[:, 27:].max()) == 0.0
    assert float(small.sum()) == pytest.approx(400, rel=0.05)
    assert torch.allclose(small, small.flip(0), atol=1e-5)
    # The released one is filled with the mean colour, and lies off the middle.
    code = deform(white, "zoom_out", torch.tensor([160.0]), "released", fill=[0.5])[0, 0]
    assert set(code.unique().tolist()) == {0.5, 1.0}
    assert not torch.equal(code, code.flip(0))


def test_rotation_turns_a_marked_pixel():
    x = torch.zeros(1, 1, 33, 33)
    x[0, 0, 16, 26] = 1.0  # 10 pixels to the right of the centre
    for angle in (90.0, -90.0):
        turned = deform(x, "rotation", torch.tensor([angle]))[0, 0]
        row, column = divmod(int(turned.argmax()), 33)
        assert (row, column) == (16 + (10 if angle > 0 else -10), 16)
        assert float(turned.max()) == pytest.approx(1.0, abs=1e-4)


def test_shearing_of_the_text_moves_rows_by_the_tangent():
    x = torch.zeros(1, 1, 33, 33)
    x[..., 16] = 1.0  # a vertical line
    sheared = deform(x, "shearing", torch.tensor([45.0]))[0, 0]
    assert torch.allclose(sheared, torch.eye(33), atol=1e-4)


@pytest.mark.parametrize("angle", [-70.0, -33.0, 5.0, 61.0])
def test_beyond_90_degrees_the_text_repeats_and_the_code_mirrors(angle):
    x = images(1, 33, 1)
    one, two = torch.tensor([angle]), torch.tensor([angle + 180])
    text = [deform(x, "shearing", s, "text") for s in (one, two)]
    assert torch.allclose(*text, atol=1e-4)
    # M(s + 180) = M(s) diag(1, -1): the mirror image, about the code's own centre, column 17.
    code = [deform(x, "shearing", s, "released", fill=[0.0])[..., 2:] for s in (one, two)]
    # Up to places that rounding puts on the other side of a half or of the border.
    assert (code[1] != code[0].flip(-1)).float().mean() < 0.03
    assert (code[1] != code[0]).float().mean() > 0.2
    # Without the sign of the cosine there is no mirror image: s and 180 - s agree.
    pair = [deform(x, "shearing", s, "unmirrored", fill=[0.0]) for s in (two, 180 - two)]
    assert (pair[0] != pair[1]).float().mean() < 0.03


def test_the_linear_reading_never_comes_back():
    matrix = deformation_matrices("shearing", torch.tensor([10.0, 100.0, 170.0]), "linear")
    assert torch.allclose(matrix[:, 1, 0], -torch.tensor([10.0, 100, 170]).double() * math.pi / 180)


@pytest.mark.parametrize("strength", [28.6, 57.3, 114.6, 143.2, 171.9])
def test_share_of_mirrored_images(strength):
    n = 200_000
    drawn = amounts(Deformation("shearing", strength), n)
    mirrored = deformation_matrices("shearing", drawn, "released").det() < 0
    assert float(mirrored.double().mean()) == pytest.approx(mirror_probability(strength), abs=0.005)
    assert (deformation_matrices("shearing", drawn, "text").det() > 0).all()


def test_draws():
    one = Deformation("rotation", 40)
    drawn = one.draw(100_000, torch.Generator().manual_seed(0))
    assert float(drawn.abs().max()) < 40
    assert float(drawn.mean()) == pytest.approx(0, abs=0.3)
    assert float(drawn.std()) == pytest.approx(40 / math.sqrt(3), rel=0.01)
    assert torch.equal(drawn, one.draw(100_000, torch.Generator().manual_seed(0)))
    assert len(DEFORMATIONS) == len(set(NAMES)) == 17


def test_bytes_batches_and_errors():
    x = (255 * images()).byte()
    angles = torch.tensor([10.0, -20, 30, 40])
    whole = deform(x, "rotation", angles)
    assert torch.equal(whole, deform(x, "rotation", angles, batch_size=3))
    assert torch.equal(whole, deform(x.float() / 255, "rotation", angles))
    huge = deform(x, "shearing", torch.full((4,), 90.0))
    assert torch.isfinite(huge).all()
    with pytest.raises(ValueError, match="fill: expected the mean colour"):
        deform(x, "rotation", angles, "released")
    with pytest.raises(ValueError, match="fill: expected 3 numbers"):
        deform(x, "rotation", angles, fill=[0.5])
    with pytest.raises(ValueError, match="variant: .*did you mean 'text'"):
        deform(x, "rotation", angles, "test")
    with pytest.raises(ValueError, match="amounts: expected"):
        deform(x, "rotation", angles[:2])
    with pytest.raises(ValueError, match="did you mean 'rotation'"):
        deform(x, "rotations", angles)
    with pytest.raises(ValueError, match="kind"):
        Deformation("zoom", 20)
    with pytest.raises(ValueError, match="270"):
        mirror_probability(300)
