"""Torchvision's classifiers, one of each family: a mix inside them is the mix of the definition."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.models.vgg import VGG, make_layers

from mmlib.mixing import Draw, Mixup, ResidualBranchWarning, eligible_sites

K = 5


def vgg() -> nn.Module:
    with torch.device("meta"):  # its head has a hundred million weights; here it gets another
        net = VGG(nn.Identity(), num_classes=K, init_weights=False)
    net.features = make_layers([8, "M", 16, "M", 16, 16, "M"], batch_norm=True)
    net.classifier = nn.Sequential(nn.Linear(16 * 49, 20), nn.ReLU(True), nn.Linear(20, K))
    return net


def alexnet() -> nn.Module:
    net = models.AlexNet(num_classes=K)
    net.classifier = nn.Sequential(nn.Dropout(0.5), nn.Linear(256 * 36, K))
    return net


def basic() -> nn.Module:
    return ResNet(BasicBlock, [2, 2, 1, 1], num_classes=K)


def resnet(**settings: int) -> nn.Module:
    return ResNet(Bottleneck, [2, 1, 1, 1], num_classes=K, **settings)


def densenet() -> nn.Module:
    return models.DenseNet(8, (2, 2, 2, 2), num_init_features=16, drop_rate=0.2, num_classes=K)


def convnext() -> nn.Module:
    stages = [CNBlockConfig(16, 32, 1), CNBlockConfig(32, None, 2)]
    return models.ConvNeXt(stages, stochastic_depth_prob=0.3, num_classes=K)


def vit() -> nn.Module:
    return models.VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=4, hidden_dim=32, mlp_dim=64,
        dropout=0.1, num_classes=K,
    )  # fmt: skip


def swin() -> nn.Module:
    return models.SwinTransformer(
        patch_size=[4, 4], embed_dim=16, depths=[1, 2], num_heads=[2, 4], window_size=[4, 4],
        stochastic_depth_prob=0.3, num_classes=K,
    )  # fmt: skip


def maxvit() -> nn.Module:
    return models.MaxVit(
        input_size=(32, 32), stem_channels=8, partition_size=4, block_channels=[8, 16],
        block_layers=[1, 1], head_dim=4, stochastic_depth_prob=0.3, num_classes=K,
    )  # fmt: skip


# name -> model, side of the image, an early site, a late one
FAMILIES = {
    "alexnet": (alexnet, 64, "features.2", "features"),
    "vgg": (vgg, 32, "features.3", "classifier.0"),
    "resnet": (basic, 32, "layer1", "layer4"),
    "resnext": (partial(resnet, groups=4, width_per_group=8), 32, "maxpool", "layer3"),
    "wide_resnet": (partial(resnet, width_per_group=48), 32, "layer1.0", "layer4"),
    "densenet": (densenet, 32, "features.transition1", "features.denseblock4"),
    "mobilenet_v2": ("mobilenet_v2", 32, "features.2", "features.18"),
    "mobilenet_v3": ("mobilenet_v3_small", 32, "features.1", "classifier.1"),
    "efficientnet": ("efficientnet_b0", 32, "features.1", "features.7"),
    "regnet": ("regnet_y_400mf", 32, "stem", "trunk_output.block3"),
    "convnext": (convnext, 32, "features.0", "features.3"),
    "swin": (swin, 32, "features.0", "features.3"),
    "vit": (vit, 32, "encoder.layers.encoder_layer_0", "encoder.ln"),
    "maxvit": (maxvit, 32, "stem", "blocks.1"),
    "shufflenet": ("shufflenet_v2_x0_5", 32, "maxpool", "stage4"),
    "squeezenet": ("squeezenet1_1", 32, "features.3", "features.12"),
    "mnasnet": ("mnasnet0_5", 32, "layers.8", "layers.13"),
}


def build(family: str) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    make, side, *_ = FAMILIES[family]
    torch.manual_seed(0)
    net = make() if callable(make) else models.get_model(make, weights=None, num_classes=K)
    return net.double(), torch.randn(4, 3, side, side).double(), torch.tensor([0, 1, 4, 2])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mix_inside_is_that_of_the_definition(family, follows_the_definition, splits_at):
    net, x, y = build(family)
    for site in FAMILIES[family][2:]:
        follows_the_definition(net, x, y, site)
        splits_at(net, x, y, site)


def test_sites_that_split_a_network_are_found_and_those_in_branches_are_not():
    net, x, _ = build("squeezenet")
    found = eligible_sites(net, x[:2])
    assert {"input", "features.3", "features.12", "classifier.1"} <= set(found)
    assert not any(".expand" in name for name in found)
    net, x, _ = build("resnext")
    found = eligible_sites(net, x[:2])
    assert {"input", "maxpool", "layer1.0", "layer3"} <= set(found)
    assert not any(".conv" in name or ".downsample" in name for name in found)


@pytest.mark.parametrize(
    ("family", "branch", "block"),
    [
        ("resnet", "layer2.0.conv1", "layer2.0"),
        ("swin", "features.3.0.mlp", "features.3.0"),
        ("convnext", "features.3.0.block", "features.3.0"),
        ("vit", "encoder.layers.encoder_layer_0.mlp", "encoder.layers.encoder_layer_0"),
        ("densenet", "features.denseblock2.denselayer1.conv1", "features.denseblock2"),
    ],
)
def test_a_site_inside_a_branch_is_warned_of_and_the_whole_block_is_not(family, branch, block):
    net, x, y = build(family)
    with pytest.warns(ResidualBranchWarning, match=branch):
        Mixup(layers=(branch,))(net, x, y)
    Mixup(layers=(block,))(net, x, y)  # warnings are errors here


def test_heads_on_the_side_are_mixed_too_if_the_site_comes_before_them(follows_the_definition):
    torch.manual_seed(0)
    net = models.GoogLeNet(num_classes=K, aux_logits=True, init_weights=False).double()
    x, y = torch.randn(4, 3, 64, 64).double(), torch.tensor([0, 1, 4, 2])
    with pytest.raises(ValueError, match="num_classes.*GoogLeNetOutputs"):
        Mixup(layers=("conv2",))(net, x, y)
    mixed = Mixup(layers=("conv2",), num_classes=K)(net, x, y)
    assert all(part.shape == mixed.targets.shape for part in mixed.logits)
    follows_the_definition(net, x, y, "maxpool2", read=lambda out: sum(out))
    with pytest.warns(ResidualBranchWarning):  # the first side head has left before
        Mixup(layers=("inception4b",), num_classes=K)(net, x, y)


def test_inception_v3_with_its_side_head():
    torch.manual_seed(0)
    net = models.Inception3(num_classes=K, aux_logits=True, init_weights=False)
    x, y = torch.randn(2, 3, 299, 299), torch.tensor([3, 1])
    mixup = Mixup(layers=("maxpool1",), num_classes=K)
    draw = Draw(2, "maxpool1", torch.tensor(0.25).double(), torch.tensor([1, 0]))
    with torch.no_grad():
        torch.manual_seed(1)
        mixed = mixup.apply(net, x, y, draw)
        handle = net.maxpool1.register_forward_hook(lambda m, a, h: 0.25 * h + 0.75 * h.flip(0))
        torch.manual_seed(1)
        expected = net(x)
        handle.remove()
    torch.testing.assert_close(mixed.logits.logits, expected.logits, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(mixed.logits.aux_logits, expected.aux_logits, rtol=1e-3, atol=1e-3)


class PooledBackbone(nn.Module):
    """A head of one's own on the coarsest map of a detector's backbone."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = resnet_fpn_backbone(
            backbone_name="resnet18", weights=None, trainable_layers=5, norm_layer=nn.BatchNorm2d
        )
        self.head = nn.Linear(256, K)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(x)["3"].mean((2, 3)))


