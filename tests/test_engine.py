"""attribute() and compare(): order, counters, progress, cancel, refusals, provenance."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from toys import image, model_of, noise, randomise, toy

import attribution as at
from attribution.methods.paths.quadrature import RULES
from attribution.network.scorer import CHUNK_SIZES

RULE_METHODS = [at.Gradient(), at.GuidedBackprop(), at.ZeilerFergus()]


class Counted(nn.Module):
    """A network that counts the images sent through it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.images = net, 0

    def forward(self, x: Tensor) -> Tensor:
        self.images += len(x)
        return self.net(x)


def counted() -> tuple[at.Model, Counted]:
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5)]
    net = Counted(randomise(nn.Sequential(*layers)))
    model = at.Model("counted", net, (8, 8), (0, 0, 0), (1, 1, 1), list("abcde"), device="cpu")
    running = model.running_net
    running.images = 0
    return model, running


@pytest.mark.parametrize("target", [None, at.Target(2), at.Target(score="logit")])
def test_the_three_rules_share_one_forward_pass(target: at.Target | None) -> None:
    model, net = counted()
    results = at.compare(model, noise(3, 8, 8), RULE_METHODS, target)
    assert [(result.forwards, result.backwards) for result in results] == [(1, 1), (0, 1), (0, 1)]
    assert net.images == 1


def test_the_method_that_runs_the_shared_pass_counts_it_whatever_the_order() -> None:
    model, net = counted()
    methods = [at.IntegratedGradients(7), at.ZeilerFergus(), at.Gradient()]
    results = at.compare(model, noise(3, 8, 8), methods)
    assert [result.method for result in results] == ["integrated_gradients", "zeiler_fergus", "gradient"]
    assert [(result.forwards, result.backwards) for result in results] == [(7, 7), (1, 1), (0, 1)]
    assert net.images == 8


@pytest.mark.parametrize("rule", ["adaptive", *RULES])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 9, 11, 12, 13, 30])
def test_integrated_gradients_take_exactly_the_requested_steps_in_chunks(rule: str, steps: int) -> None:
    model, net = counted()
    result = at.attribute(model, noise(3, 8, 8), at.IntegratedGradients(steps, rule=rule))
    starts = rule == "left" or (steps > 1 and rule in ("adaptive", "trapezoid", "inclusive"))  # at the baseline itself
    assert (result.backwards, result.forwards) == (steps, steps + (1 if starts else 2))
    assert net.images == result.forwards
    assert result.chunk == CHUNK_SIZES["cpu"]


def test_comparing_returns_the_same_maps_as_each_method_alone() -> None:
    model, _ = counted()
    methods = [at.IntegratedGradients(5), *RULE_METHODS]
    for method, result in zip(methods, at.compare(model, noise(3, 8, 8), methods), strict=True):
        assert np.array_equal(result.values, at.attribute(model, noise(3, 8, 8), method).values)


def test_the_chunk_size_changes_nothing_but_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = counted()
    found = []
    for chunk in (1, 3, 25):
        monkeypatch.setitem(CHUNK_SIZES, "cpu", chunk)
        found.append(at.attribute(model, noise(3, 8, 8), at.IntegratedGradients()).values)
    for values in found[1:]:
        np.testing.assert_allclose(values, found[0], atol=1e-5 * np.abs(found[0]).max())


def test_progress_rises_to_one_and_partial_maps_approach_the_whole() -> None:
    model, _ = counted()
    seen: list[tuple[float, at.Attribution | None]] = []
    methods = [at.Gradient(), at.IntegratedGradients(20)]
    whole = at.compare(model, noise(3, 8, 8), methods, on_progress=lambda *report: seen.append(report))[1]
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    partials = [partial for _, partial in seen if partial]
    assert len(partials) == 3  # one per round after the first, of eight nodes
    assert partials[0].notes == ("This map is partial.",)
    off = [float(np.abs(partial.values - whole.values).sum()) for partial in partials]
    assert off[-1] < 0.5 * np.abs(whole.values).sum()


