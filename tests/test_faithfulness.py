"""Deletion, insertion, sensitivity-n, infidelity and max-sensitivity against answers that are known."""

import dataclasses
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from toys import model_of, noise, randomise

import attribution as at
from attribution.checks import controls
from attribution.checks.faithfulness import measure
from attribution.checks.findings import Faithfulness, Findings
from attribution.checks.imputation import impute
from attribution.checks.perturbation_curves import Change, Curve, changed, curves, ranks
from attribution.checks.sensitivity import (
    correlation,
    correlation_error,
    drops,
    enough,
    infidelity,
    map_changes,
    moved,
    predicted,
    samples,
    sets,
    squares,
)
from attribution.checks.trial import SET_SIZES, Trial
from attribution.network.scorer import Scorer

SIDE, PATCH = 12, 3
LOGIT = at.Target(0, "logit")


def curve(scorer: Scorer, start: Tensor, end: Tensor, order: np.ndarray, steps: int, tolerance: float = 0.0) -> Curve:
    """One final curve; every step is measured unless there is a tolerance."""
    *_, (found,) = curves(scorer, [Change(start, end, order, steps)], tolerance, [None], lambda images: None)
    return found


class Patch(nn.Module):
    """The mean of the upper left patch as logit 0, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        score = self.scale * x[:, :, :PATCH, :PATCH].mean((1, 2, 3))
        return torch.stack([score, torch.zeros_like(score)], 1)


class Linear(nn.Module):
    """A weighted sum of all pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", noise(3, SIDE, SIDE, seed=5, dtype=torch.float64) - 0.3)

    def forward(self, x: Tensor) -> Tensor:
        score = (x * self.weights).sum((1, 2, 3))
        return torch.stack([score, torch.zeros_like(score)], 1)


def model(net: nn.Module, classes: int = 2) -> at.Model:
    return model_of(net.double(), (SIDE, SIDE), classes)


def photo() -> Tensor:
    return 0.5 + 0.5 * noise(3, SIDE, SIDE, dtype=torch.float64)


def patch_map(inside: float = 1.0) -> np.ndarray:
    values = np.zeros((3, SIDE, SIDE))
    values[:, :PATCH, :PATCH] = inside
    return values


def test_deletion_and_insertion_of_a_patch_are_known_exactly() -> None:
    x, steps = photo(), SIDE * SIDE // PATCH**2
    scorer, black = Scorer(model(Patch()), x, LOGIT), torch.zeros_like(x)
    full = float(x[:, :PATCH, :PATCH].mean())
    order = ranks(patch_map())
    deletion, insertion = curve(scorer, x, black, order, steps), curve(scorer, black, x, order, steps)
    assert deletion.counts.tolist() == [PATCH**2 * step for step in range(steps + 1)]
    assert deletion.scores == pytest.approx([full] + [0] * steps, abs=1e-12)
    assert insertion.scores == pytest.approx([0] + [full] * steps, abs=1e-12)
    assert deletion.area == pytest.approx(full / 2 / steps)
    assert insertion.area == pytest.approx(full * (steps - 0.5) / steps)
    last = curve(scorer, x, black, ranks(-patch_map(), "signed_sum"), steps)
    assert last.scores == pytest.approx([full] * steps + [0], abs=1e-12)


@pytest.mark.parametrize("steps", [1, 5, 7, SIDE * SIDE])
def test_curves_are_the_papers_definition(steps: int) -> None:
    """Petsiuk et al.'s evaluation, written out: pixels in descending order, ceil(HW / step) + 1 scores."""
    x, filler = photo(), noise(3, SIDE, SIDE, seed=3, dtype=torch.float64)
    net = randomise(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * (SIDE - 2) ** 2, 3)))
    network, values = model(net, 3), noise(3, SIDE, SIDE, seed=9, dtype=torch.float64).numpy()
    found = curve(Scorer(network, x, at.Target(1), chunk=3), x, filler, ranks(values), steps)
    step = math.ceil(SIDE * SIDE / steps)
    order = np.flip(np.argsort(values.sum(0).ravel()))
    image, scores = x.clone().flatten(1), []
    for number in range(math.ceil(SIDE * SIDE / step) + 1):
        with torch.no_grad():
            scores.append(float(net(image.view(1, 3, SIDE, SIDE)).softmax(1)[0, 1]))
        place = order[number * step : (number + 1) * step].copy()
        image[:, place] = filler.flatten(1)[:, place]
    assert found.scores == pytest.approx(scores, abs=1e-12)
    shares = np.minimum(np.arange(len(scores)) * step, SIDE * SIDE) / (SIDE * SIDE)
    assert found.area == pytest.approx(np.trapezoid(scores, shares), abs=1e-12)
    assert found.counts == pytest.approx(shares * SIDE * SIDE)
    assert found.error == 0


