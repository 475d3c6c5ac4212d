"""Gradient-sign attacks: against foolbox, in their units, and without traces on the model."""

from __future__ import annotations

import copy
import os
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmlib.measures import (
    OnPixels,
    fgsm,
    fgsm_pixels,
    iterated_signs,
    pgd,
    pixel_epsilons,
    pixel_step,
    predict,
    signed_gradient,
)

os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # foolbox imports GitPython, unused here
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # and names that scipy has moved
    import foolbox

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
EPSILONS = (0.5 / 255, 8 / 255, 0.3)


def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)
        ).double()


@pytest.fixture(scope="module")
def image_net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.Tanh(), nn.Dropout(), nn.Flatten(), nn.Linear(216, 5)
        ).double()


@pytest.fixture(scope="module")
def images() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(17, 3, 8, 8, generator=generator, dtype=torch.float64)
    x[0], x[1] = 0, 1  # every step of half the signs is clipped there
    return x, torch.randint(0, 5, (17,), generator=generator)


@pytest.fixture
def on_pixels(image_net) -> OnPixels:
    return OnPixels(image_net, MEAN, STD)


def foolbox_model(image_net) -> foolbox.PyTorchModel:
    preprocessing = {
        "mean": torch.tensor(MEAN, dtype=torch.float64),
        "std": torch.tensor(STD, dtype=torch.float64),
        "axis": -3,
    }
    return foolbox.PyTorchModel(
        copy.deepcopy(image_net).eval(), bounds=(0, 1), preprocessing=preprocessing, device="cpu"
    )


# ------------------------------------------------------------------------ against foolbox


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_fgsm_in_pixels_agrees_with_foolbox(image_net, on_pixels, images, epsilon):
    x, y = images
    attack = foolbox.attacks.LinfFastGradientAttack()
    raw, _, fooled = attack(foolbox_model(image_net), x, y, epsilons=epsilon)
    ours = fgsm_pixels(on_pixels, x, y, epsilon=epsilon)
    assert torch.allclose(ours, raw, rtol=0, atol=1e-12)
    assert torch.equal(predict(on_pixels, ours).argmax(1) != y, fooled)


@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize(("steps", "share"), [(1, 0.4), (10, 0.25), (7, 1.5)])
def test_pgd_agrees_with_foolbox(image_net, on_pixels, images, epsilon, steps, share):
    x, y = images
    attack = foolbox.attacks.LinfPGD(abs_stepsize=share * epsilon, steps=steps, random_start=False)
    raw, _, _ = attack(foolbox_model(image_net), x, y, epsilons=epsilon)
    ours = pgd(on_pixels, x, y, epsilon=epsilon, step=share * epsilon, steps=steps)
    assert torch.allclose(ours.x, raw, rtol=0, atol=1e-12)


def test_the_comparison_can_fail(image_net, on_pixels, images):
    x, y = images
    attack = foolbox.attacks.LinfPGD(abs_stepsize=0.02, steps=5, random_start=False)
    raw, _, _ = attack(foolbox_model(image_net), x, y, epsilons=0.03)
    other = pgd(on_pixels, x, y, epsilon=0.03, step=0.02, steps=4).x
    assert not torch.allclose(other, raw, rtol=0, atol=1e-4)


# ------------------------------------------------------------------------ units


def test_a_step_in_normalised_units_is_one_in_pixels_times_std(image_net, on_pixels, images):
    x, y = images[0].clamp(0.3, 0.7), images[1]
    mean, std = (torch.tensor(v, dtype=torch.float64).view(3, 1, 1) for v in (MEAN, STD))
    moved = fgsm(image_net, (x - mean) / std, y, epsilon=0.03) * std + mean
    size = torch.tensor(pixel_epsilons(0.03, STD), dtype=torch.float64).view(3, 1, 1)
    assert torch.allclose((moved - x).abs(), size.expand_as(x))
    pixels = fgsm_pixels(on_pixels, x, y, epsilon=0.03)
    assert torch.allclose((pixels - x).abs(), torch.full_like(x, 0.03))
    assert torch.equal((pixels - x).sign(), (moved - x).sign())


