"""Calls of elementwise functions, such as activations, in every spelling."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attribution.network.nonlinear import tensors
from attribution.network.spellings import spellings

# Every output is the input up to its sign, or a constant; curves with kinks, or rounded lines; smooth curves.
_CLIPPING = "relu relu6 hardtanh threshold clamp clip clamp_min clamp_max abs hardshrink".split()
_KINKED = "leaky_relu prelu softshrink hardsigmoid hardswish elu celu selu".split()
_SMOOTH = """sigmoid logsigmoid log_sigmoid tanh tanhshrink silu mish gelu softplus softsign exp expm1""".split()
_HOMOGENEOUS = frozenset("relu leaky_relu prelu abs".split())
FAR = 1e6  # an activation that is bounded stays below its root there


@dataclass(frozen=True)
class Elementwise:
    """A call of an elementwise function.

    Attributes:
        name: Name of the operator.
        x: Its input.
        apply: The function; it overwrites its argument if the call is in place.
        in_place: True if the call overwrites its input.
    """

    name: str
    x: Tensor
    apply: Callable[[Tensor], Tensor]
    in_place: bool

    def near(self, dtype: torch.dtype) -> float:
        """Return the difference of two inputs up to which the derivative between them replaces the quotient.

        The quotient's error is about eps / difference. That of the derivative is its square for smooth functions, and
        up to half the change of slope if there is a kink between the two.
        """
        if self.name in _CLIPPING:
            return 0.0
        return float(torch.finfo(dtype).eps ** (1 / 3 if self.name in _SMOOTH else 1 / 2))

    @property
    def homogeneous(self) -> bool:
        """True if f(z) = z f'(z)."""
        return self.name in _HOMOGENEOUS

    @property
    def bounded(self) -> bool:
        """True if the output serves as a gate: it is bounded on both sides."""
        return bool((self.of(self.x.detach().new_tensor([-FAR, FAR])).abs() < FAR**0.5).all())

    def of(self, z: Tensor) -> Tensor:
        """Return the function of a tensor, which is not overwritten."""
        return self.apply(z.clone() if self.in_place else z)


def elementwise(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Elementwise | None:
    """Read a call; None if it is no elementwise function of one tensor through which gradients flow."""
    found = _FUNCTIONS.get(func) if torch.is_grad_enabled() else None
    if found is None:
        return None
    name, in_place = found
    x, args, kwargs = first_argument(args, kwargs)
    if not x.requires_grad:
        return None
    if any(each.requires_grad or (each.ndim and name != "prelu") for each in tensors((args, kwargs))):
        return None
    names = func.__code__.co_varnames[1:] if hasattr(func, "__code__") else ()
    in_place = in_place or bool({**dict(zip(names, args, strict=False)), **kwargs}.get("inplace"))
    return Elementwise(name, x, lambda z: func(z, *args, **kwargs), in_place)


def first_argument(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, tuple[Any, ...], dict[str, Any]]:
    """Return the first argument of a call, and the others."""
    if args:
        return args[0], args[1:], kwargs
    name = "input" if "input" in kwargs else "self"
    return kwargs[name], args, {key: each for key, each in kwargs.items() if key != name}


def _functions() -> Iterator[tuple[Any, tuple[str, bool]]]:
    for name in (*_CLIPPING, *_KINKED, *_SMOOTH):
        for func, in_place in spellings(name):
            yield func, (name, in_place)


_FUNCTIONS = dict(_functions())  # the name of the operator of each callable, and True if it works in place
