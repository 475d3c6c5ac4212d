from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mmlib.models import sngan_pair
from mmlib.training import CheckpointError, GameStopped, play, variant
from mmlib.training.game import _Game, _streams


def rng(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Plane(nn.Linear):
    """A generator of points in the plane."""

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.latent = 2


def plane(seed=0) -> tuple[nn.Module, nn.Module]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = Plane()
        discriminator = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
    return generator.double(), discriminator.double()


def points(n=40) -> torch.Tensor:
    return torch.randn(n, 2, generator=rng(9), dtype=torch.float64) * 0.3 + 1


def weights(*players: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for player in players for p in player.parameters()])


def images(n=12) -> torch.Tensor:
    return torch.randint(256, (n, 1, 28, 28), generator=rng(3)).byte()


def tiny_images(updates=3, seed=0, player_seed=0, **options):
    spectral = options.pop("spectral", True)
    players = sngan_pair(
        28, 1, latent=4, width=8, generator_width=8, seed=player_seed, spectral=spectral
    )
    options = {"batch_size": 4, "inputs": lambda b: b.float() / 127.5 - 1} | options
    history = play(*players, images(), updates=updates, rng=rng(seed), **options)
    return torch.cat(
        [v.double().flatten() for p in players for v in p.state_dict().values()]
    ), history


def test_one_update_is_the_one_written_out():
    generator, discriminator = plane()
    x = points()
    history = play(
        generator, discriminator, x, objective="hinge", gamma=0.7, n_dis=2, updates=1,
        batch_size=5, lr=0.01, betas=(0.0, 0.9), rng=rng(4),
    )  # fmt: skip
    g, d = plane()
    streams, _ = _streams(rng(4))
    losses = []
    adam = [torch.optim.Adam(p.parameters(), lr=0.01, betas=(0.0, 0.9)) for p in (g, d)]
    for _ in range(2):
        real = x[torch.randint(40, (5,), generator=streams["samples"])].requires_grad_()
        fake = g(torch.randn(5, 2, generator=streams["latents"]).double()).detach()
        (slope,) = torch.autograd.grad(d(real).sum(), real, create_graph=True)
        loss = torch.relu(1 - d(real)).mean() + torch.relu(1 + d(fake)).mean()
        loss = loss + 0.7 * (slope**2).sum(1).mean()
        adam[1].zero_grad()
        loss.backward()
        adam[1].step()
        losses.append(loss.item())
    loss = -d(g(torch.randn(5, 2, generator=streams["latents"]).double())).mean()
    adam[0].zero_grad()
    loss.backward()
    adam[0].step()
    assert torch.allclose(weights(generator, discriminator), weights(g, d), atol=1e-9)
    assert history.last["d_loss"] == pytest.approx(sum(losses) / 2)
    assert history.last["g_loss"] == pytest.approx(loss.item())
    assert set(history.last) == {
        "update", "seconds", "d_loss", "d:real", "d:fake", "d:penalty", "d_real", "d_fake",
        "g_loss", "g:fake",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["none", "fr", "fr_ff", "final", "eq1"])
def test_each_step_changes_one_player(name):
    generator, discriminator = plane()
    x, mixes = points(), variant(name, 0.5)
    adam = torch.optim.Adam([*generator.parameters(), *discriminator.parameters()], lr=0.01)
    streams, _ = _streams(rng())
    game = _Game(generator, discriminator, x, mixes, "js", 0.0, None, None, streams, adam)
    before = weights(generator), weights(discriminator)
    game.discriminator_step(x[:5])
    assert torch.equal(weights(generator), before[0])
    assert not torch.equal(weights(discriminator), before[1])
    middle = weights(discriminator)
    game.generator_step(x[:5])
    assert torch.equal(weights(discriminator), middle)
    assert not torch.equal(weights(generator), before[0])


def test_equal_generators_give_equal_bits():
    torch.manual_seed(0)
    one, first = tiny_images(mixes=variant("final", 0.5, ("input", "block1")))
    torch.manual_seed(1)
    two, second = tiny_images(mixes=variant("final", 0.5, ("input", "block1")))
    assert torch.equal(one, two)
    assert first.column("d_loss") == second.column("d_loss")
    assert not torch.equal(one, tiny_images(seed=1, mixes=variant("final", 0.5))[0])


