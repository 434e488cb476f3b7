"""Layers whose outputs are feature maps, found in a forward pass.

A layer of the trunk is preferred (see `dominators`), since everything passes it; its cells must follow the image's
raster (see `raster`).
"""

import difflib
import math
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from attribution.network.dominators import dominators, leading_to, ordered
from attribution.network.folding import Folded
from attribution.network.layer import Layer, readings
from attribution.network.nonlinear import nonlinearity
from attribution.network.raster import ALIGNED, ALIGNED_LAST, alignment, boxes, change, changed, may_reorder
from attribution.refusal import Refusal

MOST_LISTED = 8  # layers in the sentence of a refusal
LONGEST_NAME = 80  # letters of a name that a refusal repeats

_gathering: ContextVar["_Gathering | None"] = ContextVar("gathering", default=None)


@dataclass(frozen=True, eq=False)
class Output:
    """The output of a module, and its version: how often it had been overwritten by then."""

    tensor: Tensor
    version: int


@dataclass(frozen=True)
class _Gathering:
    """The outputs gathered so far in a forward pass, by module name, and the options of `outputs`."""

    found: dict[str, Output]
    kept: str | None
    only: Container[str] | None


def watch(net: nn.Module) -> None:
    """Hook the modules of a network, so that `outputs` can gather their outputs."""
    for name, module in net.named_modules():
        if name:
            module.register_forward_hook(partial(_record, name))


@contextmanager
def outputs(kept: str | None = None, only: Container[str] | None = None) -> Iterator[dict[str, Output]]:
    """Gather the outputs of a forward pass in this thread, by module name, in call order.

    Args:
        kept: Name of a module whose output no later operator may overwrite. Default: none.
        only: Names of the modules. Default: all.
    """
    gathering = _Gathering({}, kept, only)
    token = _gathering.set(gathering)
    try:
        yield gathering.found
    finally:
        _gathering.reset(token)


