"""Chapter 10: what a run returns, what evidence reads, and that both are complete."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import special

from mmlib.evidence.findings import Components, Errors, Paired
from mmlib.evidence.rulebook import rules
from mmlib.evidence.tables import claims
from mmlib.measures.conflict import arrangement_loss, disagreement
from mmlib.studies import ch10
from mmlib.studies.ch10 import clouds, line, margins, moving, spiral, targets

STUDIES = (
    *(ch10.TARGETS, ch10.LINE, ch10.CLOUDS, ch10.MARGINS),
    *(ch10.MOVING, ch10.SPIRAL, ch10.SHAPES, ch10.FILM),
)


def smoke(study, index: int = 0) -> dict:
    return dict(study.grid["smoke"][index])


# ------------------------------------------------------------------------------ runs


def test_targets_pass_and_their_controls_fail():
    found = targets.targets(smoke(ch10.TARGETS), 0)
    assert found["line_error"] < 1e-6 < 0.5 < found["line_control"]
    assert found["mid_error"] < 1e-6 < 0.09 < found["mid_control"]


def test_line_three_ways_and_their_controls():
    found = line.line(smoke(ch10.LINE), 3)
    assert found["least_error"] < 1e-7 < found["least_control"]
    assert found["answer_error"] < 1e-7 < found["answer_control"]
    assert found["apart_error"] == 0 < found["apart_control"]
    assert 0.01 < found["smallest"] <= found["mean"]


def test_a_search_over_answers_finds_the_mean_target():
    t, w = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]), np.array([0.25, 0.75])
    assert line.searched(t, w) == pytest.approx(disagreement(t, w), abs=1e-9)
    worse = w @ -(t @ np.log([0.3, 0.3, 0.4])) - w @ special.entr(t).sum(1)
    assert line.searched(t, w) < worse


def test_named_arrangements_conflict_as_they_should():
    excess = {name: arrangement_loss(*one).excess for name, one in line.NAMED.items()}
    assert excess["A B"] == 0 < excess["A A B"] < excess["A B A"] < excess["A B A B"]
    assert excess["A and B in one place"] == pytest.approx(np.log(2) - 0.25)


def test_clouds_return_what_is_read_and_shrink():
    found = clouds.clouds(smoke(ch10.CLOUDS), 0)
    for name in ch10.ARRANGEMENTS:
        assert found[f"{name}_0.1"] < found[f"{name}_1"]
    assert found["across"] < 1e-3 < 0.05 < found["turned"]
    assert found["prism"] < 5e-3 < 0.05 < found["prism_turned"]
    tilts = [found[f"tilt_{angle}"] for angle in ch10.ANGLES]
    assert tilts[0] == 0 and (np.diff(tilts)[:5] > 0).all()
    drawn = ch10.means_of("random2", 6, 4)
    assert np.allclose(drawn.mean(0), 0) and (drawn**2).sum(1).mean() == pytest.approx(1)


def test_margins_in_the_plane_and_beyond():
    flat, arrays = margins.margins(smoke(ch10.MARGINS, 1), 0)
    assert flat["known"] == 1 <= flat["crossings"] and arrays["points"].shape == (5, 2)
    space, _ = margins.margins(smoke(ch10.MARGINS, -1), 0)
    assert space["typical"] <= space["margin"] <= space["bound"] + 1e-6


# ------------------------------------------------------------------------------ moving points


def test_loss_is_that_of_independent_pairs():
    """A network that says nothing loses log K; one that knows the targets loses the floor."""
    moved = ch10.move(5, 2, "fixed", starts=1, steps=1, seed=1)
    assert moved.floor == pytest.approx(0.8 * 0.5)
    mixes = moving._Mixes(3, 1.0, 4096, 0.0, torch.Generator().manual_seed(0))
    p = torch.eye(3)[None] * 2.0

    def knows(z):
        return (z / 2).clamp_min(1e-12).log()

    loss = float(moving._loss(knows, p, mixes, 0.5))
    assert loss == pytest.approx(moving.floor_of(3, 1.0), abs=1e-3)
    ignorant = float(moving._loss(lambda z: torch.zeros(*z.shape[:2], 3), p, mixes, 0.5))
    assert ignorant == pytest.approx(np.log(3), abs=1e-5)


def test_who_moves():
    start, fixed = (ch10.move(4, 2, way, starts=2, steps=20) for way in ("mixed", "fixed"))
    assert np.array_equal(start.points[0], fixed.points[0])
    assert np.array_equal(fixed.points[0], fixed.points[-1])
    assert not np.array_equal(start.points[0], start.points[-1])
    assert not np.array_equal(
        start.points[-1], ch10.move(4, 2, "none", starts=2, steps=20).points[-1]
    )
    noisy = ch10.move(4, 2, starts=2, steps=20, noise=0.3)
    again = ch10.move(4, 2, starts=2, steps=20, noise=0.3)
    assert np.array_equal(noisy.points, again.points)
    assert not np.array_equal(noisy.losses[0], start.losses[0])


def test_starts_differ_and_do_not_feel_each_other():
    two = ch10.move(3, 2, starts=2, steps=30, seed=2)
    assert not np.allclose(two.points[-1, 0], two.points[-1, 1])
    given = torch.tensor([[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]])
    from_one_place = ch10.move(3, 2, starts=3, steps=5, points=given)
    assert np.array_equal(from_one_place.points[0, 0], from_one_place.points[0, 2])


def test_training_reaches_the_floor_where_there_is_no_crossing():
    inside = torch.tensor([[0.0, 1.0], [-0.87, -0.5], [0.87, -0.5], [0.0, 0.0]])
    moved = ch10.move(4, 2, "fixed", starts=2, steps=600, width=32, points=inside, seed=100)
    assert (moved.losses >= moved.floor - 1e-3).all() and moved.losses[
        -1
    ].max() < moved.floor + 0.03


def test_a_line_keeps_three_classes_in_conflict():
    moved = ch10.move(3, 1, starts=2, steps=400, width=32)
    for p, loss in zip(moved.points[-1], moved.losses[-1], strict=True):
        assert loss - moved.floor > ch10.line_conflict(p) - 5e-3 > 0.1


def test_metrics_of_moving_points():
    for index, cell in enumerate(ch10.MOVING.grid["smoke"]):
        metrics, arrays = moving.moving(smoke(ch10.MOVING, index), 0)
        assert metrics["excess_least"] <= metrics["excess"]
        assert ("planar" in metrics) == (cell["dim"] == 2)
        assert ("gap" in metrics) == (cell["classes"] >= 4)
        assert arrays["ends"].shape == (2, cell["starts"], cell["classes"], cell["dim"])
        assert len(arrays["points"]) == len(arrays["steps"]) == len(arrays["losses"])
        if cell["way"] == "fixed":
            assert metrics["radius_start"] == metrics["radius_end"]


def test_settings_that_do_not_fit_are_named():
    for kwargs, text in (
        ({"way": "mixd"}, "did you mean"),
        ({"classes": 1}, "classes"),
        ({"noise": -1.0}, "noise"),
        ({"steps": 0}, "steps"),
        ({"alpha": 0.0}, "alpha"),
    ):
        with pytest.raises(ValueError, match=text):
            ch10.move(**({"classes": 3, "dim": 2, "starts": 1, "steps": 2} | kwargs))


# ------------------------------------------------------------------------------ spirals


def test_spirals_return_measures_of_every_method():
    settings = smoke(ch10.SPIRAL)
    metrics, arrays = spiral.spirals(settings, 0)
    names = settings["methods"]
    assert set(metrics) == {
        *(f"{key}_{name}" for key in (*ch10.WATCHED, "conflict") for name in names),
        "conflict_points",
    }
    assert arrays["watched"].shape == (len(arrays["epochs"]), len(names), len(ch10.WATCHED))
    assert arrays["codes"].shape == (len(names), 200, 2)
    assert arrays["watched"][-1, 0, 0] == pytest.approx(metrics["ratio_none"], rel=1e-5)
    assert (arrays["watched"][0] == arrays["watched"][0, :1]).all()  # all start alike
    again, _ = spiral.spirals(settings, 0)
    assert again == metrics
    film, frames = spiral.filmed(smoke(ch10.FILM), 0)
    assert film["frames"] == len(frames["codes"]) == len(frames["epochs"])


@pytest.mark.parametrize("code", [1, 3])
def test_spirals_run_with_other_codes(code):
    metrics, arrays = spiral.spirals(smoke(ch10.SPIRAL) | {"code": code}, 0)
    assert arrays["codes"].shape[2] == code and np.isfinite(list(metrics.values())).all()


def test_ratio_depends_on_the_axes_and_its_whitened_twin_does_not():
    stream = torch.Generator().manual_seed(0)
    y = torch.arange(400) % 2
    h = torch.randn(400, 2, generator=stream).double() * torch.tensor([0.2, 1.0])
    h += y[:, None] * torch.tensor([2.0, 0.0])
    stretched = h @ torch.tensor([[0.5, 3.0], [4.0, 1.0]]).double()
    raw = [spiral.second_over_first(one, y) for one in (h, stretched)]
    white = [spiral.second_over_first(spiral.whitened(one), y) for one in (h, stretched)]
    assert abs(raw[0] - raw[1]) > 0.05 and white[0] == pytest.approx(white[1], abs=1e-9)


def test_conflict_of_states_is_low_for_parallel_classes():
    stream = torch.Generator().manual_seed(0)
    y = torch.arange(400) % 2
    along = torch.randn(400, generator=stream)
    parallel = torch.stack([y.float(), along], 1)
    crossed = torch.stack([y * along, (1 - y) * along], 1)
    options = {"alpha": 1.0, "n": 40_000, "depth": 8, "seed": 0}
    low, high = (spiral.conflict(one, y, **options) for one in (parallel, crossed))
    assert low < 0.03 < 0.1 < high
    assert spiral.conflict(torch.zeros(400, 2), y, **options) == pytest.approx(
        np.log(2) - 0.25, abs=0.01
    )


# ------------------------------------------------------------------------------ evidence


def fake(study, profile: str = "quick"):
    """Runs with made-up metrics, distinct in every cell."""
    rng, rows = np.random.default_rng(0), []
    for cell in study.grid[profile]:
        for seed in range(5):
            names = ["across", "turned", "smallest"]
            names += [f"{a}_{b}" for a in ("line", "mid", "answer", "least", "apart")
                      for b in ("error", "control")]  # fmt: skip
            if "spreads" in cell:
                names += [f"{a}_{s:g}" for a in ("along", "random2") for s in cell["spreads"]]
            if "methods" in cell:
                keys = (*ch10.WATCHED, "conflict")
                names = [f"{key}_{name}" for key in keys for name in cell["methods"]]
            settings = {key: tuple(v) if isinstance(v, list) else v for key, v in cell.items()}
            rows.append(settings | {"seed": seed} | {name: rng.uniform() for name in names})
    return SimpleNamespace(table=pd.DataFrame(rows), study=study)


def test_every_claim_of_the_chapter_has_a_rule_and_evidence():
    table, written = claims(), rules()
    wanted = set(table.loc[table["chapter"] == "10_inconsistent_interpolations", "id"])
    assert {claim for study in STUDIES for claim in study.claims} == wanted
    for study in STUDIES:
        for claim, (function, also) in study.claims.items():
            rule = written[claim]
            assert rule.study == study.name
            found = function(*(fake(one) for one in (study, *also)))
            if isinstance(found, Components):
                assert rule.rule == "all"
                for name in found.parts:
                    rule.part(name)
                assert set(rule.parts) - {"*"} <= set(found.parts)


def test_evidence_is_oriented_and_takes_the_worst():
    runs = fake(ch10.SPIRAL)
    found = ch10.SPIRAL.claims["MMF-F-spiral"][0](runs)
    chosen = runs.table[runs.table["alpha"] == 2.0]
    assert isinstance(found, Paired)
    assert found.values == pytest.approx(chosen["ratio_none"] - chosen["ratio_manifold"])
    runs = fake(ch10.TARGETS)
    found = ch10.TARGETS.claims["MMF-F-line"][0](runs)
    assert found == Errors(runs.table["line_error"].max(), runs.table["line_control"].min())
    runs = fake(ch10.CLOUDS)
    parts = ch10.CLOUDS.claims["MMF-F-conc"][0](runs).parts
    ratio = runs.table["along_0.01"] / runs.table["along_1"]
    assert parts["two classes, along"].values == pytest.approx(ratio)
