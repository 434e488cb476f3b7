"""Folding of batch norms into the preceding convolutions: the same function with fewer operators.

There is no rectifier between the two, so gradients and rectifier rules are unaffected. Pairs are found in a forward
pass, since some networks, such as timm's, cannot be traced.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_weights, parametrize

from attribution.network.admission import same_logits
from attribution.network.frozen import frozen_copy, held_tensors

Run = Callable[[nn.Module], Tensor]


@dataclass
class _Use:
    """The use of a module in a forward pass: the number of calls, and the last input or output."""

    calls: int = 0
    version: int = -1  # of the tensor; an in-place operator increments it
    tensor: Tensor | None = field(default=None, repr=False)

    def count(self, tensor: Tensor) -> None:
        self.calls, self.tensor, self.version = self.calls + 1, tensor, tensor._version


class Folded(nn.Identity):
    """A batch norm that is folded into the module before it, whose output is thus this one's."""


def fold(net: nn.Module, run: Run, logits: Tensor) -> nn.Module:
    """Return a copy of a network in which batch norms are folded into the preceding convolutions.

    Args:
        net: Network in evaluation mode; not changed. Tensors that are not folded are shared with the result.
        run: Runs a network on fixed images and returns its logits.
        logits: The logits of those images, (N, K).

    Returns:
        The folded network, or `net` itself if nothing can be folded, folding fails, or the logits change.
    """
    try:
        with torch.no_grad():
            return _folded(net, run, logits)
    except Exception:
        logging.getLogger(__name__).info("batch norm of %s is not folded", type(net).__name__, exc_info=True)
        return net


def _folded(net: nn.Module, run: Run, logits: Tensor) -> nn.Module:
    if not any(map(_foldable, net.modules())) or not (pairs := _pairs(net, run)):
        return net
    folded = frozen_copy(net, shared=held_tensors(net))
    for name, norm_name in pairs.items():
        convolution, norm = folded.get_submodule(name), folded.get_submodule(norm_name)
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        convolution.weight, convolution.bias = fuse_conv_bn_weights(
            convolution.weight,
            convolution.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
        )
        convolution.requires_grad_(False)
        parent, _, last = norm_name.rpartition(".")
        setattr(folded.get_submodule(parent), last, _rest(norm))
    return folded if same_logits(run(folded), logits) else net


def _rest(norm: nn.BatchNorm2d) -> nn.Module:
    """Return the remaining operations of a batch norm; timm's include an activation."""
    if type(norm) is nn.BatchNorm2d:
        return Folded()
    return nn.Sequential(norm.get_submodule("drop"), norm.get_submodule("act"))


def _foldable(norm: nn.Module) -> bool:
    """True if a module is a batch norm with running statistics, torch's own or timm's with an activation."""
    if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None:
        return False
    return type(norm) is nn.BatchNorm2d or (hasattr(norm, "drop") and hasattr(norm, "act"))


def _pairs(net: nn.Module, run: Run) -> dict[str, str]:
    """Map each convolution's name to that of the batch norm that directly follows it; both must be called once."""
    outputs: dict[nn.Module, _Use] = {}
    inputs: dict[nn.Module, _Use] = {}

    def after_convolution(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        outputs.setdefault(module, _Use()).count(output)

    def before_norm(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        inputs.setdefault(module, _Use()).count(args[0])

    handles = []
    for module in net.modules():
        # A weight that is recomputed in every call cannot be replaced, nor a hook be left between the two.
        if parametrize.is_parametrized(module) or module._forward_pre_hooks or module._forward_hooks:
            continue
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(after_convolution))
        elif _foldable(module):
            handles.append(module.register_forward_pre_hook(before_norm))
    try:
        run(net)
    finally:
        for handle in handles:
            handle.remove()
    names = {module: name for name, module in net.named_modules()}
    once = {(id(use.tensor), use.version): module for module, use in outputs.items() if use.calls == 1}
    return {
        names[once[id(use.tensor), use.version]]: names[norm]
        for norm, use in inputs.items()
        if use.calls == 1 and (id(use.tensor), use.version) in once
    }
