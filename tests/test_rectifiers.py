"""The three rules: the table for every spelling, the operators around a rectifier, whole networks by the reference."""

import math

import pytest
import torch
import torch.nn.functional as F
from reference import backward, integrated_gradients, logits_of
from torch import Tensor, nn
from torchvision import models as zoo
from toys import answer, image, model_of, noise, randomise, toy

import attribution as at
from attribution.network.rectifiers import BACKWARD_RULES, Interception, Rectifiers

METHOD = {"gradient": at.Gradient(), "guided": at.GuidedBackprop(), "zeiler_fergus": at.ZeilerFergus()}
SPELLINGS = {  # name: (function, upper bound, True if it works in place)
    "nn.ReLU": (nn.ReLU(), math.inf, False),
    "nn.ReLU in place": (nn.ReLU(inplace=True), math.inf, True),
    "F.relu": (F.relu, math.inf, False),
    "F.relu in place": (lambda x: F.relu(x, inplace=True), math.inf, True),
    "F.relu_": (F.relu_, math.inf, True),
    "torch.relu": (torch.relu, math.inf, False),
    "torch.relu by keyword": (lambda x: torch.relu(input=x), math.inf, False),
    "torch.relu_": (torch.relu_, math.inf, True),
    "Tensor.relu": (lambda x: x.relu(), math.inf, False),
    "Tensor.relu_": (lambda x: x.relu_(), math.inf, True),
    "torch.clamp": (lambda x: torch.clamp(x, min=0.0), math.inf, False),
    "torch.clamp_": (lambda x: torch.clamp_(x, min=0), math.inf, True),
    "Tensor.clamp": (lambda x: x.clamp(min=0), math.inf, False),
    "Tensor.clamp by position": (lambda x: x.clamp(0), math.inf, False),
    "Tensor.clamp_": (lambda x: x.clamp_(min=0), math.inf, True),
    "torch.clip": (lambda x: torch.clip(x, min=0), math.inf, False),
    "Tensor.clip": (lambda x: x.clip(min=0), math.inf, False),
    "Tensor.clip_": (lambda x: x.clip_(min=0), math.inf, True),
    "torch.clamp_min": (lambda x: torch.clamp_min(x, 0), math.inf, False),
    "Tensor.clamp_min": (lambda x: x.clamp_min(0), math.inf, False),
    "Tensor.clamp_min_": (lambda x: x.clamp_min_(0), math.inf, True),
    "nn.Threshold": (nn.Threshold(0, 0), math.inf, False),
    "nn.Threshold in place": (nn.Threshold(0, 0, inplace=True), math.inf, True),
    "F.threshold": (lambda x: F.threshold(x, threshold=0, value=0), math.inf, False),
    "F.threshold_": (lambda x: F.threshold_(x, 0, 0), math.inf, True),
    "torch.threshold": (lambda x: torch.threshold(x, 0, 0), math.inf, False),
    "torch.threshold_": (lambda x: torch.threshold_(x, 0, 0), math.inf, True),
    "nn.ReLU6": (nn.ReLU6(), 6, False),
    "nn.ReLU6 in place": (nn.ReLU6(inplace=True), 6, True),
    "F.relu6": (F.relu6, 6, False),
    "F.relu6 in place": (lambda x: F.relu6(x, inplace=True), 6, True),
    "nn.Hardtanh": (nn.Hardtanh(0, 6), 6, False),
    "nn.Hardtanh in place": (nn.Hardtanh(0, 6, inplace=True), 6, True),
    "F.hardtanh": (lambda x: F.hardtanh(x, min_val=0.0, max_val=6.0), 6, False),
    "F.hardtanh_": (lambda x: F.hardtanh_(x, 0.0, 6.0), 6, True),
    "torch.clamp of two bounds": (lambda x: torch.clamp(x, 0, 6), 6, False),
    "Tensor.clamp to infinity": (lambda x: x.clamp(0.0, math.inf), math.inf, False),
    "Tensor.clip_ of two bounds": (lambda x: x.clip_(min=0, max=6.0), 6, True),
    "Tensor.clamp by tensors": (lambda x: x.clamp(torch.tensor(0.0), torch.tensor(6.0)), 6, False),
    "aten.relu": (torch.ops.aten.relu.default, math.inf, False),
    "aten.relu_": (torch.ops.aten.relu_.default, math.inf, True),
    "aten.clamp_min": (lambda x: torch.ops.aten.clamp_min.default(x, 0), math.inf, False),
    "aten.hardtanh": (lambda x: torch.ops.aten.hardtanh.default(x, 0, 6), 6, False),
}
INPUTS = [-1.0, 0.0, 3.0, 6.0, 7.0]
NOT_RECTIFIERS = {
    "clamp": lambda x: x.clamp(-1, 6),
    "clamp_min": lambda x: x.clamp_min(-1),
    "hardtanh": F.hardtanh,
    "threshold": lambda x: F.threshold(x, 0.5, 0.0),
    "silu": F.silu,
    "gelu": nn.GELU(),
    "hardswish": nn.Hardswish(inplace=True),
    "leaky_relu": F.leaky_relu,
    "sigmoid": torch.sigmoid,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("rule", BACKWARD_RULES)
def test_every_spelling_follows_the_table(spelling: str, sign: float, rule: str) -> None:
    function, hi, _ = SPELLINGS[spelling]
    model = toy(lambda x: sign * function(1 * x).sum(1), len(INPUTS))
    gates = [0 < value < hi for value in INPUTS]
    expected = {
        "gradient": [sign * gate for gate in gates],
        "guided": [max(sign, 0) * gate for gate in gates],
        "zeiler_fergus": [max(sign, 0)] * len(INPUTS),
    }
    assert model.inspection.operators.count == 1
    assert answer(model, image(*INPUTS), METHOD[rule], len(INPUTS)) == expected[rule]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_forward_pass_is_the_one_without_interception(spelling: str) -> None:
    function, hi, overwritten = SPELLINGS[spelling]
    x = torch.tensor(INPUTS, requires_grad=True)
    with Rectifiers():
        before = x * 1
        after = function(before)
    assert after.tolist() == [min(max(value, 0.0), hi) for value in INPUTS]
    assert (before.tolist() == after.tolist()) == overwritten


@pytest.mark.parametrize("name", NOT_RECTIFIERS)
def test_other_activations_keep_their_derivative_and_are_named(name: str) -> None:
    x = torch.tensor([-2.0, -0.7, 0.3, 0.9, 5.0, 8.0], dtype=torch.float64, requires_grad=True)
    (derivative,) = torch.autograd.grad(NOT_RECTIFIERS[name](1 * x).sum(), x)
    with Rectifiers() as rectifiers:
        out = NOT_RECTIFIERS[name](1 * x).sum()
    rectifiers.rule = "zeiler_fergus"
    (found,) = torch.autograd.grad(out, x)
    assert torch.equal(found, derivative)
    assert rectifiers.seen(out) == Interception(0, (name,))


@pytest.mark.parametrize(
    ("slope", "rule", "expected"),
    [
        (5, "gradient", [7, 5]),
        (5, "guided", [7, 5]),
        (5, "zeiler_fergus", [7, 7]),
        (-5, "gradient", [-3, -5]),
        (-5, "guided", [-3, -5]),
        (-5, "zeiler_fergus", [-3, -3]),
    ],
)
def test_a_skip_connection_beside_a_rectifier_is_untouched(slope: float, rule: str, expected: list[float]) -> None:
    model = toy(lambda x: (2 * F.relu(x) + slope * x).sum(1), 2)
    assert answer(model, image(1, -1), METHOD[rule], 2) == expected


def test_a_module_used_twice_is_two_rectifiers() -> None:
    relu = nn.ReLU()
    model = toy(lambda x: relu(3 - relu(x)).sum(1), 2)
    assert model.inspection.operators.count == 2
    assert answer(model, image(1, -1), METHOD["gradient"], 2) == [-1, 0]
    assert answer(model, image(1, -1), METHOD["guided"], 2) == [0, 0]
    assert answer(model, image(1, -1), METHOD["zeiler_fergus"], 2) == [0, 0]


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_result_may_be_overwritten_exactly_where_pytorch_allows_it(name: str) -> None:
    def slope(rectifiers: Rectifiers | None = None) -> Tensor:
        x = torch.tensor(INPUTS, requires_grad=True)
        y = SPELLINGS[name][0](x * 1.0)
        y.mul_(2)
        assert rectifiers is None or rectifiers.seen(y) == Interception(1, ())
        return torch.autograd.grad(y.sum(), x)[0]

    try:
        expected = slope()
    except RuntimeError:
        with Rectifiers(), pytest.raises(RuntimeError, match="modified by an inplace operation"):
            slope()
        return
    with Rectifiers() as rectifiers:
        found = slope(rectifiers)
    assert found.tolist()[:3] == [0, 0, 2]
    assert expected.tolist()[0:3:2] == [0, 2]  # at its bounds a clamp's own slope is 1


def test_an_in_place_rectifier_whose_tensor_is_read_again_sends_both_signals_through_it() -> None:
    def function(x: Tensor) -> Tensor:
        before = 1 * x
        after = F.relu(before, inplace=True)
        return (2 * after - 5 * before).sum(1)  # `before` now contains the rectified values

    model = toy(function, 2)
    assert answer(model, image(1, -1), METHOD["gradient"], 2) == [-3, 0]
    assert answer(model, image(1, -1), METHOD["guided"], 2) == [0, 0]
    assert answer(model, image(1, -1), METHOD["zeiler_fergus"], 2) == [0, 0]


def test_an_in_place_rectifier_on_a_view_changes_its_base() -> None:
    def function(x: Tensor) -> Tensor:
        base = 1 * x
        base[:, :2].relu_()
        return (base * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum(1)

    model = toy(function, 4)
    assert answer(model, image(1, -1, 1, -1), METHOD["gradient"], 4) == [1, 0, 3, 4]
    assert answer(model, image(1, -1, 1, -1), METHOD["zeiler_fergus"], 4) == [1, 2, 3, 4]


def test_rules_set_later_hold_for_a_graph_recorded_earlier() -> None:
    x = torch.tensor([1.0, -1.0], requires_grad=True)
    with Rectifiers() as first:
        one = F.relu(x).sum()
    with Rectifiers() as second:
        two = F.relu(x).sum()
    first.rule, second.rule = "zeiler_fergus", "guided"
    assert torch.autograd.grad(one, x)[0].tolist() == [1, 1]
    assert torch.autograd.grad(two, x)[0].tolist() == [1, 0]


class Residual(nn.Module):
    """Batch norm, a skip connection, concatenation, overlapping max-pooling in ceil mode, a shared rectifier."""

    def __init__(self, rectifier: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), rectifier, nn.MaxPool2d(3, 2, ceil_mode=True)
        )
        self.a, self.b = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 4, 1)
        self.norm, self.rectifier = nn.BatchNorm2d(6), rectifier
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.rectifier(self.norm(self.a(x)) + x)
        x = torch.cat([x, F.relu(self.b(x))], 1)
        return self.head(torch.flatten(self.pool(x), 1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("rule", BACKWARD_RULES)
@pytest.mark.parametrize("rectifier", [nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6()])
@pytest.mark.parametrize("seed", range(3))
def test_a_residual_network_equals_the_reference(
    dtype: torch.dtype, rule: str, rectifier: nn.Module, seed: int
) -> None:
    net, x = randomise(Residual(rectifier), seed), noise(3, 21, 18, seed=seed)
    agrees(net, x, rule, dtype, classes=5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("rule", BACKWARD_RULES)
@pytest.mark.parametrize("build", [zoo.mobilenet_v2, zoo.squeezenet1_1, zoo.resnet18])
def test_networks_of_the_field_equal_the_reference(dtype: torch.dtype, rule: str, build: object) -> None:
    net = randomise(build(weights=None, num_classes=20))
    agrees(net, noise(3, 64, 64), rule, dtype, classes=20)


def agrees(net: nn.Module, x: Tensor, rule: str, dtype: torch.dtype, classes: int) -> None:
    """Compare the map of a logit with the reference: within 1e-9 of its largest value in float64, 1e-4 in float32."""
    model = model_of(net.to(dtype), (x.shape[1], x.shape[2]), classes)
    index = 3
    result = at.attribute(model, x, METHOD[rule], at.Target(index, "logit"))
    signal = torch.zeros(classes)
    signal[index] = 1
    logits, expected = backward(net, x, signal, rule)
    scale = float(expected.abs().max())
    assert scale > 0
    assert result.score == pytest.approx(float(logits[index]), rel=1e-9 if dtype == torch.float64 else 1e-4, abs=1e-5)
    tolerance = 1e-9 if dtype == torch.float64 else 1e-4
    assert abs(torch.from_numpy(result.values) - expected).max() <= tolerance * scale


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("index", [0, 3])
def test_integrated_gradients_of_a_probability_equal_the_reference(dtype: torch.dtype, index: int) -> None:
    net, x, steps = randomise(Residual(nn.ReLU6()), 4), noise(3, 21, 18), 7
    colour = (0.9, 0.1, 0.4)
    baseline = torch.tensor(colour, dtype=torch.float64).view(3, 1, 1).expand(3, 21, 18)
    quadrature = [((k + 0.5) / steps, 1 / steps) for k in range(steps)]  # a node at the baseline would cause ties
    expected = integrated_gradients(net, x, baseline, quadrature, index)
    method = at.IntegratedGradients(steps, at.baselines.Constant(colour), "midpoint")
    result = at.attribute(model_of(net.to(dtype), (21, 18), 5), x.to(dtype), method, at.Target(index))
    tolerance = 1e-9 if dtype == torch.float64 else 1e-4
    assert abs(torch.from_numpy(result.values) - expected).max() <= tolerance * expected.abs().max()
    assert result.score == pytest.approx(float(logits_of(net, x).softmax(0)[index]), rel=tolerance)
