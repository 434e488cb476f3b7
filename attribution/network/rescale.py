"""The rescale rule of DeepLIFT (Shrikumar et al. 2017, arXiv:1704.02685), at the operator level.

The photo and a baseline go through the network one after the other. On the way back from the photo's score, the signal
through a nonlinear operator f is multiplied by (f(z) - f(z_b)) / (z - z_b) instead of the derivative, where z is its
input for the photo and z_b for the baseline. All other operators pass the signal on as autograd does, which is exact
if they are linear. The network's modules are neither searched nor changed: the n-th call of the baseline's pass is
compared with the n-th of the photo's.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from attribution.network.dominators import ordered
from attribution.network.elementwise import Elementwise, elementwise, first_argument
from attribution.network.nonlinear import Gates, nonlinearity
from attribution.network.spellings import spellings
from attribution.refusal import Refusal


class Rescale(TorchFunctionMode):
    """A context that intercepts the nonlinear operators of the photo's forward pass.

        with Rescale() as rescale:
            score = net(x)[0, 5]
        with rescale.baseline():
            net(b)
        multipliers, = torch.autograd.grad(score, x)  # sum(multipliers * (x - b)) is the difference of the scores

    Attributes:
        calls: The intercepted calls, in order.
    """

    def __init__(self) -> None:
        """Start with no interceptions."""
        super().__init__()
        self.calls: list[_Call] = []
        self._gates = Gates()

    def baseline(self) -> "_Baseline":
        """Return a context for the forward pass of a baseline; it sets the multipliers of all further backward passes.

        Raises:
            Refusal: On leaving the context or in it, if the baseline runs through other operators than the photo.
        """
        return _Baseline(self.calls)

    def others(self, score: Tensor) -> tuple[str, ...]:
        """Return the sorted names of the nonlinear operators that lead to a score and keep their plain derivative."""
        names = set(self._gates.names)
        for node in ordered(score.grad_fn):
            if node.name() != _REACHED and (name := _missed(node)):
                names.add(name)
        return tuple(sorted(names))

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replace an operator that the rule covers; forward all other calls."""
        kwargs = kwargs or {}
        call = _parsed(func, args, kwargs)
        if call is None:
            return self._gates.follow(func, args, kwargs)
        self.calls.append(call)
        x = call.x
        call.x = x.detach().clone() if call.overwritable else x.detach()
        if call.in_place and x._is_view():  # otherwise the graph would not show it
            return x.copy_(_Rescale.apply(x, call, False))
        return call.returned(_Rescale.apply(x, call, call.in_place))


class _Baseline(TorchFunctionMode):
    """A context that compares every call with that of the photo's pass."""

    def __init__(self, calls: "list[_Call]") -> None:
        super().__init__()
        self._calls = iter(calls)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if found := _parsed(func, args, kwargs):
            call = next(self._calls, None)
            if call is None or call.func is not func or call.x.shape != found.x.shape:
                raise _differs()
            call.compare(found.x.detach())
        return func(*args, **kwargs)

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)  # type: ignore[no-untyped-call]
        if exception[0] is None and next(self._calls, None) is not None:
            raise _differs()


def _differs() -> Refusal:
    return Refusal("The network runs other operators for the baseline than for the photo; choose another baseline.")


class _Call(ABC):
    """A call of an operator that the rule covers.

    Attributes:
        func: The callable.
        x: Its input for the photo.
        in_place: True if it overwrites its input.
        overwritable: True if a later operator may overwrite its input without an error from autograd.
    """

    overwritable = True

    def __init__(self, func: Any, x: Tensor, in_place: bool = False) -> None:
        self.func, self.x, self.in_place = func, x, in_place

    @abstractmethod
    def run(self, x: Tensor) -> Tensor:
        """Compute the output; overwrite the input if the call is in place."""

    @abstractmethod
    def compare(self, b: Tensor) -> None:
        """Compare with the input for the baseline, and store the multipliers."""

    @abstractmethod
    def back(self, signal: Tensor) -> Tensor:
        """Multiply a signal by the multipliers."""

    def returned(self, y: Tensor) -> Any:
        """Return the value of the call, given its output."""
        return y


