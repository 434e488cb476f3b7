"""Layers whose outputs are feature maps: detected in a forward pass, and read from it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from attribution.refusal import Refusal

MAX_PREFIX_TOKENS = 8  # most tokens that may precede those of the image: class tokens and registers

_outputs: ContextVar[dict[str, "Output"] | None] = ContextVar("outputs", default=None)


@dataclass(frozen=True, eq=False)
class Output:
    """The output of a module, and its version: how often it had been overwritten by then."""

    tensor: Tensor
    version: int


@dataclass(frozen=True)
class Layer:
    """A layer whose output is a stack of feature maps.

    Attributes:
        name: Name of the outermost module that returns the output.
        channels: Number of features.
        height: Height of the maps.
        width: Width of the maps.
        prefix: Number of tokens that precede those of the image if the output is (N, tokens, C); None if the output is
            (N, C, H, W).
    """

    name: str
    channels: int
    height: int
    width: int
    prefix: int | None = None

    def maps(self, output: Tensor) -> Tensor:
        """Arrange an output of this layer, or its gradient, as (N, C, H, W).

        Raises:
            Refusal: If the output consists of tokens and the image has another size than the model's.
        """
        if self.prefix is None:
            return output
        if output.shape[1] != self.prefix + self.height * self.width:
            raise Refusal(
                f"The layer {self.name} returns {output.shape[1]} tokens for this image, and their grid is unknown; "
                "use an image of the model's own size."
            )
        maps = output[:, self.prefix :].transpose(1, 2)  # (N, C, H * W)
        return maps.reshape(len(maps), self.channels, self.height, self.width)

    def __str__(self) -> str:
        tokens = "" if self.prefix is None else ", image tokens"
        return f"{self.name} ({self.channels} x {self.height} x {self.width}{tokens})"


def watch(net: nn.Module) -> None:
    """Hook the modules of a network, so that `outputs` can gather their outputs."""
    for name, module in net.named_modules():
        if name:
            module.register_forward_hook(partial(_record, name))


@contextmanager
def outputs() -> Iterator[dict[str, Output]]:
    """Gather the outputs of a forward pass in this thread, by module name, in call order."""
    found: dict[str, Output] = {}
    token = _outputs.set(found)
    try:
        yield found
    finally:
        _outputs.reset(token)


def _record(name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
    if (found := _outputs.get()) is not None and isinstance(output, Tensor):
        found.pop(name, None)  # the last of several calls counts
        found[name] = Output(output, output._version)


def stages(net: nn.Module, found: Mapping[str, Output], logits: Tensor, size: tuple[int, int]) -> tuple[Layer, ...]:
    """Return the last layer of each resolution, the coarsest first.

    Pooling layers are excluded, and so is the layer of class logits, if there are others.

    Args:
        net: The network.
        found: Its outputs in a forward pass, as gathered by `outputs`.
        logits: (N, K), the logits of that pass.
        size: (H, W) of the input.
    """
    modules = dict(net.named_modules())
    left_out = {
        id(found[name].tensor) for name, module in modules.items() if name in found and "Pool" in type(module).__name__
    }
    grid, layers = size, dict[tuple[int, int], dict[int, Layer]]()
    versions: dict[int, int] = {}  # version of each tensor when its layer was named
    for name, output in found.items():
        layer, key = _layer(name, output.tensor, grid, patches=grid != size), id(output.tensor)
        if layer and key not in left_out:
            grid = layer.height, layer.width
            known = layers.setdefault(grid, {})
            inner = known.get(key)
            if inner is None or inner.name.startswith(f"{name}.") or output.version > versions[key]:
                known[key], versions[key] = layer, output.version

    def bypassed(layer: Layer) -> bool:
        """True if the layer is inside a block with a coarser output, so that another branch may bypass it."""
        above = [layer.name[:end] for end, letter in enumerate(layer.name) if letter == "."]
        blocks = [
            found[name].tensor for name in above if name in found and not isinstance(modules[name], nn.Sequential)
        ]
        return any(block.ndim == 4 and block.shape[2:].numel() < layer.height * layer.width for block in blocks)

    chosen = []
    for _, each in sorted(layers.items()):
        ends = list(each.values())
        ends = [
            layer for layer in ends if layer.channels != logits.shape[1]
        ] or ends  # exclude the layer of class logits
        ends = [layer for layer in ends if not bypassed(layer)] or ends
        stream = ends[-1].channels  # width of the token stream; inside, attention widens it
        ends = [layer for layer in ends if layer.prefix is None or layer.channels == stream]
        chosen.append(_last(ends, found, logits))
    return tuple(layer for layer in chosen if layer)


def _layer(name: str, output: Tensor, grid: tuple[int, int], patches: bool) -> Layer | None:
    """Interpret an output as feature maps on the previous layer's grid or a coarser one; None if that is impossible."""
    if output.ndim == 4:
        _, channels, height, width = output.shape
        coarser = 1 < height * width <= grid[0] * grid[1]  # false for most other axis orders
        alike = 0.5 < (height * grid[1]) / (width * grid[0]) < 2  # unpadded convolutions shorten one side more
        return Layer(name, channels, height, width) if coarser and alike else None
    if output.ndim == 3 and patches and 0 <= (prefix := output.shape[1] - grid[0] * grid[1]) <= MAX_PREFIX_TOKENS:
        return Layer(name, output.shape[2], *grid, prefix)
    return None


def _last(layers: list[Layer], found: Mapping[str, Output], logits: Tensor) -> Layer | None:
    """Return the last layer whose maps affect the logits; a transformer often ignores its last image tokens."""
    for layer in reversed(layers):
        output = found[layer.name].tensor
        if output.requires_grad:
            (gradient,) = torch.autograd.grad(logits.sum(), output, retain_graph=True, allow_unused=True)
            if gradient is not None and layer.maps(gradient).any():
                return layer
    return None
