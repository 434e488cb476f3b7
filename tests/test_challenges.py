"""Challenges: networks whose best answers are known."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as some
from torch import Tensor, nn
from toys import model_of

import attribution as at
from attribution.baselines.constant import Black, Constant, White
from attribution.baselines.covered import FILLS
from attribution.checks.challenges.attempt import CHALLENGES, Attempt
from attribution.checks.challenges.challenge import Judged
from attribution.checks.challenges.orders import RANDOM, chance, first, importance, square
from attribution.checks.probe import Forecaster, Prober, forecaster
from attribution.checks.ranking import ranking
from attribution.photo.cells import ALL, GRID, Cells
from attribution.settings import read, write

BOX = Cells.box(11, 6, 6, 6)
SIZE = (GRID, GRID)
AREA = BOX.count / GRID**2


class OnBox(nn.Module):
    """The maximum or the mean of one box, less a threshold, as logit 0; logit 1 is zero."""

    def __init__(self, reduce: str, threshold: float) -> None:
        super().__init__()
        self.reduce, self.threshold = reduce, threshold
        self.register_buffer("inside", torch.from_numpy(BOX.grid))

    def forward(self, x: Tensor) -> Tensor:
        values = x[:, :, self.inside].flatten(1)
        score = (values.amax(1) if self.reduce == "max" else values.mean(1)) - self.threshold
        return torch.stack([score, torch.zeros_like(score)], 1)


def on_box(reduce: str, threshold: float = 0.5) -> at.Model:
    return model_of(OnBox(reduce, threshold), SIZE, 2)


def box_photo() -> Tensor:
    """A black photo with a white box."""
    return torch.from_numpy(BOX.grid).float().expand(3, *SIZE).clone()


def forecasters(model: at.Model, x: Tensor, *methods: object) -> list[Forecaster]:
    return [forecaster(each, Black()) for each in at.compare(model, x, list(methods), at.Target(0, "logit")).maps]


def judged(challenge: str, prober: Prober, cells: Cells, **more: object) -> Judged:
    return CHALLENGES[challenge].judge(prober, cells, Black(), **more)  # type: ignore[arg-type]


def test_the_smallest_flip_of_the_maximum_of_a_box_is_the_box() -> None:
    """Any white cell that is left keeps the class."""
    model, x = on_box("max"), box_photo()
    prober, fractions = Prober(model, x, at.Target(0, "logit")), list[float]()
    best = judged("flip", prober, BOX)
    assert (best.valid, best.value) == (True, pytest.approx(AREA))
    assert best.sentence == "With 4.6% covered, 'class 0' becomes 'class 1'."
    for row, column in ((6, 11), (8, 13), (11, 16)):
        grid = BOX.grid
        grid[row, column] = False
        less = judged("flip", prober, Cells.of(grid))
        assert not less.valid
        assert less.sentence == "It is still 'class 0' with these fills: black, blurred photo, mean of the photo."
    maps = forecasters(model, x, at.IntegratedGradients(5), at.Occlusion(2))
    pars = CHALLENGES["flip"].par(prober, Black(), maps, fractions.append)
    assert [each.title for each in pars] == ["Integrated gradients", "Occlusion", RANDOM]
    assert pars[0].cells == BOX
    assert pars[0].value == best.value
    assert (pars[2].value or 0) > 0.9  # some cell of the box is among the last ones
    for each in pars:
        assert each.cells
        assert judged("flip", prober, each.cells).value == each.value
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_the_smallest_box_that_keeps_a_mean_is_the_box() -> None:
    """Above 0.8 of the box's mean, which a move by one cell leaves above, and a smaller box does not."""
    model, x = on_box("mean", 0.8), box_photo()
    prober = Prober(model, x, at.Target(0, "logit"))
    best = judged("keep", prober, BOX.others)
    assert (best.valid, best.value) == (True, pytest.approx(AREA))
    assert best.sentence == "A box of 4.6% of the photo is enough for 'class 0', also when it moves."
    narrow = judged("keep", prober, Cells.box(11, 6, 5, 6).others)
    assert not narrow.valid
    assert narrow.sentence == "The box alone is 'class 0', but not when it moves up or down or left by one cell."
    assert judged("keep", prober, Cells.box(0, 0, 5, 5).others).sentence == (
        "The box alone is called 'class 1', not 'class 0'."
    )
    for cells in (BOX, Cells(), ALL):
        assert judged("keep", prober, cells).sentence.startswith("The uncovered cells must be one box")
    pars = CHALLENGES["keep"].par(prober, Black(), forecasters(model, x, at.IntegratedGradients(3)))
    assert pars[0].cells == BOX.others
    assert pars[0].value == best.value
    assert pars[1].title == RANDOM
    assert pars[1].value is None or pars[1].value > AREA


