"""Adapters: pixels and logits are those of the library's own pipeline."""

import warnings
from typing import Any

import pytest
import timm
import torch
from numpy.testing import assert_allclose
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, resnet18

import attribution as at
from attribution.photo.samples import open_sample

PHOTOS = ["espresso", (300, 211), (211, 301), (640, 333), (97, 80)]


def photo(which: Any) -> Image.Image:
    if isinstance(which, str):
        return open_sample(which)
    width, height = which
    return open_sample("espresso").resize((width, height))


def check(model: at.Model, net: nn.Module, pixels: Tensor, normalised: Tensor, image: Image.Image, off: float) -> None:
    x = model.prepare(image)
    assert_allclose(x, pixels, atol=off + 1e-6)
    logits = net(normalised[None])
    logits = getattr(logits, "logits", logits).detach()
    found = model.logits(x[None]).detach()
    assert_allclose(found, logits, atol=1e-4 * float(logits.abs().max()) + (0.05 * float(logits.std()) if off else 0))


@pytest.mark.parametrize("which", PHOTOS, ids=str)
@pytest.mark.parametrize(
    "options", [{}, {"crop_mode": "squash", "crop_pct": 0.9}, {"interpolation": "bicubic"}], ids=str
)
def test_timm(which: Any, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    net = timm.create_model("test_resnet", pretrained_cfg_overlay=options, num_classes=7).eval()
    model = at.wrap(net, device="cpu")
    image = photo(which)
    transform = create_transform(**resolve_model_data_config(net), is_training=False)
    pixels = transform.transforms[2](transform.transforms[1](transform.transforms[0](image)))
    check(model, net, pixels, transform(image), image, off=0)
    assert model.classes == tuple("0123456")
    assert model.name == "test_resnet"


def test_the_names_of_timm_are_those_of_imagenet() -> None:
    assert at.wrap(timm.create_model("test_resnet"), device="cpu").classes[207] == "golden retriever"


@pytest.mark.parametrize("which", PHOTOS, ids=str)
def test_torchvision(which: Any) -> None:
    torch.manual_seed(0)
    net = resnet18().eval()
    weights = ResNet18_Weights.IMAGENET1K_V1
    model = at.wrap(net, weights, device="cpu")
    image = photo(which)
    transforms = weights.transforms()
    normalised = transforms(image)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (transforms.mean, transforms.std))
    check(model, net, normalised * std + mean, normalised, image, off=0)
    assert model.classes == tuple(weights.meta["categories"])


@pytest.mark.parametrize("which", PHOTOS, ids=str)
@pytest.mark.parametrize("kind", ["vit", "convnext", "convnext-large", "cropped"])
def test_hugging_face(which: Any, kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers as hf
    torch.manual_seed(0)
    names = {0: "cat", 1: "dog", 2: "owl"}
    if kind == "vit":
        small = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
        config: Any = hf.ViTConfig(image_size=64, patch_size=16, id2label=names, **small)
        net: Any = hf.ViTForImageClassification(config)
        processor: Any = hf.ViTImageProcessor(size={"height": 64, "width": 64})
    else:
        config = hf.ConvNextConfig(hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1], id2label=names)
        net = hf.ConvNextForImageClassification(config)
        processor = hf.ConvNextImageProcessor(size={"shortest_edge": 384 if kind == "convnext-large" else 96})
        if kind == "cropped":
            processor = hf.BitImageProcessor(size={"shortest_edge": 110}, crop_size={"height": 96, "width": 96})
    net.eval()
    model = at.wrap(net, processor, device="cpu")
    image = photo(which)
    normalised = processor(image, return_tensors="pt")["pixel_values"][0]
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (processor.image_mean, processor.image_std))
    check(model, net, normalised * std + mean, normalised, image, off=2 / 255)  # torch rounds otherwise than Pillow
    assert model.classes == ("cat", "dog", "owl")
    assert model.output.key == "classes"


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(at.Refusal, match="is not known to timm"):
        at.wrap(resnet18())
