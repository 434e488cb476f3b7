"""torchvision's classifiers with their IMAGENET1K_V1 weights, downloaded on first use.

torchvision is imported only when one of them is requested, since that takes 1.4 s and 160 MB.
"""

from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from torch import nn

from attribution.models.record import Facts, ModelRecord
from attribution.photo.preprocessing import Preprocessing
from attribution.refusal import Refusal
from attribution.system.download import Progress, fetch

MODEL_TITLES = {
    "googlenet": "GoogLeNet",
    "resnet18": "ResNet-18",
    "resnet50": "ResNet-50",
    "vgg16": "VGG-16",
    "densenet121": "DenseNet-121",
    "mobilenet_v2": "MobileNetV2",
    "inception_v3": "Inception v3",
    "alexnet": "AlexNet",
    "efficientnet_b0": "EfficientNet-B0",
    "convnext_tiny": "ConvNeXt-Tiny",
    "vit_b_16": "ViT-B/16",
}


def _weights(name: str) -> Any:
    from torchvision.models import get_model_weights

    return get_model_weights(name)["IMAGENET1K_V1"]


@cache
def _facts(name: str) -> Facts:
    weights = _weights(name)
    transforms, meta = weights.transforms(), weights.meta
    (height,) = transforms.crop_size
    return Facts(
        Preprocessing(
            (height, height),
            tuple(transforms.mean),
            tuple(transforms.std),
            crop=height / transforms.resize_size[0],
            interpolation=transforms.interpolation.value,
        ),
        classes=tuple(meta["categories"]),
        top1=meta["_metrics"]["ImageNet-1K"]["acc@1"],
        size=meta["_file_size"] * 1.048576,  # torchvision reports MiB
        licence=meta.get("license", "BSD-3-Clause (torchvision)"),
        source=meta["recipe"],
    )


def _build(name: str, on_progress: Progress | None) -> nn.Module:
    from torchvision.models import get_model

    weights = _weights(name)
    published = Path(urlparse(weights.url).path).name  # such as resnet18-f37072fd.pth, with the start of the hash
    digits = Path(published).stem.rpartition("-")[2]
    cached = Path(torch.hub.get_dir()) / "checkpoints" / published
    fetch(weights.url, digits, cached, on_progress)
    # Raises if the file contains more than tensors; get_model does not check that.
    try:
        torch.load(cached, map_location="meta", weights_only=True)
    except Exception as error:
        cached.unlink()
        raise Refusal(
            f"{published} does not contain weights ({type(error).__name__}) and was deleted; try again."
        ) from error
    net: nn.Module = get_model(name, weights=weights)
    return net


RECORDS = tuple(
    ModelRecord(name, title, embedded=False, facts=partial(_facts, name), build=partial(_build, name))
    for name, title in MODEL_TITLES.items()
)
