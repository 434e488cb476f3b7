"""The layer of class activation maps in every kind of architecture.

The expected names come from the architectures: the last features at the coarsest resolution through which everything
passes. Weights are random and sizes small; `benchmarks/zoo.py` covers all of timm at its own sizes.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from timm import create_model
from torch import Tensor, nn
from torchvision import models as zoo
from toys import model_of, noise, randomise

import attribution as at

LOGIT = at.Target(1, "logit")
SWIN = {"img_size": 64, "window_size": 4, "embed_dim": 24, "depths": (1, 1, 2, 1), "num_heads": (1, 2, 2, 4)}
NETWORKS = {  # name: (small network of timm, its settings, side of the image, accepted layers, size of the maps)
    "swin": (
        "swin_tiny_patch4_window7_224",
        SWIN,
        64,
        {"norm", "layers.3"},
        (192, 2, 2),
    ),
    "swin v2": (
        "swinv2_tiny_window8_256",
        SWIN,
        64,
        {"norm", "layers.3"},
        (192, 2, 2),
    ),
    "vit": ("vit_tiny_patch16_224", {"img_size": 64, "depth": 3}, 64, {"blocks.1", "blocks.2.norm1"}, (192, 4, 4)),
    "vit with registers": (
        "vit_small_patch14_reg4_dinov2",
        {"img_size": 56, "depth": 2},
        56,
        {"blocks.0", "blocks.1.norm1"},
        (384, 4, 4),
    ),
    "tnt": ("tnt_s_patch16_224", {"img_size": 64, "depth": 2}, 64, {"blocks.1.norm_out"}, (384, 4, 4)),
    "levit": ("levit_128s", {"img_size": 128}, 128, {"stages", "stages.2"}, (384, 2, 2)),
    "cait": ("cait_xxs24_224", {"img_size": 64, "depth": 2}, 64, {"blocks", "blocks.1"}, (192, 4, 4)),
    "xcit": (
        "xcit_nano_12_p16_224",
        {"img_size": 64, "depth": 2},
        64,
        {"blocks.1", "cls_attn_blocks.0", "cls_attn_blocks.1.norm1"},
        (128, 4, 4),
    ),
    "crossvit": (
        "crossvit_tiny_240",
        {"img_size": 96, "img_scale": (1.0, 96 / 96)},
        96,
        {"blocks.2.blocks.1"},
        (192, 6, 6),
    ),
    "sequencer": ("sequencer2d_s", {"layers": (1, 1, 1, 1)}, 64, {"norm", "stages", "stages.3"}, (384, 4, 4)),
    "maxvit": ("maxvit_rmlp_pico_rw_256", {"img_size": 64}, 64, {"norm", "stages", "stages.3"}, (256, 2, 2)),
    "pvt": ("pvt_v2_b0", {}, 64, {"stages", "stages.3"}, (256, 2, 2)),
    "edgenext": ("edgenext_xx_small", {}, 64, {"stages", "stages.3"}, (168, 2, 2)),
    "hrnet": ("hrnet_w18_small", {}, 64, {"final_layer"}, (2048, 2, 2)),
    "mixer": ("mixer_s32_224", {"img_size": 96}, 96, {"norm", "blocks", "blocks.7"}, (512, 3, 3)),
    "regnet": ("regnety_002", {}, 64, {"s4", "final_conv"}, (368, 2, 2)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_layer_is_the_last_one_that_everything_passes(name: str) -> None:
    key, settings, side, accepted, size = NETWORKS[name]
    net = randomise(create_model(key, num_classes=5, **settings))
    layer = model_of(net, (side, side), 5).stages[0]
    assert layer.name in accepted
    assert (layer.channels, layer.height, layer.width) == size


def hiera() -> nn.Module:
    settings = {"img_size": 64, "embed_dim": 24, "num_heads": 1, "stages": (1, 1, 2, 1), "mask_unit_size": (8, 8)}
    return randomise(create_model("hiera_tiny_224", num_classes=5, **settings))


def test_tokens_in_another_order_than_the_rasters_are_refused() -> None:
    mine = model_of(hiera(), (64, 64), 5)
    with pytest.raises(at.Refusal, match=r"The output of the layer 'blocks\.0' is not a stack of feature maps"):
        mine.layer("blocks.0")
    # In the last stage all units are one token each, in raster order.
    assert [str(layer) for layer in mine.stages] == ["blocks.4 (192 x 2 x 2, image tokens)"]


def convolutional(*last: nn.Module, channels: int = 6) -> nn.Module:
    """Return two stages of convolutions with batch norms, and what follows."""
    stem = [nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU()]
    body = [nn.Conv2d(4, channels, 3, 2, 1), nn.BatchNorm2d(channels), nn.ReLU()]
    last = last or (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 3))
    return randomise(nn.Sequential(nn.Sequential(*stem), nn.Sequential(*body), *last))


def test_a_network_with_as_many_classes_as_features_keeps_its_last_layer() -> None:
    net = randomise(zoo.densenet121(weights=None, num_classes=1024))
    assert str(model_of(net, (64, 64), 1024).stages[0]) == "features (1024 x 2 x 2)"


def test_a_map_of_class_logits_is_not_a_layer() -> None:
    net = convolutional(nn.Conv2d(6, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert str(model_of(net, (16, 16), 3).stages[0]) == "1 (6 x 4 x 4)"


@pytest.mark.parametrize("change", [lambda z: torch.cat([-z, z], 1), lambda z: z - z.mean(1, keepdim=True)])
def test_logits_whose_sum_is_constant_have_layers(change: Callable[[Tensor], Tensor]) -> None:
    class Changed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = convolutional()

        def forward(self, x: Tensor) -> Tensor:
            return change(self.net(x))

    classes = change(torch.ones(1, 3)).shape[1]
    assert str(model_of(Changed(), (16, 16), classes).stages[0]) == "net.1 (6 x 4 x 4)"


class PoolFree(nn.Sequential):
    """A block whose name says pool, though it does not pool."""


class Reduce(nn.Module):
    """A pooling layer whose name does not say so."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2)


