"""Batch norm and instance norm as sums and products, since PyTorch's own backward pass can be wrong.

On the CPU, PyTorch 2.15's is wrong for a batch norm in evaluation of a single image if either its input or its signal,
but not both, has the strides of transposed tokens, as after `x.flatten(2).transpose(1, 2)`; and for an instance norm of
a single image whose signal has its channels last. `tests/test_operators.py` searches for such faults. Sums and products
have no such kernels; an affine map is also faster, and saves no feature maps for the backward pass.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class PlainNorms(TorchFunctionMode):
    """A context in which batch norms with running statistics and instance norms are sums and products."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replace such a norm; forward all other calls."""
        kwargs = kwargs or {}
        normalised = _NORMS[func](*args, **kwargs) if func in _NORMS else None
        return func(*args, **kwargs) if normalised is None else normalised


# One function per signature, with the operator's own parameter names; returns None if the statistics are those of the
# batch.


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
    if use_input_stats or running_mean is None:
        return _standardised(input, weight, bias, eps)
    return _affine(input, weight, bias, running_mean, running_var, eps)


def _instance_operator(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor | None:
    return _functional_instance(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


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
    return (input * _per_channel(scale, input)).add_(_per_channel(shift, input))


def _standardised(input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Subtract each channel's mean and divide by its deviation, both over the image."""
    variance, mean = torch.var_mean(input, tuple(range(2, input.ndim)), correction=0, keepdim=True)
    result: Tensor = (input - mean) * torch.rsqrt(variance + eps)
    result = result if weight is None else result * _per_channel(weight, input)
    return result if bias is None else result + _per_channel(bias, input)


def _per_channel(values: Tensor, input: Tensor) -> Tensor:
    return values.view(-1, *[1] * (input.ndim - 2)).to(input.dtype)


_NORMS: dict[Any, Callable[..., Tensor | None]] = {
    F.batch_norm: _functional,
    F.instance_norm: _functional_instance,
    torch.batch_norm: _operator,
    torch.instance_norm: _instance_operator,
    torch.ops.aten.instance_norm: _instance_operator,
    torch.ops.aten.instance_norm.default: _instance_operator,
    torch.ops.aten.batch_norm: _operator,
    torch.ops.aten.batch_norm.default: _operator,
}
