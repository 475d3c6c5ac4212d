"""Chapter 01: the law of lambda, and the identities of section 2 in float64 with their controls.

Each function compares the library with the statement written out by hand on a random network and
random data (`error`), and does the same with one planted mistake (`control`), which must show.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from mmlib.mixing import Mixup, capture, resume, soft_cross_entropy
from mmlib.mixing.law import Law


def law_of_lambda(settings: dict, seed: int) -> dict:
    """Share of Beta(2, 2) draws within 5 % of an end, exactly and in draws of the library.

    The density is 6 x (1 - x), so the share is ``2 (3 d^2 - 2 d^3)`` at distance d.
    """
    d, n = 0.05, settings["draws"]
    generator = torch.Generator().manual_seed(seed)
    mixup = Mixup(alpha=2.0, per_example=("lam",), generator=generator)
    lam = mixup.draw(n).lam
    exact = 2 * (3 * d**2 - 2 * d**3)
    grid = np.linspace(0, 1, 1001)
    uniform = Law("beta", alpha=1.0).quantile(torch.from_numpy(grid)).numpy()
    return {
        "exact_share": exact,
        "drawn_share": float(((lam < d) | (lam > 1 - d)).double().mean()),
        "distance_for_5_percent": float(stats.beta(2, 2).ppf(0.025)),
        "scipy_share": float(2 * stats.beta(2, 2).cdf(d)),
        "uniform_error": float(np.abs(stats.beta(1, 1).cdf(uniform) - grid).max()),
        "uniform_control": float(np.abs(stats.beta(2, 2).cdf(grid) - grid).max()),
    }


# ---------------------------------------------------------------- identities, in float64


def _tiny(seed: int, n: int = 6) -> tuple[nn.Module, Tensor, Tensor, tuple[str, ...]]:
    """A random four-layer network with smooth units, and random data, in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        steps = [nn.Linear(5, 7), nn.Linear(7, 6), nn.Linear(6, 5), nn.Linear(5, 3)]
        names = [f"layer{i}" for i in range(len(steps))]
        model = nn.Sequential()
        for name, step in zip(names, steps, strict=True):
            model.add_module(name, nn.Sequential(step, nn.Tanh()) if name != names[-1] else step)
        x, y = torch.randn(n, 5, dtype=torch.float64), torch.randint(3, (n,))
    return model.double().train(), x, y, ("input", *names[:-1])


def _worst(first: list[Tensor], second: list[Tensor]) -> float:
    return max(float((a - b).detach().abs().max()) for a, b in zip(first, second, strict=True))


