"""A layer whose output is a stack of feature maps, and the ways to read an output as one."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from attribution.refusal import Refusal

MAX_OTHER_TOKENS = 8  # most tokens beside those of the image: class tokens and registers
MOST_STRETCHED = 0.7  # largest logarithm of the ratio of a grid's and the image's aspect; padding and its lack stretch
SAME_STRETCH = 0.05  # of two grids of tokens that are both as good


@dataclass(frozen=True)
class Layer:
    """A layer whose output is a stack of feature maps, for one size of the image.

    Attributes:
        name: Name of the outermost module that returns the output.
        channels: Number of features.
        height: Height of the maps.
        width: Width of the maps.
        prefix: Number of tokens that precede those of the image if the output is (N, tokens, C); otherwise None.
        suffix: Number of tokens that follow those of the image. Default: 0.
        channels_last: True if the output is (N, H, W, C). Default: False, that is (N, C, H, W).
        tokens_last: True if the output is (N, C, tokens). Default: False.
    """

    name: str
    channels: int
    height: int
    width: int
    prefix: int | None = None
    suffix: int = 0
    channels_last: bool = False
    tokens_last: bool = False

    def maps(self, output: Tensor) -> Tensor:
        """Arrange an output of this layer, or its gradient, as (N, C, H, W).

        Raises:
            Refusal: If it has another shape.
        """
        maps = output
        if self.prefix is not None:
            output = output.mT if self.tokens_last else output
            cells = self.height * self.width
            if output.shape[1] != self.prefix + cells + self.suffix:
                raise Refusal(
                    f"The layer {self.name} returns {output.shape[1]} tokens for this image, and their grid is "
                    "unknown; use an image of the model's own size."
                )
            tokens = output[:, self.prefix : self.prefix + cells].transpose(1, 2)  # (N, C, H * W)
            maps = tokens.reshape(len(tokens), self.channels, self.height, self.width)
        return maps.permute(0, 3, 1, 2) if self.channels_last else maps

    def __str__(self) -> str:
        tokens = "" if self.prefix is None else ", image tokens"
        return f"{self.name} ({self.channels} x {self.height} x {self.width}{tokens})"


def readings(name: str, shape: tuple[int, ...], size: tuple[int, int]) -> Iterator[Layer]:
    """Yield the ways to read a module's output as feature maps, by its shape.

    Args:
        name: Name of the module.
        shape: Shape of the output.
        size: (H, W) of the image.
    """
    found = []
    if len(shape) == 4:
        found = [Layer(name, *shape[1:]), Layer(name, shape[3], shape[1], shape[2], channels_last=True)]
    if len(shape) == 3:
        for tokens, channels, last in ((shape[1], shape[2], False), (shape[2], shape[1], True)):
            layers = [
                Layer(name, channels, *_grid(tokens - more, size), prefix, more - prefix, tokens_last=last)
                for more in range(min(MAX_OTHER_TOKENS, tokens // 3) + 1)
                for prefix in sorted({more, 0}, reverse=True)  # before or after those of the image
            ]
            least = min((_stretch((layer.height, layer.width), size) for layer in layers), default=0)
            found += [each for each in layers if _stretch((each.height, each.width), size) < least + SAME_STRETCH]
    for layer in found:
        cells = layer.height * layer.width
        if 1 < cells <= size[0] * size[1] and _stretch((layer.height, layer.width), size) < MOST_STRETCHED:
            yield layer


def _grid(tokens: int, size: tuple[int, int]) -> tuple[int, int]:
    """Return the grid of so many tokens that is most like an image of (H, W) pixels."""
    grids = [(side, tokens // side) for side in range(1, tokens + 1) if tokens % side == 0]
    return min(grids, key=lambda grid: _stretch(grid, size))


def _stretch(grid: tuple[int, int], size: tuple[int, int]) -> float:
    """Return by how much the ratio of a grid's sides differs from the image's, as a logarithm."""
    return abs(math.log(grid[0] * size[1] / (grid[1] * size[0])))
