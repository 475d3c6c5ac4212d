"""Settings, images and joint training of the bottleneck nets."""

import numpy as np
import pytest
import torch

from mmlib.mixing.law import Law
from mmlib.studies import bottlenecks


def small(**changes: object) -> dict:
    return bottlenecks.cell("smoke", width=8, n_train=60, n_test=30, **changes)


def test_methods_start_alike_and_part() -> None:
    starts, ends = {}, {}

    def watch(epoch: int, nets: dict) -> None:
        kept = starts if epoch == 0 else ends
        kept.update({name: net.layer1[0].weight.detach().clone() for name, net in nets.items()})

    out = bottlenecks.train(small(), 0, watch=watch)
    assert tuple(out.nets) == bottlenecks.METHODS
    assert all(torch.equal(starts["none"], weight) for weight in starts.values())
    assert torch.equal(ends["blocked"], starts["none"])  # no gradient reaches it
    others = [name for name in out.nets if name not in ("none", "blocked")]
    assert not any(torch.equal(ends["none"], ends[name]) for name in others)
    assert len(out.history.train_loss[-1]) == len(out.nets)


def test_a_method_is_the_same_in_any_company() -> None:
    alone = bottlenecks.train(small(methods=("manifold",)), 3).nets["manifold"]
    among = bottlenecks.train(small(), 3).nets["manifold"]
    torch.testing.assert_close(alone.head.weight, among.head.weight, rtol=1e-4, atol=1e-5)


def test_digits_are_renumbered_and_balanced() -> None:
    data = bottlenecks.images(small(digits=(7, 3)), 0)
    assert data.classes == ("3", "7") and data.y_train.bincount().tolist() == [30, 30]
    whole = bottlenecks.images(small(), 0)
    assert data.fingerprint != whole.fingerprint


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_entropy_of_mixed_targets_by_sampling(alpha: float) -> None:
    rng = np.random.default_rng(0)
    u = torch.from_numpy(rng.random(200_000))
    lam = Law("beta", alpha).quantile(u).numpy().clip(1e-12, 1 - 1e-12)
    entropy = -(lam * np.log(lam) + (1 - lam) * np.log(1 - lam)) * (rng.random(lam.size) < 0.8)
    expected = bottlenecks.mixed_entropy(alpha, 5)
    error = 4 * entropy.std() / np.sqrt(lam.size)
    assert abs(entropy.mean() - expected) < error
    assert abs(entropy.mean() - bottlenecks.mixed_entropy(alpha, 4)) > error  # the control


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digits": (1,)}, "digits: expected at least two different digits"),
        ({"digits": (1, 1)}, "digits: expected at least two different digits"),
        ({"digits": (1, 10)}, "digits: expected an integer >= 0 and <= 9, but got 10"),
        ({"digits": "01"}, "digits: expected a list of digits"),
        ({"methods": ("non",)}, "did you mean 'none'"),
        ({"methods": ()}, "methods: expected different names"),
        ({"methods": "none"}, "methods: expected a list of names"),
        ({"alpha": -1}, "alpha: expected a finite number > 0"),
        ({"code": 0}, "code: expected an integer >= 1"),
        ({"loss": "hinge"}, "loss: expected one of"),
        ({"widht": 3}, "did you mean 'width'"),
        ({"n_train": 5}, "n_train: expected an integer >= 10"),
    ],
)
def test_refuses(change: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        bottlenecks.cell("smoke", **change)
