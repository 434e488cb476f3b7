"""The registry of models, the two embedded ones on real photos, and what at.Model takes and refuses."""

import dataclasses
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models as zoo

import attribution as at
from attribution.models import DEFAULT_MODEL
from attribution.network.device import available_devices
from attribution.photo.preprocessing import Interpolation, Preprocessing

ROOT = Path(__file__).parents[1]
EMBEDDED = ("squeezenet1_1", "efficientnet_lite0")
DOWNLOADED = """googlenet resnet18 resnet50 vgg16 densenet121 mobilenet_v2 inception_v3 alexnet efficientnet_b0
convnext_tiny vit_b_16""".split()
PLAIN = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)  # mean and std that change nothing
GERMAN_SHEPHERD, GOLDEN_RETRIEVER = 235, 207


@pytest.fixture(scope="module")
def lite() -> at.Model:
    return at.load_model("efficientnet_lite0", device="cpu")


def small_net(classes: int = 3) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)
        )


def model_of(net: nn.Module, classes: Sequence[str] = ("cat", "dog", "bird"), **options: Any) -> at.Model:
    mean, std = PLAIN
    return at.Model("mine", net, (8, 8), mean, std, classes, **{"device": "cpu"} | options)


def noise(height: int = 8, width: int = 8) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(2))


# The registry


def test_every_promised_model_is_registered_and_the_default_comes_first() -> None:
    assert at.MODELS.keys() >= {*EMBEDDED, *DOWNLOADED}
    assert next(iter(at.MODELS)) == DEFAULT_MODEL == "squeezenet1_1"
    assert [key for key, record in at.MODELS.items() if record.embedded] == list(EMBEDDED)
    assert all(record.key == key for key, record in at.MODELS.items())


@pytest.mark.parametrize("key", at.MODELS)
def test_the_facts_of_a_model_are_sane(key: str) -> None:
    record = at.MODELS[key]
    facts = record.facts()
    height, width = facts.preprocessing.size
    assert 0 < facts.preprocessing.crop <= 1
    assert height == width
    assert 224 <= height <= 299
    assert all(0.4 < value < 0.51 for value in facts.preprocessing.mean)
    assert all(0.2 < value < 0.51 for value in facts.preprocessing.std)
    assert 50 < facts.top1 < 90
    assert 4 < facts.size < 600
    assert facts.licence
    assert facts.source


@pytest.mark.parametrize("key", [*EMBEDDED, *DOWNLOADED])
def test_the_classes_of_a_model_are_those_of_imagenet(key: str) -> None:
    classes = at.MODELS[key].facts().classes
    assert classes == tuple(zoo.ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
    assert len(classes) == 1000
    assert classes[GERMAN_SHEPHERD] == "German shepherd"


@pytest.mark.parametrize("key", DOWNLOADED)
def test_the_photo_reaches_a_torchvision_model_as_its_own_recipe_says(key: str, samples: Path) -> None:
    facts = at.MODELS[key].facts()
    image = at.open_image(samples / "german_shepherd_on_grass.jpg")
    mean, std = (torch.tensor(part).view(3, 1, 1) for part in (facts.preprocessing.mean, facts.preprocessing.std))
    found = (facts.preprocessing.prepare(image) - mean) / std
    expected = zoo.get_model_weights(key)["IMAGENET1K_V1"].transforms()(image)
    assert found.shape == expected.shape
    # The recipe of inception_v3 cuts 299 out of 342, which lies half a pixel beside the centre.
    assert (found - expected).abs().mean() < (0.15 if key == "inception_v3" else 1e-4)


def test_an_unknown_model_is_refused_with_all_names() -> None:
    with pytest.raises(at.Refusal, match=r"There is no model 'resnet'; choose one of squeezenet1_1, .*vit_b_16.*\.$"):
        at.load_model("resnet")


def test_an_unknown_device_is_refused_when_a_model_is_loaded() -> None:
    with pytest.raises(at.Refusal, match=r"The device 'tpu' is not available; choose one of auto, .*cpu\.$"):
        at.load_model("squeezenet1_1", device="tpu")


# The embedded models


def test_squeezenet_is_torchvisions_with_the_same_weights(squeezenet: at.Model, shepherd: Tensor) -> None:
    net = zoo.squeezenet1_1(weights=None).eval()
    net.load_state_dict(load_file(ROOT / "assets" / "models" / "squeezenet1_1_imagenet.safetensors"))
    mean, std = (torch.tensor(part).view(3, 1, 1) for part in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        expected, found = net(((shepherd - mean) / std)[None]), squeezenet.logits(shepherd[None])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)
    assert found.argmax() == GERMAN_SHEPHERD


def test_efficientnet_lite0_is_frozen_and_complete(lite: at.Model) -> None:
    with torch.no_grad():
        logits = lite.logits(torch.full((1, 3, 224, 224), 0.5))
    assert logits.shape == (1, 1000)
    assert torch.isfinite(logits).all()
    assert lite.preprocessing.size == (224, 224)
    assert lite.inspection.operators.count > 20  # ReLU6


@pytest.mark.parametrize(
    ("photo", "index"), [("german_shepherd_on_grass", GERMAN_SHEPHERD), ("golden_retriever", GOLDEN_RETRIEVER)]
)
@pytest.mark.parametrize("key", EMBEDDED)
def test_the_embedded_models_recognise_the_dogs(
    key: str, photo: str, index: int, request: pytest.FixtureRequest, samples: Path
) -> None:
    model: at.Model = request.getfixturevalue({"squeezenet1_1": "squeezenet", "efficientnet_lite0": "lite"}[key])
    top = model.predict(model.prepare(at.open_image(samples / f"{photo}.jpg")), k=5)
    assert top[0][:2] == (index, model.classes[index])
    probabilities = [probability for *_, probability in top]
    assert len(top) == 5
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0 < sum(probabilities) <= 1


def test_predict_gives_probabilities_of_all_classes_that_sum_to_one() -> None:
    model, x = model_of(small_net()), noise()
    top = model.predict(x, k=50)
    expected = model.logits(x[None])[0].double().softmax(0)
    assert sorted(index for index, *_ in top) == [0, 1, 2]
    for index, name, probability in top:
        assert name == model.classes[index]
        assert probability == pytest.approx(float(expected[index]))
    assert sum(probability for *_, probability in top) == pytest.approx(1)


# From a photo to what the network sees


def textured(width: int, height: int) -> Image.Image:
    generator = np.random.default_rng(width * height)
    coarse = generator.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(512, 512), (768, 512), (512, 1024), (144, 96), (64, 64), (1600, 256)])