def test_ranks_put_the_greatest_first_and_ties_in_no_direction() -> None:
    values = noise(3, 9, 7).numpy() - 0.5
    places = ranks(values)
    heat = np.abs(values).sum(0)
    assert sorted(places.ravel()) == list(range(63))
    assert (np.diff(heat.ravel()[np.argsort(places.ravel())]) <= 0).all()
    flat = ranks(np.zeros((3, 60, 60)))
    rows = np.indices((60, 60))[0].ravel()[np.argsort(flat.ravel())]
    assert abs(rows[:1800].mean() - rows[1800:].mean()) < 3
    assert np.array_equal(flat, ranks(np.zeros((3, 60, 60))))
    assert not np.array_equal(flat, ranks(np.zeros((3, 60, 60)), seed=1))


def test_the_image_at_any_point_has_that_share_of_the_other() -> None:
    x, other = photo(), torch.zeros(3, SIDE, SIDE, dtype=torch.float64)
    order = ranks(noise(3, SIDE, SIDE).numpy())
    for share in (0.0, 0.25, 1.0):
        image = changed(x, other, order, share)
        assert int((image == 0).all(0).sum()) == round(share * SIDE * SIDE)
    quarter = changed(x, other, order, 0.25)
    assert bool((quarter[:, order < 36] == 0).all())
    assert torch.equal(quarter[:, order >= 36], x[:, order >= 36])


def test_on_a_linear_network_complete_maps_have_no_infidelity_and_full_correlation() -> None:
    x, net = photo(), model(Linear())
    filler = at.baselines.Constant((0.2, 0.4, 0.1))
    methods = [at.Gradient(), at.IntegratedGradients(4, filler), at.InputXGradient()]
    results = at.compare(net, x, methods, LOGIT)
    found = measure(net, results, Trial(removed_to=filler, samples=12, moves=2, radius=0.01))
    for each in found.findings[:2]:
        assert each.infidelity == pytest.approx(0, abs=1e-20)
        assert each.scaled_infidelity == pytest.approx(0, abs=1e-20)
        assert each.sensitivity_n == pytest.approx([1] * len(SET_SIZES))
    assert found.findings[2].scaled_infidelity > 1e-4  # it measures from black, not from the filler
    assert found.findings[0].max_sensitivity == pytest.approx(0, abs=1e-12)
    assert [each.infidelity for each in found.findings[3:]] == [None] * 3
    assert all(abs(each.mean_sensitivity_n) < 0.6 for each in found.findings[3:])


def test_infidelity_and_its_scale_are_the_papers() -> None:
    sums, losses = np.array([1.0, 2.0, -1.0]), np.array([2.0, 3.0, -2.0])
    assert infidelity(sums, losses) == pytest.approx(((1 + 1 + 1) / 3, 0))
    factor = (2 + 6 + 2) / (1 + 4 + 1)
    squared = [(factor * one - other) ** 2 for one, other in zip(sums, losses, strict=True)]
    expected = np.mean(squared), np.std(squared, ddof=1) / math.sqrt(3)
    assert infidelity(sums, losses, scaled=True) == pytest.approx(expected)
    assert infidelity(7 * sums, losses, scaled=True) == pytest.approx(expected)
    assert infidelity(np.zeros(3), losses, scaled=True)[0] == pytest.approx(np.mean(losses**2))
    assert correlation(sums, losses) == pytest.approx(np.corrcoef(sums, losses)[0, 1])
    assert correlation(np.ones(3), losses) is None
    assert correlation(1e-13 * sums, losses) == pytest.approx(np.corrcoef(sums, losses)[0, 1])
    assert infidelity(sums[:1], losses[:1]) == (1, None)
    assert correlation_error([0.6, 0.8], 5) == pytest.approx(math.hypot(0.64 / 2, 0.36 / 2) / 2)
    assert correlation_error([1.0], 2) is None


