"""Backward rules for rectifiers, at operator level.

A rectifier y = min(max(x, 0), hi) passes the signal R that comes back from above by one of three rules:

    gradient         [0 < x < hi] R           the derivative
    guided           [0 < x < hi] max(R, 0)   Springenberg et al. 2015, arXiv:1412.6806
    zeiler_fergus    max(R, 0)                Zeiler and Fergus 2014, arXiv:1311.2901 ("deconvnet")

Only the signal through the rectifier changes: a skip connection that reads the same tensor is untouched. Every spelling
is met where PyTorch dispatches it, so the network is neither searched for modules nor changed.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

RULES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # (signal, gate) -> signal, all of one shape
    "gradient": lambda signal, gate: signal.where(gate, 0),
    "guided": lambda signal, gate: signal.where(gate, 0).clamp_(min=0),
    "zeiler_fergus": lambda signal, gate: signal.clamp(min=0),
}


@dataclass(frozen=True)
class Interception:
    """What a forward pass was seen to use.

    Attributes:
        rectifiers: How many rectifier calls were intercepted.
        others: Names of the other activations, which keep their plain derivative, sorted.
        fixed_adjoint: Whether every other operator is linear in the image, so that a backward pass whose rule
            ignores the rectifiers' gates does the same to every image: no max-pooling, no gates, no norms.
    """

    rectifiers: int
    others: tuple[str, ...]
    fixed_adjoint: bool


class Rectifiers(TorchFunctionMode):
    """Intercept the rectifiers of one forward pass; their rule is set before each backward pass.

        with Rectifiers() as rectifiers:
            logits = net(x)
        rectifiers.rule = "guided"
        gradient, = torch.autograd.grad(logits[0, 5], x, retain_graph=True)

    The graph holds this object, so that neither a global nor a thread-local decides: on CUDA another thread runs the
    backward pass. Every network operator that carries a gradient is also noted, see `interception`.
    """

    def __init__(self) -> None:
        """Start with the rule "gradient"."""
        super().__init__()
        self.rule = "gradient"
        self._count = 0
        self._others: set[str] = set()
        self._fixed_adjoint = True

    @property
    def interception(self) -> Interception:
        """What has been seen so far."""
        return Interception(self._count, tuple(sorted(self._others)), self._fixed_adjoint)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replace a rectifier by one that asks this object for its rule; let everything else pass."""
        kwargs = kwargs or {}
        found = _SPELLINGS[func](*args, **kwargs) if func in _SPELLINGS else None
        if found is not None and _carries_gradient([found.x]):
            self._count += 1
            return _Rectify.apply(found.x, found.hi, found.in_place, self)
        out = func(*args, **kwargs)
        if _carries_gradient(out if isinstance(out, tuple | list) else [out]):
            self._note(func.__name__.split(".")[0].strip("_"), args, kwargs)
        return out

    def _note(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if name in _ACTIVATIONS:
            self._others.add(name)
        if name in _PRODUCTS:
            linear = sum(_carries_gradient([value]) for value in (*args, *kwargs.values())) == 1
            linear &= name not in ("div", "truediv", "rtruediv") or _carries_gradient(args[:1])
        elif name == "batch_norm":
            linear = not (kwargs.get("training") or (len(args) > 5 and args[5]))
        else:
            linear = name in _LINEAR
        self._fixed_adjoint &= linear


class _Rectify(torch.autograd.Function):
    """y = min(max(x, 0), hi), forward as usual, backward by the rule of `rectifiers` at that moment."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, hi: float, in_place: bool, rectifiers: Rectifiers) -> Tensor:
        ctx.rectifiers = rectifiers
        bound = None if math.isinf(hi) else hi
        ctx.save_for_backward(x > 0 if bound is None else (x > 0) & (x < bound))
        if not in_place:
            return x.clamp(0, bound)
        ctx.mark_dirty(x)
        return x.clamp_(0, bound)

    @staticmethod
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor | None, ...]:
        (gate,) = ctx.saved_tensors
        return RULES[ctx.rectifiers.rule](signal, gate), None, None, None


@dataclass(frozen=True)
class _Rectifier:
    x: Tensor
    hi: float = math.inf
    in_place: bool = False


# One function a family of spellings, with the operator's own parameter names; None where the call is no rectifier.


def _relu(input: Tensor, inplace: bool = False) -> _Rectifier:
    return _Rectifier(input, in_place=inplace)


def _relu6(input: Tensor, inplace: bool = False) -> _Rectifier:
    return _Rectifier(input, 6.0, inplace)


def _hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> _Rectifier | None:
    return _Rectifier(input, float(max_val), inplace) if min_val == 0 and max_val > 0 else None


def _threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> _Rectifier | None:
    return _Rectifier(input, in_place=inplace) if _is_zero(threshold) and _is_zero(value) else None


def _clamp(input: Tensor, min: Any = None, max: Any = None) -> _Rectifier | None:
    return _Rectifier(input) if _is_zero(min) and max is None else None


def _is_zero(value: Any) -> bool:
    return isinstance(value, int | float) and value == 0


def _carries_gradient(values: Iterable[Any]) -> bool:
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

# Names without surrounding underscores, so that in-place forms and operators fall together with their function.
_ACTIVATIONS = frozenset(
    """celu clamp clamp_max clamp_min clip elu gelu glu hardsigmoid hardswish hardtanh leaky_relu logsigmoid mish prelu
    relu relu6 rrelu selu sigmoid silu softplus softsign tanh threshold""".split()
)
_PRODUCTS = frozenset("bmm div einsum imul matmul mm mul multiply rmatmul rmul rtruediv truediv".split())
_LINEAR = frozenset(
    """adaptive_avg_pool1d adaptive_avg_pool2d add addmm alpha_dropout avg_pool1d avg_pool2d cat chunk clone concat
    concatenate contiguous conv1d conv2d conv3d conv_transpose2d double dropout dropout2d expand feature_dropout flatten
    float getitem iadd interpolate isub linear mean movedim narrow neg pad permute pixel_shuffle radd reshape roll rsub
    select split squeeze stack sub sum to transpose unbind unflatten unsqueeze view""".split()
)