class _Rescale(torch.autograd.Function):
    """An operator whose backward pass follows the rescale rule."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, call: _Call, in_place: bool) -> Tensor:
        ctx.call = call
        y = call.run(x if in_place or not call.in_place else x.clone())
        if in_place:
            ctx.mark_dirty(x)
        return y

    @staticmethod
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.call.back(signal), None, None


_REACHED = f"{_Rescale.__name__}Backward"  # name of its node in a graph


def _missed(node: Any) -> str | None:
    """Return the name of a node's operator if its derivative depends on the photo."""
    name = node.name()
    return "max_pool" if "MaxPool" in name else nonlinearity(node)


class _Elementwise(_Call):
    """An elementwise function."""

    def __init__(self, func: Any, found: Elementwise) -> None:
        super().__init__(func, found.x, found.in_place)
        self._found = found

    def run(self, x: Tensor) -> Tensor:
        return self._found.apply(x)

    def compare(self, b: Tensor) -> None:
        difference = self.x - b
        outputs = [self._found.of(each) for each in (self.x, b)]
        multiplier = (outputs[0] - outputs[1]).div_(difference)
        # The difference of rounded outputs is useless if the inputs are near.
        near = difference.abs_() <= self._found.near(b.dtype)
        if near.any():
            multiplier = torch.where(near, self._derivative((self.x + b) / 2), multiplier)
        self._multiplier = multiplier

    def _derivative(self, z: Tensor) -> Tensor:
        with torch.enable_grad():
            z = z.requires_grad_()
            (derivative,) = torch.autograd.grad(self._found.of(z).sum(), z)
        return derivative

    def back(self, signal: Tensor) -> Tensor:
        return signal * self._multiplier


class _MaxPool(_Call):
    """Max-pooling: the output's difference goes to the maximum of the side, photo or baseline, that is larger."""

    overwritable = False

    def __init__(
        self, func: Any, x: Tensor, pool: Callable[..., Any], back: Callable[..., Tensor], with_indices: bool
    ) -> None:
        super().__init__(func, x)
        self._pool, self._unpool, self._with_indices = pool, back, with_indices

    def run(self, x: Tensor) -> Tensor:
        y: Tensor
        y, self._indices = self._pool(x)
        self._y = y.detach().clone()  # a later operator may overwrite the output
        return y

    def returned(self, y: Tensor) -> Any:
        return (y, self._indices) if self._with_indices else y

    def compare(self, b: Tensor) -> None:
        y, indices = self._pool(b)
        self._chosen = torch.where(self._y >= y, self._indices, indices)
        flat = self._chosen.flatten(-2)
        difference = (self.x - b).flatten(-2).gather(-1, flat).view(y.shape)
        self._multiplier = torch.where(difference == 0, 1, (self._y - y) / difference)

    def back(self, signal: Tensor) -> Tensor:
        back: Tensor = self._unpool(signal * self._multiplier, self.x, self._chosen)
        return back