def test_errors_are_the_spread_of_repetitions() -> None:
    """Standard errors, on average, against the standard deviation of 400 repetitions with other draws."""
    random, correlations, means = np.random.default_rng(0), [], []
    for _ in range(400):
        sums = random.normal(size=(2, 30))
        losses = sums + random.normal(size=(2, 30))
        each = [correlation(*pair) for pair in zip(sums, losses, strict=True)]
        correlations.append((np.mean(each), correlation_error(each, 30)))
        means.append(infidelity(sums[0], losses[0]))
    for found in (np.array(correlations), np.array(means)):
        assert found[:, 1].mean() == pytest.approx(found[:, 0].std(), rel=0.15)


def test_predicted_and_measured_drops_are_those_of_the_masks() -> None:
    x, filler = photo(), torch.zeros(3, SIDE, SIDE, dtype=torch.float64)
    net, weights = model(Linear()), noise(2, SIDE, SIDE, dtype=torch.float64)
    masks = next(samples((SIDE, SIDE), 4))
    assert len(masks) == len(SET_SIZES) + 1
    losses = drops(Scorer(net, x, LOGIT, chunk=3), filler, masks, lambda images: None)
    for mask, forecast, loss in zip(masks, predicted(weights, masks), losses, strict=True):
        assert forecast == pytest.approx([float(each[mask].sum()) for each in weights])
        assert loss == pytest.approx(float((x * net.net.weights)[:, mask].sum()))


def test_sets_have_their_size_and_squares_are_square() -> None:
    random = np.random.default_rng(0)
    chosen = sets((20, 30), 0.05, random)
    first, second = next(chosen), next(chosen)
    assert int(first.sum()) == int(second.sum()) == 30
    assert not torch.equal(first, second)
    sides = set()
    for _, mask in zip(range(200), squares((20, 30), random), strict=False):
        rows, columns = mask.any(1).nonzero().ravel(), mask.any(0).nonzero().ravel()
        side = len(rows)
        assert len(columns) == side
        assert int(mask.sum()) == side * side
        sides.add(side)
    assert sides == {1, 2, 3, 4, 5}


def test_max_sensitivity_is_the_largest_of_its_moves() -> None:
    net = randomise(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(4 * (SIDE - 2) ** 2, 3)))
    network, x = model(net, 3), photo()
    target = at.Target(1, "logit")
    result = at.attribute(network, x, at.Gradient(), target)
    random, changes = torch.Generator().manual_seed(3), []
    for _ in range(6):
        shifted = x + (torch.rand(x.shape, generator=random, dtype=torch.float64) * 2 - 1) * 0.05
        values = at.attribute(network, shifted, at.Gradient(), target).values
        changes.append(np.linalg.norm(values - result.values) / np.linalg.norm(result.values))
    found = [
        map_changes(network, each, [at.Gradient()], [result])[0]
        for each, _ in zip(moved(x, 0.05, 3), range(6), strict=False)
    ]
    assert found == pytest.approx(changes)
    tried = measure(network, [result], Trial(steps=2, samples=0, moves=6, radius=0.05, seed=3)).findings[0]
    last = next((number for number in range(4, 6) if enough(changes[:number])), 6)
    assert (tried.moves, tried.max_sensitivity) == (last, pytest.approx(max(changes[:last])))
    blank = dataclasses.replace(result, values=np.zeros_like(result.values))
    assert map_changes(network, x, [at.Gradient()], [blank]) == [None]
    assert [enough(each) for each in ([1] * 3, [1] * 4, [1, 1, 1, 1.1], [0] * 4)] == [False, True, False, True]


