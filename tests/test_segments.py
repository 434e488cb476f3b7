"""Segments of a photo; LIME and Kernel SHAP against known answers; their standard errors against their spread."""

import json
import struct
from collections.abc import Callable
from math import comb

import numpy as np
import pytest
import torch
from captum._utils.models.linear_model import SkLearnLinearRegression
from captum.attr import KernelShap, Lime
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from reference import lime, shapley
from skimage.measure import label
from torch import Tensor
from toys import model_of, noise, randomise, toy

import attribution as at
from attribution.methods.method import Method
from attribution.methods.perturbations.kernel_shap import _allocated, _pairs, _size_weights
from attribution.photo.segments import segment
from attribution.viewer.message import Place, pack_result

BLACK, LOGIT = at.baselines.Black(), at.Target(0, "logit")
patient = hypothesis_settings(deadline=None, max_examples=15)


def game(function: Callable[[Tensor], Tensor], players: int) -> at.Model:
    """A model of the red values of `players` pixels in a row, each of which is a segment."""
    return toy(lambda x: function(x[:, :players]), 3 * players)


def random_game(players: int, seed: int) -> Callable[[Tensor], Tensor]:
    """A function with interactions of all orders: (N, players) -> (N,)."""
    random = torch.Generator().manual_seed(seed)
    inner = 1.5 * torch.randn(players, 16, generator=random, dtype=torch.float64)
    outer = torch.randn(16, generator=random, dtype=torch.float64)
    return lambda x: torch.tanh(x @ inner.to(x) - 0.3) @ outer.to(x)


def worth(function: Callable[[Tensor], Tensor], players: int) -> Callable[[frozenset[int]], float]:
    """The score of a coalition of white pixels, the others black."""

    def score(members: frozenset[int]) -> float:
        shown = torch.tensor([[float(player in members) for player in range(players)]], dtype=torch.float64)
        return float(function(shown))

    return score


def explained(model: at.Model, method: Method, players: int) -> at.Attribution:
    return at.attribute(model, torch.ones(3, 1, players, dtype=torch.float64), method, LOGIT)


def found(result: at.Attribution) -> NDArray[np.float64]:
    """The value of each segment."""
    return np.bincount(result.segments.ravel(), result.values.sum(0).ravel())


PHOTOS = {
    "noise": lambda *size: noise(3, *size),
    "constant": lambda *size: torch.full((3, *size), 0.4),
    "ramp": lambda *size: torch.linspace(0, 1, size[0] * size[1]).view(1, *size).expand(3, -1, -1),
    "beyond": lambda *size: 3 * noise(3, *size) - 1,
}


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 3), (1, 90), (17, 9), (64, 48)])
@pytest.mark.parametrize("count", [2, 8, 60])
def test_segments_are_labelled_without_gaps_and_connected(photo: str, size: tuple[int, int], count: int) -> None:
    x = PHOTOS[photo](*size)
    labels = segment(x, count, 10.0)
    assert labels.shape == size
    assert labels.dtype == np.int64
    assert set(labels.ravel()) == set(range(labels.max() + 1))
    assert label(labels, background=-1, connectivity=1).max() == labels.max() + 1
    np.testing.assert_array_equal(segment(x.double(), count, 10.0), labels)
    np.testing.assert_array_equal(segment(x.float(), count, 10.0), labels)
    if size[0] * size[1] <= count:
        assert labels.max() + 1 == size[0] * size[1]


def test_about_as_many_segments_as_asked(shepherd: Tensor) -> None:
    for count in (10, 50, 200):
        assert 0.5 * count <= segment(shepherd, count, 10.0).max() + 1 <= 1.5 * count
        assert 0.5 * count <= segment(noise(3, 64, 64), count, 10.0).max() + 1 <= 1.5 * count  # nothing alike in it


