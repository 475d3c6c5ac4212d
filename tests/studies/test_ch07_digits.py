from __future__ import annotations

import numpy as np
import pytest
import torch

from mmlib.data import load
from mmlib.evidence import rules
from mmlib.models import sngan_pair
from mmlib.studies.ch07 import algorithms, digits
from mmlib.studies.networks import cell
from mmlib.training import VARIANTS


@pytest.fixture(autouse=True)
def own_results(tmp_path_factory, monkeypatch):
    # One folder for the whole file: the classifier is trained once.
    folder = tmp_path_factory.getbasetemp() / "ch07-digits"
    monkeypatch.setenv("MMLIB_RESULTS", str(folder))


def small(index: int = 0, **changes) -> dict:
    return digits.DIGITS.grid["smoke"][index] | {"data": "digits"} | changes


def paper(index: int) -> dict:
    size = {"width": 8, "generator_width": 8, "batch": 4, "updates": 2, "every": 1, "n_fake": 30}
    judge = cell("smoke", "none", "cifar10", model="small_conv", width=4)
    size |= {"n_real": 30, "classifier": judge, "data": "colour_shapes"}
    return digits.DIGITS.grid["paper"][index] | size


def test_grids_hold_the_cells_that_the_chapter_compares():
    for profile in ("smoke", "quick"):
        cells = [(one["variant"], one.get("where")) for one in digits.DIGITS.grid[profile]]
        assert cells == [
            ("none", None), ("fr", "input"), ("fr_ff", "input"), ("final", "input"),
            ("final", "all"), ("fr", "all"),
        ]  # fmt: skip
        varying = {"variant", "where", "alpha"}
        rest = [
            {k: v for k, v in one.items() if k not in varying}
            for one in digits.DIGITS.grid[profile]
        ]
        assert all(one == rest[0] for one in rest)
    rows = digits.DIGITS.grid["paper"]
    assert [(one["row"], one["variant"]) for one in rows if one["row"] == "gp"] == [
        ("gp", "none"), ("gp", "fr"), ("gp", "fr_ff"),
    ]  # fmt: skip
    for one in rows:
        expected = {"none": None, "final": 0.5}.get(one["variant"], 0.2)
        assert one.get("alpha") == expected
        assert one["n_dis"] == (5 if one["spectral"] else 1)
        assert one["gamma"] == {"gp": 10.0, "mm": 0.5}.get(one["row"], 0.0)
        assert one["objective"] == ("hinge" if one["row"] == "hinge" else "js")
    (competitive,) = [one for one in rows if one["row"] == "mm"]
    assert competitive["stem"] and digits.mixes_of(competitive).layers == ("stem",)


def test_mixes_of_a_cell():
    assert digits.mixes_of(small(0)) is None
    everywhere = digits.mixes_of(small(4))
    assert everywhere.layers == ("input", "block1", "block2") and len(everywhere.pairs) == 3
    assert set(digits.ALPHA) == set(VARIANTS) - {"none"}


def test_bytes_and_back():
    images = torch.arange(256).byte().view(1, 1, 16, 16)
    assert torch.equal(digits.as_bytes(digits.centred(images)), images)
    assert digits.as_bytes(torch.tensor([-1.0, 0.0, 1.0])).tolist() == [0, 128, 255]
    assert digits.sized(images, 16) is images
    flat = torch.full((2, 1, 8, 8), 77).byte()
    assert (digits.sized(flat, 28) == 77).all() and digits.sized(flat, 28).shape[-1] == 28


def test_a_game_is_measured_the_same_twice_and_its_file_is_gone():
    one, arrays = digits.generated(small(4), seed=3)
    two, again = digits.generated(small(4), seed=3)
    assert {k: v for k, v in one.items() if k != "update_seconds"} == pytest.approx(
        {k: v for k, v in two.items() if k != "update_seconds"}, abs=0
    )
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)
    folder = digits.results_root() / "networks"
    assert not list(folder.glob("game-*"))
    other, _ = digits.generated(small(4), seed=4)
    assert other["frechet"] != one["frechet"]


def test_metrics_and_arrays_fit_each_other():
    settings = small(1)
    metrics, arrays = digits.generated(settings, seed=0)
    assert arrays["update"].tolist() == [0, 2, 4]
    for name in ("frechet", "score"):
        assert arrays[name][-1] == pytest.approx(metrics[name], rel=1e-5)
        assert arrays[name][0] == pytest.approx(metrics[f"{name}_start"], rel=1e-5)
    assert metrics["frechet_floor"] < metrics["frechet"]
    assert arrays["progress"].shape == (3, 16, 28, 28)
    assert arrays["samples"].shape == (40, 28, 28) and arrays["samples"].dtype == np.uint8
    assert np.array_equal(arrays["progress"][-1], arrays["samples"][:16])
    for name in ("d_loss", "g_loss", "d_real", "d_fake"):
        assert metrics[name] == pytest.approx(float(arrays[name][-10:].mean()), rel=1e-5)
    assert arrays["along"][0] == pytest.approx(arrays["says_fake"].mean(), rel=1e-4)
    assert arrays["along"][-1] == pytest.approx(arrays["says_real"].mean(), rel=1e-4)
    assert len(arrays["along"]) == len(digits.SHARES)


