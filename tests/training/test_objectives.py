from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mmlib.mixing import capture, resume
from mmlib.training import (
    PAIRS,
    Mixes,
    Scored,
    discriminator_terms,
    draw_mixes,
    generator_terms,
    gradient_penalty,
    label_loss,
    scored,
    variant,
)
from mmlib.training.objectives import mixer

SIZE = 5


def rng(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(seed=0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 1))
    return net.double()


def samples(seed=1) -> tuple[torch.Tensor, torch.Tensor]:
    stream = rng(seed)
    return tuple(torch.randn(SIZE, 3, generator=stream, dtype=torch.float64) for _ in range(2))


def test_losses_by_hand():
    d = torch.tensor([0.0, 2.0, -3.0], dtype=torch.float64)
    for y in (0.0, 0.3, 1.0):
        js = [-(y * math.log(p) + (1 - y) * math.log(1 - p)) for p in d.sigmoid().tolist()]
        assert label_loss(d, y).tolist() == pytest.approx(js)
        hinge = [y * max(0, 1 - v) + (1 - y) * max(0, 1 + v) for v in d.tolist()]
        assert label_loss(d, y, "hinge").tolist() == pytest.approx(hinge)
    assert label_loss(torch.tensor(800.0), 0.0).item() == 800.0  # no overflow far out


def test_terms_by_hand():
    said = Scored(
        real=torch.tensor([2.0, 0.0]),
        fake=torch.tensor([-2.0, 0.5]),
        mixed={"real-fake": torch.tensor([0.0, 1.0]), "fake-fake": torch.tensor([-1.0, 3.0])},
        labels={"real-fake": torch.tensor([0.0, 0.0]), "fake-fake": torch.tensor([0.0, 0.0])},
    )
    terms = discriminator_terms(said, variant("fr_ff", 0.2), "hinge")
    assert {name: value.item() for name, value in terms.items()} == {
        "real": 0.5, "fake": 0.75, "real-fake": 1.5, "fake-fake": 2.0,
    }  # fmt: skip
    averaged = variant("fr_ff", 0.2, average=True)
    assert discriminator_terms(said, averaged, "hinge")["fake-fake"].item() == 1.0
    assert set(discriminator_terms(said, variant("fr_ff", 0.2, alone=True), "hinge")) == {
        "real-fake", "fake-fake",
    }  # fmt: skip
    assert generator_terms(said, variant("fr_ff", 0.2), "hinge") == {"fake": torch.tensor(0.75)}
    soft = Scored(
        None, said.fake, {"real-fake": torch.tensor([0.5])}, {"real-fake": torch.tensor([0.25])}
    )
    for kind, expected in (("minimax", -1.25), ("flipped", 0.75)):
        found = generator_terms(soft, variant("eq1", 0.2, generator=kind), "hinge")
        assert {name: value.item() for name, value in found.items()} == {
            "real-fake": pytest.approx(0.25 * 1.5 + 0.75 * 0.5 if kind == "flipped" else expected)
        }


@pytest.mark.parametrize("layer", ["input", "0", "3"])
@pytest.mark.parametrize("name", ["fr", "fr_ff", "final", "four"])
def test_outputs_for_mixes_are_those_of_mixed_states(name, layer):
    net, (real, fake) = small(), samples()
    mixes = variant(name, 0.5, (layer,))
    draw = draw_mixes(mixes, SIZE, rng(3))
    said = scored(net, real, fake, mixes, draw)
    assert torch.allclose(said.real, net(real).squeeze(1))
    assert torch.allclose(said.fake, net(fake).squeeze(1))
    halves = {"real": real, "fake": fake}
    for number, pair in enumerate(mixes.pairs, start=2):
        lam = draw.lam[number * SIZE : (number + 1) * SIZE, None]
        first, second = (capture(net, halves[half], layer) for half in pair.split("-"))
        h = lam * first + (1 - lam) * second.roll(-1, 0)
        assert torch.allclose(said.mixed[pair], resume(net, real, layer, h).squeeze(1))
        assert torch.allclose(said.labels[pair], mixes.label(pair, lam.squeeze(1)))


