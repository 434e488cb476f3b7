"""Covering a part of the photo: what maps forecast, and what then happens."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays
from torch import Tensor, nn
from toys import model_of, noise

import attribution as at
from attribution.baselines.covered import FILLS
from attribution.checks.probe import Prober
from attribution.photo.cells import ALL, GRID, Cells, CellsSetting, sums, total

LEFT, RIGHT = Cells.box(0, 0, 14, GRID), Cells.box(14, 0, 14, GRID)
SIZE = (GRID, GRID)
masks = arrays(bool, (GRID, GRID))


class Halves(nn.Module):
    """A function of the means of the left and the right half as logit 0; logit 1 is zero."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        left, right = (half.mean((1, 2, 3)) for half in x.split(GRID // 2, dim=3))
        score = self.function(left, right)
        return torch.stack([score, torch.zeros_like(score)], 1)


def probed(function: Callable[[Tensor, Tensor], Tensor], cells: Cells) -> at.Probe:
    model = model_of(Halves(function), SIZE, 2)
    x = torch.ones(3, *SIZE)
    maps = at.compare(model, x, [at.IntegratedGradients(200, rule="midpoint")], at.Target(0, "logit"))
    return at.probe(model, x, cells, at.baselines.Black(), maps)


@pytest.mark.parametrize("cells", [LEFT, RIGHT])
def test_one_half_of_or_changes_nothing_and_one_half_of_and_all_of_it(cells: Cells) -> None:
    """Integrated gradients share the score equally in both; completeness says nothing of one half."""
    either = probed(lambda left, right: 1 - F.relu(1 - left - right), cells)
    both = probed(lambda left, right: F.relu(left + right - 1), cells)
    for found, change in ((either, 0), (both, -1)):
        assert found.change == pytest.approx(change, abs=1e-6)
        assert found.maps[0].value == pytest.approx(-0.5, abs=1e-6)
        assert found.maps[0].error == pytest.approx(-0.5 - change, abs=1e-6)
        assert found.control.value == pytest.approx(-0.5, abs=1e-6)


def linear() -> at.Model:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * GRID * GRID, 3)).double()
    net[1].weight.data = noise(3, 3 * GRID * GRID, seed=1, dtype=torch.float64) - 0.5
    return model_of(net, SIZE, 3)


@pytest.mark.parametrize("fill", [fill() for fill in FILLS.values()], ids=lambda fill: fill.key)
def test_every_forecast_for_a_linear_network_is_what_happens(fill: at.baselines.Baseline) -> None:
    model, x = linear(), noise(3, *SIZE, dtype=torch.float64)
    """IDGI divides the same sum by squared gradients, so that even for a linear score its parts are others'."""
    paths = [at.IntegratedGradients(3, fill), at.GuidedIntegratedGradients(3, fill)]
    methods = [at.Gradient(), *paths, at.IDGI(3, fill)]
    maps = at.compare(model, x, methods, at.Target(0, "logit"))
    found = at.probe(model, x, Cells.of(noise(GRID, GRID, seed=2).numpy() < 0.3), fill, maps)
    assert abs(found.change) > 0.1
    *exact, idgi = found.maps
    for row in exact:
        assert row.valid
        assert row.value == pytest.approx(found.change, rel=1e-5)
    assert idgi.valid
    assert abs(idgi.error or 0) > 0.01
    assert abs(found.control.error or 0) > 0.01
    assert found.best.title != found.control.title


def test_a_sum_is_a_forecast_only_for_the_maps_own_baseline() -> None:
    model, x = linear(), noise(3, *SIZE, dtype=torch.float64)
    methods = [
        at.IntegratedGradients(3, at.baselines.Constant((0, 0, 0))),
        at.InputXGradient(),
        at.GradCAM,
        at.RISE(20),
    ]
    maps = at.compare(model, x, [each for each in methods if each is not at.GradCAM], at.Target(0, "logit"))
    black = at.probe(model, x, LEFT, at.baselines.Black(), maps)
    white = at.probe(model, x, LEFT, at.baselines.White(), maps)
    assert [row.valid for row in black.maps] == [True, True, True]
    assert [row.valid for row in white.maps] == [False, False, True]
    assert [row.kind for row in white.maps] == ["sum", "slope", "share"]
    assert [row.error is None for row in white.maps] == [True, True, True]
    assert white.maps[2].value is None
    assert 0 < white.maps[2].share < 1
    again = at.METHODS["integrated_gradients"](3).with_baseline(at.baselines.White())
    assert at.probe(model, x, LEFT, at.baselines.White(), [at.attribute(model, x, again, at.Target(0, "logit"))]).maps[
        0
    ].error == pytest.approx(0, abs=1e-9)


