"""The function that is explained is the one that was given: hooks, closures, other ways, layouts, single images.

Expected scores come from the given network itself, run as its owner would; expected gradients from float64, in pairs.
"""

import copy
import functools
import gc
import types
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_frozen import Apply
from torch import Tensor, nn
from torchvision import models as zoo
from toys import model_of, noise, randomise

import attribution as at
from attribution.network.scorer import Scorer

SIDE = 12
LOGIT = at.Target(1, "logit")


def small(*between: nn.Module) -> nn.Sequential:
    """Return a network with a batch norm that folds, for images of (3, 12, 12) and three classes."""
    layers = [nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), *between, nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    return randomise(nn.Sequential(*layers, nn.Linear(24, 3)))


def model(net: nn.Module) -> at.Model:
    return model_of(net, (SIDE, SIDE), 3)


def explains(mine: at.Model, theirs: Callable[[Tensor], Tensor], x: Tensor) -> None:
    """Check the score against the given network, and the gradient against its finite difference."""
    with torch.no_grad():
        expected = float(theirs(x[None])[0, 1])
    result = at.attribute(mine, x, at.Gradient(), LOGIT)
    assert result.score == pytest.approx(expected, rel=1e-4, abs=1e-5)
    step = 1e-2 * noise(*x.shape, seed=9) - 5e-3
    with torch.no_grad():
        rise = float(theirs((x + step)[None])[0, 1] - theirs((x - step)[None])[0, 1])
    assert 2 * float((result.values * step.numpy()).sum()) == pytest.approx(rise, rel=0.2, abs=2e-4)


@pytest.mark.parametrize("place", ["", "0", "2"])
@pytest.mark.parametrize("before", [True, False])
def test_hooks_that_change_something_are_part_of_the_function(place: str, before: bool) -> None:
    net = small()
    module = net.get_submodule(place)
    if before:
        module.register_forward_pre_hook(lambda module, args: (args[0] * 3,))
    else:
        module.register_forward_hook(lambda module, args, output: output * 10)
    explains(model(net), net, noise(3, SIDE, SIDE))


def test_a_hook_with_keywords_and_one_that_relies_on_another_are_part_of_the_function() -> None:
    net, kept = small(), {}
    net[0].register_forward_pre_hook(lambda module, args, kwargs: ((args[0] * 2,), kwargs), with_kwargs=True)
    net[2].register_forward_hook(lambda module, args, output: kept.update(features=output))
    net[5].register_forward_hook(lambda module, args, output: output + kept["features"].mean((1, 2, 3))[:, None])
    mine = model(net)
    explains(mine, net, noise(3, SIDE, SIDE))


def test_a_hook_that_acts_on_some_photos_only_is_part_of_the_function() -> None:
    net, x = small(), 0.7 + 0.2 * noise(3, SIDE, SIDE)
    net.register_forward_hook(lambda module, args, out: out * 2 if 0.7 < args[0].mean() < 0.9 else None)
    mine = model(net)
    explains(mine, net, x)
    assert not mine.running_net._forward_hooks  # it does nothing to the test images


def bound() -> tuple[nn.Module, nn.Sequential]:
    """Return a network whose own forward function is bound to it and encloses another network."""
    inner, outer = small(), Apply(lambda x: x)
    outer.forward = types.MethodType(lambda self, x: self.function(inner(x)), outer)
    inner.train()
    return outer, inner


def enclosing() -> tuple[nn.Module, nn.Sequential]:
    """Return a network whose forward function is a closure over another, which is in training mode."""
    inner = small()
    inner.train()
    return Apply(lambda x: inner(x)), inner


def own_forward() -> tuple[nn.Module, nn.Sequential]:
    inner = small()
    inner.forward = types.MethodType(lambda self, x: 2 * nn.Sequential.forward(self, x), inner)
    return inner, inner


def wrapped_forward() -> tuple[nn.Module, nn.Sequential]:
    inner = small()
    inner.forward = functools.partial(lambda forward, x: 2 * forward(x), inner.forward)
    return inner, inner


def by_default() -> tuple[nn.Module, nn.Sequential]:
    inner = small()
    return Apply(lambda x, *, net=inner: net(x)), inner


def in_a_list() -> tuple[nn.Module, nn.Sequential]:
    inner = small()
    holder = Apply(lambda x: holder.layers[0](x))
    holder.layers = [inner]  # a plain list, whose modules eval() does not reach
    inner.train()
    return holder, inner


HOLDERS = [enclosing, bound, own_forward, wrapped_forward, by_default, in_a_list]


