"""Networks that chapters share: kept under all that made them, and the same again."""

from __future__ import annotations

import pytest
import torch

from mmlib.studies import networks, recipes
from mmlib.studies.networks import METHODS, SignedStep, cell, mixup_of, scores, trained


@pytest.fixture(autouse=True)
def _results(tmp_path, monkeypatch):
    monkeypatch.setenv("MMLIB_RESULTS", str(tmp_path))


def tiny(method="none", **changes):
    size = {"model": "small_conv", "width": 8, "n_train": 40, "n_test": 20, "n_watch": 10}
    return cell("smoke", method, **size | {"batch": 20, "epochs": 2} | changes)


def weights(found):
    return torch.cat([p.detach().flatten().double() for p in found.model.state_dict().values()])


def files():
    return sorted(networks._folder().glob("*.pt"))


def test_a_network_is_trained_once_and_read_back(monkeypatch):
    first = trained(tiny(), 0)
    assert len(files()) == 1 and not first.model.training
    monkeypatch.setattr(networks.SignedStep, "__call__", None)
    stamp = files()[0].stat().st_mtime_ns
    again = trained(tiny() | {"n_images": 7}, 0)  # a key that does not concern the training
    assert torch.equal(weights(first), weights(again))
    assert files()[0].stat().st_mtime_ns == stamp and scores(first)[0] == scores(again)[0]


@pytest.mark.parametrize(
    "changes", [{"lr": 0.05}, {"n_train": 30}, {"loss": "bce_softmax"}, {"epochs": 1}]
)
def test_another_setting_is_another_network(changes):
    one, two = trained(tiny(), 0), trained(tiny(**changes), 0)
    assert len(files()) == 2 and not torch.equal(weights(one), weights(two))


def test_seeds_are_kept_apart_and_can_be_forgotten():
    assert not torch.equal(weights(trained(tiny(), 0)), weights(trained(tiny(), 1)))
    assert len(files()) == 2
    networks.forget()
    assert files() == []


def test_methods_of_a_seed_share_images_and_initial_weights():
    one, two = trained(tiny(), 3), trained(tiny("manifold"), 3)
    assert torch.equal(one.data.x_train, two.data.x_train)
    start = [networks.network(tiny(m), one.data, 3) for m in ("none", "manifold")]
    assert all(torch.equal(a, b) for a, b in zip(*(m.parameters() for m in start), strict=True))


def test_every_method_is_the_setting_that_it_is_said_to_be():
    found = {method: mixup_of(cell("quick", method), 0) for method in METHODS}
    assert found["none"] is None and found["fgsm_training"] is None
    assert found["input"].layers == ("input",)
    assert found["manifold"].layers == ("input", "layer1", "layer2")
    assert found["manifold_all"].layers == ("input", "layer1", "layer2", "layer3")
    assert found["blocked"].detach and not found["manifold"].detach
    assert found["kmixup"].pairing.k == 2
    laws = {m: float(mixup.law.alpha) for m, mixup in found.items() if mixup is not None}
    assert laws == {
        "input": 1, "input_2": 2, "manifold": 2, "manifold_all": 6, "blocked": 2, "kmixup": 1
    }  # fmt: skip


def test_signed_step_raises_the_loss_by_its_first_order():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3)).double()
    x = torch.randn(5, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1, 2, 0, 1])
    step = SignedStep(1e-6, (0.5, 0.25, 1.0))
    moved = step(net, x, y)
    sizes = (moved - x).abs().amax((0, 2, 3))
    assert torch.allclose(sizes, torch.tensor([2e-6, 4e-6, 1e-6], dtype=torch.float64), rtol=1e-2)
    losses = [torch.nn.functional.cross_entropy(net(v), y) for v in (x, moved)]
    assert losses[1] > losses[0] and all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("quik", "none"), "profile: .*did you mean 'quick'"),
        (("quick", "manifld"), "method: .*did you mean 'manifold'"),
        (("quick", "none", "cifar1"), "data: .*did you mean 'cifar10"),
    ],
)
def test_wrong_names_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        cell(*arguments)
    with pytest.raises(ValueError, match="recipe: expected one of 'text', 'released'"):
        cell("quick", "none", recipe_name="texts")


def test_no_class_may_be_missing():
    with pytest.raises(ValueError, match="n_train: expected an integer >= 10, but got 9"):
        cell("quick", "none", n_train=9)
    with pytest.raises(ValueError, match="n_train: expected an integer >= 100, but got 99"):
        cell("quick", "none", "cifar100", n_train=99)


def test_recipes_differ_in_what_is_listed_and_in_nothing_else():
    text, code = recipes.recipe("text"), recipes.recipe("released")
    differing = {key for key in text if text[key] != code[key]}
    assert differing == set(recipes.DIFFERENCES)
    assert set(text) == set(code) == set(recipes.DIFFERENCES) | set(recipes.SAME)


def test_time_of_an_epoch_counts_all_images():
    few, many = tiny(n_train=20, batch=20), tiny(n_train=200, batch=20)
    ratio = networks.epoch_seconds(many) / networks.epoch_seconds(few)
    assert 2 < ratio < 50  # ten times the images; wall clocks of a busy machine
