"""Layers with feature maps, and the class activation maps computed from them."""

import numpy as np
import pytest
import torch
from captum.attr import GuidedGradCam, LayerGradCam
from pytorch_grad_cam import GradCAM, HiResCAM, LayerCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from test_contract import NETS
from torch import Tensor, nn
from torchvision import models as zoo
from toys import model_of, noise, randomise, zoo_net

import attribution as at
from attribution.network.layers import Layer

SIDE = 64
MAPS = [at.GradCAM, at.HiResCAM, at.LayerCAM]


class Pooled(nn.Module):
    """Features, their mean over the image, and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 7, 3, stride=2), nn.ReLU())
        self.head = nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


def test_grad_cam_before_a_mean_and_a_linear_head_is_cam() -> None:
    net = randomise(Pooled()).double()
    model, x = model_of(net, (15, 15), 3), noise(3, 15, 15, dtype=torch.float64)
    maps = net.features(x[None])[0].detach()  # (7, 7, 7)
    cam = torch.einsum("c,chw->hw", net.head.weight[1].detach(), maps) / maps[0].numel()
    assert [(layer.height, layer.width) for layer in model.stages] == [(7, 7)]
    assert float(cam.sum()) == pytest.approx(float((model.logits(x[None])[0, 1] - net.head.bias[1]).detach()))
    large = nn.functional.interpolate(cam[None, None], (15, 15), mode="bilinear")[0, 0].numpy()
    for cls in (at.GradCAM, at.HiResCAM):
        result = at.attribute(model, x, cls(negative="kept"), at.Target(1, "logit"))
        np.testing.assert_allclose(result.values.sum(0), large, atol=1e-12)
        assert result.notes == ("Layer features (7 x 7 x 7).",)
    cut = at.attribute(model, x, at.GradCAM(), at.Target(1, "logit")).values.sum(0)
    positive = nn.functional.interpolate(cam.clamp(min=0)[None, None], (15, 15), mode="bilinear")[0, 0].numpy()
    np.testing.assert_allclose(cut, positive, atol=1e-12)


PEERS = {at.GradCAM: GradCAM, at.HiResCAM: HiResCAM, at.LayerCAM: LayerCAM}


@pytest.mark.parametrize("ours", MAPS)
@pytest.mark.parametrize(
    ("name", "layer", "theirs"),
    [("resnet18", "layer4", "layer4"), ("resnet18", "layer3", "layer3"), ("vgg11", "features.19", "features.19")],
)
def test_maps_equal_those_of_pytorch_grad_cam_up_to_scale(ours: type, name: str, layer: str, theirs: str) -> None:
    net, x = zoo_net(name, 5), noise(3, SIDE, SIDE)
    model = model_of(net, (SIDE, SIDE), 5)
    stage = [each.name for each in model.stages].index(layer)
    mine = at.attribute(model, x, ours(stage), at.Target(1, "logit")).values.sum(0)
    with PEERS[ours](net, [net.get_submodule(theirs)]) as peer:
        expected = peer(x[None], [ClassifierOutputTarget(1)])[0]  # rescaled to [0, 1]
    assert mine.max() > mine.min()
    np.testing.assert_allclose((mine - mine.min()) / (mine.max() - mine.min()), expected, atol=0.02)


@pytest.mark.parametrize("size", [(SIDE, SIDE), (SIDE, 2 * SIDE)])
def test_grad_cam_equals_captums(size: tuple[int, int]) -> None:
    net, x = zoo_net("resnet18", 5).double(), noise(3, *size, dtype=torch.float64)
    theirs = LayerGradCam(net, net.layer3).attribute(x[None], 3)
    large = nn.functional.interpolate(theirs.detach(), size, mode="bilinear")[0, 0].numpy()
    model = model_of(net, size, 5)
    mine = at.attribute(model, x, at.GradCAM(1, "kept"), at.Target(3, "logit")).values.sum(0)
    np.testing.assert_allclose(mine, large, atol=1e-9 * abs(large).max())


def test_guided_grad_cam_is_the_product_and_equals_captums_with_bilinear_upsampling() -> None:
    net, x = zoo_net("vgg11", 5).double(), noise(3, SIDE, SIDE, dtype=torch.float64)
    model, target = model_of(net, (SIDE, SIDE), 5), at.Target(2, "logit")
    product, region, guided = (
        at.attribute(model, x, method, target) for method in (at.GuidedGradCAM(), at.GradCAM(), at.GuidedBackprop())
    )
    np.testing.assert_allclose(product.values, region.values.sum(0) * guided.values, atol=1e-12)
    assert product.unit == "logit\u00b2 per pixel value"
    assert product.rectifiers == guided.rectifiers
    twin = zoo_net("vgg11", 5).double()
    for module in twin.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    with pytest.warns(UserWarning, match="backward hooks"):
        theirs = GuidedGradCam(twin, twin.features[19]).attribute(
            x[None].requires_grad_(), 2, interpolate_mode="bilinear"
        )
    np.testing.assert_allclose(product.values, theirs[0].detach().numpy(), atol=1e-9 * abs(product.values).max())


EXPECTED = {
    "resnet18": ("layer4 (512 x 2 x 2)", "layer3 (256 x 4 x 4)"),
    "mobilenet_v2": ("features (1280 x 2 x 2)", "features.13 (96 x 4 x 4)"),
    "googlenet": ("inception5b (1024 x 2 x 2)", "inception4e (832 x 4 x 4)"),
    "densenet121": ("features (1024 x 2 x 2)", "features.transition3.conv (512 x 4 x 4)"),
    "convnext_tiny": ("features (768 x 2 x 2)", "features.6.0 (384 x 4 x 4)"),
    "efficientnet_b0": ("features (1280 x 2 x 2)", "features.5 (112 x 4 x 4)"),
    "vit": ("encoder.layers.encoder_layer_1.ln_1 (32 x 4 x 4, image tokens)",),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_last_layer_of_each_resolution_is_found(name: str) -> None:
    model = model_of(randomise(NETS[name]()), (SIDE, SIDE), 12)
    assert tuple(map(str, model.stages))[:2] == EXPECTED[name]
    sizes = [layer.height for layer in model.stages]
    assert sizes == sorted(set(sizes))


def test_the_embedded_models_use_the_customary_layers(squeezenet: at.Model) -> None:
    assert [str(layer) for layer in squeezenet.stages[:2]] == ["features (512 x 14 x 14)", "features.7 (256 x 28 x 28)"]
    lite = at.load_model("efficientnet_lite0", device="cpu")
    assert [str(layer) for layer in lite.stages[:2]] == ["bn2 (1280 x 7 x 7)", "blocks.4 (112 x 14 x 14)"]


def test_a_layer_with_as_many_features_as_classes_is_kept() -> None:
    net = randomise(zoo.resnet18(weights=None, num_classes=512))
    assert str(model_of(net, (SIDE, SIDE), 512).stages[0]) == "layer4 (512 x 2 x 2)"


@pytest.mark.parametrize("size", [(64, 64), (48, 64), (64, 128)])
def test_convolutions_without_padding_have_layers_at_any_shape(size: tuple[int, int]) -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 5), nn.ReLU(), nn.Conv2d(4, 6, 5, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    model = model_of(randomise(nn.Sequential(net, nn.Linear(6, 3))), size, 3)
    assert [layer.channels for layer in model.stages] == [6, 4]


def test_the_note_names_the_size_of_the_maps_of_this_photo() -> None:
    model = model_of(randomise(Pooled()), (15, 15), 3)
    assert at.attribute(model, noise(3, 31, 21), at.GradCAM()).notes == ("Layer features (7 x 15 x 10).",)


def test_tokens_of_another_size_are_refused() -> None:
    with pytest.raises(at.Refusal, match=r"^The layer norm returns 9 tokens for this image, and their grid is unknown"):
        Layer("norm", 2, 2, 3, prefix=1).maps(torch.zeros(1, 9, 2))


def test_image_tokens_follow_the_class_token() -> None:
    layer = Layer("norm", 2, 2, 3, prefix=1)
    output = torch.arange(14.0).view(1, 7, 2)
    assert layer.maps(output)[0, 0].tolist() == [[2, 4, 6], [8, 10, 12]]


class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3 * 64, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1))


@pytest.mark.parametrize("cls", [*MAPS, at.GuidedGradCAM])
def test_a_network_without_maps_of_features_is_refused(cls: type) -> None:
    model = model_of(randomise(Flat()), (8, 8), 3)
    with pytest.raises(
        at.Refusal, match=r"needs a layer with feature maps, but toy has none; choose another method\.$"
    ):
        at.attribute(model, noise(3, 8, 8), cls())


def test_a_missing_stage_is_refused_with_the_range_of_stages() -> None:
    model = model_of(zoo_net("resnet18", 5), (SIDE, SIDE), 5)
    with pytest.raises(at.Refusal, match=r"^toy has no stage 9; choose one from 0 to 4\.$"):
        at.attribute(model, noise(3, SIDE, SIDE), at.GradCAM(9))


def test_all_methods_share_one_forward_pass(squeezenet: at.Model, shepherd: Tensor) -> None:
    results = at.compare(squeezenet, shepherd, [at.GradCAM(), at.HiResCAM(1), at.GuidedGradCAM(), at.Gradient()])
    assert [result.forwards for result in results] == [1, 0, 0, 0]
    assert [result.backwards for result in results] == [1, 1, 2, 1]


def test_grad_cam_follows_the_class_on_a_dog_over_a_cat(squeezenet: at.Model, samples: object) -> None:
    x = squeezenet.prepare(at.open_image(samples / "dog_over_cat.jpg"))
    share = {}
    for name in ("German shepherd", "tabby"):
        heat = at.attribute(squeezenet, x, at.GradCAM(), at.Target(squeezenet.find_class(name))).values.sum(0)
        share[name] = heat[:113].sum() / heat.sum()
    assert share["German shepherd"] > 0.6, share
    assert share["tabby"] < 0.4, share
