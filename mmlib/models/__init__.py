"""Models with a named module at every place where hidden states are mixed."""

from mmlib.models.blocks import PreActBlock, PreActBottleneck
from mmlib.models.bottleneck import bottleneck
from mmlib.models.convnet import SmallConvNet
from mmlib.models.counts import layers_before
from mmlib.models.decoder import Decoder, build_decoder
from mmlib.models.ensemble import EnsembleLinear, EnsembleMLP
from mmlib.models.factory import build
from mmlib.models.lenet import LeNet
from mmlib.models.mlp import mlp
from mmlib.models.resnet import (
    PreActResNet,
    PreActResNet18,
    PreActResNet34,
    PreActResNet50,
    PreActResNet152,
)
from mmlib.models.sngan import Discriminator, Generator, sngan_pair
from mmlib.models.stacked import Stacked
from mmlib.models.wideresnet import WideResNet

__all__ = [
    "Decoder",
    "Discriminator",
    "EnsembleLinear",
    "EnsembleMLP",
    "Generator",
    "LeNet",
    "PreActBlock",
    "PreActBottleneck",
    "PreActResNet",
    "PreActResNet152",
    "PreActResNet18",
    "PreActResNet34",
    "PreActResNet50",
    "SmallConvNet",
    "Stacked",
    "WideResNet",
    "bottleneck",
    "build",
    "build_decoder",
    "layers_before",
    "mlp",
    "sngan_pair",
]
