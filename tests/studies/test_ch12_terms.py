"""Chapter 12, Parts 1 and 2: identities with their controls, equal runs, fitted networks."""

from __future__ import annotations

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from mmlib.evidence.findings import Components
from mmlib.evidence.rulebook import rules
from mmlib.measures import beta_nodes, cross_moments, half_squared, squared_shrinkage
from mmlib.mixing import soft_cross_entropy
from mmlib.plots import ch12_terms
from mmlib.studies.bottlenecks import images
from mmlib.studies.ch12 import (
    closed_form,
    equal_runs,
    evidence_terms,
    fitted,
    fitted_pairs,
    random_nets,
    scatter,
)
from mmlib.studies.ch12 import terms as checks
from mmlib.studies.ch12.grids_terms import CLOSED, EQUAL, FITTED, SCATTER, STUDIES, TERMS
from mmlib.studies.ch12.noise import noise_parts

# ------------------------------------------------------------------------------ random networks


@pytest.fixture(scope="module")
def found():
    return [checks.terms(cell, 7) for cell in TERMS.grid["quick"]]


def test_equations_hold_and_their_controls_fail(found):
    names = ("mixup", "mmix", "linear", "jacobian", "gradient", "four", "usual", "cross", "zero")
    for metrics, _ in found:
        errors = {k: v for k, v in metrics.items() if k.endswith("_error")}
        controls = {k: v for k, v in metrics.items() if k.endswith("_control")}
        assert {f"{name}_error" for name in names} <= set(errors)
        assert max(errors.values()) < 1e-12
        assert min(controls.values()) > 1e-4


def test_a_bias_needs_weights_that_add_up_to_one(found):
    for cell, (metrics, _) in zip(TERMS.grid["quick"], found, strict=True):
        assert (f"linear_weights_{'control' if cell['bias'] else 'error'}") in metrics


def test_orders_of_the_rest_and_fitted_cross_entropy(found):
    for metrics, arrays in found[1:3]:
        assert metrics["slope curved, targets differ"] == pytest.approx(1, abs=0.02)
        assert metrics["slope curved, equal targets"] == pytest.approx(2, abs=0.02)
        assert metrics["slope affine, cross-entropy"] == pytest.approx(2, abs=0.02)
        assert metrics["rest affine"] < 1e-13
        assert metrics["entropy_gap"] < 1e-6 and metrics["entropy_share"] > 0.01
        assert metrics["entropy_over_plain"] > 1e4
        assert arrays["rest"].shape == (len(fitted_pairs.RESTS), len(fitted_pairs.DISTANCES))


def test_jacobians_of_random_nets_against_finite_differences():
    case = random_nets.draw(TERMS.grid["quick"][1], 3)
    d = random_nets.jacobians(case, full=True)
    weight, step = case.model.features[0].weight, 1e-6
    with torch.no_grad():
        before = case.model(case.x)
        weight[2, 3] += step
        after = case.model(case.x)
    column = 2 * weight.shape[1] + 3
    torch.testing.assert_close((after - before) / step, d[:, :, column], rtol=1e-4, atol=1e-6)


# ------------------------------------------------------------------------------ closed forms


def test_closed_forms_hold_and_their_controls_fail():
    metrics = closed_form.closed_form(CLOSED.grid["quick"][2] | {"draws": 400}, 3)
    for name, value in metrics.items():
        assert not name.endswith("_error") or value < 1e-12, name
        assert not name.endswith("_control") or value > 1e-3, name
    assert metrics["noise_length"] + metrics["noise_cross"] == pytest.approx(1)
    assert metrics["loss"] == pytest.approx(squared_shrinkage(1.0))
    for name in ("", "_free"):
        assert abs(metrics[f"loss{name}"] - metrics[f"sampled{name}"]) < 5 * metrics[f"se{name}"]


# ------------------------------------------------------------------------------ equal runs


def small(targets="labels", **changes):
    settings = EQUAL.grid["smoke"][0] | {"data": "digits", "targets": targets}
    return (
        settings
        | {"n_train": 60, "batch": 20, "epochs": 4, "comparisons": (), "sampled": 0}
        | {**changes}
    )


def test_all_pairs_by_hand():
    head = nn.Linear(3, 2).double()
    z, y = torch.randn(4, 3).double(), torch.randn(4, 2).double()
    for loss in (half_squared, soft_cross_entropy):
        rows = y if loss is half_squared else y.softmax(1)
        found = equal_runs.all_pairs(head, z, rows, 1.5, loss)
        lam = torch.distributions.Beta(1.5, 1.5).sample((4000,)).double()
        each = [
            loss(head(lam[:, None] * z[i] + (1 - lam[:, None]) * z[j]),
                 lam[:, None] * rows[i] + (1 - lam[:, None]) * rows[j])
            for i, j in itertools.product(range(4), repeat=2)
        ]  # fmt: skip
        assert found.item() == pytest.approx(torch.stack(each).mean().item(), rel=0.02)


