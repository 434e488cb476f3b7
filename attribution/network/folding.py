"""Fold batch norm into the convolutions before it: the same function with fewer operators.

Between the two stands no rectifier, so the gradient and every rectifier rule stay the same. What is folded is seen in
a forward pass, since networks such as timm's cannot be traced.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_weights, parametrize

CLOSE = 1e-4  # greatest difference of logits, relative to the largest, that is rounding


@dataclass
class _Use:
    """A module as a forward pass used it: how often, and what went in and came out."""

    calls: int = 0
    version: int = -1  # of the tensor; an operator in place counts it up
    seen: Tensor | None = field(default=None, repr=False)


def fold(net: nn.Module, run: Callable[[nn.Module], Tensor]) -> nn.Module:
    """Derive a network without the batch norms that follow a convolution.

    Args:
        net: In evaluation mode. It is left as it is; what is not folded is shared with the result.
        run: Sends fixed images through a network and gives its logits.

    Returns:
        The derived network, or `net` itself if nothing can be folded or the logits would not stay equal.
    """
    before = run(net)
    pairs = _pairs(net, run)
    if not pairs:
        return net
    shared = {id(each): each for each in (*net.parameters(), *net.buffers())}  # only what is folded is new
    folded = copy.deepcopy(net, shared)
    for name, norm_name in pairs.items():
        convolution, norm = folded.get_submodule(name), folded.get_submodule(norm_name)
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        convolution.weight, convolution.bias = fuse_conv_bn_weights(
            *(convolution.weight, convolution.bias, norm.running_mean, norm.running_var),
            *(norm.eps, norm.weight, norm.bias),
        )
        convolution.requires_grad_(False)
        parent, _, last = norm_name.rpartition(".")
        setattr(folded.get_submodule(parent), last, _rest(norm))
    after = run(folded)
    return folded if (after - before).abs().max() <= CLOSE * before.abs().max() else net


def _rest(norm: nn.BatchNorm2d) -> nn.Module:
    """What a batch norm does beside normalising: timm's carry their activation."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    return nn.Sequential(norm.get_submodule("drop"), norm.get_submodule("act"))


def _foldable(norm: nn.Module) -> bool:
    if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None:
        return False
    return type(norm) is nn.BatchNorm2d or (hasattr(norm, "drop") and hasattr(norm, "act"))


def _pairs(net: nn.Module, run: Callable[[nn.Module], Tensor]) -> dict[str, str]:
    """Name of a convolution to that of the batch norm that takes just what it gives, each used once."""
    gives: dict[nn.Module, _Use] = {}
    takes: dict[nn.Module, _Use] = {}

    def after_convolution(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        use = gives.setdefault(module, _Use())
        use.calls, use.seen, use.version = use.calls + 1, output, output._version

    def before_norm(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        use = takes.setdefault(module, _Use())
        use.calls, use.seen, use.version = use.calls + 1, inputs[0], inputs[0]._version

    handles = []
    for module in net.modules():
        # A weight that is computed anew at every call cannot be replaced.
        computed = parametrize.is_parametrized(module) or bool(module._forward_pre_hooks)
        if isinstance(module, nn.Conv2d) and not computed:
            handles.append(module.register_forward_hook(after_convolution))
        elif _foldable(module):
            handles.append(module.register_forward_pre_hook(before_norm))
    try:
        run(net)
    finally:
        for handle in handles:
            handle.remove()
    names = {module: name for name, module in net.named_modules()}
    once = {(id(use.seen), use.version): module for module, use in gives.items() if use.calls == 1}
    return {
        names[once[id(use.seen), use.version]]: names[norm]
        for norm, use in takes.items()
        if use.calls == 1 and (id(use.seen), use.version) in once
    }
