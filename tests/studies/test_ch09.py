"""Chapter 09: the networks are what their names say, and evidence reads what runs return."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from mmlib.evidence.execute import tupled
from mmlib.evidence.findings import Components, Errors, Paired
from mmlib.evidence.rulebook import rules
from mmlib.evidence.tables import claims
from mmlib.mixing import Mixup, capture, soft_cross_entropy, soft_targets
from mmlib.models.bottleneck import bottleneck
from mmlib.studies import bottlenecks, ch09
from mmlib.studies.ch09 import evidence, experiments, halves
from mmlib.studies.ch09.blocked import blocking
from mmlib.studies.ch09.networks import METHODS, cell, fresh, sites, trained, way

STUDIES = (ch09.PLANE, ch09.HALVES, ch09.ALPHAS, ch09.WATCH, ch09.BLOCKED, ch09.PRICE)


def smoke(study, index: int = 0) -> dict:
    return dict(study.grid["smoke"][index])


# ------------------------------------------------------------------------------ networks


def test_members_are_what_their_names_say():
    settings = cell("quick", digits=ch09.FIVE)
    assert way("none", settings, 3).layers == () and way("none", settings, 3).seed == 3
    assert way("input@0.5", settings, 0).layers == ("input",)
    assert [way(name, settings, 0).alpha for name in ("input@0.5", "input")] == [0.5, 2.0]
    assert way("manifold", settings, 0).layers == ("code",)
    assert way("manifold_all", cell("quick", "released"), 0).layers == sites(3)
    assert way("blocked", settings, 0).detach and not way("manifold", settings, 0).detach
    smoothing = way("smoothing", settings, 0).smoothing
    assert smoothing == bottlenecks.matched_smoothing(2.0, 5)


def test_bad_names_are_named():
    settings = cell("quick")
    for name, words in (("manifld", "did you mean"), ("input@x", "name@alpha")):
        with pytest.raises(ValueError, match=words):
            way(name, settings, 0)
    for changes in ({"setting": "txt"}, {"width": 0.5, "code": 0}, {"digits": (3,)}, {"frams": 1}):
        with pytest.raises((ValueError, TypeError), match="expected"):
            cell("quick", **changes)


def test_the_two_settings_are_those_of_text_and_code():
    text, released = cell("paper"), cell("paper", "released")
    same = {key for key in text if text[key] == released[key]}
    assert {"setting", "before", "norm", "alpha", "loss"} == set(text) - same
    assert (text["width"], text["epochs"], text["batch"], text["lr"]) == (1024, 30, 256, 1e-4)


def test_a_network_is_the_same_whoever_trains_beside_it():
    settings = smoke(ch09.PLANE) | {"width": 8}
    data = bottlenecks.images(settings, 0)
    together = trained(settings, data, 0)
    alone = trained(settings | {"methods": ("manifold",)}, data, 0)["manifold"]
    for a, b in zip(together["manifold"].parameters(), alone.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    assert not torch.allclose(together["none"].code.weight, alone.code.weight, atol=1e-3)


def test_blocked_mixes_leave_the_layers_before_as_they_were():
    settings = smoke(ch09.PLANE)
    data = bottlenecks.images(settings, 0)
    nets, first = trained(settings, data, 0), fresh(settings, data, 0)
    for name in ("layer1", "layer2", "code"):
        for own, start in zip(
            nets["blocked"].get_submodule(name).parameters(),
            first.get_submodule(name).parameters(),
            strict=True,
        ):
            assert torch.equal(own, start)
    assert not torch.equal(nets["blocked"].layer3[0].weight, first.layer3[0].weight)
    assert not torch.equal(nets["manifold"].code.weight, first.code.weight)


# ------------------------------------------------------------------------------ halves


@pytest.mark.parametrize("norm", [False, True])
def test_each_half_follows_its_own_loss(norm):
    """Against two ordinary backward passes, one on the plain loss and one on the mixed."""
    net = bottleneck(6, 3, width=5, norm=norm, seed=0).train()
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(16, 6, generator=rng), torch.randint(3, (16,), generator=rng)
    partner, lam, y = torch.randperm(16, generator=rng), 0.3, soft_targets(y, 3)
    lower = [
        p
        for name in ("layer1", "layer2", "code")
        for p in net[[n for n, _ in net.named_children()].index(name)].parameters()
    ]
    upper = [
        p for name in ("layer3", "layer4", "head") for p in net.get_submodule(name).parameters()
    ]

    h = capture(net, x, "code")
    mix, target = torch.lerp(h[partner], h, lam), torch.lerp(y[partner], y, lam)
    behind = experiments.tail(net, "code")
    expected = {}
    for way_, state, t in (("plain", h, y), ("mixed", mix, target)):
        grads = torch.autograd.grad(
            soft_cross_entropy(behind(state), t), lower + upper, retain_graph=True
        )
        expected[way_] = grads[: len(lower)], grads[len(lower) :]

    split = halves.Split([net] * 4, list(halves.HALVES.values()))
    split.losses(x, y, partner, lam, soft_cross_entropy).backward()
    for e, (before, after) in enumerate(halves.HALVES.values()):
        found = _grads(split, net, e)
        for got, want in zip(found, [*expected[before][0], *expected[after][1]], strict=True):
            assert torch.allclose(got, want, atol=1e-6)
    assert not torch.allclose(expected["plain"][1][0], expected["mixed"][1][0], atol=1e-3)


def _grads(split, net, e):
    """The gradients of member e in the order of the plain network's parameters."""
    members, found = split.stack.members, []
    for name, plain in net.named_parameters():
        child, _, rest = name.partition(".")
        part = split.stack.children_of[child]
        own = part[int(rest.split(".")[0])] if rest[0].isdigit() else part[0]
        kind = name.rpartition(".")[2]
        if hasattr(own, "norm"):
            found.append(getattr(own.norm, kind).grad.view(members, -1)[e])
        else:
            grad = getattr(own, kind).grad[e]
            found.append(grad.T if kind == "weight" else grad[0])
        assert found[-1].shape == plain.shape
    return found