@pytest.mark.parametrize("method", [at.LIME, at.KernelSHAP])
@pytest.mark.parametrize("masks", [40, 300])
@pytest.mark.parametrize("seed", [0, 7, 123])
def test_a_score_that_is_linear_in_the_segments_is_returned(method: type[Method], masks: int, seed: int) -> None:
    weights = torch.tensor([1, -2, 3, 0.5, 0, 7, -1, 0.25], dtype=torch.float64)
    model = game(lambda x: x @ weights.to(x) + 5, 8)
    result = explained(model, method(8, masks, baseline=BLACK, seed=seed), 8)
    np.testing.assert_allclose(found(result), weights, atol=1e-9)
    np.testing.assert_allclose(result.standard_error, 0, atol=1e-9)
    biased = found(explained(model, at.LIME(8, masks, baseline=BLACK, seed=seed, ridge=1.0), 8))
    assert abs(biased - weights.numpy()).max() > 0.05


@pytest.mark.parametrize("ridge", [0.0, 1.0])
@pytest.mark.parametrize("width", [0.25, 1.0])
def test_lime_is_its_formula(ridge: float, width: float) -> None:
    function = random_game(6, 3)
    method = at.LIME(6, 50, baseline=BLACK, seed=5, width=width, ridge=ridge)
    result = explained(game(function, 6), method, 6)
    masks = np.vstack([np.ones((1, 6), bool), method.draw(6, torch.Generator().manual_seed(5))])
    scores = function(torch.from_numpy(masks).double()).numpy()
    np.testing.assert_allclose(found(result), lime(masks, scores, width, ridge), atol=1e-9)
    assert result.delta is None


@patient
@given(st.integers(2, 8), st.integers(0, 1000))
def test_all_coalitions_are_shapley_values(players: int, seed: int) -> None:
    function = random_game(players, seed)
    result = explained(game(function, players), at.KernelSHAP(8, 254, baseline=BLACK), players)
    np.testing.assert_allclose(found(result), shapley(worth(function, players), players), atol=1e-9)
    assert result.forwards == 2**players  # each coalition once
    assert not result.standard_error.any()


def test_one_segment_gets_the_whole_difference() -> None:
    model = toy(lambda x: x.square().sum(1))
    for method in (at.KernelSHAP(baseline=BLACK), at.LIME(baseline=BLACK)):
        result = explained(model, method, 1)
        np.testing.assert_allclose(found(result), [3.0], atol=1e-9)


def test_a_segment_without_effect_gets_zero_and_equal_segments_get_the_same() -> None:
    def function(x: Tensor) -> Tensor:
        return torch.tanh(x[:, 0] + x[:, 1] - x[:, 2]) * (1 + x[:, 3] * x[:, 0] * x[:, 1])  # the fifth has none

    values = found(explained(game(function, 5), at.KernelSHAP(5, 30, baseline=BLACK), 5))
    np.testing.assert_allclose(values[[0, 4]], [values[1], 0], atol=1e-12)
    assert abs(values[:4]).min() > 0.05


@patient
@given(st.integers(9, 14), st.integers(30, 300), st.integers(0, 1000))
def test_the_sum_is_the_score_difference_also_with_few_masks(players: int, masks: int, seed: int) -> None:
    function = random_game(players, seed)
    result = explained(game(function, players), at.KernelSHAP(players, masks, baseline=BLACK, seed=seed), players)
    score = worth(function, players)
    assert result.score - result.baseline_score == pytest.approx(score(frozenset(range(players))) - score(frozenset()))
    assert abs(result.delta) < 1e-9