def _record(name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Tensor | None:
    gathering = _gathering.get()
    if gathering is None or not isinstance(output, Tensor):
        return None
    if gathering.only is not None and name not in gathering.only:
        return None
    gathering.found.pop(name, None)  # the last of several calls counts
    gathering.found[name] = Output(output, output._version)
    return output.clone() if name == gathering.kept else None  # a later operator in place changes the clone


class LayerSearch:
    """A search for layers in the forward pass of an image."""

    def __init__(self, net: nn.Module, x: Tensor, run: Callable[[Tensor], Tensor]) -> None:
        """Run an image through a network.

        Args:
            net: The network, whose modules are hooked.
            x: (N, 3, H, W), an image as often as the network needs it, pixels in [0, 1].
            run: Sends images through the network and returns the logits.
        """
        x = x.detach().requires_grad_()
        with torch.enable_grad(), outputs() as found:
            logits = run(x)
            signal = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0)).to(logits)
            self._score = (logits * signal).sum()
        self._x, self._run, self._logits, self._found = x, run, logits, found
        self._modules = dict(net.named_modules())
        self._size = (x.shape[2], x.shape[3])
        self._read: dict[str, list[Layer]] = {}
        self._changes: dict[Layer, Tensor] = {}  # of the cells, (BOXES, h, w)
        self._order = ordered(logits.grad_fn)
        self._trunk = dominators(self._order, x)

    def stages(self) -> tuple[Layer, ...]:
        """Return the last layer of each resolution, the coarsest first.

        They are on the trunk. Beyond its coarsest resolution, where branches run side by side, the last of the
        outermost modules are used.
        """
        on_trunk = [name for name in self._candidates if self._is_on_trunk(name) and not self._is_bypassed(name)]
        found = self._last_of_each(on_trunk)
        depth = max((_depth(layer.name) for layer in found), default=math.inf)
        least = min((layer.height * layer.width for layer in found), default=math.inf)
        outer = [name for name in self._candidates if _depth(name) <= depth]
        others = self._last_of_each(sorted(outer, key=_depth, reverse=True))
        return (*(layer for layer in others if layer.height * layer.width < least), *found)

    def named(self, name: str) -> Layer:
        """Return a layer by the name of its module.

        Raises:
            Refusal: If there is no such module, or its output is not a stack of feature maps; names others.
        """
        if name in self._found:
            self._trace([name])
            if layer := self._layer(name):
                return layer
        near = [each for each in difflib.get_close_matches(name, self._candidates, 3) if each != name]
        others = [*map(str, self.stages()), *near][:MOST_LISTED]
        choice = f"choose one of {', '.join(others)}." if others else "choose another method."
        shown = repr(name[:LONGEST_NAME])
        if name in self._modules:
            raise Refusal(f"The output of the layer {shown} is not a stack of feature maps; {choice}")
        raise Refusal(f"The network has no layer {shown}; {choice}")

    @cached_property
    def _reordered(self) -> set[Any]:
        return leading_to(self._order, may_reorder)

    @cached_property
    def _candidates(self) -> list[str]:
        """Names of the modules whose outputs may be features of several places, in call order.

        Those that are linear in the pixels, such as an embedding of patches, are left out if there are others.
        """
        found: dict[int, str] = {}  # by tensor
        for name, output in self._found.items():
            if not self._readings(name) or "Pool" in output.tensor.grad_fn.name():  # type: ignore[union-attr]
                continue
            inner = found.get(id(output.tensor))
            renamed = isinstance(self._modules[name], Folded) or (inner and inner.startswith(f"{name}."))
            if inner is None or renamed or output.version > self._found[inner].version:
                found[id(output.tensor)] = name
        bent, named = leading_to(self._order, nonlinearity), set(found.values())
        names = [name for name in self._found if name in named]
        return [name for name in names if self._found[name].tensor.grad_fn in bent] or names

    def _readings(self, name: str) -> list[Layer]:
        if name not in self._read:
            tensor = self._found[name].tensor
            fits = tensor.grad_fn in self._places and len(tensor) == len(self._x)
            self._read[name] = list(readings(name, tuple(tensor.shape), self._size)) if fits else []
        return self._read[name]

    @cached_property
    def _places(self) -> set[Any]:
        return set(self._order)

    def _is_on_trunk(self, name: str) -> bool:
        """True if everything passes a module's output, or it is a norm that only reads such an output.

        If the logits read a class token, the tokens of the image reach it through the norm before the last attention.
        """
        node: Any = self._found[name].tensor.grad_fn
        return node in self._trunk or ("LayerNorm" in node.name() and node.next_functions[0][0] in self._trunk)

    def _last_of_each(self, names: list[str]) -> list[Layer]:
        """Return the last layer of each resolution among the candidates, the coarsest first."""
        self._trace(names)
        chosen: dict[tuple[int, int], Layer] = {}
        for name in reversed(names):
            grids = {(each.height, each.width) for each in self._readings(name)}
            layer = None if grids <= chosen.keys() else self._layer(name)
            if layer and not self._is_class_map(layer):
                chosen.setdefault((layer.height, layer.width), layer)
        return [layer for _, layer in sorted(chosen.items())]

    def _layer(self, name: str) -> Layer | None:
        """Return the layer of a module if its cells follow the image's raster and affect the logits."""
        found, tensor = self._readings(name), self._found[name].tensor
        gradient = self._gradient(tensor) if found else None
        if gradient is None or not gradient.any():
            return None
        plain = next((each for each in found if not each.channels_last), None)
        layer = self._in_raster(found) if tensor.grad_fn in self._reordered else plain
        return layer if layer and layer.maps(gradient).any() else None  # often the last tokens of the image do not

    def _in_raster(self, found: list[Layer]) -> Layer | None:
        """Return the reading of an output whose cells follow the image's raster best; None if none does."""
        fits = [(alignment(self._changes[each]), each) for each in found if each in self._changes]
        clear = [
            (aligned, each)
            for aligned, each in fits
            if aligned >= (ALIGNED_LAST if each.channels_last or each.tokens_last else ALIGNED)
        ]
        return max(clear, key=lambda pair: pair[0], default=(0.0, None))[1]

    def _trace(self, names: Iterable[str]) -> None:
        """Measure how the cells of some modules' outputs change when boxes of the image are changed.

        All are measured in the same passes; other outputs are not gathered, since they take much memory.
        """
        found = {name: self._readings(name) for name in names if self._found[name].tensor.grad_fn in self._reordered}
        layers = [layer for each in found.values() for layer in each if layer not in self._changes]
        if not layers:
            return
        parts: dict[Layer, list[Tensor]] = {layer: [] for layer in layers}
        for box in boxes():
            with torch.no_grad(), outputs(only=found.keys()) as gathered:
                self._run(torch.stack([self._x[0], changed(self._x[0], box)]))
            for layer in layers:
                if layer.name in gathered:
                    parts[layer].append(change(layer, gathered[layer.name].tensor))
        self._changes |= {layer: torch.cat(each) for layer, each in parts.items() if len(each) == len(boxes())}

    def _gradient(self, tensor: Tensor) -> Tensor | None:
        return torch.autograd.grad(self._score, tensor, retain_graph=True, allow_unused=True)[0]

    def _is_class_map(self, layer: Layer) -> bool:
        """True if each channel affects the logit of its own class only."""
        if layer.channels != self._logits.shape[1]:
            return False
        (gradient,) = torch.autograd.grad(self._logits[:, 0].sum(), self._found[layer.name].tensor, retain_graph=True)
        return not layer.maps(gradient)[:, 1:].any()

    def _is_bypassed(self, name: str) -> bool:
        """True if a module is inside a block with a coarser output: the block before it ends the stage."""
        cells = min(each.height * each.width for each in self._readings(name))
        outer = [name[:end] for end, letter in enumerate(name) if letter == "."]
        blocks = [each for each in outer if each in self._found and not isinstance(self._modules[each], nn.Sequential)]
        return any(
            cells > max((each.height * each.width for each in self._readings(block)), default=cells) for block in blocks
        )


def _depth(name: str) -> int:
    return name.count(".")
