"""Is it the matching or the unmixed examples? k-mixup with a share of examples left as they are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mmlib.checks import number
from mmlib.evidence import Study
from mmlib.measures import evaluate
from mmlib.mixing import Mixup, OptimalPairing
from mmlib.studies.ch15.grids_images import cell
from mmlib.studies.networks import network, subset
from mmlib.training import CropFlip, fit


class WithUnmixed(OptimalPairing):
    """Disjoint matched sets, but a share of the examples, drawn at random, is its own partner.

    The rows of disjoint sets are a random order of the batch, so the first of them are a random
    choice; with share 0 this is `OptimalPairing`.

    Args:
        k: size of the matched sets.
        share: of the batch, 0 to 1.

    Example:
        >>> pairing = WithUnmixed(2, 0.5)
        >>> order = pairing.draw(4, torch.Generator().manual_seed(0))
        >>> order[0].tolist(), pairing.match(order, torch.randn(4, 3))[:2].tolist()
        ([0, 1, 3, 2], [0, 1])
    """

    def __init__(self, k: int, share: float) -> None:
        super().__init__(k)
        self.share = number("share", share, low=0, high=1)

    def match(self, order: Tensor, x: Tensor, y: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """Return the partner of each row ``order[0]``, (m,) on the device of `x`."""
        partner = super().match(order, x, y)
        n = round(self.share * len(partner))
        return torch.cat([order[0, :n], partner[n:]])


def unmixed_run(settings: dict[str, Any], seed: int, device: str = "cpu") -> dict[str, float]:
    """Train one network as `image_runs.image_run` does, a share of each batch left unmixed.

    Images, weights, order and lambdas are those of `image_run` with the same seed and alpha.

    Metrics: ``accuracy`` (%) and ``nll`` on all test images, ``train_loss``.
    """
    data = subset(settings, seed, device)
    model = network(settings, data, seed)
    augment = CropFlip(settings["pad"], settings["flip"])
    history = fit(
        model,
        data.x_train,
        data.y_train,
        mixup=Mixup(
            settings["alpha"],
            tuple(settings["layers"]),
            pairing=WithUnmixed(settings["k"], settings["share"]),
            generator=torch.Generator().manual_seed(seed + 10_000),
        ),
        epochs=settings["epochs"],
        batch_size=min(settings["batch"], len(data.x_train)),
        lr=settings["lr"],
        momentum=0.9,
        nesterov=False,
        weight_decay=settings["weight_decay"],
        schedule=settings["schedule"],
        inputs=data.inputs,
        augment=augment if settings["pad"] or settings["flip"] else None,
        generator=torch.Generator().manual_seed(seed),
        progress=f"{settings['data']} k = {settings['k']}, a share unmixed, seed {seed}",
    )
    full = evaluate(model, data.x_test, data.y_test, inputs=data.inputs)
    loss = history.last["train_loss"]
    return {"accuracy": 100 * full["accuracy"], "nll": full["nll"], "train_loss": loss}


# Sets of 32 in one batch match about 32 examples to themselves: of 128 as here, or of 512 as in
# the released code.
SHARE, RELEASED = 32 / 128, 32 / 512

UNMIXED = Study(
    "ch15-unmixed",
    unmixed_run,
    {
        profile: [
            cell(profile, data, k, 100.0, share=share)
            for data in ("mnist", "cifar10")
            for k, share in ((1, SHARE), (32, SHARE), (1, RELEASED))
        ]
        for profile in ("smoke", "quick", "paper")
    },
    seeds={"smoke": 1, "quick": 5, "paper": 20},
    live_seeds={"quick": 1},
)