def test_preparing_is_resizing_the_photo_and_cutting_out_its_centre(
    size: tuple[int, int], interpolation: Interpolation
) -> None:
    image = textured(*size)
    whole = round(224 / 0.875)  # 256, the shorter side; the sizes above leave no fractions of a pixel
    scale = whole / min(size)
    width, height = round(size[0] * scale), round(size[1] * scale)
    resized = image.resize((width, height), getattr(Image.Resampling, interpolation.upper()))
    left, top = (width - 224) // 2, (height - 224) // 2
    expected = np.asarray(resized.crop((left, top, left + 224, top + 224)), np.float32) / 255

    found = Preprocessing((224, 224), *PLAIN, crop=0.875, interpolation=interpolation).prepare(image)
    assert found.dtype == torch.float32
    assert found.shape == (3, 224, 224)
    assert found.device.type == "cpu"
    assert 0 <= found.min() < found.max() <= 1
    np.testing.assert_allclose(found.permute(1, 2, 0), expected, atol=2.01 / 255)  # each of two passes rounds


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("crop", [0.6, 0.875])
@pytest.mark.parametrize(
    ("width", "height"), [(251, 251), (251, 97), (83, 241), (30, 31)], ids=["square", "wide", "tall", "tiny"]
)
def test_every_pixel_comes_from_its_place_in_the_centre_square(
    width: int, height: int, crop: float, interpolation: Interpolation
) -> None:
    across, down = np.meshgrid(np.arange(width, dtype=np.uint8), np.arange(height, dtype=np.uint8))
    image = Image.fromarray(np.stack([across, down, np.zeros_like(down)], 2))  # each pixel says where it was
    found = Preprocessing((20, 40), *PLAIN, crop=crop, interpolation=interpolation).prepare(image) * 255
    side = crop * min(width, height)
    columns = (width - side) / 2 + (np.arange(40) + 0.5) * side / 40 - 0.5
    rows = (height - side) / 2 + (np.arange(20) + 0.5) * side / 20 - 0.5
    np.testing.assert_allclose(found[0], np.broadcast_to(columns, (20, 40)), atol=1.01)
    np.testing.assert_allclose(found[1], np.broadcast_to(rows[:, None], (20, 40)), atol=1.01)
    np.testing.assert_array_equal(found[2], 0)


def test_a_photo_of_the_networks_size_is_not_changed() -> None:
    image = textured(40, 40)
    found = Preprocessing((40, 40), *PLAIN, crop=1.0).prepare(image)
    np.testing.assert_allclose(found.permute(1, 2, 0) * 255, np.asarray(image), atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 3)])