def test_variants_share_samples_latents_and_weights():
    class Seen(nn.Module):
        latent = 2

        def __init__(self) -> None:
            super().__init__()
            self.map, self.z = nn.Linear(2, 2).double(), []

        def forward(self, z):
            self.z.append(z.clone())
            return self.map(z)

    seen = {}
    for name in ("none", "fr", "final", "four"):
        shown = []
        generator, discriminator = Seen(), plane()[1]
        play(
            generator, discriminator, points(), mixes=variant(name, 0.5), n_dis=2, updates=3,
            batch_size=4, rng=rng(2), inputs=lambda b, shown=shown: shown.append(b) or b,
        )  # fmt: skip
        seen[name] = torch.stack(shown), torch.stack(generator.z)
    for name in ("fr", "final", "four"):
        assert torch.equal(seen[name][0], seen["none"][0])
        assert torch.equal(seen[name][1], seen["none"][1])


def test_the_ordinary_game_finds_the_middle_of_the_data():
    generator, discriminator = plane()
    x = points(400)
    play(
        generator, discriminator, x, gamma=1.0, updates=400, batch_size=32, lr=0.02,
        betas=(0.0, 0.9), rng=rng(),
    )  # fmt: skip
    assert (generator.bias - x.mean(0)).norm() < 0.3


def test_power_iterations_are_counted_once_per_step():
    # Two forward passes of a discriminator step, for loss and penalty, see one weight.
    generator, discriminator = sngan_pair(28, 1, latent=4, width=8, generator_width=8)
    layer = discriminator.block1.conv2
    calls = []
    hook = layer.parametrizations.weight[0].register_forward_hook(lambda *_: calls.append(1))
    play(
        generator, discriminator, torch.zeros(8, 1, 28, 28), gamma=1.0, n_dis=3, updates=2,
        batch_size=4, rng=rng(),
    )  # fmt: skip
    hook.remove()
    assert len(calls) == 2 * (3 + 1)


@pytest.mark.parametrize("options", [{}, {"gamma": 1.0, "spectral": False}])
def test_an_interrupted_game_ends_with_the_same_bits(tmp_path, options):
    class Stop(Exception):
        pass

    def stop(generator):
        if stop.left == 0:
            raise Stop
        stop.left -= 1
        return {"weight": float(generator.conv.bias.detach().sum()), "picture": torch.ones(2)}

    settings = {"mixes": variant("final", 0.5, ("input", "block2")), "n_dis": 2, "record_every": 1}
    settings |= {"updates": 5, "evaluate_every": 1, "evaluate": stop} | options
    stop.left = 99
    whole, history = tiny_images(**settings)
    file = tmp_path / "game.pt"
    stop.left = 3  # before the first update, and after the first and second
    with pytest.raises(Stop):
        tiny_images(checkpoint=file, checkpoint_every=1, **settings)
    stop.left = 99
    torch.manual_seed(5)
    resumed, again = tiny_images(checkpoint=file, checkpoint_every=1, **settings)
    assert torch.equal(whole, resumed)
    assert again.column("weight") == history.column("weight")
    assert again.column("d_loss") == history.column("d_loss")
    assert [row["update"] for row in again.epochs] == [0, 1, 2, 3, 4, 5]
    with pytest.raises(CheckpointError, match="objective was 'js', now 'hinge'"):
        tiny_images(checkpoint=file, objective="hinge", **settings)
    with pytest.raises(CheckpointError, match="seeds"):
        tiny_images(checkpoint=file, seed=7, **settings)


class Turning(nn.Module):
    """A player that puts out NaN from some call on."""

    def __init__(self, player: nn.Module, good: int) -> None:
        super().__init__()
        self.player, self.good, self.latent = player, good, 2

    def forward(self, x):
        self.good -= 1
        return self.player(x) * (1.0 if self.good >= 0 else math.nan)