def test_a_fixed_rule_grows_to_the_whole_map() -> None:
    seen: list[at.Attribution | None] = []
    method = at.IntegratedGradients(20, rule="midpoint")
    whole = at.attribute(counted()[0], noise(3, 8, 8), method, on_progress=lambda _, partial: seen.append(partial))
    partials = [partial for partial in seen if partial]
    assert len(partials) == 5
    np.testing.assert_allclose(partials[-1].values, whole.values, rtol=1e-5)


def test_a_callback_that_raises_stops_the_work_within_one_chunk() -> None:
    model, net = counted()

    def stop(fraction: float, partial: object) -> None:
        if fraction > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        at.attribute(model, noise(3, 8, 8), at.IntegratedGradients(1000), on_progress=stop)
    assert net.images <= 1 + 2 * CHUNK_SIZES["cpu"]


def test_rules_for_rectifiers_refuse_a_network_without_any() -> None:
    model = toy(lambda x: F.silu(x).sum(1), 3)
    gradient, guided, deconvolved = at.compare(model, image(1, 2, 3), RULE_METHODS, at.Target(0))
    assert isinstance(gradient, at.Attribution)
    for refusal, method in ((guided, at.GuidedBackprop()), (deconvolved, at.ZeilerFergus())):
        assert isinstance(refusal, at.Refusal)
        assert str(refusal) == method.refusal(model)
        assert "only silu" in str(refusal)
        with pytest.raises(at.Refusal, match="rectifiers"):
            at.attribute(model, image(1, 2, 3), method)


def test_a_photo_without_rectifiers_on_its_way_is_refused() -> None:
    """The noise of the inspection is bright enough for the branch with a rectifier; this photo is not."""
    model = toy(lambda x: F.relu(x).sum(1) if float(x.sum().detach()) > 1 else x.sum(1), 3)
    assert at.GuidedBackprop().refusal(model) is None
    with pytest.raises(at.Refusal, match="has none"):
        at.attribute(model, image(0.1), at.GuidedBackprop())


def test_other_activations_are_noted_where_they_matter() -> None:
    model = toy(lambda x: (F.relu(x) + F.gelu(x)).sum(1), 3)
    gradient, guided, _ = at.compare(model, image(0.1, 0.2, 0.3), RULE_METHODS)
    assert gradient.notes == ()
    assert guided.notes == ("The rule applies to rectifiers only; gelu kept the plain derivative.",)
    assert (guided.rectifiers.count, guided.rectifiers.others) == (1, ("gelu",))


@pytest.mark.parametrize(
    ("x", "given"),
    [
        (torch.zeros(1, 3, 8, 8), r"\(1, 3, 8, 8\)"),
        (torch.zeros(1, 8, 8), r"\(1, 8, 8\)"),
        (np.zeros((8, 8)), r"\(8, 8\)"),
        ("dog.jpg", "got str"),
        (torch.full((3, 8, 8), torch.nan), "not finite"),
        (torch.full((3, 8, 8), torch.inf), "not finite"),
    ],
)
def test_anything_but_an_image_is_refused(x: object, given: str) -> None:
    with pytest.raises(at.Refusal, match=given):
        at.attribute(counted()[0], x, at.Gradient())


def test_pixels_are_not_clipped_and_not_changed() -> None:
    model = toy(lambda x: (x**2).sum(1), 3)
    x = image(-3, 5, 0.5)
    before = x.clone()
    values = at.attribute(model, x, at.Gradient(), at.Target(0, "logit")).values
    assert values.ravel().tolist() == [-6, 10, 1]
    assert torch.equal(x, before)
    assert not x.requires_grad


def test_a_map_that_is_not_finite_is_refused() -> None:
    model = toy(lambda x: torch.sqrt(x - 0.5).sum(1), 3)
    with pytest.raises(at.Refusal, match="not finite"):
        at.attribute(model, image(0.5, 1, 1), at.Gradient(), at.Target(0, "logit"))