def test_a_curve_is_refined_where_it_bends_and_its_error_is_that_of_the_steps_left_out(
    squeezenet: at.Model, shepherd: Tensor
) -> None:
    """Against the curve with every step, which is the reference; the coarse curves come first and all grow together."""
    result = at.attribute(squeezenet, shepherd, at.GuidedBackprop())
    scorer, steps = Scorer(squeezenet, shepherd, result.target), 50
    grey = at.baselines.ImageNetMean().image(shepherd)
    orders = [ranks(result.values), ranks(controls.centre(shepherd))]
    changes = [Change(shepherd, grey, order, steps) for order in orders]
    images: list[int] = []
    rounds = list(curves(scorer, changes, 0.005, [None] * 2, images.append))
    assert [len(each.counts) for each in rounds[0]] == [6, 6]
    assert sum(images) == sum(len(each.counts) - 2 for each in rounds[-1]) + 2  # both ends are shared
    for change, found in zip(changes, rounds[-1], strict=True):
        whole = curve(scorer, change.start, change.end, change.ranks, steps)
        assert len(whole.counts) == steps + 1
        assert len(found.counts) < 0.6 * steps
        assert found.scores == pytest.approx(whole.scores[np.searchsorted(whole.counts, found.counts)], abs=1e-5)
        assert 0 < found.error < 0.005 * found.range
        assert abs(found.area - whole.area) < 3 * found.error
    bends = rounds[-1][0]  # guided backpropagation's score is lost in the first steps
    assert (np.diff(bends.counts)[:3] == changes[0].step).all()
    assert np.diff(bends.counts)[-1] > 4 * changes[0].step
    *_, again = curves(scorer, changes, 0.005, rounds[2], images.append)
    assert [each.counts.tolist() for each in again] == [each.counts.tolist() for each in rounds[-1]]


def test_the_error_of_an_area_is_that_of_brownian_bridges() -> None:
    """Random walks of 64 steps, of which every eighth is measured: the error is the deviation of the areas."""
    random, deviations, errors = np.random.default_rng(1), [], []
    for _ in range(500):
        walk = np.append(0, random.normal(size=64).cumsum())
        found = Curve(np.arange(0, 65, 8), walk[::8])
        deviations.append(found.area - np.trapezoid(walk) / 64)
        errors.append(found.error)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(deviations), rel=0.25)
    coarse = Curve(np.array([0, 2, 4]), np.array([1.0, 0.0, 0.0]), 1)
    assert coarse.doubts == pytest.approx([math.sqrt(2 / 8 / 12), math.sqrt(0.5 / 8 / 12)])
    assert coarse.with_points([3, 1], [0.0, 0.5]).error == 0


def test_progress_never_falls_and_everything_is_told_on_the_way(squeezenet: at.Model, shepherd: Tensor) -> None:
    results = at.compare(squeezenet, shepherd, [at.Gradient(), at.GradCAM()])
    fractions, told = [], []
    trial = Trial(steps=10, samples=2, moves=1)
    found = measure(squeezenet, results, trial, on_progress=fractions.append, on_found=told.append)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert {len(each.findings) for each in told} == {5}
    assert [len(each.deletion.counts) for each in told[0].findings] == [6] * 5
    assert told[-1] is found
    assert found.count == 2
    assert all(each.max_sensitivity > 0 for each in found.findings[:2])
    names = [each.name for each in found.findings]
    assert names == ["Gradient", "Grad-CAM", "random order", "a centred Gaussian", "the photo's edges"]
    assert found.findings[0].deletion.scores[0] == pytest.approx(results[0].score, abs=1e-6)
    assert found.findings[0].insertion.scores[-1] == pytest.approx(results[0].score, abs=1e-6)
    for place in range(2):
        assert " at deletion" in found.sentence(place)


def same(one: Faithfulness, other: Faithfulness) -> bool:
    """True if all numbers are the same up to rounding."""
    for this, that in zip(one.findings, other.findings, strict=True):
        for name in ("deletion", "insertion"):
            if getattr(this, name).scores != pytest.approx(getattr(that, name).scores, abs=1e-9):
                return False
        numbers = [
            [each.mean_sensitivity_n, each.scaled_infidelity, each.infidelity, each.max_sensitivity, each.moves]
            for each in (this, that)
        ]
        if numbers[0] != pytest.approx(numbers[1], abs=1e-9):
            return False
    return one.samples == other.samples


def test_what_is_kept_is_not_measured_again_and_changes_nothing() -> None:
    net = randomise(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * (SIDE - 2) ** 2, 3)))
    network, x, kept = model(net, 3), photo(), {}
    first, second, third = at.compare(
        network, x, [at.Gradient(), at.InputXGradient(), at.GuidedBackprop()], at.Target(1)
    )
    short, long = Trial(steps=12, samples=6, moves=4), Trial(steps=12, samples=12, moves=5)

    def counted(*args: object, **kwargs: object) -> tuple[Faithfulness, int]:
        fractions: list[float] = []
        return measure(network, *args, on_progress=fractions.append, **kwargs), len(fractions)

    alone, all_chunks = counted([first, second], short)
    begun, _ = counted([first, second], short, kept=kept)
    again, chunks = counted([first, second], short, kept=kept)
    assert same(alone, begun)
    assert same(alone, again)
    assert chunks == 1  # nothing but the end
    changed_one, chunks = counted([first, third], short, kept=kept)
    assert same(changed_one, measure(network, [first, third], short))
    assert 1 < chunks < all_chunks / 2
    longer, chunks = counted([first, second], long, kept=kept)
    from_scratch, all_chunks = counted([first, second], long)
    assert same(longer, from_scratch)
    assert 1 < chunks < all_chunks / 2
    seen: list[int] = []

    def stop(fraction: float) -> None:
        seen.append(1)
        if len(seen) == 8:
            raise KeyboardInterrupt

    part: dict[str, object] = {}
    with pytest.raises(KeyboardInterrupt):
        measure(network, [first], long, on_progress=stop, kept=part)
    assert same(measure(network, [first], long, kept=part), measure(network, [first], long))