def test_a_class_that_nothing_changes_is_said_to_be_impossible() -> None:
    model, x = on_box("max", -2), box_photo()
    prober = Prober(model, x, at.Target(0, "logit"))
    found = judged("flip", prober, ALL)
    assert not found.valid
    assert "Even the completely covered photo is 'class 0' with these fills: black" in found.sentence
    assert "choose another one" in judged("keep", prober, BOX.others).sentence
    maps = forecasters(model, x, at.IntegratedGradients(3))
    for key in ("flip", "keep"):
        assert {(each.cells, each.value) for each in CHALLENGES[key].par(prober, Black(), maps)} == {(None, None)}


def test_a_flip_with_one_fill_only_does_not_count() -> None:
    """A white photo: its blur and its mean are white too."""
    prober = Prober(on_box("max"), torch.ones(3, *SIZE), at.Target(0, "logit"))
    found = judged("flip", prober, BOX)
    assert not found.valid
    assert found.sentence == (
        "It is still 'class 0' with these fills: blurred photo, mean of the photo. Even the completely covered photo "
        "is 'class 0' with these fills: blurred photo, mean of the photo."
    )


class Either(nn.Module):
    """OR of the means of both halves as logit 0; logit 1 is zero."""

    def forward(self, x: Tensor) -> Tensor:
        left, right = (half.mean((1, 2, 3)) for half in x.split(GRID // 2, dim=3))
        score = 1 - F.relu(1 - left - right)
        return torch.stack([score, torch.zeros_like(score)], 1)


def test_or_fools_integrated_gradients_by_what_they_share_out() -> None:
    model, x = model_of(Either(), SIZE, 2), torch.ones(3, *SIZE)
    prober = Prober(model, x, at.Target(0, "logit"))
    maps = forecasters(model, x, at.IntegratedGradients(200, rule="midpoint"), at.Gradient())
    cells = Cells.box(0, 0, 14, 5)
    found = judged("fool", prober, cells, forecasters=maps)
    assert found.valid
    assert found.value == pytest.approx(70 / 784, rel=1e-4)
    assert found.sentence == ("Integrated gradients forecasts a change of -0.0893; it is 0, so the map is 0.0893 off.")
    assert judged("fool", prober, BOX.others, forecasters=maps).sentence == (
        "95.4% of the photo is covered; at most 10% may be."
    )
    assert not judged("fool", prober, cells).valid
    pars = CHALLENGES["fool"].par(prober, Black(), maps)
    assert pars[0].value == pytest.approx(78 / 784, rel=1e-3)  # the most cells that are allowed
    assert pars[0].cells
    assert pars[0].cells.area(SIZE) <= 0.1


def test_a_guess_is_compared_with_the_forecasts() -> None:
    model, x = model_of(Either(), SIZE, 2), torch.ones(3, *SIZE)
    prober = Prober(model, x, at.Target(0, "logit"))
    maps = forecasters(model, x, at.IntegratedGradients(200, rule="midpoint"))
    half = Cells.box(0, 0, 14, GRID)
    found = judged("predict", prober, half, forecasters=maps, guess=0.75)
    assert found.value == pytest.approx(0.25)
    assert found.sentence.startswith("You guessed 0.750, the score is 1.00: 0.250 off. The best forecast (")
    assert found.sentence.endswith(") is 0.500 off; 0 of 2 are closer than you.")
    assert judged("predict", prober, half).sentence == "No score was guessed."
    assert not judged("predict", prober, Cells(), guess=1.0).valid
    pars = CHALLENGES["predict"].par(prober, Black(), maps)
    assert [each.title for each in pars] == ["Integrated gradients", "Area alone"]
    assert pars[0].value == pytest.approx(81 / 784, rel=1e-3)


def test_a_network_with_one_output_has_no_class_to_change() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * GRID * GRID, 1))
    model = at.Model("ages", net, SIZE, (0,) * 3, (1,) * 3, ["age"], device="cpu", output="number", unit="years")
    prober = Prober(model, box_photo(), at.Target(0, "value"))
    for key in ("flip", "keep"):
        assert "no class can change" in judged(key, prober, BOX).sentence
    assert "years" in judged("predict", prober, BOX, guess=3.0).sentence


