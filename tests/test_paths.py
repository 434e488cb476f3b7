"""Guided and blur integrated gradients and IDGI against closed forms and slow, literal references in float64."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from toys import answer, image, model_of, noise, randomise, toy

import attribution as at
from attribution.baselines.photo import blurred

SIDE = 6


@pytest.fixture(scope="module")
def model() -> at.Model:
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Softplus(), nn.Flatten(), nn.Linear(5 * 16, 3))
    return model_of(randomise(net).double(), (SIDE, SIDE), 3)


@pytest.fixture(scope="module")
def x() -> Tensor:
    return noise(3, SIDE, SIDE, dtype=torch.float64)


def gradient(model: at.Model, x: Tensor, target: int) -> Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(model.logits(x[None])[0, target], x)[0]


def guided(model: at.Model, x: Tensor, steps: int, fraction: float, band: float, target: int) -> Tensor:
    """The paper's algorithm from a black baseline, value by value, by its left rule."""
    final, here, values = x.flatten(), torch.zeros(x.numel(), dtype=torch.float64), torch.zeros(x.numel())
    values = values.double()
    for step in range(steps):
        slopes = gradient(model, here.view_as(x), target).flatten()
        low, high = max((step + 1) / steps - band, 0), min((step + 1) / steps + band, 1)
        goal = float(final.abs().sum()) * (1 - (step + 1) / steps)
        while True:
            before = here.clone()
            here = torch.where(here < low * final, low * final, here)
            left_over = float((final - here).abs().sum())
            if left_over - goal < 1e-12:
                values += slopes * (here - before)
                break
            free = [i for i in range(len(final)) if here[i] < high * final[i] - 1e-15]
            sizes = sorted([abs(float(slopes[i])) for i in free] + [float("inf")] * (len(final) - len(free)))
            limit = sizes[int(fraction * (len(final) - 1))]
            moving = [i for i in free if abs(float(slopes[i])) <= limit]
            room = sum(float(high * final[i] - here[i]) for i in moving)
            gamma = (left_over - goal) / room
            for i in moving:
                here[i] += min(gamma, 1) * float(high * final[i] - here[i])
            values += slopes * (here - before)
            if gamma <= 1:
                break
    return values.view_as(x)


@pytest.mark.parametrize(
    ("steps", "fraction", "band"), [(5, 0.25, 0.1), (12, 0.1, 0.02), (3, 0.7, 1.0), (8, 0.25, 0.0)]
)
def test_guided_integrated_gradients_are_the_papers(
    model: at.Model, x: Tensor, steps: int, fraction: float, band: float
) -> None:
    method = at.GuidedIntegratedGradients(steps, fraction=fraction, band=band, rule="left")
    ours = at.attribute(model, x, method, at.Target(1, "logit")).values
    np.testing.assert_allclose(ours, guided(model, x, steps, fraction, band, 1).numpy(), atol=1e-5 * abs(ours).max())


@pytest.mark.parametrize("rule", ["left", "trapezoid"])
@pytest.mark.parametrize("steps", [2, 3, 9])
def test_without_a_band_guided_is_straight(model: at.Model, x: Tensor, rule: str, steps: int) -> None:
    ours = at.attribute(model, x, at.GuidedIntegratedGradients(steps, band=0, rule=rule)).values
    expected = at.attribute(model, x, at.IntegratedGradients(steps, rule=rule)).values
    np.testing.assert_allclose(ours, expected, atol=1e-5 * abs(expected).max())


def test_guided_integrated_gradients_become_complete(model: at.Model, x: Tensor) -> None:
    coarse, fine = (at.attribute(model, x, at.GuidedIntegratedGradients(n)).relative_delta for n in (10, 300))
    assert fine < 0.01
    assert fine < coarse
    assert "more steps" not in at.attribute(model, x, at.GuidedIntegratedGradients(3)).account  # on others they harm
    assert "more steps" in at.attribute(model, x, at.IntegratedGradients(1, rule="left")).account


@pytest.mark.parametrize("steps", [1, 2, 7, 30])
def test_idgi_is_its_formula_and_complete_at_any_number_of_steps(model: at.Model, x: Tensor, steps: int) -> None:
    result = at.attribute(model, x, at.IDGI(steps), at.Target(0, "logit"))
    expected = torch.zeros_like(x)
    for step in range(steps):
        here, following = x * step / steps, x * (step + 1) / steps
        slopes = gradient(model, here, 0)
        gain = (model.logits(following[None]) - model.logits(here[None]))[0, 0]
        expected += slopes**2 / (slopes**2).sum() * gain
    np.testing.assert_allclose(result.values, expected.detach().numpy(), atol=1e-12)
    assert abs(result.delta) < 1e-12