def test_a_map_without_an_order_says_so_and_values_that_do_not_add_up_forecast_nothing(
    squeezenet: at.Model, shepherd: Tensor
) -> None:
    result = at.attribute(squeezenet, shepherd, at.Gradient())
    blank = dataclasses.replace(result, values=np.zeros_like(result.values))
    window = at.attribute(squeezenet, shepherd, at.Occlusion(80, 80))
    square = at.attribute(squeezenet, shepherd, at.VarGrad(2))
    found = measure(squeezenet, [blank, window, square, window], Trial(steps=2, samples=2, moves=0))
    assert found.sentence(0) == "Gradient: the map is constant, so the order of its pixels is random."
    assert found.findings[0].sensitivity_n == (None,) * len(SET_SIZES)
    assert found.findings[1].infidelity is None
    assert found.findings[1].scaled_infidelity is not None
    assert (found.findings[2].sensitivity_n, found.findings[2].scaled_infidelity) == ((), None)
    assert found.findings[1].name.startswith("Occlusion, occlusion(window=80")


def test_a_cancel_stops_within_a_chunk(squeezenet: at.Model, shepherd: Tensor) -> None:
    results, fractions = at.compare(squeezenet, shepherd, [at.Gradient()]), []

    def stop(fraction: float) -> None:
        fractions.append(fraction)
        if fraction > 0.1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(squeezenet, results, on_progress=stop)
    assert fractions[-1] - fractions[-2] < 0.03  # one chunk of about a hundred


def test_maps_of_different_photos_are_refused(squeezenet: at.Model, shepherd: Tensor) -> None:
    one = at.attribute(squeezenet, shepherd, at.Gradient(), at.Target(1))
    with pytest.raises(at.Refusal, match="must be of one photo, one model and one target"):
        measure(squeezenet, [one, at.attribute(squeezenet, 1 - shepherd, at.Gradient(), at.Target(1))])
    with pytest.raises(at.Refusal, match="must be of one photo"):
        measure(squeezenet, [one, at.attribute(squeezenet, shepherd, at.Gradient(), at.Target(2))])
    other = model(randomise(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(400, 3))), 3)
    with pytest.raises(at.Refusal, match="one model"):
        measure(other, [one])
    with pytest.raises(at.Refusal, match="there must be at least one"):
        measure(squeezenet, [])


def test_controls_know_only_the_photo() -> None:
    x = torch.zeros(3, 20, 30)
    x[:, :, 15:] = 1
    edges, centre = controls.edges(x), controls.centre(x)
    assert edges.shape == centre.shape == (3, 20, 30)
    assert set(np.flatnonzero(edges.sum((0, 1)))) == {14, 15}
    assert np.array_equal(centre, centre[:, ::-1, ::-1])
    assert centre.sum(0).argmax() // 30 in (9, 10)
    assert not np.array_equal(controls.noise(x), controls.noise(x, 1))