def test_pooling_is_known_by_its_operator_not_by_its_name() -> None:
    body = PoolFree(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU())
    net = convolutional(body, Reduce(), nn.Flatten(), nn.Linear(32, 3))
    assert str(model_of(net, (16, 16), 3).stages[0]) == "2 (8 x 4 x 4)"


def test_a_folded_batch_norm_has_its_own_name() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4)
            self.conv2, self.bn2, self.head = nn.Conv2d(4, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = F.gelu(self.bn1(self.conv1(x)))
            return self.head(F.gelu(self.bn2(self.conv2(y))).mean((2, 3)))

    mine = model_of(randomise(Named()), (16, 16), 3)
    assert not isinstance(mine.running_net.bn2, nn.BatchNorm2d)
    assert str(mine.stages[0]) == "bn2 (6 x 4 x 4)"


class ChannelsLast(nn.Module):
    """The same convolutions with the channels of their features last."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.head = net[0], net[1], net[4]
        self.end = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x)).permute(0, 2, 3, 1)
        return self.head(self.end(y * 1).mean((1, 2)))


def test_channels_last_is_a_layout_like_another() -> None:
    net = convolutional()
    one, other = model_of(net, (16, 24), 3), model_of(ChannelsLast(net), (16, 24), 3)
    assert other.layer("end").channels_last
    x = noise(3, 16, 24)
    expected = at.attribute(one, x, at.GradCAM(negative="kept"), LOGIT).values
    found = at.attribute(other, x, at.GradCAM(negative="kept", layer="end"), LOGIT).values
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


class Patches(nn.Module):
    """A network on tokens: patches, two layers, and their mean; it accepts any size."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.first, self.second = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 8), nn.Linear(8, 8)
        self.act, self.head = nn.GELU(), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        tokens = self.act(self.second(self.act(self.first(tokens))))
        return self.head(tokens.mean(1))


def test_the_tokens_of_a_photo_of_another_shape_are_placed_on_its_own_grid() -> None:
    net = randomise(Patches()).double()
    mine, x = model_of(net, (16, 16), 3), noise(3, 8, 32, dtype=torch.float64)  # 16 tokens either way
    assert str(mine.stages[0]) == "act (8 x 4 x 4, image tokens)"
    result = at.attribute(mine, x, at.GradCAM(negative="kept"), LOGIT)
    assert result.notes == ("Layer act (8 x 2 x 8, image tokens).",)
    tokens = net.embed(x[None]).flatten(2).transpose(1, 2)
    features = net.act(net.second(net.act(net.first(tokens))))[0].detach()  # (16, 8)
    cells = (features @ net.head.weight[1].detach() / 16).view(1, 1, 2, 8)
    large = F.interpolate(cells, (8, 32), mode="bilinear")[0, 0].numpy()
    np.testing.assert_allclose(result.values.sum(0), large, atol=1e-12)


def test_a_person_names_any_layer() -> None:
    net = randomise(zoo.resnet18(weights=None, num_classes=3))
    mine, x = model_of(net, (64, 64), 3), noise(3, 64, 64)
    for name, size in (("layer4.0", "512 x 2 x 2"), ("layer3.1.conv1", "256 x 4 x 4"), ("layer3", "256 x 4 x 4")):
        (note,) = at.attribute(mine, x, at.GradCAM(layer=name), LOGIT).notes
        assert note == f"Layer {name} ({size})."
    same = [at.attribute(mine, x, method, LOGIT).values for method in (at.GradCAM(1), at.GradCAM(layer="layer3"))]
    np.testing.assert_allclose(*same, rtol=1e-3, atol=1e-4 * same[0].max())
    assert at.read_method("hires_cam(layer=layer3.0)") == at.HiResCAM(layer="layer3.0")
    product = at.attribute(mine, x, at.GuidedGradCAM(layer="layer3"), LOGIT)
    assert product.notes[0] == "Layer layer3 (256 x 4 x 4)."


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("layer5", r"^The network has no layer 'layer5'; choose one of layer4 \(512 x 2 x 2\), layer3 .*\.$"),
        ("fc", r"^The output of the layer 'fc' is not a stack of feature maps; choose one of layer4 .*\.$"),
        ("avgpool", "is not a stack of feature maps"),
    ],
)
def test_a_layer_that_would_not_do_is_refused_with_those_that_would(name: str, sentence: str) -> None:
    mine = model_of(randomise(zoo.resnet18(weights=None, num_classes=3)), (64, 64), 3)
    with pytest.raises(at.Refusal, match=sentence):
        at.attribute(mine, noise(3, 64, 64), at.GradCAM(layer=name))