@pytest.mark.parametrize("make", HOLDERS)
def test_what_functions_enclose_is_copied_and_frozen(make: Callable[[], tuple[nn.Module, nn.Sequential]]) -> None:
    net, inner = make()
    training = inner.training
    before = copy.deepcopy(inner.state_dict())
    mine, x = model(net), noise(3, SIDE, SIDE)
    inner.eval()
    explains(mine, net, x)
    score, weights = at.attribute(mine, x, at.Gradient(), LOGIT).score, mine.weights
    inner.train(training)
    assert all(torch.equal(tensor, before[name]) for name, tensor in inner.state_dict().items())
    assert all(parameter.requires_grad for parameter in inner.parameters())
    with torch.no_grad():
        inner[-1].weight.zero_()
    assert at.attribute(mine, x, at.Gradient(), LOGIT).score == score
    assert model(net).weights != weights  # the digest covers what is enclosed


_backbone = small()


def test_a_network_that_reads_a_global_is_refused() -> None:
    with pytest.raises(at.Refusal, match=r"uses weights of shape \(6, 3, 3, 3\) that it does not hold"):
        model(Apply(lambda x: _backbone(x)))


class Brightness(nn.Module):
    """A network that takes another way for bright images, where the norm follows a rectifier and does not fold."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        y = F.relu(y if 0.7 < x.mean() < 0.9 else self.norm(y))
        return self.head(y.mean((2, 3)))


def test_a_photo_that_takes_another_way_is_explained_by_the_given_network() -> None:
    net = randomise(Brightness())
    mine = model(net)
    assert mine.running_net.conv.weight.shape == net.conv.weight.shape
    assert not torch.equal(mine.running_net.conv.weight, net.conv.weight)  # folded
    explains(mine, net, noise(3, SIDE, SIDE))
    bright = 0.7 + 0.2 * noise(3, SIDE, SIDE)
    explains(mine, net, bright)
    gradient, cam = at.compare(mine, bright, [at.Gradient(), at.GradCAM()], LOGIT)
    assert "so the given network was used" in " ".join(gradient.notes)
    assert gradient.forwards == 2  # of both networks
    assert mine.predict(bright)[0] == gradient.prediction[0]
    scorer = Scorer(mine, bright, LOGIT)
    with torch.no_grad():
        assert float(scorer.scores(bright[None])[0]) == pytest.approx(float(net(bright[None])[0, 1]), rel=1e-4)
    assert str(cam) == "The layer 'norm' does not run for this photo; name another layer."


def test_a_network_that_reads_its_memory_in_one_layout_is_explained_in_that_layout() -> None:
    net = small(Apply(lambda x: x.as_strided((len(x), 6, 5, 5), (600, 100, 20, 2))))
    mine = model(net)
    explains(mine, net, noise(3, SIDE, SIDE))
    assert mine.inspection.memory_format == torch.contiguous_format


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x: half(x), "computes in torch.bfloat16 inside"),
        (lambda x: x.half().float(), "computes in torch.float16 inside"),
        (lambda x: F.dropout(x, 0.5), "returns other logits for the same image each time"),
    ],
)
def test_what_no_map_could_be_right_for_is_refused(change: Callable[[Tensor], Tensor], sentence: str) -> None:
    with pytest.raises(at.Refusal, match=sentence):
        model(small(Apply(change)))


def half(x: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return F.conv2d(x, torch.ones(6, 6, 1, 1)).float()


def test_a_parameter_of_five_dimensions_does_not_end_in_an_error() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.scale = small(), nn.Parameter(torch.full((1, 1, 1, 1, 1), 2.0))

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x) * self.scale.flatten()

    net = Deep()
    mine = model(net)
    explains(mine, net, noise(3, SIDE, SIDE))
    explains(mine.with_net(copy.deepcopy(mine.net)), net, noise(3, SIDE, SIDE))


def test_hooks_on_a_compiled_module_are_refused() -> None:
    net = torch.compile(small(), backend="eager")
    net.register_forward_hook(lambda module, args, output: output * 10)
    with pytest.raises(at.Refusal, match=r"wrapped by torch\.compile has forward hooks"):
        model(net)


class Tokens(nn.Module):
    """The order of operators for which PyTorch 2.15's own gradient of one image is wrong on a CPU."""

    def __init__(self, norm: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3), norm or nn.BatchNorm2d(6)
        self.layer_norm, self.head = nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv(x))
        y = y.reshape(len(y), -1).view_as(y.contiguous())
        y = self.norm(y).flatten(2).transpose(1, 2)  # (N, H * W, C)
        return self.head((self.layer_norm(y) * torch.arange(y.shape[1])[:, None]).mean(1))


def wanted(net: nn.Module, x: Tensor) -> Tensor:
    """Return the gradient of a logit in float64, of two images at a time."""
    pair = torch.stack([x, x]).double().requires_grad_()
    double = copy.deepcopy(net).double()
    return torch.autograd.grad(double(pair)[0, 1], pair)[0][0]


def off(found: np.ndarray, expected: Tensor) -> float:
    return float((torch.from_numpy(found) - expected).norm() / expected.norm())