@pytest.mark.parametrize("method", [at.LIME, at.KernelSHAP])
@pytest.mark.parametrize("masks", [60, 400])
def test_the_standard_error_is_the_spread_over_seeds(method: type[Method], masks: int) -> None:
    function = random_game(12, 1)
    model, exact = game(function, 12), np.array(shapley(worth(function, 12), 12))
    results = [explained(model, method(12, masks, baseline=BLACK, seed=seed), 12) for seed in range(30)]
    values = np.stack([found(result) for result in results])
    errors = np.sqrt(np.mean([np.square(result.standard_error) for result in results], 0))
    ratios = errors / values.std(0, ddof=1)
    assert 0.85 < np.sqrt(np.square(ratios).mean()) < 1.2
    assert 0.6 < ratios.min() < ratios.max() < 1.7
    if method is at.KernelSHAP:  # unbiased
        assert abs((values.mean(0) - exact) / (errors / 30**0.5)).max() < 4


def test_more_masks_reduce_the_error_of_kernel_shap() -> None:
    function = random_game(11, 2)
    exact = np.array(shapley(worth(function, 11), 11))
    model = game(function, 11)
    off = [
        abs(found(explained(model, at.KernelSHAP(11, masks, baseline=BLACK), 11)) - exact).max()
        for masks in (60, 600, 2046)
    ]
    assert off[0] > 2 * off[1] > 1e-3
    assert off[2] < 1e-9


@given(st.integers(2, 40), st.data())
def test_pairs_are_distributed_over_all_sizes(count: int, data: st.DataObject) -> None:
    existing, weights = _pairs(count), _size_weights(count)
    assert sum(existing) == 2 ** (count - 1) - 1
    pairs = data.draw(st.integers(min(count, sum(existing)), min(5000, sum(existing))))
    allocated = _allocated(pairs, existing, weights)
    assert sum(allocated) == pairs
    for size, (few, there, weight) in enumerate(zip(allocated, existing, weights, strict=True), 1):
        assert min(2, there) <= few <= there
        assert weight == pytest.approx(there / (comb(count, size) * size * (count - size)))


def test_coalitions_are_drawn_once_and_with_their_complements() -> None:
    for players, masks in ((4, 10), (6, 40), (7, 100), (12, 500), (13, 2000)):
        drawn = at.KernelSHAP(players, masks).draw(players, torch.Generator().manual_seed(1))
        assert len(drawn) == masks
        assert len(np.unique(drawn, axis=0)) == masks
        assert (drawn[::2] != drawn[1::2]).all()
        assert 0 < drawn.sum(1).min() <= drawn.sum(1).max() < players


def test_captum_agrees_on_a_linear_game() -> None:
    weights = torch.tensor([1.0, -2, 3, 0.5], dtype=torch.float64)
    model, x = game(lambda x: x @ weights.to(x) + 5, 4), torch.ones(1, 3, 1, 4, dtype=torch.float64)
    mask = torch.arange(4).view(1, 1, 1, 4).expand_as(x)

    def forward(images: Tensor) -> Tensor:
        return model.logits(images)[:, 0].detach()

    theirs = {
        at.LIME: Lime(forward, SkLearnLinearRegression()).attribute(x, feature_mask=mask, n_samples=50),
        at.KernelSHAP: KernelShap(forward).attribute(x, feature_mask=mask, n_samples=50),
    }
    for method, values in theirs.items():
        ours = found(explained(model, method(4, 50, baseline=BLACK), 4))
        np.testing.assert_allclose(ours, values[0, 0, 0].numpy(), atol=1e-4)


@pytest.fixture(scope="module")
def small() -> at.Model:
    layers = [torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 14 * 18, 3)]
    return model_of(randomise(torch.nn.Sequential(*layers)).double(), (16, 20), 3)


PHOTO = noise(3, 4, 5, dtype=torch.float64).repeat_interleave(4, 1).repeat_interleave(4, 2)  # 20 patches
BOTH = pytest.mark.parametrize("method", [at.LIME(20, 80), at.KernelSHAP(20, 80)], ids=["lime", "kernel_shap"])


