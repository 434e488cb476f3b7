"""Nonlinear operators are met, named, or make the methods refuse: decided by what is linear."""

import math
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from toys import answer, image, model_of, noise, randomise, toy

import attribution as at
from attribution.network.rectifiers import Interception, Rectifiers

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch.jit is deprecated, and in use

    @torch.jit.script
    def scripted(x: Tensor) -> Tensor:
        return torch.relu(x) * 2


def seen(function: Callable[[Tensor], Tensor], x: Tensor | None = None) -> Interception:
    """Return what is met and what is named in a function of some features."""
    x = noise(2, 3, 4, 4, dtype=torch.float64) - 0.5 if x is None else x
    with Rectifiers() as rectifiers:
        out = function(1 * x.requires_grad_())
    return rectifiers.seen(out)


def overwritten(x: Tensor) -> Tensor:
    x[x < 0] = 0
    return x


def activated_in_place(x: Tensor) -> Tensor:
    x[:, :2].sigmoid_()
    return x


def without_gradient(x: Tensor) -> Tensor:
    with torch.no_grad():
        gate = x.sign().clamp(min=0)
    return x * gate


NONLINEAR = {
    "mul": [lambda x: x * (x > 0), lambda x: x * x, without_gradient, lambda x: x * x.detach().sigmoid()],
    "fmax": [lambda x: torch.fmax(x, torch.zeros(()).double())],
    "maximum": [lambda x: torch.maximum(x, torch.zeros(()).double())],
    "softshrink": [F.softshrink],
    "hardshrink": [F.hardshrink],
    "sin": [torch.sin],
    "exp": [torch.exp],
    "pow": [lambda x: x**2],
    "where": [lambda x: torch.where(x > 0, x, 0.0)],
    "masked_fill": [lambda x: x.masked_fill(x < 0, 0.0)],
    "setitem": [overwritten],
    "sigmoid": [activated_in_place],
    "bmm": [lambda x: x @ x.transpose(-1, -2)],
    "convolution": [lambda x: F.conv2d(x, x.mean((0, 2, 3)).view(1, 3, 1, 1))],
    "softmax": [lambda x: x.softmax(1)],
    "native_layer_norm": [lambda x: F.layer_norm(x, (4,))],
    "native_batch_norm": [F.instance_norm],
    "gather": [lambda x: x.flatten(2).gather(2, x.flatten(2).argsort(2))],
    "reciprocal": [lambda x: 1 / (x + 2)],
    "clamp": [lambda x: x.clamp(max=0.2)],
}


@pytest.mark.parametrize(("name", "function"), [(name, each) for name, some in NONLINEAR.items() for each in some])
def test_what_is_nonlinear_is_named(name: str, function: Callable[[Tensor], Tensor]) -> None:
    found = seen(function)
    assert found.count == 0
    assert name in found.others
    x = 3 * noise(1, 3, 4, 4, dtype=torch.float64) - 1.5
    slopes = [
        torch.autograd.functional.jacobian(lambda x: function(1 * x), scale * x).flatten() for scale in (1.0, -0.1)
    ]
    assert not torch.allclose(*slopes), "the function is linear"


MASK = (torch.arange(4) % 2).double()
LINEAR = [
    lambda x: x * 3 + 1,
    lambda x: x * MASK,
    lambda x: x / 2 - MASK,
    lambda x: torch.where(MASK > 0, x, 0.0),
    lambda x: x.masked_fill(MASK > 0, 0.0),
    lambda x: torch.cat([x, torch.zeros_like(x)], 1) * torch.ones_like(x).repeat(1, 2, 1, 1),
    lambda x: x.flip(3)[:, [2, 0]].roll(1, 2).transpose(1, 2),
    lambda x: F.conv2d(x, torch.ones(2, 3, 3, 3).double(), padding=1),
    lambda x: F.linear(x, torch.ones(5, 4).double(), torch.ones(5).double()),
    lambda x: torch.einsum("nchw,cd->ndhw", x, torch.ones(3, 2).double()),
    lambda x: F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear"),
    lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"),
    lambda x: F.pixel_shuffle(x.repeat(1, 4, 1, 1), 2).unbind(1)[0],
    lambda x: F.batch_norm(x, torch.ones(3).double(), torch.ones(3).double()),
    lambda x: torch.fft.irfft2(torch.fft.rfft2(x) * torch.ones(3).double()),
    lambda x: x + x.detach().sigmoid().expand_as(x),  # a sum is linear, whatever is added
    lambda x: torch.empty_like(x).copy_(x),
    lambda x: F.dropout(x[:, :2], 0.5, training=False),  # returns its input
    lambda x: F.max_pool2d(x, 2),  # not linear, but its switches are part of the rules
]


