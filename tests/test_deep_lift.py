"""DeepLIFT: literal references, completeness, equal spellings, and Captum as second opinion."""

import copy
import itertools
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from captum.attr import DeepLift
from hypothesis import given
from hypothesis import strategies as some
from reference import deep_lift, max_pool_contributions
from timm import create_model
from torch import Tensor, nn
from toys import image, model_of, noise, randomise, toy, zoo_net

import attribution as at
from attribution.network.rescale import Rescale

SIDE, CLASSES = 64, 12
LOGIT = at.Target(3, "logit")


def mlp(*widths: int, seed: int = 0, bias: bool = True) -> nn.Sequential:
    """Dense layers with rectifiers between them, in float64, from images of 12 values."""
    pairs = itertools.pairwise(widths)
    layers = [layer for pair in pairs for layer in (nn.Linear(*pair, bias=bias), nn.ReLU())]
    return randomise(nn.Sequential(nn.Flatten(), *layers[:-1]), seed).double()


def values(net: nn.Module, x: Tensor, baseline: at.baselines.Baseline, target: at.Target = LOGIT) -> at.Attribution:
    model = model_of(net, (x.shape[1], x.shape[2]), CLASSES)
    return at.attribute(model, x, at.DeepLIFT(baseline), target)


@given(seed=some.integers(0, 1000))
def test_dense_layers_agree_with_the_literal_rule(seed: int) -> None:
    net, x = mlp(12, 9, 7, CLASSES, seed=seed), noise(3, 2, 2, seed=seed, dtype=torch.float64)
    layers = [(each.weight.detach(), each.bias.detach()) for each in net if isinstance(each, nn.Linear)]
    expected = deep_lift(layers, x.flatten(), torch.ones(12).double(), 3)
    np.testing.assert_allclose(values(net, x, at.baselines.White()).values.ravel(), expected, rtol=1e-9, atol=1e-12)


def test_one_hidden_layer_equals_integrated_gradients() -> None:
    net, x = mlp(12, 30, CLASSES), noise(3, 2, 2, dtype=torch.float64)
    found = values(net, x, at.baselines.Grey()).values
    baseline = torch.full_like(x, 0.5)
    points = [baseline + (step + 0.5) / 20000 * (x - baseline) for step in range(20000)]
    points = torch.stack(points).requires_grad_()
    (gradients,) = torch.autograd.grad(net(points)[:, 3].sum(), points)
    np.testing.assert_allclose(found, (x - baseline) * gradients.mean(0), atol=1e-4)


def test_without_biases_black_is_input_x_gradient() -> None:
    net, x = mlp(12, 9, 7, CLASSES, bias=False), noise(3, 2, 2, dtype=torch.float64)
    model = model_of(net, (2, 2), CLASSES)
    one, other = at.compare(model, x, [at.DeepLIFT(), at.InputXGradient()], LOGIT)
    np.testing.assert_allclose(one.values, other.values, rtol=1e-10)


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "squeezenet1_1", "densenet121", "googlenet"])
def test_rectifier_networks_are_complete_for_every_score(name: str) -> None:
    more = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    model = model_of(zoo_net(name, CLASSES, **more).double(), (SIDE, SIDE), CLASSES)
    for score in ("logit", "log_odds", "probability"):
        result = at.attribute(model, noise(3, SIDE, SIDE, dtype=torch.float64), at.DeepLIFT(), at.Target(score=score))
        assert abs(result.delta) <= 1e-10 * np.abs(result.values).sum()
        assert abs(result.delta) <= 1e-8 * abs(result.score - result.baseline_score)
        assert result.notes == ()
        assert (result.forwards, result.backwards) == (3, 1)


def test_smooth_activations_are_complete_and_products_are_named() -> None:
    smooth = randomise(nn.Sequential(nn.Conv2d(3, 8, 3), nn.SiLU(), nn.Conv2d(8, 8, 3), nn.GELU(), nn.Flatten()))
    net = randomise(nn.Sequential(smooth, nn.Linear(128, CLASSES))).double()
    x = noise(3, 8, 8, dtype=torch.float64)
    assert values(net, x, at.baselines.Black()).delta == pytest.approx(0, abs=1e-12)
    gated = values(zoo_net("mobilenet_v3_small", CLASSES), noise(3, SIDE, SIDE), at.baselines.Black())
    assert gated.notes == ("Not covered by the rule, so the sum may be off: mul.",)
    attending = model_of(
        randomise(create_model("vit_tiny_patch16_224", img_size=SIDE, num_classes=CLASSES)), (SIDE, SIDE), CLASSES
    )
    (note,) = at.attribute(attending, noise(3, SIDE, SIDE), at.DeepLIFT()).notes
    assert "layer_norm" in note
    assert "attention" in note


SPELLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "F.relu": F.relu,
    "in place": lambda z: F.relu(z * 1, inplace=True),
    "torch.relu_": lambda z: torch.relu_(z * 1),
    "clamp": lambda z: z.clamp(min=0),
    "clamp_min_": lambda z: (z * 1).clamp_min_(0),
    "threshold": lambda z: F.threshold(z, 0, 0),
    "a view in place": lambda z: F.relu((z * 1)[:], inplace=True),
    "keyword": lambda z: torch.relu(input=z),
    "aten": torch.ops.aten.relu.default,
    "overwritten later": lambda z: _overwritten(z * 1),
}


def _overwritten(z: Tensor) -> Tensor:
    y = F.relu(z)
    z.zero_()
    return y


class Spelled(nn.Module):
    """Two layers with one spelling of the rectifier; `reused` is one module for both."""

    def __init__(self, rectifier: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(12, 9), nn.Linear(9, 9), nn.Linear(9, CLASSES)
        self.rectifier = rectifier

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.rectifier(self.second(self.rectifier(self.first(x.flatten(1))))))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings_agree(spelling: str) -> None:
    x = noise(3, 2, 2, dtype=torch.float64)
    reused, other = (randomise(Spelled(each)).double() for each in (nn.ReLU(), SPELLINGS[spelling]))
    expected = values(reused, x, at.baselines.White())
    found = values(other, x, at.baselines.White())
    assert np.array_equal(found.values, expected.values)
    assert found.delta == pytest.approx(0, abs=1e-12)


def test_relu6_and_hardtanh_agree_beyond_their_upper_bound() -> None:
    x, baseline = image(9, 2, -1), at.baselines.Constant((1, 1, 1))
    for function in (F.relu6, nn.Hardtanh(0, 6), lambda z: z.clamp(0, 6)):
        model = toy(lambda x, function=function: function(x).sum(1))
        found = at.attribute(model, x, at.DeepLIFT(baseline), at.Target(0, "logit"))
        np.testing.assert_allclose(found.values.ravel(), [5, 1, -1], atol=1e-14)


def test_a_difference_of_almost_zero_takes_the_derivative() -> None:
    for function in (torch.sigmoid, F.silu, F.gelu, F.softplus):
        with Rescale() as rescale:
            x = torch.linspace(-4, 4, 50).requires_grad_()
            y = function(x)
        for gap in (0.0, 1e-7, 1e-5, 1e-3, 6e-3, 0.1):
            b = x.detach() - gap
            with rescale.baseline():
                function(b.requires_grad_())
            (found,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
            at_x, at_b = (each.detach().double().requires_grad_() for each in (x, b))
            (slope,) = torch.autograd.grad(function(at_x).sum(), at_x)
            gaps = (at_x - at_b).detach()
            exact = torch.where(gaps == 0, slope, ((function(at_x) - function(at_b)) / gaps).detach())
            assert (found - exact).abs().max() < 2e-4  # of a slope of about 1


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_max_pooling_gives_the_change_to_the_larger_maximum(stride: int) -> None:
    pool, x, b = nn.MaxPool2d(2, stride), noise(6, 6, seed=1).double(), noise(6, 6, seed=2).double()
    for function in (
        pool,
        lambda z: torch.max_pool2d(z, 2, stride),
        lambda z: F.max_pool2d(z, kernel_size=2, stride=stride, return_indices=True)[0],
        lambda z: F.max_pool2d_with_indices(z, 2, stride)[0],
    ):
        with Rescale() as rescale:
            images = x[None, None].clone().requires_grad_()
            y = function(images).sum()
        with rescale.baseline():
            function(b[None, None].clone().requires_grad_())
        (multipliers,) = torch.autograd.grad(y, images)
        np.testing.assert_allclose(multipliers[0, 0] * (x - b), max_pool_contributions(pool, x, b), atol=1e-14)
        assert multipliers.min() >= 0


def test_adaptive_max_pooling_is_complete() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveMaxPool2d((2, None)), nn.Flatten(), nn.LazyLinear(CLASSES))
    net(torch.zeros(1, 3, 9, 7))
    result = values(randomise(net).double(), noise(3, 9, 7, dtype=torch.float64), at.baselines.Grey())
    assert result.delta == pytest.approx(0, abs=1e-12)


