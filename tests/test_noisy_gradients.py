"""SmoothGrad, its square and VarGrad against closed forms and literal sums."""

import numpy as np
import pytest
import torch
from toys import answer, image, noise, toy

import attribution as at

THREE = [at.SmoothGrad, at.SmoothGradSquared, at.VarGrad]


def test_one_copy_without_noise_is_the_gradient() -> None:
    model, x = toy(lambda x: x[:, 0] ** 2 - 3 * x[:, 1] * x[:, 2]), image(0.5, 0.25, 1)
    gradient = answer(model, x, at.Gradient(), 3)
    assert answer(model, x, at.SmoothGrad(1, 0), 3) == gradient == [1, -3, -0.75]
    assert answer(model, x, at.SmoothGradSquared(1, 0), 3) == [each**2 for each in gradient]
    assert answer(model, x, at.VarGrad(1, 0), 3) == [0, 0, 0]


def test_a_linear_function_has_one_gradient() -> None:
    weights = torch.tensor([2.0, -3.0, 0.5], dtype=torch.float64)
    model, x = toy(lambda x: x @ weights), image(0.5, 0.25, 1)
    assert answer(model, x, at.SmoothGrad(7), 3) == pytest.approx([2, -3, 0.5])
    assert answer(model, x, at.SmoothGradSquared(7), 3) == pytest.approx([4, 9, 0.25])
    assert answer(model, x, at.VarGrad(7), 3) == pytest.approx([0, 0, 0], abs=1e-12)


@pytest.mark.parametrize(("samples", "chunk"), [(25, 4), (25, 25), (7, 1)])
def test_equal_gradients_have_no_variance_by_rounding(samples: int, chunk: int) -> None:
    model = toy(lambda x: x @ torch.tensor([0.1, -3.3, 0.7]), dtype=torch.float32)
    x = image(0.5, 0.25, 1, dtype=torch.float32)
    assert not at.attribute(model, x, at.VarGrad(samples), at.Target(0, "logit"), chunk=chunk).values.any()


def test_a_parabola_shows_the_noise_itself() -> None:
    """The gradient of x^2 is 2 (x + sigma e): mean 2x, variance 4 sigma^2, sigma times the range of the photo."""
    model, x = toy(lambda x: (x[:, :1] ** 2).sum(1)), image(0.5, 0.2, 0.0)
    sigma = 0.4 * 0.5
    found = {cls: answer(model, x, cls(500, 0.4), 1)[0] for cls in THREE}
    assert found[at.SmoothGrad] == pytest.approx(1, abs=0.06)
    assert found[at.VarGrad] == pytest.approx(4 * sigma**2, rel=0.15)
    assert found[at.SmoothGradSquared] == pytest.approx(found[at.VarGrad] + found[at.SmoothGrad] ** 2)


@pytest.mark.parametrize("cls", THREE)
def test_the_seed_decides_and_the_chunk_does_not(cls: type, squeezenet: at.Model) -> None:
    x = noise(3, 227, 227)
    maps = [
        at.attribute(squeezenet, x, cls(4, 0.1, seed), chunk=chunk).values for seed, chunk in [(0, 1), (0, 4), (1, 4)]
    ]
    assert abs(maps[0] - maps[1]).max() < 1e-4 * abs(maps[0]).max()
    assert abs(maps[1] - maps[2]).max() > 0.1 * abs(maps[1]).max()
    assert np.isfinite(maps).all()


def test_noise_that_hides_the_object_is_said(squeezenet: at.Model, shepherd: torch.Tensor) -> None:
    hidden, seen = (
        at.attribute(squeezenet, shepherd, at.SmoothGrad(4, sigma), at.Target(235)) for sigma in (0.5, 0.001)
    )
    assert hidden.notes[0].startswith("The noisy copies score ")
    assert hidden.notes[0].endswith("network hardly recognises the explained class in them; lower sigma.")
    assert seen.notes == ()
