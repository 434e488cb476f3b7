"""The contract of every method, every baseline and every page, including those that are added later."""

import inspect
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from timm import create_model
from torch import Tensor, nn
from torchvision import models as zoo
from toys import brief, model_of, noise, randomise, vision_transformer

import attribution as at
from attribution.methods.method import GROUPS, Method
from attribution.settings import described, plain, read, restore, write

SIDE, CLASSES = 64, 12
ROOT = Path(__file__).parents[1]


NETS = {
    "resnet18": lambda: zoo.resnet18(weights=None, num_classes=CLASSES),
    "mobilenet_v2": lambda: zoo.mobilenet_v2(weights=None, num_classes=CLASSES),
    "googlenet": lambda: zoo.googlenet(weights=None, num_classes=CLASSES, aux_logits=False, init_weights=False),
    "densenet121": lambda: zoo.densenet121(weights=None, num_classes=CLASSES),
    "convnext_tiny": lambda: zoo.convnext_tiny(weights=None, num_classes=CLASSES),
    "efficientnet_b0": lambda: zoo.efficientnet_b0(weights=None, num_classes=CLASSES),
    "vit": vision_transformer,
}


@pytest.fixture(scope="module", params=NETS)
def model(request: pytest.FixtureRequest) -> at.Model:
    return model_of(randomise(NETS[request.param]()), (SIDE, SIDE), CLASSES, request.param)


@pytest.fixture(params=at.METHODS)
def method(request: pytest.FixtureRequest) -> Method:
    return brief(at.METHODS[request.param])


def test_a_method_serves_a_model_or_refuses_in_one_sentence(model: at.Model, method: Method) -> None:
    serves_or_refuses(model, noise(3, SIDE, SIDE), method)


OWN = {
    "squeezenet1_1": lambda: at.load_model("squeezenet1_1", device="cpu"),
    "efficientnet_lite0": lambda: at.load_model("efficientnet_lite0", device="cpu"),
    "vit_tiny": lambda: model_of(randomise(create_model("vit_tiny_patch16_224")), (224, 224), 1000, "vit_tiny"),
}


@pytest.fixture(scope="module", params=OWN)
def own(request: pytest.FixtureRequest) -> at.Model:
    return OWN[request.param]()


def test_a_method_serves_or_refuses_at_the_models_own_size(own: at.Model, method: Method) -> None:
    x, before = noise(3, *own.preprocessing.size), own.weights
    serves_or_refuses(own, x, method)
    del own.weights  # cached; it is computed again
    assert own.weights == before
    assert all(not parameter.requires_grad and parameter.grad is None for parameter in own.running_net.parameters())


def serves_or_refuses(model: at.Model, x: Tensor, method: Method) -> None:
    reason = method.refusal(model)
    if reason:
        assert reason.endswith(".")
        assert "\n" not in reason
        with pytest.raises(at.Refusal) as refused:
            at.attribute(model, x, method)
        assert str(refused.value) == reason
        return
    first, second = at.attribute(model, x, method), at.attribute(model, x, method)
    assert first.values.shape == x.shape
    assert plain(restore(type(method), first.settings)) == first.settings
    assert first.values.dtype == np.float32
    assert np.isfinite(first.values).all()
    assert first.values.any()
    assert np.array_equal(first.values, second.values)
    assert (first.delta is None) == (not method.complete)
    assert all(note.endswith(".") for note in first.notes)
    cost = method.cost((x.shape[1], x.shape[2]))  # without the pass of the photo itself and of the baseline
    assert first.backwards == cost.backwards
    assert cost.forwards <= first.forwards <= cost.forwards + 2


# Deep networks with random weights would need many more steps: their values cancel, and the sum is far smaller.
@pytest.mark.parametrize(
    "model", ["resnet18", pytest.param("convnext_tiny", marks=pytest.mark.slow), "vit"], indirect=True
)
@pytest.mark.parametrize("key", [key for key, method in at.METHODS.items() if "steps" in described(method)])
def test_a_complete_method_accounts_for_the_score_difference(model: at.Model, key: str) -> None:
    few = brief(at.METHODS[key])
    patient = replace(few, steps=100) if "steps" in described(type(few)) else few
    result = at.attribute(model, noise(3, SIDE, SIDE), patient, at.Target(score="logit"))
    cancelling = 0.001 * float(np.abs(result.values).sum())
    assert abs(result.delta) < 0.05 * abs(result.score - result.baseline_score) + cancelling


def test_only_networks_without_rectifiers_are_refused_by_their_rules() -> None:
    refused = {
        name
        for name, net in NETS.items()
        if at.GuidedBackprop().refusal(model_of(randomise(net()), (SIDE, SIDE), CLASSES))
    }
    assert refused == {"convnext_tiny", "efficientnet_b0", "vit"}


@pytest.mark.parametrize("registry", [at.METHODS, at.BASELINES], ids=["methods", "baselines"])
def test_everything_registered_describes_itself_and_survives_as_text(registry: dict[str, type]) -> None:
    for key, cls in registry.items():
        value = cls()
        assert cls.key == key
        assert inspect.getdoc(cls)
        assert cls.title
        assert cls.shows.endswith(".")
        assert all(kind.help.endswith(".") for kind in described(cls).values())
        assert read(write(value), registry) == value
        assert read(write(value, full=True), registry) == value
        assert restore(cls, json.loads(json.dumps(plain(value)))) == value
        with pytest.raises(Exception, match="cannot assign"):
            value.anything = 1
        if registry is at.METHODS:
            assert cls.group in GROUPS
            assert all(each.endswith(".") for each in (cls.idea, cls.shows, cls.cannot, cls.passes, cls.fails))
            assert cls.deviation == "" or cls.deviation.endswith(".")
            assert cls.formula
            assert cls.source.arxiv or cls.source.venue or cls.source.journal
            assert cls.source.bibtex.startswith("@")
            assert getattr(at, cls.__name__) is cls


@pytest.mark.parametrize("key", at.BASELINES)
def test_a_baseline_is_an_image_of_the_photos_shape_and_kind(key: str) -> None:
    for x in (noise(3, 5, 7), noise(3, 5, 7, dtype=torch.float64)):
        before = x.clone()
        assert torch.equal(at.BASELINES[key]().image(x), at.BASELINES[key]().images(x)[0])
        first, second = (at.BASELINES[key]().images(x) for _ in range(2))
        assert first.shape == (at.BASELINES[key]().count, *x.shape)
        assert first.dtype == x.dtype
        assert torch.equal(first, second)
        assert first.min() >= 0
        assert first.max() <= 1
        assert torch.equal(x, before)


CONSTANT = [key for key, cls in at.BASELINES.items() if cls.__module__.endswith(".constant")]


@pytest.mark.parametrize("key", [*CONSTANT, "other_photo"])
def test_pixels_that_equal_a_constant_baseline_get_exactly_nothing(key: str) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    model = model_of(randomise(net), (8, 8), 3)
    x: Tensor = noise(3, 8, 8)
    x[:, 2:5] = at.BASELINES[key]().image(x)[:, 2:5]
    values = at.attribute(model, x, at.IntegratedGradients(5, at.BASELINES[key]())).values
    assert not values[:, 2:5].any()
    assert values.any()


def test_the_interface_names_no_method() -> None:
    names = {name for key, cls in at.METHODS.items() for name in (f'"{key}"', f"'{key}'", rf"\b{cls.__name__}\b")}
    for path in (ROOT / "attribution" / "ui").rglob("*.py"):
        assert not [name for name in names if re.search(name, path.read_text())], path