class FunctionalNorm(nn.BatchNorm2d):
    """A batch norm by torch's function instead of torch.nn.functional's."""

    def forward(self, x: Tensor) -> Tensor:
        values = self.weight, self.bias, self.running_mean, self.running_var
        return torch.batch_norm(x, *values, self.training, 0.1, self.eps, True)


class InstanceNorm(nn.InstanceNorm2d):
    """An instance norm with running statistics, which is a batch norm underneath."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True, track_running_stats=True)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, FunctionalNorm, InstanceNorm])
def test_a_norm_of_a_single_image_sends_the_right_gradient_back(norm: type[nn.Module]) -> None:
    net = randomise(Tokens(norm(6)))
    x = noise(3, SIDE, SIDE)
    mine, target = model(net), at.Target(1, "logit")
    single = x[None].clone().requires_grad_()
    (plain,) = torch.autograd.grad(net(single)[0, 1], single)
    assert off(plain[0].numpy(), wanted(net, x)) > 1, "PyTorch's gradient is right: the affine map can go"
    assert off(at.attribute(mine, x, at.Gradient(), target).values, wanted(net, x)) < 1e-5
    chunked = at.attribute(mine, x, at.IntegratedGradients(50), target, chunk=1)
    assert abs(chunked.delta) < 0.05 * abs(chunked.score - chunked.baseline_score)


@pytest.mark.parametrize("affine", [False, True])
def test_an_instance_norm_of_a_single_image_sends_the_right_gradient_back(affine: bool) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 6, 3), nn.InstanceNorm2d(6, affine=affine)
            self.layer_norm, self.head = nn.LayerNorm(6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.norm(F.gelu(self.conv(x))).permute(0, 2, 3, 1)
            return self.head((self.layer_norm(y) * torch.arange(10)[:, None]).mean((1, 2)))

    net, x = randomise(Net()), noise(3, SIDE, SIDE)
    single = x[None].clone().requires_grad_()
    (plain,) = torch.autograd.grad(net(single)[0, 1], single)
    assert off(plain[0].numpy(), wanted(net, x)) > 0.1, "PyTorch's gradient is right: the sums can go"
    assert off(at.attribute(model(net), x, at.Gradient(), LOGIT).values, wanted(net, x)) < 1e-5


class WrongAlone(torch.autograd.Function):
    """The identity, whose gradient is wrong for a single image."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, signal):
        return signal if len(signal) > 1 else signal.flip(3)


class WrongChannelsLast(WrongAlone):
    """The identity, whose gradient is wrong if it arrives with channels last."""

    @staticmethod
    def backward(ctx, signal):
        return signal if signal.is_contiguous() else signal.flip(3)


class WrongAlways(WrongAlone):
    """The identity, with half its gradient for a single image, and a third of it for two."""

    @staticmethod
    def backward(ctx, signal):
        return signal / (len(signal) + 1)


@pytest.mark.parametrize(("function", "min_batch"), [(WrongAlone, 2), (WrongChannelsLast, 1)])
def test_a_gradient_that_is_wrong_in_one_way_is_computed_in_another(function: type, min_batch: int) -> None:
    net, x = small(Apply(function.apply)), noise(3, SIDE, SIDE)
    mine = model(net)
    assert mine.inspection.min_batch == min_batch
    expected = wanted(net, x)
    for method in (at.Gradient(), at.IntegratedGradients(1, rule="right")):
        values = at.attribute(mine, x, method, LOGIT, chunk=1).values
        assert off(values, expected if isinstance(method, at.Gradient) else expected * x) < 1e-5
    cam = at.attribute(mine, x, at.GradCAM(negative="kept"), LOGIT).values
    twin = model(small())  # without the function
    np.testing.assert_allclose(cam, at.attribute(twin, x, at.GradCAM(negative="kept"), LOGIT).values, atol=1e-5)


def test_a_gradient_that_is_wrong_in_every_way_is_refused() -> None:
    with pytest.raises(at.Refusal, match="has a gradient that is not the derivative of its logits, also in float64"):
        model(small(Apply(WrongAlways.apply)))


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "efficientnet_b0"])
def test_networks_of_the_field_are_served_one_image_at_a_time(name: str) -> None:
    make = {"vit_b_16": lambda: zoo.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=3)}
    net = randomise(make.get(name, lambda: zoo.get_model(name, weights=None, num_classes=3))())
    mine = model_of(net, (32, 32), 3)
    assert (mine.inspection.min_batch, mine.inspection.memory_format) == (1, torch.channels_last)


def test_maps_that_overflow_do_not_keep_a_network_from_being_used() -> None:
    assert model(small(Apply(lambda x: torch.sqrt(x - 1)))).inspection.min_batch == 1


