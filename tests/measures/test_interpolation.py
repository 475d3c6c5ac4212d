from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mmlib.measures import cyclic_partner, evaluate, interpolated
from mmlib.mixing import mix_at
from mmlib.models import mlp


def rng(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def net() -> nn.Module:
    torch.manual_seed(0)
    return mlp((3, 8, 6, 4), "tanh").double()


X, Y = torch.randn(13, 3, generator=rng(), dtype=torch.float64), torch.arange(13) % 4
LAMS = [0.0, 0.3, 0.5, 1.0]


def test_no_one_is_their_own_partner_and_partners_are_even():
    counts = torch.zeros(5, 5)
    for seed in range(2000):
        partner = cyclic_partner(5, rng(seed))
        assert sorted(partner.tolist()) == list(range(5))
        counts[torch.arange(5), partner] += 1
    assert (counts.diag() == 0).all()
    off = counts[~torch.eye(5, dtype=torch.bool)]
    assert (off - 500).abs().max() < 5 * math.sqrt(2000 * 0.25 * 0.75)
    assert cyclic_partner(2).tolist() == [1, 0]
    with pytest.raises(ValueError, match="n: expected an integer >= 2, but got 1"):
        cyclic_partner(1)


@pytest.mark.parametrize("layer", ["input", "layer1", "layer2", "head"])
@pytest.mark.parametrize("batch_size", [1, 5, 250])
def test_against_mixing_the_whole_set_at_once(layer, batch_size):
    model = net()
    partner = cyclic_partner(13, rng(2))
    line = interpolated(model, X, Y, layer, LAMS, generator=rng(2), batch_size=batch_size)
    t = nn.functional.one_hot(Y, 4).double()
    for i, lam in enumerate(LAMS):
        log_p = mix_at(model.eval(), X, layer, lam, partner).log_softmax(1).detach()
        targets = lam * t + (1 - lam) * t[partner]
        assert float(line.nll[i]) == pytest.approx(float(-(targets * log_p).sum(1).mean()))
        entropies = -(log_p.exp() * log_p).sum(1)
        assert float(line.entropy[i]) == pytest.approx(float(entropies.mean()))
        assert float(line.confidence[i]) == pytest.approx(float(log_p.exp().amax(1).mean()))
        floor = -torch.xlogy(targets, targets).sum(1).mean()
        assert float(line.nll[i] - line.excess[i]) == pytest.approx(float(floor))
    assert line.pairs == 13 and line.lams.tolist() == pytest.approx(LAMS)


def test_the_ends_are_the_test_set_itself():
    model = net()
    line = interpolated(model, X, Y, "layer1", [0.0, 1.0], generator=rng())
    scores = evaluate(model, X, Y)
    assert line.nll.tolist() == pytest.approx([scores["nll"]] * 2)
    assert line.confidence.tolist() == pytest.approx([scores["confidence"]] * 2)
    assert line.entropy.tolist() == pytest.approx([scores["entropy"]] * 2)


def test_exchanging_the_pairs_mirrors_the_line():
    model, lams = net(), torch.linspace(0, 1, 5)
    partner = cyclic_partner(13, rng(3))
    forward = interpolated(model, X, Y, "layer2", lams, partner=partner)
    back = interpolated(model, X, Y, "layer2", lams, partner=partner.argsort())
    assert torch.allclose(forward.nll, back.nll.flip(0), atol=1e-6)


def test_a_linear_model_in_closed_form():
    # Logits (z, 0) with z = 4 at x = 1 and -4 at x = -1: at lambda the logit is 4 (2 lam - 1).
    model = nn.Linear(1, 2, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[4.0], [0.0]]))
    x, y = torch.tensor([[1.0], [-1.0]]).double(), torch.tensor([0, 1])
    lams = [0.0, 0.25, 0.5]
    line = interpolated(model, x, y, "input", lams, partner=torch.tensor([1, 0]))
    for lam, found in zip(lams, line.nll.tolist(), strict=True):
        z = 4 * (2 * lam - 1)
        p = 1 / (1 + math.exp(-z))
        assert found == pytest.approx(-lam * math.log(p) - (1 - lam) * math.log(1 - p))


def test_mode_and_generator():
    model = nn.Sequential(net(), nn.Dropout(0.5)).train()
    one = interpolated(model, X, Y, "0.layer1", LAMS, generator=rng(5))
    two = interpolated(model, X, Y, "0.layer1", LAMS, generator=rng(5))
    assert torch.equal(one.nll, two.nll) and model.training and model[1].training
    other = interpolated(model, X, Y, "0.layer1", LAMS, generator=rng(6))
    assert not torch.equal(one.nll, other.nll)


def test_bytes_are_mixed_after_they_are_prepared():
    x = torch.randint(256, (6, 3), dtype=torch.uint8)
    model = net()
    ready = x.double() / 255
    line = interpolated(
        model, x, Y[:6], "input", LAMS, inputs=lambda b: b.double() / 255, generator=rng()
    )
    assert torch.equal(
        line.nll, interpolated(model, ready, Y[:6], "input", LAMS, generator=rng()).nll
    )
    with pytest.raises(TypeError, match="inputs"):
        interpolated(model, x, Y[:6], "input", LAMS)


def test_soft_targets():
    model = net()
    soft = nn.functional.one_hot(Y, 4).double()
    one = interpolated(model, X, Y, "layer1", LAMS, generator=rng())
    two = interpolated(model, X, soft, "layer1", LAMS, generator=rng())
    assert torch.allclose(one.nll, two.nll)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(lams=[1.5]), "lams"),
        (dict(lams=[math.nan]), "lams"),
        (dict(layer="layr1"), "layer1"),
        (dict(partner=torch.arange(12)), "partner: expected 13 positions"),
        (dict(partner=torch.arange(1, 14)), "partner: expected 13 positions"),
        (dict(y=Y[:5]), "equally many examples, but got 13 and 5"),
        (dict(batch_size=0), "batch_size"),
    ],
)
def test_settings_are_checked(options, message):
    given = dict(y=Y, layer="layer1", lams=LAMS) | options
    y, layer, lams = (given.pop(key) for key in ("y", "layer", "lams"))
    with pytest.raises(ValueError, match=message):
        interpolated(net(), X, y, layer, lams, **given)
