"""Frozen private copies of networks; the caller's network is not changed."""

import copy
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from attribution.refusal import Refusal

_HOOKS = frozenset(name for name in vars(nn.Module()) if name.startswith(("_forward_", "_backward_")))


def freeze(net: nn.Module) -> nn.Module:
    """Put a network into evaluation mode and disable the gradients of its parameters."""
    return net.eval().requires_grad_(False)


def frozen_copy(net: nn.Module, shared: Iterable[torch.Tensor] = ()) -> nn.Module:
    """Copy a network and freeze the copy.

    Hooks are not copied, except those of torch.nn.utils that compute a weight (weight norm, spectral norm, pruning).
    Modules wrapped by torch.compile, which hides their operators, are unwrapped.

    Args:
        net: Any network.
        shared: Tensors of the network that the copy shares with it.

    Raises:
        Refusal: If it is not a module, is TorchScript, or cannot be copied.
    """
    if not isinstance(net, nn.Module):
        raise Refusal(f"The network must be a torch.nn.Module, got {type(net).__name__}; wrap it in one.")
    if any(isinstance(module, torch.jit.ScriptModule) for module in net.modules()):
        raise Refusal("A TorchScript network hides its operators; pass the original torch.nn.Module.")
    try:
        twin = copy.deepcopy(net, _replacements(net) | {id(each): each for each in shared})
    except Exception as error:
        reason = str(error).split(". ")[0]
        raise Refusal(
            f"The network cannot be copied ({type(error).__name__}: {reason}); pass a plain torch.nn.Module."
        ) from error
    return freeze(_unwrapped(twin))


def _replacements(net: nn.Module) -> dict[int, Any]:
    """Return substitutes for dictionaries of hooks and for computed weights, which deepcopy cannot copy.

    Returns:
        The `memo` of deepcopy, which maps the id of an object to its copy.
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
    """Replace every module wrapped by torch.compile with the original."""
    net = getattr(net, "_orig_mod", net)
    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if hasattr(child, "_orig_mod"):
                setattr(parent, name, child._orig_mod)
    return net