def test_idgi_loses_no_gain_where_a_gradient_vanishes() -> None:
    """F = max(0, x1 - 1/2): nothing happens before the middle of the path, and at the middle the gradient is zero."""
    result = at.attribute(toy(lambda x: F.relu(x[:, 0] - 0.5)), image(1, 1, 0), at.IDGI(4), at.Target(0, "logit"))
    assert result.values.ravel().tolist() == pytest.approx([0.5, 0, 0])
    assert result.delta == pytest.approx(0)
    flat = at.attribute(toy(lambda x: F.relu(x[:, 0] - 5)), image(1, 1, 0), at.IDGI(4), at.Target(0, "logit"))
    assert not flat.values.any()


@pytest.mark.parametrize(
    "method", [at.GuidedIntegratedGradients(5), at.IDGI(5), at.IntegratedGradients(5)], ids=lambda each: each.key
)
def test_a_gradient_that_is_no_number_is_refused_and_harms_no_other(method: object) -> None:
    model = toy(lambda x: x.square().sum(1).sqrt())  # whose gradient at black is 0 / 0
    refused, served = at.compare(model, image(1, 2, 3), [method, at.Gradient()], at.Target(0, "logit"))
    assert isinstance(refused, at.Refusal)
    assert isinstance(served, at.Attribution)


def test_idgi_shares_a_linear_function_by_squared_weights() -> None:
    weights = torch.tensor([3.0, -4.0, 0.0], dtype=torch.float64)
    found = answer(toy(lambda x: x @ weights), image(0.5, 0.25, 1), at.IDGI(3), 3)
    assert found == pytest.approx([9 / 25 * 0.5, 16 / 25 * 0.5, 0])  # the score is 1.5 - 1 = 0.5


def test_idgi_keeps_squares_that_would_underflow() -> None:
    """A probability of 1e-24 has gradients whose squares are zero in float32."""
    model = toy(lambda x: 1e-30 * x[:, 0] + 2e-30 * x[:, 1], dtype=torch.float32)
    x = image(1, 1, 0, dtype=torch.float32)
    result = at.attribute(model, x, at.IDGI(2), at.Target(0, "logit"))
    assert result.values.ravel()[:2].tolist() == pytest.approx([3e-30 / 5, 4 * 3e-30 / 5], rel=1e-5)


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_blur_integrated_gradients_are_their_sum(model: at.Model, x: Tensor, steps: int) -> None:
    def at_place(place: float) -> Tensor:
        start, end = 0.2 ** (1 / 3), 4.0 ** (1 / 3)
        return blurred(x, (start + place * (end - start)) ** 3) if place else x

    result = at.attribute(model, x, at.BlurIntegratedGradients(steps, 4.0), at.Target(2, "logit"))
    expected = sum(
        gradient(model, at_place((k + 0.5) / steps), 2) * (at_place(k / steps) - at_place((k + 1) / steps))
        for k in range(steps)
    )
    np.testing.assert_allclose(result.values, expected.numpy(), atol=1e-12)
    assert result.baseline_score == pytest.approx(float(model.logits(blurred(x, 4.0)[None])[0, 2]))


def test_a_constant_image_has_nothing_to_focus(model: at.Model) -> None:
    values = at.attribute(model, torch.full((3, SIDE, SIDE), 0.3).double(), at.BlurIntegratedGradients(5)).values
    assert abs(values).max() < 1e-15


def test_blur_integrated_gradients_become_complete(model: at.Model, x: Tensor) -> None:
    assert at.attribute(model, x, at.BlurIntegratedGradients(200, 5.0)).relative_delta < 1e-3


@pytest.mark.parametrize("size", [(5, 9), (12, 12)])
def test_the_blur_repeats_the_last_pixels(size: tuple[int, int]) -> None:
    x, sigma, radius = noise(3, *size, dtype=torch.float64), 1.7, 6
    places = torch.arange(-radius, radius + 1).double()
    kernel = torch.exp(-(places**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).view(1, 1, -1)
    wide = F.pad(x[:, None], (radius,) * 4, mode="replicate")
    expected = F.conv2d(F.conv2d(wide, kernel[..., None]), kernel[:, None])[:, 0]
    np.testing.assert_allclose(blurred(x, sigma).numpy(), expected.numpy(), atol=1e-14)


@pytest.mark.parametrize("steps", [1, 6])
def test_a_rectifier_network_without_biases_shares_out_the_logit(steps: int) -> None:
    """Homogeneous of degree 1, so integrated gradients are input times gradient, and both sum to the logit."""
    net = randomise(nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 2), nn.ReLU(), nn.Flatten()))
    for layer in (net[0], net[2]):
        layer.bias = None
    model = model_of(nn.Sequential(net, nn.Linear(36, 3, bias=False)).double(), (SIDE, SIDE), 3)
    x, target = noise(3, SIDE, SIDE, dtype=torch.float64), at.Target(0, "logit")
    product = at.attribute(model, x, at.InputXGradient(), target)
    for rule in ("midpoint", "right", "gauss_legendre"):
        integrated = at.attribute(model, x, at.IntegratedGradients(steps, rule=rule), target).values
        np.testing.assert_allclose(product.values, integrated, atol=1e-12)
    assert product.values.sum() == pytest.approx(product.score)