@BOTH
def test_a_segments_value_is_divided_among_its_pixels(small: at.Model, method: Method) -> None:
    result = at.attribute(small, PHOTO, method, LOGIT)
    assert result.segments.shape == (16, 20)
    assert result.standard_error.shape == (result.segments.max() + 1,)
    for number, error in enumerate(result.standard_error):
        assert len(np.unique(result.values[:, result.segments == number])) == 1
        assert error > 0
    clear = int((abs(found(result)) > 2 * result.standard_error).sum())
    assert result.notes[0] == (
        f"{len(result.standard_error)} segments, whose values are divided among their pixels; "
        "80 masked photos; the median standard error is "
        f"{np.median(result.standard_error):.2g}, and {clear} segments differ from zero by more than 2 standard errors."
    )


@BOTH
def test_neither_the_chunk_nor_a_second_run_changes_anything(small: at.Model, method: Method) -> None:
    partial: list[at.Attribution] = []
    alone, together, again = (
        at.attribute(
            small, PHOTO, method, LOGIT, chunk=chunk, on_progress=lambda _, each: each and partial.append(each)
        )
        for chunk in (1, 7, 7)
    )
    np.testing.assert_allclose(alone.values, together.values, atol=1e-12)
    np.testing.assert_array_equal(again.values, together.values)
    np.testing.assert_array_equal(again.standard_error, together.standard_error)
    assert partial
    assert np.isfinite([each.values for each in partial]).all()


@BOTH
def test_the_maps_of_several_baselines_are_averaged(small: at.Model, method: Method) -> None:
    one, other, both = (
        at.attribute(small, PHOTO, method.with_baseline(baseline), LOGIT)
        for baseline in (BLACK, at.baselines.White(), at.baselines.BlackAndWhite())
    )
    np.testing.assert_allclose(both.values, (one.values + other.values) / 2, atol=1e-12)
    if method.complete:
        assert both.baseline_score == pytest.approx((one.baseline_score + other.baseline_score) / 2)
        assert abs(both.delta) < 1e-12


@pytest.mark.parametrize("method", [at.LIME, at.KernelSHAP])
def test_too_few_masks_are_refused_with_the_number_needed(method: type[Method]) -> None:
    model = game(random_game(12, 0), 12)
    with pytest.raises(at.Refusal, match=r"needs at least 24 masked photos for the 12 segments .*, got 22; increase"):
        explained(model, method(12, 22), 12)


def test_masks_that_do_not_determine_the_segments_are_refused() -> None:
    model = game(random_game(12, 0), 12)
    methods = [at.KernelSHAP(12, 24, seed=seed) for seed in range(30)]
    refusals = at.compare(model, torch.ones(3, 1, 12).double(), methods, LOGIT).refusals
    assert 0 < len(refusals) < 30
    assert str(refusals[0]).endswith("do not determine 12 segments; increase masks, or ask for fewer segments.")


def test_the_viewer_receives_labels_and_errors(small: at.Model) -> None:
    result = at.attribute(small, PHOTO, at.LIME(20, 80), LOGIT)
    packed = pack_result(result, Place("group", "lime", "LIME", (16, 20)))
    (length,) = struct.unpack("<I", packed[:4])
    header, body = json.loads(packed[4 : 4 + length]), packed[4 + length :]
    assert header["errors"] == result.standard_error.tolist()
    np.testing.assert_array_equal(np.frombuffer(body[6 * 320 :], "<u2").reshape(16, 20), result.segments)


def test_a_kernel_that_leaves_few_masks_is_named(small: at.Model) -> None:
    x = noise(3, 16, 20)
    narrow, usual = (at.attribute(small, x, at.LIME(6, 100, width=width)) for width in (0.03, 0.25))
    assert any(note.startswith("At this width, the masks count like only") for note in narrow.notes)
    assert not any("At this width" in note for note in usual.notes)


def test_a_photo_that_is_its_own_baseline_is_no_evidence(small: at.Model) -> None:
    grey = torch.full((3, 16, 20), 0.5)
    result = at.attribute(small, grey, at.LIME(6, 100))
    assert np.abs(result.values).max() < 1e-6
    assert not any("evidence against" in note for note in result.notes)