@pytest.mark.parametrize("who", ["generator", "discriminator"])
@pytest.mark.parametrize("mixes", [None, variant("final", 0.5)])
@pytest.mark.parametrize("calls", [6, 7])  # the third update: its first step, its second
def test_a_bad_player_is_named_and_records_are_kept(who, mixes, calls):
    generator, discriminator = plane()
    good = calls - 2
    if who == "generator":
        generator = Turning(generator, good)
    else:
        discriminator = Turning(discriminator, good)
    with pytest.raises(GameStopped, match=f"{who}: .* at update 3; try a lower") as caught:
        play(
            generator, discriminator, points(), mixes=mixes, updates=9, batch_size=4,
            record_every=2, rng=rng(),
        )  # fmt: skip
    stopped = caught.value
    assert (stopped.player, stopped.update) == (who, 3)
    assert stopped.history.steps == 2
    assert [row["update"] for row in stopped.history.epochs] == [2]
    assert all(math.isfinite(row["d_loss"]) for row in stopped.history.epochs)
    assert weights(generator, discriminator).isfinite().all()


def test_updates_since_the_last_row_are_kept():
    generator, discriminator = plane()
    with pytest.raises(GameStopped) as caught:
        play(Turning(generator, 7), discriminator, points(), updates=9, batch_size=4, rng=rng())
    (row,) = caught.value.history.epochs
    assert caught.value.update == 4 and row["update"] == 3 and math.isfinite(row["g_loss"])


def test_real_samples_with_nan_stop_the_game_at_once():
    x = points()
    x[:] = math.nan
    with pytest.raises(GameStopped, match="update 1"):
        play(*plane(), x, updates=2, batch_size=4, rng=rng())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_dis": 0}, ValueError, "n_dis: expected an integer >= 1, but got 0"),
        ({"n_dis": 1.0}, TypeError, "n_dis"),
        ({"updates": 0}, ValueError, "updates"),
        ({"batch_size": 1}, ValueError, "batch_size"),
        ({"gamma": -1}, ValueError, "gamma"),
        ({"lr": 0}, ValueError, "lr"),
        ({"betas": (0.5, 1.0)}, ValueError, "betas"),
        ({"objective": "wgan"}, ValueError, "objective: expected one of 'js', 'hinge'"),
        ({"mixes": variant("fr", 0.2, ("block9",))}, ValueError, "layer: .*'block9'"),
        ({"record_every": 0}, ValueError, "record_every"),
    ],
)
def test_settings_are_checked(options, error, message):
    with pytest.raises(error, match=message):
        play(*plane(), points(), rng=rng(), **{"updates": 1, "batch_size": 4} | options)


def test_the_nearest_layer_is_named():
    players = sngan_pair(28, 1, latent=4, width=8, generator_width=8)
    with pytest.raises(ValueError, match="did you mean .*'block1'"):
        play(*players, images(), mixes=variant("fr", 0.2, ("bloc1",)), inputs=lambda b: b.float())


def test_bytes_need_inputs():
    with pytest.raises(TypeError, match="uint8 images need inputs"):
        play(*sngan_pair(28, 1, latent=4, width=8, generator_width=8), images())


def test_low_precision_keeps_weights_and_mixes():
    torch.manual_seed(0)
    state, history = tiny_images(mixes=variant("final", 0.5, ("block1",)), autocast=torch.bfloat16)
    full, _ = tiny_images(mixes=variant("final", 0.5, ("block1",)))
    assert state.isfinite().all() and not torch.equal(state, full)
    assert history.last["d:fake-fake"] > 0


def test_evaluation_does_not_disturb():
    plain, history = tiny_images()
    looked = []

    def evaluate(generator):
        generator.eval()
        looked.append(generator(torch.zeros(1, 4)))
        return {"seen": 1.0}

    watched, rows = tiny_images(evaluate=evaluate, evaluate_every=2)
    assert torch.equal(plain, watched)
    assert [row["update"] for row in rows.epochs if "seen" in row] == [0, 2, 3]
    assert "seen" not in history.last