def test_a_baseline_whose_score_is_not_finite_is_refused() -> None:
    model = toy(lambda x: (1 / x).sum(1), 3)
    with pytest.raises(at.Refusal, match=r"^The score of the baseline is inf, since the network overflows"):
        at.attribute(model, image(0.5, 1, 1), at.DeepLIFT(), at.Target(0, "logit"))


def test_a_photo_that_equals_its_baseline_gets_zeros() -> None:
    result = at.attribute(counted()[0], torch.zeros(3, 8, 8), at.IntegratedGradients(3))
    assert not result.values.any()
    assert result.delta == pytest.approx(0, abs=1e-6)
    assert result.relative_delta is None


def test_values_follow_the_networks_dtype() -> None:
    double = toy(lambda x: F.relu(x).sum(1), 3)
    single = toy(lambda x: F.relu(x).sum(1), 3, torch.float32)
    for method in (*RULE_METHODS, at.IntegratedGradients(2)):
        assert at.attribute(double, image(1, 2, 3), method).values.dtype == np.float64
        assert at.attribute(single, image(1, 2, 3), method).values.dtype == np.float32


def test_the_result_says_where_it_comes_from() -> None:
    model, _ = counted()
    method = at.IntegratedGradients(9, at.baselines.Constant((0.5, 0.5, 0.5)), "trapezoid")
    result = at.attribute(model, noise(3, 8, 8), method)
    assert (result.method, result.model) == ("integrated_gradients", "counted")
    assert result.settings == {"steps": 9, "baseline": "constant(colour=0.5/0.5/0.5)", "rule": "trapezoid"}
    assert result.versions["torch"] == torch.__version__
    assert result.seconds > 0
    assert result.rectifiers is None
    top = model.predict(noise(3, 8, 8), 1)[0]
    assert (result.target.index, result.score) == (top[0], pytest.approx(top[2]))
    black = at.attribute(model, torch.zeros(3, 8, 8), at.Gradient(), result.target).score
    grey = at.attribute(model, torch.full((3, 8, 8), 0.5), at.Gradient(), result.target).score
    assert result.baseline_score == pytest.approx(grey)
    assert result.baseline_score != pytest.approx(black)


def test_images_of_another_size_than_the_models_are_served() -> None:
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)]
    model = model_of(randomise(nn.Sequential(*layers)), (8, 8), 5)
    assert at.attribute(model, noise(3, 13, 7), at.GuidedBackprop()).values.shape == (3, 13, 7)


def test_a_peak_between_two_starting_nodes_is_found() -> None:
    """A sigmoid of 50 (mean - 1/2) from black to white changes only near 1/2, between two nodes that agree."""
    model = toy(lambda x: 50 * (x.mean(1) - 0.5), 3)
    result = at.attribute(model, image(1, 1, 1), at.IntegratedGradients(25), at.Target(0))
    assert result.relative_delta is not None
    assert result.relative_delta < 0.02  # 0.75 if the scores do not refine the path
    np.testing.assert_allclose(result.values.ravel(), [1 / 3] * 3, rtol=0.02)


@pytest.mark.parametrize("words", ["CUDA out of memory.", "DefaultCPUAllocator: can't allocate memory"])
def test_running_out_of_memory_halves_the_chunk(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    expected = at.attribute(counted()[0], noise(3, 8, 8), at.IntegratedGradients(10))
    really = at.Model.logits

    def small(self: at.Model, pixels: torch.Tensor) -> torch.Tensor:
        if len(pixels) > 1:
            raise RuntimeError(words)
        return really(self, pixels)

    model = counted()[0]
    monkeypatch.setattr(at.Model, "logits", small)
    result = at.attribute(model, noise(3, 8, 8), at.IntegratedGradients(10))
    assert result.chunk == 1
    assert result.backwards == 10
    np.testing.assert_allclose(result.values, expected.values, rtol=1e-4, atol=1e-7)


def test_other_errors_of_the_network_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    model = counted()[0]

    def broken(self: at.Model, pixels: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("a bug")

    monkeypatch.setattr(at.Model, "logits", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        at.attribute(model, noise(3, 8, 8), at.Gradient())
