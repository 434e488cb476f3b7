"""Frozen private copies of networks; the caller's network is not changed, and its later changes do not reach them."""

import collections
import contextlib
import copy
import functools
import gc
import hashlib
import types
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from attribution.refusal import Refusal

_BACKWARD = frozenset(name for name in vars(nn.Module()) if name.startswith("_backward_"))


def held(root: Any) -> Iterator[Any]:
    """Yield every object that a network holds, once: modules, tensors, attributes, and what its functions enclose.

    Classes, imported modules, the globals of functions, and objects with a way of their own to be copied are not held.
    """
    known, waiting = set[int](), [root]
    while waiting:
        each: Any = waiting.pop()
        if id(each) not in known:
            known.add(id(each))
            yield each
            waiting += _parts(each)


def _parts(value: Any) -> Iterable[Any]:
    match value:
        case type() | types.ModuleType() | Tensor():
            return ()
        case types.FunctionType():
            return _enclosed(value)
        case dict():
            return [*value, *value.values()]
        case list() | tuple() | set() | frozenset() | collections.deque():
            return value
        case types.SimpleNamespace():
            return vars(value).values()
        case functools.partial():
            return value.func, value.args, value.keywords
        case types.MethodType():
            return value.__self__, value.__func__
    return gc.get_referents(value) if isinstance(value, nn.Module) or _copied_by_attribute(type(value)) else ()


def _copied_by_attribute(kind: type) -> bool:
    """True if copy.deepcopy copies the attributes of values of a type; loggers and locks have a way of their own."""
    own = vars(object)
    return (kind.__reduce__, kind.__reduce_ex__) == (own["__reduce__"], own["__reduce_ex__"]) and not hasattr(
        kind, "__deepcopy__"
    )


def held_tensors(net: nn.Module) -> list[Tensor]:
    """Return the tensors that a network holds: its parameters and buffers in their order, then all others."""
    named = {id(each): each for each in (*net.parameters(), *net.buffers())}
    return [*named.values(), *(each for each in held(net) if isinstance(each, Tensor) and id(each) not in named)]


def digest_of(net: nn.Module, tensors: Iterable[Tensor] | None = None) -> str:
    """Return the SHA-256 of a network's weights: the names, shapes and values of its tensors.

    Args:
        net: The network.
        tensors: Its tensors. Default: all that it holds.
    """
    digest = hashlib.sha256()
    named = {id(each): name for name, each in (*net.named_parameters(), *net.named_buffers())}
    for tensor in held_tensors(net) if tensors is None else tensors:
        name = named.get(id(tensor), "")
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def freeze(net: nn.Module) -> nn.Module:
    """Put all modules that a network holds into evaluation mode, and disable the gradients of its tensors."""
    net.eval()
    for each in held(net):
        if isinstance(each, nn.Module) and each.training:  # not registered, as in a list
            each.eval()
        elif isinstance(each, Tensor) and each.is_leaf:
            each.requires_grad_(False)
    return net


def frozen_copy(net: nn.Module, shared: Iterable[Tensor] = ()) -> nn.Module:
    """Copy a network, with what its functions enclose, and freeze the copy.

    Forward hooks are copied, since they are part of the function; backward hooks are not, since the gradient is the
    derivative of that function. Modules wrapped by torch.compile are unwrapped.

    Args:
        net: Any network.
        shared: Tensors of the network that the copy shares with it.

    Raises:
        Refusal: If it is not a module, is TorchScript, or cannot be copied.
    """
    if not isinstance(net, nn.Module):
        raise Refusal(f"The network must be a torch.nn.Module, got {type(net).__name__}; wrap it in one.")
    parts = list(held(net))
    modules = [each for each in parts if isinstance(each, nn.Module)]
    if any(isinstance(module, torch.jit.ScriptModule) for module in modules):
        raise Refusal("A TorchScript network hides its operators; pass the original torch.nn.Module.")
    if any("_orig_mod" in module._modules and any(_forward_hooks(module)) for module in modules):
        raise Refusal("A module wrapped by torch.compile has forward hooks; register them on the module inside it.")
    if any(
        hasattr(type(module), "__deepcopy__") and (any(_forward_hooks(module)) or "forward" in vars(module))
        for module in modules
    ):
        raise Refusal(
            "A module that copies itself, such as a GraphModule, has forward hooks, which its copy would lose; "
            "register them on a module around it."
        )
    shared = list(shared)
    try:
        memo: dict[int, Any] = {id(each): each for each in shared}
        memo |= _replacements(parts)
        functions = [each for each in parts if isinstance(each, types.FunctionType) and _enclosed(each)]
        memo |= {id(each): _hollow(each) for each in functions}
        methods = [each for each in parts if isinstance(each, types.MethodType) and id(each.__func__) in memo]
        memo |= {id(each): functools.partial(memo[id(each.__func__)]) for each in methods}  # deepcopy keeps __func__
        twin = copy.deepcopy(net, memo)
        for method in methods:
            owner = copy.deepcopy(method.__self__, memo)
            memo[id(method)].__setstate__((memo[id(method.__func__)], (owner,), {}, None))
        for each in functions:
            _fill(memo[id(each)], each, memo)
    except Exception as error:
        reason = str(error).split(". ")[0]
        raise Refusal(
            f"The network cannot be copied ({type(error).__name__}: {reason}); pass a plain torch.nn.Module."
        ) from error
    mine = {id(each) for each in held(twin) if isinstance(each, nn.Module | Tensor)}
    kept = {id(each) for each in parts} - {id(each) for each in shared}
    if mine & kept:
        raise Refusal("The network cannot be copied: its copy shares modules with it; pass a plain torch.nn.Module.")
    return freeze(_unwrapped(twin))