def test_pixel_attacks_stay_in_the_ball_and_in_the_range(on_pixels, images):
    x, y = images
    start = torch.Generator().manual_seed(0)
    for moved in (
        fgsm_pixels(on_pixels, x, y, epsilon=0.1),
        pgd(on_pixels, x, y, epsilon=0.1, generator=start).x,
    ):
        assert moved.min() == 0 and moved.max() == 1
        assert (moved - x).abs().max() <= 0.1 + 1e-12


def test_only_a_model_on_pixels_is_attacked_in_pixels(image_net, images):
    for attack in (fgsm_pixels, pgd):
        with pytest.raises(TypeError, match=r"expects OnPixels\(model, mean, std\), but got Seq"):
            attack(image_net, *images, epsilon=0.1)


def test_unbounded_steps_leave_ball_and_range(image_net, images):
    x, y = images
    path = iterated_signs(image_net, x, y, step=0.05, steps=40)
    assert path.x.max() > 1.5 and (path.x - x).abs().max() > 1.5
    manual = x
    for _ in range(40):
        manual = fgsm(image_net, manual, y, epsilon=0.05)
    assert torch.allclose(path.x, manual, rtol=0, atol=1e-12)


# ------------------------------------------------------------------------ what comes back


def test_each_component_moves_by_epsilon_and_the_loss_rises():
    model, x, y = net().eval(), torch.randn(9, 4).double(), torch.arange(9) % 3
    moved = fgsm(model, x, y, epsilon=0.01)
    assert torch.allclose((moved - x).abs(), torch.full_like(x, 0.01))
    before, after = (F.cross_entropy(model(v), y, reduction="none") for v in (x, moved))
    assert (after > before).all()


@pytest.mark.parametrize("loss", ["ce", "bce_softmax"])
def test_the_direction_is_that_of_finite_differences(loss):
    model, x, y = net().eval(), torch.randn(3, 4).double(), torch.tensor([0, 1, 2])

    def value(points: torch.Tensor) -> torch.Tensor:
        p = model(points).softmax(1)
        if loss == "ce":
            return -p.gather(1, y[:, None]).log()[:, 0]
        return F.binary_cross_entropy(p, F.one_hot(y, 3).double(), reduction="none").mean(1)

    shifts = 1e-6 * torch.eye(4, dtype=torch.float64)
    with torch.no_grad():
        slopes = torch.stack([value(x + s) - value(x - s) for s in shifts], 1)
    assert torch.equal(signed_gradient(model, x, y, loss=loss), slopes.sign())


def test_a_path_reports_loss_and_hits_at_every_point(on_pixels, images):
    x, y = images
    path = pgd(on_pixels, x, y, epsilon=0.1, steps=3)
    assert path.loss.shape == path.correct.shape == (4, len(x))
    for row, point in ((0, x), (-1, path.x)):
        logits = predict(on_pixels, point)
        assert torch.allclose(path.loss[row], F.cross_entropy(logits, y, reduction="none"))
        assert torch.equal(path.correct[row], logits.argmax(1) == y)


def test_batches_do_not_matter(on_pixels, images):
    whole, parts = (
        pgd(
            on_pixels,
            *images,
            epsilon=0.1,
            generator=torch.Generator().manual_seed(3),
            batch_size=size,
        )
        for size in (100, 4)
    )
    assert torch.allclose(whole.x, parts.x, rtol=0, atol=1e-12)
    assert torch.equal(whole.correct, parts.correct)


def test_the_random_start_is_uniform_in_the_ball(images):
    class Flat(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :5] * 0 + x.sum() * 0

    x, y = images[0].clamp(0.4, 0.6), images[1]
    generator = torch.Generator().manual_seed(0)
    moved = pgd(OnPixels(Flat()), x, y, epsilon=0.2, generator=generator, steps=1).x
    shares = (moved - x) / 0.2
    assert shares.abs().max() <= 1 and shares.abs().mean() == pytest.approx(0.5, abs=0.02)
    assert shares.mean() == pytest.approx(0, abs=0.03)


def test_model_generators_and_input_are_left_as_they_were(image_net, on_pixels, images):
    x, y = images
    image_net.train()
    image_net[1].eval()
    state = {k: v.clone() for k, v in image_net.state_dict().items()}
    before, copy_of_x = torch.get_rng_state(), x.clone()
    fgsm(image_net, x, y, epsilon=0.1)
    pgd(on_pixels, x, y, epsilon=0.1, steps=2, generator=torch.Generator())
    iterated_signs(image_net, x, y, steps=2)
    assert image_net.training and image_net[2].training and not image_net[1].training
    assert all(torch.equal(state[k], v) for k, v in image_net.state_dict().items())
    assert all(parameter.grad is None for parameter in image_net.parameters())
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(x, copy_of_x) and not x.requires_grad


