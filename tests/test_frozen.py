"""Networks as callers bring them: the copy computes the same function, or the network is refused in a sentence."""

import gc
import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import prune
from toys import model_of, noise, randomise

import attribution as at
from attribution.network.rectifiers import Rectifiers

RULES = [at.Gradient(), at.GuidedBackprop(), at.ZeilerFergus()]


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class CustomRelu(torch.autograd.Function):
    """A rectifier as in PyTorch's tutorial, whose backward pass cannot be intercepted."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, signal):
        (x,) = ctx.saved_tensors
        return signal * (x >= 0)


def net(rectifier: Callable[[Tensor], Tensor] = F.relu) -> nn.Module:
    layers = [nn.Conv2d(3, 6, 3), Apply(rectifier), nn.Conv2d(6, 6, 3), Apply(rectifier), nn.Flatten()]
    return randomise(nn.Sequential(*layers, nn.Linear(96, 3)))


def model(net: nn.Module) -> at.Model:
    return model_of(net, (8, 8), 3)


def same_logits(mine: at.Model, theirs: nn.Module) -> bool:
    x = noise(2, 3, 8, 8)
    with torch.no_grad():
        return torch.allclose(mine.logits(x), theirs.eval()(x), atol=1e-4)


@pytest.mark.parametrize("normalise", [nn.utils.spectral_norm, nn.utils.parametrizations.weight_norm])
@pytest.mark.parametrize("used", [False, True])
def test_computed_weights_are_computed_in_the_copy_too(normalise: Callable, used: bool) -> None:
    theirs = net()
    normalise(theirs[0])
    if used:
        theirs.train()(noise(1, 3, 8, 8)).sum().backward()  # its computed weights are no longer leaves
    assert same_logits(model(theirs), theirs)


def test_a_pruned_network_is_copied_with_its_mask() -> None:
    theirs = net()
    prune.l1_unstructured(theirs[2], "weight", amount=0.5)
    assert same_logits(model(theirs), theirs)


def test_an_attribute_that_is_called_like_hooks_is_kept() -> None:
    theirs = net()
    theirs[1].stage_hooks = {"scale": 2.0}
    theirs[1].function = lambda x: F.relu(x) * theirs[1].stage_hooks["scale"]
    assert same_logits(model(theirs), theirs)


def test_a_network_that_flattens_by_view_is_served() -> None:
    theirs = net()
    theirs[4] = Apply(lambda x: x.view(x.size(0), -1))
    assert same_logits(model(theirs), theirs)


def test_compiled_modules_are_unwrapped_at_any_depth() -> None:
    theirs = net()
    expected = [result.values for result in at.compare(model(theirs), noise(3, 8, 8), RULES)]
    child = nn.Sequential(torch.compile(nn.Sequential(*list(theirs)[:4]), backend="eager"), *list(theirs)[4:])
    for wrapped in (child, torch.compile(theirs, backend="eager")):
        found = at.compare(model(wrapped), noise(3, 8, 8), RULES)
        for result, values in zip(found, expected, strict=True):
            np.testing.assert_allclose(result.values, values, rtol=1e-5, atol=1e-8)


def test_a_rectifier_inside_a_custom_function_is_not_counted_as_intercepted() -> None:
    custom = model(net(CustomRelu.apply))
    assert (custom.inspection.operators.count, custom.inspection.operators.others) == (0, ("CustomRelu",))
    assert "only CustomRelu" in str(at.GuidedBackprop().refusal(custom))


def test_a_rectifier_without_a_gradient_is_not_counted() -> None:
    def gated(x: Tensor) -> Tensor:
        with torch.no_grad():
            gate = (F.relu(x) > 0).float()
        return x * gate

    assert model(net(gated)).inspection.operators.count == 0


@pytest.mark.parametrize(
    "gate",
    [
        lambda x: x * (x > 0),
        lambda x: x * torch.sigmoid(x.detach()),
    ],
)
def test_no_note_denies_that_a_map_depends_on_the_photo_where_it_does(gate: Callable) -> None:
    theirs = net()
    theirs[1] = Apply(gate)
    mine, target = model(theirs), at.Target(1, "logit")
    one, other = (
        at.attribute(mine, x, at.ZeilerFergus(), target) for x in (noise(3, 8, 8), 0.1 * noise(3, 8, 8, seed=1))
    )
    assert not np.allclose(one.values, other.values, rtol=1e-4, atol=1e-9)
    assert not any("does not depend" in note for note in one.notes)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda net: net.insert(1, nn.BatchNorm2d(6, track_running_stats=False)), "mixes the images of a batch"),
        (lambda net: net.insert(1, Apply(lambda x: x * x.mean().detach())), "mixes the images of a batch"),
        (lambda net: net.insert(1, Apply(lambda x: x if len(x) == 1 else 2 * x)), "mixes the images of a batch"),
        (lambda net: net.insert(1, Apply(lambda x: x if x.mean() > 0.1 else -x)), "mixes the images of a batch"),
        (lambda net: net.half(), "computes in torch.float16"),
        (lambda net: net.bfloat16(), "computes in torch.bfloat16"),
        (lambda net: net.append(nn.Softmax(1)), "returns probabilities"),
        (lambda net: net.insert(4, nn.Linear(7, 7)), "fails on images of shape"),
    ],
)
def test_networks_that_would_give_wrong_maps_are_refused(change: Callable, sentence: str) -> None:
    theirs = net()
    change(theirs)
    with pytest.raises(at.Refusal, match=sentence):
        model(theirs)


@pytest.mark.parametrize("rectifier", [F.relu, F.relu6, lambda x: x.clamp(min=0), lambda x: F.relu(x * 2) / 2])
def test_a_checkpointed_network_follows_the_rules(rectifier: Callable) -> None:
    from torch.utils.checkpoint import checkpoint

    plain, theirs, x = net(), net(), noise(3, 8, 8)
    plain[1] = Apply(rectifier)
    theirs[1] = Apply(lambda x: checkpoint(rectifier, x, use_reentrant=False))
    expected, found = (at.compare(model(each), x, [*RULES, at.IntegratedGradients(3)]) for each in (plain, theirs))
    for one, other in zip(expected, found, strict=True):
        assert np.array_equal(one.values, other.values)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")  # raised by checkpoint
def test_checkpointing_without_a_backward_pass_is_refused() -> None:
    from torch.utils.checkpoint import checkpoint

    theirs = net()
    theirs[1] = Apply(lambda x: checkpoint(F.relu, x, use_reentrant=True))
    with pytest.raises(at.Refusal, match="disable checkpointing"):
        model(theirs)


def test_anything_but_a_module_is_refused() -> None:
    with pytest.raises(at.Refusal, match=r"must be a torch\.nn\.Module, got function"):
        model(lambda x: x)  # type: ignore[arg-type]


def test_the_callers_context_does_not_matter() -> None:
    mine, x = model(net()), noise(3, 8, 8)
    methods = [*RULES, at.IntegratedGradients(3)]
    expected = at.compare(mine, x, methods)
    with torch.inference_mode():
        inside = at.compare(mine, x + 0, methods)
        assert torch.is_inference_mode_enabled()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = at.compare(mine, x, methods)
    for one, two, three in zip(expected, inside, rounded, strict=True):
        assert np.array_equal(one.values, two.values)
        assert np.array_equal(one.values, three.values)


@pytest.mark.parametrize("listening", [False, True])
@pytest.mark.parametrize("refusing", [False, True])
def test_the_graph_is_freed_with_the_call(monkeypatch: pytest.MonkeyPatch, listening: bool, refusing: bool) -> None:
    graphs: list[weakref.ref] = []
    seen = Rectifiers.seen

    def remember(self: Rectifiers, logits: Tensor) -> object:
        graphs.append(weakref.ref(logits))
        if refusing:
            raise at.Refusal("No.")
        return seen(self, logits)

    mine = model(net())
    monkeypatch.setattr(Rectifiers, "seen", remember)
    gc.disable()
    try:
        on_progress = (lambda fraction, partial: None) if listening else None
        results = at.compare(mine, noise(3, 8, 8), [*RULES, at.IntegratedGradients(2)], on_progress=on_progress)
        assert len(results) == 4
        assert graphs
        assert all(graph() is None for graph in graphs)
    finally:
        gc.enable()


def test_an_index_from_numpy_is_an_index() -> None:
    assert at.Target(np.int64(3)) == at.Target(3)  # type: ignore[arg-type]
    for wrong in (True, 1.0, "tabby"):
        with pytest.raises(at.Refusal, match="index must be a class index"):
            at.Target(wrong)  # type: ignore[arg-type]
