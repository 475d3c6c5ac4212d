"""Games side by side equal the equations, and do not see each other."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from mmlib.data.mixtures import ring
from mmlib.models.ensemble import EnsembleMLP
from mmlib.training import ensemble_game
from mmlib.training.ensemble_game import play_ensemble
from mmlib.training.mixes import variant

MEMBERS = {
    "none": None,
    "eq1": variant("eq1", 0.4),
    "fr": variant("fr", 0.2),
    "fr_h": variant("fr", 0.2, ("h1", "h2")),
    "fr_ff": variant("fr_ff", 1.0, ("input", "h2")),
    "soft": variant("fr", 0.2, ("h1",), labels="soft"),
    "final": variant("final", 0.5),
    "final_h": variant("final", 0.3, ("input", "h1")),
    "four": variant("four", 0.5, ("h2",)),
    "flipped": variant("final", 0.5, generator="flipped"),
}
SMALL = {"batch": 8, "units": ((8,), (8, 8, 8)), "dtype": torch.float64}


def cross_entropy(d: float, y: float) -> float:
    return -y * math.log(1 / (1 + math.exp(-d))) - (1 - y) * math.log(1 / (1 + math.exp(d)))


def hinge(d: float, y: float) -> float:
    return y * max(0, 1 - d) + (1 - y) * max(0, 1 + d)


def net_of(net: EnsembleMLP, member: int, start: int, stop: int, h: torch.Tensor) -> torch.Tensor:
    """Layers start to stop of one member, written out."""
    for k in range(start, stop):
        h = h @ net.layers[k].weight[member] + net.layers[k].bias[member, 0]
        h = F.leaky_relu(h, 0.1) if k < len(net.layers) - 1 else h
    return h


def literal(net, base, mixes, draws, member, loss):
    """(discriminator, generator) losses of one member, sample by sample."""
    n = base.shape[1] // 2
    real, fake = base[member, :n], base[member, n:]
    depth = len(net.layers)

    def out(x):
        return net_of(net, member, 0, depth, x).item()

    d_loss = g_loss = 0.0
    if mixes is None or not mixes.alone:
        pairs = zip(real, fake, strict=True)
        d_loss += sum(loss(out(x), 1) + loss(out(f), 0) for x, f in pairs) / n
    if mixes is None or mixes.plays_clean:
        g_loss += sum(loss(out(f), 1) if loss is cross_entropy else -out(f) for f in fake) / n
    if mixes is None:
        return d_loss, g_loss
    site = net.sites.index(mixes.layers[int(draws["layer"] * len(mixes.layers))])
    for pair in mixes.pairs:
        row = ensemble_game.PAIRS.index(pair)
        lam = mixes.law.quantile(draws["u"][row])
        first, second = pair.split("-")
        for i in range(n):
            j = int(draws["partner"][i]) if first == second else i
            ends = {"real": (real, 1.0), "fake": (fake, 0.0)}
            h1 = net_of(net, member, 0, site, ends[first][0][i])
            h2 = net_of(net, member, 0, site, ends[second][0][j])
            weight = float(lam[i])
            d = net_of(net, member, site, depth, weight * h1 + (1 - weight) * h2).item()
            y = weight * ends[first][1] + (1 - weight) * ends[second][1]
            y = y if mixes.labels == "soft" else 0.0
            term = mixes.weight * loss(d, y) / n
            d_loss += term
            if mixes.generator == "minimax":
                g_loss -= term
            elif mixes.generator == "flipped":
                g_loss += mixes.weight * loss(d, 1 - y) / n
    return d_loss, g_loss


@pytest.mark.parametrize("objective", ["js", "hinge"])
def test_losses_are_those_of_the_equations(objective):
    generator = torch.Generator().manual_seed(1)
    net = EnsembleMLP(len(MEMBERS), (2, 8, 8, 8, 1)).double()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(torch.randn(p.shape, generator=generator).double())
    draws = ensemble_game._Draws(ring(), 2, 6, torch.float64, 3).step()
    base = torch.randn(len(MEMBERS), 12, 2, generator=generator).double()
    mixing = ensemble_game._Mixing(list(MEMBERS.values()), net.sites, torch.float64)
    found_d = ensemble_game._discriminator_loss(net, base, mixing, draws, objective, 0.0)
    found_g = ensemble_game._generator_loss(net, base, mixing, draws, objective)
    loss = {"js": cross_entropy, "hinge": hinge}[objective]
    for member, mixes in enumerate(MEMBERS.values()):
        expected = literal(net, base, mixes, draws, member, loss)
        found = (found_d[member].item(), found_g[member].item())
        assert found == pytest.approx(expected, abs=1e-8)  # softplus is linear above 20


def test_penalty_is_the_squared_gradient_at_real_points():
    net = EnsembleMLP(1, (2, 1)).double()
    draws = ensemble_game._Draws(ring(), 2, 4, torch.float64, 0).step()
    base = torch.zeros(1, 8, 2, dtype=torch.float64)
    mixing = ensemble_game._Mixing([None], net.sites, torch.float64)
    with_it, without = (
        ensemble_game._discriminator_loss(net, base, mixing, draws, "js", gamma)
        for gamma in (10.0, 0.0)
    )
    expected = 10 * net.layers[0].weight.square().sum()
    assert (with_it - without).item() == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize("settings", [{"spectral": True}, {"gamma": 10.0}, {"n_dis": 2}])
def test_a_member_does_not_depend_on_the_others(settings):
    options = SMALL | settings | {"seed": 0, "updates": 6}
    together = play_ensemble(MEMBERS, ring(), **options)
    for name, mixes in MEMBERS.items():
        alone = play_ensemble({name: mixes}, ring(), **options)
        member = together.member(name)
        for player in ("generator", "discriminator"):
            ours, theirs = (getattr(game, player) for game in (together, alone))
            for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
                assert torch.allclose(a[member], b[0], atol=1e-9)


def test_equal_seeds_equal_bits_and_members_differ_by_their_mixes_alone():
    options = SMALL | {"updates": 3}
    games = [play_ensemble(MEMBERS, ring(), seed=seed, **options) for seed in (0, 0, 1)]
    first, second, other = (game.generator.layers[0].weight for game in games)
    assert torch.equal(first, second) and not torch.allclose(first, other)
    double = play_ensemble({"a": MEMBERS["fr"], "b": MEMBERS["fr"]}, ring(), seed=0, **options)
    weight = double.generator.layers[0].weight
    assert torch.allclose(weight[0], weight[1], atol=1e-12)
    assert not torch.allclose(first[1], first[2])


def test_steps_move_one_player_at_a_time():
    net = EnsembleMLP(1, (2, 4, 1)).double()
    other = EnsembleMLP(1, (2, 2)).double()
    optimiser = torch.optim.Adam(other.parameters())
    before = [p.clone() for p in net.parameters()]
    start = [p.clone() for p in other.parameters()]
    ensemble_game._step(net(other(torch.ones(1, 3, 2).double())).mean((1, 2)), other, optimiser)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert all(p.grad is None for p in net.parameters())
    assert not any(torch.equal(a, b) for a, b in zip(start, other.parameters(), strict=True))


@pytest.mark.parametrize("name", ["fr", "final", "flipped"])
def test_the_generator_sees_mixes_only_where_it_plays_with_them(name):
    mixes = MEMBERS[name]
    d = EnsembleMLP(1, (2, 8, 8, 8, 1)).double()
    draws = ensemble_game._Draws(ring(), 2, 6, torch.float64, 3).step()
    base = torch.randn(1, 12, 2, generator=torch.Generator().manual_seed(0)).double()
    plain, mixed = (
        ensemble_game._generator_loss(
            d, base, ensemble_game._Mixing([one], d.sites, torch.float64), draws, "js"
        )
        for one in (None, mixes)
    )
    assert torch.equal(plain, mixed) == (name == "fr")


def test_a_broken_member_is_named_and_spares_the_others():
    options = SMALL | {"seed": 0, "updates": 5}
    members = {"none": None, "fr": MEMBERS["fr"]}

    def harm(update, game):
        if update == 2:
            with torch.no_grad():
                game.generator.layers[0].weight[1].fill_(float("nan"))

    game = play_ensemble(members, ring(), watch=harm, watch_every=1, **options)
    assert game.broken == {"fr": 3}
    whole = play_ensemble(members, ring(), **options)
    for a, b in zip(game.generator.parameters(), whole.generator.parameters(), strict=True):
        assert torch.equal(a[0], b[0]) and not torch.isfinite(a[1]).any()


def test_looks_and_losses():
    seen = []
    game = play_ensemble(
        {"none": None},
        ring(),
        seed=0,
        updates=5,
        watch=lambda update, game: seen.append(update),
        watch_every=2,
        **SMALL,
    )
    assert seen == [0, 2, 4, 5] and game.updates == [2, 4, 5]
    assert torch.stack(game.losses).shape == (3, 2, 1)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"n_dis": 0}, "n_dis: expected an integer >= 1, but got 0"),
        ({"updates": 0}, "updates: expected an integer >= 1"),
        ({"batch": 2.5}, "batch: expected an integer"),
        ({"objective": "wgan"}, "objective: expected one of 'js', 'hinge', but got 'wgan'"),
        ({"gamma": -1}, "gamma: expected a finite number >= 0"),
        ({"lr": (1e-3, 0)}, "lr: expected a finite number > 0"),
        ({"seed": -1}, "seed: expected an integer >= 0"),
    ],
)
def test_bad_settings_are_named(changes, text):
    with pytest.raises((TypeError, ValueError), match=text):
        play_ensemble({"none": None}, ring(), **({"seed": 0, "updates": 1} | changes))


def test_bad_members_are_named():
    with pytest.raises(ValueError, match="layers: expected one of 'input', 'h1'.*'h9'"):
        play_ensemble({"a": variant("fr", 0.2, ("h9",))}, ring(), seed=0, updates=1, **SMALL)
    with pytest.raises(ValueError, match="members: expected at least one"):
        play_ensemble({}, ring(), seed=0, updates=1)
    game = play_ensemble({"none": None}, ring(), seed=0, updates=1, **SMALL)
    with pytest.raises(ValueError, match="did you mean 'none'"):
        game.member("nine")
