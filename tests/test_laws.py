"""Laws that hold for any network, photo and target, on small random networks in float64."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch import Tensor, nn
from toys import model_of, noise, randomise

import attribution as at
from attribution.baselines.baseline import Baseline
from attribution.methods.method import Method
from attribution.methods.paths.quadrature import RULES
from attribution.targets.classes import Classes

SIDE = 9
seeds = st.integers(0, 10_000)
rectifier_rules = st.sampled_from([at.Gradient(), at.GuidedBackprop(), at.ZeilerFergus()])
methods = st.one_of(
    rectifier_rules,
    st.builds(
        at.IntegratedGradients,
        st.integers(1, 12),
        st.sampled_from([at.baselines.Black(), at.baselines.White(), at.baselines.Constant((0.2, 0.4, 0.9))]),
        st.sampled_from(["midpoint", "gauss_legendre", "right"]),  # a node at the baseline ties max-pooling windows
    ),
)
targets = st.builds(at.Target, st.integers(0, 3), st.sampled_from(["probability", "log_odds", "logit"]))
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def network(seed: int) -> nn.Module:
    net = nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(5, 4, 3),
        nn.ReLU6(),
        nn.Flatten(),
        nn.Linear(16, 4),
    )
    return randomise(net, seed).double()


def model(net: nn.Module) -> at.Model:
    return model_of(net, (SIDE, SIDE), 4)


def photo(seed: int) -> Tensor:
    return noise(3, SIDE, SIDE, seed=seed, dtype=torch.float64)


def values(net: nn.Module, x: Tensor, method: Method, target: at.Target) -> np.ndarray:
    return at.attribute(model(net), x, method, target).values


class Around(nn.Module):
    """A function of a network's logits."""

    def __init__(self, net: nn.Module, function: object) -> None:
        super().__init__()
        self.net, self.function = net, function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.net(x))


@few
@given(seeds, methods, targets)
def test_the_same_twice(seed: int, method: object, target: at.Target) -> None:
    subject = model(network(seed))
    first, second = (at.attribute(subject, photo(seed), method, target).values for _ in range(2))
    assert np.array_equal(first, second)


@few
@given(seeds, targets)
def test_the_gradient_is_what_finite_differences_see(seed: int, target: at.Target) -> None:
    net, x, direction = network(seed), photo(seed), noise(3, SIDE, SIDE, seed=seed + 1, dtype=torch.float64) - 0.5

    def score(moved: Tensor) -> float:
        with torch.no_grad():
            return float(target.value(target.potential(net(moved[None]), Classes())))

    h = 1e-6
    seen = (score(x + h * direction) - score(x - h * direction)) / (2 * h)
    expected = float((torch.from_numpy(values(net, x, at.Gradient(), target)) * direction).sum())
    assert expected == pytest.approx(seen, rel=1e-5, abs=1e-8)


@settings(few, max_examples=10)
@given(seeds, targets, st.sampled_from([at.baselines.Black(), at.baselines.White()]))
def test_integrated_gradients_become_complete(seed: int, target: at.Target, baseline: object) -> None:
    method = at.IntegratedGradients(1000, baseline, "midpoint")
    result = at.attribute(model(network(seed)), photo(seed), method, target)
    difference = result.score - result.baseline_score
    assert result.delta == pytest.approx(result.values.sum() - difference)
    assert abs(result.delta) < 0.005 * max(abs(difference), 0.2)


@few
@given(seeds, targets, st.integers(1, 9), st.sampled_from(["adaptive", *RULES]))
def test_swapping_photo_and_baseline_negates_the_map(seed: int, target: at.Target, steps: int, rule: str) -> None:
    class Other(Baseline):
        """Another photo, since a constant colour would cause ties in the max-pooling."""

        key, title = "other", "Other"

        def image(self, x: Tensor) -> Tensor:
            return photo(seed + 1) if torch.equal(x, photo(seed)) else photo(seed)

    net, mirrored = network(seed), {"left": "right", "right": "left"}.get(rule, rule)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(at.BASELINES, "other", Other)
        there = values(net, photo(seed), at.IntegratedGradients(steps, Other(), rule), target)
        back = values(net, photo(seed + 1), at.IntegratedGradients(steps, Other(), mirrored), target)
    assert_allclose(there, -back, atol=1e-12)


