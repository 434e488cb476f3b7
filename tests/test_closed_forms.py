"""Functions whose attributions are known exactly: research table, section 7."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from toys import answer, image, model_of, noise, toy

import attribution as at
from attribution.methods.paths.quadrature import RULES

RECTIFIER_RULES = [at.Gradient(), at.GuidedBackprop(), at.ZeilerFergus()]
relu = F.relu


def integrated(steps: int = 25, rule: str = "midpoint", baseline: object | None = None) -> at.IntegratedGradients:
    return at.IntegratedGradients(steps, baseline or at.baselines.Black(), rule)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_a_linear_function_is_exact_for_every_rule_and_number_of_steps(rule: str, steps: int) -> None:
    weights = torch.tensor([2.0, -3.0, 0.5], dtype=torch.float64)
    model, x = toy(lambda x: x @ weights + 4), image(0.5, 0.25, 1)
    result = at.attribute(
        model, x, integrated(steps, rule, at.baselines.Constant((0.1, 0.2, 0.3))), at.Target(0, "logit")
    )
    np.testing.assert_allclose(result.values.ravel(), [2 * 0.4, -3 * 0.05, 0.5 * 0.7], atol=1e-14)
    assert result.delta == pytest.approx(0, abs=1e-14)
    assert answer(model, x, at.Gradient(), 3) == [2, -3, 0.5]


@pytest.mark.parametrize("rule", ["left", "right"])
@pytest.mark.parametrize("steps", [3, 4, 9, 10])
def test_the_saturated_rectifier(rule: str, steps: int) -> None:
    model, x = toy(lambda x: 1 - relu(1 - x[:, 0])), image(2)
    for method in RECTIFIER_RULES:
        assert answer(model, x, method, 1) == [0]
    odd = steps % 2
    expected = {"left": (steps + odd) / steps, "right": (steps - 2 + odd) / steps}[rule]
    assert answer(model, x, integrated(steps, rule), 1) == pytest.approx([expected])


def test_the_saturated_rectifier_before_it_saturates() -> None:
    model, x = toy(lambda x: 1 - relu(1 - x[:, 0])), image(0.5)
    assert answer(model, x, at.Gradient(), 1) == [1]
    assert answer(model, x, integrated(), 1) == pytest.approx([0.5])
    assert answer(model, x, at.GuidedBackprop(), 1) == [0]
    assert answer(model, x, at.ZeilerFergus(), 1) == [0]


def _f(x: Tensor) -> Tensor:
    return relu(relu(x[:, 0]) - 1 - relu(x[:, 1]))


def _h(x: Tensor) -> Tensor:
    return relu(relu(x[:, 0] - 1) - relu(x[:, 1]))


@pytest.mark.parametrize("function", [_f, _h])
def test_two_writings_of_one_function(function: object) -> None:
    model = toy(function, 2)
    assert answer(model, image(3, 1), at.Gradient(), 2) == [1, -1]
    assert answer(model, image(3, 1), at.GuidedBackprop(), 2) == [1, 0]
    assert answer(model, image(3, 1), at.ZeilerFergus(), 2) == [1, 0]
    assert answer(model, image(3, 1), integrated(1000), 2) == pytest.approx([1.5, -0.5], abs=2e-3)
    assert answer(model, image(0.5, 1), at.Gradient(), 2) == [0, 0]
    assert answer(model, image(0.5, 1), at.GuidedBackprop(), 2) == [0, 0]
    assert answer(model, image(0.5, 1), at.ZeilerFergus(), 2) == [1, 0]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("steps", [2, 5])
def test_a_quadratic_form(rule: str, steps: int) -> None:
    matrix = torch.tensor([[2.0, 1.0, 0.0], [1.0, -1.0, 0.5], [0.0, 0.5, 3.0]], dtype=torch.float64)
    model, x = toy(lambda x: ((x @ matrix) * x).sum(1) / 2), image(1, 2, -1)
    gradient = np.array(matrix.numpy() @ [1, 2, -1])
    share = {"left": (steps - 1) / (2 * steps), "right": (steps + 1) / (2 * steps)}.get(rule, 0.5)
    assert answer(model, x, at.Gradient(), 3) == pytest.approx(gradient)
    assert answer(model, x, integrated(steps, rule), 3) == pytest.approx([1, 2, -1] * gradient * share)


def test_a_product_shares_by_its_exponents() -> None:
    model = toy(lambda x: x[:, 0] * x[:, 1] ** 2, 2)
    assert answer(model, image(3, 2), integrated(2, "gauss_legendre"), 2) == pytest.approx([4, 8])


def test_sums_of_known_integrals() -> None:
    model = toy(lambda x: 5 * x[:, 0] + x[:, 1] ** 2 + torch.sin(x[:, 2]))
    result = at.attribute(
        model,
        image(1, 2, 3),
        integrated(50, "gauss_legendre", at.baselines.Constant((0.5, 1, 1))),
        at.Target(0, "logit"),
    )
    np.testing.assert_allclose(result.values.ravel(), [2.5, 3, math.sin(3) - math.sin(1)])


@pytest.mark.parametrize("rule", ["midpoint", "gauss_legendre", "right"])
@pytest.mark.parametrize("steps", [1, 4])
def test_a_network_without_biases_is_input_times_gradient(rule: str, steps: int) -> None:
    first, second = noise(6, 3, seed=1, dtype=torch.float64) - 0.5, noise(6, seed=2, dtype=torch.float64) - 0.5
    model, x = toy(lambda x: relu(x @ first.T) @ second), image(0.2, 0.9, 0.4)
    gradient = np.array(answer(model, x, at.Gradient(), 3))
    assert answer(model, x, integrated(steps, rule), 3) == pytest.approx(gradient * [0.2, 0.9, 0.4])
    assert answer(model, x, integrated(4, "left"), 3) == pytest.approx(gradient * [0.2, 0.9, 0.4] * np.array(3 / 4))


def test_maximum_and_minimum() -> None:
    assert answer(toy(lambda x: x[:, :2].amax(1), 2), image(1, 3), integrated(), 2) == pytest.approx([0, 3])
    assert answer(toy(lambda x: x[:, :2].amin(1), 2), image(1, 3), integrated(), 2) == pytest.approx([1, 0])


def test_a_ridge_shares_the_difference_by_its_weights() -> None:
    weights = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    model, x = toy(lambda x: torch.sigmoid(x @ weights + 0.3)), image(1, 0.2, 0.6)
    difference = 1 / (1 + math.exp(-1.2)) - 1 / (1 + math.exp(-0.3))
    expected = np.array([1, -0.4, 0.3]) / 0.9 * difference
    assert answer(model, x, integrated(30, "gauss_legendre"), 3) == pytest.approx(expected)


@pytest.mark.parametrize("index", range(4))
def test_softmax_of_a_linear_map(index: int) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3, 4, dtype=torch.float64))
    model, x = model_of(net, (1, 1), 4), image(0.3, 0.9, 0.1)
    weights = net[1].weight.detach().numpy()
    probabilities = np.array([p for _, _, p in sorted(model.predict(x, 4))])
    expected = probabilities[index] * (weights[index] - probabilities @ weights)
    found = at.attribute(model, x, at.Gradient(), at.Target(index)).values.ravel()
    np.testing.assert_allclose(found, expected, atol=1e-14)


def test_one_hidden_layer() -> None:
    weights = torch.tensor([[1.0, 2], [3, -4], [-5, 6]], dtype=torch.float64)
    biases, heads = torch.tensor([0.0, 1, 0], dtype=torch.float64), torch.tensor([1.0, -1, 2], dtype=torch.float64)
    model, x = toy(lambda x: relu(x @ weights.T + biases) @ heads, 2), image(1, 0.5)  # 2, 2 and -2: two are on
    assert answer(model, x, at.Gradient(), 2) == [1 - 3, 2 + 4]
    assert answer(model, x, at.GuidedBackprop(), 2) == [1, 2]
    assert answer(model, x, at.ZeilerFergus(), 2) == [1 - 10, 2 + 12]


def test_max_pooling_sends_the_signal_to_the_first_of_its_winners() -> None:
    class Pool(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            pooled = F.max_pool2d(x[:, :1], 3, 1).sum((1, 2, 3)) + 0 * relu(x).sum((1, 2, 3))
            return torch.stack([pooled, 0 * pooled], 1)

    x = torch.zeros(3, 4, 4)
    x[0, 1, 1] = 1  # in all four windows
    for method in RECTIFIER_RULES:
        values = at.attribute(model_of(Pool(), (4, 4), 2), x, method, at.Target(0, "logit")).values
        assert values[0, 1, 1] == 4
        assert np.count_nonzero(values) == 1
    tie = at.attribute(model_of(Pool(), (3, 3), 2), torch.zeros(3, 3, 3), at.Gradient(), at.Target(0, "logit")).values
    assert tie[0, 0, 0] == 1
    assert np.count_nonzero(tie) == 1


def test_the_published_example_of_one_convolution() -> None:
    """A 3 x 3 convolution of ones, rectifier, 4 outputs each read by one; re-derived by counting windows."""

    class Sum(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = relu(F.conv2d(x[:, :1], torch.ones(1, 1, 3, 3)) - 80)  # windows sum to 45, 54, 81 and 90: two are open
            total = y.sum((1, 2, 3))
            return torch.stack([total, 0 * total], 1)

    x = torch.zeros(3, 4, 4)
    x[0] = torch.arange(16.0).view(4, 4)
    model, target = model_of(Sum(), (4, 4), 2), at.Target(0, "logit")
    guided = [[0, 0, 0, 0], [1, 2, 2, 1], [1, 2, 2, 1], [1, 2, 2, 1]]
    deconvolved = [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]
    assert at.attribute(model, x, at.GuidedBackprop(), target).values[0].tolist() == guided
    assert at.attribute(model, x, at.ZeilerFergus(), target).values[0].tolist() == deconvolved