def test_equal_attempts_share_a_rank_and_invalid_ones_come_last() -> None:
    prober = Prober(on_box("max"), box_photo(), at.Target(0, "logit"))
    wide = Cells.box(10, 5, 8, 8)
    regions = [Cells.box(0, 0, 3, 3), wide, BOX, Cells.box(9, 6, 8, 8), ALL]
    attempts = [Attempt(cells, Black(), "flip") for cells in regions] + [Attempt(BOX, Black(), "keep")]
    found = ranking(prober, "flip", attempts)
    assert [(row.place, row.rank) for row in found] == [(2, 1), (1, 2), (3, 2), (4, 4), (0, None), (5, None)]
    assert found[-1].judged.sentence == "This is no attempt at the challenge Flip."
    with pytest.raises(at.Refusal, match="at most 40 attempts, got 41"):
        ranking(prober, "flip", attempts[:1] * 41)


def test_more_is_better_where_a_map_is_fooled() -> None:
    model, x = model_of(Either(), SIZE, 2), torch.ones(3, *SIZE)
    maps = at.compare(model, x, [at.IntegratedGradients(50, rule="midpoint")], at.Target(0, "logit")).maps
    attempts = [Attempt(Cells.box(0, 0, side, side), Black(), "fool") for side in (3, 8)]
    attempts.append(Attempt(Cells.box(0, 0, 8, 8), White(), "fool"))
    found = ranking(Prober(model, x, at.Target(0, "logit")), "fool", attempts, maps)
    assert [(row.place, row.rank) for row in found] == [(1, 1), (0, 2), (2, None)]
    assert "choose a map's own baseline" in found[2].judged.sentence


def test_orders_begin_with_the_most_important_cells() -> None:
    model, x = on_box("mean"), box_photo()
    maps = forecasters(model, x, at.IntegratedGradients(3), at.Occlusion(2), at.RISE(50))
    assert first(importance(maps[0]), BOX.count) == BOX
    assert square(importance(maps[0]), 6) == BOX
    assert importance(maps[1]).argmax() in BOX.grid.flatten().nonzero()[0]
    assert first(chance(0), 5) == first(chance(0), 5) != first(chance(1), 5)
    assert [first(chance(0), count).count for count in (0, 1, 784)] == [0, 1, 784]


@given(
    some.sampled_from([Cells(), BOX, BOX.others, ALL]),
    some.sampled_from([*(fill() for fill in FILLS.values() if fill is not Constant), Constant((1, 0, 0))]),
    some.sampled_from(["free", *CHALLENGES]),
    some.none() | some.floats(-1e9, 1e9),
)
def test_the_text_of_an_attempt_is_invertible_and_forms_keep_it(
    cells: Cells, fill: at.baselines.Baseline, challenge: str, guess: float | None
) -> None:
    from attribution.ui import forms

    attempt = Attempt(cells, fill, challenge, guess)
    for full in (False, True):
        assert read(write(attempt, full=full), {Attempt.key: Attempt}) == attempt
    state: dict[str, object] = {}
    forms.fill(attempt, "probe", state)
    assert forms.held(Attempt, "probe", state) == attempt
    assert len(write(attempt, full=True)) < 300


@pytest.mark.parametrize("text", ["probe(guess=x)", "probe(guess=nan)", "probe(challenge=win)", "probe(fill=noise)"])
def test_a_wrong_attempt_is_refused(text: str) -> None:
    with pytest.raises(at.Refusal):
        read(text, {Attempt.key: Attempt})