def test_four_networks_start_alike_and_part():
    settings = smoke(ch09.HALVES)
    metrics, arrays = halves.halves(settings, 0)
    assert arrays["curves"].shape == (2, 4, len(experiments.CURVES))
    assert np.ptp(arrays["curves"][0], axis=0).max() == 0
    assert len({metrics[f"spread_{name}"] for name in halves.HALVES}) == 4
    assert halves.halves(settings, 0)[0] == pytest.approx(metrics, nan_ok=True)


# ------------------------------------------------------------------------------ runs


def test_a_run_measures_every_network_and_repeats():
    settings = smoke(ch09.PLANE)
    metrics, arrays = experiments.plane(settings, 0)
    for name in METHODS:
        for measure in ("within", "white", "area", "margin", "gap_train", "turns_code", "nll"):
            assert f"{measure}_{name}" in metrics
    assert arrays["curves"].shape == (settings["epochs"] + 1, 8, len(experiments.CURVES))
    last = dict(zip(experiments.CURVES, arrays["curves"][-1, 2], strict=True))
    for name, value in last.items():
        assert metrics[f"{name}_manifold"] == pytest.approx(value, rel=1e-4)
    assert arrays["points"].shape[::2] == (3, 2) and arrays["regions"].shape == (3, 40, 40)
    assert len(arrays["labels"]) == arrays["points"].shape[1]
    again, _ = experiments.plane(settings, 0)
    other, _ = experiments.plane(settings, 1)
    assert again == pytest.approx(metrics, nan_ok=True) and other["nll_none"] != metrics["nll_none"]


def test_wider_codes_have_numbers_and_no_pictures():
    settings = smoke(ch09.PLANE) | {"code": 3, "methods": ("none", "manifold")}
    metrics, arrays = experiments.plane(settings, 0)
    assert np.isfinite(metrics["within_manifold"]) and set(arrays) == {"curves", "means"}
    assert arrays["means"].shape == (2, 5, 3)


def test_pictures_hold_what_the_head_says():
    settings = smoke(ch09.WATCH)
    _, arrays = experiments.plane(settings, 0)
    epochs = settings["epochs"] + 1
    assert arrays["regions"].shape[:2] == (epochs, 3) and arrays["box"].shape == (epochs, 3, 3)
    data = bottlenecks.images(settings, 0)
    one = experiments.Examples(data)
    net = trained(settings, data, 0)["manifold"]
    found = experiments.picture(net, one)
    assert np.array_equal(found["regions"], arrays["regions"][-1, 2])
    x, y, wide = found["box"]
    row, column = 31, 7
    ticks = np.linspace(-wide, wide, experiments.SIDE)
    with torch.no_grad():
        point = torch.tensor([[x + ticks[column], y + ticks[row]]], dtype=torch.float32)
        p = experiments.tail(net, "code")(point).softmax(1)[0]
    assert found["regions"][row, column] // 20 == p.argmax()
    confidence = (p.max().item() - 1 / 5) / (1 - 1 / 5)
    assert found["regions"][row, column] % 20 == pytest.approx(confidence * 20, abs=1.01)


