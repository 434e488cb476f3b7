"""Backward rules for rectifiers, at the operator level.

A rectifier y = min(max(x, 0), hi) propagates the backward signal R by one of three rules:

    gradient         [0 < x < hi] R           the derivative
    guided           [0 < x < hi] max(R, 0)   Springenberg et al. 2015, arXiv:1412.6806
    zeiler_fergus    max(R, 0)                Zeiler and Fergus 2014, arXiv:1311.2901 ("deconvnet")

Only the signal through the rectifier changes; a skip connection from the same tensor is not affected. Every spelling of
a rectifier is intercepted in PyTorch's dispatch, so the network's modules are neither searched nor changed.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from attribution.network.dominators import ordered
from attribution.network.nonlinear import Gates, nonlinearity
from attribution.network.spellings import spellings


def _gated(signal: Tensor, y: Tensor, hi: float) -> Tensor:
    """Return [0 < y < hi] signal, using PyTorch's own kernels; `where` takes 14 times as long."""
    if math.isinf(hi):
        return torch.ops.aten.threshold_backward(signal, y, 0)  # type: ignore[no-any-return]
    return torch.ops.aten.hardtanh_backward(signal, y, 0, hi)  # type: ignore[no-any-return]


BACKWARD_RULES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {  # (signal, y, hi) -> signal, all of one shape
    "gradient": _gated,
    "guided": lambda signal, y, hi: _gated(signal, y, hi).clamp_(min=0),
    "zeiler_fergus": lambda signal, y, hi: signal.clamp(min=0),
}


@dataclass(frozen=True)
class Interception:
    """The rectifiers and the other nonlinear operators in a forward pass.

    Attributes:
        count: Number of intercepted rectifiers on the way from the image to the logits.
        others: Sorted names of the other nonlinear operators, which keep their plain derivative. They
            include rectifiers that could not be intercepted, such as those inside a custom or scripted function.
    """

    count: int
    others: tuple[str, ...]


class Rectifiers(TorchFunctionMode):
    """A context that intercepts the rectifiers of one forward pass; their rule is set before each backward pass.

        with Rectifiers() as rectifiers:
            logits = net(x)
        rectifiers.rule = "guided"
        gradient, = torch.autograd.grad(logits[0, 5], x, retain_graph=True)

    The graph references this object, which stores the rule. Globals and thread-locals would not work, since on CUDA
    another thread runs the backward pass.

    Attributes:
        rule: A key of BACKWARD_RULES. Default: "gradient".
    """

    def __init__(self) -> None:
        """Start with no interceptions."""
        super().__init__()
        self.rule = "gradient"
        self._gates = Gates()

    def seen(self, logits: Tensor) -> Interception:
        """Return the rectifiers and other nonlinear operators that lead to these logits."""
        count, others = 0, set(self._gates.names)
        for node in ordered(logits.grad_fn):
            if node.name() == _REACHED and node.rectifiers is self:
                count += 1
            elif name := nonlinearity(node):
                others.add(name)
        return Interception(count, tuple(sorted(others)))

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replace a rectifier by one that follows `rule`; forward all other calls."""
        kwargs = kwargs or {}
        family = _RECTIFIER_FUNCTIONS.get(func) if torch.is_grad_enabled() else None
        found = family(*args, **kwargs) if family and _carries_gradient(*args, *kwargs.values()) else None
        if found is None:
            return self._gates.follow(func, args, kwargs)
        if found.in_place and found.x._is_view():  # otherwise the graph would not show it
            return found.x.copy_(_Rectify.apply(found.x, found.hi, False, found.saved, self))
        return _Rectify.apply(found.x, found.hi, found.in_place, found.saved, self)


class _Rectify(torch.autograd.Function):
    """The rectifier y = min(max(x, 0), hi); its backward pass follows the current rule of `rectifiers`."""

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
        return BACKWARD_RULES[ctx.rectifiers.rule](signal, y, ctx.hi), None, None, None, None


@dataclass(frozen=True)
class _Rectifier:
    """A rectifier call."""

    x: Tensor
    hi: float = math.inf
    in_place: bool = False
    saved: bool = True  # True if PyTorch saves the result for the backward pass, so that overwriting it is an error


# One function per family of spellings, with the operator's own parameter names; returns None if the call is not a
# rectifier.


def _relu(input: Tensor, inplace: bool = False) -> _Rectifier:
    return _Rectifier(input, in_place=inplace)


def _relu6(input: Tensor, inplace: bool = False) -> _Rectifier:
    return _Rectifier(input, 6.0, inplace, saved=False)


def _hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> _Rectifier | None:
    return _Rectifier(input, float(max_val), inplace, saved=False) if min_val == 0 and max_val > 0 else None


def _threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> _Rectifier | None:
    return _Rectifier(input, in_place=inplace, saved=False) if _is_zero(threshold) and _is_zero(value) else None


def _clamp(input: Tensor, min: Any = None, max: Any = None, **others: Any) -> _Rectifier | None:
    hi = math.inf if max is None else _constant(max)
    if others or not _is_zero(min) or hi is None or hi <= 0:
        return None
    return _Rectifier(input, hi, saved=False)


def _is_zero(value: Any) -> bool:
    return _constant(value) == 0


def _constant(value: Any) -> float | None:
    """Return a number, also one in a tensor; None for everything else."""
    if isinstance(value, Tensor):
        return float(value) if value.ndim == 0 and not value.requires_grad else None
    return float(value) if isinstance(value, int | float) else None


def _carries_gradient(*values: Any) -> bool:
    return any(isinstance(value, Tensor) and value.requires_grad for value in values)


_RECTIFIER_PARSERS: dict[str, Callable[..., _Rectifier | None]] = {
    "relu": _relu,
    "relu6": _relu6,
    "hardtanh": _hardtanh,
    "threshold": _threshold,
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": _clamp,
}


def _rectifier_functions() -> Iterator[tuple[Any, Callable[..., _Rectifier | None]]]:
    """Yield every PyTorch callable of each family, with the function that parses its calls."""
    for name, family in _RECTIFIER_PARSERS.items():
        for func, in_place in spellings(name):
            yield func, _in_place(family) if in_place else family


def _in_place(family: Callable[..., _Rectifier | None]) -> Callable[..., _Rectifier | None]:
    def read(*args: Any, **kwargs: Any) -> _Rectifier | None:
        found = family(*args, **kwargs)
        return found and replace(found, in_place=True)

    return read


_RECTIFIER_FUNCTIONS = dict(_rectifier_functions())
_REACHED = f"{_Rectify.__name__}Backward"  # name of its node in a graph