def drop_observers(net: nn.Module, run: Callable[[nn.Module], Tensor]) -> None:
    """Remove the forward hooks without which the network returns the same logits, such as those that keep features.

    Args:
        net: A frozen copy; changed.
        run: Runs a network on fixed images and returns its logits.
    """
    hooks = [(each, key) for module in net.modules() for each in _forward_hooks(module) for key in each]
    if not hooks:
        return
    logits = run(net)
    for registered, key in hooks:
        hook = registered.pop(key)
        try:
            needed = not torch.equal(run(net), logits)
        except Exception:  # another hook relies on this one
            needed = True
        if needed:
            registered[key] = hook


def _replacements(parts: Iterable[Any]) -> dict[int, Any]:
    """Return substitutes for backward hooks and for computed weights, which deepcopy cannot copy.

    Returns:
        The `memo` of deepcopy, which maps the id of an object to its copy.
    """
    found: dict[int, Any] = {}
    for each in parts:
        if isinstance(each, Tensor) and not each.is_leaf:
            found[id(each)] = each.detach().clone()
        elif isinstance(each, nn.Module):
            hooks = {id(value) for name, value in vars(each).items() if name in _BACKWARD and isinstance(value, dict)}
            found |= {hook: OrderedDict() for hook in hooks}
    return found


def _forward_hooks(module: nn.Module) -> Iterator[dict[int, Any]]:
    """Yield the dictionaries of a module's forward hooks."""
    yield module._forward_pre_hooks
    yield module._forward_hooks


def _enclosed(function: types.FunctionType) -> list[Any]:
    """Return the values that a function encloses: in its closure, its defaults and its attributes."""
    values = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values(), *vars(function).values()]
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # an empty cell
            values.append(cell.cell_contents)
    return values


def _hollow(function: types.FunctionType) -> types.FunctionType:
    """Return a copy of a function that encloses nothing yet."""
    cells = tuple(types.CellType() for _ in function.__closure__ or ())
    return types.FunctionType(function.__code__, function.__globals__, function.__name__, None, cells)


def _fill(twin: types.FunctionType, function: types.FunctionType, memo: dict[int, Any]) -> None:
    """Copy the values that a function encloses into its hollow copy."""
    twin.__defaults__ = _copied(function.__defaults__, memo)
    twin.__kwdefaults__ = _copied(function.__kwdefaults__, memo)
    vars(twin).update({name: _copied(value, memo) for name, value in vars(function).items()})
    for mine, theirs in zip(twin.__closure__ or (), function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):
            mine.cell_contents = _copied(theirs.cell_contents, memo)


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    """Copy a value; one that cannot be copied, such as a lock, is shared unless it holds tensors."""
    try:
        return copy.deepcopy(value, memo)
    except Exception:
        if any(isinstance(each, Tensor) for each in held(value)):
            raise
        return value


def _unwrapped(net: nn.Module) -> nn.Module:
    """Replace every module wrapped by torch.compile with the original."""
    net = net._modules.get("_orig_mod") or net
    for parent in [each for each in held(net) if isinstance(each, nn.Module)]:
        for name, child in parent.named_children():
            if original := child._modules.get("_orig_mod"):
                setattr(parent, name, original)
    return net
