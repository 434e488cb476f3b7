"""Mean maps of a class, in the frame of the photo and in that of the box."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from attribution.batch.prototypes import Key, by_class
from attribution.photo.cells import GRID

MARGIN = 0.5  # around the box on each side, as a share of its own side
BOX = ("box_left", "box_top", "box_right", "box_bottom")  # columns
CHUNK = 512  # maps that are resampled at once

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MeanMap:
    """The mean of the maps of one class by one method.

    Each map is first divided by its sum of absolute values, so that no photo dominates.

    Attributes:
        cells: (28, 28), in the frame of the photo.
        count: Number of photos.
        boxed: (28, 28), in the frame of the box, which fills its middle half; NaN where no photo has values. None if no
            photo has a box.
        boxes: Number of photos with a box.
    """

    cells: Floats
    count: int
    boxed: Floats | None
    boxes: int


def mean_maps(table: pa.Table) -> dict[Key, dict[str, MeanMap]]:
    """Return the mean map of every explained class and method, in the order of the table.

    Args:
        table: Columns as in `batch.table`; rows without `cells`, or with a map of zeros, do not count.

    Returns:
        Mean maps by class, then by the method's text.
    """
    found: dict[Key, dict[str, MeanMap]] = {}
    for method in pc.unique(table["method"].drop_null()).to_pylist():
        chosen = pc.and_(pc.fill_null(pc.equal(table["method"], method), False), pc.is_valid(table["cells"]))
        part = table.select(["target", "target_class", "cells", *BOX]).filter(chosen)
        cells = part["cells"].combine_chunks().flatten().to_numpy().reshape(-1, GRID, GRID)
        boxes = np.stack([part[side].to_numpy() for side in BOX], 1).astype(np.float64)  # null becomes NaN
        for key, rows in by_class(part):
            if (mean := _mean(cells[rows], boxes[rows])) is not None:
                found.setdefault(key, {})[method] = mean
    return found


def _mean(maps: NDArray[np.float32], boxes: Floats) -> MeanMap | None:
    """Return the mean of maps, (N, 28, 28), whose boxes, (N, 4), are NaN where there is none; None without any."""
    total, count = np.zeros((GRID, GRID)), 0
    seen, boxed, box_count = np.zeros((GRID, GRID)), np.zeros((GRID, GRID)), 0
    for start in range(0, len(maps), CHUNK):
        cells, box = maps[start : start + CHUNK].astype(np.float64), boxes[start : start + CHUNK]
        size = np.abs(cells).sum((1, 2))
        good = np.isfinite(size) & (size > 0)
        cells, box = cells[good] / size[good, None, None], box[good]
        total += cells.sum(0)
        count += len(cells)
        inside = (box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1])
        values, known = around(cells[inside], box[inside])
        boxed += values.sum(0)
        seen += known.sum(0)
        box_count += int(inside.sum())
    if count == 0:
        return None
    with np.errstate(invalid="ignore"):
        return MeanMap(total / count, count, boxed / seen if box_count else None, box_count)


def around(cells: Floats, box: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Resample maps so that the box and its margin fill them, bilinearly between the centres of the cells.

    Args:
        cells: (N, 28, 28).
        box: Left, top, right and bottom, as shares of the photo's sides, (N, 4).

    Returns:
        The values, 0 outside the photo, (N, 28, 28), and where they are inside, of the same shape.
    """
    across, is_across = _weights(box[:, 0], box[:, 2])
    down, is_down = _weights(box[:, 1], box[:, 3])
    known = is_down[:, :, None] & is_across[:, None, :]
    return np.where(known, down @ cells @ across.transpose(0, 2, 1), 0.0), known


def _weights(low: Floats, high: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the weights of the cells at each place along a side, (N, 28, 28), and which places are in the photo."""
    side = (high - low)[:, None]
    places = low[:, None] - MARGIN * side + (np.arange(GRID) + 0.5) / GRID * (1 + 2 * MARGIN) * side  # (N, 28)
    centres = np.clip(places * GRID - 0.5, 0, GRID - 1)  # at the photo's edge, the values of the outermost cells
    weights = np.maximum(1 - np.abs(centres[:, :, None] - np.arange(GRID)), 0)
    return weights, (places >= 0) & (places <= 1)