def test_values_that_are_no_derivatives_are_marked_as_tested() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 3))
    model, x = model_of(net, SIZE, 3), noise(3, *SIZE)
    maps = at.compare(model, x, [at.Gradient(), at.GuidedBackprop(), at.ZeilerFergus(), at.SmoothGrad(samples=2)])
    assert [row.kind for row in at.probe(model, x, LEFT, None, maps).maps] == ["slope", "tested", "tested", "slope"]


def test_the_covered_photo_as_a_baseline_explains_exactly_the_change() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 3)).double()
    model, x = model_of(net, SIZE, 3), noise(3, *SIZE, dtype=torch.float64)
    cells = Cells.of(noise(GRID, GRID, seed=3).numpy() < 0.2)
    fill = at.baselines.Blur(3.0)
    map_ = at.attribute(
        model, x, at.IntegratedGradients(300, at.baselines.Covered(cells, fill), "midpoint"), at.Target(1, "logit")
    )
    assert np.all(map_.values[:, ~cells.grid] == 0)
    found = at.probe(model, x, cells, fill, [map_])
    assert map_.values.sum() == pytest.approx(-found.change, rel=0.02)
    assert found.maps[0].value == pytest.approx(found.change, rel=0.02)
    assert map_.score - map_.baseline_score == pytest.approx(-found.change, abs=1e-12)


def test_the_page_repeats_what_python_says() -> None:
    """A prober that has served other probes returns the bytes of a new one."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 9))
    model, x = model_of(net, SIZE, 9), noise(3, *SIZE)
    prober, fill = Prober(model, x, at.Target(2)), at.baselines.Grey()
    for cells in (LEFT, ALL, Cells(), RIGHT):
        here, there = prober.probe(cells, fill), at.probe(model, x, cells, fill, target=2)
        assert (here.change, here.control.value, here.top) == (there.change, there.control.value, there.top)
    top = there.top
    assert len(top) == 5
    assert 2 in [index for index, *_ in top]
    assert prober.probe(Cells(), fill).change == 0


def test_what_cannot_be_probed_is_refused() -> None:
    model, x = linear(), noise(3, *SIZE, dtype=torch.float64)
    maps = at.compare(model, x, [at.Gradient()], at.Target(0))
    with pytest.raises(at.Refusal, match="another photo"):
        at.probe(model, 1 - x, LEFT, None, maps)
    endless = model_of(Halves(lambda left, right: 1 / left), SIZE, 2)
    with pytest.raises(at.Refusal, match=r"not finite for this covered photo"):
        at.probe(endless, x.float() + 1, LEFT, at.baselines.Black())
    with pytest.raises(at.Refusal, match="different targets"):
        at.probe(model, x, LEFT, None, [*maps, *at.compare(model, x, [at.Gradient()], at.Target(1))])
    with pytest.raises(at.Refusal, match=r"28 x 28.*10/8/6/6"):
        at.probe(model, x, np.zeros((5, 5)))
    with pytest.raises(at.Refusal, match="covered"):
        at.read_baseline("covered(fill=covered)")


@given(masks)
def test_the_text_of_cells_is_invertible(mask: np.ndarray) -> None:
    cells, kind = Cells.of(mask), CellsSetting("")
    assert kind.check(kind.read(kind.plain(cells))) == cells
    assert (cells.grid == mask).all()
    assert len(cells.text) <= 131


@pytest.mark.parametrize(
    "text", ["1/2/3", "1/2/0/3", "20/20/9/1", "-1/0/2/2", "A" * 132, "$", "a b", "A" * 130 + "_", "1/2/3/x"]
)
def test_a_text_that_is_no_region_is_refused(text: str) -> None:
    with pytest.raises(at.Refusal):
        CellsSetting("").check(text)


@given(masks, some.sampled_from([(28, 28), (224, 224), (29, 31), (7, 50), (1, 1)]))
def test_cells_divide_the_photo(mask: np.ndarray, size: tuple[int, int]) -> None:
    cells, values = Cells.of(mask), noise(*size, dtype=torch.float64)
    inside = cells.pixels(size)
    assert (inside != cells.others.pixels(size)).all()
    assert total(sums(values), cells) == pytest.approx(float(values[inside].sum()))
    assert cells.area(size) + cells.others.area(size) == pytest.approx(1)


def test_a_moved_shape_keeps_its_cells_or_is_none() -> None:
    shape = Cells.box(3, 5, 4, 2)
    assert shape.moved(-5, 24 - 3) == Cells.box(24, 0, 4, 2)
    for down, across in itertools.product((-6, 22), (0,)):
        assert shape.moved(down, across) is None
    assert shape.moved(0, 22) is None