def test_mode_statistics_and_gradients_stay():
    model, x = net().train(), torch.randn(5, 4).double()
    model[2].eval()
    mean = model[1].running_mean.clone()
    fgsm(model, x, torch.zeros(5, dtype=torch.long), epsilon=0.1)
    assert model.training and not model[2].training
    assert torch.equal(mean, model[1].running_mean)
    assert all(parameter.grad is None for parameter in model.parameters())


# ------------------------------------------------------------------------ bad arguments


def test_epsilon_must_be_positive():
    with pytest.raises(ValueError, match="epsilon: expected a finite number > 0, but got 0"):
        fgsm(net(), torch.zeros(1, 4), torch.zeros(1, dtype=torch.long), epsilon=0)


@pytest.mark.parametrize("epsilon", [0, -0.1, 8, float("nan"), "0.1", True])
def test_an_epsilon_in_pixels_is_a_share_of_the_range(on_pixels, images, epsilon):
    for attack in (fgsm_pixels, pgd):
        with pytest.raises((ValueError, TypeError), match="epsilon: expected a finite number > 0"):
            attack(on_pixels, *images, epsilon=epsilon)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps: expected an integer >= 1"),
        ({"steps": 2.0}, TypeError, "steps: expected an integer"),
        ({"step": -1}, ValueError, "step: expected a finite number > 0"),
        ({"loss": "mse"}, ValueError, "loss: expected one of 'ce', 'bce_softmax'"),
        ({"batch_size": 0}, ValueError, "batch_size: expected an integer >= 1"),
        ({"x": torch.full((17, 3, 8, 8), 1.5)}, ValueError, r"x: expected images in \[0, 1\]"),
        ({"x": torch.zeros(17, 3, 8, 8).long()}, TypeError, "x: expected floats"),
        ({"y": torch.zeros(16).long()}, ValueError, "y: expected class indices, one for each"),
        ({"y": torch.zeros(17)}, ValueError, "y: expected class indices, one for each of 17"),
        ({"y": torch.full((17,), 5)}, ValueError, "y: expected classes below the number of logi"),
        ({"y": torch.full((17,), -1)}, ValueError, "y: expected class indices >= 0"),
    ],
)
def test_bad_arguments_are_named(on_pixels, images, change, error, message):
    arguments = {"x": images[0], "y": images[1], "epsilon": 0.1} | change
    with pytest.raises(error, match=message):
        pgd(on_pixels, **arguments, generator=torch.Generator())


def test_a_nan_in_the_images_or_gradients_is_an_error(on_pixels, images):
    x, y = images[0].clone(), images[1]
    x[3, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="x: expected images in"):
        fgsm_pixels(on_pixels, x, y, epsilon=0.1)
    root = nn.Sequential(nn.Flatten(), nn.Linear(192, 5).double(), _Root())
    with pytest.raises(FloatingPointError, match="of 3264 input gradients are not finite"):
        signed_gradient(root, images[0], y)


class _Root(nn.Module):
    """Infinite slope at 0."""

    def forward(self, x):
        return (x - x.detach()).abs().sqrt() + x


def test_a_model_without_gradients_is_an_error(images):
    class Cut(nn.Module):
        def forward(self, x):
            return x.detach().flatten(1)

    with pytest.raises(ValueError, match="expected logits that depend on x"):
        signed_gradient(Cut(), *images)


def test_shapes_of_a_step_must_agree():
    with pytest.raises(ValueError, match="direction: expected the shape of x"):
        pixel_step(torch.zeros(2, 1), torch.zeros(2), 0.1)


def test_means_and_deviations_must_fit():
    with pytest.raises(ValueError, match="mean, std: expected equal lengths, but got 3, 1"):
        OnPixels(nn.Flatten(), MEAN, (0.2,))
    with pytest.raises(ValueError, match="std: expected a finite number > 0"):
        OnPixels(nn.Flatten(), (0.1,), (0,))
