"""Batch norm with running statistics as the affine map that it is.

PyTorch 2.15's own backward pass is wrong on the CPU for a batch of one whose input is contiguous and whose signal has
the strides of transposed tokens, as after `x.flatten(2).transpose(1, 2)`. A product and a sum have no such kernel; they
are also faster, and save nothing for the backward pass.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class AffineBatchNorm(TorchFunctionMode):
    """A context in which batch norm and instance norm with running statistics are a product and a sum."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replace a norm with running statistics; forward all other calls."""
        kwargs = kwargs or {}
        affine = _NORMS[func](*args, **kwargs) if func in _NORMS else None
        return func(*args, **kwargs) if affine is None else affine


# One function per signature, with the operator's own parameter names; returns None if the statistics are the batch's.


def _functional(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    return None if training else _affine(input, weight, bias, running_mean, running_var, eps)


def _functional_instance(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    return None if use_input_stats else _affine(input, weight, bias, running_mean, running_var, eps)


def _operator(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor | None:
    return None if training else _affine(input, weight, bias, running_mean, running_var, eps)


def _affine(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    eps: float,
) -> Tensor | None:
    if running_mean is None or running_var is None:
        return None
    scale = torch.rsqrt(running_var + eps)
    scale = scale if weight is None else scale * weight
    shift = -running_mean * scale
    shift = shift if bias is None else shift + bias
    shape = (-1, *[1] * (input.ndim - 2))
    return (input * scale.view(shape).to(input.dtype)).add_(shift.view(shape).to(input.dtype))


_NORMS: dict[Any, Callable[..., Tensor | None]] = {
    F.batch_norm: _functional,
    F.instance_norm: _functional_instance,
    torch.batch_norm: _operator,
    torch.ops.aten.batch_norm: _operator,
    torch.ops.aten.batch_norm.default: _operator,
}