def test_training_examples_are_spread_over_the_set():
    data = bottlenecks.images(cell("smoke", digits=ch09.FIVE, n_train=200, n_test=50), 0)
    one = experiments.Examples(data)
    assert len(one.y_test) == 50 and len(one.y_train) == 50
    assert torch.equal(one.y_train, data.y_train[::4])


@pytest.mark.parametrize("norm", [False, True])
def test_blocking_at_the_input_changes_nothing_and_at_the_code_all(norm):
    settings = smoke(ch09.BLOCKED) | {"norm": norm}
    found = blocking(settings, 0)
    assert found["input_change"] == 0 and found["code_left"] == 0
    assert found["code_change"] > 1e-6 and found["behind_change"] < 1e-12


# ------------------------------------------------------------------------------ evidence


def fake(study, profile: str = "quick"):
    """Runs with made-up metrics, distinct in every cell."""
    rng, rows = np.random.default_rng(0), []
    sides = [f"turns_{site}" for site in ("input", "layer1", "code")]
    for one in study.grid[profile]:
        names = one.get("methods", tuple(halves.HALVES))
        for seed in range(5):
            metrics = (
                ["input_change", "code_change"]
                if study is ch09.BLOCKED
                else [
                    f"{measure}_{name}" for measure in [*evidence.LOWER, *sides] for name in names
                ]
            )
            rows.append(tupled(one) | {"seed": seed} | {name: rng.normal() for name in metrics})
    return SimpleNamespace(table=pd.DataFrame(rows), study=study)


def test_every_claim_of_the_chapter_has_a_rule_and_evidence():
    table, written = claims(), rules()
    wanted = set(table.loc[table["chapter"] == "09_representations", "id"])
    assert {claim for study in STUDIES for claim in study.claims} == wanted
    for study in STUDIES:
        for claim, (function, also) in study.claims.items():
            rule = written[claim]
            assert rule.study == study.name and not also
            found = function(fake(study))
            assert isinstance(found, Components if rule.rule == "all" else Errors)


def test_parts_name_both_settings_and_both_sets_of_digits():
    parts = ch09.PLANE.claims["MM1-F-tight"][0](fake(ch09.PLANE)).parts
    assert len(parts) == 16 and "released, all digits, white, manifold over input" in parts
    assert all(isinstance(part, Paired) and len(part.values) == 5 for part in parts.values())
    assert len(ch09.PLANE.claims["MM1-F5"][0](fake(ch09.PLANE)).parts) == 12
    assert len(ch09.HALVES.claims["MMF-B-beforeafter"][0](fake(ch09.HALVES)).parts) == 8


def test_gains_are_oriented_and_take_the_cell_of_the_setting():
    runs = fake(ch09.PLANE)
    table = evidence.long(runs, ("within", "margin"))
    assert len(table) == 5 * 5 * 8 and not table.isna().any().any()
    where = evidence.place("text", ch09.FIVE)
    raw = runs.table
    raw = raw[(raw["setting"] == "text") & (raw["digits"] == ch09.FIVE) & ~raw["norm"].astype(bool)]
    lower = evidence.gain(table, "within", "manifold", "none", where)
    assert lower.values == pytest.approx((raw["within_none"] - raw["within_manifold"]).tolist())
    higher = evidence.gain(table, "margin", "manifold", "none", where)
    assert higher.values == pytest.approx((raw["margin_manifold"] - raw["margin_none"]).tolist())


def test_blocked_evidence_takes_the_worst_case():
    runs = fake(ch09.BLOCKED)
    found = ch09.BLOCKED.claims["MM1-F-nolayers"][0](runs)
    assert found.error == runs.table["input_change"].max()
    assert found.control == runs.table["code_change"].min()


def test_mixed_steps_agree_with_the_library():
    """One step of `Split` with both halves mixed is one of `Mixup` at the code."""
    net = bottleneck(6, 3, width=5, seed=0)
    x, y = torch.randn(8, 6, generator=torch.Generator().manual_seed(1)), torch.arange(8) % 3
    mixup = Mixup(1.0, ("code",), generator=torch.Generator().manual_seed(2))
    mixed = mixup(net, x, y)
    soft_cross_entropy(mixed.logits, mixed.targets).backward()
    split = halves.Split([net], [("mixed", "mixed")])
    split.losses(
        x, soft_targets(y, 3), mixed.partner, mixed.lam.item(), soft_cross_entropy
    ).backward()
    for got, plain in zip(_grads(split, net, 0), net.parameters(), strict=True):
        assert torch.allclose(got, plain.grad, atol=1e-6)