def test_methods_of_one_seed_start_alike():
    found = [digits.generated(small(index), seed=1) for index in range(6)]
    starts = {metrics["frechet_start"] for metrics, _ in found}
    floors = {metrics["frechet_floor"] for metrics, _ in found}
    assert len(starts) == len(floors) == 1
    assert len({metrics["frechet"] for metrics, _ in found}) == 6


def test_real_images_through_the_judge_are_at_a_distance_of_nothing():
    settings = small()
    features = digits.judge(settings)
    assert features.distance_name.startswith("Fréchet distance on the features of small_conv")
    assert load("digits").title in features.distance_name
    images = digits.sized(load("digits").x_test[:50], 28)
    law = digits.feature_law(features, images)
    assert digits.generation_scores(law, law, features)["frechet"] == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("index", range(len(digits.DIGITS.grid["paper"])))
def test_every_row_of_the_paper_runs(index, monkeypatch):
    monkeypatch.setattr("mmlib.measures.generation.inception_weights", lambda: None)
    with pytest.warns(UserWarning, match="in their place: Fréchet distance on the features of"):
        metrics, arrays = digits.generated(paper(index), seed=0)
    assert "fid" not in metrics and np.isfinite(metrics["frechet"])
    assert arrays["samples"].shape == (30, 32, 32, 3)


def test_generated_images_leave_the_generator_as_it_was():
    generator, _ = sngan_pair(28, 1, latent=4, width=8, generator_width=8)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    one, two = (digits.generate(generator, 7, seed=5) for _ in range(2))
    assert torch.equal(one, two) and one.dtype == torch.uint8 and len(one) == 7
    assert generator.training
    assert all(torch.equal(before[k], v) for k, v in generator.state_dict().items())


def test_bad_cells_are_refused():
    with pytest.raises(ValueError, match="variant"):
        digits.generated(small(1, variant="frr"), seed=0)
    with pytest.raises(ValueError, match="n_dis: expected an integer >= 1"):
        digits.generated(small(1, n_dis=0), seed=0)


# ------------------------------------------------------------------------ the equations


def test_equations_hold_and_their_controls_fail():
    for seed in range(3):
        found = algorithms.game({"alpha": 0.5}, seed)
        for number in range(1, 8):
            assert found[f"eq{number}_error"] < 1e-14
            assert found[f"eq{number}_control"] > 1e-6


def test_literal_losses():
    assert algorithms.literal_loss(0.0, 0.3, "js") == pytest.approx(np.log(2))
    assert algorithms.literal_loss(0.5, 0.25, "hinge") == pytest.approx(0.25 * 0.5 + 0.75 * 1.5)


def mistaken(monkeypatch, mistake: str) -> dict:
    """Run the study on a library with a mistake."""
    kept = {
        name: getattr(algorithms, name)
        for name in ("discriminator_terms", "generator_terms", "draw_mixes")
    }
    if mistake == "sign":

        def terms(said, mixes, objective):
            found = kept["generator_terms"](said, mixes, objective)
            return {name: value if name == "fake" else -value for name, value in found.items()}

        monkeypatch.setattr(algorithms, "generator_terms", terms)
    elif mistake == "weight":

        def terms(said, mixes, objective):
            found = kept["discriminator_terms"](said, mixes, objective)
            return {
                name: value if name in ("real", "fake") else 1.1 * value
                for name, value in found.items()
            }

        monkeypatch.setattr(algorithms, "discriminator_terms", terms)
    return algorithms.game({"alpha": 0.5}, 0)


@pytest.mark.parametrize(
    ("mistake", "broken"), [("sign", (1, 4, 6)), ("weight", (1, 2, 3, 4, 6, 7))]
)
def test_a_mistake_in_the_library_is_seen(monkeypatch, mistake, broken):
    found = mistaken(monkeypatch, mistake)
    for number in range(1, 8):
        assert (found[f"eq{number}_error"] > 1e-6) == (number in broken), number


def test_every_equation_has_its_evidence():
    claims = set(algorithms.GAME.claims)
    assert claims == {"MM1-eq1", "MM1-eq2", "MM1-eq3"} | {f"MMF-E-eq{n}" for n in range(4, 8)}
    for claim in claims & set(rules()):
        assert rules()[claim].rule == "identity" and rules()[claim].study == "ch07-game"
