"""Captum as second opinion: equal where it is right, different where it returns the plain gradient without a word."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from captum.attr import Deconvolution, GuidedBackprop, IntegratedGradients, Saliency
from reference import backward
from torch import Tensor, fx, nn
from toys import model_of, noise, zoo_net

import attribution as at
from attribution.methods.method import Method

CLASSES = 20
SIDES = {"inception_v3": 96}


def build(name: str) -> nn.Module:
    """A network with random weights and batch-norm statistics that are not trivial."""
    extra = {"googlenet": {"aux_logits": False, "init_weights": False}, "inception_v3": {"init_weights": False}}
    return zoo_net(name, CLASSES, **extra.get(name, {}))


def ours(net: nn.Module, x: Tensor, *methods: Method) -> list[np.ndarray]:
    results = at.compare(model_of(net, (x.shape[1], x.shape[2]), CLASSES), x, methods, at.Target(best(net, x), "logit"))
    return [result.values for result in results]


def best(net: nn.Module, x: Tensor) -> int:
    """The predicted class: SqueezeNet's logits are rectified, and a zero one shows nothing."""
    with torch.no_grad():
        return int(net(x[None]).argmax())


def captums(net: nn.Module, x: Tensor, method: Callable[..., object]) -> np.ndarray:
    arguments = {"abs": False} if method is Saliency else {}
    found = method(net).attribute(x[None].clone().requires_grad_(), target=best(net, x), **arguments)
    return found[0].detach().numpy()


def out_of_place(net: nn.Module) -> nn.Module:
    """A copy that Captum's hooks can work on."""
    twin = copy.deepcopy(net)
    for module in twin.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    return twin


def with_modules(net: nn.Module) -> nn.Module:
    """A copy whose functional rectifiers are modules, one for each call."""
    traced = fx.symbolic_trace(out_of_place(net))
    for count, node in enumerate(list(traced.graph.nodes)):
        if node.op == "call_function" and node.target is F.relu:
            traced.add_module(f"rectifier{count}", nn.ReLU())
            with traced.graph.inserting_before(node):
                node.replace_all_uses_with(traced.graph.call_module(f"rectifier{count}", (node.args[0],)))
            traced.graph.erase_node(node)
    traced.recompile()
    return traced.eval()


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Relative to the greatest value."""
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


@pytest.fixture(params=["resnet18", "vgg11", "squeezenet1_1"])
def module_net(request: pytest.FixtureRequest) -> nn.Module:
    return build(request.param)


def test_the_three_rules_are_captums_on_networks_of_modules(module_net: nn.Module) -> None:
    x, twin = noise(3, 64, 64), out_of_place(module_net)
    found = ours(module_net, x, at.Gradient(), at.GuidedBackprop(), at.ZeilerFergus())
    with pytest.warns(UserWarning, match="backward hooks"):
        expected = [captums(twin, x, method) for method in (Saliency, GuidedBackprop, Deconvolution)]
    for mine, theirs in zip(found, expected, strict=True):
        assert distance(mine, theirs) < 1e-4
    assert distance(found[0], found[1]) > 0.1
    assert distance(found[1], found[2]) > 0.1


@pytest.mark.parametrize(
    ("rule", "captums_name"), [("gauss_legendre", "gausslegendre"), ("midpoint", "riemann_middle")]
)
def test_integrated_gradients_are_captums_by_two_rules(module_net: nn.Module, rule: str, captums_name: str) -> None:
    x = noise(3, 64, 64).double()
    net, colour = module_net.double(), (0.2, 0.5, 0.7)
    baseline = torch.tensor(colour).double().view(1, 3, 1, 1).expand(1, 3, 64, 64)
    theirs = IntegratedGradients(net).attribute(
        x[None], baseline, target=best(net, x), n_steps=8, method=captums_name, internal_batch_size=5
    )
    mine = ours(net, x, at.IntegratedGradients(8, at.baselines.Constant(colour), rule))[0]
    assert distance(mine, theirs[0].detach().numpy()) < 1e-6


@pytest.mark.parametrize("name", ["googlenet", "inception_v3", "mobilenet_v2"])
def test_captum_returns_the_plain_gradient_where_ours_follows_the_rule(name: str) -> None:
    side = SIDES.get(name, 64)
    net, x = build(name), noise(3, side, side)
    gradient, guided, deconvolved = ours(net, x, at.Gradient(), at.GuidedBackprop(), at.ZeilerFergus())
    twin = out_of_place(net)
    for method, mine in ((GuidedBackprop, guided), (Deconvolution, deconvolved)):
        with pytest.warns(UserWarning, match="backward hooks"):
            silently = captums(twin, x, method)
        assert distance(silently, gradient) < 1e-4
        assert distance(mine, silently) > 0.1


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_there_ours_is_captums_on_a_copy_with_modules(name: str) -> None:
    side = SIDES.get(name, 64)
    net, x = build(name), noise(3, side, side)
    twin = with_modules(net)
    for method, captum_method in ((at.GuidedBackprop(), GuidedBackprop), (at.ZeilerFergus(), Deconvolution)):
        with pytest.warns(UserWarning, match="backward hooks"):
            theirs = captums(twin, x, captum_method)
        assert distance(ours(net, x, method)[0], theirs) < 1e-4


@pytest.mark.parametrize(("method", "rule"), [(at.GuidedBackprop(), "guided"), (at.ZeilerFergus(), "zeiler_fergus")])
def test_there_ours_is_the_reference_on_rectifiers_with_an_upper_end(method: Method, rule: str) -> None:
    net, x = build("mobilenet_v2"), noise(3, 64, 64)
    signal = torch.zeros(CLASSES)
    signal[best(net, x)] = 1
    assert distance(ours(net, x, method)[0], backward(net, x, signal, rule)[1].numpy()) < 1e-4
