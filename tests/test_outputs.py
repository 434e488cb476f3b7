"""Kinds of output: one logit, independent labels and a number, against networks whose answers are known."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from PIL import Image
from torch import Tensor, nn
from toys import CONVOLUTIONAL, brief, noise

import attribution as at
from attribution import export
from attribution.checks.faithfulness import measure
from attribution.checks.sanity import Randomisation, randomise
from attribution.checks.trial import Trial
from attribution.methods.method import Method
from attribution.settings import write

SIDE = 24
GREY, RGB = (0.5,), (0.5, 0.4, 0.3)
METHODS = [brief(method) for key, method in CONVOLUTIONAL.items() if key != "guided_integrated_gradients"]


def body(outputs: int, channels: int = 3) -> nn.Sequential:
    torch.manual_seed(1)
    layers = [nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 12, 3), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, outputs)).double()


class Pair(nn.Module):
    """The two-class network [0, z] of a network with one logit z."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.net(x)
        return torch.cat([torch.zeros_like(z), z], 1)


def model(net: nn.Module, names: list[str], output: str, **options: object) -> at.Model:
    channels = int(options.get("channels", 3))  # type: ignore[call-overload]
    mean = RGB if channels == 3 else GREY
    size = (SIDE, SIDE)
    return at.Model(output, net, size, mean, mean, names, device="cpu", output=output, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def x() -> Tensor:
    return noise(3, SIDE, SIDE)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.key)
@pytest.mark.parametrize(("score", "index"), [("probability", 0), ("probability", 1), ("log_odds", 1), ("logit", 1)])
def test_one_logit_equals_a_network_of_two_classes(x: Tensor, method: Method, score: str, index: int) -> None:
    net, target = body(1), at.Target(index, score)
    binary = model(net, ["cat", "dog"], "binary")
    if reason := method.refusal(binary):
        pytest.skip(reason)  # it compares the logits of classes
    one = at.attribute(binary, x, method, target)
    two = at.attribute(model(Pair(net), ["cat", "dog"], "classes"), x, method, target)
    assert_allclose(one.values, two.values, rtol=1e-9, atol=1e-12 * np.abs(two.values).max())
    assert one.score == pytest.approx(two.score, rel=1e-12)
    assert one.prediction[0][1] == two.prediction[0][1]


@pytest.mark.parametrize("flat", [True, False], ids=["(N,)", "(N, 1)"])
def test_the_gradients_of_two_classes_are_opposite(x: Tensor, flat: bool) -> None:
    net = nn.Sequential(body(1), nn.Flatten(0)) if flat else body(1)
    binary = model(net, ["cat", "dog"], "binary")
    for score in ("probability", "log_odds"):
        cat, dog = (at.attribute(binary, x, at.Gradient(), at.Target(each, score)) for each in (0, 1))
        assert np.any(dog.values)
        assert_allclose(cat.values, -dog.values, rtol=1e-12)
    assert cat.score == pytest.approx(-dog.score)
    mean = torch.tensor(RGB, dtype=torch.float64).view(3, 1, 1)
    z = float(net((x.double()[None] - mean) / mean).detach().sum())
    assert dog.score == pytest.approx(z, rel=1e-6)


def test_the_first_of_two_classes_has_no_logit(x: Tensor) -> None:
    with pytest.raises(at.Refusal, match="no logit of its own"):
        at.attribute(model(body(1), ["cat", "dog"], "binary"), x, at.Gradient(), at.Target(0, "logit"))


class OneByOne(nn.Module):
    """Independent logits: each reads one channel only."""

    def forward(self, x: Tensor) -> Tensor:
        return x.square().mean((2, 3)) * x.new_tensor([1.0, -2.0, 3.0])


@pytest.mark.parametrize("score", ["probability", "log_odds", "logit"])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_no_other_label_has_a_gradient(x: Tensor, score: str, index: int) -> None:
    found = at.attribute(model(OneByOne(), ["a", "b", "c"], "labels"), x, at.Gradient(), at.Target(index, score))
    others = [each for each in range(3) if each != index]
    assert np.any(found.values[index])
    assert not np.any(found.values[others])


def test_labels_are_sigmoids(x: Tensor) -> None:
    labels = model(body(3), ["a", "b", "c"], "labels")
    logits = labels.logits(x.double()[None])[0].detach()
    found = {index: share for index, _, share in labels.predict(x)}
    assert_allclose([found[each] for each in range(3)], logits.sigmoid(), rtol=1e-9)
    result = at.attribute(labels, x, at.Gradient(), at.Target(1))
    assert result.score == pytest.approx(float(logits[1].sigmoid()))
    with pytest.raises(at.Refusal, match="independent"):
        at.attribute(labels, x, at.Gradient(), at.Target(1, versus=2))


