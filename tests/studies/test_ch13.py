"""What chapter 13 measures can see what it claims, and the opposite too."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from mmlib.evidence import judge
from mmlib.studies.ch13 import choices, couplings, evidence, fields, objective, toys, transport
from mmlib.studies.ch13.grids import COUPLINGS, IDENTITIES, TOYS
from mmlib.studies.ch13.identities import near_an_end, weights

SMALL = {
    "toy": "four_bars", "n": 64, "n_test": 60, "epochs": 2, "drops": (1,), "side": 8, "batch": 32,
    "lr": 0.1, "hidden": (8, 8), "ks": (1, 4), "alphas": (1.0, 64.0), "more_ks": (32,),
    "drawn": (1.0,), "eps": (0.2,),
}  # fmt: skip


class Known(nn.Sequential):
    """A linear rule in the plane with a given slope along its first axis."""

    def __init__(self, slope: float) -> None:
        super().__init__(nn.Linear(2, 2))
        with torch.no_grad():
            self[0].weight.copy_(torch.tensor([[0.0, 0.0], [slope, 0.0]]))
            self[0].bias.zero_()


# ------------------------------------------------------------------------------ fields


@pytest.mark.parametrize("toy", fields.NAMES)
def test_the_true_label_of_points_without_noise_is_their_class(toy: str) -> None:
    make = fields.TOYS[toy]
    options = {} if toy == "four_bars" else {"noise": 0.0}
    x, y = make(500, torch.Generator().manual_seed(5), **options)
    distance, label = fields.field(toy).at(x)
    assert (label == y.numpy()).all() and distance.max() < 0.1
    assert fields.field(toy).at(x + 50)[0].min() > 40
    sure = y.float()
    right, wrong = (fields.field(toy).joint(x, t) for t in (sure, 1 - sure))
    assert right == pytest.approx(distance, abs=1e-6)  # labels add nothing where they are right
    # A wrong label costs the way to the other class, or sqrt(2) in targets, whichever is less.
    other = fields.field(toy).apart(x)[1 - y.numpy(), np.arange(len(y))]
    assert wrong == pytest.approx(np.minimum(other, np.hypot(distance, 2**0.5)), abs=1e-6)


def test_fields_know_the_plane() -> None:
    ring, bars = fields.field("one_ring"), fields.field("four_bars")
    at = torch.tensor([[0.0, 0.0], [1.4, 0.0], [0.0, -1.6], [2.5, 0.0]])
    distance, label = ring.at(at)
    assert label.tolist() == [0, 0, 1, 1]
    assert distance == pytest.approx([0.0, 0.4, 0.4, 0.5], abs=0.05)
    middles = torch.tensor([[-1.01, 0.0], [-0.99, 0.0], [0.01, 0.0], [1.01, 0.0]])
    assert bars.at(middles)[1].tolist() == [0, 1, 0, 1]


# ------------------------------------------------------------------------------ measures


def test_scores_of_known_rules() -> None:
    """A steep rule is right without blur; a flat one has nothing but blur."""
    x = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.15, 0.0]])
    y = torch.tensor([0, 1, 1])
    found = toys.scores([Known(200.0), Known(1e-6)], x, y, (0.1, 0.2))
    assert found["acc"].tolist() == pytest.approx([100.0, 100.0])
    assert found["blur"].tolist() == pytest.approx([0.0, 1.0], abs=1e-4)
    assert found["nll"].tolist() == pytest.approx([0.0, np.log(2)], abs=1e-4)
    # A step of 0.2 takes the point at 0.15 across, one of 0.1 does not; slope plays no part.
    assert found["fgsm_0.1"].tolist() == pytest.approx([100.0, 100.0])
    assert found["fgsm_0.2"].tolist() == pytest.approx([200 / 3, 200 / 3])


def test_outputs_on_the_plane_of_known_rules() -> None:
    found, p = toys.on_the_plane([Known(-1e4), Known(0.0)], "four_bars", 36)
    # Class 1 left of 0: right on the two quarters of the region around the bars at -0.5 and 0.5.
    label = fields.field("four_bars").at(fields.region("four_bars", 36))[1]
    wrong = (label != (fields.region("four_bars", 36)[:, 0] < 0).numpy()).mean()
    assert float(found["misplaced"][0]) == pytest.approx(100 * wrong)
    assert float(found["error"][0]) == pytest.approx(wrong, abs=1e-6)
    assert float(found["own_error"][0]) == pytest.approx(0.5, abs=0.02)
    assert found["zone"].tolist() == [0.0, 100.0] and float(found["error"][1]) == 0.5
    assert p.shape == (2, 36, 36) and (p[0, :, :18] == 1).all() and (p[0, :, 18:] == 0).all()


def test_a_trial_holds_every_cell_and_the_surfaces_it_names() -> None:
    metrics, arrays = toys.toys(SMALL, seed=3)
    again, _ = toys.toys(SMALL, seed=3)
    assert metrics == again
    names = ["plain", "k1_a1", "k1_a64", "k4_a1", "k4_a64", "k32_a1"]
    assert {f"acc_{name}" for name in names} <= set(metrics) and len(metrics) == 9 * len(names)
    assert toys.surfaces(SMALL) == ["plain", "k1_a1", "k4_a1", "k32_a1"]
    assert arrays["surfaces"].shape == (4, 8, 8) and arrays["surfaces"].dtype == np.uint8
    fewer, _ = toys.toys(SMALL | {"ks": (1,), "more_ks": ()}, seed=3)
    assert all(abs(fewer[name] - metrics[name]) < 1e-3 for name in fewer)  # no cell feels another


def test_sets_that_share_all_points_train_as_plain() -> None:
    settings = SMALL | {"ways": ("batch", "independent"), "ks": (4, 32), "trained": (4, 32)}
    more = {"alpha": 64.0, "rounds": 3, "epochs": 10, "drops": ()}
    found = choices.choices(settings | more, seed=0)
    assert found["self_batch_k32"] == 100 and found["length_batch_k32"] == 0
    assert found["nll_batch_k32"] == pytest.approx(found["nll_plain"], rel=1e-4)
    assert abs(found["nll_independent_k4"] - found["nll_plain"]) > 1e-2


# ------------------------------------------------------------------------------ couplings


def test_pairs_of_the_largest_sets_are_the_nearest_on_a_line() -> None:
    x = torch.arange(16.0)[:, None].expand(-1, 2).contiguous()
    y = torch.zeros(16, dtype=torch.long)
    mean = [
        float((x[p.first] - x[p.second]).norm(dim=1).square().mean())
        for p in (couplings.independent_pairs(x, k, 20, seed=0) for k in (1, 2, 4, 8, 16))
    ]
    assert mean == sorted(mean, reverse=True) and mean[-1] == 0 and len(set(mean)) == 5
    pairs = couplings.independent_pairs(x, 16, 1, seed=0)
    found = couplings.shapes("one_ring", x, y, pairs)
    assert found["self"] == 100 and found["cross"] == 0 and np.isnan(found["bisected"])


def test_shapes_and_intrusion_of_known_pairs() -> None:
    x = torch.tensor([[-1.5, 0.0], [0.5, 0.0], [-0.5, 1.0], [-0.5, -1.0]])
    y = torch.tensor([0, 0, 1, 1])
    two = couplings.Pairs(torch.tensor([0, 2]), torch.tensor([1, 3]))
    found = couplings.shapes("four_bars", x, y, two)
    assert found["square"] == 4 and found["cross"] == 0 and found["between"] == 50
    half = couplings.mixes(x, y, two, torch.full((2,), 0.5))
    found = couplings.intrusion("four_bars", half)
    # Half way between the bars at -1.5 and 0.5 lies the bar at -0.5, of the other class.
    assert found["wrong"] == found["surely"] == 50 and found["label_error"] == 0.5
    assert found["distance"] < 0.05
    across = couplings.Pairs(torch.tensor([0, 2]), torch.tensor([2, 1]))
    found = couplings.shapes("four_bars", x, y, across)
    assert found["cross"] == found["once"] == found["bisected"] == 100
    assert found["off_middle"] < 0.04
    ends = couplings.mixes(x, y, two, torch.ones(2))
    assert couplings.intrusion("four_bars", ends)["wrong"] == 0


# ------------------------------------------------------------------------------ sets and distances


def test_distance_pairs_every_shared_point_with_itself_and_the_square_need_not() -> None:
    found = choices.self_pairs((1, 2, 64), k=6, batch=24, rounds=500, seed=0)
    for dim in (2, 64):
        assert found[f"left_batch_distance_D{dim}"] == 0
        assert found[f"share_batch_distance_D{dim}"] == found[f"shared_D{dim}"]
        assert found[f"shared_D{dim}"] == pytest.approx(25, abs=1.5)  # k / B
    for dim in (1, 2):
        assert found[f"left_batch_D{dim}"] > 0
        assert found[f"share_batch_D{dim}"] < 0.8 * found[f"shared_D{dim}"]
    assert found["share_batch_D64"] == found["shared_D64"]  # no obtuse angle left
    assert found["left_batch_distance_D1"] > 0  # on a line the triangle inequality has ties


def test_who_can_be_a_partner() -> None:
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    for way in choices.WAYS:
        rng = torch.Generator().manual_seed(1)
        pairs = choices.pairs_of(x, way, 4, 16, 50, rng)
        share = float((pairs.first == pairs.second).double().mean())
        assert share == 0 if way == "disjoint" else share > 0, way
    assert list(choices.allowed({"ways": ("disjoint",), "ks": (1, 16, 32), "batch": 32})) == [
        ("disjoint", 1), ("disjoint", 16),
    ]  # fmt: skip


# ------------------------------------------------------------------------------ identities


def test_the_definition_and_the_library_agree_and_controls_do_not() -> None:
    found = objective.objective(0.5, 40, seed=3)
    assert max(found[f"{name}_error"] for name in ("eq1", "ek", "ek_law", "k1", "k1_law")) < 1e-12
    assert min(found[f"{name}_control"] for name in ("eq1", "ek", "ek_law", "k1")) > 1e-3
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    assert objective.subset_law(4, x).equal(torch.eye(4).double() / 4)  # one set: only itself


def test_transport_checks_pass_and_their_controls_fail() -> None:
    for seed in range(3):
        w2, di = transport.wasserstein(5, seed), transport.displacement(5, seed)
        assert w2["w2_error"] < 1e-9 < 1e-3 < w2["w2_control"] and w2["w2_split"] > 0
        assert di["di_ends"] == 0 < 0.1 < di["di_swapped"]
        assert di["di_error"] < 1e-12 < 1e-3 < di["di_control"]


def test_squared_distance_keeps_the_order_and_distance_has_ties() -> None:
    line, plane = transport.on_a_line(5, seed=1), transport.in_the_plane(12, 10, seed=1)
    assert line["ties_square_apart"] == line["ties_square_within"] == 1
    assert line["ties_distance_apart"] == 120 and line["ties_distance_within"] < 120
    assert line["reversals_apart"] == line["reversals_within"] == 0
    assert plane["crossings_distance"] == plane["backward_square"] == 0
    assert plane["crossings_square"] > 0 and plane["backward_distance"] > 0


def test_crossing_segments_against_every_pair_solved() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((10, 2)), rng.random((10, 2))
    count = 0
    for i, j in itertools.combinations(range(10), 2):
        s, t = np.linalg.solve(np.stack([b[i] - a[i], a[j] - b[j]], 1), a[j] - a[i])
        count += 0 < s < 1 and 0 < t < 1
    assert transport.crossing_segments(a, b) == count > 0


def test_weights_near_an_end() -> None:
    found = weights((0.25, 1.0, 64.0), 20_000, seed=0)
    assert found["near_a1"] == pytest.approx(0.2, abs=0.01) and found["near_a64"] == 0
    assert found["near_a0.25"] == pytest.approx(near_an_end(0.25), abs=0.01)
    assert near_an_end(0.5) == pytest.approx(4 / np.pi * np.arcsin(np.sqrt(0.1)))


# ------------------------------------------------------------------------------ evidence


def test_signs_of_the_printed_cells() -> None:
    found = evidence.printed_signs()
    assert found.error == 0 and found.control == len(evidence.TIES) + len(evidence.BELOW) == 16


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMLIB_RESULTS", str(tmp_path_factory.mktemp("results")))
        studies = (TOYS, COUPLINGS, IDENTITIES)
        yield {one.name: one.collect("smoke", progress=False, n_jobs=1) for one in studies}


@pytest.mark.parametrize("study", [TOYS, COUPLINGS, IDENTITIES], ids=lambda study: study.name)
def test_evidence_reads_what_runs_hold(study, smoke) -> None:
    """At smoke size nothing is judged, but every evidence function finds its numbers."""
    for claim, (function, also) in study.claims.items():
        given = [smoke[study.name], *(smoke[one.name] for one in also)]
        assert function(*given)
        assert judge(claim, *given).verdict == "not tested"


def test_a_table_of_means() -> None:
    class Fake:
        def __init__(self) -> None:
            import pandas as pd

            rows = [
                {"toy": "four_bars", "ks": (1, 2), "alphas": (1.0,), "seed": s, "acc_plain": 90.0,
                 "acc_k1_a1": 50.0 + s, "acc_k2_a1": 60.0 - s} for s in (0, 2)
            ]  # fmt: skip
            self.table = pd.DataFrame(rows)

    mean, spread, plain = evidence.table_of(Fake(), "four_bars")
    assert mean[1.0].to_dict() == {1: 51.0, 2: 59.0} and plain == 90
    assert spread[1.0][1] == pytest.approx(np.sqrt(2))