def test_a_photo_of_a_few_pixels_fills_the_input(size: tuple[int, int]) -> None:
    found = Preprocessing((224, 224), *PLAIN).prepare(Image.new("RGB", size, (51, 102, 204)))
    assert found.shape == (3, 224, 224)
    np.testing.assert_allclose(found.amin((1, 2)) * 255, (51, 102, 204), atol=1e-4)
    np.testing.assert_allclose(found.amax((1, 2)) * 255, (51, 102, 204), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"crop": 0.0}, r"crop must be above 0 and at most 1, got 0\.0"),
        ({"crop": 1.5}, r"crop must be above 0 and at most 1, got 1\.5"),
        ({"crop": float("nan")}, "crop must be above 0 and at most 1, got nan"),
        ({"interpolation": "cubic"}, "must be one of bilinear, bicubic, nearest, box, hamming, lanczos, got 'cubic'"),
        ({"size": (0, 224)}, r"size \(0, 224\)"),
        ({"std": (0.2, 0.0, 0.2)}, "must be positive"),
    ],
)
def test_a_preprocessing_that_no_photo_fits_is_refused(change: dict[str, Any], match: str) -> None:
    right = Preprocessing((224, 224), *PLAIN)
    with pytest.raises(at.Refusal, match=match):
        dataclasses.replace(right, **change)


# A network of one's own


def test_pixels_are_normalised_inside() -> None:
    net, x = small_net().eval(), noise()
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    model = at.Model("mine", net, (8, 8), mean, std, ("a", "b", "c"), device="cpu")
    normalised = (x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    torch.testing.assert_close(model.logits(x[None]), net(normalised[None]))


def test_the_network_of_the_caller_stays_as_it_was() -> None:
    net = small_net().train()
    net[0].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    model, x = model_of(net), noise()
    at.attribute(model, x, at.Gradient())
    assert net.training
    assert not net[0].weight.requires_grad
    assert net[4].weight.requires_grad
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_later_training_of_the_callers_network_does_not_reach_the_model() -> None:
    net, x = small_net(), noise()
    model = model_of(net)
    before = model.logits(x[None])
    with torch.no_grad():
        nn.utils.vector_to_parameters(torch.zeros(1000), net.parameters())
    assert torch.equal(model.logits(x[None]), before)


def test_dropout_and_batch_norm_are_in_evaluation_mode() -> None:
    norm = nn.BatchNorm2d(4)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(144, 3))
    model, x = model_of(net.train()), noise()
    assert torch.equal(model.logits(x[None]), model.logits(x[None]))
    assert norm.num_batches_tracked == 0


def test_hooks_that_only_look_stay_with_the_caller() -> None:
    net = small_net().eval()
    calls: list[str] = []

    def note(name: str) -> Callable[..., None]:
        return lambda *args, **kwargs: calls.append(name)

    net.register_forward_pre_hook(note("before the whole"))
    net[0].register_forward_pre_hook(note("before"), with_kwargs=True)
    net[1].register_forward_hook(note("after"))
    net[4].register_full_backward_pre_hook(note("before going back"))
    net[4].register_full_backward_hook(note("going back"))
    names = ["before the whole", "before", "after", "before going back", "going back"]

    model, x = model_of(net), noise()
    at.attribute(model, x, at.Gradient(), at.Target(0))
    assert calls == []
    hooks = [hook for each in model.running_net.modules() for hook in (*each._forward_pre_hooks, *each._forward_hooks)]
    assert len(hooks) == len(list(model.running_net.modules())) - 1  # one a module, which gathers outputs

    net(x[None].requires_grad_())[0, 0].backward()
    assert calls == names


def test_double_precision_is_kept() -> None:
    model = model_of(small_net().double())
    assert model.dtype == torch.float64
    assert model.logits(noise()[None].double()).dtype == torch.float64
    assert at.attribute(model, noise(), at.Gradient()).values.dtype == np.float64


class Holding(nn.Module):
    """Gives the logits of a small network, and keeps something beside it."""

    def __init__(self, change: Callable[[Tensor], Any] = lambda logits: logits, kept: object = None) -> None:
        super().__init__()
        self.net, self.change, self.kept = small_net(), change, kept

    def forward(self, x: Tensor) -> Any:
        return self.change(self.net(x))


