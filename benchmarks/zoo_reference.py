"""The three rectifier rules again, below PyTorch's functions, for any network on the CPU.

For the duration of a run, the dispatcher's own rectifiers are replaced for every tensor that autograd follows, whatever
function, method or module calls them. Nothing is shared with the engine, which intercepts functions above the
dispatcher and folds batch norms. Batch norm is an explicit affine map here: PyTorch 2.15 can return a wrong gradient of
its own operator in evaluation for a single image.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

RULES = ("gradient", "guided", "zeiler_fergus")


class _Rectifier(torch.autograd.Function):
    """The rectifier min(max(x, 0), high), which sends a signal back by the present rule."""

    rule = RULES[0]
    calls = 0

    @staticmethod
    def forward(ctx: Any, x: Tensor, high: float) -> Tensor:
        _Rectifier.calls += 1
        ctx.save_for_backward((x > 0) & (x < high))
        return torch.where(x > 0, torch.where(x < high, x, high), 0.0)

    @staticmethod
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor, None]:
        (active,) = ctx.saved_tensors
        positive = torch.where(signal > 0, signal, 0.0)
        return {"gradient": signal * active, "guided": positive * active, "zeiler_fergus": positive}[
            _Rectifier.rule
        ], None


def _clamp(x: Tensor, low: Any = None, high: Any = None) -> Tensor:
    """Clamp x; from 0 upwards, that is a rectifier."""
    if x.requires_grad and low is not None and low == 0 and (high is None or high > 0):
        return _Rectifier.apply(x, math.inf if high is None else high)  # type: ignore[no-any-return]
    x = x if low is None else torch.where(x < low, low, x)
    return x if high is None else torch.where(x > high, high, x)


def _relu(x: Tensor) -> Tensor:
    return _clamp(x, 0)


def _hardtanh(x: Tensor, low: float = -1, high: float = 1) -> Tensor:
    return _clamp(x, low, high)


def _threshold(x: Tensor, threshold: float, value: float) -> Tensor:
    return _clamp(x, 0) if threshold == value == 0 else torch.where(x > threshold, x, value)


def _batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn: bool,
) -> Tensor:
    """Normalise by running statistics, or, as for standardised weights, by those of x."""
    shape = (1, -1, *[1] * (x.ndim - 2))
    if training or mean is None or variance is None:
        variance, mean = torch.var_mean(x, [0, *range(2, x.ndim)], correction=0)
    x = (x - mean.view(shape)) / (variance + eps).sqrt().view(shape)
    x = x if weight is None else x * weight.view(shape)
    return x if bias is None else x + bias.view(shape)


def _in_place(function: Any) -> Any:
    return lambda x, *args: x.copy_(function(x, *args))


_OPERATORS = {
    "relu": _relu,
    "clamp": _clamp,
    "clamp_min": _clamp,
    "hardtanh": _hardtanh,  # relu6 consists of it
    "threshold": _threshold,
}


@contextmanager
def _replaced_operators() -> Iterator[None]:
    """Replace rectifiers and batch norm in this process; not for tensors outside autograd."""
    library = torch.library.Library("aten", "IMPL", "AutogradCPU")  # type: ignore[no-untyped-call]
    try:
        for name, function in _OPERATORS.items():
            library.impl(name, function)  # type: ignore[no-untyped-call]
            library.impl(f"{name}_", _in_place(function))  # type: ignore[no-untyped-call]
        library.impl("batch_norm", _batch_norm)  # type: ignore[no-untyped-call]
        yield
    finally:
        library._destroy()  # type: ignore[no-untyped-call]


def maps(net: nn.Module, images: Tensor, index: int) -> tuple[dict[str, Tensor], Tensor, int]:
    """Compute what arrives at the pixels from one logit of every image, by each rule.

    Args:
        net: In evaluation mode, in the dtype of the images.
        images: (N, 3, H, W), of which no one's logits depend on the others.
        index: Of the logit.

    Returns:
        (N, 3, H, W) by rule, the logits (N, K), and the number of rectifier calls.
    """
    x = images.clone().requires_grad_()
    found = {}
    with _replaced_operators():
        _Rectifier.calls = 0
        logits = net(x)
        calls = _Rectifier.calls
        for rule in RULES:
            _Rectifier.rule = rule
            (found[rule],) = torch.autograd.grad(logits[:, index].sum(), x, retain_graph=True)
    return found, logits.detach(), calls