@few
@given(seeds, methods, targets)
def test_a_channel_that_the_network_does_not_read_gets_nothing(seed: int, method: object, target: at.Target) -> None:
    net = network(seed)
    net[0].weight.data[:, 1] = 0
    assert not values(net, photo(seed), method, target)[1].any()


@few
@given(seeds, st.integers(1, 6), st.floats(-3, 3), st.floats(-3, 3))
def test_gradient_and_integrated_gradients_are_linear_in_the_score(seed: int, steps: int, a: float, b: float) -> None:
    net, x, target = network(seed), photo(seed), at.Target(0, "logit")
    mixed = Around(net, lambda z: torch.stack([a * z[:, 1] + b * z[:, 2], z[:, 0], z[:, 1], z[:, 2]], 1))
    for method in (at.Gradient(), at.IntegratedGradients(steps)):
        parts = [values(net, x, method, at.Target(index, "logit")) for index in (1, 2)]
        assert_allclose(values(mixed, x, method, target), a * parts[0] + b * parts[1], atol=1e-12)


def test_the_rectifier_rules_are_not_linear_in_the_score() -> None:
    net, x = network(0), photo(0)
    mixed = Around(net, lambda z: torch.stack([z[:, 1] - z[:, 2], z[:, 0], z[:, 1], z[:, 2]], 1))
    for method in (at.GuidedBackprop(), at.ZeilerFergus()):
        parts = [values(net, x, method, at.Target(index, "logit")) for index in (1, 2)]
        whole = values(mixed, x, method, at.Target(0, "logit"))
        assert np.abs(whole - (parts[0] - parts[1])).max() > 0.1 * np.abs(whole).max()


@few
@given(seeds, rectifier_rules, st.floats(0.01, 100))
def test_a_positive_factor_on_the_logit_is_the_same_factor_on_the_map(seed: int, method: object, factor: float) -> None:
    net, x, target = network(seed), photo(seed), at.Target(0, "logit")
    scaled = values(Around(net, lambda z: factor * z), x, method, target)
    assert_allclose(scaled, factor * values(net, x, method, target), rtol=1e-10, atol=1e-14)


@few
@given(seeds, methods, st.integers(0, 3), st.sampled_from(["probability", "log_odds"]))
def test_what_all_logits_share_does_not_count_for_probabilities(
    seed: int, method: object, index: int, score: str
) -> None:
    net, x, target = network(seed), photo(seed), at.Target(index, score)
    shifted = Around(net, lambda z: z + 3 * z[:, :1].sin())
    assert_allclose(values(shifted, x, method, target), values(net, x, method, target), atol=1e-11)


def test_what_all_logits_share_counts_for_logits() -> None:
    net, x, target = network(0), photo(0), at.Target(1, "logit")
    shifted = Around(net, lambda z: z + 3 * z[:, :1].sin())
    assert not np.allclose(values(shifted, x, at.Gradient(), target), values(net, x, at.Gradient(), target))


@few
@given(seeds, targets, rectifier_rules)
def test_probability_and_log_odds_give_one_map_but_for_its_scale(seed: int, target: at.Target, method: object) -> None:
    subject, x = model(network(seed)), photo(seed)
    probability, log_odds = (
        at.attribute(subject, x, method, at.Target(target.index, score)).values for score in ("probability", "log_odds")
    )
    p = {index: p for index, _, p in subject.predict(x, 4)}[target.index]
    assert_allclose(probability, p * (1 - p) * log_odds, rtol=1e-9, atol=1e-15)