def check_refused(match: str, make: Callable[[], object]) -> None:
    with pytest.raises(at.Refusal, match=match) as caught:
        make()
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("inside", [False, True])
def test_torchscript_is_refused(inside: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer versions of PyTorch call TorchScript deprecated
        traced = torch.jit.trace(small_net().eval(), torch.zeros(1, 3, 8, 8))  # type: ignore[no-untyped-call]
        net = nn.Sequential(traced) if inside else traced
        check_refused("TorchScript network hides its operators; pass the original", lambda: model_of(net))


def test_a_network_that_cannot_be_copied_is_refused() -> None:
    net = Holding(kept=threading.Lock())
    check_refused("cannot be copied .*lock.*; pass a plain torch.nn.Module", lambda: model_of(net))
    assert net.training


@pytest.mark.parametrize("names", [("cat", "dog"), ("cat", "dog", "bird", "fish")])
def test_a_wrong_number_of_class_names_is_refused(names: tuple[str, ...]) -> None:
    check_refused(
        rf"mine returns shape \(N, 3\), but {len(names)} class names need logits of shape \(N, {len(names)}\)",
        lambda: model_of(small_net(), names),
    )


@pytest.mark.parametrize("names", [("cat",), ()])
def test_fewer_than_two_classes_are_refused(names: tuple[str, ...]) -> None:
    net = small_net(max(1, len(names)))
    check_refused(
        f"mine has {len(names)} names, but classes needs at least 2 class names", lambda: model_of(net, names)
    )


@pytest.mark.parametrize(
    ("change", "given"),
    [
        (lambda logits: (logits, logits), "a tuple"),
        (lambda logits: {"logits": logits}, "a dict"),
        (lambda logits: None, "a NoneType"),
        (lambda logits: logits[0], r"shape \(3,\)"),
        (lambda logits: logits[..., None, None], r"shape \(N, 3, 1, 1\)"),
    ],
)
def test_an_output_that_is_not_one_logit_a_class_is_refused(change: Callable[[Tensor], Any], given: str) -> None:
    check_refused(
        f"mine returns {given}, but .*; wrap it so that it returns one logit per class",
        lambda: model_of(Holding(change)),
    )


@pytest.mark.parametrize("cut", [lambda logits: logits.detach(), torch.no_grad()(lambda logits: logits * 1)])
def test_a_network_that_passes_no_gradient_back_is_refused(cut: Callable[[Tensor], Tensor]) -> None:
    check_refused("mine passes no gradient back to its input; remove detach", lambda: model_of(Holding(cut)))


@pytest.mark.parametrize("device", ["tpu", "", "cuda:99", "cpu:1", "CPU"])
def test_an_unknown_device_is_refused_with_those_that_are_there(device: str) -> None:
    there = ", ".join(["auto", *available_devices()])
    check_refused(
        f"The device '{device}' is not available; choose one of {there}", lambda: model_of(small_net(), device=device)
    )


def test_the_best_device_is_chosen_automatically() -> None:
    assert available_devices()[-1] == "cpu"
    assert model_of(small_net(), device="auto").device == torch.device(available_devices()[0])


# Classes by index and by name


@pytest.fixture(scope="module")
def zoo_of_names() -> at.Model:
    return model_of(small_net(6), ("German shepherd", "malinois", "crane", "tabby", "Crane", "tiger cat"))


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("0", 0),
        ("5", 5),
        (" 3 ", 3),
        ("tabby", 3),
        ("German shepherd", 0),
        ("german SHEPHERD", 0),
        ("  malinois ", 1),
    ],
)
def test_a_class_is_found_by_index_and_by_name(zoo_of_names: at.Model, text: str, index: int) -> None:
    assert zoo_of_names.find_class(text) == index


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("6", "mine has no class 6; choose an index from 0 to 5"),
        ("1000", "mine has no class 1000; choose an index from 0 to 5"),
        ("-1", "mine has no class '-1'"),
        ("crane", "2 classes are called 'crane'; use an index: 2, 4"),
        ("shepherd", "no class 'shepherd'; did you mean (?i:German shepherd)"),
        ("tabbi", "no class 'tabbi'; did you mean tabby"),
        ("xyzzy", "no class 'xyzzy'; use an index from 0 to 5"),
    ],
)
def test_a_class_that_is_not_there_is_refused_with_the_nearest(zoo_of_names: at.Model, text: str, match: str) -> None:
    with pytest.raises(at.Refusal, match=match) as caught:
        zoo_of_names.find_class(text)
    assert str(caught.value)[-1] in ".?"


def test_every_imagenet_class_is_found_by_its_index(squeezenet: at.Model) -> None:
    assert [squeezenet.find_class(str(index)) for index in range(1000)] == list(range(1000))
    assert squeezenet.find_class("german shepherd") == GERMAN_SHEPHERD


# What an import costs


def test_importing_and_the_default_model_load_neither_streamlit_nor_plotly_nor_torchvision() -> None:
    code = """
import sys
heavy = ("streamlit", "plotly", "torchvision", "timm")
import attribution
print([name for name in heavy if name in sys.modules])
attribution.load_model("squeezenet1_1", device="cpu")
print([name for name in heavy if name in sys.modules])
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100, check=True
    )
    assert run.stdout.split("\n")[:2] == ["[]", "[]"]