OVERWRITTEN: dict[str, Callable[[Tensor], Tensor]] = {
    "relu_": lambda y: F.relu(y, inplace=True),
    "+=": lambda y: y.add_(1),
    "*=": lambda y: y.mul_(2),
}


@pytest.mark.parametrize("pool", [lambda z: F.max_pool2d(z, 2), lambda z: F.adaptive_max_pool2d(z, 3)])
@pytest.mark.parametrize("change", OVERWRITTEN.values(), ids=OVERWRITTEN)
def test_the_output_of_max_pooling_may_be_overwritten(
    pool: Callable[[Tensor], Tensor], change: Callable[[Tensor], Tensor]
) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, CLASSES, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.second(F.relu(change(pool(self.first(x))))).mean((2, 3))

    result = values(randomise(Net()).double(), noise(3, 12, 12, dtype=torch.float64), at.baselines.Black())
    assert abs(result.delta) <= 1e-12 * np.abs(result.values).sum()


def test_several_baselines_are_averaged() -> None:
    net, x = mlp(12, 9, CLASSES), noise(3, 2, 2, dtype=torch.float64)
    both = values(net, x, at.baselines.BlackAndWhite())
    each = [values(net, x, baseline).values for baseline in (at.baselines.Black(), at.baselines.White())]
    np.testing.assert_allclose(both.values, np.mean(each, 0), rtol=1e-12)
    assert both.delta == pytest.approx(0, abs=1e-12)


def test_a_network_that_runs_otherwise_for_the_baseline_is_refused() -> None:
    def branching(x: Tensor) -> Tensor:
        return F.relu(x).sum(1) if x.detach().sum() > 0 else x.sum(1)

    with pytest.raises(at.Refusal, match="other operators"):
        at.attribute(toy(branching), image(1, 2, 3), at.DeepLIFT(), at.Target(0, "logit"))


def captum_net(*layers: nn.Module) -> nn.Sequential:
    """A convolution, some layers and a classifier; Captum's hooks need modules that are called once."""
    net = nn.Sequential(nn.Conv2d(3, 6, 3), *layers, nn.Conv2d(6, 5, 3), nn.ReLU(), nn.Flatten())
    features = net(torch.zeros(1, 3, 16, 16)).shape[1]
    return randomise(nn.Sequential(*net, nn.Linear(features, CLASSES))).double()


def captums(net: nn.Module, x: Tensor, baseline: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Setting forward, backward hooks")
        found = DeepLift(copy.deepcopy(net)).attribute(x[None].clone().requires_grad_(), baseline[None], 3)
    return found[0].detach()


def test_captum_agrees_if_no_two_of_its_hooks_meet() -> None:
    net, x = captum_net(nn.MaxPool2d(2)), noise(3, 16, 16, seed=1).double()
    noisy = at.baselines.UniformNoise()
    np.testing.assert_allclose(values(net, x, noisy).values, captums(net, x, noisy.image(x)), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "layers",
    [
        (nn.ReLU(), nn.MaxPool2d(2)),  # the rectifier's hook sees the signal before the pooling's hook replaces it
        (nn.MaxPool2d(3, 2),),  # of two windows with one maximum, unpooling keeps only one
    ],
    ids=["rectifier before", "overlapping windows"],
)
def test_captums_sum_is_off_where_its_hooks_fail(layers: tuple[nn.Module, ...]) -> None:
    net, x, noisy = captum_net(*layers), noise(3, 16, 16, seed=1).double(), at.baselines.UniformNoise()
    ours, theirs = values(net, x, noisy), captums(net, x, noisy.image(x))
    difference = ours.score - ours.baseline_score
    assert ours.delta == pytest.approx(0, abs=1e-12)
    assert abs(float(theirs.sum()) - difference) > 0.01 * abs(difference)