@few
@given(seeds, methods, targets)
def test_folding_batch_norm_by_hand_changes_nothing(seed: int, method: object, target: at.Target) -> None:
    net, x = network(seed), photo(seed)
    folded = nn.Sequential(nn.utils.fusion.fuse_conv_bn_eval(net[0], net[1]), *list(net)[2:])
    assert_allclose(values(folded, x, method, target), values(net, x, method, target), atol=1e-11)


@few
@given(seeds, methods, targets)
def test_a_rectifier_after_a_rectifier_changes_nothing(seed: int, method: object, target: at.Target) -> None:
    net, x = network(seed), photo(seed)
    doubled = nn.Sequential(*list(net)[:3], nn.ReLU(), *list(net)[3:])
    assert_allclose(values(doubled, x, method, target), values(net, x, method, target), atol=1e-13)


@few
@given(seeds)
def test_all_rules_agree_where_nothing_is_negative(seed: int) -> None:
    net = network(seed)
    for module in net:
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.data.abs_()
            module.bias.data.abs_()
        if isinstance(module, nn.BatchNorm2d):
            module.bias.data.abs_()
            module.running_mean.zero_()
    net = nn.Sequential(*(nn.ReLU() if isinstance(module, nn.ReLU6) else module for module in net))
    x, target = photo(seed), at.Target(2, "logit")
    plain = values(net, x, at.Gradient(), target)
    assert_allclose(values(net, x, at.GuidedBackprop(), target), plain)
    assert_allclose(values(net, x, at.ZeilerFergus(), target), plain)


@few
@given(seeds)
def test_guided_and_zeiler_fergus_signals_are_never_negative_below_a_rectifier(seed: int) -> None:
    """The first layer is the identity, so the map is the signal below the first rectifier."""
    net = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False, dtype=torch.float64), nn.ReLU(), *network(seed))
    net[0].weight.data.copy_(torch.eye(3, dtype=torch.float64).view(3, 3, 1, 1))
    x, target = photo(seed) + 0.01, at.Target(1, "logit")
    assume(values(net, x, at.Gradient(), target).min() < 0)  # otherwise the rules would have nothing to cut
    assert values(net, x, at.GuidedBackprop(), target).min() >= 0
    assert values(net, x, at.ZeilerFergus(), target).min() >= 0


@few
@given(seeds, rectifier_rules)
def test_a_mirrored_photo_gives_a_mirrored_map_on_a_mirror_symmetric_network(seed: int, method: object) -> None:
    net = randomise(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU()), seed)
    for module in net[::2]:
        module.weight.data += module.weight.data.flip(3)
    whole = Around(net.double(), lambda y: y.mean((2, 3)))
    x, target = photo(seed), at.Target(1, "log_odds")
    mirrored = values(whole, x.flip(2), method, target)
    assert_allclose(mirrored, np.flip(values(whole, x, method, target), 2), atol=1e-13)


def test_zeiler_fergus_sees_no_photo_without_max_pooling_and_with_a_logit() -> None:
    layers = [nn.Conv2d(3, 5, 3, 2), nn.BatchNorm2d(5), nn.ReLU6(), nn.Conv2d(5, 4, 3), nn.ReLU(), nn.Flatten()]
    free = randomise(nn.Sequential(*layers, nn.Linear(16, 4))).double()
    pooled = network(0)
    for net, same in ((free, True), (pooled, False)):
        results = [at.attribute(model(net), photo(seed), at.ZeilerFergus(), at.Target(1, "logit")) for seed in (1, 2)]
        assert np.array_equal(results[0].values, results[1].values) == same
        assert any("does not depend on the photo" in note for note in results[0].notes) == same
    by_probability = at.attribute(model(free), photo(1), at.ZeilerFergus(), at.Target(1))
    assert "only through the class probabilities" in by_probability.notes[0]
    versus = at.attribute(model(free), photo(1), at.ZeilerFergus(), at.Target(1, "log_odds", versus=2))
    assert "does not depend on the photo" in versus.notes[0]
    by_both = at.attribute(model(free), photo(1), at.ZeilerFergus(), at.Target(1, versus=2))
    assert "only through the class probabilities" in by_both.notes[0]
