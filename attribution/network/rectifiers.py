"""Backward rules for rectifiers, at operator level.

A rectifier y = min(max(x, 0), hi) passes the signal R that comes back from above by one of three rules:

    gradient         [0 < x < hi] R           the derivative
    guided           [0 < x < hi] max(R, 0)   Springenberg et al. 2015, arXiv:1412.6806
    zeiler_fergus    max(R, 0)                Zeiler and Fergus 2014, arXiv:1311.2901 ("deconvnet")

Only the signal through the rectifier changes: a skip connection that reads the same tensor is untouched. Every spelling
is met where PyTorch dispatches it, so the network is neither searched for modules nor changed.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


def _gated(signal: Tensor, y: Tensor, hi: float) -> Tensor:
    """[0 < y < hi] signal, by PyTorch's own kernels: `where` takes 14 times as long."""
    if math.isinf(hi):
        return torch.ops.aten.threshold_backward(signal, y, 0)  # type: ignore[no-any-return]
    return torch.ops.aten.hardtanh_backward(signal, y, 0, hi)  # type: ignore[no-any-return]


RULES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {  # (signal, y, hi) -> signal, all of one shape
    "gradient": _gated,
    "guided": lambda signal, y, hi: _gated(signal, y, hi).clamp_(min=0),
    "zeiler_fergus": lambda signal, y, hi: signal.clamp(min=0),
}


@dataclass(frozen=True)
class Interception:
    """What a forward pass was seen to use.

    Attributes:
        count: How many rectifier calls were intercepted.
        others: Names of the other activations, which keep their plain derivative, sorted. A rectifier that could not be
            intercepted, such as one inside a custom autograd.Function, is among them.
    """

    count: int
    others: tuple[str, ...]


class Rectifiers(TorchFunctionMode):
    """Intercept the rectifiers of one forward pass; their rule is set before each backward pass.

        with Rectifiers() as rectifiers:
            logits = net(x)
        rectifiers.rule = "guided"
        gradient, = torch.autograd.grad(logits[0, 5], x, retain_graph=True)

    The graph holds this object, so that neither a global nor a thread-local decides: on CUDA another thread runs the
    backward pass.
    """

    def __init__(self) -> None:
        """Start with the rule "gradient"."""
        super().__init__()
        self.rule = "gradient"
        self._count = 0

    def seen(self, logits: Tensor) -> Interception:
        """What the forward pass that ended in these logits used, read from their graph."""
        return Interception(self._count, tuple(sorted(_other_activations(logits))))

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replace a rectifier by one that asks this object for its rule; let everything else pass."""
        kwargs = kwargs or {}
        differentiated = torch.is_grad_enabled() and _carries_gradient(*args, *kwargs.values())
        found = _SPELLINGS[func](*args, **kwargs) if differentiated and func in _SPELLINGS else None
        if found is None:
            return func(*args, **kwargs)
        self._count += 1
        return _Rectify.apply(found.x, found.hi, found.in_place, found.saved, self)


class _Rectify(torch.autograd.Function):
    """y = min(max(x, 0), hi), forward as usual, backward by the rule of `rectifiers` at that moment."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, hi: float, in_place: bool, saved: bool, rectifiers: Rectifiers) -> Tensor:
        ctx.rectifiers, ctx.hi = rectifiers, hi
        bound = None if math.isinf(hi) else hi
        y = x.clamp_(0, bound) if in_place else x.clamp(0, bound)
        if in_place:
            ctx.mark_dirty(x)
        ctx.save_for_backward(y if saved else y.clone())
        return y

    @staticmethod
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor | None, ...]:
        (y,) = ctx.saved_tensors
        return RULES[ctx.rectifiers.rule](signal, y, ctx.hi), None, None, None, None


@dataclass(frozen=True)
class _Rectifier:
    x: Tensor
    hi: float = math.inf
    in_place: bool = False
    saved: bool = True  # whether PyTorch keeps the result for the way back, so that nothing may overwrite it


# One function a family of spellings, with the operator's own parameter names; None where the call is no rectifier.


def _relu(input: Tensor, inplace: bool = False) -> _Rectifier:
    return _Rectifier(input, in_place=inplace)


def _relu6(input: Tensor, inplace: bool = False) -> _Rectifier:
    return _Rectifier(input, 6.0, inplace, saved=False)


def _hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> _Rectifier | None:
    return _Rectifier(input, float(max_val), inplace, saved=False) if min_val == 0 and max_val > 0 else None


def _threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> _Rectifier | None:
    return _Rectifier(input, in_place=inplace, saved=False) if _is_zero(threshold) and _is_zero(value) else None


def _clamp(input: Tensor, min: Any = None, max: Any = None, **others: Any) -> _Rectifier | None:
    if others:
        return None
    return _Rectifier(input, saved=False) if _is_zero(min) and max is None else None


def _is_zero(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.ndim == 0 and not value.requires_grad and float(value) == 0
    return isinstance(value, int | float) and value == 0


def _carries_gradient(*values: Any) -> bool:
    return any(isinstance(value, Tensor) and value.requires_grad for value in values)


_FAMILIES: dict[str, Callable[..., _Rectifier | None]] = {
    "relu": _relu,
    "relu6": _relu6,
    "hardtanh": _hardtanh,
    "threshold": _threshold,
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": _clamp,
}


def _spellings() -> Iterator[tuple[Any, Callable[..., _Rectifier | None]]]:
    """Every callable by which PyTorch offers a family, and how to read a call of it."""
    for name, family in _FAMILIES.items():
        for space in (F, torch, Tensor, torch._C._nn, torch.ops.aten):
            for spelling, read in ((name, family), (name + "_", _in_place(family))):
                if (func := getattr(space, spelling, None)) is not None:
                    yield func, read
                    if space is torch.ops.aten:
                        yield func.default, read


def _in_place(family: Callable[..., _Rectifier | None]) -> Callable[..., _Rectifier | None]:
    def read(*args: Any, **kwargs: Any) -> _Rectifier | None:
        found = family(*args, **kwargs)
        return found and replace(found, in_place=True)

    return read


_SPELLINGS = dict(_spellings())

# Nodes of a graph by their name without "Backward": what bends the signal by the value of its own input, other than
# pooling, attention and norms, whose derivative no rule changes.
_ACTIVATIONS = frozenset(
    """Abs Celu Clamp ClampMax ClampMin Elu Gelu Glu Hardsigmoid Hardswish Hardtanh LeakyRelu LogSigmoid MaskedFill
    Maximum Minimum Mish PreluKernel Relu RreluWithNoise Sigmoid Silu Softplus Tanh Threshold Where""".split()
)


def _other_activations(logits: Tensor) -> set[str]:
    """Names of the activations in a graph that no rule reaches, and of everything that hides what it does."""
    found: set[str] = set()
    known, waiting = set(), [logits.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in known:
            continue
        known.add(node)
        name = re.sub(r"Backward\d*$", "", node.name().rpartition("::")[2])
        hidden = isinstance(node, torch.autograd.function.BackwardCFunction) and name != _Rectify.__name__
        if name in _ACTIVATIONS or hidden:
            found.add(name if hidden else re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower())
        waiting += [following for following, _ in node.next_functions]
    return found