def test_draws_are_paired_over_variants_and_alphas():
    one = draw_mixes(variant("fr", 0.2), SIZE, rng())
    two = draw_mixes(variant("fr_ff", 0.2), SIZE, rng())
    assert torch.equal(one.lam, two.lam[: 3 * SIZE]) and one.layer == two.layer
    assert (one.lam[2 * SIZE :] <= 0.5).all() and (one.lam[: 2 * SIZE] == 1).all()
    final = draw_mixes(variant("final", 0.5), SIZE, rng()).lam[2 * SIZE :]
    assert torch.allclose(draw_mixes(variant("final", 1.0), SIZE, rng()).lam[2 * SIZE :], 2 * final)


def test_no_sample_is_mixed_with_itself_and_pairs_keep_their_halves():
    draw = draw_mixes(variant("four", 0.5), SIZE, rng())
    partners = draw.partner.split(SIZE)
    for pair, partner in zip(PAIRS, partners[2:], strict=True):
        half = pair.split("-")[1]
        assert ((partner >= SIZE) == (half == "fake")).all()
        assert (partner % SIZE != torch.arange(SIZE)).all()


def test_layers_are_drawn_equally():
    mixes, stream = variant("final", 0.5, ("input", "0", "1")), rng()
    drawn = [draw_mixes(mixes, 2, stream).layer for _ in range(600)]
    for layer in mixes.layers:
        assert 150 < drawn.count(layer) < 250


def test_a_layer_that_does_not_exist_is_named():
    net, (real, fake) = small(), samples()
    mixes = variant("fr", 0.2, ("block1",))
    with pytest.raises(ValueError, match="block1"):
        scored(net, real, fake, mixes, draw_mixes(mixes, SIZE, rng()))


def test_a_draw_of_another_size_is_refused():
    net, (real, fake) = small(), samples()
    mixes = variant("fr", 0.2)
    with pytest.raises(ValueError, match="expected 12 examples, but got 15"):
        scored(net, real, fake, mixes, draw_mixes(mixes, 4, rng()))


def test_penalty_by_hand():
    net = nn.Sequential(nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[3.0, 4.0]]))
    penalty = gradient_penalty(net, torch.ones(7, 2))
    assert penalty.item() == pytest.approx(25.0)
    penalty.backward()
    assert net[0].weight.grad.flatten().tolist() == pytest.approx([6.0, 8.0])


def gradients(terms: dict[str, torch.Tensor], *parameters: torch.Tensor) -> list[bool]:
    found = torch.autograd.grad(
        sum(terms.values()), parameters, allow_unused=True, retain_graph=True
    )
    return [bool(g is not None and g.abs().max() > 0) for g in found]


@pytest.mark.parametrize(
    ("name", "changes", "clean", "mixes_reach"),
    [
        ("fr", {}, True, False),
        ("fr_ff", {}, True, False),
        ("final", {}, True, True),
        ("eq1", {}, False, True),
        ("eq1", {"generator": "clean"}, True, False),
        ("fr", {"generator": "flipped"}, True, True),
    ],
)
def test_what_the_generator_feels(name, changes, clean, mixes_reach):
    net, (real, latent) = small(), samples()
    map_ = torch.eye(3, dtype=torch.float64, requires_grad=True)
    mixes = variant(name, 0.5, **changes)
    said = scored(net, real, latent @ map_, mixes, draw_mixes(mixes, SIZE, rng()), mixer(mixes))
    terms = generator_terms(said, mixes)
    assert ("fake" in terms) == clean
    assert any(pair in terms for pair in mixes.pairs) == mixes_reach
    assert gradients(terms, map_) == [True]
    if mixes_reach:
        assert gradients({pair: terms[pair] for pair in mixes.pairs}, map_) == [True]
        assert gradients({"real-fake": terms["real-fake"]}, net[0].weight) == [True]


def test_soft_labels_that_are_all_fake_need_no_generator():
    law = variant("fr", 0.2).law
    mixes = Mixes(("real-fake",), law, "fake")
    net, (real, fake) = small(), samples()
    said = scored(net, real, fake, mixes, draw_mixes(mixes, SIZE, rng()))
    assert said.labels["real-fake"].abs().max() == 0
