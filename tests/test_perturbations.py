"""Occlusion and RISE against closed forms and literal sums."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from captum.attr import Occlusion
from torch import Tensor, nn
from toys import model_of, noise, randomise

import attribution as at
from attribution.settings import restore


def linear(side: int, weights: Tensor) -> at.Model:
    """The first channel times weights, (H * W)."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * side * side, 2, bias=False)).double()
    net[1].weight.data.zero_()
    net[1].weight.data[0, : side * side] = weights
    return model_of(net, (side, side), 2)


def test_captums_example_of_four_windows() -> None:
    x = torch.zeros(3, 4, 4, dtype=torch.float64)
    x[0] = torch.arange(16).view(4, 4)
    method = at.Occlusion(2, 2, at.baselines.Black())
    heat = at.attribute(linear(4, torch.arange(1, 17)), x, method, at.Target(0, "logit")).values.sum(0)
    blocks = [[52, 116], [500, 692]]
    np.testing.assert_allclose(heat, np.kron(blocks, np.ones((2, 2))))


@pytest.mark.parametrize(("window", "stride"), [(3, 2), (4, 4), (5, 1), (9, 3), (20, 7)])
def test_occlusion_is_captums(window: int, stride: int) -> None:
    net = randomise(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 80, 3))).double()
    x = noise(3, 10, 12, dtype=torch.float64)
    filler = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64).view(3, 1, 1).expand_as(x)
    method = at.Occlusion(window, stride, at.baselines.Constant((0.2, 0.5, 0.9)))
    ours = at.attribute(model_of(net, (10, 12), 3), x, method, at.Target(1, "logit")).values.sum(0)
    shape, strides = ((3, *(min(each, side) for side in (10, 12))) for each in (window, stride))
    theirs = Occlusion(net).attribute(x[None], shape, strides, baselines=filler[None], target=1)
    np.testing.assert_allclose(ours, theirs[0, 0].detach().numpy(), atol=1e-12)


def test_a_stride_beyond_the_window_leaves_no_gap() -> None:
    x, method = torch.ones(3, 8, 8).double(), at.Occlusion(2, 100, at.baselines.Black())
    heat = at.attribute(linear(8, torch.ones(64)), x, method, at.Target(0, "logit")).values.sum(0)
    np.testing.assert_allclose(heat, 4)
    result = at.attribute(linear(8, torch.ones(64)), x, method, at.Target(0, "logit"))
    assert result.notes == ("The stride was reduced to the window's side, 2 pixels, so that every pixel is covered.",)


def test_the_maps_of_several_fillers_are_averaged() -> None:
    model = model_of(randomise(nn.Sequential(nn.Flatten(), nn.Linear(192, 3))).double(), (8, 8), 3)
    x, fillers = noise(3, 8, 8, dtype=torch.float64), at.baselines
    one, other, both = (
        at.attribute(model, x, at.Occlusion(3, 2, filler)).values
        for filler in (fillers.Black(), fillers.White(), fillers.BlackAndWhite())
    )
    np.testing.assert_allclose(both, (one + other) / 2, atol=1e-12)


def test_a_map_that_speaks_against_the_class_says_so() -> None:
    weights = torch.ones(64)
    x, method = torch.ones(3, 8, 8).double(), at.Occlusion(2, 2, at.baselines.Black())
    assert at.attribute(linear(8, weights), x, method, at.Target(0, "logit")).notes == ()
    weights[32:] = -1
    result = at.attribute(linear(8, weights), x, method, at.Target(0, "logit"))
    assert result.notes[0].startswith(
        "50% of this map's total magnitude is negative, that is, evidence against the class"
    )


def rise(model: at.Model, x: Tensor, method: at.RISE) -> np.ndarray:
    """The definition, one mask at a time: cells, enlarged by one cell more than the photo, cut out with a shift."""
    random = torch.Generator().manual_seed(method.seed)
    masks, (height, width) = [], x.shape[1:]
    for _ in range(method.masks):
        cells = (torch.rand(method.cells, method.cells, generator=random) < method.kept).float()
        down, across = -(-height // method.cells), -(-width // method.cells)
        size = ((method.cells + 1) * down, (method.cells + 1) * across)
        large = F.interpolate(cells[None, None], size, mode="bilinear")[0, 0].double()
        top = int(torch.randint(down, (), generator=random))
        left = int(torch.randint(across, (), generator=random))
        masks.append(large[top : top + height, left : left + width])
    scores = [float(model.logits((x * mask)[None])[0, 0].detach()) for mask in masks]
    mean = sum(scores) / len(scores)
    heat = sum((score - mean) * mask for score, mask in zip(scores, masks, strict=True))
    return (heat / (method.masks * method.kept)).numpy()


def test_rise_is_its_formula() -> None:
    net = randomise(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 80, 3))).double()
    model, x, method = model_of(net, (10, 12), 3), noise(3, 10, 12, dtype=torch.float64), at.RISE(30, 4)
    ours = at.attribute(model, x, method, at.Target(0, "logit")).values.sum(0)
    np.testing.assert_allclose(ours, rise(model, x, method), atol=1e-12)


def test_rise_finds_the_one_patch_that_counts() -> None:
    weights = torch.zeros(28, 28)
    weights[4:8, 16:20] = 1
    method = at.RISE(2000)
    heat = at.attribute(linear(28, weights.flatten()), torch.ones(3, 28, 28).double(), method).values.sum(0)
    assert heat[4:8, 16:20].mean() == pytest.approx(heat.max(), rel=0.1)
    assert abs(heat[16:, :8]).max() < 0.2 * heat.max()


def test_masks_are_soft_and_open_as_often_as_asked() -> None:
    x = torch.zeros(3, 50, 30)
    for kept in (0.2, 0.5):
        masks = at.RISE(1, 5, kept)._draw(400, x, torch.Generator().manual_seed(3))
        assert masks.shape == (400, 1, 50, 30)
        assert float(masks.mean()) == pytest.approx(kept, abs=0.03)
        assert float(masks.min()) >= 0
        assert float(masks.max()) <= 1 + 1e-6
        assert float(((masks > 0.01) & (masks < 0.99)).float().mean()) > 0.3


@pytest.mark.parametrize("method", [at.Occlusion(60, 40), at.RISE(9)], ids=["occlusion", "rise"])
def test_the_chunk_changes_nothing_and_no_gradient_is_taken(
    method: at.Occlusion | at.RISE, squeezenet: at.Model
) -> None:
    x = noise(3, 227, 227)
    alone, together = (at.attribute(squeezenet, x, method, chunk=chunk) for chunk in (1, 4))
    assert abs(alone.values - together.values).max() < 1e-4 * abs(alone.values).max()
    assert alone.backwards == 0
    again = at.attribute(squeezenet, x, restore(type(method), alone.settings), chunk=4)
    assert np.array_equal(again.values, together.values)


def test_both_move_with_the_class_on_a_dog_over_a_cat(squeezenet: at.Model, samples: object) -> None:
    x = squeezenet.prepare(at.open_image(samples / "dog_over_cat.jpg"))
    for name, expected in (("German shepherd", "upper"), ("tabby", "lower")):
        heat = at.attribute(squeezenet, x, at.Occlusion(), at.Target(squeezenet.find_class(name))).values.sum(0)
        positive = np.maximum(heat, 0)
        upper = positive[:113].sum() / positive.sum()
        assert (upper > 0.55) == (expected == "upper"), (name, upper)
        assert (upper < 0.45) == (expected == "lower"), (name, upper)
