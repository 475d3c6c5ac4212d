from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import optimize

from mmlib.measures import accuracy, best_temperature, cross_fitted_nll, nll
from mmlib.measures.temperature import COLDEST, HOTTEST


def drawn(n: int, scale: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and classes that are drawn from their own softmax; the logits then times `scale`."""
    generator = torch.Generator().manual_seed(seed)
    z = 2 * torch.randn(n, 5, generator=generator, dtype=torch.float64)
    y = torch.multinomial(z.softmax(1), 1, generator=generator)[:, 0]
    return scale * z, y


@pytest.mark.parametrize("scale", (0.01, 1.0, 30.0))
def test_finds_the_scale_that_was_put_in(scale):
    z, y = drawn(40_000, scale)
    assert best_temperature(z, y) == pytest.approx(scale, rel=0.03)
    # A constant for each example changes no probability.
    assert best_temperature(z + torch.arange(len(z))[:, None] % 7, y) == pytest.approx(
        best_temperature(z, y), rel=1e-6
    )


def test_is_the_minimum_that_another_search_finds():
    z, y = drawn(500, 3.0, seed=1)
    found = optimize.minimize_scalar(
        lambda t: nll(z / np.exp(t), y), bounds=(-3, 4), method="bounded", options={"xatol": 1e-9}
    )
    assert best_temperature(z, y) == pytest.approx(np.exp(found.x), rel=1e-5)


def test_ends_where_there_is_no_minimum():
    z = torch.eye(4).double()
    y = torch.arange(4)
    assert best_temperature(z, y) == COLDEST  # all right
    assert best_temperature(z, y.roll(1)) == HOTTEST  # worse than nothing
    with pytest.raises(ValueError, match="finite"):
        best_temperature(z / 0, y)


def test_cross_fitted_nll_is_near_the_best_and_never_uses_its_own_labels():
    z, y = drawn(4000, 8.0, seed=2)
    best = nll(z / best_temperature(z, y), y)
    found = cross_fitted_nll(z, y, 0)
    assert best <= found < best + 0.003 < nll(z, y)
    assert found == cross_fitted_nll(z, y, 0) != cross_fitted_nll(z, y, 1)
    assert accuracy(z / 8, y) == accuracy(z, y)
    # Two examples, one right and one wrong: each half fits itself perfectly and not the other.
    two = torch.tensor([[5.0, 0.0], [5.0, 0.0]])
    assert cross_fitted_nll(two, torch.tensor([0, 1]), 0) > 1000
    with pytest.raises(ValueError, match="two examples"):
        cross_fitted_nll(two[:1], torch.tensor([0]), 0)