@pytest.mark.parametrize("function", LINEAR)
def test_what_is_linear_is_not_named(function: Callable[[Tensor], Tensor]) -> None:
    assert seen(function) == Interception(0, ())


def test_the_calls_of_another_pass_are_not_mistaken_for_this_one() -> None:
    x = noise(2, 3, dtype=torch.float64).requires_grad_()
    with Rectifiers():
        gate = x > 0
    with Rectifiers() as rectifiers:
        out = x * gate.double()
    assert rectifiers.seen(out).others == ()  # a constant here


def test_a_rectifier_beside_the_way_to_the_logits_is_not_counted() -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head, self.other = nn.Conv2d(3, 4, 3), nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            self.aside = self.other(F.relu(y).mean((2, 3)))
            return self.head(F.silu(y).mean((2, 3)))

    mine = model_of(randomise(Aside()), (8, 8), 3)
    assert mine.inspection.operators == Interception(0, ("silu",))
    assert "its map would equal the plain gradient" in str(at.GuidedBackprop().refusal(mine))


@pytest.mark.parametrize("runs", [1, 2, 4])
def test_a_scripted_function_is_named_however_often_it_ran(runs: int) -> None:
    found = [seen(lambda x: scripted(F.relu(x))) for _ in range(runs)][-1]
    assert found.count == 1
    assert found.others != ()
    model = toy(lambda x: scripted(x).sum(1), 3, torch.float32)
    assert "this network has none" in str(at.ZeilerFergus().refusal(model))


@pytest.mark.parametrize("rule", [at.GuidedBackprop(), at.ZeilerFergus()])
def test_a_compiled_function_follows_the_rules(rule: at.methods.method.Method) -> None:
    compiled = torch.compile(lambda x: F.relu(x), backend="eager")
    model = toy(lambda x: -compiled(x).sum(1), 3)
    assert model.inspection.operators == Interception(1, ())
    result = at.attribute(model, image(1, -1, 2), rule, at.Target(0, "logit"))
    assert result.values.ravel().tolist() == [0, 0, 0]  # negative signals are cut
    assert not any("kept the plain derivative" in note for note in result.notes)


@pytest.mark.parametrize(("low", "high"), [(0, 6), (0.0, math.inf), (torch.tensor(0.0), torch.tensor(2.5))])
def test_a_clamp_from_zero_is_a_rectifier(low: float, high: float) -> None:
    model = toy(lambda x: x.clamp(low, high).sum(1), 3)
    assert model.inspection.operators == Interception(1, ())
    top = float(high)
    assert answer(model, image(-1, 1, 9), at.GuidedBackprop(), 3) == [0, 1, float(top > 9)]
    assert answer(model, image(-1, 1, 9), at.ZeilerFergus(), 3) == [1, 1, 1]


def test_the_note_of_a_map_names_what_kept_its_derivative() -> None:
    model = toy(lambda x: (F.relu(x) * (x > 0.5)).sum(1), 3)
    (note,) = at.attribute(model, image(1, 0.2, -1), at.GuidedBackprop(), at.Target(0, "logit")).notes
    assert note == "The rule applies to rectifiers only; mul kept the plain derivative."


def test_the_stance_of_the_compiler_is_the_callers_again_after_overlapping_passes() -> None:
    compiled = torch.compile(lambda x: F.relu(x), backend="eager")
    compiled(torch.ones(1))
    model, x = toy(lambda x: -compiled(x).sum(1), 3), image(1, -1, 2)
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda _: at.attribute(model, x, at.IntegratedGradients(30)), range(12)):
            pass
    ran = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        ran.append(graph)
        return graph.forward

    torch.compile(lambda x: x + 1, backend=backend)(torch.ones(1))
    assert ran  # compiled functions are compiled


def activated_view(x: Tensor) -> Tensor:
    F.silu(x[:, :2], inplace=True)
    return x


def gated_view(x: Tensor) -> Tensor:
    x[:, :1] *= x[:, 1:2].clone()
    return x


def without_autograd(x: Tensor) -> Tensor:
    with torch.no_grad():
        x.clamp_(min=0)
    return x


@pytest.mark.parametrize(
    ("function", "name"), [(activated_view, "silu"), (gated_view, "mul"), (without_autograd, "clamp")]
)
def test_what_autograd_wraps_or_does_not_see_is_named(function: Callable[[Tensor], Tensor], name: str) -> None:
    assert name in seen(function).others


def test_a_rectifier_in_place_on_a_view_beside_the_way_is_not_counted() -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            z = y.clone(memory_format=torch.contiguous_format).view(len(y), -1)
            self.aside = F.relu(z, inplace=True)
            return self.head(F.silu(y).mean((2, 3)))

    assert model_of(randomise(Aside()), (8, 8), 3).inspection.operators == Interception(0, ("silu",))
