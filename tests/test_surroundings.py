"""Surroundings of a covered region: three fills, and its shape elsewhere."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from test_challenges import BOX, box_photo, on_box
from torch import nn
from toys import model_of, noise

import attribution as at
from attribution.baselines.constant import Black, Grey
from attribution.baselines.photo import Blur, PhotoMean
from attribution.checks.probe import Prober
from attribution.checks.surroundings import Surroundings, amounts, copies, surroundings, three_fills
from attribution.photo.cells import ALL, GRID, Cells

SIZE = (GRID, GRID)


@some.composite
def boxes(draw: some.DrawFn) -> Cells:
    left, top = draw(some.integers(0, GRID - 1)), draw(some.integers(0, GRID - 1))
    return Cells.box(left, top, draw(some.integers(1, GRID - left)), draw(some.integers(1, GRID - top)))


@settings(max_examples=40)
@given(boxes())
def test_copies_are_other_places_of_the_shape_that_hardly_overlap_the_region(region: Cells) -> None:
    found = copies(region)
    assert found == copies(region)
    assert len({region, *found}) == 1 + len(found) <= 9
    for each in found:
        assert each.count == region.count
        assert (each.grid & region.grid).sum() <= region.count / 2
    if region.count <= 49:
        assert len(found) == 8
    if region.count > 0.8 * GRID * GRID:
        assert found == ()


def test_copies_are_spread_over_the_photo_and_keep_the_shape() -> None:
    shape = Cells.of(np.pad(np.array([[1, 1, 0], [0, 1, 1]], bool), ((10, 16), (12, 13))))
    found = copies(shape)
    corners = [shape.moved(down, across) for down in (-10, 16) for across in (-12, 13)]
    assert set(corners) < set(found)
    assert not any((each.grid & shape.grid).any() for each in found)
    assert copies(Cells()) == ()


def test_where_one_box_decides_the_same_shape_costs_nothing_elsewhere() -> None:
    """The maximum of a box of ones in a black photo: 1 with the box, and the fill without it."""
    fractions: list[float] = []
    found = surroundings(Prober(on_box("max"), box_photo(), at.Target(0, "logit")), BOX, Black(), fractions.append)
    assert found.fills == (Black(), Blur(), PhotoMean())
    assert found.changes[0] == pytest.approx(-1)
    assert found.changes[2] == pytest.approx(BOX.count / GRID**2 - 1)
    assert len(found.places) == 8
    assert found.elsewhere == ((0.0,) * 8,) * 3
    assert found.sentences[0] == "All three fills agree: -0.954 to -1.00."
    assert found.sentences[1] == "Elsewhere the same shape costs 0 on average (8 places), here 1.00."
    assert found.sentences[2] == "The network calls the completely covered photo 'class 1' (62%)."
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ((-0.61, -0.6, -0.63), "All three fills agree: -0.600 to -0.630."),
        ((-0.61, -0.05, -0.3), "The fills disagree (black: -0.610, mean of the photo: -0.0500): this is about"),
        ((-0.61, 0.2, -0.7), "The fills disagree (grey: -0.700, mean of the photo: +0.200): this is about"),
        ((0.0004, -0.0002, 0.0), "The change is tiny with all three fills: 0 to +0.000400."),
    ],
)
def test_three_changes_become_one_sentence(changes: tuple[float, float, float], sentence: str) -> None:
    fills = (Black(), PhotoMean(), Grey())
    target = at.Target(0, "probability")
    found = Surroundings(target, BOX, fills, 0.8, changes, (), ((), (), ()), -0.79, "")
    assert found.sentences[0].startswith(sentence)
    assert found.agree == ("disagree" not in sentence)
    assert found.sentences[1] == "The region is too large to cover its shape elsewhere."
    risen = replace(found, changes=(0.1, 0.1, 0.1), places=(ALL,), elsewhere=((-0.2,),) * 3)
    assert (
        risen.sentences[1]
        == "Elsewhere the same shape changes the score by -0.200 on average (1 place), here by +0.100."
    )


def test_a_number_has_its_unit_and_no_class() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * GRID * GRID, 1))
    net[1].weight.data.fill_(60 / (3 * GRID * GRID))
    net[1].bias.data.zero_()
    model = at.Model("ages", net, SIZE, (0,) * 3, (1,) * 3, ["age"], device="cpu", output="number", unit="years")
    prober = Prober(model, torch.ones(3, *SIZE), at.Target(0, "value"))
    found = surroundings(prober, Cells.box(0, 0, 14, GRID), Black())
    assert found.changes[0] == pytest.approx(-30, rel=1e-5)
    assert found.sentences[0].startswith("The fills disagree (black: -30.0 years, blurred photo: ")
    assert found.sentences[2] == "For the completely covered photo, the network returns age 0 years."


def test_nothing_covered_runs_nothing_but_the_whole() -> None:
    prober = Prober(on_box("max"), box_photo(), at.Target(0))
    found = surroundings(prober, Cells(), Black())
    assert found.sentences == ("Nothing is covered.", found.background)
    assert found.changes == (0, 0, 0)


def test_many_answers_are_those_of_one_image_at_a_time() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 9)).double()
    prober = Prober(model_of(net, SIZE, 9), noise(3, *SIZE, dtype=torch.float64), at.Target(2))
    regions = [(Cells.box(place, 3, 5, 5), fill) for place in range(9) for fill in three_fills(Grey())]
    found = prober.answers([*regions, (Cells(), Grey())])
    assert found[-1].score == prober.before.score
    for (cells, fill), answer in zip(regions, found, strict=False):
        one = prober.ask(cells, fill)
        assert answer.score == pytest.approx(one.score, rel=1e-12)
        np.testing.assert_allclose(answer.shares, one.shares, rtol=1e-12)


def test_three_fills_are_three_classes() -> None:
    assert three_fills(Grey()) == (Grey(), Blur(), PhotoMean())
    assert three_fills(Blur(5.0)) == (Blur(5.0), PhotoMean(), Grey())


@pytest.mark.parametrize(
    ("score", "values", "texts"),
    [
        ("probability", (-0.61, 0.05, 0), ["-0.610", "+0.0500", "0"]),
        ("log_odds", (-12.3, 0.4), ["-12.3 nats", "+0.400 nats"]),
        ("logit", (0.0, -0.0), ["0", "0"]),
        ("probability", (1e-9, 0), ["+1.00e-09", "0"]),
    ],
)
def test_amounts_have_their_unit_and_a_few_digits(score: str, values: tuple[float, ...], texts: list[str]) -> None:
    assert amounts(at.Target(0, score), *values, signed=True) == texts
