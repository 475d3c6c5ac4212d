"""Checks of gradient masking, on models where the answer is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmlib.measures import (
    OnPixels,
    Wobble,
    fgsm,
    gradient_norms,
    iterated_signs,
    loss_along,
    predict,
    random_search,
    signed_gradient,
    smallest_flip,
    span_share,
    transfer,
)


class Threshold(nn.Module):
    """Logits (mean brightness - 1/2) * slope and its negative: flips by a known epsilon."""

    def __init__(self, slope: float = 10.0) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x):
        z = self.slope * (x.flatten(1).mean(1) - 0.5)
        return torch.stack([-z, z], 1)


def grey(*levels: float) -> torch.Tensor:
    return torch.tensor(levels).view(-1, 1, 1, 1).expand(-1, 1, 6, 6).contiguous()


ON = OnPixels(Threshold())


# ------------------------------------------------------------------------ along the direction


def test_smallest_flip_is_the_distance_to_the_threshold():
    x, y = grey(0.62, 0.7, 0.95, 0.4), torch.tensor([1, 1, 1, 1])
    found = smallest_flip(ON, x, y, [0.05, 0.1, 0.15, 0.25, 0.4])
    assert found.tolist() == pytest.approx([0.15, 0.25, float("inf"), 0.0])


def test_the_loss_along_the_direction_rises_and_ends_at_the_clip():
    x, y = grey(0.8), torch.tensor([1])
    losses, hits = loss_along(ON, x, y, signed_gradient(ON, x, y), [0, 0.2, 0.4, 0.8, 1])
    assert (losses[1:4] > losses[:3]).all() and losses[3] == losses[4]
    assert hits.flatten().tolist() == [True, True, False, False, False]


@pytest.mark.parametrize("epsilons", [[], [0.2, 0.1], [0.1, 0.1], [0.1, 2.0]])
def test_epsilons_must_rise_within_the_range(epsilons):
    with pytest.raises(ValueError, match="epsilon"):
        smallest_flip(ON, grey(0.8), torch.tensor([1]), epsilons)


def test_gradient_norms_against_a_linear_model():
    linear = nn.Linear(5, 2, bias=False).double()
    x, y = torch.zeros(1, 5).double(), torch.tensor([0])  # p = (1/2, 1/2)
    slope = (linear.weight[1] - linear.weight[0]).detach() / 2
    norms = gradient_norms(linear, x, y)
    assert float(norms.l1) == pytest.approx(float(slope.abs().sum()))
    assert float(norms.l2) == pytest.approx(float(slope.norm()))
    linear.weight.data[:, :2] = 0
    assert gradient_norms(linear, x, y).zeros == 0.4


# ------------------------------------------------------------------------ a masked model is seen


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A linear problem that a small network solves, with noise that one step can overcome."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(600, 100, generator=generator)
    y = (x[:, :50].sum(1) > 0).long()
    x = x + 0.1 * (2 * y[:, None] - 1) * (torch.arange(100) < 50)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(100, 32), nn.Tanh(), nn.Linear(32, 2))
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(150):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    return model.eval(), x[:200], y[:200]


def right(model, x, y) -> float:
    return float((predict(model, x).argmax(1) == y).float().mean())


def test_a_wobble_masks_one_step_but_is_no_help_against_the_examples_of_another(trained):
    plain, x, y = trained
    masked = Wobble(plain, amplitude=0.002, period=0.01)
    assert right(plain, x, y) > 0.98 and right(masked, x, y) > 0.98
    examples = {
        "plain": fgsm(plain, x, y, epsilon=0.2),
        "masked": fgsm(masked, x, y, epsilon=0.2),
    }
    found = transfer({"plain": plain, "masked": masked}, examples, y)
    assert found["plain", "plain"] < 0.5 and found["masked", "masked"] > 0.7
    assert found["plain", "masked"] < 0.5


def test_the_unbounded_attack_sees_one_mask_and_misses_another(trained):
    plain, x, y = trained
    # A period that divides the step: each component keeps its phase, so all of them drift.
    missed = Wobble(plain, amplitude=0.002, period=0.01)
    assert iterated_signs(missed, x, y, step=0.01).correct[-1].float().mean() < 0.02
    # Another period: a step forward is soon followed by one back, for ever.
    seen = Wobble(plain, amplitude=0.004, period=0.0127)
    assert iterated_signs(seen, x, y, step=0.01).correct[-1].float().mean() > 0.9


def test_transfer_has_the_white_box_on_its_diagonal(trained):
    plain, x, y = trained
    found = transfer({"a": plain}, {"a": fgsm(plain, x, y, epsilon=0.1)}, y)
    assert found == {("a", "a"): pytest.approx(right(plain, fgsm(plain, x, y, epsilon=0.1), y))}
    with pytest.raises(ValueError, match=r"examples\['a'\]: expected 200 inputs, but got 3"):
        transfer({"a": plain}, {"a": x[:3]}, y)


# ------------------------------------------------------------------------ without gradients


def test_random_search_stays_in_the_ball_and_lowers_the_margin():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(9, 1, 6, 6, generator=generator), torch.zeros(9).long()
    y[x.flatten(1).mean(1) > 0.5] = 1
    margins = []
    for queries in (1, 30, 150):
        generator = torch.Generator().manual_seed(0)
        moved = random_search(ON, x, y, epsilon=0.03, queries=queries, generator=generator)
        assert (moved - x).abs().max() <= 0.03 + 1e-6 and moved.min() >= 0 and moved.max() <= 1
        logits = predict(ON, moved)
        margins.append(logits.gather(1, y[:, None]).sum() - logits.sum(1).sum() / 2)
    assert margins[0] > margins[1] > margins[2]
    # One step along the sign is the best attack on this model; the search must come close to it.
    best = predict(ON, (x - 0.03 * (2 * y - 1).view(-1, 1, 1, 1)).clamp(0, 1))
    clean = predict(ON, x)
    gained, possible = (
        (clean - after).gather(1, y[:, None]).mean() for after in (predict(ON, moved), best)
    )
    assert 0.5 * possible < gained <= possible + 1e-5


def test_random_search_needs_no_gradient_and_takes_no_global_randomness():
    class Stepwise(nn.Module):
        def forward(self, x):
            return Threshold()(x.mul(50).round() / 50)

    x, y = grey(0.52, 0.6), torch.tensor([1, 1])
    before = torch.get_rng_state()
    generator = torch.Generator().manual_seed(0)
    moved = random_search(OnPixels(Stepwise()), x, y, epsilon=0.08, queries=60, generator=generator)
    assert torch.equal(before, torch.get_rng_state())
    assert (predict(ON, moved).argmax(1) == y).tolist() == [False, True]


# ------------------------------------------------------------------------ directions


def test_random_directions_have_the_expected_share_and_others_do_not():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(21, 3, 5, 5, generator=generator)
    signs = torch.randint(0, 2, (4000, 75), generator=generator).double() * 2 - 1
    found = span_share(signs, images)
    assert found.dimensions == 20 and found.expected == 20 / 75
    spread = float(found.share.std()) / 4000**0.5
    assert float(found.share.mean()) == pytest.approx(20 / 75, abs=4 * spread)
    inside = images[3:6] - images[7:10]
    assert torch.allclose(span_share(inside, images).share, torch.ones(3).double())
    assert (span_share(images.flatten(1)[:1] * 0 + 1, images).share != found.expected).all()


def test_the_span_is_that_of_all_pairwise_differences():
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(6, 30, generator=generator, dtype=torch.float64)
    pairs = torch.stack([a - b for a in images for b in images if a is not b])
    v = torch.randn(5, 30, generator=generator, dtype=torch.float64)
    solution = torch.linalg.lstsq(pairs.T, v.T, driver="gelsd").solution
    expected = (pairs.T @ solution).square().sum(0) / v.square().sum(1)
    assert torch.allclose(span_share(v, images).share, expected)
    repeated = span_share(v, torch.cat([images, images[:4]]))
    assert repeated.dimensions == 5 and torch.allclose(repeated.share, expected)


def test_directions_and_images_must_fit():
    with pytest.raises(ValueError, match="images: expected at least two of 4 components"):
        span_share(torch.ones(1, 4), torch.ones(3, 5))
    with pytest.raises(ValueError, match="directions: expected none to be zero, but 1 are"):
        span_share(torch.zeros(1, 5), torch.rand(3, 5))