def test_integrated_gradients_of_a_number_sum_to_its_difference(x: Tensor) -> None:
    age = model(body(1), ["age"], "number", unit="years")
    found = at.attribute(age, x, at.IntegratedGradients(steps=400))
    here, black = (float(age.logits(each.double()[None]).detach()) for each in (x, torch.zeros_like(x)))
    assert found.values.sum() == pytest.approx(here - black, rel=1e-3)
    assert (found.score, found.baseline_score) == (pytest.approx(here), pytest.approx(black))
    assert found.unit == "years"
    assert found.target.quantity(34.2) == "value 34.2 years"
    assert found.prediction == ((0, "age", pytest.approx(here)),)
    assert found.target.predicted(0, "age", 34.21) == "age 34.21 years"
    again = at.read_target(write(found.target))
    assert again == found.target


def test_scores_that_mean_nothing_are_refused(x: Tensor) -> None:
    number = model(body(1), ["age"], "number")
    for score in ("probability", "log_odds", "logit"):
        with pytest.raises(at.Refusal, match=f"The score {score} means nothing for a network that returns a number"):
            at.attribute(number, x, at.Gradient(), at.Target(0, score))
    with pytest.raises(at.Refusal, match="value means nothing"):
        at.attribute(model(body(3), ["a", "b", "c"], "classes"), x, at.Gradient(), at.Target(0, "value"))


@pytest.mark.parametrize(
    ("output", "outputs", "names", "reason"),
    [
        ("binary", 1, ["a"], "needs 2 class names"),
        ("binary", 3, ["a", "b"], "returns shape"),
        ("classes", 1, ["a"], "needs at least 2 class names"),
        ("number", 2, ["a"], "returns shape"),
        ("number", 1, [], "needs 1 name"),
        ("labels", 2, ["a"], "returns shape"),
        ("odds", 2, ["a", "b"], "Unknown name 'odds'"),
    ],
)
def test_what_does_not_fit_is_refused(output: str, outputs: int, names: list[str], reason: str) -> None:
    with pytest.raises(at.Refusal, match=reason):
        model(body(outputs), names, output)


def test_a_unit_needs_a_number() -> None:
    with pytest.raises(at.Refusal, match="needs the output number"):
        model(body(2), ["a", "b"], "classes", unit="years")


def test_a_wrong_gradient_of_a_number_is_noticed() -> None:
    class Straight(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = body(1)

        def forward(self, x: Tensor) -> Tensor:
            z: Tensor = self.net(x)
            x = x.mean((1, 2, 3))[:, None]
            return z.detach() - 5 * (x - x.detach())  # the value of z, with another gradient

    assert not model(Straight(), ["age"], "number").inspection.is_derivative
    assert model(body(1), ["age"], "number").inspection.is_derivative


@pytest.mark.parametrize(
    ("output", "outputs", "names"), [("binary", 1, ["a", "b"]), ("labels", 3, list("abc")), ("number", 1, ["age"])]
)
def test_checks_and_exports_follow(x: Tensor, output: str, outputs: int, names: list[str], tmp_path: Path) -> None:
    kind = model(body(outputs), names, output)
    methods = [at.Gradient(), at.IntegratedGradients(steps=4)]
    found = randomise(kind, x, methods, None, Randomisation())
    assert found.sentence(0)
    assert (found.swap is None) == (output != "labels")
    results = at.compare(kind, x, methods)
    deleted = measure(kind, results.maps, Trial(steps=10, samples=3, moves=2))
    assert all(deleted.sentence(place) for place in range(deleted.count))
    export.folder(results, tmp_path)
    export.report(results, tmp_path / "report.html")
    export.figure(results, tmp_path / "figure.png")
    assert (">Value</th>" if output == "number" else "%</td>") in (tmp_path / "report.html").read_text()
    results.maps[0].save(tmp_path / "map.npz")
    assert at.load(tmp_path / "map.npz").target == results.maps[0].target


def test_grey_values_are_the_networks_own(x: Tensor) -> None:
    net = body(3, channels=1)
    grey = model(net, ["a", "b", "c"], "classes", channels=1)
    found = at.attribute(grey, x, at.Gradient(), at.Target(0, "logit"))
    own = x.double().mean(0, keepdim=True).requires_grad_()
    logit = net(((own - 0.5) / 0.5)[None])[0, 0]
    (expected,) = torch.autograd.grad(logit, own)
    assert found.score == pytest.approx(float(logit.detach()), rel=1e-6)
    assert_allclose(found.values.sum(0), expected[0], rtol=1e-6, atol=1e-9)
    assert_allclose(found.values, np.repeat(expected.numpy() / 3, 3, 0), rtol=1e-6, atol=1e-9)


def test_grey_photos_are_the_mean_of_their_channels() -> None:
    grey = model(body(2, channels=1), ["a", "b"], "classes", channels=1)
    red = at.open_image(_png((90, 30, 60)))
    prepared = grey.prepare(red)
    assert prepared.shape == (3, SIDE, SIDE)
    assert_allclose(prepared, 60 / 255, rtol=1e-6)


def _png(colour: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(("channels", "reason"), [(1, "pass channels=1"), (4, "takes 4 channels, but only 1 and 3")])
def test_another_number_of_channels_is_refused(channels: int, reason: str) -> None:
    with pytest.raises(at.Refusal, match=reason):
        model(body(2, channels=channels), ["a", "b"], "classes")
    with pytest.raises(at.Refusal, match="only 1 and 3 are supported"):
        model(body(2, channels=4), ["a", "b"], "classes", channels=4)
