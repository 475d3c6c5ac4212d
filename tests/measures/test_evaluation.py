from __future__ import annotations

import pytest
import torch
from torch import nn

from mmlib.measures import accuracy, evaluate, evaluating, nll, predict


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 5))


X, Y = torch.randn(23, 3), torch.arange(23) % 5


def test_modes_and_statistics_are_restored_also_after_an_error():
    net = model().train()
    net[1].eval()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    evaluate(net, X, Y)
    with pytest.raises(RuntimeError), evaluating(net):
        assert not net.training and not torch.is_grad_enabled()
        raise RuntimeError
    assert [m.training for m in net] == [True, False, True, True] and net.training
    assert torch.is_grad_enabled()
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize("batch_size", [1, 4, 23, 100])
def test_batches_do_not_matter(batch_size):
    net = model()
    with evaluating(net):
        expected = net(X)
    logits = predict(net, X, batch_size=batch_size)
    assert torch.allclose(logits, expected, atol=1e-6)
    scores = evaluate(net, X, Y, batch_size=batch_size)
    assert scores["accuracy"] == accuracy(expected, Y)
    assert scores["nll"] == pytest.approx(nll(expected, Y), abs=1e-6)
    assert set(scores) == {"accuracy", "nll", "brier", "ece", "confidence", "entropy"}
    assert all(type(value) is float for value in scores.values())


def test_inputs_are_prepared_batch_by_batch():
    x = torch.randint(256, (6, 3), dtype=torch.uint8)
    net = model()
    assert torch.equal(predict(net, x, inputs=lambda b: b.float()), predict(net, x.float()))
    with pytest.raises(TypeError, match="uint8 images need inputs"):
        predict(net, x)


def test_nothing_to_evaluate():
    with pytest.raises(ValueError, match="at least one example"):
        evaluate(model(), X[:0], Y[:0])
    with pytest.raises(ValueError, match="batch_size"):
        predict(model(), X, batch_size=0)