def test_a_sentence_needs_a_lead_and_a_filler_with_a_score_is_told() -> None:
    def found(*areas: float, last: float = 0.0, sensitivity: float = 0.5) -> Faithfulness:
        findings = []
        for number, area in enumerate(areas):
            deletion = Curve(np.array([0, 1, 2]), np.array([1.0, 2 * area - 0.5 - last / 2, last]), 1)
            insertion = Curve(np.array([0, 1, 2]), np.array([0.0, 0.5, 1.0]), 1)
            findings.append(Findings(f"map {number}", np.zeros((1, 2)), deletion, insertion, False, (sensitivity,)))
        return Faithfulness(Trial(), at.Target(0), torch.zeros(3, 1, 2), tuple(findings), 1, 30)

    assert found(0.3, 0.5, 0.305).sentence(0) == "map 0 beats map 1 at deletion, and no control at insertion."
    assert found(0.3, 0.5, 0.4).sentence(0) == "map 0 beats every control at deletion, and no control at insertion."
    assert found(0.3, 0.5, sensitivity=0.1).sentence(0).endswith("Its sensitivity-n is no better than chance.")
    assert found(0.3, 0.5, sensitivity=-0.4).sentence(0).endswith("Its sensitivity-n is worse than chance.")
    with_road = found(0.3, 0.5, 0.305)
    curves = {"map 0": with_road.findings[0].deletion, "map 2": with_road.findings[0].deletion}
    findings = [
        replace(each, road=curves.get(each.name, with_road.findings[1].deletion)) for each in with_road.findings
    ]
    assert replace(with_road, findings=tuple(findings)).sentence(0) == (
        "map 0 beats map 1 at deletion and at ROAD, and no control at insertion."
    )
    assert found(0.3, 0.5).warning == ""
    assert found(0.3, 0.5, last=0.6).warning.startswith("The filler alone scores 0.6 (photo: 1), so deletion")


@given(st.integers(0, 10_000), st.floats(0.1, 0.9), st.integers(3, 9), st.integers(3, 9))
@settings(max_examples=20, deadline=None)
def test_imputation_is_the_papers_linear_system(seed: int, share: float, height: int, width: int) -> None:
    random = np.random.default_rng(seed)
    image, removed = random.random((2, height, width)), random.random((height, width)) < share
    removed[0, 0] = False  # something is known
    found = impute(image, removed, noise=0.0)
    np.testing.assert_array_equal(found[:, ~removed], image[:, ~removed])
    for row, column in zip(*np.nonzero(removed), strict=True):
        around = [
            (found[:, i, j], 1 / 6 if i == row or j == column else 1 / 12)
            for i in range(max(0, row - 1), min(height, row + 2))
            for j in range(max(0, column - 1), min(width, column + 2))
            if (i, j) != (row, column)
        ]
        mean = sum(pixels * weight for pixels, weight in around) / sum(weight for _, weight in around)
        np.testing.assert_allclose(found[:, row, column], mean, atol=1e-12)


def test_a_linear_ramp_is_imputed_exactly_without_noise() -> None:
    rows, columns = np.indices((12, 15)) / 15
    image = np.stack([columns, rows, 0.3 * rows - 0.2 * columns + 0.1])
    removed = np.zeros((12, 15), bool)
    removed[1:-1, 1:-1] = np.random.default_rng(0).random((10, 13)) < 0.8
    np.testing.assert_allclose(impute(image, removed, noise=0.0), image, atol=1e-13)
    noisy = impute(image, removed, noise=0.01)
    assert 0.005 < (noisy - image)[:, removed].std() < 0.02
    np.testing.assert_array_equal(noisy[:, ~removed], image[:, ~removed])


def test_without_a_known_pixel_the_mean_colour_is_left() -> None:
    image = np.random.default_rng(0).random((3, 4, 5))
    found = impute(image, np.ones((4, 5), bool), noise=0.0)
    np.testing.assert_allclose(found, np.broadcast_to(image.mean((1, 2), keepdims=True), image.shape))


def test_road_scores_imputed_photos(squeezenet: at.Model, shepherd: Tensor) -> None:
    result = at.attribute(squeezenet, shepherd, at.Gradient())
    found = measure(squeezenet, [result], Trial(steps=2, road_steps=4, tolerance=0.0, samples=0, moves=0))
    order = ranks(result.values)
    for each in found.findings:
        assert each.road is not None
        assert each.road.counts.tolist() == [0, 12_883, 25_766, 38_649, order.size]
        assert each.road.scores[0] == pytest.approx(result.score, abs=1e-6)
        assert each.road.scores[-1] == found.findings[0].road.scores[-1]
    image = torch.from_numpy(impute(shepherd.numpy(), order < 25_766)).float()
    expected = Scorer(squeezenet, image, result.target).score
    assert found.findings[0].road.scores[2] == pytest.approx(expected, abs=1e-6)
    torch.testing.assert_close(found.image("ROAD", found.findings[0], 25_766 / order.size), image)
    assert found.findings[0].curves.keys() == {"deletion", "insertion", "ROAD"}
