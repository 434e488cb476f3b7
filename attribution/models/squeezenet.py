"""SqueezeNet 1.1, with its weights in this repository; its rectifiers and max-pooling suit every default method.

Iandola et al. 2016, arXiv:1602.07360. Parameter names follow torchvision. The network is reimplemented here because
importing torchvision would add 1.4 s and 160 MB to the start of the dashboard, where this model is the default.
"""

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from attribution.models.record import Facts, ModelRecord, imagenet_classes
from attribution.photo.preprocessing import Preprocessing
from attribution.system.assets import asset
from attribution.system.download import Progress


class Fire(nn.Module):
    """A squeeze to few channels, followed by parallel 1 x 1 and 3 x 3 convolutions."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        """Create the layers, with `expanded` output channels per branch."""
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, 2 * expanded, H, W)."""
        x = self.relu(self.squeeze(x))
        return torch.cat([self.relu(self.expand1x1(x)), self.relu(self.expand3x3(x))], 1)


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1 for 1000 classes."""

    def __init__(self) -> None:
        """Create the layers with random weights."""
        super().__init__()
        pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        stem = [nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(inplace=True), pool]
        fires = [Fire(64, 16, 64), Fire(128, 16, 64), pool, Fire(128, 32, 128), Fire(256, 32, 128), pool]
        fires += [Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)]
        self.features = nn.Sequential(*stem, *fires)
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Conv2d(512, 1000, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to logits, (N, 1000)."""
        logits: Tensor = self.classifier(self.features(x))  # (N, 1000, 1, 1)
        return logits.flatten(1)


def _build(on_progress: Progress | None) -> nn.Module:
    del on_progress
    net = SqueezeNet()
    net.load_state_dict(load_file(asset("models/squeezenet1_1_imagenet.safetensors")))
    return net


def _facts() -> Facts:
    return Facts(
        Preprocessing((227, 227), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), crop=0.875, interpolation="bicubic"),
        classes=imagenet_classes(),
        top1=57.5,
        size=4.9,
        licence="BSD-2-Clause",
        source="forresti/SqueezeNet, Iandola et al. 2016, arXiv:1602.07360",
    )


RECORDS = (ModelRecord("squeezenet1_1", "SqueezeNet 1.1", embedded=True, facts=_facts, build=_build),)