@pytest.mark.parametrize("targets", ["labels", "random"])
def test_runs_are_equal_under_the_theorem_and_not_otherwise(targets):
    names = (*equal_runs.EQUAL, *equal_runs.BROKEN)
    if targets == "random":  # no probabilities, so no cross-entropy
        names = names[:-1]
    metrics, arrays = equal_runs.equal(small(targets, comparisons=names, adam_lr=1e-2), 3)
    for name in equal_runs.EQUAL:
        assert metrics[f"gap {name}"] < 1e-12, name
    for name in set(names) - set(equal_runs.EQUAL) - {"Adam's epsilon kept", "decay kept"}:
        assert metrics[f"gap {name}"] > 1e-2, name
    assert metrics["gap decay kept"] > 1e-5 and metrics["gap Adam's epsilon kept"] > 1e-9
    assert arrays["gaps"].shape == (len(names), 4)


def test_options_of_the_equal_run():
    settings = {"lr": 1.0, "adam_lr": 0.1, "weight_decay": 0.3}
    sgd = equal_runs.Comparison().plain_options(settings, 0.6)
    assert sgd == pytest.approx({"lr": 0.06, "momentum": 0.9, "weight_decay": 0.5})
    adamw = equal_runs.Comparison("adamw").plain_options(settings, 0.6)
    assert adamw == pytest.approx({"lr": 0.1, "eps": 1e-8 / 0.6, "weight_decay": 0.3})
    kept = equal_runs.Comparison(kept=("lr",)).plain_options(settings, 0.6)
    assert kept["lr"] == pytest.approx(0.1)


def test_noise_parts_against_drawn_mixes():
    data = images(small(), 3)
    where = equal_runs.setting(small(), data, 3)
    net = equal_runs.network(where.x.shape[1], 10, 5, False, 3)
    x, y = where.x, where.y
    own, length, cross, batch = noise_parts(net, x, y, 12, 0.8, chunk=7)
    with torch.no_grad():
        net.head.bias += (y[:12] - net(x[:12])).mean(0)
    front = [p for name, p in net.named_parameters() if not name.startswith("head")]
    draws, generator = [], torch.Generator().manual_seed(0)
    lams = torch.distributions.Beta(0.8, 0.8).sample((3000,)).double()
    for lam in lams:
        p = torch.randperm(12, generator=generator)
        out = net(x[:12])  # an affine head mixes its outputs as it mixes states
        loss = half_squared(torch.lerp(out[p], out, lam), torch.lerp(y[p], y[:12], lam))
        grads = torch.autograd.grad(loss, front)
        draws.append(torch.cat([g.flatten() for g in grads]))
    draws = torch.stack(draws)
    assert float(draws.mean(0).square().sum()) == pytest.approx(own, rel=0.1)
    assert float(draws.var(0).sum()) == pytest.approx(length + cross, rel=0.1)
    assert batch > 0
    assert noise_parts(net, x[:12], y[:12], 12, 0.8)[3] == 0


def test_sampled_runs_scatter_around_the_plain_one():
    metrics, arrays = equal_runs.equal(small(sampled=4, epochs=10, looks=(0, 10)), 3)
    assert 0 < metrics["gap_mean"] < metrics["gap_sampled"] < metrics["gap_seeds"]
    assert arrays["noise"].shape == (2, 4) and arrays["sampled"].shape == (10,)


# ------------------------------------------------------------------------------ fitted


def test_heads_that_do_not_learn_have_a_floor():
    torch.manual_seed(0)
    settings = FITTED.grid["smoke"][0] | {"data": "digits"}
    data = fitted.Examples(settings, 0, "cpu")
    first = equal_runs.network(data.x["train"].shape[1], 10, 16, False, 0).float()
    net = fitted.prepared(first, 4)
    assert torch.linalg.matrix_rank(net.head.weight) == 4 and not net.head.weight.requires_grad
    assert first.head.weight.requires_grad
    # Least squares over free states, by an independent route.
    w, b = net.head.weight.double(), net.head.bias.double()
    z = (torch.linalg.pinv(w, rtol=1e-5) @ (data.rows.double() - b).T).T
    r = (z @ w.T + b - data.rows).detach()
    wanted = float(r.mean(0).square().sum()) / 2
    wanted += squared_shrinkage(2.0) * float((r - r.mean(0)).square().sum(1).mean()) / 2
    assert fitted.floor(net, data, 2.0) == pytest.approx(wanted, rel=1e-4)
    assert fitted.floor(fitted.prepared(first, 10), data, 2.0) < 1e-8


def test_flatness_of_a_linear_network():
    """An affine map has no departure from a chord; a blind head sees nothing of a class."""
    settings = FITTED.grid["smoke"][0] | {"data": "digits"}
    data = fitted.Examples(settings, 0, "cpu")
    inputs = data.x["train"].shape[1]
    net = nn.Sequential()
    net.add_module("layer2", nn.Linear(inputs, 12))
    net.add_module("head", nn.Linear(12, 10))
    assert fitted.flatness(net, data, "train")["chord"] < 1e-5
    bent = nn.Sequential()
    bent.add_module("layer2", nn.Sequential(nn.Linear(inputs, 12), nn.ReLU()))
    assert fitted.flatness(bent, data, "train")["chord"] > 1e-2
    assert 0 < fitted.blind_share(net, data, "train") < 1
    wide = nn.Sequential(nn.Linear(inputs, 12), nn.Linear(12, 12))
    whole = nn.Sequential()
    whole.add_module("layer2", wide[0])
    whole.add_module("head", wide[1])
    assert fitted.blind_share(whole, data, "train") == pytest.approx(0, abs=1e-4)


