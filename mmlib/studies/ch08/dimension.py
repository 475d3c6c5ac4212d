"""Runs of chapter 08: third classes between codes of a bottleneck net, by its width."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmlib.measures import evaluate
from mmlib.measures.crossings import crossed_pairs, third_class
from mmlib.measures.spectra import class_means
from mmlib.studies import bottlenecks
from mmlib.studies.ch08.geometry import off_diagonal, shell
from mmlib.studies.ch08.paths import logits, states

LAMS = tuple(i / 200 for i in range(201))


def widths(settings: dict[str, Any], seed: int, device: str = "cpu") -> tuple[dict, dict]:
    """Bottleneck nets of one width, trained by each method, and the segments between their codes.

    One correctly classified test image is drawn for each class, `tuples` times; all pairs of a
    tuple are joined. Metrics by method (``_<method>``), shares in %: ``accuracy``; ``points`` and
    ``paths``, third classes among interior points and among segments; ``least``, the smallest share
    of segments in a tuple (in the plane at least `least_crossed_share`); ``means`` and
    ``means_own``: pairs of class means whose segment is crossed, for a nearest-mean classifier and
    by the network; ``spread``, ``inside`` and ``mid`` as in `shell`. Arrays: ``third_<method>``,
    the share at each weight.
    """
    program = {key: value for key, value in settings.items() if key not in ("tuples", "n_codes")}
    found = bottlenecks.train(program, seed, device)
    data, classes = found.data, found.data.num_classes
    metrics, arrays = {}, {}
    for name, net in found.nets.items():
        rng = torch.Generator().manual_seed(30_000 + seed)  # the same draws for every method
        scores = evaluate(net, data.x_test, data.y_test, inputs=data.inputs)
        x = data.inputs(data.x_test)
        right = logits(net, x).argmax(1) == data.y_test
        codes, y = states(net, x, "code"), data.y_test
        ends = tuples(y, right, classes, settings["tuples"], rng)
        one_of, other_of = torch.triu_indices(ends.shape[1], ends.shape[1], 1)
        first, second = ends[:, one_of].flatten(), ends[:, other_of].flatten()
        third = along(net, codes[first], codes[second], y[first], y[second])
        paths = third.any(0).view(len(ends), -1).double().mean(1)
        means, _ = class_means(codes, y)
        rows, columns = torch.triu_indices(classes, classes, 1)
        labels = torch.arange(classes)
        own = along(net, means[rows].float(), means[columns].float(), labels[rows], labels[columns])
        one = {
            "accuracy": 100 * scores["accuracy"],
            "points": 100 * float(third[1:-1].double().mean()),
            "paths": 100 * float(paths.mean()),
            "least": 100 * float(paths.min()),
            "means": 100 * float(off_diagonal(crossed_pairs(means)).double().mean()),
            "means_own": 100 * float(own.any(0).double().mean()),
        }
        radii = shell(codes, first, second)
        one |= {key: radii[key] for key in ("spread", "inside", "mid")}
        metrics |= {f"{key}_{name}": value for key, value in one.items()}
        arrays[f"third_{name}"] = third.double().mean(1).numpy().astype(np.float16)
        if codes.shape[1] == 2:
            arrays[f"codes_{name}"] = codes[: settings["n_codes"]].numpy().astype(np.float16)
            arrays["classes"] = y[: settings["n_codes"]].numpy().astype(np.uint8)
    return metrics, arrays


def tuples(y: Tensor, right: Tensor, classes: int, count: int, rng: torch.Generator) -> Tensor:
    """Return positions (count, K) of random examples, one a class, that are classed correctly.

    A class of which none is classed correctly is left out: (count, fewer).
    """
    chosen = []
    for label in range(classes):
        own = ((y == label) & right).nonzero()[:, 0]
        if len(own):
            chosen.append(own[torch.randint(len(own), (count,), generator=rng)])
    return torch.stack(chosen, dim=1)


def along(net: nn.Sequential, one: Tensor, two: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return where the network sees a third class between codes, (L, P)."""
    children = list(net.children())
    place = [name for name, _ in net.named_children()].index("code")
    rest = nn.Sequential(*children[place + 1 :])
    with torch.no_grad():
        said = [rest(torch.lerp(two, one, lam)).argmax(1) for lam in LAMS]
    return third_class(torch.stack(said), a, b)