def test_a_detection_backbone_with_a_head_of_ones_own(follows_the_definition, splits_at):
    torch.manual_seed(0)
    net = PooledBackbone().double()
    x, y = torch.randn(4, 3, 32, 32).double(), torch.tensor([0, 1, 4, 2])
    for site in ("backbone.body.layer1", "backbone.body.layer4"):
        follows_the_definition(net, x, y, site)
        splits_at(net, x, y, site)
    with pytest.raises(TypeError, match="OrderedDict; say which element to mix"):
        Mixup(layers=("backbone",))(net, x, y)
    with pytest.raises(ValueError, match="no element 'top'"):
        Mixup(layers=("backbone",), select="top")(net, x, y)
    splits_at(net, x, y, "backbone", select="3")
    mixed = Mixup(layers=("backbone",), select="3")(net, x, y)
    assert mixed.logits.shape == (4, K)


def test_the_maps_of_a_detection_backbone_are_mixed_together_or_warned_of():
    torch.manual_seed(0)
    net = PooledBackbone().backbone
    x, y = torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 4, 2])
    with pytest.raises(ValueError, match="num_classes.*OrderedDict"):
        Mixup(layers=("body.layer1",))(net, x, y)
    mixed = Mixup(lam=0.0, layers=("body.layer1",), num_classes=K)(net, x, y)
    there = net(x)  # lambda 0: every map is that of the partner
    for name, features in mixed.logits.items():
        torch.testing.assert_close(features, there[name][mixed.partner], rtol=1e-4, atol=1e-5)
    with pytest.warns(ResidualBranchWarning):  # the other maps left the body before layer4
        Mixup(layers=("body.layer4",), num_classes=K)(net, x, y)


class Pixels(nn.Module):
    """A segmentation network whose classes stand last, as the losses of mmlib want them."""

    def __init__(self) -> None:
        super().__init__()
        self.net = models.segmentation.lraspp_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=K
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)["out"].movedim(1, -1)  # (B, H, W, K)


def test_segmentation_mixes_a_target_for_each_pixel(follows_the_definition):
    torch.manual_seed(0)
    net, x = Pixels().double(), torch.randn(4, 3, 32, 32).double()
    y = torch.randint(K, (4, 32, 32))
    follows_the_definition(net, x, y, "net.backbone.1")
    mixed = Mixup(layers=("net.backbone.1",), per_example="lam")(net, x, y)
    lam, own = mixed.lam.view(-1, 1, 1, 1), nn.functional.one_hot(y, K).double()
    torch.testing.assert_close(mixed.targets, lam * own + (1 - lam) * own[mixed.partner])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("family", ["resnext", "vit"])
def test_compiled_models_mix_as_eager_ones(family):
    net, x, y = build(family)
    torch._dynamo.reset()
    compiled = torch.compile(net, backend="eager")
    compiled(x)  # compiled before there was a hook
    for site in FAMILIES[family][2:]:
        mixup = Mixup(layers=(site,), num_classes=K)
        draw = mixup.draw(len(y))
        torch.manual_seed(5)
        expected = mixup.apply(net, x, y, draw)
        torch.manual_seed(5)
        got = mixup.apply(compiled, x, y, draw)
        torch.testing.assert_close(got.logits, expected.logits)
        assert not any(module._forward_hooks for module in net.modules())
    torch._dynamo.reset()
