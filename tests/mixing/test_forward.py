"""capture, resume, mix_at, and the sites of real models."""

from __future__ import annotations

import warnings

import pytest
import torch
import torchvision
from torch import nn

from mmlib.mixing import (
    Mixup,
    ResidualBranchWarning,
    capture,
    eligible_sites,
    mix_at,
    resume,
)


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Sequences(nn.Module):
    """An LSTM over token embeddings and a head on its last state."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.lstm = nn.LSTM(4, 6, batch_first=batch_first)
        self.head = nn.Linear(6, 3)
        self.batch_first = batch_first

    def forward(self, tokens):
        out, _ = self.lstm(self.embed(tokens))
        return self.head(out[:, -1] if self.batch_first else out[-1])


class Encoder(nn.Module):
    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)
        self.dim = 1 if batch_first else 0

    def forward(self, x):
        return self.head(self.encoder(x).mean(self.dim))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Linear(3, 3)
        self.unused = nn.Linear(3, 3)

    def forward(self, x):
        return self.block(torch.tanh(self.block(x)))


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    return torchvision.models.resnet18(num_classes=4)


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(0)
    model = torchvision.models.VisionTransformer(32, 16, 3, 2, 8, 16, num_classes=4)
    nn.init.normal_(model.heads.head.weight)  # torchvision starts it at zero
    return model


def check_layers(model, x, y, layers, **options):
    """Each layer mixed as the definition says; gradients reach the first parameter."""
    partner = torch.tensor([2, 0, 1, 3])
    model.eval()
    dims = options.get("batch_dim") or {}
    picks = options.get("select") or {}
    for layer in layers:
        dim, pick = dims.get(layer, 0), picks.get(layer, ())
        h = x if layer == "input" else capture(model, x, layer, select=pick)
        mix = 0.3 * h + 0.7 * h.index_select(dim, partner)
        expected = resume(model, x, layer, mix, select=pick)
        got = mix_at(model, x, layer, 0.3, partner, batch_dim=dims.get(layer), select=pick)
        torch.testing.assert_close(got, expected, atol=2e-5, rtol=1e-4)
        assert not torch.allclose(got, model(x), atol=1e-6)
    model.train()
    for seed in range(4):
        mixed = Mixup(layers=layers, generator=gen(seed), **options)(model, x, y)
        mixed.logits.square().mean().backward()
        assert mixed.logits.shape == mixed.targets.shape
    assert next(model.parameters()).grad.abs().sum() > 0
    assert not any(m._forward_hooks for m in model.modules())


def test_resnet18(resnet):
    x, y = torch.randn(4, 3, 32, 32, generator=gen()), torch.tensor([0, 1, 2, 3])
    check_layers(resnet, x, y, ("input", "layer1", "layer2.0", "avgpool"))


def test_vit(vit):
    x, y = torch.randn(4, 3, 32, 32, generator=gen()), torch.tensor([0, 1, 2, 3])
    check_layers(vit, x, y, ("input", "conv_proj", "encoder.layers.encoder_layer_0", "encoder"))


@pytest.mark.slow
def test_vit_b_16():
    torch.manual_seed(0)
    model = torchvision.models.vit_b_16(weights=None, image_size=32, num_classes=4)
    x, y = torch.randn(4, 3, 32, 32, generator=gen()), torch.tensor([0, 1, 2, 3])
    layers = ("input", "encoder.layers.encoder_layer_3", "encoder.layers.encoder_layer_9")
    mixed = Mixup(layers=layers[1:], generator=gen())(model, x, y)
    mixed.logits.sum().backward()
    assert model.conv_proj.weight.grad is not None


@pytest.mark.parametrize("batch_first", [True, False])
def test_transformer_encoder(batch_first):
    torch.manual_seed(0)
    model = Encoder(batch_first)
    x = torch.randn(4, 5, 8, generator=gen())
    x, y = (x if batch_first else x.transpose(0, 1)), torch.tensor([0, 1, 2, 0])
    layers = ("input", "encoder.layers.0", "encoder")
    dims = None if batch_first else dict.fromkeys(layers, 1)
    check_layers(model, x, y, layers, batch_dim=dims)
    if not batch_first:
        with pytest.raises(ValueError, match="sequence-first"):
            Mixup(layers=layers[1:])(model, x, y)
        with pytest.raises(ValueError, match="expected 4 examples along dimension 0"):
            Mixup()(model, x, y)


@pytest.mark.parametrize("batch_first", [True, False])
def test_lstm(batch_first):
    torch.manual_seed(0)
    model = Sequences(batch_first)
    tokens, y = torch.randint(7, (4, 5), generator=gen()), torch.tensor([0, 1, 2, 0])
    tokens = tokens if batch_first else tokens.T
    dims = None if batch_first else {"embed": 1, "lstm": 1}
    check_layers(model, tokens, y, ("embed", "lstm"), batch_dim=dims, select={"lstm": 0})
    with pytest.raises(TypeError, match="select={'lstm': 0}"):
        Mixup(layers=("lstm",), batch_dim=1 if not batch_first else 0)(model, tokens, y)
    with pytest.raises(ValueError, match="no element 5"):
        Mixup(layers=("lstm",), select=5, batch_dim=dims and 1)(model, tokens, y)


def test_outputs_in_containers():
    class Dict(nn.Module):
        def forward(self, x):
            return {"a": [x, 2 * x], "b": x}

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dict = Dict()

        def forward(self, x):
            out = self.dict(x)
            return out["a"][1] + 0 * out["b"]

    x = torch.eye(2)
    mixed = mix_at(Net(), x, "dict", 0.25, torch.tensor([1, 0]), select=("a", 1))
    assert mixed.tolist() == [[0.5, 1.5], [1.5, 0.5]]


def test_module_called_twice():
    torch.manual_seed(0)
    model, x, partner = Twice(), torch.randn(4, 3), torch.tensor([1, 0, 3, 2])
    with pytest.raises(RuntimeError, match="block@0"):
        mix_at(model, x, "block", 0.5, partner)
    first = torch.tanh(model.block(x).lerp(model.block(x)[partner], 0.3))
    torch.testing.assert_close(mix_at(model, x, "block@0", 0.7, partner), model.block(first))
    whole = model(x)
    torch.testing.assert_close(
        mix_at(model, x, "block@1", 0.7, partner), whole.lerp(whole[partner], 0.3)
    )
    with pytest.raises(RuntimeError, match="not reached"):
        mix_at(model, x, "block@2", 0.7, partner)
    assert torch.equal(capture(model, x, "block@1"), whole)
    assert torch.equal(resume(model, x, "block@1", whole + 1), whole + 1)
    y = torch.tensor([0, 1, 2, 0])
    mixed = Mixup(layers=("block@0", "block@1"), per_example=True, generator=gen())(model, x, y)
    assert set(mixed.layer) == {"block@0", "block@1"}
    assert not model.block._forward_hooks


def test_site_that_is_not_reached():
    model, x = Twice(), torch.randn(4, 3)
    calls = (
        lambda: capture(model, x, "unused"),
        lambda: resume(model, x, "unused", x),
        lambda: mix_at(model, x, "unused", 0.5, torch.tensor([1, 0, 3, 2])),
        lambda: Mixup(layers=("unused",))(model, x, torch.tensor([0, 1, 2, 0])),
    )
    for call in calls:
        with pytest.raises(RuntimeError, match="'unused': not reached"):
            call()
    assert not model.unused._forward_hooks


def test_explicit_arguments_are_checked():
    model, x, partner = Twice(), torch.randn(4, 3), torch.tensor([1, 0, 3, 2])
    with pytest.raises(ValueError, match="did you mean 'block'"):
        mix_at(model, x, "blok", 0.5, partner)
    with pytest.raises(ValueError, match="lam"):
        mix_at(model, x, "input", 1.5, partner)
    with pytest.raises(ValueError, match="lam"):
        mix_at(model, x, "input", torch.tensor([0.5, 2.0, 0, 0]), partner)
    with pytest.raises(ValueError, match="lam"):
        mix_at(model, x, "input", torch.rand(3), partner)
    with pytest.raises(TypeError, match="partner"):
        mix_at(model, x, "input", 0.5, partner.double())
    with pytest.raises(ValueError, match="partner"):
        mix_at(model, x, "input", 0.5, partner + 1)
    with pytest.raises(ValueError, match="expected 3 examples"):
        mix_at(model, x, "input", 0.5, torch.tensor([1, 0, 2]))
    with pytest.raises(ValueError, match="h: expected the shape"):
        resume(model, x, "block@0", x[:, :2])


def test_mix_at_works_in_both_modes_and_with_repeated_partners():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    x, partner, lam = torch.randn(4, 3), torch.zeros(4, dtype=torch.long), torch.rand(4)
    h = model[0](x)
    expected = model[2](torch.relu(lam[:, None] * h + (1 - lam[:, None]) * h[0]))
    for mode in (True, False):
        torch.testing.assert_close(mix_at(model.train(mode), x, "0", lam, partner), expected)


def test_f_is_g_after_h_everywhere(resnet, vit):
    x = torch.randn(2, 3, 32, 32, generator=gen())
    found = {}
    for model in (resnet, vit):
        found[model] = eligible_sites(model.eval(), x)
        assert found[model][0] == "input" and len(found[model]) > 8
        whole = model(x)
        for layer in found[model][1:]:
            assert torch.equal(resume(model, x, layer, capture(model, x, layer)), whole)
    assert {"layer1", "layer2.1", "layer4", "avgpool", "fc"} <= set(found[resnet])
    inner = {"layer1.0.conv1", "layer2.0.downsample", "layer1.0.relu"}
    assert not inner & set(found[resnet])
    assert "encoder.layers.encoder_layer_1" in found[vit]
    assert "encoder.layers.encoder_layer_1.mlp" not in found[vit]


def test_eligible_sites_restores_modes():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model[1].eval()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    assert eligible_sites(model, torch.randn(3, 2)) == ("input", "0", "1")
    assert (model.training, model[0].training, model[1].training) == (True, True, False)
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in state.items())
    with pytest.raises(ValueError, match="does not depend"):
        eligible_sites(model, torch.ones(3, 2))
    with pytest.raises(ValueError, match="two or more"):
        eligible_sites(model, torch.ones(1, 2))


@pytest.mark.parametrize(
    "layer",
    ["layer1.0.conv1", "layer1.1.bn2", "layer2.0.downsample", "layer2.0.downsample.0"],
)
def test_inside_a_residual_branch_warns_once(resnet, layer):
    x, y = torch.randn(4, 3, 32, 32, generator=gen()), torch.tensor([0, 1, 2, 3])
    mixup = Mixup(lam=0.5, layers=(layer,), generator=gen())
    with pytest.warns(ResidualBranchWarning, match="not mixed"):
        mixup(resnet.train(), x, y)
    mixup(resnet, x, y)  # warnings are errors here: the second step is silent


@pytest.mark.parametrize("detach", [False, True])
def test_residual_warning_in_transformers_and_dense_nets(vit, detach):
    x, y = torch.randn(4, 3, 32, 32, generator=gen()), torch.tensor([0, 1, 2, 3])
    inner = "encoder.layers.encoder_layer_1.mlp"
    with pytest.warns(ResidualBranchWarning):
        Mixup(lam=0.5, layers=(inner,), detach=detach)(vit.train(), x, y)
    dense = torchvision.models.DenseNet(8, (2, 2), 8, num_classes=4)
    with pytest.warns(ResidualBranchWarning):
        Mixup(lam=0.5, layers=("features.denseblock1.denselayer1",), detach=detach)(dense, x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Mixup(lam=0.5, layers=("features.denseblock1",), detach=detach)(dense, x, y)
        Mixup(lam=0.5, layers=("encoder.layers.encoder_layer_0",), detach=detach)(vit, x, y)
