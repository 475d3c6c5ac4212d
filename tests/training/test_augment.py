from __future__ import annotations

import pytest
import torch

from mmlib.training import CropFlip


def images(n=400, size=6) -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.randint(1, 256, (n, 3, size, size), generator=rng).byte()


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("pad", [0, 1, 2])
def test_every_result_is_a_crop_and_all_crops_are_equally_frequent(pad, flip):
    x = images()
    out = CropFlip(pad, flip)(x, torch.Generator().manual_seed(0))
    assert out.shape == x.shape and out.dtype == torch.uint8
    counts = {}
    for before, after in zip(x, out, strict=True):
        padded = torch.zeros(3, 6 + 2 * pad, 6 + 2 * pad, dtype=torch.uint8)
        padded[:, pad : pad + 6, pad : pad + 6] = before
        crops = {
            (i, j, mirrored): padded[:, i : i + 6, j : j + 6].flip(2 if mirrored else ())
            for i in range(2 * pad + 1)
            for j in range(2 * pad + 1)
            for mirrored in {False, flip}
        }
        hits = [key for key, crop in crops.items() if torch.equal(crop, after)]
        assert len(hits) == 1
        counts[hits[0]] = counts.get(hits[0], 0) + 1
    kinds = (2 * pad + 1) ** 2 * (1 + flip)
    assert len(counts) == kinds
    expected = len(x) / kinds
    chi2 = sum((n - expected) ** 2 / expected for n in counts.values())
    assert chi2 < kinds + 4 * (2 * kinds) ** 0.5


def test_deterministic_and_leaves_its_input_alone():
    x = images(20)
    before = x.clone()
    one, two = (CropFlip(2)(x, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two) and torch.equal(x, before)
    assert not torch.equal(one, CropFlip(2)(x, torch.Generator().manual_seed(4)))


def test_settings_are_checked():
    with pytest.raises(ValueError, match="pad"):
        CropFlip(pad=-1)
    with pytest.raises(TypeError, match="flip"):
        CropFlip(flip="yes")
