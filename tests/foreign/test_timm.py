"""Models of timm, without weights: a mix inside them is the mix of the definition."""

from __future__ import annotations

import pytest
import torch

from mmlib.mixing import Mixup, ResidualBranchWarning, eligible_sites

timm = pytest.importorskip("timm", reason="pip install timm, to test mixing inside its models")

VIT = {"img_size": 16, "patch_size": 8, "embed_dim": 16, "num_heads": 2, "depth": 2}
# model -> settings that make it small, an early site, a late one
MODELS = {
    "resnet10t": ({}, "layer1", "layer4"),
    "convnext_atto": ({"depths": (1, 1, 2, 1), "dims": (8, 8, 16, 16)}, "stem", "stages.2"),
    "vit_tiny_patch16_224": (VIT | {"drop_path_rate": 0.3}, "blocks.0", "norm"),
    "mixer_s16_224": ({"img_size": 32}, "stem", "blocks.1"),
}


def build(name: str) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    settings = MODELS[name][0]
    net = timm.create_model(name, pretrained=False, num_classes=5, **settings).double()
    side = settings.get("img_size", 32)
    return net, torch.randn(4, 3, side, side).double(), torch.tensor([0, 1, 4, 2])


@pytest.mark.parametrize("name", MODELS)
def test_a_mix_inside_is_that_of_the_definition(name, follows_the_definition, splits_at):
    net, x, y = build(name)
    for site in MODELS[name][1:]:
        follows_the_definition(net, x, y, site)
        splits_at(net, x, y, site)


def test_sites_of_a_vision_transformer():
    net, x, y = build("vit_tiny_patch16_224")
    found = eligible_sites(net, x)
    assert {"input", "patch_embed", "blocks.0", "blocks.1", "head"} <= set(found)
    assert not any(".attn" in name or ".mlp" in name for name in found)
    with pytest.warns(ResidualBranchWarning, match="blocks.0.mlp"):
        Mixup(layers=("blocks.0.mlp",))(net, x, y)
