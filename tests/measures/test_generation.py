from __future__ import annotations

import math
import sys
import types

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import nn

from mmlib.measures import (
    Features,
    best_features,
    classifier_features,
    classifier_score,
    feature_law,
    frechet_distance,
    generation,
    generation_scores,
)


def law(seed, d=4, rank=None):
    stream = torch.Generator().manual_seed(seed)
    a = torch.randn(d, d if rank is None else rank, generator=stream, dtype=torch.float64)
    return torch.randn(d, generator=stream, dtype=torch.float64), a @ a.T


def test_distance_by_hand():
    zero, eye = torch.zeros(3), torch.eye(3)
    assert frechet_distance(zero, eye, zero, eye) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(zero, eye, zero + 2, eye) == pytest.approx(12)
    # One dimension: (m1 - m2)^2 + (s1 - s2)^2.
    one = frechet_distance(*(torch.tensor(v).double() for v in ([1.0], [[4.0]], [3.0], [[0.25]])))
    assert one == pytest.approx(4 + 1.5**2)


def test_distance_is_that_of_the_general_formula_and_symmetric():
    for seed in range(5):
        (m1, c1), (m2, c2) = law(seed), law(seed + 50)
        root = linalg.sqrtm((c1 @ c2).numpy()).real
        general = float((m1 - m2).square().sum() + c1.trace() + c2.trace()) - 2 * np.trace(root)
        assert frechet_distance(m1, c1, m2, c2) == pytest.approx(general, rel=1e-9)
        assert frechet_distance(m2, c2, m1, c1) == pytest.approx(general, rel=1e-9)


def test_singular_covariances():
    (m1, c1), (m2, c2) = law(0, 6, rank=2), law(1, 6, rank=3)
    there, back = frechet_distance(m1, c1, m2, c2), frechet_distance(m2, c2, m1, c1)
    assert there == pytest.approx(back, rel=1e-6) and there > 0
    assert frechet_distance(m1, c1, m1, c1) == pytest.approx(0, abs=1e-6)
    zero = torch.zeros(6, 6)
    assert frechet_distance(m1, c1, m1, zero) == pytest.approx(float(c1.trace()))


def test_bad_laws_are_refused():
    mean, cov = law(0)
    with pytest.raises(ValueError, match=r"other_mean: expected shape \(4,\), but got \(3,\)"):
        frechet_distance(mean, cov, mean[:3], cov)
    with pytest.raises(ValueError, match="other_cov: expected finite"):
        frechet_distance(mean, cov, mean, cov * math.nan)


def test_score_by_hand():
    p = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]], dtype=torch.float64)
    marginal = p.mean(0)
    expected = math.exp(float((p * (p / marginal).log()).sum(1).mean()))
    assert classifier_score(p.log()) == pytest.approx(expected)
    assert classifier_score(p.log() + 5) == pytest.approx(expected)  # logits up to a constant
    assert classifier_score(torch.zeros(7, 10)) == pytest.approx(1)
    assert classifier_score(1e4 * torch.eye(10)) == pytest.approx(10)
    collapsed = torch.zeros(9, 10)
    collapsed[:, 3] = 1e4  # sure, but always of the same class
    assert classifier_score(collapsed) == pytest.approx(1)
    with pytest.raises(ValueError, match="logits"):
        classifier_score(torch.zeros(0, 10))


def tiny() -> Features:
    net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 3)).train()
    return classifier_features(net, "0", "a tiny net", inputs=lambda b: b.float() / 255)


def pictures(n=30, seed=0):
    stream = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, 1, 2, 2), generator=stream).byte()


def test_law_of_features_is_that_of_numpy_whatever_the_batches():
    images = pictures()
    found = feature_law(tiny(), images)
    flat = images.flatten(1).double().numpy() / 255
    assert np.allclose(found.mean.numpy(), flat.mean(0))
    assert np.allclose(found.cov.numpy(), np.cov(flat.T))
    other = feature_law(tiny(), images, batch_size=7)
    assert torch.allclose(found.cov, other.cov)


def test_scores_leave_the_network_as_it_was():
    net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 3)).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    features = classifier_features(net, "1", "a tiny net", inputs=lambda b: b.float() / 255)
    one, two = (feature_law(features, pictures()) for _ in range(2))
    assert torch.equal(one.mean, two.mean) and one.score == two.score
    assert net.training and net[1].training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    found = generation_scores(one, feature_law(features, pictures(seed=1)), features)
    assert set(found) == {"frechet", "score"} and found["frechet"] > 0


def test_bad_images_are_refused():
    with pytest.raises(TypeError, match="images: expected bytes"):
        feature_law(tiny(), torch.zeros(3, 1, 2, 2))
    with pytest.raises(ValueError, match="at least two, but got 1"):
        feature_law(tiny(), pictures(1))


def test_names_say_through_what_it_was_judged():
    features = tiny()
    assert features.distance_name == "Fréchet distance on the features of a tiny net"
    assert features.score_name == "score of the classifier a tiny net"
    real = Features("Inception v3", features.extract, inception=True)
    assert (real.distance_name, real.score_name) == ("FID", "Inception score")
    found = feature_law(real, pictures())
    assert set(generation_scores(found, found, real)) == {"fid", "inception_score"}


def test_missing_weights_are_never_silent(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert generation.inception_weights() is None
    with pytest.warns(UserWarning, match="in their place: Fréchet distance .* a tiny net"):
        assert best_features(tiny()).network == "a tiny net"


def test_present_weights_are_used(monkeypatch, tmp_path):
    """With a stand-in for torch-fidelity, whose interface is that of its version 0.3 and 0.4."""

    class Extractor(nn.Module):
        def __init__(self, name, features_list, feature_extractor_weights_path):
            super().__init__()
            assert features_list == ["2048", "logits_unbiased"]
            self.path = feature_extractor_weights_path

        def forward(self, x):
            assert x.dtype == torch.uint8 and x.shape[1] == 3
            flat = x.flatten(1).float()
            return flat[:, :4], flat[:, :3]

    module = types.ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = Extractor
    package = types.ModuleType("torch_fidelity")
    package.__spec__ = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "torch_fidelity", package)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    file = tmp_path / "checkpoints" / generation.INCEPTION_FILE
    with pytest.warns(UserWarning):
        assert not best_features(tiny()).inception  # the package without the weights
    file.parent.mkdir()
    file.touch()
    features = best_features(tiny())
    assert features.inception and features.distance_name == "FID"
    found = feature_law(features, pictures())
    assert set(generation_scores(found, found, features)) == {"fid", "inception_score"}
