"""Layers with feature maps, and the class activation maps computed from them."""

import numpy as np
import pytest
import torch
from captum.attr import GuidedGradCam, LayerGradCam
from pytorch_grad_cam import FinerCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from test_contract import NETS
from torch import Tensor, nn
from torchvision import models as zoo
from toys import model_of, noise, randomise, zoo_net

import attribution as at
from attribution.network.layers import Layer

SIDE = 64
MAPS = [at.GradCAM, at.HiResCAM, at.LayerCAM, at.GradCAMPlusPlus]


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


PEERS = {
    at.GradCAM: GradCAM,
    at.HiResCAM: HiResCAM,
    at.LayerCAM: LayerCAM,
    at.GradCAMPlusPlus: GradCAMPlusPlus,
}


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


def rescaled(heat: np.ndarray) -> np.ndarray:
    return (heat - heat.min()) / (heat.max() - heat.min())


class Constant(nn.Module):
    """Two feature maps, whose gradients are the same everywhere: -0.5 and `slope` for logit 1."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 2, 1, bias=False)
        self.register_buffer("weights", torch.tensor([[0.0, 0.0], [-0.5, slope], [1.0, 1.0]], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x).sum((2, 3)) @ self.weights.T


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_grad_cam_plus_plus_with_a_constant_gradient(sign: float) -> None:
    net, slope = Constant(0.7).double(), 0.7
    net.features.weight.data = torch.tensor([[1.0, 0.0, 0.0], [0.0, sign, 0.0]], dtype=torch.float64)[..., None, None]
    x = noise(3, 4, 4, dtype=torch.float64)
    found = at.attribute(model_of(net, (4, 4), 3), x, at.GradCAMPlusPlus(negative="kept"), at.Target(1, "logit"))
    maps = sign * x[1].numpy()  # the other feature's gradient is negative
    alpha = 1 / (2 + slope * max(0.0, maps.sum()))
    np.testing.assert_allclose(found.values.sum(0), 16 * alpha * slope * maps, rtol=1e-12)


def test_score_cam_with_equal_scores_weights_all_channels_alike() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())

    class Fixed(nn.Module):
        """Features that the logits need, but only by a factor of zero."""

        def __init__(self) -> None:
            super().__init__()
            self.features = randomise(net).double()

        def forward(self, x: Tensor) -> Tensor:
            means = self.features(x).mean((2, 3))
            return torch.stack([means.sum(1).sign(), means.sum(1).sign() + 1e-300 * means[:, 0]], 1)

    twin, x = Fixed(), noise(3, 6, 6, dtype=torch.float64)
    model = model_of(twin, (6, 6), 2)
    found = at.attribute(model, x, at.ScoreCAM(negative="kept", layer="features"), at.Target(0, "logit"))
    mean = twin.features(x[None])[0].mean(0).detach()
    large = nn.functional.interpolate(mean[None, None], (6, 6), mode="bilinear")[0, 0].numpy()
    np.testing.assert_allclose(found.values.sum(0), large, rtol=1e-9)


@pytest.mark.parametrize("score", ["logit", "probability"])
def test_score_cam_equals_its_definition_also_with_a_constant_channel(score: str) -> None:
    net, x = randomise(Pooled()).double(), noise(3, 15, 15, dtype=torch.float64)
    net.features[0].weight.data[3] = 0  # a constant channel, whose map masks everything
    net.features[0].bias.data[3] = 1
    model, baseline = model_of(net, (15, 15), 3), at.baselines.Grey()
    target = at.Target(2, score)
    found = at.attribute(model, x, at.ScoreCAM(baseline=baseline, negative="kept"), target)
    maps, filler = net.features(x[None])[0].detach(), torch.full_like(x, 0.5)
    gains = []
    for each in maps:
        large = nn.functional.interpolate(each[None, None], (15, 15), mode="bilinear")[0, 0]
        mask = torch.zeros_like(large)
        if each.max() > each.min():
            mask = (large - large.min()) / (large.max() - large.min())
        logits = torch.stack([net((filler + mask * (x - filler))[None])[0], net(filler[None])[0]]).detach()
        scores = logits if score == "logit" else logits.softmax(1)
        gains.append(float(scores[0, 2] - scores[1, 2]))
    weights = np.exp(gains) / np.exp(gains).sum()
    cells = torch.tensordot(torch.from_numpy(weights), maps, dims=1)
    large = nn.functional.interpolate(cells[None, None], (15, 15), mode="bilinear")[0, 0].numpy()
    np.testing.assert_allclose(found.values.sum(0), large, rtol=1e-9)
    varying = sum(bool(each.max() > each.min()) for each in maps)
    ratio = np.exp(max(gains) - min(gains))
    assert found.notes[1] == (
        f"{varying} of 7 feature maps served as masks (the others are constant); "
        f"the largest weight is {ratio:.3g} times the smallest."
    )
    few = at.attribute(model, x, at.ScoreCAM(channels=3, baseline=baseline), target)
    assert any(note.startswith("3 of 7 feature maps served as masks (those that vary most); ") for note in few.notes)
    assert ("nearly the mean of all feature maps" in found.notes[-1]) == (ratio < 3)
    assert found.forwards <= 1 + 1 + 6  # the photo, the baseline, and a channel that is not constant
    assert found.backwards == 0


def test_score_cam_equals_that_of_pytorch_grad_cam_where_no_map_is_upsampled() -> None:
    net, x = randomise(Pooled()), noise(3, 16, 16)
    net.features = randomise(nn.Sequential(nn.Conv2d(3, 7, 3, padding=1), nn.ReLU()))  # theirs aligns the corners
    net.head.weight.data *= 20  # so that the weights differ
    with ScoreCAM(net, [net.features]) as peer:
        expected = peer(x[None], [ClassifierOutputTarget(1)])[0]
    mine = at.attribute(model_of(net, (16, 16), 3), x, at.ScoreCAM(), at.Target(1, "logit")).values.sum(0)
    np.testing.assert_allclose(rescaled(mine), expected, atol=1e-4)


def test_finer_cam_without_rivals_is_grad_cam(squeezenet: at.Model, shepherd: Tensor) -> None:
    for score in ("probability", "logit"):
        maps = at.compare(squeezenet, shepherd, [at.FinerCAM(gamma=0.0), at.GradCAM()], at.Target(235, score)).maps
        np.testing.assert_allclose(maps[0].values, maps[1].values, rtol=1e-4, atol=1e-6 * abs(maps[1].values).max())


def test_finer_cam_against_one_rival_is_grad_cam_of_the_difference() -> None:
    model, x = model_of(zoo_net("resnet18", 5).double(), (SIDE, SIDE), 5), noise(3, SIDE, SIDE, dtype=torch.float64)
    order = [index for index, _, _ in model.predict(x, k=5)]
    difference = at.attribute(model, x, at.GradCAM(negative="kept"), at.Target(order[0], "logit", versus=order[1]))
    for target in (at.Target(order[0], "logit"), at.Target(order[0], "logit", versus=order[1])):
        finer = at.attribute(model, x, at.FinerCAM(gamma=1.0, rivals=1, negative="kept"), target)
        np.testing.assert_allclose(finer.values, difference.values, rtol=1e-9, atol=1e-15)
        assert f"Compared with class {order[1]} ({order[1]})." in finer.notes
    far = at.attribute(model, x, at.FinerCAM(gamma=1.0, negative="kept"), at.Target(order[0], "logit", versus=order[4]))
    assert not np.allclose(far.values, difference.values)


def test_finer_cam_is_the_weighted_sum_of_grad_cams() -> None:
    model, x = model_of(zoo_net("resnet18", 5).double(), (SIDE, SIDE), 5), noise(3, SIDE, SIDE, dtype=torch.float64)
    finer = at.attribute(model, x, at.FinerCAM(gamma=0.4, rivals=3, negative="kept"), at.Target(2))
    rivals = [index for index, _, _ in model.predict(x, k=5) if index != 2][:3]
    maps = [at.attribute(model, x, at.GradCAM(negative="kept"), at.Target(index)).values for index in (2, *rivals)]
    np.testing.assert_allclose(finer.values, maps[0] - 0.4 * np.mean(maps[1:], 0), rtol=1e-9, atol=1e-15)


def test_finer_cam_of_one_rival_equals_that_of_pytorch_grad_cam() -> None:
    net, x = zoo_net("resnet18", 5), noise(3, SIDE, SIDE)
    model = model_of(net, (SIDE, SIDE), 5)
    order = net(x[None])[0].argsort(descending=True).tolist()
    finer = at.attribute(model, x, at.FinerCAM(gamma=0.6, rivals=1), at.Target(order[0], "logit")).values.sum(0)
    with FinerCAM(net, [net.layer4]) as peer:
        expected = peer(x[None], alpha=0.6, comparison_categories=[1])[0]
    np.testing.assert_allclose(rescaled(finer), expected, atol=0.02)


def test_finer_cam_needs_rivals() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))
    model = at.Model("one", randomise(net), (9, 9), (0,) * 3, (1,) * 3, ("no", "yes"), output="binary", device="cpu")
    with pytest.raises(at.Refusal, match=r"compares classes, but one has no logit for each; choose Grad-CAM instead"):
        at.attribute(model, noise(3, 9, 9), at.FinerCAM())
