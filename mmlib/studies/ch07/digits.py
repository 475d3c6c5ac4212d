"""Chapter 07: SN-GAN on images, with the mixes of both versions.

Digits at quick size; CIFAR-10 with the rows of Table 6 and of appendix E at the paper's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmlib.data import load
from mmlib.data.dataset import Dataset
from mmlib.evidence import Study
from mmlib.evidence.fingerprint import code_fingerprint
from mmlib.evidence.records import results_root
from mmlib.measures import (
    Features,
    best_features,
    classifier_features,
    evaluating,
    feature_law,
    generation_scores,
)
from mmlib.models import sngan_pair
from mmlib.studies.networks import cell, trained
from mmlib.training import play, variant
from mmlib.training.checkpoint import discard
from mmlib.training.mixes import Mixes

ALPHA = {"eq1": 0.2, "fr": 0.2, "fr_ff": 0.2, "final": 0.5, "four": 0.5}
LAYERS = {
    "input": ("input",),
    "stem": ("stem",),
    "h1": ("block1",),
    "h1,h2": ("block1", "block2"),
    "all": ("input", "block1", "block2"),
}
SHARES = tuple(step / 20 for step in range(21))  # weights of the real image along which d is read
_LAST = 10  # rows of the history over which the losses are averaged, of 40
_WATCHED = 16  # images of each evaluation that are kept


def game_cell(size: dict[str, Any], name: str, where: str = "input", **changes: Any) -> dict:
    """Return the settings of one game.

    Args:
        size: Settings that all games of a profile share.
        name: One of `mmlib.training.VARIANTS`.
        where: A key of `LAYERS`: where to mix.
        **changes: Settings that replace these.

    Example:
        >>> one = game_cell({}, "fr", "all")
        >>> one["variant"], one["alpha"], one["where"], game_cell({}, "none")
        ('fr', 0.2, 'all', {'variant': 'none'})
    """
    found = size | {"variant": name}
    if name != "none":
        found |= {"where": where, "alpha": ALPHA[name]}
    return found | changes


# Chosen on the plain game alone: the smallest that draws digits in about a minute. The judge of
# the images is trained on real ones.
_DIGITS = {
    "image_size": 28,
    "objective": "js",
    "gamma": 0.0,
    "spectral": True,
    "stem": False,
    "n_dis": 1,
    "lr": 1e-3,
    "betas": (0.0, 0.9),
    "latent": 32,
    "precision": "float32",
    "inception": False,
}
_SIZES = {
    "smoke": _DIGITS
    | {"width": 8, "generator_width": 8, "batch": 4, "updates": 4, "every": 2, "n_fake": 40}
    | {"n_real": 60, "classifier": cell("smoke", "none", "mnist", model="small_conv", width=4)},
    "quick": _DIGITS
    | {"width": 16, "generator_width": 16, "batch": 32, "updates": 800, "every": 200}
    | {"n_fake": 2000, "n_real": None}
    | {
        "classifier": cell(
            "quick",
            "none",
            "mnist",
            model="small_conv",
            width=16,
            n_train=20_000,
            n_test=None,
            epochs=4,
            lr=0.05,
            watch_every=4,
        )
    },
    # Miyato et al. (2018), to whom both versions refer: widths, latent length, Adam. The number of
    # updates is that of the released code: 500 epochs in batches of 64, five discriminator steps.
    "paper": {
        "image_size": 32,
        "objective": "js",
        "gamma": 0.0,
        "spectral": True,
        "stem": False,
        "n_dis": 5,
        "lr": 2e-4,
        "betas": (0.0, 0.9),
        "latent": 128,
        "precision": "bf16",
        "inception": True,
        "width": 128,
        "generator_width": 256,
        "batch": 64,
        "updates": 78_000,
        "every": 7_800,
        "n_fake": 50_000,
        "n_real": None,
        "classifier": cell("quick", "none", "cifar10", model="small_conv", width=32)
        | {"n_train": None, "n_test": None, "epochs": 30, "pad": 4, "watch_every": 30},
    },
}
_ROWS = (
    ("none", "input"),
    ("fr", "input"),
    ("fr_ff", "input"),
    ("final", "input"),
    ("final", "all"),
    ("fr", "all"),
)
_GP = {"spectral": False, "n_dis": 1, "updates": 390_000, "every": 39_000}


def _paper() -> list[dict]:
    """Return the rows of Table 6 that the text ran, then those of the final version."""
    size = _SIZES["paper"]
    rows = [game_cell(size, one, row="gp", gamma=10.0, **_GP) for one in ("none", "fr", "fr_ff")]
    rows += [game_cell(size, one, row="sn") for one in ("none", "fr", "fr_ff")]
    rows += [game_cell(size, one, row="hinge", objective="hinge") for one in ("none", "fr")]
    rows.append(game_cell(size, "fr", "stem", row="mm", gamma=0.5, stem=True, **_GP))
    rows += [game_cell(size, "final", where, row="sn") for where in ("input", "all")]
    return rows


# ------------------------------------------------------------------------ one game


def centred(images: Tensor) -> Tensor:
    """Return bytes as numbers from -1 to 1, the range of tanh."""
    return images.float() / 127.5 - 1


def as_bytes(samples: Tensor) -> Tensor:
    """Return the bytes of numbers from -1 to 1, to the nearest one."""
    return ((samples.float() + 1) * 127.5).round().clamp(0, 255).byte()


def sized(images: Tensor, side: int) -> Tensor:
    """Return byte images of another size; as they are if they have it."""
    if images.shape[-1] == side:
        return images
    return F.interpolate(images.float(), (side, side), mode="bilinear").round().byte()


def judge(settings: dict, device: str = "cpu") -> Features:
    """Return through what the images of these games are judged.

    A classifier that is trained on the real training images; with ``inception`` in the settings
    Inception, if it is there, and the classifier with a warning if it is not.
    """
    one = settings["classifier"] | {"data": settings["data"]}
    found = trained(one, 0, device)
    data = found.data

    def inputs(images: Tensor) -> Tensor:
        return data.inputs(sized(images, data.image_size))

    name = f"{one['model']} trained on {data.title}"
    features = classifier_features(found.model, "head.1", name, inputs=inputs)
    return best_features(features, device) if settings["inception"] else features


def mixes_of(settings: dict) -> Mixes | None:
    """Return the mixes of a cell; None for the plain game.

    Raises:
        ValueError: An unknown variant or place.
    """
    if settings["variant"] == "none":
        return None
    return variant(settings["variant"], settings["alpha"], LAYERS[settings["where"]])


def generate(generator: nn.Module, n: int, seed: int) -> Tensor:
    """Return n generated images as bytes, in eval mode, from latent vectors of their own."""
    stream = torch.Generator().manual_seed(seed)
    z = torch.randn(n, generator.latent, generator=stream)
    device = next(generator.parameters()).device
    with evaluating(generator):
        return torch.cat([as_bytes(generator(part.to(device))) for part in z.split(500)])


def generated(settings: dict, seed: int, device: str = "cpu") -> tuple[dict, dict]:
    """Play one game on images and judge what the generator draws.

    Metrics: ``frechet`` and ``score`` (or ``fid`` and ``inception_score``, through Inception
    alone) at the end; ``*_start`` before the first update; ``*_floor``: of as many real training
    images, which is as good as it gets. ``d_loss``, ``g_loss``, ``d_real``, ``d_fake`` (mean
    logits) over the last ten rows, a quarter of the game. ``update_seconds``.

    Arrays: ``update`` of the evaluations, with the curve of each score; ``progress`` (moments,
    16, H, W[, 3]) images of fixed latent vectors at the evaluations, ``samples`` (64, H, W[, 3]) at
    the end; ``step`` with the curves ``d_loss``, ``g_loss``, ``d_real``, ``d_fake``; ``along``: the
    mean logit for mixes of real and generated images by the weight of the real one, `SHARES`;
    ``says_real``, ``says_fake``: single logits at the end.
    """
    data = load(settings["data"], device=device)
    side = settings["image_size"]
    features = judge(settings, device)
    real = sized(data.x_test[: settings["n_real"]], side)
    law = feature_law(features, real)

    def scores(images: Tensor) -> dict[str, float]:
        return generation_scores(law, feature_law(features, images), features)

    def evaluate(generator: nn.Module) -> dict[str, Any]:
        images = generate(generator, settings["n_fake"], seed + 20_000)
        return scores(images) | {"images": images[:_WATCHED].cpu()}

    generator, discriminator, history = _play(settings, seed, data, evaluate)
    others = torch.randperm(len(data.x_train), generator=torch.Generator().manual_seed(seed))
    floor = scores(sized(data.x_train[others[: settings["n_fake"]].to(device)], side))
    looked = [row for row in history.epochs if "images" in row]
    metrics = {name: looked[-1][name] for name in floor}
    metrics |= {f"{name}_start": looked[0][name] for name in floor}
    metrics |= {f"{name}_floor": value for name, value in floor.items()}
    curves = ("d_loss", "g_loss", "d_real", "d_fake")
    metrics |= {name: float(np.mean(history.column(name)[-_LAST:])) for name in curves}
    metrics["update_seconds"] = history.last["seconds"] / history.steps

    fake = generate(generator, settings["n_fake"], seed + 20_000)
    arrays = {name: np.asarray([row[name] for row in looked], "float32") for name in floor}
    arrays["update"] = np.asarray([row["update"] for row in looked])
    arrays["progress"] = _pictures(torch.stack([row["images"] for row in looked]))
    arrays["samples"] = _pictures(fake[:64].cpu())
    arrays |= {name: np.asarray(history.column(name), "float32") for name in curves}
    arrays["step"] = np.asarray([row["update"] for row in history.epochs if "d_loss" in row])
    return metrics, arrays | _outputs(discriminator, real, fake)


def _play(
    settings: dict, seed: int, data: Dataset, evaluate: Callable
) -> tuple[nn.Module, nn.Module, Any]:
    """Play a game, from where it was left if it was; return the players and the history."""
    x = sized(data.x_train, settings["image_size"])
    device = x.device
    players = sngan_pair(
        settings["image_size"],
        x.shape[1],
        latent=settings["latent"],
        width=settings["width"],
        generator_width=settings["generator_width"],
        stem=settings["stem"],
        spectral=settings["spectral"],
        seed=seed,
    )
    generator, discriminator = (player.to(device) for player in players)
    file = _file(settings, seed, data)
    history = play(
        generator,
        discriminator,
        x,
        mixes=mixes_of(settings),
        objective=settings["objective"],
        gamma=settings["gamma"],
        n_dis=settings["n_dis"],
        updates=settings["updates"],
        batch_size=settings["batch"],
        lr=settings["lr"],
        betas=tuple(settings["betas"]),
        inputs=centred,
        evaluate=evaluate,
        evaluate_every=settings["every"],
        record_every=max(1, settings["updates"] // 40),
        autocast=torch.bfloat16 if settings["precision"] == "bf16" and x.is_cuda else None,
        rng=torch.Generator().manual_seed(seed),
        checkpoint=file,
        checkpoint_every=settings["every"],
        progress=f"{settings['variant']} seed {seed}",
    )
    discard(file)
    return generator, discriminator, history


def _file(settings: dict, seed: int, data: Dataset) -> Path:
    """Return the file of an unfinished game."""
    parts = [settings, seed, data.device.type, data.fingerprint, torch.__version__]
    name = hashlib.sha256(json.dumps([*parts, code_fingerprint(generated)]).encode()).hexdigest()
    return results_root() / "networks" / f"game-{name[:24]}.pt"


def _outputs(discriminator: nn.Module, real: Tensor, fake: Tensor) -> dict[str, np.ndarray]:
    """Return what the discriminator says about images, and about their mixes by weight."""
    n = min(500, len(real), len(fake))
    # The test images come class by class in some sets: take them from all over.
    x1, x2 = (centred(images[:: len(images) // n][:n]) for images in (real, fake))
    with evaluating(discriminator):
        along = [discriminator(share * x1 + (1 - share) * x2).squeeze(1) for share in SHARES]
    rows = {"says_fake": along[0], "says_real": along[-1]}
    rows["along"] = torch.stack([row.mean() for row in along])
    return {name: row.float().cpu().numpy() for name, row in rows.items()}


def _pictures(images: Tensor) -> np.ndarray:
    """Return (..., C, H, W) bytes as (..., H, W) or (..., H, W, 3)."""
    return (images.squeeze(-3) if images.shape[-3] == 1 else images.movedim(-3, -1)).numpy()


DIGITS = Study(
    "ch07-digits",
    generated,
    {
        "smoke": [game_cell(_SIZES["smoke"], *row) | {"data": "mnist"} for row in _ROWS],
        "quick": [game_cell(_SIZES["quick"], *row) | {"data": "mnist"} for row in _ROWS],
        "paper": [one | {"data": "cifar10"} for one in _paper()],
    },
    seeds={"quick": 5, "paper": 5},
    live_seeds={"quick": 1},
)