class _LogSumExp(_Call):
    """The logarithm of a sum of exponentials: the rule for the exponentials, then for the logarithm."""

    def __init__(self, func: Any, x: Tensor, dim: Any, keepdim: bool) -> None:
        super().__init__(func, x)
        self._dim, self._keepdim = dim, keepdim

    def run(self, x: Tensor) -> Tensor:
        total: Tensor = torch.logsumexp(x, self._dim, self._keepdim)
        return total

    def compare(self, b: Tensor) -> None:
        most = torch.maximum(self.x, b)
        shift = most.amax(self._dim, keepdim=True)
        gap = (self.x - b).abs()
        exps = (most - shift).exp() * torch.where(gap == 0, 1, -torch.expm1(-gap) / gap)
        sums = [(each - shift).exp().sum(self._dim, keepdim=True) for each in (self.x, b)]
        logs = [torch.logsumexp(each, self._dim, keepdim=True) for each in (self.x, b)]
        most = torch.maximum(*sums)
        share = (sums[0] - sums[1]).abs() / most
        log = torch.where(share < 0.5, -torch.log1p(-share), (logs[0] - logs[1]).abs())  # either is exact there
        self._multiplier = exps * torch.where(share == 0, 1, log / share) / most

    def back(self, signal: Tensor) -> Tensor:
        whole = signal if self._keepdim else signal.view([1 if n in self._dims else size for n, size in self._sizes])
        return whole * self._multiplier

    @property
    def _dims(self) -> set[int]:
        dims = self._dim if isinstance(self._dim, tuple | list) else (self._dim,)
        return {each % self.x.ndim for each in dims}

    @property
    def _sizes(self) -> Iterator[tuple[int, int]]:
        return enumerate(self.x.shape)


def _parsed(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call | None:
    """Return a call that the rule covers; None for all others."""
    if found := elementwise(func, args, kwargs):
        return _Elementwise(func, found)
    parse = _PARSERS.get(func) if torch.is_grad_enabled() else None
    if parse is None:
        return None
    x, args, kwargs = first_argument(args, kwargs)
    return parse(func, x, args, kwargs) if x.requires_grad else None


Parser = Callable[[Any, Tensor, tuple[Any, ...], dict[str, Any]], _Call | None]


def _max_pool(func: Any, x: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
    def windows(
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> tuple[list[Any], bool]:
        stride = kernel_size if stride is None or stride == [] else stride
        return [*map(_pair, (kernel_size, stride, padding, dilation)), ceil_mode], return_indices

    window, with_indices = windows(*args, **kwargs)
    aten = torch.ops.aten
    return _MaxPool(
        func,
        x,
        lambda z: aten.max_pool2d_with_indices(z, *window),
        lambda signal, z, indices: aten.max_pool2d_with_indices_backward(signal, z, *window, indices),
        with_indices or func in _WITH_INDICES,
    )


def _adaptive_max_pool(func: Any, x: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
    def output(output_size: Any, return_indices: bool = False) -> tuple[list[int], bool]:
        size = [each or side for each, side in zip(_pair(output_size), x.shape[-2:], strict=True)]
        return size, return_indices

    size, with_indices = output(*args, **kwargs)
    aten = torch.ops.aten
    return _MaxPool(
        func,
        x,
        lambda z: aten.adaptive_max_pool2d(z, size),
        aten.adaptive_max_pool2d_backward,
        with_indices or func in _WITH_INDICES,
    )


def _log_sum_exp(func: Any, x: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
    def summed(dim: Any, keepdim: bool = False) -> _Call:
        return _LogSumExp(func, x, dim, keepdim)

    return summed(*args, **kwargs)


def _pair(value: Any) -> list[Any]:
    """Return a value for both directions."""
    values = list(value) if isinstance(value, tuple | list) else [value]
    return values * 2 if len(values) == 1 else values


def _parsers() -> Iterator[tuple[Any, Parser]]:
    """Yield every other PyTorch callable that the rule covers, with the function that parses its calls."""
    for name in ("max_pool2d", "max_pool2d_with_indices"):
        yield from ((func, _max_pool) for func, _ in spellings(name))
    for name in ("adaptive_max_pool2d", "adaptive_max_pool2d_with_indices"):
        yield from ((func, _adaptive_max_pool) for func, _ in spellings(name))
    yield from ((func, _log_sum_exp) for func, _ in spellings("logsumexp"))


_PARSERS: dict[Any, Parser] = dict(_parsers())
_WITH_INDICES = {
    *(func for name in ("max_pool2d", "adaptive_max_pool2d") for func, _ in spellings(f"{name}_with_indices")),
    torch._C._nn.adaptive_max_pool2d,
    torch.ops.aten.adaptive_max_pool2d,
    torch.ops.aten.adaptive_max_pool2d.default,
}
