"""Measures of a map that a batch compares over photos."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.checks.likeness import rank_correlation
from attribution.drawing.heatmap import reduce
from attribution.methods import METHODS
from attribution.photo.cells import GRID, Cells, sums
from attribution.photo.preprocessing import Box
from attribution.result import Attribution

STRONGEST = 0.1  # share of the pixels whose share of the map is its concentration
WINDOW = 7  # cells of a window's side: a quarter of the photo's side


def on_cells(result: Attribution) -> NDArray[np.float64]:
    """Sum a map over cells: signed if its signs are evidence, as of complete and signed methods, else absolute.

    Returns:
        (28, 28).
    """
    signs = METHODS[result.method].complete or result.signed
    heat = reduce(result.values, "signed_sum" if signs else "sum_of_absolutes")
    return sums(torch.from_numpy(heat)).reshape(GRID, GRID)


def concentration(result: Attribution) -> float | None:
    """Return the share of a map's absolute values in the strongest tenth of its pixels, from 0.1 to 1.

    None for a map of zeros.
    """
    heat = np.sort(reduce(result.values).ravel())
    return _share(heat[-max(1, round(STRONGEST * len(heat))) :].sum(), heat.sum())


def box_share(result: Attribution, box: Box) -> float | None:
    """Return the share of a map's absolute values inside a box; None for a map of zeros.

    Args:
        result: The map.
        box: Left, top, right and bottom as shares of the network's input. Pixels at its edge count in part.
    """
    heat = reduce(result.values)
    left, top, right, bottom = box
    across, down = _covered(left, right, heat.shape[1]), _covered(top, bottom, heat.shape[0])
    return _share(float(down @ heat @ across), heat.sum())


def area(box: Box) -> float:
    """Return the share of the network's input inside a box."""
    return (box[2] - box[0]) * (box[3] - box[1])


def inside(box: Box, crop: Box) -> Box | None:
    """Convert a box in pixels of the photo to shares of the network's input, clipped to it; None if it is outside.

    Args:
        box: Left, top, right and bottom in pixels of the photo.
        crop: The same of the part that the network sees.
    """
    sides = crop[2] - crop[0], crop[3] - crop[1]
    left, top, right, bottom = (
        min(1.0, max(0.0, (each - crop[place % 2]) / sides[place % 2])) for place, each in enumerate(box)
    )
    return (left, top, right, bottom) if left < right and top < bottom else None


def agreements(maps: Sequence[Attribution]) -> list[float | None]:
    """Return each map's mean rank correlation with the photo's other maps, on cells of absolute values.

    None without another map that is not constant.
    """
    cells = [sums(torch.from_numpy(reduce(each.values))) for each in maps]
    found: list[float | None] = []
    for place, one in enumerate(cells):
        others = [rank_correlation(one, other) for index, other in enumerate(cells) if index != place]
        known = [each for each in others if each is not None]
        found.append(float(np.mean(known)) if known else None)
    return found


def strongest(cells: NDArray[np.float64]) -> tuple[int, int]:
    """Return the left column and the top row of the window with the largest sum, the first of equal ones.

    Args:
        cells: (28, 28).
    """
    whole = np.zeros((GRID + 1, GRID + 1))
    whole[1:, 1:] = cells.cumsum(0).cumsum(1)
    windows = whole[WINDOW:, WINDOW:] - whole[:-WINDOW, WINDOW:] - whole[WINDOW:, :-WINDOW] + whole[:-WINDOW, :-WINDOW]
    top, left = np.unravel_index(int(windows.argmax()), windows.shape)
    return int(left), int(top)


def window(left: int, top: int) -> Cells:
    """Return the cells of a window."""
    return Cells.box(left, top, WINDOW, WINDOW)


def cut(x: Tensor, left: int, top: int) -> Tensor:
    """Cut a window out of a photo, (3, H, W), and resize it to the size of the photo."""
    rows, columns = (_pixels(start, side) for start, side in ((top, x.shape[1]), (left, x.shape[2])))
    patch = x[:, rows, columns][None]
    return torch.nn.functional.interpolate(patch, x.shape[1:], mode="bilinear", align_corners=False)[0]


def _pixels(start: int, side: int) -> slice:
    """Return the pixels of a window along a side; those of `Cells.pixels`."""
    first, last = (-(-each * side // GRID) for each in (start, start + WINDOW))
    return slice(min(first, side - 1), max(last, first + 1))


def _covered(low: float, high: float, side: int) -> NDArray[np.float64]:
    """Return how much of each pixel along a side is between two shares of it."""
    edges = np.arange(side + 1) / side
    found: NDArray[np.float64] = np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None) * side
    return found


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None
