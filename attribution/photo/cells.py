"""Cells: a region of a photo, on a grid that is the same for every size of the photo."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from attribution.refusal import Refusal
from attribution.settings import Setting

GRID = 28  # cells per side; 8 pixels each at 224 x 224
_BYTES = GRID * GRID // 8


@dataclass(frozen=True)
class Cells:
    """Some of the cells of a grid of 28 x 28.

    Attributes:
        bits: One bit a cell, row by row from the top left, the first in the highest bit of the first byte.
    """

    bits: bytes = bytes(_BYTES)

    @classmethod
    def of(cls, grid: ArrayLike) -> Self:
        """Return the cells that are true in a (28, 28) array.

        Raises:
            Refusal: If the array has another shape.
        """
        flags = np.asarray(grid)
        if flags.shape != (GRID, GRID):
            raise Refusal(f"A mask of cells must be of shape ({GRID}, {GRID}), got {flags.shape}.")
        return cls(np.packbits(flags.astype(bool)).tobytes())

    @classmethod
    def box(cls, left: int, top: int, width: int, height: int) -> Self:
        """Return a rectangle, in cells.

        Raises:
            Refusal: If it is empty or leaves the grid.
        """
        if min(left, top) < 0 or min(width, height) < 1 or max(left + width, top + height) > GRID:
            raise Refusal(
                f"A box of cells must be within {GRID} x {GRID}, got left {left}, top {top}, width {width} and height "
                f"{height}; choose left and top from 0, and at least one cell in both directions."
            )
        grid = np.zeros((GRID, GRID), dtype=bool)
        grid[top : top + height, left : left + width] = True
        return cls.of(grid)

    @property
    def grid(self) -> NDArray[np.bool_]:
        """The cells as a (28, 28) array."""
        return np.unpackbits(np.frombuffer(self.bits, dtype=np.uint8)).reshape(GRID, GRID).astype(bool)

    @property
    def count(self) -> int:
        """The number of cells."""
        return int(self.grid.sum())

    @property
    def others(self) -> "Cells":
        """All cells that are not among these."""
        return Cells.of(~self.grid)

    @property
    def text(self) -> str:
        """The bits in base64 for links, 131 characters; empty without cells."""
        return base64.urlsafe_b64encode(self.bits).decode().rstrip("=") if any(self.bits) else ""

    def pixels(self, size: tuple[int, int]) -> Tensor:
        """Return the pixels of the cells.

        Args:
            size: (H, W) of the photo.

        Returns:
            (H, W), True inside. A pixel belongs to one cell; of a photo with fewer pixels, some cells have none.
        """
        down, across = (cell_of(side) for side in size)
        return torch.from_numpy(self.grid)[down][:, across]

    def area(self, size: tuple[int, int]) -> float:
        """Return the share of a photo's pixels in the cells."""
        return float(self.pixels(size).double().mean())

    def moved(self, down: int, across: int) -> "Cells | None":
        """Return the same shape at another place; None if it would leave the grid."""
        rows, columns = np.nonzero(self.grid)
        rows, columns = rows + down, columns + across
        if len(rows) and (min(rows.min(), columns.min()) < 0 or max(rows.max(), columns.max()) >= GRID):
            return None
        grid = np.zeros((GRID, GRID), dtype=bool)
        grid[rows, columns] = True
        return Cells.of(grid)


ALL = Cells.of(np.ones((GRID, GRID), dtype=bool))


def cell_of(side: int) -> Tensor:
    """Return the row or column of the grid of every pixel along a side of a photo, (side,)."""
    return torch.arange(side) * GRID // side


def sums(values: Tensor) -> NDArray[np.float64]:
    """Sum an image over each cell, in float64.

    Args:
        values: (H, W).

    Returns:
        (784,), row by row.
    """
    down, across = (cell_of(side).to(values.device) for side in values.shape)
    place = (down[:, None] * GRID + across).flatten()
    found = torch.zeros(GRID * GRID, dtype=torch.float64, device=values.device)
    return found.index_add_(0, place, values.double().flatten()).cpu().numpy()


def total(values: NDArray[np.float64], cells: Cells) -> float:
    """Add the values of the cells, one after the other in the order of the grid, as the browser does.

    Args:
        values: (784,).
        cells: The cells.
    """
    inside = values[cells.grid.flatten()]
    return float(np.add.accumulate(inside)[-1]) if len(inside) else 0.0


@dataclass(frozen=True)
class CellsSetting(Setting):
    """Cells; their text is `Cells.text`, or `left/top/width/height` for a box."""

    @property
    def range(self) -> str:
        return f"cells of a grid of {GRID} x {GRID}, such as 10/8/6/6 for left, top, width and height of a box"

    def check(self, value: Any) -> Cells:
        if isinstance(value, str):
            value = self.read(value)
        if isinstance(value, Cells) and len(value.bits) == _BYTES:
            return value
        try:
            return Cells.of(value)
        except (Refusal, TypeError, ValueError):
            raise self._refuse(value) from None

    def read(self, text: str) -> Cells | str:
        try:
            if "/" in text:
                left, top, width, height = map(int, text.split("/"))
                return Cells.box(left, top, width, height)
            bits = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True) if text else bytes(_BYTES)
        except (binascii.Error, ValueError):  # or a Refusal
            return text
        cells = Cells(bits)
        return cells if len(bits) == _BYTES and cells.text == text else text

    def plain(self, value: Any) -> str:
        text: str = value.text
        return text
