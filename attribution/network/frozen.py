"""A frozen private copy of a caller's network; the caller's is left as it was found."""

import copy
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from attribution.refusal import Refusal

_HOOKS = frozenset(name for name in vars(nn.Module()) if name.startswith(("_forward_", "_backward_")))


def freeze(net: nn.Module) -> nn.Module:
    """Switch a network to evaluation, and the gradients of its parameters off."""
    return net.eval().requires_grad_(False)


def frozen_copy(net: nn.Module, shared: Iterable[torch.Tensor] = ()) -> nn.Module:
    """Copy a network and freeze the copy.

    Hooks are left out, except those of torch.nn.utils that compute a weight (weight norm, spectral norm, pruning).
    What torch.compile wrapped is unwrapped, since its operators are hidden.

    Args:
        net: Any network.
        shared: Its tensors that the copy is to hold itself, not copies of them.

    Raises:
        Refusal: If it is no network, is TorchScript, or cannot be copied.
    """
    if not isinstance(net, nn.Module):
        raise Refusal(f"The network must be a torch.nn.Module, got {type(net).__name__}; wrap it in one.")
    if any(isinstance(module, torch.jit.ScriptModule) for module in net.modules()):
        raise Refusal("A TorchScript network hides its operators; give the original torch.nn.Module.")
    try:
        twin = copy.deepcopy(net, _replacements(net) | {id(each): each for each in shared})
    except Exception as error:
        reason = str(error).split(". ")[0]
        raise Refusal(
            f"The network cannot be copied ({type(error).__name__}: {reason}); give a plain torch.nn.Module."
        ) from None
    return freeze(_unwrapped(twin))


def _replacements(net: nn.Module) -> dict[int, Any]:
    """What stands in the copy for dictionaries of hooks, and for computed weights, which cannot be copied as they are.

    A dictionary as deepcopy keeps it: what it holds already is not copied.
    """
    found: dict[int, Any] = {}
    for module in net.modules():
        for name, value in vars(module).items():
            if name in _HOOKS and isinstance(value, dict):
                kept = {key: hook for key, hook in value.items() if type(hook).__module__.startswith("torch.nn.utils.")}
                found[id(value)] = OrderedDict((key, copy.deepcopy(hook)) for key, hook in kept.items())
            elif isinstance(value, torch.Tensor) and not value.is_leaf:
                found[id(value)] = value.detach().clone()
    return found


def _unwrapped(net: nn.Module) -> nn.Module:
    net = getattr(net, "_orig_mod", net)
    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if hasattr(child, "_orig_mod"):
                setattr(parent, name, child._orig_mod)
    return net