def test_a_model_is_freed_with_its_last_reference() -> None:
    def living() -> int:
        gc.collect()
        return sum(issubclass(type(each), Tensor) for each in gc.get_objects())

    model(small())
    before = living()
    for _ in range(3):
        mine = model(small())
        at.compare(mine, noise(3, SIDE, SIDE), [at.Gradient(), at.GuidedBackprop(), at.GradCAM()])
    del mine
    assert living() <= before


class Merging(nn.Module):
    """A network that merges weights on its way to evaluation mode, as adapters do."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.more = small()[:5], nn.Parameter(noise(3, 24))
        self.weight = nn.Parameter(noise(3, 24, seed=1))

    def train(self, mode: bool = True) -> None:  # type: ignore[override]  # without a result, as is common
        if self.training and not mode:
            self.weight.data += self.more.data
        super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.body(x), self.weight + self.more if self.training else self.weight)


def test_a_network_that_acts_on_the_change_of_mode_is_copied_as_its_owner_evaluates_it() -> None:
    net = Merging()
    mine = model(net)
    assert net.training
    net.eval()
    explains(mine, net, noise(3, SIDE, SIDE))


class Delegating(nn.Module):
    """A wrapper that has the attributes of what it wraps."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def __getattr__(self, name: str) -> object:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) * 7 + 1


def test_a_wrapper_of_a_compiled_network_is_kept() -> None:
    net = Delegating(torch.compile(small(), backend="eager"))
    explains(model(net), lambda x: net.inner._orig_mod(x) * 7 + 1, noise(3, SIDE, SIDE))


def test_hooks_that_a_copy_would_lose_are_refused() -> None:
    traced = torch.fx.symbolic_trace(small())
    traced.register_forward_hook(lambda module, args, output: output * 10)
    with pytest.raises(at.Refusal, match="such as a GraphModule, has forward hooks"):
        model(traced)


def test_a_module_whose_copy_is_itself_is_refused_and_untouched() -> None:
    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = small()

        def __deepcopy__(self, memo: dict) -> nn.Module:
            return self

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

    net = Single().train()
    with pytest.raises(at.Refusal, match="its copy shares modules with it"):
        model(net)
    assert net.net.training
    assert net.net[0].weight.requires_grad


@pytest.mark.parametrize("holder", [lambda net: types.SimpleNamespace(net=net), lambda net: {net: "key"}])
def test_modules_in_any_container_are_held(holder: Callable[[nn.Module], object]) -> None:
    inner = small()
    net = Apply(lambda x: inner(x))
    net.container = holder(inner)
    explains(model(net), inner, noise(3, SIDE, SIDE))


HIDDEN_GRADIENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "straight through": lambda x: x + ((x * 4).round() / 4 - 20 * x).detach(),
    "hook on a tensor": lambda x: _scaled(x * 1),
    "reversed": lambda x: _Reversed.apply(x),
}


def _scaled(x: Tensor) -> Tensor:
    if x.requires_grad:
        x.register_hook(lambda signal: signal * 0.1)
    return x


class _Reversed(WrongAlone):
    """The identity, with the negative of its gradient."""

    @staticmethod
    def backward(ctx, signal):
        return -signal


@pytest.mark.parametrize("name", HIDDEN_GRADIENTS)
def test_a_gradient_that_is_not_the_derivative_is_named(name: str) -> None:
    result = at.attribute(model(small(Apply(HIDDEN_GRADIENTS[name]))), noise(3, SIDE, SIDE), at.Gradient(), LOGIT)
    assert any("is not the derivative of its logits" in note for note in result.notes)


def test_a_result_overwritten_in_place_is_refused_when_the_model_is_made() -> None:
    with pytest.raises(at.Refusal, match="a result that the derivative needs was overwritten in place"):
        model(small(Apply(lambda x: x.mul_(2))))


def test_other_errors_of_a_network_become_refusals() -> None:
    class Picky(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = small()

        def forward(self, x: Tensor) -> Tensor:
            assert x.is_contiguous(), "contiguous only"
            assert x.shape[2] == SIDE, "wrong size"
            return self.net(x)

    mine = model(Picky())
    assert mine.inspection.memory_format == torch.contiguous_format
    with pytest.raises(at.Refusal, match="fails on a photo of 20 x 24 pixels; use its own size, 12 x 12"):
        at.attribute(mine, noise(3, 20, 24), at.Gradient())
    with pytest.raises(at.Refusal, match="wrong size"):
        model_of(Picky(), (20, 20), 3)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_model_is_made_in_any_context_of_the_caller(context: Callable) -> None:
    net, x = small(), noise(3, SIDE, SIDE)
    with context():
        mine = model(net)
        stages = mine.stages
    assert stages == model(net).stages
    assert np.array_equal(
        at.attribute(mine, x, at.Gradient()).values, at.attribute(model(net), x, at.Gradient()).values
    )