def test_a_run_of_fitted_networks():
    settings = FITTED.grid["smoke"][0] | {"data": "digits", "looks": (0, 3)}
    metrics, arrays = fitted.fitted(settings, 1)
    arms = len(fitted.ARMS)
    assert arrays["curves"].shape == (arms, 2, len(fitted.CURVES))
    assert np.isfinite(arrays["curves"]).all() and np.isfinite(list(metrics.values())).all()
    assert metrics["rest_mixed"] < 1e-5 < metrics["rest_curved"]
    assert metrics["rest_input"] > 1e-3
    assert metrics["loss_plain"] != metrics["loss_mixed"]


# ------------------------------------------------------------------------------ noise


def test_losses_with_less_noise_are_means_of_the_sampled_one():
    r = torch.randn(4, 2, dtype=torch.float64) + 0.3
    lams, weights = beta_nodes(0.8, 3)
    q = cross_moments(0.8)[0]
    orders = [torch.tensor(p) for p in itertools.permutations(range(4))]

    def mean(loss, lam=None):
        nodes = [(lam, 1.0)] if lam is not None else list(zip(lams, weights, strict=True))
        return sum(w * float(loss(r, a, p, q)) for a, w in nodes for p in orders) / len(orders)

    whole = mean(scatter.sampled)
    for loss in scatter.ARMS.values():
        assert mean(loss) == pytest.approx(whole, rel=1e-12)
    assert float(scatter.lengths(r, 0.3, orders[5], q)) == pytest.approx(mean(scatter.sampled, 0.3))
    one = [float(scatter.ARMS[k](r, 0.3, orders[7], q)) for k in ("expected", "sampled", "doubled")]
    assert one[2] - one[0] == pytest.approx(2 * (one[1] - one[0])) and one[1] != one[0]
    by_lam = sum(
        w * float(scatter.sampled(r, a, orders[7], q)) for a, w in zip(lams, weights, strict=True)
    )
    assert float(scatter.crosses(r, 0.9, orders[7], q)) == pytest.approx(by_lam)


def test_the_sampled_arm_is_mixing_states():
    settings = SCATTER.grid["smoke"][0] | {"data": "digits"}
    found = scatter.scatter(settings | {"arms": ("sampled",)}, 2)
    mixed, _ = fitted.fitted(settings | {"arms": ("mixed",), "looks": (0, 3)}, 2)
    for name in ("loss", "within", "test_rank", "chord"):
        assert found[f"{name}_sampled"] == pytest.approx(mixed[f"{name}_mixed"], rel=1e-3)


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_studies_have_seeds_for_verdicts(study):
    assert study.seeds["quick"] >= 5 and set(study.grid) == {"smoke", "quick", "paper"}


def test_every_claim_has_its_rule_and_evidence_of_its_kind():
    for study in (TERMS, FITTED):
        for claim in study.claims:
            assert rules()[claim].study == study.name, claim


def small_runs(tmp_path, monkeypatch, study, **overrides):
    monkeypatch.setenv("MMLIB_RESULTS", str(tmp_path))
    return study.collect("smoke", overrides=overrides, n_jobs=1, progress=False)


def test_evidence_and_figures_of_small_runs(tmp_path, monkeypatch):
    plt.switch_backend("Agg")
    changed = {"data": "digits"}
    found = {
        study: small_runs(tmp_path, monkeypatch, study, **(changed if study.data else {}))
        for study in STUDIES
    }
    for study, runs in found.items():
        for claim, (function, _) in study.claims.items():
            evidence, rule = function(runs), rules()[claim]
            if rule.rule == "all":
                assert isinstance(evidence, Components)
                assert all(rule.part(name) for name in evidence.parts)
            else:
                assert evidence.error <= rule.margin < evidence.control, claim
    spread = evidence_terms.against_equal(found[FITTED], found[SCATTER], "within")
    assert spread.shape == (1, len(evidence_terms.NOISES) - 1)
    figures = [
        ch12_terms.rest(found[TERMS]),
        ch12_terms.closed_form(found[CLOSED]),
        ch12_terms.trajectories(found[EQUAL]),
        ch12_terms.noise_over_training(found[EQUAL]),
        ch12_terms.fits(found[FITTED]),
        ch12_terms.noise_and_spread(spread, spread),
    ]
    for figure in figures:
        for ax in figure.axes:
            drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in ax.lines])
            assert len(drawn) > 2 and np.isfinite(drawn).all()
        plt.close(figure)
    table = evidence_terms.trajectories(found[EQUAL])
    same = table.loc["equal", "labels as targets"].astype(float)
    assert (same < 1e-12).all() and len(same) == len(equal_runs.EQUAL)
