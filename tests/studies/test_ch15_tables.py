"""Chapter 15, tables: printed cells, distances, trials on tables, generated data, and evidence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from mmlib.data import load
from mmlib.evidence.findings import Components
from mmlib.evidence.tables import claims
from mmlib.measures import vicinal
from mmlib.mixing import OptimalPairing
from mmlib.studies.ch15 import dimension, distances, evidence_tables, grids_tables, printed, tables

STUDIES = (
    *(grids_tables.PRINTED, grids_tables.DISTANCES),
    *(grids_tables.UCI, grids_tables.DIMENSION),
)
MINE = (
    *("KM-F4-iris", "KM-F4-bcw", "KM-F4-other", "KM-F4-all", "KM-F5b", "KM-F5b-factor"),
    *("KM-F6a-high", "KM-F6b", "KM-F8-c100", "KM-F8-svhn", "KM-F8-all", "KM-harm", "KM-lowdim"),
)


# ------------------------------------------------------------------------------ printed cells


def test_cells_that_the_text_names():
    assert printed.grid("mnist").loc[32, 100.0] == 99.18
    assert printed.grid("cifar10").loc[1, 100.0] == 94.085
    assert printed.grid("svhn").loc[2, 1.0] == 97.29 and printed.half_width("svhn") == 0.02
    assert printed.half_width("Swiss Roll") is None
    assert printed.uci("breast_cancer").idxmax() == 8
    assert printed.digits("iris") == ["92.0", "98.0", "94.0", "100.0"]
    with pytest.raises(ValueError, match="did you mean 'cifar100'"):
        printed.grid("cifar-100")


def test_gains_by_hand():
    row = printed.gains(("svhn",)).set_index("alpha").loc[1.0]
    assert (row["best_k"], row["worst_k"]) == (2, 32)
    assert row["gain"] == pytest.approx(0.12) and row["loss"] == pytest.approx(-0.09)
    uci = printed.gains(("iris",)).iloc[0]
    assert uci["gain"] == pytest.approx(2) and uci["loss"] == pytest.approx(-4)


def test_harm_counts_from_the_half_width_on():
    table = pd.DataFrame({"gain": [-0.04, -0.05, -0.01, 0.0], "half": [0.03, 0.03, None, None]})
    assert printed.harmed(table, "gain").tolist() == [False, True, True, False]


def test_rises_are_found_in_both_grids():
    assert printed.rises(printed.grid(printed.DISTANCES["mnist"])) == [(2, 0.05)]
    assert printed.rises(printed.grid(printed.DISTANCES["cifar10"])) == [(4, 0.1), (8, 0.05)]


def test_best_of_m_against_simulation():
    draws = np.random.default_rng(0).normal(size=(200_000, 6)).max(1).mean()
    assert printed.expected_best(6) == pytest.approx(draws, abs=0.01)


def test_arithmetic_of_one_table():
    found = printed.arithmetic({"table": "cifar100"}, 0)
    assert found["gap"] == pytest.approx(0.53) and found["last"] == pytest.approx(2.02)
    assert found["outside"] == 0 and found["outside_control"] == 5
    manifold = printed.arithmetic({"table": "manifold"}, 0)
    assert manifold["outside"] > 0  # so the count can differ from zero


# ------------------------------------------------------------------------------ distances


def test_fit_of_the_printed_grids_prefers_the_nearer_end():
    for data in printed.DISTANCES:
        misfits = {law: distances.printed_fit(data, law)[0].misfit for law in distances.LAWS}
        assert min(misfits, key=misfits.get) == "nearer"
        assert misfits["nearer"] < misfits["plain"] / 5
        assert distances.largest_residual(data, "nearer") < 0.13
        assert distances.largest_residual(data, "plain") > 0.13


def test_factor_of_the_logs():
    assert distances.log_factor(10, 100) == pytest.approx(10 / 9)
    assert distances.log_factor(10, 105) == pytest.approx(10 / 9)  # no incomplete minibatch


def test_factor_of_the_logs_by_their_own_sum():
    """Squared norm of the difference of the last of n minibatches, over its index."""
    rng = torch.Generator().manual_seed(0)
    batches = torch.randn(50, 16, 8, generator=rng)
    lam, k = 0.3, 4
    for index, x in enumerate(batches):
        pairing = OptimalPairing(k, cost="euclidean", sets="batch")
        gaps, _ = vicinal.match_gaps(x, pairing, torch.Generator().manual_seed(index))
        cost = (min(lam, 1 - lam) * gaps).norm() ** 2
    logged = cost / index
    per_image = min(lam, 1 - lam) ** 2 * gaps.square().sum(1).mean()
    assert logged.item() == pytest.approx(distances.log_factor(16, 800) * per_image.item())


@pytest.fixture(scope="module")
def lengths() -> dict:
    settings = {"data": "digits", "pad": 0, "flip": False, "side": None, "n": 256}
    return distances.lengths(settings | {"batches": (32, 128)}, 0)


def test_lengths_of_random_pairs_are_twice_the_variance(lengths):
    x = load("digits").x_train.float().flatten(1) / 255
    twice = float(2 * x.var(0).sum())
    assert lengths["unit_two128_1"] == pytest.approx(twice, rel=0.06)
    assert lengths["own_two128_1"] == 0.0


def test_lengths_fall_with_k_and_self_pairs_grow(lengths):
    for way in ("two128", "batch128"):
        values = [lengths[f"standard_{way}_{k}"] for k in distances.KS]
        assert all(a > b for a, b in zip(values, values[1:], strict=False))
    assert lengths["own_batch32_32"] == 1.0 and lengths["unit_batch32_32"] == 0.0
    assert lengths["own_batch128_32"] == pytest.approx(32 / 128, abs=0.08)


def test_pixel_scales_and_sizes_say_the_same():
    settings = {"data": "digits", "pad": 1, "flip": True, "n": 64, "batches": (64,)}
    small, large = (distances.lengths(settings | {"side": s}, 1) for s in (None, 16))
    for one in (small, large):  # one channel: the spread is a factor of all lengths
        ratio = one["standard_batch64_1"] / one["unit_batch64_1"]
        assert one["standard_batch64_8"] == pytest.approx(ratio * one["unit_batch64_8"])
    assert large["unit_two64_1"] > 2 * small["unit_two64_1"]  # four times the pixels, smoothed


# ------------------------------------------------------------------------------ tables


def test_epochs_stay_in_bounds():
    assert tables.epochs(100, 50, 10**6) == 200 and tables.epochs(10**6, 100, 100) == 4


def test_a_trial_trains_each_k_and_is_repeatable():
    settings = grids_tables.table_cell("smoke", "iris", test_share=0.2, most_updates=400)
    first, again = (tables.trial(settings, 3) for _ in range(2))
    assert first == again and first["n_test"] == 30 and first["epochs"] == 100
    assert {f"accuracy_{k}" for k in (0, 1, 5, 10)} <= set(first)
    assert first["accuracy_0"] > 80 and first["train_0"] > 90
    assert first["accuracy_0"] * 30 / 100 == pytest.approx(round(first["accuracy_0"] * 30 / 100))
    assert first["nll_0"] != first["nll_1"] != first["nll_10"]


def test_other_k_replace_the_printed_ones_and_leave_the_rest():
    settings = grids_tables.table_cell("smoke", "iris", most_updates=40)
    all_k, two = tables.trial(settings, 0), tables.trial(settings | {"ks": (1, 10)}, 0)
    assert "accuracy_5" not in two
    for metric in ("nll_0", "nll_1", "nll_10"):  # members do not feel each other
        assert two[metric] == pytest.approx(all_k[metric], rel=1e-3)


def test_a_k_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="k: expected at most 32"):
        tables.trial(grids_tables.table_cell("smoke", "iris", test_share=0.2, ks=(40,)), 0)


def noise(seed: int, trials: int = 10, effect: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(trials, 1)) + rng.normal(size=(trials, 5))
    frame = pd.DataFrame(values, columns=[0, 1, 2, 4, 8])
    frame[4] += effect
    return frame


def test_best_of_several_wins_by_luck_and_cross_fitting_does_not():
    naive, fair, p_values = [], [], []
    for seed in range(200):
        values = noise(seed)
        gain, _, p = tables.best_of_by_luck(values, draws=200)
        naive.append(gain)
        p_values.append(p)
        fair.append(tables.cross_fitted(values, 1).mean())
    # Three means of ten with standard error 0.316: the largest is 0.846 of it above the mean.
    assert np.mean(naive) == pytest.approx(0.846 * 10**-0.5, abs=0.08)
    assert abs(np.mean(fair)) < 0.08
    assert np.mean(np.array(p_values) < 0.05) < 0.1


def test_an_effect_is_seen_by_both():
    values = noise(0, effect=3.0)
    gain, luck, p = tables.best_of_by_luck(values, draws=500)
    assert gain > 2 and luck < 1.5 and p < 0.01
    assert tables.cross_fitted(values, 1).mean() > 2


def test_comparisons_without_other_k_are_missing():
    values = noise(0)[[0, 1]]
    assert tables.cross_fitted(values, 1).isna().all()
    assert np.isnan(tables.best_of_by_luck(values)).all()


# ------------------------------------------------------------------------------ generated data


def test_bars_do_the_same_harm_in_every_dimension():
    """Mixes half way between random pairs: the place across the bars does not know of d."""
    for d in (1, 8):
        x, y = dimension.drawn("bars", 4000, d, d + 1, 0.5, 0.0, 0)
        spread = torch.linalg.svdvals(x - x.mean(0)).square() / len(x)
        assert spread.numel() == d + 1
        expected = torch.tensor([1 / 3] * d + [0.25 * 5 / 4]).sort(descending=True).values
        assert torch.allclose(spread, expected.float(), rtol=0.1)
        assert int(y.sum()) == 2000


def test_noise_fills_the_ambient_space():
    x, _ = dimension.drawn("shells", 2000, 1, 40, 0.5, 0.1, 0)
    values = torch.linalg.svdvals(x) / len(x) ** 0.5
    assert values[1] > 0.5 and torch.allclose(values[2:], torch.full((38,), 0.1), rtol=0.3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"kind": "rings"}, "kind"), ({"ambient": 2}, "ambient"), ({"gap": 0.0}, "gap")],
)
def test_impossible_spaces_are_refused(changes, message):
    space = {"kind": "shells", "n": 8, "d": 2, "ambient": 3, "gap": 0.5, "noise": 0.1, "seed": 0}
    with pytest.raises(ValueError, match=message):
        dimension.drawn(**space | changes)


def test_a_trial_on_generated_data():
    found = dimension.trial(grids_tables.space("smoke", "bars", 1, 3), 0)
    assert {"accuracy_0_1", "accuracy_1_16", "accuracy_16_16"} <= set(found)
    assert found["length_1"] == 1.0 and found["length_16"] < 0.7


# ------------------------------------------------------------------------------ evidence


def test_every_claim_has_its_evidence():
    held = {claim for study in STUDIES for claim in study.claims}
    assert held == set(MINE)
    assert set(MINE) <= set(claims()["id"])


def made(study, profile: str = "quick", seeds: int = 5):
    """Runs of a study whose metrics are made up, for evidence functions."""
    from mmlib.evidence.runs import Runs

    rng, records = np.random.default_rng(0), []
    for seed in range(seeds):
        for cell in study.grid[profile]:
            if study is grids_tables.UCI:
                ks = (0, *tables.TABLES[cell["table"]][1])
                metrics = {f"accuracy_{k}": 90 + rng.normal() for k in ks}
            elif study is grids_tables.DIMENSION:
                metrics = {
                    f"accuracy_{k}_{a:g}": 90 + rng.normal() for k in (1, 16) for a in (1, 16)
                }
            elif study is grids_tables.DISTANCES:
                ways = [f"batch{b}" for b in cell["batches"]] + ["two512"]
                metrics = {
                    f"{s}_{w}_{k}": 100 / k**0.2
                    for w in ways
                    for s in ("unit", "standard")
                    for k in distances.KS
                } | {"train": 60_000.0}
            else:
                metrics = study.run(cell, seed)
            records.append({"key": "x", "settings": cell, "seed": seed, "metrics": metrics})
    return Runs(study, profile, "x", records, len(study.grid[profile]), tuple(range(seeds)), {})


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_evidence_is_made_of_runs(study):
    for claim, (evidence, _) in study.claims.items():
        finding = evidence(made(study, seeds=1 if study is grids_tables.PRINTED else 5))
        if claim != "KM-F6a-high":
            assert isinstance(finding, Components), claim


def test_printed_evidence_has_the_known_answers():
    runs = made(grids_tables.PRINTED, seeds=1)
    caption = grids_tables.PRINTED.claims["KM-F6a-high"][0](runs)
    assert (caption.value, caption.printed) == (1.08, "1.2")
    harm = evidence_tables.printed_harm()
    assert harm["printed, often improves"].error < 0.5
    assert harm["printed, best k"].control > 0.5 < harm["printed, every k"].control
    assert evidence_tables.not_improved() == 0 < evidence_tables.not_improved(worst=True)


def test_candidates_order_by_shape():
    runs = made(grids_tables.DISTANCES, seeds=2)
    found = distances.candidates(runs, "mnist")
    assert {"shape", "constant", "logged"} <= set(found) and (found["shape"] > 0).all()
    assert found["logged"].isna().eq(found["sets"] == "two draws").all()
