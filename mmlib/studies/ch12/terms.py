"""Random networks in float64: every equation of the critique, beside a planted mistake.

Errors and controls are relative to the size of what the equation is about.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from mmlib.measures.mixed_gradient import Loss, half_squared
from mmlib.mixing import Mixup, mix_at, soft_cross_entropy
from mmlib.studies.ch12.fitted_pairs import entropy_share, fits, rests
from mmlib.studies.ch12.random_nets import SITE, Case, draw, jacobians, mixed, off


def losses(case: Case) -> dict[str, float]:
    """The two displayed objectives against the library's mixed losses, at one lambda."""

    def library(model: nn.Module, site: str) -> tuple[Tensor, Tensor]:
        """Return the library's loss, and the displayed objective for the pairs that it drew."""
        draws = torch.Generator().manual_seed(0)
        out = Mixup(layers=(site,), lam=0.3, generator=draws)(model.train(), case.x, case.y)
        own, other = case.x, case.x[out.partner]
        f, g = (model.features, model.head) if site == SITE else (nn.Identity(), model)
        error = 0.3 * case.y + 0.7 * case.y[out.partner] - g(0.3 * f(own) + 0.7 * f(other))
        return half_squared(out.logits, out.targets), (-error.square().sum(1) / 2).mean()

    at_input, shown_input = library(case.model, "input")
    hidden, shown_hidden = library(case.model, SITE)
    flat = nn.Sequential(
        OrderedDict(features=nn.Identity(), head=nn.Linear(case.x.shape[1], case.y.shape[1]))
    ).double()
    return {
        "mixup_error": off(-shown_input, at_input),
        "mixup_control": off(shown_input, at_input),
        "mmix_error": max(
            off(-shown_hidden, hidden), off(library(flat, SITE)[0], library(flat, "input")[0])
        ),
        "mmix_control": off(at_input, hidden),
    }


def residuals(case: Case, curved: Case) -> dict[str, float]:
    """The mixed residual against the mix of residuals; other weights matter with a bias only."""

    def gap(one: Case, extra: float = 0.0) -> float:
        a, b = one.lam[:, None], 1 - one.lam[:, None] + extra
        z, p = one.model.features(one.x), one.partner
        r = one.y - one.model.head(z)
        whole = a * one.y + b * one.y[p] - one.model.head(a * z + b * z[p])
        return off(a * r + b * r[p], whole)

    name = "linear_weights_control" if case.model.head.bias is not None else "linear_weights_error"
    return {"linear_error": gap(case), "linear_control": gap(curved), name: gap(case, 0.3)}


def displays(case: Case) -> dict[str, float]:
    """The derivative of the mixed state, and the gradient with its brackets and without."""
    p, lam = case.partner, case.lam[:, None, None]
    weights = dict(case.model.features.named_parameters())

    def state(values: dict[str, Tensor]) -> Tensor:
        return mixed(functional_call(case.model.features, values, (case.x,)), case.lam, p)

    whole = torch.cat([j.flatten(2) for j in jacrev(state)(weights).values()], 2)
    own = jacobians(case, full=False)
    d = jacobians(case, full=True)
    r = (case.y - case.model(case.x)).detach()[:, :, None]
    # The objective is to be maximised: minus the loss.
    loss = half_squared(mix_at(case.model, case.x, SITE, case.lam, p), mixed(case.y, case.lam, p))
    grads = torch.autograd.grad(-loss, list(weights.values()))
    exact = torch.cat([g.flatten() for g in grads]) * len(case.x)
    product = (lam * r + (1 - lam) * r[p]) * (lam * d + (1 - lam) * d[p])
    found = {
        "jacobian_error": off(lam * own + (1 - lam) * own[p], whole),
        "jacobian_control": off((1 - lam) * own + lam * own[p], whole),
        "gradient_error": off(product.sum((0, 1)), exact),
    }
    if case.y.shape[1] == 1:  # the text's case; as printed, a number plus two vectors
        literal = lam * r + (1 - lam) * r[p] * lam * d + (1 - lam) * d[p]
        found["gradient_control"] = off(literal.sum((0, 1)), exact)
    return found


def four_terms(case: Case, curved: Case) -> dict[str, float]:
    """The library's four terms against autograd, and each kind against what it is said to be."""

    def gap(one: Case, loss: Loss, group: str = "features") -> float:
        terms = one.terms(loss)
        names = terms.feature_names if group == "features" else terms.head_names
        out = mix_at(one.model, one.x, SITE, one.lam, one.partner)
        value = loss(out, mixed(one.y, one.lam, one.partner), "mean")
        named = dict(one.model.named_parameters())
        exact = torch.autograd.grad(value, [named[name] for name in names])
        four = sum(v for name, v in getattr(terms, group).items() if name != "rest")
        return off(four, torch.cat([g.flatten() for g in exact]))

    found = {
        "four_error": gap(case, half_squared),
        "four_head_error": gap(case, half_squared, "head"),
        "four_curved_control": gap(curved, half_squared),
        "four_curved_head_control": gap(curved, half_squared, "head"),
    }
    if case.y.shape[1] > 1:
        classes = replace(case, y=case.y.softmax(1))
        found["four_entropy_control"] = gap(classes, soft_cross_entropy)
    return found | usual(case) | cross(case)


def usual(case: Case) -> dict[str, float]:
    """The usual terms against gradients of losses of single examples, weighted."""
    terms = case.terms().features
    weights = list(case.model.features.parameters())

    def plain(factors: Tensor) -> Tensor:
        each = half_squared(case.model(case.x), case.y, "none")
        grads = torch.autograd.grad((factors * each).mean(), weights)
        return torch.cat([g.flatten() for g in grads])

    # Example j is the partner of the mix whose weight it gets.
    back = torch.argsort(case.partner)
    parts = {"usual_first": case.lam, "usual_second": (1 - case.lam)[back]}
    return {
        "usual_error": max(off(terms[name], plain(f**2)) for name, f in parts.items()),
        "usual_control": min(off(terms[name], plain(f)) for name, f in parts.items()),
    }


def cross(case: Case) -> dict[str, float]:
    """One pair whose first example is fitted: what still moves the features at that example."""
    lam, model = case.lam[0], case.model
    y = model(case.x[:1]).detach()
    z, other = model.features(case.x[:1]), model.features(case.x[1:2]).detach()
    out = model.head(lam * z + (1 - lam) * other)
    loss = half_squared(out, lam * y + (1 - lam) * case.y[1:2])
    exact = torch.autograd.grad(loss, list(model.features.parameters()))
    exact = torch.cat([g.flatten() for g in exact])
    residual = (model.head(other) - case.y[1:2]).detach()
    own = torch.autograd.grad(
        model(case.x[:1]), list(model.features.parameters()), lam * (1 - lam) * residual
    )
    term = torch.cat([g.flatten() for g in own])
    return {"cross_error": off(term, exact), "cross_control": off(0 * term, exact)}


def terms(settings: dict[str, Any], seed: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """All checks of one random case; ``<name>_error`` beside ``<name>_control``.

    Shares are gradients at fitted examples over those at other targets. With several outputs:
    ``entropy_*``, the slopes of the rest, and the array ``rest`` (cases, distances).
    """
    case, curved = draw(settings, seed), draw(settings, seed, curved=True)
    found = losses(case) | residuals(case, curved) | displays(case) | four_terms(case, curved)
    found |= fits(settings, seed)
    if settings["outputs"] == 1:
        return found, {}
    slopes, sizes = rests(settings, seed)
    return found | entropy_share(settings, seed) | slopes, {"rest": sizes}
