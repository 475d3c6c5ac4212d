from __future__ import annotations

import pytest
import torch

from mmlib.mixing import Law
from mmlib.training import PAIRS, VARIANTS, Mixes, realness, variant

LAM = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)


def test_realness_is_equation_5():
    cases = {
        "real-fake": [0.0, 0.25, 1.0],
        "fake-real": [1.0, 0.75, 0.0],
        "fake-fake": [0.0, 0.0, 0.0],
        "real-real": [1.0, 1.0, 1.0],
    }
    assert set(cases) == set(PAIRS)
    for pair, expected in cases.items():
        assert realness(pair, LAM).tolist() == expected


def test_labels_are_soft_or_fake():
    law = Law("uniform", 0.5)
    assert Mixes(("fake-real",), law, "soft").label("fake-real", LAM).tolist() == [1.0, 0.75, 0.0]
    assert Mixes(("fake-real",), law, "fake").label("fake-real", LAM).tolist() == [0.0] * 3


def test_variants_are_those_of_the_texts():
    assert variant("none", 1.0) is None
    one = variant("eq1", 0.2)
    assert (one.pairs, one.labels, one.alone, one.generator) == (
        ("real-fake",), "soft", True, "minimax",
    )  # fmt: skip
    assert one.law == Law("beta", 0.2)
    for name, pairs in (("fr", ("real-fake",)), ("fr_ff", ("real-fake", "fake-fake"))):
        found = variant(name, 0.2)
        assert found.pairs == pairs and found.law == Law("beta", 0.2, fold="min")
        assert (found.labels, found.alone, found.generator, found.weight) == (
            "fake", False, "clean", 1.0,
        )  # fmt: skip
    final, four = variant("final", 0.5), variant("four", 0.5)
    assert final.pairs == ("real-fake", "fake-real", "fake-fake")
    assert set(four.pairs) == set(PAIRS)
    for found in (final, four):
        assert found.law == Law("uniform", 0.5)
        assert (found.labels, found.alone, found.generator) == ("soft", False, "minimax")
        assert found.weight == pytest.approx(1 / len(found.pairs))


def test_a_variant_can_be_changed():
    folded = variant("eq1", 0.2, law=Law("beta", 0.2, fold="min"))
    assert folded.law.fold == "min" and folded.alone
    hidden = variant("fr", 0.2, ["block1", "block2"], labels="soft")
    assert hidden.layers == ("block1", "block2") and hidden.labels == "soft"


def test_every_generator_plays_with_something():
    for name in VARIANTS[1:]:
        found = variant(name, 0.5)
        assert found.plays_clean or found.plays_mixes
    assert not variant("eq1", 0.5).plays_clean
    assert variant("eq1", 0.5, generator="clean").plays_clean
    assert variant("final", 0.5).plays_clean and variant("final", 0.5).plays_mixes


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"pairs": ("real-false",)}, ValueError, "did you mean 'real-fake'"),
        ({"pairs": ()}, ValueError, "pairs: expected one or more"),
        ({"pairs": "real-fake"}, TypeError, "pairs: expected a tuple"),
        ({"pairs": ("real-fake", "real-fake")}, ValueError, "at most once"),
        ({"law": 0.5}, TypeError, "law"),
        ({"labels": "hard"}, ValueError, "labels"),
        ({"layers": ()}, ValueError, "layers"),
        ({"layers": "input"}, TypeError, "layers"),
        ({"alone": "true"}, TypeError, "alone"),
        ({"generator": "maximin"}, ValueError, "generator: expected one of"),
        ({"average": 1}, TypeError, "average"),
    ],
)
def test_settings_are_checked(changes, error, message):
    with pytest.raises(error, match=message):
        variant("final", 0.5, **changes)


def test_names_and_alphas_are_checked():
    with pytest.raises(ValueError, match="variant: expected one of"):
        variant("finale", 0.5)
    with pytest.raises(ValueError, match="alpha"):
        variant("final", 1.5)
    with pytest.raises(ValueError, match="alpha"):
        variant("fr", 0.0)
    with pytest.raises(ValueError, match="pair"):
        realness("real", LAM)
