"""Layers whose outputs are maps of features: found by looking at a forward pass, and read from it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from attribution.refusal import Refusal

PREFIX = 8  # tokens before those of the image, at most: class tokens and registers

_outputs: ContextVar[dict[str, "Output"] | None] = ContextVar("outputs", default=None)


@dataclass(frozen=True, eq=False)
class Output:
    """What a module gave, and how often it had been overwritten by then."""

    tensor: Tensor
    version: int


@dataclass(frozen=True)
class Layer:
    """A layer whose output is a map of features.

    Attributes:
        name: Of the outermost module that gives it.
        channels: How many features.
        height: Of the map.
        width: Of the map.
        prefix: Tokens before those of the image where the output is (N, tokens, C); None where it is (N, C, H, W).
    """

    name: str
    channels: int
    height: int
    width: int
    prefix: int | None = None

    def maps(self, output: Tensor) -> Tensor:
        """An output of this layer, or its gradient, as (N, C, H, W); another size than the model's is well.

        Raises:
            Refusal: If tokens are not those of an image of the model's size.
        """
        if self.prefix is None:
            return output
        if output.shape[1] != self.prefix + self.height * self.width:
            raise Refusal(
                f"The layer {self.name} gives {output.shape[1]} tokens for this image, whose grid is not known; "
                "give an image of the model's own size."
            )
        images = output[:, self.prefix :].transpose(1, 2)  # (N, C, H * W)
        return images.reshape(len(images), self.channels, self.height, self.width)

    def __str__(self) -> str:
        tokens = "" if self.prefix is None else ", the tokens of the image"
        return f"{self.name} ({self.channels} x {self.height} x {self.width}{tokens})"


def watch(net: nn.Module) -> None:
    """Have the modules of a network, and of its copies, tell `outputs` what they give."""
    for name, module in net.named_modules():
        if name:
            module.register_forward_hook(partial(_note, name))


@contextmanager
def outputs() -> Iterator[dict[str, Output]]:
    """Gather the outputs of a forward pass of this thread, by module name, in the order in which they came."""
    found: dict[str, Output] = {}
    token = _outputs.set(found)
    try:
        yield found
    finally:
        _outputs.reset(token)


def _note(name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
    if (found := _outputs.get()) is not None and isinstance(output, Tensor):
        found.pop(name, None)  # of several calls the last counts
        found[name] = Output(output, output._version)


def stages(net: nn.Module, found: Mapping[str, Output], score: Tensor, size: tuple[int, int]) -> tuple[Layer, ...]:
    """The last layer of each resolution, the coarsest first.

    Args:
        net: Of which `found` are the outputs. Those of pooling are left out, and the classes' own if others are there.
        found: What `outputs` gathered.
        score: (N, K), the logits of that pass.
        size: (H, W) of the input.
    """
    modules = dict(net.named_modules())
    left_out = {
        id(found[name].tensor) for name, module in modules.items() if name in found and "Pool" in type(module).__name__
    }
    grid, layers = size, dict[tuple[int, int], dict[int, Layer]]()
    versions: dict[int, int] = {}  # of a tensor, when it got its name
    for name, output in found.items():
        layer, key = _layer(name, output.tensor, grid, patches=grid != size), id(output.tensor)
        if layer and key not in left_out:
            grid = layer.height, layer.width
            known = layers.setdefault(grid, {})
            inner = known.get(key)
            if inner is None or inner.name.startswith(f"{name}.") or output.version > versions[key]:
                known[key], versions[key] = layer, output.version

    def on_the_way(layer: Layer) -> bool:
        """Whether it lies inside a block that goes on to a coarser map, with a branch that goes around it."""
        above = [layer.name[:place] for place, letter in enumerate(layer.name) if letter == "."]
        blocks = [
            found[name].tensor for name in above if name in found and not isinstance(modules[name], nn.Sequential)
        ]
        return any(block.ndim == 4 and block.shape[2:].numel() < layer.height * layer.width for block in blocks)

    chosen = []
    for _, each in sorted(layers.items()):
        ends = list(each.values())
        ends = [layer for layer in ends if layer.channels != score.shape[1]] or ends  # not the classes themselves
        ends = [layer for layer in ends if not on_the_way(layer)] or ends
        stream = ends[-1].channels  # of tokens, which attention widens for itself
        ends = [layer for layer in ends if layer.prefix is None or layer.channels == stream]
        chosen.append(_last(ends, found, score))
    return tuple(layer for layer in chosen if layer)


def _layer(name: str, output: Tensor, grid: tuple[int, int], patches: bool) -> Layer | None:
    """Read an output as a map that lies on the image like the grid before it, or a coarser one."""
    if output.ndim == 4:
        _, channels, height, width = output.shape
        coarser = 1 < height * width <= grid[0] * grid[1]  # which a map of another axis order is not
        alike = 0.5 < (height * grid[1]) / (width * grid[0]) < 2  # convolutions without padding eat more of one side
        return Layer(name, channels, height, width) if coarser and alike else None
    if output.ndim == 3 and patches and 0 <= (prefix := output.shape[1] - grid[0] * grid[1]) <= PREFIX:
        return Layer(name, output.shape[2], *grid, prefix)
    return None


def _last(layers: list[Layer], found: Mapping[str, Output], score: Tensor) -> Layer | None:
    """The last layer on whose maps the score depends; a transformer's last tokens are often not read."""
    for layer in reversed(layers):
        output = found[layer.name].tensor
        if output.requires_grad:
            (gradient,) = torch.autograd.grad(score.sum(), output, retain_graph=True, allow_unused=True)
            if gradient is not None and layer.maps(gradient).any():
                return layer
    return None