def test_attention_weights_are_not_a_picture() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.softmax = Patches(), nn.Softmax(-1)

        def forward(self, x: Tensor) -> Tensor:
            tokens = F.gelu(self.patches.embed(x).flatten(2).transpose(1, 2))
            heads = torch.stack([tokens, tokens.roll(1, 2)], 1)
            weights = self.softmax(heads @ heads.mT)  # (N, 2, 16, 16)
            return self.patches.head(self.patches.act(tokens + (weights @ heads).mean(1)).mean(1))

    mine = model_of(randomise(Attention()), (16, 16), 3)
    assert [layer.name for layer in mine.stages] == ["patches.act"]
    with pytest.raises(at.Refusal, match="'softmax' is not a stack of feature maps"):
        mine.layer("softmax")


def literal(net: nn.Module, module: nn.Module, x: Tensor) -> np.ndarray:
    """Return Grad-CAM by the paper's formula from what this very module returns, before anything overwrites it."""
    kept: list[Tensor] = []
    handle = module.register_forward_hook(lambda module, args, output: kept.append(output) or output.clone())
    logit = net(x[None])[0, 1]
    handle.remove()
    (gradient,) = torch.autograd.grad(logit, kept[0])
    cells = (gradient.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True).detach()
    return F.interpolate(cells, x.shape[1:], mode="bilinear")[0, 0].numpy()


@pytest.mark.parametrize("name", ["conv1", "bn1", "relu", "layer4.1.conv2", "layer4.1.bn2", "layer4.1"])
def test_a_named_layer_is_the_output_of_this_very_module(name: str) -> None:
    net, x = randomise(zoo.resnet18(weights=None, num_classes=3)), noise(3, 64, 64)
    found = at.attribute(model_of(net, (64, 64), 3), x, at.GradCAM(negative="kept", layer=name), LOGIT)
    expected = literal(net, net.get_submodule(name), x)
    np.testing.assert_allclose(found.values.sum(0), expected, atol=1e-4 * abs(expected).max())


class Placed(nn.Module):
    """Convolutions on an image that is first moved about."""

    def __init__(self, move: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.move, self.features = move, nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1))
        self.act, self.head = nn.ReLU(), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.features(self.move(x))).mean((2, 3)))


MOVED = {
    "upside down": lambda x: x.flip(2),
    "mirrored": lambda x: x.flip(3),
    "turned": lambda x: x.transpose(2, 3),
    "rows by index": lambda x: x[:, :, torch.arange(47, -1, -1)],
    "padded to the left": lambda x: F.pad(x, (48, 0, 48, 0)),
}


@pytest.mark.parametrize("name", MOVED)
def test_maps_of_a_moved_image_are_not_drawn_over_the_photo(name: str) -> None:
    mine = model_of(randomise(Placed(MOVED[name])), (48, 48), 3)
    assert mine.stages == ()
    with pytest.raises(at.Refusal, match="needs a layer with feature maps, but toy has none"):
        at.attribute(mine, noise(3, 48, 48), at.GradCAM())


@pytest.mark.parametrize("last", [False, True])
def test_a_class_token_may_come_before_or_after_those_of_the_image(last: bool) -> None:
    class Classified(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.norm = Patches(), nn.LayerNorm(8)

        def forward(self, x: Tensor) -> Tensor:
            tokens = self.patches.embed(x).flatten(2).transpose(1, 2)
            parts = [torch.zeros_like(tokens[:, :1]), tokens]
            tokens = torch.cat(parts[::-1] if last else parts, 1)
            return self.patches.head(self.norm(tokens + self.patches.first(F.gelu(tokens))).mean(1))

    layer = model_of(randomise(Classified()), (48, 48), 3).stages[0]
    assert (layer.height, layer.width, layer.prefix, layer.suffix) == (12, 12, int(not last), int(last))


def test_a_layer_without_effect_on_a_photo_is_refused() -> None:
    class Either(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other, self.act = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3), nn.ReLU()
            self.last, self.head = nn.ReLU(), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.act(self.one(x))
            z = self.last(self.other(y))
            return self.head((y if 0.7 < x.mean() < 0.9 else z).mean((2, 3)))

    mine = model_of(randomise(Either()), (12, 12), 3)
    assert mine.stages[0].name == "last"
    with pytest.raises(at.Refusal, match="The layer 'last' does not affect the logits of this photo"):
        at.attribute(mine, 0.7 + 0.2 * noise(3, 12, 12), at.GradCAM())
