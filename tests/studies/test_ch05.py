"""Chapter 05: paired draws, printed tables, the caption of Table 7, and the evidence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from mmlib.data import load
from mmlib.evidence.findings import Components
from mmlib.evidence.rulebook import rules
from mmlib.evidence.tables import claims
from mmlib.measures import DEFORMATIONS
from mmlib.studies import ch05
from mmlib.studies.ch05 import evidence, experiments, printed
from mmlib.studies.networks import Network

ROWS = [one.name for one in DEFORMATIONS]


class Fake:
    """Runs with a table, as evidence functions read them."""

    def __init__(self, table):
        self.table = table


def table_of(accuracy, seeds=5):
    """Runs of four methods; `accuracy(method, row, seed)` in percent, for both readings."""
    found = []
    for method in printed.METHODS:
        for seed in range(seeds):
            row = {"method": method, "data": "cifar10", "seed": seed}
            for name in ROWS:
                for reading in experiments.READINGS:
                    row[f"{reading}_{name}_accuracy"] = accuracy(method, name, seed)
            found.append(row)
    return Fake(pd.DataFrame(found))


def as_printed(method, row, seed):
    return float(printed.printed_rows().loc[row, method]) + 0.01 * seed


@pytest.fixture(scope="module")
def shapes():
    return load("colour_shapes").subset(40, 60, seed=0)


class Brightness(nn.Module):
    """Ten logits of the mean brightness: something that deformations change."""

    def forward(self, x):
        return x.mean((1, 2, 3))[:, None] * torch.linspace(-1, 1, 10)


@pytest.fixture
def network(monkeypatch, shapes):
    found = Network(Brightness().eval(), shapes, None)
    monkeypatch.setattr(experiments, "trained", lambda settings, seed, device: found)


def test_metrics_of_a_run(network):
    found = experiments.deformed({"n_images": 40}, 3)
    assert found == experiments.deformed({"n_images": 40}, 3)
    assert found != experiments.deformed({"n_images": 40}, 4)
    names = [f"{r}_{row}_{m}" for r in ("text", "released") for row in ROWS for m in _BOTH]
    names += [
        f"{r}_{row}_{m}" for r in ("unmirrored", "linear") for row in ROWS[4:9] for m in _BOTH
    ]
    names += [f"clean_{m}" for m in _BOTH]
    bands = [
        f"{r}_band_{i}_accuracy"
        for r in ("text", "released", "unmirrored", "linear")
        for i in range(1, 7)
    ]
    assert sorted(found) == sorted(names + bands)
    assert all(0 <= value <= 100 for name, value in found.items() if name.endswith("accuracy"))
    # Below 90 degrees nothing is mirrored, and the two matrices are the same.
    assert found["unmirrored_shearing_57.3_nll"] == found["released_shearing_57.3_nll"]
    assert found["unmirrored_shearing_171.9_nll"] != found["released_shearing_171.9_nll"]
    assert found["linear_shearing_171.9_nll"] != found["text_shearing_171.9_nll"]


_BOTH = ("accuracy", "nll")


def test_bands_are_sixths_of_the_widest_range():
    edges = torch.tensor([1.0, 30, 60, 100, 120, -171])
    logits = torch.eye(6)
    found = experiments._bands(logits, torch.tensor([0, 1, 5, 3, 4, 5]), edges, "text")
    assert list(found.values()) == [100, 100, 0, 100, 100, 100]


def test_draws_are_a_matter_of_the_seed():
    one, again, other = (experiments.draws(50, seed) for seed in (1, 1, 2))
    assert [each.name for each, _ in one] == ROWS
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(one, again, strict=True))
    assert not torch.equal(one[0][1], other[0][1])
    # Rows are drawn apart: two ranges of one kind are not the same draws, stretched.
    assert not torch.allclose(one[0][1] / 20, one[1][1] / 40)


def test_methods_of_the_grid_differ_in_the_mixing_alone():
    for cells in ch05.DEFORMED.grid.values():
        first = [one for one in cells if one["data"] == "cifar10"]
        assert [one["method"] for one in first] == list(printed.METHODS)
        mixing = {"method", "layers", "alpha", "input_alpha"}
        rest = [{k: v for k, v in one.items() if k not in mixing} for one in first]
        assert all(one == rest[0] for one in rest)
        assert first[2]["input_alpha"] == 2 and first[3]["alpha"] == 2


def test_printed_tables():
    full = printed.printed_rows()
    assert full.shape == (17, 4) and list(full.index) == ROWS
    assert full.loc["zoom_out_180"].tolist() == [7.98, 18.11, 18.02, 15.68]
    led = printed.rows_led(full)
    assert sorted(set(ROWS) - set(full.index[led])) == [
        "zoom_in_20",
        "zoom_in_40",
        "zoom_in_60",
        "zoom_out_180",
    ]
    for tables, rows, cells in (
        (("v1 Table 3", "v1 Table 7"), 7, 28),
        (("ICML Table 9", "v1 Table 7"), 17, 68),
    ):
        found = printed.compare_tables({"tables": tables}, 0)
        assert (found["rows"], found["cells"], found["gap"]) == (rows, cells, 0.0)
        assert found["control"] == pytest.approx(0.01)
    # The larger table is no subset of the smaller: its absent rows must not pass.
    turned = printed.compare_tables({"tables": ("v1 Table 7", "v1 Table 3")}, 0)
    assert np.isnan(turned["gap"])


def test_ties_lead_nothing():
    table = pd.DataFrame({"none": [1.0, 2.0], "manifold": [1.0, 3.0]})
    assert printed.rows_led(table).tolist() == [False, True]


def test_caption_of_the_zooms():
    found = printed.zooms_by_hand({"side": 12}, 0)
    for name in ("identity", "zoom_in", "zoom_out"):
        assert found[f"{name}_error"] < 1e-4 < found[f"{name}_control"]
    image = np.random.default_rng(0).random((8, 8))
    assert np.allclose(printed.box_by_hand(image, 100), image)
    # A box of half the side around the middle, on an image of constant rows.
    rows = np.arange(8.0)[:, None] * np.ones(8)
    assert np.allclose(printed.box_by_hand(rows, 50)[:, 4], 1.75 + 0.5 * np.arange(8))
    assert printed.box_by_hand(np.ones((8, 8)), 200)[:2].max() == 0.0


def test_bands_give_the_printed_rows_back():
    rows = printed.printed_rows()["manifold"]
    bands = printed.band_means(rows)
    widths = bands["high"] - bands["low"]
    for i, name in enumerate(ROWS[4:9]):
        inside = slice(0, i + 1)
        mean = (widths * bands["accuracy"])[inside].sum() / bands["high"][i]
        assert mean == pytest.approx(rows[name])


def test_evidence_supports_what_is_printed():
    runs = table_of(as_printed)
    for claim in ("MM1-T7-rot", "MM1-T7-shear", "MM1-T7-zoomin", "MM1-T7-zoomout"):
        found = ch05.DEFORMED.claims[claim][0](runs)
        assert isinstance(found, Components)
        assert all(min(part.values) > 0 for part in found.parts.values()), claim
    rows = ch05.DEFORMED.claims["MM1-T7-rot"][0](runs).parts
    assert len(rows) == 4 * 3 * 2
    zoom = ch05.DEFORMED.claims["MM1-T7-zoomin"][0](runs).parts
    assert len(zoom) == (3 + 3) * 2 and "zoom_in_60, text, input over manifold" in zoom
    every = ch05.DEFORMED.claims["MM1-T7-all"][0](runs).parts
    assert every["printed rows"].value == 13 and len(every) == 1 + 17 * 3
    behind = {
        name.split(",")[0]
        for name, part in every.items()
        if name != "printed rows" and max(part.values) < 0
    }
    assert behind == {"zoom_in_20", "zoom_in_40", "zoom_in_60", "zoom_out_180"}
    most = ch05.DEFORMED.claims["MMF-T9-all"][0](runs).parts
    assert len(most) == 4 + 4 * 3 * 2
    # In print Manifold Mixup is behind input mixup over the zoom-in rows.
    assert max(most["zoom_in, text, manifold over input"].values) < 0


def test_evidence_turns_with_the_numbers():
    worse = table_of(lambda method, row, seed: 20.0 - 5 * (method == "manifold") + seed)
    rows = ch05.DEFORMED.claims["MM1-T7-rot"][0](worse).parts
    assert all(set(part.values) == {-5.0} for part in rows.values())
    every = ch05.DEFORMED.claims["MM1-T7-all"][0](worse).parts
    assert set(every["zoom_out_180, manifold over none"].values) == {-5.0}


def test_tables_of_seeds_and_their_mean():
    runs = table_of(as_printed, seeds=2)
    found = evidence.accuracies(runs, "text")
    assert list(found) == [0, 1]
    pd.testing.assert_frame_equal(
        found[0], printed.printed_rows(), check_names=False, check_freq=False
    )
    mean = evidence.mean_accuracies(runs, "text")
    assert np.allclose(mean, printed.printed_rows() + 0.005)


def test_printed_setting_is_judged_where_it_was_trained():
    both = pd.DataFrame({"data": ["cifar10", "cifar100"]})
    assert evidence.where(Fake(both)) == {"data": "cifar100"}
    assert evidence.where(Fake(both[:1])) == {"data": "cifar10"}


def test_every_claim_of_the_chapter_has_a_rule_and_evidence():
    known, table = rules(), claims()
    studies = [value for value in vars(ch05).values() if type(value).__name__ == "Study"]
    where = {claim: study.name for study in studies for claim in study.claims}
    for claim in table.loc[table["chapter"].str.startswith("05_"), "id"]:
        assert known[claim].study == where[claim]