def _gradients(model: nn.Module, loss: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    pairs = zip(found, model.parameters(), strict=True)
    return [torch.zeros_like(p) if g is None else g for g, p in pairs]


def split(settings: dict, seed: int) -> dict:
    """Error of ``f(x) = g_k(h_k(x))`` over all layers; the control hands on other examples."""
    model, x, _, layers = _tiny(seed)
    f, gaps, controls = model(x), [], []
    for layer in layers:
        h = capture(model, x, layer)
        gaps.append(_worst([resume(model, x.roll(1, 0), layer, h)], [f]))
        controls.append(_worst([resume(model, x, layer, h.roll(1, 0))], [f]))
    return {"error": max(gaps), "control": min(controls)}


def reduction_to_input_mixup(settings: dict, seed: int) -> dict:
    """Loss and gradients of ``layers=("input",)`` against input mixup written out by hand.

    Control: the same, with the targets mixed by 1 - lambda instead of lambda.
    """
    model, x, y, _ = _tiny(seed, n=12)
    mixup = Mixup(alpha=1.0, generator=torch.Generator().manual_seed(seed))
    mixed = mixup(model, x, y)
    loss = soft_cross_entropy(mixed.logits, mixed.targets)
    ours = [loss.detach(), *_gradients(model, loss)]

    def by_hand(of_targets: Tensor) -> list[Tensor]:
        rows = torch.eye(3, dtype=x.dtype)[y]
        x_mixed = mixed.lam * x + (1 - mixed.lam) * x[mixed.partner]
        y_mixed = of_targets * rows + (1 - of_targets) * rows[mixed.partner]
        value = -(y_mixed * model(x_mixed).log_softmax(1)).sum(1).mean()
        return [value.detach(), *_gradients(model, value)]

    return {
        "error": _worst(ours, by_hand(mixed.lam)),
        "control": _worst(ours, by_hand(1 - mixed.lam)),
    }


def expected_loss(settings: dict, seed: int) -> dict:
    """The objective on six examples against a brute-force average over pairs, layers, lambdas.

    The library's side averages `Mixup.apply` over the cyclic shifts, which visit each ordered pair
    once. Control: the same without the pairs of an example with itself.
    """
    model, x, y, layers = _tiny(seed)
    rows, n = torch.eye(3, dtype=x.dtype)[y], len(x)
    law = Law("beta", alpha=2.0)
    lams = law.quantile((torch.arange(8).double() + 0.5) / 8)
    brute, ours, distinct = [], [], []
    with torch.no_grad():
        for layer in layers:
            states = capture(model, x, layer)
            for lam in lams:
                for i in range(n):
                    for j in range(n):
                        h = lam * states[i] + (1 - lam) * states[j]
                        logits = resume(model, x[:1], layer, h[None])[0]
                        target = lam * rows[i] + (1 - lam) * rows[j]
                        brute.append(-(target * logits.log_softmax(0)).sum())
                mixup = Mixup(lam=float(lam), layers=(layer,))
                for shift in range(n):
                    draw = mixup.draw(n)
                    partner = torch.arange(n).roll(shift)
                    mixed = mixup.apply(model, x, y, replace(draw, partner=partner))
                    value = soft_cross_entropy(mixed.logits, mixed.targets.to(x))
                    ours.append(value)
                    distinct.extend([value] if shift else [])
    mean = torch.stack(brute).mean()
    return {
        "error": float((torch.stack(ours).mean() - mean).abs()),
        "control": float((torch.stack(distinct).mean() - mean).abs()),
    }


def algorithm_2(settings: dict, seed: int) -> dict:
    """Algorithm 2 step by step against one call of `Mixup`, at every layer.

    Control: the targets that line 5 would return if the mixed ones were not renamed, the unmixed.
    """
    model, x, y, layers = _tiny(seed, n=12)
    rows, gaps, controls = torch.eye(3, dtype=x.dtype)[y], [], []
    generator = torch.Generator().manual_seed(seed)
    for layer in layers:
        mixed = Mixup(alpha=2.0, layers=(layer,), generator=generator)(model, x, y)
        h = capture(model, x, layer)  # line 2
        h = mixed.lam * h + (1 - mixed.lam) * h[mixed.partner]  # line 3
        targets = mixed.lam * rows + (1 - mixed.lam) * rows[mixed.partner]
        logits = resume(model, x, layer, h)  # line 4
        gaps += [_worst([mixed.logits], [logits]), _worst([mixed.targets.to(x)], [targets])]
        controls.append(_worst([mixed.targets.to(x)], [rows]))
    return {"error": max(gaps), "control": min(controls)}


def gradient_flow(settings: dict, seed: int) -> dict:
    """Gradients of every parameter against the composition written out; blocked as the control.

    `before` and `before_blocked` are the gradient norms of the layers before the mix.
    """
    model, x, y, layers = _tiny(seed)
    layer, rows = layers[2], torch.eye(3, dtype=x.dtype)[y]
    mixup = Mixup(alpha=2.0, layers=(layer,), generator=torch.Generator().manual_seed(seed))
    draw = mixup.draw(len(x))

    def gradients(detach: bool) -> list[Tensor]:
        step = Mixup(alpha=2.0, layers=(layer,), detach=detach)
        mixed = step.apply(model, x, y, draw)
        return _gradients(model, soft_cross_entropy(mixed.logits, mixed.targets.to(x)))

    h = model.layer1(model.layer0(x))
    h = draw.lam * h + (1 - draw.lam) * h[draw.partner]
    targets = draw.lam * rows + (1 - draw.lam) * rows[draw.partner]
    logits = model.layer3(model.layer2(h))
    by_hand = _gradients(model, -(targets * logits.log_softmax(1)).sum(1).mean())
    flowing, blocked = gradients(False), gradients(True)
    return {
        "error": _worst(flowing, by_hand),
        "control": _worst(blocked, by_hand),
        "before": float(torch.stack([g.norm() for g in flowing[:4]]).min()),
        "before_blocked": float(torch.stack([g.norm() for g in blocked[:4]]).max()),
    }


def against_neighbour_mixing(settings: dict, seed: int) -> dict:
    """Which of the three stated differences to Zhao and Cho's mixing are absent (0 expected).

    Their method as the text describes it: pairs among nearest neighbours in the space of a fixed
    feature extractor, always at that layer. Control: Manifold Mixup compared with itself, where
    all three must be absent.
    """
    model, x, y, layers = _tiny(seed, n=40)
    generator = torch.Generator().manual_seed(seed)
    ours = Mixup(alpha=2.0, layers=layers, generator=generator)
    with torch.no_grad():
        distance = torch.cdist(capture(model, x, "layer1"), capture(model, x, "layer1"))
    neighbours = distance.argsort(1)[:, 1:6]
    theirs = Mixup(alpha=2.0, layers=("layer1",), detach=True, generator=generator)

    def profile(mixup: Mixup, *, near: bool) -> dict[str, object]:
        seen, share, flows = set(), [], []
        for _ in range(30):
            draw = mixup.draw(len(x))
            if near:
                column = torch.randint(5, (len(x),), generator=generator)
                draw = replace(draw, partner=neighbours[torch.arange(len(x)), column])
            mixed = mixup.apply(model, x, y, draw)
            gradients = _gradients(model, soft_cross_entropy(mixed.logits, mixed.targets.to(x)))
            seen.add(mixed.layer)
            share.append((neighbours == mixed.partner[:, None]).any(1).double().mean())
            flows.append(bool(gradients[0].abs().max() > 0))
        return {
            "random layer": len(seen) > 1,
            "all pairs": bool(torch.stack(share).mean() < 0.5),
            "gradient before the mix": any(flows),
        }

    mine, other = profile(ours, near=False), profile(theirs, near=True)
    again = profile(ours, near=False)
    return {
        "error": float(sum(mine[key] == other[key] for key in mine)),
        "control": float(sum(mine[key] == again[key] for key in mine)),
    }
