from __future__ import annotations

import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlib.data import Dataset, Table


def dataset(counts=(7, 5, 6), device="cpu") -> Dataset:
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(3))]
    # The image of an example tells its position.
    x = torch.arange(len(y), dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 2, 4, 4)
    return Dataset(
        name="toy",
        asked="toy",
        title="Toy",
        x_train=x,
        y_train=y,
        x_test=x[:6],
        y_test=torch.tensor([0, 0, 1, 1, 2, 2]),
        classes=("a", "b", "c"),
        mean=(0.5, 0.25),
        std=(0.5, 0.125),
        embedded=True,
        fingerprint="0",
        note="",
    )


def test_properties():
    toy = dataset()
    assert (toy.num_classes, toy.in_channels, toy.image_size) == (3, 2, 4)
    assert toy.device.type == "cpu"
    with pytest.raises(AttributeError):
        toy.name = "other"


def test_inputs_equal_the_formula_and_refuse_floats():
    toy = dataset()
    x = torch.randint(256, (5, 2, 4, 4), dtype=torch.uint8)
    mean, std = (torch.tensor(v).double().view(-1, 1, 1) for v in (toy.mean, toy.std))
    expected = (x.double() / 255 - mean) / std
    assert torch.allclose(toy.inputs(x).double(), expected, atol=1e-5)
    assert toy.inputs(x).dtype == torch.float32
    with pytest.raises(TypeError, match="uint8 images.*float32"):
        toy.inputs(toy.inputs(x))
    for wrong in (x[:, :1], x[0]):
        with pytest.raises(ValueError, match=r"shape \(B, 2, H, W\)"):
            toy.inputs(wrong)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 15), seed=st.integers(0, 2**32))
def test_subset_is_balanced_without_repeats_in_the_order_of_the_set(n, seed):
    toy = dataset()
    small = toy.subset(n, 3, seed)
    counts = small.y_train.bincount(minlength=3)
    assert len(small.y_train) == n and int(counts.max() - counts.min()) <= 1
    rows = small.x_train[:, 0, 0, 0].long()
    assert (rows.diff() > 0).all()
    assert torch.equal(toy.y_train[rows], small.y_train)
    assert small.y_test.tolist() == [0, 1, 2]
    again = toy.subset(n, 3, seed)
    assert torch.equal(again.x_train, small.x_train) and again.fingerprint == small.fingerprint


def test_subsets_of_a_seed_are_nested_and_seeds_differ():
    toy = dataset((50, 60, 70))
    rows = [set(toy.subset(n, seed=4).x_train[:, 0, 0, 0].tolist()) for n in (9, 30, 90)]
    assert rows[0] < rows[1] < rows[2]
    one, other = toy.subset(30, seed=0), toy.subset(30, seed=1)
    assert not torch.equal(one.x_train, other.x_train)
    assert len({one.fingerprint, other.fingerprint, toy.fingerprint}) == 3


def test_subset_takes_a_generator():
    one = dataset().subset(9, seed=torch.Generator().manual_seed(5))
    assert torch.equal(one.x_train, dataset().subset(9, seed=5).x_train)


def test_all_of_a_set_needs_no_balance():
    assert len(dataset().subset(18, 6).y_train) == 18
    assert len(dataset().subset().y_train) == 18


@pytest.mark.parametrize(
    ("n_train", "message"),
    [
        (19, "Toy has 18 train examples, but 19"),
        (0, "n_train: expected an integer >= 1"),
    ],
)
def test_more_than_there_is_is_an_error(n_train, message):
    with pytest.raises(ValueError, match=message):
        dataset().subset(n_train)


def test_more_of_a_class_than_there_is_is_an_error():
    assert dataset().subset(17).y_train.bincount().tolist() == [6, 5, 6]
    with pytest.raises(ValueError, match="12 balanced .* need 4 of class 1, which has 2"):
        dataset((9, 2, 7)).subset(12)


def test_at_most_takes_what_a_balanced_subset_can_have():
    small = dataset().subset(1000, 1000, at_most=True)
    assert small.y_train.bincount().tolist() == [5, 5, 5]
    assert len(small.y_test) == 6


def test_pickles():
    toy = pickle.loads(pickle.dumps(dataset()))
    assert torch.equal(toy.x_train, dataset().x_train)


def table(x: torch.Tensor) -> Table:
    return Table(
        name="toy",
        asked="toy",
        title="Toy",
        x=x,
        y=torch.arange(len(x)) % 2,
        features=tuple(f"f{i}" for i in range(x.shape[1])),
        classes=("a", "b"),
        embedded=True,
        fingerprint="0",
        note="",
    )


def test_split_standardises_by_the_training_rows():
    x = torch.randn(100, 3) * torch.tensor([1.0, 100.0, 1e-4]) + torch.tensor([0.0, 1e3, 5.0])
    x_train, y_train, x_test, y_test = table(x).split(0.25, seed=1)
    assert (len(x_train), len(x_test)) == (75, 25) == (len(y_train), len(y_test))
    assert torch.allclose(x_train.mean(0), torch.zeros(3), atol=1e-3)
    assert torch.allclose(x_train.std(0, correction=0), torch.ones(3), atol=1e-2)
    assert not torch.allclose(x_test.mean(0), torch.zeros(3), atol=1e-3)


def test_split_handles_missing_values_and_constant_columns():
    x = torch.randn(50, 4)
    x[:, 1] = 0.1
    x[::3, 2] = torch.nan
    x[:, 3] = torch.nan
    x_train, _, x_test, _ = table(x).split(seed=0)
    both = torch.cat([x_train, x_test])
    assert both.isfinite().all()
    assert (both[:, 1] == 0).all() and (both[:, 3] == 0).all()
    assert int((both[:, 2] == 0).sum()) == 17


def test_split_is_deterministic_and_checks_its_share():
    toy = table(torch.randn(10, 2))
    assert all(torch.equal(a, b) for a, b in zip(toy.split(seed=1), toy.split(seed=1), strict=True))
    assert not torch.equal(toy.split(seed=1)[0], toy.split(seed=2)[0])
    with pytest.raises(ValueError, match="test_share.*1"):
        toy.split(1.0)
    with pytest.raises(ValueError, match="leaves 0 test rows"):
        toy.split(0.01)
