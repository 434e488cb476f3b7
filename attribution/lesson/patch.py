"""Patches: squares of a 7 x 7 division of the photo, which a figure brightens or covers."""

import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.photo.cells import GRID, Cells, sums

PATCHES = 7  # per side
SIDE = GRID // PATCHES  # cells of a patch's side
LAST = PATCHES * PATCHES - 1


def patch(place: int, size: int = 1) -> Cells:
    """Return a patch, or a square of several.

    Args:
        place: Number of the patch in its upper left corner, row by row from the top left, from 0.
        size: Patches of a side. Default: 1.

    Raises:
        Refusal: If it leaves the photo.
    """
    row, column = divmod(place, PATCHES)
    return Cells.box(SIDE * column, SIDE * row, SIDE * size, SIDE * size)


def strongest(values: NDArray, size: int = 1) -> int:  # type: ignore[type-arg]
    """Return the place of the square of patches in which the absolute values of a map, (3, H, W), sum to the most."""
    cells = torch.from_numpy(sums(torch.from_numpy(abs(values).sum(0)))).view(1, 1, GRID, GRID)
    squares = torch.nn.functional.avg_pool2d(cells, SIDE * size, SIDE)[0, 0]
    row, column = divmod(int(squares.argmax()), squares.shape[1])
    return row * PATCHES + column


def place_of(x: int, y: int, size: tuple[int, int]) -> int:
    """Return the place of the patch that contains a pixel of an image of size (H, W)."""
    return min(y * PATCHES // size[0], PATCHES - 1) * PATCHES + min(x * PATCHES // size[1], PATCHES - 1)


def brightened(x: Tensor, place: int, change: float) -> Tensor:
    """Return a photo, (3, H, W), with a number added to all values of a patch; not clipped."""
    return x + change * patch(place).pixels((x.shape[1], x.shape[2])).to(x)
