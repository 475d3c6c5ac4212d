"""Models with a named module at every place where hidden states are mixed."""

from mmlib.models.convnet import SmallConvNet
from mmlib.models.factory import build
from mmlib.models.mlp import mlp
from mmlib.models.resnet import PreActBlock, PreActResNet, PreActResNet18, PreActResNet34

__all__ = [
    "PreActBlock",
    "PreActResNet",
    "PreActResNet18",
    "PreActResNet34",
    "SmallConvNet",
    "build",
    "mlp",
]
